"""SNANA FITS: pairs of HEAD and PHOT files, as ELAsTiCC, PLAsTiCC's ZTF simulations and many others publish them."""

import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
from astropy.io import fits

from tlclass.arrays import Array
from tlclass.lightcurves.curves import LightCurves, concatenate, from_columns
from tlclass.lightcurves.passbands import Passbands
from tlclass.lightcurves.photometry import (
    DETECTION_BITS,
    SNR,
    TRIGGER_BITS,
    detected_by_snr,
    is_rounded,
    known_numbers,
    known_position,
    known_times,
    once_per_exposure,
    refuse_no_dates,
)
from tlclass.lightcurves.voids import columns_read, voided
from tlclass.quoting import listed, shortened
from tlclass.surveys.saying import say_no_bits, say_unread_flags, tell
from tlclass.surveys.snana.binary import header_and_rows
from tlclass.surveys.snana.filters import is_foreign, passband_names
from tlclass.surveys.snana.header import (
    CORRECTED_KEY,
    FAKE_KEY,
    KEYS,
    ZERO_POINT_KEY,
    first_known,
    flux_factors,
    judge_unit,
    refuse_corrected,
    simulated,
)
from tlclass.surveys.tables.bands import marked, strangers
from tlclass.surveys.tables.names import CONTEXT_NAMES

log = logging.getLogger(__name__)

END_OF_OBJECT = -777  # MJD of the row between two objects
OBJECT_COLUMNS = {
    **KEYS,
    "host_specz": ("HOSTGAL_SPECZ",),
    "host_separation": ("HOSTGAL_SNSEP",),
    "host_logmass": ("HOSTGAL_LOGMASS",),
}
HEAD_NAME = re.compile(r"(.+)_HEAD(\.fits?(?:\.gz)?)", re.IGNORECASE)


@dataclass(frozen=True)
class SnanaFits:
    """Reads all pairs `*_HEAD.FITS[.gz]`, `*_PHOT.FITS[.gz]` below a folder (SNANA manual, section "FITS format").

    The class of an object is the model it was simulated with, which the name of the pair's folder holds.
    Fluxes are FLUXCAL, at zero point 27.5 where the header does not state ZP_FLUXCAL. The trigger is the row flagged 2048, or MJD_TRIGGER where no row is.
    Redshift is the true one of a simulation, else the measured one, heliocentric where that is known. Extra columns: `peak_mjd` and
    `host_specz`, `host_separation` (arcsec), `host_logmass`; NaN where SNANA writes -9 and the like.

    Attributes:
        folder: holds the pairs, at any depth; or one HEAD file.
        passbands: to resolve BAND (or FLT).
        label: regular expression for the names of the pairs' folders; its group is the raw class label.
        prefix_ids: write ids as `label/SNID`, for sets that number each model's objects anew.
        unknown_passbands: `error`, or `drop` to leave out their rows with a count.
        flux_unit: of FLUXCAL, see `tlclass.surveys.tables.columns.TableOptions`; None: what the headers state, else zero point 27.5.
    """

    folder: Path
    passbands: Passbands
    label: str = "(.+)"
    prefix_ids: bool = False
    unknown_passbands: str = "error"
    flux_unit: str | float | None = None

    @staticmethod
    def accepts(path: Path) -> list[Path]:
        """The HEAD files at or below a path."""
        return _heads_at(path)

    def files(self) -> list[Path]:
        """All HEAD and PHOT files.

        Raises:
            FileNotFoundError: there is none, or a HEAD has no PHOT.
        """
        return [file for head in self._heads() for file in (head, _phot_of(head))]

    def pieces(self) -> list["SnanaPair"]:
        """One reader per pair, by path.

        Raises:
            FileNotFoundError: there is none, or a HEAD has no PHOT.
            ValueError: a folder's name does not match `label`, or a file is there twice, packed and unpacked.
        """
        heads = self._heads()
        _warn_of_absent(heads)
        return [self._pair(head) for head in heads]

    def read(self) -> LightCurves:
        """All objects, pair after pair; see `SnanaPair.read`."""
        return concatenate([piece.read() for piece in self.pieces()])

    def _heads(self) -> list[Path]:
        heads = _heads_at(Path(self.folder))
        if not heads:
            raise FileNotFoundError(
                f"no *_HEAD.FITS or *_HEAD.FITS.gz below {self.folder}: set paths.data or the reader's folder to where the SNANA files are"
            )
        _refuse_twins(heads)
        return heads

    def _pair(self, head: Path) -> "SnanaPair":
        match = re.fullmatch(self.label, head.parent.name)
        if match is None:
            raise ValueError(
                f"{head.parent}: the folder's name does not match '{self.label}', so the class of its objects is unknown: "
                "rename it, move it away, or set the reader's label to a regular expression whose group is the class"
            )
        label = match.group(match.lastindex or 0)
        prefix = f"{label}/" if self.prefix_ids else ""
        return SnanaPair(head, _phot_of(head), self.passbands, label, prefix, self.unknown_passbands, self.flux_unit)


