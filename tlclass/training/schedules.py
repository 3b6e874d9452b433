"""Schedules: how the learning rates change from step to step.

A schedule is a callable that takes an optimizer and a function that gives the number of steps of the fit, which is asked only
where it is needed: Lightning loads the training data to count them. None is a constant rate.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR

Steps = Callable[[], int]
Schedule = Callable[[Optimizer, Steps], LRScheduler | None]  # stepped after every optimizer step


@dataclass(frozen=True)
class Constant:
    """The same rate throughout.

    Attributes:
        warmup_steps: over so many steps the rate rises linearly from nothing, in every stage of a policy.

    Raises:
        ValueError: the number is negative.
    """

    warmup_steps: int = 0

    def __post_init__(self) -> None:
        """Refuse a negative number."""
        refuse_negative(self.warmup_steps)

    def __call__(self, optimizer: Optimizer, steps: Steps) -> LRScheduler | None:
        """See `Schedule`."""
        return LambdaLR(optimizer, lambda step: warmed_up(step, self.warmup_steps)) if self.warmup_steps else None


@dataclass(frozen=True)
class OneCycle:
    """Up to the rate and down to nothing, over all of the fit (Smith & Topin 2019).

    Attributes:
        rising: share of the steps in which the rate rises.

    Raises:
        ValueError: the share is not between 0 and 1.
    """

    rising: float = 0.3

    def __post_init__(self) -> None:
        """Refuse what is no share."""
        if not 0 < self.rising < 1:
            raise ValueError(f"schedule.rising is {self.rising}: choose a share of the steps between 0 and 1")

    def __call__(self, optimizer: Optimizer, steps: Steps) -> LRScheduler:
        """See `Schedule`."""
        peaks = [group["lr"] for group in optimizer.param_groups]
        return OneCycleLR(optimizer, max_lr=peaks, total_steps=steps(), pct_start=self.rising)


@dataclass(frozen=True)
class Cosine:
    """Half a cosine from the rate down to a share of it, over all of the fit (Loshchilov & Hutter 2017).

    Attributes:
        end: of the rate that is left at the last step.
        warmup_steps: over so many steps the rate rises linearly from nothing before.

    Raises:
        ValueError: a number is out of range.
    """

    end: float = 0.0
    warmup_steps: int = 0

    def __post_init__(self) -> None:
        """Refuse what is out of range."""
        refuse_negative(self.warmup_steps)
        if not 0 <= self.end <= 1:
            raise ValueError(f"schedule.end is {self.end}: choose a share of the rate from 0 to 1")

    def __call__(self, optimizer: Optimizer, steps: Steps) -> LRScheduler:
        """See `Schedule`."""
        falling = max(1, steps() - 1 - self.warmup_steps)

        def factor(step: int) -> float:
            done = min(1.0, max(0, step - self.warmup_steps) / falling)
            return warmed_up(step, self.warmup_steps) * (self.end + (1 - self.end) * (1 + math.cos(math.pi * done)) / 2)

        return LambdaLR(optimizer, factor)


def warmed_up(step: int, steps: int) -> float:
    """The share of the rate at a step, counted from 0, of a linear warm-up over so many steps."""
    return min(1.0, (step + 1) / steps) if steps else 1.0


def refuse_negative(steps: int) -> None:
    """Raise ValueError for a negative number of steps."""
    if steps < 0:
        raise ValueError(f"schedule.warmup_steps is {steps}: choose 0 (none) or more")
