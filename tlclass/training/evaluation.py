"""Scores of a trained model on the test part, and its predictions there."""

import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from tlclass.atomic import atomic_path, write_json
from tlclass.inputs.datamodule import LightCurveDataModule
from tlclass.lightcurves.brightness import THIRDS, peak_magnitudes, thirds
from tlclass.network.calibration import log_probabilities
from tlclass.network.checkpoint import TrainedModel
from tlclass.network.heads import membership, summed
from tlclass.network.inference import predict_logits
from tlclass.surveys.survey import matching
from tlclass.training.leavings import MISTAKES, PREDICTIONS, SETS, SPLIT
from tlclass.training.metrics import Scores, classification_scores, confusion_matrix, probability_scores
from tlclass.training.mistakes import write_mistakes

log = logging.getLogger(__name__)

DAYS = (0, 5, 10, 20, 30, 50, 70)  # since the trigger, for early classification
COVERAGE = 0.9  # of the prediction sets of which SETS is the score


def evaluate(
    model: TrainedModel, data: LightCurveDataModule, folder: Path, class_map: Sequence[int] | None = None
) -> Scores:
    """Score a network on the test part, its probabilities calibrated as `predict` gives them; see `score`.

    `log_loss_uncalibrated` and `ece_uncalibrated` are those of the plain softmax; `sets_90` is the share of 90 % prediction
    sets that hold the true class.

    Args:
        model: the network.
        data: set up and split.
        folder: see `score`.
        class_map: the index in `data.classes` of the class that contains each class of the model, -1 where none does;
            None where the classes are the same.
    """
    tested = data.dataset(data.split.test)
    plain, steps = predict_logits(model.classifier, tested), steps_by_day(data)
    early = early_logits(model.classifier, data, plain, steps)
    logits = log_probabilities(model.calibration, plain, tested.lengths)
    early = {day: log_probabilities(model.calibration, some, steps[day]) for day, some in early.items()}
    held = {"": covered(model, logits, tested.lengths, data, class_map)}
    held |= {f"@{day}d": covered(model, some, steps[day], data, class_map) for day, some in early.items()}
    if class_map is not None:
        member = membership(class_map, len(data.classes))
        plain, logits = summed(torch.log_softmax(plain.double(), dim=1), member), summed(logits, member)
        early = {day: summed(some, member) for day, some in early.items()}
    scores = score(logits, early, data, folder) | {
        f"{SETS}{when}": share for when, share in held.items() if share is not None
    }
    before = probability_scores(plain, tested.label.cpu())
    return scores | {f"{name}_uncalibrated": value for name, value in before.items()}


def covered(
    model: TrainedModel,
    logits: torch.Tensor,
    steps: torch.Tensor,
    data: LightCurveDataModule,
    class_map: Sequence[int] | None,
) -> float | None:
    """The share of test objects whose 90 % prediction set holds their class; None for a model without prediction sets."""
    if model.sets is None:
        return None
    inside = model.sets(logits.exp(), steps, COVERAGE)
    if class_map is not None:
        inside = (inside.float() @ membership(class_map, len(data.classes)).exp()) > 0
    label = torch.from_numpy(data.label[data.split.test])
    return float(inside[torch.arange(len(label)), label].double().mean())


def score(logits: torch.Tensor, early: Mapping[int, torch.Tensor], data: LightCurveDataModule, folder: Path) -> Scores:
    """Score predictions for the test part, store them and the split's object ids.

    Args:
        logits: (n_test, K), of a network or of trees.
        early: the same from the observations up to so many days after the trigger.
        data: set up and split.
        folder: for `predictions.parquet`, `mistakes.parquet`, `confusion.json` and `split.json`.

    Returns:
        Scores of the whole test part, by `<score>@<day>d` those of early light curves, and by `<part>/<score>` those of its
        parts, see `parts_of_test`; those of thirds where there are any.
    """
    part, survey = data.split.test, data.survey
    label = torch.from_numpy(data.label[part])
    scores = classification_scores(logits, label, data.classes, survey.taxonomy.common)
    for name, inside in parts_of_test(data).items():
        some = classification_scores(logits[inside], label[inside], data.classes, survey.taxonomy.common, auprc=False)
        known = {key: value for key, value in some.items() if name not in THIRDS or not math.isnan(value)}
        scores |= {f"{name}/{key}": value for key, value in known.items()}
    for day, seen in early.items():
        then = classification_scores(seen, label, data.classes, auprc=False)
        scores |= {f"{name}@{day}d": value for name, value in then.items() if not name.startswith("n/")}
    write_predictions(folder / PREDICTIONS, data, logits)
    write_mistakes(folder / MISTAKES, data, logits, early)
    write_json(
        folder / "confusion.json", {"classes": list(data.classes), "counts": confusion_matrix(logits, label).tolist()}
    )
    ids = data.curves.object_id
    write_json(folder / SPLIT, {"train": ids[data.split.train].tolist(), "val": ids[data.split.val].tolist()})
    return scores


def parts_of_test(data: LightCurveDataModule) -> dict[str, torch.Tensor]:
    """(n_test,) bool of each part of the test part that is scored by itself: the card's subsets, and thirds by peak magnitude."""
    survey, tested = data.survey, data.curves.take(data.split.test)
    parts = {}
    for name, conditions in survey.subsets.items():
        absent = [column for column in conditions if column not in tested.extra]
        if absent:
            log.warning(
                "%s: there is no column %s, so the subset %s is not scored", survey.name, ", ".join(absent), name
            )
            continue
        inside = matching(tested, conditions, survey.name)
        if not inside.any():
            log.warning("%s: no test object is in the subset %s, so it is not scored", survey.name, name)
            continue
        parts[name] = inside
    parts |= {name: inside for name, inside in thirds(peak_magnitudes(tested)).items() if inside.any()}
    return {name: torch.from_numpy(inside) for name, inside in parts.items()}


def steps_by_day(data: LightCurveDataModule) -> dict[int, torch.Tensor]:
    """(n_test,) per day: how many observations there are up to so many days after the trigger, at least the first."""
    return {day: torch.from_numpy(np.maximum(data.encoded.until(day)[data.split.test], 1)) for day in DAYS}


def early_logits(
    classifier: torch.nn.Module, data: LightCurveDataModule, logits: torch.Tensor, steps: Mapping[int, torch.Tensor]
) -> dict[int, torch.Tensor]:
    """(n_test, K) per day, from so many observations of each light curve; `logits` are those of all observations."""
    tested = data.dataset(data.split.test)
    return {
        day: logits if bool((seen == tested.lengths).all()) else predict_logits(classifier, tested, seen)
        for day, seen in steps.items()
    }


def write_predictions(path: Path, data: LightCurveDataModule, logits: torch.Tensor) -> None:
    """One row per test object: id, true class, probability per class."""
    part = data.split.test
    probability = torch.softmax(logits.double(), dim=1).numpy()
    columns = {"object_id": data.curves.object_id[part], "class": np.array(data.classes)[data.label[part]]}
    columns |= {f"p({name})": probability[:, k] for k, name in enumerate(data.classes)}
    with atomic_path(path) as temporary:
        pq.write_table(pa.table({name: pa.array(column) for name, column in columns.items()}), temporary)
