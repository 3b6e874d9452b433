import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.report.sweeps import scratch, shifted, write_sweep
from tlclass.lightcurves.brightness import THIRDS
from tlclass.report.convergence import convergence, convergence_table, goals, histories
from tlclass.report.sweep import Sweep, data_note, missing_cells, read_sweeps, unfinished_jobs, untested_classes
from tlclass.report.tables import (
    class_table,
    comparison_table,
    counts_table,
    efficiency_table,
    magnitude_table,
    main_table,
    paired_table,
    share_table,
    summary_table,
    survey_counts,
    training_counts,
)

ARMS = {"from_scratch": scratch, "full": shifted(4)}


def sweep_of(folder: Path) -> Sweep:
    (sweep,) = read_sweeps([folder])
    return sweep


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Sweep:
    return sweep_of(write_sweep(tmp_path_factory.mktemp("sweep"), ARMS))


def test_mean_standard_deviation_interval_and_n_per_cell(sweep: Sweep) -> None:
    summary = summary_table(sweep.jobs).set_index(["arm", "labels"])
    assert len(summary) == 6
    cell, jobs = summary.loc[("full", 300)], sweep.grid("full", "auroc_macro")[300]
    assert cell["auroc_macro"] == pytest.approx(jobs.mean()) and cell["auroc_macro sd"] == pytest.approx(jobs.std())
    assert cell["auroc_macro low"] < cell["auroc_macro"] < cell["auroc_macro high"]
    assert cell["seeds"] == 5 and cell["auroc_macro n"] == 5
    assert cell["antares_alert/auroc_macro"] == pytest.approx(jobs.mean() - 0.1)


def test_a_curve_shifted_by_four_needs_75_percent_fewer_labels(sweep: Sweep) -> None:
    (row,) = efficiency_table(sweep).to_dict("records")
    assert row["arm"] == "full" and row["reaches"].startswith("from_scratch at 1,000 labels")
    assert row["with labels"] == "250" and row["fewer labels"] == "75 % fewer"


def test_what_is_not_reached_says_by_how_many_labels(tmp_path: Path) -> None:
    folder = write_sweep(tmp_path, {"from_scratch": scratch, "head_only": shifted(0.5), "forest": shifted(2)})
    table = efficiency_table(sweep_of(folder)).set_index(["arm", "reaches"])
    assert {name.split(" at ")[0] for _, name in table.index} == {"from_scratch", "forest"}
    said = table.xs("head_only")["with labels"]
    assert (said == "not reached by 1,000").all() and len(said) == 2
    assert table.xs("forest")["with labels"].tolist() == ["500"]


def test_limits_are_called_so(tmp_path: Path) -> None:
    folder = write_sweep(tmp_path, {"from_scratch": scratch, "full": shifted(100)})
    (row,) = efficiency_table(sweep_of(folder)).to_dict("records")
    assert row["with labels"] == "at most 100" and row["fewer labels"] == "at least 90 % fewer"


def test_zero_labels_can_be_enough(tmp_path: Path) -> None:
    folder = write_sweep(tmp_path, {"from_scratch": scratch, "full": lambda _: 0.9}, budgets=(0, 100, 300))
    (row,) = efficiency_table(sweep_of(folder)).to_dict("records")
    assert row["with labels"] == "0" and row["fewer labels"] == "100 % fewer"


def test_missing_jobs_are_named_and_counted(tmp_path: Path) -> None:
    folder = write_sweep(tmp_path, ARMS, absent=[("full", 300, 2), ("full", 300, 4), ("from_scratch", 100, 0)])
    sweep = sweep_of(folder)
    assert missing_cells(sweep) == ["from_scratch, 100 labels, seed 0", "full, 300 labels, seed 2, 4"]
    assert main_table(sweep).set_index(["arm", "labels"]).loc[("full", "300"), "seeds"] == "3 of 5"
    pairs = paired_table(sweep).set_index("labels")["pairs"]
    assert pairs.to_dict() == {"100": "4", "300": "3", "1,000": "5"}


