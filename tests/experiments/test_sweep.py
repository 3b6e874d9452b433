import json
import logging
import os
import resource
import signal
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.conftest import Job, jobs, refused, result, said, start_forked
from tlclass import predict, train
from tlclass.experiments import run, sweep
from tlclass.experiments.plan import Plan
from tlclass.experiments.result import OtherJob
from tlclass.experiments.run import run_job
from tlclass.extras import install
from tlclass.network.checkpoint import load_model
from tlclass.report.sweep import last_sweep, unfinished_jobs
from tlclass.training import fit

CLI = Callable[..., None]
SCRATCH = "freeze_policy=from_scratch"
JOBLIB = "launcher=joblib"


def rows(folder: Path) -> dict[str, dict[str, Any]]:
    return {name: result(folder / name) for name in jobs(folder)}


# -- the ledger


def test_progress_and_failures_are_read_from_the_jobs_folders(tmp_path: Path) -> None:
    ledger = sweep.open_ledger(tmp_path, [f"seed={number}" for number in range(5)])
    for number in range(3):
        ledger.note(number, tmp_path / f"job{number}")
        (tmp_path / f"job{number}").mkdir()
    (tmp_path / "job0" / "result.json").write_text("{}")
    assert "boom" in sweep.write_failure(tmp_path / "job1", ValueError("boom"))
    seen = ledger.progress()
    assert seen is not None and (seen.jobs, seen.done, seen.running, seen.failed) == (5, 1, 1, 1)
    assert str(seen).startswith("1 of 5 jobs done, 1 running, 1 failed, about")
    folder, failed = sweep.close_ledger()
    assert folder == tmp_path and not ledger.folder.exists() and ledger.progress() is None
    assert failed[0] == f"{tmp_path / 'job1'}: boom" and failed[1].startswith(f"{tmp_path / 'job2'}: ")
    last = sweep.last_command(tmp_path)
    assert last is not None and last.jobs == [f"seed={number}" for number in range(5)]
    assert last.begun == {number: f"job{number}" for number in range(3)}
    ledger.note(9, tmp_path)  # a job on another machine that begins after the end
    assert not ledger.folder.exists() and sweep.close_ledger() == (None, [])


def test_ledgers_of_killed_sweeps_are_removed_and_those_of_others_left(tmp_path: Path) -> None:
    dead, opening = tmp_path / ".sweep-dead", tmp_path / ".sweep-opening"
    for folder in (dead, opening):
        folder.mkdir()
    (dead / "total.json").write_text("{}")
    ledger = sweep.open_ledger(tmp_path, ["seed=0"])
    sweep.remove_dead(tmp_path)
    assert sorted(tmp_path.glob(".sweep-*")) == sorted([opening, ledger.folder])
    sweep.close_ledger()


def test_a_failure_that_is_no_mistake_keeps_its_traceback(tmp_path: Path) -> None:
    try:
        raise KeyError("what")
    except KeyError as error:
        assert "KeyError: 'what'" in sweep.write_failure(tmp_path, error)
    assert "test_sweep.py" in json.loads((tmp_path / "failed.json").read_text())["traceback"]


# -- a job's folder


def test_a_failed_job_says_so_in_its_folder_until_it_succeeds(train_cli: CLI, tmp_path: Path) -> None:
    folder = tmp_path / "results" / "default" / "from_scratch" / "all" / "seed0"
    with pytest.raises(SystemExit):
        train_cli(SCRATCH, "target.selection.window=[-30,-20]")
    assert "no object is left" in json.loads((folder / "failed.json").read_text())["message"]
    train_cli(SCRATCH)
    assert not (folder / "failed.json").exists() and (folder / "result.json").exists()


