import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from tlclass.experiments.devices import cuda_devices, lease

SPAWN = multiprocessing.get_context("spawn")
DEVICES = ["a", "b"]


def hold(folder: Path, number: int, seconds: float) -> None:
    with lease(DEVICES, folder) as position:
        taken = folder / f"busy-{DEVICES[position]}"
        taken.touch(exist_ok=False)  # raises if another job is on this device
        (folder / f"job{number}-{DEVICES[position]}").touch()
        time.sleep(seconds)
        taken.unlink()


def test_five_jobs_share_two_devices_one_at_a_time_and_leave_none_idle(tmp_path: Path) -> None:
    jobs = [SPAWN.Process(target=hold, args=(tmp_path, number, 0.3)) for number in range(5)]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join(60)
    assert [job.exitcode for job in jobs] == [0] * 5
    used = [path.name.split("-")[1] for path in tmp_path.glob("job*")]
    assert len(used) == 5 and set(used) == set(DEVICES)


def test_the_lease_of_a_killed_process_is_free_again(tmp_path: Path) -> None:
    job = SPAWN.Process(target=hold, args=(tmp_path, 0, 60))
    job.start()
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("job0-*")) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert job.pid is not None
    with lease(DEVICES, tmp_path) as first:
        assert DEVICES[first] == "b"
    os.kill(job.pid, signal.SIGKILL)
    job.join(10)
    with lease(DEVICES, tmp_path) as position:
        assert DEVICES[position] == "a"


def test_a_lease_ends_with_an_error_too(tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(RuntimeError), lease(["a"], tmp_path):
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
