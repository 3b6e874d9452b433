"""Random parameters of a class of transients, described as plain data.

A parameter is a distribution plus linear couplings to parameters drawn before it, for instance::

    diffusion_time: {lognormal: [16.3, 0.0], log_slope: {w: 0.20}, clip: [5, 40]}

reads "median 16.3 days, times exp(0.20 w), kept between 5 and 40".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from typing import Any, TypeVar

import numpy as np
from numpy.random import Generator

from tlclass.arrays import Array
from tlclass.options import nearest
from tlclass.quoting import shortened

Pair = tuple[float, float]
Record = TypeVar("Record")

MODIFIERS = ("within", "slope", "log_slope", "scale", "plus", "clip", "probability")


def _constant(rng: Generator, n: int, value: float) -> Array:
    return np.full(n, value)


def _normal(rng: Generator, n: int, mean: float, sd: float) -> Array:
    return mean + sd * rng.standard_normal(n)


def _lognormal(rng: Generator, n: int, median: float, sigma: float) -> Array:
    return median * np.exp(sigma * rng.standard_normal(n))


def _uniform(rng: Generator, n: int, low: float, high: float) -> Array:
    return rng.uniform(low, high, n)


def _split_normal(rng: Generator, n: int, mode: float, sd_low: float, sd_high: float, p_low: float) -> Array:
    below = rng.random(n) < p_low
    return mode + np.abs(rng.standard_normal(n)) * np.where(below, -sd_low, sd_high)


def _lognormal_pair(rng: Generator, n: int, p: float, m1: float, s1: float, m2: float, s2: float) -> Array:
    first = rng.random(n) < p
    return np.where(first, m1, m2) * np.exp(np.where(first, s1, s2) * rng.standard_normal(n))


KINDS: dict[str, tuple[int, Callable[..., Array]]] = {
    "constant": (1, _constant),
    "normal": (2, _normal),
    "lognormal": (2, _lognormal),
    "uniform": (2, _uniform),
    "split_normal": (4, _split_normal),
    "lognormal_pair": (5, _lognormal_pair),
}


@dataclass(frozen=True)
class Parameter:
    """One random quantity: `(draw + slopes) * scales * exp(log slopes) + plus`, clipped.

    Attributes:
        kind: a key of `KINDS`.
        arguments: numbers of the distribution, in the order of its function.
        within: the distribution is truncated to this interval (before any coupling).
        slope: (parameter, coefficient, pivot) terms added as coefficient * (parameter - pivot).
        log_slope: the same, inside an exponential factor.
        scale: parameters that multiply the value.
        plus: a constant added after scaling.
        clip: bounds of the final value.
        probability: the value is zero for the other objects.
    """

    kind: str
    arguments: tuple[float, ...]
    within: Pair | None = None
    slope: tuple[tuple[str, float, float], ...] = ()
    log_slope: tuple[tuple[str, float, float], ...] = ()
    scale: tuple[str, ...] = ()
    plus: float = 0.0
    clip: Pair | None = None
    probability: float = 1.0

    @classmethod
    def from_config(cls, config: float | Mapping[str, Any], where: str) -> Parameter:
        """Build from a number or a mapping such as `{normal: [0, 1], clip: [-2, 2]}`."""
        if isinstance(config, int | float):
            return cls("constant", (float(config),))
        kinds = [key for key in config if key in KINDS]
        unknown = sorted(set(config) - set(KINDS) - set(MODIFIERS))
        if len(kinds) != 1 or unknown:
            raise ValueError(
                f"{where} has the keys {', '.join(map(str, config)) or 'none'}: give one of the distributions {', '.join(sorted(KINDS))}, "
                f"and if you like some of {', '.join(MODIFIERS)}"
            )
        arguments = _numbers(config[kinds[0]], KINDS[kinds[0]][0], f"{where}.{kinds[0]}")
        scale = config.get("scale", ())
        return cls(
            kind=kinds[0],
            arguments=arguments,
            within=interval(config.get("within"), f"{where}.within"),
            slope=_couplings(config.get("slope", {}), f"{where}.slope"),
            log_slope=_couplings(config.get("log_slope", {}), f"{where}.log_slope"),
            scale=(scale,) if isinstance(scale, str) else tuple(scale),
            plus=float(config.get("plus", 0.0)),
            clip=interval(config.get("clip"), f"{where}.clip"),
            probability=float(config.get("probability", 1.0)),
        )

    @property
    def uses(self) -> set[str]:
        """Names of the parameters this one is coupled to."""
        return {name for name, _, _ in (*self.slope, *self.log_slope)} | set(self.scale)

    def draw(self, rng: Generator, n: int, known: Mapping[str, Array]) -> Array:
        """Draw `n` values, (n,), given the parameters `known` so far, each (n,)."""
        value = self._truncated(rng, n)
        for name, coefficient, pivot in self.slope:
            value = value + coefficient * (known[name] - pivot)
        for name in self.scale:
            value = value * known[name]
        for name, coefficient, pivot in self.log_slope:
            value = value * np.exp(coefficient * (known[name] - pivot))
        value = value + self.plus
        if self.clip is not None:
            value = np.clip(value, *self.clip)
        if self.probability < 1.0:
            value = np.where(rng.random(n) < self.probability, value, 0.0)
        return value

    def _truncated(self, rng: Generator, n: int) -> Array:
        sample = KINDS[self.kind][1]
        value = sample(rng, n, *self.arguments)
        if self.within is None:
            return value
        low, high = self.within
        for _ in range(50):
            outside = np.flatnonzero((value < low) | (value > high))
            if outside.size == 0:
                break
            value[outside] = sample(rng, outside.size, *self.arguments)
        return np.clip(value, low, high)


def parse_parameters(config: Mapping[str, Any], where: str) -> tuple[tuple[str, Parameter], ...]:
    """Read an ordered block of parameters; each may be coupled to those above it only."""
    parsed: dict[str, Parameter] = {}
    for name, entry in config.items():
        parameter = Parameter.from_config(entry, f"{where}.{name}")
        missing = sorted(parameter.uses - set(parsed))
        if missing:
            raise ValueError(
                f"{where}.{name} is coupled to {', '.join(missing)}, which no line above it draws: move it below them, or name one of "
                f"those above it ({', '.join(parsed) or 'none'})"
            )
        parsed[name] = parameter
    return tuple(parsed.items())


def draw_parameters(parameters: tuple[tuple[str, Parameter], ...], rng: Generator, n: int) -> dict[str, Array]:
    """Draw `n` objects: a dictionary of (n,) float64 arrays."""
    drawn: dict[str, Array] = {}
    for name, parameter in parameters:
        drawn[name] = parameter.draw(rng, n, drawn)
    return drawn


def interval(value: Sequence[float] | None, where: str) -> Pair | None:
    """Read `[low, high]`, or None."""
    if value is None:
        return None
    low, high = _numbers(value, 2, where)
    if not low < high:
        raise ValueError(f"{where} is {list(value)}: give [low, high] with low below high")
    return low, high


def record(cls: type[Record], config: Mapping[str, Any], where: str) -> Record:
    """Build a dataclass from a mapping whose keys must be its fields; lists become tuples."""
    if not isinstance(config, Mapping):
        raise ValueError(f"{where} is {shortened(config)}: give a group of settings")
    known = fields(cls)  # type: ignore[arg-type]
    unknown = sorted(set(config) - {field.name for field in known})
    if unknown:
        names = [field.name for field in known]
        said = ", ".join(f"{name}{nearest(str(name), names)}" for name in unknown)
        raise ValueError(f"{where} has the unknown keys {said}: it takes {', '.join(names)}")
    required = {f.name for f in known if f.default is MISSING and f.default_factory is MISSING}
    missing = sorted(required - set(config))
    if missing:
        raise ValueError(f"{where} lacks the keys {', '.join(missing)}: add them")
    for field in known:
        if field.name in config:
            _check_type(str(field.type), config[field.name], f"{where}.{field.name}")
    return cls(**{key: _frozen(value) for key, value in config.items()})


def _check_type(kind: str, value: Any, where: str) -> None:
    if kind in ("int", "float"):
        _numbers(value, 1, where)
    elif kind in ("Pair", "Pair | None") and value is not None:
        _numbers(value, 2, where)
    elif kind == "float | Pair":
        _numbers(value, 2 if isinstance(value, list | tuple) else 1, where)
    elif kind == "float | tuple[float, ...]":
        _numbers(value, max(len(value), 1) if isinstance(value, list | tuple) else 1, where)


def _frozen(value: Any) -> Any:
    return tuple(_frozen(item) for item in value) if isinstance(value, list | tuple) else value


def _numbers(value: float | Sequence[float], count: int, where: str) -> tuple[float, ...]:
    numbers = tuple(value) if isinstance(value, list | tuple) else (value,)
    if len(numbers) != count or not all(isinstance(number, int | float) for number in numbers):
        numbers_are = "a number" if count == 1 else f"a list of {count} numbers"
        raise ValueError(f"{where} is {shortened(value)}: give {numbers_are}")
    return tuple(float(number) for number in numbers)


def _couplings(config: Mapping[str, Any], where: str) -> tuple[tuple[str, float, float], ...]:
    couplings = []
    for name, value in config.items():
        pair = (value, 0.0) if isinstance(value, int | float) else value
        coefficient, pivot = _numbers(pair, 2, f"{where}.{name}")
        couplings.append((name, coefficient, pivot))
    return tuple(couplings)
