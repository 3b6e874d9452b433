"""Locks between processes, by files."""

import fcntl
import logging
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from filelock import FileLock, Timeout

from tlclass import stopping

log = logging.getLogger(__name__)

SECONDS = 0.5  # between two looks whether this process was asked to stop


@contextmanager
def held(path: Path, waiting: str = "", timeout: float = math.inf) -> Iterator[None]:
    """Hold the lock file `path`; wait while another process holds it, unless this one is asked to stop.

    The operating system lets the lock go when its process ends, however it ends.

    Args:
        path: of the lock file; its folder is made.
        waiting: what to log once if another process holds it.
        timeout: seconds to wait.

    Raises:
        OSError: the folder is not writable.
        Timeout: another process still holds it.
        Stopped: asked to stop while waiting.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if timeout <= 0:
            raise
        if waiting:
            log.info("%s", waiting)
        _wait(lock, time.monotonic() + timeout)
    try:
        yield
    finally:
        lock.release()


def taken(file: IO[bytes]) -> bool:
    """Lock an open file itself, until it is closed or its process ends; False if another process holds it.

    True, without a lock, on file systems that have none.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True


def _wait(lock: FileLock, until: float) -> None:
    while True:
        stopping.check()
        try:
            lock.acquire(timeout=SECONDS)
        except Timeout:
            if time.monotonic() > until:
                raise
            continue
        return
