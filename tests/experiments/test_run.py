"""What a job leaves, what decides it, and when it is run again."""

import json
import logging
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch

from tests.conftest import Composed, Job, refused, result, validations
from tlclass.experiments.plan import plan_from
from tlclass.experiments.result import write_result
from tlclass.experiments.run import run_job

SCRATCH = "freeze_policy=from_scratch"
CLI = Callable[..., None]


def test_a_job_leaves_all_that_describes_it(settings: Job, tmp_path: Path) -> None:
    row = run_job(settings("freeze_policy=head_only", "labels=60"), tmp_path / "job")
    names = {path.name for path in (tmp_path / "job").iterdir()}
    assert {"result.json", "job.json", "config.yaml", "model.json", "model.safetensors"} <= names
    assert {
        "predictions.parquet",
        "split.json",
        "confusion.json",
        "timing.json",
        "history.json",
        "survey.json",
    } <= names
    assert "checkpoints" not in names
    written = result(tmp_path / "job")
    assert written.pop("settings")["labels"] == 60
    assert written == json.loads(json.dumps(row).replace("NaN", "null"))
    assert (row["labels"], row["n_train"], row["n_val"]) == (60, 48, 12)
    assert row["source"] == "plasticc" and row["target"] == "bts" and row["arm"] == "head_only"
    assert row["freeze_policy"] == "head_only" and row["trained_parameters"] == 8 * 5 + 5
    assert row["source_simulated"] and not row["simulated"]
    assert {
        "auroc_macro",
        "auroc_common",
        "antares_alert/auroc_macro",
        "auroc/TDE",
        "auroc_macro@5d",
        "f1_macro@5d",
        "balanced_accuracy@5d",
        "log_loss",
        "ece",
    } <= set(row)
    predictions = pd.read_parquet(tmp_path / "job" / "predictions.parquet")
    split = json.loads((tmp_path / "job" / "split.json").read_text())
    assert len(predictions) == row["n_test"] and len(split["train"]) == 48
    assert set(predictions.object_id).isdisjoint({*split["train"], *split["val"]})
    confusion = json.loads((tmp_path / "job" / "confusion.json").read_text())
    assert sum(map(sum, confusion["counts"])) == row["n_test"]
    counts = json.loads((tmp_path / "job" / "survey.json").read_text())
    assert counts["source"]["survey"] == "plasticc" and counts["source"]["simulated"]
    assert [sum(counts["target"][part].values()) for part in ("train", "val", "test")] == [48, 12, row["n_test"]]
    assert sum(counts["target"]["objects"].values()) == row["pool"] + row["n_test"]
    assert "seconds" not in row and json.loads((tmp_path / "job" / "timing.json").read_text())["seconds"] > 0


REFUSED = {  # found in the data, or where policy, source and data meet
    "paths.data=/no/such": ("/no/such/ztf_bts", "paths.data=FOLDER"),
    "source=table source.reader.objects=/no/such/o.csv": ("/no/such", "paths.data"),
    "target.reader.columns.label=typ": ("typ", "label", "object_id, source_class, class"),
    "target.reader.columns.band=bnd": ("bnd", "band", "columns.band=COLUMN"),
    "target.reader.columns.label=source_class ~target.passbands.table.ztfr": ("passband 'r'", "ztfg"),
    "target.reader.columns.label=phot_origin": ("bts", "'antares_alert'", "SN Ia"),
    "target.selection.window=[-30,-20]": ("bts", "-30", "-20"),
    "+target.where.class=TDE target.reader.extra=[class]": ("bts", "16", "TDE"),
    "labels=999": ("labels=999", "131"),
    "protocol.test=remainder": ("test=remainder",),
    "labels=0": ("labels=0", "head=source"),
    "model.metadata=[distance]": ("distance", "mwebv"),
    "model.metadata=[object_id]": ("object_id",),
    "freeze_policy.load=[encodr.*]": ("'encodr.*'", "encoder.dense.*"),
    "freeze_policy.train=[head.outptu.*]": ("'head.outptu.*'",),
    "freeze_policy.load=[head.*]": ("head.output.bias", "architecture"),
    "freeze_policy=from_scratch freeze_policy.train=[head.*]": ("neither loaded nor trained",),
    "source_model=/no/model": ("/no/model", "model.json", "model.safetensors"),
}


