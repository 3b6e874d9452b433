import pytest

from tlclass.experiments.arm import Folds
from tlclass.network.transfer import FreezePolicy
from tlclass.options import build, build_named
from tlclass.training.settings import FitSettings


def test_a_misspelt_option_is_named_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"freeze_policy: unknown option trian.*known are name, load, train"):
        build(FreezePolicy, {"name": "x", "trian": ["*"]}, "freeze_policy")
    with pytest.raises(ValueError, match=r"freeze_policy: .*'name'"):
        build(FreezePolicy, {}, "freeze_policy")


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    table = {"complex": complex}
    assert build_named(table, {"name": "complex", "real": 1.0}, "kind", imag=2.0) == 1 + 2j
    with pytest.raises(ValueError, match=r"kind 'complx' is unknown.*choose one of complex"):
        build_named(table, {"name": "complx"}, "kind")


@pytest.mark.parametrize(
    ("kind", "option", "answer"),
    [
        (Folds, "up_to", "a whole number"),
        (Folds, "folds", "a whole number"),
        (FitSettings, "truncate", "a finite number"),
        (FitSettings, "balance", "true or false"),
    ],
)
def test_a_word_where_a_number_belongs_is_refused(kind: type, option: str, answer: str) -> None:
    with pytest.raises(ValueError, match=f"^group.{option} is 'abc': give {answer}$"):
        build(kind, {option: "abc"}, "group")


@pytest.mark.parametrize(
    ("option", "value", "answer"),
    [
        ("batch_size", 1.5, "is 1.5: give a whole number"),
        ("max_epochs", True, "is True: give a whole number"),
        ("max_epochs", None, "is None: give a whole number"),
        ("learning_rate", float("nan"), "is nan: give a finite number"),
        ("l2_sp", float("inf"), "is inf: give a finite number"),
        ("average", False, "is False: give a finite number"),
        ("balance", 2, "is 2: give true or false"),
    ],
)
def test_a_value_of_another_kind_is_refused(option: str, value: object, answer: str) -> None:
    with pytest.raises(ValueError, match=f"^fit.{option} {answer}$"):
        build(FitSettings, {option: value}, "fit")


def test_a_whole_number_is_a_number() -> None:
    assert build(FitSettings, {"learning_rate": 1}, "fit").learning_rate == 1


def test_a_fit_without_a_step_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"fit.max_epochs is 0 and fit.min_steps is 0, so nothing would be trained: choose"
    ):
        build(FitSettings, {"max_epochs": 0, "min_steps": 0}, "fit")
    assert build(FitSettings, {"max_epochs": 0, "min_steps": 8}, "fit").limits(2)["epochs"] == 4
