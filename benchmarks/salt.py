"""How far the simulator's SNe Ia are from SALT3, and the fit of conf/population/literature.yaml.

    python benchmarks/salt.py FOLDER [POPULATION] [--fit]

FOLDER holds `salt3_template_0.dat`, `salt3_template_1.dat` and `salt3_color_correction.dat` of SALT3.K21 (Kenworthy+ 2021, trained on
1,083 SNe Ia of other surveys): https://github.com/djones1040/SALTShaker, docs/_static/salt3-k21.tar.gz. Magnitudes of objects without
dust and scatter are compared. No light curve of a target survey and no score take part.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import least_squares

from tlclass.arrays import Array
from tlclass.simulate import load_simulation
from tlclass.simulator import Bands, Population
from tlclass.simulator.bands import band_flux
from tlclass.simulator.histories import evolve
from tlclass.simulator.photosphere import Spectrum
from tlclass.simulator.transients import Transient

COLOUR = -0.084  # SALT's c of a SN Ia without dust (Brout & Scolnic 2021)
STRETCH = np.array([-1.5, -0.75, 0.0, 0.75, 1.5])  # SALT's x1
STRETCH_WEIGHT = np.array([0.6, 0.9, 1.2, 1.2, 0.8])
PHASES = np.r_[np.arange(-14, 10, 2.0), np.arange(10, 51, 4.0)]  # rest-frame days since maximum in B
PHASE_WEIGHT = np.select([PHASES < -12, PHASES < -4, PHASES < 35], [0.8, 2.2, 1.0], 0.6)
BANDS = {"u": (0.3355, 0.3975), "g": (0.4146, 0.5466), "r": (0.5653, 0.7203), "i": (0.70, 0.85)}  # um; g and r of ZTF
# band, redshift, weight in the fit
SEEN = [*((band, z, 1.0) for z in (0.0, 0.04, 0.08, 0.12) for band in "gr"), ("u", 0.0, 0.2), ("i", 0.0, 0.5)]
EDGES = [(BANDS[band][0] / (1 + z), BANDS[band][1] / (1 + z)) for band, z, _ in SEEN]
WEIGHT = np.array([weight for *_, weight in SEEN])[:, None] * STRETCH_WEIGHT[:, None, None] * PHASE_WEIGHT
STARTS = 12  # the population as it is and random changes of it; the best fit is kept
FREE = {  # what is fitted: step of the fit, lowest and highest value; `a b` is the slope of a with b
    "diffusion_time": (1, 8, 22), "gamma_time": (4, 20, 60), "dip": (0.1, 0, 0.5), "dip_time": (2, 8, 22),
    "second_peak": (0.1, 0.02, 0.6), "second_peak_time": (2, 15, 32), "temperature_peak": (1000, 8000, 18000),
    "temperature_floor": (500, 3500, 6500), "cooling_time": (5, -60, 70), "cooling_index": (1, 1.5, 8),
    "reddening_rate": (15, 0, 110), "stretch x1": (0.02, 0.05, 0.14), "second_peak x1": (0.04, -0.1, 0.2),
    "second_peak_time x1": (1, -2, 6), "temperature_peak x1": (200, -600, 800), "cooling_time stretch": (5, 0, 80),
    "blanket_edge": (0.03, 0.5, 0.66), "blanket_hot": (0.15, 0, 1.2), "blanket_cool": (0.2, 0.5, 2.6),
    "blanket_temperature": (400, 5500, 8500), "blanket_power": (0.2, 0.6, 2.5),
    "ultraviolet edge": (0.02, 0.33, 0.42), "ultraviolet power": (0.5, 0.5, 4),
}  # fmt: skip
HEIGHT = (0.12, -0.6, 0.5)  # the same for features: `early Si II`, `late Si II`
MAXIMUM = (1.0, -6.0, 6.0)  # the same for the days from maximum light at 0.62 um to that in B


@dataclass(frozen=True)
class Salt:
    """SALT3: spectra of two components and a colour law.

    Attributes:
        phase: (P,) rest-frame days since maximum in B.
        wave: (W,) Angstrom.
        mean: (P, W) flux per wavelength of x1 = 0.
        change: (P, W) its change with x1.
        law: coefficients of the colour law.
        range: (2,) Angstrom, outside which the colour law goes on linearly.
    """

    phase: Array
    wave: Array
    mean: Array
    change: Array
    law: tuple[float, ...]
    range: tuple[float, float]

    @classmethod
    def read(cls, folder: Path) -> Salt:
        """The files that SALT3 comes in."""
        mean, change = (np.loadtxt(folder / f"salt3_template_{k}.dat") for k in (0, 1))
        phase, wave = np.unique(mean[:, 0]), np.unique(mean[:, 1])
        shape = phase.size, wave.size
        words = (folder / "salt3_color_correction.dat").read_text().split()
        law = tuple(map(float, words[1 : 1 + int(words[0])]))
        named = dict(zip(words[1 + len(law) :: 2], words[2 + len(law) :: 2], strict=True))
        low, high = (float(named[f"Salt2ExtinctionLaw.{end}_lambda"]) for end in ("min", "max"))
        return cls(phase, wave, mean[:, 2].reshape(shape), change[:, 2].reshape(shape), law, (low, high))

    def colour_law(self) -> Array:
        """(W,) mag per unit of c, relative to B."""
        blue, visual = 4302.57, 5428.55  # Angstrom, of B and V
        polynomial = np.polynomial.Polynomial([0.0, 1.0 - sum(self.law), *self.law])
        slope = polynomial.deriv()
        reduced = (self.wave - blue) / (visual - blue)
        low, high = ((end - blue) / (visual - blue) for end in self.range)
        inside = np.clip(reduced, low, high)
        return -np.asarray(polynomial(inside) + slope(inside) * (reduced - inside))

    def magnitudes(self, x1: float) -> Array:
        """(bands, phases) magnitudes without dust, with one offset."""
        flux = (self.mean + x1 * self.change) * 10 ** (-0.4 * COLOUR * self.colour_law())
        rows = []
        for low, high in EDGES:
            inside = (self.wave >= 1e4 * low) & (self.wave <= 1e4 * high)
            wave = self.wave[inside]
            mean = np.trapezoid(flux[:, inside] * wave, wave, axis=1) / np.trapezoid(1 / wave, wave)  # photons, F_nu
            rows.append(np.interp(PHASES, self.phase, -2.5 * np.log10(np.maximum(mean, 1e-30))))
        return np.array(rows)


class Supernova:
    """The simulator's SN Ia as a vector of numbers.

    Attributes:
        transient: the class of a population.
        names: what the numbers are, in the order of vectors.
        bounds: (numbers, 3) step of the fit, lowest and highest value.
        start: (numbers,) of the population.
    """

    def __init__(self, population: str) -> None:
        classes: Population = load_simulation("ztf_simulated", [f"population={population}"]).population  # type: ignore[union-attr]
        self.transient = classes.classes[classes.index("SNIa")]
        self.spectrum: Spectrum = self.transient.spectrum  # type: ignore[assignment]
        heights = [f"{when} {line.name}" for line in self.spectrum.features for when in ("early", "late")]
        free = FREE | dict.fromkeys(heights, HEIGHT) | {"maximum": MAXIMUM}
        self.names = tuple(free)
        self.bounds = np.array(list(free.values()), dtype=float)
        self.start = np.array([self._number(name) for name in self.names])

    def _number(self, name: str) -> float:
        parameters = dict(self.transient.parameters)
        of, _, by = name.partition(" ")
        edge, power = self.spectrum.ultraviolet or (0.35, 2.0)
        ultraviolet = {"ultraviolet edge": edge, "ultraviolet power": power, "maximum": 0.0}
        if name in ultraviolet:
            return ultraviolet[name]
        if name in parameters:
            return parameters[name].arguments[0]
        if of in parameters:
            return {slope: coefficient for slope, coefficient, _ in parameters[of].slope}.get(by, 0.0)
        for line in self.spectrum.features:
            if line.name == by:
                return float(getattr(line, of))
        return float(getattr(self.spectrum, name))

    def with_numbers(self, numbers: Array) -> Transient:
        """The class with these numbers in place of its own."""
        named = dict(zip(self.names, numbers.tolist(), strict=True))
        parameters = []
        for name, own in self.transient.parameters:
            slopes = {of: coefficient for of, coefficient, _ in own.slope}
            slopes |= {of: named[f"{name} {of}"] for of in ("x1", "stretch") if f"{name} {of}" in named}
            first = named.get(name, own.arguments[0])
            slope = tuple((of, coefficient, 0.0) for of, coefficient in slopes.items())
            parameters.append((name, replace(own, arguments=(first, *own.arguments[1:]), slope=slope)))
        features = tuple(
            replace(line, early=named[f"early {line.name}"], late=named[f"late {line.name}"])
            for line in self.spectrum.features
        )
        spectrum = replace(
            self.spectrum,
            **{name: value for name, value in named.items() if name.startswith("blanket_")},
            ultraviolet=(named["ultraviolet edge"], named["ultraviolet power"]),
            features=features,
        )
        return replace(self.transient, parameters=tuple(parameters), spectrum=spectrum)

    def magnitudes(self, numbers: Array) -> Array:
        """(x1, bands, phases) of objects without scatter, one per x1."""
        transient = self.with_numbers(numbers)
        drawn = {"x1": STRETCH} | {
            name: np.ones(STRETCH.size) for name in ("blanketing", "features", "temperature_factor")
        }
        for name, parameter in transient.parameters:
            if name not in drawn:
                typical = replace(parameter, kind="constant", arguments=parameter.arguments[:1], within=None)
                drawn[name] = typical.draw(np.random.default_rng(0), STRETCH.size, drawn)
        histories = evolve(transient, drawn, np.random.default_rng(0))
        shape = STRETCH.size, len(EDGES), PHASES.size
        objects, band, phase = (axis.ravel() for axis in np.indices(shape))
        days = np.maximum(histories.peak_time[objects] + PHASES[phase] + numbers[self.names.index("maximum")], 0.05)
        flux = band_flux(histories, Bands.top_hats(EDGES), np.zeros(STRETCH.size), (objects, band, days))
        return np.asarray(-2.5 * np.log10(np.maximum(flux.reshape(shape), 1e-6)))

    def difference(self, numbers: Array, salt: Array) -> Array:
        """(x1, bands, phases) mag, simulator minus SALT3, at most 1; less the mean of each x1, because brightness is set elsewhere."""
        found = self.magnitudes(numbers) - salt
        return np.asarray(np.clip(found - np.average(found, axis=(1, 2), weights=WEIGHT)[:, None, None], -1, 1))

    def fit(self, salt: Array, free: Sequence[str] = (), starts: int = 1) -> Array:
        """The numbers that come nearest to SALT3; all are free, or those named in `free`."""
        chosen = np.array([not free or name in free for name in self.names])
        step, low, high = self.bounds[chosen].T

        def numbers(steps: Array) -> Array:
            values = self.start.copy()
            values[chosen] += (steps - 3) * step  # around 3, because the fit's own steps are relative
            return values

        def residuals(steps: Array) -> Array:
            return np.concatenate([(WEIGHT * self.difference(numbers(steps), salt)).ravel(), 0.01 * (steps - 3)])

        rng = np.random.default_rng(1)
        low, high = 3 + (low - self.start[chosen]) / step, 3 + (high - self.start[chosen]) / step
        found = []
        for number in range(starts):
            at = 3 + (0.5 * rng.standard_normal(step.size) if number else np.zeros(step.size))
            at = np.clip(at, low + 1e-3, high - 1e-3)
            settings: Any = {"max_nfev": 200, "diff_step": 3e-3, "loss": "soft_l1", "f_scale": 0.15}
            found.append(least_squares(residuals, at, bounds=(low, high), **settings))
        return numbers(min(found, key=lambda one: float(one.cost)).x)


def main() -> None:
    """Print how far a population is from SALT3, or fit it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("population", nargs="?", default="literature")
    parser.add_argument("--fit", action="store_true", help="also fit all numbers, from those of the population")
    given = parser.parse_args()
    reference = Salt.read(given.folder)
    salt = np.stack([reference.magnitudes(x1) for x1 in STRETCH])
    supernova = Supernova(given.population)
    core = (PHASES > -11) & (PHASES < 41)
    fits = {given.population: supernova.fit(salt, ("maximum",))}
    if given.fit:
        fits["fitted"] = supernova.fit(salt, starts=STARTS)
    for name, numbers in fits.items():
        left = supernova.difference(numbers, salt)[:, :8][:, :, core]
        rms = [f"{x1:g}: {np.sqrt(np.mean(np.square(one))):.3f}" for x1, one in zip(STRETCH, left, strict=True)]
        print(
            f"{name}: rms {np.sqrt(np.mean(np.square(left))):.3f} mag in g and r, days -10 to 38; by x1 {', '.join(rms)}"
        )
    if given.fit:
        for name, before, after in zip(supernova.names, *fits.values(), strict=True):
            print(f"{name:24s} {before:12.4g} {after:12.4g}")


if __name__ == "__main__":
    main()
