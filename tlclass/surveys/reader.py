"""What a file format needs to be read as a survey, and how it is read in parts."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tlclass.lightcurves.curves import LightCurves
from tlclass.surveys.saying import Together

ROWS = 400_000  # observations in memory at a time: about 1 GB while they are classified


class Reader(Protocol):
    """Reads one file format. A frozen dataclass, so that its repr states every setting.

    A format of many files has a third method, `pieces() -> list[Reader]`: readers of independent pieces
    (other objects in each), which are parsed in parallel and one at a time in memory. A piece all of whose
    objects have one label, known without opening it, says so in an attribute `label`; where the taxonomy
    drops that label the piece is not read. A format whose files may be larger than memory has a method
    `read_parts(rows) -> Iterator[LightCurves]`: what `read` reads, about so many observations at a time.
    """

    def files(self) -> list[Path]:
        """The raw files; empty if there are none. Raises FileNotFoundError if they are missing."""

    def read(self) -> LightCurves:
        """All light curves in canonical units, unselected, labels as the files state them."""


@dataclass(frozen=True)
class InMemory:
    """A reader of light curves that are in memory already."""

    curves: LightCurves

    def files(self) -> list[Path]:
        """There are none."""
        return []

    def read(self) -> LightCurves:
        """The light curves."""
        return self.curves


def pieces_of(reader: Any) -> list[Reader]:
    """The independent pieces of a reader, or the reader itself."""
    return reader.pieces() if hasattr(reader, "pieces") else [reader]


def parts_of(reader: Any, rows: int = ROWS) -> Iterator[LightCurves]:
    """What a reader reads, in parts with other objects in each, so that memory holds one at a time.

    About so many observations at a time where the format allows, in order of the ids or of the file; else a part is a piece.

    Raises:
        FileNotFoundError, ValueError: see `Reader.read`.
    """
    if hasattr(reader, "read_parts"):
        yield from reader.read_parts(rows)
    elif hasattr(reader, "pieces"):
        together = Together()
        for piece in reader.pieces():
            with together:
                part = piece.read()
            yield part
        together.log()
    else:
        yield reader.read()
