"""Choose a freeze policy by cross-validation inside the label budget; no further labels are needed."""

import copy
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tlclass.arrays import Array
from tlclass.inputs.datamodule import LightCurveDataModule
from tlclass.inputs.split import cross_validation
from tlclass.network.classifier import Classifier
from tlclass.network.inference import predict_logits
from tlclass.training.finetune import Start, Trained, finetune
from tlclass.training.fit import FitSummary, Process, loss_weights
from tlclass.training.leavings import Row
from tlclass.training.losses import weighted_losses
from tlclass.training.settings import FitSettings

log = logging.getLogger(__name__)

ZERO = "zero"  # the candidate that changes nothing
FIRST = "fold0"  # folder of a candidate's first fit


def choose(
    starts: Sequence[Start],
    parts: Sequence[LightCurveDataModule],
    settings: FitSettings,
    folder: Path,
    process: Process,
    logger: Any = None,
) -> Trained:
    """Train every candidate in every fold and keep the average of the winner's networks ("model soup", Wortsman et al. 2022).

    Every label of the budget validates once, and trains and stops the network that is kept. The fits of a candidate begin
    at the same weights, so their networks can be averaged into one. Without labels the first candidate is taken as it is.

    Args:
        starts: the candidates, from few to many moved weights: where the scores cannot tell, the earlier one is taken.
        parts: the data, split for each fit, see `splits`.
        settings: of every fit.
        folder: for the checkpoints, `<candidate>/fold<i>/`; called again after an interruption it goes on from them.
        process: how it is run.
        logger: a Lightning logger or None; gets the first fold of every candidate.

    Returns:
        The winner; its row has `chosen`, `folds`, and of every candidate its validation loss and the standard error of that
        loss's difference from the lowest.
    """
    budget = parts[0].split.budget
    if not budget:
        name = starts[0].policy.name
        return Trained(starts[0], None, folder / name / FIRST, {"chosen": name})
    trials = [try_out(start, parts, settings, folder / start.policy.name, process, logger) for start in starts]
    winner, means, errors = pick(*blocks([trial.losses for trial in trials]))
    average(starts[winner].classifier, trials[winner].networks)
    names = [start.policy.name for start in starts]
    scores = list(zip(names, means.tolist(), errors.tolist(), strict=True))
    log.info(
        "chosen: %s, by validation loss in %d fold(s) of %d labels; loss (+- error of its difference from the lowest): %s",
        names[winner], len(parts), budget, ", ".join(f"{n} {mean:.4f} (+- {error:.4f})" for n, mean, error in scores),
    )  # fmt: skip
    row: Row = {"chosen": names[winner], "folds": len(parts)}
    for name, mean, error in scores:
        row |= {f"choice/{name}/val_loss": mean, f"choice/{name}/standard_error": error}
    best, place, validated = trials[winner], folder / names[winner] / FIRST, [part.split.val for part in parts]
    return Trained(starts[winner], best.summary, place, row, best.networks, validated)


@dataclass(frozen=True)
class Trial:
    """One candidate in all folds.

    Attributes:
        networks: trained, one per fold. losses: of each fold's validation objects.
        summary: how the first fold's fit went; None if nothing was trained.
    """

    networks: Sequence[Classifier]
    losses: Sequence[Array]
    summary: FitSummary | None


def try_out(
    start: Start,
    parts: Sequence[LightCurveDataModule],
    settings: FitSettings,
    folder: Path,
    process: Process,
    logger: Any,
) -> Trial:
    """Fine-tune a copy of the candidate's network in every fold, the first one logged, and validate it there."""
    fits = [copied(start) for _ in parts]
    summaries = [
        finetune(fit, part, settings, folder / f"fold{number}", process, None if number else logger)
        for number, (fit, part) in enumerate(zip(fits, parts, strict=True))
    ]
    networks = [fit.classifier for fit in fits]
    losses = [object_losses(network, part, settings) for network, part in zip(networks, parts, strict=True)]
    return Trial(networks, losses, summaries[0])


def splits(data: LightCurveDataModule, folds: int, up_to: int) -> list[LightCurveDataModule]:
    """The data, split for each of so many folds; a budget of more than `up_to` labels, or of none, once."""
    if not 0 < data.split.budget <= up_to:
        return [data]
    return [data.holding(split=split) for split in cross_validation(data.split, data.label, folds, data.seed)]


def copied(start: Start) -> Start:
    """The same with a network of its own."""
    return replace(start, model=replace(start.model, classifier=copy.deepcopy(start.classifier)))


def object_losses(classifier: Classifier, data: LightCurveDataModule, settings: FitSettings) -> Array:
    """(n_val,) what the validation loss is the mean of."""
    validation = data.dataset(data.split.val)
    logits, label = predict_logits(classifier, validation), validation.label.cpu()
    losses = weighted_losses(settings.loss, logits, label, loss_weights(data, settings))
    return losses.double().numpy()


def blocks(losses: Sequence[Sequence[Array]]) -> tuple[Array, Array]:
    """What counts as one measurement: a fold, since its objects share a network; with one split, an object.

    Args:
        losses: per candidate and fold, of the fold's objects.

    Returns:
        (candidates, B) mean losses and (B,) numbers of objects.
    """
    if len(losses[0]) == 1:
        each = np.stack([folds[0] for folds in losses])
        return each, np.ones(each.shape[1])
    return np.array([[fold.mean() for fold in folds] for folds in losses]), np.array([len(fold) for fold in losses[0]])


def pick(losses: Array, sizes: Array) -> tuple[int, Array, Array]:
    """The first candidate that the one with the lowest mean loss does not beat by more than one standard error.

    Args:
        losses: (candidates, B). sizes: (B,) objects in each block.

    Returns:
        Its number; (candidates,) mean losses over objects; (candidates,) standard errors of the paired differences
        from the lowest, infinite where there is one block.
    """
    share = sizes / sizes.sum()
    means = losses @ share
    gaps = losses - losses[means.argmin()]
    mean_gaps = gaps @ share
    if len(share) < 2:
        return 0, means, np.full(len(means), np.inf)
    errors = np.sqrt((gaps - mean_gaps[:, None]) ** 2 @ share / (len(share) - 1))
    return int(np.flatnonzero(mean_gaps <= errors)[0]), means, errors


@torch.no_grad()
def average(classifier: Classifier, networks: Sequence[Classifier]) -> None:
    """Give `classifier` the mean of the networks' parameters; what is equal in all stays as it is to the last bit."""
    for name, parameter in classifier.named_parameters():
        parameter.copy_(torch.stack([network.get_parameter(name).double() for network in networks]).mean(0))
