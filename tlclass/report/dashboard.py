"""Weights & Biases: the run that sums up a sweep; see docs/dashboard.md."""

import logging
from pathlib import Path
from typing import Any

import pandas as pd
from omegaconf import OmegaConf

from tlclass.experiments.loggers import offline
from tlclass.report.sweep import results_table

log = logging.getLogger(__name__)

CURVES = "transfer against scratch by labels"


def log_sweep(folder: Path) -> None:
    """One run of job type `summary` with the tables and the figures; nothing if no job used W&B."""
    logged = next(iter(sorted(folder.rglob("wandb"))), None)
    if logged is None:
        return
    import wandb

    results = results_table(folder)
    settings: Any = OmegaConf.load(logged.parent / "config.yaml")
    chosen = settings["logger"]
    run = wandb.init(
        project=chosen["project"],
        entity=chosen["entity"],
        dir=folder,
        group=str(results["experiment"].iloc[0]),
        job_type="summary",
        name=f"{folder.name}-summary",
        mode="offline" if offline() else "online",
    )
    content: dict[str, Any] = {"jobs": wandb.Table(dataframe=_plain(results)), CURVES: _curves(results)}
    content["summary"] = wandb.Table(dataframe=pd.read_csv(folder / "summary.csv"))
    content |= {path.stem: wandb.Image(str(path)) for path in sorted((folder / "figures").rglob("*.png"))}
    run.log(content)
    run.finish()
    if offline():
        log.warning("W&B was offline; later: wandb sync $(find %s -type d -name 'offline-run-*')", folder)


def _curves(results: pd.DataFrame) -> Any:
    """A line of mean macro AUROC per arm."""
    import wandb

    cells = results.groupby(["arm", "labels"])["auroc_macro"].mean()
    arms = list(dict.fromkeys(results["arm"]))
    return wandb.plot.line_series(
        xs=[cells[arm].index.tolist() for arm in arms],
        ys=[cells[arm].tolist() for arm in arms],
        keys=arms,
        title=f"macro AUROC on the test part: {CURVES}",
        xname="labels used",
    )


def _plain(table: pd.DataFrame) -> pd.DataFrame:
    """Lists as text, which is what a W&B table takes."""
    return table.map(lambda value: ", ".join(map(str, value)) if isinstance(value, list) else value)
