import sqlite3
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch.loggers import CSVLogger

from tests.conftest import Job, compose
from tlclass.experiments.logged_run import Run, job_run, number_of, pretraining_run, remember
from tlclass.experiments.loggers import log_scores, logged, make_loggers
from tlclass.experiments.plan import plan_from
from tlclass.experiments.run import run_job
from tlclass.network.checkpoint import load_model
from tlclass.report.dashboard import say_offline

CSV = {"_target_": "tlclass.experiments.loggers.csv"}
ROW = {"auroc_macro": 0.5, "best_score": 0.25, "choice/full/val_loss": 0.125, "policy": "full", "n_test": 3}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path, "n100-seed0", "mine", "full", ["bts", "a"], "why", {"labels": 100, "settings": {"seed": 0}})


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ([], ["csv"]),
        (["logger=none"], ["none"]),
        (["logger=[csv,wandb]"], ["csv", "wandb"]),
        (["logger=[tensorboard,mlflow]"], ["tensorboard", "mlflow"]),
    ],
    ids=str,
)
def test_several_loggers_are_chosen_by_a_list(words: list[str], names: list[str]) -> None:
    assert list(compose(words)["logger"]) == names


def test_scores_reach_every_logger_under_the_name_of_their_part(run: Run) -> None:
    with logged({"csv": CSV, "none": None}, run) as made:
        log_scores(made, ROW)
    header, values = (run.folder / "metrics.csv").read_text().splitlines()
    found = dict(zip(header.split(","), values.split(","), strict=True))
    assert {
        "test/auroc_macro": "0.5",
        "val/best_score": "0.25",
        "choice/full/val_loss": "0.125",
    }.items() <= found.items()
    assert "test/n_test" not in found


def test_every_task_of_slurm_logs_its_own_job(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rank_zero_only, "rank", 2)  # as after `srun --ntasks=3`
    with logged({"csv": CSV}, run) as made:
        log_scores(made, ROW)
    assert (run.folder / "metrics.csv").exists()


def test_a_resumed_job_appends_to_its_metrics(run: Run) -> None:
    for step, metrics in enumerate(({"train/loss": 0.5}, {"train/loss": 0.25, "val/loss": 0.75})):
        with logged({"csv": CSV}, run) as (logger,):
            logger.log_metrics(metrics, step)
    rows = pd.read_csv(run.folder / "metrics.csv")
    assert rows["step"].tolist() == [0, 1] and rows["train/loss"].tolist() == [0.5, 0.25]
    assert rows["val/loss"].isna().tolist() == [True, False]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # MLflow 3.17 on SQLAlchemy 2.1
@pytest.mark.filterwarnings("ignore::ResourceWarning")  # its connections
@pytest.mark.parametrize("name", ["tensorboard", "mlflow"])
def test_other_dashboards_get_name_group_tags_and_config(name: str, run: Run, tmp_path: Path) -> None:
    pytest.importorskip(name, reason=f"needs the extra {name}")
    card: dict[str, Any] = {"_target_": f"tlclass.experiments.loggers.{name}"}
    if name == "mlflow":
        card["tracking_uri"] = f"sqlite:///{tmp_path / 'mlflow.db'}"
    for _ in range(2):  # the second time as a resumed job
        with logged({name: card}, run) as made:
            log_scores(made, ROW | {"auroc_macro@5d": 0.7})
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    content = b"\n".join([*(path.read_bytes() for path in files), *(str(path).encode() for path in files)])
    for fact in (b"n100-seed0", b"why", b"labels", b"test/auroc_macro"):
        assert fact in content
    if name == "mlflow":
        with sqlite3.connect(tmp_path / "mlflow.db") as store:
            assert store.execute("select count(*) from runs").fetchone() == (1,)
            assert ("test/auroc_macro at 5d",) in store.execute("select key from metrics").fetchall()


class Strange(CSVLogger):
    """A user's own logger; it does not know `Run`."""

    seen: list[Any] = []

    def log_hyperparams(self, params: Any = None) -> None:
        self.seen.append(params)


def test_a_users_own_logger_is_built_when_it_is_trusted_and_gets_the_config(run: Run, tmp_path: Path) -> None:
    card = {"_target_": f"{__name__}.Strange", "save_dir": str(tmp_path)}
    with pytest.raises(ValueError, match="trust"):
        make_loggers({"own": card}, run)
    [made] = make_loggers({"own": card}, run, trust=["tests"])
    assert isinstance(made, Strange) and made.seen == [run.config]


