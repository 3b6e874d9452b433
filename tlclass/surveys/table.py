"""Any survey as tables: a row per object and a row per observation (long format)."""

import gzip
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from tlclass.lightcurves import LightCurves, from_columns, sum_dropped
from tlclass.passbands import Passbands
from tlclass.surveys.columns import Columns, one_per_exposure

log = logging.getLogger(__name__)
Array = npt.NDArray[Any]

SUFFIXES = (".parquet", ".pq", ".csv", ".csv.gz")


@dataclass(frozen=True)
class Table:
    """Reads a table of observations and perhaps one of objects, each Parquet or CSV.

    Attributes:
        observations: file with one row per observation.
        passbands: to resolve band names.
        objects: file with one row per object, or None if the observations file has all that is known.
        columns, extra, flux_unit, time_offset: see `tlclass.surveys.columns.Columns`.
    """

    observations: Path
    passbands: Passbands
    objects: Path | None = None
    columns: Mapping[str, str | None] = field(default_factory=dict)
    extra: tuple[str, ...] = ()
    flux_unit: str | float | None = None
    time_offset: float = 0.0

    def __post_init__(self) -> None:
        """Refuse a column mapping for a name that is not ours."""
        self._rules()

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
        objects = [Path(self.objects)] if self.objects is not None else []
        return read_tables([Path(self.observations)], objects, self._rules(), str(self.observations))

    def _rules(self) -> Columns:
        return Columns(self.passbands, self.columns, tuple(self.extra), self.flux_unit, self.time_offset)


@dataclass(frozen=True)
class TableFolder:
    """Reads all tables of a folder, each of observations or of objects, told apart by their columns.

    Observations of several tables (say, of several brokers) are joined; of one exposure one row stays. Several
    tables of objects are looked up in order of their names. For a table without a trigger but with the time of the
    peak (the BTS explorer's `peakt`) the trigger is the first detection later than `days_before_peak` before the
    peak: alert streams hold unrelated early alerts.

    Attributes:
        folder: its Parquet and CSV files are read; folders in it are not.
        passbands: to resolve band names.
        columns, extra, flux_unit, time_offset: see `tlclass.surveys.columns.Columns`.
        days_before_peak: see above.
    """

    folder: Path
    passbands: Passbands
    columns: Mapping[str, str | None] = field(default_factory=dict)
    extra: tuple[str, ...] = ()
    flux_unit: str | float | None = None
    time_offset: float = 0.0
    days_before_peak: float = 100.0

    def __post_init__(self) -> None:
        """Refuse a column mapping for a name that is not ours."""
        self._rules()

    def files(self) -> list[Path]:
        """The tables, by name.

        Raises:
            FileNotFoundError: there is none.
        """
        folder = Path(self.folder)
        if not folder.is_dir():
            raise FileNotFoundError(_missing_file(folder / "objects.parquet"))
        files = sorted(path for path in folder.iterdir() if path.is_file() and path.name.endswith(SUFFIXES))
        if not files:
            raise FileNotFoundError(
                f"no table in {folder}: give a folder with .parquet or .csv files of observations and of objects"
            )
        return files

    def read(self) -> LightCurves:
        """All objects; see `Table.read` for what is raised.

        Raises:
            ValueError: also if no table holds observations.
        """
        rules = self._rules()
        roles: dict[bool, list[Path]] = {True: [], False: []}
        for path in self.files():
            roles[rules.has_observations(column_names(path))].append(path)
        if not roles[True]:
            names = ", ".join(path.name for path in roles[False])
            raise ValueError(
                f"{self.folder}: none of {names} has a time and a flux or magnitude column: "
                "add the table of observations, or name its columns with reader.columns"
            )
        log.info("%s: observations in %s; objects in %s", self.folder, *(_names(roles[role]) for role in (True, False)))
        curves = read_tables(roles[True], roles[False], rules, str(self.folder))
        return self._triggered(curves)

    def _rules(self) -> Columns:
        return Columns(self.passbands, self.columns, tuple(self.extra), self.flux_unit, self.time_offset)

    def _triggered(self, curves: LightCurves) -> LightCurves:
        peak = curves.extra.get("peak_mjd")
        if peak is None or np.isfinite(curves.trigger_mjd).any():
            return curves
        late = curves.detected & (curves.mjd > (peak - self.days_before_peak)[curves.owner])
        rows = np.flatnonzero(late)[::-1]
        trigger = np.full(len(curves), np.nan)
        trigger[curves.owner[rows]] = curves.mjd[rows]  # backwards: the first one stays
        return replace(curves, trigger_mjd=trigger)


