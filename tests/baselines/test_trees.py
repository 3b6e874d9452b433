import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.conftest import Job
from tlclass.baselines.trees import BASELINES
from tlclass.experiments.arm import Trees
from tlclass.experiments.run import run_job
from tlclass.inputs import datamodule as data_module
from tlclass.surveys.survey import Survey
from tlclass.training.fit import FitSummary
from tlclass.training.leavings import SETS

for package in ("light_curve", "sklearn", "lightgbm"):
    pytest.importorskip(package, reason="needs the extra baselines")

SMALL = {"forest": ["method.options.trees=10"], "lightgbm": ["method.options.rounds=10"]}
ARMS = pytest.mark.parametrize("arm", list(BASELINES))


@pytest.fixture
def job(settings: Job) -> Job:
    """`job("forest", ...)`: a baseline with few trees, 60 labels."""
    return lambda arm, *more: settings(f"arm={arm}", *SMALL.get(arm, []), "labels=60", *more)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@ARMS
def test_metadata_of_the_encoder_are_features_too(
    arm: str, job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    fit = BASELINES[arm].fit  # type: ignore[attr-defined]

    def counted(self: Any, x: Any, *rest: Any) -> Any:
        seen.append(x.shape[1])
        return fit(self, x, *rest)

    monkeypatch.setattr(BASELINES[arm], "fit", counted)
    run_job(job(arm), tmp_path / "plain")
    plain = seen.pop()
    run_job(job(arm, "model=gru_metadata"), tmp_path / "told")
    assert seen.pop() == plain + 1


@ARMS
def test_a_baseline_leaves_what_a_network_leaves_on_the_same_objects(arm: str, job: Job, tmp_path: Path) -> None:
    scratch = run_job(job("from_scratch"), tmp_path / "scratch")
    row = run_job(job(arm), tmp_path / arm)
    models = {"model.json", "model.safetensors", "reliability.safetensors", "README.md", "history.json"}
    assert names(tmp_path / arm) == names(tmp_path / "scratch") - models
    assert (tmp_path / arm / "split.json").read_text() == (tmp_path / "scratch" / "split.json").read_text()
    of_fits = {"members", "trained_parameters", "parameters", "frozen_identical", *FitSummary.__dataclass_fields__}
    of_fits |= {"ece_uncalibrated", "log_loss_uncalibrated", "adapt", "unlabelled"}
    of_fits |= {name for name in scratch if name.split("@")[0] == SETS}  # trees give no prediction sets
    assert set(scratch) - set(row) == of_fits and set(row) <= set(scratch)
    assert {"auroc_macro@5d", "antares_alert/auroc_macro", "auroc/TDE", "log_loss", "ece"} <= set(row)
    assert [row[name] for name in ("arm", "source", "labels")] == [arm, "", 60]
    a, b = (pd.read_parquet(tmp_path / name / "predictions.parquet") for name in (arm, "scratch"))
    assert list(a) == list(b) and (a.object_id == b.object_id).all() and (a["class"] == b["class"]).all()
    probability = a.filter(like="p(").to_numpy()
    assert np.allclose(probability.sum(1), 1) and probability.min() > 0
    assert row["auroc_macro"] > 0.6 and row["auroc_macro@70d"] == row["auroc_macro"]


@ARMS
def test_the_same_job_gives_the_same_row_and_another_seed_another(arm: str, job: Job, tmp_path: Path) -> None:
    for name, more in (("a", ()), ("b", ()), ("c", ("seed=1",))):
        run_job(job(arm, *more), tmp_path / name)
    texts = [(tmp_path / name / "result.json").read_bytes() for name in "abc"]
    assert texts[0] == texts[1] != texts[2]


@ARMS
def test_labels_outside_the_budget_do_not_matter(
    arm: str, job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The probabilities stay when all other labels change; when those of the budget do, they do not."""
    run_job(job(arm), tmp_path / "true")
    split = json.loads((tmp_path / "true" / "split.json").read_text())
    used, draw = [*split["train"], *split["val"]], data_module.draw_split

    def shuffle(survey: Survey, cache: Path, inside: bool) -> tuple[Any, Any]:
        curves, label = load(survey, cache)
        members = np.flatnonzero(np.isin(curves.object_id, used) == inside)
        changed = label.copy()
        changed[members] = label[np.random.default_rng(0).permutation(members)]
        true = {"label": label}
        monkeypatch.setattr(data_module, "draw_split", lambda _, *rest, **more: draw(true["label"], *rest, **more))
        return curves, changed

    load = Survey.load
    tables = [pd.read_parquet(tmp_path / "true" / "predictions.parquet")]
    for inside in (False, True):
        monkeypatch.setattr(Survey, "load", lambda survey, cache, inside=inside: shuffle(survey, cache, inside))
        run_job(job(arm), tmp_path / str(inside))
        tables.append(pd.read_parquet(tmp_path / str(inside) / "predictions.parquet"))
    true, outside, within = (table.filter(like="p(").to_numpy() for table in tables)
    assert (tables[0].object_id == tables[1].object_id).all() and (tables[0]["class"] != tables[1]["class"]).any()
    assert np.array_equal(true, outside) and not np.allclose(true, within)


def test_a_baseline_needs_no_source(job: Job, tmp_path: Path) -> None:
    nowhere = ["source=bts", "++source.reader.observations=/nowhere/o.parquet"]
    chosen = job("forest", *nowhere, "head=source", f"paths.models={tmp_path / 'models'}")
    assert run_job(chosen, tmp_path / "job")["source"] == "" and not (tmp_path / "models").exists()


@ARMS
def test_a_class_without_a_label_is_said_and_possible(
    arm: str, job: Job, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    row = run_job(job(arm, "labels=6"), tmp_path / "job")
    assert row["absent_in_training"] and f"no object of {row['absent_in_training'][0]}" in caplog.text
    assert np.isfinite(row["log_loss"])


@ARMS
def test_no_label_is_a_mistake_said_in_one_sentence(arm: str, job: Job, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"^{arm} .* labels=0: choose 5 or more"):
        run_job(job(arm, "labels=0"), tmp_path / "job")


def test_misspelt_baselines_and_options_are_named() -> None:
    with pytest.raises(ValueError, match=r"'tree'.*forest, lightgbm"):
        Trees("x", "tree", {})
    with pytest.raises(ValueError, match=r"unknown option tres.*trees"):
        Trees("x", "forest", {"trees": 5, "tres": 5})


def test_without_the_packages_the_error_says_what_to_install(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    with pytest.raises(ValueError, match=r"needs lightgbm: pip install .*\[baselines\]"):
        run_job(job("lightgbm"), tmp_path / "job")
