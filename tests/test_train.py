"""The command line of training."""

import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from tests.conftest import jobs, refused, said, start_forked
from tlclass import predict, train
from tlclass.experiments.devices import NO_DEVICE
from tlclass.report.provenance import command

CLI = Callable[..., None]
SCRATCH = "freeze_policy=from_scratch"

MISTAKES = {  # every kind of place where a mistake can be found; the rest are in experiments/test_plan.py and test_run.py
    "in the data": ([SCRATCH, "paths.data=/no/such"], ["/no/such", "paths.data=FOLDER"], 2),
    "in the plan": ([SCRATCH, "model.hidden=0"], ["model.hidden", "0"], 2),
    "of Hydra": ([SCRATCH, "fit.learning_rat=0.1"], ["fit.learning_rat", "fit.learning_rate"], 2),
    "in a choice": (["freeze_policy=ful"], ["freeze_policy", "ful", "from_scratch"], 2),
    "without a value": ([SCRATCH, "bts"], ["'bts' is not a setting"], 2),
    "in a list": (["source=[bts,bts]"], ["source=[bts,bts]"], 2),
    "in a launcher": (["launcher=joblib", "launcher.n_jobs=two", "-m"], ["n_jobs", "two"], 2),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_sentence_and_an_exit_code(
    mistake: str, train_cli: CLI, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words, parts, code = MISTAKES[mistake]
    with pytest.raises(SystemExit) as stop:
        train_cli(*words)
    sentence = said(capsys)
    assert stop.value.code == code and sentence.count("error: ") == 1 and "\n" not in sentence
    assert all(part in sentence for part in parts), sentence
    assert not jobs(tmp_path / "results")


def test_slurm_away_from_a_cluster_is_refused_before_the_sweep(
    train_cli: CLI, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    expected = "no srun: start the sweep on a login node of the cluster, or use launcher=joblib"
    sentence = refused(capsys, train_cli, "launcher=slurm", "seed=0,1", "-m")
    assert sentence == f"error: launcher=slurm: this machine has {expected}" and not (tmp_path / "results").exists()


def test_cuda_devices_that_are_not_there_are_missed_once_and_not_in_every_job(
    train_cli: CLI, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tlclass.experiments.callback.cuda_devices", list)
    with pytest.raises(SystemExit) as stop:
        train_cli("launcher=cuda", "seed=0,1", "-m")
    assert stop.value.code == 2 and not (tmp_path / "results").exists()
    assert said(capsys) == f"error: {NO_DEVICE}"


def test_jobs_that_fail_for_one_reason_are_one_line_at_the_end(
    train_cli: CLI, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def run_job(plan: object, folder: Path, words: object) -> dict[str, float]:
        (folder / "result.json").touch()
        return {"auroc_macro": 0.5}

    monkeypatch.setattr("tlclass.experiments.run.run_job", run_job)
    monkeypatch.setattr(train, "write_report", lambda folder: None)
    with pytest.raises(SystemExit) as stop:
        train_cli(SCRATCH, "model.hidden=8,0", "seed=0,1,2", "-m")
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert stop.value.code == 1 and len(lines) == 1 and lines[0].startswith("error: 3 jobs (")
    assert all(f"seed{seed}" in lines[0] for seed in range(3)) and lines[0].count("model.hidden is 0") == 1


def test_a_sweep_of_wrong_jobs_alone_begins_none(
    train_cli: CLI, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refused(capsys, train_cli, SCRATCH, "model.hidden=0", "seed=0,1", "-m").startswith(
        "error: 2 jobs (seed=0, seed=1): model.hidden is 0"
    )
    with pytest.raises(SystemExit):
        train_cli(SCRATCH, "target=foo,fooo", "-m")
    assert re.fullmatch(
        r"error: target=foo: target 'foo' is unknown.*\nerror: target=fooo: .*\n", capsys.readouterr().err
    )
    assert refused(capsys, train_cli, SCRATCH, "model.hidden=0", "-m").startswith("error: model.hidden is 0")
    assert not (tmp_path / "results").exists()


def test_a_refused_job_leaves_no_empty_folder_and_a_path_through_a_file_says_so(
    train_cli: CLI, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "fit.monitor" in refused(capsys, train_cli, SCRATCH, "fit.monitor=loss")
    assert not (tmp_path / "results").exists()
    (tmp_path / "file").touch()
    expected = "not a directory: a part of this path is a file, so give another path"
    assert refused(capsys, train_cli, SCRATCH, "paths.results=file/results").endswith(expected)


def test_a_mistake_corrected_in_the_same_place_just_runs(train_cli: CLI, tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        train_cli(SCRATCH, "fit.monitor=loss")
    train_cli(SCRATCH)
    assert jobs(tmp_path / "results") == ["default/from_scratch/all/seed0"]


def test_the_composed_configuration_is_shown(
    train_cli: CLI, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    train_cli("+experiment=plasticc2bts", "seed=7", "--cfg", "job")
    shown = capsys.readouterr().out
    assert "experiment_name: plasticc2bts" in shown and "seed: 7" in shown
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("sweep", [[], ["-m"]], ids=["one job", "sweep"])
def test_the_command_in_the_report_runs_with_cards_of_ones_own(
    sweep: list[str], train_cli: CLI, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Written as it was typed, but for the folder, which stands first and from the root."""
    (tmp_path / "my cards" / "experiment").mkdir(parents=True)
    (tmp_path / "my cards" / "experiment" / "mine.yaml").write_text(
        "# @package _global_\nexperiment_name: mine\nseed: 3\n"
    )
    monkeypatch.chdir(tmp_path)
    train_cli(SCRATCH, "--config-dir", "my cards", "experiment=mine", "labels=50", *sweep)
    said = shlex.split(command(tmp_path / "results" / "mine"))
    assert said[:4] == ["tlclass", "train", "--config-dir", str(tmp_path / "my cards")]
    assert {SCRATCH, "experiment=mine", "labels=50", *sweep} <= set(said)
    (tmp_path / "results").rename(tmp_path / "first")
    monkeypatch.setattr(sys, "argv", said[1:])
    train.main()
    assert jobs(tmp_path / "results") == jobs(tmp_path / "first") == ["mine/from_scratch/n50/seed3"]


@pytest.mark.slow
def test_the_front_door(overrides: list[str], tmp_path: Path, data: Path) -> None:
    """Train, sweep and report as a user does, from another folder, saying nothing alarming, and predict.

    `tlclass predict` in a process that imports all anew is in serving/test_released.py, `tlclass train` in test_cli.py and, as
    workers of a sweep, in experiments/test_sweep.py; all figures are written in report/test_report.py.
    """
    (tmp_path / "cwd").mkdir()
    here = [item for item in overrides if not item.startswith(("paths.results", "logger"))]
    sweep = [
        "+experiment=plasticc2bts",
        *here,
        "freeze_policy=from_scratch,full",
        "seed=0",
        "labels=50",
        "-m",
    ]
    process = start_forked(sweep, tmp_path / "cwd", tmp_path / "said", drawn=["learning_curves"])
    process.join(170)
    text = (tmp_path / "said").read_text()
    assert process.exitcode == 0, text
    assert "Warning" not in text and "Traceback" not in text
    assert "transfer 'full'" in text and "source classes: SNIa" in text
    results = tmp_path / "cwd" / "results" / "plasticc2bts"
    assert len(jobs(results)) == 2
    assert (results / "full" / "n50" / "seed0" / "metrics.csv").exists()
    assert "from_scratch" in text and "plasticc (simulated) to bts (real)" in text  # the report
    assert (results / "figures" / "learning_curves.pdf").stat().st_size > 1000
    assert {"results.csv", "summary.csv"} <= {path.name for path in results.iterdir()}
    predict.main([str(results / "full" / "n50" / "seed0"), str(data / "ztf_bts"), "-o", str(tmp_path / "out.csv")])
    assert len(pd.read_csv(tmp_path / "out.csv")) == 168
