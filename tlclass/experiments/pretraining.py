"""Source models, also adapted ones: reused from `paths.models` if the same one was trained before, else trained."""

import logging
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from filelock import Timeout

from tlclass.experiments import job
from tlclass.experiments.adapting import adapted
from tlclass.experiments.arm import FineTune
from tlclass.experiments.devices import on_device
from tlclass.experiments.job import Job, Training
from tlclass.experiments.logged_run import pretraining_run
from tlclass.experiments.loggers import log_scores, logged
from tlclass.experiments.plan import Plan
from tlclass.experiments.result import RESULT, config_key, write_result
from tlclass.experiments.start import head_settings, new_model
from tlclass.inputs.datamodule import Beside
from tlclass.inputs.encoding import Encoding, encoding_settings
from tlclass.locking import held
from tlclass.network.checkpoint import TrainedModel, load_model, model_digest
from tlclass.training.distillation import Distillation
from tlclass.training.heldout import heldout_of, write_heldout

log = logging.getLogger(__name__)

FROM_SCRATCH = FineTune("pretraining", {"name": "from_scratch"})


def source_folders(plan: Plan) -> list[Path]:
    """The folders of the models to start from: the one given, or one per member, pretrained if need be.

    No two `pretrain.seed` have a model in common. Jobs side by side train different members: each begins with those that no
    other job is training, then waits for the rest.
    """
    if plan.source_folder is not None:
        return [plan.source_folder]
    members = plan.pretraining()
    for training, decisive in members:
        with suppress(Timeout):
            pretrained(training, decisive, plan, timeout=0)
    folders = [pretrained(training, decisive, plan) for training, decisive in members]
    log.info("source model(s): %s", ", ".join(map(str, folders)))
    return folders


def source_models(plan: Plan, folders: Sequence[Path]) -> list[TrainedModel]:
    """The models to start from, one per member.

    Args:
        plan: of the job.
        folders: see `source_folders`.

    Raises:
        ValueError: the model given has another encoding, or another number of networks.
    """
    if plan.source_folder is not None:
        return given_models(plan, plan.source_folder)
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
            f"source_model={folder} was trained with another encoding than this job's: set {differing(model.encoding, encoding)}"
        )
    if len(model.members) != plan.members:
        raise ValueError(
            f"source_model={folder} holds {len(model.members)} network(s): set members={len(model.members)}"
        )
    return [replace(model, classifier=member) for member in model.members]


def differing(wanted: Encoding, given: Encoding) -> str:
    """The settings that turn the given encoding into the wanted one."""
    settings, others = encoding_settings(wanted), encoding_settings(given)
    words = [f"encoding={settings['name']}"]
    words += [
        f"encoding.{name}={value}" for name, value in settings.items() if name != "name" and others.get(name) != value
    ]
    return " ".join(words)


def pretrained(training: Training, decisive: Mapping[str, Any], plan: Plan, timeout: float = math.inf) -> Path:
    """The folder of a source model, found under `paths.models` by content, or trained now.

    Args:
        training: what is trained.
        decisive: the settings that decide its result.
        plan: of the whole job.
        timeout: seconds to wait for another job that trains it.

    Raises:
        Timeout: another job is still training it.
    """
    survey, paths = training.survey, plan.paths
    digest = survey.digest(paths.data, paths.cache)
    known = {"job": decisive, "data": digest, "paths": plan.config["paths"], "trainer": plan.config["trainer"]}
    key = config_key(known)
    folder = paths.models / f"{survey.name}-{key}" / f"seed{training.seed}"
    if (folder / RESULT).exists():  # a complete store of models may be read only
        return folder
    with held(folder / "lock", f"{folder}: another process is training this model, waiting for it", timeout):
        if not (folder / RESULT).exists():
            pretrain(training, plan, folder, key)
    return folder


def pretrain(training: Training, plan: Plan, folder: Path, key: str) -> None:
    """Train a source model into `folder`."""
    log.info("pretraining on %s, into %s", training.survey.name, folder)
    data = job.load(training, plan.paths.cache)
    with logged(plan.logger, pretraining_run(plan, training, folder, data.split.budget), plan.trust) as loggers:
        with on_device(plan.launcher, plan.process.trainer) as trainer:
            process = replace(plan.process, trainer=trainer)
            row = FROM_SCRATCH.run(Job(training, data, folder, process, loggers), [None])
        log_scores(loggers, row)
    write_heldout(heldout_of(data), folder)
    write_result(folder, {"config_key": key, "experiment": "pretraining", **row})
    log.info("pretraining on %s: macro AUROC %.3f on its own test part", training.survey.name, row["auroc_macro"])


def adapted_sources(
    plan: Plan, how: Distillation, running: Job, sources: Sequence[TrainedModel]
) -> tuple[Job, list[TrainedModel]]:
    """The job that knows what the source models said of the target's unlabelled light curves, and these models, adapted to them.

    No label is looked at, so jobs that differ in their labels, in what trains beside these, or in their arm share the adapted networks.
    """
    config, data = plan.config, running.data.without_labels()
    known = {name: config[name] for name in ("target", "encoding", "head", "trainer", "paths", "seed")}
    known["adapt"] = {name: value for name, value in config["adapt"].items() if name != "beside"}
    known |= {"sources": [model_digest(source.folder) for source in sources if source.folder]}
    known |= {"data": plan.target.digest(plan.paths.data, plan.paths.cache)}
    known |= {"objects": data.curves.object_id.tolist()}
    folder = plan.paths.models / f"{plan.target.name}-adapted-{config_key(known)}" / f"seed{plan.training.seed}"
    models, believed = adapted(running, data, how, sources, folder)
    if believed is not None and how.beside:
        beside = Beside(data.curves, data.encoded, believed.probability, how.beside)
        running = replace(running, data=running.data.holding(beside=(*running.data.beside, beside)))
    return replace(running, believed=believed), models


def untrained(plan: Plan) -> TrainedModel:
    """An untrained source model, so that what does not fit is reported before minutes of pretraining."""
    training, _ = plan.pretraining()[0]
    return new_model(training, head_settings(training.head, None, training.survey.taxonomy))
