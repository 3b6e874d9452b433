"""No number changes: jobs, encoded light curves and stored models give what they gave when the golden files were written.

See `tests.golden.make` for how to write them anew, and when.
"""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import Once
from tests.golden import door, jobs, make, surveys
from tlclass.config import CONF

for package in ("light_curve", "sklearn", "lightgbm", "fastavro"):
    pytest.importorskip(package, reason="needs the extras baselines and alerts")

Golden = dict[str, dict[str, Any]]
ROWS, ENCODED, PROBABILITIES = (
    json.loads(path.read_text()) if path.exists() else {} for path in (make.ROWS, make.ENCODED, make.PROBABILITIES)
)


@pytest.fixture(scope="session")
def workspace(once: Once) -> Path:
    """Data, cache and source models, shared by the jobs."""
    return once("golden", jobs.prepare)


@pytest.fixture(scope="session")
def raw(once: Once) -> Path:
    """Raw files of every survey."""
    return once("raw", surveys.write_raw)


def test_every_job_and_survey_has_its_golden_numbers() -> None:
    assert list(ROWS) == list(jobs.JOBS) and list(ENCODED) == list(surveys.SURVEYS)
    assert list(PROBABILITIES) == list(make.MODELS)
    assert {path.stem for path in (CONF / "survey").glob("*.yaml")} <= {name.split()[0] for name in surveys.SURVEYS}


@pytest.mark.slow
@pytest.mark.parametrize("name", jobs.JOBS)
def test_a_job_gives_the_same_row_and_predictions(name: str, workspace: Path, restored_logging: None) -> None:
    assert not jobs.differences(ROWS[name], jobs.run(name, workspace))


@pytest.mark.parametrize("name", surveys.SURVEYS)
def test_a_survey_gives_the_same_encoded_light_curves(name: str, raw: Path, tmp_path: Path) -> None:
    assert not surveys.differences(ENCODED[name], surveys.describe(name, raw, tmp_path))


@pytest.mark.parametrize("folder", make.MODELS)
def test_a_stored_model_gives_the_same_probabilities(folder: str, tmp_path: Path) -> None:
    found = make.predicted(folder, tmp_path)
    assert list(found) == list(PROBABILITIES[folder])
    now, then = (np.array([table[name] for name in found], dtype=float) for table in (found, PROBABILITIES[folder]))
    assert np.allclose(now, then, rtol=0, atol=jobs.SCORE, equal_nan=True) and np.isfinite(now).any()


# -- the comparison can fail


def changed(golden: Golden, change: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    other = copy.deepcopy(next(iter(golden.values())))
    change(other)
    return other


ROW_CHANGES: list[Callable[[dict[str, Any]], None]] = [
    lambda job: job["row"].update(log_loss=job["row"]["log_loss"] + 2e-5),
    lambda job: job["row"].update(n_test=job["row"]["n_test"] + 1),
    lambda job: job["row"].update(frozen_identical=False),
    lambda job: job["row"].pop("ece"),
    lambda job: job["predictions"]["mean"].update({"p(TDE)": 0.5}),
    lambda job: job["predictions"]["first"].popitem(),
]


@pytest.mark.parametrize("change", ROW_CHANGES)
def test_one_changed_number_of_a_row_is_seen(change: Callable[[dict[str, Any]], None]) -> None:
    golden = next(iter(ROWS.values()))
    assert len(jobs.differences(golden, changed(ROWS, change))) == 1 and not jobs.differences(golden, golden)


CURVE_CHANGES: list[Callable[[dict[str, Any]], None]] = [
    lambda survey: survey["lengths"].__setitem__(0, 1),
    lambda survey: survey["context"]["sum"].__setitem__(
        4, survey["context"]["sum"][4] + 1e-3 * survey["context"]["size"][4]
    ),
    lambda survey: survey["paper"]["first"][1].__setitem__(2, survey["paper"]["first"][1][2] + 1e-5),
    lambda survey: survey["days"]["missing"].__setitem__(0, 1),
]


@pytest.mark.parametrize("change", CURVE_CHANGES)
def test_one_changed_number_of_light_curves_is_seen(change: Callable[[dict[str, Any]], None]) -> None:
    golden = next(iter(ENCODED.values()))
    assert len(surveys.differences(golden, changed(ENCODED, change))) == 1 and not surveys.differences(golden, golden)


def test_a_renamed_row_key_needs_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "RENAMED", {"macro": "auroc_macro", "n_kept": "n_test"})
    assert [jobs.golden_name(key) for key in ("macro@5d", "antares_alert/macro", "n_kept", "macro_x")] == [
        "auroc_macro@5d", "antares_alert/auroc_macro", "n_test", "macro_x",
    ]  # fmt: skip
    assert door.RESULT == "result.json"
