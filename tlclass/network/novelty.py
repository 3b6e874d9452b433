"""How little an object is like any of the classes: distances in the latent space."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Novelty:
    """Mahalanobis distance to the nearest class (Lee et al. 2018), as a percentile of objects like the training data.

    The latent vectors of all networks of an ensemble, one after the other, are projected on the axes in which they vary
    most. Groups of light curves of similar length have distributions of their own, so that early light curves are not new
    because they are short.

    Attributes:
        edges: (B - 1,) numbers of observations that divide light curves into B groups; a group begins at its edge.
        center: (L,). projection: (L, D).
        mean: (B, K, D) of each class. whitening: (B, D, D), so that distances are in standard deviations.
        quantiles: (B, Q) of the distance among known objects, ascending, at equal steps from 0 to 100 %.
    """

    edges: Tensor
    center: Tensor
    projection: Tensor
    mean: Tensor
    whitening: Tensor
    quantiles: Tensor

    def distance(self, latent: Tensor, observations: Tensor) -> Tensor:
        """(N,) float64 from (N, L) latent vectors and (N,) lengths."""
        group = torch.bucketize(observations, self.edges, right=True)
        near = torch.empty(len(latent), dtype=torch.float64)
        for number in range(len(self.mean)):
            here = group == number
            axes = (latent[here].double() - self.center.double()) @ self.projection.double()
            offset = axes[:, None] - self.mean[number].double()
            near[here] = (offset @ self.whitening[number].double()).square().sum(-1).amin(1).sqrt()
        return near

    def __call__(self, latent: Tensor, observations: Tensor) -> Tensor:
        """(N,) percentile, 0 to 100: so many of the known objects of similar length lie nearer to a class."""
        distance = self.distance(latent, observations)
        group = torch.bucketize(observations, self.edges, right=True)
        percentile = torch.empty_like(distance)
        for number, quantiles in enumerate(self.quantiles.double()):
            here = group == number
            percentile[here] = _percentile(distance[here], quantiles)
        return percentile

    def tensors(self) -> dict[str, Tensor]:
        """Arrays by name, stored with a model."""
        return {name: tensor.contiguous() for name, tensor in vars(self).items()}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> "Novelty":
        """The inverse of `tensors`."""
        return cls(**{name: tensors[name] for name in cls.__dataclass_fields__})


def _percentile(value: Tensor, quantiles: Tensor) -> Tensor:
    """Linear interpolation in ascending quantiles; beyond the last one 100."""
    steps = len(quantiles) - 1
    upper = torch.searchsorted(quantiles, value).clamp(1, steps)
    low, high = quantiles[upper - 1], quantiles[upper]
    part = ((value - low) / (high - low).clamp(min=1e-12)).clamp(0, 1)
    return 100 * (upper - 1 + part) / steps
