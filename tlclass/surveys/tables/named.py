"""Rows of a table, whose columns are asked for by our names."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import pyarrow as pa

from tlclass.arrays import Array
from tlclass.surveys.tables.cells import column_values, flags, identifiers, numbers
from tlclass.surveys.tables.columns import Form


@dataclass(frozen=True)
class Named:
    """Rows of a table: `rows["mjd"]` is the column of times, whatever the file calls it; `"mjd" in rows` says whether there is one.

    Attributes:
        table: the rows, all columns. found: our name -> its column. form: how columns become ours. origin: what to call the table in messages.
    """

    table: pa.Table
    found: Mapping[str, str]
    form: Form
    origin: str

    def __len__(self) -> int:
        """How many rows."""
        return len(self.table)

    def __contains__(self, name: object) -> bool:
        """Whether the table has a column of this meaning."""
        return name in self.found

    def __getitem__(self, name: str) -> pa.ChunkedArray:
        """The column of this meaning."""
        return self.table[self.found[name]]

    @property
    def kind(self) -> str:
        """`flux` or `mag`, see `Form.kind`."""
        return self.form.kind(self.found)

    def numbers(self, name: str) -> Array:
        """(n,) float64, see `tlclass.surveys.tables.cells.numbers`."""
        return numbers(column_values(self[name]), self.found[name], self.origin)

    def flags(self, name: str, meaning: Callable[[str], bool | None], missing: bool = False) -> Array:
        """(n,) bool, see `tlclass.surveys.tables.cells.flags`."""
        return flags(self[name], meaning, self.found[name], self.origin, missing)

    def ids(self) -> Array:
        """(n,) str objects, of the objects; see `tlclass.surveys.tables.cells.identifiers`."""
        return identifiers(self["object_id"], self.found["object_id"], self.origin)

    def where(self, keep: Array) -> "Named":
        """The rows of which `keep` (n,) is true."""
        return self if keep.all() else replace(self, table=self.table.filter(pa.array(keep)))
