import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import torch

from tests.conftest import Job, compose
from tlclass.experiments.arm import Folds
from tlclass.experiments.plan import plan_from
from tlclass.experiments.run import run_job
from tlclass.inputs.datamodule import LightCurveDataModule
from tlclass.inputs.split import Labels, Protocol, Split
from tlclass.network.classifier import Classifier, build_classifier
from tlclass.network.transfer import FreezePolicy, transfer
from tlclass.options import build
from tlclass.training.finetune import Start, finetune
from tlclass.training.fit import Process, fit, validation_scores
from tlclass.training.folds import average, blocks, choose, copied, object_losses, pick, splits
from tlclass.training.settings import FitSettings

PROCESS = Process({"accelerator": "cpu", "devices": 1, "deterministic": True}, progress=False)
QUICK = FitSettings(learning_rate=0.04, batch_size=32, max_epochs=8, min_steps=0, patience_epochs=8, patience_steps=0)
CANDIDATES: dict[str, Any] = {
    "head_only": {"load": ["*"], "train": ["head.*"]},
    "full": {"load": ["*"], "train": ["*"]},
}
CHOICE = Folds("chosen", CANDIDATES, folds=2)


@pytest.fixture
def module(settings: Job, cache: Path) -> LightCurveDataModule:
    given = settings("target=bts").training
    split = Labels(100), Protocol("fixed")
    module = LightCurveDataModule(given.survey, given.encoding, (), *split, cache, 0, QUICK.batch_size)
    module.setup()
    return module


@dataclass(frozen=True)
class Model:
    """All of a `TrainedModel` that a choice looks at."""

    classifier: Classifier

    @property
    def members(self) -> list[Classifier]:
        return [self.classifier]


def network(seed: int = 0) -> Classifier:
    return build_classifier(
        {"name": "gru", "layers": 1, "hidden": 8, "dense": 8, "latent": 8}, {"name": "linear"}, 4, 5, seed
    )


def started(source: Classifier) -> list[Start]:
    """Every candidate with all of the source's weights, and before them one that trains nothing."""
    starts = []
    for policy in [FreezePolicy("zero", load=["*"], train=()), *CHOICE.policies]:
        classifier = network(9)
        report = transfer(classifier, policy, source.state_dict(), "abcde", "abcde")
        model: Any = Model(classifier)
        starts.append(Start(policy, model, report))
    return starts


def perfect(module: LightCurveDataModule, folder: Path) -> Classifier:
    """A source that knows the answers: trained on all objects, those of the budget included."""
    everything = np.arange(len(module.label))
    every = module.holding(split=Split(everything, module.split.val, module.split.test, len(everything)))
    every.batch_size = 64
    classifier = network(1)
    long = replace(QUICK, learning_rate=0.05, batch_size=64, max_epochs=30, patience_epochs=30)
    fit(classifier, every, long, folder, PROCESS)
    return classifier


def useless() -> Classifier:
    """A source whose encoder lets next to nothing of the light curve through: no head can do anything with it."""
    classifier = network(1)
    with torch.no_grad():
        classifier.get_parameter("encoder.gru.weight_ih_l0").mul_(1e-3)
    return classifier


