"""The LightningModule: what one step of training, validation, test and prediction does."""

import copy
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn

from tlclass.inputs.batches import Batch
from tlclass.network.transfer import rate_of
from tlclass.seeds import stream
from tlclass.training.losses import weighted_losses
from tlclass.training.metrics import macro_auroc
from tlclass.training.settings import EARLY, FitSettings


class FitTask(L.LightningModule):
    """Training of a classifier; only parameters that require gradients are optimised.

    The loss is the mean over objects of class weight times the settings' loss, in training and in validation
    (weights have mean 1 over the training part), so its value does not depend on the batches. In balanced
    training batches all weights are 1. `ClassifierTask` is the same for a user who assembles the parts by hand.

    Args:
        classifier: or its head alone.
        class_weights: (K,).
        settings: of the fit.
        seed: of the truncation of batches and of dropout.
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

    def on_train_epoch_start(self) -> None:
        """Seed what layers draw in training, such as dropout: a resumed fit draws what an uninterrupted one does."""
        seed = stream(self.seed, f"dropout/{self.current_epoch}")
        torch.default_generator.manual_seed(seed)
        if self.device.type != "cpu":  # seeds every kind of device, which takes time even where there is none
            torch.manual_seed(seed)

    def forward(self, x: Tensor, lengths: Tensor, metadata: Tensor) -> Tensor:
        """Padded (N, T, C), (N,) valid steps, (N, M) to (N, n_classes) logits."""
        logits: Tensor = self.judged(x, lengths, metadata)
        return logits

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """One step; returns the loss."""
        if self.settings.truncate:
            seed = stream(self.seed, f"truncate/{self.current_epoch}/{batch_idx}")
            batch = truncated(batch, self.settings.truncate, self.settings.truncation, seed)
        loss = self._step("train", batch)
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
        self._step("val", batch)

    def test_step(self, batch: Batch) -> None:
        """Collect logits for the scores of the test part."""
        self._step("test", batch)

    def predict_step(self, batch: Batch) -> Tensor:
        """(B, n_classes) probabilities, in the order of the batch."""
        return torch.softmax(self(batch.x, batch.lengths, batch.metadata), dim=1)

    def on_validation_epoch_end(self) -> None:
        """Log the macro AUROC of the whole validation part."""
        self.log("val/auroc_macro", macro_auroc(*self.collected()), prog_bar=True, sync_dist=True)

    def on_test_epoch_end(self) -> None:
        """Log the macro AUROC of the whole test part."""
        self.log("test/auroc_macro", macro_auroc(*self.collected()), sync_dist=True)

    def collected(self) -> tuple[Tensor, Tensor]:
        """(n, n_classes) logits and (n,) classes of the validation or test steps since the last call, on the CPU."""
        logits, label = (torch.cat(parts).cpu() for parts in zip(*self._seen, strict=True))
        self._seen.clear()
        return logits, label

    def configure_optimizers(self) -> Any:
        """The optimizer over the trainable parameters, a group per learning rate, with the schedule."""
        optimizer = self.settings.optimizer(self.groups())
        schedule = self.settings.schedule(optimizer, lambda: int(self.trainer.estimated_stepping_batches))
        if schedule is None:
            return optimizer
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def groups(self) -> list[dict[str, Any]]:
        """The optimizer's parameter groups: the trainable parameters by learning rate."""
        members: dict[float, list[nn.Parameter]] = {}
        for name, parameter in self.classifier.named_parameters():
            if parameter.requires_grad:
                members.setdefault(self.settings.learning_rate * rate_of(name, self.rates), []).append(parameter)
        return [{"params": parameters, "lr": rate} for rate, parameters in members.items()]

    def _step(self, phase: str, batch: Batch) -> Tensor:
        network = self.classifier if phase == "train" else self.judged
        logits = network(batch.x, batch.lengths, batch.metadata)
        balanced = phase == "train" and self.settings.balance
        weights = torch.ones_like(self.class_weights) if balanced else self.class_weights
        loss = weighted_losses(self.settings.loss, logits, batch.label, weights).mean()
        self.log(
            f"{phase}/loss",
            loss,
            on_step=False,
            on_epoch=True,
            batch_size=len(batch.label),
            prog_bar=True,
            sync_dist=True,
        )
        if phase != "train":
            self._seen.append((logits, batch.label))
        return loss


class HeadOnly(nn.Module):
    """A head on features that a frozen encoder made once; see `tlclass.training.feature_cache.with_features`."""

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


def truncated(batch: Batch, share: float, truncation: str, seed: int) -> Batch:
    """With probability `share` the batch cut at a random observation of each light curve, else the batch.

    `truncation` is one of `TRUNCATIONS`. On the CPU the padding of the batch is cut as well; elsewhere the processor would have to wait
    for the new lengths.
    """
    generator = torch.Generator().manual_seed(seed)
    if torch.rand((), generator=generator) >= share:
        return batch
    part = torch.rand(len(batch.lengths), generator=generator).to(batch.lengths.device, non_blocking=True)
    if truncation == EARLY:
        lengths = ((batch.lengths + 1) ** part).long().clamp(max=batch.lengths)  # 1 to lengths
    else:
        lengths = (part * batch.lengths).long() + 1
    x = batch.x[:, : int(lengths.max())] if batch.x.device.type == "cpu" else batch.x
    return batch._replace(x=x, lengths=lengths)
