"""The LightningModule: what one step of training does, and how long and how fast to train."""

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn

from tlclass.inputs.batches import Batch
from tlclass.network.transfer import rate_of
from tlclass.seeds import stream
from tlclass.training.metrics import macro_auroc

SCHEDULES = ("constant", "one_cycle")
MONITORS = {"val/loss": "min", "val/auroc_macro": "max"}


@dataclass(frozen=True)
class FitSettings:
    """How long and how fast to train (paper section 3.3, in optimizer steps where budgets are small).

    Attributes:
        learning_rate: of Adam; the peak of a `one_cycle` schedule.
        schedule: `constant`, or `one_cycle` over all of max_epochs (Smith & Topin 2019).
        warmup_steps: over so many steps a `constant` rate rises linearly from nothing, in every stage of a policy.
        l2_sp: strength alpha of the penalty alpha/2 |w - w_source|^2 on trained parameters that were loaded from
            the source (Li et al. 2018, without their decay of new parameters); in the training loss only.
        average: decay per step of an exponential moving average of the weights, started at the first weights;
            0 is none. What is validated, kept and stored is then the average.
        class_weights: whether rare classes weigh more (paper section 3.3). Without, the network learns the class
            proportions of its labels; right where it starts from a head that knows them (`head=source`).
        truncate: share of training batches whose light curves are cut at a random observation, so that
            early light curves are learnt too.
        balance: draw training objects, with replacement, so that every class is equally likely, instead of
            weighing them in the training loss; the validation loss is weighted and estimates the same, so it goes
            with class_weights only.
        batch_size: objects per step.
        max_epochs: limit in epochs; never fewer than `min_steps` optimizer steps.
        min_steps: with 80 training objects an epoch is one step, so epochs alone would stop too early.
        patience_epochs, patience_steps: early stopping after the longer of the two without progress.
        monitor: what early stopping and the choice of the best weights look at: `val/loss` or `val/auroc_macro`.
        validate_every_steps: validate after this many steps, at least once an epoch of more steps.
    """

    learning_rate: float = 1e-3
    schedule: str = "constant"
    warmup_steps: int = 0
    l2_sp: float = 0.0
    average: float = 0.0
    class_weights: bool = True
    truncate: float = 0.0
    balance: bool = False
    batch_size: int = 128
    max_epochs: int = 100
    min_steps: int = 1000
    patience_epochs: int = 10
    patience_steps: int = 200
    validate_every_steps: int = 5
    monitor: str = "val/loss"

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        if self.monitor not in MONITORS:
            raise ValueError(f"fit.monitor is '{self.monitor}': choose one of {', '.join(MONITORS)}")
        if self.schedule not in SCHEDULES:
            raise ValueError(f"fit.schedule is '{self.schedule}': choose one of {', '.join(SCHEDULES)}")
        if self.warmup_steps and self.schedule == "one_cycle":
            raise ValueError(
                f"fit.warmup_steps is {self.warmup_steps}, but fit.schedule=one_cycle warms up itself: "
                "set fit.warmup_steps=0 or fit.schedule=constant"
            )
        if self.warmup_steps < 0 or self.l2_sp < 0:
            raise ValueError(
                f"fit.warmup_steps is {self.warmup_steps} and fit.l2_sp is {self.l2_sp}: choose 0 (none) or more"
            )
        if not 0 <= self.average < 1:
            raise ValueError(
                f"fit.average is {self.average}: choose 0 (none) or a decay per step below 1, such as 0.99"
            )
        if self.balance and not self.class_weights:
            raise ValueError(
                "fit.balance=true trains on classes in equal numbers, but fit.class_weights=false validates in their natural "
                "proportions: set fit.balance=false or fit.class_weights=true"
            )
        if not 0 <= self.truncate <= 1:
            raise ValueError(
                f"fit.truncate is {self.truncate}: choose the share of batches to cut, from 0 (none) to 1 (all)"
            )
        if self.max_epochs < 1 and self.min_steps < 1:
            raise ValueError(
                f"fit.max_epochs is {self.max_epochs} and fit.min_steps is {self.min_steps}, so nothing would be trained: "
                "choose one of them above 0"
            )
        sizes = ("learning_rate", "batch_size", "validate_every_steps")
        for name in (name for name in sizes if getattr(self, name) <= 0):
            raise ValueError(f"fit.{name} is {getattr(self, name)}: choose a number above 0")

    def plan(self, steps_per_epoch: int) -> dict[str, int]:
        """Epochs at most, epochs between validations, validations without progress until the stop."""
        epochs = max(self.max_epochs, math.ceil(self.min_steps / steps_per_epoch))
        every = min(epochs, max(1, self.validate_every_steps // steps_per_epoch))
        patience_epochs = max(self.patience_epochs, math.ceil(self.patience_steps / steps_per_epoch))
        return {"epochs": epochs, "every": every, "patience": max(1, math.ceil(patience_epochs / every))}


class ClassifierTask(L.LightningModule):
    """Weighted cross-entropy on a classifier; only parameters that require gradients are optimised.

    The loss is the mean over objects of weight times cross-entropy, in training and in validation
    (weights have mean 1 over the training part), so its value does not depend on the batches. In balanced
    training batches all weights are 1.

    Args:
        classifier: or its head alone.
        class_weights: (K,).
        settings: of the fit.
        seed: of the truncation of batches.
        rates: learning-rate factors by pattern, see `FreezePolicy`.
        anchor: by name, where `l2_sp` pulls trained parameters to.
    """

    def __init__(
        self,
        classifier: nn.Module,
        class_weights: Tensor,
        settings: FitSettings,
        seed: int,
        rates: Mapping[str, float] = MappingProxyType({}),
        anchor: Mapping[str, Tensor] = MappingProxyType({}),
    ):
        super().__init__()
        self.class_weights: Tensor
        self.classifier, self.settings, self.seed = classifier, settings, seed
        self.rates, self.anchor = dict(rates), dict(anchor)
        self.register_buffer("class_weights", class_weights)
        if settings.average:  # a module of its own, so that checkpoints hold it and a resumed fit goes on with it
            self.averaged = copy.deepcopy(classifier).requires_grad_(False)
        self._seen: list[tuple[Tensor, Tensor]] = []

    @property
    def judged(self) -> nn.Module:
        """The network that is validated and kept."""
        return self.averaged if self.settings.average else self.classifier

    def on_fit_start(self) -> None:
        """Bring the anchor to the parameters' device."""
        self.anchor = {name: tensor.to(self.device) for name, tensor in self.anchor.items()}

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """One step; returns the loss."""
        if self.settings.truncate:
            batch = truncated(
                batch, self.settings.truncate, stream(self.seed, f"truncate/{self.current_epoch}/{batch_idx}")
            )
        loss = self._step("train", batch)[0]
        return loss + self.penalty() if self.settings.l2_sp else loss

    def penalty(self) -> Tensor:
        """L2-SP: half of `l2_sp` times the squared distance of loaded, trained parameters to the source's."""
        distances = [
            (parameter - self.anchor[name]).square().sum()
            for name, parameter in self.classifier.named_parameters()
            if parameter.requires_grad and name in self.anchor
        ]
        return self.settings.l2_sp / 2 * sum(distances, torch.zeros((), device=self.device))

    def optimizer_step(self, *arguments: Any, **named: Any) -> None:
        """Step, then let the average follow; frozen parameters stay as they are to the last bit."""
        super().optimizer_step(*arguments, **named)
        if self.settings.average:
            follow(self.averaged, self.classifier, self.settings.average)

    def validation_step(self, batch: Batch) -> None:
        """Collect logits for the epoch's AUROC."""
        _, logits = self._step("val", batch)
        self._seen.append((logits, batch.label))

    def on_validation_epoch_end(self) -> None:
        """Log the macro AUROC of the whole validation part."""
        logits, label = (torch.cat(parts).cpu() for parts in zip(*self._seen, strict=True))
        self._seen.clear()
        self.log("val/auroc_macro", macro_auroc(logits, label), prog_bar=True, sync_dist=True)

    def configure_optimizers(self) -> Any:
        """Adam over the trainable parameters, a group per learning rate, with the schedule."""
        groups = self.groups()
        optimizer = torch.optim.Adam(groups)
        schedule: torch.optim.lr_scheduler.LRScheduler
        if self.settings.schedule == "one_cycle":
            steps, peaks = int(self.trainer.estimated_stepping_batches), [group["lr"] for group in groups]
            schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=peaks, total_steps=steps)
        elif self.settings.warmup_steps:
            length = self.settings.warmup_steps
            schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / length))
        else:
            return optimizer
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def groups(self) -> list[dict[str, Any]]:
        """Adam's parameter groups: the trainable parameters by learning rate."""
        members: dict[float, list[nn.Parameter]] = {}
        for name, parameter in self.classifier.named_parameters():
            if parameter.requires_grad:
                members.setdefault(self.settings.learning_rate * rate_of(name, self.rates), []).append(parameter)
        return [{"params": parameters, "lr": rate} for rate, parameters in members.items()]

    def _step(self, phase: str, batch: Batch) -> tuple[Tensor, Tensor]:
        network = self.classifier if phase == "train" else self.judged
        logits = network(batch.x, batch.lengths, batch.metadata)
        balanced = phase == "train" and self.settings.balance
        weights = torch.ones_like(self.class_weights) if balanced else self.class_weights
        loss = weighted_loss(logits, batch.label, weights)
        self.log(
            f"{phase}/loss",
            loss,
            on_step=False,
            on_epoch=True,
            batch_size=len(batch.label),
            prog_bar=True,
            sync_dist=True,
        )
        return loss, logits


