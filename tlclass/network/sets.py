"""Sets of classes that hold the true one with a chosen probability: conformal prediction."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class PredictionSets:
    """Thresholds of split conformal prediction, per class where there were enough objects (Sadinle et al. 2019).

    Class k is in the set if 1 - p_k is at most the threshold of the light curve's length, class k and coverage.

    Attributes:
        edges: (B - 1,) numbers of observations that divide light curves into B groups; a group begins at its edge.
        coverage: (G,) ascending, for which there are thresholds.
        threshold: (B, K, G).
        objects: (K,) of each class that the thresholds come from.
    """

    edges: Tensor
    coverage: Tensor
    threshold: Tensor
    objects: Tensor

    def __post_init__(self) -> None:
        """Refuse arrays that do not fit together."""
        groups, _, grid = self.threshold.shape
        if groups != len(self.edges) + 1 or grid != len(self.coverage) or not self.threshold.isfinite().all():
            raise ValueError(
                f"prediction sets: {groups} groups of light curves with {grid} coverages do not fit {len(self.edges)} edges and {len(self.coverage)} coverages"
            )

    def __call__(self, probability: Tensor, observations: Tensor, coverage: float) -> Tensor:
        """(N, K) bool: the classes in each set, at least the most probable one; from (N, K) probabilities and (N,) lengths.

        Raises:
            ValueError: the coverage lies outside those there are thresholds for.
        """
        usable(self, coverage)
        group = torch.bucketize(observations, self.edges, right=True)
        place = int(torch.searchsorted(self.coverage, torch.tensor(coverage - 1e-9, dtype=self.coverage.dtype)))
        inside = 1 - probability <= self.threshold[group, :, place]
        best = torch.nn.functional.one_hot(probability.argmax(1), probability.shape[1]).bool()
        return inside | best

    def tensors(self) -> dict[str, Tensor]:
        """Arrays by name, stored with a model."""
        return {name: tensor.contiguous() for name, tensor in vars(self).items()}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> "PredictionSets":
        """The inverse of `tensors`.

        Raises:
            ValueError: they do not fit together.
        """
        return cls(**{name: tensors[name] for name in ("edges", "coverage", "threshold", "objects")})


def usable(sets: PredictionSets | None, coverage: float) -> PredictionSets:
    """The prediction sets of a model, which have thresholds for this coverage.

    Raises:
        ValueError: the model has none, or the coverage lies outside those there are thresholds for.
    """
    if sets is None:
        raise ValueError(
            "this model holds no thresholds for prediction sets (it was trained without calibration): leave out the coverage"
        )
    low, high = float(sets.coverage[0]), float(sets.coverage[-1])
    if not low - 1e-9 <= coverage <= high + 1e-9:
        raise ValueError(f"coverage {coverage}: choose a number from {low:g} to {high:g}")
    return sets
