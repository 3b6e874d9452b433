"""The weights of the paper's network as its authors store them, in Keras files (.h5) or ONNX: read as numbers, nothing is run."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tlclass.arrays import Array
from tlclass.extras import needs
from tlclass.wording import reworded

LAYOUT = "GRU, GRU, dense tanh [beside it a linear one of the object's numbers], dense ReLU, dense ReLU, dense softmax"
ACTIVATIONS = {"state": "tanh", "joint": "relu", "latent": "relu", "head": "softmax", "context": "linear"}
LOOP_KERNEL = re.compile(r"(.*)/input/_(\d+)(:0)?$")  # as tf2onnx names what a loop takes from outside


@dataclass(frozen=True)
class Dense:
    """kernel (inputs, units) and bias (units,), as Keras has them."""

    kernel: Array
    bias: Array


@dataclass(frozen=True)
class Recurrent:
    """A GRU of Keras with `reset_after`: kernel (inputs, 3 units), recurrent (units, 3 units), bias (2, 3 units); gates z, r, h."""

    kernel: Array
    recurrent: Array
    bias: Array


@dataclass(frozen=True)
class PaperWeights:
    """All weights of one network.

    Attributes:
        gru: the two GRUs. state, joint, latent, head: the dense layers in order.
        context: of the object's numbers, or None.
    """

    gru: tuple[Recurrent, Recurrent]
    state: Dense
    joint: Dense
    latent: Dense
    head: Dense
    context: Dense | None = None

    def __post_init__(self) -> None:
        """Refuse shapes that do not belong together."""
        units = self.gru[0].recurrent.shape[0]
        beside = self.context.kernel.shape[1] if self.context else 0
        chain = [self.state, self.joint, self.latent, self.head]
        width = [self.gru[1].recurrent.shape[0], self.state.kernel.shape[1] + beside]
        width += [self.joint.kernel.shape[1], self.latent.kernel.shape[1]]
        fits = [layer.kernel.shape == (n, len(layer.bias)) for layer, n in zip(chain, width, strict=True)]
        for layer, inputs in zip(self.gru, (4, units), strict=True):
            n = layer.recurrent.shape[0]
            fits.append((layer.kernel.shape, layer.bias.shape) == ((inputs, 3 * n), (2, 3 * n)))
        fits.append(self.gru[0].recurrent.shape == self.gru[1].recurrent.shape)
        fits.append(self.state.bias.shape == self.joint.bias.shape)
        if not all(fits):
            raise ValueError(
                f"the shapes of the weights are not those of the paper's network ({LAYOUT}, four channels)"
            )


def read_paper_weights(path: Path) -> PaperWeights:
    """The weights in a Keras file (.h5, .hdf5) or an ONNX graph made of one by tf2onnx.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: another kind of file, or another network than the paper's.
        ImportError: `h5py` or `onnx` is not installed.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}: give the authors' weights, .h5 or .onnx")
    readers = {".h5": _from_keras, ".hdf5": _from_keras, ".onnx": _from_onnx}
    if path.suffix not in readers:
        raise ValueError(f"{path}: give a Keras file (.h5) or an ONNX graph (.onnx)")
    with reworded(lambda said: f"{path}: {said}"):
        return readers[path.suffix](path)


def _from_keras(path: Path) -> PaperWeights:
    try:
        import h5py
    except ImportError as error:
        raise ImportError(needs("a Keras file", "h5py", "weights")) from error
    try:
        with h5py.File(path) as file:
            text = file.attrs.get("model_config")
            if text is None:
                raise ValueError("the file holds weights without the model's layers: save the whole model")
            layers = {layer["config"]["name"]: layer for layer in json.loads(text)["config"]["layers"]}
            return _resolved(layers, {name: _tensors(file["model_weights"][name]) for name in layers})
    except (OSError, KeyError, TypeError) as error:
        raise ValueError(
            f"not a Keras model in HDF5 ({type(error).__name__}: {' '.join(str(error).split())})"
        ) from error


def _tensors(group: Any) -> dict[str, Array]:
    """The arrays below a group of HDF5, by the last part of their names."""
    found: dict[str, Array] = {}

    def visit(name: str, item: Any) -> None:
        if hasattr(item, "shape"):
            found[name.rsplit("/", 1)[-1].removesuffix(":0")] = np.asarray(item, dtype=np.float32)

    group.visititems(visit)
    return found


def _resolved(layers: Mapping[str, Any], tensors: Mapping[str, dict[str, Array]]) -> PaperWeights:
    """Find each layer's place by the graph, from the output back; automatic names say nothing."""
    ends = set(layers) - {name for layer in layers.values() for name in _inbound(layer["inbound_nodes"], layers)}
    (end,) = ends if len(ends) == 1 else (None,)
    found: dict[str, Dense] = {}
    for place in ("head", "latent", "joint"):
        found[place], (end, *_) = _dense(layers, tensors, end, place)
    if end is not None and layers[end]["class_name"] == "Concatenate":
        end, context = _inbound(layers[end]["inbound_nodes"], layers)
        found["context"], _ = _dense(layers, tensors, context, "context")
    found["state"], (end, *_) = _dense(layers, tensors, end, "state")
    second, end = _recurrent(layers, tensors, end)
    first, _ = _recurrent(layers, tensors, end)
    return PaperWeights((first, second), **found)


def _inbound(node: Any, layers: Mapping[str, Any]) -> list[str]:
    """Names of the layers whose output a layer takes, in order; the form differs between versions of Keras."""
    if isinstance(node, str):
        return [node] if node in layers else []
    parts: Sequence[Any] = list(node.values()) if isinstance(node, dict) else node if isinstance(node, list) else []
    return list(dict.fromkeys(name for part in parts for name in _inbound(part, layers)))


