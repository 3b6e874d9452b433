"""How little an object is like any of the classes: by its latent vector, by how unsure the networks are, and by its light curve as a whole."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

# quantiles: above the first, percentiles approach 100 as they did between the two, and slower
KNEE, BEFORE = (0.99, 0.95)

TABLES = ("quantiles", "joint", "entropy", "behaviour", "columns")  # stored as they are


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
    """Percentile of an object among known ones by how unusual it is.

    The latent vector, the entropy of the networks' probabilities (before calibration) and the statistics of the light curve each give
    the share of known objects that are at least as unusual, and Fisher's product of these shares is compared with that of known objects.
    Models of format 2 have no entropy: they compare the product of both distances, or the distance of the latent vector alone.

    Attributes:
        latent: distances of the latent vectors of all networks of an ensemble, one after the other.
        quantiles: (B, Q) of that distance among known objects, ascending, at equal steps from 0 to 100 %.
        shape: distances of the statistics of `tlclass.inputs.shape`; None for models without them.
        joint: (B, Q) quantiles of everything together; None where there is nothing but the latent vectors.
        entropy: (B, Q) quantiles of the entropy; None in format 2.
        behaviour: (B, Q) quantiles of the distance of the statistics; None in format 2, or without `shape`.
        columns: (S,) which statistics are looked at; None: the first ones, as in format 2.
    """

    latent: Distances
    quantiles: Tensor
    shape: Distances | None = None
    joint: Tensor | None = None
    entropy: Tensor | None = None
    behaviour: Tensor | None = None
    columns: Tensor | None = None

    def unusual(self, latent: Tensor, observations: Tensor, logits: Tensor, shape: Tensor | None = None) -> Tensor:
        """(N,) float64 of what is compared with known objects; arguments as in `__call__`."""
        near = self.latent(latent, observations)
        off = None if shape is None or self.shape is None else self.shape(self._looked_at(shape), observations)
        if self.entropy is None:
            return near if off is None else near.clamp(min=1e-9).log() + off.clamp(min=1e-9).log()
        parts = [(near, self.quantiles), (entropy(logits), self.entropy)]
        if off is not None and self.behaviour is not None:
            parts.append((off, self.behaviour))
        return sum((-self._rarer(*part, observations).log() for part in parts), torch.zeros_like(near))

    def __call__(self, latent: Tensor, observations: Tensor, logits: Tensor, shape: Tensor | None = None) -> Tensor:
        """(N,) percentile, 0 to 100: so many of the known objects of similar length are less unusual.

        Args:
            latent: (N, L). observations: (N,) lengths. logits: (N, K) of the networks together.
            shape: (N, S) `tlclass.inputs.shape.statistics` of the light curves; None where their encoding does not give them: a model
                that was fitted with them then looks at the latent vectors alone.
        """
        if self.joint is None or (self.shape is not None and shape is None):
            return self._percentiles(self.latent(latent, observations), self.quantiles, observations)
        return self._percentiles(self.unusual(latent, observations, logits, shape), self.joint, observations)

    def _looked_at(self, shape: Tensor) -> Tensor:
        assert self.shape is not None
        return shape[:, : len(self.shape.center)] if self.columns is None else shape[:, self.columns]

    def _rarer(self, value: Tensor, table: Tensor, observations: Tensor) -> Tensor:
        """(N,) share of known objects with a higher value, above 0."""
        return 1 - self._percentiles(value, table, observations) / 100

    def _percentiles(self, value: Tensor, table: Tensor, observations: Tensor) -> Tensor:
        """(N,) percentiles of values among known objects of similar length, by their (B, Q) quantiles."""
        group = torch.bucketize(observations, self.latent.edges, right=True)
        percentile = torch.empty_like(value)
        for number, quantiles in enumerate(table.double()):
            here = group == number
            percentile[here] = _percentile(value[here], quantiles)
        return percentile

    def tensors(self) -> dict[str, Tensor]:
        """Arrays by name, stored with a model."""
        parts = dict(vars(self.latent))
        if self.shape is not None:
            parts |= {f"shape.{name}": tensor for name, tensor in vars(self.shape).items()}
        parts |= {name: getattr(self, name) for name in TABLES if getattr(self, name) is not None}
        return {name: tensor.contiguous() for name, tensor in parts.items()}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> "Novelty":
        """The inverse of `tensors`."""
        names = Distances.__dataclass_fields__
        shape = Distances(**{name: tensors[f"shape.{name}"] for name in names}) if "shape.mean" in tensors else None
        tables = {name: tensors[name] for name in TABLES if name in tensors}
        return cls(Distances(**{name: tensors[name] for name in names}), shape=shape, **tables)


def entropy(logits: Tensor) -> Tensor:
    """(N,) float64 of the probabilities without a calibration, in nats."""
    log_probability = torch.log_softmax(logits.double(), dim=1)
    return -(log_probability.exp() * log_probability).sum(1)


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
