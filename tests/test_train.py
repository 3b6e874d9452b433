import json
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from tests.conftest import ROOT, Job, compose
from tlclass import predict
from tlclass.config import CONF
from tlclass.experiments import run
from tlclass.experiments.cards import build_survey
from tlclass.experiments.composition import refuse_twins, without_lists
from tlclass.experiments.result import config_key, write_result
from tlclass.experiments.run import run_job
from tlclass.network.checkpoint import load_model
from tlclass.network.classifier import ENCODERS
from tlclass.network.encoders import Encoder

EXPERIMENTS = sorted((CONF / "experiment").glob("*.yaml"))
SCRATCH = "freeze_policy=from_scratch"
Process = Callable[..., subprocess.CompletedProcess[str]]
CLI = Callable[..., None]


def result(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "result.json").read_text())  # type: ignore[no-any-return]


def validations(folder: Path) -> list[dict[str, float]]:
    """The history of a job without its seconds, the only thing in it that differs from run to run."""
    lines = json.loads((folder / "history.json").read_text())
    assert [line["seconds"] for line in lines] == sorted(line["seconds"] for line in lines)
    return [{name: value for name, value in line.items() if name != "seconds"} for line in lines]


def jobs(folder: Path) -> list[str]:
    return sorted(str(path.parent.relative_to(folder)) for path in folder.rglob("result.json"))


def said(capsys: pytest.CaptureFixture[str]) -> str:
    """The `error:` lines; a traceback is never what a user should see."""
    text = capsys.readouterr().err
    assert "Traceback" not in text
    lines = [line for line in text.splitlines() if line.startswith("error: ")]
    assert lines, text
    return "\n".join(lines)


# -- what a job leaves and how its coordinates decide it


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_every_experiment_composes_and_begins_with_its_command(path: Path) -> None:
    settings = compose([f"+experiment={path.stem}"])
    assert settings["experiment_name"] != "default"
    run.refuse_mistakes(settings)
    comments = [line for line in path.read_text().splitlines() if line.startswith("#")]
    assert any(f"python -m tlclass.train +experiment={path.stem}" in line for line in comments)


ARMS = sorted(path.relative_to(CONF / "arm") for path in (CONF / "arm").rglob("*.yaml"))


@pytest.mark.parametrize("arm", ARMS, ids=str)
def test_every_arm_is_a_complete_recipe_with_a_name_of_its_own(arm: Path) -> None:
    experiment = "best_transfer_ablation" if arm.parent.name else "best_transfer"
    settings = compose([f"+experiment={experiment}", f"arm={arm.with_suffix('')}"])
    assert settings["freeze_policy"]["name"] == arm.stem.removesuffix("_lsst")
    run.build_policy(settings["freeze_policy"])
    run.refuse_mistakes(settings)
    build_survey(settings["source"])


