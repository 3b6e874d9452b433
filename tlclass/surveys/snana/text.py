"""SNANA light curves as text: `.dat` or `.txt` files, packed with gzip or not, with a header of keys and a table of observations per object."""

import gzip
import logging
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

import numpy as np
import pyarrow as pa

from tlclass.arrays import Array
from tlclass.lightcurves.curves import NO_TIME, SIMULATED, LightCurves, check, from_columns
from tlclass.lightcurves.passbands import Passbands
from tlclass.lightcurves.photometry import (
    DETECTION_BITS,
    SNR,
    TRIGGER_BITS,
    detected_by_snr,
    is_rounded,
    known_numbers,
    known_times,
    once_per_exposure,
    refuse_no_dates,
)
from tlclass.lightcurves.voids import NAMES, columns_read, integer, is_blank, voided
from tlclass.quoting import listed, sentence
from tlclass.surveys.saying import say_no_bits, say_unread_flags
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

DAT, TXT, PACKED = ".dat", ".txt", ".gz"
KEYS_OF_TEXT = (re.compile(rb"^\s*SNID:\s*\S", re.MULTILINE), re.compile(rb"^\s*(VARLIST|VARNAMES|OBS):", re.MULTILINE))
HEADER_BYTES = 65536  # within which a file names its first object
# among the observations: spectra; marks of the Supernova Photometric Classification Challenge and of SNANA's simulations
PASSED_OVER = ("SPEC:", "DETECTION:", "TRIGGER:")
BAND_NAMES = ("BAND", "FLT", "FILTER")
OBSERVED = {"mjd": "MJD", "flux": "FLUXCAL", "flux_err": "FLUXCALERR"}
UNKNOWN = ("+-", "na", "n/a", "unknown")  # written where the value of a header key is not known
OBJECT_KEYS = {**KEYS, "ra": ("RA",), "dec": ("DECL", "DEC")}


