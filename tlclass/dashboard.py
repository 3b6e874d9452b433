"""Weights & Biases: whether to log offline, and the run that sums up a sweep; see docs/dashboard.md."""

import logging
import os
from pathlib import Path
from typing import Any

import pandas as pd
from omegaconf import OmegaConf

from tlclass.checkpoint import DESCRIPTION, WEIGHTS
from tlclass.report.sweep import results_table

log = logging.getLogger(__name__)

CURVES = "transfer against scratch by budget"


def offline() -> bool:
    """Whether runs stay on this machine: nobody is logged in, or WANDB_MODE says so."""
    import wandb

    return wandb.api.api_key is None or os.environ.get("WANDB_MODE") == "offline"


def log_sweep(folder: Path) -> None:
    """One run of job type `summary` with the tables, the figures and the best model; nothing if no job used W&B.

    The best model is chosen on validation scores, never on the test part.
    """
    logged = next(iter(sorted(folder.rglob("wandb"))), None)
    if logged is None:
        return
    import wandb

    results = results_table(folder)
    chosen = _config(logged.parent)["logger"]
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
    best = best_job(results)
    if best is not None:
        artifact = wandb.Artifact(f"{folder.name}-best".replace("/", "-"), type="model", metadata={"folder": str(best)})
        for name in (DESCRIPTION, WEIGHTS):
            artifact.add_file(str(best / name))
        run.log_artifact(artifact)
    run.finish()
    if offline():
        log.warning("W&B was offline; later: wandb sync $(find %s -type d -name 'offline-run-*')", folder)


def best_job(results: pd.DataFrame) -> Path | None:
    """Folder of the model to hand on, or None if no job trained.

    At the largest budget, whose validation parts are the same for all policies, the policy with the best mean
    validation score, and of its seeds the best.
    """
    if "best_score" not in results or results["best_score"].isna().all():
        return None
    trained = results.dropna(subset=["best_score"])
    largest = trained[trained["budget"] == trained["budget"].max()]
    sign = -1 if _config(Path(largest["folder"].iloc[0]))["fit"]["monitor"] == "val/loss" else 1
    scored = largest.assign(score=sign * largest["best_score"])
    policy = scored.groupby("policy")["score"].mean().idxmax()
    cell = scored[scored["policy"] == policy]
    return Path(cell.loc[cell["score"].idxmax(), "folder"])


def _curves(results: pd.DataFrame) -> Any:
    """A line of mean macro AUROC per policy."""
    import wandb

    cells = results.groupby(["policy", "budget"])["auroc_macro"].mean()
    policies = list(dict.fromkeys(results["policy"]))
    return wandb.plot.line_series(
        xs=[cells[policy].index.tolist() for policy in policies],
        ys=[cells[policy].tolist() for policy in policies],
        keys=policies,
        title=f"macro AUROC on the test part: {CURVES}",
        xname="labels used",
    )


def _plain(table: pd.DataFrame) -> pd.DataFrame:
    """Lists as text, which is what a W&B table takes."""
    return table.map(lambda value: ", ".join(map(str, value)) if isinstance(value, list) else value)


def _config(folder: Path) -> Any:
    return OmegaConf.load(folder / "config.yaml")
