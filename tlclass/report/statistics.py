"""Means over seeds with bootstrap intervals, monotone regression, and the labels needed to reach a score."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tlclass.arrays import Array

DRAWS = 2000
LEVEL = 0.95


@dataclass(frozen=True)
class Estimate:
    """A value with its bootstrap interval; NaN bounds where one seed gives none.

    Attributes:
        value: from all seeds. low, high: bounds of the 95 % interval.
        n: seeds that have a value.
    """

    value: float
    low: float
    high: float
    n: int


def resampled(n: int) -> Array:
    """(DRAWS, n) indices of seeds drawn with replacement, the same at every call."""
    return np.random.default_rng(0).integers(0, n, (DRAWS, n))


def estimate(scores: Array, statistic: Callable[[Array], Array]) -> Estimate:
    """A statistic of the means over seeds; seeds are resampled as a whole, so that what belongs to one stays together.

    A column with one value keeps it in every draw: its spread is not known (and with 0 labels it may have none).

    Args:
        scores: (n_seeds, C), NaN where a job is missing.
        statistic: of means (..., C) to (...); inf where it is out of reach, NaN where it has no value.
    """
    kept = scores[~np.isnan(scores).all(axis=1)]
    if len(kept) == 0:
        return Estimate(float("nan"), float("nan"), float("nan"), 0)
    value = float(statistic(means(kept)[None])[0])
    if len(kept) == 1:
        return Estimate(value, float("nan"), float("nan"), 1)
    kept = np.where((~np.isnan(kept)).sum(axis=0) == 1, means(kept), kept)
    draws = statistic(means(kept[resampled(len(kept))].swapaxes(0, 1)))
    low, high = quantiles(draws[~np.isnan(draws)])
    return Estimate(value, low, high, len(kept))


def quantiles(draws: Array) -> tuple[float, float]:
    """The central 95 % of draws, some of which may be inf; NaN without any."""
    if not len(draws):
        return float("nan"), float("nan")
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(draws, [tail, 1 - tail], method="inverted_cdf")  # never interpolates towards inf
    return float(low), float(high)


def mean_estimate(values: Array) -> Estimate:
    """Mean over seeds (n,), NaN where missing."""
    values = values[~np.isnan(values)]
    if len(values) < 2:
        return Estimate(float(values.mean()) if len(values) else float("nan"), float("nan"), float("nan"), len(values))
    low, high = quantiles(values[resampled(len(values))].mean(axis=1))
    return Estimate(float(values.mean()), low, high, len(values))


def means(scores: Array) -> Array:
    """Mean over axis 0 of what is not NaN; NaN where all is."""
    present = ~np.isnan(scores)
    counts = present.sum(axis=0)
    total: Array = np.where(present, scores, 0.0).sum(axis=0)
    average: Array = np.divide(total, counts, out=np.full(total.shape, np.nan), where=counts > 0)
    return average


def isotonic(values: Array) -> Array:
    """The non-decreasing sequence nearest to `values` in least squares (pool adjacent violators; Ayer et al. 1955).

    >>> isotonic(np.array([1.0, 3.0, 2.0, 4.0])).tolist()
    [1.0, 2.5, 2.5, 4.0]
    """
    pools: list[tuple[float, int]] = []  # mean, length
    for value in values:
        pools.append((float(value), 1))
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (a, n), (b, m) = pools[-2:]
            pools[-2:] = [((a * n + b * m) / (n + m), n + m)]
    return np.repeat([mean for mean, _ in pools], [length for _, length in pools])


def labels_to_reach(budgets: Array, scores: Array, level: float) -> float:
    """Labels at which the monotone curve through the scores reaches `level`; inf if it never does.

    Linear in the logarithm of the budget between budgets. There is no logarithm of 0 labels, so from there
    the next budget is given, which is an upper limit; so is the smallest budget if it already reaches the level.

    Args:
        budgets: (B,) ascending. scores: (B,), NaN where missing.
    """
    present = ~np.isnan(scores)
    if np.isnan(level) or not present.any():
        return float("nan")
    budgets, curve = budgets[present], isotonic(scores[present])
    reached = np.flatnonzero(curve >= level)
    if not len(reached):
        return float("inf")
    first = int(reached[0])
    if first == 0 or budgets[first - 1] == 0:
        return float(budgets[first])
    part = (level - curve[first - 1]) / (curve[first] - curve[first - 1])
    below, above = np.log(budgets[first - 1]), np.log(budgets[first])
    return float(np.exp(below + part * (above - below)))


def label_efficiency(budgets: Array, scores: Array, reference: Array) -> Estimate:
    """Labels needed for the mean score of a reference, with its interval over seeds.

    Args:
        budgets: (B,) ascending.
        scores: (n_seeds, B) of the arm, NaN where a job is missing.
        reference: (n_seeds,) of the reference at its largest number of labels, same seeds.
    """

    def labels(average: Array) -> Array:
        return np.array([labels_to_reach(budgets, row[:-1], float(row[-1])) for row in average])

    return estimate(np.column_stack([scores, reference]), labels)


def ratio(average: Array) -> Array:
    """Column 0 over column 1."""
    quotient: Array = average[..., 0] / average[..., 1]
    return quotient


def skill(average: Array) -> Array:
    """The same above chance, (A - 0.5) / (A_reference - 0.5); NaN if the reference has none."""
    arm, reference = average[..., 0] - 0.5, average[..., 1] - 0.5
    quotient: Array = np.divide(arm, reference, out=np.full(arm.shape, np.nan), where=reference > 0)
    return quotient
