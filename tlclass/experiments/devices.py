"""Share the CUDA devices of a machine among jobs: a fixed number of jobs per device, and no device idle while a job waits."""

import logging
import os
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from tlclass import stopping
from tlclass.options import Size, checked
from tlclass.quoting import sentence

NO_DEVICE = "launcher=cuda found no CUDA device: choose launcher=joblib trainer=cpu, or set CUDA_VISIBLE_DEVICES"
JOBS = "launcher.jobs_per_device"
SECONDS = 0.2  # between two looks for a free device


def refuse_unusable(trainer: Mapping[str, Any]) -> None:
    """Raise ValueError if the trainer's options ask for what this machine does not have, or Lightning takes no trainer of them."""
    refuse_absent(trainer)
    said = _refusal(trainer)
    if said:
        rest = ({other: value for other, value in trainer.items() if other != name} for name in trainer)
        name = next((name for name, others in zip(trainer, rest, strict=True) if not _refusal(others)), None)
        what = f"trainer.{name} is {trainer[name]!r}" if name else "trainer has options that do not go together"
        raise ValueError(f"{what}, which Lightning does not take on this machine: {said}")


def _refusal(trainer: Mapping[str, Any]) -> str:
    """What Lightning says against these options; empty if nothing."""
    import lightning as L
    from lightning.fabric.plugins.environments.lightning import LightningEnvironment

    speaker = logging.getLogger("lightning.pytorch")
    level = speaker.level
    speaker.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(action="ignore"):
            own = LightningEnvironment()  # as in a fit
            L.Trainer(**trainer, plugins=own, logger=False, enable_progress_bar=False, enable_checkpointing=False)
    except Exception as error:  # Lightning has no common kind for them
        return sentence(error)
    finally:
        speaker.setLevel(level)
    return ""


def refuse_absent(trainer: Mapping[str, Any]) -> None:
    """Raise ValueError if the trainer's options ask for more CUDA devices than this machine has."""
    if trainer.get("accelerator") != "cuda":
        return
    asked, found = trainer.get("devices", 1), len(cuda_devices())
    if not found or number_of_devices(asked, found) > found:
        there = f"has {found} CUDA device(s)" if found else "has no CUDA device that torch can use"
        raise ValueError(
            f"trainer.devices={asked} with trainer=cuda, but this machine {there}: choose trainer=cpu or auto"
        )


def number_of_devices(asked: Any, found: int) -> int:
    """How many devices `trainer.devices` means.

    >>> [number_of_devices(asked, 4) for asked in (1, "2", [0, 3], "0,3", -1, "auto")]
    [1, 2, 2, 2, 4, 4]

    Args:
        asked: as Lightning takes it.
        found: CUDA devices of this machine.
    """
    if isinstance(asked, str) and "," in asked:
        return len([name for name in asked.split(",") if name.strip()])
    if isinstance(asked, list | tuple):
        return len(asked)
    return max(1, found) if str(asked) in ("-1", "auto") else int(asked)


@contextmanager
def on_device(launcher: Mapping[str, Any], trainer: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The trainer's options with the CUDA device that the job has leased where the launcher leases them, else as they are."""
    if launcher["name"] != "cuda":
        yield dict(trainer)
        return
    with lease(cuda_devices(), launcher["jobs_per_device"]) as position:
        yield {**trainer, "devices": [position]}


@contextmanager
def lease(devices: Sequence[str], jobs_per_device: int = 1, folder: Path | None = None) -> Iterator[int]:
    """Hold one place on the device with the fewest jobs; wait while all places are taken.

    The lease is a lock on a file, which the operating system lets go when its process dies, however it dies.

    Args:
        devices: their names, the same in all processes that share them.
        jobs_per_device: places on each device.
        folder: of the lock files; by default one in the temporary folder of this machine and user.

    Yields:
        The position of the device in `devices`.

    Raises:
        ValueError: there is no device at all, or no place on any.
    """
    if not devices:
        raise ValueError(NO_DEVICE)
    jobs_per_device = checked(jobs_per_device, Size, JOBS)
    root = folder or Path(tempfile.gettempdir()) / f"tlclass-devices-{os.getuid()}"
    root.mkdir(parents=True, exist_ok=True)
    # the first place of every device comes before the second of any, so that jobs spread over the devices
    places = [
        (position, root / f"{name}-{k}.lock") for k in range(jobs_per_device) for position, name in enumerate(devices)
    ]
    while True:
        stopping.check()
        for position, path in places:
            lock = FileLock(path)
            try:
                lock.acquire(timeout=0)
            except Timeout:
                continue
            try:
                yield position
            finally:
                lock.release()
            return
        time.sleep(SECONDS)


def workers(jobs_per_device: int) -> int:
    """The number of processes that fills all devices; 1 if there is no device, which the job then reports.

    Raises:
        ValueError: it is no whole number of at least 1.
    """
    return max(1, len(cuda_devices()) * int(checked(jobs_per_device, Size, JOBS)))


def cuda_devices() -> list[str]:
    """Names of the devices this process may use, the physical ones where CUDA_VISIBLE_DEVICES says them.

    Does not start CUDA.
    """
    import torch

    count = torch.cuda.device_count()
    visible = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    return visible[:count] if visible else [str(number) for number in range(count)]
