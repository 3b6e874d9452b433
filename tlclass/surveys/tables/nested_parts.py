"""Files with a row per object and list columns: what their columns mean, and those larger than memory some objects at a time."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tlclass import stopping
from tlclass.lightcurves import arrow
from tlclass.lightcurves.arrow import readable
from tlclass.lightcurves.curves import LightCurves, refuse_unusable, sum_dropped
from tlclass.lightcurves.photometry import FACTS, without_prefix
from tlclass.surveys.saying import Together
from tlclass.surveys.tables import kinds
from tlclass.surveys.tables.cells import text
from tlclass.surveys.tables.columns import Form, refuse_absent
from tlclass.surveys.tables.facts import Judgement
from tlclass.surveys.tables.files import held
from tlclass.surveys.tables.lists import chosen_column, flattened, known_leaves, plain_columns
from tlclass.surveys.tables.measured import measured
from tlclass.surveys.tables.metadata import with_unit
from tlclass.surveys.tables.named import Named
from tlclass.surveys.tables.objects import Objects, object_columns, objects_of, pack
from tlclass.surveys.tables.observations import converted, joined, observation_columns
from tlclass.surveys.tables.quantities import usable, without_row_numbers

VALUE_SIZE = 2  # bytes of a value in a file, between a fraction of one (a flag, a repeated name) and eight: rather too many parts than too large ones


class Catalogue:
    """What the columns of a table with a row per object and list columns mean, whether it is read at once or in parts.

    Args:
        schema: of the columns that are read. unread: names of the others. form: how columns become ours. origin: what to call it in messages.

    Raises:
        ValueError: a column of objects is missing or ambiguous, or two columns have one name.
    """

    def __init__(self, schema: pa.Schema, unread: Sequence[str], form: Form, origin: str):
        kinds.refuse_doubles(schema.names, origin)
        self.unread, self.form, self.origin = unread, form, origin
        self.plain = plain_columns(schema)
        refuse_absent({origin: [*self.plain, *unread]}, form, origin)
        self.found = usable(object_columns([*self.plain, *unread], form, origin), schema, form, False)
        self.columns = list(dict.fromkeys(self.found.values()))

    def objects(self, table: pa.Table) -> Objects:
        """What the rows of the table say of their objects.

        Raises:
            ValueError: a column holds what it should not.
        """
        return objects_of(
            Named(kinds.plain(table.select(self.columns), self.origin), self.found, self.form, self.origin)
        )

    def observations(self, table: pa.Table) -> Named:
        """The observations in the lists of the table, a row each.

        Raises:
            ValueError: a column is missing, ambiguous or holds what it should not.
        """
        flat = flattened(table, self.found["object_id"], self.plain, self.form, self.origin, self.unread)
        names = [*flat.column_names, *self.unread, *self._telling(table)]
        found = without_row_numbers(observation_columns(names, self.form, self.origin))
        return Named(flat, found, self.form, self.origin)

    def _telling(self, table: pa.Table) -> list[str]:
        """Names of the nested columns that observations come from, where they say that fluxes are of the science image."""
        nested = [name for name in table.column_names if name not in self.plain]
        chosen = chosen_column(nested, self.form, self.origin)
        telling = FACTS["science_image"]["flux"]["tables"]
        return [name for name in nested if chosen in (None, name) and without_prefix(name) in telling]


def in_parts(file: Path, objects: int, form: Form, decisive: int, together: Together) -> Iterator[LightCurves]:
    """Light curves of so many objects of a file at a time.

    Args:
        file: a table. objects: at once. form: how its columns become ours. decisive: see `tlclass.surveys.tables.facts.DECISIVE`.
        together: holds messages about the parts back.

    Raises:
        ValueError: see `Nested.read`.
    """
    origin = str(file)
    with readable(file, "a table"):
        known, unread = known_leaves(arrow.parquet(file), form)
        schema = next(iter(batches_of(file, 1, known))).schema
    with together:
        catalogue = Catalogue(schema, unread, form, origin)
        with readable(file, "a table"):
            whole = arrow.parquet(file)
            table = whole.read(columns=held(catalogue.columns, whole.schema_arrow))
        about = catalogue.objects(table)
        judgement = Judgement(decisive)
        for table in batches_of(file, objects, known):
            judgement.look(measured(catalogue.observations(table)))
        facts = judgement.facts()
    start = total = kept = 0
    counts: dict[str, int] = {}
    for table in batches_of(file, objects, known):
        with together:
            seen, dropped = converted(measured(catalogue.observations(table)), facts, part=True)
        total += len(seen["mjd"])
        seen, repeated = joined([seen])
        named = int(
            np.count_nonzero(text(table[catalogue.found["object_id"]]) != "")
        )  # objects without an id are left out
        here = {name: values[start : start + named] for name, values in about.items()}
        curves = pack(here, seen, form, origin, sum_dropped([dropped, repeated]), part=True)
        start, kept, counts = start + named, kept + len(curves.mjd), sum_dropped([counts, curves.dropped])
        yield curves
    if total and not kept:
        refuse_unusable(total, counts, origin)


def objects_at_once(metadata: pq.FileMetaData, rows: int) -> int | None:
    """How many objects have about so many observations; None if all of them have no more.

    By the size of the row groups: to ask for that of a column ends the process where the footer is damaged (pyarrow 26).
    """
    size = sum(metadata.row_group(number).total_byte_size for number in range(metadata.num_row_groups))
    observations = size / (VALUE_SIZE * max(metadata.num_columns, 1))
    return None if observations <= rows else max(int(rows * metadata.num_rows / observations), 1)


def batches_of(file: Path, objects: int, columns: list[str] | None) -> Iterator[pa.Table]:
    """Rows of a file, so many objects at a time; None: all columns."""
    batches = arrow.parquet(file).iter_batches(objects, columns=columns)
    while True:
        with readable(file, "a table"):
            batch = next(batches, None)
            if batch is None:
                return
            batch.validate(full=True)
        stopping.check()
        yield with_unit(pa.Table.from_batches([batch], schema=batch.schema), str(file))
