"""Encoders: from a light curve to one vector. Here the interface and the paper's GRU; `transformer.py` has another."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from tlclass.network import packed_gru
from tlclass.network.initialisation import as_keras_does
from tlclass.options import Size

PART = 32  # light curves that run together in a batch that is mostly padding
ROUNDING = 1e-6  # relative; equal float32 numbers have this spread at most

State = dict[str, Tensor]  # what an encoder remembers of N light curves; the first dimension of every tensor is N


class Encoder(nn.Module):
    """Makes one vector of a light curve; the interface of all encoders, which are listed in `ENCODERS`.

    It is built from `n_channels` and its settings in `conf/model/`. It must be causal: its vector after k observations
    does not depend on later ones, nor on padding. `forward` is all that has to be written. `at_every_step` and `step`
    follow from it, at the cost of one pass per observation; an encoder that can do better overrides them and gives the same
    numbers.

    Attributes:
        out_features: size of the vector.
        parts: names of its submodules in order from the light curve to the vector. Together they hold all parameters.
            Freeze policies name them, also by depth: `first` and `last`.
    """

    out_features: int
    parts: tuple[str, ...]

    def forward(self, x: Tensor, lengths: Tensor, metadata: Tensor) -> Tensor:
        """Padded (N, T, C), (N,) valid steps >= 1, (N, M) to (N, out_features)."""
        raise NotImplementedError

    def at_every_step(self, x: Tensor, metadata: Tensor) -> Tensor:
        """Padded (N, T, C), (N, M) to (N, T, out_features): `forward` for every truncation at once."""
        ends = torch.arange(1, x.shape[1] + 1, device=x.device)
        return torch.stack([self(x[:, :end], end.expand(len(x)), metadata) for end in ends], dim=1)

    def step(self, x: Tensor, metadata: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """One more observation of each light curve: (N, C), (N, M) to (N, out_features), and what to remember.

        Args:
            x: the observations. metadata: of the objects.
            state: what the call before returned; None at the first observation. Light curves in one call may have
                different numbers of observations.
        """
        lengths = state["lengths"] if state else torch.zeros(len(x), dtype=torch.int64, device=x.device)
        seen = appended(state["x"] if state else x[:, None], lengths, x)
        return self(seen, lengths + 1, metadata), {"x": seen, "lengths": lengths + 1}

    def replay(self, x: Tensor, lengths: Tensor, metadata: Tensor) -> tuple[Tensor, list[State]]:
        """Whole light curves: padded (N, T, C), (N,), (N, M) to (N, out_features), and what `step` would remember of each (N = 1)."""
        latents, states = [], []
        for row, length in enumerate(lengths.tolist()):
            state: State | None = None
            for place in range(length):
                latent, state = self.step(x[row : row + 1, place], metadata[row : row + 1], state)
            latents.append(latent)
            states.append(state or {})
        return torch.cat(latents), states

    def initialise(self, generator: torch.Generator) -> None:
        """Draw the initial weights, or leave, as here, those that the layers drew when they were built.

        `build_classifier` seeds both.
        """

    def standardise_by(self, metadata: Tensor) -> None:
        """Take mean and scale of the (n, M) training metadata where there is a `MetadataBranch`."""
        for module in self.modules():
            if isinstance(module, MetadataBranch):
                module.standardise_by(metadata)


def refuse_wrong_parts(encoder: Encoder) -> None:
    """Raise ValueError if `parts` does not name the submodules that hold the encoder's parameters, or the interface is not there."""
    for name in ("parts", "out_features"):
        if not isinstance(encoder, Encoder) or not hasattr(encoder, name):
            raise ValueError(
                f"{type(encoder).__name__} has no {name}: make it a subclass of tlclass.network.encoders.Encoder and set {name} (docs: A new encoder)"
            )
    held = {name.split(".")[0] for name, _ in encoder.named_parameters()}
    if held != set(encoder.parts):
        raise ValueError(
            f"the parts of {type(encoder).__name__} are {', '.join(encoder.parts)}, but its parameters are in "
            f"{', '.join(sorted(held))}: name these in `parts`, in order from the light curve to the latent vector"
        )


