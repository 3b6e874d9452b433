"""Fit the novelty score to latent vectors of known objects."""

import numpy as np
import torch
from torch import Tensor

from tlclass.network.novelty import Novelty

EDGES = (4, 8, 14, 24)  # observations: groups of light curves with distributions of their own
AXES = 32  # on which latent vectors are projected
SHRINKAGE = 0.05  # towards equal variances on all axes
STEPS = 200  # of the percentiles
FEWEST = 5  # views of a class in a group; of fewer the mean over all lengths is taken


def fit_novelty(latent: Tensor, observations: Tensor, kind: Tensor, weight: Tensor) -> Novelty:
    """Means of the classes and their common spread in the latent space, by length of the light curve.

    Every second object sets the distances, the others their percentiles.

    Args:
        latent: (V, L). observations: (V,). kind: (V,) class. weight: (V,) of each view in the percentiles.
    """
    odd = torch.arange(len(latent)) % 2 == 1
    center = latent.double().mean(0)
    axes = min(AXES, latent.shape[1], len(latent))
    projection = torch.linalg.svd(latent.double() - center, full_matrices=False).Vh[:axes].T
    place = (latent.double() - center) @ projection
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
    fitted = Novelty(
        edges, center.float(), projection.float(), torch.stack(means).float(), torch.stack(whitenings).float(),
        torch.zeros(len(EDGES) + 1, STEPS + 1),
    )  # fmt: skip
    distance = fitted.distance(latent, observations)
    quantiles = []
    for number in range(len(EDGES) + 1):
        here = (group == number) & odd
        used = here if int(here.sum()) > 20 else odd
        quantiles.append(_weighted_quantiles(distance[used], weight[used]))
    return Novelty(
        edges, fitted.center, fitted.projection, fitted.mean, fitted.whitening, torch.stack(quantiles).float()
    )


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
