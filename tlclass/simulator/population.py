"""The sky: classes, cosmology, and redshifts drawn to a magnitude limit without wasted distant objects."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import Generator

from tlclass.arrays import Array
from tlclass.options import nearest
from tlclass.simulator.bands import Bands, band_flux
from tlclass.simulator.histories import evolve
from tlclass.simulator.parameters import Pair, record
from tlclass.simulator.transients import Gap, Transient

N_REDSHIFTS = 2000
PEAK_DRAWS = 96
PEAK_REDSHIFTS = 24
OVERSAMPLING = 4
LIMIT_SCATTER = 0.25  # mag, softness of the limit up to which objects are tried
DUST_DIMMING = 0.8  # mag of dimming per mag of A_V assumed when the limit is computed


@dataclass(frozen=True)
class Cosmology:
    """Flat universe.

    Attributes:
        hubble: km/s/Mpc.
        matter: present matter density in units of the critical one.
    """

    hubble: float
    matter: float

    def table(self, z: Array) -> tuple[Array, Array]:
        """Distance modulus (mag) and comoving volume element (Mpc^3 over the sky) at `z`, each (n,)."""
        universe = _universe(self.hubble, self.matter)
        volume = 4 * np.pi * np.asarray(universe.differential_comoving_volume(z).value)
        return np.asarray(universe.distmod(z).value), volume


@functools.cache
def _universe(hubble: float, matter: float) -> Any:
    """Built once: it takes as long as a table."""
    from astropy.cosmology import FlatLambdaCDM  # imported here: it takes seconds

    return FlatLambdaCDM(hubble, matter)


@dataclass(frozen=True)
class Population:
    """All classes of transients of a population file, in its order."""

    cosmology: Cosmology
    classes: tuple[Transient, ...]

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Population:
        """Build from the mapping with the keys `cosmology`, `scatter` and `classes`."""
        missing = sorted({"cosmology", "scatter", "classes"} - set(config))
        if missing:
            raise ValueError(f"population lacks the keys {', '.join(missing)}: add them")
        unknown = sorted(set(config) - {"cosmology", "scatter", "classes"})
        if unknown:
            raise ValueError(
                f"population has the unknown keys {', '.join(unknown)}: it takes cosmology, scatter and classes"
            )
        classes = [Transient.from_config(name, {**config["scatter"], **c}) for name, c in config["classes"].items()]
        return cls(record(Cosmology, config["cosmology"], "population.cosmology"), tuple(classes))

    def index(self, name: str) -> int:
        """Position of a class, which enters the random seeds."""
        names = [transient.name for transient in self.classes]
        if name not in names:
            raise ValueError(
                f"class {name!r} is not in the population{nearest(name, names)}: choose from {', '.join(names)}"
            )
        return names.index(name)


@dataclass(frozen=True)
class Limits:
    """To which magnitude objects are tried, and which are kept.

    Attributes:
        magnitude: mag, in units of the deepest band; fainter peaks are not tried.
        redshift: largest redshift.
        peak_magnitude: mag, objects must be observed brighter than this, or None.
        min_epochs: observations required inside the analysis window.
        peak_lead: days by which the trigger must precede maximum light, or None.
        peak_trail: days after maximum light at which the object must still be detected or later, or None.
    """

    magnitude: float
    redshift: float
    peak_magnitude: float | None = None
    min_epochs: int = 5
    peak_lead: float | None = None
    peak_trail: float | None = None


@dataclass(frozen=True)
class Volume:
    """Tables of one class in one survey, on N_REDSHIFTS redshifts.

    Attributes:
        redshift: grid.
        modulus: distance modulus, mag.
        visible: modulus plus the dimming of the band in which objects of this class are seen farthest;
            made increasing.
        cumulative: events per year (arbitrary units) out to each redshift, observer's time.
    """

    redshift: Array
    modulus: Array
    visible: Array
    cumulative: Array

    def draw(self, transient: Transient, limits: Limits, gap: Gap, rng: Generator, n: int) -> dict[str, Array]:
        """Draw `n` objects of a magnitude-limited survey, with their `redshift` and `modulus`.

        Objects are resampled in proportion to the volume in which each would be visible, then placed in it.
        """
        drawn = transient.draw(rng, OVERSAMPLING * n, gap)
        limit = limits.magnitude + LIMIT_SCATTER * rng.standard_normal(OVERSAMPLING * n)
        if limits.peak_magnitude is not None:
            limit = np.minimum(limit, limits.peak_magnitude + LIMIT_SCATTER)
        farthest = limit - transient.effective_magnitude(drawn) - DUST_DIMMING * drawn["host_av"]
        volume = np.interp(np.interp(farthest, self.visible, self.redshift), self.redshift, self.cumulative)
        chosen = resample(volume, rng, n)
        objects = {name: values[chosen] for name, values in drawn.items()}
        objects["redshift_limit"] = np.interp(farthest[chosen], self.visible, self.redshift)
        objects["redshift"] = np.interp(rng.random(n) * volume[chosen], self.cumulative, self.redshift)
        objects["modulus"] = np.interp(objects["redshift"], self.redshift, self.modulus)
        return objects


def resample(weight: Array, rng: Generator, n: int) -> Array:
    """Choose `n` indices in proportion to `weight`, with as few repeats as possible, in random order."""
    total = np.cumsum(weight)
    picks = (np.arange(n) + rng.random()) / n * total[-1]
    return rng.permutation(np.minimum(np.searchsorted(total, picks), weight.size - 1))


@functools.lru_cache(256)  # surveys of other sizes, and the parts and roles of one, have the same tables
def volume_tables(
    transient: Transient,
    cosmology: Cosmology,
    limits: Limits,
    gap: Gap,
    edges: tuple[Pair, ...],
    depth: tuple[float, ...],
    seed: int,
) -> Volume:
    """The tables of one class; `edges` are the half-power points of each band in um, `depth` is its m5 in mag."""
    bands = Bands.top_hats(list(edges), nodes=2)
    z, modulus, element = distances(cosmology, limits.redshift)
    density = transient.rate.at(z) * element / (1 + z)
    cumulative = np.cumsum(0.5 * (density + np.append(0.0, density[:-1])) * np.diff(z, prepend=0.0))
    coarse = limits.redshift * (np.arange(PEAK_REDSHIFTS) / (PEAK_REDSHIFTS - 1)) ** 1.5
    dimming = peak_dimming(transient, gap, bands, np.array(depth), coarse, np.random.default_rng([seed, 1_000_001]))
    visible = np.maximum.accumulate(modulus + np.interp(z, coarse, dimming))
    return Volume(z, modulus, visible + 1e-9 * np.arange(z.size), cumulative)


@functools.lru_cache(64)  # all classes of a survey have the same
def distances(cosmology: Cosmology, farthest: float) -> tuple[Array, Array, Array]:
    """Redshifts up to `farthest`, denser where they are small, with `Cosmology.table` of them; each (N_REDSHIFTS,)."""
    z = farthest * (np.arange(1, N_REDSHIFTS + 1) / N_REDSHIFTS) ** 2
    return z, *cosmology.table(z)


def peak_dimming(transient: Transient, gap: Gap, bands: Bands, depth: Array, redshifts: Array, rng: Generator) -> Array:
    """Peak magnitude minus (M + modulus) in the most favourable band, in units of the deepest, per redshift.

    This holds the K correction and the depths; it is the 25th percentile over PEAK_DRAWS objects.
    """
    drawn = transient.draw(rng, PEAK_DRAWS, gap)
    histories = evolve(transient, drawn, rng)
    grid = transient.duration * (np.arange(4, 104, 4) / 127.0) ** histories.power
    shape = (PEAK_DRAWS, len(depth), grid.size)
    objects, band, phase = (axis.ravel() for axis in np.broadcast_arrays(*np.ix_(*(np.arange(s) for s in shape))))
    offset = drawn["peak_magnitude"] - transient.effective_magnitude(drawn)
    dimming = np.empty((len(redshifts), PEAK_DRAWS))
    for number, z in enumerate(redshifts):
        flux = band_flux(histories, bands, np.full(PEAK_DRAWS, z), (objects, band, grid[phase]))
        brightest = np.maximum(flux.reshape(shape).max(axis=2), 1e-12)
        magnitude = (-2.5 * np.log10(brightest) - (depth - depth.max())).min(axis=1)
        dimming[number] = magnitude + offset
    return np.asarray(np.percentile(dimming, 25, axis=1))
