"""The state of a sweep, read from its job folders: which jobs run, are finished, or failed.

Jobs may run in this process, in others, or on other machines. Each notes its folder in the sweep's ledger, a
folder of one small file per job, and leaves `result.json` or `failed.json` in its own; nothing else is shared.
"""

import json
import logging
import shutil
import tempfile
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from tlclass import stopping
from tlclass.atomic import write_json, write_text
from tlclass.experiments.result import RESULT
from tlclass.locking import held
from tlclass.options import MISTAKES

log = logging.getLogger(__name__)

LEDGERS = ".sweep-*"
TOTAL, FAILED, LOCK, STOP = "total.json", "failed.json", "lock", "stop"


# -- a job's folder


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold the job folder: another process that has the same job to do waits, and then finds it finished."""
    with held(folder / LOCK, f"{folder}: another process is running this job, waiting for it"):
        yield


def write_failure(folder: Path, error: Exception) -> str:
    """Leave `failed.json` in the job's folder and return the sentence that names the job and what went wrong."""
    message = str(error) or type(error).__name__
    if not isinstance(error, MISTAKES):
        message = f"{type(error).__name__}: {message}"
    message = message if message.startswith(str(folder)) else f"{folder}: {message}"
    trace = "".join(traceback.format_exception(error))
    try:
        write_json(folder / FAILED, {"message": message, "traceback": trace})
    except OSError as second:  # a full disk must not hide why
        log.error("%s", second)
    return message


def remove_unused(folder: Path, root: Path, name: str) -> bool:
    """Remove the folder of a job that never began, as its settings are wrong, and the empty ones between it and `root`.

    Args:
        folder: Hydra made it. root: of all results. name: of the log in it, which is all there is if no job began here before.

    Returns:
        Whether it was removed.
    """
    if not folder.is_dir() or {path.name for path in folder.iterdir()} - {f"{name}.log"}:
        return False
    shutil.rmtree(folder)
    for place in folder.parents:
        if root.resolve() not in place.resolve().parents or any(place.iterdir()):
            break
        place.rmdir()
    return True


def clear_failure(folder: Path) -> None:
    """Forget an earlier failure."""
    (folder / FAILED).unlink(missing_ok=True)


# -- the ledger of a sweep


@dataclass(frozen=True)
class Progress:
    """How far a sweep is.

    Attributes:
        jobs: in all; None where only the sweeper knows. done, running, failed: of them. seconds: since it began.
    """

    jobs: int | None
    done: int
    running: int
    failed: int
    seconds: float

    def __str__(self) -> str:
        """`12 of 38 jobs done, 2 running, 0 failed, about 6 min left`."""
        ended, total = self.done + self.failed, f" of {self.jobs}" if self.jobs is not None else ""
        left = ""
        if self.jobs is not None and 0 < ended < self.jobs:
            left = f", about {_minutes(self.seconds / ended * (self.jobs - ended))} left"
        return f"{self.done}{total} jobs done, {self.running} running, {self.failed} failed{left}"


@dataclass(frozen=True)
class Ledger:
    """The folder `.sweep-*` inside the sweep's, which all its processes see; launchers may send it to other machines."""

    folder: Path

    @property
    def stop(self) -> Path:
        """The file that asks all jobs to stop."""
        return self.folder / STOP

    def note(self, number: int, folder: Path) -> None:
        """Write that job `number` begins in `folder`; nothing if the sweep is over and its ledger gone."""
        if self.folder.is_dir():
            write_text(self.folder / f"job{number}", str(folder))

    def begun(self) -> list[Path]:
        """Folders of the jobs that began, in the order of their numbers."""
        notes = sorted(self.folder.glob("job*"), key=lambda path: int(path.name.removeprefix("job")))
        return [Path(path.read_text(encoding="utf-8")) for path in notes]

    def progress(self) -> Progress | None:
        """How far the sweep is; None if it is over and its ledger gone."""
        if not (self.folder / TOTAL).exists():
            return None
        about, folders = json.loads((self.folder / TOTAL).read_text(encoding="utf-8")), self.begun()
        failed = sum((folder / FAILED).exists() for folder in folders)
        done = sum((folder / RESULT).exists() and not (folder / FAILED).exists() for folder in folders)
        return Progress(about["jobs"], done, len(folders) - done - failed, failed, time.time() - about["began"])

    def failures(self, lost: str | None = None) -> list[str]:
        """The message of every failed job, and a line for every job that was interrupted.

        Args:
            lost: a sentence that stands for all interrupted jobs; the number of jobs without a result is added to it.
        """
        lines, seen = [], self.progress()
        for folder in self.begun():
            if (folder / FAILED).exists():
                lines.append(json.loads((folder / FAILED).read_text(encoding="utf-8"))["message"])
            elif not (folder / RESULT).exists() and lost is None:
                lines.append(f"{folder}: was interrupted; run the same command again to resume it")
        if lost is not None:
            known = seen and seen.jobs is not None and f"; {seen.jobs - seen.done} of {seen.jobs} jobs have no result"
            lines.append(f"{lost}{known or ''}")
        return lines


class _Opened:
    """The sweep that this process started, if any; its lock says to other processes that it is alive."""

    ledger: Ledger | None = None
    lock: FileLock | None = None


def open_ledger(folder: Path, jobs: int | None) -> Ledger:
    """Start the ledger of a sweep of so many jobs whose results belong in `folder`; removes those of killed sweeps."""
    folder.mkdir(parents=True, exist_ok=True)
    remove_dead(folder)
    ledger = Ledger(Path(tempfile.mkdtemp(prefix=LEDGERS[:-1], dir=folder)))
    _Opened.ledger, _Opened.lock = ledger, FileLock(ledger.folder / LOCK)
    _Opened.lock.acquire()
    write_json(ledger.folder / TOTAL, {"jobs": jobs, "began": time.time()})
    stopping.share(ledger.stop)
    return ledger


def close_ledger(lost: str | None = None) -> tuple[Path | None, list[str]]:
    """Remove the ledger; the sweep's folder (None if there was no sweep) and what failed, see `Ledger.failures`."""
    ledger, lock = _Opened.ledger, _Opened.lock
    if ledger is None or lock is None:
        return None, []
    lines = ledger.failures(lost)
    lock.release()
    shutil.rmtree(ledger.folder, ignore_errors=True)
    _Opened.ledger = _Opened.lock = None
    stopping.share(None)
    return ledger.folder.parent, lines


def remove_dead(folder: Path) -> None:
    """Remove the ledgers below `folder` whose sweeps were killed: nobody holds their lock."""
    for ledger in folder.glob(LEDGERS):
        if not (ledger / TOTAL).exists():
            continue  # another process is opening it
        lock = FileLock(ledger / LOCK)
        try:
            lock.acquire(timeout=0)
        except (Timeout, OSError):
            continue
        lock.release()
        shutil.rmtree(ledger, ignore_errors=True)


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
