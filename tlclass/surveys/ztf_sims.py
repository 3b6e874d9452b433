"""The simulated ZTF light curves of the paper, as its authors pickle them: before and after their preprocessing."""

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tlclass.arrays import Array
from tlclass.lightcurves.curves import LightCurves, concatenate, from_columns
from tlclass.lightcurves.passbands import Passbands
from tlclass.lightcurves.photometry import DETECTION_BITS, TRIGGER_BITS, known_extinction, known_numbers
from tlclass.surveys.tables.table import Table
from tlclass.surveys.unpickle import PickledTable, load

log = logging.getLogger(__name__)

BEFORE, DAYS, FLUX = 30.0, 100.0, 500.0  # time is pickled as (t + 30 d) / 100 d, flux as FLUXCAL / 500
TOLERANCE = 0.0005  # um
CLASS_FILE = re.compile(r"lc_classnum_(.+?)(?:_\d+)?(?:_old)?\.pickle")
COLUMNS = ("passband", "time", "flux", "fluxErr", "photflag")
ENOUGH = 20  # light curves that show whether times were divided by 1 + z


@dataclass(frozen=True)
class ZTFSims:
    """Reads the pickled lists `x_data`, `target_cls`, `host_galaxy_info`, the input of the authors' networks.

    An element of `x_data` is an (N, 4) array: wavelength in um, (t + 30) / 100 with t in days since the
    trigger, FLUXCAL / 500 and its error likewise; a fifth column is taken for SNANA's PHOTFLAG. An element of
    `target_cls` is a class name or the name of its file, one of `host_galaxy_info` is redshift and Milky Way
    E(B-V). The pickles hold no ids and no dates: ids are `x_data/0`, ..., and time zero, the trigger, is MJD 0.
    Without PHOTFLAG every observation counts as detected; `selection.photometry.snr` says better.

    Attributes:
        folder: holds the three files (Gupta et al. 2025, RASTI 4, rzae054, make them).
        passbands: ZTF.
        wavelengths: passband -> the wavelength (um) that stands for it in `x_data`. The authors wrote those of
            g and r the wrong way round; they are only used to tell the passbands apart.
        light_curves, labels, hosts: file names.
        rest_frame: whether times were divided by 1 + z, as some of the authors' notebooks do; undone here.
    """

    folder: Path
    passbands: Passbands
    wavelengths: Mapping[str, float]
    light_curves: str = "x_data"
    labels: str = "target_cls"
    hosts: str = "host_galaxy_info"
    rest_frame: bool = False

    def files(self) -> list[Path]:
        """The three files.

        Raises:
            FileNotFoundError: one is missing.
        """
        names = (self.light_curves, self.labels, self.hosts)
        return [file for name in names for file in Table(Path(self.folder) / name, self.passbands).files()]

    def read(self) -> LightCurves:
        """All light curves that the pickles hold, 30 days before to 70 days after the trigger.

        Raises:
            FileNotFoundError: a file is missing.
            ValueError: a pickle is not one of plain arrays, the lists do not match, a wavelength is unknown, or
                times are not scaled as described above.
        """
        curves, labels, hosts = self._lists()
        owner = np.repeat(np.arange(len(curves)), [len(curve) for curve in curves])
        columns = np.concatenate(curves).T
        redshift, mwebv = hosts.T
        days = columns[1] * DAYS - BEFORE
        self._check_times(days, owner, redshift)
        observations = {
            "object_id": owner,
            "mjd": days * (1 + redshift)[owner] if self.rest_frame else days,
            "passband": self._codes(columns[0]),
            "flux": columns[2] * FLUX,
            "flux_err": columns[3] * FLUX,
        }
        if len(columns) == 5:
            observations["detected"] = self._detected(columns[4], days)
        objects = {
            "object_id": np.arange(len(curves)),
            "label": labels,
            "redshift": known_numbers(redshift),
            "mwebv": known_extinction(mwebv),
            "trigger_mjd": np.zeros(len(curves)),
        }
        packed = from_columns(objects, observations, self.passbands.names, str(self.folder))
        names = np.array([f"{self.light_curves}/{number}" for number in range(len(curves))])
        return replace(packed, object_id=names)

    def _lists(self) -> tuple[list[Array], Array, Array]:
        files = self.files()
        curves, labels, hosts = (_sequence(load(file), file) for file in files)
        if not len(curves) == len(labels) == len(hosts) > 0:
            raise ValueError(
                f"{self.folder}: {self.light_curves}, {self.labels} and {self.hosts} have {len(curves)}, {len(labels)} "
                f"and {len(hosts)} elements; they must come from the same run of the authors' preprocessing"
            )
        _check_arrays(curves, files[0])
        try:
            pairs = np.array(hosts, dtype=np.float64)
        except (TypeError, ValueError):
            raise ValueError(
                f"{files[2]} holds an element that is not two numbers: give redshift and E(B-V) for each light curve"
            ) from None
        if pairs.shape != (len(curves), 2):
            raise ValueError(
                f"{files[2]} holds elements of shape {pairs.shape[1:]}: give two numbers, redshift and E(B-V), for each light curve"
            )
        return list(curves), np.array([class_of(str(label)) for label in labels]), pairs

    def _codes(self, written: Array) -> Array:
        codes = np.full(len(written), -1)
        for name, wavelength in self.wavelengths.items():
            codes[np.abs(written - wavelength) < TOLERANCE] = self.passbands.codes(np.array([name]), "wavelengths")[0]
        if (codes < 0).any():
            values, counts = np.unique(written[codes < 0].round(4), return_counts=True)
            listed = ", ".join(f"{v:g} um ({n} observations)" for v, n in zip(values[:5], counts[:5], strict=True))
            raise ValueError(
                f"{self.folder}/{self.light_curves}: unknown wavelength {listed}; the card's reader.wavelengths has "
                f"{', '.join(f'{name}: {value:g}' for name, value in self.wavelengths.items())}: add the passband there"
            )
        by_writing = sorted(self.wavelengths, key=lambda name: self.wavelengths[name])
        if by_writing != sorted(self.wavelengths, key=lambda name: self.passbands.wavelengths([name])[0]):
            log.info(
                "%s: wavelengths stand for passbands in the wrong order, %s; read as those passbands, true wavelengths used",
                self.folder,
                ", ".join(f"{self.wavelengths[name]:g} um for {name}" for name in by_writing),
            )
        return codes.astype(np.uint8)

    def _check_times(self, days: Array, owner: Array, redshift: Array) -> None:
        """Refuse times that are not scaled, and those that contradict `rest_frame`."""
        origin, low, high = f"{self.folder}/{self.light_curves}", -BEFORE - 0.01, DAYS - BEFORE + 0.01
        if (days < low).any() or (days > high).any():
            raise ValueError(
                f"{origin}: time runs from {days.min() + BEFORE:g} to {days.max() + BEFORE:g} hundredths: (t + 30 d) / 100 d, "
                "between 0 and 1, is expected; light curves in days are read with the card ztf_sims_tables"
            )
        stretched = days * (1 + redshift)[owner]
        outside = (stretched < low) | (stretched > high)
        if self.rest_frame and outside.any():
            raise ValueError(
                f"{origin}: object {owner[outside][0]} was not cut 30 d before and 70 d after the trigger and then divided by "
                "1 + z, as reader.rest_frame=true says: set it to false"
            )
        if not self.rest_frame and not outside.any() and np.count_nonzero(redshift > 0.05) >= ENOUGH:
            raise ValueError(
                f"{origin}: every light curve lies within the 100 d about its trigger divided by 1 + z, so times are in the rest "
                "frame: set reader.rest_frame=true"
            )

    def _detected(self, flags: Array, days: Array) -> Array:
        flags = flags.astype(np.int64)
        late = np.abs(days[(flags & TRIGGER_BITS) > 0])
        if len(late) and late.max() > 0.01:
            raise ValueError(
                f"{self.folder}/{self.light_curves}: a trigger (PHOTFLAG {TRIGGER_BITS}) is {late.max():g} d from time 0"
            )
        return (flags & DETECTION_BITS) > 0


