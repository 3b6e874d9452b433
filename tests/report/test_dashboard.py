import json
import os
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch.loggers import WandbLogger

from tests.conftest import ROOT, Job
from tlclass import train
from tlclass.experiments import loggers
from tlclass.report.dashboard import CURVES

CLI = Callable[..., None]


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


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["inprocess", "joblib"])
def test_a_sweep_leaves_a_run_per_job_and_one_that_sums_up(launcher: str, overrides: list[str], tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "WANDB_MODE": "offline",
        "WANDB_SILENT": "true",
    }
    axes = ["logger=wandb", "freeze_policy=from_scratch", "seed=0,1", f"launcher={launcher}", "-m"]
    command = [sys.executable, "-m", "tlclass.train", *overrides, *axes]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=170, check=False
    )
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "results" / "default"
    assert f"wandb sync $(find {folder} -type d -name 'offline-run-*')" in done.stdout + done.stderr
    runs = {}
    for path in folder.rglob("run-*.wandb"):
        read = records(path)
        (about,) = (record.run for record in read if record.WhichOneof("record_type") == "run")
        runs[about.display_name] = (about, read)
        assert about.run_group == "default"
    assert set(runs) == {"full-seed0", "full-seed1", "default-summary"}
    assert {about.job_type for about, _ in runs.values()} == {"from_scratch", "summary"}
    for seed in (0, 1):
        values = [item for record in runs[f"full-seed{seed}"][1] for item in record.history.item]
        keys = {item.key or "/".join(item.nested_key) for item in values}
        assert {"val/loss", "test/auroc_macro"} <= keys
        logged = [json.loads(i.value_json) for i in values if (i.key or "/".join(i.nested_key)) == "test/auroc_macro"]
        result = json.loads((folder / "from_scratch" / "full" / f"seed{seed}" / "result.json").read_text())
        assert logged == pytest.approx([result["auroc_macro"]])
    summary = runs["default-summary"][1]
    keys = {item.key or item.nested_key[0] for record in summary for item in record.history.item}
    assert {"jobs", "summary", "learning_curves"} <= keys and any(key.startswith(CURVES) for key in keys)
    artifacts = {record.artifact.type for record in summary}
    artifacts |= {record.request.log_artifact.artifact.type for record in summary}
    assert "model" not in artifacts


def test_the_run_of_a_job_ends_with_it_and_says_how(
    monkeypatch: pytest.MonkeyPatch, settings: Job, tmp_path: Path
) -> None:
    codes: list[int] = []
    monkeypatch.setattr("wandb.finish", lambda exit_code: codes.append(exit_code))
    monkeypatch.setattr(train, "make_logger", lambda *_: WandbLogger(offline=True))
    monkeypatch.setattr("tlclass.experiments.job.run", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        train.run_job(settings("freeze_policy=from_scratch"), tmp_path / "job")
    assert codes == [1]
    with loggers.ending(WandbLogger(offline=True)):
        pass
    assert codes == [1, 0]