def test_a_perfect_source_is_left_alone_and_a_useless_one_is_retrained(
    module: LightCurveDataModule, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    sources = {"perfect": perfect(module, tmp_path / "source"), "useless": useless()}
    for name, allowed in (("perfect", {"zero", "head_only"}), ("useless", {"full"})):
        starts = started(sources[name])
        row = choose(starts, splits(module, 2, 1000), QUICK, tmp_path / name, PROCESS).row
        assert row["chosen"] in allowed, (name, row)
        assert f"chosen: {row['chosen']}, by validation loss in 2 fold(s) of 100 labels" in caplog.text
        lowest = min(row[f"choice/{start.policy.name}/val_loss"] for start in starts)
        for start in starts:
            error = row[f"choice/{start.policy.name}/standard_error"]
            assert (error == 0) == (row[f"choice/{start.policy.name}/val_loss"] == lowest)


def test_the_result_is_the_mean_of_the_winners_fold_networks(module: LightCurveDataModule, tmp_path: Path) -> None:
    starts = started(useless())
    chosen = choose(starts, splits(module, 2, 1000), QUICK, tmp_path / "choice", PROCESS)
    winner, summary, row = chosen.start, chosen.summary, chosen.row
    name = row["chosen"]
    (again,) = [start for start in started(useless()) if start.policy.name == name]
    folds, losses = [copied(again) for _ in range(2)], []
    parts = splits(module, 2, 1000)
    for number, (fold, part) in enumerate(zip(folds, parts, strict=True)):
        gone = finetune(fold, part, QUICK, tmp_path / "again" / str(number), PROCESS)
        losses.append(validation_scores(fold.classifier, part, FitSettings())["val/loss"])
        assert number or gone == summary
    for key, tensor in winner.classifier.state_dict().items():
        states = torch.stack([fold.classifier.state_dict()[key] for fold in folds])
        assert torch.allclose(tensor, states.mean(0), atol=1e-7), key
        assert not torch.equal(states[0], states[1]), key
    expected = np.average(losses, weights=[len(part.split.val) for part in parts])
    assert row[f"choice/{name}/val_loss"] == pytest.approx(expected, rel=1e-5)
    zero = [validation_scores(useless(), part, FitSettings())["val/loss"] for part in parts]
    assert row["choice/zero/val_loss"] == pytest.approx(
        np.average(zero, weights=[len(part.split.val) for part in parts]), rel=1e-5
    )


def test_what_is_equal_in_all_networks_stays_to_the_last_bit() -> None:
    networks = [network(3) for _ in range(7)]
    for number, one in enumerate(networks):
        with torch.no_grad():
            one.get_parameter("head.output.bias").fill_(number)
    result = network(4)
    average(result, networks)
    for key, tensor in result.state_dict().items():
        expected = torch.full((5,), 3.0) if key == "head.output.bias" else networks[0].state_dict()[key]
        assert torch.equal(tensor, expected), key


@pytest.mark.parametrize(
    ("losses", "winner"),
    [
        ([[1.0, 1.0, 1.0], [0.5, 0.5, 0.6], [0.9, 0.9, 0.9]], 1),  # clearly lower
        ([[1.0, 1.0, 1.0], [0.5, 1.0, 1.2], [1.1, 1.1, 1.1]], 0),  # lower by less than the folds differ
        ([[1.0, 1.0, 1.0], [0.9, 0.9, 0.9]], 1),  # lower by the same everywhere: no noise
        ([[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]], 0),  # a tie
        ([[1.0, 0.8, 0.9], [0.7, 0.6, 0.5], [0.6, 0.4, 0.75]], 1),  # the third is lowest, the second not clearly worse
    ],
)
def test_a_later_candidate_must_win_by_more_than_a_standard_error(losses: list[list[float]], winner: int) -> None:
    assert pick(np.array(losses), np.ones(3))[0] == winner


def test_means_and_errors_of_a_choice_count_objects() -> None:
    losses = np.array([[1.0, 2.0], [0.5, 1.0]])
    _, means, errors = pick(losses, np.array([30, 10]))
    assert means == pytest.approx([1.25, 0.625])
    gaps = losses[0] - losses[1]
    mean = 0.75 * gaps[0] + 0.25 * gaps[1]
    assert errors == pytest.approx([np.sqrt(0.75 * (gaps[0] - mean) ** 2 + 0.25 * (gaps[1] - mean) ** 2), 0])
    equal = np.random.default_rng(0).normal(size=(2, 5))
    _, means, errors = pick(equal, np.ones(5))
    assert errors.max() == pytest.approx(np.std(equal[0] - equal[1], ddof=1) / np.sqrt(5))
    assert pick(np.array([[1.0], [0.5]]), np.ones(1))[0] == 0  # one measurement says nothing


def test_with_one_split_the_objects_are_the_measurements(module: LightCurveDataModule) -> None:
    (only,) = splits(module, 2, 99)
    assert only is module
    each = object_losses(network(), only, FitSettings())
    assert len(each) == len(module.split.val)
    assert each.mean() == pytest.approx(validation_scores(network(), module, FitSettings())["val/loss"], rel=1e-6)
    losses, sizes = blocks([[each], [each + 1]])
    assert losses.shape == (2, len(each)) and (sizes == 1).all()
    losses, sizes = blocks([[each[:7], each[7:]], [each[:7], each[7:]]])
    assert losses.shape == (2, 2) and sizes.tolist() == [7, len(each) - 7]


# -- through the front door


LABELS = "labels=60"


def test_the_candidates_are_the_freeze_policies_of_their_names() -> None:
    policies = candidates()
    assert [policy.name for policy in policies] == ["head_only", "probe_then_full", "full"]
    for policy in policies:
        assert policy == FreezePolicy(**compose([f"freeze_policy={policy.name}"])["freeze_policy"])
    changed = candidates("+freeze_policy@method.candidates.layerwise=layerwise", "~method.candidates.full")
    assert [policy.name for policy in changed] == ["head_only", "probe_then_full", "layerwise"]


def candidates(*more: str) -> list[FreezePolicy]:
    arm = plan_from(compose(["method=chosen", *more])).arm
    assert isinstance(arm, Folds)
    return arm.policies


@pytest.mark.parametrize("head", ["linear", "source"])
def test_a_choice_leaves_what_a_policy_leaves(head: str, settings: Job, tmp_path: Path) -> None:
    job = settings("method=chosen", "method.folds=2", f"head={head}", "fit.max_epochs=2", "fit.min_steps=0", LABELS)
    row = run_job(job, tmp_path / "job")
    names = (["zero"] if head == "source" else []) + ["head_only", "probe_then_full", "full"]
    assert [key for key in row if key.startswith("choice/")] == [
        f"choice/{name}/{what}" for name in names for what in ("val_loss", "standard_error")
    ]
    assert row["chosen"] in names and row["arm"] == "chosen" and row["folds"] == 2 and row["labels"] == 60
    assert (row["trained_parameters"] > 0) == (row["chosen"] != "zero")
    found = {path.name for path in (tmp_path / "job").iterdir()}
    assert {"model.json", "model.safetensors", "result.json", "predictions.parquet"} <= found
    assert "checkpoints" not in found and ("history.json" in found) == (row["chosen"] != "zero")
    if "history.json" in found:
        history = json.loads((tmp_path / "job" / "history.json").read_text())
        assert 0 < history[-1]["step"] <= row["steps"] and row["best_score"] in [line["val/loss"] for line in history]


def test_the_curve_that_is_logged_is_the_one_of_the_history(settings: Job, tmp_path: Path) -> None:
    folds = ["freeze_policy=head_only", "method=folds", "method.folds=2", "members=2"]
    row = run_job(settings(*folds, "logger=csv", LABELS), tmp_path)
    metrics = pd.read_csv(tmp_path / "metrics.csv")
    history = json.loads((tmp_path / "history.json").read_text())[1:]
    for name in ("val/loss", "val/auroc_macro"):
        assert metrics[name].dropna().tolist() == pytest.approx([line[name] for line in history])
    assert metrics["train/loss"].notna().sum() == row["epochs"]
    scores = {"val/best_score": "best_score", "choice/head_only/val_loss": "choice/head_only/val_loss"}
    for name, key in {**scores, "test/auroc_macro": "auroc_macro"}.items():
        assert metrics[name].dropna().tolist() == pytest.approx([row[key]])
    assert not {f"test/{key}" for key in row if key.startswith("choice/") or key.endswith("_score")} & {*metrics}


def test_above_the_limit_the_result_is_that_of_the_chosen_policy_alone(settings: Job, tmp_path: Path) -> None:
    row = run_job(settings("method=chosen", "method.up_to=59", LABELS), tmp_path / "chosen")
    alone = run_job(settings(f"freeze_policy={row['chosen']}", LABELS), tmp_path / "alone")
    weights = [safetensors.torch.load_file(tmp_path / name / "model.safetensors") for name in ("chosen", "alone")]
    assert row["folds"] == 1 and all(torch.equal(weights[0][key], weights[1][key]) for key in weights[1])
    shared = set(alone) - {"config_key", "arm", "reference", "freeze_policy"}
    assert {key: row[key] for key in shared} == {key: alone[key] for key in shared}


def test_no_label_needs_no_choice(settings: Job, tmp_path: Path) -> None:
    row = run_job(settings("method=chosen", "head=source", "labels=0"), tmp_path / "job")
    alone = run_job(settings("freeze_policy=full", "head=source", "labels=0"), tmp_path / "alone")
    assert row["chosen"] == "zero" and row["log_loss"] == alone["log_loss"]
    with pytest.raises(ValueError, match=r"labels=0.*head=source"):
        run_job(settings("method=chosen", "labels=0"), tmp_path / "new_head")


MISTAKES: Sequence[tuple[dict[str, Any], str]] = [
    ({"candidates": CANDIDATES, "folds": 1}, "method.folds is 1: choose 2 or more"),
    ({"candidates": {}}, "method.candidates is empty: name at least one"),
    ({"candidates": {"zero": {"load": ["*"]}}}, "'zero' is the name of the unchanged weights"),
    ({"candidates": {"new": {"load": []}}}, "'new' loads nothing, and networks without common starting weights"),
    ({"candidates": CANDIDATES, "fold": 3}, "method: unknown option fold.*known are name, candidates, folds"),
    ({"candidates": {"a": {"trian": []}}}, "method.candidates.a: unknown option trian"),
]


@pytest.mark.parametrize(("options", "message"), MISTAKES)
def test_wrong_choices_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(Folds, {"name": "chosen", **options}, "method")
