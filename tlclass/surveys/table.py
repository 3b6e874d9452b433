"""Any survey as two tables, or one: a row per object and a row per observation (long format)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from tlclass.lightcurves import OBJECT_NUMBERS, LightCurves, from_columns
from tlclass.passbands import Passbands

Array = npt.NDArray[Any]

OBSERVATION_COLUMNS = ("object_id", "mjd", "band", "flux", "flux_err", "detected")
COLUMNS = (*OBSERVATION_COLUMNS, "label", *OBJECT_NUMBERS)
FLUX_UNITS = {"fluxcal": 1.0, "ujy": 10 ** (0.4 * (27.5 - 23.9)), "njy": 10 ** (0.4 * (27.5 - 31.4))}


@dataclass(frozen=True)
class Table:
    """Reads `objects` and `observations`, each Parquet or CSV.

    Attributes:
        objects: file with one row per object, or None if the observations file has all that is known.
        observations: file with one row per observation.
        passbands: to resolve band names.
        columns: our name -> the file's column. Observations: object_id, mjd, band, flux, flux_err, detected;
            objects: object_id, label, mwebv, ra, dec, redshift, trigger_mjd. A name set to null is not read.
            object_id, mjd, band, flux and flux_err are required; the rest is read where present,
            and must be present where the mapping renames it.
        extra: further object columns to keep where present, for `where`, `subsets` and diagnostics.
        flux_unit: `fluxcal` (zero point 27.5 AB), `ujy`, `njy`, or a zero point (AB) as a number.
        time_offset: days to add to get MJD (-2400000.5 for Julian dates).
    """

    observations: Path
    passbands: Passbands
    objects: Path | None = None
    columns: Mapping[str, str | None] = field(default_factory=dict)
    extra: tuple[str, ...] = ()
    flux_unit: str | float = "fluxcal"
    time_offset: float = 0.0

    def __post_init__(self) -> None:
        """Refuse a column mapping for a name that is not ours."""
        strange = sorted(set(self.columns) - set(COLUMNS))
        if strange:
            raise ValueError(f"columns: {', '.join(strange)} is not a name of ours; those are {', '.join(COLUMNS)}")

    def files(self) -> list[Path]:
        """The one or two files.

        Raises:
            FileNotFoundError: one is missing.
        """
        files = [Path(file) for file in (self.objects, self.observations) if file is not None]
        for file in files:
            if not file.is_file():
                raise FileNotFoundError(_missing_file(file))
        return files

    def read(self) -> LightCurves:
        """See `tlclass.lightcurves.from_columns` for what is checked.

        Raises:
            FileNotFoundError: a file is missing.
            ValueError: a column is missing or holds text where numbers belong, a band is unknown, ids repeat.
        """
        self.files()
        observations = self.read_observations()
        return from_columns(self._objects(observations), observations, self.passbands.names, str(self.observations))

    def read_observations(self) -> dict[str, Array]:
        """The observations in canonical units, as `from_columns` wants them."""
        origin = str(self.observations)
        required = ("object_id", "mjd", "band", "flux", "flux_err")
        seen = self._columns(Path(self.observations), required, ("detected",))
        scale = flux_scale(self.flux_unit)
        observations = {
            "object_id": seen["object_id"],
            "mjd": numbers(seen["mjd"], self._name("mjd"), origin) + self.time_offset,
            "passband": self.passbands.codes(seen["band"], origin),
            "flux": numbers(seen["flux"], self._name("flux"), origin) * scale,
            "flux_err": numbers(seen["flux_err"], self._name("flux_err"), origin) * scale,
        }
        if "detected" in seen:
            observations["detected"] = numbers(seen["detected"], self._name("detected"), origin) > 0
        return observations

    def _objects(self, seen: Mapping[str, Array]) -> dict[str, Array]:
        if self.objects is None:
            return {"object_id": np.unique(seen["object_id"].astype(str))}
        origin = str(self.objects)
        columns = self._columns(Path(self.objects), ("object_id",), ("label", *OBJECT_NUMBERS, *self.extra))
        for name in OBJECT_NUMBERS:
            if name in columns:
                shift = self.time_offset if name == "trigger_mjd" else 0.0
                columns[name] = numbers(columns[name], self._name(name), origin) + shift
        return columns

    def _columns(self, path: Path, required: tuple[str, ...], optional: tuple[str, ...]) -> dict[str, Array]:
        table = read_table(path)
        renamed = {name for name in optional if self.columns.get(name)}
        wanted = {name: self._name(name) for name in (*required, *optional) if self._name(name) is not None}
        absent = [
            name for name in wanted if wanted[name] not in table.column_names and (name in required or name in renamed)
        ]
        if absent:
            raise ValueError(
                f"{path} lacks the column(s) {', '.join(f'{wanted[name]} ({name})' for name in absent)}; it has "
                f"{', '.join(table.column_names)}: name yours in the survey's card or with +target.reader.columns.{absent[0]}=COLUMN"
            )
        return {
            name: column_values(table[file_name])
            for name, file_name in wanted.items()
            if file_name in table.column_names
        }

    def _name(self, name: str) -> str:
        return self.columns.get(name, name)  # type: ignore[return-value]  # None is filtered by the callers


def read_table(path: Path) -> pa.Table:
    """A Parquet or CSV file as an Arrow table.

    Raises:
        ValueError: another suffix, or the file is damaged.
    """
    try:
        if path.suffix in (".parquet", ".pq"):
            return pq.read_table(path)
        if path.suffix == ".csv" or path.name.endswith(".csv.gz"):
            return pa.csv.read_csv(path, convert_options=pa.csv.ConvertOptions(strings_can_be_null=True))
    except (pa.ArrowInvalid, OSError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    raise ValueError(f"{path}: unknown kind of file '{path.suffix}': .parquet, .csv and .csv.gz are read")


def column_values(column: pa.ChunkedArray) -> Array:
    """Values as numpy: numbers as they are (missing = NaN), everything else as str."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_boolean(column.type):
        return np.asarray(column.fill_null(False).to_numpy())
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type) or pa.types.is_string_view(column.type):
        return np.asarray(column.fill_null("").to_numpy())
    return np.asarray(column.to_numpy())


