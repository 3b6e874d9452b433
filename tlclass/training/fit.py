"""One fit, with early stopping, the best weights, and resume."""

import copy
import inspect
import io
import json
import logging
import math
import pickle
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint, RichProgressBar
from lightning.pytorch.loggers import Logger
from lightning.pytorch.plugins.io import TorchCheckpointIO
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch import Tensor, nn

from tlclass import stopping
from tlclass.atomic import atomic_path, write_json
from tlclass.inputs.datamodule import LightCurveDataModule
from tlclass.network.classifier import Classifier
from tlclass.network.encoders import Encoder
from tlclass.network.inference import predict_logits
from tlclass.training.feature_cache import with_features
from tlclass.training.metrics import macro_auroc
from tlclass.training.task import MONITORS, ClassifierTask, FitSettings, HeadOnly, weighted_loss

log = logging.getLogger(__name__)

HISTORY = "history.json"  # of the validations during the fit

# what `_run` gives to Lightning's trainer, and what would end or validate a fit by other rules than those of FitSettings
RESERVED = (
    *("callbacks", "check_val_every_n_epoch", "default_root_dir", "enable_model_summary", "enable_progress_bar"),
    *("logger", "log_every_n_steps", "max_epochs", "num_sanity_val_steps", "plugins"),
    *("reload_dataloaders_every_n_epochs", "barebones", "enable_checkpointing", "fast_dev_run"),
)


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
    trainer_options: Mapping[str, Any],
    logger: Logger | None = None,
    progress: bool = True,
    rates: Mapping[str, float] = MappingProxyType({}),
    anchor: Mapping[str, Tensor] = MappingProxyType({}),
) -> FitSummary:
    """Train `classifier` in place and leave it with the weights that were best on validation, the first ones included.

    `folder` holds the checkpoints and, in the end, `history.json` (see `History`). Called again after an
    interruption it goes on from the last checkpoint and ends where an uninterrupted fit would (shuffling is seeded
    per epoch); called again after the end it only loads the best weights. Where a checkpoint is damaged it starts anew.

    Raises:
        ValueError: what is monitored has no value for the first weights.
        SystemExit: 143 if the process was asked to terminate.
    """
    began = time.perf_counter()
    done = folder / "done.json"
    forget_damaged(folder)
    trained: nn.Module = classifier
    if runs_once(classifier.encoder, data):
        trained = HeadOnly(classifier.head)
        data = with_features(data, classifier.encoder, every_step=settings.truncate > 0) if not done.exists() else data
    best = ModelCheckpoint(
        folder, "best", settings.monitor, mode=MONITORS[settings.monitor], save_last=True, enable_version_counter=False
    )
    before = copy.deepcopy(trained.state_dict())
    if not done.exists():
        scores = validation_scores(trained, data, settings)
        refuse_undefined(settings.monitor, scores[settings.monitor], data)
        history = History(folder / HISTORY, began, scores)
        patience = settings.plan(-(-len(data.split.train) // settings.batch_size))["patience"]
        stopper = EarlyStopping(settings.monitor, patience=patience, mode=MONITORS[settings.monitor])
        summing = Summary(done, settings.monitor, history, best, stopper)
        task = ClassifierTask(trained, loss_weights(data, settings), settings, data.seed, rates, anchor)
        _run(task, data, folder, trainer_options, logger, progress, [stopper, history, best, summing])
    summary = FitSummary(**json.loads(done.read_text()))
    trained.load_state_dict(before)
    if summary.best_epoch >= 0:
        state = torch.load(folder / "best.ckpt", weights_only=True, map_location="cpu")["state_dict"]
        prefix = "averaged." if settings.average else "classifier."
        trained.load_state_dict({name.removeprefix(prefix): t for name, t in state.items() if name.startswith(prefix)})
    return summary


def forget_damaged(folder: Path) -> None:
    """Where a checkpoint cannot be read, as a kill or a power cut may leave it, say so and remove the fit's traces."""
    traces = [folder / name for name in ("last.ckpt", "best.ckpt", "done.json")]
    for checkpoint in (path for path in traces[:2] if path.exists()):
        content = io.BytesIO(checkpoint.read_bytes())
        try:
            torch.load(content, weights_only=True, map_location="cpu")
        except (RuntimeError, EOFError, ValueError, pickle.UnpicklingError):
            log.warning("%s is damaged: this fit starts anew", checkpoint)
            for path in traces:
                path.unlink(missing_ok=True)
            return


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
    known = set(inspect.signature(L.Trainer).parameters) - {"self", *RESERVED}
    refused = sorted(set(trainer_options) - known)
    if refused:
        raise ValueError(
            f"trainer: {', '.join(refused)} cannot be set (epochs and validation are options of fit); "
            f"allowed are {', '.join(sorted(known))}"
        )


def _run(
    task: ClassifierTask,
    data: LightCurveDataModule,
    folder: Path,
    trainer_options: Mapping[str, Any],
    logger: Logger | None,
    progress: bool,
    callbacks: list[Callback],
) -> None:
    plan = task.settings.plan(-(-len(data.split.train) // task.settings.batch_size))
    trainer = L.Trainer(
        **trainer_options,
        max_epochs=plan["epochs"],
        check_val_every_n_epoch=plan["every"],
        reload_dataloaders_every_n_epochs=int(data.augmentation.on),
        callbacks=[*callbacks, StopWhenAsked(), RichProgressBar(leave=False) if progress else ProgressLines()],
        plugins=[WholeCheckpoints()],
        logger=logger or False,
        enable_progress_bar=progress,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        log_every_n_steps=1,
        default_root_dir=folder,
    )
    last = folder / "last.ckpt"
    if last.exists():
        log.info("resuming from %s", last)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*LeafSpec.*is deprecated.*")
            warnings.filterwarnings("ignore", message=".*does not have many workers.*")
            warnings.filterwarnings("ignore", message=".*exists and is not empty.*")
            task.train()
            trainer.fit(task, datamodule=data, ckpt_path=last if last.exists() else None, weights_only=True)
    except SIGTERMException as error:  # Lightning's own exit code would be 0, which a sweep takes for success
        raise SystemExit(143) from error


def validation_scores(classifier: nn.Module, data: LightCurveDataModule, settings: FitSettings) -> dict[str, float]:
    """What each of `MONITORS` would be for these weights, by the same formulas as in training."""
    validation = data.dataset(data.split.val)
    logits, label = predict_logits(classifier, validation), validation.label.cpu()
    loss = float(weighted_loss(logits, label, loss_weights(data, settings)))
    return {"val/loss": loss, "val/auroc_macro": macro_auroc(logits, label)}


def refuse_undefined(monitor: str, score: float, data: LightCurveDataModule) -> None:
    """Raise ValueError if there is no score of the first weights: none of later weights could be compared with it."""
    if math.isfinite(score):
        return
    label = data.label[data.split.val]
    raise ValueError(
        f"{monitor} is {score} before the first step, on {len(label)} validation objects of {len(set(label))} class(es): "
        + (
            "the network's output is not finite, look for huge numbers in the light curves or take another source model"
            if monitor == "val/loss"
            else "choose fit.monitor=val/loss, or a larger budget"
        )
    )


def loss_weights(data: LightCurveDataModule, settings: FitSettings) -> Tensor:
    """(K,) weights of the classes in the loss."""
    return data.class_weights() if settings.class_weights else torch.ones(len(data.classes))


class History(Callback):
    """Every validation: optimizer step, epochs done, seconds since the fit began, both scores.

    It lies in the checkpoints, so that a resumed fit goes on with it; the seconds are those of all its
    processes, without the work that was lost between the last checkpoint and an interruption.

    Args:
        path: of the JSON file with them, written when the fit ends.
        began: `time.perf_counter()` when the fit began in this process.
        start: the scores before the first step.
    """

    def __init__(self, path: Path, began: float, start: Mapping[str, float]) -> None:
        self.path, self.began = path, began
        self.validations: list[dict[str, float]] = []
        self._add(0, 0, start)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Add a line."""
        scores = {name: float(trainer.callback_metrics[name]) for name in MONITORS}
        self._add(trainer.global_step, trainer.current_epoch + 1, scores)

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write the file."""
        if trainer.is_global_zero:
            write_json(self.path, self.validations)

    def state_dict(self) -> dict[str, Any]:
        """For the checkpoint."""
        return {"validations": [dict(line) for line in self.validations]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on where the checkpoint was written."""
        self.validations = [dict(line) for line in state_dict["validations"]]
        self.began = time.perf_counter() - self.validations[-1]["seconds"]

    def _add(self, step: int, epoch: int, scores: Mapping[str, float]) -> None:
        seconds = time.perf_counter() - self.began
        self.validations.append({"step": step, "epoch": epoch, "seconds": seconds, **scores})


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
        kept = f"those of epoch {int(state['epoch'])}" if better else "the first ones"
        if diverged:
            log.warning(
                "training diverged (val/loss is %s after step %d), the weights kept are %s: lower fit.learning_rate",
                end["val/loss"], end["step"], kept,
            )  # fmt: skip
        elif not better:
            log.info("no epoch beat the start on validation (%s %.4f): the first weights are kept", self.monitor, start)
        summary = FitSummary(
            steps=trainer.global_step,
            epochs=trainer.current_epoch,
            best_epoch=int(state["epoch"]) if better else -1,
            best_score=reached if better else start,
            initial_score=start,
            stopped_early=self.stopper.stopped_epoch > 0 and not diverged,
        )
        write_json(self.path, vars(summary))


class StopWhenAsked(Callback):
    """Ends the fit after the batch in which the process was asked to stop; the last checkpoint stays."""

    def on_train_batch_end(self, *arguments: Any) -> None:
        """Raise `Stopped` if so."""
        stopping.check()


class ProgressLines(Callback):
    """One line about every ten seconds, for log files, where a progress bar would clutter the log."""

    def __init__(self) -> None:
        self.said = time.monotonic()

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Say where training is."""
        if time.monotonic() - self.said > 10:
            self.said = time.monotonic()
            scores = ", ".join(f"{name} {float(value):.3f}" for name, value in trainer.callback_metrics.items())
            log.info(
                "epoch %d of at most %s, step %d: %s",
                trainer.current_epoch + 1,
                trainer.max_epochs,
                trainer.global_step,
                scores,
            )


class WholeCheckpoints(TorchCheckpointIO):
    """Checkpoints that appear whole or not at all.

    Lightning writes them in the system's temporary folder first and moves them; where that is another disk, a kill
    or a full disk during the move leaves half a file in place of the last good one.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write beside the old one, then rename.

        Raises:
            OSError: the disk is full; the old one is intact.
        """
        content = io.BytesIO()
        torch.save(checkpoint, content)
        with atomic_path(Path(path), flush=False) as temporary:
            temporary.write_bytes(content.getbuffer())
