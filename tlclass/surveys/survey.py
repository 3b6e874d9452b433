"""A survey: its reader and all that turns its files into labelled light curves."""

import hashlib
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tlclass.arrays import Array
from tlclass.atomic import write_text
from tlclass.config import cache_folder, writable_cache
from tlclass.lightcurves import arrow
from tlclass.lightcurves.curves import LightCurves, check, concatenate, log_dropped
from tlclass.lightcurves.cuts import Cut, log_cuts, merge_cuts
from tlclass.lightcurves.passbands import Passbands
from tlclass.lightcurves.selection import Selection, alerts_alone
from tlclass.lightcurves.taxonomy import DROPPED, Taxonomy
from tlclass.locking import held
from tlclass.surveys.parallel import in_order
from tlclass.surveys.reader import Reader, parts_of, pieces_of

log = logging.getLogger(__name__)

LARGE = 100_000_000  # bytes of a table (Parquet: some 5 million rows) from which it is read in parts
CACHE_VERSION = 7  # raise it when a reader's result changes for the same files


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
        typical_flux: median |flux| of its light curves (FLUXCAL), for encodings whose flux scale is matched.
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
    typical_flux: float | None = None

    def digest(self, root: Path, cache: Path) -> str:
        """Hash of the raw files' contents and of their names below `root`: moved data have the same.

        Simulated light curves have no files; then it is that of the reader's settings. The contents' part is kept in
        `cache` until a file's size or time changes.

        Raises:
            FileNotFoundError: the raw files are absent.
        """
        files = self.reader.files()
        if not files:
            return reader_key(self.reader)
        names = [str(file.relative_to(root) if file.is_relative_to(root) else file) for file in files]
        path = cache / self.name / f"{reader_key(self.reader)}.sha256"
        if not path.exists():  # a complete cache may be read only
            writable_cache(path.parent)
            with held(path.with_suffix(".lock")):
                if not path.exists():
                    write_text(path, _contents(files))
        return _hash((CACHE_VERSION, names, path.read_text(encoding="utf-8")))

    def load(self, cache: str | Path | None = None) -> tuple[LightCurves, Array]:
        """Selected light curves of the taxonomy's classes, and the class index (n,) int64 of each.

        Args:
            cache: see `tlclass.config.cache_folder`.

        Raises:
            FileNotFoundError: the raw files are absent.
            ValueError: the files break a rule; the message says which, where and what to do.
        """
        path, _ = self.parsed(cache_folder(cache))
        self._check_labels(path)
        selected, cuts = [], list[Cut]()
        objects = observations = 0
        for part in arrow.read_parts(path, verify=False):
            chosen, cut = self.select(part)
            objects, observations = objects + len(part), observations + len(part.mjd)
            selected.append(chosen)
            cuts = merge_cuts([cuts, cut])
        curves = concatenate(selected)
        if curves.simulated and not self.simulated:
            raise ValueError(
                f"{self.name}: the files state that their light curves are simulated, but the card does not: set target.simulated=true (or "
                "source.simulated=true), so that everything made from them says so"
            )
        log_dropped(curves.dropped, observations, self.name)
        self.selection.account(objects, cuts, self.name)
        if found := alerts_alone(curves, self.selection):
            log.warning("%s: %s", self.name, found)
        return curves, self.taxonomy.encode(curves.label, self.name)

    def unlabelled(self, cache: Path) -> LightCurves:
        """Selected light curves of the objects that have no label, which `load` leaves out."""
        path, _ = self.parsed(cache)
        selected, cuts, total = [], list[Cut](), 0
        for part in arrow.read_parts(path, verify=False):
            chosen = part.take(matching(part, self.where, self.name) & (part.label == ""))
            curves, cut = self.selection.select(chosen)
            selected.append(curves)
            cuts = merge_cuts([cuts, cut])
            total += len(chosen)
        log_cuts(total, cuts, f"{self.name}, objects without a label")
        return concatenate(selected)

    def complete(self, cache: Path, object_id: Array) -> LightCurves:
        """All observations of these objects, before the selection; passbands as the reader names them."""
        path, _ = self.parsed(cache)
        return concatenate(
            [part.take(np.isin(part.object_id, object_id)) for part in arrow.read_parts(path, verify=False)]
        )

    def parsed(self, cache: Path) -> tuple[Path, dict[str, int]]:
        """The file of all light curves, read now if it is not there; and files by label that the taxonomy drops, which were not read.

        Args:
            cache: folder.
        """
        unread, pieces = self._wanted()
        return cached(pieces, cache / self.name), unread

    def _check_labels(self, path: Path) -> None:
        """Raise ValueError if no object of a parsed file has a label, or one has an unknown label."""
        labels = label_counts(path)
        if labels and not any(labels):
            raise ValueError(
                f"{self.name}: none of its {sum(labels.values())} objects has a class label: {_label_advice(self.reader)}"
            )
        unknown = Counter(self.taxonomy.unlisted(labels))
        self.taxonomy.encode(np.array(list(unknown.elements()), dtype=str), self.name)

    def select(self, curves: LightCurves) -> tuple[LightCurves, list[Cut]]:
        """What `load` takes of light curves as they were read, and what each rule removed, in order."""
        chosen = matching(curves, self.where, self.name)
        cuts = [Cut.of(curves, ~chosen, f"outside {dict(self.where)}")]
        curves = curves.take(chosen)
        unlabelled = curves.label == ""
        cuts.append(Cut.of(curves, unlabelled, "that are not classified (no label)"))
        curves = curves.take(~unlabelled)
        dropped = self.taxonomy.encode(curves.label, self.name) == DROPPED
        cuts.append(Cut.of(curves, dropped, "of classes the taxonomy drops"))
        curves = curves.take(~dropped)
        empty = curves.lengths == 0
        cuts.append(Cut.of(curves, empty, "that have no observation in the data (or none that is usable)"))
        selected, more = self.selection.select(curves.take(~empty))
        return selected, [*cuts, *more]

    def _wanted(self) -> tuple[dict[str, int], list[Reader]]:
        """Pieces by label that are left unread because the taxonomy drops them, and the readers of the others."""
        pieces = pieces_of(self.reader)
        labels = np.array([getattr(piece, "label", "") for piece in pieces])
        known = labels != ""
        dropped = known.copy()
        dropped[known] = self.taxonomy.encode(labels[known], f"{self.name} (folders)") == DROPPED
        names, counts = np.unique(labels[dropped], return_counts=True)
        unread = dict(zip(names.tolist(), counts.tolist(), strict=True))
        if unread:
            listed = ", ".join(f"{name} ({count})" for name, count in unread.items())
            log.info("%s: files of dropped classes are not read: %s", self.name, listed)
        if dropped.all() and len(pieces):
            raise ValueError(f"{self.name}: the taxonomy drops every class of its files: {', '.join(unread)}")
        return unread, [piece for piece, drop in zip(pieces, dropped, strict=True) if not drop]


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
        return concatenate([part.reader.read() for part in self.parts.values()])


