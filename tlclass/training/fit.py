"""One fit, with early stopping, the best weights, and resume."""

import copy
import inspect
import json
import logging
import math
import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint, RichProgressBar
from lightning.pytorch.loggers import Logger
from lightning.pytorch.loggers.logger import DummyLogger
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch import Tensor, nn

from tlclass.atomic import write_json
from tlclass.inputs.datamodule import LightCurveDataModule
from tlclass.network.classifier import Classifier
from tlclass.network.encoders import Encoder
from tlclass.network.inference import predict_logits
from tlclass.options import nearest
from tlclass.training.callbacks import History, ProgressLines, StopWhenAsked
from tlclass.training.checkpoints import WholeCheckpoints, forget_damaged
from tlclass.training.feature_cache import with_features
from tlclass.training.leavings import HISTORY
from tlclass.training.losses import weighted_losses
from tlclass.training.metrics import macro_auroc
from tlclass.training.settings import MONITORS, FitSettings
from tlclass.training.task import FitTask, HeadOnly

log = logging.getLogger(__name__)


# what `_trainer` gives to Lightning's trainer, what would end or validate a fit by other rules than those of FitSettings,
# and other machines, for which it would wait
RESERVED = (
    *("callbacks", "check_val_every_n_epoch", "default_root_dir", "enable_model_summary", "enable_progress_bar"),
    *("logger", "log_every_n_steps", "max_epochs", "num_nodes", "num_sanity_val_steps", "plugins"),
    *("reload_dataloaders_every_n_epochs", "barebones", "enable_checkpointing", "fast_dev_run"),
)
SPAWNED = ("ddp_spawn", "ddp_fork", "ddp_notebook")  # strategies whose processes begin inside the fit


@dataclass(frozen=True)
class Process:
    """How a job is run; nothing here decides its result, except what else `trainer` and `callbacks` give to Lightning.

    Attributes:
        trainer: options of Lightning's trainer.
        progress: a bar, or `auto`: in a terminal only.
        callbacks: of Lightning; every fit gets copies of its own.
    """

    trainer: Mapping[str, Any]
    progress: bool | str = "auto"
    callbacks: Sequence[Callback] = field(default=())

    @property
    def bar(self) -> bool:
        """Whether progress is shown as a bar."""
        return sys.stderr.isatty() if self.progress == "auto" else bool(self.progress)


@dataclass(frozen=True)
class FitSummary:
    """How one fit went.

    Attributes:
        steps, epochs: done.
        best_epoch: whose weights were kept; -1 if none was better than the start.
        best_score: of those weights, in what was monitored. initial_score: before the first step.
        stopped_early: whether patience ended it.
    """

    steps: int
    epochs: int
    best_epoch: int
    best_score: float
    initial_score: float
    stopped_early: bool


def fit(
    classifier: Classifier,
    data: LightCurveDataModule,
    settings: FitSettings,
    folder: Path,
    process: Process,
    logger: Logger | None = None,
    rates: Mapping[str, float] = MappingProxyType({}),
    anchor: Mapping[str, Tensor] = MappingProxyType({}),
) -> FitSummary:
    """Train `classifier` in place and leave it with the weights that were best on validation, the first ones included.

    `folder` holds the checkpoints and, in the end, `history.json` (see `History`). Called again after an
    interruption it goes on from the last checkpoint and ends where an uninterrupted fit would (shuffling is seeded
    per epoch); called again after the end it only loads the best weights. Where a checkpoint is damaged it starts anew.

    Args:
        classifier: parameters that require no gradient stay as they are.
        data: light curves and split.
        settings: how long, how fast, with which loss.
        folder: see above.
        process: how it is run.
        logger: of Lightning, or None.
        rates, anchor: see `FitTask`.

    Raises:
        ValueError: what is monitored has no value for the first weights.
        SystemExit: 143 if the process was asked to terminate.
    """
    began, done = time.perf_counter(), folder / "done.json"
    forget_damaged(folder)
    trained: nn.Module = classifier
    if runs_once(classifier.encoder, data):
        trained = HeadOnly(classifier.head)
        data = with_features(data, classifier.encoder, every_step=settings.truncate > 0) if not done.exists() else data
    before = copy.deepcopy(trained.state_dict())
    if not done.exists():
        scores = validation_scores(trained, data, settings)
        refuse_undefined(settings.monitor, scores[settings.monitor], data)
        task = FitTask(trained, loss_weights(data, settings), settings, data.seed, rates, anchor)
        _run(task, data, folder, process, logger, History(folder / HISTORY, began, scores))
    summary = FitSummary(**json.loads(done.read_text()))
    trained.load_state_dict(before)
    if summary.best_epoch >= 0:
        trained.load_state_dict(_best_weights(folder, averaged=settings.average > 0))
    return summary


