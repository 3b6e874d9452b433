"""The jobs of a sweep as read from its folder, what is missing from its grid, and which of its data are simulated."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from tlclass.experiments.result import RESULT, read_results

Array = npt.NDArray[np.float64]

REFERENCES = ("from_scratch", "from_scratch_context", "forest", "lightgbm", "paper", "recipe")  # conf/arm/
ORDER = (
    *(*REFERENCES, "random_frozen", "head_only", "latent_and_head", "gru_and_head", "layerwise", "full"),
    *("probe_then_full", "gradual_unfreezing", "chosen"),
)
CELL = ["sweep", "source", "target", "policy", "head", "encoding", "budget"]
SETTINGS = ("source", "target", "head", "encoding", "model")
OTHER_SCORES = ("auprc_macro", "log_loss", "balanced_accuracy", "ece")


@dataclass(frozen=True)
class Sweep:
    """The jobs of one experiment.

    Attributes:
        name: of the experiment.
        jobs: a row per finished job: coordinates, scores, its `folder`, and `arm`: the policy, and what else
            distinguishes jobs of the same policy.
    """

    name: str
    jobs: pd.DataFrame

    @property
    def arms(self) -> list[str]:
        """References first, then the others in the order of how much they train."""
        names = {str(arm): str(policy) for arm, policy in zip(self.jobs["arm"], self.jobs["policy"], strict=True)}
        places = {name: place for place, name in enumerate(ORDER)}
        return sorted(names, key=lambda arm: (places.get(names[arm], len(ORDER)), arm))

    @property
    def references(self) -> list[str]:
        """The arms that others are compared with."""
        policies = dict(zip(self.jobs["arm"], self.jobs["policy"], strict=True))
        return [arm for arm in self.arms if policies[arm] in REFERENCES]

    def compared(self, reference: str) -> list[str]:
        """The other arms that were tested on the reference's target."""
        targets = self.jobs.groupby("arm")["target"].agg(set)
        return [arm for arm in self.arms if arm != reference and targets[arm] == targets[reference]]

    def grid(self, arm: str, score: str) -> pd.DataFrame:
        """Seeds by budgets, both of the whole sweep; NaN where there is no job or no score."""
        jobs = self.jobs[self.jobs["arm"] == arm]
        table = jobs.pivot(index="seed", columns="budget", values=score)
        return table.reindex(index=sorted(self.jobs["seed"].unique())).astype(float)

    def largest(self, arm: str) -> int:
        """The arm's largest budget."""
        return int(self.jobs.loc[self.jobs["arm"] == arm, "budget"].max())

    def at_largest(self, arm: str) -> pd.DataFrame:
        """The arm's jobs at its largest budget."""
        return self.jobs[(self.jobs["arm"] == arm) & (self.jobs["budget"] == self.largest(arm))]

    def has(self, score: str) -> bool:
        """Whether any job has this score."""
        return score in self.jobs and bool(self.jobs[score].notna().any())

    @property
    def classes(self) -> list[str]:
        """The target's classes."""
        names = [str(name) for name in self.jobs.columns]
        scored = [name.removeprefix("auroc/") for name in names if name.startswith("auroc/")]
        return [name for name in scored if self.has(f"n/{name}") or self.has(f"auroc/{name}")]

    @property
    def subset_scores(self) -> list[str]:
        """Scores of the common classes, then of subsets of the test part."""
        names = [str(name) for name in self.jobs.columns if str(name).endswith(("/auroc_macro", "/auroc_common"))]
        return [name for name in ("auroc_common", *names) if self.has(name)]


