import pytest

from tlclass.choice import Choice
from tlclass.options import build, build_named
from tlclass.task import FitSettings
from tlclass.transfer import FreezePolicy


def test_a_misspelt_option_is_named_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="freeze_policy: unknown option trian; known are name, load, train"):
        build(FreezePolicy, {"name": "x", "trian": ["*"]}, "freeze_policy")
    with pytest.raises(ValueError, match=r"freeze_policy: .*'name'"):
        build(FreezePolicy, {}, "freeze_policy")


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    table = {"complex": complex}
    assert build_named(table, {"name": "complex", "real": 1.0}, "kind", imag=2.0) == 1 + 2j
    with pytest.raises(ValueError, match="kind 'complx' is unknown: choose one of complex"):
        build_named(table, {"name": "complx"}, "kind")


@pytest.mark.parametrize(
    ("kind", "option", "answer"),
    [
        (Choice, "up_to", "a whole number"),
        (Choice, "folds", "a whole number"),
        (FitSettings, "truncate", "a number"),
        (FitSettings, "balance", "true or false"),
    ],
)
def test_a_word_where_a_number_belongs_is_refused(kind: type, option: str, answer: str) -> None:
    with pytest.raises(ValueError, match=f"^group.{option} is 'abc': give {answer}$"):
        build(kind, {option: "abc"}, "group")
