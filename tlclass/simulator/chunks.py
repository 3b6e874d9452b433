"""Simulate chunk by chunk, in this process or in several: the result is the same."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Protocol, Self

import numpy as np

from tlclass import stopping
from tlclass.lightcurves.curves import LightCurves

CHUNK = 1024  # trials of one class drawn from one random stream; never change it for the last chunk
AHEAD = 8  # chunks per process that may wait to be collected


class Observer(Protocol):
    """What is observed with: it can be pickled, and a chunk depends on nothing but its number."""

    def observe(self, name: str, chunk: int) -> LightCurves:
        """Accepted objects of one chunk of class `name`, without names and labels."""


class Chunks:
    """Context that observes chunk by chunk, in this process or in a pool of them.

    Args:
        observer: observes a chunk.
        n_jobs: processes.
    """

    def __init__(self, observer: Observer, n_jobs: int) -> None:
        """Start the processes, if more than one is wanted."""
        self.observer = observer
        self.executor: ProcessPoolExecutor | None = None
        self.ahead = AHEAD * n_jobs if n_jobs > 1 else 1  # chunks that are held at most
        if n_jobs > 1:
            self.executor = ProcessPoolExecutor(n_jobs, get_context("spawn"), _start_worker, (observer, os.getpid()))

    def __enter__(self) -> Self:
        """Nothing more to start."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the processes."""
        if self.executor is not None:
            self.executor.shutdown(cancel_futures=True)

    def of_class(self, name: str, wanted: int) -> Iterator[LightCurves]:
        """Chunks with `wanted` accepted objects of class `name` in all.

        Raises:
            ValueError: hardly any object of the class passes.
        """
        found, chunk, accepted = 0, 0, 0.5
        while found < wanted:
            wave = max(1, round((wanted - found) / (CHUNK * max(accepted, 0.02))))
            wave = min(wave, self.ahead)
            for batch in self._observe(name, range(chunk, chunk + wave)):
                stopping.check()
                if found < wanted:
                    yield batch.take(np.arange(min(len(batch), wanted - found)))
                    found += min(len(batch), wanted - found)
            chunk += wave
            accepted = found / (chunk * CHUNK)
            if found == 0 and chunk >= 20:
                raise ValueError(
                    f"none of {chunk * CHUNK} simulated objects of class {name} was detected within the survey's trigger and limits: set mix.{name}=0, or "
                    "loosen trigger or limits"
                )

    def _observe(self, name: str, chunks: range) -> Iterator[LightCurves]:
        if self.executor is None:
            return (self.observer.observe(name, chunk) for chunk in chunks)
        return self.executor.map(_observe_in_worker, [name] * len(chunks), chunks)


_worker: dict[str, Observer] = {}


def _start_worker(observer: Observer, parent: int) -> None:
    stopping.end_with(parent)
    _worker["observer"] = observer


def _observe_in_worker(name: str, chunk: int) -> LightCurves:
    return _worker["observer"].observe(name, chunk)
