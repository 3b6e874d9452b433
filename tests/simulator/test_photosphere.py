"""Spectral shapes, normalisation, K correction and dust."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tlclass.arrays import Array
from tlclass.dust import transmission
from tlclass.simulator import Bands, Gap, Population, band_flux
from tlclass.simulator.histories import Histories, evolve
from tlclass.simulator.photosphere import REFERENCE, Spectrum

DELTA = 1e-4  # um, half-width of an almost monochromatic band


class PowerLaw(Histories):
    """A constant source with F_nu proportional to wavelength^index."""

    def __init__(self, index: float) -> None:
        object.__setattr__(self, "index", index)

    def rows(self, wave: Array) -> Array:  # type: ignore[override]
        return (wave / REFERENCE) ** self.index  # type: ignore[attr-defined, no-any-return]

    def spectral_flux(self, rows: Array, which: Array, objects: Array, phase: Array) -> Array:  # type: ignore[override]
        return np.take(rows, which, axis=1)


def observed(index: float, edges: list[tuple[float, float]], redshift: float) -> Array:
    """Flux of the power law in each band relative to M plus the distance modulus."""
    band = np.arange(len(edges))
    epochs = (np.zeros_like(band), band, np.ones(band.size))
    return band_flux(PowerLaw(index), Bands.top_hats(edges), np.array([redshift]), epochs)


@pytest.mark.parametrize("name", ["SNIa", "SNIb", "SNII", "SNIIn", "TDE", "SLSN-I"])
def test_continuum_peaks_at_the_drawn_magnitude(population: Population, name: str) -> None:
    transient = population.classes[population.index(name)]
    assert transient.spectrum is not None
    plain = replace(transient, spectrum=replace(transient.spectrum, features=(), second_peak=0.0))
    rng = np.random.default_rng(0)
    histories = evolve(plain, plain.draw(rng, 20, Gap()), rng)
    objects, phase = np.repeat(np.arange(20), 1000), np.tile(np.linspace(0.5, 200, 1000), 20)
    bands = Bands.top_hats([(REFERENCE - DELTA, REFERENCE + DELTA)])
    flux = band_flux(histories, bands, np.zeros(20), (objects, np.zeros_like(objects), phase))
    np.testing.assert_allclose(flux.reshape(20, -1).max(axis=1), 1.0, atol=4e-3)


def test_flat_spectrum_has_equal_ab_flux_in_all_bands() -> None:
    flux = observed(0.0, [(0.33, 0.40), (0.41, 0.55), (0.92, 1.01)], redshift=0.0)
    np.testing.assert_allclose(flux, 1.0, rtol=1e-6)


@pytest.mark.parametrize("index", [-2.0, 0.0, 1.5])
@pytest.mark.parametrize("redshift", [0.0, 0.1, 1.0])
def test_k_correction_of_a_power_law(index: float, redshift: float) -> None:
    wave = 0.48
    flux = observed(index, [(wave - DELTA, wave + DELTA)], redshift)
    expected = (1 + redshift) ** (1 - index) * (wave / REFERENCE) ** index
    np.testing.assert_allclose(flux, expected, rtol=1e-5)


def test_spectrum_is_a_blackbody_without_its_decorations() -> None:
    wave = np.array([[0.4], [0.62], [0.9]])
    rows = Spectrum().at(wave)
    one = np.ones(1, np.float32)
    flux = rows.flux(np.zeros(1, int), 8000 * one, 0 * one, None, one, one)[:, 0]
    planck = wave[:, 0] ** -3 / np.expm1(14387.77 / wave[:, 0] / 8000)
    np.testing.assert_allclose(flux, planck / planck[1], rtol=1e-4)


def test_dust_reddens_and_follows_the_published_curve() -> None:
    wave = np.array([0.4405, 0.5495])  # B and V
    loss = -2.5 * np.log10(transmission(wave, 1.0))
    assert loss[1] == pytest.approx(1.0, abs=0.02)
    assert loss[0] - loss[1] == pytest.approx(1 / 3.1, abs=0.03)
