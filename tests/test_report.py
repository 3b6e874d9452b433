import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tlclass.report import data_note, main, results_table, summary_table, text_table

ROW: dict[str, Any] = {
    "experiment": "e", "source": "plasticc", "target": "bts", "head": "linear", "encoding": "paper", "simulated": False, "source_simulated": True,
    "log_loss": 1.0, "ece": 0.1, "balanced_accuracy": 0.5, "auprc_macro": 0.4,
}  # fmt: skip


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Two policies, two budgets, three seeds; TDE has no test object in one job."""
    for policy, gain in (("from_scratch", 0.0), ("full", 0.1)):
        for budget in (100, 300):
            for seed in range(3):
                macro = 0.5 + gain + budget / 1000 + 0.01 * seed
                tde = None if policy == "full" and budget == 100 and seed == 2 else 0.7 + 0.1 * seed
                row = ROW | {
                    "policy": policy,
                    "budget": budget,
                    "seed": seed,
                    "auroc_macro": macro,
                    "auroc_common": macro,
                }
                row |= {
                    "auroc/TDE": tde,
                    "auroc/SN Ia": 0.9,
                    "antares_alert/auroc_macro": macro - 0.1,
                    "source": "" if policy == "from_scratch" else "plasticc",
                }
                folder = tmp_path / policy / str(budget) / str(seed)
                folder.mkdir(parents=True)
                (folder / "result.json").write_text(json.dumps(row))
    return tmp_path


def test_mean_standard_deviation_and_n_per_policy_and_budget(results: Path) -> None:
    summary = summary_table(results_table(results)).set_index(["policy", "budget"])
    assert len(summary) == 4
    cell = summary.loc[("full", 300)]
    assert (
        cell["auroc_macro"] == pytest.approx(0.91)
        and cell["auroc_macro sd"] == pytest.approx(0.01)
        and cell["seeds"] == 3
    )
    assert cell["antares_alert/auroc_macro"] == pytest.approx(0.81)


def test_a_missing_score_is_left_out_and_counted(results: Path) -> None:
    summary = summary_table(results_table(results)).set_index(["policy", "budget"])
    cell = summary.loc[("full", 100)]
    assert cell["auroc/TDE"] == pytest.approx(0.75) and cell["auroc/TDE n"] == 2 and cell["seeds"] == 3
    assert "0.750 ±0.071 (n=2)" in text_table(summary.reset_index())


def test_a_score_missing_everywhere_says_so() -> None:
    rows = [
        ROW | {"policy": "full", "budget": 5, "seed": seed, "auroc_macro": 0.5, "auroc/TDE": None} for seed in range(2)
    ]
    assert "missing" in text_table(summary_table(pd.DataFrame(rows).astype({"auroc/TDE": float})))


def test_the_command_prints_the_table_and_writes_csv_and_figure(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main([str(results)])
    out = capsys.readouterr().out
    assert "from_scratch" in out and "0.910 ±0.010" in out and "TDE" in out and "SN Ia" in out
    assert "plasticc (simulated) to bts (real)" in out
    assert len(pd.read_csv(results / "results.csv")) == 12
    written = pd.read_csv(results / "summary.csv")
    assert len(written) == 4 and {"auroc_macro", "auroc_macro sd", "auroc_macro n", "auroc/TDE"} <= set(written)
    assert (results / "learning_curves.png").read_bytes().startswith(b"\x89PNG")


def test_one_job_has_no_spread(results: Path) -> None:
    summary = summary_table(results_table(results / "full" / "300" / "0"))
    assert "±" not in text_table(summary) and len(summary) == 1
    main([str(results / "full" / "300" / "0")])


def test_simulated_targets_are_called_so(results: Path) -> None:
    table = results_table(results)
    assert data_note(table.assign(simulated=True)).endswith("bts (simulated)")


def test_an_empty_folder_says_what_to_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main([str(tmp_path)])
    assert (
        f"no result.json below {tmp_path}: run `python -m tlclass.train"
        in f"{stop.value.code}\n{capsys.readouterr().err}"
    )
