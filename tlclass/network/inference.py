"""Running a trained network over a data set: the one path used by evaluation and prediction."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from tlclass.arrays import Array
from tlclass.inputs.batches import EVALUATED, CurveDataset, in_batches
from tlclass.network.classifier import Classifier, mean_probability
from tlclass.network.encoders import Encoder


@dataclass(frozen=True)
class Views:
    """Light curves as they looked after some of their observations; one may have several views.

    Attributes:
        object: (V,) number of the light curve. observations: (V,) how many of its first ones are looked at.
        row: (V,) of the last of them in the flat arrays.
    """

    object: Array
    observations: Array
    row: Array

    @property
    def share(self) -> Array:
        """(V,) 1 / number of views of the object, so that each object counts once."""
        return 1.0 / np.bincount(self.object)[self.object]


def predict_logits(
    classifier: nn.Module, data: CurveDataset, steps: Tensor | None = None, batch_size: int = EVALUATED
) -> Tensor:
    """(n, n_classes) logits on the CPU, in the order of the data.

    Args:
        classifier: put into evaluation mode; runs on the data's device.
        data: n light curves.
        steps: (n,) how many observations of each to look at (at least 1); None looks at all.
            The network is causal, so this equals a truncated light curve.
        batch_size: objects per batch.

    Raises:
        ValueError: the logits of a light curve give no probabilities.
    """
    logits = _over_batches(classifier, data, data.lengths if steps is None else steps, batch_size)
    refuse_lost(logits)
    return logits


def refuse_lost(logits: Tensor) -> None:
    """Raise ValueError if (n, n_classes) logits give no probabilities; -inf for some classes is probability 0."""
    lost = logits.isnan().any(1) | ~logits.amax(1).isfinite()
    if lost.any():
        raise ValueError(
            f"the network gives no finite numbers for {int(lost.sum())} of {len(lost)} light curves, the first of them number "
            f"{int(lost.nonzero()[0]) + 1}: its weights or the fluxes are far too large; train the model again, or check the data with tlclass inspect"
        )


def encode_all(encoder: Encoder, data: CurveDataset) -> Tensor:
    """(n, latent) embeddings on the CPU, in the order of the data."""
    return _over_batches(encoder, data, data.lengths, EVALUATED)


@torch.inference_mode()
def encode_every_step(encoder: Encoder, data: CurveDataset, batch_size: int = EVALUATED) -> Tensor:
    """(total observations, latent) on the CPU, flat in the order of the data: row k of a light curve embeds its first k + 1."""
    rows: list[Tensor] = []
    place: list[Tensor] = []
    first = torch.cumsum(data.lengths, 0) - data.lengths
    with evaluating(encoder, data.x.device):
        for index in in_batches(torch.argsort(data.lengths, stable=True), batch_size):
            batch = data[index]
            step = torch.arange(batch.x.shape[1])
            valid = step < data.lengths[index, None]
            rows.append(encoder.at_every_step(batch.x, batch.metadata).cpu()[valid])
            place.append((first[index, None] + step)[valid])
    return torch.cat(rows)[torch.argsort(torch.cat(place))]


@torch.inference_mode()
def logits_of(members: Sequence[Classifier], latents: Sequence[Tensor]) -> Tensor:
    """(N, n_classes) of an ensemble from the latent vectors of each member, as its `forward` gives them."""
    each = [member.head(latent) for member, latent in zip(members, latents, strict=True)]
    return mean_probability(each) if len(each) > 1 else each[0]


@contextmanager
def evaluating(network: nn.Module, device: torch.device) -> Iterator[None]:
    """The network in evaluation mode on this device; afterwards it is back where it was.

    It is moved only if it must be: meanwhile a GRU has no weights, and another thread that uses it fails.
    """
    home = next((parameter.device for parameter in network.parameters()), device)
    network.eval()
    if home != device:
        network.to(device)
    try:
        yield
    finally:
        if home != device:
            network.to(home)


@torch.inference_mode()
def _over_batches(network: nn.Module, data: CurveDataset, steps: Tensor, batch_size: int) -> Tensor:
    rows: list[Tensor] = []
    order: list[Tensor] = []
    with evaluating(network, data.x.device):
        for index in in_batches(torch.argsort(steps, stable=True), batch_size):
            batch = data[index]
            seen = steps[index]
            valid = seen.to(batch.x.device, non_blocking=True)
            rows.append(network(batch.x[:, : int(seen.max())], valid, batch.metadata))
            order.append(index)
    return torch.cat(rows).cpu()[torch.argsort(torch.cat(order))]