def _best_weights(folder: Path, averaged: bool) -> dict[str, Tensor]:
    state = torch.load(folder / "best.ckpt", weights_only=True, map_location="cpu")["state_dict"]
    prefix = "averaged." if averaged else "classifier."
    return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}


def runs_once(encoder: Encoder, data: LightCurveDataModule) -> bool:
    """Whether the encoder gives the same in every epoch, so that the head can be trained on features made once."""
    frozen = not any(parameter.requires_grad for parameter in encoder.parameters())
    return frozen and not data.augmentation.on


def device_of(trainer_options: Mapping[str, Any]) -> torch.device:
    """The device of a fit with these options of Lightning's trainer; of several the first."""
    if trainer_options.get("accelerator", "auto") not in ("auto", "gpu", "cuda") or not torch.cuda.is_available():
        return torch.device("cpu")
    devices = trainer_options.get("devices", 1)
    return torch.device("cuda", devices[0] if isinstance(devices, Sequence) and not isinstance(devices, str) else 0)


def refuse_reserved(trainer_options: Mapping[str, Any]) -> None:
    """Raise ValueError for an option that Lightning's trainer does not have, or that is not the user's to set."""
    every = set(inspect.signature(L.Trainer).parameters) - {"self"}
    known = sorted(every - {*RESERVED})
    refused = [
        name + ("" if name in every else nearest(name, known)) for name in sorted(set(trainer_options) - {*known})
    ]
    if refused:
        raise ValueError(
            f"trainer: {', '.join(refused)} cannot be set (epochs and validation are options of fit, devices are of one machine); "
            f"allowed are {', '.join(known)}"
        )
    refuse_own_processes(trainer_options.get("strategy", "auto"))


def refuse_own_processes(strategy: Any) -> None:
    """Raise ValueError for a strategy that starts the command once more for every device.

    These copies would wait for the lock that the first one holds on the job's folder.
    """
    if not isinstance(strategy, str) or strategy in ("auto", "ddp") or strategy.startswith(SPAWNED):
        return
    raise ValueError(
        f"trainer.strategy is '{strategy}', which starts the whole command anew for every device: choose auto, ddp, or one that "
        f"begins with {', '.join(SPAWNED)}"
    )


def _trainer(
    limits: Mapping[str, int], data: LightCurveDataModule, folder: Path, options: Mapping[str, Any], **more: Any
) -> L.Trainer:
    """Lightning's trainer for one fit; over several devices with processes that begin inside the fit.

    Lightning's own choice for several devices, `ddp`, would start the command once more for each. Where SLURM or MPI started several
    processes, each has a fit of its own; Lightning would make them one.
    """
    given = {
        "use_distributed_sampler": False,  # the sampler shares the batches out itself
        **options,
        **more,
        "max_epochs": limits["epochs"],
        "check_val_every_n_epoch": limits["every"],
        "reload_dataloaders_every_n_epochs": int(data.augmentation.on),
        "enable_model_summary": False,
        "num_sanity_val_steps": 0,
        "log_every_n_steps": 1,
        "default_root_dir": folder,
    }
    trainer = L.Trainer(**given)
    if trainer.num_devices > 1 and options.get("strategy", "auto") in ("auto", "ddp"):
        trainer = L.Trainer(**{**given, "strategy": "ddp_spawn"})
    return trainer


