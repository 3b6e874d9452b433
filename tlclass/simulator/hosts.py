"""Host galaxies: the photometric redshifts that a catalogue states."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.random import Generator

from tlclass.arrays import Array
from tlclass.lightcurves.curves import known_hosts

FARTHEST_STATED = 3.0  # photometric redshift that a catalogue states of one that has nothing to do with the true one


@dataclass(frozen=True)
class Hosts:
    """What is known of the redshifts of host galaxies from their colours.

    A catalogue states a redshift and its standard deviation. A part of the galaxies is well measured. The colours of the others fit
    several redshifts: their standard deviation is large, and the stated redshift is near the true one or anywhere.

    Attributes:
        known: share of the objects that have one.
        error, spread: of well measured ones, median of the stated standard deviation over 1 + z, and sigma of its log.
        poor: share of the poorly measured ones. poor_error, poor_spread: the same of them.
        error_scale, poor_scale: true error over the stated one, of well and of poorly measured ones.
        outliers: share of the poorly measured ones whose stated redshift has nothing to do with the true one.
    """

    known: float = 1.0
    error: float = 0.02
    spread: float = 0.5
    poor: float = 0.0
    poor_error: float = 0.3
    poor_spread: float = 0.5
    error_scale: float = 1.0
    poor_scale: float = 1.0
    outliers: float = 0.0

    def __post_init__(self) -> None:
        """Refuse shares and errors that mean nothing."""
        for field in fields(self):
            value = getattr(self, field.name)
            most = 1.0 if field.name in ("known", "poor", "outliers") else np.inf
            if isinstance(value, bool) or not 0 <= value <= most:
                raise ValueError(f"hosts.{field.name} is {value}: choose 0 {'to 1' if most == 1 else 'or more'}")

    def draw(self, redshift: Array, rng: Generator) -> tuple[Array, Array]:
        """Photometric redshifts of objects at these (n,) redshifts, and their standard deviations; NaN where unknown."""
        n = len(redshift)
        poor = rng.random(n) < self.poor
        spread = np.where(poor, self.poor_spread, self.spread) * rng.standard_normal(n)
        error = np.where(poor, self.poor_error, self.error) * np.exp(spread) * (1 + redshift)
        scale = np.where(poor, self.poor_scale, self.error_scale)
        stated = np.abs(redshift + scale * error * rng.standard_normal(n))
        wrong = poor & (rng.random(n) < self.outliers)
        stated = np.where(wrong, rng.uniform(0, FARTHEST_STATED, n), stated)
        unknown = rng.random(n) >= self.known
        photoz, errors = known_hosts(np.where(unknown, np.nan, stated), error).values()
        return photoz, errors
