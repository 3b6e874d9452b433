import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import start_forked

optuna = pytest.importorskip("optuna", reason="needs the extra search")

from benchmarks import search  # noqa: E402


@pytest.fixture
def _forked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The command of a trial without the seconds that its imports take."""

    def run(command: Sequence[str], **options: Any) -> subprocess.CompletedProcess[str]:
        assert [*command[:3]] == [sys.executable, "-m", "tlclass.train"]
        process = start_forked(command[3:], tmp_path, tmp_path / "said")
        process.join(170)
        return subprocess.CompletedProcess([*command], process.exitcode or 0)

    monkeypatch.setattr(search.subprocess, "run", run)


@pytest.mark.usefixtures("_forked")
def test_a_search_keeps_its_study_and_its_jobs(overrides: list[str], tmp_path: Path) -> None:
    words = [*overrides, "freeze_policy=from_scratch", "target=bts"]
    assert len(search.search(words, 1, tmp_path / "search").trials) == 1
    again = search.search(words, 1, tmp_path / "search")
    assert [trial.state.name for trial in again.trials] == ["COMPLETE", "COMPLETE"]
    assert set(again.best_params) == set(search.SPACE)
    assert {path.parent.name for path in (tmp_path / "search").rglob("result.json")} == {"trial0", "trial1"}


def test_a_failed_job_is_a_pruned_trial(tmp_path: Path) -> None:
    with pytest.raises(optuna.TrialPruned, match="trial0"):
        search.job(["target=nothing"], tmp_path / "trial0")