def test_a_job_leaves_all_that_describes_it(settings: Job, tmp_path: Path) -> None:
    row = run_job(
        settings("freeze_policy=head_only", "data_fraction=count", "data_fraction.count=60"), tmp_path / "job"
    )
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
    assert result(tmp_path / "job") == json.loads(json.dumps(row).replace("NaN", "null"))
    assert (row["budget"], row["n_train"], row["n_val"]) == (60, 48, 12)
    assert row["source"] == "plasticc" and row["target"] == "bts" and row["policy"] == "head_only"
    assert row["frozen_identical"] and row["trained_parameters"] == 8 * 5 + 5
    assert row["source_simulated"] and not row["simulated"]
    assert {
        "auroc_macro",
        "auroc_common",
        "antares_alert/auroc_macro",
        "auroc/TDE",
        "auroc_macro@5d",
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


@pytest.mark.parametrize(
    "more", [[], ["fit.average=0.5", "fit.l2_sp=0.1", "schedule.warmup_steps=3"]], ids=["", "options"]
)
def test_frozen_tensors_of_the_saved_model_are_the_sources_bit_by_bit(
    more: list[str], settings: Job, tmp_path: Path
) -> None:
    run_job(settings("freeze_policy=gru_and_head", f"paths.models={tmp_path / 'models'}", *more), tmp_path / "job")
    model = safetensors.torch.load_file(tmp_path / "job" / "model.safetensors")
    (path,) = (tmp_path / "models").rglob("model.safetensors")
    source = safetensors.torch.load_file(path)
    for name, tensor in model.items():
        if name.startswith("encoder."):
            assert torch.equal(tensor, source[name]) == (not name.startswith("encoder.gru.")), name


def test_a_mistake_in_the_fit_is_refused_before_pretraining(settings: Job, tmp_path: Path) -> None:
    models = tmp_path / "models"
    with pytest.raises(ValueError, match=r"fit\.truncate is 1\.5"):
        run_job(settings("freeze_policy=full", "fit.truncate=1.5", f"paths.models={models}"), tmp_path / "job")
    assert not models.exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["target=table", "paths.data=/no/such"], "/no/such"),
        (["++target.reader.columns.label=phot_origin"], "bts: unknown class label"),
        (["data_fraction=count", "data_fraction.count=999"], "label budget of 999 objects: the pool holds 131"),
        (
            ["+target.where.class=TDE", "target.reader.extra=[class]"],
            "bts: all 16 objects are of class TDE, and nothing",
        ),
        (["data_fraction=n0"], "a budget of 0 labels trains nothing"),
        (["encoding=paper_matched", "target.typical_flux=null"], "its card states no typical_flux"),
        (["freeze_policy.load=[encodr.*]"], r"load pattern 'encodr.\*' matches no parameter"),
        (["freeze_policy.train=[head.outptu.*]"], r"train pattern 'head.outptu.\*' matches no parameter"),
        (["freeze_policy.load=[head.*]"], r"cannot load the source model, its architecture differs: head.output.bias"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_in_the_target_is_refused_before_pretraining(
    words: list[str], message: str, settings: Job, tmp_path: Path
) -> None:
    models = tmp_path / "models"
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        run_job(settings("freeze_policy=full", *words, f"paths.models={models}"), tmp_path / "job")
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
        run_job(settings(f"freeze_policy={policy}", "data_fraction=50pct"), tmp_path / policy)
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
    with pytest.raises(ValueError, match=r"holds a job with another configuration .*overwrite=true"):
        run_job(changed, tmp_path / "job")
    assert result(tmp_path / "job")["log_loss"] == row["log_loss"]
    assert run_job({**changed, "overwrite": True}, tmp_path / "job")["log_loss"] != row["log_loss"]


def test_a_finished_job_without_a_score_is_skipped_too(train_cli: CLI, settings: Job, tmp_path: Path) -> None:
    folder = tmp_path / "results" / "default" / "from_scratch" / "full" / "seed0"
    write_result(folder, {"config_key": config_key(settings(SCRATCH)), "auroc_macro": float("nan")})
    train_cli(SCRATCH)
    assert not (folder / "failed.json").exists()


@pytest.mark.parametrize("policy", ["from_scratch", "full"])
@pytest.mark.parametrize("interrupted", [False, True], ids=["finished", "interrupted"])
def test_a_job_whose_data_changed_is_refused_unless_overwritten(
    interrupted: bool, policy: str, settings: Job, data: Path, tmp_path: Path
) -> None:
    shutil.copytree(data, tmp_path / "data")
    job = settings(f"freeze_policy={policy}", f"paths.data={tmp_path / 'data'}")
    row = run_job(job, tmp_path / "job")
    assert run_job(settings(f"freeze_policy={policy}"), tmp_path / "job") == result(tmp_path / "job")  # moved
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
    with pytest.raises(ValueError, match=rf"job holds a job of other data: the files of its {role} have changed since"):
        run_job(job, tmp_path / "job")
    assert run_job({**job, "overwrite": True}, tmp_path / "job")["auroc_macro"] != row["auroc_macro"]


def test_a_job_whose_source_model_changed_is_refused(settings: Job, tmp_path: Path) -> None:
    run_job(settings(SCRATCH), tmp_path / "source")
    job = settings("freeze_policy=full", f"source_model={tmp_path / 'source'}")
    run_job(job, tmp_path / "job")
    run_job({**settings(SCRATCH, "seed=1"), "overwrite": True}, tmp_path / "source")
    with pytest.raises(ValueError, match=r"of other data: the files of its source model have changed since"):
        run_job(job, tmp_path / "job")


def test_pretraining_happens_once_and_is_reused(
    settings: Job, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    stamps = []
    for policy in ("full", "head_only"):
        run_job(settings(f"freeze_policy={policy}", f"paths.models={tmp_path / 'models'}"), tmp_path / policy)
        stamps += [path.stat().st_mtime_ns for path in (tmp_path / "models").rglob("model.safetensors")]
    assert len(stamps) == 2 and stamps[0] == stamps[1]
    assert caplog.text.count("pretraining on plasticc, into") == 1


def test_pretraining_depends_on_what_decides_it_only(settings: Job, data: Path, tmp_path: Path) -> None:
    models = f"paths.models={tmp_path / 'models'}"
    for number, more in enumerate((["data_fraction=50pct"], ["fit.learning_rate=0.02"], ["seed=0", "head=mlp"])):
        run_job(settings("freeze_policy=full", models, *more), tmp_path / str(number))
    assert len(list((tmp_path / "models").rglob("result.json"))) == 1
    shutil.copytree(data, tmp_path / "data")
    run_job(settings("freeze_policy=full", models, f"paths.data={tmp_path / 'data'}"), tmp_path / "moved")
    assert len(list((tmp_path / "models").rglob("result.json"))) == 1
    for number, more in enumerate(("model.hidden=9", "+trainer.gradient_clip_val=1"), start=2):
        run_job(settings("freeze_policy=full", models, more), tmp_path / more)
        assert len(list((tmp_path / "models").rglob("result.json"))) == number


def test_from_scratch_needs_no_source_at_all(settings: Job, tmp_path: Path) -> None:
    job = settings("freeze_policy=from_scratch", "source=bts")
    job["source"]["reader"]["observations"] = "/nowhere/o.parquet"
    assert run_job(job, tmp_path / "job")["source"] == ""


def test_zero_labels_classify_with_the_source_head(settings: Job, tmp_path: Path) -> None:
    job = settings(
        "head=source", "freeze_policy=head_only", "data_fraction=count", "data_fraction.count=0", "model=gru_metadata"
    )
    row = run_job(job, tmp_path / "job")
    assert row["budget"] == 0 and row["n_test"] == 33 and 0 <= row["auroc_macro"] <= 1
    with pytest.raises(ValueError, match=r"a budget of 0 labels trains nothing.*head=source"):
        run_job(settings("data_fraction=count", "data_fraction.count=0"), tmp_path / "other")


def test_a_class_absent_from_a_small_budget_is_said_and_survives(
    settings: Job, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    row = run_job(
        settings("freeze_policy=from_scratch", "data_fraction=count", "data_fraction.count=6"), tmp_path / "job"
    )
    assert row["absent_in_training"]
    assert f"no training object of {', '.join(row['absent_in_training'])} among the 6 labels of seed 0" in caplog.text
    assert all(row[f"auroc/{name}"] is not None for name in row["absent_in_training"])


@pytest.mark.parametrize("head", ["linear", "mlp", "source"])
def test_metadata_and_heads_train_end_to_end(head: str, settings: Job, tmp_path: Path) -> None:
    row = run_job(settings("model=gru_metadata", f"head={head}", "freeze_policy=full"), tmp_path / "job")
    assert row["head"] == head and load_model(tmp_path / "job").metadata == ("mwebv",)


class Mean(Encoder):
    """The least an encoder is: the mean of a layer's output over the valid steps."""

    parts = ("layer",)

    def __init__(self, n_channels: int) -> None:
        super().__init__()
        self.out_features = 6
        self.layer = nn.Linear(n_channels, 6)

    def forward(self, x: Tensor, lengths: Tensor, metadata: Tensor) -> Tensor:
        valid = torch.arange(x.shape[1]) < lengths[:, None]
        return (torch.relu(self.layer(x)) * valid[..., None]).sum(1) / lengths[:, None]


@pytest.mark.parametrize("policy", ["head_only", "layerwise"])
def test_an_encoder_needs_forward_its_size_and_its_parts_alone(
    policy: str, settings: Job, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ENCODERS, "mean", Mean)
    job = settings(f"freeze_policy={policy}", "fit.truncate=0.6")
    row = run_job({**job, "model": {"name": "mean"}}, tmp_path / "job")
    assert row["model"] == "mean" and row["epochs"] > 0 and row["frozen_identical"]
    predict.main([str(tmp_path / "job"), str(data / "ztf_bts"), "-o", str(tmp_path / "out.parquet")])


# -- predict equals evaluation


@pytest.mark.parametrize(
    "options",
    [
        ["freeze_policy=full", "head=linear"],
        ["freeze_policy=full", "head=source"],
        ["freeze_policy=from_scratch", "encoding=context", "target.reader.extra=[host]", "model.metadata=[host,mwebv]"],
    ],
    ids=["linear", "source", "extra column"],
)
def test_predict_equals_evaluation(
    options: list[str], settings: Job, tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_job(settings("model=gru_metadata", *options), tmp_path / "job")
    predict.main([str(tmp_path / "job"), str(data / "ztf_bts"), "-o", str(tmp_path / "out.parquet")])
    evaluated = pq.read_table(tmp_path / "job" / "predictions.parquet").to_pandas().set_index("object_id")
    predicted = pq.read_table(tmp_path / "out.parquet").to_pandas().set_index("object_id")
    columns = [name for name in evaluated if name.startswith("p(")]
    assert len(predicted) == 168 and len(evaluated) == 33
    assert (evaluated[columns] - predicted.loc[evaluated.index, columns]).abs().max().max() < 1e-6
    assert "168 objects" in capsys.readouterr().out

    for name in ("objects", "observations"):  # the same objects alone: to the last bit
        table = pd.read_parquet(data / "ztf_bts" / f"{name}.parquet")
        (tmp_path / "test").mkdir(exist_ok=True)
        table[table.object_id.isin(evaluated.index)].to_parquet(tmp_path / "test" / f"{name}.parquet")
    predict.main([str(tmp_path / "job"), str(tmp_path / "test"), "-o", str(tmp_path / "out.parquet")])
    predicted = pq.read_table(tmp_path / "out.parquet").to_pandas().set_index("object_id")
    assert (evaluated[columns] == predicted.loc[evaluated.index, columns]).all().all()


# -- the command line


def test_the_word_for_a_sweep_may_stand_anywhere(train_cli: CLI, tmp_path: Path) -> None:
    """`+experiment=plasticc2bts -m seed=0,1,2` is what the help says and what people type."""
    train_cli(SCRATCH, "-m", "seed=0,1")
    assert jobs(tmp_path / "results") == [f"default/from_scratch/full/seed{seed}" for seed in (0, 1)]


def test_a_sweep_leaves_a_result_per_job_at_its_coordinates(train_cli: CLI, tmp_path: Path) -> None:
    train_cli(
        "experiment_name=sweep",
        "seed=0,1",
        "freeze_policy=from_scratch,full",
        "data_fraction=count",
        "data_fraction.count=50",
        "-m",
    )
    expected = [f"sweep/{policy}/n50/seed{seed}" for policy in ("from_scratch", "full") for seed in (0, 1)]
    assert jobs(tmp_path / "results") == expected


def test_the_command_line_replaces_an_axis_of_an_experiment(train_cli: CLI, tmp_path: Path) -> None:
    train_cli("+experiment=plasticc2bts", "-m", "seed=0", "freeze_policy=from_scratch", "data_fraction=full,25pct")
    assert jobs(tmp_path / "results") == [f"plasticc2bts/from_scratch/{budget}/seed0" for budget in ("25pct", "full")]


def test_one_failed_job_does_not_take_the_sweep_down(
    train_cli: CLI, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        train_cli("freeze_policy=from_scratch", "data_fraction=count", "data_fraction.count=5000,50", "-m")
    assert stop.value.code == 1
    assert jobs(tmp_path / "results") == ["default/from_scratch/n50/seed0"]
    message = said(capsys)
    assert (
        "from_scratch/n5000/seed0: label budget of 5000 objects: the pool holds 131" in message
        and message.count("error:") == 1
    )


MISTAKES = {
    "missing data folder": ([SCRATCH, "paths.data=/no/such"], r"no data folder /no/such/ztf_bts: set paths.data=FOLDER"),
    "missing source folder": (["source=table", "source.reader.objects=/no/such/o.csv"], r"no data folder /no/such: set paths.data"),
    "missing column": ([SCRATCH, "++target.reader.columns.label=typ"], r"lacks the column\(s\) typ \(label\); it has object_id, source_class, class"),
    "misspelt band column": ([SCRATCH, "++target.reader.columns.band=bnd"], r"lacks the column\(s\) bnd \(band\).*columns.band=COLUMN"),
    "unknown band": ([SCRATCH, "++target.reader.columns.label=source_class", "~target.passbands.table.ztfr"], r"unknown passband 'r' \(\d+ obs.*known are"),
    "unknown label": ([SCRATCH, "++target.reader.columns.label=phot_origin"], r"bts: unknown class label 'antares_alert' \(\d+\), .*; the taxonomy maps SN Ia"),
    "no object in the window": ([SCRATCH, "target.selection.window=[-30,-20]"], r"bts: no object is left after the cuts"),
    "budget larger than the pool": ([SCRATCH, "data_fraction=count", "data_fraction.count=999"], r"budget of 999 objects: the pool holds 131; choose 5 to 131"),
    "everything drawn": ([SCRATCH, "protocol.test=remainder"], r"test=remainder leaves none to test on"),
    "misspelt freeze pattern": ([SCRATCH, "freeze_policy.train=[encodr.*]"], r"train pattern 'encodr.\*' matches no parameter; the parts are encoder.dense.\*"),
    "a policy's key of before": (["+freeze_policy.then_train=[head.*]"], r"freeze_policy: unknown option then_train; known are name, load, train, then"),
    "warm-up of one_cycle": ([SCRATCH, "schedule=one_cycle", "schedule.warmup_steps=5"], r"schedule.warmup_steps"),
    "schedule within fit": ([SCRATCH, "+fit.schedule=one_cycle"], r"fit.schedule .*schedule=one_cycle"),
    "misspelt option of the optimizer": ([SCRATCH, "+optimizer.weigth_decay=1"], r"optimizer.*weigth_decay.*weight_decay"),
    "optimizer that is none": ([SCRATCH, "optimizer._target_=torch.optim.lr_scheduler.StepLR"], r"optimizer"),
    "callback that is none": ([SCRATCH, "+callbacks.mine._target_=tlclass.surveys.Table"], r"callbacks.mine"),
    "strategy of processes of its own": ([SCRATCH, "+trainer.strategy=fsdp"], r"trainer.strategy is 'fsdp'"),
    "misspelt option of a candidate": (["freeze_policy=chosen", "+freeze_policy.candidates.full.trian=[]"], r"candidates.full: unknown option trian"),
    "candidate that loads nothing": (["freeze_policy=chosen", "freeze_policy.candidates.full.load=[]"], r"freeze_policy.candidates: 'full' loads nothing, and"),
    "neither loaded nor trained": ([SCRATCH, "freeze_policy.train=[head.*]"], r"would be neither loaded nor trained"),
    "no source model": (["source_model=/no/model"], r"no model at /no/model: it must hold model.json and model.safetensors"),
    "metadata column": ([SCRATCH, "model.metadata=[distance]"], r"metadata distance is no numeric column; there are mwebv"),
    "wrong monitor": ([SCRATCH, "fit.monitor=loss"], r"fit.monitor is 'loss': choose one of"),
    "misspelt override": (["fit.learning_rat=0.1"], r"learning_rat"),
    "misspelt override, forced": ([SCRATCH, "+fit.learning_rat=0.1"], r"learning_rat"),
    "misspelt head option, forced": ([SCRATCH, "+head.hiden=3"], r"hiden"),
    "misspelt group, forced": ([SCRATCH, "+freez_policy=full"], r"freez_policy"),
    "metadata that are not numbers": ([SCRATCH, "model.metadata=[object_id]"], r"metadata object_id"),
    "misspelt group": (["freez_policy=full"], r"freez_policy"),
    "unknown option": (["freeze_policy=ful"], r"(?s)ful.*from_scratch"),
    "unknown experiment": (["+experiment=plastic"], r"(?s)plastic.*plasticc2bts"),
    "unknown survey of several": (["source=[bts,nowhere]"], r"error: survey 'nowhere' is unknown: choose one of alerts_simulated, bts, .*ztf_snana\n"),
    "a survey twice": (["source=[bts,bts]"], r"source=\[bts,bts\]: list two surveys or more, and none twice"),
    "no survey": (["source=[]"], r"list two surveys or more"),
    "a survey of the experiment again": (["+experiment=several2plasticc", "source=[ztf_simulated,bts]"], r"the experiment has ztf_simulated among its"),
    "several targets": (["target=[bts,plasticc]"], r"the target is one survey; only the source can be several"),
    "several without parts": (["source=several"], r"source=several has no parts: write source=\[NAME,NAME\]"),
    "augmentation by value": (["pretrain.augmentation=alerts"], r"augmentation is 'alerts': choose a file of conf/augmentation"),
    "augmentation out of range": ([SCRATCH, "augmentation.thin=[2,3]"], r"augmentation.thin is \[2, 3\]: give \[low, high\] between 0 and 1"),
    "misspelt augmentation, forced": ([SCRATCH, "+augmentation.thinn=1"], r"thinn"),
    "misspelt pretraining": (["+pretrain.learning_rate=3e-4"], r"unknown setting pretrain.learning_rate; known are pretrain.seed, .*pretrain.fit"),
    "pretraining has no members": (["+pretrain.members=3"], r"unknown setting pretrain.members; known are"),
    "misspelt budget": ([SCRATCH, "+data_fraction.counts=3"], r"unknown setting data_fraction.counts; known are data_fraction.name, "),
    "misspelt path": ([SCRATCH, "+paths.model=m"], r"unknown setting paths.model; known are paths.data, "),
    "budget by value": (["pretrain.data_fraction=n100"], r"pretrain.data_fraction is 'n100': set pretrain.data_fraction.name, "),
    "misspelt protocol": ([SCRATCH, "+protocol.foo=1"], r"protocol: unknown option foo; known are test, test_fraction, validation"),
    "misspelt protocol of the source": ([SCRATCH, "+pretrain.protocol.foo=1"], r"pretrain.protocol: unknown option foo; known are"),
    "no validation": ([SCRATCH, "protocol.validation_fraction=0"], r"protocol.validation_fraction is 0: choose a share between 0 and 1"),
    "misspelt fit of the source": ([SCRATCH, "+pretrain.fit.learning_rat=0.1"], r"pretrain.fit: unknown option learning_rat; known are"),
    "epochs of the trainer": ([SCRATCH, "+trainer.max_epochs=3"], r"trainer: max_epochs cannot be set \(epochs and validation are options of fit"),
    "misspelt trainer option": ([SCRATCH, "+trainer.precison=16"], r"trainer: precison cannot be set .*allowed are accelerator"),
    "no network": ([SCRATCH, "members=0"], r"members is 0: choose how many networks are averaged, 1 or more"),
    "half a network": ([SCRATCH, "members=true"], r"members is True: give a whole number"),
    "a word for a seed": ([SCRATCH, "seed=abc"], r"seed is 'abc': give a whole number"),
    "half a seed": ([SCRATCH, "seed=1.5"], r"seed is 1.5: give a whole number"),
    "no thread": ([SCRATCH, "threads=0"], r"threads is 0: choose 1 or more"),
    "a word for a budget": ([SCRATCH, "data_fraction.fraction=abc"], r"data_fraction.fraction is 'abc': give a finite number"),
    "half a label": ([SCRATCH, "data_fraction=count", "data_fraction.count=50.5"], r"data_fraction.count is 50.5: give a whole number"),
    "no learning rate": ([SCRATCH, "fit.learning_rate=nan"], r"fit.learning_rate is nan: give a finite number"),
    "wrong batches of the source": (["freeze_policy=full", "pretrain.fit.batch_size=1.5"], r"pretrain.fit.batch_size is 1.5: give a whole"),
    "twins": (["source=plasticc_simulated", "target=lsst_simulated", "target.seed=404"], r"same seed 404, so that .*target.seed=405"),
    "its own source": (["source=ztf_simulated", "target=ztf_simulated"], r"source and target ztf_simulated are simulated with the same seed 101, so"),
    "no value": (["seed"], r"seed"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_clear_message(
    mistake: str, train_cli: CLI, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments, message = MISTAKES[mistake]
    with pytest.raises(SystemExit) as stop:
        train_cli(*arguments)
    assert stop.value.code in (1, 2)
    text = capsys.readouterr().err
    assert re.search(message, text[text.index("error: ") :]), text
    assert "Traceback" not in text and text.count("error: ") == 1
    assert not jobs(tmp_path / "results")


def test_a_checkpoint_of_another_architecture_lists_both_sides(
    train_cli: CLI, settings: Job, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_job(settings(SCRATCH, "model.hidden=9"), tmp_path / "source")
    with pytest.raises(SystemExit):
        train_cli("freeze_policy=full", f"source_model={tmp_path / 'source'}")
    message = said(capsys)
    assert (
        "its architecture differs" in message
        and "encoder.gru.weight_hh_l0: (27, 9) in the source, (24, 8) here" in message
    )
    with pytest.raises(SystemExit):
        train_cli(
            "freeze_policy=full",
            f"source_model={tmp_path / 'source'}",
            "encoding.flux_scale=1",
            "experiment_name=other",
        )
    assert "set encoding to match" in said(capsys)


def probabilities(folder: Path) -> Any:
    return pd.read_parquet(folder / "predictions.parquet").filter(like="p(").to_numpy()


def test_an_ensemble_is_the_mean_of_networks_from_source_models_of_their_own(settings: Job, tmp_path: Path) -> None:
    same = ["freeze_policy=full", "head=source", "data_fraction=n0", f"paths.models={tmp_path / 'models'}"]
    row = run_job(settings(*same, "members=2"), tmp_path / "both")
    single = [run_job(settings(*same, f"pretrain.seed={k}"), tmp_path / str(k)) for k in range(2)]
    assert len(list((tmp_path / "models").rglob("model.json"))) == 2
    assert (row["members"], single[0]["members"]) == (2, 1)
    apart = [probabilities(tmp_path / str(k)) for k in range(2)]
    assert not np.allclose(*apart, atol=1e-3)
    assert np.allclose(probabilities(tmp_path / "both"), np.mean(apart, axis=0), atol=1e-6)
    model = load_model(tmp_path / "both")
    assert len(model.members) == 2
    trained = run_job(
        settings(
            "freeze_policy=head_only",
            "head=source",
            "head.use_shares=false",
            "members=2",
            f"source_model={tmp_path / 'both'}",
        ),
        tmp_path / "on",
    )
    assert trained["members"] == 2


def test_ensembles_of_two_pretraining_seeds_share_no_source_model(settings: Job, tmp_path: Path) -> None:
    same = ["freeze_policy=full", "head=source", "data_fraction=n0", f"paths.models={tmp_path / 'models'}", "members=2"]
    for seed in (0, 1):
        run_job(settings(*same, f"pretrain.seed={seed}"), tmp_path / str(seed))
    assert len(list((tmp_path / "models").rglob("model.json"))) == 4


def test_an_ensemble_given_as_the_source_says_how_many_members_it_needs(
    train_cli: CLI, settings: Job, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_job(settings(SCRATCH, "members=2"), tmp_path / "both")
    with pytest.raises(SystemExit):
        train_cli("freeze_policy=full", f"source_model={tmp_path / 'both'}")
    assert "holds 2 network(s): set members=2" in said(capsys)


def test_a_matched_flux_scale_is_the_one_of_each_survey(
    settings: Job, train_cli: CLI, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    matched = ["freeze_policy=full", "encoding=paper_matched", "source.typical_flux=25", "target.typical_flux=2800"]
    run_job(settings(*matched, f"paths.models={tmp_path / 'models'}"), tmp_path / "job")
    (source,) = (tmp_path / "models").rglob("model.json")
    scales = [load_model(path).encoding.flux_scale for path in (source, tmp_path / "job")]  # type: ignore[attr-defined]
    assert scales == [25, 2800]
    with pytest.raises(SystemExit):
        train_cli("freeze_policy=full", "encoding=paper_matched", "target.typical_flux=null")
    assert "its card states no typical_flux: add one" in said(capsys)


def test_a_mistake_corrected_in_the_same_place_just_runs(
    train_cli: CLI, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        train_cli(SCRATCH, "fit.monitor=loss")
    train_cli(SCRATCH)
    assert jobs(tmp_path / "results") == ["default/from_scratch/full/seed0"]


def test_the_composed_configuration_is_shown(
    train_cli: CLI, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    train_cli("+experiment=plasticc2bts", "seed=7", "--cfg", "job")
    shown = capsys.readouterr().out
    assert "experiment_name: plasticc2bts" in shown and "seed: 7" in shown
    assert not (tmp_path / "results").exists()


@pytest.mark.slow
def test_help_from_another_folder(process: Process, tmp_path: Path) -> None:
    help_text = process("tlclass.train", "--help", cwd=tmp_path)
    assert help_text.returncode == 0, help_text.stderr
    assert all(
        word in help_text.stdout for word in ("freeze_policy", "from_scratch", "data_fraction", "paths.data=FOLDER")
    )
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_the_front_door(process: Process, overrides: list[str], tmp_path: Path, data: Path) -> None:
    """Train, sweep, report and predict as a user does, from another folder, saying nothing alarming."""
    (tmp_path / "cwd").mkdir()
    here = [item for item in overrides if not item.startswith(("paths.results", "logger"))]
    sweep = [
        "+experiment=plasticc2bts",
        *here,
        "freeze_policy=from_scratch,full",
        "seed=0,1",
        "data_fraction=count",
        "data_fraction.count=50",
        "-m",
    ]
    run = process("tlclass.train", *sweep, cwd=tmp_path / "cwd")
    assert run.returncode == 0, run.stderr
    assert "Warning" not in run.stdout + run.stderr and "Traceback" not in run.stderr
    assert "transfer 'full'" in run.stdout and "source classes: SNIa" in run.stdout
    results = tmp_path / "cwd" / "results" / "plasticc2bts"
    assert len(jobs(results)) == 4
    assert (results / "full" / "n50" / "seed0" / "metrics.csv").exists()
    report = process("tlclass.report", str(results), cwd=tmp_path)
    assert (
        report.returncode == 0
        and "from_scratch" in report.stdout
        and "plasticc (simulated) to bts (real)" in report.stdout
    )
    assert {"results.csv", "summary.csv"} <= {path.name for path in results.iterdir()}
    out = process(
        "tlclass.predict", str(results / "full" / "n50" / "seed0"), str(data / "ztf_bts"), "-o", "out.csv", cwd=tmp_path
    )
    assert out.returncode == 0 and len(pd.read_csv(tmp_path / "out.csv")) == 168


# -- interrupted and resumed


LONG = [
    "fit.max_epochs=40",
    "fit.patience_epochs=200",
    "model.hidden=32",
    "fit.truncate=0.3",
]
CHOSEN = ["freeze_policy.folds=2", "~freeze_policy.candidates.probe_then_full", "fit.average=0.9"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "policy", "stage", "more"),
    [
        (signal.SIGKILL, "probe_then_full", "stage0", ["schedule=one_cycle"]),
        (signal.SIGTERM, "probe_then_full", "stage1", ["schedule=constant"]),
        (signal.SIGKILL, "layerwise", "stage0", ["fit.average=0.9", "fit.l2_sp=0.01", "schedule.warmup_steps=99"]),
        (signal.SIGKILL, "full", "stage0", ["schedule=one_cycle", "augmentation=alerts", "fit.balance=true"]),
        (signal.SIGTERM, "chosen", "full/fold1/stage0", CHOSEN),
    ],
    ids=["SIGKILL", "SIGTERM", "options", "augmented", "chosen"],
)
def test_an_interrupted_job_ends_where_an_uninterrupted_one_does(
    how: signal.Signals,
    policy: str,
    stage: str,
    more: list[str],
    settings: Job,
    overrides: list[str],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    more = [f"freeze_policy={policy}", *more]
    job = settings(*LONG, *more)
    run_job(job, tmp_path / "whole")
    folder = tmp_path / "results" / "default" / policy / "full" / "seed0"
    command = [sys.executable, "-m", "tlclass.train", *overrides, *LONG, *more]
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    deadline = time.monotonic() + 120
    while (
        not (folder / "checkpoints" / "member0" / stage / "last.ckpt").exists()
        and process.poll() is None
        and time.monotonic() < deadline
    ):
        time.sleep(0.01)
    time.sleep(0.2)  # into the middle of it
    process.send_signal(how)
    _, errors = process.communicate(timeout=60)
    assert not (folder / "result.json").exists(), "the job was over before it could be interrupted"
    assert (folder / "checkpoints" / "member0" / stage / "last.ckpt").exists(), errors.decode()
    assert process.returncode == (-9 if how == signal.SIGKILL else 143)
    caplog.clear()
    run_job(job, folder)
    assert "resuming from" in caplog.text
    assert result(folder) == result(tmp_path / "whole")
    assert validations(folder) == validations(tmp_path / "whole")
    assert (folder / "model.safetensors").read_bytes() == (tmp_path / "whole" / "model.safetensors").read_bytes()


def test_a_half_pretrained_source_is_finished_and_not_used(settings: Job, tmp_path: Path) -> None:
    job = settings("freeze_policy=full", f"paths.models={tmp_path / 'models'}")
    row = run_job(job, tmp_path / "whole")
    source = next((tmp_path / "models").rglob("result.json")).parent
    (source / "result.json").unlink()  # as a kill just before the end leaves it
    shutil.rmtree(tmp_path / "whole")
    assert run_job(job, tmp_path / "whole") == row
    assert (source / "result.json").exists()


# -- simulated surveys


@pytest.mark.slow
@pytest.mark.parametrize("target", ["bts_simulated", "lsst_simulated"])
def test_simulated_surveys_transfer_through_the_same_door(target: str, settings: Job, tmp_path: Path) -> None:
    surveys = ["source=ztf_simulated", f"target={target}", "source.n_objects=240", "target.n_objects=240"]
    row = run_job(settings(*surveys, "head=source", "freeze_policy=full", "encoding=context"), tmp_path / "job")
    assert row["simulated"] and row["source_simulated"] and row["target"] == target
    assert json.loads((tmp_path / "job/model.json").read_text())["simulated"]


def test_a_source_that_lacks_a_class_of_the_target_is_named(settings: Job, tmp_path: Path) -> None:
    job = settings("head=source", "freeze_policy=full")
    job["paths"]["models"] = str(tmp_path / "models")
    job["target"]["taxonomy"]["members"]["TDE"] = []
    job["target"]["taxonomy"]["members"]["SN II"] = ["SN II*"]
    with pytest.raises(ValueError, match=r"head=source: no class of the source \(.*\) belongs to SN II: .*head=linear"):
        run_job(job, tmp_path / "job")
    assert not (tmp_path / "models").exists()


BUILT_IN = [
    ["+experiment=best_transfer", "target=bts_simulated"],
    ["+experiment=best_transfer_lsst", "target=lsst_simulated"],
]


@pytest.mark.parametrize("words", [*([f"+experiment={path.stem}"] for path in EXPERIMENTS), *BUILT_IN], ids=" ".join)
def test_no_experiment_simulates_source_and_target_with_the_same_seed(words: list[str]) -> None:
    job = compose([*words, "paths.data=nowhere"])
    refuse_twins(job["source"], job["target"])


def test_simulated_twins_differ_in_what_the_survey_does_and_are_gone_with_another_seed(
    settings: Job, cache: Path
) -> None:
    def dust(*words: str) -> set[float]:
        card = settings("target=lsst_simulated", "target.n_objects=60", *words)["target"]
        return set(build_survey(card).load(cache)[0].extra["host_av"]) - {0.0}

    wide = ["target.seed=202", "target.limits.magnitude=23.1"]
    assert dust("target.seed=202") & dust(*wide) and not dust() & dust(*wide)


def test_a_simulated_survey_cannot_be_called_real(settings: Job) -> None:
    card = settings("target=bts_simulated", "target.simulated=false")["target"]
    with pytest.raises(ValueError, match="its light curves are simulated"):
        build_survey(card)


def test_one_number_in_a_simulated_card_changes_the_light_curves(settings: Job, cache: Path) -> None:
    plain, clean = (
        build_survey(settings("target=bts_simulated", "target.n_objects=30", *more)["target"]).load(cache)[0]
        for more in ([], ["target.systematics.outlier_fraction=0"])
    )
    assert (plain.object_id == clean.object_id).all() and not np.array_equal(plain.flux, clean.flux)


def test_faint_bright_and_deep_simulations_are_one_source(settings: Job, cache: Path) -> None:
    job = settings(
        "source=alerts_simulated", *(f"source.reader.parts.{part}.n_objects=24" for part in ("faint", "bright", "deep"))
    )
    curves, label = build_survey(job["source"]).load(cache)
    origin = {str(name).split("-")[0] for name in curves.object_id}
    assert origin == {"faint_simulated", "bright_simulated", "deep_simulated"} and set(label) <= set(range(12))
    assert curves.detected.all()  # alerts hold detections only


@pytest.mark.slow
def test_the_recommended_recipe_moves_every_layer_of_every_network(settings: Job, tmp_path: Path) -> None:
    small = [f"source.reader.parts.{part}.n_objects=120" for part in ("faint", "bright", "deep")]
    row = run_job(
        settings(
            "+experiment=best_transfer", "data_fraction=n100", "members=2", "freeze_policy.folds=2", "pretrain.fit.max_epochs=2",
            *small,
        ),
        tmp_path / "job",
    )  # fmt: skip
    assert (row["policy"], row["budget"], row["members"], row["folds"]) == ("transfer", 100, 2, 2)
    assert row["source_simulated"] and not row["simulated"] and row["encoding"] == "context"
    assert {"choice/zero/val_loss", "choice/layerwise/val_loss"} <= set(row)
    assert row["trained_parameters"] == row["parameters"]
    model = load_model(tmp_path / "job")
    assert len(model.members) == 2 and model.classes == ("SN Ia", "SN II", "SN Ib/c", "SLSN-I", "TDE")


def test_a_subset_without_test_objects_is_said_and_left_out(
    settings: Job, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    job = settings("freeze_policy=from_scratch", "target=bts")
    job["target"]["subsets"] = {"deep": {"phot_origin": "nowhere"}, "wide": {"no_such_column": "x"}}
    row = run_job(job, tmp_path / "job")
    assert not any(name.startswith(("deep/", "wide/")) for name in row)
    assert "no test object is in the subset deep" in caplog.text and "no column no_such_column" in caplog.text


# -- several surveys as one source


def test_two_surveys_of_other_bands_and_photometry_are_one_source_through_the_front_door(
    train_cli: CLI, tmp_path: Path, data: Path
) -> None:
    """A list is one value, not an axis; the model file says what it was trained on, and predicts."""
    models = tmp_path / "models"
    train_cli(
        "source=[bts,plasticc]",
        "+source.parts.plasticc.where.ddf=true",
        "head=source",
        "freeze_policy=full",
        f"paths.models={models}",
        "augmentation@pretrain.augmentation=alerts",
        "-m",
        "seed=0,1",
        "pretrain.seed=0",
    )
    assert jobs(tmp_path / "results") == [f"default/full/full/seed{seed}" for seed in (0, 1)]
    row = result(tmp_path / "results/default/full/full/seed0")
    assert row["source"] == "bts+plasticc" and row["target"] == "bts" and row["source_simulated"]
    (source,) = [path.parent for path in models.rglob("model.json")]
    assert {"bts/auroc_macro", "plasticc/auroc_macro", "auroc/SNIbc"} <= set(result(source))
    model = load_model(source)
    assert model.classes == load_model(source).taxonomy.classes and len(model.passbands.names) == 9
    assert model.selection.photometry.kind == "detections" and model.simulated
    used = json.loads((source / "split.json").read_text())
    assert {name.split(":")[0] for name in used["train"]} == {"bts", "plasticc"}
    deep = json.loads((source / "survey.json").read_text())["target"]["objects"]
    assert deep["SNIax"] == 5  # half of ten, the rest is not in the deep fields
    bands = ["--column", "band=filter"]
    table = pd.read_parquet(data / "ztf_bts" / "observations.parquet").rename(columns={"band": "filter"})
    table["filter"] = "ztf" + table["filter"]
    table.to_parquet(tmp_path / "alerts.parquet")
    predict.main([str(source), str(tmp_path / "alerts.parquet"), *bands, "-o", str(tmp_path / "out.csv")])
    assert len(pd.read_csv(tmp_path / "out.csv")) == 168


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


@pytest.mark.slow
def test_other_processes_know_several_sources_too(process: Process, overrides: list[str], tmp_path: Path) -> None:
    axes = [
        "source=[bts,plasticc],plasticc",
        "hydra.sweep.subdir=${hydra:runtime.choices.source}",
        "freeze_policy=full",
    ]
    run = process("tlclass.train", *overrides, *axes, "launcher=joblib", "-m", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert jobs(tmp_path / "results") == ["default/bts+plasticc", "default/plasticc"]
