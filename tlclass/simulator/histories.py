"""Histories: how the light and the temperature of every object run with time, and the spectra they give."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from tlclass.arrays import Array
from tlclass.simulator import engines
from tlclass.simulator.photosphere import AccretionRows, Rows, Spectrum
from tlclass.simulator.templates import Template, TemplateRows
from tlclass.simulator.transients import Transient

TEMPERATURE_LIMITS = (9000.0, 50000.0)  # K, of tidal disruption events
DAMPING_LIMITS = (10.0, 3000.0)  # d


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


def evolve(transient: Transient, drawn: Mapping[str, Array], rng: Generator) -> Histories:
    """Compute the histories of n objects of a class on the phase grid."""
    if transient.engine == "random_walk":
        return disc(transient, drawn, rng)
    if isinstance(transient.spectrum, Template):
        return follow_template(transient, transient.spectrum, drawn)
    return explosion(transient, drawn)


def explosion(transient: Transient, drawn: Mapping[str, Array]) -> Histories:
    """Histories of supernovae and tidal disruption events: what the engine gives, cooled and embellished."""
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
        return engines.plateau(t, *(drawn[name] for name in engines.PARAMETERS[engine][:7]))
    if engine == "tidal_disruption":
        return engines.tidal_disruption(t, *(drawn[name] for name in engines.PARAMETERS[engine][:4]))
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


def disc(transient: Transient, drawn: Mapping[str, Array], rng: Generator) -> Histories:
    """Histories of AGN: a damped random walk each."""
    t = np.linspace(0.0, transient.duration, engines.N_PHASES)[:, None]
    amplitude = np.clip(10.0 ** drawn["log_amplitude"], *engines.AMPLITUDE_LIMITS)
    damping = np.clip(10.0 ** drawn["log_damping_time"], *DAMPING_LIMITS)
    walk = engines.random_walk(t, amplitude, damping, rng)
    level = dict(drawn, reference_level=drawn["reference_level"] * amplitude / np.sqrt(2.0))
    columns = np.ascontiguousarray(walk.T, dtype=np.float32)[None]
    return Histories(transient, level, columns, np.full(amplitude.size, np.nan), 1.0)


def follow_template(transient: Transient, template: Template, drawn: Mapping[str, Array]) -> Histories:
    """Histories that a spectral template holds, stretched in time.

    Raises:
        ValueError: a stretch that is not positive was drawn.
    """
    stretch = drawn["stretch"]
    if stretch.min() <= 0:
        raise ValueError(
            f"{transient.name}: a stretch of {stretch.min():.2g} was drawn: keep stretch above 0 with within, e.g. within: [0.5, 2]"
        )
    empty = np.zeros((0, stretch.size, 2), np.float32)
    return Histories(transient, drawn, empty, template.peak_time * stretch, engines.GRID_POWER)
