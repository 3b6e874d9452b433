"""A causal transformer as encoder: every observation looks at itself and at earlier ones."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from tlclass.network.encoders import Encoder, State, appended, last_valid, metadata_branch
from tlclass.network.initialisation import as_keras_does
from tlclass.options import Size


class TransformerEncoder(Encoder):
    """Pre-norm transformer blocks with a causal mask, the output at the last valid step, dense layers.

    Time and wavelength enter as the continuous numbers that they are: as sines and cosines of several frequencies
    (Vaswani et al. 2017; Mildenhall et al. 2020), beside the channels themselves. There is no position in the sequence,
    so gaps and mixed passbands need nothing special. Blocks are normalised first (Xiong et al. 2020), which trains without warm-up.

    One more observation costs O(T): `step` keeps the keys and values of the T earlier ones (2 x layers x width numbers each)
    and computes nothing anew. `GRUEncoder` costs O(1).

    Args:
        n_channels: input channels.
        metadata: names of the metadata columns; none removes the branch.
        width: of a step's vector, a multiple of `heads`.
        layers, heads: of the attention. feedforward: units of a block's inner layer.
        frequencies: of time. wavelength_frequencies: of wavelength. Frequency k is 2^k / 2 cycles per unit of the channel: with
            time in 100 days, periods are 200, 100, 50, ... days.
        time, wavelength: which channels they are; so in every encoding of `conf/encoding/`.
        dropout: share of a block's output that is dropped in training.
        dense, latent: units. metadata_units: units of the branch. metadata_small: see `GRUEncoder`.
    """

    def __init__(
        self,
        n_channels: int,
        metadata: Sequence[str] = (),
        width: Size = 64,
        layers: Size = 3,
        heads: Size = 4,
        feedforward: Size = 128,
        frequencies: Size = 8,
        wavelength_frequencies: Size = 3,
        time: int = 1,
        wavelength: int = 0,
        dropout: float = 0.0,
        dense: Size = 100,
        latent: Size = 100,
        metadata_units: Size = 10,
        metadata_small: float | None = None,
    ):
        super().__init__()
        if width % heads:
            raise ValueError(
                f"model.width is {width} and model.heads is {heads}: choose a width that is a multiple of heads"
            )
        self.out_features = latent
        self.parts = ("attention", *(("metadata",) if metadata else ()), "dense", "latent")
        waves = {time: frequencies, wavelength: wavelength_frequencies}
        self.attention = CausalAttention(n_channels, width, layers, heads, feedforward, waves, dropout)
        self.metadata = metadata_branch(metadata, metadata_units, metadata_small)
        self.dense = nn.Linear(width + (metadata_units if metadata else 0), dense)
        self.latent = nn.Linear(dense, latent)

    def initialise(self, generator: torch.Generator) -> None:
        """As Keras does, which is the transformer's own way for its dense layers; normalisations begin as identities."""
        as_keras_does(self, generator)

    def forward(self, x: Tensor, lengths: Tensor, metadata: Tensor) -> Tensor:
        """See `Encoder`; the causal mask keeps padding, which comes last, out of all valid steps."""
        return self._latent(last_valid(self.attention, x, lengths), metadata)

    def at_every_step(self, x: Tensor, metadata: Tensor) -> Tensor:
        """See `Encoder`; one pass."""
        return self._latent(self.attention(x), metadata[:, None].expand(-1, x.shape[1], -1))

    def step(self, x: Tensor, metadata: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """See `Encoder`; the state is `keys` and `values`, (N, layers, T, width), and `lengths`, (N,)."""
        out, state = self.attention.step(x, state)
        return self._latent(out, metadata), state

    def _latent(self, states: Tensor, metadata: Tensor) -> Tensor:
        """(..., width) and (..., M) to (..., latent)."""
        if self.metadata is not None:
            states = torch.cat([states, self.metadata(metadata)], dim=-1)
        return torch.relu(self.latent(torch.relu(self.dense(states))))


class CausalAttention(nn.Module):
    """(N, T, C) to (N, T, width): step k is made of the observations up to k.

    Args:
        n_channels: C. width, layers, heads, feedforward, dropout: see `TransformerEncoder`.
        waves: number of frequencies by channel.
    """

    def __init__(
        self,
        n_channels: int,
        width: int,
        layers: int,
        heads: int,
        feedforward: int,
        waves: dict[int, int],
        dropout: float,
    ):
        super().__init__()
        self.waves = waves
        self.embed = nn.Linear(n_channels + 2 * sum(waves.values()), width)
        self.blocks = nn.ModuleList(Block(width, heads, feedforward, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        steps = self._embedded(x)
        for block in self._blocks():
            query, key, value = block.project(steps)
            steps = block.mix(steps, query, key, value)
        out: Tensor = self.norm(steps)
        return out

    def step(self, x: Tensor, state: State | None) -> tuple[Tensor, State]:
        """(N, C), the next observation, to (N, width), with the keys and values of the earlier ones as they were."""
        lengths = state["lengths"] if state else torch.zeros(len(x), dtype=torch.int64, device=x.device)
        steps, keys, values = self._embedded(x[:, None]), [], []
        for number, block in enumerate(self._blocks()):
            query, key, value = block.project(steps)
            keys.append(appended(state["keys"][:, number] if state else key, lengths, key[:, 0]))
            values.append(appended(state["values"][:, number] if state else value, lengths, value[:, 0]))
            seen = torch.arange(keys[-1].shape[1], device=x.device) <= lengths[:, None]
            steps = block.mix(steps, query, keys[-1], values[-1], seen[:, None, None])
        remembered = {"keys": torch.stack(keys, 1), "values": torch.stack(values, 1), "lengths": lengths + 1}
        return self.norm(steps[:, 0]), remembered

    def _blocks(self) -> list["Block"]:
        return list(self.blocks)  # type: ignore[arg-type]

    def _embedded(self, x: Tensor) -> Tensor:
        features = [x, *(sines(x[..., channel], number) for channel, number in self.waves.items())]
        embedded: Tensor = self.embed(torch.cat(features, dim=-1))
        return embedded


class Block(nn.Module):
    """Attention over earlier steps, then two dense layers, each added to what came in."""

    def __init__(self, width: int, heads: int, feedforward: int, dropout: float):
        super().__init__()
        self.heads = heads
        self.before_attention, self.before_dense = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.out = nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, feedforward), nn.Linear(feedforward, width)
        self.dropout = nn.Dropout(dropout)

    def project(self, steps: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(N, T, width) to query, key and value of the same shape."""
        normed = self.before_attention(steps)
        return self.query(normed), self.key(normed), self.value(normed)

    def mix(self, steps: Tensor, query: Tensor, key: Tensor, value: Tensor, seen: Tensor | None = None) -> Tensor:
        """(N, T, width) steps after attention and dense layers.

        Args:
            steps: what came in.
            query: (N, T, width). key, value: (N, S, width).
            seen: which of the S keys count, broadcast to (N, heads, T, S); None: for step k the first k + 1.
        """
        query, key, value = (part.view(*part.shape[:2], self.heads, -1).transpose(1, 2) for part in (query, key, value))
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=seen, is_causal=seen is None)
        steps = steps + self.dropout(self.out(mixed.transpose(1, 2).flatten(2)))
        inner = functional.gelu(self.up(self.before_dense(steps)))
        added: Tensor = steps + self.dropout(self.down(inner))
        return added


def sines(values: Tensor, number: int) -> Tensor:
    """(...,) to (..., 2 number): sines and cosines with 1/2, 1, 2, ... cycles per unit."""
    angles = values[..., None] * (math.pi * 2.0 ** torch.arange(number, device=values.device))
    return torch.cat([torch.sin(angles), torch.cos(angles)], dim=-1)
