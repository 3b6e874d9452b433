"""A table file a few rows at a time, each batch as `read_table` gives the whole."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from tlclass import stopping
from tlclass.lightcurves.arrow import parquet, readable
from tlclass.surveys.tables.files import FITS, PARQUET, held, is_kind, opened, parse_options, read_table, schema_of
from tlclass.surveys.tables.fits_table import fits_table
from tlclass.surveys.tables.kinds import plain, refuse_doubles
from tlclass.surveys.tables.metadata import with_unit
from tlclass.surveys.tables.names import CONTEXT, FLAG, NUMBERS, TEXT

BLOCK = 8 << 20  # bytes of a CSV file that are parsed at once
BYTES_PER_ROW = 40  # of CSV, at least; by which its rows are estimated
ANY, EMPTY = None, [""]  # words for a missing value: Arrow's own list, or none


def rows_of(path: Path) -> int:
    """How many rows a table has; of CSV an estimate from above."""
    if is_kind(path, FITS):
        return len(fits_table(path))
    if is_kind(path, PARQUET):
        with readable(path, "a table"):
            return int(pq.read_metadata(path).num_rows)
    return path.stat().st_size * (10 if path.name.casefold().endswith(".gz") else 1) // BYTES_PER_ROW


@dataclass
class Batches:
    """Reads the columns of one table of observations, batch after batch, as often as asked.

    What a CSV file's columns are depends on all of its rows: whether a column of numbers holds something else, and whether ids are
    called NA or null. `again` says after a pass that the file turned out to be otherwise, so that the pass must be repeated.

    Args:
        path: see `tlclass.surveys.tables.files.TABLES`. found: our name -> its column. rows: of a batch, at most.
        numbers_are_text, ids_as_given: what the file turned out to be.
    """

    path: Path
    found: Mapping[str, str]
    rows: int
    numbers_are_text: bool = False
    ids_as_given: bool = False
    again: bool = field(default=False, init=False)

    def __iter__(self) -> Iterator[pa.Table]:
        """Tables of up to `rows` rows.

        Raises:
            ValueError: the file is damaged, or a column is of a kind that is not read.
        """
        columns = list(dict.fromkeys(self.found.values()))
        refuse_doubles([name for name in schema_of(self.path).names if name in columns], str(self.path))
        self.again = False
        read = self._parquet if is_kind(self.path, PARQUET) else self._fits if is_kind(self.path, FITS) else self._csv
        batches = read(columns)
        while True:
            with readable(self.path, "a table"):
                batch = next(batches, None)
            if batch is None:
                return
            stopping.check()
            yield plain(batch, str(self.path))

    def _fits(self, columns: list[str]) -> Iterator[pa.Table]:
        whole = read_table(self.path, columns)
        yield from (whole.slice(start, self.rows) for start in range(0, max(len(whole), 1), self.rows))

    def _parquet(self, columns: list[str]) -> Iterator[pa.Table]:
        file = parquet(self.path)
        whole, own = file.schema_arrow, held(columns, file.schema_arrow)
        empty = True
        for batch in file.iter_batches(self.rows, columns=own):
            batch.validate(full=True)
            empty = False
            yield with_unit(pa.Table.from_batches([batch]), str(self.path), whole)
        if empty:
            yield with_unit(file.read(columns=own), str(self.path), whole)

    def _csv(self, columns: list[str]) -> Iterator[pa.Table]:
        try:
            for batch, ids in zip(self._blocks(columns, ANY), self._blocks(self._ids(), EMPTY), strict=False):
                table = pa.Table.from_batches([batch])
                for name in self._ids():
                    table = self._with_ids(table, name, ids)
                if self.again:
                    return
                for start in range(0, max(len(table), 1), self.rows):
                    yield table.slice(start, self.rows)
        except pa.ArrowInvalid as error:
            if "conversion error" not in str(error) or self.numbers_are_text:
                raise
            self.numbers_are_text = self.again = True

    def _with_ids(self, table: pa.Table, name: str, given: pa.RecordBatch | None) -> pa.Table:
        if given is None:
            self.ids_as_given = self.again = bool(table[name].null_count)
            return table
        return table.set_column(table.column_names.index(name), name, pa.chunked_array([given[name]]))

    def _ids(self) -> list[str]:
        return [self.found["object_id"]]

    def _blocks(self, columns: list[str], missing: list[str] | None) -> Iterator[pa.RecordBatch | None]:
        """Blocks of these columns; blocks of the same rows whichever the columns are."""
        if missing is EMPTY and not self.ids_as_given:
            while True:
                yield None
        kinds: dict[str, Any] = {}
        for name, column in self.found.items():
            if name in NUMBERS:
                kinds[column] = pa.string() if self.numbers_are_text else pa.float64()
            elif name in TEXT or name.startswith((FLAG, CONTEXT)):
                kinds[column] = pa.string()
        convert = pa.csv.ConvertOptions(
            strings_can_be_null=True,
            include_columns=columns,
            column_types=kinds,
            **({"null_values": missing} if missing else {}),
        )
        options = pa.csv.ReadOptions(block_size=BLOCK, use_threads=False)
        with opened(self.path) as file:
            yield from pa.csv.open_csv(
                file, read_options=options, parse_options=parse_options(self.path), convert_options=convert
            )
