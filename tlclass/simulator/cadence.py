"""The cadence of a survey: a pool of pointings with dates, bands and depths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import Generator

from tlclass.arrays import Array
from tlclass.simulator.parameters import Pair, record

FULL_MOON = 58504.22  # MJD of the full moon of 2019 January 21
LUNATION = 29.530588  # d
YEAR = 365.25  # d
SPACING = 1e5  # d between pointings on the search key; longer than any survey


@dataclass(frozen=True)
class MoonShare:
    """How often a band is used for a given illumination of the moon.

    The factor is `dark` below `threshold`, else `bright`, plus `slope` times the illumination.
    """

    threshold: float = 1.0
    dark: float = 1.0
    bright: float = 1.0
    slope: float = 0.0

    def at(self, illumination: Array) -> Array:
        """Relative number of visits at `illumination`, 0 to 1."""
        step = np.where(illumination < self.threshold, self.dark, self.bright)
        return np.asarray(step + self.slope * illumination)


@dataclass(frozen=True)
class Weather:
    """Which nights are lost, and how depth varies.

    Attributes:
        lost: fraction of nights lost.
        stay: probability that the night after a lost one is lost too.
        night: (mean, sd) mag, offset of the depth of a whole night.
        field: sd in mag of the depth between pointings.
        visit: sd in mag of the depth between visits.
        poor: (fraction, mag) of visits that are shallower.
    """

    lost: float
    stay: float
    night: Pair
    field: float
    visit: float
    poor: Pair = (0.0, 0.0)

    def good_nights(self, rng: Generator, shape: tuple[int, int]) -> Array:
        """Draw which nights are usable, (pointings, nights) bool: a two-state Markov chain."""
        become = self.lost * (1 - self.stay) / (1 - self.lost)
        draws = rng.random(shape)
        lost = np.empty(shape, bool)
        lost[:, 0] = draws[:, 0] < self.lost
        for night in range(1, shape[1]):
            lost[:, night] = draws[:, night] < np.where(lost[:, night - 1], self.stay, become)
        return ~lost


@dataclass(frozen=True)
class Cadence:
    """Base of the cadences.

    Attributes:
        kind: `nightly` or `pairs`.
        start: MJD of the first night.
        length: days.
        pointings: size of the pool.
        season: (shortest, longest) days a year in which a pointing is visible.
        hours: (first, last) fraction of a day between which visits happen.
        weather: lost nights and scatter of depth.
    """

    kind: str
    start: float
    length: int
    pointings: int
    season: Pair
    hours: Pair
    weather: Weather


@dataclass(frozen=True)
class NightlyCadence(Cadence):
    """Revisit every few nights, in every band with some probability (ZTF).

    Attributes:
        steps: nights between visits; pointing i uses step i modulo their number.
        chance: probability that a band is observed on a used night; one number, or one per band in their order.
        extra: more visits on a used night, each in a random band: 1.3 are one, and a second with probability .3. One
            number, or several, of which pointing i takes number i modulo how many there are, as of `steps`.
        bright: (illumination, probability) above which nights are skipped because of the moon.
    """

    steps: tuple[int, ...]
    chance: float | tuple[float, ...]
    extra: float | tuple[float, ...]
    bright: Pair

    def visits(self, rng: Generator, bands: Sequence[str], moon: Array) -> tuple[Array, Array, Array]:
        """Draw (pointing, night, band) of all visits, given the illumination of each night."""
        usable = self.weather.good_nights(rng, (self.pointings, self.length))
        usable &= seasons(rng, self)
        usable &= ~((moon > self.bright[0]) & (rng.random(usable.shape) < self.bright[1]))
        used = self._spaced(rng, usable)
        taken = used[..., None] & (rng.random((*used.shape, len(bands))) < np.asarray(self.chance))
        pointing, night, band = np.nonzero(taken)
        mean = np.resize(self.extra, self.pointings)[:, None]
        count = np.floor(mean) + (rng.random(used.shape) < mean % 1)
        again = tuple(np.repeat(index, count[used].astype(int)) for index in np.nonzero(used))
        other = rng.integers(len(bands), size=again[0].size)
        return np.append(pointing, again[0]), np.append(night, again[1]), np.append(band, other)

    def _spaced(self, rng: Generator, usable: Array) -> Array:
        step = np.resize(self.steps, self.pointings)
        since = rng.integers(0, step + 1)
        used = np.zeros_like(usable)
        for night in range(self.length):
            used[:, night] = usable[:, night] & (since >= step)
            since = np.where(used[:, night], 1, since + 1)
        return used


@dataclass(frozen=True)
class PairCadence(Cadence):
    """Pairs of visits in two bands, with rolling emphasis between years (LSST wide-fast-deep).

    Attributes:
        per_year: pairs per pointing and year.
        gap: days between the two visits of a pair.
        pairs: allowed pairs of bands.
        share: share of the visits of each band.
        rolling: factors on the rate in successive years; every second pointing starts one year later.
        moon_share: bands whose share depends on the moon.
    """

    per_year: float
    gap: float
    pairs: tuple[tuple[str, str], ...]
    share: Mapping[str, float]
    rolling: tuple[float, ...]
    moon_share: Mapping[str, MoonShare]

    def visits(self, rng: Generator, bands: Sequence[str], moon: Array) -> tuple[Array, Array, Array]:
        """Draw (pointing, night, band) of all visits; the second of a pair follows the first."""
        visible = seasons(rng, self)
        usable = visible & self.weather.good_nights(rng, visible.shape)
        per_night = self.per_year * self.length / YEAR / np.maximum(usable.sum(axis=1, keepdims=True), 1)
        year = (np.arange(self.length) / YEAR).astype(int)
        rate = np.resize(self.rolling, year.max() + len(self.rolling) + 1)
        shift = rng.integers(len(self.rolling), size=(self.pointings, 1))
        pointing, night = np.nonzero(usable & (rng.random(visible.shape) < per_night * rate[year + shift]))
        chosen = self._choose(rng, moon[night])
        codes = np.array([[bands.index(name) for name in pair] for pair in self.pairs])[chosen]
        return np.repeat(pointing, 2), np.repeat(night, 2), codes.ravel()

    def _choose(self, rng: Generator, moon: Array) -> Array:
        share = {name: np.full(moon.size, value) for name, value in self.share.items()}
        for name, factor in self.moon_share.items():
            share[name] = share[name] * factor.at(moon)
        weight = np.cumsum([share[first] * share[second] for first, second in self.pairs], axis=0)
        return np.asarray((weight < rng.random(moon.size) * weight[-1]).sum(axis=0))


CADENCES: dict[str, type[NightlyCadence] | type[PairCadence]] = {
    "nightly": NightlyCadence,
    "pairs": PairCadence,
}


def parse_cadence(config: Mapping[str, Any], bands: Sequence[str]) -> NightlyCadence | PairCadence:
    """Read the `cadence` block of a survey card."""
    kind = config.get("kind")
    if kind not in CADENCES:
        raise ValueError(f"cadence.kind is {kind!r}: choose one of {', '.join(sorted(CADENCES))}")
    values = dict(config)
    if "weather" in values:
        values["weather"] = record(Weather, values["weather"], "cadence.weather")
    if "moon_share" in values:
        shares = values["moon_share"].items()
        values["moon_share"] = {band: record(MoonShare, v, f"cadence.moon_share.{band}") for band, v in shares}
    cadence = record(CADENCES[kind], values, "cadence")
    if isinstance(cadence, NightlyCadence) and np.size(cadence.chance) not in (1, len(bands)):
        raise ValueError(
            f"cadence.chance has {np.size(cadence.chance)} numbers, the survey {len(bands)} bands: give one number, or one per band"
        )
    if isinstance(cadence, PairCadence):
        used = {*cadence.share, *cadence.moon_share, *(band for pair in cadence.pairs for band in pair)}
        if not used <= set(bands):
            raise ValueError(
                f"cadence names the bands {', '.join(sorted(used - set(bands)))}, which the survey does not have: choose from {', '.join(bands)}"
            )
    return cadence


def seasons(rng: Generator, cadence: Cadence) -> Array:
    """Draw when each pointing is up, (pointings, nights) bool."""
    length = rng.uniform(*cadence.season, (cadence.pointings, 1))
    phase = rng.uniform(0, YEAR, (cadence.pointings, 1))
    return np.asarray((np.arange(cadence.length) + phase) % YEAR < length)


def illumination(mjd: Array) -> Array:
    """Illuminated fraction of the moon."""
    return np.asarray(0.5 * (1 + np.cos(2 * np.pi * (mjd - FULL_MOON) / LUNATION)))


@dataclass(frozen=True)
class Pool:
    """All visits of all pointings, sorted by pointing and time.

    Attributes:
        key: pointing * SPACING + days since the start, ascending.
        mjd: dates.
        band: code of the band.
        depth: m5, mag: where a source has S/N = 5.
        start: MJD of the first night.
        pointings: number of pointings.
    """

    key: Array
    mjd: Array
    band: Array
    depth: Array
    start: float
    pointings: int

    def between(self, pointing: Array, first: Array, last: Array) -> tuple[Array, Array]:
        """Find the visits of `pointing` within `first` to `last`, days since the start, each (n,).

        Returns:
            (object, visit), each (m,): flat and ragged, in order of object and time.
        """
        low = np.searchsorted(self.key, pointing * SPACING + np.clip(first, 0, SPACING / 2))
        high = np.searchsorted(self.key, pointing * SPACING + np.clip(last, 0, SPACING / 2))
        counts = np.maximum(high - low, 0)
        shift = low - (np.cumsum(counts) - counts)
        objects = np.repeat(np.arange(pointing.size), counts)
        return objects, np.arange(counts.sum()) + shift[objects]


def build_pool(
    cadence: NightlyCadence | PairCadence, bands: Sequence[str], depth: Array, moon: Array, rng: Generator
) -> Pool:
    """Draw the pool; `depth` and `moon` are m5 and its loss at full moon for each band, mag."""
    nights = illumination(cadence.start + np.arange(cadence.length) + 0.5)
    pointing, night, band = cadence.visits(rng, bands, nights)
    time = night + rng.uniform(*cadence.hours, night.size)
    if isinstance(cadence, PairCadence):
        time = np.repeat(time[::2], 2) + np.tile([0.0, cadence.gap], night.size // 2)
    weather = cadence.weather
    mean, sd = weather.night
    m5 = depth[band] - moon[band] * nights[night] ** 2
    m5 += weather.field * rng.standard_normal(cadence.pointings)[pointing]
    m5 += (mean + sd * rng.standard_normal((cadence.pointings, cadence.length)))[pointing, night]
    m5 += weather.visit * rng.standard_normal(night.size)
    m5 -= weather.poor[1] * (rng.random(night.size) < weather.poor[0])
    key = pointing * SPACING + time
    order = np.lexsort((time, pointing))  # the key itself rounds to some nanodays
    return Pool(
        key[order], cadence.start + time[order], band[order].astype(np.uint8), m5[order].astype(np.float32),
        cadence.start, cadence.pointings,
    )  # fmt: skip
