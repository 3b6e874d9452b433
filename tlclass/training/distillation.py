"""Self-distillation in time: an ensemble's probabilities for complete light curves train its networks for the first days.

No label is used. A network that was pretrained on simulations knows what a complete real light curve is better than what its
first points are; the unlabelled light curves of the survey say which beginnings lead where.
"""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

from tlclass.arrays import Array
from tlclass.inputs.augmentation import Augmentation
from tlclass.inputs.datamodule import LabelledCurves, LightCurveDataModule
from tlclass.inputs.split import Split
from tlclass.network.classifier import Classifier, mean_probability
from tlclass.network.inference import predict_logits
from tlclass.network.transfer import FreezePolicy
from tlclass.seeds import stream
from tlclass.training.calibration import views_of
from tlclass.training.finetune import Start, finetune
from tlclass.training.fit import Process
from tlclass.training.settings import FitSettings

log = logging.getLogger(__name__)

FEWEST = 20  # unlabelled light curves
MEASURED = 900  # unlabelled light curves with which adaptation was seen to help (docs/results/adaptation.md)


@dataclass(frozen=True)
class Distillation:
    """How networks are adapted to unlabelled light curves.

    Attributes:
        name: used in tables.
        policy: what is trained, in which stages and at which rates.
        fit: how long, how fast, with which loss; `truncate` is the share of batches that are cut at random observations.
        augmentation: of the light curves that are trained on.
        validation_fraction: of the unlabelled light curves; cut after several numbers of days they tell which weights to keep.
        beside: how many unlabelled light curves are added to the training set per label; their targets are the probabilities that the
            networks gave them before the adaptation, so that the networks do not forget the rest of the survey; 0 for none.

    Raises:
        ValueError: a setting needs labels, the share leaves a part empty, or a number is negative.
    """

    name: str
    policy: FreezePolicy
    fit: FitSettings
    augmentation: Augmentation = field(default_factory=Augmentation)
    validation_fraction: float = 0.1
    beside: float = 0.0

    def __post_init__(self) -> None:
        """Raise ValueError for settings that need labels, and numbers out of range."""
        for option in ("class_weights", "balance"):
            if getattr(self.fit, option):
                raise ValueError(
                    f"adapt.fit.{option} is true, but without labels the numbers of objects per class are not known: set it to false"
                )
        if self.fit.monitor != "val/loss":
            raise ValueError(
                f"adapt.fit.monitor is '{self.fit.monitor}': choose val/loss, the only score without labels"
            )
        if self.augmentation.farther:
            raise ValueError(
                f"adapt.augmentation.farther is {self.augmentation.farther}, but the redshifts of unlabelled light curves are not known: set it to 0, "
                "and augmentation=farther for the labelled ones"
            )
        if not 0 < self.validation_fraction < 1:
            raise ValueError(
                f"adapt.validation_fraction is {self.validation_fraction}: choose a share between 0 and 1, such as 0.1"
            )
        if not self.beside >= 0:
            raise ValueError(f"adapt.beside is {self.beside}: choose 0 (none) or more light curves per label")


def refuse_few(count: int, how: Distillation, advice: str = "add light curves") -> None:
    """Raise ValueError unless there are enough light curves to learn from; `advice` says how to have more."""
    if count < FEWEST:
        raise ValueError(
            f"adapt={how.name} needs {FEWEST} light curves or more that the selection keeps, and there are {count}: {advice}"
        )


def distil(
    starts: Sequence[Start],
    data: LightCurveDataModule,
    how: Distillation,
    folder: Path,
    process: Process,
) -> None:
    """Train the networks of an ensemble, in place, on the ensemble's own probabilities for complete light curves.

    Called again after an interruption it goes on from the checkpoints in `folder`.

    Args:
        starts: a network per member, see `Start`; its policy states what is trained.
        data: the light curves to learn from; labels are not looked at.
        how: see there.
        folder: for the checkpoints.
        process: how it is run.

    Raises:
        ValueError: there are too few light curves.
    """
    count = len(data.encoded)
    refuse_few(count, how)
    if count < MEASURED:
        log.warning(
            "adapt=%s learns from %d light curves; it was found to help with %d or more. With fewer the networks may become worse: compare both "
            "on labelled light curves (tlclass evaluate)",
            how.name, count, MEASURED,
        )  # fmt: skip
    members = [start.classifier for start in starts]
    probability = teacher(members, data)
    for number, start in enumerate(starts):
        lesson = lesson_of(data, probability, how, stream(data.seed, f"adapt/{number}"))
        steps = math.ceil(len(lesson.split.train) / how.fit.batch_size)
        epochs = how.fit.epochs(steps)
        decided = "min_steps" if epochs > how.fit.max_epochs else "max_epochs"
        message = "adapt=%s: network %d, up to %d epochs of %d steps (adapt.fit.%s=%d)"
        log.info(message, how.name, number, epochs, steps, decided, getattr(how.fit, decided))
        summary = finetune(start, lesson, replace(how.fit, max_epochs=epochs), folder / f"member{number}", process)
        assert summary is not None
        log.info(
            "adapt=%s: network %d learnt from %d unlabelled light curves, validation loss %.4f -> %.4f",
            how.name, number, count, summary.initial_score, summary.best_score,
        )  # fmt: skip


def teacher(members: Sequence[Classifier], data: LightCurveDataModule) -> Array:
    """(n, K) the ensemble's probabilities for the complete light curves."""
    everything = data.dataset(np.arange(len(data.encoded)))
    logits = [predict_logits(member, everything) for member in members]
    return torch.softmax(mean_probability(logits), dim=1).numpy()


def lesson_of(data: LightCurveDataModule, probability: Array, how: Distillation, seed: int) -> LightCurveDataModule:
    """Light curves whose labels are probabilities; those that validate are there at several lengths, behind all others.

    Args:
        data: n light curves to learn from.
        probability: (n, K) of each.
        how: see there.
        seed: of the choice of validating objects, and of the fit.
    """
    n = len(data.encoded)
    order = np.random.default_rng(stream(seed, "validation")).permutation(n)
    held = np.sort(order[: max(1, round(how.validation_fraction * n))])
    views = views_of(data.encoded.take(held))
    number = held[views.object.astype(np.int64)]
    short = data.encoded.take(number, views.observations.astype(np.int64))
    soft = np.concatenate([probability, probability[number]])
    train = np.setdiff1d(np.arange(n), held)
    split = Split(train, np.arange(n, n + len(number)), np.empty(0, dtype=np.int64), n)
    lesson = LightCurveDataModule(
        data.survey, data.encoding, data.metadata, "all", data.protocol, data.cache, seed,
        how.fit.batch_size, False, how.augmentation,
    )  # fmt: skip
    lesson.objects = LabelledCurves(data.curves, data.encoded.followed_by(short), soft, split)
    lesson.device = data.device
    return lesson


def loaded_whole(policy: FreezePolicy) -> FreezePolicy:
    """The policy for networks that are adapted: all of them is there already."""
    return replace(policy, load=("encoder", "head"))