def _dense(
    layers: Mapping[str, Any], tensors: Mapping[str, dict[str, Array]], name: str | None, place: str
) -> tuple[Dense, list[str]]:
    layer = _layer(layers, name, "Dense")
    activation = layer["config"]["activation"]
    if activation != ACTIVATIONS[place]:
        raise ValueError(
            f"layer '{name}' is {activation}, where the paper's network ({LAYOUT}) is {ACTIVATIONS[place]}"
        )
    own = tensors[str(name)]
    return Dense(own["kernel"], own["bias"]), _inbound(layer["inbound_nodes"], layers)


def _recurrent(
    layers: Mapping[str, Any], tensors: Mapping[str, dict[str, Array]], name: str | None
) -> tuple[Recurrent, str]:
    layer = _layer(layers, name, "GRU")
    wanted = {"reset_after": True, "activation": "tanh", "recurrent_activation": "sigmoid", "go_backwards": False}
    for key, value in wanted.items():
        if layer["config"].get(key, value) != value:
            raise ValueError(f"layer '{name}' has {key} {layer['config'][key]}, the paper's network {value}")
    own = tensors[str(name)]
    before = _inbound(layer["inbound_nodes"], layers)[0]
    return Recurrent(own["kernel"], own["recurrent_kernel"], own["bias"]), before


def _layer(layers: Mapping[str, Any], name: str | None, kind: str) -> Any:
    found = layers[name]["class_name"] if name is not None else "no single output"
    if found != kind:
        raise ValueError(f"not the paper's network ({LAYOUT}): {found} where {kind} should be")
    return layers[str(name)]


def _from_onnx(path: Path) -> PaperWeights:
    try:
        import onnx
        from onnx import numpy_helper
    except ImportError as error:
        raise ImportError(needs("an ONNX file", "onnx", "weights")) from error
    try:
        graph = onnx.load(str(path)).graph
    except Exception as error:  # whatever the parser raises for a file of another kind
        raise ValueError(f"not an ONNX graph ({type(error).__name__})") from error
    arrays = {tensor.name: numpy_helper.to_array(tensor) for part in _graphs(graph) for tensor in part.initializer}
    first, second = _loops(arrays)
    dense = list(_dense_in_order(graph, arrays))
    if len(dense) != 4:
        raise ValueError(
            f"the file has {len(dense)} dense layers, but the paper's network without metadata has 4 ({LAYOUT})"
        )
    return PaperWeights((first, second), *dense)


def _graphs(graph: Any) -> Iterator[Any]:
    """A graph and those inside its loops."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _graphs(attribute.g)


def _loops(arrays: Mapping[str, Array]) -> list[Recurrent]:
    """The GRUs that tf2onnx wrote as loops, the one of four channels first: of its two matrices the lower number is the input's."""
    found: dict[str, list[tuple[int, str]]] = {}
    for name, array in arrays.items():
        match = LOOP_KERNEL.match(name)
        if match and array.ndim == 2:
            found.setdefault(match[1], []).append((int(match[2]), name))
    if len(found) != 2 or any(len(names) != 2 for names in found.values()):
        raise ValueError("no two GRUs as tf2onnx writes them were found: give the Keras file (.h5)")
    recurrent = []
    for place, names in found.items():
        kernel, other = (np.asarray(arrays[name], dtype=np.float32) for _, name in sorted(names))
        recurrent.append(Recurrent(kernel, other, _loop_bias(arrays, place)))
    return sorted(recurrent, key=lambda layer: layer.kernel.shape[0])


def _loop_bias(arrays: Mapping[str, Array], place: str) -> Array:
    """(2, 3 units) of the GRU at this place: that of the input, `...unstack-folded-0`, and the recurrent one, `-1`."""
    rows = []
    for number in (0, 1):
        names = [name for name in arrays if re.search(rf"unstack.*-{number}(:0)?$", name)]
        if not names:
            raise ValueError("no biases of the GRUs as tf2onnx names them were found: give the Keras file (.h5)")
        best, *others = sorted(names, key=lambda name: _shared(name, place), reverse=True)
        if others and _shared(others[0], place) == _shared(best, place):
            raise ValueError(
                f"the graph does not show which of {best} and {others[0]} is the bias of {place}: give the Keras file (.h5)"
            )
        rows.append(np.asarray(arrays[best], dtype=np.float32).ravel())
    return np.stack(rows)


def _shared(name: str, place: str) -> int:
    """How many parts of their paths two names have in common, such as `model_1` and `gru_1`; they begin differently."""
    return len({*name.split("/")} & {*place.split("/")})


def _dense_in_order(graph: Any, arrays: Mapping[str, Array]) -> Iterator[Dense]:
    """The dense layers: a product with a constant matrix, then the sum with a constant vector.

    Outside of loops; the first step of a loop, which tf2onnx writes before it, multiplies with the loop's own matrices.
    """
    for node in graph.node:
        if node.op_type not in ("MatMul", "Gemm") or node.input[1] not in arrays or LOOP_KERNEL.match(node.input[1]):
            continue
        after = next((n for n in graph.node if n.op_type == "Add" and node.output[0] in n.input), None)
        bias = [name for name in (after.input if after else node.input[2:]) if name in arrays]
        if bias:
            kernel, added = arrays[node.input[1]], arrays[bias[0]]
            yield Dense(np.asarray(kernel, dtype=np.float32), np.asarray(added, dtype=np.float32).ravel())
