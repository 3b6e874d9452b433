"""Numbers of objects, from the cells of a table of objects, or of their observations."""

import logging
from collections.abc import Collection, Mapping

import numpy as np
import pandas as pd
import pyarrow as pa

from tlclass.arrays import Array
from tlclass.lightcurves.curves import HOST_NUMBERS, ROW_NUMBERS, settled
from tlclass.lightcurves.photometry import known_extinction, known_numbers, known_position, without_prefix
from tlclass.surveys.saying import tell
from tlclass.surveys.tables.cells import coded, column_values, is_text, numbers
from tlclass.surveys.tables.columns import Form, scale_of
from tlclass.surveys.tables.named import Named
from tlclass.surveys.tables.names import WEAK

log = logging.getLogger(__name__)


def number_of(rows: Named, name: str, spared: Collection[str] = HOST_NUMBERS) -> Array:
    """(n,) a quantity of objects in our unit, NaN where unknown.

    Args:
        rows: of a table. name: ours, of one of its columns.
        spared: names whose cells may hold anything in a column that nobody named: what is no number says nothing, and is counted.

    Raises:
        ValueError: a cell holds what it should not.
    """
    values, column = column_values(rows[name]), rows.found[name]
    if name in spared and name not in rows.form.columns:
        values = _numbers_alone(values, name, column, rows.origin)
    if name in ("ra", "dec") and values.dtype == object:
        values = np.array([_degrees(value, 15 if name == "ra" else 1) for value in values], dtype=object)
    number = numbers(values, column, rows.origin)
    if name in ("trigger_mjd", "peak_mjd"):
        return rows.form.days(number, column, rows.origin)
    if name in ("ra", "dec"):
        return known_position(number, name)
    number = known_numbers(number) * scale_of(column)
    return known_extinction(number) if name == "mwebv" else number


def stated_in_rows(rows: Named) -> tuple[list[str], dict[str, Array]]:
    """Ids of the objects in a table of observations, and what its rows state of each: `ROW_NUMBERS`, (n,); nothing without such a column.

    Raises:
        ValueError: a cell of a column that the settings name is no number.
    """
    ids, owner = coded(rows["object_id"])
    names = [name for name in ROW_NUMBERS if name in rows]
    if not names:
        return ids, {}
    stated = {name: np.full(len(owner), np.nan) for name in ROW_NUMBERS}
    for name in names:
        stated[name] = number_of(rows, name, spared=ROW_NUMBERS)
    known = owner >= 0
    return ids, settled({name: values[known] for name, values in stated.items()}, owner[known], len(ids))


def usable(found: Mapping[str, str], schema: pa.Schema, form: Form, of_rows: bool) -> dict[str, str]:
    """`found` without columns that nobody named and that cannot be what they are called: numbers of an object, such as lists and dates, or ids in words.

    Args:
        found: our name -> its column. schema: of the table. form: how its columns become ours.
        of_rows: whether it is a table of observations; there an A_V may be of any dust.
    """
    spare = [name for name in (ROW_NUMBERS if of_rows else HOST_NUMBERS) if name in found and name not in form.columns]
    odd = [name for name in spare if not _may_hold_numbers(_of_values(schema, found[name]))]
    odd += [name for name in spare if of_rows and without_prefix(found[name]) in WEAK.get(name, ())]
    if found.get("alert_id") in WEAK["alert_id"] and not is_text(_of_values(schema, found["alert_id"])):
        odd.append("alert_id")  # a number that a database gives to each record
    return {name: column for name, column in found.items() if name not in odd}


def without_row_numbers(found: Mapping[str, str]) -> dict[str, str]:
    """`found` of the lists of a nested table: what is stated of an object stands in a column, not in a list, and `_id` is of the object."""
    return {
        name: column for name, column in found.items() if name not in ROW_NUMBERS and column not in WEAK["alert_id"]
    }


def _of_values(schema: pa.Schema, name: str) -> pa.DataType:
    """The type of a column's values, coded or not."""
    kind = schema.field(name).type
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _may_hold_numbers(kind: pa.DataType) -> bool:
    numbers_and_text = ("integer", "floating", "decimal", "string", "large_string", "string_view", "null")
    return any(getattr(pa.types, f"is_{name}")(kind) for name in numbers_and_text)


def _numbers_alone(values: Array, name: str, file_name: str, origin: str) -> Array:
    number = np.asarray(pd.to_numeric(pd.Series(values), errors="coerce"), dtype=np.float64)
    lost = int(np.count_nonzero(np.isnan(number) & ~pd.isna(values) & (values.astype(str) != "")))
    if lost:
        message = "%s: %d of %d cells of column %s are no numbers: they say nothing of the objects' %s"
        tell(log, logging.INFO, message, origin, file_name, name, counts=(lost, len(number)))
    return number


def _degrees(value: str, unit: int) -> str:
    """Degrees as text, of `10:35:32.09` (hours for right ascension: `unit` 15) or of a number as it is."""
    parts = value.strip().replace(" ", ":").split(":")
    if len(parts) != 3:
        return value
    try:
        whole, minutes, seconds = (float(part) for part in parts)
    except ValueError:
        return value
    return repr((-1 if value.strip().startswith("-") else 1) * unit * (abs(whole) + minutes / 60 + seconds / 3600))