@dataclass(frozen=True)
class SnanaPair:
    """One HEAD file and its PHOT file, all of one class.

    Attributes:
        head, phot: the files.
        passbands: to resolve BAND (or FLT).
        label: the raw class label of all objects.
        prefix: goes before every SNID.
        unknown_passbands, flux_unit: see `SnanaFits`.
    """

    head: Path
    phot: Path
    passbands: Passbands
    label: str
    prefix: str = ""
    unknown_passbands: str = "error"
    flux_unit: str | float | None = None

    def files(self) -> list[Path]:
        """The two files."""
        return [self.head, self.phot]

    def read(self) -> LightCurves:
        """All objects of the pair.

        Raises:
            ValueError: a file is damaged, lacks a column, or the two do not belong together.
        """
        try:
            return self._read()
        except fits.VerifyError as error:
            raise ValueError(f"{self.head} or {self.phot} has a damaged header: {shortened(error)}") from None

    def _read(self) -> LightCurves:
        header, objects = header_and_rows(self.head)
        phot_header, rows = header_and_rows(self.phot)
        self._refuse_stranger(header, phot_header)
        first, count = self._pointers(objects, rows)
        dropped = {
            "that belong to no object of the HEAD file": _unclaimed(first, count, _field(rows, self.phot, "MJD"))
        }
        row = np.repeat(first - (np.cumsum(count) - count), count) + np.arange(count.sum())
        seen, owner = rows[row], np.repeat(np.arange(len(objects)), count)
        columns = self._objects(objects, owner, seen, header)
        mjd = known_times(_field(seen, self.phot, "MJD").astype(np.float64))
        say_unread_flags(seen.dtype.names or (), columns_read(seen.dtype.names or ()), str(self.phot))
        void, more = voided({name: seen[name] for name in seen.dtype.names or ()}, len(seen))
        refuse_no_dates(mjd[~void], str(self.phot))
        dated = mjd >= 0  # nor where the date is a code for "unknown"
        more["without a date (MJD < 0)"] = int(np.count_nonzero(~dated & ~void))
        keep = dated & ~void
        factor, taken = flux_factors(_zero_points(header, objects), self.flux_unit, str(self.head))
        observations, known, unknown = self._observations(seen[keep], owner[keep], factor[owner[keep]], header)
        observations = {name: column[known] for name, column in observations.items()}
        doubtful = taken & (not is_foreign(_survey(header), self.passbands))
        judge_unit(observations, doubtful[observations["owner"]], self.passbands.names, str(self.phot))
        series = observations["owner"] * 256 + observations["passband"]
        once, repeated = once_per_exposure(observations, series, is_rounded(observations["mjd"]))
        observations = {name: column[once] for name, column in observations.items()}
        counts = {reason: number for reason, number in (dropped | more | unknown | repeated).items() if number}
        return from_columns(columns, observations, self.passbands.names, str(self.phot), counts)

    def _objects(self, objects: Array, owner: Array, seen: Array, header: fits.Header) -> dict[str, Array]:
        """Columns of the HEAD file, and the trigger from the flags of the rows."""
        flags = _photflag(seen)
        if flags is None:
            message = "%s: no PHOTFLAG: rows with flux / error of %g or more count as detections"
            tell(log, logging.INFO, message, str(self.phot), SNR)
            flags = np.zeros(len(seen), dtype=np.int64)
        mjd = _field(seen, self.phot, "MJD").astype(np.float64)
        columns = _object_columns(objects)
        if FAKE_KEY in (objects.dtype.names or ()):
            columns |= simulated(objects[FAKE_KEY])
        return {
            "object_id": np.char.add(self.prefix, _text(_field(objects, self.head, "SNID"), self.head)),
            **columns,
            "trigger_mjd": _trigger(columns["trigger_mjd"], owner, mjd, flags, header),
            "label": np.full(len(objects), self.label),
        }

    def _observations(
        self, seen: Array, owner: Array, factor: Array, header: fits.Header
    ) -> tuple[dict[str, Array], Array, dict[str, int]]:
        """Columns of the rows that stay, which are of a known passband, and the others by reason; `factor` (n,) of their fluxes."""
        origin, survey = str(self.phot), _survey(header)
        raw, filters = _text(_field(seen, self.phot, "BAND", "FLT"), self.phot), str(header.get("FILTERS", ""))
        names = passband_names(raw, survey, filters, self.passbands, origin)
        columns = seen.dtype.names or ()
        context = {
            name: pa.chunked_array([_text(seen[name], self.phot)])
            for name in columns
            if name.casefold() in CONTEXT_NAMES
        }
        names = marked(names, strangers(context, self.passbands))
        flux, error = (_field(seen, self.phot, name) for name in ("FLUXCAL", "FLUXCALERR"))
        flags = _photflag(seen)
        stated = None if flags is None else (flags & int(header.get("PHOTFLAG_DETECT", DETECTION_BITS))) > 0
        if stated is not None and not stated.any():
            say_no_bits(flux, error, SNR, origin)
            stated = None
        band, known, unknown = self.passbands.resolved(names, origin, self.unknown_passbands)
        return (
            {
                "owner": owner,
                "mjd": known_times(_field(seen, self.phot, "MJD").astype(np.float64)),
                "passband": band,
                "flux": known_numbers(flux, "fluxes") * factor,
                "flux_err": error * factor,
                "detected": detected_by_snr(flux, error) if stated is None else stated,
            },
            known,
            unknown,
        )

    def _refuse_stranger(self, head: fits.Header, phot: fits.Header) -> None:
        """A PHOT file of another HEAD would give every object somebody else's light curve."""
        named = str(head.get("PHOTFILE", self.phot.name))
        if _unpacked(named) != _unpacked(self.phot.name):
            raise ValueError(
                f"{self.head} belongs to {named}, not to {self.phot.name}: put the right pair side by side"
            )
        for key in ("PHOTFILE", "VERSION"):
            if key in head and key in phot and head[key] != phot[key]:
                raise ValueError(
                    f"{self.head} and {self.phot} do not belong together: {key} is {head[key]} in one and {phot[key]} in the other"
                )
        refuse_corrected(head.get(CORRECTED_KEY, 0), str(self.head))

    def _pointers(self, objects: Array, rows: Array) -> tuple[Array, Array]:
        """First row and number of rows of each object; PTROBS count from 1 and include the last."""
        count = _field(objects, self.head, "NOBS").astype(np.int64)
        first = _field(objects, self.head, "PTROBS_MIN").astype(np.int64) - 1
        last = _field(objects, self.head, "PTROBS_MAX").astype(np.int64)
        wrong = (count > 0) & ((last - first != count) | (first < 0) | (last > len(rows)))
        if wrong.any():
            at = int(np.flatnonzero(wrong)[0])
            raise ValueError(
                f"{self.head} and {self.phot} do not fit: object {_text(objects['SNID'][[at]], self.head)[0]} has {count[at]} observations in rows "
                f"{first[at] + 1} to {last[at]} of {len(rows)}: one of the files is cut short or belongs to another"
            )
        return np.where(count > 0, first, 0), np.maximum(count, 0)


