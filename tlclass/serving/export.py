"""A model as one ONNX graph or exported torch program: encoded light curves in, calibrated probabilities out."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tlclass.atomic import atomic_path
from tlclass.network.calibration import log_probabilities
from tlclass.network.checkpoint import TrainedModel
from tlclass.network.inference import logits_of

OPSET = 17
INPUTS = ("x", "lengths", "metadata")  # (N, T, C) float32 padded at the end, (N,) int64, (N, M) float32


class Probabilities(nn.Module):
    """An ensemble, its calibration included, without branches that depend on the data."""

    def __init__(self, model: TrainedModel):
        super().__init__()
        self.members, self.calibration = nn.ModuleList(model.members), model.calibration

    def forward(self, x: Tensor, lengths: Tensor, metadata: Tensor) -> Tensor:
        """Padded (N, T, C), (N,) observations of each, (N, M) to (N, K) probabilities."""
        rows = torch.arange(x.shape[0])
        members: list[Any] = list(self.members)
        latents = [member.encoder.at_every_step(x, metadata)[rows, lengths - 1] for member in members]
        return log_probabilities(self.calibration, logits_of(members, latents), lengths).exp().float()


def example(model: TrainedModel, objects: int = 2, longest: int = 5) -> tuple[Tensor, Tensor, Tensor]:
    """Inputs of the right shapes."""
    x = torch.zeros(objects, longest, len(model.encoding.channels))
    return x, torch.full((objects,), longest), torch.zeros(objects, len(model.metadata))


def export_onnx(model: TrainedModel, path: Path) -> None:
    """Write ONNX with any number of light curves and observations.

    Raises:
        ImportError: `onnx` is not installed.
    """
    try:
        import onnx  # noqa: F401
    except ImportError as error:
        raise ImportError("ONNX needs another package: pip install 'tlclass[export]'") from error
    axes = {"x": {0: "objects", 1: "observations"}, "lengths": {0: "objects"}, "metadata": {0: "objects"}}
    with atomic_path(path) as temporary, torch.no_grad():
        torch.onnx.export(  # the newer exporter fixes the number of observations without a word
            Probabilities(model).eval(), example(model), str(temporary), dynamo=False, opset_version=OPSET,
            input_names=list(INPUTS), output_names=["probability"], dynamic_axes={**axes, "probability": {0: "objects"}},
        )  # fmt: skip
