"""One file with a row per object and list columns that is larger than memory: some objects at a time."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tlclass import stopping
from tlclass.lightcurves import arrow
from tlclass.lightcurves.arrow import readable
from tlclass.lightcurves.curves import LightCurves, check, refuse_unusable, sum_dropped
from tlclass.lightcurves.ids import Seen
from tlclass.surveys.saying import Together
from tlclass.surveys.tables import kinds
from tlclass.surveys.tables.cells import text
from tlclass.surveys.tables.columns import Form, refuse_absent
from tlclass.surveys.tables.facts import DECISIVE, Judgement
from tlclass.surveys.tables.measured import measured
from tlclass.surveys.tables.nested import Nested, flattened, is_own, known_leaves, plain_columns
from tlclass.surveys.tables.objects import Objects, object_columns, objects_of, pack
from tlclass.surveys.tables.observations import converted, joined, observation_columns
from tlclass.surveys.tables.quantities import usable, without_row_numbers

VALUE_SIZE = 2  # bytes of a value in a file, between a fraction of one (a flag, a repeated name) and eight: rather too many parts than too large ones


def nested_in_parts(reader: Nested, rows: int, decisive: int = DECISIVE) -> Iterator[LightCurves]:
    """What `reader.read` reads, about so many observations at a time, in the order of the files.

    Args:
        reader: of a file or folder. rows: observations in a part; smaller files are read at once.
        decisive: see `tlclass.surveys.tables.facts`.

    Raises:
        FileNotFoundError, ValueError: see `Nested.read`. That an id stands in two parts is found at the end.
    """
    seen, together = Seen(), Together()
    for file in reader.files():
        for part in _file_in_parts(reader, file, rows, decisive, together):
            seen.look(part.object_id)
            yield part
    together.log()
    repeated = len(seen.repeated())
    if repeated:
        raise ValueError(
            f"{reader.path}: {repeated} object id(s) are in more than one place: an object must have one row in one file; merge its rows"
        )


def _file_in_parts(reader: Nested, file: Path, rows: int, decisive: int, together: Together) -> Iterator[LightCurves]:
    if file.suffix == ".arrow":
        for part in arrow.read_parts(file):
            yield check(part, str(file))
        return
    with readable(file, "a table"):
        objects = _objects_at_once(pq.read_metadata(file), rows)
    if objects is None:
        with together:
            whole = reader.read_file(file)
        yield whole
    elif is_own(file):
        for number, table in enumerate(_batches(file, objects, None)):
            with readable(file, "light curves"):
                part = arrow.from_arrow(table, str(file))
            yield replace(check(part, str(file)), dropped=part.dropped if number == 0 else {})  # counted once a file
    else:
        yield from _in_parts(file, objects, reader.form(), decisive)


def _in_parts(file: Path, objects: int, form: Form, decisive: int) -> Iterator[LightCurves]:
    origin = str(file)
    with readable(file, "a table"):
        whole = arrow.parquet(file)
        known, unread = known_leaves(whole, form)
        schema = next(iter(_batches(file, 1, known))).schema
    kinds.refuse_doubles(schema.names, origin)
    plain = plain_columns(schema)
    about, column = _about(whole, plain, unread, form, origin)
    judgement = found = None
    for table in _batches(file, objects, known):
        flat = flattened(table, column, plain, form, origin)
        found = found or without_row_numbers(observation_columns([*flat.column_names, *unread], form, origin))
        judgement = judgement or Judgement(found, form, origin, decisive)
        judgement.look(measured(flat, found, form, origin))
    if judgement is None or found is None:
        return
    facts = judgement.facts()
    start = total = kept = 0
    counts: dict[str, int] = {}
    for table in _batches(file, objects, known):
        flat = flattened(table, column, plain, form, origin)
        seen, dropped = converted(measured(flat, found, form, origin), found, form, origin, facts, part=True)
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
    return objects_of(kinds.plain(table, origin), found, form, origin), found["object_id"]


def _objects_at_once(metadata: pq.FileMetaData, rows: int) -> int | None:
    """How many objects have about so many observations; None if all of them have no more.

    By the size of the row groups: to ask for that of a column ends the process where the footer is damaged (pyarrow 26).
    """
    size = sum(metadata.row_group(number).total_byte_size for number in range(metadata.num_row_groups))
    observations = size / (VALUE_SIZE * max(metadata.num_columns, 1))
    return None if observations <= rows else max(int(rows * metadata.num_rows / observations), 1)


def _batches(file: Path, objects: int, columns: list[str] | None) -> Iterator[pa.Table]:
    batches = arrow.parquet(file).iter_batches(objects, columns=columns)
    while True:
        with readable(file, "a table"):
            batch = next(batches, None)
            if batch is None:
                return
            batch.validate(full=True)
        stopping.check()
        yield pa.Table.from_batches([batch], schema=batch.schema)
