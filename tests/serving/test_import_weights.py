import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.conftest import compose, make_curves, refused
from tlclass.experiments.plan import plan_from
from tlclass.experiments.pretraining import given_models
from tlclass.import_weights import main
from tlclass.network.checkpoint import load_model
from tlclass.serving.import_weights import as_model
from tlclass.serving.paper_weights import Dense, PaperWeights, Recurrent, read_paper_weights
from tlclass.serving.predictions import predict

Array = np.ndarray[Any, np.dtype[np.float32]]
UNITS, K = 6, 12
WRITTEN = {"ztfg": 0.6223, "ztfr": 0.4827}  # what the authors wrote for g and r


def drawn(context: bool = False) -> PaperWeights:
    """Random weights of the paper's layout, with few units."""
    rng = np.random.default_rng(0)

    def array(*shape: int) -> Array:
        return rng.normal(0, 0.6, shape).astype(np.float32)

    gru = [Recurrent(array(n, 3 * UNITS), array(UNITS, 3 * UNITS), array(2, 3 * UNITS)) for n in (4, UNITS)]
    sizes = {"state": (UNITS, 7), "joint": (10 if context else 7, 7), "latent": (7, 7), "head": (7, K)}
    dense = {name: Dense(array(*shape), array(shape[1])) for name, shape in sizes.items()}
    return PaperWeights((gru[0], gru[1]), **dense, context=Dense(array(2, 3), array(3)) if context else None)


def keras_probabilities(weights: PaperWeights, x: Array, host: Array | None = None) -> Array:
    """(T, 4) to (K,) by the equations of Keras: h' = z h + (1 - z) tanh(W x + b + r (U h + c)), gates in the order z, r, h."""
    for layer in weights.gru:
        h, states = np.zeros(UNITS), []
        for row in x:
            inner, past = row @ layer.kernel + layer.bias[0], h @ layer.recurrent + layer.bias[1]
            z, r = (1 / (1 + np.exp(-(inner + past)[k * UNITS : (k + 1) * UNITS])) for k in (0, 1))
            h = z * h + (1 - z) * np.tanh(inner[2 * UNITS :] + r * past[2 * UNITS :])
            states.append(h)
        x = np.array(states)
    out = np.tanh(h @ weights.state.kernel + weights.state.bias)
    if weights.context is not None:
        out = np.concatenate([out, host @ weights.context.kernel + weights.context.bias])
    for dense in (weights.joint, weights.latent):
        out = np.maximum(out @ dense.kernel + dense.bias, 0)
    logits = out @ weights.head.kernel + weights.head.bias
    return np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()


def write_h5(weights: PaperWeights, path: Path, **changed: Any) -> None:
    """A file as Keras 2 saves it, with automatic names that say nothing."""
    h5py = pytest.importorskip("h5py")
    dense = [("state", "tanh"), ("joint", "relu"), ("latent", "relu"), ("head", "softmax")]
    names = {"state": "dense_7", "joint": "dense_1", "latent": "latent", "head": "dense", "context": "dense_2"}
    layers: list[dict[str, Any]] = [
        {"class_name": "InputLayer", "config": {"name": "lc"}, "inbound_nodes": []},
        {
            "class_name": "Masking",
            "config": {"name": "masking", "mask_value": 0.0},
            "inbound_nodes": [[["lc", 0, 0, {}]]],
        },
    ]
    for name, before in (("gru_5", "masking"), ("gru_4", "gru_5")):
        config = {"name": name, "reset_after": True, "activation": "tanh", "recurrent_activation": "sigmoid"} | changed
        layers.append({"class_name": "GRU", "config": config, "inbound_nodes": [[[before, 0, 0, {}]]]})
    before = "gru_4"
    for name, activation in dense:
        config = {"name": names[name], "activation": activation}
        layers.append({"class_name": "Dense", "config": config, "inbound_nodes": [[[before, 0, 0, {}]]]})
        before = names[name]
        if name == "state" and weights.context is not None:
            layers += [
                {"class_name": "InputLayer", "config": {"name": "host"}, "inbound_nodes": []},
                {"class_name": "Dense", "config": {"name": "dense_2", "activation": "linear"}, "inbound_nodes": [[["host", 0, 0, {}]]]},
                {"class_name": "Concatenate", "config": {"name": "concatenate"}, "inbound_nodes": [[["dense_7", 0, 0, {}], ["dense_2", 0, 0, {}]]]},
            ]  # fmt: skip
            before = "concatenate"
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps({"config": {"layers": layers}})
        for layer in layers:
            file.create_group(f"model_weights/{layer['config']['name']}")
        for name, cell, gru in (("gru_5", "gru_cell_9", weights.gru[0]), ("gru_4", "gru_cell_3", weights.gru[1])):
            for key, value in (("kernel", gru.kernel), ("recurrent_kernel", gru.recurrent), ("bias", gru.bias)):
                file[f"model_weights/{name}/{name}/{cell}/{key}:0"] = value
        for place, name in names.items():
            part = getattr(weights, place)
            if part is not None:
                file[f"model_weights/{name}/{name}/kernel:0"] = part.kernel
                file[f"model_weights/{name}/{name}/bias:0"] = part.bias


