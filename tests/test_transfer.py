from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.conftest import compose
from tlclass.config import CONF
from tlclass.model import Classifier, build_classifier
from tlclass.task import ClassifierTask, FitSettings
from tlclass.transfer import FreezePolicy, assert_unchanged, frozen_copy, set_trainable, transfer

FILES = sorted((CONF / "freeze_policy").glob("*.yaml"))
POLICIES = [path.stem for path in FILES if "\nbaseline:" not in path.read_text()]  # the others are in test_baseline.py
HEADS = ("linear", "mlp", "source")
SOURCE_CLASSES, TARGET_CLASSES = ("a", "b", "c", "d"), ("x", "y", "z")
ENCODER = {"name": "gru", "hidden": 8, "dense": 8, "latent": 8, "metadata": ["mwebv"]}


def policy_named(name: str) -> FreezePolicy:
    return FreezePolicy(**compose([f"freeze_policy={name}"])["freeze_policy"])


def source_state(**changes: Any) -> Mapping[str, Tensor]:
    classifier = build_classifier({**ENCODER, **changes}, {"name": "linear"}, 4, len(SOURCE_CLASSES), 11)
    classifier.encoder.metadata.standardise_by(torch.tensor([[0.1], [0.5]]))  # type: ignore[union-attr, operator]
    return classifier.state_dict()


def target(head: str, seed: int = 5) -> Classifier:
    settings: dict[str, Any] = compose([f"head={head}"])["head"]
    if head == "source":
        settings = {"name": "source", "source": {"name": "linear"}, "class_map": [0, 0, 1, 2]}
    return build_classifier(ENCODER, settings, 4, len(TARGET_CLASSES), seed)


def apply(name: str, head: str) -> tuple[Classifier, FreezePolicy, Any]:
    classifier, policy = target(head), policy_named(name)
    return classifier, policy, transfer(classifier, policy, source_state(), SOURCE_CLASSES, TARGET_CLASSES)


def some_steps(classifier: Classifier, n: int = 3) -> torch.optim.Optimizer:
    task = ClassifierTask(classifier, torch.ones(len(TARGET_CLASSES)), FitSettings(learning_rate=0.05), seed=0)
    optimizer = task.configure_optimizers()
    generator = torch.Generator().manual_seed(0)
    for _ in range(n):
        optimizer.zero_grad()
        x = torch.randn(32, 6, 4, generator=generator)
        logits = classifier(x, torch.full((32,), 6), torch.rand(32, 1, generator=generator))
        torch.nn.functional.cross_entropy(logits, torch.arange(32) % 3).backward()
        optimizer.step()
    return optimizer


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("name", POLICIES)
def test_report_counts_add_up(name: str, head: str) -> None:
    classifier, policy, report = apply(name, head)
    assert report.total == sum(p.numel() for p in classifier.parameters())
    for part in report.parts:
        own = sum(p.numel() for n, p in classifier.named_parameters() if n.startswith(f"{part.part}."))
        assert part.loaded + part.new == part.trained + part.frozen == own
    assert report.trained == sum(part.trained for part in report.parts)
    text = str(report)
    assert f"transfer '{policy.name}'" in text and all(part.part in text for part in report.parts)
    assert "target classes: x, y, z" in text
    assert ("a, b, c, d" if policy.load else "none (nothing is loaded)") in text


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("name", POLICIES)
def test_frozen_tensors_are_bit_identical_and_trained_ones_move(name: str, head: str) -> None:
    classifier, policy, _ = apply(name, head)
    for patterns, _ in policy.stages:
        set_trainable(classifier, patterns, policy.name)
        before = {key: tensor.clone() for key, tensor in classifier.state_dict().items()}
        frozen = frozen_copy(classifier)
        trained = {key for key, p in classifier.named_parameters() if p.requires_grad}
        assert trained and trained.isdisjoint(frozen) and trained | set(frozen) == set(before)
        optimizer = some_steps(classifier)
        after = classifier.state_dict()
        for key in before:
            assert torch.equal(before[key], after[key]) == (key not in trained), key
        assert_unchanged(classifier, frozen)
        in_optimizer = {id(p) for group in optimizer.param_groups for p in group["params"]}
        assert in_optimizer == {id(p) for p in classifier.parameters() if p.requires_grad}


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("name", POLICIES)
def test_what_the_policy_loads_is_the_sources_and_nothing_else_changes(name: str, head: str) -> None:
    classifier, policy, _ = apply(name, head)
    source, fresh = source_state(), target(head).state_dict()
    loads_encoder = bool(policy.load)
    for key, tensor in classifier.state_dict().items():
        expected = source if loads_encoder and key.startswith("encoder.") else fresh
        assert torch.equal(tensor, expected[key]), key
    assert loads_encoder == (name not in ("from_scratch", "random_frozen"))


