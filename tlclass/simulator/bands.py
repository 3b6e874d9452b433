"""Pass bands: the flux of every object through the filters of a survey."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tlclass.arrays import Array
from tlclass.dust import transmission
from tlclass.simulator.histories import Histories, evolve
from tlclass.simulator.transients import Gap, Transient


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
    histories = evolve(transient, drawn, rng)
    shape = (n, bands.wave.shape[1], days.size)
    objects, band, day = (axis.ravel() for axis in np.indices(shape))
    flux = band_flux(histories, bands, np.zeros(n), (objects, band, days[day])).reshape(shape)
    return np.asarray(drawn["peak_magnitude"][:, None, None] - 2.5 * np.log10(np.maximum(flux, 1e-12)))