def _run(
    task: FitTask, data: LightCurveDataModule, folder: Path, process: Process, logger: Logger | None, history: History
) -> None:
    monitor, mode = task.settings.monitor, MONITORS[task.settings.monitor]
    limits = task.settings.limits(-(-data.trained_on // task.settings.batch_size))
    best = ModelCheckpoint(folder, "best", monitor, mode=mode, save_last=True, enable_version_counter=False)
    stopper = EarlyStopping(monitor, patience=limits["patience"], mode=mode)
    own = [stopper, history, best, Summary(folder / "done.json", monitor, history, best, stopper), StopWhenAsked()]
    shown = RichProgressBar(leave=False) if process.bar else ProgressLines()
    last = folder / "last.ckpt"
    if last.exists():
        log.info("resuming from %s", last)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*LeafSpec.*is deprecated.*")
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        warnings.filterwarnings("ignore", message=".*exists and is not empty.*")
        trainer = _trainer(
            limits,
            data,
            folder,
            process.trainer,
            callbacks=[*own, *copy.deepcopy(list(process.callbacks)), shown],
            plugins=[WholeCheckpoints(), LightningEnvironment()],
            logger=logger or (DummyLogger() if process.callbacks else False),  # some callbacks need one
            enable_progress_bar=process.bar,
        )
        try:
            task.train()
            trainer.fit(task, datamodule=data, ckpt_path=last if last.exists() else None, weights_only=True)
        except SIGTERMException as error:  # Lightning's own exit code would be 0, which a sweep takes for success
            raise SystemExit(143) from error


def validation_scores(classifier: nn.Module, data: LightCurveDataModule, settings: FitSettings) -> dict[str, float]:
    """What each of `MONITORS` would be for these weights, by the same formulas as in training."""
    validation = data.dataset(data.split.val)
    logits, label = predict_logits(classifier, validation), validation.label.cpu()
    loss = float(weighted_losses(settings.loss, logits, label, loss_weights(data, settings)).mean())
    return {"val/loss": loss, "val/auroc_macro": macro_auroc(logits, label)}


def refuse_undefined(monitor: str, score: float, data: LightCurveDataModule) -> None:
    """Raise ValueError if there is no score of the first weights: none of later weights could be compared with it."""
    if math.isfinite(score):
        return
    label = np.unique(data.label[data.split.val], axis=0)
    raise ValueError(
        f"{monitor} is {score} before the first step, on {len(data.split.val)} validation objects of {len(label)} class(es): "
        + (
            "the network's output is not finite: check the input fluxes for extreme values, or use another source model"
            if monitor == "val/loss"
            else "choose fit.monitor=val/loss, or more labels"
        )
    )


def loss_weights(data: LightCurveDataModule, settings: FitSettings) -> Tensor:
    """(K,) weights of the classes in the loss."""
    return data.class_weights() if settings.class_weights else torch.ones(len(data.classes))


class Summary(Callback):
    """Writes how the fit went when it ends, in the process that knows: a distributed fit has none of it afterwards."""

    def __init__(self, path: Path, monitor: str, history: History, best: ModelCheckpoint, stopper: EarlyStopping):
        self.path, self.monitor, self.history, self.best, self.stopper = path, monitor, history, best, stopper

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Compare the best weights with the first ones and write `done.json`; says so if training diverged."""
        if not trainer.is_global_zero:
            return
        start, end = self.history.validations[0][self.monitor], self.history.validations[-1]
        diverged = not math.isfinite(end["val/loss"])
        state = torch.load(self.best.best_model_path, weights_only=True, map_location="cpu")
        reached = float(self.best.best_model_score)  # type: ignore[arg-type]
        better = reached < start if MONITORS[self.monitor] == "min" else reached > start
        kept = f"weights of epoch {int(state['epoch'])}" if better else "initial weights"
        if diverged:
            log.warning(
                "training diverged (val/loss is %s after step %d), so the %s are kept: lower fit.learning_rate",
                end["val/loss"], end["step"], kept,
            )  # fmt: skip
        elif not better:
            log.info(
                "no epoch improved on the initial weights in validation (%s %.4f): the initial weights are kept",
                self.monitor,
                start,
            )
        summary = FitSummary(
            steps=trainer.global_step,
            epochs=trainer.current_epoch,
            best_epoch=int(state["epoch"]) if better else -1,
            best_score=reached if better else start,
            initial_score=start,
            stopped_early=self.stopper.stopped_epoch > 0 and not diverged,
        )
        write_json(self.path, vars(summary))