@pytest.mark.parametrize(
    ("name", "trained"),
    [
        ("from_scratch", {"encoder.gru", "encoder.metadata", "encoder.dense", "encoder.latent", "head"}),
        ("full", {"encoder.gru", "encoder.metadata", "encoder.dense", "encoder.latent", "head"}),
        ("head_only", {"head"}),
        ("latent_and_head", {"encoder.latent", "head"}),
        ("gru_and_head", {"encoder.gru", "head"}),
        ("random_frozen", {"head"}),
        ("probe_then_full", {"head"}),
    ],
)
def test_the_policies_of_the_design(name: str, trained: set[str]) -> None:
    classifier, policy, _ = apply(name, "linear")
    parts = {
        key.split(".")[0] if key.startswith("head") else ".".join(key.split(".")[:2])
        for key, p in classifier.named_parameters()
        if p.requires_grad
    }
    assert parts == trained
    if name == "probe_then_full":
        assert list(policy.stages[1][0]) == ["*"] and policy.stages[1][1] < 1


def test_every_policy_of_the_design_is_there() -> None:
    assert {
        "from_scratch",
        "head_only",
        "latent_and_head",
        "gru_and_head",
        "full",
        "random_frozen",
        "probe_then_full",
    } <= set(POLICIES)


def test_a_moved_frozen_tensor_is_noticed() -> None:
    classifier, _, _ = apply("head_only", "linear")
    frozen = frozen_copy(classifier)
    with torch.no_grad():
        classifier.get_parameter("encoder.latent.weight")[0, 0] += 1e-7
        classifier.encoder.metadata.mean += 1  # type: ignore[union-attr, operator]
    with pytest.raises(RuntimeError, match=r"frozen parameters moved in training: .*encoder.latent.weight"):
        assert_unchanged(classifier, frozen)
    with pytest.raises(RuntimeError, match=r"encoder.metadata.mean"):
        assert_unchanged(classifier, frozen)


@pytest.mark.parametrize("what", ["load", "train", "then_train"])
def test_a_pattern_that_matches_nothing_is_an_error_naming_the_parts(what: str) -> None:
    policy = FreezePolicy("mine", **{"load": ["encoder.*"], "train": ["*"], what: ["encoder.gruu.*"]})  # type: ignore[arg-type]
    with pytest.raises(
        ValueError,
        match=r"'mine': (load|train) pattern 'encoder.gruu.\*' matches no parameter; the parts are .*encoder.gru.\*.*head.\*",
    ):
        transfer(target("linear"), policy, source_state(), SOURCE_CLASSES, TARGET_CLASSES)


def test_neither_loaded_nor_trained_is_an_error_unless_allowed() -> None:
    policy = FreezePolicy("mine", load=["encoder.gru.*"], train=["head.*"])
    with pytest.raises(
        ValueError,
        match=r"'mine': encoder.dense.*, encoder.latent.* would be neither loaded nor trained: .*allow_untrained=true",
    ):
        transfer(target("linear"), policy, source_state(), SOURCE_CLASSES, TARGET_CLASSES)
    allowed = FreezePolicy("mine", load=["encoder.gru.*"], train=["head.*"], allow_untrained=True)
    assert transfer(target("linear"), allowed, source_state(), SOURCE_CLASSES, TARGET_CLASSES).trained > 0


def test_another_architecture_lists_both_sides_and_changes_nothing() -> None:
    classifier = target("linear")
    before = {key: tensor.clone() for key, tensor in classifier.state_dict().items()}
    source = dict(source_state(hidden=6, layers=1))
    with pytest.raises(ValueError, match=r"cannot load the source model, its architecture differs") as error:
        transfer(classifier, policy_named("full"), source, SOURCE_CLASSES, TARGET_CLASSES)
    assert "encoder.gru.weight_hh_l0: (18, 6) in the source, (24, 8) here" in str(error.value)
    assert "encoder.gru.weight_hh_l1: absent in the source, (24, 8) here" in str(error.value)
    assert all(torch.equal(tensor, before[key]) for key, tensor in classifier.state_dict().items())
