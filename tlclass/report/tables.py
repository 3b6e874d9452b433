"""The tables of the report: scores, differences, label efficiency, class counts."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tlclass.lightcurves.brightness import THIRDS
from tlclass.report.objects import object_interval
from tlclass.report.statistics import Estimate, estimate, label_efficiency, mean_estimate, ratio, skill
from tlclass.report.sweep import CELL, OTHER_SCORES, Sweep, by_budget, score_names
from tlclass.training.leavings import MACRO, SURVEY


def summary_table(jobs: pd.DataFrame) -> pd.DataFrame:
    """Mean, standard deviation, 95 % interval and number of jobs of every score, one row per cell.

    A score that is missing in a job (no test object of a class) is left out of its mean; n counts the
    jobs that have it.
    """
    rows = []
    for cell, some in jobs.groupby(CELL, dropna=False):
        row: dict[str, Any] = dict(zip(CELL, cell, strict=True)) | {"seeds": len(some)}
        for name in score_names(jobs):
            found = mean_estimate(some[name].to_numpy(dtype=float))
            row |= {name: found.value, f"{name} sd": some[name].std(ddof=1)}
            row |= {f"{name} low": found.low, f"{name} high": found.high, f"{name} n": found.n}
        row |= {str(name): some[name].mean() for name in jobs.columns if str(name).startswith("n/")}
        rows.append(row)
    return pd.DataFrame(rows)


def cells(sweep: Sweep) -> list[tuple[str, int, pd.DataFrame]]:
    """Arm, labels and jobs of every cell, in the order of the report."""
    return [
        (arm, int(str(budget)), some)
        for arm in sweep.arms
        for budget, some in sweep.jobs[sweep.jobs["arm"] == arm].groupby("labels")
    ]


def score_table(sweep: Sweep, scores: Sequence[str]) -> pd.DataFrame:
    """Mean, standard deviation and number of seeds in words; `missing` where no job has the score."""
    n_seeds = sweep.jobs["seed"].nunique()
    rows = []
    for arm, budget, some in cells(sweep):
        row = {"arm": arm, "labels": f"{budget:,}", "seeds": f"{len(some)} of {n_seeds}"}
        rows.append(row | {title(name): with_spread(some[name], len(some)) for name in scores})
    return pd.DataFrame(rows)


def main_table(sweep: Sweep) -> pd.DataFrame:
    """Macro AUROC with its interval, common classes, subsets and the other scores."""
    others = [name for name in OTHER_SCORES if sweep.has(name)]
    table = score_table(sweep, [MACRO, *sweep.subset_scores, *others])
    intervals = [interval(mean_estimate(some[MACRO].to_numpy(dtype=float))) for _, _, some in cells(sweep)]
    table.insert(4, "95 % interval", intervals)
    return table


def class_table(sweep: Sweep) -> pd.DataFrame:
    """One-vs-rest AUROC of every class."""
    return score_table(sweep, [f"auroc/{name}" for name in sweep.classes])


def magnitude_table(sweep: Sweep) -> pd.DataFrame:
    """AUROC of each third of the test part by peak magnitude: a row per arm, number of labels and third."""
    rows = []
    for arm, budget, some in cells(sweep):
        for third in THIRDS:
            names = [name for name in sweep.magnitude_scores if name.startswith(f"{third}/")]
            row = {"arm": arm, "labels": f"{budget:,}", "brightness": third}
            rows.append(
                row | {title(name.removeprefix(f"{third}/")): with_spread(some[name], len(some)) for name in names}
            )
    return pd.DataFrame(rows)


def title(score: str) -> str:
    """Column heading of a score."""
    names = {"f1_macro": "macro F1", "ece": "ECE"}
    return names.get(score, score.replace("auroc_", "").replace("auroc/", "").replace("_", " "))


def with_spread(values: "pd.Series[float]", jobs: int) -> str:
    """`mean ±sd`, with n where it is not that of the jobs."""
    present = values.dropna()
    if present.empty:
        return "missing"
    spread = f" ±{present.std(ddof=1):.3f}" if len(present) > 1 else ""
    return f"{present.mean():.3f}{spread}" + (f" (n={len(present)})" if len(present) != jobs else "")


def interval(found: Estimate) -> str:
    """`[low, high]`, or `-` where one seed gives none."""
    return "-" if np.isnan(found.low) else f"[{found.low:.3f}, {found.high:.3f}]"


def differences(sweep: Sweep, arm: str, reference: str, score: str = MACRO) -> pd.DataFrame:
    """Arm minus reference for the same seed and labels: seeds by common numbers of labels, NaN where either is missing."""
    ours, theirs = sweep.grid(arm, score), sweep.grid(reference, score)
    common = [budget for budget in ours.columns if budget in theirs.columns]
    return ours[common] - theirs[common]


def paired_table(sweep: Sweep) -> pd.DataFrame:
    """Mean paired difference in macro AUROC of every arm from every reference, with intervals over seeds and over objects."""
    rows = []
    for reference in sweep.references:
        for arm in sweep.compared(reference):
            for budget, column in by_budget(differences(sweep, arm, reference)).items():
                found = mean_estimate(column)
                if found.n:
                    rows.append(
                        {
                            "arm": arm,
                            "minus": reference,
                            "labels": f"{budget:,}",
                            "difference": f"{found.value:+.3f}",
                            "95 % over seeds": signed(found.low, found.high),
                            "95 % over test objects": signed(
                                *object_interval(job_pairs(sweep, arm, reference, budget))
                            ),
                            "pairs": str(found.n),
                            "pairs > 0": str(int((column > 0).sum())),
                        }
                    )
    return pd.DataFrame(rows)


def job_pairs(sweep: Sweep, arm: str, reference: str, budget: int) -> list[tuple[Path, Path]]:
    """The folders of both arms' jobs with this budget and the same seed, where both have a score."""
    jobs = sweep.jobs[(sweep.jobs["labels"] == budget) & sweep.jobs[MACRO].notna()]
    ours, theirs = (
        jobs[jobs["arm"] == name].set_index("seed")["folder"].map(Path).to_dict() for name in (arm, reference)
    )
    return [(ours[seed], theirs[seed]) for seed in ours if seed in theirs]


