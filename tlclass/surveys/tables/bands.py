"""The passband of each row of a table, from the filter's name and the columns on survey, instrument and telescope."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from tlclass.arrays import Array
from tlclass.lightcurves.passbands import Passbands
from tlclass.lightcurves.photometry import FACTS, plain_name
from tlclass.lightcurves.voids import is_blank
from tlclass.surveys.tables.cells import coded, text
from tlclass.surveys.tables.named import Named
from tlclass.surveys.tables.names import CONTEXT
from tlclass.surveys.tables.units import is_ab

_WORD = "(?<![a-z0-9]){}(?![a-z0-9])"  # a short name is no part of another word
_NAMED = re.compile(
    "|".join(
        [re.escape(name) for names in FACTS["systems"].values() for name in names]
        + [(_WORD if len(name) <= 4 else "{}").format(re.escape(name)) for name in FACTS["others"]]
    )
)


def passbands_of(rows: Named) -> tuple[Array, Array, dict[str, int]]:
    """(n,) uint8 codes of the rows' passbands, (n,) bool where they are known, and the others counted by reason.

    A name is only taken as one of the survey's passbands if no column says that another instrument took the row, or, where
    unknown passbands are dropped, that the row is of another system than AB.

    Raises:
        ValueError: a passband is unknown and the settings do not say to drop such rows.
    """
    names, passbands = text(rows["band"]), rows.form.passbands
    own = FACTS["band_columns"].get(plain_name(rows.found["band"]), {})
    if own:
        meant = {name: _meant(name, own, passbands) for name in set(names.tolist())}
        names = np.array([meant[name] for name in names.tolist()], dtype=object)
    context = {column: rows[name] for name, column in rows.found.items() if name.startswith(CONTEXT)}
    names = marked(names, strangers(context, passbands))
    if rows.form.unknown_passbands == "drop" and "zero_point_system" in rows:
        systems = text(rows["zero_point_system"])
        names = marked(names, np.array([("" if is_ab(system) else system) for system in systems], dtype=object))
    return passbands.resolved(names, rows.origin, rows.form.unknown_passbands)


def _meant(name: str, own: Mapping[str, str], passbands: Passbands) -> str:
    """The passband of a survey's own name; the name as it is where the passbands are of a card that calls its own as it likes."""
    meant = own.get(name, name)
    return name if passbands.systems.isdisjoint(FACTS["systems"]) and not passbands.knows(meant) else meant


def strangers(context: Mapping[str, pa.ChunkedArray], passbands: Passbands) -> Array | None:
    """(n,) text, who took each row, where that is another survey than the passbands are of; empty elsewhere.

    Args:
        context: the columns that may name it. passbands: those of the model or card.
    """
    ours = [name for system in passbands.systems for name in FACTS["systems"].get(system, ())]
    if not context or not ours:
        return None
    parts = [(_naming(name, values), codes) for name, (values, codes) in ((n, coded(c)) for n, c in context.items())]
    stated = [np.array([*values, ""], dtype=object)[codes] for values, codes in parts]
    is_ours = [_lookup(values, codes, lambda value: _has(value, ours)) for values, codes in parts]
    blank = [_lookup(values, codes, _is_nobody, True) for values, codes in parts]
    foreign = ~np.any(is_ours, axis=0) & ~np.all(blank, axis=0)
    first = stated[0]
    for values in stated[1:]:
        first = np.where(first == "", values, first)
    return np.where(foreign, first, "")


def _naming(column: str, values: list[str]) -> list[str]:
    """The values of a column that names who took a row; of one that may be about something else those that name a survey, others empty."""
    if plain_name(column) in FACTS["context_codes"]:
        codes = FACTS["context_codes"][plain_name(column)]
        return [codes.get(value.removesuffix(".0"), value) for value in values]
    if plain_name(column) in FACTS["context"]:
        return values
    return [value if _NAMED.search(value.casefold()) else "" for value in values]


def _is_nobody(value: str) -> bool:
    return is_blank(value) or value in ("na", "n/a", "unknown")


def _has(value: str, ours: Sequence[str]) -> bool:
    return any(name in value for name in ours)


def _lookup(values: list[str], codes: Array, judge: Any, missing: bool = False) -> Array:
    return np.array([*(judge(value.casefold()) for value in values), missing], dtype=bool)[codes]


def marked(names: Array, by: Array | None) -> Array:
    """Names with who or what they are of behind them, where that is another than the passbands are of."""
    if by is None or not (by != "").any():
        return names
    pairs = zip(names.tolist(), by.tolist(), strict=True)
    return np.array([f"{name} of {other}" if other else name for name, other in pairs], dtype=object)