def numbers(values: Array, name: str, origin: str) -> Array:
    """Values as float64.

    Raises:
        ValueError: a value is not a number; names the column and the first such row.
    """
    try:
        return (
            np.where(values == "", "nan", values).astype(np.float64)
            if values.dtype == object
            else values.astype(np.float64)
        )
    except ValueError:
        row = next(row for row, value in enumerate(values) if not _is_number(value))
        raise ValueError(f"{origin}: column {name}, row {row + 1}: '{values[row]}' is not a number") from None


def flux_scale(unit: str | float) -> float:
    """Factor from a flux unit, or an AB zero point, to zero point 27.5.

    Raises:
        ValueError: the unit is unknown.
    """
    if isinstance(unit, int | float):
        return float(10 ** (0.4 * (27.5 - unit)))
    if unit.lower() not in FLUX_UNITS:
        raise ValueError(
            f"flux unit '{unit}': choose one of {', '.join(FLUX_UNITS)}, or give the AB zero point as a number"
        )
    return float(FLUX_UNITS[unit.lower()])


def _is_number(value: object) -> bool:
    try:
        float(value)  # type: ignore[arg-type]
    except ValueError:
        return value == ""
    return True


def _missing_file(file: Path) -> str:
    folder = file.parent
    if not folder.is_dir():
        return f"no data folder {folder}: set paths.data=FOLDER to the folder that holds it"
    names = sorted(entry.name for entry in folder.iterdir())[:8]
    return f"no file {file.name} in {folder}; it holds {', '.join(names) or 'nothing'}: set paths.data or the reader's file names"
