"""One sky that several simulated surveys observe: the same objects, each survey with its own cadence, depth and noise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from tlclass.lightcurves.by_survey import SEEN_BY, named_surveys
from tlclass.lightcurves.curves import OBSERVATION_DTYPES, LightCurves, with_passbands
from tlclass.lightcurves.selection import Selection
from tlclass.lightcurves.taxonomy import Taxonomy
from tlclass.simulator.gathering import Progress, observed_in_parts
from tlclass.simulator.instrument import Band
from tlclass.simulator.survey import VERSION, Observatory, Simulation
from tlclass.surveys import Survey
from tlclass.surveys.joint.reader import joint_facts

SKY = ("population", "mix", "classes", "gap", "seed", "n_objects", "full_size")  # decided by the sky, not by who looks


@dataclass(frozen=True)
class JointSimulation:
    """Simulated surveys of one sky.

    An object enters if one survey accepts it by its own limits, with the observations of every survey that detects it. What exists
    (population, classes and their numbers, seed, magnitude and redshift limit) is the same in all; the first survey's bands give the
    magnitude limit its meaning, its calendar the dates. The draws are those of the first survey alone, then come each survey's.

    Attributes:
        name: the first part of the objects' names.
        surveys: name -> simulation.
    """

    name: str
    surveys: Mapping[str, Simulation]
    version: int = VERSION

    def __post_init__(self) -> None:
        """Refuse surveys of different skies."""
        first, *others = self.surveys
        for other in others:
            ours, theirs = self.surveys[first], self.surveys[other]
            differ = [key for key in SKY if getattr(ours, key) != getattr(theirs, key)]
            hosts = [one.hosts for one in (self.surveys[first], self.surveys[other]) if one.hosts is not None]
            differ += ["hosts"] if len(set(hosts)) > 1 else []  # one of them may leave out what the other states
            differ += [f"limits.{key}" for key in ("magnitude", "redshift") if _limit(ours, key) != _limit(theirs, key)]
            if differ:
                raise ValueError(
                    f"{self.name}: the surveys {first} and {other} observe one sky, but differ in {', '.join(differ)}: set surveys.{first}."
                    f"{differ[0]}, which the card passes to the others, or give both the same value"
                )

    @property
    def first(self) -> Simulation:
        """The survey whose settings stand for the sky."""
        return next(iter(self.surveys.values()))

    @property
    def seed(self) -> int:
        """Of everything random."""
        return self.first.seed

    @property
    def n_jobs(self) -> int:
        """Processes."""
        return self.first.n_jobs

    @property
    def bands(self) -> dict[str, Band]:
        """Pass bands of all surveys."""
        return dict(chain.from_iterable(survey.bands.items() for survey in self.surveys.values()))

    def counts(self) -> dict[str, int]:
        """Objects per class."""
        return self.first.counts()

    def files(self) -> list[Path]:
        """No files are read."""
        return []

    def read(self) -> LightCurves:
        """Simulate."""
        (curves,) = self._in_parts(None, None)
        return curves

    def read_parts(self, rows: int, progress: Progress | None = None) -> Iterator[LightCurves]:
        """What `read` simulates, about so many observations at a time."""
        return self._in_parts(rows, progress)

    def _in_parts(self, rows: int | None, progress: Progress | None) -> Iterator[LightCurves]:
        for curves in observed_in_parts(self, Observatories(self.surveys), rows, progress):
            extra = dict(curves.extra)
            seen = np.stack([extra.pop(_seen(name)) for name in self.surveys], axis=1)
            yield replace(curves, extra={**extra, SEEN_BY: named_surveys(seen, tuple(self.surveys))})


class Observatories:
    """Surveys ready to observe the same objects.

    Args:
        surveys: name -> simulation.
    """

    def __init__(self, surveys: Mapping[str, Simulation]) -> None:
        """Draw the pools."""
        self.each = {name: Observatory(simulation) for name, simulation in surveys.items()}

    def observe(self, name: str, chunk: int) -> LightCurves:
        """The objects of one chunk of class `name` that one of the surveys accepts; see `tlclass.simulator.chunks.Observer`."""
        seen = self.look(name, chunk)
        accepted = np.logical_or.reduce([one.accepted for one in seen.values()])
        return _together({k: one.of(accepted, tuple(self.each[k].simulation.bands)) for k, one in seen.items()})

    def look(self, name: str, chunk: int) -> dict[str, Any]:
        """What each survey sees of one chunk of class `name`, `Seen` by survey."""
        first = next(iter(self.each.values()))
        key = [first.simulation.seed, first.simulation.population.index(name), chunk]
        hosts = next((one.simulation.hosts for one in self.each.values() if one.simulation.hosts is not None), None)
        objects = first.draw(name, np.random.default_rng(key), hosts)
        return {
            survey: observatory.look(objects, np.random.default_rng([*key, number + 1]))
            for number, (survey, observatory) in enumerate(self.each.items())
        }


def _together(observed: Mapping[str, LightCurves]) -> LightCurves:
    """The observations of the same objects by several surveys, in order of time."""
    parts = list(observed.values())
    names = tuple(dict.fromkeys(chain.from_iterable(part.passbands for part in parts)))
    parts = [with_passbands(part, names) for part in parts]
    order = np.lexsort([np.concatenate([getattr(part, key) for part in parts]) for key in ("mjd", "owner")])
    columns = (*OBSERVATION_DTYPES, "passband")
    flat: dict[str, Any] = {name: np.concatenate([getattr(p, name) for p in parts])[order] for name in columns}
    extra = dict(parts[0].extra)
    extra["days_trigger_to_peak"] = np.fmax.reduce([part.extra["days_trigger_to_peak"] for part in parts])
    extra |= {_seen(name): part.lengths > 0 for name, part in observed.items()}
    trigger = np.fmin.reduce([part.trigger_mjd for part in parts])  # the earliest
    offsets = np.sum([part.offsets for part in parts], axis=0)
    return replace(parts[0], **flat, offsets=offsets, trigger_mjd=trigger, extra=extra)


def _seen(survey: str) -> str:
    """The column that says whether a survey has observations of an object."""
    return f"seen by {survey}"


def _limit(simulation: Simulation, key: str) -> float:
    return float(getattr(simulation.limits, key))


def joint_simulated_survey(
    name: str, surveys: Mapping[str, Survey], taxonomy: Taxonomy, selection: Selection, **facts: Any
) -> Survey:
    """Build the survey of a card such as `conf/survey/joint_simulated.yaml`.

    Args:
        name: of the survey. surveys: name -> simulated survey.
        taxonomy, selection: see `tlclass.surveys.joint_survey`. facts: see `tlclass.surveys.joint.reader.joint_facts`.

    Raises:
        ValueError: a survey is not of the built-in simulator, or they are of different skies.
    """
    others = [one for one, survey in surveys.items() if not isinstance(survey.reader, Simulation)]
    if others:
        raise ValueError(
            f"{name}: {', '.join(others)} is not simulated here: build the card with _target_: tlclass.surveys.joint_survey"
        )
    readers = {one: survey.reader for one, survey in surveys.items() if isinstance(survey.reader, Simulation)}
    known = joint_facts(name, surveys, taxonomy, selection, **{"simulated": True, **facts})
    return Survey(name, JointSimulation(name, readers), **known)