@dataclass(frozen=True)
class SnanaText:
    """Reads a folder of SNANA text files, one or several objects in each (SNANA manual, "Text Format").

    Fluxes are FLUXCAL, at zero point 27.5 where the header does not state ZP_FLUXCAL. PHOTFLAG 4096 is a detection, 2048 the trigger, which
    MJD_TRIGGER states where no observation has the flag; without PHOTFLAG observations
    of `detection_snr` or more count as detected. Flags among the columns void rows as in every reader
    (`tlclass.lightcurves.voids`). -9 and the like, and nothing, mean "unknown" in a header. Spectra in the files are passed
    over. Extra column: `peak_mjd`.

    Attributes:
        folder: holds the files, subfolders too; or one file.
        passbands: to resolve band names, which are taken as the files write them.
        label_key: the header key with the class, e.g. SNTYPE or SIM_TYPE_NAME, whose value is the raw label (empty
            where an object lacks it); None: the name of the file's folder.
        pattern: of the file names; with `.dat`, files named `.txt` and packed ones are read too.
        prefix_ids: put the folder's name before the object ids, where SNIDs repeat from folder to folder.
        unknown_passbands, detection_snr: see `tlclass.surveys.Table`.
        flux_unit: of FLUXCAL, see `SnanaFits`.
    """

    folder: Path
    passbands: Passbands
    label_key: str | None = "SNTYPE"
    pattern: str = "**/*.dat"
    prefix_ids: bool = False
    unknown_passbands: str = "error"
    detection_snr: float = SNR
    flux_unit: str | float | None = None

    @staticmethod
    def accepts(path: Path) -> list[Path]:
        """The `.dat` and `.txt` files at or below a path that name an object within their first lines."""
        files = [path] if path.is_file() else sorted(path.rglob("*"))
        return [file for file in files if _ending(file) in (DAT, TXT) and file.is_file() and _names_object(file)]

    def files(self) -> list[Path]:
        """The files, sorted.

        Raises:
            FileNotFoundError: there is none.
        """
        folder = Path(self.folder)
        files = [folder] if folder.is_file() else sorted(_files_like(self.pattern, folder))
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
                f"{self.folder}: no object has the header key {self.label_key}; there are {listed(found[0].header)}: "
                "set reader.label_key to one of them, or to null for the folder's name"
            )
        owner = np.repeat(np.arange(len(found)), [len(item.mjd) for item in found])
        seen = {name: np.concatenate([getattr(item, name) for item in found]) for name in OBSERVED}
        seen["mjd"] = known_times(seen["mjd"])
        names = dict.fromkeys(name for item in found for name in item.names)
        say_unread_flags(names, columns_read(names), str(self.folder))
        void, dropped = voided(_text_columns(found, "flags"), len(owner))
        refuse_no_dates(seen["mjd"][~void], str(self.folder))
        undated = np.isnan(seen["mjd"]) & ~void
        good = ~(void | undated)
        band, known, unknown = self._passbands(found, good)
        dropped |= {NO_TIME: int(np.count_nonzero(undated))} if undated.any() else {}
        dropped |= unknown
        good &= known
        flags = np.concatenate([item.photflag for item in found])
        factor, taken = self._flux_factors(found)
        survey = np.unique([item.header.get("SURVEY", "") for item in found], return_inverse=True)[1][owner]
        observations = {
            "object_id": owner,
            "passband": band,
            "detected": self._detected(flags, seen, survey, good),
            **seen,
            "flux": known_numbers(seen["flux"], "fluxes") * factor[owner],
            "flux_err": seen["flux_err"] * factor[owner],
        }
        observations = {name: column[good] for name, column in observations.items()}
        foreign = np.array([is_foreign(item.header.get("SURVEY", ""), self.passbands) for item in found])
        doubtful = (taken & ~foreign)[observations["object_id"]]
        judge_unit(observations, doubtful, self.passbands.names, str(self.folder))
        series = observations["object_id"] * 256 + observations["passband"]
        once, repeated = once_per_exposure(observations, series, is_rounded(observations["mjd"]))
        packed = from_columns(
            self._objects(found, owner, seen["mjd"], flags),
            {name: column[once] for name, column in observations.items()},
            self.passbands.names,
            str(self.folder),
            dropped | repeated,
        )
        return check(replace(packed, object_id=np.array([self._id(item) for item in found])), str(self.folder))

    def _objects(self, found: Sequence["_Object"], owner: Array, mjd: Array, flags: Array) -> dict[str, Array]:
        """The object columns; the trigger is the first row that PHOTFLAG calls so."""
        triggered = (np.maximum(flags, 0) & TRIGGER_BITS) > 0
        stated = {name: _header_numbers(found, name, *keys) for name, keys in OBJECT_KEYS.items()}
        first = _first(mjd, triggered, owner, len(found))
        return {
            "object_id": np.arange(len(found)),
            "label": np.array([self._label(item) for item in found]),
            **stated,
            **simulated(_header_numbers(found, SIMULATED, FAKE_KEY)),
            "trigger_mjd": np.where(np.isnan(first), stated["trigger_mjd"], first),
        }

    def _flux_factors(self, found: Sequence["_Object"]) -> tuple[Array, Array]:
        """(n,) factors of the fluxes of the objects, and (n,) bool where nothing states them."""
        for item in found:
            refuse_corrected(integer(item.header.get(CORRECTED_KEY, "")) or 0, str(item.file))
        return flux_factors(_header_numbers(found, "zero_point", ZERO_POINT_KEY), self.flux_unit, str(self.folder))

    def _passbands(self, found: Sequence["_Object"], good: Array) -> tuple[Array, Array, dict[str, int]]:
        """Codes of the observations' passbands, which are known, and the others by reason; of the good ones alone, as end marks have none."""
        taken = [(item.header.get("SURVEY", ""), item.header.get("FILTERS", "")) for item in found]
        surveys = list(dict.fromkeys(taken))
        raw = np.concatenate([item.band for item in found])
        of = np.repeat([surveys.index(each) for each in taken], [len(item.band) for item in found])
        names = raw.astype(object)
        for number, (survey, filters) in enumerate(surveys):
            names[of == number] = passband_names(raw[of == number], survey, filters, self.passbands, str(self.folder))
        context = {
            name: pa.chunked_array([words.astype(str)]) for name, words in _text_columns(found, "context").items()
        }
        names = marked(names, strangers(context, self.passbands))
        codes, known = np.zeros(len(names), dtype=np.uint8), np.zeros(len(names), dtype=bool)
        found_codes, found_known, unknown = self.passbands.resolved(
            names[good], str(self.folder), self.unknown_passbands
        )
        codes[good], known[good] = found_codes, found_known
        return codes, known, unknown

    def _detected(self, flags: Array, seen: Mapping[str, Array], survey: Array, good: Array) -> Array:
        """(n,) bool: as PHOTFLAG says, else by signal to noise, also in a survey where it calls no row a detection.

        Args:
            flags, seen: of the rows (n,). survey: (n,) codes of their surveys. good: (n,) bool, which of them are read.
        """
        unflagged, told = flags < 0, (np.maximum(flags, 0) & DETECTION_BITS) > 0
        measured = detected_by_snr(seen["flux"], seen["flux_err"], self.detection_snr)
        silent = ~unflagged & ~np.isin(survey, survey[told & good])
        if unflagged.any():
            message = "%s: no PHOTFLAG in %d of %d rows: the %d of them with flux / error of %g or more count as detections (detection_snr)"
            counts = unflagged.sum(), len(flags), (measured & unflagged).sum()
            log.info(message, self.folder, *counts, self.detection_snr)
        shown = silent & good
        say_no_bits(seen["flux"][shown], seen["flux_err"][shown], self.detection_snr, str(self.folder))
        return np.where(unflagged | silent, measured, told)

    def _id(self, item: "_Object") -> str:
        name = item.header["SNID"]
        return f"{item.file.parent.name}/{name}" if self.prefix_ids else name

    def _label(self, item: "_Object") -> str:
        return item.file.parent.name if self.label_key is None else item.header.get(self.label_key, "")