class HeadOnly(nn.Module):
    """A head on features that a frozen encoder made once; see `LightCurveDataModule.with_features`."""

    def __init__(self, head: nn.Module):
        super().__init__()
        self.head = head

    def forward(self, x: Tensor, lengths: Tensor, metadata: Tensor) -> Tensor:
        """(N, T, latent) to (N, n_classes) logits of the last valid step; the metadata went into the features."""
        logits: Tensor = self.head(x[torch.arange(len(x), device=x.device), lengths - 1])
        return logits


@torch.no_grad()
def follow(averaged: nn.Module, moving: nn.Module, decay: float) -> None:
    """One step of the exponential moving average of the trained parameters, in place."""
    for average, parameter in zip(averaged.parameters(), moving.parameters(), strict=True):
        if parameter.requires_grad:
            average.lerp_(parameter, 1 - decay)


def truncated(batch: Batch, share: float, seed: int) -> Batch:
    """With probability `share` the batch cut at a random observation of each light curve, else the batch.

    On the CPU its padding is cut as well; elsewhere the processor would have to wait for the new lengths.
    """
    generator = torch.Generator().manual_seed(seed)
    if torch.rand((), generator=generator) >= share:
        return batch
    part = torch.rand(len(batch.lengths), generator=generator).to(batch.lengths.device, non_blocking=True)
    lengths = (part * batch.lengths).long() + 1
    x = batch.x[:, : int(lengths.max())] if batch.x.device.type == "cpu" else batch.x
    return batch._replace(x=x, lengths=lengths)


def weighted_loss(logits: Tensor, label: Tensor, class_weights: Tensor) -> Tensor:
    """Mean of `weighted_losses`."""
    return weighted_losses(logits, label, class_weights).mean()


def weighted_losses(logits: Tensor, label: Tensor, class_weights: Tensor) -> Tensor:
    """(N,) class weight times cross-entropy of each object."""
    return class_weights[label] * torch.nn.functional.cross_entropy(logits, label, reduction="none")
