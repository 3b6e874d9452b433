"""What a reader reads, in parts with other objects in each, so that memory holds one at a time."""

from collections.abc import Iterator
from typing import Any

from tlclass.lightcurves.curves import LightCurves
from tlclass.surveys.reader import Reader
from tlclass.surveys.saying import Together
from tlclass.surveys.tables.nested import Nested
from tlclass.surveys.tables.nested_parts import nested_in_parts

ROWS = 400_000  # observations in memory at a time: about 1 GB while they are classified


def divisible(reader: Reader) -> bool:
    """Whether a reader reads less than a file at a time."""
    return isinstance(reader, Nested) or callable(getattr(reader, "parts", None))


def parts_of(reader: Reader, rows: int = ROWS) -> Iterator[LightCurves]:
    """About so many observations at a time where the format allows, in order of the ids or of the file; else a part is a file.

    Raises:
        FileNotFoundError, ValueError: see `Reader.read`.
    """
    if isinstance(reader, Nested):
        yield from nested_in_parts(reader, rows)
    elif callable(getattr(reader, "parts", None)):
        divided: Any = reader
        yield from divided.parts(rows)
    elif hasattr(reader, "pieces"):
        together = Together()
        for piece in reader.pieces():
            with together:
                part = piece.read()
            yield part
        together.log()
    else:
        yield reader.read()
