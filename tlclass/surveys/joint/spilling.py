"""Light curves of several surveys in parts of other objects, so that memory holds one part: they go through temporary Arrow files.

The files lie where Python's `tempfile` puts them (`TMPDIR`) and are about as large as the light curves in memory.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa

from tlclass.arrays import Array
from tlclass.lightcurves import arrow
from tlclass.lightcurves.curves import LightCurves, concatenate, sum_dropped
from tlclass.lightcurves.ids import hashes


class Spill:
    """Context that keeps light curves by survey and part on disk.

    Args:
        parts: how many parts the objects are divided into, by their ids.

    Attributes:
        ids: survey -> (n,) uint64, hashes of the ids of its objects.
    """

    def __init__(self, parts: int):
        self.parts = parts
        self.ids: dict[str, Array] = {}
        self._empty: dict[str, LightCurves] = {}
        self._dropped: dict[str, dict[str, int]] = {}

    def __enter__(self) -> "Spill":
        """Make the folder."""
        self._folder = TemporaryDirectory(prefix="tlclass-")
        return self

    def __exit__(self, *_: object) -> None:
        """Remove it."""
        self._folder.cleanup()

    def take(self, survey: str, read: Iterable[LightCurves]) -> None:
        """Write the light curves of a survey."""
        writers: dict[int, Any] = {}
        seen = []
        try:
            for curves in read:
                marks = hashes(curves.object_id)
                seen.append(marks)
                self._dropped[survey] = sum_dropped([self._dropped.get(survey, {}), curves.dropped])
                curves = replace(curves, dropped={})
                self._empty.setdefault(survey, curves.take(np.zeros(len(curves), dtype=bool)))
                for part in np.unique(marks % self.parts).tolist():
                    table = arrow.to_arrow(curves.take(marks % self.parts == part))
                    if part not in writers:
                        writers[part] = pa.ipc.new_stream(str(self._file(survey, part)), table.schema)
                    writers[part].write_table(table)
        finally:
            for writer in writers.values():
                writer.close()
        self.ids[survey] = np.concatenate(seen) if seen else np.empty(0, dtype=np.uint64)

    def read(self) -> Iterator[Mapping[str, LightCurves]]:
        """Part after part: the light curves of each survey in it; the first counts all dropped observations."""
        dropped = dict(self._dropped)
        for part in range(self.parts):
            found = {survey: self._read(survey, part) for survey in self.ids}
            if any(len(curves) for curves in found.values()):
                yield {name: replace(curves, dropped=dropped.get(name, {})) for name, curves in found.items()}
                dropped = {}

    def _read(self, survey: str, part: int) -> LightCurves:
        file = self._file(survey, part)
        if not file.exists():
            return self._empty[survey]
        with pa.OSFile(str(file)) as source:
            batches = [arrow.from_arrow(pa.Table.from_batches([batch]), survey) for batch in pa.ipc.open_stream(source)]
        return concatenate(batches)

    def _file(self, survey: str, part: int) -> Path:
        return Path(self._folder.name) / f"{survey}-{part}.arrow"