def test_a_full_disk_leaves_the_last_checkpoint_and_the_job_goes_on_from_it(
    settings: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The real write fails: files of this process may not grow beyond 10 kB from the fifth checkpoint on."""
    caplog.set_level(logging.INFO)
    job = settings(SCRATCH, "fit.max_epochs=8")
    whole = run_job(job, tmp_path / "whole")
    saved, calls = fit.WholeCheckpoints.save_checkpoint, []
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def on_a_full_disk(self: Any, checkpoint: Any, path: Any, storage_options: Any = None) -> None:
        calls.append(path)
        if len(calls) == 5:
            resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
        try:
            saved(self, checkpoint, path, storage_options)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    monkeypatch.setattr(fit.WholeCheckpoints, "save_checkpoint", on_a_full_disk)
    with pytest.raises(OSError, match=r"could not write .*\.ckpt: File too large"):
        run_job(job, tmp_path / "job")
    monkeypatch.setattr(fit.WholeCheckpoints, "save_checkpoint", saved)
    assert (tmp_path / "job" / "checkpoints" / "member0" / "stage0" / "last.ckpt").exists()
    assert run_job(job, tmp_path / "job") == whole
    assert "resuming from" in caplog.text


# -- sweeps


@pytest.fixture
def untrained(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Where the jobs of a sweep would run; none does, and there is no report."""
    folders: list[Path] = []

    def run_job(plan: Plan, folder: Path, words: Sequence[str]) -> dict[str, float]:
        folders.append(folder)
        (folder / "result.json").touch()
        return {"auroc_macro": 0.5}

    monkeypatch.setattr(run, "run_job", run_job)
    monkeypatch.setattr(train, "write_report", lambda folder: None)
    return folders


def test_the_command_line_replaces_the_axes_of_an_experiment(
    train_cli: CLI, untrained: list[Path], tmp_path: Path
) -> None:
    """`data_fraction` is another word for the experiment's axis `labels`."""
    place = tmp_path / "results"
    for words in (
        ["+experiment=ztf2bts", "source=plasticc", "data_fraction=n100,50pct"],
        ["+experiment=plasticc2bts", "labels=100,50%"],
    ):
        untrained.clear()
        train_cli(*words, "target=bts", "-m", SCRATCH, "seed=0")
        name = words[0].partition("=")[2]
        assert untrained == [place / f"{name}/from_scratch/{budget}/seed0" for budget in ("n100", "50pct")]


def test_a_sweep_leaves_what_each_of_its_jobs_sets(train_cli: CLI, untrained: list[Path], tmp_path: Path) -> None:
    """The experiment's axis of seeds comes first, as in Hydra's order of the jobs."""
    axes = ["source=bts,[bts,plasticc]", "seed=1,0", "labels=50"]
    train_cli("+experiment=plasticc2bts", "target=bts", SCRATCH, *axes, "-m")
    last = sweep.last_command(tmp_path / "results" / "plasticc2bts")
    pairs = [(seed, source) for seed in (1, 0) for source in ("bts", "bts+plasticc")]
    assert last is not None and last.jobs == [f"seed={seed} source={source}" for seed, source in pairs]
    places = [f"from_scratch/n50/source={source}/seed{seed}" for seed, source in pairs]
    assert last.begun == dict(enumerate(places))


def test_a_job_that_is_refused_leaves_nothing_beside_the_result_of_another(
    train_cli: CLI, untrained: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The folder of `seed=0` holds a result; the settings of the second command are wrong for its jobs without a source."""
    folder = tmp_path / "results" / "default"
    train_cli(SCRATCH, "labels=50", "seed=0,1", "-m")
    with pytest.raises(SystemExit) as stop:
        train_cli("freeze_policy=full,from_scratch", "labels=50", "seed=0,2", "adapt=distill", "-m")
    message = said(capsys)
    assert stop.value.code == 1 and message.startswith("error: 2 jobs (") and "arm=from_scratch has none" in message
    assert not list(folder.rglob("failed.json"))
    last = sweep.last_command(folder)
    assert last is not None and sorted(last.refused) == [2, 3] and "adapt=distill" in last.refused[2]


def test_a_folder_of_another_job_is_named_in_the_sweep_alone(tmp_path: Path) -> None:
    (tmp_path / "job0").mkdir()
    (tmp_path / "job0" / "result.json").write_text("{}")
    ledger = sweep.open_ledger(tmp_path, ["seed=0"])
    ledger.note(0, tmp_path / "job0")
    sweep.write_failure(tmp_path / "job0", OtherJob(f"{tmp_path / 'job0'} holds a job with another configuration"))
    seen = ledger.progress()
    assert seen is not None and (seen.done, seen.running, seen.failed) == (0, 0, 1)
    assert "another configuration" in sweep.close_ledger()[1][0]
    assert sweep.is_done(tmp_path / "job0") and last_sweep(tmp_path) == (
        "0 of the 1 jobs of the last sweep command are finished"
    )
    assert unfinished_jobs(tmp_path) == {"job0": "holds a job with another configuration"}
    later = datetime.now(UTC) + timedelta(seconds=5)  # a command with overwrite=true
    (tmp_path / "job0" / "timing.json").write_text(json.dumps({"ended": later.isoformat()}))
    assert unfinished_jobs(tmp_path) == {}


def test_a_job_that_an_axis_has_twice_is_refused(
    train_cli: CLI, untrained: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sentence = refused(capsys, train_cli, SCRATCH, "labels=50", "seed=0,1,0", "-m")
    assert "has the job seed=0 more than once" in sentence
    assert not untrained and not (tmp_path / "results").exists()


@pytest.mark.slow
def test_other_processes_give_the_rows_of_one_and_a_failed_job_is_named_and_takes_nothing_down(
    train_cli: CLI, overrides: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With several sources, which other processes must know too."""
    subdir = "hydra.sweep.subdir=${hydra:runtime.choices.source}/${labels_name:${labels}}"
    axes = ["source=[bts,plasticc]", "freeze_policy=full", "labels=5000,50,60", subdir]
    with pytest.raises(SystemExit) as stop:
        train_cli(*axes, "-m")
    message = said(capsys)
    assert stop.value.code == 1 and message.count("error:") == 1
    assert all(part in message for part in ("bts+plasticc/n5000", "labels=5000", "131"))
    alone = rows(tmp_path / "results")
    assert list(alone) == [f"default/bts+plasticc/{name}" for name in ("n50", "n60")]
    words = [*overrides, *axes, JOBLIB, f"paths.results={tmp_path / 'parallel'}", "-m"]
    parallel = start_forked(words, tmp_path, tmp_path / "said")
    parallel.join(170)
    text = (tmp_path / "said").read_text()
    assert parallel.exitcode == 1, text
    [named] = [line for line in text.splitlines() if line.startswith("error: ")]
    assert "bts+plasticc/n5000" in named and "131" in named
    assert rows(tmp_path / "parallel") == alone
    assert "sweep: 2 of 3 jobs done, 0 running, 1 failed" in text
    assert "Error executing job" not in text


@pytest.mark.slow
def test_two_sweeps_at_once_on_one_folder_do_no_harm(train_cli: CLI, overrides: list[str], tmp_path: Path) -> None:
    axes = ["freeze_policy=from_scratch,full", "seed=0"]
    both = [start_forked([*overrides, *axes, "-m"], tmp_path, tmp_path / f"said{number}") for number in range(2)]
    for number, process in enumerate(both):
        process.join(170)
        assert process.exitcode == 0, (tmp_path / f"said{number}").read_text()
    train_cli(*axes, f"paths.results={tmp_path / 'one'}", "-m")
    assert rows(tmp_path / "results") == rows(tmp_path / "one") and len(rows(tmp_path / "one")) == 2


@pytest.mark.slow
def test_a_killed_sweep_run_again_gives_the_table_of_an_uninterrupted_one(
    train_cli: CLI, overrides: list[str], tmp_path: Path
) -> None:
    """The whole process group is killed a while after the first job ended, in the middle of others.

    More kills: `python -m benchmarks.kills`.
    """
    axes = ["freeze_policy=from_scratch,full", "seed=0,1", "pretrain.seed=0", "fit.max_epochs=5"]
    models = f"paths.models={tmp_path / 'models'}"
    process = start_forked([*overrides, *axes, JOBLIB, models, "-m"], tmp_path, tmp_path / "said", forked_workers=True)
    deadline = time.monotonic() + 120
    while not rows(tmp_path / "results") and process.is_alive() and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(int.from_bytes(os.urandom(1), "big") / 1000)  # up to a quarter of a second
    os.killpg(process.pid or 0, signal.SIGKILL)
    process.join(60)
    assert process.exitcode == -9
    finished = len(rows(tmp_path / "results"))
    assert finished < 4, "the sweep was over before it could be stopped"
    train_cli(*axes, models, "-m")
    train_cli(*axes, f"paths.results={tmp_path / 'whole'}", "-m")
    assert rows(tmp_path / "results") == rows(tmp_path / "whole") and len(rows(tmp_path / "whole")) == 4
    tables = [pd.read_csv(tmp_path / name / "default" / "summary.csv") for name in ("results", "whole")]
    pd.testing.assert_frame_equal(*tables)


def test_a_killed_worker_ends_a_sweep_with_one_sentence(overrides: list[str], tmp_path: Path) -> None:
    def killing() -> None:
        def killed(*_: Any) -> None:
            os.kill(os.getpid(), signal.SIGKILL)

        run.run_job = killed  # type: ignore[assignment]

    words = [*overrides, SCRATCH, JOBLIB, "seed=0,1", "labels=50,60", "-m"]
    process = start_forked(words, tmp_path, tmp_path / "said", forked_workers=True, first=killing)
    process.join(170)
    text = (tmp_path / "said").read_text()
    assert process.exitcode == 1 and "Traceback" not in text, text
    (line,) = [line for line in text.splitlines() if line.startswith("error: ")]
    assert "killed by SIGKILL (often: out of memory): run the same command again; 4 of 4 jobs have no result" in line


def test_a_missing_launcher_is_answered_with_its_pip_line(train_cli: CLI, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        import hydra_plugins.hydra_ray_launcher  # noqa: F401
    except ImportError:
        assert install("ray") in refused(capsys, train_cli, "launcher=ray", "-m")
    else:
        pytest.skip("the Ray launcher is installed")


# -- several processes in one fit


@pytest.mark.slow
def test_two_processes_of_a_distributed_fit_end_where_one_does(
    settings: Job, tmp_path: Path, overrides: list[str]
) -> None:
    """With augmented and balanced batches, in forked processes; plain ones in spawned processes are in training/test_task.py."""
    more = [SCRATCH, "fit.max_epochs=6", "encoding=asinh", "labels=80"]  # 2 x 32
    more += ["augmentation=alerts", "fit.balance=true"]
    one = run_job(settings(*more), tmp_path / "one")
    here = [item for item in overrides if item != "trainer=cpu"]
    forked = start_forked(
        [*here, *more, "trainer=ddp", "trainer.accelerator=cpu", "trainer.strategy=ddp_fork"],
        tmp_path,
        tmp_path / "said",
    )
    forked.join(170)
    assert forked.exitcode == 0, (tmp_path / "said").read_text()
    two = json.loads((tmp_path / "results" / "default" / "from_scratch" / "n80" / "seed0" / "result.json").read_text())
    assert one["best_epoch"] >= 0 and one["steps"] == two["steps"] and one["epochs"] == two["epochs"]
    for score in ("best_score", "auroc_macro", "log_loss"):
        assert two[score] == pytest.approx(one[score], abs=1e-4), score


# -- from the command line


def test_a_sweep_leaves_a_result_per_job_at_its_coordinates_and_a_report(train_cli: CLI, tmp_path: Path) -> None:
    """`+experiment=plasticc2bts -m seed=0,1,2` is what the help says and what people type: -m stands anywhere."""
    axes = ["seed=0,1", "freeze_policy=from_scratch,full", "labels=50"]
    train_cli("experiment_name=sweep", "-m", *axes, "pretrain.seed=0")
    expected = [f"sweep/{policy}/n50/seed{seed}" for policy in ("from_scratch", "full") for seed in (0, 1)]
    assert jobs(tmp_path / "results") == expected
    assert {"summary.csv", "results.csv"} <= {path.name for path in (tmp_path / "results" / "sweep").iterdir()}
    assert not list((tmp_path / "results" / "sweep").glob(".sweep*"))


def test_two_surveys_of_other_bands_and_photometry_are_one_source_through_the_front_door(
    train_cli: CLI, tmp_path: Path, data: Path
) -> None:
    """A list is one value, not an axis; the model file says what it was trained on, and predicts."""
    models = tmp_path / "models"
    train_cli(
        "source=[bts,plasticc]",
        "+source.parts.plasticc.where.ddf=true",
        "head=source",
        "freeze_policy=full",
        f"paths.models={models}",
        "augmentation@pretrain.augmentation=alerts",
        "-m",
        "seed=0",
    )
    assert jobs(tmp_path / "results") == ["default/full/all/seed0"]
    row = result(tmp_path / "results/default/full/all/seed0")
    assert row["source"] == "bts+plasticc" and row["target"] == "bts" and row["source_simulated"]
    (source,) = [path.parent for path in models.rglob("model.json")]
    assert {"bts/auroc_macro", "plasticc/auroc_macro", "auroc/SNIbc"} <= set(result(source))
    model = load_model(source)
    assert model.classes == load_model(source).taxonomy.classes and len(model.passbands.names) == 9
    assert model.selection.photometry.kind == "detections" and model.simulated
    used = json.loads((source / "split.json").read_text())
    assert {name.split(":")[0] for name in used["train"]} == {"bts", "plasticc"}
    deep = json.loads((source / "survey.json").read_text())["target"]["objects"]
    assert deep["SNIax"] == 5  # half of ten, the rest is not in the deep fields
    bands = ["--column", "band=filter"]
    table = pd.read_parquet(data / "ztf_bts" / "observations.parquet").rename(columns={"band": "filter"})
    table["filter"] = "ztf" + table["filter"]
    table.to_parquet(tmp_path / "alerts.parquet")
    predict.main([str(source), str(tmp_path / "alerts.parquet"), *bands, "-o", str(tmp_path / "out.csv")])
    assert len(pd.read_csv(tmp_path / "out.csv")) == 168


def test_a_mistake_in_the_settings_of_a_single_job_leaves_no_job(train_cli: CLI, tmp_path: Path) -> None:
    results = tmp_path / "results"
    with pytest.raises(SystemExit):
        train_cli(SCRATCH, "fit.learning_rate=-1")
    assert results.is_dir() and not list(results.iterdir())
    folder = results / "default" / "from_scratch" / "all" / "seed0"
    folder.mkdir(parents=True)
    (folder / "result.json").write_text("{}")
    with pytest.raises(SystemExit):
        train_cli(SCRATCH, "fit.learning_rate=-1")
    assert (folder / "result.json").exists(), "what an earlier job left stays"
