"""Calibration: from a network's logits to probabilities that agree with frequencies, also for short light curves."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

TYPICAL = 10.0  # observations, at which `Calibration.temperature` is stated


@dataclass(frozen=True)
class Calibration:
    """Temperature scaling (Guo et al. 2017) whose temperature depends on the number of observations, and a bias per class.

    log p_k = log softmax_k(z_k / T(n) + b_k) with T(n) = temperature * (n / 10) ** slope.

    Attributes:
        temperature: of a light curve with ten observations; above 1 the network was too sure.
        slope: how the temperature grows with the number of observations.
        bias: per class, in output order.
        prior: proportions of the classes that the probabilities assume, in output order, with sum 1.
        fitted_on: which objects, in words. objects: how many.
    """

    temperature: float
    slope: float
    bias: tuple[float, ...]
    prior: tuple[float, ...]
    fitted_on: str
    objects: int

    def __post_init__(self) -> None:
        """Refuse numbers that give no probabilities."""
        numbers = torch.tensor([self.temperature, self.slope, *self.bias, *self.prior], dtype=torch.float64)
        if not numbers.isfinite().all() or self.temperature <= 0 or min(self.prior) < 0 or not sum(self.prior) > 0:
            raise ValueError(
                f"the calibration has temperature {self.temperature}, slope {self.slope}, bias {self.bias} and prior {self.prior}, which give no "
                "probabilities: give a temperature above 0, proportions of 0 or more (one of them above 0), and finite numbers"
            )

    def __call__(self, logits: Tensor, observations: Tensor) -> Tensor:
        """(N, K) logits and (N,) numbers of observations to (N, K) float64 log probabilities."""
        scale = self.temperature * (observations.double().clamp(min=1) / TYPICAL) ** self.slope
        bias = torch.tensor(self.bias, dtype=torch.float64)
        return torch.log_softmax(logits.double() / scale[:, None] + bias, dim=1)

    def to_mapping(self) -> dict[str, Any]:
        """Plain types, stored with a model."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_mapping(cls, settings: Mapping[str, Any]) -> "Calibration":
        """The inverse of `to_mapping`.

        Raises:
            ValueError: a number gives no probabilities.
        """
        tuples = {name: tuple(float(value) for value in settings[name]) for name in ("bias", "prior")}
        return cls(**{**settings, **tuples})


def log_probabilities(calibration: Calibration | None, logits: Tensor, observations: Tensor) -> Tensor:
    """(N, K) float64: calibrated, or the plain softmax of a model without a calibration."""
    return torch.log_softmax(logits.double(), dim=1) if calibration is None else calibration(logits, observations)


def with_prior(log_probability: Tensor, old: Sequence[float], new: Sequence[float]) -> Tensor:
    """The same (N, K) log probabilities under other class proportions (Saerens et al. 2002, equation 2.4)."""
    shift = torch.log(torch.tensor(new, dtype=torch.float64)) - torch.log(torch.tensor(old, dtype=torch.float64))
    return torch.log_softmax(log_probability + shift, dim=1)
