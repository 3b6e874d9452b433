"""Heads: from the latent vector to class logits."""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from tlclass.network.initialisation import as_keras_does
from tlclass.options import Size, build_named
from tlclass.quoting import shortened


class Head(nn.Module):
    """Makes logits of the latent vector; the interface of all heads, which are listed in `HEADS`.

    It is built from `in_features`, `n_classes` and its settings in `conf/head/`.
    """

    def forward(self, latent: Tensor) -> Tensor:
        """(N, in_features) to (N, n_classes) logits."""
        raise NotImplementedError

    def initialise(self, generator: torch.Generator) -> None:
        """Draw the initial weights: of dense layers as Keras does."""
        as_keras_does(self, generator)


class LinearHead(Head):
    """One linear layer: the paper's head for BTS (zero hidden layers)."""

    def __init__(self, in_features: int, n_classes: int):
        super().__init__()
        self.output = nn.Linear(in_features, n_classes)

    def forward(self, latent: Tensor) -> Tensor:
        """(N, in_features) to (N, n_classes) logits."""
        logits: Tensor = self.output(latent)
        return logits


class MLPHead(Head):
    """Hidden ReLU layers, then linear: the paper's head for LSST has two (section 3.4)."""

    def __init__(self, in_features: int, n_classes: int, hidden: Sequence[Size] = (100, 100)):
        super().__init__()
        sizes = [in_features, *hidden]
        self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        self.output = nn.Linear(sizes[-1], n_classes)

    def forward(self, latent: Tensor) -> Tensor:
        """(N, in_features) to (N, n_classes) logits."""
        for layer in self.hidden:
            latent = torch.relu(layer(latent))
        logits: Tensor = self.output(latent)
        return logits


class SourceHead(Head):
    """The source model's own head; probabilities of source classes are summed to target classes.

    With it a model classifies the target survey before any target label is used (zero-shot), and
    fine-tuning starts there.

    Args:
        in_features: size of the latent vector.
        n_classes: target classes.
        source: settings of the source's head, with its `n_classes`.
        class_map: target class index of every source class, -1 where there is none.
        shares: expected number of objects of every source class in the target survey, in any unit. The source
            model learnt balanced classes (it was fitted with `class_weights` or `balance`); these turn its
            probabilities into those of the target's mix. None leaves them as they are.
    """

    member: Tensor

    def __init__(
        self,
        in_features: int,
        n_classes: int,
        source: Mapping[str, Any],
        class_map: Sequence[int],
        shares: Sequence[float] | None = None,
    ):
        super().__init__()
        _refuse_wrong_map(class_map, shares, n_classes)
        self.source = build_head(source, in_features, len(class_map))
        self.register_buffer("member", membership(class_map, n_classes, shares), persistent=False)

    def forward(self, latent: Tensor) -> Tensor:
        """(N, in_features) to (N, n_classes) logits; logsumexp sums probabilities up to one factor."""
        return summed(self.source(latent), self.member)


def membership(class_map: Sequence[int], n_classes: int, shares: Sequence[float] | None = None) -> Tensor:
    """(len(class_map), n_classes): the logarithm of a class's share (or 0) at the class that contains it, -inf elsewhere.

    Args:
        class_map: index of the containing class, -1 where there is none.
        n_classes: number of containing classes.
        shares: of the contained classes, or None.
    """
    member = torch.full((len(class_map), n_classes), -torch.inf)
    for position, target in enumerate(class_map):
        if target >= 0:
            member[position, target] = math.log(shares[position]) if shares is not None else 0.0
    return member


def summed(logits: Tensor, member: Tensor) -> Tensor:
    """(N, K) logits to those of the classes that contain the K; see `membership`."""
    return torch.logsumexp(logits[:, :, None] + member, dim=1)


def _refuse_wrong_map(class_map: Sequence[int], shares: Sequence[float] | None, n_classes: int) -> None:
    """Raise ValueError for a map or shares that would give no probability, or those of other classes."""
    if not any(target >= 0 for target in class_map) or not all(-1 <= target < n_classes for target in class_map):
        raise ValueError(
            f"head 'source': class_map is {shortened(list(class_map))}: give the target class (0 to {n_classes - 1}) of every source class, or -1"
        )
    if shares is None:
        return
    mapped = (share for share, target in zip(shares, class_map, strict=False) if target >= 0)
    if len(shares) != len(class_map) or not all(0 < share < math.inf for share in mapped):
        raise ValueError(
            f"head 'source': shares are {shortened(list(shares))}: give {len(class_map)} finite numbers, above 0 for every source class that is mapped"
        )


HEADS: dict[str, type[Head]] = {"linear": LinearHead, "mlp": MLPHead, "source": SourceHead}


def build_head(settings: Mapping[str, Any], in_features: int, n_classes: int) -> Head:
    """Build a head from `{name, ...}`, the form of `conf/head/` and of a stored model.

    Raises:
        ValueError: unknown name or option.
    """
    return build_named(HEADS, settings, "head", in_features=in_features, n_classes=n_classes)
