"""The state of a sweep, read from its job folders: which jobs run, are finished, or failed.

Jobs may run in this process, in others, or on other machines. Each notes its folder in the sweep's ledger, a
folder of one small file per job, and leaves `result.json` or `failed.json` in its own; nothing else is shared.
"""

import json
import logging
import os
import shutil
import tempfile
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from tlclass import stopping
from tlclass.atomic import write_json, write_text
from tlclass.experiments.result import RESULT, OtherJob
from tlclass.locking import held
from tlclass.options import MISTAKES
from tlclass.quoting import sentence
from tlclass.training.leavings import TIMING

log = logging.getLogger(__name__)

NAMED = 5  # jobs in a line of `by_reason`
LEDGERS, SWEEP = ".sweep-*", "sweep.json"
TOTAL, FAILED, LOCK, STOP = "total.json", "failed.json", "lock", "stop"
JOB, REFUSED = "job", "refused"  # and the number of a job: its folder, and why it never began
NUMBERED = ("begun", "refused")  # of a `Command`: by number of the job


# -- a job's folder


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold the job folder: another process that has the same job to do waits, and then finds it finished."""
    with held(folder / LOCK, f"{folder}: another process is running this job, waiting for it"):
        yield


def write_failure(folder: Path, error: Exception, began: bool = True) -> str:
    """Leave `failed.json` in the job's folder and return the sentence that names the job and what went wrong.

    A job that never began, as its settings are wrong or the folder is another job's, leaves its sentence in the ledger of its sweep.
    """
    message = sentence(error) if isinstance(error, OSError) else str(error) or type(error).__name__
    if not isinstance(error, MISTAKES):
        message = f"{type(error).__name__}: {message}"
    message = message if message.startswith(str(folder)) else f"{folder}: {message}"
    trace = "".join(traceback.format_exception(error))
    note = _Opened.note
    try:
        if note is not None and (not began or isinstance(error, OtherJob)):
            write_json(note.with_name(f"{REFUSED}{note.name.removeprefix(JOB)}"), message)
        else:
            write_json(folder / FAILED, {"message": message, "traceback": trace})
    except OSError as second:  # a full disk must not hide why
        log.error("%s", second)
    return message


def remove_unused(folder: Path, root: Path, name: str) -> bool:
    """Remove the folder of a job that never began, as its settings are wrong, and the empty ones up to `root`.

    Args:
        folder: Hydra made it. root: of all results, itself removed if it is empty and below the working folder.
        name: of the log in `folder`, which is all there is if no job began here before.

    Returns:
        Whether it was removed.
    """
    if not folder.is_dir() or {path.name for path in folder.iterdir()} - {f"{name}.log"}:
        return False
    shutil.rmtree(folder)
    top = root if Path.cwd().resolve() in root.resolve().parents and not root.is_symlink() else None
    for place in folder.parents:
        below = root.resolve() in place.resolve().parents or (top is not None and place.resolve() == top.resolve())
        if not below or any(place.iterdir()):
            break
        place.rmdir()
    return True


def failure(folder: Path) -> str:
    """Why the job in this folder failed."""
    message: str = json.loads((folder / FAILED).read_text(encoding="utf-8"))["message"]
    return without_folder(message, folder)


def without_folder(message: str, job: Path) -> str:
    """The message without the folder of the job that it begins with, however that was called."""
    for place in (job, job.resolve()):
        message = message.removeprefix(f"{place}: ").removeprefix(f"{place} ")
    return message


def by_reason(reasons: Mapping[str, str]) -> list[str]:
    """A line per reason, with the jobs that share it.

    >>> by_reason({"full/n10/seed0": "no file", "full/n20/seed0": "no memory", "full/n30/seed0": "no file"})
    ['2 jobs (full/n10/seed0, full/n30/seed0): no file', 'full/n20/seed0: no memory']
    """
    jobs: dict[str, list[str]] = {}
    for job, why in reasons.items():
        jobs.setdefault(why, []).append(job)
    lines = []
    for why, names in jobs.items():
        more = f", and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
        several = f"{len(names):,} jobs ({', '.join(names[:NAMED])}{more})"
        lines.append(f"{names[0] if len(names) == 1 else several}: {why}")
    return lines


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
        _Opened.note = self.folder / f"{JOB}{number}"
        if self.folder.is_dir():
            write_text(_Opened.note, str(folder))

    def begun(self) -> list[Path]:
        """Folders of the jobs that began, in the order of their numbers."""
        return list(self._noted().values())

    def _noted(self) -> dict[int, Path]:
        return {number: Path(text) for number, text in self._texts(JOB).items()}

    def _refused(self) -> dict[int, str]:
        return {number: json.loads(text) for number, text in self._texts(REFUSED).items()}

    def _texts(self, kind: str) -> dict[int, str]:
        notes = {int(path.name.removeprefix(kind)): path for path in self.folder.glob(f"{kind}*")}
        return {number: notes[number].read_text(encoding="utf-8") for number in sorted(notes)}

    def command(self) -> "Command | None":
        """What was to do and what began; None if the sweep is over and its ledger gone."""
        try:
            about, noted = json.loads((self.folder / TOTAL).read_text(encoding="utf-8")), self._noted()
            refused = self._refused()
        except FileNotFoundError:
            return None
        begun = {number: os.path.relpath(folder, self.folder.parent) for number, folder in noted.items()}
        return Command(about["began"], about.get("settings"), begun, refused)

    def progress(self) -> Progress | None:
        """How far the sweep is; None if it is over and its ledger gone."""
        command = self.command()
        if command is None:
            return None
        folders = [folder for number, folder in self._noted().items() if number not in command.refused]
        failed, done = sum((folder / FAILED).exists() for folder in folders), sum(map(is_done, folders))
        jobs, running = None if command.jobs is None else len(command.jobs), len(folders) - done - failed
        return Progress(jobs, done, running, failed + len(command.refused), time.time() - command.began)

    def failures(self, lost: str | None = None) -> list[str]:
        """Which jobs failed or were interrupted, and why, see `by_reason`.

        Args:
            lost: a sentence that stands for all interrupted jobs; the number of jobs without a result is added to it.
        """
        reasons, seen, refused = dict[str, str](), self.progress(), self._refused()
        for number, folder in self._noted().items():
            if number in refused:
                reasons[str(folder)] = without_folder(refused[number], folder)
            elif (folder / FAILED).exists():
                reasons[str(folder)] = failure(folder)
            elif not (folder / RESULT).exists() and lost is None:
                reasons[str(folder)] = "was interrupted; run the same command again to resume it"
        lines = by_reason(reasons)
        if lost is not None:
            known = seen and seen.jobs is not None and f"; {seen.jobs - seen.done} of {seen.jobs} jobs have no result"
            lines.append(f"{lost}{known or ''}")
        return lines


@dataclass(frozen=True)
class Command:
    """What one command of a sweep had to do, as `sweep.json` in the sweep's folder states it once the command is over.

    Attributes:
        began: seconds since 1970.
        jobs: what each job sets, e.g. `seed=0 labels=50`; None where only the sweeper knows.
        begun: number of a job -> its folder, relative to the sweep's.
        refused: number of a job that never began -> why, a sentence; its folder may hold another job.
    """

    began: float
    jobs: Sequence[str] | None
    begun: Mapping[int, str]
    refused: Mapping[int, str] = field(default_factory=dict)


def last_command(folder: Path) -> Command | None:
    """The last command of the sweep in `folder`, which may run still or have been killed; None if none is known."""
    known = [Ledger(path).command() for path in folder.glob(LEDGERS)]
    if (folder / SWEEP).is_file():
        stated = json.loads((folder / SWEEP).read_text(encoding="utf-8"))
        numbered = {name: {int(number): text for number, text in stated.get(name, {}).items()} for name in NUMBERED}
        known.append(Command(**stated | numbered))
    return max((command for command in known if command), key=lambda command: command.began, default=None)


def refusals(folder: Path) -> dict[str, str]:
    """Folder of a job, relative to the sweep's -> why it never began in the last command, unless a later one finished it."""
    last = last_command(folder)
    refused = {last.begun[number]: why for number, why in last.refused.items()} if last else {}
    return {job: why for job, why in refused.items() if last and _ended(folder / job) < last.began}


