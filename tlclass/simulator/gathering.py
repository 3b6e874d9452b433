"""Chunks of all classes as light curves: classes in the order of the mix, objects in order of generation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Protocol

import numpy as np

from tlclass.lightcurves.curves import LightCurves, concatenate
from tlclass.simulator.chunks import Chunks, Observer
from tlclass.simulator.instrument import Band

Progress = Callable[[int, int], None]


class Simulated(Protocol):
    """What is to be simulated: `Simulation`, or several that look at one sky."""

    @property
    def name(self) -> str:
        """The first part of the objects' names."""

    @property
    def n_jobs(self) -> int:
        """Processes."""

    @property
    def bands(self) -> Mapping[str, Band]:
        """Pass bands by name, in the order of their codes."""

    def counts(self) -> dict[str, int]:
        """Objects per class."""


def observed_in_parts(
    simulation: Simulated, observer: Observer, rows: int | None, progress: Progress | None = None
) -> Iterator[LightCurves]:
    """What an observer sees of the objects of a simulation, about so many observations at a time; None: all at once."""
    counts = {name: count for name, count in simulation.counts().items() if count > 0}
    total, done = sum(counts.values()), 0
    held: list[LightCurves] = []
    with Chunks(observer, simulation.n_jobs) as chunks:
        for name, count in counts.items():
            number = 0
            for observed in chunks.of_class(name, count):
                held.append(_named(observed, simulation.name, name, number))
                number, done = number + len(observed), done + len(observed)
                if progress is not None:
                    progress(done, total)
                if rows is not None and sum(len(part.mjd) for part in held) >= rows:
                    yield concatenate(held)
                    held = []
    if held:
        yield concatenate(held)


def _named(curves: LightCurves, survey: str, label: str, number: int) -> LightCurves:
    """Light curves of one class, the first of which has this number in it."""
    names = np.array([f"{survey}-{label}-{number + k:07d}" for k in range(len(curves))], dtype=str)
    return replace(curves, object_id=names, label=np.full(len(curves), label))
