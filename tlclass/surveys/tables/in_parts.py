"""Tables of observations that are larger than memory: the same light curves as `Table.read` gives, a part of the objects at a time."""

import copy
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from tlclass.arrays import Array
from tlclass.lightcurves.curves import LightCurves, refuse_unusable, sum_dropped
from tlclass.surveys.grouping import Order, by_range, consecutive
from tlclass.surveys.saying import Together, tell
from tlclass.surveys.tables.batches import Batches
from tlclass.surveys.tables.cells import coded
from tlclass.surveys.tables.columns import Form, say
from tlclass.surveys.tables.facts import Facts, Judgement
from tlclass.surveys.tables.files import schema_of
from tlclass.surveys.tables.measured import measured
from tlclass.surveys.tables.named import Named
from tlclass.surveys.tables.objects import Listing, Stated, pack, say_one_object
from tlclass.surveys.tables.observations import ROUNDED, Observations, converted, joined, observation_columns
from tlclass.surveys.tables.quantities import stated_in_rows, usable

log = logging.getLogger(__name__)

BATCH = 250_000  # rows that are converted at once
IS_ROW = "is_row"  # False: the object is there, but none of its rows in this batch measures a flux
NO_ROW = {"mjd": np.nan, "passband": 0, "flux": np.nan, "flux_err": np.nan, "detected": False}


class Rows:
    """The observations of several files, read twice: to decide what holds for all of them, and to convert them.

    Attributes:
        order: of the objects. dropped: reason -> rows that were left out since it was last taken.
        stated: what the rows that were converted state of their objects.
    """

    def __init__(self, files: Sequence[Path], form: Form, rows: int, decisive: int):
        self.form, self.order, self.dropped, self.stated = form, Order(), dict[str, int](), Stated()
        self._together = Together()
        with self._together:
            self.files = [_file(path, form, min(rows, BATCH)) for path in files]
            self.facts = [self._decided(batches, decisive) for batches in self.files]
        self._together.log()
        self.rounded = any(facts.rounded for facts in self.facts)

    def _decided(self, batches: Batches, decisive: int) -> Facts:
        """The first pass over a file."""
        tell(log, logging.INFO, "%s: reading the table in parts", str(batches.path))
        before = copy.copy(self.order)
        judgement = Judgement(decisive)
        for rows in self._rows(batches):
            judgement.look(measured(rows))
            ids = rows["object_id"]
            self.order.look(*coded(ids), bool(pa.types.is_integer(ids.type)))
        if batches.again:
            self.order = before
            return self._decided(batches, decisive)
        return judgement.facts()

    def _rows(self, batches: Batches) -> Iterator[Named]:
        return (Named(table, batches.found, self.form, str(batches.path)) for table in batches)

    def chunks(self) -> Iterator[pa.Table]:
        """The second pass over all files: converted rows."""
        for batches, facts in zip(self.files, self.facts, strict=True):
            for rows in self._rows(batches):
                with self._together:
                    seen, dropped = converted(measured(rows), facts, part=True)
                    self.stated.add(*stated_in_rows(rows))
                self.dropped = sum_dropped([self.dropped, dropped])
                yield _as_table(seen, coded(rows["object_id"])[0])
        self._together.log()

    def parts(self, rows: int) -> Iterator[pa.Table]:
        """Converted rows of a part of the objects at a time, about so many."""
        if self.order.ascending:
            return consecutive(self.chunks(), rows)
        log.info("the rows of an object are not next to each other: sorting them into temporary files first")
        return by_range(self.chunks(), self.order.boundaries(rows))


def in_parts(
    files: Sequence[Path], objects: Listing | None, form: Form, origin: str, rows: int, decisive: int
) -> Iterator[LightCurves]:
    """Light curves of the objects in these tables, about so many observations at a time.

    Args:
        files: tables of observations.
        objects: what object tables say, or None without such tables.
        form: how columns become ours. origin: what to call the input in messages.
        rows: observations in a part. decisive: see `tlclass.surveys.tables.facts`.

    Raises:
        ValueError: see `Table.read`.
    """
    source = Rows(files, form, rows, decisive)
    counts: dict[str, int] = {}
    total = kept = 0
    for table in source.parts(rows):
        seen, observed = _as_observations(table, source.rounded)
        total += len(seen["mjd"])
        seen, repeated = joined([seen])
        dropped, source.dropped = sum_dropped([source.dropped, repeated]), {}
        stated = source.stated.of(observed.tolist())
        about = stated if objects is None else objects.of(stated)
        curves = pack(about, seen, form, origin, dropped, part=True)
        kept += len(curves.mjd)
        counts = sum_dropped([counts, curves.dropped])
        yield curves
    say_one_object(source.stated, len(files), origin)
    if objects is not None and len(objects.unseen()["object_id"]):
        nothing = {"object_id": np.empty(0, dtype=str)} | {name: np.empty(0) for name in NO_ROW}
        yield pack(objects.unseen(), nothing, form, origin, {}, part=True)
    if total and not kept:
        refuse_unusable(total, counts, origin)


def _file(path: Path, form: Form, rows: int) -> Batches:
    schema = schema_of(path)
    found = usable(observation_columns(schema.names, form, str(path)), schema, form, True)
    say(found, schema.names, str(path))
    return Batches(path, found, rows)


def _as_table(seen: Observations, ids: Sequence[str]) -> pa.Table:
    """Converted rows, and a placeholder row (`IS_ROW` false) for each of these objects without a row."""
    columns = {name: pa.array(values) for name, values in seen.items() if name != ROUNDED}
    columns["object_id"] = pa.array(seen["object_id"], pa.string())
    columns["passband"] = pa.array(seen["passband"], pa.uint8())
    columns[IS_ROW] = pa.array(np.ones(len(seen["mjd"]), dtype=bool))
    table = pa.table(columns)
    silent = sorted(set(ids) - set(columns["object_id"].unique().to_pylist()) - {""})
    if not silent:
        return table
    none = {name: np.full(len(silent), value) for name, value in NO_ROW.items()}
    columns = {"object_id": pa.array(silent, pa.string()), **{name: pa.array(values) for name, values in none.items()}}
    columns[IS_ROW] = pa.array(np.zeros(len(silent), dtype=bool))
    extra = pa.table(columns).select(table.column_names).cast(table.schema)
    whole = pa.concat_tables([table, extra])
    return whole


def _as_observations(table: pa.Table, rounded: bool) -> tuple[Observations, Array]:
    """What `_as_table` took of several batches, and the ids of all objects in them."""
    observed = np.array(sorted(set(table["object_id"].unique().to_pylist()) - {""}), dtype=str)
    table = table.filter(table[IS_ROW]).drop_columns([IS_ROW])
    seen = {name: np.asarray(table[name].to_numpy()) for name in table.column_names}
    return seen | {ROUNDED: np.full(len(table), rounded)}, observed
