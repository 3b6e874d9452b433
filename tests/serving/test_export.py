import csv
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.conftest import ROOT, make_curves, refused
from tlclass.export import main
from tlclass.inputs.encoding import ENCODINGS, encode, encoding_from
from tlclass.lightcurves.curves import LightCurves
from tlclass.network.checkpoint import TrainedModel, load_model
from tlclass.network.classifier import build_classifier
from tlclass.network.released import RELEASED
from tlclass.serving.encoding_graph import Padded, encoded
from tlclass.serving.export import description, export, inputs_of
from tlclass.serving.model import Model
from tlclass.serving.predictions import predict
from tlclass.serving.request import Request
from tlclass.serving.scanned import OLDEST

Array = np.ndarray[Any, Any]


@pytest.fixture(scope="module")
def model() -> TrainedModel:
    """A released ensemble with calibration."""
    return load_model(RELEASED / "ztf-alerts")


def small(encoding_name: str, **encoder: Any) -> TrainedModel:
    """An untrained network with another encoding, encoder or metadata."""
    model, encoding = load_model(RELEASED / "ztf-alerts"), encoding_from({"name": encoding_name})
    settings = {"name": "gru", "dense": 8, "latent": 8, **encoder}
    classifier = build_classifier(settings, {"name": "linear"}, len(encoding.channels), len(model.classes), seed=1)
    return replace(model, encoding=encoding, encoder=settings, classifier=classifier.eval(), novelty=None, sets=None)


def padded(model: TrainedModel, curves: LightCurves) -> dict[str, Array]:
    """The arrays of a graph for selected light curves."""
    lengths = curves.lengths
    step = np.minimum(curves.offsets[:-1, None] + np.arange(lengths.max()), len(curves.mjd) - 1)
    days = (curves.mjd - curves.trigger_mjd[curves.owner]).astype(np.float32)
    wavelength = model.passbands.wavelengths(curves.passbands)[curves.passband]
    columns = {"days": days, "wavelength": wavelength, "flux": curves.flux, "flux_err": curves.flux_err}
    arrays = {name: column[step] for name, column in (columns | {"detected": curves.detected}).items()}
    told = [curves.object_columns()[name] for name in model.metadata]
    arrays |= {"lengths": lengths, "metadata": np.array(told, dtype=np.float32).reshape(-1, len(curves)).T}
    return {name: arrays[name] for name in inputs_of(model)}


def selected(model: TrainedModel, n: int, seed: int, longest: int = 60) -> LightCurves:
    curves, _ = model.selection.select(make_curves(n, seed, ("ztfg", "ztfr", "ztfi"), longest))
    return curves


def probabilities(model: TrainedModel, curves: LightCurves) -> Array:
    table = predict(model, curves, request=Request(keep_passbands=True)).to_pandas()
    return table[[f"p({name})" for name in model.classes]].to_numpy(dtype=float)


@pytest.mark.parametrize("name", ENCODINGS)
def test_the_graph_of_an_encoding_gives_its_numbers(name: str, model: TrainedModel) -> None:
    encoding, curves = encoding_from({"name": name}), selected(model, 20, 3)
    arrays = {key: torch.from_numpy(array) for key, array in padded(model, curves).items()}  # of a model that needs all
    found = encoded(encoding, Padded(**arrays)).numpy()
    valid = np.arange(found.shape[1]) < curves.lengths[:, None]
    assert np.allclose(found[valid], encode(curves, model.passbands, encoding).x, atol=2e-6)


def test_an_encoding_without_a_graph_is_refused(model: TrainedModel, tmp_path: Path) -> None:
    class Strange:
        channels = ("a",) * 10

    with pytest.raises(ValueError, match="Strange"):
        export(replace(model, encoding=Strange()), tmp_path / "m.onnx")  # type: ignore[arg-type]


CASES = {
    "released": None,
    "paper": ("paper", {}),
    "transformer": ("context", {"name": "transformer", "width": 8, "heads": 2, "layers": 1}),
    "metadata": ("asinh", {"hidden": 8, "metadata": ["mwebv"]}),
}


