"""Fit a calibration and prediction sets on objects that the network was not trained on, at every length of a light curve."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from tlclass.inputs.encoding import Encoded
from tlclass.network.calibration import TYPICAL, Calibration
from tlclass.network.inference import Views
from tlclass.network.sets import PredictionSets

# since the trigger: how much of a light curve is looked at
VIEW_DAYS = (2.0, 5.0, 10.0, 15.0, 20.0, 30.0, 50.0, np.inf)
SPREAD = {"log_temperature": 0.7, "slope": 0.3, "bias": 0.5}  # expected size of each, against fits to few objects
EDGES = (4, 9, 18)  # observations: groups of prediction sets
COVERAGE = tuple(round(0.5 + 0.01 * step, 2) for step in range(50))
LEVELS = tuple(round(0.01 * step, 2) for step in range(1, 101))  # of each class, at which thresholds are tried
FEWEST = 30  # objects of a class for thresholds of its own; fewer share those of all classes


def views_of(encoded: Encoded) -> Views:
    """The distinct lengths of each light curve after each of `VIEW_DAYS`, at least one observation."""
    steps = [np.maximum(encoded.until(day), 1) for day in VIEW_DAYS]
    pairs = np.unique(
        np.column_stack([np.tile(np.arange(len(encoded)), len(VIEW_DAYS)), np.concatenate(steps)]), axis=0
    )
    number, observations = np.ascontiguousarray(pairs.T)
    return Views(number, observations, encoded.offsets[number] + observations - 1)


def fit_calibration(
    logits: Tensor,
    observations: Tensor,
    label: Tensor,
    weight: Tensor,
    fitted_on: str,
    start: Calibration | None = None,
    biased: bool = True,
) -> Calibration:
    """The calibration with the lowest weighted log loss, held near `start` (or near none) by normal priors (`SPREAD`).

    Args:
        logits: (V, K) of light curves at several lengths.
        observations: (V,) those lengths.
        label: (V,) class index, or (V, K) how probable each class is.
        weight: (V,) how much each counts, in objects: the views of one object sum to about 1.
        fitted_on: what the objects are, in words.
        start: of a model that knows less, e.g. of simulated objects; its prior is not taken over.
        biased: fit a bias per class too; those of simulated objects do not carry over to real ones.

    Returns:
        With the weighted proportions of the classes as `prior`.
    """
    classes = logits.shape[1]
    center = _parameters(start, classes)
    spread = torch.full((classes + 2,), SPREAD["bias"], dtype=torch.float64)
    spread[0], spread[1] = SPREAD["log_temperature"], SPREAD["slope"]
    objects = float(weight.sum())
    share = weight.double() / weight.sum()
    length = torch.log(observations.double().clamp(min=1) / TYPICAL)
    free = torch.ones_like(center)
    free[2:] = float(biased)
    moved = torch.zeros_like(center, requires_grad=True)

    def loss() -> Tensor:
        values = center + free * moved
        scaled = logits.double() / torch.exp(values[0] + values[1] * length)[:, None] + values[2:]
        each = torch.nn.functional.cross_entropy(scaled, label, reduction="none")
        prior = 0.5 * (moved / spread).square().sum() / objects
        return (each * share).sum() + prior

    _minimise(moved, loss)
    found = (center + free * moved).detach()
    truth = label if label.ndim == 2 else torch.nn.functional.one_hot(label, classes).double()
    prior = (truth * share[:, None]).sum(0)
    bias = found[2:] - found[2:].mean()
    return Calibration(
        temperature=float(found[0].exp()),
        slope=float(found[1]),
        bias=tuple(bias.tolist()),
        prior=tuple(prior.clamp(min=1e-6).tolist()),
        fitted_on=fitted_on,
        objects=round(objects),
    )


def _parameters(start: Calibration | None, classes: int) -> Tensor:
    if start is None:
        return torch.zeros(classes + 2, dtype=torch.float64)
    return torch.tensor([np.log(start.temperature), start.slope, *start.bias], dtype=torch.float64)


def _minimise(values: Tensor, loss: Callable[[], Tensor]) -> None:
    """Move `values` to the smallest loss."""
    optimizer = torch.optim.LBFGS([values], max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> float:
        optimizer.zero_grad()
        value = loss()
        value.backward()  # type: ignore[no-untyped-call]
        return float(value.detach())

    with torch.enable_grad():
        optimizer.step(closure)  # type: ignore[no-untyped-call]


def fit_sets(probability: Tensor, observations: Tensor, label: Tensor | None, weight: Tensor) -> PredictionSets:
    """Thresholds of prediction sets from calibrated probabilities of objects that the network was not trained on.

    Within a group of lengths each class has thresholds of its own, so that its objects are covered like those of the
    others. A set also holds the most probable class, so objects of the largest class are always covered in the first
    days, when every light curve looks most like it. Thresholds at the coverage itself would then cover too much in all;
    they are those of the lowest level, the same for all classes, at which sets cover as many objects as asked for.

    Args:
        probability: (V, K). observations: (V,).
        label: (V,) class index; None takes the probabilities at their word, where the labelled objects are only
            simulated and real ones are separated less well.
        weight: (V,), see `fit_calibration`.

    Returns:
        Thresholds with the correction for a finite number of objects; those of all classes together where a class has
        fewer than `FEWEST` views in a group.
    """
    edges = torch.tensor(EDGES)
    probability, classes = probability.double(), probability.shape[1]
    group = torch.bucketize(observations, edges, right=True)
    truth = probability if label is None else torch.nn.functional.one_hot(label, classes).double()
    counts = truth * weight.double()[:, None]  # (V, K)
    found = []
    for number in range(len(EDGES) + 1):
        here = group == number if (group == number).any() else torch.ones_like(group, dtype=torch.bool)
        score, counted = 1 - probability[here], counts[here]
        shared = _quantiles(score.flatten(), counted.flatten())
        enough = truth[here].sum(0) >= FEWEST
        each = [_quantiles(score[:, k], counted[:, k]) if enough[k] else shared for k in range(classes)]
        found.append(_lowest(torch.stack(each), score, counted))
    return PredictionSets(edges, torch.tensor(COVERAGE), torch.stack(found), counts.sum(0).round().to(torch.int64))


def _quantiles(score: Tensor, weight: Tensor) -> Tensor:
    """(len(LEVELS),) smallest score below which so much of the weight lies, the object to come included as infinitely far."""
    score, weight = score[weight > 0], weight[weight > 0]
    order = torch.argsort(score)
    reached = weight[order].cumsum(0) / weight.sum() * _finite(weight)
    place = torch.searchsorted(reached, torch.tensor(LEVELS, dtype=torch.float64) - 1e-9)
    beyond = place >= len(score)
    return torch.where(beyond, 1.0, score[order][place.clamp(max=len(score) - 1)])


def _lowest(threshold: Tensor, score: Tensor, counts: Tensor) -> Tensor:
    """(K, len(COVERAGE)) thresholds of the lowest level at which sets with the most probable class cover so much.

    Args:
        threshold: (K, len(LEVELS)). score: (V, K) 1 - probability. counts: (V, K) how much of each view is of each class.
    """
    best = torch.nn.functional.one_hot(score.argmin(1), score.shape[1]).bool()
    held = torch.stack([(counts * ((score <= level) | best)).sum() for level in threshold.T])
    inside = held / counts.sum() * _finite(counts.sum(1))  # (len(LEVELS),), not falling
    place = torch.searchsorted(inside, torch.tensor(COVERAGE, dtype=torch.float64) - 1e-9)
    return threshold[:, place.clamp(max=len(LEVELS) - 1)].float()


def _finite(weight: Tensor) -> Tensor:
    """N / (n + 1) for n objects of equal weight: one more than those at hand must be covered."""
    size = weight.sum().square() / weight.square().sum()
    return size / (size + 1)
