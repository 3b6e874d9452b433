import logging
import shutil
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from tests.conftest import Composed, Job
from tlclass.experiments.arm import FineTune
from tlclass.experiments.job import Job as ArmJob
from tlclass.experiments.plan import plan_from
from tlclass.experiments.pretraining import source_folders, source_models
from tlclass.experiments.run import run_job
from tlclass.network.checkpoint import load_model


def test_pretraining_happens_once_and_is_reused(
    settings: Job, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    stamps = []
    for policy in ("full", "head_only"):
        run_job(settings(f"freeze_policy={policy}", f"paths.models={tmp_path / 'models'}"), tmp_path / policy)
        stamps += [path.stat().st_mtime_ns for path in (tmp_path / "models").rglob("model.safetensors")]
    assert len(stamps) == 2 and stamps[0] == stamps[1]
    assert caplog.text.count("pretraining on plasticc, into") == 1


def test_pretraining_depends_on_what_decides_it_only(settings: Job, data: Path, tmp_path: Path) -> None:
    """The folder of a source model is that of its content; `test_pretraining_happens_once_and_is_reused` uses one."""
    shutil.copytree(data, tmp_path / "data")
    moved = f"paths.data={tmp_path / 'data'}"

    def folder(*more: str) -> list[Path]:
        return source_folders(settings("freeze_policy=full", *more))

    for more in (
        ["labels=50%"],
        ["fit.learning_rate=0.02"],
        ["seed=0", "head=mlp"],
        ["freeze_policy=head_only"],
        [moved],
    ):
        assert folder(*more) == folder(), more
    others = [folder("model.hidden=9"), folder("+trainer.gradient_clip_val=1"), folder("pretrain.seed=1"), folder()]
    assert len({tuple(each) for each in others}) == len(others)


def test_ensembles_of_two_pretraining_seeds_share_no_source_model(settings: Job, tmp_path: Path) -> None:
    same = ["freeze_policy=full", "head=source", "labels=0", f"paths.models={tmp_path / 'models'}", "members=2"]
    for seed in (0, 1):
        run_job(settings(*same, f"pretrain.seed={seed}"), tmp_path / str(seed))
    assert len(list((tmp_path / "models").rglob("model.json"))) == 4


def test_a_matched_flux_scale_is_the_one_of_each_survey(settings: Job, tmp_path: Path) -> None:
    matched = ["freeze_policy=full", "encoding=paper_matched", "source.typical_flux=25", "target.typical_flux=2800"]
    run_job(settings(*matched, f"paths.models={tmp_path / 'models'}"), tmp_path / "job")
    (source,) = (tmp_path / "models").rglob("model.json")
    scales = [load_model(path).encoding.flux_scale for path in (source, tmp_path / "job")]  # type: ignore[attr-defined]
    assert scales == [25, 2800]


def test_a_half_pretrained_source_is_finished_and_not_used(settings: Job, tmp_path: Path) -> None:
    job = settings("freeze_policy=full", f"paths.models={tmp_path / 'models'}")
    row = run_job(job, tmp_path / "whole")
    source = next((tmp_path / "models").rglob("result.json")).parent
    (source / "result.json").unlink()  # as a kill just before the end leaves it
    shutil.rmtree(tmp_path / "whole")
    again = run_job(job, tmp_path / "whole")
    assert {name: again[name] for name in row} == row
    assert (source / "result.json").exists()


def test_a_source_that_lacks_a_class_of_the_target_is_named(composed: Composed, tmp_path: Path) -> None:
    job = composed("head=source", "freeze_policy=full", f"paths.models={tmp_path / 'models'}")
    job["target"]["taxonomy"]["members"]["TDE"] = []
    job["target"]["taxonomy"]["members"]["SN II"] = ["SN II*"]
    with pytest.raises(ValueError, match=r"head=source.*SNIa.*SN II\b.*head=linear"):
        run_job(plan_from(job), tmp_path / "job")
    assert not (tmp_path / "models").exists()


def test_members_that_another_job_is_training_are_left_to_it_until_the_end(
    monkeypatch: pytest.MonkeyPatch, settings: Job, tmp_path: Path
) -> None:
    chosen = settings("members=3", f"paths.models={tmp_path}")
    source_models(chosen, source_folders(chosen))
    folders = sorted((path.parent for path in tmp_path.rglob("result.json")), key=lambda folder: folder.name)
    for folder in folders:
        (folder / "result.json").unlink()
    trained: list[str] = []
    run = FineTune.run

    def recorded(self: FineTune, given: ArmJob, sources: Any) -> Any:
        trained.append(given.folder.name)
        return run(self, given, sources)

    monkeypatch.setattr(FineTune, "run", recorded)
    models: list[Any] = []
    with FileLock(folders[0] / "lock"):  # as another job holds it while it trains
        waiting = threading.Thread(target=lambda: models.extend(source_models(chosen, source_folders(chosen))))
        waiting.start()
        while len(trained) < 2 and waiting.is_alive():
            time.sleep(0.05)
        assert trained == ["seed1", "seed2"]
    waiting.join(60)
    assert trained == ["seed1", "seed2", "seed0"] and len(models) == 3
