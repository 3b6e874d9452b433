"""The jobs of a sweep as read from its folder, what is missing from its grid, and which of its data are simulated."""

import itertools
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from tlclass.arrays import Array
from tlclass.experiments.result import JOB, read_results
from tlclass.experiments.sweep import FAILED, failure, is_done, last_command, refusals, without_folder
from tlclass.lightcurves.brightness import THIRDS
from tlclass.quoting import listed
from tlclass.training.leavings import Row

log = logging.getLogger(__name__)
CELL = ["sweep", "source", "target", "arm", "head", "encoding", "labels"]
NOT_VARIED = ("experiment_name", "seed", "labels", "arm.name", "arm.reference")  # what every job states by itself
SETTINGS = ("source", "target", "head", "encoding", "encoder")  # of a row: columns with short values
RESUME = "run the same command again to go on"
OTHER_SCORES = ("balanced_accuracy", "f1_macro", "auprc_macro", "log_loss", "ece", "sets_90")


@dataclass(frozen=True)
class Sweep:
    """The jobs of one experiment.

    Attributes:
        name: of the experiment.
        jobs: a row per finished job: coordinates, scores, its `folder`, `base` (the arm's own name), and `arm`: that name
            and what else the sweep varies.
    """

    name: str
    jobs: pd.DataFrame

    @cached_property
    def arms(self) -> list[str]:
        """References first, then the others by how many parameters they train."""
        first = self.jobs.groupby("arm").agg({"reference": "first", "trained_parameters": "mean"})
        order = zip(~first["reference"].astype(bool), first["trained_parameters"].fillna(-1), first.index, strict=True)
        return [str(arm) for *_, arm in sorted(order)]

    @cached_property
    def references(self) -> list[str]:
        """The arms that others are compared with."""
        reference = self.jobs.groupby("arm")["reference"].first()
        return [arm for arm in self.arms if reference[arm]]

    def compared(self, reference: str) -> list[str]:
        """The other arms that were tested on the reference's target."""
        targets = self.jobs.groupby("arm")["target"].agg(set)
        return [arm for arm in self.arms if arm != reference and targets[arm] == targets[reference]]

    def grid(self, arm: str, score: str) -> pd.DataFrame:
        """Seeds by numbers of labels, both of the whole sweep; NaN where there is no job or no score."""
        jobs = self.jobs[self.jobs["arm"] == arm]
        table = jobs.pivot(index="seed", columns="labels", values=score)
        return table.reindex(index=sorted(self.jobs["seed"].unique())).astype(float)

    def largest(self, arm: str) -> int:
        """The arm's largest number of labels."""
        return int(self.jobs.loc[self.jobs["arm"] == arm, "labels"].max())

    def at_largest(self, arm: str) -> pd.DataFrame:
        """The arm's jobs at its largest number of labels."""
        return self.jobs[(self.jobs["arm"] == arm) & (self.jobs["labels"] == self.largest(arm))]

    def has(self, score: str) -> bool:
        """Whether any job has this score."""
        return score in self.jobs and bool(self.jobs[score].notna().any())

    @property
    def classes(self) -> list[str]:
        """The target's classes."""
        names = [str(name) for name in self.jobs.columns]
        scored = [name.removeprefix("auroc/") for name in names if name.startswith("auroc/") and "@" not in name]
        return [name for name in scored if self.has(f"n/{name}") or self.has(f"auroc/{name}")]

    @property
    def subset_scores(self) -> list[str]:
        """Scores of the common classes, then of subsets of the test part."""
        names = [str(name) for name in self.jobs.columns if str(name).endswith(("/auroc_macro", "/auroc_common"))]
        return [name for name in ("auroc_common", *names) if self.has(name) and name.partition("/")[0] not in THIRDS]

    @property
    def magnitude_scores(self) -> list[str]:
        """Scores of the thirds of the test part by peak magnitude: macro, then of every class."""
        names = ["auroc_macro", *(f"auroc/{name}" for name in self.classes)]
        return [f"{third}/{name}" for name in names for third in THIRDS if self.has(f"{third}/{name}")]


