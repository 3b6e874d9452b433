"""The flags of surveys and brokers that void a row of photometry; the same for every reader."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import pyarrow as pa

from tlclass.arrays import Array
from tlclass.lightcurves.photometry import FACTS, plain_name, without_prefix
from tlclass.quoting import as_text

BLANK = ("", "-", "--", "...", "nan", "none", "null", "<na>", "nat")  # written where a value is unknown, in lower case
UNKNOWN_TIMES = (0, *FACTS["missing"]["times"])
TRUE, FALSE = ("t", "true", "yes", "y", "positive"), ("f", "false", "no", "n", "negative")


@dataclass(frozen=True)
class Void:
    """One flag: which columns have it, and which of their values void the row.

    Attributes:
        columns: plain names, see `tlclass.lightcurves.photometry.plain_name`.
        condition: `set`, `bits`, `not_in`, `known` or `zero`; see `photometry.yaml`.
        values: what the condition compares with.
        beside: the rule only counts where these columns are there too.
        unless: the rule only counts where these columns are not there.
        reason: completes "dropped so many observations ...".
        source: where the meaning is documented.
    """

    columns: tuple[str, ...]
    condition: str
    values: tuple[Any, ...]
    beside: tuple[str, ...]
    unless: tuple[str, ...]
    reason: str
    source: str

    @cached_property
    def judge(self) -> Callable[[str], bool]:
        """Whether one value, as text, voids its row; text that the rule cannot read does not."""
        return lru_cache(maxsize=4096)(self._judge)

    def _judge(self, value: str) -> bool:
        if is_blank(value):
            return False
        if self.condition == "known":
            return integer(value) not in UNKNOWN_TIMES
        if self.condition == "set":
            return says_yes(value) is True
        if self.condition == "not_in":
            return not {_whole(word) for word in value.replace(",", " ").split()} <= set(self.values)
        number = integer(value)
        if self.condition == "bits":
            return number is not None and any(number & bit for bit in self.values)
        return number == 0

    def of(self, values: Array | pa.ChunkedArray) -> Array:
        """(n,) bool, which of these values void their row."""
        array = values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(_native(values))
        if not pa.types.is_dictionary(array.type):
            array = array.dictionary_encode()
        if isinstance(array, pa.ChunkedArray):
            array = array.unify_dictionaries().combine_chunks()
            array = array.chunk(0) if isinstance(array, pa.ChunkedArray) else array
        judged = [self.judge(as_text(value)) for value in array.dictionary.to_pylist()]
        codes = array.indices.fill_null(len(judged)).to_numpy(zero_copy_only=False).astype(np.int64)
        return np.asarray(np.array([*judged, False], dtype=bool)[codes])


VOIDS = tuple(
    Void(
        tuple(rule["columns"]), rule["if"], tuple(rule.get("values", ())), tuple(rule.get("beside", ())), tuple(rule.get("unless", ())),
        rule["reason"], rule["source"],
    )
    for rule in FACTS["voids"]
)  # fmt: skip
NAMES = frozenset(name for rule in VOIDS for name in (*rule.columns, *rule.beside, *rule.unless))


def void_columns(names: Iterable[str]) -> list[tuple[Void, str]]:
    """The rules that apply to a table with these columns, each with the column it looks at."""
    plain = {name: (plain_name(name), without_prefix(name)) for name in names}
    present = {each for pair in plain.values() for each in pair}
    return [
        (rule, name)
        for name, spellings in plain.items()
        for rule in VOIDS
        if set(spellings) & set(rule.columns) and set(rule.beside) <= present and present.isdisjoint(rule.unless)
    ]


def columns_read(names: Iterable[str]) -> list[str]:
    """The columns that the rules for a table with these columns look at, and those beside which they count."""
    names = list(names)
    rules = void_columns(names)
    beside = {other for rule, _ in rules for other in rule.beside}
    return [
        *dict.fromkeys(name for _, name in rules),
        *(name for name in names if {plain_name(name), without_prefix(name)} & beside),
    ]


def voided(columns: Mapping[str, Any], n: int) -> tuple[Array, dict[str, int]]:
    """Which rows of a table the flags among its columns void, (n,) bool, and how many for which reason."""
    void, counts = np.zeros(n, dtype=bool), dict[str, int]()
    for rule, name in void_columns(columns):
        mask = rule.of(columns[name]) & ~void
        if mask.any():
            counts[rule.reason] = counts.get(rule.reason, 0) + int(np.count_nonzero(mask))
            void |= mask
    return void, counts


@lru_cache(maxsize=256)
def _rules_of(names: tuple[str, ...]) -> list[tuple[Void, str]]:
    return [(rule, name) for rule, name in void_columns(names) if rule.condition != "zero"]


def void_reason(row: Mapping[str, Any]) -> str | None:
    """Why the flags of one row, a record of an alert packet, void it; None if they do not.

    An object id of 0 does not void it: the packet names the object of all its rows.
    """
    for rule, name in _rules_of(tuple(row)):
        value = row[name]
        if value is not None and rule.judge(as_text(value)):
            return rule.reason
    return None


def says_yes(value: str) -> bool | None:
    """Yes or no, as surveys and brokers write it; None if it is neither."""
    text = value.strip().casefold()
    if text in TRUE:
        return True
    if text in FALSE:
        return False
    try:
        return float(text) > 0
    except ValueError:
        return None


def is_blank(value: str) -> bool:
    """Whether a text stands for an unknown value."""
    return value.strip().casefold() in BLANK


def blank(values: Array) -> Array:
    """(n,) bool, which of these texts stand for an unknown value, as they are usually written, blanks around them or not."""
    return np.isin(np.char.lower(np.char.strip(np.asarray(values, dtype=str))), BLANK)


def _whole(word: str) -> str:
    number = integer(word)
    return word if number is None else str(number)


def integer(word: str) -> int | None:
    """The whole number in a text, also `4096.0` and `0x1000`; None if it is none."""
    try:
        return int(word, 0) if word.strip().casefold().startswith("0x") else int(float(word))
    except (ValueError, OverflowError):
        return None


def _native(values: Array) -> Array:
    return values.astype(values.dtype.newbyteorder("=")) if values.dtype.byteorder == ">" else values
