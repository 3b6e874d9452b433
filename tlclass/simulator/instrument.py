"""From true to measured flux: photon noise, quoted errors and everything that is not photon noise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import Generator

from tlclass.arrays import Array
from tlclass.lightcurves.photometry import ZERO_POINT
from tlclass.simulator.chunks import CHUNK
from tlclass.simulator.parameters import Pair


@dataclass(frozen=True)
class Band:
    """One pass band of a survey.

    Attributes:
        edges: half-power wavelengths, um.
        depth: typical m5 without moon, mag.
        moon: loss of depth at full moon, mag.
        gain: photo-electrons per unit flux.
        saturation: mag; brighter epochs are lost.
    """

    edges: Pair
    depth: float
    moon: float
    gain: float
    saturation: float


@dataclass(frozen=True)
class Systematics:
    """Everything that is not photon noise; all zero (and `error_scale` 1) is a perfect survey.

    Attributes:
        error_floor: part of the flux added in quadrature to the error.
        zero_point_scatter: relative, per object and band.
        error_scale: true noise over quoted error.
        noise_spread: sigma of the log of that ratio, per object, e.g. because of subtraction residuals of its host.
        error_jitter: sigma of the log of quoted errors, per epoch; or the range from which each object's sigma is drawn.
        error_spread: the same per object, e.g. because of the light of its host galaxy; the noise follows.
        outlier_fraction: of epochs, shifted by Student's t (2 degrees) times `outlier_scale` errors.
        outlier_scale: see above.
        baseline_offset: constant offset per object and band, in errors of the empty sky.
        reference_light: fraction of objects whose light is in the reference image.
        reference_share: largest part of the peak flux that is.
        lost: range from which the part of each object's epochs is drawn that quality cuts lose, whatever the flux.
        forced_fraction: of the objects have forced photometry; the others only epochs above `min_snr`.
        min_snr: see above.
    """

    error_floor: float = 0.0
    zero_point_scatter: float = 0.0
    error_scale: float = 1.0
    noise_spread: float = 0.0
    error_jitter: float | Pair = 0.0
    error_spread: float = 0.0
    outlier_fraction: float = 0.0
    outlier_scale: float = 3.0
    baseline_offset: float = 0.0
    reference_light: float = 0.0
    reference_share: float = 0.15
    lost: Pair | None = None
    forced_fraction: float = 1.0
    min_snr: float = 3.0


@dataclass(frozen=True)
class Visits:
    """Visits of a chunk of objects, before noise; each array (m,).

    Attributes:
        objects: number of the object in the chunk, ascending.
        band: index of the pass band.
        depth: m5 of the visit, mag.
        mjd: date.
        since: days since the object's start.
        flux: without noise; float32.
    """

    objects: Array
    band: Array
    depth: Array
    mjd: Array
    since: Array
    flux: Array


class Instrument:
    """Measures visits.

    Args:
        bands: pass bands by name.
        systematics: departures from photon noise.
    """

    def __init__(self, bands: Mapping[str, Band], systematics: Systematics) -> None:
        """Turn the pass bands into arrays."""
        self.systematics = systematics
        self.depth = np.array([band.depth for band in bands.values()])
        self.moon = np.array([band.moon for band in bands.values()])
        self.gain = np.array([band.gain for band in bands.values()], np.float32)
        self.saturation = np.array([flux_of(band.saturation) for band in bands.values()], np.float32)

    def measure(self, visits: Visits, rng: Generator) -> tuple[Array, Array, Array]:
        """Add noise and systematics: observed flux, its typical error and the quoted one, each (m,) float32."""
        flux, noise = self._expose(visits, rng)
        return flux, noise, self._quote(noise, visits.objects, rng)

    def keeps(self, visits: Visits, rng: Generator) -> Array:
        """Visits that neither saturation nor quality cuts lose, (m,) bool."""
        keep = np.abs(visits.flux) < self.saturation[visits.band]
        if self.systematics.lost is not None:
            low, high = self.systematics.lost
            share = rng.uniform(low, high, CHUNK)
            keep &= rng.random(visits.flux.size) >= share[visits.objects]
        return np.asarray(keep)

    def _quote(self, noise: Array, objects: Array, rng: Generator) -> Array:
        """Errors as the survey quotes them, (m,) float32, given their typical values and objects, (m,)."""
        jitter: Any = self.systematics.error_jitter
        if isinstance(jitter, tuple):
            jitter = rng.uniform(jitter[0], jitter[1], CHUNK).astype(np.float32)[objects]
        elif jitter <= 0:
            return noise
        return np.asarray(noise * np.exp(jitter * rng.standard_normal(noise.size, np.float32)))

    def _expose(self, visits: Visits, rng: Generator) -> tuple[Array, Array]:
        """Observed flux and its error before jitter, each (m,) float32."""
        settings = self.systematics
        true, band, size = visits.flux, visits.band, visits.flux.size
        sky = np.float32(0.2) * np.exp(np.float32(0.4 * np.log(10)) * (ZERO_POINT - visits.depth))
        error = np.sqrt(sky**2 + np.maximum(true, 0) / self.gain[band] + (settings.error_floor * true) ** 2)
        if settings.error_spread > 0:
            error *= np.exp(settings.error_spread * rng.standard_normal(CHUNK, np.float32))[visits.objects]
        flux = true + self._noise_scale(visits.objects, rng) * error * rng.standard_normal(size, np.float32)
        which = visits.objects * len(self.depth) + band
        shape = CHUNK * len(self.depth)
        if settings.zero_point_scatter > 0:
            flux += true * (settings.zero_point_scatter * rng.standard_normal(shape, np.float32))[which]
        if settings.baseline_offset > 0:
            empty = 0.2 * flux_of(np.tile(self.depth, CHUNK)).astype(np.float32)
            flux += (settings.baseline_offset * empty * rng.standard_normal(shape, np.float32))[which]
        if settings.reference_light > 0:
            flux -= self._reference_light(which, true, rng)[which]
        if settings.outlier_fraction > 0:
            out = np.flatnonzero(rng.random(size, np.float32) < settings.outlier_fraction)
            flux[out] += settings.outlier_scale * error[out] * rng.standard_t(2, out.size).astype(np.float32)
        return flux, error

    def _noise_scale(self, objects: Array, rng: Generator) -> Any:
        """True noise over quoted error, one number or (m,) float32."""
        settings = self.systematics
        if settings.noise_spread <= 0:
            return np.float32(settings.error_scale)
        spread = np.exp(settings.noise_spread * rng.standard_normal(CHUNK, np.float32))
        return np.float32(settings.error_scale) * spread[objects]

    def _reference_light(self, which: Array, true: Array, rng: Generator) -> Array:
        settings, bands = self.systematics, len(self.depth)
        peak = np.zeros(CHUNK * bands, np.float32)
        np.maximum.at(peak, which, true)
        affected = rng.random(CHUNK) < settings.reference_light
        share = np.where(affected, rng.uniform(0, settings.reference_share, CHUNK), 0.0)
        return peak * np.repeat(share, bands).astype(np.float32)


def flux_of(magnitude: Any) -> Any:
    """AB magnitude to flux at zero point 27.5."""
    return 10.0 ** (0.4 * (ZERO_POINT - magnitude))
