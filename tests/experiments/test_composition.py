"""A list of sources, on the command line and in an experiment; what cannot be a choice of a group."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import compose, refused
from tlclass.experiments import composition
from tlclass.experiments.composition import without_lists


def test_a_list_on_the_command_line_replaces_the_surveys_of_an_experiment() -> None:
    experiment = "+experiment=several2plasticc"
    assert list(compose([experiment])["source"]["parts"]) == ["lsst_simulated", "ztf_simulated"]
    for listed in (["plasticc", "bts"], ["bts", "elasticc", "plasticc"]):
        source = compose([experiment, f"source=[{','.join(listed)}]"])["source"]
        assert list(source["parts"]) == listed and "chosen" not in source
    added = compose([experiment, "+survey@source.parts.bts=bts"])["source"]["parts"]
    assert list(added) == ["lsst_simulated", "ztf_simulated", "bts"]
    alone = compose([experiment, "source=plasticc"])["source"]
    assert alone == compose(["source=plasticc"])["source"]
    more = compose(["source=[ztf_simulated, bts]", "source.parts.ztf_simulated.n_objects=20000"])["source"]
    assert more["parts"]["ztf_simulated"]["n_objects"] == 20000 and list(more["parts"]) == ["ztf_simulated", "bts"]
    other = compose(["source=[bts,plasticc]", "taxonomy@source.taxonomy=bts"])["source"]
    assert other["taxonomy"] == compose(["source=bts"])["source"]["taxonomy"]


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("source=[a,b]", "source=a+b"),
        ("source=[a, 'b']", "source=a+b"),
        ("source=[a,b],c,[d,e]", "source=a+b,c,d+e"),
        ("source=a,b", "source=a,b"),
        ("source.parts.a.window=[1,2]", "source.parts.a.window=[1,2]"),
        ("freeze_policy.train=[head.*]", "freeze_policy.train=[head.*]"),
    ],
)
def test_a_list_of_sources_is_one_choice_of_a_sweep(word: str, expected: str) -> None:
    assert without_lists(word) == expected


def test_a_setting_of_another_choice_names_that_choice() -> None:
    with pytest.raises(ValueError, match=r"^adapt\.beside is a setting of adapt=distill: give adapt=distill too$"):
        compose(["adapt.beside=1"])
    assert compose(["adapt=distill", "adapt.beside=1"])["adapt"]["beside"] == 1


def test_a_group_without_a_name_is_answered_with_own_choices_too(tmp_path: Path) -> None:
    (tmp_path / "arm").mkdir()
    (tmp_path / "arm" / "mine.yaml").write_text("name: mine")
    with pytest.raises(ValueError, match=r"one of forest, .*mine, .*, or leave arm out"):
        composition.compose(["arm=null"], str(tmp_path))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["arm=null"], r"^arm=null: give the name of a choice, one of forest, .*, or leave arm out$"),
        (["+experiment="], r"experiment=: give the name of a choice, one of best_transfer, "),
        (["target=3"], r"^target=3: give the name of a choice, one of alerts_simulated, bts, "),
        (["experiment=ztf2bts", "experiment=ztf2lsst"], r"^experiment is given more than once: give one"),
        (
            ["+survey@source.parts.a=bts", "+survey@source.parts.a=plasticc"],
            r"^survey@source.parts.a is given more than once: give one",
        ),
    ],
)
def test_a_group_takes_one_name(words: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        compose(words)


@pytest.mark.parametrize("word", ["seed=0,1", "seed=range(0,3)", "arm=choice(full,head_only)"])
def test_several_values_need_a_sweep(word: str) -> None:
    with pytest.raises(ValueError, match=rf"^{re.escape(word)} has several values: add -m to run all of them"):
        compose([word])


def test_of_two_values_the_one_that_counts_is_named(caplog: pytest.LogCaptureFixture) -> None:
    settings = compose(["seed=1", "head=linear", "labels=40", "seed=2", "head=mlp"])
    assert settings["seed"] == 2 and settings["head"]["name"] == "mlp"
    assert [record.getMessage() for record in caplog.records] == [
        "seed=1 and seed=2 are both given: the last one counts",
        "head=linear and head=mlp are both given: the last one counts",
    ]


def test_another_configuration_is_answered_with_how_recipes_are_chosen(
    train_cli: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    assert "'foo': recipes are chosen with experiment=NAME" in refused(capsys, train_cli, "--config-name", "foo")
