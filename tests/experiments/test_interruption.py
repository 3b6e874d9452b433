"""An interrupted job goes on where it was and ends where an uninterrupted one does."""

import logging
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Job, result, start_forked, validations
from tlclass.experiments.run import run_job
from tlclass.training.task import FitTask

LONG = ["fit.max_epochs=4", "fit.patience_epochs=200", "fit.truncate=0.3"]
CHOSEN = ["method=chosen", "method.folds=2", "~method.candidates.probe_then_full", "fit.average=0.9"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "policy", "stage", "more"),
    [
        (signal.SIGTERM, "probe_then_full", "stage1", ["schedule=constant"]),
        (signal.SIGKILL, "layerwise", "stage0", ["fit.average=0.9", "fit.l2_sp=0.01", "schedule.warmup_steps=99"]),
        (
            signal.SIGKILL,
            "probe_then_full",
            "stage0",
            ["schedule=one_cycle", "augmentation=alerts", "fit.balance=true"],
        ),
        (signal.SIGTERM, "chosen", "full/fold1/stage0", CHOSEN),
    ],
    ids=["SIGTERM", "options", "augmented", "chosen"],
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
    checkpoint = folder / "checkpoints" / "member0" / stage / "last.ckpt"

    def interrupted() -> None:
        """The process sends itself the signal in the middle of an epoch after the checkpoint."""
        step = FitTask.training_step

        def noted(self: FitTask, batch: Any, number: int) -> Any:
            if number == 2 and checkpoint.exists():
                os.kill(os.getpid(), how)
            return step(self, batch, number)

        FitTask.training_step = noted  # type: ignore[method-assign]

    process = start_forked([*overrides, *LONG, *more], tmp_path, tmp_path / "said", first=interrupted)
    process.join(120)
    assert not (folder / "result.json").exists(), "the job was over before it could be interrupted"
    assert checkpoint.exists(), (tmp_path / "said").read_text()
    assert process.exitcode == (-9 if how == signal.SIGKILL else 143)
    caplog.clear()
    run_job(job, folder)
    assert "resuming from" in caplog.text
    assert result(folder) == result(tmp_path / "whole")
    assert validations(folder) == validations(tmp_path / "whole")
    assert (folder / "model.safetensors").read_bytes() == (tmp_path / "whole" / "model.safetensors").read_bytes()
