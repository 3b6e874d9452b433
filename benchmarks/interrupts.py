"""Interrupt a tiny sweep at random moments: none may be swallowed, and what is left must be a sweep that goes on.

    python -m benchmarks.interrupts --times 15 --signal INT [--launcher joblib]

Prints a line per interrupt (when, exit code, seconds until the end) and exits with 1 if one was swallowed.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

JOBS = 40  # more than can end before the interrupt
WORDS = [
    "target=bts_simulated", "target.n_objects=200", "protocol.test=fixed", "freeze_policy=from_scratch", f"seed=range({JOBS})", "-m",
    "model.hidden=8", "model.dense=8", "model.latent=8", "fit.max_epochs=2", "fit.min_steps=0", "trainer=cpu",
    "progress=false",
]  # fmt: skip


@dataclass(frozen=True)
class Interrupt:
    """What became of one.

    Attributes:
        code: exit code. waited: seconds from the signal to the end. begun: jobs that had begun. text: written to stderr.
        after: jobs that began later than a second after the signal.
    """

    code: int
    waited: float
    begun: int
    after: int
    text: str


def interrupt(words: list[str], folder: Path, seconds: float, signum: signal.Signals, group: bool) -> Interrupt:
    """Start a sweep in `folder`, send the signal after so many seconds, wait for the end.

    Args:
        words: of the command line.
        folder: of the results.
        seconds: since the sweep opened its ledger.
        signum: SIGINT or SIGTERM.
        group: send it to all processes of the sweep, as Ctrl-C in a terminal does, instead of the first one only.
    """
    command = [sys.executable, "-m", "tlclass.train", *words, f"paths.results={folder}"]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, stdout=pipe, stderr=pipe, start_new_session=True, text=True)
    while not any(folder.glob("*/.sweep-*/total.json")) and process.poll() is None:
        time.sleep(0.02)
    time.sleep(seconds)
    sent, wall = time.monotonic(), time.time()
    if group:
        os.killpg(process.pid, signum)
    else:
        process.send_signal(signum)
    _, text = process.communicate(timeout=300)
    times = [path.stat().st_mtime for path in folder.rglob("job.json")]
    return Interrupt(process.returncode, time.monotonic() - sent, len(times), sum(t > wall + 1 for t in times), text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=15)
    parser.add_argument("--signal", choices=("INT", "TERM"), default="INT")
    parser.add_argument("--launcher", default="inprocess")
    parser.add_argument("--within", type=float, default=10.0, help="seconds after the start of the sweep")
    given = parser.parse_args()
    signum = signal.Signals[f"SIG{given.signal}"]
    generator, swallowed = np.random.default_rng(0), 0
    for number in range(given.times):
        with tempfile.TemporaryDirectory() as folder:
            paths = [f"paths.models={folder}/models", f"launcher={given.launcher}"]
            seconds = float(generator.uniform(0, given.within))
            seen = interrupt([*WORDS, *paths], Path(folder) / "results", seconds, signum, group=given.signal == "INT")
        good = seen.code == 128 + signum and seen.after == 0 and "Traceback" not in seen.text
        swallowed += not good
        verdict = "" if good else f"  NOT STOPPED AS IT SHOULD: {seen.text[-300:]}"
        print(
            f"{number}: after {seconds:.2f} s, exit {seen.code}, ended in {seen.waited:.1f} s, {seen.begun} begun{verdict}"
        )
    print(f"{swallowed} of {given.times} interrupts did not end the sweep as they should")
    raise SystemExit(bool(swallowed))


if __name__ == "__main__":
    main()
