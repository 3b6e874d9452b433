"""Settings of a fit: how long, how fast, and with which loss, optimizer and schedule."""

import functools
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from tlclass.config import stated
from tlclass.quoting import one_of
from tlclass.training.losses import CrossEntropy, Loss
from tlclass.training.schedules import Constant, Schedule

log = logging.getLogger(__name__)

MONITORS = {"val/loss": "min", "val/auroc_macro": "max"}
EVEN, EARLY = TRUNCATIONS = ("even", "early")
DEFAULT = stated("fit")

MakeOptimizer = Callable[..., torch.optim.Optimizer]  # takes parameter groups


@dataclass(frozen=True)
class FitSettings:
    """How long and how fast to train (paper section 3.3, in optimizer steps where budgets are small).

    Attributes:
        learning_rate: of the optimizer, before the schedule and the factors of a freeze policy.
        l2_sp: strength alpha of the penalty alpha/2 |w - w_source|^2 in the training loss, on trained parameters that were loaded
            from the source (Li et al. 2018, without their decay of new parameters).
        average: decay per step of an exponential moving average of the weights, which starts at the first weights; 0 is none.
            With it, the average is validated, kept and stored.
        class_weights: whether rare classes have larger weights in the loss (paper section 3.3). Without class weights the network
            learns the class proportions of its labels; use this with a head that starts with them (`head=source`).
        truncate: share of training batches whose light curves are truncated at a random observation, so that early light curves
            are learnt too.
        truncation: where they are truncated. `even`: every number of observations is equally likely. `early`: the logarithm of the
            number of observations is uniform, so that the first observations are learnt as well as the later ones.
        balance: draw training objects with replacement, so that every class is equally likely, instead of class weights in the
            training loss. The validation loss keeps the class weights, so this needs class_weights.
        batch_size: objects per step.
        max_epochs: limit in epochs; never fewer than `min_steps` optimizer steps.
        min_steps: least number of optimizer steps (with 80 training objects an epoch is one step, so epochs alone would stop too early).
        patience_epochs, patience_steps: training stops early after this time without progress; the longer of the two counts.
        monitor: what early stopping and the choice of the best weights look at: `val/loss` or `val/auroc_macro`.
        validate_every_steps: number of steps between validations; where an epoch has more steps, there is one validation per epoch.
        loss: of an object, see `tlclass.training.losses`; class weights multiply it.
        optimizer: a class of `torch.optim`, or such a class with options.
        schedule: of the learning rate, see `tlclass.training.schedules`.

    Raises:
        ValueError: a number is out of range, or two contradict each other.
    """

    learning_rate: float = DEFAULT["learning_rate"]
    l2_sp: float = DEFAULT["l2_sp"]
    average: float = DEFAULT["average"]
    class_weights: bool = DEFAULT["class_weights"]
    truncate: float = DEFAULT["truncate"]
    truncation: str = DEFAULT["truncation"]
    balance: bool = DEFAULT["balance"]
    batch_size: int = DEFAULT["batch_size"]
    max_epochs: int = DEFAULT["max_epochs"]
    min_steps: int = DEFAULT["min_steps"]
    patience_epochs: int = DEFAULT["patience_epochs"]
    patience_steps: int = DEFAULT["patience_steps"]
    validate_every_steps: int = DEFAULT["validate_every_steps"]
    monitor: str = DEFAULT["monitor"]
    loss: Loss = field(default_factory=CrossEntropy)
    optimizer: MakeOptimizer = torch.optim.Adam
    schedule: Schedule = field(default_factory=Constant)

    def __post_init__(self) -> None:
        """Raise ValueError for values out of range."""
        one_of("fit.monitor", self.monitor, MONITORS)
        if self.l2_sp < 0:
            raise ValueError(f"fit.l2_sp is {self.l2_sp}: choose 0 (none) or more")
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
        one_of("fit.truncation", self.truncation, TRUNCATIONS)
        if self.max_epochs < 1 and self.min_steps < 1:
            raise ValueError(
                f"fit.max_epochs is {self.max_epochs} and fit.min_steps is {self.min_steps}, so nothing would be trained: "
                "choose one of them above 0"
            )
        sizes = ("learning_rate", "batch_size", "validate_every_steps")
        for name in (name for name in sizes if getattr(self, name) <= 0):
            raise ValueError(f"fit.{name} is {getattr(self, name)}: choose a number above 0")

    def epochs(self, steps_per_epoch: int) -> int:
        """Epochs at most."""
        return max(self.max_epochs, math.ceil(self.min_steps / steps_per_epoch))

    def limits(self, steps_per_epoch: int) -> dict[str, int]:
        """Epochs at most, epochs between validations, validations without progress until the stop."""
        epochs = self.epochs(steps_per_epoch)
        if epochs > self.max_epochs != FitSettings.max_epochs:
            name_overruled(self.max_epochs, self.min_steps, epochs)
        every = min(epochs, max(1, self.validate_every_steps // steps_per_epoch))
        patience_epochs = max(self.patience_epochs, math.ceil(self.patience_steps / steps_per_epoch))
        return {"epochs": epochs, "every": every, "patience": max(1, math.ceil(patience_epochs / every))}


@functools.cache  # once per process for the same numbers, not in every fold
def name_overruled(max_epochs: int, min_steps: int, epochs: int) -> None:
    """Log that a fit may last longer than the user's number of epochs."""
    log.warning(
        "with so few light curves fit.min_steps=%d takes up to %d epochs, more than fit.max_epochs=%d: set fit.min_steps=0 to end after %d",
        min_steps, epochs, max_epochs, max_epochs,
    )  # fmt: skip
