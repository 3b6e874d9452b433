"""Settings that no card states, on the command line without a plus."""

from pathlib import Path

import pytest

from tests.conftest import compose
from tlclass.config import CONF
from tlclass.experiments.composition import as_hydra_wants
from tlclass.experiments.plan import plan_from


def refusal(*words: str) -> str:
    with pytest.raises(ValueError) as raised:
        plan_from(compose(list(words)))
    return str(raised.value)


@pytest.mark.parametrize("card", ["bts_simulated", "joint_simulated", "lsst_simulated", "ztf_simulated"])
@pytest.mark.parametrize("plus", ["", "+", "++"])
def test_the_size_of_a_simulated_survey(card: str, plus: str) -> None:
    source = compose([f"source={card}", f"{plus}sizes.{card}=77"])["source"]
    assert "'n_objects': 77" in str(source)


def test_an_experiment_states_sizes_too() -> None:
    words = ["experiment=ztf2lsst_quick", "sizes.lsst_simulated=77"]
    assert compose(words)["sizes"] == {"ztf_simulated": 20000, "lsst_simulated": 77}


@pytest.mark.parametrize(
    "word", ["sizes.ztf_simulatd=5", "+sizes.ztf_simulatd=5", "sizes.bts=5", "sizes=5", "sizes={bts: 5}"]
)
def test_a_size_that_no_survey_reads_is_refused(word: str) -> None:
    said = refusal("source=ztf_simulated", word)
    assert "sizes.ztf_simulated" in said and "sizes.lsst_simulated" in said and word.lstrip("+").split("=")[0] in said
    assert ("did you mean sizes.ztf_simulated" in said) == ("simulatd" in word)


def test_the_size_of_a_survey_of_a_card_of_your_own(tmp_path: Path) -> None:
    (tmp_path / "survey").mkdir()
    (tmp_path / "survey" / "mine.yaml").write_text("n_objects: ${oc.select:sizes.mine,5}\n")
    assert as_hydra_wants(["--config-dir", str(tmp_path), "sizes.mine=7"])[2] == "++sizes.mine=7"
    with pytest.raises(ValueError, match=r"sizes\.mine"):
        as_hydra_wants(["sizes.mine=7"])


def test_a_size_in_an_experiment_that_no_survey_reads_is_refused(tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text("# @package _global_\nsizes: { ztf_simulatd: 5 }\n")
    for word in ("experiment=mine", "+experiment=ztf2lsst_quick,mine"):
        with pytest.raises(ValueError, match=r"mine\.yaml.*sizes\.ztf_simulatd.*did you mean sizes\.ztf_simulated"):
            as_hydra_wants([word], [tmp_path])


@pytest.mark.parametrize("word", ["++launcher.n_job=5", "+launcher.n_job=5", "launcher.n_job=5"])
def test_a_launcher_has_the_settings_of_its_card_alone(word: str) -> None:
    said = refusal("launcher=joblib", word)
    assert "launcher.n_job" in said and "did you mean launcher.n_jobs" in said


@pytest.mark.parametrize(
    ("added", "misspelt", "meant"),
    [
        ("optimizer.fused=true", "optimizer.fusd=true", "fused"),
        ("pretrain.optimizer.fused=true", "pretrain.optimizer.fusd=true", "fused"),
        ("trainer.precision=bf16-mixed", "trainer.precison=bf16-mixed", "precision"),
        ("freeze_policy.allow_untrained=true", "freeze_policy.alow_untrained=true", "allow_untrained"),
        ("callbacks.lr_monitor.log_momentum=true", "callbacks.lr_monitor.log_momentu=true", "log_momentum"),
        ("target.selection.photometry.seed=3", "target.selection.photometry.sed=3", "seed"),
        ("target.reader.columns.host=galaxy", "target.reader.colums.host=galaxy", "columns"),
    ],
)
def test_an_option_that_a_card_does_not_state(added: str, misspelt: str, meant: str) -> None:
    words = ["target=table", *(["callbacks=lr_monitor"] if "callbacks" in added else [])]
    key, _, value = added.partition("=")
    place = compose([*words, added])
    for name in key.split("."):
        place = place[name]
    assert str(place).lower() == value
    assert f"did you mean {meant}" in refusal(*words, misspelt)


def test_the_reader_of_one_survey_of_several() -> None:
    words = ["target=ztf_and_lsst", "target.surveys.ztf.reader.unknown_passbands=drop"]
    assert compose(words)["target"]["surveys"]["ztf"]["reader"]["unknown_passbands"] == "drop"


def test_objects_are_chosen_by_a_column() -> None:
    assert compose(["target=bts", "target.where.seen_by=[ztf,both]"])["target"]["where"]["seen_by"] == ["ztf", "both"]
    assert compose(["target=bts", "target.where={seen_by: ztf}"])["target"]["where"] == {"seen_by": "ztf"}


def test_no_message_ends_in_an_empty_list() -> None:
    said = refusal("callbacks.mine=5")
    assert said.endswith("+callbacks.mine=VALUE")
    assert "adapt" in refusal("++adapt.fit=5")


def test_every_group_that_is_open_has_cards() -> None:
    assert all(
        (CONF / group).is_dir() for group in ("trainer", "optimizer", "schedule", "loss", "freeze_policy", "callbacks")
    )
