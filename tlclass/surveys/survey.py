"""A survey: its reader and all that turns its files into labelled light curves."""

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from filelock import FileLock

from tlclass import lightcurves
from tlclass.lightcurves import LightCurves
from tlclass.passbands import Passbands
from tlclass.selection import Selection
from tlclass.taxonomy import DROPPED, Taxonomy

log = logging.getLogger(__name__)
Array = npt.NDArray[Any]

CACHE_VERSION = 1  # raise it when a reader's result changes for the same files


class Reader(Protocol):
    """Reads one file format. A frozen dataclass, so that its repr states every setting."""

    def files(self) -> list[Path]:
        """The raw files; empty if there are none. Raises FileNotFoundError if they are missing."""

    def read(self) -> LightCurves:
        """All light curves in canonical units, unselected, labels as the files state them."""


@dataclass(frozen=True)
class Survey:
    """One data set, as its card in `conf/survey/` describes it.

    Attributes:
        name: used in folders, tables and figures.
        reader: where the light curves come from.
        passbands, taxonomy, selection: see there.
        simulated: whether the light curves are simulated; everything made from them says so.
        where: keep only objects whose extra columns have these values, e.g. `{ddf: true}`.
        subsets: name -> `{column: value}`; parts of the test set whose scores are also reported.
        citation: what to cite.
    """

    name: str
    reader: Reader
    passbands: Passbands
    taxonomy: Taxonomy
    selection: Selection
    simulated: bool = False
    where: Mapping[str, Any] = field(default_factory=dict)
    subsets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    citation: str = ""

    def load(self, cache: Path) -> tuple[LightCurves, Array]:
        """Selected light curves of the taxonomy's classes, and the class index (n,) int64 of each.

        Raises:
            FileNotFoundError: the raw files are absent.
            ValueError: the files break a rule; the message says which, where and what to do.
        """
        curves = read_cached(self.reader, cache / self.name)
        curves = curves.take(matching(curves, self.where, self.name))
        curves = curves.take(self.taxonomy.encode(curves.label, self.name) != DROPPED)
        selected = self.selection.apply(curves, self.name)
        return selected, self.taxonomy.encode(selected.label, self.name)


@dataclass(frozen=True)
class Union:
    """Reads several surveys as one, e.g. faint and bright simulations.

    Attributes:
        parts: name -> survey; only their readers are used, object ids must differ.
    """

    parts: Mapping[str, Survey]

    def files(self) -> list[Path]:
        """The raw files of all parts."""
        return [file for part in self.parts.values() for file in part.reader.files()]

    def read(self) -> LightCurves:
        """All light curves, part after part."""
        return lightcurves.concatenate([part.reader.read() for part in self.parts.values()])


def matching(curves: LightCurves, conditions: Mapping[str, Any], origin: str) -> Array:
    """(n,) bool, the objects whose extra columns have the given value (or one of a list of values).

    Raises:
        ValueError: a column is not there.
    """
    keep = np.ones(len(curves), dtype=bool)
    for column, wanted in conditions.items():
        if column not in curves.extra:
            raise ValueError(
                f"{origin}: no column '{column}' to choose objects by; there are {', '.join(curves.extra) or 'none'}"
            )
        values = wanted if isinstance(wanted, Sequence) and not isinstance(wanted, str) else [wanted]
        keep &= np.isin(curves.extra[column], np.array(values))
    return keep


def read_cached(reader: Reader, folder: Path) -> LightCurves:
    """What `reader` reads, parsed once and then opened memory-mapped.

    The key covers the reader's settings and the raw files' names, sizes and times, so a changed
    file is parsed again. A lock lets parallel jobs share one parse.
    """
    key = reader_key(reader)
    path = folder / f"{key}.arrow"
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / f"{key}.lock"):
        if not path.exists():
            log.info("reading %s (cached in %s from now on)", folder.name, path)
            lightcurves.write(lightcurves.check(reader.read(), folder.name), path)
    return lightcurves.read(path)


def reader_key(reader: Reader) -> str:
    """Hash of the reader's settings and of its raw files' names, sizes and times."""
    stats = [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in reader.files()]
    return hashlib.sha256(repr((CACHE_VERSION, reader, stats)).encode()).hexdigest()[:16]
