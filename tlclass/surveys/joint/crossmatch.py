"""A cross-match table: which object of one survey is which object of another."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tlclass.arrays import Array
from tlclass.surveys.tables.cells import identifiers
from tlclass.surveys.tables.files import existing, read_table, schema_of

JOINT_ID = "object_id"  # column of the table: what the object is to be called


@dataclass(frozen=True)
class Matches:
    """What the objects of each survey are called together; without any, as their survey calls them: equal ids are one object.

    Attributes:
        known: survey -> its ids, ascending. called: survey -> what each of these is called.
    """

    known: Mapping[str, Array] = field(default_factory=dict)
    called: Mapping[str, Array] = field(default_factory=dict)

    def renamed(self, survey: str, object_id: Array) -> Array:
        """(n,) str, what these objects of a survey are called; one that the table does not list keeps its id."""
        known, called = self.known.get(survey), self.called.get(survey)
        if known is None or called is None or not len(known):
            return object_id
        place = np.minimum(np.searchsorted(known, object_id), len(known) - 1)
        return np.where(known[place] == object_id, called[place], object_id)


def read_matches(path: Path, surveys: Sequence[str]) -> Matches:
    """The cross-match of a Parquet or CSV table: a row per object, a column of ids per survey, empty where it has none.

    An object is called what the column `object_id` says, else as the first of the surveys that has it calls it. Several rows may
    name the same object, where a survey split it.

    Args:
        path: the table.
        surveys: their names, in order.

    Raises:
        FileNotFoundError: the table is not there.
        ValueError: it has no columns of two of the surveys, or an id stands for two objects.
    """
    columns = schema_of(existing(Path(path))).names
    named = [survey for survey in surveys if survey in columns]
    if len(named) < 2:
        raise ValueError(
            f"{path} has the columns {', '.join(columns)}: a cross-match has a column of ids for each survey, called {', '.join(surveys)}"
        )
    wanted = [name for name in (JOINT_ID, *named) if name in columns]
    table = read_table(path, wanted, text=wanted, ids=wanted)
    ids = {name: identifiers(table[name], name, str(path)).astype(str) for name in wanted}
    called = np.full(len(table), "", dtype=object)
    for name in wanted:
        called = np.where(called == "", ids[name], called)
    pairs = {name: _of_survey(ids[name], called.astype(str), f"{path}: column {name}") for name in named}
    return Matches({name: pair[0] for name, pair in pairs.items()}, {name: pair[1] for name, pair in pairs.items()})


def _of_survey(object_id: Array, called: Array, what: str) -> tuple[Array, Array]:
    """The distinct ids of a survey, ascending, and what each is called."""
    pairs = np.unique(np.stack([object_id, called], axis=1)[object_id != ""], axis=0)
    twice = np.flatnonzero(pairs[1:, 0] == pairs[:-1, 0])
    if len(twice):
        first, second = pairs[twice[0]], pairs[twice[0] + 1]
        raise ValueError(
            f"{what}: {first[0]} is matched to both {first[1]} and {second[1]}: leave one of these rows out"
        )
    return pairs[:, 0], pairs[:, 1]