@pytest.mark.parametrize(
    ("cards", "names"),
    [
        ("csv", ["logger", "csv"]),
        ({"csv": "yes"}, ["logger.csv", "yes", "_target_"]),
        ({"csv": CSV | {"folder": 1}}, ["logger.csv", "folder"]),
        (
            {"wandb": {"_target_": "tlclass.experiments.wandb_runs.Wandb", "project": "p", "artifacts": 3}},
            ["artifacts", "3"],
        ),
        ({"odd": {"_target_": "tlclass.experiments.loggers.logged_as", "name": "x"}}, ["logger.odd", "str"]),
    ],
    ids=str,
)
def test_a_wrong_card_is_answered_with_its_key(cards: Any, names: list[str], run: Run) -> None:
    with pytest.raises(ValueError) as caught:
        make_loggers(cards, run)
    assert all(name in str(caught.value) for name in names)


def test_a_run_that_raises_ends_as_failed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    ends: list[str] = []
    monkeypatch.setattr(CSVLogger, "finalize", lambda self, status: ends.append(status))
    with pytest.raises(ZeroDivisionError), logged({"csv": CSV}, run):
        _ = 1 / 0
    with logged({"csv": CSV}, run):
        pass
    assert ends == ["failed", "success"]


def test_numbers_of_runs_are_kept_in_the_folder(tmp_path: Path) -> None:
    assert number_of(tmp_path, "wandb") is None
    remember(tmp_path, "wandb", "abc")
    remember(tmp_path, "mlflow", "1")
    assert number_of(tmp_path, "wandb") == "abc" and number_of(tmp_path, "mlflow") == "1"


@pytest.mark.parametrize(("mode", "said"), [("offline", True), ("online", False), ("disabled", False)])
def test_runs_that_stay_on_this_machine_come_with_the_command_that_uploads_them(
    mode: str, said: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("tlclass.experiments.wandb_runs.mode", lambda: mode)
    say_offline(tmp_path, "models")
    assert not caplog.text  # without W&B
    remember(tmp_path, "wandb", "abc")
    say_offline(tmp_path, "models")
    assert (f"find {tmp_path} models" in caplog.text and "wandb sync" in caplog.text) == said


def test_tags_say_what_is_simulated_and_facts_what_panels_are_drawn_against(tmp_path: Path) -> None:
    words = [
        "source=[ztf_simulated,bts]",
        "target=bts",
        "tags=[mine]",
        "notes=why",
        "freeze_policy=head_only",
        "labels=100",
    ]
    plan = plan_from(compose(words))
    run = job_run(plan, tmp_path, 100, [tmp_path / "source"])
    assert run.name == "n100-seed0" and run.job_type == plan.arm.name and run.notes == "why"
    assert list(run.tags) == ["bts", "source:simulated", "mine"] and list(run.inputs) == [tmp_path / "source"]
    assert run.config is not None and run.config["labels"] == 100 and run.config["arm"] == plan.arm.name
    assert run.config["learning_rate"] == plan.training.fit.learning_rate and run.config["encoder"] == "gru"
    assert run.config["source"] == "ztf_simulated+bts" and run.config["settings"]["tags"] == ["mine"]
    assert run.config["encoding"] == "paper"
    [(training, _)] = plan.pretraining()
    source = pretraining_run(plan, training, tmp_path, 9)
    assert list(source.tags) == ["ztf_simulated+bts", "target:simulated", "mine"] and source.job_type == "pretraining"


def test_a_job_that_starts_from_a_released_model_says_what_that_learnt_from(tmp_path: Path) -> None:
    plan = plan_from(compose(["arm=transfer", "target=bts", "source_model=ztf-alerts-12"]))
    assert plan.source_folder is not None
    run = job_run(plan, tmp_path, 100, [plan.source_folder], load_model(plan.source_folder))
    assert "source:simulated" in run.tags
    assert run.config is not None and run.config["source"] == "ztf-alerts-12" and run.config["encoding"] == "context"


def test_an_overwritten_job_is_a_new_run(settings: Job, tmp_path: Path) -> None:
    small = ["freeze_policy=from_scratch", "fit.max_epochs=1", "fit.min_steps=0"]
    run_job(settings(*small), tmp_path)
    remember(tmp_path, "wandb", "abc")
    run_job(settings(*small), tmp_path)
    assert number_of(tmp_path, "wandb") == "abc"
    run_job(settings(*small, "seed=1", "overwrite=true"), tmp_path)
    assert number_of(tmp_path, "wandb") is None


def test_a_key_that_wandb_refuses_is_one_sentence(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setenv("WANDB_API_KEY", "short")
    card = {"wandb": {"_target_": "tlclass.experiments.wandb_runs.Wandb", "project": "p"}}
    with pytest.raises(ValueError, match=r"^W&B cannot be used \(WANDB_API_KEY invalid.*WANDB_MODE=offline"):
        make_loggers(card, run)