def read_tables(observations: Sequence[Path], objects: Sequence[Path], rules: Columns, origin: str) -> LightCurves:
    """Light curves from tables of observations and tables of objects; without the latter every object seen.

    An object in two tables of objects takes each of its columns from the first table that knows it.
    """
    read = [rules.observations(read_table(path), str(path)) for path in observations]
    seen, dropped = read[0] if len(read) == 1 else _joined(read)
    if objects:
        known = _merged([rules.objects(read_table(path), str(path)) for path in objects])
    else:
        known = {"object_id": np.unique(seen["object_id"].astype(str))}
    return from_columns(known, seen, rules.passbands.names, origin, dropped)


def _joined(read: Sequence[tuple[dict[str, Array], dict[str, int]]]) -> tuple[dict[str, Array], dict[str, int]]:
    """Several tables of observations as one; the same exposure in two of them is kept once."""
    tables = [{"detected": np.ones(len(table["mjd"]), dtype=bool), **table} for table, _ in read]
    for table in tables:
        table["object_id"] = table["object_id"].astype(str)
    together = {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}
    kept, repeated = one_per_exposure(together)
    return kept, sum_dropped([*(counts for _, counts in read), repeated])


def _merged(tables: Sequence[dict[str, Array]]) -> dict[str, Array]:
    if len(tables) == 1:
        return tables[0]
    import pandas as pd

    frames = [pd.DataFrame(table).assign(object_id=table["object_id"].astype(str)) for table in tables]
    for frame in frames:
        frame["label"] = frame["label"].replace("", None) if "label" in frame else None
    whole = frames[0].set_index("object_id")
    for frame in frames[1:]:
        whole = whole.combine_first(frame.set_index("object_id"))
    whole["label"] = whole["label"].fillna("")
    return {"object_id": whole.index.to_numpy(), **{str(name): whole[name].to_numpy() for name in whole}}


def column_names(path: Path) -> list[str]:
    """Of a Parquet or CSV file, without reading it.

    Raises:
        ValueError: the file is damaged.
    """
    try:
        if path.suffix in (".parquet", ".pq"):
            return list(pq.read_schema(path).names)
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            return list(pa.csv.open_csv(pa.BufferReader(file.readline())).schema.names)
    except (pa.ArrowInvalid, OSError, EOFError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error


def read_table(path: Path) -> pa.Table:
    """A Parquet or CSV file as an Arrow table.

    Raises:
        ValueError: another suffix, or the file is damaged.
    """
    try:
        if path.suffix in (".parquet", ".pq"):
            return pq.read_table(path, partitioning=None)
        if path.suffix == ".csv" or path.name.endswith(".csv.gz"):
            return pa.csv.read_csv(path, convert_options=pa.csv.ConvertOptions(strings_can_be_null=True))
    except (pa.ArrowInvalid, OSError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    raise ValueError(f"{path}: unknown kind of file '{path.suffix}': .parquet, .csv and .csv.gz are read")


def _names(paths: Sequence[Path]) -> str:
    return ", ".join(path.name for path in paths) or "none"


def _missing_file(file: Path) -> str:
    folder = file.parent
    if not folder.is_dir():
        return f"no data folder {folder}: set paths.data=FOLDER to the folder that holds it"
    names = sorted(entry.name for entry in folder.iterdir())[:8]
    return f"no file {file.name} in {folder}; it holds {', '.join(names) or 'nothing'}: set paths.data or the reader's file names"
