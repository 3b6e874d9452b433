"""Observe the simulated sky: epochs, noise, systematics, trigger and selection, chunk by chunk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator

from tlclass.arrays import Array
from tlclass.dust import R_V
from tlclass.lightcurves.curves import LightCurves
from tlclass.options import nearest
from tlclass.simulator.bands import Bands, band_flux
from tlclass.simulator.cadence import NightlyCadence, PairCadence, build_pool, parse_cadence
from tlclass.simulator.chunks import CHUNK
from tlclass.simulator.gathering import Progress, observed_in_parts
from tlclass.simulator.histories import Histories, evolve
from tlclass.simulator.hosts import Hosts
from tlclass.simulator.instrument import Band, Instrument, Systematics, Visits, flux_of
from tlclass.simulator.objects import Objects, Seen
from tlclass.simulator.parameters import Pair, record
from tlclass.simulator.population import Limits, Population, Volume, volume_tables
from tlclass.simulator.transients import Gap

VERSION = 1  # raise it whenever the same settings give other light curves
DUST_SHEET = (0.024, 0.45, 0.003, 1.0)  # E(B-V) at the pole, sigma of its log, bounds: Milky Way dust
LATITUDE = 0.17  # smallest |sin b|


@dataclass(frozen=True)
class Discovery:
    """Discovery: the second significant epoch.

    Attributes:
        snr: signal to noise a detection exceeds, or the range from which each object's is drawn.
        min_gap: days between the first detection and the triggering one.
        filtered: the signal to noise is that of a filtered image, without the jitter of quoted errors; else the quoted.
    """

    snr: float | Pair
    min_gap: float
    filtered: bool = False


@dataclass(frozen=True)
class Simulation:
    """A simulated survey: everything that decides its light curves, and nothing else.

    Attributes:
        name: of the survey, the first part of its object names.
        population: the classes.
        bands: pass bands by name.
        cadence: when it looks.
        trigger: discovery rule.
        limits: selection.
        systematics: departures from photon noise.
        gap: differences of the sky from the population.
        mix: relative numbers of the classes.
        hosts: photometric redshifts of the host galaxies; None: all unknown.
        classes: simulate only these of the mix; None means all.
        full_size: objects of the complete set.
        seed: of everything random.
        n_objects: size of the set; None means `full_size`.
        keep: days around the trigger that are kept.
        window: days around the trigger in which `limits.min_epochs` are counted.
        n_jobs: processes; it does not change the result.
    """

    name: str
    population: Population
    bands: Mapping[str, Band]
    cadence: NightlyCadence | PairCadence
    trigger: Discovery
    limits: Limits
    systematics: Systematics
    gap: Gap
    mix: Mapping[str, float]
    full_size: int
    seed: int
    hosts: Hosts | None = None
    classes: tuple[str, ...] | None = None
    n_objects: int | None = None
    keep: Pair = (-60.0, 100.0)
    window: Pair = (-30.0, 70.0)
    n_jobs: int = field(default=1, repr=False)
    version: int = VERSION

    @classmethod
    def from_config(cls, **config: Any) -> Simulation:
        """Build from the keys of a survey card; see conf/survey/ztf_simulated.yaml."""
        allowed = [item.name for item in fields(cls) if item.name != "version"]
        optional = ("hosts", "classes", "n_objects", "keep", "window", "n_jobs")
        for key in ("n_objects", "seed", "full_size", "n_jobs"):
            if not isinstance(config.get(key, 1), int | None):
                raise ValueError(f"{key} is {config[key]!r}: give a whole number")
        unknown = sorted(set(config) - set(allowed))
        missing = [key for key in allowed if key not in config and key not in optional]
        if unknown or missing:
            said = [f"has no key {name}{nearest(name, allowed)}" for name in unknown]
            said += [f"lacks the key {name}" for name in missing]
            raise ValueError(f"a simulated survey {' and '.join(said)}: its keys are {', '.join(allowed)}")
        bands = {name: record(Band, band, f"bands.{name}") for name, band in config["bands"].items()}
        blocks = {"trigger": Discovery, "limits": Limits, "systematics": Systematics, "gap": Gap}
        values: dict[str, Any] = {key: record(kind, config[key], key) for key, kind in blocks.items()}
        values |= {"bands": bands, "cadence": parse_cadence(config["cadence"], list(bands))}
        values |= {"population": Population.from_config(config["population"]), "mix": dict(config["mix"])}
        if config.get("hosts") is not None:
            values["hosts"] = record(Hosts, config["hosts"], "hosts")
        lists = ("keep", "window", "classes")
        values |= {key: tuple(config[key]) for key in lists if config.get(key) is not None}
        return cls(**{**config, **values})

    def __post_init__(self) -> None:
        """Check sizes and classes."""
        for name, share in self.mix.items():
            self.population.index(name)
            if share < 0:
                raise ValueError(f"mix.{name} is {share}: choose 0 or more")
        unknown = sorted(set(self.classes or ()) - set(self.mix))
        if unknown:
            raise ValueError(
                f"classes names {', '.join(unknown)}, which the mix does not have: choose from {', '.join(self.mix)}"
            )
        if sum(self.shares().values()) <= 0:
            given = ", ".join(f"{name}: {share}" for name, share in self.shares().items()) or "empty"
            raise ValueError(f"mix is {given}: give at least one class a share above 0")
        if self.n_objects is not None and self.n_objects < 1:
            raise ValueError(f"n_objects is {self.n_objects}: choose 1 or more, or null for all {self.full_size}")
        if self.seed < 0:
            raise ValueError(f"seed is {self.seed}: choose 0 or more")
        if self.n_jobs < 1:
            raise ValueError(f"n_jobs is {self.n_jobs}: choose 1 or more")

    def shares(self) -> dict[str, float]:
        """The part of the mix that is simulated."""
        return {name: share for name, share in self.mix.items() if self.classes is None or name in self.classes}

    def counts(self) -> dict[str, int]:
        """Objects per class: the mix scaled to the size, by largest remainder."""
        total = self.full_size if self.n_objects is None else self.n_objects
        share = np.array(list(self.shares().values()), float)
        share *= total / share.sum()
        count = np.floor(share).astype(int)
        order = np.argsort(count - share, kind="stable")
        count[order[: total - count.sum()]] += 1
        return dict(zip(self.shares(), count.tolist(), strict=True))

    def files(self) -> list[Path]:
        """No files are read."""
        return []

    def read(self) -> LightCurves:
        """Simulate all classes: classes in the order of the mix, objects in order of generation."""
        (curves,) = observed_in_parts(self, Observatory(self), None)
        return curves

    def read_parts(self, rows: int, progress: Progress | None = None) -> Iterator[LightCurves]:
        """What `read` simulates, about so many observations at a time; `progress` is called with (objects done, objects in all)."""
        return observed_in_parts(self, Observatory(self), rows, progress)


class Observatory:
    """A survey ready to observe: its pool of pointings, and the tables of each class.

    Args:
        simulation: the survey.
    """

    def __init__(self, simulation: Simulation) -> None:
        """Draw the pool."""
        self.simulation = simulation
        self.instrument = Instrument(simulation.bands, simulation.systematics)
        self.edges = [band.edges for band in simulation.bands.values()]
        self.bands = Bands.top_hats(self.edges)
        depth, moon = self.instrument.depth, self.instrument.moon
        rng = np.random.default_rng([simulation.seed, 1_000_000])
        self.pool = build_pool(simulation.cadence, list(simulation.bands), depth, moon, rng)

    def volume(self, name: str) -> Volume:
        """Tables of class `name`."""
        simulation, population = self.simulation, self.simulation.population
        return volume_tables(
            population.classes[population.index(name)],
            population.cosmology,
            simulation.limits,
            simulation.gap,
            tuple(self.edges),
            tuple(self.instrument.depth.tolist()),
            simulation.seed,
        )

    def observe(self, name: str, chunk: int) -> LightCurves:
        """See `tlclass.simulator.chunks.Observer`."""
        simulation = self.simulation
        rng = np.random.default_rng([simulation.seed, simulation.population.index(name), chunk])
        seen = self.look(self.draw(name, rng), rng)
        return seen.of(seen.accepted, tuple(simulation.bands))

    def draw(self, name: str, rng: Generator, hosts: Hosts | None = None) -> Objects:
        """A chunk of objects of class `name`, as they are whoever looks at them; without `hosts` theirs are as this survey knows them."""
        simulation = self.simulation
        transient = simulation.population.classes[simulation.population.index(name)]
        drawn = self.volume(name).draw(transient, simulation.limits, simulation.gap, rng, CHUNK)
        histories = evolve(transient, drawn, rng)
        mwebv = milky_way_reddening(rng, CHUNK)
        stretch = (1 + drawn["redshift"]) * simulation.gap.time_scale
        start = rng.uniform(-60.0, simulation.cadence.length - 70.0, CHUNK)
        known, (other,) = hosts or simulation.hosts or Hosts(known=0.0), rng.spawn(1)  # which moves no other draw
        return Objects(histories, mwebv, *known.draw(drawn["redshift"], other), stretch, start, self.pool.start)

    def look(self, objects: Objects, rng: Generator) -> Seen:
        """Observe objects of any sky from pointings, with weather and noise of this survey."""
        pool, rise = self.pool, objects.histories.peak_time * objects.stretch
        start = objects.start + (objects.origin - pool.start)
        owner, visit = self._visits(start, rise, rng)
        since = pool.mjd[visit] - pool.start - start[owner]
        phase = since / objects.stretch[owner] + objects.histories.transient.lead
        flux = self._flux(objects.histories, objects.mwebv, owner, visit, phase)
        visits = Visits(owner, pool.band[visit], pool.depth[visit], pool.mjd[visit], since, flux)
        return self._detect(visits, {**objects.columns, "peak_mjd": pool.start + start + rise}, rng)

    def _visits(self, start: Array, rise: Array, rng: Generator) -> tuple[Array, Array]:
        """Place objects that start at so many days, (n,), on the sky, given their observed rise, (n,) days or NaN.

        Returns:
            The object and index in the pool, (m,), of all visits that may be kept.
        """
        first, last = self.simulation.keep
        pointing = rng.integers(self.pool.pointings, size=CHUNK)
        latest = np.where(np.isnan(rise), 200.0, 60.0 + 1.25 * np.nan_to_num(rise))  # of a trigger
        return self.pool.between(pointing, start + first, start + latest + last)

    def _flux(self, histories: Histories, mwebv: Array, objects: Array, visit: Array, phase: Array) -> Array:
        """Noiseless flux of all visits, (m,) float32: zero before the object exists."""
        drawn = histories.drawn
        on = np.flatnonzero(phase > 0)
        epochs = objects[on], self.pool.band[visit[on]].astype(np.int64), phase[on]
        dust = drawn["host_av"], R_V * mwebv
        scale = flux_of(drawn["peak_magnitude"] + drawn["modulus"]).astype(np.float32)
        flux = np.zeros(visit.size, np.float32)
        flux[on] = band_flux(histories, self.bands, drawn["redshift"], epochs, *dust) * scale[objects[on]]
        return flux

    def _detect(self, visits: Visits, columns: dict[str, Array], rng: Generator) -> Seen:
        simulation = self.simulation
        flux, noise, error = self.instrument.measure(visits, rng)
        keep = self.instrument.keeps(visits, rng)
        if simulation.systematics.forced_fraction < 1:
            forced = rng.random(CHUNK) < simulation.systematics.forced_fraction
            keep &= forced[visits.objects] | (flux >= simulation.systematics.min_snr * error)
        threshold = self._threshold(rng)[visits.objects]
        detected = flux > threshold * (noise if simulation.trigger.filtered else error)
        found = keep & detected & (visits.since > 0)
        trigger = second_detection(visits.objects[found], visits.mjd[found], simulation.trigger.min_gap, CHUNK)
        days = visits.mjd - trigger[visits.objects]
        keep &= (days >= simulation.keep[0]) & (days <= simulation.keep[1])
        columns["trigger_mjd"] = trigger
        columns["days_trigger_to_peak"] = columns.pop("peak_mjd") - trigger
        accepted = self._select(visits.objects[keep], days[keep], flux[keep] * detected[keep])
        if simulation.limits.peak_lead is not None:
            accepted &= ~(columns["days_trigger_to_peak"] < simulation.limits.peak_lead)
        if simulation.limits.peak_trail is not None:
            end = columns["days_trigger_to_peak"] + simulation.limits.peak_trail
            after = visits.objects[keep & detected & (days > end[visits.objects])]
            accepted &= np.isnan(end) | (np.bincount(after, minlength=CHUNK) > 0)
        return Seen(visits, flux, error, detected, keep, accepted, columns)

    def _threshold(self, rng: Generator) -> Array:
        """Signal to noise that the epochs of each object must exceed, (CHUNK,) float32."""
        snr = self.simulation.trigger.snr
        drawn = rng.uniform(snr[0], snr[1], CHUNK) if isinstance(snr, tuple) else np.full(CHUNK, snr)
        return np.asarray(drawn, np.float32)

    def _select(self, objects: Array, days: Array, signal: Array) -> Array:
        limits, (first, last) = self.simulation.limits, self.simulation.window
        inside = (days > first) & (days < last)
        accepted = np.bincount(objects[inside], minlength=CHUNK) >= limits.min_epochs
        if limits.peak_magnitude is not None:
            bright = objects[signal > flux_of(limits.peak_magnitude)]
            accepted &= np.bincount(bright, minlength=CHUNK) > 0
        return accepted


def milky_way_reddening(rng: Generator, n: int) -> Array:
    """Draw E(B-V), (n,) mag, of a dust sheet seen at random galactic latitudes."""
    pole, scatter, low, high = DUST_SHEET
    sine = rng.uniform(LATITUDE, 1.0, n)
    return np.clip(pole / sine * np.exp(scatter * rng.standard_normal(n)), low, high)


def second_detection(objects: Array, mjd: Array, min_gap: float, n: int) -> Array:
    """Date of the first detection more than `min_gap` days after the very first, (n,); NaN if there is none.

    Args:
        objects: (m,) object of each detection, ascending.
        mjd: (m,) its date, ascending within an object.
        min_gap: days.
        n: number of objects.
    """
    first = first_value(objects, mjd, n)
    later = mjd > first[objects] + min_gap
    return first_value(objects[later], mjd[later], n)


def first_value(objects: Array, values: Array, n: int) -> Array:
    """First of the `values` of each object, (n,); NaN where there is none."""
    first = np.full(n, np.nan)
    start = np.flatnonzero(np.diff(objects, prepend=-1))
    first[objects[start]] = values[start]
    return first
