"""Sampling uncertainty of a score difference: a paired bootstrap over test objects."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from tlclass.arrays import Array
from tlclass.report.statistics import quantiles
from tlclass.training.leavings import PREDICTIONS, read_predictions

CELLS = 250_000  # draws times objects held at once; at least 100 draws


def object_interval(pairs: Sequence[tuple[Path, Path]]) -> tuple[float, float]:
    """95 % interval of the mean difference in macro AUROC, first minus second, over other test objects of the same kind.

    Objects are resampled within their class, the same for all pairs, so the interval holds neither the choice of
    labels nor that of initial weights; the interval over seeds does.

    Args:
        pairs: folders of two jobs with the same seed and labels.

    Returns:
        (NaN, NaN) where jobs were tested on different objects, whose luck the seeds show already, or left no predictions.
    """
    if not all((folder / PREDICTIONS).is_file() for pair in pairs for folder in pair):
        return float("nan"), float("nan")
    names = [predictions(folder)[0] for pair in pairs for folder in pair]
    if any(len(other) != len(names[0]) or (other != names[0]).any() for other in names):
        return float("nan"), float("nan")
    total = sum(resampled_scores(ours) - resampled_scores(theirs) for ours, theirs in pairs)
    draws = np.asarray(total) / len(pairs)
    return quantiles(draws[~np.isnan(draws)])


def resampled_scores(folder: Path) -> Array:
    """(draws,) macro AUROC of a job for each resampling of its test part; the same draws for jobs with the same one."""
    return _resampled_scores(folder, *_version(folder))


def predictions(folder: Path) -> tuple[Array, Array, Array]:
    """Object ids (n,), classes (n,) and probabilities (n, K) of a job, in the order of the ids."""
    return _predictions(folder, *_version(folder))


def _version(folder: Path) -> tuple[int, int]:
    about = (folder / PREDICTIONS).stat()
    return about.st_mtime_ns, about.st_size


@lru_cache(4096)
def _resampled_scores(folder: Path, _time: int, _size: int) -> Array:
    _, label, probability = predictions(folder)
    return macro_auroc(probability, label, resampled_within(label))


@lru_cache(64)
def _predictions(folder: Path, _time: int, _size: int) -> tuple[Array, Array, Array]:
    found = read_predictions(folder)
    order = np.argsort(found.object_id)
    return found.object_id[order], found.label[order], found.probability[order]


def resampled_within(label: Array) -> Array:
    """(draws, n) how often each object is drawn when every class is resampled with replacement."""
    generator = np.random.default_rng(0)
    draws = int(np.clip(CELLS // len(label), 100, 1000))
    weights = np.zeros((draws, len(label)))
    for value in np.unique(label):
        members = np.flatnonzero(label == value)
        weights[:, members] = generator.multinomial(len(members), np.full(len(members), 1 / len(members)), draws)
    return weights


def macro_auroc(probability: Array, label: Array, weights: Array) -> Array:
    """(draws,) mean one-vs-rest AUROC over the classes present, with (draws, n) weights; NaN with fewer than two."""
    present = [k for k in range(probability.shape[1]) if 0 < np.count_nonzero(label == k) < len(label)]
    scores = [weighted_auroc(probability[:, k], label == k, weights) for k in present]
    mean: Array = np.mean(scores, axis=0) if scores else np.full(len(weights), np.nan)
    return mean


def weighted_auroc(score: Array, positive: Array, weights: Array) -> Array:
    """(draws,) probability that a positive scores above a negative, ties one half, of weighted objects.

    Args:
        score: (n,); equal in float32 is equal, because equal votes of a forest differ in their last digits.
        positive: (n,) bool. weights: (draws, n).
    """
    score = score.astype(np.float32)
    order = np.argsort(score, kind="stable")
    weights, positive = weights[:, order], positive[order]
    _, start, tied, count = np.unique(score[order], return_index=True, return_inverse=True, return_counts=True)
    lower = np.zeros((len(weights), len(score) + 1))  # weight of the negatives among the lowest 0, 1, ... n scores
    np.cumsum(np.where(positive, 0.0, weights), axis=1, out=lower[:, 1:])
    first = start[tied[positive]]
    beaten = (lower[:, first] + lower[:, first + count[tied[positive]]]) / 2
    wins = (weights[:, positive] * beaten).sum(axis=1)
    total: Array = wins / (weights[:, positive].sum(axis=1) * weights[:, ~positive].sum(axis=1))
    return total
