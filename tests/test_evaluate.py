import json
import math
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from tests.conftest import SMALL, Once, compose, refused
from tlclass.evaluate import main
from tlclass.experiments.plan import plan_from
from tlclass.experiments.run import run_job
from tlclass.experiments.scoring import coordinates
from tlclass.inputs.split import Protocol
from tlclass.lightcurves.taxonomy import Taxonomy
from tlclass.network.checkpoint import load_model
from tlclass.network.released import model_folder
from tlclass.serving.evaluating import add_to_card, card_title, refuse_used
from tlclass.training.card import markdown_table

Evaluate = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def job(data: Path, cache: Path, once: Once) -> Path:
    """A job on BTS with a fixed test part, trained once for this file."""
    words = [*SMALL, "freeze_policy=from_scratch", "model=gru", f"paths.data={data}", f"paths.cache={cache}"]
    return once("evaluated", partial(run_job, plan_from(compose(words))))


@pytest.fixture
def evaluate(data: Path, cache: Path, tmp_path: Path) -> Evaluate:
    """`evaluate(MODEL, "target=bts")`: the scores that the command leaves."""

    def call(model: Path, *words: str) -> dict[str, Any]:
        output = tmp_path / "scores"
        main([str(model), *words, f"paths.data={data}", f"paths.cache={cache}", "-o", str(output)])
        found: dict[str, Any] = json.loads((output / "scores.json").read_text())
        return found

    return call


