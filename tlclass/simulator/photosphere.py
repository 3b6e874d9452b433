"""The spectral shape of a transient: blackbody, line blanketing, broad features and dust.

Fluxes are per unit frequency and relative to the continuum at 0.62 um (rest r), so that the drawn
absolute magnitude is the peak of the rest-frame continuum there. Wavelength arrays hold quadrature nodes
first, (K, M): a row m is one object seen through one band.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tlclass.arrays import Array
from tlclass.simulator.parameters import Pair, record

REFERENCE = 0.62  # um
WIEN = 14387.77  # h c / k_B in um K
LYMAN_ALPHA = 0.1216  # um
BEYOND_LYMAN = 0.15  # crude mean transmission of the intergalactic medium
BLANKETING_WIDTH = 600.0  # K, over which blanketing sets in
NEAR_INFRARED = (0.55, 0.25, 1.3)  # um, um, cap: ramp of the second maximum with wavelength
AGN_PIVOT = 0.75  # um: M_i refers to this wavelength
VARIABILITY = (0.4, -0.479)  # um, index: rms of AGN variability against wavelength (MacLeod+ 2010)


@dataclass(frozen=True)
class Feature:
    """A broad line or trough: a Gaussian factor on the continuum.

    Attributes:
        name: which ion, for the reader.
        center: um.
        width: um, standard deviation.
        early: relative height at peak.
        late: relative height `Spectrum.nebular_time` days after it.
    """

    name: str
    center: float
    width: float
    early: float
    late: float


@dataclass(frozen=True)
class Spectrum:
    """Spectral shape of one class.

    Attributes:
        nebular_time: days after peak in which features go from `early` to `late`.
        blanket_edge: um; blanketing suppresses flux blueward of it.
        blanket_hot: strength in a hot photosphere.
        blanket_cool: strength in a cool one.
        blanket_temperature: K, the transition.
        blanket_power: exponent of (edge / wavelength - 1).
        ultraviolet: (um, exponent) of an additional power-law cut-off, or None.
        second_peak: weight of the red second maximum of SNe Ia.
        features: broad lines.
    """

    nebular_time: float = 40.0
    blanket_edge: float = 0.6
    blanket_hot: float = 0.0
    blanket_cool: float = 0.0
    blanket_temperature: float = 7000.0
    blanket_power: float = 1.3
    ultraviolet: Pair | None = None
    second_peak: float = 0.0
    features: tuple[Feature, ...] = ()

    @classmethod
    def from_config(cls, config: Mapping[str, Any], where: str) -> Spectrum:
        """Build from the `spectrum` block of a class."""
        features = [record(Feature, entry, f"{where}.features") for entry in config.get("features", ())]
        return record(cls, {**config, "features": features}, where)

    def at(self, wave: Array) -> Rows:
        """Precompute all that does not change with time, for rest wavelengths `wave`, (K, M) um."""
        fixed = (REFERENCE / wave) ** 3
        if self.ultraviolet is not None:
            edge, power = self.ultraviolet
            fixed = fixed * np.minimum(1.0, wave / edge) ** power
        fixed = np.where(wave < LYMAN_ALPHA, BEYOND_LYMAN * fixed, fixed)
        start, length, cap = NEAR_INFRARED
        return Rows(
            spectrum=self,
            fixed=fixed.astype(np.float32),
            wien=(WIEN / wave).astype(np.float32),
            blanket=(np.maximum(self.blanket_edge / wave - 1.0, 0.0) ** self.blanket_power).astype(np.float32),
            red=np.clip((wave - start) / length, 0.0, cap).astype(np.float32),
            lines=tuple(
                np.exp(-0.5 * ((wave - line.center) / line.width) ** 2).astype(np.float32) for line in self.features
            ),
        )

    def blanketing(self, temperature: Array) -> Array:
        """Strength of line blanketing at `temperature`, K; grows as the photosphere cools."""
        cool = 1.0 / (1.0 + np.exp((temperature - self.blanket_temperature) / BLANKETING_WIDTH))
        return self.blanket_hot + (self.blanket_cool - self.blanket_hot) * cool


@dataclass(frozen=True)
class Rows:
    """A spectrum prepared at (K, M) wavelengths; `flux` evaluates it at n epochs."""

    spectrum: Spectrum
    fixed: Array
    wien: Array
    blanket: Array
    red: Array
    lines: tuple[Array, ...]

    def flux(
        self,
        rows: Array,
        temperature: Array,
        nebular: Array,
        second: Array | None,
        blanket_factor: Array,
        line_factor: Array,
    ) -> Array:
        """Flux relative to the continuum at 0.62 um, (K, n) float32.

        Args:
            rows: (n,) which of the M columns each epoch uses.
            temperature: (n,) K.
            nebular: (n,) 0 at peak to 1 late.
            second: (n,) relative strength of the second maximum, or None.
            blanket_factor: (n,) strength of blanketing of this object against its class.
            line_factor: (n,) the same for features.
        """
        strength = self.spectrum.blanketing(temperature) * blanket_factor
        flux = np.take(self.wien, rows, axis=1)
        flux /= temperature
        np.exp(flux, out=flux)
        flux -= 1.0
        np.divide(np.exp(np.float32(WIEN / REFERENCE) / temperature) - 1.0, flux, out=flux)
        exponent = np.take(self.blanket, rows, axis=1)
        exponent *= -strength
        flux *= np.exp(exponent, out=exponent)
        flux *= np.take(self.fixed, rows, axis=1)
        for line, shape in zip(self.spectrum.features, self.lines, strict=True):
            height = np.maximum(line_factor * (line.early + (line.late - line.early) * nebular), -0.95)
            flux *= 1.0 + height * np.take(shape, rows, axis=1)
        if second is not None:
            flux *= 1.0 + self.spectrum.second_peak * second * np.take(self.red, rows, axis=1)
        return flux


@dataclass(frozen=True)
class AccretionRows:
    """Spectrum of a varying accretion disc at (K, M) wavelengths: the difference to a reference image."""

    mean: Array
    slope: Array

    @classmethod
    def at(cls, wave: Array, index: Array) -> AccretionRows:
        """Power law of `index`, (M,), at rest wavelengths `wave`, (K, M) um; bluer when brighter."""
        mean = (wave / AGN_PIVOT) ** index
        slope = (wave / VARIABILITY[0]) ** VARIABILITY[1]
        absorbed = np.where(wave < LYMAN_ALPHA, BEYOND_LYMAN * mean, mean)
        return cls(absorbed.astype(np.float32), (-0.4 * np.log(10) * slope).astype(np.float32))

    def flux(self, rows: Array, magnitude: Array, reference: Array) -> Array:
        """Flux at `magnitude` minus flux at `reference`, both (n,) offsets from the mean; (K, n)."""
        slope = np.take(self.slope, rows, axis=1)
        change: Array = np.exp(slope * magnitude) - np.exp(slope * reference)
        change *= np.take(self.mean, rows, axis=1)
        return change
