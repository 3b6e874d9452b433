"""Source models: found under `paths.models` by content, or trained when first needed."""

import logging
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from filelock import FileLock, Timeout
from lightning.pytorch.loggers import CSVLogger

from tlclass.experiments import job
from tlclass.experiments.composition import Settings, build_survey, pretraining_settings
from tlclass.experiments.devices import on_device
from tlclass.experiments.job import Job
from tlclass.experiments.loggers import ending, log_scores
from tlclass.experiments.result import RESULT, config_key, write_result
from tlclass.inputs.encoding import encoding_from
from tlclass.network.checkpoint import TrainedModel, load_model
from tlclass.network.transfer import FreezePolicy

log = logging.getLogger(__name__)


def source_models(settings: Settings) -> list[TrainedModel]:
    """The models to start from, one per member: given, or pretrained, no two `pretrain.seed` with a model in common.

    Jobs side by side train different members: each begins with those that no other job is training, then waits for the rest.

    Raises:
        ValueError: the model given has another encoding, or another number of networks.
    """
    members, given = settings["members"], settings["source_model"]
    if given is None:
        pretraining = pretraining_settings(settings)
        first = pretraining["seed"] * members
        ensemble = [{**pretraining, "seed": seed} for seed in range(first, first + members)]
        for member in ensemble:
            with suppress(Timeout):
                pretrained(member, settings, timeout=0)
        folders = [pretrained(member, settings) for member in ensemble]
        log.info("source model(s): %s", ", ".join(map(str, folders)))
        return [load_model(folder) for folder in folders]
    model = load_model(Path(given))
    encoding = encoding_from(pretraining_settings(settings)["encoding"])
    if model.encoding != encoding:
        raise ValueError(
            f"source_model={given} was trained with {model.encoding}, this job uses {encoding}: set encoding to match"
        )
    if len(model.members) != members:
        raise ValueError(
            f"source_model={given} holds {len(model.members)} network(s): set members={len(model.members)}"
        )
    return [replace(model, classifier=member) for member in model.members]


def pretrained(pretraining: Settings, settings: Settings, timeout: float = -1) -> Path:
    """The folder of a source model, found under `paths.models` by content, or trained now.

    Args:
        pretraining: settings of its `Job`.
        settings: of the whole job: `paths`, `trainer`, `launcher`.
        timeout: seconds to wait for another job that trains it; below 0 as long as it takes.

    Raises:
        Timeout: another job is still training it.
    """
    survey = build_survey(pretraining["survey"], settings["trust"])
    digest = survey.digest(Path(settings["paths"]["data"]), Path(settings["paths"]["cache"]))
    key = config_key({"job": pretraining, "data": digest, "paths": settings["paths"], "trainer": settings["trainer"]})
    folder = Path(settings["paths"]["models"]) / f"{survey.name}-{key}" / f"seed{pretraining['seed']}"
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "lock", timeout=timeout):
        if (folder / RESULT).exists():
            return folder
        log.info("pretraining on %s, into %s", survey.name, folder)
        data = job.load(pretraining, survey, Path(settings["paths"]["cache"]))
        with ending(CSVLogger(folder, name="", version="")) as logger:
            with on_device(settings) as process:
                row = job.run(Job(pretraining, FreezePolicy("from_scratch"), data, folder, process, logger), [None])
            log_scores(logger, row)
        write_result(folder, {"config_key": key, "experiment": "pretraining", **row})
        log.info("pretraining on %s: macro AUROC %.3f on its own test part", survey.name, row["auroc_macro"])
    return folder


def untrained(settings: Settings) -> TrainedModel:
    """What pretraining would leave, before any training: whatever does not fit it can be said now."""
    pretraining = pretraining_settings(settings)
    survey = build_survey(pretraining["survey"], settings["trust"])
    return job.new_model(pretraining, survey, job.head_settings(pretraining["head"], None, survey.taxonomy))
