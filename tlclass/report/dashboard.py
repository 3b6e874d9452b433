"""Weights & Biases: the run that sums up a sweep; see docs/dashboard.md."""

import logging
import shlex
import shutil
from pathlib import Path
from typing import Any
from uuid import uuid4

import pandas as pd
from omegaconf import OmegaConf

from tlclass.experiments.logged_run import number_of, remember
from tlclass.report.sweep import data_note, results_table
from tlclass.training.leavings import SETTINGS

log = logging.getLogger(__name__)

CURVES = "transfer against scratch by labels"


def log_sweep(folder: Path) -> None:
    """One run of job type `summary` with the tables and the figures, in place of an earlier one; nothing if no job used W&B."""
    results = results_table(folder)
    jobs = [Path(job) for job in results["folder"] if number_of(Path(job), "wandb")]
    if not jobs:
        return
    from tlclass.experiments.wandb_runs import begin

    settings: Any = OmegaConf.load(jobs[-1] / SETTINGS)
    number, card = remember(folder, "wandb", number_of(folder, "wandb") or uuid4().hex[:12]), settings.logger.wandb
    for earlier in folder.glob(f"wandb/offline-run-*-{number}"):
        shutil.rmtree(earlier, ignore_errors=True)
    run = begin(
        folder, card.project, card.entity, [*tags(results), *settings.tags], notes=settings.notes, id=number,
        group=str(results["experiment"].iloc[0]), job_type="summary", name=f"{folder.name}-summary",
        config={"data": data_note(results)},
    )  # fmt: skip
    run.log(contents(folder, results))
    run.finish()
    say_offline(folder, settings.paths.models)


def say_offline(folder: Path, models: str | Path) -> None:
    """Log how to upload the runs of a job or a sweep later, if W&B is used there and keeps them on this machine.

    Args:
        folder: of the job or the sweep. models: of the source models, which have runs of their own.
    """
    if number_of(folder, "wandb") is None:
        return
    from tlclass.experiments.wandb_runs import mode

    if mode() == "offline":
        log.warning("W&B was offline; upload the runs later with: %s", sync_command(folder, models))


def sync_command(*folders: str | Path) -> str:
    """What uploads the offline runs below folders.

    >>> print(sync_command("my results/quick", "models"))
    find 'my results/quick' models -type d -name 'offline-run-*' -exec wandb sync {} +
    """
    return f"find {shlex.join(map(str, folders))} -type d -name 'offline-run-*' -exec wandb sync {{}} +"


def tags(results: pd.DataFrame) -> list[str]:
    """The targets, and which light curves are simulated."""
    simulated = {"source:simulated": results["source_simulated"], "target:simulated": results["simulated"]}
    return [*sorted(set(results["target"])), *(tag for tag, column in simulated.items() if column.fillna(False).any())]


def contents(folder: Path, results: pd.DataFrame) -> dict[str, Any]:
    """The tables and the figures of the report, and the curves."""
    import wandb

    note = data_note(results)
    found: dict[str, Any] = {
        "jobs": wandb.Table(dataframe=_plain(results)),
        f"{CURVES}, {note}": _curves(results, note),
    }
    found["summary"] = wandb.Table(dataframe=pd.read_csv(folder / "summary.csv"))
    return found | {path.stem: wandb.Image(str(path)) for path in sorted((folder / "figures").rglob("*.png"))}


def _curves(results: pd.DataFrame, note: str) -> Any:
    """A line of mean macro AUROC per arm."""
    import wandb

    cells = results.groupby(["arm", "labels"])["auroc_macro"].mean()
    arms = list(dict.fromkeys(results["arm"]))
    return wandb.plot.line_series(
        xs=[cells[arm].index.tolist() for arm in arms],
        ys=[cells[arm].tolist() for arm in arms],
        keys=arms,
        title=f"macro AUROC on the test part, {note}: {CURVES}",
        xname="labels used",
    )


def _plain(table: pd.DataFrame) -> pd.DataFrame:
    """Lists as text, which is what a W&B table takes."""
    return table.map(lambda value: ", ".join(map(str, value)) if isinstance(value, list) else value)
