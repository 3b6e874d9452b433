"""Run, resume or skip one job."""

import logging
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import yaml

from tlclass.atomic import write_json, write_text
from tlclass.experiments import job, pretraining, sweep
from tlclass.experiments.adapting import adaptation_starts
from tlclass.experiments.arm import Sources
from tlclass.experiments.devices import on_device
from tlclass.experiments.job import Job
from tlclass.experiments.logged_run import job_run
from tlclass.experiments.loggers import log_scores, logged
from tlclass.experiments.plan import Plan
from tlclass.experiments.provenance import provenance
from tlclass.experiments.result import CHECKPOINTS, decisive, finished, write_job, write_result
from tlclass.experiments.rounds import with_labels
from tlclass.experiments.written import as_yaml
from tlclass.network.checkpoint import model_digest
from tlclass.training.leavings import SETTINGS, TIMING, WORDS, Row

log = logging.getLogger(__name__)


def run_job(plan: Plan, folder: Path | str, words: Sequence[str] = ()) -> Row:
    """Run, resume or skip the job whose results belong in `folder`; returns its result row.

    Raises:
        ValueError, FileNotFoundError: a mistake in the settings or the data, in one sentence.
    """
    import torch

    folder = Path(folder)
    torch.set_num_threads(plan.threads)
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    with sweep.alone(folder):
        settings, data = decisive(plan.config), data_digests(plan)
        row = finished(folder, settings, data, plan.overwrite)
        sweep.clear_failure(folder)
        if row is not None:
            log.info("%s is finished (macro AUROC %.3f): skipped", folder, row["auroc_macro"])
            return row
        write_job(folder, settings, data)
        write_text(folder / SETTINGS, as_yaml(plan.config))
        write_text(folder / WORDS, yaml.safe_dump(list(words)))
        row = {"config_key": plan.key, "experiment": plan.experiment_name, **train_and_score(plan, folder)}
        write_result(folder, {**row, "settings": settings})
        shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)
    log.info("%s: macro AUROC %.3f on %d test objects", folder, row["auroc_macro"], row["n_test"])
    return row


def data_digests(plan: Plan) -> dict[str, str]:
    """Digests of what the job reads: the target's files, and those of its source or of the source model given."""
    root, cache = plan.paths.data, plan.paths.cache
    digests = {"target": plan.target.digest(root, cache)}
    if plan.source is not None:
        digests["source"] = plan.source.digest(root, cache)
    elif plan.arm.needs_source and plan.source_folder is not None:
        digests["source model"] = model_digest(plan.source_folder)
    return digests


def train_and_score(plan: Plan, folder: Path) -> Row:
    """The work of a job: the source model, the transfer, the scores.

    The target is loaded first, and the transfer tried with an untrained source model, so that what is wrong there is
    reported before minutes of pretraining.
    """
    import time

    data = job.load(plan.training, plan.paths.cache)
    sources: Sources = [None] * plan.members
    folders: list[Path] = []
    if plan.arm.needs_source:
        if plan.source is not None:
            check(plan, Job(plan.training, data, folder, plan.process))
        folders = pretraining.source_folders(plan)
        sources = pretraining.source_models(plan, folders)
    with logged(plan.logger, job_run(plan, folder, data.split.budget, folders, sources[0]), plan.trust) as loggers:
        with on_device(plan.launcher, plan.process.trainer) as trainer:
            process = replace(plan.process, trainer=trainer)
            began = time.perf_counter()
            running = Job(plan.training, data, folder, process, loggers)
            if plan.adaptation is not None:
                known = [source for source in sources if source is not None]
                running, sources = pretraining.adapted_sources(plan, plan.adaptation, running, known)
            row = plan.arm.run(with_labels(running, plan.arm, sources, plan.labelling), sources)
            row["labelling"] = plan.labelling.name
            write_json(folder / TIMING, provenance(time.perf_counter() - began))
        log_scores(loggers, row)
    return row


def check(plan: Plan, running: Job) -> None:
    """Raise ValueError for what does not fit, before a source model is trained."""
    untrained = pretraining.untrained(plan)
    plan.arm.check(running, [untrained])
    if plan.adaptation is not None:
        adaptation_starts(running, plan.adaptation, [untrained])