def test_zero_labels_are_expected_only_where_several_seeds_have_them(tmp_path: Path) -> None:
    absent = (
        [("head_only", 0, seed) for seed in range(5)] + [("gru", 0, seed) for seed in range(1, 5)] + [("full", 0, 3)]
    )
    folder = write_sweep(tmp_path, ARMS | {"head_only": scratch, "gru": scratch}, budgets=(0, 100), absent=absent)
    assert missing_cells(sweep_of(folder)) == ["full, 0 labels, seed 3"]


def test_a_begun_job_without_result_is_named(tmp_path: Path) -> None:
    write_sweep(tmp_path, ARMS)
    begun = tmp_path / "full" / "n3000" / "seed0"
    begun.mkdir(parents=True)
    (begun / "job.json").write_text("{}")
    failed = tmp_path / "full" / "n3000" / "seed1"
    failed.mkdir()
    (failed / "failed.json").write_text(json.dumps({"message": f"{failed}: no labels"}))  # before it began
    found = unfinished_jobs(tmp_path)
    assert [*found] == ["full/n3000/seed0", "full/n3000/seed1"]
    assert "interrupted" in found["full/n3000/seed0"] and found["full/n3000/seed1"] == "no labels"


def test_a_class_without_test_object_is_missing_and_not_a_number(tmp_path: Path) -> None:
    write_sweep(tmp_path, ARMS)
    for path in tmp_path.rglob("result.json"):
        row = json.loads(path.read_text()) | {"auroc/SN II": None, "n/SN II": 0.0}
        row |= {"auroc/TDE": None} if row["arm"] == "full" and row["labels"] == 100 and row["seed"] == 1 else {}
        path.write_text(json.dumps(row))
    sweep = sweep_of(tmp_path)
    table = class_table(sweep).set_index(["arm", "labels"])
    assert (table["SN II"] == "missing").all()
    assert table.loc[("full", "100"), "TDE"].endswith("(n=4)")
    assert untested_classes(sweep) == ["SN II: missing in all jobs", "TDE: missing in 1 of 30 jobs (full at 100)"]


def test_paired_differences_cancel_what_the_arms_of_a_seed_share(sweep: Sweep) -> None:
    table = paired_table(sweep)
    assert (table["difference"] == f"{0.1 * np.log10(4):+.3f}").all() and (table["pairs > 0"] == "5").all()
    assert (table["95 % over seeds"] == "[+0.060, +0.060]").all()


def test_ratio_and_skill_beside_it(sweep: Sweep) -> None:
    table = share_table(sweep).set_index(["arm", "labels"])
    assert table.loc[("from_scratch", "1,000"), "AUROC ratio"].startswith("1.000")
    assert table.loc[("from_scratch", "100"), "skill above chance"].startswith("0.5")
    assert table.loc[("from_scratch", "100"), "AUROC ratio"].startswith("0.85")  # flatters


def test_convergence_counts_steps_and_seconds_to_a_share_of_the_baselines_best(sweep: Sweep) -> None:
    wanted = goals(histories(sweep))
    best = sweep.grid("from_scratch", "auroc_macro")[300]
    assert wanted[300] == pytest.approx(0.95 * best.mean())
    found = convergence(sweep)
    assert (found["seconds"] == found["steps"] / 10).all()
    steps = found[found["labels"] == 300].groupby("arm")["steps"].median()
    assert steps["full"] < 0.6 * steps["from_scratch"]


def test_a_goal_that_is_not_reached_is_not_averaged_away(tmp_path: Path) -> None:
    folder = write_sweep(tmp_path, {"from_scratch": scratch, "head_only": lambda _: 0.5})
    table = convergence_table(sweep_of(folder)).set_index(["arm", "labels"])
    assert table.loc[("head_only", "1,000"), ["reached by", "steps"]].tolist() == ["0 of 5", "not reached"]


