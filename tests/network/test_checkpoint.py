import hashlib
import json
import resource
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from omegaconf import OmegaConf

from tests.conftest import make_curves
from tlclass.config import CONF
from tlclass.inputs.batches import CurveDataset
from tlclass.inputs.encoding import ENCODINGS, encode, encoding_from
from tlclass.lightcurves.passbands import Passbands
from tlclass.lightcurves.selection import Photometry, Selection, Trigger
from tlclass.lightcurves.taxonomy import Taxonomy
from tlclass.network.checkpoint import DESCRIPTION, WEIGHTS, TrainedModel, load_model, save_model
from tlclass.network.classifier import build_classifier
from tlclass.network.inference import predict_logits

HEADS: dict[str, dict[str, Any]] = {
    "linear": {"name": "linear"},
    "mlp": {"name": "mlp", "hidden": [5, 6]},
    "source": {"name": "source", "source": {"name": "mlp", "hidden": [5]}, "class_map": [0, 1, 1, -1]},
}


def model(head: str = "linear", encoding: str = "paper", seed: int = 1) -> TrainedModel:
    table: Any = OmegaConf.to_container(OmegaConf.load(CONF / "passbands" / "ztf.yaml"))
    encoder = {
        "name": "gru",
        "hidden": 6,
        "layers": 1,
        "dense": 5,
        "latent": 7,
        "metadata": ["mwebv"],
        "metadata_units": 3,
    }
    how = encoding_from({"name": encoding})
    classifier = build_classifier(encoder, HEADS[head], len(how.channels), 2, seed)
    classifier.encoder.metadata.standardise_by(torch.tensor([[0.1], [0.4]]))  # type: ignore[union-attr, operator]
    selection = Selection(
        Photometry("detections", [4.0, 6.0], 0.3, 7), Trigger("column", [-10.0, 40.0]), [-20.0, 50.0], 2, 40
    )
    taxonomy = Taxonomy({"SN Ia": ["SN Ia*"], "é/II": []}, ["nova"], ["SN Ia"])
    return TrainedModel(
        classifier, encoder, HEADS[head], how, Passbands.from_mapping(table["table"]), taxonomy, selection,
        "tiny", True, {"flux_unit": "ujy"}, {"policy": "full"},
    )  # fmt: skip


def rewrite(folder: Path, **changes: Any) -> None:
    about = json.loads((folder / DESCRIPTION).read_text())
    (folder / DESCRIPTION).write_text(json.dumps(about | changes))


@pytest.mark.parametrize("head", sorted(HEADS))
@pytest.mark.parametrize("encoding", sorted(ENCODINGS))
def test_saved_and_loaded_is_the_same_model(head: str, encoding: str, tmp_path: Path) -> None:
    saved = model(head, encoding)
    save_model(saved, tmp_path)
    for path in (tmp_path, tmp_path / DESCRIPTION):
        loaded = load_model(path)
        assert loaded.classes == saved.classes and loaded.metadata == ("mwebv",)
        assert loaded.encoding == saved.encoding and loaded.passbands == saved.passbands
        assert loaded.selection == saved.selection and loaded.taxonomy.to_mapping() == saved.taxonomy.to_mapping()
        for name in ("encoder", "head", "survey", "simulated", "input", "training"):
            assert getattr(loaded, name) == getattr(saved, name)
        data = CurveDataset(encode(make_curves(), saved.passbands, saved.encoding, saved.metadata))
        assert torch.equal(predict_logits(loaded.classifier, data), predict_logits(saved.classifier, data))


