"""The authors' network as a model of this package."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from tlclass.arrays import Array
from tlclass.inputs.encoding import Paper
from tlclass.lightcurves.selection import Photometry, Trigger
from tlclass.lightcurves.taxonomy import Taxonomy
from tlclass.network.checkpoint import TrainedModel
from tlclass.network.classifier import build_classifier
from tlclass.serving.paper_weights import PaperWeights, Recurrent
from tlclass.serving.surveys import load_survey
from tlclass.surveys import Survey

SURVEY = "ztf_sims"  # what the authors trained on; its card says how they wrote the passbands
METADATA = ("redshift", "mwebv")  # of the authors' contextual networks, in their order


def as_model(weights: PaperWeights, classes: Sequence[str] | None, origin: str) -> TrainedModel:
    """A model that gives the authors' probabilities, and takes the true wavelengths of the passbands.

    The authors' light curves have the wavelengths of g and r swapped. Both pairs lie on a line, so the network is given the
    true ones by one change of its first layer.

    Args:
        weights: of the authors' network.
        classes: in the order of its outputs; None: the twelve of the paper's simulations, in alphabetical order.
        origin: what to call the file in messages.

    Raises:
        ValueError: the network has another number of outputs.
    """
    survey = load_survey(SURVEY)
    assert isinstance(survey, Survey)
    taxonomy = _taxonomy(survey.taxonomy, classes, len(weights.head.bias), origin)
    metadata = METADATA if weights.context is not None else ()
    units = weights.gru[0].recurrent.shape[0]
    sizes = {"hidden": units, "dense": len(weights.state.bias), "latent": len(weights.latent.bias)}
    encoder = {"name": "gru", "layers": 2, "metadata": list(metadata), **sizes}
    if weights.context is not None:
        encoder["metadata_units"] = len(weights.context.bias)
    encoding, head = Paper(), {"name": "linear"}
    classifier = build_classifier(encoder, head, len(encoding.channels), len(taxonomy.classes))
    # but for mean and scale, which stay 0 and 1
    classifier.load_state_dict(_state(adapted(weights, survey)), strict=False)
    selection = replace(survey.selection, photometry=Photometry("forced"), trigger=Trigger("first_detection"))
    return TrainedModel(
        classifier=classifier.eval(), encoder=encoder, head=head, encoding=encoding, passbands=survey.passbands,
        taxonomy=taxonomy, selection=selection, survey=SURVEY, simulated=True, training={"source": origin},
    )  # fmt: skip


def _taxonomy(of_survey: Taxonomy, classes: Sequence[str] | None, outputs: int, origin: str) -> Taxonomy:
    names = sorted(of_survey.classes) if classes is None else list(classes)
    if len(names) != outputs:
        raise ValueError(
            f"{origin} has {outputs} outputs, but {len(names)} classes {'are given' if classes else 'are known'}: name its classes in order with --classes"
        )
    return Taxonomy({name: of_survey.members.get(name, ()) for name in names}, of_survey.dropped)


def adapted(weights: PaperWeights, survey: Survey) -> PaperWeights:
    """The same network for true wavelengths: W (a w + b) is (a W) w, and W b goes into the bias."""
    written = survey.reader.wavelengths  # type: ignore[attr-defined]
    names = list(written)
    true = survey.passbands.wavelengths(names).astype(np.float64)
    slope, offset = np.polyfit(true, [written[name] for name in names], 1)
    first = weights.gru[0]
    kernel, bias = first.kernel.astype(np.float64), first.bias.astype(np.float64)
    bias[0] += offset * kernel[0]
    kernel[0] *= slope
    changed = Recurrent(kernel.astype(np.float32), first.recurrent, bias.astype(np.float32))
    return replace(weights, gru=(changed, weights.gru[1]))


def _state(weights: PaperWeights) -> dict[str, Tensor]:
    """The weights by our names; Keras stacks the gates as z, r, h, torch as r, z, h, and both matrices are transposed."""
    arrays: dict[str, Array] = {}
    for number, layer in enumerate(weights.gru):
        arrays[f"encoder.gru.weight_ih_l{number}"] = _torch_gates(layer.kernel).T
        arrays[f"encoder.gru.weight_hh_l{number}"] = _torch_gates(layer.recurrent).T
        arrays[f"encoder.gru.bias_ih_l{number}"], arrays[f"encoder.gru.bias_hh_l{number}"] = _torch_gates(layer.bias)
    dense = {
        "encoder.dense.state": weights.state, "encoder.dense.joint": weights.joint, "encoder.latent": weights.latent,
        "head.output": weights.head, "encoder.metadata.linear": weights.context,
    }  # fmt: skip
    for name, part in dense.items():
        if part is not None:
            arrays[f"{name}.weight"], arrays[f"{name}.bias"] = part.kernel.T, part.bias
    return {name: torch.from_numpy(np.array(array, order="C")) for name, array in arrays.items()}


def _torch_gates(columns: Array) -> Array:
    z, r, h = np.split(columns, 3, axis=1)
    return np.concatenate([r, z, h], axis=1)
