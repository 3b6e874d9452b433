"""What dashboards show of a job, and the number under which a resumed job goes on in the same run."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tlclass.atomic import write_json
from tlclass.experiments.job import Training
from tlclass.experiments.plan import Plan
from tlclass.experiments.result import RUNS
from tlclass.surveys import Several, Survey


@dataclass(frozen=True)
class Run:
    """What dashboards show of a job.

    Attributes:
        folder: of the job.
        name: label budget and seed. group: the experiment. job_type: the arm, or `pretraining`.
        tags: the target, what is simulated, the user's own. notes: the user's.
        config: a few facts under names of their own (`labels`, `learning_rate`, `encoder`, `arm`, `source`), and all `settings`.
        inputs: folders of the source models.
    """

    folder: Path
    name: str
    group: str
    job_type: str
    tags: Sequence[str] = ()
    notes: str = ""
    config: Mapping[str, Any] | None = None
    inputs: Sequence[Path] = ()


def job_run(plan: Plan, folder: Path, labels: int, inputs: Sequence[Path]) -> Run:
    """What dashboards show of a job.

    Args:
        plan: of the job.
        folder: of the job.
        labels: how many there are.
        inputs: see `Run`.
    """
    training, source = plan.training, plan.source
    about = facts(training, plan.arm.name, labels) | {
        "source": source.name if source else str(plan.source_folder or "")
    }
    surveys = {"source": source, "target": plan.target}
    return Run(
        folder, f"{training.labels.name}-seed{training.seed}", plan.experiment_name, plan.arm.name,
        [*survey_tags(surveys), *plan.tags], plan.notes, about | {"settings": dict(plan.config)}, inputs,
    )  # fmt: skip


def pretraining_run(plan: Plan, training: Training, folder: Path, labels: int) -> Run:
    """What dashboards show of the training of a source model; for the arguments see `job_run`."""
    about = facts(training, "pretraining", labels) | {"source": ""}
    return Run(
        folder, f"{training.survey.name}-seed{training.seed}", plan.experiment_name, "pretraining",
        [*survey_tags({"target": training.survey}), *plan.tags], plan.notes, about | {"settings": dict(plan.config["pretrain"])},
    )  # fmt: skip


def facts(training: Training, arm: str, labels: int) -> dict[str, Any]:
    """What panels are drawn against, under the names of docs/dashboard.md."""
    return {
        "arm": arm,
        "labels": labels,
        "seed": training.seed,
        "target": training.survey.name,
        "encoder": training.encoder["name"],
        "encoding": type(training.encoding).__name__,
        "learning_rate": training.fit.learning_rate,
    }


def survey_tags(surveys: Mapping[str, Survey | Several | None]) -> list[str]:
    """The target's name, and the role of every survey with simulated light curves, e.g. `source:simulated`."""
    names = [survey.name for role, survey in surveys.items() if role == "target" and survey is not None]
    simulated = [f"{role}:simulated" for role, survey in surveys.items() if survey is not None and survey.simulated]
    return [*names, *simulated]


def number_of(folder: Path, logger: str) -> str | None:
    """The number that a logger gave the run of `folder` before it was interrupted; None for a new run."""
    number: str | None = _known(folder).get(logger)
    return number


def remember(folder: Path, logger: str, number: str) -> str:
    """Keep the number in `folder`, so that a resumed job goes on with the same run; returns it."""
    known = _known(folder)
    if known.get(logger) != number:
        write_json(folder / RUNS, known | {logger: number})
    return number


def _known(folder: Path) -> dict[str, Any]:
    path = folder / RUNS
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
