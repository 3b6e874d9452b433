import json
import math
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import compose
from tlclass.atomic import write_json
from tlclass.experiments.result import METRICS, config_key, finished, read_results, write_job, write_result

DATA = {"target": "files"}


OLD: dict[str, Any] = {"fit.learning_rate": 0.001, "seed": 0}
NEW = {**OLD, "fit.learning_rate": 0.002}


def key(*overrides: str) -> str:
    return config_key(compose(overrides))


def test_moved_folders_and_how_it_is_run_are_the_same_experiment() -> None:
    same = ["paths.data=/elsewhere", "paths.models=/m", "paths.results=/r", "paths.cache=/c", "logger=none"]
    same += ["progress=false", "threads=2", "trainer=cpu", "trainer=ddp", "trainer.devices=2"]
    same += ["overwrite=true", "target.citation=Nobody 2000"]
    for override in same:
        assert key(override) == key(), override
    for target in ("target=bts", "target=table"):  # below the data folder, and that folder itself
        assert key(target, "paths.data=/data") == key(target, "paths.data=data")
    assert key("source=ztf_simulated", "source.n_jobs=4") == key("source=ztf_simulated")


def test_what_decides_the_result_changes_the_key() -> None:
    changes = [
        "seed=1", "freeze_policy=head_only", "head=mlp", "fit.learning_rate=0.1", "data_fraction=5pct", "protocol.test=fixed", "model.hidden=99",
        "augmentation=alerts", "augmentation@pretrain.augmentation=alerts", "augmentation.thin=[0.5,1]", "fit.balance=true", "pretrain.fit.balance=true",
        "target=plasticc", "target.selection.window=[-20,70]", "encoding.flux_scale=1", "target.taxonomy.common=[]", "source=plasticc_ddf",
        "fit.l2_sp=0.1", "pretrain.schedule.warmup_steps=3", "fit.average=0.5", "+trainer.precision=16-true", "+trainer.gradient_clip_val=1",
    ]  # fmt: skip
    keys = {key(change) for change in changes}
    assert len(keys) == len(changes) and key() not in keys


def test_a_job_is_finished_when_its_result_is_written(tmp_path: Path) -> None:
    assert finished(tmp_path, OLD, DATA, overwrite=False) is None
    write_job(tmp_path, OLD, DATA)
    assert finished(tmp_path, OLD, DATA, overwrite=False) is None  # interrupted: there is work to do
    write_result(tmp_path, {"config_key": "k", "auroc_macro": 0.5})
    assert finished(tmp_path, OLD, DATA, overwrite=False) == {"config_key": "k", "auroc_macro": 0.5}


@pytest.mark.parametrize(
    ("settings", "data", "parts"),
    [
        (NEW, DATA, ("fit.learning_rate", "0.001", "0.002", "experiment_name")),
        ({**OLD, "members": 3}, DATA, ("members", "not set", "3")),
        (OLD, {"target": "other"}, ("target", "experiment_name")),
    ],
    ids=["another value", "another setting", "other data"],
)
@pytest.mark.parametrize("left", ["result.json", "checkpoints/last.ckpt"])
def test_another_job_in_the_same_place_is_an_error_that_names_both_values_unless_overwritten(
    left: str, settings: dict[str, Any], data: dict[str, str], parts: tuple[str, ...], tmp_path: Path
) -> None:
    write_job(tmp_path, OLD, DATA)
    write_json(tmp_path / left, {"config_key": "old"})
    (tmp_path / METRICS).write_text("step\n7\n")
    with pytest.raises(ValueError, match=r"overwrite=true") as refused:
        finished(tmp_path, settings, data, overwrite=False)
    assert all(part in str(refused.value) for part in (str(tmp_path), *parts)), refused.value
    assert "seed" not in str(refused.value)  # which is the same
    assert (tmp_path / left).exists()  # refusing loses nothing
    assert finished(tmp_path, settings, data, overwrite=True) is None
    assert not (tmp_path / left).exists() and not (tmp_path / METRICS).exists()


def test_of_many_differences_the_first_are_named_and_the_rest_counted(tmp_path: Path) -> None:
    write_job(tmp_path, {f"a{k}": 0 for k in range(9)}, DATA)
    write_json(tmp_path / "result.json", {})
    with pytest.raises(ValueError, match=r"a4 was 0 and is now 1.* 4 more") as refused:
        finished(tmp_path, {f"a{k}": 1 for k in range(9)}, DATA, overwrite=False)
    assert "a5" not in str(refused.value)


def test_missing_scores_are_null_in_json(tmp_path: Path) -> None:
    write_result(tmp_path, {"config_key": "k", "auroc/TDE": float("nan"), "nested": [float("nan"), 1.0]})
    text = (tmp_path / "result.json").read_text()
    assert "NaN" not in text
    row: dict[str, Any] = json.loads(text)
    assert row["auroc/TDE"] is None and row["nested"] == [None, 1.0]


def test_missing_scores_of_a_finished_job_are_not_a_number_again(tmp_path: Path) -> None:
    write_result(tmp_path, {"config_key": "k", "auroc_macro": float("nan"), "chosen": "full"})
    row = finished(tmp_path, OLD, DATA, overwrite=False)
    assert row is not None and math.isnan(row["auroc_macro"]) and row["chosen"] == "full"


def test_all_rows_below_a_folder_are_read(tmp_path: Path) -> None:
    for name in ("b/seed1", "a/seed0"):
        write_result(tmp_path / name, {"config_key": name})
    rows = read_results(tmp_path)
    assert [row["config_key"] for row in rows] == ["a/seed0", "b/seed1"]
    assert rows[0]["folder"] == str(tmp_path / "a" / "seed0")


def test_no_result_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=f"no result.json below {tmp_path}: name the folder of an experiment"):
        read_results(tmp_path)


def test_begun_jobs_without_a_result_are_counted(tmp_path: Path) -> None:
    for number in range(2):
        write_job(tmp_path / f"seed{number}", OLD, DATA)
    with pytest.raises(
        FileNotFoundError, match=f"none of the 2 jobs below {tmp_path} is finished: run the same command"
    ):
        read_results(tmp_path)


@pytest.mark.parametrize("content", ['{"a":', "", "\x00\xff"])
@pytest.mark.parametrize("name", ["job.json", "result.json"])
def test_a_damaged_file_is_named_with_what_to_do(name: str, content: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content, encoding="latin-1")
    said = f"{tmp_path / name} is damaged .*: delete the folder {tmp_path} and run the same command again"
    with pytest.raises(ValueError, match=said):
        finished(tmp_path, OLD, DATA, overwrite=False)
    if name == "result.json":
        with pytest.raises(ValueError, match=said):
            read_results(tmp_path)
