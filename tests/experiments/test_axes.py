"""Every varied setting has a place of its own in a job's folder."""

import pytest

from tests.conftest import Job
from tlclass.experiments.axes import safe, subdir, varied

PLACES = ["${arm.name}", "${labels_name:${labels}}", "seed${seed}"]


@pytest.mark.parametrize(
    ("words", "axes"),
    [
        (["fit.learning_rate=1e-3,3e-3"], ["fit.learning_rate"]),
        (["augmentation=none,alerts", "seed=0,1"], ["augmentation", "seed"]),
        (["+trainer.gradient_clip_val=1,2", "seed=3"], ["trainer.gradient_clip_val"]),
        (["encoder.hidden=range(3)", "labels=[1,2]"], ["encoder.hidden"]),
        ([], []),
    ],
)
def test_what_the_command_line_varies_is_an_axis(words: list[str], axes: list[str]) -> None:
    assert varied(None, words) == axes


def test_the_command_line_replaces_an_axis_of_the_experiment() -> None:
    params = {"freeze_policy": "full,head_only", "labels": "100,1000"}
    assert varied(params, []) == ["freeze_policy", "labels"]
    assert varied(params, ["labels=50", "fit.l2_sp=0,1"]) == ["freeze_policy", "fit.l2_sp"]
    assert varied(params, ["freeze_policy=full,layerwise"]) == ["labels", "freeze_policy"]


def test_an_arm_replaces_the_freeze_policies_of_an_experiment() -> None:
    params = {"freeze_policy": "full,head_only", "labels": "100,1000"}
    assert varied(params | {"arm": "full,forest"}, []) == ["labels", "arm"]
    assert varied(params, ["arm=full"]) == ["labels"] and varied(params, ["arm=full,forest"]) == ["labels", "arm"]
    assert varied(params, ["arm=transfer", "freeze_policy=full,layerwise"]) == ["labels", "freeze_policy"]


def test_arm_labels_and_seed_have_a_place_already() -> None:
    assert subdir(["arm", "labels", "seed"], arm_chosen=True).split("/") == PLACES
    assert subdir(["freeze_policy", "method"], arm_chosen=False).split("/") == PLACES


@pytest.mark.parametrize(
    ("axes", "arm_chosen"),
    [(["fit.learning_rate"], False), (["augmentation"], True), (["freeze_policy"], True), (["source", "pretrain.seed"], True)],
)  # fmt: skip
def test_any_other_axis_gets_a_folder_with_its_name_and_value(axes: list[str], arm_chosen: bool) -> None:
    folders = subdir(["seed", *axes], arm_chosen).split("/")
    assert folders == [*PLACES[:2], *(f"{name}=${{place:{name}}}" for name in axes), PLACES[2]]


def test_values_that_no_folder_can_hold_are_replaced() -> None:
    assert safe("[0.3, 0.9]") == "_0.3_0.9_" and safe("a/b:c") == "a_b_c" and safe(0.003) == "0.003"


def test_no_two_values_of_an_axis_share_a_key(settings: Job) -> None:
    jobs = [
        settings(f"fit.learning_rate={rate}", f"augmentation={name}")
        for rate in ("1e-3", "3e-3")
        for name in ("none", "alerts")
    ]
    assert len({job.key for job in jobs}) == 4
