"""Callbacks of a fit: progress, early stopping, checkpoints, averaging."""

import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback

from tlclass import stopping
from tlclass.atomic import write_json
from tlclass.training.settings import MONITORS

log = logging.getLogger(__name__)


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
            known = {name: float(value) for name, value in trainer.callback_metrics.items() if not value.isnan()}
            scores = ", ".join(f"{name} {value:.3f}" for name, value in known.items())
            log.info(
                "epoch %d of at most %s, step %d: %s",
                trainer.current_epoch + 1,
                trainer.max_epochs,
                trainer.global_step,
                scores,
            )


class GradientNorm(Callback):
    """Logs `train/gradient_norm`, the norm of the gradient of all trained parameters, before each optimizer step."""

    def on_before_optimizer_step(
        self, trainer: L.Trainer, pl_module: L.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        """Log it."""
        gradients = [parameter.grad for parameter in pl_module.parameters() if parameter.grad is not None]
        pl_module.log("train/gradient_norm", torch.nn.utils.get_total_norm(gradients), on_step=True, on_epoch=False)