def refuse_padding(encoder: Encoder, n_channels: int, n_metadata: int) -> None:
    """Raise ValueError if the vectors are of another shape than stated, or depend on what stands behind the end of a light curve.

    Light curves in a batch are padded to the longest, so its predictions would depend on the others.
    """
    x = torch.linspace(-1.0, 1.0, 2 * 6 * n_channels).reshape(2, 6, n_channels)
    lengths, other = torch.tensor([6, 3]), x.clone()
    other[1, 3:] = 0.5
    training = encoder.training
    encoder.eval()
    with torch.no_grad():
        one, same = (encoder(each, lengths, torch.zeros(2, n_metadata)) for each in (x, other))
    encoder.train(training)
    kind = type(encoder).__name__
    if one.shape != (2, encoder.out_features):
        raise ValueError(
            f"forward of {kind} gives a tensor of shape {tuple(one.shape)} for 2 light curves: it must be (2, out_features) = (2, {encoder.out_features})"
        )
    if not torch.allclose(one, same, rtol=1e-3, atol=1e-5):
        raise ValueError(
            f"the vectors of {kind} change with what stands behind the end of a light curve in a padded batch: let forward use `lengths` to leave that out"
        )


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


class WideMetadataBranch(MetadataBranch):
    """Metadata that span decades and are often unknown, such as a host's redshift and its error.

    Values far above `small` enter by their logarithm. A second input per column states whether the value is known.
    """

    def __init__(self, n_metadata: int, units: int, small: float):
        super().__init__(n_metadata, units)
        if not isinstance(small, int | float) or small <= 0:
            raise ValueError(
                f"model.metadata_small is {small}: choose a number above 0, or null for the paper's branch"
            )
        self.small = small
        self.linear = nn.Linear(2 * n_metadata, units)

    def standardise_by(self, metadata: Tensor) -> None:
        """See `MetadataBranch`."""
        super().standardise_by(compressed(metadata / self.small))

    def forward(self, metadata: Tensor) -> Tensor:
        """(N, M) raw values, NaN where unknown, to (N, units)."""
        standardised = ((compressed(metadata / self.small) - self.mean) / self.scale).nan_to_num(0.0)
        known = (~metadata.isnan()).to(standardised.dtype)
        return torch.tanh(self.linear(torch.cat([standardised, known], dim=-1)))


def compressed(values: Tensor) -> Tensor:
    """asinh, of operations that ONNX has."""
    size = values.abs()
    return values.sign() * torch.log1p(size + size * size / (1 + torch.sqrt(1 + size * size)))


def metadata_branch(metadata: Sequence[str], units: int, small: float | None) -> MetadataBranch | None:
    """The branch for these columns: the paper's, or the one for wide ranges where `small` is given; None without columns."""
    if not metadata:
        return None
    return MetadataBranch(len(metadata), units) if small is None else WideMetadataBranch(len(metadata), units, small)


