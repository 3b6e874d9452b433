"""Merge the light curves of several surveys: the observations of equal object ids are one light curve."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from tlclass.arrays import Array
from tlclass.lightcurves.by_survey import SEEN_BY, named_surveys
from tlclass.lightcurves.curves import (
    HOST_NUMBERS,
    OBJECT_NUMBERS,
    OBSERVATION_DTYPES,
    SIMULATED,
    LightCurves,
    from_columns,
    settled,
    sum_dropped,
    texts,
    with_passbands,
)
from tlclass.lightcurves.taxonomy import Taxonomy

TRIGGER = "trigger_mjd"


def merged(parts: Mapping[str, LightCurves], taxonomy: Taxonomy, origin: str) -> LightCurves:
    """One light curve per object id, in the order in which the ids first come, observations in order of time.

    Metadata are those of the first survey that knows them (of a host the best redshift), the survey's own trigger is the earliest. The extra column `seen_by`
    names the surveys with observations of an object; others are kept where all surveys have them.

    Args:
        parts: survey -> light curves; within one an id may stand more than once, where a cross-match says so.
        taxonomy: labels agree where they belong to the same class.
        origin: what to call all of them in messages.

    Raises:
        ValueError: two surveys state labels of different classes for an object.
    """
    rows = _Rows(parts)
    refuse_disagreement(rows, taxonomy, origin)
    objects: dict[str, Array] = {"object_id": rows.object_id, "label": rows.first("label", lambda label: label != "")}
    for name in (name for name in OBJECT_NUMBERS if name not in HOST_NUMBERS):
        objects[name] = rows.earliest() if name == TRIGGER else rows.first(name, np.isfinite)
    hosts = settled({name: rows.column(name) for name in HOST_NUMBERS}, rows.owner, len(rows.object_id))
    objects |= {name: hosts[name] for name in HOST_NUMBERS}
    shared = set.intersection(*(set(part.extra) for part in parts.values())) - {SIMULATED}
    for name in (name for name in next(iter(parts.values())).extra if name in shared):
        objects[name] = rows.first(name, lambda values: np.ones(len(values), dtype=bool))
    if any(SIMULATED in part.extra for part in parts.values()):
        objects[SIMULATED] = rows.any_of({name: part.extra.get(SIMULATED) for name, part in parts.items()})
    objects[SEEN_BY] = named_surveys(rows.seen(), tuple(parts))
    dropped = sum_dropped(part.dropped for part in parts.values())
    return from_columns(objects, rows.observations(), rows.passbands, origin, dropped, part=True)


class _Rows:
    """The objects of all surveys one below the other, and which joint object each row is.

    Attributes:
        object_id: (n,) str, distinct, in the order in which they first come.
        owner: (m,) place of each row's object in `object_id`.
        survey: (m,) place of its survey.
        passbands: of all surveys.
    """

    def __init__(self, parts: Mapping[str, LightCurves]):
        self.parts = dict(parts)
        ids = np.concatenate([part.object_id for part in parts.values()])
        names, first, place = np.unique(ids, return_index=True, return_inverse=True)
        order = np.argsort(first, kind="stable")
        rank = np.empty(len(order), dtype=np.int64)
        rank[order] = np.arange(len(order))
        self.object_id, self.owner = names[order], rank[place]
        self.survey = np.repeat(np.arange(len(parts)), [len(part) for part in parts.values()])
        self.passbands = tuple(dict.fromkeys(name for part in parts.values() for name in part.passbands))

    def column(self, name: str) -> Array:
        """(m,) a column of objects."""
        return np.concatenate([part.object_columns()[name] for part in self.parts.values()])

    def first(self, name: str, known: Any) -> Array:
        """(n,) the value of the first row that knows it; the first row's where none does."""
        values = self.column(name)
        order = np.lexsort((np.arange(len(values)), ~known(values), self.owner))
        return values[order[np.searchsorted(self.owner[order], np.arange(len(self.object_id)))]]

    def earliest(self) -> Array:
        """(n,) the first of the surveys' own triggers, NaN where none is known."""
        found = np.full(len(self.object_id), np.nan)
        np.fmin.at(found, self.owner, self.column(TRIGGER))
        return found

    def any_of(self, columns: Mapping[str, Array | None]) -> Array:
        """(n,) bool, whether a row of the object has it; a survey without the column has it nowhere."""
        held = [
            np.zeros(len(part), dtype=bool) if columns[name] is None else np.asarray(columns[name], dtype=bool)
            for name, part in self.parts.items()
        ]
        found = np.zeros(len(self.object_id), dtype=bool)
        np.logical_or.at(found, self.owner, np.concatenate(held))
        return found

    def seen(self) -> Array:
        """(n, surveys) bool, which surveys have observations of each object."""
        seen = np.zeros((len(self.object_id), len(self.parts)), dtype=bool)
        has = np.concatenate([part.lengths for part in self.parts.values()]) > 0
        seen[self.owner[has], self.survey[has]] = True
        return seen

    def observations(self) -> dict[str, Array]:
        """All observations, as `from_columns` takes them."""
        parts = list(self.parts.values())
        starts = np.concatenate([[0], np.cumsum([len(part) for part in parts])])
        columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in OBSERVATION_DTYPES}
        columns["passband"] = np.concatenate([with_passbands(part, self.passbands).passband for part in parts])
        rows = [part.owner + start for part, start in zip(parts, starts, strict=False)]
        return {**columns, "owner": self.owner[np.concatenate(rows)]}


def refuse_disagreement(rows: _Rows, taxonomy: Taxonomy, origin: str) -> None:
    """Raise ValueError if two surveys give an object labels of different classes; a label that is not known is a class of its own."""
    label = texts(rows.column("label"), f"{origin}: labels")
    names, place = np.unique(label, return_inverse=True)
    index = [taxonomy.index_of(str(name).strip()) for name in names]
    code = np.array([len(taxonomy.classes) + k if one is None else one for k, one in enumerate(index)])[place]
    stated = label != ""
    low, high = np.full(len(rows.object_id), np.iinfo(np.int64).max), np.full(len(rows.object_id), -2)
    np.minimum.at(low, rows.owner[stated], code[stated])
    np.maximum.at(high, rows.owner[stated], code[stated])
    wrong = np.flatnonzero((high > -2) & (low != high))
    if len(wrong):
        surveys = tuple(rows.parts)
        of = np.flatnonzero((rows.owner == wrong[0]) & stated)
        said = " and ".join(f"'{label[row]}' in {surveys[rows.survey[row]]}" for row in of)
        raise ValueError(
            f"{origin}: the labels of {len(wrong)} object(s) disagree, e.g. {rows.object_id[wrong[0]]} is {said}: correct the tables of "
            "labels, or the cross-match"
        )
