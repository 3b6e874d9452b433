import threading
import time
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from tests.conftest import Job
from tlclass.experiments import job
from tlclass.experiments.pretraining import source_models


def test_members_that_another_job_is_training_are_left_to_it_until_the_end(
    monkeypatch: pytest.MonkeyPatch, settings: Job, tmp_path: Path
) -> None:
    chosen = settings("members=3", f"paths.models={tmp_path}")
    source_models(chosen)
    folders = sorted((path.parent for path in tmp_path.rglob("result.json")), key=lambda folder: folder.name)
    for folder in folders:
        (folder / "result.json").unlink()
    trained: list[str] = []
    run = job.run

    def recorded(given: job.Job, sources: Any) -> Any:
        trained.append(given.folder.name)
        return run(given, sources)

    monkeypatch.setattr(job, "run", recorded)
    models: list[Any] = []
    with FileLock(folders[0] / "lock"):  # as another job holds it while it trains
        waiting = threading.Thread(target=lambda: models.extend(source_models(chosen)))
        waiting.start()
        while len(trained) < 2 and waiting.is_alive():
            time.sleep(0.05)
        assert trained == ["seed1", "seed2"]
    waiting.join(60)
    assert trained == ["seed1", "seed2", "seed0"] and len(models) == 3
