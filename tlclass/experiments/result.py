"""The result of a job: a flat row of scores in the job's folder."""

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlclass.atomic import write_json
from tlclass.quoting import shortened

if TYPE_CHECKING:  # torch is not needed to read a row
    from tlclass.training.leavings import Row

RESULT = "result.json"
JOB = "job.json"  # what a job that began is
CHECKPOINTS = "checkpoints"  # folder of an unfinished fit
RUNS = "runs.json"  # numbers of the job's runs in dashboards
METRICS = "metrics.csv"  # of `logger=csv`
DESCRIPTIVE = ("citation", "n_jobs")  # at any depth of the settings
VOLATILE = ("paths", "logger", "tags", "notes", "overwrite", "progress", "threads", "launcher", "trust")
# of `trainer`: how a fit is run; whatever else is given to Lightning (precision, gradient_clip_val) decides the result
HOW = ("accelerator", "devices", "strategy", "deterministic", "benchmark", "use_distributed_sampler")


def config_key(settings: Mapping[str, Any]) -> str:
    """Hash of the settings that decide the result; folders, devices and output options are left out."""
    text = json.dumps(_decisive_tree(settings), sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def decisive(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that decide the result, flat: `fit.learning_rate` and its value, and so on."""
    return dict(_flat("", _decisive_tree(settings)))


def _decisive_tree(settings: Mapping[str, Any]) -> Any:
    kept = {name: value for name, value in settings.items() if name not in (*VOLATILE, "trainer")}
    trainer = settings.get("trainer", {}).items()
    decisive = {name: value for name, value in trainer if name not in HOW and not name.startswith("enable_")}
    kept |= {"trainer": decisive} if decisive else {}
    return _decisive(kept, str(settings["paths"]["data"]))


def _flat(place: str, settings: Any) -> Iterator[tuple[str, Any]]:
    if not isinstance(settings, Mapping):
        yield place, settings
        return
    for name, value in settings.items():
        yield from _flat(f"{place}.{name}" if place else str(name), value)


def _decisive(settings: Any, folder: str) -> Any:
    """The settings without what only describes, paths relative to the data folder: moved data are the same experiment."""
    if isinstance(settings, Mapping):
        # our classes may move; a name stands beside them
        own = str(settings.get("_target_", "")).startswith("tlclass.")
        kept = {k: v for k, v in settings.items() if k not in DESCRIPTIVE and not (own and k == "_target_")}
        return {name: _decisive(value, folder) for name, value in kept.items()}
    if isinstance(settings, list | tuple):
        return [_decisive(value, folder) for value in settings]
    inside = isinstance(settings, str) and (settings == folder or settings.startswith(f"{folder}/"))
    return settings.removeprefix(folder) if inside else settings


class OtherJob(ValueError):
    """A folder of results belongs to another job, so this one leaves nothing there."""


def finished(folder: Path, settings: Mapping[str, Any], data: Mapping[str, str], overwrite: bool) -> "Row | None":
    """The row of a finished job in `folder`, its missing scores NaN again, or None if there is work to do.

    Args:
        folder: of the job.
        settings: see `decisive`.
        data: digests of what the job reads, by name.
        overwrite: whether to forget another job there.

    Raises:
        OtherJob: the folder holds a job with another configuration or of other data and `overwrite` is false.
    """
    difference = _difference(folder, settings, data)
    if difference:
        if not overwrite and any((folder / name).exists() for name in (RESULT, CHECKPOINTS)):
            raise OtherJob(f"{folder} holds a job {difference}")
        shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)
        for name in (RESULT, RUNS, METRICS):
            (folder / name).unlink(missing_ok=True)
    row = _read(folder / RESULT)
    return row and {name: float("nan") if value is None else value for name, value in row.items()}


def _difference(folder: Path, settings: Mapping[str, Any], data: Mapping[str, str]) -> str:
    """How the job in `folder` differs from this one and what to do; empty if it does not, or there is none."""
    started = _read(folder / JOB)
    if started is None:
        return ""
    there, here = started.get("settings", {}), json.loads(json.dumps(dict(settings), default=str))
    differing = [name for name in sorted({*there, *here}) if there.get(name) != here.get(name)]
    if differing:
        changes = _changes(differing, there, here)
        more = f", and {len(changes) - 5} more" if len(changes) > 5 else ""
        return (
            f"with another configuration ({'; '.join(changes[:5])}{more}): add overwrite=true to replace it, or choose another "
            "experiment_name"
        )
    changed = [name for name in data if data[name] != started["data"].get(name)]
    if changed:
        return (
            f"of other data: the files of its {' and '.join(changed)} have changed since it began; restore them, "
            "add overwrite=true to replace the job, or choose another experiment_name"
        )
    return ""


def _changes(differing: Sequence[str], there: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """What each of these settings was and is, of a group with another name the name alone.

    >>> _changes(["adapt.fit.max_epochs", "adapt.name", "seed"], {"seed": 0}, {"adapt.name": "distill", "seed": 1})
    ['adapt was not set and is now distill', 'seed was 0 and is now 1']
    """
    groups = [name.removesuffix("name") for name in differing if name.endswith(".name")]
    outer = [group for group in groups if not any(group != other and group.startswith(other) for other in groups)]
    shown = [
        name for name in differing if name in {f"{group}name" for group in outer} or not name.startswith(tuple(outer))
    ]
    return [f"{name.removesuffix('.name')} was {_value(there, name)} and is now {_value(here, name)}" for name in shown]


def _value(settings: Mapping[str, Any], name: str) -> str:
    value = settings.get(name)
    return "not set" if value is None else shortened(value)


def write_job(folder: Path, settings: Mapping[str, Any], data: Mapping[str, str]) -> None:
    """Write down which settings and data the job in `folder` has."""
    write_json(folder / JOB, {"settings": dict(settings), "data": dict(data)})


def write_result(folder: Path, row: "Row") -> None:
    """Write the finished job's row, the last thing a job does."""
    write_json(folder / RESULT, row)


def read_results(folder: Path) -> "list[Row]":
    """All rows below `folder`, ordered by path; each gets its `folder`.

    Raises:
        FileNotFoundError: there is none.
        ValueError: a file is damaged.
    """
    paths = sorted(folder.rglob(RESULT))
    begun = len(list(folder.rglob(JOB)))
    if begun and not paths:
        raise FileNotFoundError(
            f"none of the {begun} jobs below {folder} is finished: run the same command again to continue"
        )
    if not paths:
        raise FileNotFoundError(
            f"no {RESULT} below {folder}: name the folder of an experiment, results/NAME, or run `tlclass train` first"
        )
    return [_parsed(path) | {"folder": str(path.parent)} for path in paths]


def _read(path: Path) -> "Row | None":
    return _parsed(path) if path.is_file() else None


def _parsed(path: Path) -> "Row":
    try:
        row: Row = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(
            f"{path} is damaged ({error}): delete the folder {path.parent} and run the same command again"
        ) from error
    return row
