"""Stopping on request: SIGINT and SIGTERM set a flag, and the work ends at the next safe point.

An exception raised by a signal handler in the middle of any line can be lost (Python drops what is raised in `__del__` and in
many callbacks) or be mistaken for a failure of the job; a note cannot. Long work calls `check` between its steps. Work that
reaches no such place within `PATIENCE` seconds is ended by an exception after all; should that be lost, the note remains.
"""

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

SIGNALS = (signal.SIGINT, signal.SIGTERM)
SECONDS = 1.0  # between two looks at the file or at the parent
PATIENCE, AGAIN = 5.0, 30.0  # seconds from the signal to the exception, and to the next one if that was lost


class Stopped(SystemExit):
    """The process was asked to stop; the exit code is 128 + the number of the signal."""


class _Request:
    """What this process was asked: one per process, as signals are."""

    signum: int | None = None
    file: Path | None = None  # where other processes, also on other machines, note and see the request
    looked = 0.0


def asked() -> int | None:
    """The number of the signal that asked this process, or its sweep, to stop; None if nobody asked."""
    if _Request.signum is None and _Request.file is not None and time.monotonic() - _Request.looked > SECONDS:
        _Request.looked = time.monotonic()
        if _Request.file.exists():
            _Request.signum = int(_Request.file.read_text(encoding="utf-8") or signal.SIGTERM)
    return _Request.signum


def check() -> None:
    """Raise Stopped if this process was asked to stop; costs nothing otherwise."""
    signum = asked()
    if signum is not None:
        raise Stopped(128 + signum)


def share(file: Path | None) -> None:
    """From now on note a signal in `file` too, and obey what other processes note there."""
    _Request.file = file
    if file is not None and _Request.signum is not None:
        _write(_Request.signum)


@contextmanager
def noted() -> Iterator[None]:
    """Note SIGINT and SIGTERM while the block runs instead of raising; a second signal raises at once."""
    previous = {signum: signal.signal(signum, _note) for signum in SIGNALS}
    previous[signal.SIGALRM] = signal.signal(signal.SIGALRM, _overdue)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in previous.items():
            signal.signal(number, handler)
        _Request.signum = _Request.file = None


def obey(parent: int) -> None:
    """In a worker process: end at a safe place when the parent passes a signal on, and at once when the parent is gone.

    Args:
        parent: its process number. Ctrl-C in a terminal reaches parent and workers alike; the parent's word counts.
    """
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, _note)
        signal.signal(signal.SIGALRM, _overdue)
    end_with(parent)


def end_with(parent: int) -> None:
    """End this process when its parent is gone; a parent that was killed cannot say goodbye."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(SECONDS)
        os._exit(1)

    threading.Thread(target=watch, name="end with parent", daemon=True).start()


def _note(signum: int, frame: object) -> None:
    if _Request.signum is not None:
        raise Stopped(128 + signum)
    _Request.signum = signum
    signal.setitimer(signal.ITIMER_REAL, PATIENCE, AGAIN)
    _write(signum)
    for child in multiprocessing.active_children():
        with suppress(OSError, TypeError):  # it has ended, or has not begun
            os.kill(child.pid, signal.SIGTERM)  # type: ignore[arg-type]
    if sys.stderr.isatty():
        os.write(2, b"\nending at the next safe place; once more ends at once\n")


def _overdue(signum: int, frame: object) -> None:
    check()


def _write(signum: int) -> None:
    if _Request.file is not None and _Request.file.parent.is_dir():
        with suppress(OSError):
            _Request.file.write_text(str(signum), encoding="utf-8")
