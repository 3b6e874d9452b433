"""The debug groups: does it run at all, can it learn, where does the time go."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

from tests.conftest import start_forked

CLI = Callable[..., None]
SMALL = ["freeze_policy=from_scratch", "target=bts"]


def history(results: Path) -> list[dict[str, float]]:
    (path,) = results.rglob("history.json")
    lines: list[dict[str, float]] = json.loads(path.read_text())
    return lines


def test_one_batch_trains_one_batch_and_can_be_repeated(train_cli: CLI, tmp_path: Path) -> None:
    for _ in range(2):
        train_cli("debug=one_batch", *SMALL, "fit.max_epochs=1", "fit.min_steps=0")
    assert history(tmp_path / "results" / "debug")[-1]["step"] == 1


def test_a_network_learns_a_few_objects_by_heart(train_cli: CLI, tmp_path: Path) -> None:
    train_cli(*SMALL, "debug=overfit", "logger=csv", "model.hidden=32", "fit.max_epochs=60", "fit.patience_epochs=300")
    (path,) = (tmp_path / "results" / "debug").rglob("metrics.csv")
    with path.open() as file:
        losses = [float(row["train/loss"]) for row in csv.DictReader(file) if row.get("train/loss")]
    assert losses[-1] < 0.2 * losses[0]


def test_the_profiler_tells_where_the_time_goes(overrides: list[str], tmp_path: Path) -> None:
    process = start_forked([*overrides, *SMALL, "debug=profiler"], tmp_path, tmp_path / "said")
    process.join(170)
    said = (tmp_path / "said").read_text()
    assert process.exitcode == 0 and "run_training_epoch" in said, said
