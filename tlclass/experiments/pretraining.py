"""Source models: found under `paths.models` by content, or trained when first needed."""

import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from lightning.pytorch.loggers import CSVLogger

from tlclass.experiments import job
from tlclass.experiments.arm import FineTune
from tlclass.experiments.devices import on_device
from tlclass.experiments.job import Job, Training
from tlclass.experiments.loggers import ending, log_scores
from tlclass.experiments.plan import Plan
from tlclass.experiments.result import RESULT, config_key, write_result
from tlclass.experiments.start import head_settings, new_model
from tlclass.network.checkpoint import TrainedModel, load_model

log = logging.getLogger(__name__)

Source = TrainedModel | None
FROM_SCRATCH = FineTune("pretraining", {"name": "from_scratch"})


def source_models(plan: Plan) -> list[TrainedModel]:
    """The models to start from, one per member: given, or pretrained, no two `pretrain.seed` with a model in common.

    Jobs side by side train different members: each begins with those that no other job is training, then waits for the rest.

    Raises:
        ValueError: the model given has another encoding, or another number of networks.
    """
    if plan.source_model is not None:
        return given_models(plan, plan.source_model)
    members = plan.pretraining()
    for training, decisive in members:
        with suppress(Timeout):
            pretrained(training, decisive, plan, timeout=0)
    folders = [pretrained(training, decisive, plan) for training, decisive in members]
    log.info("source model(s): %s", ", ".join(map(str, folders)))
    return [load_model(folder) for folder in folders]


def given_models(plan: Plan, folder: Path) -> list[TrainedModel]:
    """The networks of `source_model`.

    Raises:
        ValueError: it has another encoding, or another number of networks.
    """
    model, encoding = load_model(folder), plan.training.encoding
    if plan.pretrain.flux_scale is not None and hasattr(encoding, "flux_scale"):
        encoding = replace(encoding, flux_scale=plan.pretrain.flux_scale)  # type: ignore[type-var]
    if model.encoding != encoding:
        raise ValueError(
            f"source_model={folder} was trained with {model.encoding}, this job uses {encoding}: set encoding to match"
        )
    if len(model.members) != plan.members:
        raise ValueError(
            f"source_model={folder} holds {len(model.members)} network(s): set members={len(model.members)}"
        )
    return [replace(model, classifier=member) for member in model.members]


def pretrained(training: Training, decisive: Mapping[str, Any], plan: Plan, timeout: float = -1) -> Path:
    """The folder of a source model, found under `paths.models` by content, or trained now.

    Args:
        training: what is trained.
        decisive: the settings that decide its result.
        plan: of the whole job.
        timeout: seconds to wait for another job that trains it; below 0 as long as it takes.

    Raises:
        Timeout: another job is still training it.
    """
    survey, paths = training.survey, plan.paths
    digest = survey.digest(paths.data, paths.cache)
    known = {"job": decisive, "data": digest, "paths": plan.config["paths"], "trainer": plan.config["trainer"]}
    key = config_key(known)
    folder = paths.models / f"{survey.name}-{key}" / f"seed{training.seed}"
    if (folder / RESULT).exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "lock", timeout=timeout):
        if not (folder / RESULT).exists():
            pretrain(training, plan, folder, key)
    return folder


def pretrain(training: Training, plan: Plan, folder: Path, key: str) -> None:
    """Train a source model into `folder`."""
    log.info("pretraining on %s, into %s", training.survey.name, folder)
    data = job.load(training, plan.paths.cache)
    with ending(CSVLogger(folder, name="", version="")) as logger:
        with on_device(plan.launcher, plan.process.trainer) as trainer:
            process = replace(plan.process, trainer=trainer)
            row = FROM_SCRATCH.run(Job(training, data, folder, process, logger), [None])
        log_scores(logger, row)
    write_result(folder, {"config_key": key, "experiment": "pretraining", **row})
    log.info("pretraining on %s: macro AUROC %.3f on its own test part", training.survey.name, row["auroc_macro"])


def untrained(plan: Plan) -> TrainedModel:
    """What pretraining would leave, before any training: whatever does not fit it can be reported now."""
    training, _ = plan.pretraining()[0]
    return new_model(training, head_settings(training.head, None, training.survey.taxonomy))
