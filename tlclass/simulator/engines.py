"""What powers a transient: luminosity and temperature histories on a grid of rest-frame days.

Every function takes the grid `t`, (P, 1) days since explosion, and per-object parameters, (N,),
and returns (P, N). Luminosities are in arbitrary units; the caller divides by the maximum.
"""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from tlclass.arrays import Array

N_PHASES = 128
AMPLITUDE_LIMITS = (0.03, 0.7)  # mag, of AGN
GRID_POWER = 1.5
NICKEL = (3.222, 8.77)  # relative energy rate and e-folding time (d) of 56Ni, Nadyozhin (1994)
COBALT = (0.678, 111.4)  # the same for 56Co
INTERACTION_SCALE = 8.0  # d, softens the power law of the shock luminosity at early times
DIP_WIDTH = 6.5  # d, of the r-band dip between maximum and shoulder in SNe Ia
SECOND_PEAK = (4.0, 8.5)  # factor on the drawn strength, width in d
BETWEEN_PEAKS = (0.12, 9.0, 6.0)  # depth, delay and width (d) of the minimum before the second peak
BUMP_WIDTH = 12.0  # d
EARLY_HEAT = 7000.0  # K added by cooling of a shocked envelope
EARLY_RISE = 0.6  # d
RADIOACTIVE_TAIL = 1.0  # mag per 100 d after the plateau of a SN II: fully trapped 56Co
REDDENING_PHASE = (30.0, 60.0)  # d after peak: start and length of the return to the blue