@pytest.mark.parametrize("words", REFUSED)
def test_a_mistake_in_the_data_is_refused_before_pretraining(words: str, settings: Job, tmp_path: Path) -> None:
    models = tmp_path / "models"
    with pytest.raises((ValueError, FileNotFoundError)) as refused:
        run_job(settings("freeze_policy=full", *words.split(), f"paths.models={models}"), tmp_path / "job")
    assert all(part in str(refused.value) for part in REFUSED[words]), refused.value
    assert not models.exists()


@pytest.mark.parametrize("policy", ["from_scratch", "probe_then_full"])
def test_the_same_job_twice_gives_the_same_result_row(policy: str, settings: Job, tmp_path: Path) -> None:
    for number in range(2):
        torch.manual_seed(number)
        run_job(settings(f"freeze_policy={policy}", "seed=3", "fit.truncate=0.5"), tmp_path / str(number))
    assert (tmp_path / "0" / "result.json").read_bytes() == (tmp_path / "1" / "result.json").read_bytes()
    weights = [(tmp_path / str(number) / "model.safetensors").read_bytes() for number in range(2)]
    assert weights[0] == weights[1]
    assert validations(tmp_path / "0") == validations(tmp_path / "1")
    assert validations(tmp_path / "0")[-1]["step"] == result(tmp_path / "0")["steps"]  # of both stages


def test_another_seed_gives_another_row(settings: Job, tmp_path: Path) -> None:
    rows = [run_job(settings("freeze_policy=from_scratch", f"seed={seed}"), tmp_path / str(seed)) for seed in (0, 1)]
    assert rows[0]["log_loss"] != rows[1]["log_loss"]


def test_both_arms_see_the_same_objects(settings: Job, tmp_path: Path) -> None:
    for policy in ("from_scratch", "full"):
        run_job(settings(f"freeze_policy={policy}", "labels=50%"), tmp_path / policy)
    splits = [(tmp_path / policy / "split.json").read_text() for policy in ("from_scratch", "full")]
    assert splits[0] == splits[1]


