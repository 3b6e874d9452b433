"""An interrupted job goes on where it was and ends where an uninterrupted one does."""

import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import ROOT, Job, result, validations
from tlclass.experiments.run import run_job

LONG = [
    "fit.max_epochs=40",
    "fit.patience_epochs=200",
    "model.hidden=32",
    "fit.truncate=0.3",
]
CHOSEN = ["method=chosen", "method.folds=2", "~method.candidates.probe_then_full", "fit.average=0.9"]


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
    more = [*more] if policy == "chosen" else [f"freeze_policy={policy}", *more]
    job = settings(*LONG, *more)
    run_job(job, tmp_path / "whole")
    folder = tmp_path / "results" / "default" / policy / "all" / "seed0"
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
