"""Losses: what one object's logits cost. The task weighs the objects by class and takes the mean.

A loss is a callable that takes (N, K) logits and (N,) class indices, or (N, K) probabilities, and gives (N,) losses. A loss of torch is one with
`reduction=none`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class CrossEntropy:
    """Cross-entropy (paper section 3.3).

    Attributes:
        label_smoothing: share of the probability that is spread over all classes (Szegedy et al. 2016).

    Raises:
        ValueError: the share is not below 1.
    """

    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        """Refuse a share that leaves nothing to the label."""
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(f"loss.label_smoothing is {self.label_smoothing}: choose 0 (none) or a share below 1")

    def __call__(self, logits: Tensor, label: Tensor) -> Tensor:
        """(N, K), (N,) to (N,)."""
        return cross_entropy(logits, label, reduction="none", label_smoothing=self.label_smoothing)


@dataclass(frozen=True)
class Focal:
    """Cross-entropy in which objects that are already classified well count less (Lin et al. 2017).

    Attributes:
        gamma: an object with probability p of its class counts (1 - p)^gamma; 0 is cross-entropy.

    Raises:
        ValueError: gamma is negative.
    """

    gamma: float = 2.0

    def __post_init__(self) -> None:
        """Refuse a gamma that would turn the loss round."""
        if not self.gamma >= 0:
            raise ValueError(f"loss.gamma is {self.gamma}: choose 0 (cross-entropy) or more")

    def __call__(self, logits: Tensor, label: Tensor) -> Tensor:
        """(N, K), (N,) to (N,)."""
        each = cross_entropy(logits, label, reduction="none")
        return (-torch.expm1(-each)).clamp(min=torch.finfo(each.dtype).tiny) ** self.gamma * each


def weighted_losses(loss: Loss, logits: Tensor, label: Tensor, class_weights: Tensor) -> Tensor:
    """(N,) class weight times the loss of each object.

    Raises:
        ValueError: the loss gives another number of values than there are objects.
    """
    each = loss(logits, label)
    if each.shape != label.shape[:1]:
        raise ValueError(
            f"the loss gives {each.numel()} value(s) for {len(label)} objects, but one for each object is needed: "
            "set loss.reduction=none, or return (N,) losses"
        )
    weights = class_weights[label] if label.ndim == 1 else label @ class_weights
    return weights * each
