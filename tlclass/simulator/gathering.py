"""Chunks of all classes as light curves: classes in the order of the mix, objects in order of generation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from tlclass.lightcurves.curves import LightCurves
from tlclass.simulator.chunks import Chunks, Observed, Observer
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
    held: list[_Batch] = []
    with Chunks(observer, simulation.n_jobs) as chunks:
        for name, count in counts.items():
            number = 0
            for observed in chunks.of_class(name, count):
                held.append(_Batch(name, number, observed))
                number, done = number + observed.counts.size, done + observed.counts.size
                if progress is not None:
                    progress(done, total)
                if rows is not None and sum(batch.observed.mjd.size for batch in held) >= rows:
                    yield _collect(simulation, held)
                    held = []
    if held:
        yield _collect(simulation, held)


@dataclass(frozen=True)
class _Batch:
    """Objects of one class, the first of which has this number in it."""

    name: str
    number: int
    observed: Observed

    @property
    def object_id(self) -> list[str]:
        """Class and number of each object."""
        return [f"{self.name}-{self.number + k:07d}" for k in range(self.observed.counts.size)]


def _collect(simulation: Simulated, held: list[_Batch]) -> LightCurves:
    batches = [batch.observed for batch in held]
    counts = np.concatenate([batch.counts for batch in batches])
    columns = {key: np.concatenate([b.columns[key] for b in batches]) for key in batches[0].columns}
    unknown = np.full(counts.size, np.nan)
    return LightCurves(
        passbands=tuple(simulation.bands),
        mjd=np.concatenate([batch.mjd for batch in batches]),
        passband=np.concatenate([batch.band for batch in batches]),
        flux=np.concatenate([batch.flux for batch in batches]),
        flux_err=np.concatenate([batch.flux_err for batch in batches]),
        detected=np.concatenate([batch.detected for batch in batches]),
        offsets=np.append(0, np.cumsum(counts)).astype(np.int64),
        object_id=np.array([f"{simulation.name}-{name}" for batch in held for name in batch.object_id]),
        label=np.concatenate([np.full(batch.observed.counts.size, batch.name) for batch in held]),
        mwebv=columns.pop("mwebv"),
        ra=unknown,
        dec=unknown.copy(),
        redshift=columns.pop("redshift"),
        host_photoz=columns.pop("host_photoz"),
        host_photoz_err=columns.pop("host_photoz_err"),
        trigger_mjd=columns.pop("trigger_mjd"),
        extra=columns,
    )