def write_onnx(weights: PaperWeights, path: Path) -> None:
    """A graph with the names that tf2onnx gives to the weights of Keras, as in the authors' files.

    Its loops are left empty; their first step stands before them.
    """
    onnx = pytest.importorskip("onnx")
    arrays, nodes, before = {}, [], "state_in"
    for number, layer in enumerate(weights.gru, 1):
        place = "model_1/gru/PartitionedCall" if number == 1 else "model_1/gru_1/PartitionedCall"
        kernels = [f"Func/{place}/input/_{10 * number + k}:0" for k in (2, 3)]
        biases = [f"ConstantFolding/{place}/unstack-folded-{k}:0" for k in (0, 1)]
        arrays |= dict(zip([*kernels, *biases], (layer.kernel, layer.recurrent, *layer.bias), strict=True))
        for kernel, bias, product in zip(kernels, biases, ("MatMul", "MatMul_1"), strict=True):
            product = f"{place}/{product}:0"
            nodes.append(onnx.helper.make_node("MatMul", [f"{place}/start{product}", kernel], [product]))
            nodes.append(onnx.helper.make_node("Add", [product, bias], [f"{product}_sum"]))
    for place in ("state", "joint", "latent", "head"):
        part = getattr(weights, place)
        arrays[f"{place}/MatMul/ReadVariableOp:0"], arrays[f"const_{place}"] = part.kernel, part.bias
        nodes.append(
            onnx.helper.make_node("MatMul", [before, f"{place}/MatMul/ReadVariableOp:0"], [f"{place}_product"])
        )
        nodes.append(onnx.helper.make_node("Add", [f"{place}_product", f"const_{place}"], [f"{place}_sum"]))
        nodes.append(onnx.helper.make_node("Tanh" if place == "state" else "Relu", [f"{place}_sum"], [f"{place}_out"]))
        before = f"{place}_out"
    kind = onnx.TensorProto.FLOAT
    ends = [onnx.helper.make_tensor_value_info(name, kind, None) for name in ("state_in", before)]
    constants = [onnx.numpy_helper.from_array(array, name) for name, array in arrays.items()]
    onnx.save(onnx.helper.make_model(onnx.helper.make_graph(nodes, "g", ends[:1], ends[1:], constants)), str(path))


@pytest.mark.parametrize("form", ["h5", "h5 with context", "onnx"])
def test_the_model_gives_the_authors_probabilities(form: str, tmp_path: Path) -> None:
    weights = drawn("context" in form)
    path = tmp_path / f"weights.{form.split()[0]}"
    (write_onnx if form == "onnx" else write_h5)(weights, path)
    main([str(path), "-o", str(tmp_path / "model")])
    model = load_model(tmp_path / "model")
    rng = np.random.default_rng(1)
    band = rng.integers(0, 2, 30)
    rest = np.column_stack([np.sort(rng.uniform(0, 1, 30)), rng.normal(1, 2, 30), rng.uniform(0.1, 0.4, 30)])
    theirs = np.column_stack([np.array(list(WRITTEN.values()))[band], rest]).astype(np.float32)
    ours = theirs.copy()
    ours[:, 0] = model.passbands.wavelengths(list(WRITTEN))[band]
    assert (ours[:, 0] > theirs[:, 0]).any() and (ours[:, 0] < theirs[:, 0]).any()
    host = np.array([0.1, 0.03], dtype=np.float32)
    given = torch.from_numpy(host)[None] if model.metadata else torch.zeros(1, 0)
    with torch.no_grad():
        logits = model.classifier(torch.from_numpy(ours)[None], torch.tensor([30]), given)
    expected = keras_probabilities(weights, theirs.astype(np.float64), host)
    assert np.abs(torch.softmax(logits, 1)[0].numpy() - expected).max() < 1e-5
    assert model.classes == tuple(sorted(model.classes)) and (tmp_path / "model" / "README.md").exists()


def test_it_classifies_and_is_a_source(tmp_path: Path) -> None:
    from tlclass.network.checkpoint import save_model

    save_model(as_model(drawn(), None, "drawn"), tmp_path)
    model = load_model(tmp_path)
    found = predict(model, make_curves(10)).to_pandas()
    assert found["class"].isin(model.classes).any()
    words = ["source=ztf_simulated", "target=bts", f"source_model={tmp_path}", "encoding=paper", "arm=head_only"]
    (source,) = given_models(plan_from(compose(words)), tmp_path)
    assert source.classes == model.classes


def test_other_networks_and_files_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_h5(drawn(), tmp_path / "other.h5", reset_after=False)
    (tmp_path / "text.h5").write_text("no weights")
    (tmp_path / "text.onnx").write_text("no graph")
    write_h5(drawn(), tmp_path / "good.h5")
    cases = {
        "other.h5": ["reset_after"], "text.h5": ["text.h5", "HDF5"], "text.onnx": ["text.onnx"], "absent.h5": ["absent.h5"],
        "good.h5": ["12 outputs", "2 classes"],
    }  # fmt: skip
    for name, words in cases.items():
        given = [str(tmp_path / name), "-o", str(tmp_path / "model"), "--classes", "SNIa,SNII"]
        message = refused(capsys, main, given)
        assert all(word in message for word in words), message
    assert not (tmp_path / "model").exists()
    with pytest.raises(ValueError, match="shapes"):
        PaperWeights((drawn().gru[0], drawn().gru[0]), drawn().state, drawn().joint, drawn().latent, drawn().head)
    assert read_paper_weights(tmp_path / "good.h5").head.bias.shape == (12,)
