"""Conditions on objects as users write them: `peak_mag < 19 and p(TDE) > 0.1`. A grammar of comparisons; no code is run."""

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from tlclass.arrays import Array
from tlclass.quoting import shortened

log = logging.getLogger(__name__)
Columns = Mapping[str, Array]

TOKEN = re.compile(
    r"\s*(?:(?P<number>-?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)|(?P<text>'[^']*'|\"[^\"]*\")|(?P<sign><=|>=|==|!=|=|<|>)"
    r"|(?P<bracket>[()])|(?P<name>p\([^()]*\)|[A-Za-z_]\w*))"
)
SIGNS: dict[str, Callable[[Any, Any], Any]] = {
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
    "==": np.equal,
    "=": np.equal,
    "!=": np.not_equal,
}
LONGEST = (
    150  # comparisons, words and brackets: no condition of a user is that long, and brackets in brackets need memory
)
WORDS = ("and", "or", "not")
HOW = "write comparisons of a column with a number or 'text', e.g. \"peak_mag < 19 and p(TDE) > 0.1\"; and, or, not and brackets join them"


@dataclass(frozen=True)
class Condition:
    """Which objects are meant.

    >>> Condition("mag < 19 or not (name == 'a')")({"mag": np.array([18.0, 20.0, np.nan]), "name": np.array(["a", "a", "b"])}).tolist()
    [True, False, True]

    Attributes:
        text: comparisons `COLUMN SIGN VALUE`, joined by `and`, `or`, `not` and brackets. A column is a word or a class
            probability, `p(SN Ia)`; a value is a number or a text in quotes; signs are < <= > >= == = !=.

    Raises:
        ValueError: it is no such text.
    """

    text: str

    def __post_init__(self) -> None:
        """Refuse what cannot be understood."""
        _ = self._tree()

    def __call__(self, columns: Columns) -> Array:
        """(n,) bool, the objects for which it holds; a missing value fulfils no comparison.

        Args:
            columns: (n,) values by name.

        Raises:
            ValueError: a column is not there, or a number is compared with a text.
        """
        return self._tree()(columns)

    def _tree(self) -> Callable[[Columns], Array]:
        reader = _Reader(self.text)
        if len(reader.tokens) > LONGEST:
            raise ValueError(
                f"condition '{shortened(self.text)}': it has {len(reader.tokens)} words and signs, but at most {LONGEST} are allowed"
            )
        found = reader.either()
        if reader.place < len(reader.tokens):
            raise ValueError(
                f"condition '{shortened(self.text)}': '{reader.tokens[reader.place][1]}' is not expected there; {HOW}"
            )
        return found


class _Reader:
    """Reads a condition from left to right: `or` joins what `and` joins, which `not` may precede."""

    def __init__(self, text: str):
        self.text, self.place = text, 0
        self.tokens = list(self._split())

    def either(self) -> Callable[[Columns], Array]:
        parts = [self._both()]
        while self._next("name", "or"):
            parts.append(self._both())
        return lambda columns: np.logical_or.reduce([part(columns) for part in parts])

    def _both(self) -> Callable[[Columns], Array]:
        parts = [self._one()]
        while self._next("name", "and"):
            parts.append(self._one())
        return lambda columns: np.logical_and.reduce([part(columns) for part in parts])

    def _one(self) -> Callable[[Columns], Array]:
        if self._next("name", "not"):
            inner = self._one()
            return lambda columns: ~inner(columns)
        if self._next("bracket", "("):
            inner = self.either()
            if not self._next("bracket", ")"):
                raise ValueError(f"condition '{shortened(self.text)}': a bracket is not closed; {HOW}")
            return inner
        return self._comparison()

    def _comparison(self) -> Callable[[Columns], Array]:
        name, sign = self._take("name"), self._take("sign")
        kind, value = self.tokens[self.place] if self.place < len(self.tokens) else ("", "")
        if name is None or name in WORDS or sign is None or kind not in ("number", "text"):
            raise ValueError(f"condition '{shortened(self.text)}': {HOW}")
        self.place += 1
        wanted = float(value) if kind == "number" else value[1:-1]
        return lambda columns: _compared(columns, name, sign, wanted)

    def _split(self) -> Any:
        place = 0
        while self.text[place:].strip():
            match = TOKEN.match(self.text, place)
            if match is None:
                raise ValueError(
                    f"condition '{shortened(self.text)}': '{shortened(self.text[place:].strip())}' is not understood; {HOW}"
                )
            place = match.end()
            assert match.lastgroup is not None
            yield match.lastgroup, match[match.lastgroup]

    def _next(self, kind: str, word: str) -> bool:
        """Whether this comes next; if so it is taken."""
        here = self.place < len(self.tokens) and self.tokens[self.place] == (kind, word)
        self.place += here
        return here

    def _take(self, kind: str) -> str | None:
        if self.place < len(self.tokens) and self.tokens[self.place][0] == kind:
            self.place += 1
            return str(self.tokens[self.place - 1][1])
        return None


def _compared(columns: Columns, name: str, sign: str, wanted: float | str) -> Array:
    if name not in columns:
        raise ValueError(f"condition: there is no column {name}; the columns are {', '.join(columns)}")
    values = np.asarray(columns[name])
    numeric = values.dtype.kind in "fiub"
    if numeric != isinstance(wanted, float):
        kinds = "numbers" if numeric else "text"
        raise ValueError(f"condition: {name} holds {kinds}, and {wanted!r} cannot be compared with it")
    known = ~np.asarray(pd.isna(values))
    if len(known) and not known.any():
        log.warning(
            "condition: %s is unknown for all %d objects, so none fulfils '%s %s ...'", name, len(known), name, sign
        )
    held: Array = SIGNS[sign](values if numeric else values.astype(str), wanted) & known
    return held
