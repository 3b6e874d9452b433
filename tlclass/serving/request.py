"""The options of a prediction."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from pathlib import Path


@dataclass(frozen=True)
class Estimated:
    """Class proportions, in the order of the model's classes, that were estimated from all parts of an input."""

    shares: tuple[float, ...]


Prior = str | Path | Mapping[str, float] | Estimated


@dataclass(frozen=True)
class Request:
    """Which rows and columns a table of predictions has: the options of `Model.predict`.

    Attributes:
        at_days: one row per object and number of days since time zero; each row uses the observations up to then.
        every_observation: one row per observation; each row uses the observations up to it.
        embedding: whether to add the latent vector, as `latent_0`, `latent_1`, ...
        top: number of classes to give, the most probable ones, as `class_1`, `p_1`, ...; None: all classes.
        coverage: probability with which the column `set` holds the true class, such as 0.9; None: no such column.
        prior: class proportions in place of those that the model assumes: `flat`, `balanced` (half-way to flat), `estimate` (from the input),
            the name of a survey, a file of `class: share`, or a dictionary.
        keep_passbands: whether to use passbands that the model was not trained on.

    Raises:
        ValueError: one is of another kind or out of range, or two of them exclude one another.
    """

    at_days: Sequence[float] = ()
    every_observation: bool = False
    embedding: bool = False
    top: int | None = None
    coverage: float | None = None
    prior: Prior | None = None
    keep_passbands: bool = False

    def __post_init__(self) -> None:
        """Raise ValueError for contradictory options."""
        if not _are_days(self.at_days):
            raise ValueError(f"at_days is {self.at_days}: give a list of finite numbers of days, such as [5, 10]")
        if self.every_observation and len(self.at_days):
            raise ValueError("at_days and every_observation are two kinds of rows: choose one of them")
        if self.top is not None and (not isinstance(self.top, Integral) or self.top < 1):
            raise ValueError(f"top is {self.top}: give a whole number of classes, 1 or more")
        if self.coverage is not None and not isinstance(self.coverage, Real):
            raise ValueError(f"coverage is {self.coverage!r}: give a number, such as 0.9")
        if self.prior is not None and not isinstance(self.prior, str | Path | Mapping | Estimated):
            kind = type(self.prior).__name__
            raise ValueError(f"prior is of type {kind}: give a dictionary of 'class: share', a word, or a file")


def _are_days(given: object) -> bool:
    """Whether these are finite numbers, and several."""
    if isinstance(given, str) or not isinstance(given, Iterable):
        return False
    return all(isinstance(day, Real) and math.isfinite(day) for day in given)