def _files_like(pattern: str, folder: Path) -> set[Path]:
    """The files of this pattern; where it ends with `.dat` also those with `.DAT`, and those with `.txt` that name an object; packed ones too."""
    stem = pattern.removesuffix(DAT)
    if stem == pattern:
        return set(folder.glob(pattern))
    ends = [end + packed for end in (DAT, DAT.upper(), TXT, TXT.upper()) for packed in ("", PACKED)]
    found = {file for end in ends for file in folder.glob(stem + end)}
    return {file for file in found if _ending(file) == DAT or _names_object(file)}


def _names_object(file: Path) -> bool:
    """Whether a file is of SNANA; notes named `.txt` may speak of its keys."""
    try:
        with _opened(file) as content:
            head = content.read(HEADER_BYTES)
    except (gzip.BadGzipFile, EOFError, zlib.error):
        return False
    return b"SNID:" in head and (_ending(file) != TXT or all(key.search(head) for key in KEYS_OF_TEXT))


def _ending(file: Path) -> str:
    """`.dat` of `a.DAT.gz`."""
    return Path(file.name.casefold().removesuffix(PACKED)).suffix


def _opened(file: Path) -> IO[bytes] | gzip.GzipFile:
    if file.suffix.casefold() == PACKED:
        return gzip.open(file)
    return file.open("rb")


def _content(file: Path) -> str:
    try:
        with _opened(file) as content:
            return content.read().decode("utf-8", errors="replace")
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(
            f"{file} cannot be read: it is truncated or damaged ({sentence(error)}); get it again"
        ) from None


@dataclass(frozen=True)
class _Object:
    """One object of a file.

    Attributes:
        file: it stands in.
        header: key -> first word of its value; key and `+-` -> its error.
        names: of its columns.
        band, mjd, flux, flux_err: (n,) as written.
        photflag: (n,) int64, -1 where the file has none.
        flags: name of a column -> (n,) text, of those that may void a row. context: the same of those that say who took it.
    """

    file: Path
    header: Mapping[str, str]
    names: Sequence[str]
    band: Array
    mjd: Array
    flux: Array
    flux_err: Array
    photflag: Array
    flags: Mapping[str, Array]
    context: Mapping[str, Array]


def _objects(file: Path) -> Iterator[_Object]:
    """The objects of a file in its order.

    Raises:
        ValueError: there is none, or a row has too few words, or something that is no number.
    """
    found = _Lines(file)
    for number, line in enumerate(_content(file).splitlines(), 1):
        words = line.partition("#")[0].split()
        if not words or words[0] in PASSED_OVER:
            continue
        if words[0] == "OBS:":
            found.add_row(words, number)
            continue
        if found.rows or (words[0] == "SNID:" and "SNID" in found.header):
            yield found.finished()
        found.add_keys(words)
    if found.rows or "SNID" in found.header:
        yield found.finished()
    elif not found.objects:
        raise ValueError(
            f"{file}: no key SNID, so it is not an SNANA light curve: set reader.pattern so that it is left out"
        )