class GRUEncoder(Encoder):
    """Two GRU layers, the state at the last valid step, dense layers (sizes of the paper's code).

    Layers: GRU C -> 100 -> 100, dense 100 tanh, [metadata -> 10, concatenated], dense 100 ReLU,
    dense 100 ReLU: the latent vector. One more observation costs O(1): only the GRU's state is remembered.

    Args:
        n_channels: input channels.
        metadata: names of the metadata columns; none removes the branch.
        hidden, layers: of the GRU. dense, latent: units. metadata_units: units of the branch.
        metadata_small: None for the paper's branch; else see `WideMetadataBranch`.
    """

    def __init__(
        self,
        n_channels: int,
        metadata: Sequence[str] = (),
        hidden: Size = 100,
        layers: Size = 2,
        dense: Size = 100,
        latent: Size = 100,
        metadata_units: Size = 10,
        metadata_small: float | None = None,
    ):
        super().__init__()
        self.out_features = latent
        self.parts = ("gru", "metadata", "dense", "latent") if metadata else ("gru", "dense", "latent")
        self.gru = nn.GRU(n_channels, hidden, num_layers=layers, batch_first=True)
        self.metadata = metadata_branch(metadata, metadata_units, metadata_small)
        joint = dense + (metadata_units if metadata else 0)
        self.dense = nn.ModuleDict({"state": nn.Linear(hidden, dense), "joint": nn.Linear(joint, dense)})
        self.latent = nn.Linear(dense, latent)

    def initialise(self, generator: torch.Generator) -> None:
        """As Keras does."""
        as_keras_does(self, generator)

    def forward(self, x: Tensor, lengths: Tensor, metadata: Tensor) -> Tensor:
        """See `Encoder`."""
        if packed_gru.pays(self.gru, x):
            return self._latent(packed_gru.last_states(self.gru, x, lengths), metadata)
        return self._latent(last_valid(lambda part: self.gru(part)[0], x, lengths), metadata)

    def at_every_step(self, x: Tensor, metadata: Tensor) -> Tensor:
        """See `Encoder`; one pass, since the GRU runs in one direction."""
        return self._latent(self.gru(x)[0], metadata[:, None].expand(-1, x.shape[1], -1))

    def step(self, x: Tensor, metadata: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """See `Encoder`; the state is `hidden`, (N, layers, hidden)."""
        before = state["hidden"].transpose(0, 1).contiguous() if state else None
        states, hidden = self.gru(x[:, None], before)
        return self._latent(states[:, 0], metadata), {"hidden": hidden.transpose(0, 1)}

    def replay(self, x: Tensor, lengths: Tensor, metadata: Tensor) -> tuple[Tensor, list[State]]:
        """See `Encoder`; in one pass."""
        packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        hidden = self.gru(packed)[1].transpose(0, 1)
        return self._latent(hidden[:, -1], metadata), [{"hidden": row[None]} for row in hidden]

    def _latent(self, states: Tensor, metadata: Tensor) -> Tensor:
        """GRU states (..., hidden) and (..., M) to (..., latent)."""
        out = torch.tanh(self.dense["state"](states))
        if self.metadata is not None:
            out = torch.cat([out, self.metadata(metadata)], dim=-1)
        return torch.relu(self.latent(torch.relu(self.dense["joint"](out))))


def last_valid(causal: Callable[[Tensor], Tensor], x: Tensor, lengths: Tensor) -> Tensor:
    """(N, H) output of a causal network at the last valid step.

    On the CPU a batch that is mostly padding, as the only batch of a small label budget is, runs in parts of
    similar length.

    Args:
        causal: (n, t, C) to (n, t, H); later steps do not reach earlier ones.
        x: padded (N, T, C). lengths: (N,) valid steps >= 1.
    """
    if x.device.type != "cpu" or len(x) <= PART or 2 * int(lengths.sum()) > x.shape[0] * x.shape[1]:
        states = causal(x)
        return states[torch.arange(len(x), device=x.device), lengths - 1]
    order = torch.argsort(lengths, stable=True)
    parts = [
        last_valid(causal, x[part, : int(lengths[part].max())], lengths[part]) for part in torch.split(order, PART)
    ]
    return torch.cat(parts)[torch.argsort(order)]


def appended(past: Tensor, lengths: Tensor, new: Tensor) -> Tensor:
    """(N, T', ...) steps of light curves with one more step each.

    Args:
        past: padded (N, T, ...).
        lengths: (N,) valid steps.
        new: (N, ...), put at the step after the last valid one.
    """
    width = int(lengths.max()) + 1
    longer = past.new_zeros(len(past), max(width, past.shape[1]), *past.shape[2:])
    longer[:, : past.shape[1]] = past
    longer[torch.arange(len(past), device=past.device), lengths] = new
    return longer
