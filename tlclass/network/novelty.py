"""How little an object is like any of the classes: distances in the latent space, and in what the light curve does as a whole."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

KNEE, BEFORE = (
    0.99,
    0.95,
)  # quantiles: above the first, percentiles approach 100 as they did between the two, and slower


@dataclass(frozen=True)
class Distances:
    """Mahalanobis distance to the nearest class (Lee et al. 2018) in some space.

    Vectors are projected on the axes in which they vary most. Groups of light curves of similar length have distributions of
    their own, so that early light curves are not new because they are short.

    Attributes:
        edges: (B - 1,) numbers of observations that divide light curves into B groups; a group begins at its edge.
        center: (L,). projection: (L, D).
        mean: (B, K, D) of each class. whitening: (B, D, D), so that distances are in standard deviations.
    """

    edges: Tensor
    center: Tensor
    projection: Tensor
    mean: Tensor
    whitening: Tensor

    def __call__(self, vector: Tensor, observations: Tensor) -> Tensor:
        """(N,) float64 from (N, L) vectors and (N,) lengths."""
        group = torch.bucketize(observations, self.edges, right=True)
        near = torch.empty(len(vector), dtype=torch.float64)
        for number in range(len(self.mean)):
            here = group == number
            axes = (vector[here].double() - self.center.double()) @ self.projection.double()
            offset = axes[:, None] - self.mean[number].double()
            near[here] = (offset @ self.whitening[number].double()).square().sum(-1).amin(1).sqrt()
        return near


@dataclass(frozen=True)
class Novelty:
    """Percentile of an object among known ones by its distance from the classes.

    Attributes:
        latent: distances of the latent vectors of all networks of an ensemble, one after the other.
        quantiles: (B, Q) of that distance among known objects, ascending, at equal steps from 0 to 100 %.
        shape: distances of `tlclass.inputs.shape.statistics`; None for models without them.
        joint: (B, Q) quantiles of the distance in both; None without `shape`.
    """

    latent: Distances
    quantiles: Tensor
    shape: Distances | None = None
    joint: Tensor | None = None

    def distance(self, latent: Tensor, observations: Tensor, shape: Tensor | None = None) -> Tensor:
        """(N,) float64: of the latent vectors; or the sum of the logarithms of that and of the distance of the shape."""
        near = self.latent(latent, observations)
        if shape is None or self.shape is None:
            return near
        return near.clamp(min=1e-9).log() + self.shape(shape, observations).clamp(min=1e-9).log()

    def __call__(self, latent: Tensor, observations: Tensor, shape: Tensor | None = None) -> Tensor:
        """(N,) percentile, 0 to 100: so many of the known objects of similar length lie nearer to a class.

        Args:
            latent: (N, L). observations: (N,) lengths.
            shape: (N, S) statistics of the light curves; None where their encoding does not give them: then the latent
                vectors alone decide.
        """
        distance = self.distance(latent, observations, shape)
        table = self.quantiles if shape is None or self.joint is None else self.joint
        group = torch.bucketize(observations, self.latent.edges, right=True)
        percentile = torch.empty_like(distance)
        for number, quantiles in enumerate(table.double()):
            here = group == number
            percentile[here] = _percentile(distance[here], quantiles)
        return percentile

    def tensors(self) -> dict[str, Tensor]:
        """Arrays by name, stored with a model."""
        parts = {**vars(self.latent), "quantiles": self.quantiles}
        if self.shape is not None and self.joint is not None:
            parts |= {f"shape.{name}": tensor for name, tensor in vars(self.shape).items()} | {"joint": self.joint}
        return {name: tensor.contiguous() for name, tensor in parts.items()}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> "Novelty":
        """The inverse of `tensors`."""
        names = Distances.__dataclass_fields__
        latent = Distances(**{name: tensors[name] for name in names})
        if "joint" not in tensors:
            return cls(latent, tensors["quantiles"])
        shape = Distances(**{name: tensors[f"shape.{name}"] for name in names})
        return cls(latent, tensors["quantiles"], shape, tensors["joint"])


def _percentile(value: Tensor, quantiles: Tensor) -> Tensor:
    """Linear interpolation in ascending quantiles, and beyond the knee a slow approach to 100, so that no two objects are alike."""
    steps = len(quantiles) - 1
    upper = torch.searchsorted(quantiles, value).clamp(1, steps)
    low, high = quantiles[upper - 1], quantiles[upper]
    part = ((value - low) / (high - low).clamp(min=1e-12)).clamp(0, 1)
    inside = 100 * (upper - 1 + part) / steps
    knee, before = quantiles[round(KNEE * steps)], quantiles[round(BEFORE * steps)]
    rate = math.log((1 - BEFORE) / (1 - KNEE)) / (knee - before).clamp(min=1e-9)
    beyond = 100 - 100 * (1 - KNEE) / (1 + rate * (value - knee).clamp(min=0))
    return torch.where(value > knee, beyond, inside)