def test_the_files_are_readable_by_hand(tmp_path: Path) -> None:
    save_model(model(), tmp_path)
    about = json.loads((tmp_path / DESCRIPTION).read_text())
    assert about["classes"] == ["SN Ia", "é/II"]
    assert about["channels"] == ["wavelength_um", "time", "flux", "flux_err"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [DESCRIPTION, WEIGHTS]


@pytest.mark.parametrize("name", [DESCRIPTION, WEIGHTS])
def test_a_missing_file_says_what_must_be_there(name: str, tmp_path: Path) -> None:
    save_model(model(), tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(
        FileNotFoundError,
        match=f"no model at {tmp_path}: name a folder with model.json and model.safetensors",
    ):
        load_model(tmp_path)


def test_tampered_weights_are_refused(tmp_path: Path) -> None:
    save_model(model(), tmp_path)
    content = bytearray((tmp_path / WEIGHTS).read_bytes())
    content[-1] ^= 1
    (tmp_path / WEIGHTS).write_bytes(content)
    with pytest.raises(
        ValueError, match=r"model.safetensors is not the file that model.json describes \(checksum\): copy both again"
    ):
        load_model(tmp_path)


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    save_model(model(), tmp_path)
    rewrite(tmp_path, format=99)
    with pytest.raises(ValueError, match=r"has format 99, this version reads 1, 2, 3: update tlclass"):
        load_model(tmp_path)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"format": 1}', "\x00"])
def test_a_damaged_description_is_one_sentence(content: str, tmp_path: Path) -> None:
    save_model(model(), tmp_path)
    (tmp_path / DESCRIPTION).write_text(content)
    with pytest.raises(ValueError, match=f"{tmp_path} does not hold a readable model"):
        load_model(tmp_path)


def test_weights_of_another_architecture_are_refused(tmp_path: Path) -> None:
    save_model(model(), tmp_path)
    about = json.loads((tmp_path / DESCRIPTION).read_text())
    rewrite(tmp_path, encoder=about["encoder"] | {"hidden": 12})
    with pytest.raises(ValueError, match=f"{tmp_path}: the weights do not fit the architecture in model.json"):
        load_model(tmp_path)


@pytest.mark.parametrize("where", ["encoder", "head", "encoding", "passbands", "taxonomy", "selection"])
def test_a_hostile_description_runs_nothing(where: str, tmp_path: Path) -> None:
    save_model(model(), tmp_path)
    victim = tmp_path / "victim"
    attack = {"_target_": "pathlib.Path.touch", "_args_": [str(victim)], "self": str(victim)}
    about = json.loads((tmp_path / DESCRIPTION).read_text())
    for settings in (attack, about[where] | attack, about[where] | {"name": "os.system"}):
        rewrite(tmp_path, **{where: settings})
        with pytest.raises(ValueError):
            load_model(tmp_path)
        assert not victim.exists()


def reweigh(folder: Path, tensors: dict[str, torch.Tensor]) -> None:
    """Write other weights, with their checksum in the description."""
    safetensors.torch.save_file(tensors, folder / WEIGHTS)
    rewrite(folder, weights_sha256=hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest())


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_not_finite_are_refused(value: float, tmp_path: Path) -> None:
    save_model(model(), tmp_path)
    tensors = safetensors.torch.load_file(tmp_path / WEIGHTS)
    tensors["encoder.latent.weight"][2, 1] = value
    reweigh(tmp_path, tensors)
    with pytest.raises(
        ValueError, match=r"1 of \d+ tensors hold values that are not finite, e.g. encoder.latent.weight"
    ):
        load_model(tmp_path)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
@pytest.mark.parametrize("place", ["shares", "flux_scale"])
def test_numbers_that_are_not_finite_are_refused(place: str, number: str, tmp_path: Path) -> None:
    save_model(model("source"), tmp_path)
    about = json.loads((tmp_path / DESCRIPTION).read_text())
    if place == "shares":
        about["head"]["shares"] = [1, "HERE", 2, 3]
    else:
        about["encoding"]["flux_scale"] = "HERE"
    (tmp_path / DESCRIPTION).write_text(json.dumps(about).replace('"HERE"', number))
    with pytest.raises(ValueError, match=rf"{DESCRIPTION} holds {number}"):
        load_model(tmp_path)


@pytest.mark.parametrize(
    ("head", "changes"),
    [
        ("source", {"shares": [1, -2, 3, 4]}), ("source", {"shares": [1, 0, 3, 4]}), ("source", {"shares": [1, 2]}), ("source", {"class_map": [0, 1, 2, -1]}),
        ("source", {"class_map": [-1, -1, -1, -1]}), ("source", {"class_map": [0, 1, 10**6, -2]}), ("source", {"class_map": "abcd"}),
    ],
)  # fmt: skip
def test_a_head_that_gives_no_probability_is_refused(head: str, changes: dict[str, Any], tmp_path: Path) -> None:
    save_model(model(head), tmp_path)
    about = json.loads((tmp_path / DESCRIPTION).read_text())
    rewrite(tmp_path, head=about["head"] | changes)
    with pytest.raises(ValueError, match=next(iter(changes))):
        load_model(tmp_path)


HUGE: list[dict[str, Any]] = [
    {"members": 100_000}, {"members": 10**12}, {"members": 0}, {"members": -1}, {"members": 2}, {"members": "two"}, {"members": None}, {"members": True},
    *({"encoder": {name: size}} for name in ("hidden", "layers", "dense", "latent", "metadata_units") for size in (100_000, 10**12)),
    {"encoder": {"hidden": 0}}, {"encoder": {"layers": -3}}, {"encoder": {"metadata": ["mwebv"] * 100_000}},
    {"encoder": {"name": "transformer"}}, {"head": {"name": "mlp", "hidden": [100_000] * 3}}, {"head": {"name": "mlp", "hidden": [3] * 100_000}},
]  # fmt: skip


@pytest.mark.parametrize("changes", HUGE, ids=lambda changes: str(changes)[:60])
def test_sizes_are_compared_with_the_tensors_before_anything_is_built(changes: dict[str, Any], tmp_path: Path) -> None:
    save_model(model(), tmp_path)
    about = json.loads((tmp_path / DESCRIPTION).read_text())
    merged = {k: about[k] | v if isinstance(v, dict) and "name" not in v else v for k, v in changes.items()}
    rewrite(tmp_path, **merged)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ValueError, match=str(tmp_path)) as refused:
        load_model(tmp_path)
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 600
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak < 200_000  # kB


