"""One job: what is trained, on which data, and where the results go."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from tlclass.inputs.augmentation import Augmentation
from tlclass.inputs.datamodule import LightCurveDataModule
from tlclass.inputs.encoding import Encoding
from tlclass.inputs.split import Labels, Protocol
from tlclass.surveys import Several, Survey
from tlclass.surveys.tables.columns import TableOptions
from tlclass.training.fit import Process
from tlclass.training.leavings import Row
from tlclass.training.reliability import Believed
from tlclass.training.settings import FitSettings


@dataclass(frozen=True)
class Training:
    """What is trained on which survey: of a job for its target, of the pretraining for its source.

    Attributes:
        survey: its light curves and classes.
        encoding: of observations.
        encoder, head: name and options, as in `conf/model/` and `conf/head/`, the form that a model file stores.
        labels: how many labels are used.
        protocol: which objects test, and how many validate.
        fit: how long and how fast to train.
        augmentation: of the training light curves.
        seed: subset, initialisation and shuffling are separate random streams of it.
    """

    survey: Survey | Several
    encoding: Encoding
    encoder: Mapping[str, Any]
    head: Mapping[str, Any]
    labels: Labels
    protocol: Protocol
    fit: FitSettings
    augmentation: Augmentation
    seed: int


@dataclass(frozen=True)
class Job:
    """What an arm runs.

    Attributes:
        training: what is trained on which survey.
        data: the survey's light curves, encoded and split; see `load`.
        folder: for checkpoints, the model and the predictions.
        process: how it is run.
        logger: a Lightning logger, several, or None.
        believed: class probabilities that the source networks gave the unlabelled light curves before they were adapted to them, or None.
    """

    training: Training
    data: LightCurveDataModule
    folder: Path
    process: Process
    logger: Any = field(default=None)
    believed: Believed | None = None


def load(training: Training, cache: Path) -> LightCurveDataModule:
    """The survey's light curves, encoded and split by the label budget.

    Raises:
        FileNotFoundError, ValueError: the files are absent or break a rule, the budget does not fit, or there is one class.
    """
    data = LightCurveDataModule(
        training.survey,
        training.encoding,
        training.encoder.get("metadata", ()),
        training.labels,
        training.protocol,
        cache,
        training.seed,
        training.fit.batch_size,
        training.fit.balance,
        training.augmentation,
    )
    data.setup()
    present = np.unique(data.label)
    if len(present) < 2:
        raise ValueError(
            f"{training.survey.name}: all {len(data.label)} objects are of class {data.classes[present[0]]}, and nothing can be "
            "learnt from one class: check the labels, the taxonomy and the cuts of its card"
        )
    return data


def coordinates(job: Job, arm: str, reference: bool) -> Row:
    """Which labels of which survey were used, by which arm; the same for every arm."""
    data, split = job.data, job.data.split
    return {
        "target": data.survey.name,
        "simulated": data.survey.simulated,
        "arm": arm,
        "reference": reference,
        "seed": data.seed,
        "labels": split.budget,
        "pool": split.pool,
        "n_train": len(split.train),
        "n_val": len(split.val),
        "n_test": len(split.test),
    }


def reader_options(survey: Survey | Several) -> dict[str, Any]:
    """How the survey's files were read, for a model file: `predict` reads new files by the same options."""
    names = [*(each.name for each in fields(TableOptions)), "forced"]
    reader = getattr(survey, "reader", None)
    return {name: getattr(reader, name) for name in names if hasattr(reader, name)}