class _Lines:
    """The lines of one object, as they are read."""

    def __init__(self, file: Path) -> None:
        """Nothing is read yet."""
        self.file, self.objects = file, 0
        self.header: dict[str, str] = {}
        self.names: list[str] = []
        self.rows: list[list[str]] = []

    def add_row(self, words: list[str], number: int) -> None:
        """A line of observation; raises ValueError if it has fewer values than the list of columns has names."""
        if len(words) <= len(self.names) or not self.names:
            raise ValueError(
                f"{self.file}, line {number}: {len(words) - 1} values where VARLIST names {len(self.names)} columns: correct the file"
            )
        self.rows.append(words)

    def add_keys(self, words: Sequence[str]) -> None:
        """A line of the header: one key and its value, or several."""
        if words[0] in ("VARLIST:", "VARNAMES:"):
            self.names = list(words[1:])
        for key, value, after, error in zip(
            words, [*words[1:], ""], [*words[2:], "", ""], [*words[3:], "", "", ""], strict=False
        ):
            if key.endswith(":"):  # a type in two words, as TNS writes it, is one value
                given = "" if value.endswith(":") else value
                self.header.setdefault(key[:-1], f"{given} {after}" if given == "SN" and after else given)
                if after == "+-":
                    self.header.setdefault(key[:-1] + after, error)

    def finished(self) -> _Object:
        """The object; what follows belongs to another."""
        item = _object(self.file, self.header, self.names, self.rows)
        self.header, self.rows, self.objects = {}, [], self.objects + 1
        return item


def _object(file: Path, header: Mapping[str, str], names: Sequence[str], rows: Sequence[Sequence[str]]) -> _Object:
    if not header.get("SNID"):
        raise ValueError(f"{file}: observations come before the key SNID: correct the file")
    origin = f"{file}: object {header['SNID']}"
    place = {column: index for index, column in enumerate(names, 1)}
    band = next((column for column in BAND_NAMES if column in place), BAND_NAMES[0])
    absent = [column for column in (band, *OBSERVED.values()) if column not in place]
    if absent and rows:
        raise ValueError(f"{origin} lacks the column(s) {', '.join(absent)}; VARLIST has {listed(names)}")

    def words(column: str) -> list[str]:
        return [row[place[column]] for row in rows]

    columns = {
        ours: _numbers(words(theirs) if rows else [], f"{origin}, {theirs}") for ours, theirs in OBSERVED.items()
    }
    photflag = _numbers(words("PHOTFLAG"), f"{origin}, PHOTFLAG") if "PHOTFLAG" in place else np.full(len(rows), -1.0)
    flags, context = (
        {name: np.array(words(name), dtype=object) for name in names if name.casefold() in wanted}
        for wanted in (NAMES, CONTEXT_NAMES)
    )
    bands = np.array(words(band) if rows else [], dtype=object)
    return _Object(
        file, header, names, bands, **columns, photflag=photflag.astype(np.int64), flags=flags, context=context
    )


def _text_columns(found: Sequence[_Object], kind: str) -> dict[str, Array]:
    """Every column of flags, or of context, over all objects, empty where an object's file has none."""
    names = dict.fromkeys(name for item in found for name in getattr(item, kind))
    return {
        name: np.concatenate(
            [getattr(item, kind).get(name, np.full(len(item.mjd), "", dtype=object)) for item in found]
        )
        for name in names
    }


def _numbers(words: Sequence[str], origin: str) -> Array:
    try:
        return np.array(list(map(float, words)))
    except ValueError as error:
        raise ValueError(f"{origin}: {error}") from None


def _header_numbers(found: Sequence[_Object], ours: str, *keys: str) -> Array:
    """(n,) what these keys say of the objects, NaN where none of them is known."""
    words = (
        [_numbers([_known_word(item.header.get(key, ""))], f"{item.file}: {key}") for item in found] for key in keys
    )
    return first_known(ours, map(np.concatenate, words), len(found))


def _known_word(word: str) -> str:
    return "nan" if is_blank(word) or word.casefold() in UNKNOWN else word


def _first(mjd: Array, mask: Array, owner: Array, count: int) -> Array:
    """(count,) earliest MJD of the masked observations per object, NaN if none."""
    first = np.full(count, np.inf)
    np.minimum.at(first, owner[mask], mjd[mask])
    return np.where(np.isfinite(first), first, np.nan)