def test_class_counts_of_the_survey_and_of_the_training_parts(sweep: Sweep) -> None:
    (counts,) = survey_counts(sweep)
    table = counts_table(counts, fixed_test=True).set_index("class")
    assert table.loc["total", "objects"] == "15,000" and table.loc["TDE", "test"] == "20"
    assert training_counts(sweep).loc[300].to_dict() == {"SN Ia": 300, "SN II": 150, "TDE": 100}


def test_two_sweeps_side_by_side_keep_their_names(tmp_path: Path) -> None:
    folders = [write_sweep(tmp_path / name, arms) for name, arms in (("a", ARMS), ("b", {"full": shifted(2)}))]
    sweeps = read_sweeps(folders)
    assert [sweep.name for sweep in sweeps] == [f"e ({folder})" for folder in folders]
    table = comparison_table(sweeps).set_index(["arm", "labels"])
    assert (table.loc["from_scratch", sweeps[1].name] == "no job").all()
    assert "n=5" in table.loc[("full", "300"), sweeps[1].name]


def test_arms_are_told_apart_by_what_differs(tmp_path: Path) -> None:
    write_sweep(tmp_path / "a", {"full": scratch})
    write_sweep(tmp_path / "b", {"full": shifted(2)}, encoding="context")
    assert sweep_of(tmp_path).arms == ["full, context", "full, paper"]


def test_references_are_policies_whatever_else_varies(tmp_path: Path) -> None:
    for encoding in ("context", "paper"):
        write_sweep(tmp_path / encoding, {"from_scratch": scratch, "full": shifted(4)}, encoding=encoding)
    sweep = sweep_of(tmp_path)
    assert sweep.references == ["from_scratch, context", "from_scratch, paper"]
    table = paired_table(sweep).set_index(["arm", "minus"])
    assert set(table.loc[("full, context", "from_scratch, paper"), "difference"]) == {f"{0.1 * np.log10(4):+.3f}"}
    assert set(convergence_table(sweep)["arm"]) == set(sweep.arms)


def test_arms_on_another_target_are_not_compared(tmp_path: Path) -> None:
    for target in ("bts", "plasticc"):
        write_sweep(tmp_path / target, {"from_scratch": scratch, "full": shifted(4)}, target=target)
    sweep = sweep_of(tmp_path)
    pairs = {("full, bts", "from_scratch, bts"), ("full, plasticc", "from_scratch, plasticc")}
    table = paired_table(sweep)
    assert set(zip(table["arm"], table["minus"], strict=True)) == pairs
    assert len(efficiency_table(sweep)) == 2 and convergence_table(sweep).empty


def test_simulated_data_are_called_so(sweep: Sweep) -> None:
    assert data_note(sweep.jobs) == "ztf_simulated (simulated) to bts (real)"
    assert data_note(sweep.jobs.assign(simulated=True)).endswith("bts (simulated)")


def test_one_row_per_job(sweep: Sweep) -> None:
    assert isinstance(sweep.jobs, pd.DataFrame) and len(sweep.jobs) == 30


def test_a_sweep_with_many_scores_is_read_without_a_warning(tmp_path: Path) -> None:
    scores = {f"auroc/SN Ia@{day}d": 0.9 for day in range(150)}
    sweep = sweep_of(write_sweep(tmp_path, {"full": scratch}, (100,), range(2), **scores))
    assert set(scores) <= set(sweep.jobs)


def test_thirds_by_brightness_have_a_table_of_their_own(tmp_path: Path) -> None:
    by_third = {
        f"{third}/{name}": 0.5 + k / 10 for k, third in enumerate(THIRDS) for name in ("auroc_macro", "auroc/TDE")
    }
    folder = write_sweep(tmp_path, ARMS, seeds=(0, 1), classes=("SN Ia", "TDE"), **by_third)
    sweep = sweep_of(folder)
    table = magnitude_table(sweep)
    assert table["brightness"].tolist() == list(THIRDS) * 6
    assert table["macro"].tolist()[:3] == table["TDE"].tolist()[:3] == ["0.500 ±0.000", "0.600 ±0.000", "0.700 ±0.000"]
    assert not any(third in str(column) for third in THIRDS for column in main_table(sweep))
