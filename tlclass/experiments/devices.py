"""Leasing the CUDA devices of a machine to jobs: one job on a device at a time, no free device beside a waiting job."""

import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

SECONDS = 0.2  # between two looks for a free device


@contextmanager
def on_device(settings: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The settings with a CUDA device of the job's own where the launcher leases them, else as they are."""
    if settings["launcher"]["name"] != "cuda":
        yield dict(settings)
        return
    with lease(cuda_devices()) as position:
        yield {**settings, "trainer": {**settings["trainer"], "devices": [position]}}


@contextmanager
def lease(devices: Sequence[str], folder: Path | None = None) -> Iterator[int]:
    """Hold the first free device; wait while there is none.

    The lease is a lock on a file, which the operating system lets go when its process dies, however it dies.

    Args:
        devices: their names, the same in all processes that share them.
        folder: of the lock files; by default one in the temporary folder of this machine and user.

    Yields:
        The position of the device in `devices`.

    Raises:
        ValueError: there is no device at all.
    """
    if not devices:
        raise ValueError(
            "launcher=cuda found no CUDA device: choose launcher=joblib trainer=cpu, or set CUDA_VISIBLE_DEVICES"
        )
    place = folder or Path(tempfile.gettempdir()) / f"tlclass-devices-{os.getuid()}"
    place.mkdir(parents=True, exist_ok=True)
    while True:
        for position, name in enumerate(devices):
            lock = FileLock(place / f"{name}.lock")
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


def cuda_devices() -> list[str]:
    """Names of the devices this process may use, the physical ones where CUDA_VISIBLE_DEVICES says them.

    Does not start CUDA.
    """
    import torch

    count = torch.cuda.device_count()
    visible = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    return visible[:count] if visible else [str(number) for number in range(count)]