def read_sweeps(folders: Sequence[Path]) -> list[Sweep]:
    """The experiments below these folders.

    Raises:
        FileNotFoundError: a folder holds no finished job.
        ValueError: two jobs have the same coordinates.
    """
    tables = [results_table(folder).assign(given=folder.name) for folder in folders]
    experiments = [set(table["experiment"]) for table in tables]
    sweeps = []
    for number, table in enumerate(tables):
        others = set().union(*(names for other, names in enumerate(experiments) if other != number))
        for name, jobs in table.groupby("experiment", sort=True):
            clash = name in others
            sweeps.append(make_sweep(f"{name} ({folders[number]})" if clash else str(name), jobs))
    return sweeps


def results_table(folder: Path) -> pd.DataFrame:
    """One row per finished job below `folder`.

    Raises:
        FileNotFoundError: there is none.
    """
    jobs = pd.DataFrame(read_results(folder))
    for name in score_names(jobs):
        jobs[name] = pd.to_numeric(jobs[name])
    return jobs.sort_values(["experiment", "policy", "budget", "seed"], ignore_index=True)


def score_names(jobs: pd.DataFrame) -> list[str]:
    """The columns that are scores."""
    names = [str(name) for name in jobs.columns]
    return [name for name in names if name.startswith("auroc") or "/auroc" in name or name in OTHER_SCORES]


def make_sweep(name: str, jobs: pd.DataFrame) -> Sweep:
    """Name the arms and check that every job has coordinates of its own.

    Raises:
        ValueError: two jobs share arm, budget and seed.
    """
    jobs = jobs.reset_index(drop=True).assign(sweep=name)
    jobs["arm"] = jobs["policy"]
    for policy, some in jobs.groupby("policy"):
        varied = [column for column in SETTINGS if column in some and some[column].nunique() > 1]
        if varied:
            jobs.loc[some.index, "arm"] = f"{policy}, " + some[varied].agg(", ".join, axis=1)
    twice = jobs[jobs.duplicated(["arm", "budget", "seed"], keep=False)]
    if len(twice):
        first, second = twice.sort_values(["arm", "budget", "seed"])["folder"].iloc[:2]
        raise ValueError(
            f"two jobs of {name} have the same policy, budget and seed: {first} and {second}; remove one, or report the folders as A B"
        )
    return Sweep(name, jobs)


def by_budget(grid: pd.DataFrame) -> dict[int, Array]:
    """The columns of a grid as arrays over the seeds."""
    return {int(str(budget)): column.to_numpy(dtype=float) for budget, column in grid.items()}


def missing_cells(sweep: Sweep) -> list[str]:
    """Every policy, budget and seed of the grid without a finished job, in words.

    The grid is spanned by what the sweep has. With 0 labels there is no draw that seeds could vary, so one seed is
    enough there; all are expected only of policies that have several, each from a source model of its own.
    """
    jobs = sweep.jobs
    seeds, budgets = sorted(jobs["seed"].unique()), sorted(jobs["budget"].unique())
    have = set(zip(jobs["arm"], jobs["budget"], jobs["seed"], strict=True))
    lines = []
    for arm, budget in itertools.product(sweep.arms, budgets):
        absent = [seed for seed in seeds if (arm, budget, seed) not in have]
        if absent and not (budget == 0 and len(absent) >= len(seeds) - 1):
            lines.append(f"{arm}, {budget:,} labels, seed {', '.join(str(seed) for seed in absent)}")
    return lines


def unfinished_jobs(folder: Path) -> list[str]:
    """Folders of jobs that were begun and left no result."""
    begun = sorted({path.parent for name in ("job.json", "failed.json") for path in folder.rglob(name)})
    return [str(job.relative_to(folder)) for job in begun if not (job / RESULT).exists()]


def untested_classes(sweep: Sweep) -> list[str]:
    """Classes that no object of the test part has, in words, per arm and budget."""
    lines = []
    for name in sweep.classes:
        score = sweep.jobs[f"auroc/{name}"]
        absent = sweep.jobs[score.isna()]
        if len(absent) == len(sweep.jobs):
            lines.append(f"{name}: missing in all jobs")
        elif len(absent):
            pairs = sorted(set(zip(absent["arm"], absent["budget"], strict=True)))
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
