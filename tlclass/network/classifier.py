"""The network: an encoder of light curves and a head."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from tlclass.network.encoders import Encoder, GRUEncoder, refuse_padding, refuse_wrong_parts
from tlclass.network.heads import Head, build_head
from tlclass.network.transformer import TransformerEncoder
from tlclass.options import build_named

ENCODERS: dict[str, type[Encoder]] = {"gru": GRUEncoder, "transformer": TransformerEncoder}  # names in model files


class Classifier(nn.Module):
    """An encoder and a head; `forward` gives logits."""

    def __init__(self, encoder: Encoder, head: Head):
        super().__init__()
        self.encoder = encoder
        self.head = head

    def initialise(self, generator: torch.Generator) -> None:
        """Draw the initial weights, each part in its own way."""
        self.encoder.initialise(generator)
        self.head.initialise(generator)

    def forward(self, x: Tensor, lengths: Tensor, metadata: Tensor) -> Tensor:
        """Padded (N, T, C), (N,), (N, M) to (N, n_classes) logits."""
        logits: Tensor = self.head(self.encoder(x, lengths, metadata))
        return logits


class Ensemble(nn.Module):
    """Several classifiers as one: the mean of their probabilities (Lakshminarayanan et al. 2017)."""

    def __init__(self, members: Sequence[Classifier]):
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, x: Tensor, lengths: Tensor, metadata: Tensor) -> Tensor:
        """Padded (N, T, C), (N,), (N, M) to (N, n_classes) log probabilities, which serve as logits."""
        return mean_probability([member(x, lengths, metadata) for member in self.members])


def mean_probability(logits: Sequence[Tensor]) -> Tensor:
    """(N, n_classes) log of the mean probability over networks, from the (N, n_classes) logits of each."""
    each = torch.stack([torch.log_softmax(one, dim=1) for one in logits])
    return torch.logsumexp(each, dim=0) - math.log(len(logits))


def build_classifier(
    encoder: Mapping[str, Any], head: Mapping[str, Any], n_channels: int, n_classes: int, seed: int | None = None
) -> Classifier:
    """Build a classifier from settings; dimensions come from the data.

    Args:
        encoder: `{name, ...}` as in `conf/model/`. head: `{name, ...}` as in `conf/head/`.
        n_channels: of the encoding. n_classes: of the taxonomy.
        seed: of the initial weights, which depend on nothing else; None leaves them to a later load.

    Raises:
        ValueError: unknown encoder or head, or an encoder whose `parts` are not its parts, or whose new vectors depend on padding.
    """
    with torch.random.fork_rng(devices=[], enabled=seed is not None):
        if seed is not None:
            torch.default_generator.manual_seed(seed)  # for layers that draw their weights when they are built
        built = build_named(ENCODERS, encoder, "model", n_channels=n_channels)
        refuse_wrong_parts(built)
        classifier = Classifier(built, build_head(head, built.out_features, n_classes))
        if seed is not None:
            refuse_padding(built, n_channels, len(encoder.get("metadata", ())))
    if seed is not None:
        classifier.initialise(torch.Generator().manual_seed(seed))
    return classifier
