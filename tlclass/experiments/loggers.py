"""Where a job logs: a CSV file or Weights & Biases."""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lightning.pytorch.loggers import CSVLogger, Logger, WandbLogger

from tlclass.experiments.plan import Plan
from tlclass.training.metrics import Row


def make_logger(plan: Plan, folder: Path) -> Logger | None:
    """The job's logger; W&B is offline unless the user is logged in."""
    chosen, config = plan.logger, plan.config
    if chosen["name"] == "none":
        return None
    if chosen["name"] == "csv":
        warnings.filterwarnings("ignore", message=".*exists and is not empty.*")  # the job's folder, its own files
        return CSVLogger(folder, name="", version="")
    surveys = {"source": plan.source, "target": plan.target}
    simulated = [f"{role}:simulated" for role, survey in surveys.items() if survey is not None and survey.simulated]
    logger = WandbLogger(
        project=chosen["project"], entity=chosen["entity"], save_dir=folder, offline=offline(),
        group=plan.experiment_name, job_type=plan.arm.name,
        name=f"{plan.training.labels.name}-seed{plan.seed}", tags=[plan.target.name, *simulated],
    )  # fmt: skip
    logger.log_hyperparams(dict(config))
    return logger


def offline() -> bool:
    """Whether runs stay on this machine: nobody is logged in, or WANDB_MODE says so."""
    import wandb

    return wandb.api.api_key is None or os.environ.get("WANDB_MODE") == "offline"


@contextmanager
def ending(logger: Logger | None) -> Iterator[Logger | None]:
    """The logger, whose run ends with the block, so that the next job of a multirun gets its own; failed on an error."""
    status, exit_code = "failed", 1
    try:
        yield logger
        status, exit_code = "success", 0
    finally:
        if logger is not None:
            logger.finalize(status)
        if isinstance(logger, WandbLogger):
            import wandb

            wandb.finish(exit_code=exit_code)


def log_scores(logger: Logger | None, row: Row) -> None:
    """Log the numbers of the row: scores of the test part under `test/`, validation scores of the fit under `val/`."""
    if logger is not None:
        logger.log_metrics({logged_as(name): value for name, value in row.items() if isinstance(value, float)})


def logged_as(name: str) -> str:
    """The metric for a number of the row: `test/auroc_macro`, `val/best_score`, `choice/full/val_loss`."""
    if name in ("best_score", "initial_score"):
        return f"val/{name}"
    return name if name.startswith("choice/") else f"test/{name}"