@pytest.mark.parametrize(
    "changes", [{"classes": ["é/II", "SN Ia"]}, {"channels": ["a"]}, {"survey": 3}, {"simulated": "no"}, {"input": [1]}]
)
def test_a_description_that_contradicts_itself_is_refused(changes: dict[str, Any], tmp_path: Path) -> None:
    save_model(model(), tmp_path)
    rewrite(tmp_path, **changes)
    with pytest.raises(ValueError, match=next(iter(changes))):
        load_model(tmp_path)


def test_weights_of_another_kind_of_number_are_refused(tmp_path: Path) -> None:
    save_model(model(), tmp_path)
    tensors = safetensors.torch.load_file(tmp_path / WEIGHTS)
    reweigh(tmp_path, tensors | {"encoder.latent.bias": tensors["encoder.latent.bias"].long()})
    with pytest.raises(ValueError, match=r"encoder.latent.bias should hold torch.float32"):
        load_model(tmp_path)


def test_finite_weights_that_overflow_give_no_probability_but_an_error(tmp_path: Path) -> None:
    save_model(model(), tmp_path)
    tensors = safetensors.torch.load_file(tmp_path / WEIGHTS)
    tensors["head.output.weight"][:] = 3e38
    tensors["encoder.latent.bias"][:] = 3e38
    reweigh(tmp_path, tensors)
    loaded = load_model(tmp_path)
    data = CurveDataset(encode(make_curves(), loaded.passbands, loaded.encoding, loaded.metadata))
    with pytest.raises(ValueError, match="no finite numbers for 30 of 30 light curves"):
        predict_logits(loaded.classifier, data)


def test_pickled_weights_are_not_unpickled(tmp_path: Path) -> None:
    save_model(model(), tmp_path)
    torch.save({"a": torch.ones(1)}, tmp_path / WEIGHTS)
    rewrite(tmp_path, weights_sha256=hashlib.sha256((tmp_path / WEIGHTS).read_bytes()).hexdigest())
    with pytest.raises(ValueError, match=r"does not hold a readable model: SafetensorError"):
        load_model(tmp_path)


def test_saving_again_replaces_both_files(tmp_path: Path) -> None:
    save_model(model(seed=1), tmp_path)
    second = replace(model(seed=2), survey="other")
    save_model(second, tmp_path)
    loaded = load_model(tmp_path)
    assert loaded.survey == "other"
    assert torch.equal(
        loaded.classifier.state_dict()["head.output.weight"], second.classifier.state_dict()["head.output.weight"]
    )
