"""One row per object with list columns: nested-pandas, LSDB and HATS exports, and what this package writes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq

from tlclass.lightcurves import LightCurves, concatenate, from_arrow, from_columns
from tlclass.passbands import Passbands
from tlclass.surveys.columns import Columns
from tlclass.surveys.table import read_table

Array = npt.NDArray[Any]

HIDDEN = ("_", ".")  # _metadata, _common_metadata, .crc: not data


@dataclass(frozen=True)
class Nested:
    """Reads Parquet files whose rows are objects and whose observations are lists.

    The lists may be columns of their own, or fields of one struct of lists or list of structs (`lightcurve`); of
    several such structs the one with a time and a measurement is the light curve.

    Attributes:
        path: a file, or a folder of files at any depth (HATS: Norder=*/Dir=*/Npix=*.parquet).
        passbands: to resolve band names.
        columns, extra, flux_unit, time_offset: see `tlclass.surveys.columns.Columns`.
    """

    path: Path
    passbands: Passbands
    columns: Mapping[str, str | None] = field(default_factory=dict)
    extra: tuple[str, ...] = ()
    flux_unit: str | float | None = None
    time_offset: float = 0.0

    def __post_init__(self) -> None:
        """Refuse a column mapping for a name that is not ours."""
        self._rules()

    def files(self) -> list[Path]:
        """The data files, by path.

        Raises:
            FileNotFoundError: there is none.
        """
        path = Path(self.path)
        files = [path] if path.is_file() else sorted(path.rglob("*.parquet"))
        files = [file for file in files if not file.name.startswith(HIDDEN)]
        if not files:
            raise FileNotFoundError(
                f"no Parquet file at {path}: set paths.data or the reader's path to the file or folder"
            )
        return files

    def pieces(self) -> list["Nested"]:
        """One reader per file."""
        options = (self.passbands, self.columns, self.extra, self.flux_unit, self.time_offset)
        return [Nested(file, *options) for file in self.files()]

    def read(self) -> LightCurves:
        """All objects, file after file.

        Raises:
            ValueError: a file is damaged or has no list columns, a column is missing, a band is unknown.
        """
        parts = [self._read(file) for file in self.files()]
        return parts[0] if len(parts) == 1 else concatenate(parts)

    def _rules(self) -> Columns:
        return Columns(self.passbands, self.columns, tuple(self.extra), self.flux_unit, self.time_offset)

    def _read(self, file: Path) -> LightCurves:
        table, origin = read_table(file), str(file)
        if b"passbands" in (table.schema.metadata or {}):
            return from_arrow(table, origin)
        rules = self._rules()
        objects = rules.objects(table.select(_flat(table)), origin)
        lists, lengths = _light_curve(table, rules, origin)
        owner = np.repeat(np.arange(len(table)), lengths)
        lists = lists.append_column("object_id", pa.array(owner))
        rules = Columns(
            self.passbands, {**self.columns, "object_id": "object_id"}, (), self.flux_unit, self.time_offset
        )
        seen, dropped = rules.observations(lists, origin)
        seen["owner"] = seen.pop("object_id")
        return from_columns(objects, seen, self.passbands.names, origin, dropped)


def has_lists(path: Path) -> bool:
    """Whether a Parquet file has list columns, at the top or inside a struct.

    Raises:
        ValueError: the file is damaged.
    """
    try:
        return any(_is_nested(kind) for kind in pq.read_schema(path).types)
    except (pa.ArrowInvalid, OSError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _is_nested(kind: pa.DataType) -> bool:
    return _is_list(kind) or (pa.types.is_struct(kind) and any(_is_list(part.type) for part in kind))


def _flat(table: pa.Table) -> list[str]:
    return [name for name in table.column_names if not _is_nested(table.schema.field(name).type)]


def _light_curve(table: pa.Table, rules: Columns, origin: str) -> tuple[pa.Table, Array]:
    """The observations of all rows below each other, and (n,) how many each row has."""
    for columns in _candidates(table):
        if rules.has_observations(list(columns)):
            lengths = [_lengths(column) for column in columns.values()]
            uneven = [name for name, each in zip(columns, lengths, strict=True) if not np.array_equal(each, lengths[0])]
            if uneven:
                raise ValueError(
                    f"{origin}: the lists of {next(iter(columns))} and {', '.join(uneven)} differ in length"
                )
            return pa.table({name: column.flatten() for name, column in columns.items()}), lengths[0]
    names = [name for name in table.column_names if name not in _flat(table)]
    raise ValueError(
        f"{origin} has no lists with a time and a flux or magnitude; its list columns are {', '.join(names) or 'none'}: "
        "name yours with reader.columns, or read it as a table"
    )


def _candidates(table: pa.Table) -> list[dict[str, pa.Array]]:
    """Sets of list columns that may be the light curve: those at the top, then those of each struct."""
    top: dict[str, pa.Array] = {}
    inside = []
    for name in table.column_names:
        column = table[name].combine_chunks() if table[name].num_chunks != 1 else table[name].chunk(0)
        kind = column.type
        if pa.types.is_struct(kind) and _is_nested(kind):
            inside.append(
                {kind.field(k).name: column.field(k) for k in range(kind.num_fields) if _is_list(kind.field(k).type)}
            )
        elif _is_list(kind) and pa.types.is_struct(kind.value_type):
            struct = column.flatten()
            offsets = pa.array(np.concatenate([[0], np.cumsum(_lengths(column))]))
            fields = [kind.value_type.field(k).name for k in range(kind.value_type.num_fields)]
            inside.append(
                {field: pa.LargeListArray.from_arrays(offsets, struct.field(k)) for k, field in enumerate(fields)}
            )
        elif _is_list(kind):
            top[name] = column
    return [top, *inside] if top else inside


def _lengths(column: pa.Array) -> Array:
    return np.asarray(pa.compute.list_value_length(column).fill_null(0).to_numpy(zero_copy_only=False)).astype(np.int64)
