"""Numbers of objects, from the cells of a table."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tlclass.lightcurves.photometry import known_extinction, known_numbers, known_position
from tlclass.surveys.tables.cells import column_values, numbers
from tlclass.surveys.tables.columns import Form, scale_of

Array = npt.NDArray[Any]


def number_of(name: str, column: pa.ChunkedArray, form: Form, file_name: str, origin: str) -> Array:
    """(n,) a quantity of objects in our unit, NaN where unknown.

    Args:
        name: ours. column: its cells. form: how columns become ours. file_name: of the column. origin: what to call the input in messages.

    Raises:
        ValueError: a cell holds what it should not.
    """
    values = column_values(column)
    if name in ("ra", "dec") and values.dtype == object:
        values = np.array([_degrees(value, 15 if name == "ra" else 1) for value in values], dtype=object)
    number = numbers(values, file_name, origin)
    if name in ("trigger_mjd", "peak_mjd"):
        return form.days(number, file_name, origin)
    if name in ("ra", "dec"):
        return known_position(number, name)
    number = known_numbers(number) * scale_of(file_name)
    return known_extinction(number) if name == "mwebv" else number


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