@dataclass(frozen=True)
class ZTFSimTables:
    """Reads the pickles `lc_classnum_CLASS.pickle`, one per class, that the authors' preprocessing starts from.

    Each is a dictionary id -> astropy Table (as RAPID writes them: Muthukrishna et al. 2019, PASP 131, 118002)
    with the columns `passband` (g, r), `time` (days since the trigger), `flux` and `fluxErr` (FLUXCAL),
    `photflag` (SNANA), and `redshift`, `mwebv` and perhaps `trigger_mjd`, `peakmjd` in its meta. Without
    `trigger_mjd` the trigger is at MJD 0. Classes are the file names' CLASS, ids `CLASS/id`. Extra column: `peak_mjd`.

    Attributes:
        folder: holds the files.
        passbands: ZTF.
    """

    folder: Path
    passbands: Passbands

    def files(self) -> list[Path]:
        """The files, sorted.

        Raises:
            FileNotFoundError: there is none.
        """
        files = sorted(file for file in Path(self.folder).glob("*.pickle") if CLASS_FILE.fullmatch(file.name))
        if not files:
            raise FileNotFoundError(
                f"no file lc_classnum_CLASS.pickle in {self.folder}: set paths.data or reader.folder to where they are"
            )
        return files

    def pieces(self) -> list["ClassPickle"]:
        """One reader per file."""
        return [ClassPickle(file, self.passbands) for file in self.files()]

    def read(self) -> LightCurves:
        """All light curves."""
        return concatenate([piece.read() for piece in self.pieces()])