COOLING = ("temperature_peak", "temperature_floor", "cooling_index")
PARAMETERS: dict[str, tuple[str, ...]] = {
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


def phase_grid(duration: float) -> Array:
    """Return rest-frame days (P,), denser at early times: duration * (k / (P - 1))^1.5."""
    return duration * (np.arange(N_PHASES) / (N_PHASES - 1)) ** GRID_POWER


def radioactive(t: Array, gamma_time: Array) -> Array:
    """Heating by 56Ni and 56Co (Nadyozhin 1994) with gamma-ray leakage exp(-(gamma_time/t)^2)."""
    decay = NICKEL[0] * np.exp(-t / NICKEL[1]) + COBALT[0] * np.exp(-t / COBALT[1])
    return decay * trapped(t, gamma_time)


def magnetar(t: Array, spin_time: Array, gamma_time: Array) -> Array:
    """Spin-down power of a young magnetar (Kasen & Bildsten 2010), with leakage."""
    return trapped(t, gamma_time) / (1.0 + t / spin_time) ** 2


def interaction(t: Array, decline_index: Array, shell_time: Array, fade_time: Array) -> Array:
    """Shock power in a dense wind, fading exponentially once the shock leaves it at `shell_time`."""
    power: Array = np.exp(-decline_index * np.log1p(t / INTERACTION_SCALE))
    power *= np.exp(-np.maximum(t - shell_time, 0.0) / fade_time)
    return power


def trapped(t: Array, gamma_time: Array) -> Array:
    """Fraction of gamma rays absorbed by the ejecta."""
    return 1.0 - np.exp(-np.square(gamma_time / np.maximum(t, 1e-3)))


def diffusion(t: Array, heating: Array, diffusion_time: Array) -> Array:
    """Solve Arnett's (1982) diffusion integral by an exact, stable recurrence.

    Between grid points the heating is constant, so L decays towards it by
    exp(-(t2^2 - t1^2) / diffusion_time^2).

    Args:
        t: (P, 1) days since explosion.
        heating: (P, N) power of the source.
        diffusion_time: (N,) days.

    Returns:
        (P, N) luminosity in units of the heating.
    """
    decay = np.exp(-np.diff(np.square(t), axis=0) / np.square(diffusion_time))
    gain = 0.5 * (heating[:-1] + heating[1:]) * (1.0 - decay)
    light = np.zeros_like(heating)
    for k in range(len(t) - 1):
        light[k + 1] = light[k] * decay[k] + gain[k]
    return light


def plateau(
    t: Array,
    rise_time: Array,
    early_decline: Array,
    early_time: Array,
    plateau_slope: Array,
    plateau_end: Array,
    drop_width: Array,
    drop_depth: Array,
) -> Array:
    """Light curve of a SN II in the terms of Anderson+ (2014) and Valenti+ (2016).

    Args:
        t: (P, 1) days since explosion.
        rise_time: (N,) days.
        early_decline: (N,) magnitudes lost on the scale `early_time` (N,), days.
        early_time: see above.
        plateau_slope: (N,) magnitudes per 100 days until `plateau_end`.
        plateau_end: (N,) days.
        drop_width: (N,) days, of the fall from the plateau.
        drop_depth: (N,) magnitudes.
    """
    late = t - plateau_end
    magnitude = early_decline * (1.0 - np.exp(-t / early_time)) + plateau_slope * np.minimum(t, plateau_end) / 100
    magnitude += drop_depth / (1.0 + np.exp(np.clip(-late / drop_width, -60, 60)))
    magnitude += RADIOACTIVE_TAIL * np.maximum(late, 0.0) / 100
    light: Array = np.exp(-0.4 * np.log(10) * magnitude)
    light *= 1.0 - np.exp(-((t / rise_time) ** 1.4))
    return light


def tidal_disruption(t: Array, rise_time: Array, fall_time: Array, fall_index: Array, late_fraction: Array) -> Array:
    """Gaussian rise, power-law fall to a late plateau (van Velzen+ 2021); the peak is at 3 rise times."""
    x = t - 3.0 * rise_time
    rise = np.exp(-0.5 * np.square(np.minimum(x, 0.0) / rise_time))
    fall = np.exp(-fall_index * np.log1p(np.maximum(x, 0.0) / fall_time))
    light: Array = rise * ((1.0 - late_fraction) * fall + late_fraction)
    return light


def random_walk(t: Array, amplitude: Array, damping_time: Array, rng: Generator) -> Array:
    """Damped random walk (MacLeod+ 2010) on a uniform grid, with rms `amplitude` / sqrt 2; (P, N) mag."""
    memory = np.exp(-(t[1, 0] - t[0, 0]) / damping_time)
    kick = rng.standard_normal((len(t), amplitude.size)) * (amplitude / np.sqrt(2.0))
    walk: Array = np.empty_like(kick)
    walk[0] = kick[0]
    for k in range(len(t) - 1):
        walk[k + 1] = memory * walk[k] + np.sqrt(1.0 - memory**2) * kick[k + 1]
    return walk


def cooling(t: Array, peak: Array, floor: Array, time: Array, index: float) -> Array:
    """Photospheric temperature, K: stretched exponential from `peak` to `floor` on the scale `time` (d)."""
    log_time = index * (np.log(np.maximum(t, 1e-3)) - np.log(time))
    temperature: Array = floor + (peak - floor) * np.exp(-np.exp(np.minimum(log_time, 5.0)))
    return temperature


def early_cooling(t: Array, time: Array) -> Array:
    """Shape of the light from a cooling shocked envelope; `time` in days."""
    light: Array = np.exp(-t / time)
    light *= 1.0 - np.exp(-np.square(t / EARLY_RISE))
    return light


def second_peak(since_peak: Array, strength: Array, delay: Array) -> Array:
    """Red and infrared second maximum of a SN Ia (Kasen 2006), relative to the continuum."""
    depth, minimum, width = BETWEEN_PEAKS
    bump = SECOND_PEAK[0] * strength * gaussian(since_peak, delay, SECOND_PEAK[1])
    return bump - depth * gaussian(since_peak, minimum, width)


def gaussian(x: Array, center: Array | float, width: float) -> Array:
    """Gaussian of unit height."""
    return np.asarray(np.exp(-0.5 * np.square((x - center) / width)))
