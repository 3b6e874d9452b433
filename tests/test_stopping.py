"""Signals: noted, never lost, one sentence, the right exit code; and nothing is left behind by a kill."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from benchmarks.interrupts import WORDS
from tests.conftest import ROOT, start_forked
from tlclass import stopping
from tlclass.locking import held


@pytest.fixture
def noted() -> Iterator[None]:
    with stopping.noted():
        yield


def test_a_signal_is_noted_and_raised_at_the_next_check(noted: None) -> None:
    stopping.check()
    signal.raise_signal(signal.SIGINT)  # raises nothing here
    assert stopping.asked() == signal.SIGINT
    with pytest.raises(stopping.Stopped) as stopped:
        stopping.check()
    assert stopped.value.code == 130


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_signal_in_a_place_that_loses_exceptions_is_not_lost(noted: None) -> None:
    class Loses:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGTERM)

    del (kept := [Loses()])[0]
    assert not kept and stopping.asked() == signal.SIGTERM


def test_the_second_signal_ends_at_once(noted: None) -> None:
    signal.raise_signal(signal.SIGINT)
    with pytest.raises(stopping.Stopped) as stopped:
        signal.raise_signal(signal.SIGTERM)
    assert stopped.value.code == 143


def test_work_without_a_safe_place_is_ended_after_a_while(noted: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopping, "PATIENCE", 0.2)
    signal.raise_signal(signal.SIGINT)
    with pytest.raises(stopping.Stopped):
        time.sleep(60)


def test_a_note_is_forgotten_with_the_block_and_handlers_come_back() -> None:
    before = [signal.getsignal(number) for number in stopping.SIGNALS]
    with stopping.noted():
        signal.raise_signal(signal.SIGTERM)
    assert stopping.asked() is None and [signal.getsignal(number) for number in stopping.SIGNALS] == before


def test_a_request_reaches_other_processes_by_a_file(
    noted: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stopping, "SECONDS", 0.0)
    stopping.share(tmp_path / "stop")
    assert stopping.asked() is None
    (tmp_path / "stop").write_text(str(int(signal.SIGINT)))  # as another process of the sweep does
    assert stopping.asked() == signal.SIGINT


def test_waiting_for_a_lock_ends_with_the_signal(noted: None, tmp_path: Path) -> None:
    with held(tmp_path / "lock"):
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(stopping.Stopped), held(tmp_path / "lock"):
            pass


def test_a_process_ends_with_its_parent() -> None:
    child = "import os, time; from tlclass import stopping; stopping.end_with(os.getppid()); print(os.getpid(), flush=True); time.sleep(99)"
    parent = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {child!r}]).wait()"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, env=environment, text=True)
    assert process.stdout is not None
    number = int(process.stdout.readline())
    process.kill()
    process.wait()
    deadline = time.monotonic() + 60
    while Path(f"/proc/{number}").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert time.monotonic() < deadline
    process.stdout.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("signum", "launcher"),
    [(signal.SIGINT, "inprocess"), (signal.SIGTERM, "inprocess"), (signal.SIGTERM, "joblib")],
    ids=str,
)
def test_an_interrupted_sweep_begins_no_further_job_and_says_so_once(
    signum: signal.Signals, launcher: str, cache: Path, tmp_path: Path
) -> None:
    """`python -m benchmarks.interrupts` repeats this as often as you like, from the start of the command on."""
    folder, said = tmp_path / "results", tmp_path / "said"
    paths = [f"paths.results={folder}", f"paths.models={tmp_path / 'models'}", f"paths.cache={cache}"]
    process = start_forked([*WORDS, f"launcher={launcher}", *paths], tmp_path, said, forked_workers=True)
    while not any(folder.glob("*/.sweep-*/total.json")) and process.is_alive():
        time.sleep(0.02)
    time.sleep(float(np.random.default_rng().uniform(0, 1)))
    wall, pid = time.time(), process.pid or 0
    (os.killpg if signum == signal.SIGINT else os.kill)(pid, signum)  # Ctrl-C reaches every process of the terminal
    process.join(100)
    text, begun = said.read_text(), [path.stat().st_mtime for path in folder.rglob("job.json")]
    assert process.exitcode == 128 + signum and not [moment for moment in begun if moment > wall + 1], text
    assert text.count(signum.name) == 1 and "Traceback" not in text and "error: " not in text
    assert not list(folder.rglob("failed.json")) and not list(folder.rglob(".sweep-*"))