@dataclass(frozen=True)
class ClassPickle:
    """Reads one file of `ZTFSimTables`.

    Attributes:
        file, passbands: see there.
    """

    file: Path
    passbands: Passbands

    @property
    def label(self) -> str:
        """The class all objects of the file have."""
        return class_of(self.file.name)

    def files(self) -> list[Path]:
        """The file."""
        return [self.file]

    def read(self) -> LightCurves:
        """Its light curves, as long as they are.

        Raises:
            ValueError: the pickle is not one of plain tables, or a column is missing.
        """
        tables = self._tables()
        owner = np.repeat(np.arange(len(tables)), [len(table.columns["time"]) for table in tables.values()])
        column = {name: np.concatenate([table.columns[name] for table in tables.values()]) for name in COLUMNS}
        trigger = np.nan_to_num(_meta(tables, "trigger_mjd"))
        flags = column["photflag"].astype(np.int64)
        observations = {
            "object_id": owner,
            "mjd": column["time"].astype(np.float64) + trigger[owner],
            "passband": self.passbands.codes(column["passband"].astype(str), str(self.file)),
            "flux": column["flux"],
            "flux_err": column["fluxErr"],
            "detected": (flags & DETECTION_BITS) > 0,
        }
        objects = {
            "object_id": np.arange(len(tables)),
            "label": np.full(len(tables), self.label),
            "redshift": _meta(tables, "redshift"),
            "mwebv": _meta(tables, "mwebv"),
            "trigger_mjd": trigger,
            "peak_mjd": _meta(tables, "peakmjd"),
        }
        packed = from_columns(objects, observations, self.passbands.names, str(self.file))
        return replace(packed, object_id=np.array([f"{self.label}/{name}" for name in tables]))

    def _tables(self) -> dict[str, PickledTable]:
        tables = load(self.file)
        if not isinstance(tables, dict) or not tables:
            raise ValueError(f"{self.file}: a dictionary id -> table is expected, it holds a {type(tables).__name__}")
        for name, table in tables.items():
            absent = [column for column in COLUMNS if column not in getattr(table, "columns", {})]
            if absent:
                raise ValueError(f"{self.file}: object {name} lacks the column(s) {', '.join(absent)}")
        return tables


def class_of(name: str) -> str:
    """The class in the name of one of the authors' files; any other name as it is.

    >>> class_of("lc_classnum_Ia-91bg_67.pickle"), class_of("lc_classnum_AGN_70_old.pickle"), class_of("SNIa")
    ('Ia-91bg', 'AGN', 'SNIa')
    """
    match = CLASS_FILE.fullmatch(name)
    return match[1] if match else name


def _meta(tables: Mapping[str, PickledTable], name: str) -> Array:
    values = [table.meta.get(name) for table in tables.values()]
    return known_numbers(np.array([np.nan if value is None else value for value in values], dtype=np.float64))


def _sequence(values: Any, file: Path) -> Sequence[Any]:
    if not isinstance(values, list | np.ndarray):
        raise ValueError(
            f"{file}: a list with one element per light curve is expected, it holds a {type(values).__name__}"
        )
    return values  # type: ignore[return-value]  # an array serves as one


def _check_arrays(curves: Sequence[Any], file: Path) -> None:
    width = curves[0].shape[-1:] if isinstance(curves[0], np.ndarray) else ()
    for number, curve in enumerate(curves):
        if (
            not isinstance(curve, np.ndarray)
            or curve.shape[1:] != width
            or width not in ((4,), (5,))
            or curve.dtype.kind not in "fiu"
        ):
            raise ValueError(
                f"{file}: element {number} is not an array of numbers of shape (N, 4) or (N, 5), alike in all elements: give "
                "wavelength, scaled time, scaled flux, scaled error and, if you like, photflag"
            )
