"""Engines against quadrature and against what their authors state."""

from __future__ import annotations

import numpy as np
import pytest

from tlclass.arrays import Array
from tlclass.simulator import engines

TIMES = np.array([10.0, 16.0, 30.0])  # diffusion times, d
LEAKAGE = np.array([40.0, 60.0, 1e6])  # d


def arnett(t: float, diffusion_time: float, gamma_time: float) -> float:
    """Arnett's integral by quadrature on a fine grid."""
    x = np.linspace(0.0, t, 20001)[1:]
    heating = engines.radioactive(x, np.full(1, gamma_time))
    kernel = heating * 2 * x / diffusion_time**2 * np.exp((x**2 - t**2) / diffusion_time**2)
    return float(np.trapezoid(np.append(0.0, kernel), np.append(0.0, x)))


def light(t: Array) -> Array:
    """Luminosity of the three test objects."""
    return engines.diffusion(t, engines.radioactive(t, LEAKAGE), TIMES)


def test_diffusion_solves_arnetts_integral() -> None:
    t = engines.phase_grid(220.0)
    curve = light(t[:, None])
    for i, (time, leakage) in enumerate(zip(TIMES, LEAKAGE, strict=True)):
        exact = np.array([arnett(x, time, leakage) for x in t[5:120:5]])
        np.testing.assert_allclose(curve[5:120:5, i], exact, atol=0.005 * exact.max())


def test_peak_obeys_arnetts_rule() -> None:
    t = np.linspace(0.0, 100.0, 4001)[:, None]
    curve, heating = light(t), engines.radioactive(t, LEAKAGE)
    top = curve.argmax(axis=0), np.arange(TIMES.size)
    np.testing.assert_allclose(curve[top], heating[top], rtol=0.02)


def test_tidal_disruption_peaks_at_three_rise_times() -> None:
    t = engines.phase_grid(420.0)[:, None]
    one = np.ones(1)
    curve = engines.tidal_disruption(t, 12 * one, 46 * one, 5 / 3 * one, 0.05 * one)
    assert t[curve.argmax(), 0] == pytest.approx(36, abs=2)


def test_random_walk_has_its_amplitude_and_memory() -> None:
    t = np.linspace(0.0, 420.0, 128)[:, None]
    walk = engines.random_walk(t, np.full(4000, 0.2), np.full(4000, 100.0), np.random.default_rng(1))
    assert walk.std() == pytest.approx(0.2 / np.sqrt(2), rel=0.02)
    lag = 30  # grid steps
    measured = np.mean(walk[lag:] * walk[:-lag]) / walk.var()
    assert measured == pytest.approx(np.exp(-t[lag, 0] / 100.0), abs=0.02)


def test_trapped_is_a_fraction() -> None:
    t = np.linspace(0.0, 500.0, 50)[:, None]
    fraction = engines.trapped(t, LEAKAGE)
    assert ((fraction >= 0) & (fraction <= 1)).all()
    assert (np.diff(fraction, axis=0) <= 0).all()
