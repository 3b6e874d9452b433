"""Classes of transients: what is drawn for every object, and how often they happen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import Generator

from tlclass.arrays import Array
from tlclass.options import nearest
from tlclass.simulator import engines
from tlclass.simulator.parameters import Parameter, draw_parameters, parse_parameters, record
from tlclass.simulator.photosphere import Spectrum
from tlclass.simulator.templates import Template, template_entry

OPTIONAL = {  # a parameter and the one it needs beside it
    "dip": "dip_time",
    "second_peak": "second_peak_time",
    "early_amplitude": "early_light_time",
    "bump": "bump_time",
    "reddening_rate": "cooling_time",
}
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
        local: per year and Mpc^3 at z = 0; for the record alone: a survey states how many objects of each class it has.
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
            raise ValueError(
                f"the rate's evolution is {self.evolution!r}: choose power, madau_dickinson or exponential"
            )

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
        engine: a key of `engines.PARAMETERS`.
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
        if self.engine not in engines.PARAMETERS:
            raise ValueError(
                f"{self.name}: the engine {self.engine!r} is unknown{nearest(self.engine, engines.PARAMETERS)}: choose one of "
                f"{', '.join(sorted(engines.PARAMETERS))}"
            )
        if (self.spectrum is None) != (self.engine == "random_walk"):
            has = "has no spectrum: add one" if self.spectrum is None else "has a spectrum: remove it"
            raise ValueError(
                f"{self.name}, of the engine {self.engine}, {has}; classes of random_walk have none, all others need one"
            )
        names = {name for name, _ in self.parameters}
        needed = {"peak_magnitude", *engines.PARAMETERS[self.engine]}
        missing = sorted(needed - names)
        if missing:
            raise ValueError(
                f"{self.name}: the engine {self.engine} needs the parameters {', '.join(missing)}: add them"
            )
        chosen = [name for name in OPTIONAL if name in names]
        if isinstance(self.spectrum, Spectrum) and self.spectrum.second_peak > 0:
            chosen.append("second_peak")
        used = {*needed, *chosen, *(OPTIONAL[name] for name in chosen)}
        if not used <= names:
            raise ValueError(
                f"{self.name}: {', '.join(chosen)} needs the parameters {', '.join(sorted(used - names))} too: add them"
            )
        used = used.union(*(parameter.uses for _, parameter in self.parameters))
        if names - used:
            unused = sorted(names - used)
            raise ValueError(
                f"{self.name}: nothing uses the parameters {', '.join(unused)}: remove them; optional ones are {', '.join(sorted(OPTIONAL))}"
            )

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
        amplitude = np.clip(10.0 ** drawn["log_amplitude"], *engines.AMPLITUDE_LIMITS)
        return magnitude - 2.5 * np.log10(MEAN_FLUX_CHANGE * amplitude)


def _parsers(name: str) -> dict[str, Callable[[Any], Any]]:
    return {
        "parameters": lambda block: parse_parameters(block, f"{name}.parameters"),
        "spectrum": lambda block: (
            block if isinstance(block, Template) else Spectrum.from_config(block, f"{name}.spectrum")
        ),
        "dust": lambda block: record(Dust, block, f"{name}.dust"),
        "rate": lambda block: record(Rate, block, f"{name}.rate"),
    }
