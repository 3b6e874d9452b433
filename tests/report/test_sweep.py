"""What a sweep varies beyond arm, labels and seed makes arms of their own in the report."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tlclass.report.sweep import make_sweep, read_sweeps


def jobs(*varied: dict[str, Any], seeds: int = 2) -> pd.DataFrame:
    """A row per job, as `results_table` gives them."""
    rows = []
    for seed in range(seeds):
        for number, more in enumerate(varied):
            row = {
                "arm": "full",
                "labels": 100,
                "seed": seed,
                "target": "bts",
                "source": "plasticc",
                "encoding": "paper",
            }
            row |= {"folder": f"{number}/{seed}", "reference": False, "trained_parameters": 10, "auroc_macro": 0.5}
            row |= {
                "settings/fit.learning_rate": "0.001",
                "settings/seed": str(seed),
                "settings/augmentation.name": "none",
            }
            rows.append(row | more)
    return pd.DataFrame(rows)


def test_learning_rates_are_arms() -> None:
    sweep = make_sweep("s", jobs({}, {"settings/fit.learning_rate": "0.003"}))
    assert sweep.arms == ["full, fit.learning_rate=0.001", "full, fit.learning_rate=0.003"]
    assert set(sweep.jobs["base"]) == {"full"} and sweep.grid(sweep.arms[0], "auroc_macro").shape == (2, 1)


def test_two_varied_settings_name_an_arm_together_and_what_goes_with_one_of_them_does_not() -> None:
    alerts = {"settings/augmentation.name": "alerts", "settings/augmentation.thin": "[0.3]"}
    fast = {"settings/fit.learning_rate": "0.003"}
    none = {"settings/augmentation.thin": ""}
    sweep = make_sweep("s", jobs(none, alerts, none | fast, alerts | fast))
    assert len(sweep.arms) == 4 and "full, fit.learning_rate=0.003, augmentation=alerts" in sweep.arms


def test_what_follows_from_the_seed_or_the_labels_is_no_arm() -> None:
    table = jobs({}, {"labels": 300, "settings/fit.batch_size": "64"}).fillna({"settings/fit.batch_size": "32"})
    table["settings/pretrain.seed"] = table["seed"].astype(str)
    assert make_sweep("s", table).arms == ["full"]


def test_the_same_coordinates_twice_are_refused_with_both_folders() -> None:
    with pytest.raises(ValueError, match=r"\bs\b.*0/0.*1/0"):
        make_sweep("s", jobs({}, {}))


def test_classes_stand_in_the_order_of_their_own_experiment(tmp_path: Path) -> None:
    for experiment, classes in (("a", ("TDE", "SNIa")), ("b", ("SNIa", "AGN", "TDE"))):
        row = {key: value for key, value in jobs({}).iloc[0].to_dict().items() if "/" not in key and key != "folder"}
        row |= {"experiment": experiment, "settings": {}, **{f"auroc/{name}": 0.5 for name in classes}}
        (tmp_path / experiment).mkdir()
        (tmp_path / experiment / "result.json").write_text(json.dumps(row))
    first, second = read_sweeps([tmp_path])
    assert first.classes == ["TDE", "SNIa"] and second.classes == ["SNIa", "AGN", "TDE"]


def test_a_job_that_repeats_another_counts_once(caplog: pytest.LogCaptureFixture) -> None:
    table = jobs({"config_key": "k"}, {"config_key": "k"}, seeds=1)
    assert len(make_sweep("s", table).jobs) == 1 and "repeats a job with the same configuration" in caplog.text
