"""Loggers of a job from the cards of `conf/logger/`: each names a Lightning logger, or a function that makes one."""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from csv import reader
from pathlib import Path
from typing import Any

from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch.loggers import CSVLogger, Logger, MLFlowLogger, TensorBoardLogger
from lightning.pytorch.loggers.csv_logs import ExperimentWriter

from tlclass.experiments.cards import TARGET, opened, resolve
from tlclass.experiments.logged_run import Run, number_of, remember
from tlclass.experiments.wandb_runs import Wandb
from tlclass.extras import needs
from tlclass.options import build
from tlclass.plugins import Trust
from tlclass.training.leavings import Row

TRUSTED = ("tlclass.experiments", "lightning.pytorch.loggers")  # packages whose loggers need no `trust`


def make_loggers(cards: Mapping[str, Any], run: Run, trust: Trust = False) -> list[Logger]:
    """A logger per card.

    Args:
        cards: name -> `_target_` and its options, or null for none. What takes an argument `run` gets `run`; other loggers
            get its config through `log_hyperparams`.
        run: what the loggers show of the job.
        trust: packages whose classes a card may name beside Lightning's and ours; see `tlclass.experiments.cards`.

    Raises:
        ValueError: a card has a wrong key, or names what is no logger or is not trusted.
        ImportError: a logger's package is not installed; says how to install it.
    """
    if not isinstance(cards, Mapping):
        raise ValueError(f"logger is '{cards}': choose logger=csv, or several, logger=[csv,wandb]")
    return [_made(name, card, run, trust) for name, card in cards.items() if card is not None]


def _made(name: str, card: Any, run: Run, trust: Trust) -> Logger:
    what = f"logger.{name}"
    if not isinstance(card, Mapping) or TARGET not in card:
        raise ValueError(f"{what} is '{card}': give the logger's class as {what}.{TARGET} and its options beside it")
    kind = resolve(card[TARGET], opened(trust, TRUSTED), what)
    takes_run = "run" in inspect.signature(kind).parameters
    options = {key: value for key, value in card.items() if key != TARGET}
    logger = build(kind, {**options, "run": run} if takes_run else options, what)
    if not isinstance(logger, Logger):
        raise ValueError(f"{what}: {card[TARGET]} makes a {type(logger).__name__}, which is not a Lightning logger")
    if not takes_run:
        logger.log_hyperparams(dict(run.config or {}))
    return logger


def csv(run: Run) -> Logger:
    """`metrics.csv` in the job's folder; a job that is resumed appends to it."""
    logger = CSVLogger(run.folder, name="", version="")
    logger._experiment = _Rows(str(run.folder))
    return logger


class _Rows(ExperimentWriter):
    """Keeps the rows that are there, where Lightning would delete them."""

    def _check_log_dir_exists(self) -> None:
        path = Path(self.metrics_file_path)
        if path.is_file():
            with path.open(newline="", encoding="utf-8") as file:
                self.metrics_keys = next(reader(file), [])


def tensorboard(run: Run) -> Logger:
    """Event files in `tensorboard/` of the job's folder.

    Raises:
        ImportError: TensorBoard is not installed.
    """
    try:
        logger = TensorBoardLogger(run.folder, name="", version="tensorboard", default_hp_metric=False)
    except ModuleNotFoundError as error:
        raise ImportError(needs("logger=tensorboard", "TensorBoard", "tensorboard")) from error
    logger.log_hyperparams(_about(run) | dict(run.config or {}))
    return logger


def mlflow(run: Run, tracking_uri: str) -> Logger:
    """One run of MLflow per job, in the experiment of the same name.

    Args:
        run: what it shows.
        tracking_uri: a server, or a folder or database.

    Raises:
        ImportError: MLflow is not installed.
    """
    tags = dict.fromkeys(run.tags, "true") | {"job_type": run.job_type} | ({"notes": run.notes} if run.notes else {})
    try:
        logger = _MLflow(run.group, run.name, tracking_uri, tags, run_id=number_of(run.folder, "mlflow"))
    except ModuleNotFoundError as error:
        raise ImportError(needs("logger=mlflow", "MLflow", "mlflow")) from error
    known = number_of(run.folder, "mlflow")
    remember(run.folder, "mlflow", str(logger.run_id))
    if known is None:  # MLflow refuses to change a parameter
        logger.log_hyperparams({name: value for name, value in (run.config or {}).items() if name != "settings"})
    return logger


class _MLflow(MLFlowLogger):
    """Writes `test/auroc_macro at 5d`: MLflow allows no @ in a name, and Lightning would leave it out with a warning each time."""

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """See Lightning."""
        super().log_metrics({name.replace("@", " at "): value for name, value in metrics.items()}, step)


def _about(run: Run) -> dict[str, Any]:
    return {"name": run.name, "group": run.group, "job_type": run.job_type, "tags": list(run.tags), "notes": run.notes}


@contextmanager
def logged(cards: Mapping[str, Any], run: Run, trust: Trust = False) -> Iterator[list[Logger]]:
    """The loggers of `make_loggers`; their runs end with the block, and are marked as failed if it raises.

    Lightning's loggers write in its first process alone. Every process that comes here is one, whatever number SLURM gave it.
    """
    rank_zero_only.rank = 0  # type: ignore[attr-defined]
    loggers, succeeded = make_loggers(cards, run, trust), False
    try:
        yield loggers
        succeeded = True
    finally:
        for logger in loggers:
            logger.finalize("success" if succeeded else "failed")
            if isinstance(logger, Wandb):
                logger.end(run.folder, succeeded)


def log_scores(loggers: Sequence[Logger], row: Row) -> None:
    """Log the numbers of the row: scores of the test part under `test/`, validation scores of the fit under `val/`."""
    scores = {logged_as(name): value for name, value in row.items() if isinstance(value, float)}
    for logger in loggers:
        logger.log_metrics(scores)


def logged_as(name: str) -> str:
    """The metric for a number of the row: `test/auroc_macro`, `val/best_score`, `choice/full/val_loss`."""
    if name in ("best_score", "initial_score"):
        return f"val/{name}"
    return name if name.startswith("choice/") else f"test/{name}"