def read_sweeps(folders: Sequence[Path]) -> list[Sweep]:
    """The experiments below these folders.

    Raises:
        FileNotFoundError: a folder holds no finished job.
        ValueError: two jobs have the same coordinates.
    """
    found = [read_results(folder) for folder in folders]
    experiments = [{str(row["experiment"]) for row in rows} for rows in found]
    sweeps = []
    for number, rows in enumerate(found):
        others = set().union(*(names for other, names in enumerate(experiments) if other != number))
        for name in sorted(experiments[number]):
            # a table of its own, as the order of the classes is that of the columns
            jobs = _table([row for row in rows if row["experiment"] == name]).assign(given=folders[number].name)
            sweeps.append(make_sweep(f"{name} ({folders[number]})" if name in others else name, jobs))
    return sweeps


def results_table(folder: Path) -> pd.DataFrame:
    """One row per finished job below `folder`.

    Raises:
        FileNotFoundError: there is none.
    """
    return _table(read_results(folder))


def _table(rows: Sequence[Row]) -> pd.DataFrame:
    jobs = pd.DataFrame([_flat(row) for row in rows])
    jobs = jobs.astype(dict.fromkeys(score_names(jobs), float)).copy()  # a copy holds its columns together
    return jobs.sort_values(["experiment", "arm", "labels", "seed"], ignore_index=True)


def score_names(jobs: pd.DataFrame) -> list[str]:
    """The columns that are scores."""
    names = [str(name) for name in jobs.columns]
    return [name for name in names if name.startswith("auroc") or "/auroc" in name or name in OTHER_SCORES]


def _flat(row: Row) -> Row:
    """The row, its settings as columns `settings/<name>`."""
    flat = {name: value for name, value in row.items() if name != "settings"}
    flat |= {f"settings/{name}": str(value) for name, value in row.get("settings", {}).items()}
    flat.setdefault("trained_parameters", None)
    return flat


def make_sweep(name: str, jobs: pd.DataFrame) -> Sweep:
    """Name the arms by what the sweep varies, and check that every job has coordinates of its own.

    Raises:
        ValueError: two jobs share arm, labels and seed.
    """
    jobs = _without_twins(name, jobs).reset_index(drop=True)
    jobs = jobs.assign(sweep=name, base=jobs["arm"].to_numpy())
    varied: set[str] = set()
    for arm, some in jobs.groupby("base"):
        columns = varied_settings(some)
        varied |= set(columns)
        more = [_with_setting(some, column) for column in columns]
        if more:
            jobs.loc[some.index, "arm"] = [", ".join([str(arm), *each]) for each in zip(*more, strict=True)]
    twice = jobs[jobs.duplicated(["arm", "labels", "seed"], keep=False)]
    if len(twice):
        first, second = twice.sort_values(["arm", "labels", "seed"])["folder"].iloc[:2]
        raise ValueError(
            f"two jobs of {name} have the same arm, labels and seed: {first} and {second}; remove one, or report the folders as A B"
        )
    return Sweep(name, jobs[[name for name in jobs if not str(name).startswith("settings/") or name in varied]])


def _without_twins(name: str, jobs: pd.DataFrame) -> pd.DataFrame:
    """One of each jobs with the same configuration: an axis may name a value that is the default."""
    if "config_key" not in jobs:  # of an earlier version
        return jobs
    twins = jobs.duplicated(["config_key", "arm", "labels", "seed"]) & jobs["config_key"].notna()
    for folder in jobs["folder"][twins]:
        log.warning("%s: %s repeats a job with the same configuration, and is left out", name, folder)
    return jobs[~twins]


def varied_settings(jobs: pd.DataFrame) -> list[str]:
    """Columns in which jobs of one arm differ, beyond seed and labels.

    What is a function of the seed alone, as `pretrain.seed` mostly is, or of the labels alone, is no setting of its own.
    Rows of earlier versions state fewer settings.
    """
    stated = [column for column in SETTINGS if column in jobs]
    stated += [str(column) for column in jobs if str(column).startswith("settings/")]
    found: list[str] = []
    for column in stated:
        values = jobs[column].fillna("")
        if column.removeprefix("settings/") in NOT_VARIED or values.nunique() < 2:
            continue
        free = [values.groupby(jobs[key]).nunique().max() > 1 for key in ("seed", "labels")]
        if all(free):
            found.append(column)
    return _without_echoes(jobs, found)


