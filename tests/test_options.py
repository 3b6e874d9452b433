import os
import signal
from collections.abc import Callable

import pytest

from tlclass.experiments.arm import Folds
from tlclass.network.transfer import FreezePolicy
from tlclass.options import build, build_named, reported_mistakes
from tlclass.surveys.parallel import in_order
from tlclass.training.settings import FitSettings
from tlclass.wording import in_flags, in_python, in_settings


def test_a_misspelt_option_is_named_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"freeze_policy: unknown option trian.*known are name, load, train"):
        build(FreezePolicy, {"name": "x", "trian": ["*"]}, "freeze_policy")
    with pytest.raises(ValueError, match=r"freeze_policy: .*'name'"):
        build(FreezePolicy, {}, "freeze_policy")


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    table = {"complex": complex}
    assert build_named(table, {"name": "complex", "real": 1.0}, "kind", imag=2.0) == 1 + 2j
    with pytest.raises(ValueError, match=r"kind 'complx' is unknown.*choose one of complex; .*add trust=\[PACKAGE\]"):
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
        ("batch_size", 1e2, "is 100.0: give a whole number without a decimal point or exponent, 100"),
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


@pytest.mark.parametrize(
    ("words", "advice"),
    [(in_settings, "add trust=[PACKAGE]"), (in_flags, "add --trust PACKAGE"), (in_python, "import that first")],
)
def test_the_package_of_an_unknown_class_is_named_in_the_words_of_the_command(
    words: Callable[[str], str], advice: str
) -> None:
    with pytest.raises(ValueError, match="mine") as error:
        build_named({}, {"name": "mine"}, "model")
    assert words(str(error.value)).endswith(f"; if it is of a package of yours, {advice}")


def test_a_killed_process_of_a_command_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as code, reported_mistakes():
        list(in_order(end_at_once, [1, 2], "files", processes=2))
    assert code.value.code == 1
    assert capsys.readouterr().err.startswith("error: a process was killed (often: out of memory): run the same")


def end_at_once(number: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)