def signed(low: float, high: float) -> str:
    """`[low, high]` with signs, or `-` where there is none."""
    return "-" if np.isnan(low) else f"[{low:+.3f}, {high:+.3f}]"


def efficiency_table(sweep: Sweep) -> pd.DataFrame:
    """Labels each arm needs for a reference's mean score at its largest number of labels, and how many fewer that is."""
    rows = []
    for reference in sweep.references:
        most = sweep.largest(reference)
        level = sweep.grid(reference, MACRO)[most].to_numpy()
        for arm in sweep.compared(reference):
            grid = sweep.grid(arm, MACRO)
            budgets = grid.columns.to_numpy()
            found = label_efficiency(budgets.astype(float), grid.to_numpy(), level)
            smallest = float(min(budget for budget in budgets if budget > 0)) if budgets.max() > 0 else 0.0
            rows.append(
                {
                    "arm": arm,
                    "reaches": f"{reference} at {most:,} labels ({mean_estimate(level).value:.3f})",
                    "with labels": labels_in_words(found.value, smallest, budgets.max()),
                    "95 % interval of labels": between(
                        labels_in_words(found.low, smallest, budgets.max()),
                        labels_in_words(found.high, smallest, budgets.max()),
                    ),
                    "fewer labels": fewer_in_words(found.value, smallest, most),
                    "95 % interval": between(
                        fewer_in_words(found.high, smallest, most), fewer_in_words(found.low, smallest, most)
                    ),
                }
            )
    return pd.DataFrame(rows)


def between(low: str, high: str) -> str:
    """An interval of words."""
    return "-" if "-" in (low, high) else low if low == high else f"{low} to {high}"


def labels_in_words(labels: float, smallest: float, largest: float) -> str:
    """Labels needed; the smallest number tried is an upper limit, and there is no statement beyond the largest."""
    if np.isnan(labels):
        return "-"
    if np.isinf(labels):
        return f"not reached by {largest:,.0f}"
    return f"{'at most ' if 0 < labels <= smallest else ''}{labels:,.0f}"


