"""One file with a row per object and list columns that is larger than memory: some objects at a time."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tlclass import stopping
from tlclass.lightcurves import arrow
from tlclass.lightcurves.arrow import readable
from tlclass.lightcurves.curves import LightCurves, refuse_unusable, sum_dropped
from tlclass.surveys.tables import kinds
from tlclass.surveys.tables.cells import text
from tlclass.surveys.tables.columns import Form, refuse_absent
from tlclass.surveys.tables.facts import Judgement
from tlclass.surveys.tables.lists import flattened, known_leaves, plain_columns
from tlclass.surveys.tables.measured import measured
from tlclass.surveys.tables.named import Named
from tlclass.surveys.tables.objects import Objects, object_columns, objects_of, pack
from tlclass.surveys.tables.observations import converted, joined, observation_columns
from tlclass.surveys.tables.quantities import usable, without_row_numbers

VALUE_SIZE = 2  # bytes of a value in a file, between a fraction of one (a flag, a repeated name) and eight: rather too many parts than too large ones


def in_parts(file: Path, objects: int, form: Form, decisive: int) -> Iterator[LightCurves]:
    """Light curves of so many objects of a file at a time; `decisive`: see `tlclass.surveys.tables.facts.DECISIVE`."""
    origin = str(file)
    with readable(file, "a table"):
        whole = arrow.parquet(file)
        known, unread = known_leaves(whole, form)
        schema = next(iter(batches_of(file, 1, known))).schema
    kinds.refuse_doubles(schema.names, origin)
    plain = plain_columns(schema)
    about, column = _about(whole, plain, unread, form, origin)
    judgement, found = Judgement(decisive), dict[str, str]()
    for table in batches_of(file, objects, known):
        flat = flattened(table, column, plain, form, origin)
        found = found or without_row_numbers(observation_columns([*flat.column_names, *unread], form, origin))
        judgement.look(measured(Named(flat, found, form, origin)))
    if not found:
        return
    facts = judgement.facts()
    start = total = kept = 0
    counts: dict[str, int] = {}
    for table in batches_of(file, objects, known):
        flat = flattened(table, column, plain, form, origin)
        seen, dropped = converted(measured(Named(flat, found, form, origin)), facts, part=True)
        total += len(seen["mjd"])
        seen, repeated = joined([seen])
        named = int(np.count_nonzero(text(table[column]) != ""))  # objects without an id are left out
        here = {name: values[start : start + named] for name, values in about.items()}
        curves = pack(here, seen, form, origin, sum_dropped([dropped, repeated]), part=True)
        start, kept, counts = start + named, kept + len(curves.mjd), sum_dropped([counts, curves.dropped])
        yield curves
    if total and not kept:
        refuse_unusable(total, counts, origin)


def _about(
    parquet: pq.ParquetFile, plain: list[str], unread: list[str], form: Form, origin: str
) -> tuple[Objects, str]:
    """What the columns without lists say of all objects, and which of them holds the ids."""
    refuse_absent({origin: [*plain, *unread]}, form, origin)
    found = usable(object_columns([*plain, *unread], form, origin), parquet.schema_arrow, form, False)
    with readable(origin, "a table"):
        table = parquet.read(columns=plain)
    return objects_of(Named(kinds.plain(table, origin), found, form, origin)), found["object_id"]


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
        yield pa.Table.from_batches([batch], schema=batch.schema)