def _heads_at(path: Path) -> list[Path]:
    files = [path] if path.is_file() else path.rglob("*")
    return sorted(file for file in files if HEAD_NAME.fullmatch(file.name))


def _field(table: Array, path: Path, *names: str) -> Array:
    """The first of these columns that the table has."""
    present = table.dtype.names or ()
    for name in names:
        if name in present:
            column: Array = table[name]
            return column
    raise ValueError(f"{path} lacks the column {' or '.join(names)}; it has {listed(present)}")


def _photflag(rows: Array) -> Array | None:
    """PHOTFLAG of the rows; None where the file has no such column."""
    return rows["PHOTFLAG"].astype(np.int64) if "PHOTFLAG" in (rows.dtype.names or ()) else None


def _object_columns(objects: Array) -> dict[str, Array]:
    """Positions and what `OBJECT_COLUMNS` lists; NaN where the file says or has nothing."""
    present = objects.dtype.names or ()
    columns = {}
    for ours, theirs in OBJECT_COLUMNS.items():
        given = (objects[name].astype(np.float64) for name in theirs if name in present)
        columns[ours] = first_known(ours, given, len(objects))
    for ours, theirs in (("ra", ("RA",)), ("dec", ("DEC", "DECL"))):
        name = next((name for name in theirs if name in present), None)
        values = objects[name].astype(np.float64) if name else np.full(len(objects), np.nan)
        columns[ours] = known_position(values, ours)
    return columns


