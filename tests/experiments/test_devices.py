import multiprocessing
import os
import signal
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tlclass.experiments.devices import cuda_devices, lease, on_device, workers

FORK = multiprocessing.get_context("fork")  # no imports: the locks are what is tested
DEVICES = ["a", "b"]


def hold(folder: Path, number: int, seconds: float, jobs_per_device: int = 1) -> None:
    with lease(DEVICES, jobs_per_device, folder) as position:
        name = DEVICES[position]
        busy = folder / f"busy-{name}-{number}"
        busy.touch()
        beside = len(list(folder.glob(f"busy-{name}-*")))
        (folder / f"job{number}-{name}-{beside}").touch()
        time.sleep(seconds)
        busy.unlink()


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("jobs_per_device", [1, 2])
def test_jobs_share_two_devices_never_more_than_allowed_on_one_and_leave_none_idle(
    tmp_path: Path, jobs_per_device: int
) -> None:
    number = 2 * jobs_per_device * 2 + 1
    jobs = [FORK.Process(target=hold, args=(tmp_path, k, 0.5, jobs_per_device)) for k in range(number)]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join(60)
    assert [job.exitcode for job in jobs] == [0] * number
    seen = [path.name.split("-")[1:] for path in tmp_path.glob("job*")]
    assert len(seen) == number and {name for name, _ in seen} == set(DEVICES)
    assert max(int(beside) for _, beside in seen) <= jobs_per_device


def test_jobs_spread_over_the_devices_before_two_share_one(tmp_path: Path) -> None:
    with ExitStack() as held:
        positions = [held.enter_context(lease(DEVICES, 3, tmp_path)) for _ in range(6)]
    assert positions == [0, 1, 0, 1, 0, 1]


def test_there_are_as_many_workers_as_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tlclass.experiments.devices.cuda_devices", lambda: ["0", "1"])
    assert workers(8) == 16
    monkeypatch.setattr("tlclass.experiments.devices.cuda_devices", lambda: [])
    assert workers(8) == 1


@pytest.mark.parametrize("wrong", [0, -1, 1.5, "many", True])
def test_no_place_on_a_device_is_a_mistake(tmp_path: Path, wrong: Any) -> None:
    with pytest.raises(ValueError, match="jobs_per_device"), lease(DEVICES, wrong, tmp_path):
        pass


def test_the_job_runs_on_the_device_it_leased(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tlclass.experiments.devices.cuda_devices", lambda: DEVICES)
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    given = {"name": "cuda", "jobs_per_device": 2}, {"accelerator": "cuda", "devices": 1}
    with on_device(*given) as first, on_device(*given) as second, on_device(*given) as third:
        assert [trainer["devices"] for trainer in (first, second, third)] == [[0], [1], [0]]


def test_the_launcher_starts_a_worker_for_every_place(monkeypatch: pytest.MonkeyPatch) -> None:
    from tlclass.experiments.composition import compose  # here, so that the processes of other tests start fast

    monkeypatch.setattr("tlclass.experiments.devices.cuda_devices", lambda: DEVICES)
    assert compose(["launcher=cuda", "launcher.jobs_per_device=8"])["launcher"]["n_jobs"] == 16


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_the_lease_of_a_killed_process_is_free_again(tmp_path: Path) -> None:
    job = FORK.Process(target=hold, args=(tmp_path, 0, 60))
    job.start()
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("job0-*")) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert job.pid is not None
    with lease(DEVICES, folder=tmp_path) as first:
        assert DEVICES[first] == "b"
    os.kill(job.pid, signal.SIGKILL)
    job.join(10)
    with lease(DEVICES, folder=tmp_path) as position:
        assert DEVICES[position] == "a"


def test_a_lease_ends_with_an_error_too(tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(RuntimeError), lease(["a"], folder=tmp_path):
            raise RuntimeError


def test_no_device_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="found no CUDA device: choose launcher=joblib"), lease([]):
        pass


def test_devices_have_their_physical_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,1")
    assert cuda_devices() == ["3", "1"]
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert cuda_devices() == ["0", "1"]
