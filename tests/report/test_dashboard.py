import importlib
import json
import os
import struct
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import start_forked
from tlclass.report.dashboard import CURVES


def records(path: Path) -> list[Any]:
    """What W&B wrote into its own offline file: a LevelDB log of protocol buffers after a header of 7 bytes."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, position, parts, read = path.read_bytes(), 7, b"", []
    assert data[:4] == b":W&B"
    while position + 7 < len(data):
        left = 32768 - position % 32768
        if left < 7:  # the rest of a block is padding
            position += left
            continue
        length, kind = struct.unpack("<HB", data[position + 4 : position + 7])
        parts += data[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):  # whole, or the last part
            read.append(Record.FromString(parts))
            parts = b""
    return read


def sweep(overrides: list[str], tmp_path: Path, *more: str) -> str:
    """What a sweep of two seeds with `logger=wandb` writes, of a user who never ran `wandb login`."""
    words = [
        "freeze_policy=full",
        "seed=0,1",
        "pretrain.seed=0",
        "source=plasticc",
        f"paths.models={tmp_path / 'models'}",
    ]
    importlib.import_module(
        "wandb.sdk.launch.inputs.internal"
    )  # which W&B imports where a run begins: once, before the fork
    absent = dict.fromkeys([name for name in os.environ if name.startswith("WANDB_") or name == "NETRC"])
    said = tmp_path / f"said{len(list(tmp_path.glob('said*')))}"
    process = start_forked(
        [*overrides, *words, *more, "-m"],
        tmp_path,
        said,
        drawn=["learning_curves"],
        forked_workers=True,
        HOME=str(tmp_path),
        **absent,
    )
    process.join(170)
    assert process.exitcode == 0, said.read_text()
    return said.read_text()


def runs_below(*folders: Path) -> dict[str, list[tuple[Any, list[Any]]]]:
    """The runs by name: what each is, and its records; a run that was resumed is there twice."""
    found: dict[str, list[tuple[Any, list[Any]]]] = {}
    for folder in folders:
        for path in sorted(folder.rglob("offline-run-*/run-*.wandb")):
            read = records(path)
            about = next(record.run for record in read if record.WhichOneof("record_type") == "run")
            found.setdefault(about.display_name, []).append((about, read))
    return found


def config_of(about: Any) -> dict[str, Any]:
    return {item.key: json.loads(item.value_json) for item in about.config.update}


def logged_keys(read: list[Any]) -> set[str]:
    return {item.key or "/".join(item.nested_key) for record in read for item in record.history.item}


@pytest.mark.slow
def test_without_a_login_a_sweep_leaves_a_run_per_job_and_one_that_sums_up(
    overrides: list[str], tmp_path: Path
) -> None:
    """In other processes too; and a job that is resumed goes on in its run, while the summary is replaced."""
    more = ["logger=[csv,wandb]", "launcher=joblib", "tags=[mine]", "notes=why", "logger.wandb.artifacts=true"]
    text = sweep(overrides, tmp_path, *more)
    folder = tmp_path / "results" / "default"
    assert str(folder) in text and "wandb sync" in text
    assert not [line for line in text.splitlines() if line.startswith("wandb:")]  # quiet
    runs = runs_below(folder, tmp_path / "models")
    assert sorted(runs) == ["all-seed0", "all-seed1", "default-summary", "plasticc-seed0"]
    assert {about.job_type for [(about, _)] in runs.values()} == {"full", "pretraining", "summary"}
    assert all(about.run_group == "default" and "mine" in about.tags for [(about, _)] in runs.values())
    for seed in (0, 1):
        [(about, read)] = runs[f"all-seed{seed}"]
        place = folder / "full" / "all" / f"seed{seed}"
        result = json.loads((place / "result.json").read_text())
        config = config_of(about)
        assert (config["labels"], config["arm"], config["encoder"]) == (result["labels"], "full", "gru")
        assert config["learning_rate"] == 0.01 and config["source"] == "plasticc" and "settings" in config
        assert about.notes == "why" and {"bts", "source:simulated"} <= set(about.tags)
        assert {"val/loss", "train/loss", "test/auroc_macro"} <= logged_keys(read)
        values = [item for record in read for item in record.history.item]
        scores = [json.loads(i.value_json) for i in values if (i.key or "/".join(i.nested_key)) == "test/auroc_macro"]
        assert scores == pytest.approx([result["auroc_macro"]])
        assert "model" in {record.request.log_artifact.artifact.type for record in read} | {
            r.artifact.type for r in read
        }
        assert (place / "metrics.csv").exists()
    [(about, read)] = runs["default-summary"]
    assert "source:simulated" in about.tags
    assert {"jobs", "summary", "learning_curves"} <= {key.split("/")[0] for key in logged_keys(read)}
    assert any(key.startswith(CURVES) and "plasticc (simulated)" in key for key in logged_keys(read))
    resumed = folder / "full" / "all" / "seed0" / "result.json"
    resumed.unlink()  # as a kill just before the end leaves it
    sweep(overrides, tmp_path, *[word.replace("joblib", "inprocess") for word in more])
    after = runs_below(folder)
    assert {name: len(runs) for name, runs in after.items()} == {"all-seed0": 2, "all-seed1": 1, "default-summary": 1}
    for name in ("all-seed0", "default-summary"):
        assert {about.run_id for about, _ in after[name]} == {runs[name][0][0].run_id}
