import multiprocessing
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from benchmarks import cuda_device
from benchmarks.cuda_device import Bench, figure_1, rows_of, several_jobs, stacked, table, training
from benchmarks.stacked import StackedGRU
from tlclass.atomic import write_json


def test_stacked_networks_are_as_many_grus() -> None:
    torch.manual_seed(0)
    stack = StackedGRU(3, 4, 8, 5)
    x = torch.randn(3, 6, 11, 4)
    for k in range(3):
        gru = torch.nn.GRU(4, 8, num_layers=2, batch_first=True)
        for layer in range(2):
            gru.get_parameter(f"weight_ih_l{layer}").data = stack.inputs[layer][k].T
            gru.get_parameter(f"weight_hh_l{layer}").data = stack.recurrent[layer][k].T
            gru.get_parameter(f"bias_ih_l{layer}").data = stack.input_bias[layer][k, 0]
            gru.get_parameter(f"bias_hh_l{layer}").data = stack.recurrent_bias[layer][k, 0]
        logits = gru(x[k])[0][:, -1] @ stack.head[k] + stack.head_bias[k]
        assert torch.allclose(stack(x)[k], logits, atol=1e-6)


def test_what_was_measured_is_not_measured_again_and_an_error_is_a_row(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "cpu", tiny=True)
    bench.take("training", training(bench, 32))
    bench.take("training", lambda: {"rate": 1.0, "unit": "a second time"})
    bench.take("broken", lambda: {"rate": 1 / 0})
    first, second = rows_of(tmp_path / "rows.jsonl")
    assert first["rate"] > 0 and first["unit"] == "light curves/s"
    assert "ZeroDivisionError" in second["error"] and "broken" in table(tmp_path)


@pytest.mark.parametrize("kind", ["eager", "cudnn"])
def test_steps_of_stacked_networks_count_every_network(kind: str, tmp_path: Path) -> None:
    bench = Bench(tmp_path, "cpu", tiny=True)
    assert stacked(bench, 1, kind)()["rate"] > 0


def test_several_fits_run_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In forked processes, which need no 5 s of imports each; a CUDA device needs spawned ones."""
    fork = multiprocessing.get_context("fork")
    monkeypatch.setattr(cuda_device, "multiprocessing", SimpleNamespace(get_context=lambda method: fork))
    bench = Bench(tmp_path, "cpu", tiny=True)
    several_jobs(bench, [("cpu", 1), ("cpu", 2)], 60)
    assert [row["what"].split(",")[0] for row in rows_of(tmp_path / "rows.jsonl")] == [
        "1 jobs at once",
        "2 jobs at once",
    ]


def test_the_cost_of_a_figure_is_interpolated_between_the_budgets_measured(tmp_path: Path) -> None:
    for budget, seconds in ((100, 10.0), (4000, 49.0)):  # 9 s and 1 s per 100 labels
        folder = tmp_path / "ztf2bts" / str(budget)
        folder.mkdir(parents=True)
        write_json(folder / "result.json", {"arm": "head_only", "labels": budget})
        write_json(folder / "timing.json", {"seconds": seconds})
    budgets = [*range(100, 1001, 100), 1200, 1400, 1600, 1800, 2000, 2500, 3000, 3500, 4000]
    expected = 10 * sum(9 + budget / 100 for budget in budgets) / 60
    assert f"complete: {expected:.0f} min" in figure_1(tmp_path / "ztf2bts")
