import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.conftest import compose
from tlclass.config import CONF
from tlclass.network.classifier import Classifier, build_classifier
from tlclass.network.transfer import (
    FreezePolicy,
    assert_unchanged,
    frozen_copy,
    part_of,
    rate_of,
    set_trainable,
    transfer,
)
from tlclass.options import build
from tlclass.training.finetune import Start, finetune
from tlclass.training.fit import FitSummary, Process
from tlclass.training.settings import FitSettings
from tlclass.training.task import FitTask

POLICIES = sorted(path.stem for path in (CONF / "freeze_policy").glob("*.yaml"))
HEADS = ("linear", "mlp", "source")
SOURCE_CLASSES, TARGET_CLASSES = ("a", "b", "c", "d"), ("x", "y", "z")
ENCODER = {"name": "gru", "hidden": 8, "dense": 8, "latent": 8, "metadata": ["mwebv"]}


def policy_named(name: str) -> FreezePolicy:
    policy = FreezePolicy(**compose([f"freeze_policy={name}"])["freeze_policy"])
    return policy.with_patterns(("gru", "metadata", "dense", "latent"))


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
    task = FitTask(classifier, torch.ones(len(TARGET_CLASSES)), FitSettings(learning_rate=0.05), seed=0)
    optimizer: torch.optim.Optimizer = task.configure_optimizers()
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
    for stage in policy.stages:
        set_trainable(classifier, stage.train, policy.name)
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
        ("gradual_unfreezing", {"head"}),
        ("layerwise", {"encoder.gru", "encoder.metadata", "encoder.dense", "encoder.latent", "head"}),
    ],
)
def test_the_policies_of_the_design(name: str, trained: set[str]) -> None:
    assert trained_parts(apply(name, "linear")[0]) == trained


@pytest.mark.parametrize("policy", [name for name in POLICIES if name != "gru_and_head"])
@pytest.mark.parametrize("encoder", [{**ENCODER}, {"name": "transformer", "width": 8, "metadata": ["mwebv"]}], ids=str)
def test_policies_but_the_papers_for_lsst_are_for_any_encoder(policy: str, encoder: dict[str, Any]) -> None:
    source, classifier = (build_classifier(encoder, {"name": "linear"}, 4, 3, seed) for seed in (0, 1))
    chosen = FreezePolicy(**compose([f"freeze_policy={policy}"])["freeze_policy"])
    report = transfer(classifier, chosen, source.state_dict(), TARGET_CLASSES, TARGET_CLASSES)
    assert report.trained > 0


def test_the_papers_policy_for_lsst_names_the_gru_and_says_how_to_name_other_encoders() -> None:
    classifier = build_classifier({"name": "transformer", "width": 8}, {"name": "linear"}, 4, 3, 1)
    policy = FreezePolicy(**compose(["freeze_policy=gru_and_head"])["freeze_policy"])
    with pytest.raises(ValueError, match=r"'gru_and_head'.*'encoder.gru.\*'.*encoder.attention.\*.*first.*last"):
        transfer(classifier, policy, classifier.state_dict(), TARGET_CLASSES, TARGET_CLASSES)


@pytest.mark.parametrize("parts", [("gru", "dense", "latent"), ("attention", "latent"), ("one",)])
def test_words_for_the_depth_are_the_encoders_parts(parts: tuple[str, ...]) -> None:
    rates = {"first": 0.1, "last": 0.5, "encoder.dense.*": 0.2, "encoder": 0.3, "head": 1.0}
    then = [{"train": ["first", "*"], "rate": 0.1}]
    policy = FreezePolicy("mine", ["encoder"], ["last", "head"], then, rates).with_patterns(parts)
    assert policy.load == ["encoder.*"] and policy.train == [f"encoder.{parts[-1]}.*", "head.*"]
    assert policy.stages[1].train == [f"encoder.{parts[0]}.*", "*"] and policy.stages[1].rate == 0.1
    assert (
        rate_of(f"encoder.{parts[0]}.x", policy.rates) == 0.1
    )  # the first that matches, also where it is the last part
    assert rate_of(f"encoder.{parts[-1]}.x", policy.rates) == (0.5 if len(parts) > 1 else 0.1)
    assert rate_of("encoder.x", policy.rates) == 0.3 and rate_of("head.x", policy.rates) == 1.0
    assert policy.with_patterns(parts) == policy


