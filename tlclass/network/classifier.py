"""The network: an encoder of light curves and a head."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from tlclass.network.heads import build_head
from tlclass.options import build_named

PART = 32  # light curves that run together in a batch that is mostly padding
ROUNDING = 1e-6  # relative; equal float32 numbers have this spread at most


class Encoder(Protocol):
    """Makes one vector of a light curve; its class, an `nn.Module`, is listed in `ENCODERS`.

    It is built from `n_channels` and its settings in `conf/model/`. Steps after the last valid one must not change
    the result. The names of its parts are what freeze policies refer to.

    Two more attributes are used where they are there. `metadata`, a `MetadataBranch`: its mean and scale are taken from
    the training part. `at_every_step(x, metadata)`, padded (N, T, C), (N, M) to (N, T, out_features): `forward` for
    every truncation at once. Without it `fit.truncate` runs a frozen encoder anew in every epoch.

    Attributes:
        out_features: size of the vector.
    """

    out_features: int

    def forward(self, x: Tensor, lengths: Tensor, metadata: Tensor) -> Tensor:
        """Padded (N, T, C), (N,) valid steps >= 1, (N, M) to (N, out_features)."""


class MetadataBranch(nn.Module):
    """Object metadata, standardised, through one linear layer (paper section 3.2).

    The mean and scale belong to the data the encoder was trained on and travel with its weights.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, n_metadata: int, units: int):
        super().__init__()
        self.register_buffer("mean", torch.zeros(n_metadata))
        self.register_buffer("scale", torch.ones(n_metadata))
        self.linear = nn.Linear(n_metadata, units)

    def standardise_by(self, metadata: Tensor) -> None:
        """Take mean and scale from (n, M) training metadata; the scale of a constant or unknown column is 1."""
        known = torch.where(metadata.isnan(), metadata.nanmean(0), metadata).nan_to_num(0.0)
        spread = known.std(0, correction=0)
        spreads = spread.isfinite() & (spread > ROUNDING * known.abs().amax(0))
        self.mean.copy_(known.mean(0))
        self.scale.copy_(torch.where(spreads, spread, 1.0))

    def forward(self, metadata: Tensor) -> Tensor:
        """(N, M) raw values, NaN where unknown (then the mean is taken), to (N, units)."""
        standardised = ((metadata - self.mean) / self.scale).nan_to_num(0.0)
        out: Tensor = self.linear(standardised)
        return out


class GRUEncoder(nn.Module):
    """Two GRU layers, the state at the last valid step, dense layers (sizes of the paper's code).

    Layers: GRU C -> 100 -> 100, dense 100 tanh, [metadata -> 10, concatenated], dense 100 ReLU,
    dense 100 ReLU: the latent vector. Its parameter names `gru`, `metadata`, `dense`, `latent` are
    what freeze policies refer to.

    Args:
        n_channels: input channels.
        metadata: names of the metadata columns; none removes the branch.
        hidden, layers: of the GRU. dense, latent: units. metadata_units: units of the branch.
    """

    def __init__(
        self,
        n_channels: int,
        metadata: Sequence[str] = (),
        hidden: int = 100,
        layers: int = 2,
        dense: int = 100,
        latent: int = 100,
        metadata_units: int = 10,
    ):
        super().__init__()
        self.out_features = latent
        self.gru = nn.GRU(n_channels, hidden, num_layers=layers, batch_first=True)
        self.metadata = MetadataBranch(len(metadata), metadata_units) if metadata else None
        joint = dense + (metadata_units if metadata else 0)
        self.dense = nn.ModuleDict({"state": nn.Linear(hidden, dense), "joint": nn.Linear(joint, dense)})
        self.latent = nn.Linear(dense, latent)

    def forward(self, x: Tensor, lengths: Tensor, metadata: Tensor) -> Tensor:
        """Padded (N, T, C), (N,) valid steps >= 1, (N, M) to (N, latent)."""
        return self._latent(self._last_states(x, lengths), metadata)

    def at_every_step(self, x: Tensor, metadata: Tensor) -> Tensor:
        """Padded (N, T, C), (N, M) to (N, T, latent): `forward` for every truncation at once, since the GRU is causal."""
        return self._latent(self.gru(x)[0], metadata[:, None].expand(-1, x.shape[1], -1))

    def _latent(self, states: Tensor, metadata: Tensor) -> Tensor:
        """GRU states (..., hidden) and (..., M) to (..., latent)."""
        out = torch.tanh(self.dense["state"](states))
        if self.metadata is not None:
            out = torch.cat([out, self.metadata(metadata)], dim=-1)
        return torch.relu(self.latent(torch.relu(self.dense["joint"](out))))

    def _last_states(self, x: Tensor, lengths: Tensor) -> Tensor:
        """(N, hidden) state at the last valid step.

        On the CPU a batch that is mostly padding, as the only batch of a small label budget is, runs in parts of
        similar length.
        """
        if x.device.type != "cpu" or len(x) <= PART or 2 * int(lengths.sum()) > x.shape[0] * x.shape[1]:
            states, _ = self.gru(x)  # one-directional: what follows the last valid step cannot reach it
            last: Tensor = states[torch.arange(len(x), device=x.device), lengths - 1]
            return last
        order = torch.argsort(lengths, stable=True)
        parts = [
            self._last_states(x[part, : int(lengths[part].max())], lengths[part]) for part in torch.split(order, PART)
        ]
        return torch.cat(parts)[torch.argsort(order)]


class Classifier(nn.Module):
    """An encoder and a head; `forward` gives logits."""

    def __init__(self, encoder: nn.Module, head: nn.Module):
        super().__init__()
        self.encoder = encoder
        self.head = head

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
        each = torch.stack([torch.log_softmax(member(x, lengths, metadata), dim=1) for member in self.members])
        return torch.logsumexp(each, dim=0) - math.log(len(self.members))


ENCODERS: dict[str, type[Encoder]] = {"gru": GRUEncoder}


def build_classifier(
    encoder: Mapping[str, Any], head: Mapping[str, Any], n_channels: int, n_classes: int, seed: int | None = None
) -> Classifier:
    """Build a classifier from settings; dimensions come from the data.

    Args:
        encoder: `{name, ...}` as in `conf/model/`. head: `{name, ...}` as in `conf/head/`.
        n_channels: of the encoding. n_classes: of the taxonomy.
        seed: initialise as Keras does, reproducibly; None leaves that to a later load.

    Raises:
        ValueError: unknown encoder or head.
    """
    built = build_named(ENCODERS, encoder, "model", n_channels=n_channels)
    classifier = Classifier(built, build_head(head, built.out_features, n_classes))  # type: ignore[arg-type]
    if seed is not None:
        initialise(classifier, torch.Generator().manual_seed(seed))
    return classifier


def initialise(module: nn.Module, generator: torch.Generator) -> None:
    """Keras's initialisation, which the paper used: Glorot-uniform kernels, orthogonal recurrent ones, zero bias.

    As in Keras a GRU's three gates are one kernel of shape (inputs, 3 units).
    """
    for name, parameter in module.named_parameters():
        if name.rpartition(".")[2].startswith("bias"):
            nn.init.zeros_(parameter)
        elif parameter.dim() == 1:
            continue  # the scale of a normalisation, 1
        elif ".weight_hh" in name or name.startswith("weight_hh"):
            nn.init.orthogonal_(parameter, generator=generator)
        else:
            bound = math.sqrt(6 / sum(parameter.shape))
            nn.init.uniform_(parameter, -bound, bound, generator=generator)
