"""Run, resume or skip one job: refuse mistakes early, find or make its source models, train, score."""

import logging
from collections.abc import Sequence
from pathlib import Path

import torch
from omegaconf import OmegaConf

from tlclass.atomic import write_text
from tlclass.baselines.trees import Baseline, baseline_from
from tlclass.experiments import job, sweep
from tlclass.experiments import pretraining as pretrain
from tlclass.experiments.composition import Settings, build_survey, refuse_twins, refuse_unknown, target_settings
from tlclass.experiments.devices import on_device
from tlclass.experiments.job import Job
from tlclass.experiments.loggers import ending, log_scores, make_logger
from tlclass.experiments.result import config_key, finished, start, write_result
from tlclass.inputs.split import Protocol
from tlclass.network.checkpoint import TrainedModel, model_digest
from tlclass.network.transfer import FreezePolicy
from tlclass.options import build, check
from tlclass.training.fit import refuse_reserved
from tlclass.training.folds import Choice
from tlclass.training.metrics import Row
from tlclass.training.task import FitSettings

log = logging.getLogger(__name__)


def run_job(settings: Settings, folder: Path) -> Row:
    """Run, resume or skip the job whose results belong in `folder`; returns its result row.

    Raises:
        ValueError, FileNotFoundError: a mistake in the settings or the data, said in one sentence.
    """
    refuse_mistakes(settings)
    torch.set_num_threads(settings["threads"])
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    with sweep.alone(folder):
        sweep.clear_failure(folder)
        key, data = config_key(settings), data_digests(settings)
        row = finished(folder, key, data, settings["overwrite"])
        if row is not None:
            log.info("%s is finished (macro AUROC %.3f): skipped", folder, row["auroc_macro"])
            return row
        start(folder, key, data)
        write_text(folder / "config.yaml", OmegaConf.to_yaml(settings))
        row = {"config_key": key, "experiment": settings["experiment_name"], **train_and_score(settings, folder)}
        write_result(folder, row)
    log.info("%s: macro AUROC %.3f on %d test objects", folder, row["auroc_macro"], row["n_test"])
    return row


def refuse_mistakes(settings: Settings) -> None:
    """Raise ValueError for what can be seen before minutes of pretraining."""
    refuse_unknown(settings)
    refuse_wrong_numbers(settings)
    refuse_reserved(settings["trainer"])
    for name, group in (("", settings), ("pretrain.", settings["pretrain"])):
        build(FitSettings, group["fit"], f"{name}fit")
        build(Protocol, group["protocol"], f"{name}protocol")
    if build_policy(settings["freeze_policy"]).load:
        refuse_twins(settings["source"], settings["target"])


def refuse_wrong_numbers(settings: Settings) -> None:
    """Raise ValueError for a seed, a size of an ensemble, a number of threads or a label budget that is none."""
    for name in ("seed", "members", "threads"):
        check(settings[name], int, name)
    if settings["members"] < 1:
        raise ValueError(f"members is {settings['members']}: choose how many networks are averaged, 1 or more")
    if settings["threads"] < 1:
        raise ValueError(f"threads is {settings['threads']}: choose 1 or more")
    check(settings["pretrain"]["seed"], int, "pretrain.seed")
    for where, part in (("", settings), ("pretrain.", settings["pretrain"])):
        for name, kind in (("fraction", float), ("count", int)):
            if part["data_fraction"][name] is not None:
                check(part["data_fraction"][name], kind, f"{where}data_fraction.{name}")


def data_digests(settings: Settings) -> dict[str, str]:
    """Digests of what the job reads: the target's files, and those of its source or of the source model given."""
    root, cache = Path(settings["paths"]["data"]), Path(settings["paths"]["cache"])
    digests = {"target": build_survey(settings["target"], settings["trust"]).digest(root, cache)}
    if build_policy(settings["freeze_policy"]).load:
        if settings["source_model"] is None:
            digests["source"] = build_survey(settings["source"], settings["trust"]).digest(root, cache)
        else:
            digests["source model"] = model_digest(Path(settings["source_model"]))
    return digests


def train_and_score(settings: Settings, folder: Path) -> Row:
    """The work of a job: the source model, the transfer, the scores.

    The target is loaded first, and the transfer tried with an untrained source model: what is wrong there is said before
    minutes of pretraining.
    """
    policy = build_policy(settings["freeze_policy"])
    target = target_settings(settings, from_scratch=not policy.load)
    data = job.load(target, build_survey(settings["target"], settings["trust"]), Path(settings["paths"]["cache"]))
    sources: Sequence[TrainedModel | None] = [None] * settings["members"]
    if policy.load:
        if settings["source_model"] is None:
            job.starting_points(Job(target, policy, data, folder, settings), pretrain.untrained(settings))
        sources = pretrain.source_models(settings)
    with ending(make_logger(settings, folder)) as logger:
        with on_device(settings) as process:
            row = job.run(Job(target, policy, data, folder, process, logger), sources)
        log_scores(logger, row)
    return row


def build_policy(chosen: Settings) -> FreezePolicy | Choice | Baseline:
    """The freeze policy, several to choose from, or the baseline that stands beside the freeze policies."""
    if "baseline" in chosen:
        return baseline_from(chosen)
    if "candidates" in chosen:
        return build(Choice, chosen, "freeze_policy")
    return build(FreezePolicy, chosen, "freeze_policy")
