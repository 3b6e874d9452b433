"""The encodings as tensor operations on padded light curves, so that they can be part of an exported graph."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from tlclass.inputs.encoding import Asinh, Context, Encoding, Paper


@dataclass(frozen=True)
class Padded:
    """Observations of N light curves in time, padded at the end to T.

    Attributes:
        days: (N, T) float32 since time zero.
        wavelength: (N, T) float32 of the passband, in micrometres.
        flux, flux_err: (N, T) float32 at zero point 27.5 AB.
        lengths: (N,) int64 observations of each, at least 1.
        detected: (N, T) bool; None where the encoding does not need it.
    """

    days: Tensor
    wavelength: Tensor
    flux: Tensor
    flux_err: Tensor
    lengths: Tensor
    detected: Tensor | None = None


def encoded(encoding: Encoding, curves: Padded) -> Tensor:
    """(N, T, C) what `encoding` gives for the same observations; steps of padding hold any number.

    Raises:
        ValueError: there is no such graph for this encoding.
    """
    if type(encoding) not in _GRAPHS:
        known = ", ".join(kind.__name__ for kind in _GRAPHS)
        raise ValueError(f"the encoding {type(encoding).__name__} cannot be exported, only {known}")
    return _GRAPHS[type(encoding)](encoding, curves)


def _paper(encoding: Paper, curves: Padded) -> Tensor:
    time = (curves.days + encoding.time_offset) / encoding.time_scale
    scaled = (curves.flux / encoding.flux_scale, curves.flux_err / encoding.flux_scale)
    return torch.stack([curves.wavelength, time, *scaled], dim=-1)


def _asinh(encoding: Asinh, curves: Padded) -> Tensor:
    time = (curves.days + encoding.time_offset) / encoding.time_scale
    relative = torch.log10(curves.flux_err / (curves.flux.abs() + curves.flux_err))
    return torch.stack([curves.wavelength, time, _inverse_sinh(curves.flux / encoding.flux_scale), relative], dim=-1)


def _inverse_sinh(values: Tensor) -> Tensor:
    """In operations that ONNX's exporter knows."""
    height = values.abs()
    return torch.sign(values) * torch.log(height + torch.sqrt(height.square() + 1))


def _context(encoding: Context, curves: Padded) -> Tensor:
    assert curves.detected is not None
    plain = _asinh(encoding, curves)
    flux, days, wavelength = plain[..., 2], curves.days, curves.wavelength
    step = torch.arange(days.shape[1])
    same, other = _last_in_band(wavelength, step)
    height = torch.where(step <= step[:, None], flux[:, None], -torch.inf).amax(-1)
    valid = step < curves.lengths[:, None]
    first = torch.where(curves.detected & valid, days, torch.inf).amin(1, keepdim=True)
    channels = [
        _difference(flux, same), _difference(days, same) / 10, _difference(flux, other), _difference(wavelength, other),
        height - flux, (days - first).clamp(min=0) / encoding.time_scale,
    ]  # fmt: skip
    return torch.cat([plain, torch.stack(channels, dim=-1)], dim=-1)


def _last_in_band(wavelength: Tensor, step: Tensor) -> tuple[Tensor, Tensor]:
    """(N, T) steps of the last earlier point in the same band, and in the nearest other one; -1 where there is none.

    See `tlclass.inputs.encoding.last_in_band`. Axes of the masks are light curve, step, earlier step.
    """
    here, there = wavelength[:, :, None], wavelength[:, None, :]
    earlier, alike = step < step[:, None], here == there
    others = earlier & ~alike
    distance = torch.where(others, (here - there).abs(), torch.inf)
    near = others & (distance == distance.amin(-1, keepdim=True))
    bluest = torch.where(near, there, torch.inf).amin(-1, keepdim=True)
    return (
        torch.where(earlier & alike, step, -1).amax(-1),
        torch.where(near & (there == bluest), step, -1).amax(-1),
    )


def _difference(values: Tensor, before: Tensor) -> Tensor:
    """(N, T) minus the value at the step `before`, 0 where that is -1."""
    return torch.where(before < 0, 0.0, values - values.gather(1, before.clamp(min=0)))


NEED_DETECTIONS = (Context,)
_GRAPHS: dict[type, Callable[..., Tensor]] = {Paper: _paper, Asinh: _asinh, Context: _context}