def test_a_finished_job_is_skipped_and_a_changed_one_refused_unless_overwritten(
    settings: Job, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    job = settings("freeze_policy=from_scratch")
    row = run_job(job, tmp_path / "job")
    before = (tmp_path / "job" / "model.safetensors").stat().st_mtime_ns
    assert run_job(job, tmp_path / "job")["log_loss"] == row["log_loss"]
    assert (tmp_path / "job" / "model.safetensors").stat().st_mtime_ns == before
    assert "is finished" in caplog.text and "skipped" in caplog.text
    changed = settings("freeze_policy=from_scratch", "fit.learning_rate=0.02")
    with pytest.raises(ValueError, match=r"fit.learning_rate was 0.01 and is now 0.02.*overwrite=true"):
        run_job(changed, tmp_path / "job")
    assert result(tmp_path / "job")["log_loss"] == row["log_loss"]
    assert run_job(replace(changed, overwrite=True), tmp_path / "job")["log_loss"] != row["log_loss"]


def test_a_finished_job_without_a_score_is_skipped_too(train_cli: CLI, settings: Job, tmp_path: Path) -> None:
    folder = tmp_path / "results" / "default" / "from_scratch" / "all" / "seed0"
    write_result(folder, {"config_key": settings(SCRATCH).key, "auroc_macro": float("nan")})
    train_cli(SCRATCH)
    assert not (folder / "failed.json").exists()


@pytest.mark.parametrize(
    ("policy", "interrupted"),
    [("from_scratch", True), ("full", False)],
    ids=["target, interrupted", "source, finished"],
)
def test_a_job_whose_data_changed_is_refused_unless_overwritten(
    interrupted: bool, policy: str, settings: Job, data: Path, tmp_path: Path
) -> None:
    shutil.copytree(data, tmp_path / "data")
    job = settings(f"freeze_policy={policy}", f"paths.data={tmp_path / 'data'}")
    row = run_job(job, tmp_path / "job")
    assert run_job(settings(f"freeze_policy={policy}"), tmp_path / "job") == result(tmp_path / "job")  # elsewhere
    if interrupted:
        (tmp_path / "job" / "result.json").unlink()
        (tmp_path / "job" / "checkpoints").mkdir()
    if policy == "from_scratch":
        role, path = "target", tmp_path / "data" / "ztf_bts" / "objects.parquet"
        objects = pd.read_parquet(path)
        objects[: -(len(objects) // 4)].to_parquet(path)
    else:
        role, path = "source", tmp_path / "data" / "plasticc" / "plasticc_train_lightcurves.csv"
        observations = pd.read_csv(path)
        observations.assign(flux=-observations["flux"]).to_csv(path, index=False)
    with pytest.raises(ValueError, match=rf"{tmp_path / 'job'}.*{role}.*overwrite=true"):
        run_job(job, tmp_path / "job")
    assert run_job(replace(job, overwrite=True), tmp_path / "job")["auroc_macro"] != row["auroc_macro"]


def test_a_job_whose_source_model_changed_is_refused(settings: Job, tmp_path: Path) -> None:
    run_job(settings(SCRATCH), tmp_path / "source")
    job = settings("freeze_policy=full", f"source_model={tmp_path / 'source'}")
    run_job(job, tmp_path / "job")
    run_job(settings(SCRATCH, "seed=1", "overwrite=true"), tmp_path / "source")
    with pytest.raises(ValueError, match=rf"{tmp_path / 'job'}.*source model.*overwrite=true"):
        run_job(job, tmp_path / "job")


def test_from_scratch_needs_no_source_at_all(settings: Job, tmp_path: Path) -> None:
    nowhere = ["source=bts", "source.reader.folder=/nowhere"]
    assert run_job(settings("freeze_policy=from_scratch", *nowhere), tmp_path / "job")["source"] == ""


def test_a_class_absent_from_a_small_budget_is_said_and_survives(
    settings: Job, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    row = run_job(settings("freeze_policy=from_scratch", "labels=6"), tmp_path / "job")
    assert row["absent_in_training"]
    assert f"no training object of {', '.join(row['absent_in_training'])} among the 6 labels of seed 0" in caplog.text
    assert all(row[f"auroc/{name}"] is not None for name in row["absent_in_training"])


def test_a_subset_without_test_objects_is_said_and_left_out(
    composed: Composed, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    job = composed("freeze_policy=from_scratch", "target=bts")
    job["target"]["subsets"] = {"deep": {"phot_origin": "nowhere"}, "wide": {"no_such_column": "x"}}
    row = run_job(plan_from(job), tmp_path / "job")
    assert not any(name.startswith(("deep/", "wide/")) for name in row)
    assert "no test object is in the subset deep" in caplog.text and "no column no_such_column" in caplog.text


def test_a_checkpoint_of_another_architecture_lists_both_sides(
    train_cli: CLI, settings: Job, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_job(settings(SCRATCH, "model.hidden=9"), tmp_path / "source")
    words = ["freeze_policy=full", f"source_model={tmp_path / 'source'}"]
    sentence = refused(capsys, train_cli, *words)
    assert "its architecture differs" in sentence
    assert "encoder.gru.weight_hh_l0: (27, 9) in the source, (24, 8) here" in sentence
    assert "encoding" in refused(capsys, train_cli, *words, "encoding.flux_scale=1", "experiment_name=other")
