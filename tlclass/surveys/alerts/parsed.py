"""Parsed alert packets: in memory, and in temporary files where there are more than fit."""

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tlclass.arrays import Array
from tlclass.lightcurves.curves import HOST_NUMBERS, LightCurves
from tlclass.surveys.grouping import Order, by_range

ROW = np.dtype(
    [
        ("packet", "i8"), ("mjd", "f8"), ("band", "S16"), ("flux", "f8"), ("flux_err", "f8"),
        ("detected", "?"), ("rank", "i1"), ("fault", "i1"),
    ]
)  # fmt: skip
HEAD_NUMBERS = ("issued", "ra", "dec", "trigger_mjd", *HOST_NUMBERS)
HEAD = np.dtype([("object_id", "O"), *((name, "f8") for name in HEAD_NUMBERS)])
KINDS = {"S16": pa.binary(), "O": pa.string()}


@dataclass(frozen=True)
class Parsed:
    """What one file holds: one head per packet, rows that point to it, packets without an object."""

    surveys: frozenset[str]
    heads: Array
    rows: Array
    orphans: int


def in_parts(
    files: Iterable[Parsed], rows: int, merged: Callable[[Sequence[Parsed], bool], LightCurves]
) -> Iterator[LightCurves]:
    """Light curves of some objects at a time, of about so many rows.

    Args:
        files: one by one. rows: in a part; fewer are merged at once.
        merged: makes light curves of parsed packets, which are all there are of some objects.
    """
    held: list[Parsed] = []
    rest = iter(files)
    while sum(len(part.rows) for part in held) <= rows:
        part = next(rest, None)
        if part is None:
            yield merged(held, False)
            return
        held.append(part)
    with tempfile.TemporaryDirectory(prefix="tlclass-") as folder:
        spool = _Spool(Path(folder) / "packets.arrow")
        spool.write(chain(held, rest))
        about = Parsed(spool.surveys, np.empty(0, dtype=HEAD), np.empty(0, dtype=ROW), spool.orphans)
        for table in by_range(spool.tables(), spool.order.boundaries(rows)):
            yield merged([about, _parsed(table, spool.surveys)], True)
            about = Parsed(spool.surveys, about.heads, about.rows, 0)


class _Spool:
    """Packets of many files in one temporary file, a row each.

    Attributes:
        order: of their objects. surveys, orphans: see `Parsed`.
    """

    def __init__(self, path: Path):
        self.path, self.order = path, Order()
        self.surveys: frozenset[str] = frozenset()
        self.orphans = 0

    def write(self, parts: Iterable[Parsed]) -> None:
        """Take all packets; their rows stand in list columns."""
        schema = _table(Parsed(self.surveys, np.empty(0, HEAD), np.empty(0, ROW), 0)).schema
        with pa.OSFile(str(self.path), "wb") as sink, pa.ipc.new_stream(sink, schema) as writer:
            for part in parts:
                self.surveys |= part.surveys
                self.orphans += part.orphans
                names, code = np.unique(part.heads["object_id"].astype(str), return_inverse=True)
                self.order.look(names.tolist(), code[part.rows["packet"]], False)
                writer.write_table(_table(part))

    def tables(self) -> Iterator[pa.Table]:
        """What was written, batch after batch."""
        with pa.OSFile(str(self.path)) as source, pa.ipc.open_stream(source) as reader:
            for batch in reader:
                yield pa.Table.from_batches([batch])


def _table(part: Parsed) -> pa.Table:
    """A row per packet, with what its rows say in lists."""
    order = np.argsort(part.rows["packet"], kind="stable")
    counts = np.bincount(part.rows["packet"], minlength=len(part.heads))
    offsets = pa.array(np.concatenate([[0], np.cumsum(counts)]).astype(np.int64))
    columns = {name: _array(part.heads[name], HEAD[name]) for name in HEAD.names or ()}
    for name in (ROW.names or ())[1:]:
        columns[name] = pa.LargeListArray.from_arrays(offsets, _array(part.rows[name][order], ROW[name]))
    return pa.table(columns)


def _array(values: Array, kind: Any) -> pa.Array:
    return pa.array(
        values.tolist() if kind.kind in "SO" else np.ascontiguousarray(values), KINDS.get(kind.str.lstrip("|"))
    )


def _parsed(table: pa.Table, surveys: frozenset[str]) -> Parsed:
    """The inverse of `_table`."""
    table = table.combine_chunks()
    heads = np.empty(len(table), dtype=HEAD)
    for name in HEAD.names or ():
        heads[name] = table[name].to_numpy()
    lists = {name: table[name].combine_chunks() for name in (ROW.names or ())[1:]}
    lists = {name: column.chunk(0) if isinstance(column, pa.ChunkedArray) else column for name, column in lists.items()}
    lengths = lists["mjd"].value_lengths().to_numpy(zero_copy_only=False)
    rows = np.empty(int(lengths.sum()), dtype=ROW)
    rows["packet"] = np.repeat(np.arange(len(table)), lengths)
    for name, column in lists.items():
        flat = column.flatten()
        rows[name] = flat.to_pylist() if name == "band" else flat.to_numpy(zero_copy_only=False)
    return Parsed(surveys, heads, rows, 0)
