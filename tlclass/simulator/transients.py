"""Classes of transients: from random parameters to the flux of every object at any epoch and wavelength."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import Generator

from tlclass.dust import transmission
from tlclass.simulator import engines
from tlclass.simulator.parameters import Array, Parameter, draw_parameters, parse_parameters, record
from tlclass.simulator.photosphere import AccretionRows, Rows, Spectrum
from tlclass.simulator.templates import Template, TemplateRows, template_entry

COOLING = ("temperature_peak", "temperature_floor", "cooling_index")
ENGINES: dict[str, tuple[str, ...]] = {
    "radioactive": ("diffusion_time", "gamma_time", "cooling_time", *COOLING),
    "magnetar": ("diffusion_time", "spin_time", "gamma_time", "cooling_ratio", *COOLING),
    "interaction": ("diffusion_time", "decline_index", "shell_time", "fade_time", "cooling_time", *COOLING),
    "plateau": (
        "rise_time", "early_decline", "early_time", "plateau_slope", "plateau_end", "drop_width",
        "drop_depth", "cooling_time", *COOLING,
    ),
    "tidal_disruption": (
        "rise_time", "fall_time", "fall_index", "late_fraction", "log_temperature", "heating_rate",
    ),
    "random_walk": ("log_amplitude", "log_damping_time", "color_index", "reference_level"),
    "template": ("stretch",),
}  # fmt: skip
OPTIONAL = {  # a parameter and the one it needs beside it
    "dip": "dip_time",
    "second_peak": "second_peak_time",
    "early_amplitude": "early_light_time",
    "bump": "bump_time",
    "reddening_rate": "cooling_time",
}
TEMPERATURE_LIMITS = (9000.0, 50000.0)  # K, of tidal disruption events
AMPLITUDE_LIMITS = (0.03, 0.7)  # mag, of AGN
DAMPING_LIMITS = (10.0, 3000.0)  # d
MEAN_FLUX_CHANGE = 0.921  # 0.4 ln 10: flux per magnitude, for the typical amplitude of an AGN


@dataclass(frozen=True)
class Dust:
    """Host extinction: none with probability `none`, else exponential.

    Attributes:
        none: probability of A_V = 0.
        mean: mag, mean A_V of the others.
        maximum: mag, cap.
    """

    none: float
    mean: float
    maximum: float = 3.5

    def draw(self, rng: Generator, n: int, factor: float = 1.0) -> Array:
        """Draw A_V, (n,) mag; `factor` scales the mean."""
        extinction = rng.exponential(self.mean * factor, n) if self.mean > 0 else np.zeros(n)
        return np.where(rng.random(n) < self.none, 0.0, np.minimum(extinction, self.maximum))


@dataclass(frozen=True)
class Rate:
    """Volumetric rate.

    Attributes:
        local: per year and Mpc^3 at z = 0.
        evolution: `power`, `madau_dickinson` or `exponential`.
        index: exponent of (1 + z), or dex per unit redshift for `exponential`.
        turnover: redshift above which `late_index` holds, for `power`.
        late_index: exponent above `turnover`.
    """

    local: float
    evolution: str = "power"
    index: float = 0.0
    turnover: float | None = None
    late_index: float = 0.0

    def __post_init__(self) -> None:
        """Check the name of the law."""
        if self.evolution not in ("power", "madau_dickinson", "exponential"):
            raise ValueError(f"rate evolution {self.evolution!r}: allowed are power, madau_dickinson, exponential")

    def at(self, z: Array) -> Array:
        """Rate at redshift `z` relative to the local one."""
        if self.evolution == "madau_dickinson":  # Madau & Dickinson (2014), their eq. 15
            return (1 + z) ** 2.7 / (1 + ((1 + z) / 2.9) ** 5.6)
        if self.evolution == "exponential":
            return 10.0 ** (self.index * z)
        if self.turnover is None:
            return (1 + z) ** self.index
        late = (1 + self.turnover) ** (self.index - self.late_index) * (1 + z) ** self.late_index
        return np.where(z < self.turnover, (1 + z) ** self.index, late)


@dataclass(frozen=True)
class Gap:
    """Physical differences of one survey's sky from the population file; the defaults mean none.

    Attributes:
        temperature: natural log of a factor on all photospheric temperatures.
        temperature_scatter: its scatter per object.
        time_scale: factor on all rest-frame times.
        blanketing: factor on line blanketing.
        features: factor on line strengths.
        dust: factor on mean host extinction.
        magnitude: mag added to peak magnitudes.
    """

    temperature: float = 0.0
    temperature_scatter: float = 0.0
    time_scale: float = 1.0
    blanketing: float = 1.0
    features: float = 1.0
    dust: float = 1.0
    magnitude: float = 0.0


@dataclass(frozen=True)
class Transient:
    """One class of transients.

    Attributes:
        name: class name, the label of its objects.
        engine: a key of `ENGINES`.
        duration: rest-frame days covered by the phase grid.
        parameters: what is drawn per object, in order.
        spectrum: spectral shape, or a template that holds the light curve too; None for AGN.
        dust: host extinction.
        rate: volumetric rate.
        lead: rest-frame days by which the history starts before the object may be discovered (AGN).
        blanketing_scatter: sigma of the log of blanketing, per object.
        feature_scatter: sd of the strength of features, per object.
    """

    name: str
    engine: str
    duration: float
    parameters: tuple[tuple[str, Parameter], ...]
    dust: Dust
    rate: Rate
    spectrum: Spectrum | Template | None = None
    lead: float = 0.0
    blanketing_scatter: float = 0.0
    feature_scatter: float = 0.0

    @classmethod
    def from_config(cls, name: str, config: Mapping[str, Any]) -> Transient:
        """Build from one entry of a population file."""
        if config.get("engine") == "template":
            config = template_entry(name, config)
        values = {"name": name, **config}
        for key, build in _parsers(name).items():
            if key in config:
                values[key] = build(config[key])
        transient = record(cls, values, name)
        transient._check()
        return transient

    def _check(self) -> None:
        if self.engine not in ENGINES:
            raise ValueError(f"{self.name}: engine {self.engine!r} is not one of {sorted(ENGINES)}")
        if (self.spectrum is None) != (self.engine == "random_walk"):
            raise ValueError(f"{self.name}: every class needs a spectrum, except those of engine random_walk")
        names = {name for name, _ in self.parameters}
        needed = {"peak_magnitude", *ENGINES[self.engine]}
        missing = sorted(needed - names)
        if missing:
            raise ValueError(f"{self.name}: the engine {self.engine} needs the parameters {missing}")
        chosen = [name for name in OPTIONAL if name in names]
        if isinstance(self.spectrum, Spectrum) and self.spectrum.second_peak > 0:
            chosen.append("second_peak")
        used = {*needed, *chosen, *(OPTIONAL[name] for name in chosen)}
        if not used <= names:
            raise ValueError(f"{self.name}: {chosen} needs the parameters {sorted(used - names)} too")
        used = used.union(*(parameter.uses for _, parameter in self.parameters))
        if names - used:
            unused = sorted(names - used)
            raise ValueError(f"{self.name}: nothing uses {unused}; optional are {sorted(OPTIONAL)}")

    def draw(self, rng: Generator, n: int, gap: Gap) -> dict[str, Array]:
        """Draw `n` objects: every parameter, host extinction and spectral scatter, each (n,)."""
        drawn = draw_parameters(self.parameters, rng, n)
        drawn["peak_magnitude"] = drawn["peak_magnitude"] + gap.magnitude
        drawn["host_av"] = self.dust.draw(rng, n, gap.dust)
        drawn["blanketing"] = gap.blanketing * np.exp(self.blanketing_scatter * rng.standard_normal(n))
        lines = 1.0 + self.feature_scatter * rng.standard_normal(n)
        drawn["features"] = gap.features * np.clip(lines, 0.2, 2.0)
        heat = gap.temperature + gap.temperature_scatter * rng.standard_normal(n)
        drawn["temperature_factor"] = np.exp(heat)
        return drawn

    def effective_magnitude(self, drawn: Mapping[str, Array]) -> Array:
        """Absolute magnitude that decides visibility, (n,): for AGN that of the typical variation."""
        magnitude = drawn["peak_magnitude"]
        if self.engine != "random_walk":
            return magnitude
        amplitude = np.clip(10.0 ** drawn["log_amplitude"], *AMPLITUDE_LIMITS)
        return magnitude - 2.5 * np.log10(MEAN_FLUX_CHANGE * amplitude)

    def evolve(self, drawn: Mapping[str, Array], rng: Generator) -> Histories:
        """Compute the histories of n objects on the phase grid."""
        if self.engine == "random_walk":
            return _disc(self, drawn, rng)
        if isinstance(self.spectrum, Template):
            return _template(self, self.spectrum, drawn)
        return _explosion(self, drawn)


def _parsers(name: str) -> dict[str, Callable[[Any], Any]]:
    return {
        "parameters": lambda block: parse_parameters(block, f"{name}.parameters"),
        "spectrum": lambda block: (
            block if isinstance(block, Template) else Spectrum.from_config(block, f"{name}.spectrum")
        ),
        "dust": lambda block: record(Dust, block, f"{name}.dust"),
        "rate": lambda block: record(Rate, block, f"{name}.rate"),
    }


@dataclass(frozen=True)
class Histories:
    """Histories of n objects on a common grid of P phases.

    Attributes:
        transient: their class.
        drawn: their parameters.
        columns: (H, n, P) float32: log light, temperature and perhaps second maximum; for AGN the magnitude;
            empty for templates.
        peak_time: (n,) rest days from the start of the clock to maximum light at 0.62 um.
        power: exponent of the spacing of the grid.
    """

    transient: Transient
    drawn: Mapping[str, Array]
    columns: Array
    peak_time: Array
    power: float

    def at(self, objects: Array, phase: Array) -> Array:
        """Interpolate linearly at `phase`, (m,) rest days, of `objects`, (m,): (H, m) float32."""
        count, points = self.columns.shape[1:]
        position = np.clip(phase / self.transient.duration, 0.0, 1.0) ** (1.0 / self.power) * (points - 1)
        position = position.astype(np.float32)
        left = np.minimum(position.astype(np.int64), points - 2)
        weight = position - left.astype(np.float32)
        left += objects * points
        flat = self.columns.reshape(len(self.columns), count * points)
        low = np.take(flat, left, axis=1)
        left += 1
        values: Array = low + (np.take(flat, left, axis=1) - low) * weight
        return values

    def rows(self, wave: Array) -> Rows | AccretionRows | TemplateRows:
        """Prepare the spectra for rest wavelengths `wave`, (K, M) with M = bands x n, band after band."""
        if self.transient.spectrum is not None:
            return self.transient.spectrum.at(wave)
        index = self.drawn["color_index"]
        return AccretionRows.at(wave, np.tile(index, wave.shape[1] // index.size))

    def spectral_flux(
        self, rows: Rows | AccretionRows | TemplateRows, which: Array, objects: Array, phase: Array
    ) -> Array:
        """F_nu relative to the peak continuum at 0.62 um, (K, m), at rest `phase`, (m,) days.

        Args:
            rows: what `rows` returned.
            which: (m,) column of `rows` for each epoch.
            objects: (m,) object of each epoch.
            phase: (m,) rest-frame days since the start.
        """
        if isinstance(rows, TemplateRows):
            return rows.flux(which, phase / self.drawn["stretch"][objects])
        values = self.at(objects, phase)
        if isinstance(rows, AccretionRows):
            reference = self.drawn["reference_level"].astype(np.float32)[objects]
            return rows.flux(which, values[0], reference)
        since_peak = phase - self.peak_time[objects]
        nebular = np.clip(since_peak / rows.spectrum.nebular_time, 0.0, 1.0).astype(np.float32)
        shape = rows.flux(
            which,
            values[1],
            nebular,
            values[2] if len(values) > 2 else None,
            self.drawn["blanketing"].astype(np.float32)[objects],
            self.drawn["features"].astype(np.float32)[objects],
        )
        light: Array = np.exp(values[0])
        return shape * light


@dataclass(frozen=True)
class Bands:
    """Quadrature nodes of a set of pass bands.

    Attributes:
        wave: (K, B) um.
        weight: (K, B), photon counting, sums to 1 over K.
    """

    wave: Array
    weight: Array

    @classmethod
    def top_hats(cls, edges: list[tuple[float, float]], nodes: int = 6) -> Bands:
        """Gauss-Legendre nodes between the half-power points of each band, um."""
        x, w = np.polynomial.legendre.leggauss(nodes)
        low, high = np.array(edges).T
        wave = 0.5 * (high + low) + 0.5 * (high - low) * x[:, None]
        weight = w[:, None] / wave
        return cls(wave, weight / weight.sum(axis=0))


def band_flux(
    histories: Histories,
    bands: Bands,
    redshift: Array,
    epochs: tuple[Array, Array, Array],
    host_av: Array | float = 0.0,
    milky_way_av: Array | float = 0.0,
) -> Array:
    """Flux through the bands relative to 10^(-0.4 (M + distance modulus)), (m,) float32.

    Args:
        histories: n objects.
        bands: B pass bands.
        redshift: (n,).
        epochs: (object, band, rest-frame phase) of each of the m epochs; phase in days since the start.
        host_av: (n,) mag, at rest wavelengths.
        milky_way_av: (n,) mag, at observed wavelengths.
    """
    objects, band, phase = epochs
    wave = bands.wave[:, :, None] / (1 + redshift)  # (K, B, n)
    weight = bands.weight[:, :, None] * (1 + redshift) * transmission(wave, host_av)
    weight = weight * transmission(bands.wave, 1.0)[:, :, None] ** milky_way_av
    k, m = len(wave), bands.wave.shape[1] * redshift.size
    which = band * redshift.size + objects
    flux = histories.spectral_flux(histories.rows(wave.reshape(k, m)), which, objects, phase)
    flux *= np.take(weight.reshape(k, m).astype(np.float32), which, axis=1)
    return np.asarray(flux.sum(axis=0))


def rest_frame_magnitudes(transient: Transient, bands: Bands, days: Array, n: int, seed: int) -> Array:
    """Absolute magnitudes of `n` dust-free objects in the rest frame, (n, B, P).

    Args:
        transient: their class.
        bands: B pass bands.
        days: (P,) since the explosion or, for AGN, since the start of the history.
        n: number of objects.
        seed: of the random draw.
    """
    rng = np.random.default_rng(seed)
    drawn = transient.draw(rng, n, Gap())
    histories = transient.evolve(drawn, rng)
    shape = (n, bands.wave.shape[1], days.size)
    objects, band, day = (axis.ravel() for axis in np.indices(shape))
    flux = band_flux(histories, bands, np.zeros(n), (objects, band, days[day])).reshape(shape)
    return np.asarray(drawn["peak_magnitude"][:, None, None] - 2.5 * np.log10(np.maximum(flux, 1e-12)))


def _explosion(transient: Transient, drawn: Mapping[str, Array]) -> Histories:
    grid = engines.phase_grid(transient.duration)
    t = grid[:, None]
    light = _light(transient.engine, t, drawn)
    top = light.argmax(axis=0)
    peak_time = grid[top]
    since_peak = t - peak_time
    light, temperature = _embellish(transient, drawn, t, since_peak, light)
    columns = [np.log(np.maximum(light, 1e-20)), temperature * drawn["temperature_factor"]]
    if isinstance(transient.spectrum, Spectrum) and transient.spectrum.second_peak > 0:
        columns.append(engines.second_peak(since_peak, drawn["second_peak"], drawn["second_peak_time"]))
    stacked = np.stack([np.ascontiguousarray(column.T, dtype=np.float32) for column in columns])
    return Histories(transient, drawn, stacked, peak_time, engines.GRID_POWER)


def _light(engine: str, t: Array, drawn: Mapping[str, Array]) -> Array:
    if engine == "plateau":
        return engines.plateau(t, *(drawn[name] for name in ENGINES[engine][:7]))
    if engine == "tidal_disruption":
        return engines.tidal_disruption(t, *(drawn[name] for name in ENGINES[engine][:4]))
    if engine == "radioactive":
        heating = engines.radioactive(t, drawn["gamma_time"])
    elif engine == "magnetar":
        heating = engines.magnetar(t, drawn["spin_time"], drawn["gamma_time"])
    else:
        heating = engines.interaction(t, drawn["decline_index"], drawn["shell_time"], drawn["fade_time"])
    return engines.diffusion(t, heating, drawn["diffusion_time"])


def _embellish(
    transient: Transient, drawn: Mapping[str, Array], t: Array, since_peak: Array, light: Array
) -> tuple[Array, Array]:
    temperature = _temperature(transient.engine, drawn, t, since_peak)
    if "dip" in drawn:
        light = light * (1 - drawn["dip"] * engines.gaussian(since_peak, drawn["dip_time"], engines.DIP_WIDTH))
    if "bump" in drawn:
        shape = engines.gaussian(since_peak, drawn["bump_time"], engines.BUMP_WIDTH)
        light = light * (1 + drawn["bump"] * shape)
    light = light / light.max(axis=0)
    if "reddening_rate" in drawn:
        start, length = engines.REDDENING_PHASE
        temperature = temperature + drawn["reddening_rate"] * np.clip(since_peak - start, 0.0, length)
    if "early_amplitude" in drawn:
        early = engines.early_cooling(t, drawn["early_light_time"])
        light = light + drawn["early_amplitude"] * early
        temperature = temperature + engines.EARLY_HEAT * early * (drawn["early_amplitude"] > 0)
    return light, temperature


def _temperature(engine: str, drawn: Mapping[str, Array], t: Array, since_peak: Array) -> Array:
    if engine == "tidal_disruption":
        heating = drawn["heating_rate"] * np.clip(since_peak, -30.0, 200.0)
        return np.asarray(np.clip(10.0 ** drawn["log_temperature"] + heating, *TEMPERATURE_LIMITS))
    if engine == "magnetar":  # cooling follows the time scale of the light curve
        time = drawn["cooling_ratio"] * (t[0] - since_peak[0] + 10.0)
    else:
        time = drawn["cooling_time"]
    index = float(drawn["cooling_index"][0])
    return engines.cooling(t, drawn["temperature_peak"], drawn["temperature_floor"], time, index)


def _disc(transient: Transient, drawn: Mapping[str, Array], rng: Generator) -> Histories:
    t = np.linspace(0.0, transient.duration, engines.N_PHASES)[:, None]
    amplitude = np.clip(10.0 ** drawn["log_amplitude"], *AMPLITUDE_LIMITS)
    damping = np.clip(10.0 ** drawn["log_damping_time"], *DAMPING_LIMITS)
    walk = engines.random_walk(t, amplitude, damping, rng)
    level = dict(drawn, reference_level=drawn["reference_level"] * amplitude / np.sqrt(2.0))
    columns = np.ascontiguousarray(walk.T, dtype=np.float32)[None]
    return Histories(transient, level, columns, np.full(amplitude.size, np.nan), 1.0)


def _template(transient: Transient, template: Template, drawn: Mapping[str, Array]) -> Histories:
    stretch = drawn["stretch"]
    if stretch.min() <= 0:
        raise ValueError(f"{transient.name}: stretch must be positive, but {stretch.min():.2g} was drawn: add `within`")
    empty = np.zeros((0, stretch.size, 2), np.float32)
    return Histories(transient, drawn, empty, template.peak_time * stretch, engines.GRID_POWER)
