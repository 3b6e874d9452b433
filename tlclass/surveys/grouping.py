"""Rows of many objects in any order, a part of the objects at a time, in bounded memory.

Rows whose objects come in ascending order pass through. Others are sorted into temporary Arrow files by ranges of the object id,
each of which fits into memory; they lie where Python's `tempfile` puts them (`TMPDIR`).
"""

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tlclass.arrays import Array

ID = "object_id"
SAMPLE = 200_000  # ids of rows that are kept to divide the objects into ranges of about as many rows
MOST_FILES = 500


class Order:
    """Looks at the object ids of all rows, batch after batch: do objects come in ascending order, and which ranges divide them.

    Attributes:
        rows: how many there were.
        ascending: whether every object's rows stood together and objects came in ascending order, of whole numbers if all are such in
            the file, else of text.
    """

    def __init__(self) -> None:
        self.rows, self.ascending = 0, True
        self._last: Any = None
        self._every, self._sample = 1, np.empty(0, dtype=str)

    def look(self, names: list[str], codes: Array, numeric: bool) -> None:
        """Take (n,) rows into account: the distinct ids and each row's place among them, -1 where there is none."""
        known = np.array(names, dtype=str)
        if len(codes) and len(known):
            self._sample_of(known, codes)
            self._check(known, codes, numeric)
        self.rows += len(codes)

    def _sample_of(self, known: Array, codes: Array) -> None:
        first = -self.rows % self._every
        chosen = codes[first :: self._every]
        self._sample = np.concatenate([self._sample, known[chosen[chosen >= 0]]])
        while len(self._sample) > SAMPLE:
            self._sample, self._every = self._sample[::2], self._every * 2

    def _check(self, known: Array, codes: Array, numeric: bool) -> None:
        codes = codes[codes >= 0]
        if not self.ascending or not len(codes):
            return
        starts = codes[np.append(True, codes[1:] != codes[:-1])]
        run = (known.astype(np.int64) if numeric else known)[starts]
        if self._last is not None and run[0] == self._last:
            run = run[1:]
        rising = not len(run) or ((self._last is None or run[0] > self._last) and bool((run[1:] > run[:-1]).all()))
        self.ascending, self._last = rising, run[-1] if len(run) else self._last

    def boundaries(self, rows: int) -> Array:
        """Ids that divide the objects, in order of text, into ranges of about so many rows."""
        ranges = min(-(-self.rows // rows), MOST_FILES)
        ordered = np.sort(self._sample)
        if ranges < 2 or not len(ordered):
            return np.empty(0, dtype=str)
        return np.unique(ordered[(np.arange(1, ranges) * len(ordered)) // ranges])


def consecutive(chunks: Iterable[pa.Table], rows: int, column: str = ID) -> Iterator[pa.Table]:
    """Parts of at least so many rows (the last may have fewer) with whole objects, of rows that stand together by object.

    Args:
        chunks: in their order. rows: see above. column: of the ids.
    """
    held: list[pa.Table] = []
    for chunk in chunks:
        held.append(chunk)
        if sum(map(len, held)) < rows:
            continue
        whole = pa.concat_tables(held)
        ids = np.asarray(whole[column].to_numpy())
        cut = int(np.flatnonzero(ids != ids[-1])[-1]) + 1 if (ids != ids[-1]).any() else 0
        held = [whole.slice(cut)]
        if cut:
            yield whole.slice(0, cut)
    if held:
        yield pa.concat_tables(held)


def by_range(chunks: Iterable[pa.Table], boundaries: Array) -> Iterator[pa.Table]:
    """A part per range of ids, in ascending order; within a part the rows are in the order in which they came."""
    with tempfile.TemporaryDirectory(prefix="tlclass-") as folder:
        files = [Path(folder) / f"{number}.arrow" for number in range(len(boundaries) + 1)]
        _spill(chunks, boundaries, files)
        for file in files:
            if file.exists():
                with pa.OSFile(str(file)) as source:
                    yield pa.ipc.open_stream(source).read_all()
                file.unlink()


def _spill(chunks: Iterable[pa.Table], boundaries: Array, files: list[Path]) -> None:
    sinks: dict[int, Any] = {}
    writers: dict[int, Any] = {}
    try:
        for chunk in chunks:
            encoded = chunk[ID].combine_chunks().dictionary_encode()
            place = np.searchsorted(boundaries, np.array(encoded.dictionary.to_pylist(), dtype=str), side="right")
            owner = place[encoded.indices.to_numpy(zero_copy_only=False)] if len(place) else np.empty(0, dtype=np.int64)
            order = np.argsort(owner, kind="stable")
            ranges, starts = np.unique(owner[order], return_index=True)
            ordered = chunk.take(pa.array(order))
            for number, start, end in zip(ranges.tolist(), starts, [*starts[1:], len(order)], strict=True):
                if number not in writers:
                    sinks[number] = pa.OSFile(str(files[number]), "wb")
                    writers[number] = pa.ipc.new_stream(sinks[number], chunk.schema)
                writers[number].write_table(ordered.slice(start, end - start))
    finally:
        for opened in (*writers.values(), *sinks.values()):
            opened.close()
