"""A model as one ONNX graph or exported torch program: observations in, calibrated probabilities out."""

import json
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tlclass import __version__
from tlclass.atomic import atomic_path
from tlclass.extras import needs
from tlclass.inputs.encoding import encoding_settings
from tlclass.network.calibration import log_probabilities
from tlclass.network.checkpoint import TrainedModel
from tlclass.network.inference import logits_of
from tlclass.serving.encoding_graph import NEED_DETECTIONS, Padded, encoded
from tlclass.serving.scanned import scanned

OPSET = 17
ABOUT = "tlclass"  # key of the description in the ONNX metadata; the file inside a .pt2 is called so with .json
INPUTS = {
    "days": "(N, T) float32: days since time zero, ascending; pad at the end with anything finite",
    "wavelength": "(N, T) float32: of the passband, as `passbands` states it",
    "flux": "(N, T) float32: at zero point 27.5 AB (SNANA FLUXCAL)",
    "flux_err": "(N, T) float32: of the flux, above 0 in padding too",
    "detected": "(N, T) bool: whether the observation is a detection by the rule of `selection`",
    "lengths": "(N,) int64: observations of each light curve, 1 or more",
    "metadata": "(N, M) float32: numbers of the object in the order of `metadata`, NaN where unknown",
}
OUTPUTS = {"probability": "(N, K) float32 of the classes in the order of `classes`"}
SUFFIXES = (".onnx", ".pt2")


class Probabilities(nn.Module):
    """Encoding, ensemble and calibration, without branches that depend on the data."""

    def __init__(self, model: TrainedModel):
        super().__init__()
        self.encoding, self.calibration, self.names = model.encoding, model.calibration, list(inputs_of(model))
        self.members = nn.ModuleList(model.members)

    def forward(self, *inputs: Tensor) -> Tensor:
        """The inputs that `inputs_of` names to (N, K) probabilities."""
        given = dict(zip(self.names, inputs, strict=True))
        metadata = given.pop("metadata", given["flux"].new_zeros(given["flux"].shape[0], 0))
        curves = Padded(**given)
        x, rows = encoded(self.encoding, curves), torch.arange(curves.lengths.shape[0])
        members: list[Any] = list(self.members)
        latents = [member.encoder.at_every_step(x, metadata)[rows, curves.lengths - 1] for member in members]
        return log_probabilities(self.calibration, logits_of(members, latents), curves.lengths).exp().float()


def inputs_of(model: TrainedModel) -> dict[str, str]:
    """The arrays that the graph takes, in order, and what they hold."""
    needed = {"metadata": bool(model.metadata), "detected": type(model.encoding) in NEED_DETECTIONS}
    return {name: what for name, what in INPUTS.items() if needed.get(name, True)}


def description(model: TrainedModel) -> dict[str, Any]:
    """What one must know to use the graph without this package, in plain types."""
    return {
        "tlclass": __version__,
        "model": model.name,
        "simulated_training_data": model.simulated,
        "inputs": inputs_of(model),
        "outputs": OUTPUTS,
        "classes": list(model.classes),
        "passbands": {band.name: band.wavelength for band in model.passbands.bands},
        "trained_on": list(model.trained_on.passbands) if model.trained_on else None,
        "metadata": list(model.metadata),
        "selection": model.selection.to_mapping(),
        "encoding": encoding_settings(model.encoding),
        "channels": list(model.encoding.channels),
        "calibrated": model.calibration is not None,
        "prior": list(model.calibration.prior) if model.calibration else None,
    }


def export(model: TrainedModel, path: Path) -> None:
    """Write the graph; the suffix of `path` chooses ONNX (.onnx) or torch.export (.pt2).

    Any number of light curves and of observations can be given to it.

    Raises:
        ValueError: another suffix, or an encoding that cannot be exported.
        ImportError: `onnx` is not installed.
    """
    if path.suffix not in SUFFIXES:
        raise ValueError(f"output {path}: choose a name that ends in {' or '.join(SUFFIXES)}")
    network, inputs = Probabilities(model).eval(), _example(model)
    with torch.no_grad(), warnings.catch_warnings():
        # the exporters warn of what the tests run: other numbers of objects, constants, indices
        warnings.simplefilter("ignore")
        network(*inputs)  # an encoding that cannot be exported is named here
        (_export_onnx if path.suffix == ".onnx" else _export_torch)(model, network, inputs, path)


def _example(model: TrainedModel) -> tuple[Tensor, ...]:
    """Inputs of the right shapes."""
    objects, longest = 2, 5
    days = torch.arange(float(longest)).expand(objects, longest).contiguous()
    ones = torch.ones(objects, longest)
    arrays = {"days": days, "wavelength": ones / 2, "flux": 100 * ones, "flux_err": ones, "detected": ones > 0}
    arrays |= {"lengths": torch.full((objects,), longest), "metadata": torch.zeros(objects, len(model.metadata))}
    return tuple(arrays[name] for name in inputs_of(model))


def _export_onnx(model: TrainedModel, network: Probabilities, inputs: tuple[Tensor, ...], path: Path) -> None:
    try:
        import onnx
    except ImportError as error:
        raise ImportError(needs("export to ONNX", "onnx", "export")) from error
    names = list(inputs_of(model))
    axes = {
        name: {0: "objects", 1: "observations"} if what.startswith("(N, T)") else {0: "objects"}
        for name, what in (inputs_of(model) | OUTPUTS).items()
    }
    with atomic_path(path) as temporary:
        torch.onnx.export(  # the newer exporter silently fixes the number of observations
            network, inputs, str(temporary), dynamo=False, opset_version=OPSET,
            input_names=names, output_names=list(OUTPUTS), dynamic_axes=axes,
        )  # fmt: skip
        graph = onnx.load(str(temporary))
        onnx.helper.set_model_props(graph, {ABOUT: json.dumps(description(model))})
        onnx.checker.check_model(graph)
        onnx.save(graph, str(temporary))


def _export_torch(model: TrainedModel, network: Probabilities, inputs: tuple[Tensor, ...], path: Path) -> None:
    network.members = nn.ModuleList(scanned(member) for member in model.members)
    objects, observations = torch.export.Dim("objects"), torch.export.Dim("observations")
    shapes = tuple(
        {0: objects, 1: observations} if what.startswith("(N, T)") else {0: objects}
        for what in inputs_of(model).values()
    )
    program = torch.export.export(network, inputs, dynamic_shapes=(shapes,), strict=False)
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        torch.export.save(program, file, extra_files={f"{ABOUT}.json": json.dumps(description(model))})