def matching(curves: LightCurves, conditions: Mapping[str, Any], origin: str) -> Array:
    """(n,) bool, the objects whose extra columns have the given value (or one of a list of values).

    Raises:
        ValueError: a column is not there.
    """
    keep = np.ones(len(curves), dtype=bool)
    for column, wanted in conditions.items():
        if column not in curves.extra:
            raise ValueError(
                f"{origin}: there is no column '{column}' to select objects by; the columns are {', '.join(curves.extra) or 'none'}"
            )
        values = wanted if isinstance(wanted, Sequence) and not isinstance(wanted, str) else [wanted]
        keep &= np.isin(curves.extra[column], np.array(values))
    return keep


def label_counts(path: Path) -> Counter[str]:
    """How many objects of a parsed file have each raw label."""
    return Counter(label for part in arrow.read_parts(path, verify=False) for label in part.label.tolist())


def cached(pieces: Sequence[Reader], folder: Path) -> Path:
    """The file below `folder` with what these readers read, made now if it is not there.

    The key covers the readers' settings and the raw files' names, sizes and times, so a changed
    file is parsed again, as is one whose cache is damaged (its checksum). Parsing is parallel over the
    pieces. A lock lets parallel jobs share one parse. A failure leaves no file.

    Args:
        pieces: readers; a table of more than `LARGE` bytes is read in parts, and its objects come in the order of `parts_of`.
        folder: of the cache.

    Raises:
        ValueError: an object id stands in two pieces; or what a reader raises.
    """
    files = [file for piece in pieces for file in piece.files()]
    size = sum(file.stat().st_size for file in files)
    divided = len(pieces) == 1 and hasattr(pieces[0], "read_parts") and (not files or size > LARGE)
    order = "-parts" if divided and files else ""  # not a file of before, in which they come in another order
    path = folder / f"{_key(pieces, files)}{order}.arrow"
    if path.exists() and arrow.intact(path):  # a complete cache may be read only
        return path
    writable_cache(folder)
    with held(path.with_suffix(".lock"), f"{folder.name}: another process is reading the files, waiting for it"):
        if path.exists() and not arrow.intact(path):
            log.warning("%s is damaged or from an earlier version: reading the files again", path)
            path.unlink()
        if not path.exists():
            log.info("reading %s (cached in %s from now on)", folder.name, path)
            read = parts_of(pieces[0]) if divided else in_order(_read_checked, pieces, folder.name, size)
            arrow.write_parts(map(_checked, read) if divided else read, path)
    return path


def _checked(part: LightCurves) -> LightCurves:
    return check(part, "a part of the input")


def _read_checked(piece: Reader) -> LightCurves:
    files = piece.files()
    origin = ", ".join(str(file) for file in files[:2])
    with arrow.readable(files[0] if files else origin, "light curves"):
        return check(piece.read(), origin)


def reader_key(reader: Reader) -> str:
    """Hash of the reader's settings and of its raw files' names, sizes and times."""
    return _key([reader], reader.files())


def _key(pieces: Sequence[Reader], files: Sequence[Path]) -> str:
    stats = [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    return _hash((CACHE_VERSION, list(pieces), stats))


def _contents(files: Sequence[Path]) -> str:
    log.info("checksum of %d raw file(s)", len(files))
    checksums = []
    for file in files:
        with file.open("rb") as content:
            checksums.append(hashlib.file_digest(content, "sha256").hexdigest())
    return _hash(checksums)


def _hash(content: object) -> str:
    return hashlib.sha256(repr(content).encode()).hexdigest()[:16]


def _label_advice(reader: Reader) -> str:
    """What to do where no object has a label."""
    if hasattr(reader, "label_advice"):
        return str(reader.label_advice())
    if hasattr(reader, "labels"):
        return "give a table of them, target.reader.labels=FILE"
    return "add a table of objects with one, or name its column with target.reader.columns.label=COLUMN"
