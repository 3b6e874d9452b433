"""Ways in which files go wrong: their bytes, the cells of a text table, the types of columns, the values in a packet."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa

Draw = np.random.Generator

LONG = "x" * 100_000
CELLS = [
    "", " ", "nan", "NaN", "inf", "-inf", "1e999", "-1e999", "1e-400", "null", "NA", "-", "--",
    "None", "0", "-0.0", "-1", "-9", "-99", "-999", "-777", "99", "1e30",
    "1e308", "9" * 30, "0x10", "1_000", "1,5", "1.2.3", "2020-01-01", "2020-01-01T00:00:00", "true", "t", "é", "星", "\u0663", "\ufeff",
    "\x00", "\x1b[31m", '"', '""',
    "'", "a,b", '"a\nb"', "=1+1", "../../etc", "g", "r", "ztfg", "Y", "lsstu", "12:30:00", ">20.1", "<20.1", "b'x'", "[1,2]", "{}", LONG,
]  # fmt: skip
VALUES = [
    None, True, False, 0, 1, -1, -99999, 2**31, 2**62, -(2**62), 0.0, -0.0, float("nan"), float("inf"), -float("inf"), 1e308, -1e308, 1e-320, "",
    "t", "f", "nan",
    "é", "\x00", LONG, b"", b"\xff\x00", [], {}, [1, 2], {"a": 1},
]  # fmt: skip


def damaged(content: bytes, draw: Draw) -> bytes:
    """The content with one to three of: a flipped bit, a cut, random, zero, doubled, exchanged or removed bytes."""
    for _ in range(draw.integers(1, 4)):
        content = BYTES[draw.integers(len(BYTES))](content, draw)
    return content


def _flip(content: bytes, draw: Draw) -> bytes:
    changed = bytearray(content)
    for _ in range(draw.integers(1, 9)):
        if changed:
            changed[draw.integers(len(changed))] ^= 1 << int(draw.integers(8))
    return bytes(changed)


def _span(content: bytes, draw: Draw) -> tuple[int, int]:
    """A stretch, near one of the ends as often as anywhere: there stand headers and footers."""
    start = [draw.integers(len(content) + 1), draw.integers(200), len(content) - draw.integers(200)][draw.integers(3)]
    start = int(min(max(start, 0), len(content)))
    return start, start + int(min(draw.integers(1, 64), len(content) - start))


def _cut(content: bytes, draw: Draw) -> bytes:
    return content[: _span(content, draw)[0]]


def _beheaded(content: bytes, draw: Draw) -> bytes:
    return content[_span(content, draw)[0] :]


def _random(content: bytes, draw: Draw) -> bytes:
    start, end = _span(content, draw)
    return content[:start] + draw.bytes(end - start) + content[end:]


def _filled(content: bytes, draw: Draw) -> bytes:
    start, end = _span(content, draw)
    return content[:start] + bytes([[0, 255, 32, 127][draw.integers(4)]]) * (end - start) + content[end:]


def _inserted(content: bytes, draw: Draw) -> bytes:
    start, _ = _span(content, draw)
    return content[:start] + draw.bytes(int(draw.integers(1, 64))) + content[start:]


def _removed(content: bytes, draw: Draw) -> bytes:
    start, end = _span(content, draw)
    return content[:start] + content[end:]


def _doubled(content: bytes, draw: Draw) -> bytes:
    start, end = _span(content, draw)
    return content[:end] + content[start:end] * int(draw.integers(1, 20)) + content[end:]


BYTES = (_flip, _flip, _cut, _beheaded, _random, _filled, _inserted, _removed, _doubled)


def retyped_text(content: str, draw: Draw, separator: str = ",") -> str:
    """A text table with one to four of its cells, columns or lines changed."""
    lines = [line.split(separator) for line in content.split("\n")]
    for _ in range(draw.integers(1, 5)):
        lines = TEXT[draw.integers(len(TEXT))](lines, draw)
    return "\n".join(separator.join(cells) for cells in lines)


Lines = list[list[str]]


def _cell(lines: Lines, draw: Draw) -> Lines:
    row = lines[draw.integers(len(lines))] if draw.random() < 0.8 else lines[0]
    if row:
        row[draw.integers(len(row))] = CELLS[draw.integers(len(CELLS))]
    return lines


def _column(lines: Lines, draw: Draw) -> Lines:
    place, value = draw.integers(max(1, len(lines[0]))), CELLS[draw.integers(len(CELLS) - 1)]
    for row in lines[1:]:
        if place < len(row):
            row[place] = value
    return lines


def _no_column(lines: Lines, draw: Draw) -> Lines:
    place = draw.integers(max(1, len(lines[0])))
    return [row[:place] + row[place + 1 :] for row in lines]


def _renamed(lines: Lines, draw: Draw) -> Lines:
    names = [*CELLS, *lines[0], "jd", "mag", "flux_njy", "zp", "label"]
    if lines[0]:
        lines[0][draw.integers(len(lines[0]))] = names[draw.integers(len(names))]
    return lines


def _line(lines: Lines, draw: Draw) -> Lines:
    place = int(draw.integers(len(lines)))
    new = [["garbage"], [], [""] * 40, lines[place], lines[0], ["#", "comment"]][draw.integers(6)]
    return [*lines[:place], list(new), *lines[place:]]


def _shuffled(lines: Lines, draw: Draw) -> Lines:
    return [lines[0], *[lines[k] for k in 1 + draw.permutation(len(lines) - 1)]]


def _short(lines: Lines, draw: Draw) -> Lines:
    return lines[: int(draw.integers(0, 4))] or [[""]]


TEXT = (_cell, _cell, _cell, _column, _no_column, _renamed, _line, _shuffled, _short)


def column_of(n: int, draw: Draw) -> pa.Array:
    """(n,) a column of some Arrow type, some values missing."""
    make = COLUMNS[list(COLUMNS)[draw.integers(len(COLUMNS))]]
    return make(n)


def _nested_in(inner: Callable[[int], pa.Array]) -> Callable[[int], pa.Array]:
    return lambda n: pa.ListArray.from_arrays(pa.array(np.arange(n + 1), pa.int32()), inner(n))


COLUMNS: Mapping[str, Callable[[int], pa.Array]] = {
    "null": lambda n: pa.nulls(n),
    "float16": lambda n: pa.array(np.arange(n, dtype=np.float16)),
    "float32": lambda n: pa.array(np.full(n, 3e38, dtype=np.float32)),
    "nan": lambda n: pa.array(np.full(n, np.nan)),
    "inf": lambda n: pa.array(np.full(n, np.inf)),
    "int8": lambda n: pa.array(np.arange(n) % 100, pa.int8()),
    "uint64": lambda n: pa.array(np.full(n, 2**64 - 1, dtype=np.uint64)),
    "bool": lambda n: pa.array([None if k % 5 == 0 else k % 2 == 0 for k in range(n)]),
    "text": lambda n: pa.array([f"x{k}" for k in range(n)]),
    "numbers as text": lambda n: pa.array([str(k) for k in range(n)]),
    "long text": lambda n: pa.array([LONG if k == 0 else str(k) for k in range(n)]),
    "large_string": lambda n: pa.array(["ztfg"] * n, pa.large_string()),
    "string_view": lambda n: pa.array([f"x{k}" for k in range(n)], pa.string_view()),
    "binary": lambda n: pa.array([b"\xff\xfe"] * n),
    "binary_view": lambda n: pa.array([b"g"] * n, pa.binary_view()),
    "fixed binary": lambda n: pa.array([b"ab"] * n, pa.binary(2)),
    "decimal": lambda n: pa.array([Decimal("1.50")] * n, pa.decimal128(10, 2)),
    "decimal256": lambda n: pa.array([Decimal("1.50")] * n, pa.decimal256(50, 2)),
    "date": lambda n: pa.array([18000] * n, pa.int32()).cast(pa.date32()),
    "time": lambda n: pa.array([3600] * n, pa.int32()).cast(pa.time32("s")),
    "timestamp": lambda n: pa.array([10**9] * n, pa.timestamp("s", tz="UTC")),
    "duration": lambda n: pa.array([10**9] * n, pa.duration("ns")),
    "struct": lambda n: pa.array([{"a": 1, "b": "x"}] * n),
    "empty struct": lambda n: pa.array([{}] * n, pa.struct([])),
    "map": lambda n: pa.array([[("a", 1)]] * n, pa.map_(pa.string(), pa.int64())),
    "dictionary": lambda n: pa.array(["ztfg"] * n).dictionary_encode(),
    "dictionary of numbers": lambda n: pa.array(np.arange(n) % 3).dictionary_encode(),
    "run ends": lambda n: pa.RunEndEncodedArray.from_arrays(pa.array([max(n, 1)], pa.int32()), pa.array([1.5])),
    "list": _nested_in(lambda n: pa.array(np.arange(n, dtype=float))),
    "list of text": _nested_in(lambda n: pa.array(["g"] * n)),
    "list of lists": _nested_in(_nested_in(lambda n: pa.array(np.arange(n)))),
    "list of structs": _nested_in(lambda n: pa.array([{"mjd": 1.0, "flux": 2.0}] * n)),
    "large list": lambda n: pa.array([[1.0, 2.0]] * n, pa.large_list(pa.float64())),
    "list view": lambda n: pa.array([[1.0, 2.0]] * n, pa.list_view(pa.float64())),
    "fixed list": lambda n: pa.array([[1.0, 2.0]] * n, pa.list_(pa.float64(), 2)),
    "empty lists": lambda n: pa.array([[]] * n, pa.list_(pa.float64())),
    "no lists": lambda n: pa.array([None] * n, pa.list_(pa.float64())),
}


def retyped(table: pa.Table, draw: Draw) -> pa.Table:
    """A table with one or two of its columns removed, doubled, emptied, renamed or of another type."""
    for _ in range(draw.integers(1, 3)):
        place = int(draw.integers(table.num_columns)) if table.num_columns else 0
        kind = draw.integers(8) if table.num_columns else 7
        if kind < 5:
            table = table.set_column(place, table.column_names[place], column_of(len(table), draw))
        elif kind == 5:
            table = table.remove_column(place)
        elif kind == 6:
            names = [*table.column_names]
            names[place] = ["mjd", "flux", "", "label", "é" * 300, "object_id"][draw.integers(6)]
            table = table.rename_columns(names)
        else:
            table = table.slice(0, int(draw.integers(0, 2)))
    return table


def changed(value: Any, draw: Draw, depth: int = 0) -> Any:
    """Plain nested values, one of which is another one, or gone."""
    if isinstance(value, dict) and value and (depth < 1 or draw.random() < 0.8):
        key = list(value)[draw.integers(len(value))]
        if draw.random() < 0.1:
            return {name: one for name, one in value.items() if name != key}
        return {**value, key: changed(value[key], draw, depth + 1)}
    if isinstance(value, list) and value and draw.random() < 0.8:
        place = int(draw.integers(len(value)))
        return [*value[:place], changed(value[place], draw, depth + 1), *value[place + 1 :]]
    return VALUES[draw.integers(len(VALUES))]
