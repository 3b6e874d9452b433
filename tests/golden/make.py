"""Writes the golden files anew: `python -m tests.golden.make rows encoded`; `models` must be named by itself.

The golden files say what the package gave when they were written. A change of structure leaves them as they are; write
them anew only for a change of method, and say so. The models stay in the format of their time, so that later versions
are held to read it: a new format adds a folder to MODELS.
"""

import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.data.raw_tables import alerts, plain, write
from tests.golden import door, jobs, surveys

HERE = Path(__file__).parent
ROWS, ENCODED, PROBABILITIES = (HERE / f"{name}.json" for name in ("rows", "encoded", "probabilities"))
CURVES = HERE / "curves.csv"
MODELS: dict[str, str | None] = {  # folder -> the job that trained it; None: an ensemble of before, with a novelty score of format 2
    "model_v1": "layerwise", "model_v1_paper": "paper", "model_v1_metadata": "metadata", "model_v1_ensemble": "transfer_ensemble",
    "model_v2": None,
}  # fmt: skip


def write_rows(workspace: Path) -> None:
    """The rows of all jobs; prints the seconds of each."""
    golden = {}
    for name in jobs.JOBS:
        began = time.process_time()
        golden[name] = jobs.run(name, workspace)
        print(f"{name}: {time.process_time() - began:.1f} s of CPU", flush=True)
    write_json(ROWS, golden)


def write_encoded(workspace: Path) -> None:
    """The encoded light curves of all surveys."""
    surveys.write_raw(workspace / "raw")
    golden = {}
    for name in surveys.SURVEYS:
        began = time.process_time()
        golden[name] = surveys.describe(name, workspace / "raw", workspace / "curves")
        print(f"{name}: {time.process_time() - began:.1f} s of CPU", flush=True)
    write_json(ENCODED, golden)


def write_models(workspace: Path) -> None:
    """Models as the jobs left them, light curves, and what the models make of these."""
    write(plain(alerts(12)).assign(mwebv=0.1).round(5), CURVES)
    probabilities = {}
    for folder, job in MODELS.items():
        if job is not None:
            _copy_model(folder, job, workspace)
        probabilities[folder] = predicted(folder, workspace)
    write_json(PROBABILITIES, probabilities)


def _copy_model(folder: str, job: str, workspace: Path) -> None:
    if not (workspace / "results" / job).exists():
        jobs.run(job, workspace)
    (HERE / folder).mkdir(exist_ok=True)
    for file in door.MODEL:
        shutil.copy(jobs.job_folder(job, workspace) / file, HERE / folder / file)


def predicted(folder: str, workspace: Path) -> dict[str, list[float | None]]:
    """What a stored model makes of the stored light curves: object -> probabilities and novelty / 100, null where it is not classified."""
    table = door.predict(HERE / folder, CURVES, workspace / f"{folder}.csv")
    probability = table.filter(like="p(").join(table.filter(like="novelty") / 100).round(9)
    rows = [[None if value != value else value for value in row] for row in probability.to_numpy().tolist()]
    return dict(zip(table.object_id.tolist(), rows, strict=True))


def write_json(path: Path, content: dict[str, Any]) -> None:
    """A line per entry and per part of it, so that a change is seen in a diff."""
    entries = []
    for name, parts in content.items():
        lines = [f"  {json.dumps(part)}: {json.dumps(value)}" for part, value in parts.items()]
        entries.append(f"{json.dumps(name)}: {{\n" + ",\n".join(lines) + "\n}")
    path.write_text("{\n" + ",\n".join(entries) + "\n}\n")


def main() -> None:
    """See above."""
    os.environ["OMP_NUM_THREADS"] = "1"
    makers = {"rows": write_rows, "encoded": write_encoded, "models": write_models}
    named = sys.argv[1:] or ["rows", "encoded"]
    sys.argv = sys.argv[:1]
    with tempfile.TemporaryDirectory() as folder:
        jobs.prepare(Path(folder))
        for name in named:
            makers[name](Path(folder))


if __name__ == "__main__":
    main()