def trained_parts(classifier: Classifier) -> set[str]:
    return {part_of(key) for key, parameter in classifier.named_parameters() if parameter.requires_grad}


ALL = {"encoder.gru", "encoder.metadata", "encoder.dense", "encoder.latent", "head"}


@pytest.mark.parametrize(
    ("name", "stages"),
    [
        ("probe_then_full", [{"head"}, ALL]),
        (
            "gradual_unfreezing",
            [{"head"}, {"encoder.latent", "head"}, {"encoder.dense", "encoder.latent", "head"}, ALL],
        ),
    ],
)
def test_stages_unfreeze_what_they_say_more_slowly_each_from_the_best_of_the_one_before(
    name: str, stages: list[set[str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    classifier, policy, report = apply(name, "linear")
    source, seen = {key: p.detach().clone() for key, p in classifier.named_parameters()}, []

    def pretend(classifier: Classifier, data: Any, settings: FitSettings, folder: Path, *rest: Any) -> FitSummary:
        trained = [p for p in classifier.parameters() if p.requires_grad]
        values = {p.flatten()[0].item() for p in trained} if seen else set()
        seen.append((trained_parts(classifier), settings.learning_rate, folder.name, rest[-1]))
        with torch.no_grad():
            for parameter in trained:
                parameter.fill_(len(seen))  # the best weights of this stage
        assert len(seen) == 1 or len(seen) - 1 in values
        folder.mkdir(parents=True)
        (folder / "history.json").write_text('[{"step": 3, "epoch": 2, "seconds": 1.0}]')
        return FitSummary(3, 2, 0, 0.5, 0.9, False)

    monkeypatch.setattr("tlclass.training.finetune.fit", pretend)
    data: Any = SimpleNamespace(split=SimpleNamespace(budget=10))
    model: Any = SimpleNamespace(classifier=classifier, members=[classifier])
    process = Process({}, False)
    summary = finetune(Start(policy, model, report), data, FitSettings(learning_rate=1.0), tmp_path, process)
    assert [parts for parts, *_ in seen] == stages
    rates = [rate for _, rate, *_ in seen]
    assert rates == [stage.rate for stage in policy.stages] and rates == sorted(set(rates), reverse=True)
    assert [place for _, _, place, _ in seen] == [f"stage{number}" for number in range(len(stages))]
    for *_, anchor in seen:  # also in later stages: L2-SP pulls to the source, not to the stage before
        assert set(anchor) == {key for key in source if key.startswith("encoder.")}
        assert all(torch.equal(tensor, source[key]) for key, tensor in anchor.items())
    assert summary is not None and (summary.steps, summary.epochs) == (3 * len(stages), 2 * len(stages))
    assert json.loads((tmp_path / "history.json").read_text())[-1]["step"] == 3 * len(stages)


def groups(classifier: Classifier, rates: Mapping[str, float]) -> list[dict[str, Any]]:
    settings = FitSettings(learning_rate=0.5)
    task = FitTask(classifier, torch.ones(len(TARGET_CLASSES)), settings, seed=0, rates=rates)
    return task.configure_optimizers().param_groups  # type: ignore[no-any-return]


@pytest.mark.parametrize("head", HEADS)
def test_layerwise_rates_are_the_optimizers(head: str) -> None:
    classifier, policy, _ = apply("layerwise", head)
    expected = {"encoder.gru": 0.1, "encoder.dense": 0.3, "encoder.metadata": 0.3, "encoder.latent": 0.5, "head": 1.0}
    rate = {id(p): group["lr"] for group in groups(classifier, policy.rates) for p in group["params"]}
    for name, parameter in classifier.named_parameters():
        assert rate[id(parameter)] == pytest.approx(0.5 * expected[part_of(name)]), name


def test_without_rates_there_is_one_group_and_the_first_pattern_counts() -> None:
    classifier = target("linear")
    (group,) = groups(classifier, {})
    assert group["lr"] == 0.5 and len(group["params"]) == len(list(classifier.parameters()))
    assert rate_of("encoder.gru.x", {"encoder.*": 0.2, "encoder.gru.*": 0.1}) == 0.2
    assert rate_of("head.x", {"encoder.*": 0.2}) == 1.0


def test_rates_of_what_is_never_trained_are_an_error() -> None:
    policy = FreezePolicy("mine", load=["encoder.*"], train=["head.*"], rates={"encoder.gru.*": 0.1})
    message = r"'mine': rates pattern 'encoder.gru.\*' matches no trained parameter; the parts are head.\*"
    with pytest.raises(ValueError, match=message):
        transfer(target("linear"), policy, source_state(), SOURCE_CLASSES, TARGET_CLASSES)
    later = replace(policy, then=[{"train": ["encoder.gru.*"]}])
    transfer(target("linear"), later, source_state(), SOURCE_CLASSES, TARGET_CLASSES)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"then": [{"trian": ["*"]}]}, r"'mine', then: unknown option trian.* known are train, rate"),
        ({"then": ["*"]}, r"'mine': then contains \*, .* list of stages {train: \[PATTERN\], rate: FACTOR}"),
        ({"then": {"train": ["*"]}}, r"'mine': then contains train, .* list of stages"),
        ({"then": [{"train": ["*"], "rate": 0}]}, r"'mine'.* 0\b"),
        ({"train": [], "then": [{"train": ["*"]}]}, r"'mine': a stage trains nothing: name its patterns in train"),
        ({"rates": {"head.*": -1.0}}, r"'mine'.*-1"),
    ],
)
def test_wrong_stages_and_rates_are_named_before_anything_is_trained(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FreezePolicy("mine", load=["encoder.*"], **options)


def test_the_keys_of_before_name_those_of_now() -> None:
    with pytest.raises(ValueError, match=r"unknown option then_train.*known are name, load, train, then, rates, allow"):
        build(FreezePolicy, {"name": "mine", "then_train": ["*"]}, "freeze_policy")


def test_nothing_to_train_leaves_the_weights() -> None:
    policy = FreezePolicy("mine", load=["*"], train=())
    classifier = target("source")
    source = {k.replace("head.", "head.source."): v for k, v in source_state().items()}
    report = transfer(classifier, policy, source, SOURCE_CLASSES, TARGET_CLASSES)
    assert report.trained == 0 and not trained_parts(classifier)


def test_a_moved_frozen_tensor_is_noticed() -> None:
    classifier, _, _ = apply("head_only", "linear")
    frozen = frozen_copy(classifier)
    with torch.no_grad():
        classifier.get_parameter("encoder.latent.weight")[0, 0] += 1e-7
        classifier.encoder.metadata.mean += 1  # type: ignore[union-attr, operator]
    with pytest.raises(RuntimeError, match=r"frozen parameters .* training: .*encoder.latent.weight"):
        assert_unchanged(classifier, frozen)
    with pytest.raises(RuntimeError, match=r"encoder.metadata.mean"):
        assert_unchanged(classifier, frozen)


@pytest.mark.parametrize("what", ["load", "train", "then"])
def test_a_pattern_that_matches_nothing_is_an_error_naming_the_parts(what: str) -> None:
    wrong: list[Any] = ["encoder.gruu.*"]
    options: dict[str, Any] = {
        "load": ["encoder.*"],
        "train": ["*"],
        what: [{"train": wrong}] if what == "then" else wrong,
    }
    policy = FreezePolicy("mine", **options)
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