def _without_echoes(jobs: pd.DataFrame, columns: Sequence[str]) -> list[str]:
    """The first of several columns that tell the same jobs apart: `encoding` and not `settings/encoding.name` too."""
    kept: list[str] = []
    for column in columns:
        codes = pd.factorize(jobs[column])[0]
        if not any((codes == pd.factorize(jobs[other])[0]).all() for other in kept):
            kept.append(column)
    return kept


def _with_setting(jobs: pd.DataFrame, column: str) -> list[str]:
    """The values of a varied setting as they stand in an arm's name: `context`, `fit.learning_rate=0.003`."""
    name = column.removeprefix("settings/").removesuffix(".name")
    return [str(value) if column in SETTINGS else f"{name}={value}" for value in jobs[column]]


def by_budget(grid: pd.DataFrame) -> dict[int, Array]:
    """The columns of a grid as arrays over the seeds."""
    return {int(str(budget)): column.to_numpy(dtype=float) for budget, column in grid.items()}


def missing_cells(sweep: Sweep) -> list[str]:
    """Every arm, number of labels and seed of the grid without a finished job, in words.

    The grid is spanned by what the sweep has. With 0 labels there is no draw that seeds could vary, so one seed is
    enough there; all are expected only of arms that have several, each from a source model of its own.
    """
    jobs = sweep.jobs
    seeds, budgets = sorted(jobs["seed"].unique()), sorted(jobs["labels"].unique())
    have = set(zip(jobs["arm"], jobs["labels"], jobs["seed"], strict=True))
    lines = []
    for arm, budget in itertools.product(sweep.arms, budgets):
        absent = [seed for seed in seeds if (arm, budget, seed) not in have]
        if absent and not (budget == 0 and len(absent) >= len(seeds) - 1):
            lines.append(f"{arm}, {budget:,} labels, seed {', '.join(str(seed) for seed in absent)}")
    return lines


def last_sweep(folder: Path) -> str | None:
    """How many jobs of the last command of the sweep in `folder` are finished, in words; None if its jobs are not known."""
    last = last_command(folder)
    if last is None or last.jobs is None:
        return None
    refused = refusals(folder)
    done = sum(is_done(folder / job) and job not in refused for job in last.begun.values())
    return f"{done:,} of the {len(last.jobs):,} jobs of the last sweep command are finished"


def unfinished_jobs(folder: Path) -> dict[str, str]:
    """Folders of jobs that were begun and left no result, each with the reason; then jobs of the last sweep command that did not begin."""
    last = last_command(folder)
    begun = {str(path.parent.relative_to(folder)) for name in (JOB, FAILED) for path in folder.rglob(name)}
    begun |= set(last.begun.values()) if last else set()
    refused = refusals(folder)
    found = {
        job: without_folder(refused[job], folder / job) if job in refused else _reason(folder / job)
        for job in sorted(begun)
        if job in refused or not is_done(folder / job)
    }
    waiting = [job for number, job in enumerate((last and last.jobs) or ()) if last and number not in last.begun]
    if waiting:
        found[f"{len(waiting):,} more of the last sweep command"] = f"not begun, {RESUME}: {listed(waiting, 20)}"
    return found


def _reason(job: Path) -> str:
    return failure(job) if (job / FAILED).is_file() else f"interrupted: {RESUME}"


def untested_classes(sweep: Sweep) -> list[str]:
    """Classes that no object of the test part has, in words, per arm and labels."""
    lines = []
    for name in sweep.classes:
        score = sweep.jobs[f"auroc/{name}"]
        absent = sweep.jobs[score.isna()]
        if len(absent) == len(sweep.jobs):
            lines.append(f"{name}: missing in all jobs")
        elif len(absent):
            pairs = sorted(set(zip(absent["arm"], absent["labels"], strict=True)))
            cells = [f"{arm} at {budget:,}" for arm, budget in pairs]
            lines.append(f"{name}: missing in {len(absent)} of {len(sweep.jobs)} jobs ({'; '.join(cells)})")
    return lines


def data_note(jobs: pd.DataFrame) -> str:
    """Which of the data are simulated."""

    def kind(name: str, simulated: bool) -> str:
        return f"{name} ({'simulated' if simulated else 'real'})"

    targets = {kind(row["target"], row["simulated"]) for _, row in jobs.iterrows()}
    sources = {kind(row["source"], row["source_simulated"]) for _, row in jobs.iterrows() if row["source"]}
    return f"{', '.join(sorted(sources)) + ' to ' if sources else ''}{', '.join(sorted(targets))}"