@pytest.mark.parametrize("case", CASES)
def test_onnx_gives_what_predict_gives_at_other_sizes(case: str, model: TrainedModel, tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    onnxruntime = pytest.importorskip("onnxruntime")
    settings = CASES[case]
    used = model if settings is None else small(settings[0], **settings[1])
    export(used, tmp_path / "m.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx")
    assert json.loads(session.get_modelmeta().custom_metadata_map["tlclass"]) == description(used)
    assert [entry.name for entry in session.get_inputs()] == list(inputs_of(used))
    for n, longest in ((2, 12), (5, 30), (40, 90)):
        curves = selected(used, n, n, longest)
        assert len(curves)
        (found,) = session.run(None, padded(used, curves))
        assert np.abs(found - probabilities(used, curves)).max() < 1e-5


def test_a_network_that_is_told_of_hosts_is_exported(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    used = small("context", hidden=4, layers=1, metadata=["host_photoz", "host_photoz_err"], metadata_small=0.05)
    export(used, tmp_path / "m.onnx")
    session = runtime.InferenceSession(str(tmp_path / "m.onnx"))
    curves = selected(used, 12, 3)
    n = len(curves)
    photoz = np.where(np.arange(n) % 3, np.linspace(0.02, 3, n), np.nan)
    curves = replace(curves, host_photoz=photoz, host_photoz_err=photoz / 10)
    (found,) = session.run(None, padded(used, curves))
    assert np.abs(found - probabilities(used, curves)).max() < 1e-5


@pytest.mark.slow  # torch.export takes its time
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch warns of its own future as it runs the program
def test_a_torch_program_gives_what_predict_gives_at_other_sizes(tmp_path: Path) -> None:
    used = small("paper", hidden=4, layers=1, metadata=["mwebv"])
    if tuple(map(int, torch.__version__.split(".")[:2])) < OLDEST:
        with pytest.raises(ValueError, match=r"\.onnx"):
            export(used, tmp_path / "m.pt2")
        pytest.skip(f"torch.export of a GRU needs torch {OLDEST}")
    export(used, tmp_path / "m.pt2")
    files = {"tlclass.json": ""}
    program = torch.export.load(tmp_path / "m.pt2", extra_files=files).module()
    assert json.loads(files["tlclass.json"]) == description(used)
    for n, longest in ((2, 12), (40, 60)):
        curves = selected(used, n, n, longest)
        found = program(*map(torch.from_numpy, padded(used, curves).values())).detach().numpy()
        assert np.abs(found - probabilities(used, curves)).max() < 1e-5


def test_the_example_needs_numpy_and_onnxruntime_alone(model: TrainedModel, tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    example = ROOT / "docs" / "examples" / "onnx_predict.py"
    lines = example.read_text().splitlines()
    code = [line for line in lines[lines.index("import json") :] if line]
    assert len(code) <= 20 and {line for line in code if "import" in line} == {
        "import json", "import sys", "import numpy as np", "import onnxruntime",
    }  # fmt: skip
    export(model, tmp_path / "m.onnx")
    curves = make_curves(12, 1)
    curves = curves.keep(curves.flux > 6 * curves.flux_err)  # detections
    curves = curves.take(curves.lengths > 0)
    with (tmp_path / "alerts.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["object_id", "mjd", "band", "flux", "flux_err"])
        names, bands = curves.object_id[curves.owner], np.array(curves.passbands)[curves.passband]
        rows.writerows(zip(names, curves.mjd, bands, curves.flux, curves.flux_err, strict=True))
    command = [sys.executable, "-I", str(example), str(tmp_path / "m.onnx"), str(tmp_path / "alerts.csv")]
    out = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.splitlines()
    assert out[0] == ",".join(["object_id", *model.classes]) and len(out) == 1 + len(curves)
    expected = Model(model).predict(tmp_path / "alerts.csv", keep_passbands=True).set_index("object_id")
    for line in out[1:]:
        name, *p = line.split(",")
        wanted = expected.loc[name, [f"p({k})" for k in model.classes]].to_numpy(dtype=float)
        known = expected.loc[name, "n_observations"] >= model.selection.min_observations
        assert not known or np.abs(np.array(p, dtype=float) - wanted).max() < 1e-3
    assert expected["class"].notna().sum() > 5


def test_mistakes_are_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words, named in (
        (["ztf-alerts", "-o", str(tmp_path / "m.txt")], ".onnx"),
        (["nothing", "-o", "m.onnx"], "nothing"),
    ):
        assert named in refused(capsys, main, words)
