"""How the jobs of a report were made: command, versions, dates, machines and duration, from what they left."""

import re
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml

from tlclass.report.sweep import Sweep, last_sweep
from tlclass.report.tables import read_json
from tlclass.training.leavings import TIMING, WORDS, words_of

UNKNOWN = "not recorded"  # by earlier versions, or of results that were copied without it


def facts(folders: Sequence[Path], sweeps: Sequence[Sweep]) -> list[tuple[str, str]]:
    """Names and values for the head of a report.

    Args:
        folders: of the results.
        sweeps: those found there.
    """
    jobs = [Path(job) for sweep in sweeps for job in sweep.jobs["folder"]]
    timings = [timing for job in jobs if (timing := read_json(job / TIMING))]
    ended = sorted(timing["ended"] for timing in timings if "ended" in timing)
    versions = [f"{name} {version}" for t in timings for name, version in t.get("versions", {}).items()]
    return [
        ("command", _listed((command(folder) for folder in folders), " and ")),
        ("jobs", _listed([f"{len(jobs):,} finished", *filter(None, map(last_sweep, folders))])),
        ("ended", _spread([time[:16].replace("T", " ") + " UTC" for time in ended])),
        ("duration", duration(sum(timing["seconds"] for timing in timings)) if timings else UNKNOWN),
        ("machine", _listed(timing["machine"] for timing in timings if "machine" in timing)),
        ("versions", _listed(versions)),
    ]


def command(folder: Path) -> str:
    """The command line of the last sweep in a folder, or of each below it, or of its only job."""
    sweeps, jobs = sorted(folder.rglob("multirun.yaml")), [*folder.glob(f"**/{WORDS}")]
    if sweeps:
        found = (["tlclass", "train", *_plain(words_of(_yaml(sweep)["hydra"])), "-m"] for sweep in sweeps)
        return " and ".join(map(shlex.join, found))
    if len(jobs) == 1:
        return shlex.join(["tlclass", "train", *_plain(_yaml(jobs[0]))])
    return UNKNOWN


def _plain(words: Sequence[str]) -> list[str]:
    """Words as they are typed: no plus before the experiment, no quotes that Hydra does not need."""
    bare = [re.sub(r"='([\w./@+-]*)'$", r"=\1", word) for word in words]
    return [word.removeprefix("+") if word.startswith("+experiment=") else word for word in bare]


def duration(seconds: float) -> str:
    """`12 s`, `34 min` or `5.6 h` of training and scoring, all jobs together."""
    if seconds < 100:
        return f"{seconds:.0f} s of training and scoring"
    length = f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
    return f"{length} of training and scoring"


def _listed(values: Iterable[str], between: str = "; ") -> str:
    return between.join(dict.fromkeys(values)) or UNKNOWN


def _spread(values: Sequence[str]) -> str:
    if not values:
        return UNKNOWN
    return values[0] if values[0] == values[-1] else f"{values[0]} to {values[-1]}"


def _yaml(path: Path) -> Any:
    # ten times as fast
    return yaml.load(path.read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
