"""What a file format needs to be read as a survey."""

from pathlib import Path
from typing import Protocol

from tlclass.lightcurves.curves import LightCurves


class Reader(Protocol):
    """Reads one file format. A frozen dataclass, so that its repr states every setting.

    A format of many files has a third method, `pieces() -> list[Reader]`: readers of independent pieces
    (other objects in each), which are parsed in parallel and one at a time in memory. A piece all of whose
    objects have one label, known without opening it, says so in an attribute `label`; where the taxonomy
    drops that label the piece is not read.
    """

    def files(self) -> list[Path]:
        """The raw files; empty if there are none. Raises FileNotFoundError if they are missing."""

    def read(self) -> LightCurves:
        """All light curves in canonical units, unselected, labels as the files state them."""
