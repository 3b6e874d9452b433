"""SNANA light curves as text: `.dat` files with a header of keys and a table of observations per object."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tlclass.lightcurves.curves import LightCurves, check, from_columns
from tlclass.lightcurves.passbands import Passbands
from tlclass.surveys.snana.photflag import DETECTION, SATURATED, TRIGGER, known

Array = npt.NDArray[Any]

HEADER_BYTES = 65536  # within which a file names its first object
BAND_NAMES = ("BAND", "FLT", "FILTER")
OBSERVED = {"mjd": "MJD", "flux": "FLUXCAL", "flux_err": "FLUXCALERR", "photflag": "PHOTFLAG"}
KEYS = {  # object column -> header keys, the first that is there counts
    "mwebv": ("MWEBV",),
    "ra": ("RA",),
    "dec": ("DECL", "DEC"),
    "redshift": ("REDSHIFT_HELIO", "REDSHIFT_FINAL", "REDSHIFT_CMB"),
    "peak_mjd": ("PEAKMJD", "SIM_PEAKMJD"),
}


@dataclass(frozen=True)
class SnanaText:
    """Reads a folder of SNANA text files, one or several objects in each (SNANA manual, "Text Format").

    Fluxes are FLUXCAL, zero point 27.5. PHOTFLAG 4096 is a detection, 2048 the trigger, 1024 a saturated
    observation (dropped, counted); without PHOTFLAG every observation counts as detected. -9, -99, -999, -9999
    and 999 in a header mean "unknown". Spectra in the files are passed over. Extra column: `peak_mjd`.

    Attributes:
        folder: holds the files, subfolders too; or one file.
        passbands: to resolve band names, which are taken as the files write them.
        label_key: the header key with the class, e.g. SNTYPE or SIM_TYPE_NAME, whose value is the raw label (empty
            where an object lacks it); None: the name of the file's folder.
        pattern: of the file names.
        prefix_ids: put the folder's name before the object ids, where SNIDs repeat from folder to folder.
    """

    folder: Path
    passbands: Passbands
    label_key: str | None = "SNTYPE"
    pattern: str = "**/*.dat"
    prefix_ids: bool = False

    @staticmethod
    def accepts(path: Path) -> list[Path]:
        """The `.dat` files at or below a path that name an object within their first lines."""
        files = [path] if path.is_file() else sorted(path.rglob("*"))
        return [file for file in files if file.suffix.casefold() == ".dat" and file.is_file() and _names_object(file)]

    def files(self) -> list[Path]:
        """The files, sorted.

        Raises:
            FileNotFoundError: there is none.
        """
        folder = Path(self.folder)
        files = [folder] if folder.is_file() else sorted(folder.glob(self.pattern))
        if not files:
            raise FileNotFoundError(
                f"no file {self.pattern} in {self.folder}: set paths.data, reader.folder or reader.pattern to where they are"
            )
        return files

    def read(self) -> LightCurves:
        """All objects.

        Raises:
            FileNotFoundError: there are no files.
            ValueError: a file has no object, lacks a column, has a row that is short or not of numbers; a band is
                unknown; a SNID stands twice; or no object has the header key `label_key`.
        """
        found = [item for file in self.files() for item in _objects(file)]
        if self.label_key is not None and not any(self.label_key in item.header for item in found):
            raise ValueError(
                f"{self.folder}: no object has the header key {self.label_key}; there are {', '.join(found[0].header)}: "
                "set reader.label_key to one of them, or to null for the folder's name"
            )
        owner = np.repeat(np.arange(len(found)), [len(item.mjd) for item in found])
        seen = {name: np.concatenate([getattr(item, name) for item in found]) for name in OBSERVED}
        flags = seen.pop("photflag").astype(np.int64)
        observations = {
            "object_id": owner,
            "passband": self.passbands.codes(np.concatenate([item.band for item in found]), str(self.folder)),
            "detected": (flags & DETECTION) > 0,
            **seen,
        }
        objects = {
            "object_id": np.arange(len(found)),
            "label": np.array([self._label(item) for item in found]),
            "trigger_mjd": _first(seen["mjd"], (flags & TRIGGER) > 0, owner, len(found)),
            **{name: _header_numbers(found, keys) for name, keys in KEYS.items()},
        }
        good = (flags & SATURATED) == 0
        saturated = int(np.count_nonzero(~good))
        packed = from_columns(
            objects,
            {name: column[good] for name, column in observations.items()},
            self.passbands.names,
            str(self.folder),
            {f"that are saturated (PHOTFLAG {SATURATED})": saturated} if saturated else None,
        )
        return check(replace(packed, object_id=np.array([self._id(item) for item in found])), str(self.folder))

    def _id(self, item: "_Object") -> str:
        name = item.header["SNID"]
        return f"{item.file.parent.name}/{name}" if self.prefix_ids else name

    def _label(self, item: "_Object") -> str:
        return item.file.parent.name if self.label_key is None else item.header.get(self.label_key, "")


def _names_object(file: Path) -> bool:
    with file.open("rb") as content:
        return b"SNID:" in content.read(HEADER_BYTES)


@dataclass(frozen=True)
class _Object:
    """One object of a file: header key -> first word of its value, and a column (n,) of each quantity read."""

    file: Path
    header: Mapping[str, str]
    band: Array
    mjd: Array
    flux: Array
    flux_err: Array
    photflag: Array


def _objects(file: Path) -> Iterator[_Object]:
    """The objects of a file in its order.

    Raises:
        ValueError: there is none, or a row has too few words, or something that is no number.
    """
    header: dict[str, str] = {}
    names: list[str] = []
    rows: list[list[str]] = []
    found = 0
    for number, line in enumerate(file.read_text(errors="replace").splitlines(), 1):
        words = line.partition("#")[0].split()
        if not words or words[0] == "SPEC:":
            continue
        if words[0] == "OBS:":
            if len(words) <= len(names) or not names:
                raise ValueError(
                    f"{file}, line {number}: {len(words) - 1} values where VARLIST names {len(names)} columns: correct the file"
                )
            rows.append(words)
            continue
        if rows or (words[0] == "SNID:" and "SNID" in header):
            yield _object(file, header, names, rows)
            header, rows, found = {}, [], found + 1
        if words[0] in ("VARLIST:", "VARNAMES:"):
            names = words[1:]
        for key, value, after in zip(words, words[1:], [*words[2:], ""], strict=False):
            if key.endswith(":"):  # a type in two words, as TNS writes it, is one value
                header.setdefault(key[:-1], f"{value} {after}" if value == "SN" and after else value)
    if rows or "SNID" in header:
        yield _object(file, header, names, rows)
    elif not found:
        raise ValueError(
            f"{file}: no key SNID, so it is no SNANA light curve: set reader.pattern so that it is left out"
        )


def _object(file: Path, header: Mapping[str, str], names: Sequence[str], rows: Sequence[Sequence[str]]) -> _Object:
    if "SNID" not in header:
        raise ValueError(f"{file}: observations without a key SNID before them: correct the file")
    name = header["SNID"]
    place = {column: index for index, column in enumerate(names, 1)}
    band = next((column for column in BAND_NAMES if column in place), BAND_NAMES[0])
    absent = [column for column in (band, "MJD", "FLUXCAL", "FLUXCALERR") if column not in place]
    if absent and rows:
        raise ValueError(
            f"{file}: object {name} lacks the column(s) {', '.join(absent)}; VARLIST has {', '.join(names)}"
        )
    columns = {
        ours: _numbers([row[place[theirs]] for row in rows], f"{file}: object {name}, {theirs}")
        if theirs in place
        else np.full(len(rows), float(DETECTION))
        for ours, theirs in OBSERVED.items()
    }
    return _Object(file, header, np.array([row[place[band]] for row in rows], dtype=object), **columns)


def _numbers(words: Sequence[str], origin: str) -> Array:
    try:
        return np.array(list(map(float, words)))
    except ValueError as error:
        raise ValueError(f"{origin}: {error}") from None


def _header_numbers(found: Sequence[_Object], keys: Sequence[str]) -> Array:
    """(n,) the first of the keys that is known, NaN where none is."""
    values = np.full(len(found), np.nan)
    for key in keys:
        words = [_numbers([item.header.get(key, "nan")], f"{item.file}: {key}") for item in found]
        values = np.where(np.isnan(values), known(np.concatenate(words)), values)
    return values


def _first(mjd: Array, mask: Array, owner: Array, count: int) -> Array:
    """(count,) earliest MJD of the masked observations per object, NaN if none."""
    first = np.full(count, np.inf)
    np.minimum.at(first, owner[mask], mjd[mask])
    return np.where(np.isfinite(first), first, np.nan)
