"""Kill a small sweep with SIGKILL at random moments, run it again until it is finished, and compare its rows bit for bit.

python -m benchmarks.kills --kills 30
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

WORDS = [
    *("target=bts_simulated", "target.n_objects=200", "source=ztf_simulated", "source.n_objects=200", "freeze_policy=full"),
    *("model.hidden=8", "model.dense=8", "model.latent=8", "trainer=cpu", "logger=none", "progress=false"),
    *("fit.max_epochs=30", "fit.min_steps=0", "fit.patience_epochs=30", "pretrain.fit.max_epochs=5", "labels=60,100", "seed=0,1"),
]  # fmt: skip
VOLATILE = ("settings",)  # paths differ


def command(folder: Path) -> list[str]:
    """The sweep, its results, source models and parsed surveys below a folder."""
    places = [f"paths.{name}={folder / name}" for name in ("results", "models", "cache", "data")]
    return [sys.executable, "-m", "tlclass.train", "-m", *WORDS, *places]


def rows(folder: Path) -> dict[str, Any]:
    """The result rows by the place of their jobs, and what the jobs predicted."""
    found = {}
    for path in sorted((folder / "results").rglob("result.json")):
        row = {key: value for key, value in json.loads(path.read_text()).items() if key not in VOLATILE}
        predictions = (path.parent / "predictions.parquet").read_bytes()
        found[str(path.parent.relative_to(folder))] = (row, predictions)
    return found


def whole(folder: Path) -> float:
    """Run the sweep once without a kill; returns its seconds."""
    began = time.monotonic()
    subprocess.run(command(folder), check=True, capture_output=True, cwd=folder)
    return time.monotonic() - began


def killed(folder: Path, after: float) -> bool:
    """Run the sweep and kill it after so many seconds; False if it was over before."""
    process = subprocess.Popen(
        command(folder), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder, start_new_session=True
    )
    try:
        process.wait(after)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return True
    if process.returncode:
        raise SystemExit(f"the sweep ended with exit code {process.returncode} after earlier kills: {folder}")
    return False


def main() -> None:
    """Kill as often as asked, and say whether any row differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    rng, kills, sweeps, wrong = random.Random(given.seed), 0, 0, 0
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "whole").mkdir()
        seconds = whole(Path(name) / "whole")
        expected = rows(Path(name) / "whole")
        while kills < given.kills:
            folder = Path(name) / f"sweep{sweeps}"
            folder.mkdir()
            while killed(folder, rng.uniform(0.1, 1.1) * seconds):
                kills += 1
            sweeps += 1
            wrong += rows(folder) != expected
    print(
        f"{kills} kills of {sweeps} sweeps of {len(expected)} jobs ({seconds:.0f} s each): {wrong} with a row that differs"
    )
    raise SystemExit(wrong > 0)


if __name__ == "__main__":
    main()
