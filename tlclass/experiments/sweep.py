"""A sweep seen from its jobs' folders: who runs, who is done, who failed; and the report at the end.

Jobs may run in this process, in others, or on other machines. Each notes its folder in the sweep's ledger, a
folder of one small file per job, and leaves `result.json` or `failed.json` in its own; nothing else is shared.
"""

import json
import logging
import os
import shutil
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from tlclass.atomic import write_json, write_text
from tlclass.experiments.result import RESULT
from tlclass.options import MISTAKES

log = logging.getLogger(__name__)

LEDGER = "TLCLASS_SWEEP"  # environment variable with the ledger's folder; launchers hand it to the jobs
TOTAL, FAILED, LOCK = "total.json", "failed.json", "lock"
SECONDS = 10.0  # between the lines of a log


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold the job folder: another process that has the same job to do waits, and then finds it finished.

    The lock belongs to the process, so a killed one leaves none behind.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        log.info("%s: another process works on it, waiting", folder)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def write_failure(folder: Path, error: Exception) -> str:
    """Leave `failed.json` in the job's folder and return the sentence that names the job and what went wrong."""
    said = str(error) or type(error).__name__
    if not isinstance(error, MISTAKES):
        said = f"{type(error).__name__}: {said}"
    said = said if said.startswith(str(folder)) else f"{folder}: {said}"
    trace = "".join(traceback.format_exception(error))
    try:
        write_json(folder / FAILED, {"message": said, "traceback": trace})
    except OSError as second:  # a full disk must not hide why
        log.error("%s", second)
    return said


def clear_failure(folder: Path) -> None:
    """Forget an earlier failure."""
    (folder / FAILED).unlink(missing_ok=True)


def open_ledger(folder: Path, jobs: int) -> None:
    """Start the ledger of a sweep of so many jobs whose results belong in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    ledger = Path(tempfile.mkdtemp(prefix=".sweep-", dir=folder))
    write_json(ledger / TOTAL, {"jobs": jobs, "began": time.time()})
    os.environ[LEDGER] = str(ledger)


def note(number: int, folder: Path) -> None:
    """Write in the ledger, if there is one, that job `number` begins in `folder`."""
    if LEDGER in os.environ:
        write_text(Path(os.environ[LEDGER]) / f"job{number}", str(folder))


@dataclass(frozen=True)
class Progress:
    """How far a sweep is.

    Attributes:
        jobs: in all. done, running, failed: of them. seconds: since it began.
    """

    jobs: int
    done: int
    running: int
    failed: int
    seconds: float

    def __str__(self) -> str:
        """`12 of 38 jobs done, 2 running, 0 failed, about 6 min left`."""
        ended = self.done + self.failed
        left = f", about {_minutes(self.seconds / ended * (self.jobs - ended))} left" if 0 < ended < self.jobs else ""
        return f"{self.done} of {self.jobs} jobs done, {self.running} running, {self.failed} failed{left}"


def progress(ledger: Path) -> Progress:
    """Read the ledger and the folders it names."""
    about = json.loads((ledger / TOTAL).read_text(encoding="utf-8"))
    folders = begun(ledger)
    failed = sum((folder / FAILED).exists() for folder in folders)
    done = sum((folder / RESULT).exists() and not (folder / FAILED).exists() for folder in folders)
    return Progress(about["jobs"], done, len(folders) - done - failed, failed, time.time() - about["began"])


def begun(ledger: Path) -> list[Path]:
    """Folders of the jobs that began, in the order of their numbers."""
    notes = sorted(ledger.glob("job*"), key=lambda path: int(path.name.removeprefix("job")))
    return [Path(path.read_text(encoding="utf-8")) for path in notes]


def failures(ledger: Path) -> list[str]:
    """The sentence of every failed job, and a line for every job that neither ended nor said why."""
    said = []
    for folder in begun(ledger):
        if (folder / FAILED).exists():
            said.append(json.loads((folder / FAILED).read_text(encoding="utf-8"))["message"])
        elif not (folder / RESULT).exists():
            said.append(f"{folder}: did not end, its process was stopped: run the same command again to go on")
    return said


@contextmanager
def watched() -> Iterator[None]:
    """Show how far the sweep is while the block runs: a line that renews itself in a terminal, plain lines in a log."""
    over = threading.Event()
    watch = threading.Thread(target=_watch, args=(over,), daemon=True)
    watch.start()
    try:
        yield
    finally:
        over.set()
        watch.join()


def close_ledger() -> tuple[Path | None, list[str]]:
    """Remove the ledger; the sweep's folder (None if there was no sweep) and what failed."""
    if LEDGER not in os.environ:
        return None, []
    ledger = Path(os.environ.pop(LEDGER))
    said = failures(ledger)
    shutil.rmtree(ledger, ignore_errors=True)
    return ledger.parent, said


def _watch(over: threading.Event) -> None:
    terminal, last, said = sys.stderr.isatty(), "", 0.0
    while True:
        ended = over.wait(1.0)
        ledger = os.environ.get(LEDGER)
        if ledger is not None:
            line = f"sweep: {progress(Path(ledger))}"
            if terminal:
                sys.stderr.write(f"\r\033[K{line}" + ("\n" if ended else ""))
                sys.stderr.flush()
            elif line.split(", about")[0] != last and (ended or time.monotonic() - said > SECONDS):
                last, said = line.split(", about")[0], time.monotonic()
                sys.stderr.write(f"{line}\n")
        if ended:
            return


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