def fewer_in_words(labels: float, smallest: float, reference: float) -> str:
    """The same as a share of the reference's labels."""
    if np.isnan(labels):
        return "-"
    if np.isinf(labels):
        return "not reached"
    share = 100 * (1 - labels / reference)
    said = f"{abs(share):.0f} % {'fewer' if share >= 0 else 'more'}"
    return f"at least {said}" if 0 < labels <= smallest and share >= 0 else said


def share_table(sweep: Sweep) -> pd.DataFrame:
    """AUROC ratio to every reference's score at its largest number of labels, and the skill above chance beside it."""
    rows = []
    for reference in sweep.references:
        level = sweep.grid(reference, MACRO)[sweep.largest(reference)].to_numpy()
        for arm in (reference, *sweep.compared(reference)):
            for budget, column in by_budget(sweep.grid(arm, MACRO)).items():
                pair = np.column_stack([column, level])
                row = {"arm": arm, "labels": f"{budget:,}", "of": f"{reference} at {sweep.largest(reference):,}"}
                for name, statistic in (("AUROC ratio", ratio), ("skill above chance", skill)):
                    found = estimate(pair, statistic)
                    row |= {name: "-" if np.isnan(found.value) else f"{found.value:.3f} {interval(found)}"}
                rows.append(row)
    return pd.DataFrame(rows)


def survey_counts(sweep: Sweep) -> list[dict[str, Any]]:
    """The distinct surveys of the sweep (`survey.json` of its jobs): name, simulated, objects per class."""
    surveys: dict[str, dict[str, Any]] = {}
    for folder in sweep.jobs["folder"]:
        for role, counts in (read_json(Path(folder) / SURVEY) or {}).items():
            if counts is not None:
                key = json.dumps([counts["survey"], counts["objects"]])
                surveys.setdefault(key, counts | {"role": role})
    return sorted(surveys.values(), key=lambda counts: (counts["role"] == "target", counts["survey"]))


def counts_table(counts: dict[str, Any], fixed_test: bool) -> pd.DataFrame:
    """Objects per class of one survey; the test part where it is the same in all jobs."""
    classes = counts["objects"]
    table = pd.DataFrame({"class": list(classes), "objects": [f"{n:,}" for n in classes.values()]})
    total = sum(classes.values())
    table["share"] = [f"{100 * n / total:.1f} %" for n in classes.values()]
    if fixed_test:
        table["test"] = [f"{n:,}" for n in counts["test"].values()]
    last = {"class": "total", "objects": f"{total:,}", "share": ""}
    last |= {"test": f"{sum(counts['test'].values()):,}"} if fixed_test else {}
    return pd.concat([table, pd.DataFrame([last])], ignore_index=True)


def training_counts(sweep: Sweep) -> pd.DataFrame:
    """Mean number of objects per class in the training part: budgets by classes, over the distinct draws."""
    rows = []
    for (budget, seed), some in sweep.jobs.groupby(["labels", "seed"]):
        stored = [read_json(Path(folder) / SURVEY) for folder in some["folder"]]
        drawn = [counts["target"]["train"] for counts in stored if counts]
        if drawn and int(str(budget)) > 0:
            rows.append({"labels": budget, "seed": seed, **drawn[0]})
    table = pd.DataFrame(rows, columns=["labels", "seed", *sweep.classes])
    return table.groupby("labels")[sweep.classes].mean()


def comparison_table(sweeps: Sequence[Sweep]) -> pd.DataFrame:
    """Macro AUROC of several sweeps side by side: a row per arm and number of labels, a column per sweep."""

    def said(some: pd.DataFrame) -> str:
        found = mean_estimate(some[MACRO].to_numpy(dtype=float))
        return f"{with_spread(some[MACRO], len(some))} {interval(found)}, n={len(some)}"

    columns = {sweep.name: {(arm, budget): said(some) for arm, budget, some in cells(sweep)} for sweep in sweeps}
    keys = list(dict.fromkeys(key for column in columns.values() for key in column))
    arms = list(dict.fromkeys(arm for arm, _ in keys))
    keys.sort(key=lambda key: (arms.index(key[0]), key[1]))
    rows = [{name: column.get(key, "no job") for name, column in columns.items()} for key in keys]
    return pd.DataFrame([{"arm": arm, "labels": f"{n:,}", **row} for (arm, n), row in zip(keys, rows, strict=True)])


def read_json(path: Path) -> Any:
    """Its content, or None where there is no such file."""
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
