"""Convert the cells of a table to numbers, ids, text or booleans, whatever type the file has."""

import re
from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tlclass.arrays import Array
from tlclass.lightcurves.voids import blank, is_blank, says_yes
from tlclass.quoting import as_text, shortened

EXACT = 2**53  # whole numbers beyond it share a float of 64 bits
DATE = re.compile(r"\s*\d{4}([-/.])\d\d?\1\d\d?(\D|$)")


def column_values(column: pa.ChunkedArray) -> Array:
    """Values as numpy: numbers as they are (missing = NaN), everything else as str."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_boolean(column.type):
        return np.asarray(column.fill_null(False).to_numpy())
    if is_text(column.type):
        return np.asarray(column.fill_null("").to_numpy())
    return np.asarray(column.to_numpy())


def numbers(values: Array, name: str, origin: str) -> Array:
    """Values as float64; blanks are NaN.

    Raises:
        ValueError: a value is not a number; names the column and the first such row.
    """
    dates = f"{origin}: column {name} holds calendar dates: give Modified Julian Dates, or Julian dates as jd"
    if values.dtype.kind in "mM":
        raise ValueError(dates)
    try:
        try:
            return values.astype(np.float64)
        except ValueError:
            return np.where(blank(values), "nan", values).astype(np.float64)
    except ValueError:
        row = next(row for row, value in enumerate(values) if not _is_number(value))
        if DATE.match(str(values[row])):
            raise ValueError(f"{dates} ('{shortened(values[row])}' in row {row + 1})") from None
        point = ": write decimals with a point" if re.fullmatch(r"-?\d*,\d+", str(values[row]).strip()) else ""
        raise ValueError(
            f"{origin}: column {name}, row {row + 1}: '{shortened(values[row])}' is not a number{point}"
        ) from None


def identifiers(column: pa.ChunkedArray, name: str, origin: str) -> Array:
    """(n,) str objects, the ids in a column.

    Raises:
        ValueError: they are floats too large to be distinct, or text of such (1.7e+17, 170032915988086800.0).
    """
    if pa.types.is_floating(column.type):
        exact = {16: 2**11, 32: 2**24, 64: EXACT}[column.type.bit_width]
        largest = pc.max(pc.abs(column)).as_py() or 0
        if largest >= exact:
            raise ValueError(
                f"{origin}: column {name}: ids up to {largest:.0f} are stored as floating-point numbers, which beyond {exact} do not tell "
                "neighbours apart: store them as integers or as text"
            )
    names, codes = coded(column)
    rounded = next((given for given in names if re.fullmatch(r"\d(\.\d+)?[eE]\+\d+|-?\d+\.0", given)), None)
    if rounded:
        raise ValueError(
            f"{origin}: column {name}: ids like {rounded} are rounded floating-point numbers, so different ids may have become equal: "
            "write them as integers or as text"
        )
    return _spread(names, codes)


def text(column: pa.ChunkedArray) -> Array:
    """(n,) str objects, whole numbers without a fraction, missing values empty; equal texts share one object."""
    return _spread(*coded(column))


def _spread(names: Sequence[str], codes: Array) -> Array:
    return np.array([*names, ""], dtype=object)[codes] if len(codes) else np.empty(0, dtype=str)


def coded(column: pa.ChunkedArray) -> tuple[list[str], Array]:
    """Distinct values as text without blanks around it, and each row's index among them, -1 where missing."""
    if pa.types.is_null(column.type) or not len(column):
        return [], np.full(len(column), -1)
    if pa.types.is_floating(column.type):  # integers with missing values, as pandas writes them
        column = pc.if_else(pc.is_nan(column), None, column)
        whole = pc.all(pc.and_(pc.equal(column, pc.round(column)), pc.less(pc.abs(column), 2.0**62))).as_py()
        column = column.cast(pa.int64()) if whole is not False else column
    if not pa.types.is_dictionary(column.type):
        column = pc.dictionary_encode(column)
    column = column.unify_dictionaries().combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    names = [_without_point(value) for value in column.dictionary.to_pylist()]
    return names, np.asarray(column.indices.cast(pa.int64()).fill_null(-1).to_numpy(zero_copy_only=False))


def flags(
    column: pa.ChunkedArray, meaning: Callable[[str], bool | None], name: str, origin: str, missing: bool = False
) -> Array:
    """(n,) bool, `meaning` of each row's text, `missing` for empty cells.

    Raises:
        ValueError: `meaning` is None for a value.
    """
    names, codes = coded(column)
    said = [missing if is_blank(value) else meaning(value) for value in names]
    for value, flag in zip(names, said, strict=True):
        if flag is None:
            raise ValueError(
                f"{origin}: column {name}: '{shortened(value)}' is neither yes (t, true, 1) nor no (f, false, 0, -1): write one of them, "
                "or rename the column where it is about something else"
            )
    return np.array([*said, missing], dtype=bool)[codes]


def is_flag(value: str) -> bool | None:
    """What `says_yes` says, None also for numbers but 0 and 1: a column of limits may hold magnitudes, one of detections their number."""
    return says_yes(value) if not _is_number(value) or float(value) in (0, 1) else None


def is_text(kind: pa.DataType) -> bool:
    """Whether a column of this type is of text that is not coded."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _without_point(value: object) -> str:
    given = as_text(value).strip()
    whole = given.endswith(".0") and re.fullmatch(r"-?\d+", given[:-2])
    return given[:-2] if whole and abs(int(given[:-2])) < EXACT else given


def _is_number(value: object) -> bool:
    try:
        float(value)  # type: ignore[arg-type]
    except ValueError:
        return is_blank(str(value))
    return True