def test_a_jobs_own_test_part_gives_the_scores_of_its_row(
    evaluate: Evaluate, inline_alone: None, job: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = evaluate(job, "target=bts", "--test-part")
    row = json.loads((job / "result.json").read_text())
    scores = [name for name in row if name.startswith(("au", "n/", "antares", "balanced", "f1", "log", "ece"))]
    assert len(scores) > 30 and {name: found[name] for name in scores} == {name: row[name] for name in scores}
    assert (
        found["notes"] == []
        and found["labels"] == row["n_train"] + row["n_val"] > 0
        and not row["simulated"]
        and not found["source_simulated"]
    )
    mine, its = (pd.read_parquet(place / "predictions.parquet") for place in (tmp_path / "scores", job))
    pd.testing.assert_frame_equal(mine, its)
    low, high = found["intervals"]["auroc_macro"]
    assert low < found["auroc_macro"] < high
    low, high = found["intervals"]["f1_macro"]
    assert low <= found["f1_macro"] <= high
    said = capsys.readouterr().out
    report = (tmp_path / "scores" / "report.md").read_text()
    for name in (
        "macro AUROC",
        "macro F1",
        "balanced accuracy",
        "ECE",
        "SN Ib/c",
        "antares_alert",
        "days since trigger",
    ):
        assert name in said and name in report, name
    assert (tmp_path / "scores" / "report.html").read_text().count("<svg") == 3
    assert "classified as" in (tmp_path / "scores" / "objects.html").read_text()


def test_a_model_that_was_trained_after_pretraining_names_both() -> None:
    model = load_model(model_folder("ztf"))
    row = {
        "source": "alerts_simulated",
        "source_simulated": True,
        "simulated": False,
        "n_train": 48,
        "n_val": 12,
        "target": "mine",
    }
    survey = SimpleNamespace(name="bts", simulated=False)
    trained = replace(model, training={**model.training, "row": row})
    both = coordinates(trained, Path(), survey, Protocol("fixed"), 18, 100)  # type: ignore[arg-type]
    assert (
        both["labels"] == 60 and both["source"].endswith(" pretrained on alerts_simulated") and both["source_simulated"]
    )
    alone = coordinates(model, Path(), survey, Protocol("fixed"), 0, 100)  # type: ignore[arg-type]
    assert alone["labels"] == 0 and alone["source"] == "model ztf" and alone["source_simulated"]


def test_scores_go_into_the_card_of_the_model(
    evaluate: Evaluate, without_figures: None, job: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(job, copy)
    found = evaluate(copy, "target=bts", "--test-part", "--card", "Made-up BTS")
    card = (copy / "README.md").read_text()
    scores = card.split("### Made-up BTS")[1].split("## Calibration")[0]
    for day in (5, 10, 20):
        assert f"after {day} d" in scores and f"{found[f'auroc/SN Ia@{day}d']:.3f} (" in scores
        assert f"{found[f'ece@{day}d']:.3f}" in scores and f"{found[f'sets_90@{day}d']:.3f}" in scores
    assert f"{found['auroc/SN Ia']:.3f} (" in scores and "real objects" in scores
    add_to_card(copy, "Made-up BTS", found)
    assert (copy / "README.md").read_text() == card  # replaced, not added again
    add_to_card(copy, "Made-up BTS", found, ["Half of them were seen."])
    assert "\n\n- Half of them were seen.\n\n" in (copy / "README.md").read_text()


def test_titles_and_cells_of_a_card_stay_on_their_line() -> None:
    assert card_title(" a |\nb ") == "a | b" and card_title("## Mine #1") == "Mine #1"
    assert markdown_table(("class",), [("SN Ia|norm",)]).splitlines()[2] == r"| SN Ia\|norm |"


@pytest.mark.usefixtures("without_figures")
def test_passbands_that_the_model_was_not_trained_on_are_named(evaluate: Evaluate) -> None:
    (note,) = (note for note in evaluate(Path("lsst"), "target=bts")["notes"] if "passband" in note or "ztfg" in note)
    assert "ztfg" in note and "ztfr" in note and "lsstu" in note


def test_a_released_model_is_scored_and_its_own_card_stays(
    without_figures: None, data: Path, cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["target=bts", f"paths.data={data}", f"paths.cache={cache}", "-o", str(tmp_path / "scores")]
    main(["ztf-alerts", *words])
    found = json.loads((tmp_path / "scores" / "scores.json").read_text())
    assert found["seed"] == 0 and found["labels"] == 0 and not any("may have been trained" in n for n in found["notes"])
    assert "ztf-alerts" in refused(capsys, main, ["ztf-alerts", *words, "--card", "mine"])


def test_metadata_that_are_not_known_of_all_objects_are_named(evaluate: Evaluate, without_figures: None) -> None:
    words = ["target=lsst_simulated", "target.n_objects=150", "taxonomy@target.taxonomy=plasticc"]
    model = Path(__file__).parents[1] / "tlclass" / "released" / "lsst"
    (note,) = [note for note in evaluate(model, *words, "target.hosts.known=0.5")["notes"] if "host_photoz" in note]
    assert re.search(
        r"states host_photoz of \d+, host_photoz_err of \d+; the model uses them where they are known", note
    )
    assert not any("host_photoz" in note for note in evaluate(model, *words)["notes"])


def test_objects_that_the_model_learnt_from_are_named(evaluate: Evaluate, without_figures: None, job: Path) -> None:
    stored = json.loads((job / "split.json").read_text())
    seen = len(stored["train"]) + len(stored["val"])
    found = evaluate(job, "target=bts")
    assert found["labels"] == seen and any(str(seen) in note and "--test-part" in note for note in found["notes"])


def test_a_model_without_its_list_of_objects_may_have_seen_them(
    evaluate: Evaluate, without_figures: None, job: Path, tmp_path: Path
) -> None:
    for name in ("model.json", "model.safetensors", "reliability.safetensors"):
        (tmp_path / "released").mkdir(exist_ok=True)
        shutil.copy(job / name, tmp_path / "released" / name)
    (note,) = evaluate(tmp_path / "released", "target=bts")["notes"]
    assert "bts" in note and "split.json" in note


def test_classes_are_summed_where_the_taxonomy_contains_them(
    evaluate: Evaluate, without_figures: None, job: Path, tmp_path: Path
) -> None:
    (tmp_path / "cards" / "taxonomy").mkdir(parents=True)
    (tmp_path / "cards" / "taxonomy" / "coarse.yaml").write_text(
        "_target_: tlclass.lightcurves.taxonomy.Taxonomy\n"
        "members: {core-collapse: [SN II*, SN Ib*, SN Ic*], thermonuclear: [SN Ia*]}\n"
        "dropped: ['*']\n"
    )
    words = ["taxonomy@target.taxonomy=coarse", "--config-dir", str(tmp_path / "cards")]
    found = evaluate(job, "target=bts", "--test-part", *words)
    assert any("SLSN-I" in note and "TDE" in note for note in found["notes"])
    one = pd.read_parquet(tmp_path / "scores" / "predictions.parquet").set_index("object_id")
    row = pd.read_parquet(job / "predictions.parquet").set_index("object_id")
    both = one.index.intersection(row.index)
    assert len(both) > 5
    known = row.loc[both, ["p(SN Ia)", "p(SN II)", "p(SN Ib/c)"]]
    expected = (known["p(SN II)"] + known["p(SN Ib/c)"]) / known.sum(axis=1)
    assert one.loc[both, "p(core-collapse)"].to_numpy() == pytest.approx(expected.to_numpy(), abs=1e-6)


def test_a_class_that_the_model_does_not_know_is_not_scored(
    evaluate: Evaluate, without_figures: None, job: Path
) -> None:
    found = evaluate(job, "target=plasticc")
    assert any("no class for" in note for note in found["notes"])
    assert math.isfinite(found["auroc_macro"]) and found["simulated"]


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["paths.cache=x"], ["target=NAME", "target=bts"]),
        (["survey=bts"], ["write target=bts", "not survey"]),
        (["target=bts", "survey.reader.extra=[]"], ["write target.reader.extra=[]"]),
        (["target=btss"], ["btss", "did you mean bts"]),
        (["target=bts", "protocol.test_fraction=2"], ["protocol.test_fraction", "2"]),
        (["target=bts", "taxonomy@target.taxonomy=nonesuch"], ["nonesuch"]),
        (["target=bts", "-o", "JOB"], ["model.json", "-o"]),
        (["target=bts", "threads=many"], ["threads", "many"]),
        (["target=bts", "nonesuch"], ["nonesuch", "KEY=VALUE"]),
        (["target=bts", "--card", " #\n"], ["--card", "title"]),
    ],
)
def test_mistakes_are_one_sentence(
    words: list[str], named: list[str], job: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(job) if word == "JOB" else word for word in words]
    sentence = refused(capsys, main, [str(job), *words])
    assert all(name in sentence for name in named), sentence


def test_a_taxonomy_without_some_classes_drops_their_labels() -> None:
    taxonomy = Taxonomy(
        {"SN Ia": ["SN Ia*"], "SN II": ["SN IIP"], "TDE": []}, dropped=["nova"], common=["SN Ia", "TDE"]
    )
    less = taxonomy.without(["TDE", "SN II"])
    assert less.classes == ("SN Ia",) and less.common == ["SN Ia"]
    assert [less.index_of(label) for label in ("SN IIP", "SN II", "TDE", "nova", "SN Ia-91T", "AGN")] == [
        -1,
        -1,
        -1,
        -1,
        0,
        None,
    ]


def test_scores_of_another_model_are_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "scores.json").write_text('{"model": "ztf"}')
    refuse_used(tmp_path, "ztf")
    with pytest.raises(ValueError, match="holds the scores of ztf: choose another folder with -o"):
        refuse_used(tmp_path, "ztf-alerts")
