"""Check the types of columns: numbers and text are converted, other types are refused with the column's name."""

from collections import Counter
from collections.abc import Callable, Collection, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from tlclass.lightcurves.curves import LONGEST_TEXT
from tlclass.quoting import listed, shortened

MASK = ".mask"  # behind the name of a column: where astropy writes to Parquet which of its cells are masked
TOO_LONG = "are longer than {most} characters, e.g. {example}: an id, class or band is expected; name its column, or shorten them"


def plain(table: pa.Table, origin: str) -> pa.Table:
    """The table with columns of numbers, text, truth or dates, as the rest of the package reads them; masked cells are missing.

    Raises:
        ValueError: a column is of another kind, or holds texts that are too long; names the file and the column.
    """
    for place, name in enumerate(table.column_names):
        column = _plain(table.column(place), f"{origin}: column {shortened(name)}")
        if name + MASK in table.column_names and pa.types.is_boolean(table[name + MASK].type):
            column = pc.if_else(table[name + MASK], None, column)
        if column is not table.column(place):
            table = table.set_column(place, name, column)
    return table


def refuse_doubles(names: Sequence[str], origin: str) -> None:
    """Raise ValueError if two columns have one name: nothing says which is meant."""
    doubled = [name for name, count in Counter(names).items() if count > 1]
    if doubled:
        raise ValueError(f"{origin}: the column(s) {listed(doubled)} appear twice: rename or remove one of each")


def refuse_two_units(fluxes: Collection[str], errors: Collection[str], origin: str) -> None:
    """Raise ValueError if the units that are stated of the fluxes and of their errors differ."""
    if fluxes and errors and set(fluxes) != set(errors):
        one, other = (listed(unit.replace("jy", "Jy") for unit in sorted(units)) for units in (fluxes, errors))
        raise ValueError(f"{origin}: its fluxes are in {one} and their errors in {other}: convert them to one unit")


def _plain(column: pa.ChunkedArray, what: str) -> pa.ChunkedArray:
    kind = column.type
    wanted = next((cast(kind) for has, cast in CASTS if has(kind)), None)
    if wanted is None:
        raise ValueError(f"{what} is of type {shortened(kind)}: numbers or text are expected, one per row")
    try:
        if pa.types.is_dictionary(kind) and _is_other_text(kind.value_type):
            column = pa.chunked_array([_with_text(chunk) for chunk in column.chunks], wanted)
        column = column if column.type.equals(wanted) else pc.cast(column, wanted)
    except pa.ArrowException as error:
        raise ValueError(
            f"{what} is of type {shortened(kind)} and cannot be read as {wanted}: {shortened(error)}"
        ) from error
    _refuse_long(column, what)
    return column


def _with_text(chunk: pa.DictionaryArray) -> pa.DictionaryArray:
    """The same with values as plain strings: Arrow cannot decode all kinds of text (polars's Categorical)."""
    return pa.DictionaryArray.from_arrays(chunk.indices, chunk.dictionary.cast(pa.string()))


def _refuse_long(column: pa.ChunkedArray, what: str) -> None:
    values = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if not _is_text(values):
        return
    chunks = [chunk.dictionary if pa.types.is_dictionary(column.type) else chunk for chunk in column.chunks]
    for chunk in chunks:
        if (pc.max(pc.binary_length(chunk)).as_py() or 0) > LONGEST_TEXT:
            long = chunk.filter(pc.greater(pc.utf8_length(chunk), LONGEST_TEXT))
            if len(long):
                said = TOO_LONG.format(most=LONGEST_TEXT, example=shortened(long[0].as_py()))
                raise ValueError(f"{what}: {len(long)} value(s) {said}")


def _as_is(kind: pa.DataType) -> pa.DataType:
    return kind


def _of_values(kind: pa.DataType) -> pa.DataType | None:
    """The type of a dictionary's values: text stays coded, all else is laid out."""
    if _is_text(kind.value_type):
        return kind
    if _is_other_text(kind.value_type):
        return pa.dictionary(kind.index_type, pa.string())
    return next((cast(kind.value_type) for has, cast in CASTS if has(kind.value_type)), None)


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _is_other_text(kind: pa.DataType) -> bool:
    named = (pa.types.is_string_view, pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view)
    return any(test(kind) for test in named) or bool(pa.types.is_fixed_size_binary(kind))


# what a type is, and what it is read as; None is refused
CASTS: tuple[tuple[Callable[[pa.DataType], bool], Callable[[pa.DataType], pa.DataType | None]], ...] = (
    (pa.types.is_null, _as_is),
    (pa.types.is_boolean, _as_is),
    (pa.types.is_integer, _as_is),
    (pa.types.is_float16, lambda _: pa.float32()),
    (pa.types.is_floating, _as_is),
    (pa.types.is_decimal, lambda _: pa.float64()),
    (pa.types.is_date, _as_is),
    (pa.types.is_timestamp, _as_is),
    (_is_text, _as_is),
    (_is_other_text, lambda _: pa.string()),
    (pa.types.is_dictionary, _of_values),
)
