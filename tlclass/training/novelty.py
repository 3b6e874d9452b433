"""Fit the novelty score to known objects: their latent vectors, logits and light curves."""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from tlclass.inputs.shape import STATISTICS, TELLING
from tlclass.network.novelty import Distances, Novelty, entropy

EDGES = (4, 8, 14, 24)  # observations: groups of light curves with distributions of their own
AXES = 32  # on which latent vectors are projected
SHRINKAGE = 0.05  # towards equal variances on all axes
STEPS = 200  # of the percentiles
FEWEST = 5  # views of a class in a group; of fewer the mean over all lengths is taken


def fit_novelty(
    latent: Tensor,
    observations: Tensor,
    kind: Tensor,
    weight: Tensor,
    logits: Tensor,
    shape: Tensor | None = None,
) -> Novelty:
    """How unusual known objects are, by the length of their light curves.

    Every second light curve sets the distances, the others their percentiles.

    Args:
        latent: (V, L). observations: (V,). kind: (V,) class. weight: (V,) of each view in the percentiles. logits: (V, K).
        shape: (V, S) of `tlclass.inputs.shape.statistics`; None leaves them out.
    """
    odd = torch.arange(len(latent)) % 2 == 1
    near = fit_distances(latent, observations, kind, odd)
    group = torch.bucketize(observations, near.edges, right=True)

    def quantiles(value: Tensor) -> Tensor:
        return torch.stack([_of_group(value, weight, odd, group == number) for number in range(len(EDGES) + 1)])

    found = Novelty(near, quantiles(near(latent, observations)), entropy=quantiles(entropy(logits)))
    if shape is not None:
        columns = torch.tensor([STATISTICS.index(name) for name in TELLING])
        behaves = fit_distances(shape[:, columns], observations, kind, odd)
        behaviour = quantiles(behaves(shape[:, columns], observations))
        found = replace(found, shape=behaves, behaviour=behaviour, columns=columns)
    return replace(found, joint=quantiles(found.unusual(latent, observations, logits, shape)))


def fit_distances(vector: Tensor, observations: Tensor, kind: Tensor, odd: Tensor) -> Distances:
    """Means of the classes and their common spread, by length of the light curve, from the (V,) mask `odd` left out."""
    center = vector.double().mean(0)
    axes = min(AXES, vector.shape[1], len(vector))
    projection = torch.linalg.svd(vector.double() - center, full_matrices=False).Vh[:axes].T
    place = (vector.double() - center) @ projection
    edges = torch.tensor(EDGES)
    group = torch.bucketize(observations, edges, right=True)
    kinds = torch.from_numpy(np.unique(kind.numpy()))
    overall = torch.stack([place[kind == k].mean(0) for k in kinds])
    means, whitenings = [], []
    for number in range(len(EDGES) + 1):
        here = (group == number) & ~odd
        mean = overall.clone()
        for position, k in enumerate(kinds):
            own = here & (kind == k)
            if int(own.sum()) >= FEWEST:
                mean[position] = place[own].mean(0)
        used = here if int(here.sum()) > axes else ~odd
        offset = place[used] - mean[torch.searchsorted(kinds, kind[used])]
        means.append(mean)
        whitenings.append(_whitening(offset))
    return Distances(
        edges, center.float(), projection.float(), torch.stack(means).float(), torch.stack(whitenings).float()
    )


def _of_group(distance: Tensor, weight: Tensor, odd: Tensor, group: Tensor) -> Tensor:
    """(STEPS + 1,) quantiles of the distances of a group of lengths that did not set them; of all where there are few."""
    here = group & odd
    used = here if int(here.sum()) > 20 else odd
    return _weighted_quantiles(distance[used], weight[used]).float()


def _whitening(offset: Tensor) -> Tensor:
    """(D, D) W such that offset @ W has unit covariance, shrunk towards equal variances."""
    covariance = offset.T @ offset / max(len(offset), 1)
    size = len(covariance)
    shrunk = (1 - SHRINKAGE) * covariance + (SHRINKAGE * covariance.trace() / size + 1e-9) * torch.eye(
        size, dtype=torch.float64
    )
    values, vectors = torch.linalg.eigh(shrunk)
    return torch.asarray(vectors * values.clamp(min=1e-12).rsqrt())


def _weighted_quantiles(value: Tensor, weight: Tensor) -> Tensor:
    """(STEPS + 1,) ascending."""
    order = torch.argsort(value)
    reached = (weight[order].cumsum(0) - 0.5 * weight[order]) / weight.sum()
    wanted = torch.linspace(0, 1, STEPS + 1, dtype=torch.float64)
    place = torch.searchsorted(reached.double(), wanted).clamp(max=len(value) - 1)
    quantiles: Tensor = value[order][place]
    return quantiles
