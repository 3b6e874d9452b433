"""One row per object with list columns: nested-pandas, LSDB and HATS catalogues, and this package's own files."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tlclass.lightcurves import arrow
from tlclass.lightcurves.arrow import readable
from tlclass.lightcurves.curves import ROW_NUMBERS, LightCurves, check, concatenate
from tlclass.lightcurves.passbands import Passbands
from tlclass.lightcurves.photometry import FACTS, without_prefix
from tlclass.quoting import listed
from tlclass.surveys.alerts.tables import holds_packets
from tlclass.surveys.saying import Together
from tlclass.surveys.tables import kinds
from tlclass.surveys.tables.columns import CONTEXT, Form, TableOptions, naming, refuse_absent, states_alone
from tlclass.surveys.tables.files import PARQUET, TABLES, existing, is_kind, schema_of, tables_below, tables_in
from tlclass.surveys.tables.objects import object_columns, objects_of, pack
from tlclass.surveys.tables.observations import joined, observation_columns, observations_of
from tlclass.surveys.tables.quantities import usable, without_row_numbers

HATS = ("hats.properties", "properties")  # what a catalogue says of itself; IVOA note on HATS, `dataproduct_type`


@dataclass(frozen=True)
class Nested(TableOptions):
    """Reads Parquet files with one row per object and the observations in list columns, without Python loops.

    The lists stand as columns of their own, or in a struct of lists, or a list of structs (nested-pandas).
    In a HATS catalogue (`Norder=*/Dir=*/Npix=*.parquet`) only the partitions are read. Columns are found
    by their names as in `Table`.

    Attributes:
        path: a file or a folder of files, with other objects in each.
        passbands: to resolve band names.
    """

    path: Path
    passbands: Passbands

    def __post_init__(self) -> None:
        """Refuse a column mapping for a name that is not ours."""
        self.form()

    @staticmethod
    def accepts(path: Path) -> list[Path]:
        """The file, or the files below a folder, with one row per object; of a HATS catalogue its partitions."""
        return [file for file in tables_at(path) if is_nested(file) and not is_packets(file)]

    def files(self) -> list[Path]:
        """The file, or the Parquet files below the folder.

        Raises:
            FileNotFoundError: there is none.
        """
        path = Path(self.path)
        if is_kind(path, (*PARQUET, ".arrow")):
            return [existing(path)]
        files = tables_below(path, PARQUET)
        return partitions(files) or files

    def pieces(self) -> list["Nested"]:
        """A reader per file."""
        return [replace(self, path=file) for file in self.files()]

    def read(self) -> LightCurves:
        """All light curves, file after file.

        Raises:
            FileNotFoundError: there is no file.
            ValueError: a file is damaged, a column is missing or ambiguous, a band is unknown, ids repeat.
        """
        files, together = self.files(), Together()
        with together:
            parts = [self.read_file(file) for file in files]
        together.log()
        _refuse_shared(files, parts)
        return concatenate(parts)

    def read_file(self, file: Path) -> LightCurves:
        """The light curves of one file."""
        if is_own(file):
            return check(arrow.read(file), str(file))
        table, unread = read_known(file, self.form())
        return nested_curves(table, self.form(), str(file), unread)

    def form(self) -> Form:
        """How columns become ours."""
        return Form.of(self)


def nested_curves(table: pa.Table, form: Form, origin: str, unread: Sequence[str] = ()) -> LightCurves:
    """Light curves of a table with one row per object and list columns.

    Args:
        table: plain columns and list columns, as in `Nested`.
        form: how its columns become ours.
        origin: what to call it in messages.
        unread: names of further columns that were left out.

    Raises:
        ValueError: a column is missing, ambiguous or holds what it should not, a band is unknown, ids repeat.
    """
    plain = plain_columns(table.schema)
    refuse_absent({origin: [*plain, *unread]}, form, origin)
    found = usable(object_columns([*plain, *unread], form, origin), table.schema, form, False)
    about = objects_of(kinds.plain(table.select(plain), origin), found, form, origin)
    observations = flattened(table, found["object_id"], plain, form, origin, unread)
    structs = _structs(table, plain, form, origin)
    found = without_row_numbers(observation_columns([*observations.column_names, *unread, *structs], form, origin))
    seen, dropped = observations_of(observations, found, form, origin)
    seen, repeated = joined([seen])
    return pack(about, seen, form, origin, {**dropped, **repeated})


def _structs(table: pa.Table, plain: Sequence[str], form: Form, origin: str) -> list[str]:
    """Names of the nested columns that observations come from, where they say that fluxes are of the science image."""
    nested = [name for name in table.column_names if name not in plain]
    chosen = _chosen(nested, form, origin)
    telling = FACTS["science_image"]["flux"]["tables"]
    return [name for name in nested if chosen in (None, name) and without_prefix(name) in telling]


def is_of_observations(role: str) -> bool:
    """Whether a plain column of this role says of all observations of an object what a list says of each."""
    return role in ("band", "flux_unit", "zero_point", "zero_point_system") or role.startswith(CONTEXT)


def plain_columns(schema: pa.Schema) -> list[str]:
    """The columns of a table that hold no lists."""
    return [name for name in schema.names if not holds_lists(schema.field(name).type)]


def _refuse_shared(files: Sequence[Path], parts: Sequence[LightCurves]) -> None:
    """Refuse an object that stands in two files."""
    home: dict[str, Path] = {}
    for file, part in zip(files, parts, strict=True):
        for name in part.object_id.tolist():
            if home.setdefault(name, file) is not file:
                raise ValueError(
                    f"object {name} is in both {home[name]} and {file}: an object must have one row in one file; "
                    "merge its rows, or move one file away"
                )


def is_nested(path: Path) -> bool:
    """Whether a file, or the first Parquet file below a folder, has one row per object with list columns."""
    if path.is_dir():
        files = tables_in(path, PARQUET)
        return bool(files) and is_nested(files[0])
    return path.suffix == ".arrow" or (
        is_kind(path, PARQUET) and any(holds_lists(kind) for kind in schema_of(path).types)
    )


def tables_at(path: Path) -> list[Path]:
    """The file, or the tables below a folder; of a HATS catalogue its partitions alone."""
    if path.is_file():
        return [path] if is_kind(path, (*TABLES, ".arrow")) else []
    found = tables_in(path)
    return partitions(found) or found


def is_packets(file: Path) -> bool:
    """Whether a Parquet file has a row per alert packet; see `tlclass.surveys.AlertPackets`."""
    return is_kind(file, PARQUET) and holds_packets(schema_of(file))


def is_own(file: Path) -> bool:
    """Whether this package wrote the file (`tlclass.simulate`, `tlclass.lightcurves.arrow.write`)."""
    return file.suffix == ".arrow" or b"passbands" in (schema_of(file).metadata or {})


def partitions(files: Sequence[Path]) -> list[Path]:
    """Those of these files that are partitions of a HATS catalogue; those of its margin repeat objects, and are left out."""
    found = [file for file in files if any(part.startswith("Npix=") for part in file.parts)]
    margins = {folder for folder in {file.parent for file in found} if _is_of_margin(folder)}
    return [file for file in found if file.parent not in margins]


def _is_of_margin(folder: Path) -> bool:
    """Whether the catalogue that partitions in this folder are of says that it is a margin."""
    places = (above / name for above in (folder, *folder.parents) for name in HATS)
    about = next((place for place in places if place.is_file()), None)
    return about is not None and bool(re.search(r"dataproduct_type\s*=\s*margin", about.read_text(errors="replace")))


def read_known(file: Path, form: Form) -> tuple[pa.Table, list[str]]:
    """The columns and parts of columns that have a name of ours, and the names of the others: catalogues are wide."""
    with readable(file, "a table"):
        parquet = arrow.parquet(file)
        known, unread = known_leaves(parquet, form)
        table = parquet.read(columns=known)
        table.validate(full=True)
    kinds.refuse_doubles(table.column_names, str(file))
    return table, unread


def known_leaves(parquet: pq.ParquetFile, form: Form) -> tuple[list[str], list[str]]:
    """Paths of the columns and parts of columns that have a name of ours, and the names of the others; `ROW_NUMBERS` are columns."""
    leaves = [parquet.schema.column(number).path for number in range(len(parquet.schema))]
    names = {path: _leaf_name(path) for path in leaves}
    known = [path for path, name in names.items() if form.knows(name) and not ("." in path and states_alone(name))]
    return known, [name for name in names.values() if not form.knows(name)]


def _leaf_name(path: str) -> str:
    """The name of a Parquet leaf without the levels that lists add to its path."""
    parts = path.split(".")
    while len(parts) > 1 and parts[-1] in ("list", "element", "item", "array", "bag", "array_element"):
        parts.pop()
    return parts[-1]


def flattened(
    table: pa.Table, ids: str, plain: Sequence[str], form: Form, origin: str, unread: Sequence[str] = ()
) -> pa.Table:
    """The observations, one row each, of objects (n,), with their ids and what plain columns say of all observations of an object.

    Args:
        table: of objects. ids: its column of ids. plain: its columns without lists. form: how columns become ours. origin: what to call it.
        unread: names of further columns that were left out.

    Raises:
        ValueError: there are no list columns, or the lists of an object differ in length.
    """
    nested = table.drop_columns(list(plain))
    lists = _lists(nested, _chosen(nested.column_names, form, origin))
    if not lists:
        raise ValueError(
            f"{origin}: no list column has the name of a time or a brightness; it has {listed([*nested.column_names, *unread]) or 'none'}: name yours with "
            f"{naming('mjd', 'band', 'flux', 'flux_err')} (mag and mag_err of magnitudes), or give a row for each observation"
        )
    wanted = {column for role, column in form.found(lists, origin).items() if role not in ROW_NUMBERS}
    if not wanted:
        raise ValueError(
            f"{origin}: no list column has a known name; there are {listed(lists)}: name yours with {naming('mjd')}"
        )
    lists = {name: values for name, values in lists.items() if name in wanted}
    lengths = {name: pc.fill_null(pc.list_value_length(values), 0) for name, values in lists.items()}
    first = next(iter(lengths))
    for name, length in lengths.items():
        if not length.equals(lengths[first].cast(length.type)):
            raise ValueError(f"{origin}: the lists {first} and {name} of an object differ in length")
    owner = pa.array(np.repeat(np.arange(len(table)), lengths[first].to_numpy(zero_copy_only=False)))
    flat = {name: pc.list_flatten(values) for name, values in lists.items() if name != ids}
    said = form.found(flat, origin)
    of_all = [name for role, name in form.found(plain, origin).items() if role not in said and is_of_observations(role)]
    whole = kinds.plain(table.select(list(dict.fromkeys([ids, *of_all]))), origin)
    return kinds.plain(
        pa.table({**flat, **{name: _single(whole[name]).take(owner) for name in whole.column_names}}), origin
    )


def _chosen(names: Sequence[str], form: Form, origin: str) -> str | None:
    """The nested column whose parts the mapping names, as in `mjd: diaSource.midpointMjdTai`; it alone is read then.

    Raises:
        ValueError: the mapping names parts of two.
    """
    given = [column.split(".", 1)[0] for column in form.columns.values() if column is not None and "." in column]
    chosen = [name for name in dict.fromkeys(given) if name in names]
    if len(chosen) > 1:
        raise ValueError(
            f"{origin}: columns of two nested columns, {' and '.join(chosen)}, are named: the rows of only one can be read"
        )
    return chosen[0] if chosen else None


def _lists(table: pa.Table, only: str | None = None) -> dict[str, pa.Array]:
    """Every list of numbers or text by its name; as `column.name` where several nested columns have one of that name.

    With `only`, those of this nested column alone, all as `column.name`.
    """
    if only is not None:
        return {f"{only}.{name}": array for name, array in _parts(only, _single(table[only])).items()}
    parts = [(column, _parts(column, _single(table[column]))) for column in table.column_names]
    count = Counter(name for _, part in parts for name in part)
    return {
        name if count[name] == 1 else f"{column}.{name}": array
        for column, part in parts
        for name, array in part.items()
    }


def _parts(column: str, values: pa.Array) -> dict[str, pa.Array]:
    kind = values.type
    if pa.types.is_struct(kind):
        names = [kind.field(number).name for number in range(kind.num_fields)]
        return {name: array for name, array in zip(names, values.flatten(), strict=True) if _is_list(array.type)}
    if not pa.types.is_struct(kind.value_type):
        return {column: values}
    inner = pc.list_flatten(values)
    lengths = pc.fill_null(pc.list_value_length(values), 0).to_numpy(zero_copy_only=False)
    offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))
    names = [inner.type.field(number).name for number in range(inner.type.num_fields)]
    return {
        name: pa.LargeListArray.from_arrays(offsets, array)
        for name, array in zip(names, inner.flatten(), strict=True)
        if not pa.types.is_nested(array.type)
    }


def _single(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def holds_lists(kind: pa.DataType) -> bool:
    """Whether a column of this type is of lists, or of structs with lists."""
    if pa.types.is_struct(kind):
        return any(_is_list(kind.field(number).type) for number in range(kind.num_fields))
    return _is_list(kind)