def _survey(header: fits.Header) -> str:
    return str(header.get("SURVEY", "")).strip()


def _zero_points(header: fits.Header, objects: Array) -> Array:
    """(n,) zero points that the file states of the objects: files of 2025 may have them as a column."""
    if ZERO_POINT_KEY in (objects.dtype.names or ()):
        return np.asarray(objects[ZERO_POINT_KEY], dtype=np.float64)
    return np.full(len(objects), header.get(ZERO_POINT_KEY, np.nan), dtype=np.float64)


def _trigger(stated: Array, owner: Array, mjd: Array, flags: Array, header: fits.Header) -> Array:
    """(n,) MJD of the first row flagged as the trigger, else what the header table states."""
    trigger = stated.copy()
    rows = np.flatnonzero(flags & int(header.get("PHOTFLAG_TRIGGER", TRIGGER_BITS)))[::-1]
    trigger[owner[rows]] = mjd[rows]  # backwards: the first one stays
    return trigger


def _unclaimed(first: Array, count: Array, mjd: Array) -> int:
    """How many rows that are no end-of-object marks no object points to."""
    claimed = np.zeros(len(mjd) + 1, dtype=np.int64)
    np.add.at(claimed, first, count > 0)
    np.add.at(claimed, first + count, -(count > 0).astype(np.int64))
    free = np.cumsum(claimed[:-1]) == 0
    return int(np.count_nonzero(mjd[free] != END_OF_OBJECT))


def _text(column: Array, file: Path) -> Array:
    """Strings of a byte column, without their padding.

    Raises:
        ValueError: they are not ASCII, as FITS demands.
    """
    try:
        return np.char.strip(np.char.decode(column, "ascii") if column.dtype.kind == "S" else column.astype(str))
    except UnicodeDecodeError as error:
        raise ValueError(f"{file} is damaged: a column of text holds {error.object!r}, which is not ASCII") from None


def _unpacked(name: str) -> str:
    return Path(name).name.casefold().removesuffix(".gz")


def _phot_of(head: Path) -> Path:
    """The PHOT file beside a HEAD file, packed or not."""
    match = HEAD_NAME.fullmatch(head.name)
    assert match is not None
    rest = head.name[match.end(1) :]
    plain = head.name[: match.end(1)] + ("_phot" if rest.startswith("_head") else "_PHOT") + rest[len("_HEAD") :]
    swapped = plain.removesuffix(".gz") if plain.endswith(".gz") else f"{plain}.gz"
    for name in (plain, swapped):
        if (head.parent / name).is_file():
            return head.parent / name
    raise FileNotFoundError(f"{head} has no {plain} beside it: every HEAD file needs its PHOT file")


def _refuse_twins(heads: Sequence[Path]) -> None:
    for one, other in pairwise(heads):
        if one.parent == other.parent and _unpacked(one.name) == _unpacked(other.name):
            raise ValueError(f"{one} and {other.name} are the same file, packed and unpacked: remove one of them")


def _warn_of_absent(heads: Sequence[Path]) -> None:
    """Say which files an SNANA list file names that are not there: an incomplete download is no error, but no secret."""
    present = {(head.parent, _unpacked(head.name)) for head in heads}
    for folder in sorted({head.parent for head in heads}):
        for listing in sorted(folder.glob("*.LIST")):
            names = list(_listed(listing))
            absent = [name for name in names if (folder, _unpacked(name)) not in present]
            if absent:
                message = "%s: %d of the %d files that %s lists are not there, e.g. %s"
                log.warning(message, folder.name, len(absent), len(names), listing.name, absent[0])


def _listed(listing: Path) -> Iterator[str]:
    for line in listing.read_text(encoding="utf-8", errors="replace").splitlines():
        if HEAD_NAME.fullmatch(Path(line.strip()).name):
            yield Path(line.strip()).name
