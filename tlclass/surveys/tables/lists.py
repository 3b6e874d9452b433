"""List columns of tables with a row per object: which are read, and their observations, one row each."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tlclass.lightcurves import arrow
from tlclass.lightcurves.arrow import readable, single_chunk
from tlclass.lightcurves.curves import ROW_NUMBERS
from tlclass.quoting import listed
from tlclass.surveys.saying import say_unread_flags
from tlclass.surveys.tables import kinds
from tlclass.surveys.tables.columns import Form, naming, states_alone
from tlclass.surveys.tables.names import CONTEXT


def holds_lists(kind: pa.DataType) -> bool:
    """Whether a column of this type is of lists, or of structs with lists."""
    if pa.types.is_struct(kind):
        return any(_is_list(kind.field(number).type) for number in range(kind.num_fields))
    return _is_list(kind)


def plain_columns(schema: pa.Schema) -> list[str]:
    """The columns of a table that hold no lists."""
    return [name for name in schema.names if not holds_lists(schema.field(name).type)]


def read_known(file: Path, form: Form) -> tuple[pa.Table, list[str]]:
    """The columns and parts of columns that have a name of ours, and the names of the others: catalogues are wide."""
    with readable(file, "a table"):
        parquet = arrow.parquet(file)
        known, unread = known_leaves(parquet, form)
        table = parquet.read(columns=known)
        table.validate(full=True)
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
    lists = _lists(nested, chosen_column(nested.column_names, form, origin))
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
    say_unread_flags([*lists, *unread], wanted, origin)
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
        pa.table({**flat, **{name: single_chunk(whole[name]).take(owner) for name in whole.column_names}}), origin
    )


def is_of_observations(role: str) -> bool:
    """Whether a plain column of this role says of all observations of an object what a list says of each."""
    return role in ("band", "flux_unit", "zero_point", "zero_point_system") or role.startswith(CONTEXT)


def chosen_column(names: Sequence[str], form: Form, origin: str) -> str | None:
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
        return {f"{only}.{name}": array for name, array in _parts(only, single_chunk(table[only])).items()}
    parts = [(column, _parts(column, single_chunk(table[column]))) for column in table.column_names]
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


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))