def _ended(job: Path) -> float:
    """When the job was finished, in seconds since 1970; 0 if it is not, or nothing says when."""
    path = job / TIMING
    if not (is_done(job) and path.is_file()):
        return 0.0
    ended = json.loads(path.read_text(encoding="utf-8")).get("ended")
    return datetime.fromisoformat(ended).timestamp() if ended else 0.0


def is_done(job: Path) -> bool:
    """Whether the folder holds a finished job, and not only that of another command."""
    return (job / RESULT).exists() and not (job / FAILED).exists()


class _Opened:
    """The sweep that this process started, if any; its lock says to other processes that it is alive.

    And the note of the job that this process runs for a sweep.
    """

    ledger: Ledger | None = None
    lock: FileLock | None = None
    note: Path | None = None


def open_ledger(folder: Path, jobs: Sequence[str] | None) -> Ledger:
    """Start the ledger of a sweep of these jobs (`Command.jobs`) whose results belong in `folder`; removes those of killed sweeps."""
    folder.mkdir(parents=True, exist_ok=True)
    remove_dead(folder)
    ledger = Ledger(Path(tempfile.mkdtemp(prefix=LEDGERS[:-1], dir=folder)))
    _Opened.ledger, _Opened.lock = ledger, FileLock(ledger.folder / LOCK)
    _Opened.lock.acquire()
    write_json(ledger.folder / TOTAL, {"settings": jobs, "began": time.time()})
    stopping.share(ledger.stop)
    return ledger


def close_ledger(lost: str | None = None) -> tuple[Path | None, list[str]]:
    """Remove the ledger, leave `sweep.json`; the sweep's folder (None if there was no sweep) and what failed, see `Ledger.failures`."""
    ledger, lock = _Opened.ledger, _Opened.lock
    if ledger is None or lock is None:
        return None, []
    lines, folder = ledger.failures(lost), ledger.folder.parent
    _state(folder)
    lock.release()
    shutil.rmtree(ledger.folder, ignore_errors=True)
    _Opened.ledger = _Opened.lock = _Opened.note = None
    stopping.share(None)
    return folder, lines


def _state(folder: Path) -> None:
    """Write down the last command of the sweep in `folder`, which its ledger tells so far."""
    command = last_command(folder)
    if command is not None:
        try:
            write_json(folder / SWEEP, asdict(command))
        except OSError as error:  # a full disk must not hide what failed
            log.error("%s", error)


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
