"""The passband of each row of a table, from the filter's name and the columns on survey, instrument and telescope."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tlclass.lightcurves.passbands import Passbands
from tlclass.lightcurves.photometry import FACTS, plain_name
from tlclass.surveys.tables.cells import BLANK, coded, text
from tlclass.surveys.tables.columns import CONTEXT, Form
from tlclass.surveys.tables.units import is_ab

Array = npt.NDArray[Any]
Columns = Mapping[str, pa.ChunkedArray]


def passbands_of(
    column: Columns, found: Mapping[str, str], form: Form, origin: str
) -> tuple[Array, Array, dict[str, int]]:
    """(n,) uint8 codes of the rows' passbands, (n,) bool where they are known, and the others counted by reason.

    A name is only taken as one of the survey's passbands if no column says that another instrument took the row, or, where
    unknown passbands are dropped, that the row is of another system than AB.

    Raises:
        ValueError: a passband is unknown and the settings do not say to drop such rows.
    """
    names = text(column["band"])
    own = FACTS["band_columns"].get(plain_name(found["band"]), {})
    if own:
        meant = {name: _meant(name, own, form.passbands) for name in set(names.tolist())}
        names = np.array([meant[name] for name in names.tolist()], dtype=object)
    context = [column[name] for name in found if name.startswith(CONTEXT)]
    names = _marked(names, _strangers(context, form.passbands))
    if form.unknown_passbands == "drop" and "zero_point_system" in column:
        systems = text(column["zero_point_system"])
        names = _marked(names, np.array([("" if is_ab(system) else system) for system in systems], dtype=object))
    return form.passbands.resolved(names, origin, form.unknown_passbands)


def _meant(name: str, own: Mapping[str, str], passbands: Passbands) -> str:
    """The passband of a survey's own name; the name as it is where the passbands are of a card that calls its own as it likes."""
    meant = own.get(name, name)
    return name if passbands.systems.isdisjoint(FACTS["systems"]) and not passbands.knows(meant) else meant


def _strangers(context: list[pa.ChunkedArray], passbands: Passbands) -> Array | None:
    """(n,) who took each row, where that is another survey than the passbands are of; empty elsewhere."""
    ours = [name for system in passbands.systems for name in FACTS["systems"].get(system, ())]
    if not context or not ours:
        return None
    parts = [(values, codes) for values, codes in map(coded, context)]
    stated = [np.array([*values, ""], dtype=object)[codes] for values, codes in parts]
    is_ours = [_lookup(values, codes, lambda value: any(name in value for name in ours)) for values, codes in parts]
    blank = [_lookup(values, codes, lambda value: value in BLANK, True) for values, codes in parts]
    foreign = ~np.any(is_ours, axis=0) & ~np.all(blank, axis=0)
    first = stated[0]
    for values in stated[1:]:
        first = np.where(first == "", values, first)
    return np.where(foreign, first, "")


def _lookup(values: list[str], codes: Array, judge: Any, missing: bool = False) -> Array:
    return np.array([*(judge(value.casefold()) for value in values), missing], dtype=bool)[codes]


def _marked(names: Array, by: Array | None) -> Array:
    """Names with who or what they are of behind them, where that is another than the passbands are of."""
    if by is None or not (by != "").any():
        return names
    pairs = zip(names.tolist(), by.tolist(), strict=True)
    return np.array([f"{name} of {other}" if other else name for name, other in pairs], dtype=object)
