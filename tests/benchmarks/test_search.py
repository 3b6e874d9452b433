from pathlib import Path

import pytest

optuna = pytest.importorskip("optuna", reason="needs the extra search")

from benchmarks import search  # noqa: E402


@pytest.mark.slow
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
