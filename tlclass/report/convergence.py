"""How fast a fit reaches a fixed validation score (paper appendix E), from the jobs' `history.json`."""

from pathlib import Path

import numpy as np
import pandas as pd

from tlclass.arrays import Array
from tlclass.report.sweep import Sweep
from tlclass.report.tables import read_json
from tlclass.training.leavings import HISTORY

SCORE = "val/auroc_macro"
SHARE = 0.95


def histories(sweep: Sweep) -> pd.DataFrame:
    """Every validation of every job that left its history: whose job, step, epoch, seconds, scores."""
    frames = []
    coordinates = ["arm", "base", "target", "labels", "seed"]
    for _, job in sweep.jobs.iterrows():
        lines = read_json(Path(job["folder"]) / HISTORY)
        if lines:
            frames.append(pd.DataFrame(lines).assign(**job[coordinates]))
    columns = [*coordinates, "step", "epoch", "seconds", "val/loss", SCORE]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=columns)


def goals(history: pd.DataFrame) -> dict[int, float]:
    """The score to reach at each number of labels: 95 % of the best validation AUROC of training from scratch, mean over seeds.

    None where the jobs have several targets.
    """
    if history["target"].nunique() > 1:
        return {}
    best = history[history["base"] == "from_scratch"].groupby(["labels", "seed"])[SCORE].max()
    return {int(str(budget)): SHARE * float(mean) for budget, mean in best.groupby("labels").mean().items()}


def convergence(sweep: Sweep) -> pd.DataFrame:
    """Steps and seconds until the goal, one row per arm, labels and seed; inf where it is never reached."""
    history = histories(sweep)
    wanted = goals(history)
    rows = []
    for (arm, budget, seed), lines in history.groupby(["arm", "labels", "seed"]):
        if budget in wanted:
            reached = lines[lines[SCORE] >= wanted[budget]]
            first = reached.iloc[0] if len(reached) else {"step": np.inf, "seconds": np.inf}
            found = {"steps": first["step"], "seconds": first["seconds"], "goal": wanted[budget]}
            rows.append({"arm": arm, "labels": budget, "seed": seed, **found})
    return pd.DataFrame(rows, columns=["arm", "labels", "seed", "steps", "seconds", "goal"])


def convergence_table(sweep: Sweep) -> pd.DataFrame:
    """Median over seeds, range, and how many seeds reach the goal at all."""
    found = convergence(sweep)
    rows = []
    for arm in sweep.arms:
        for budget, some in found[found["arm"] == arm].groupby("labels"):
            row = {"arm": arm, "labels": f"{budget:,}", "goal": f"{some['goal'].iloc[0]:.3f}"}
            row |= {"reached by": f"{int(np.isfinite(some['steps']).sum())} of {len(some)}"}
            row |= {
                "steps": _median(some["steps"].to_numpy(), ".0f"),
                "seconds": _median(some["seconds"].to_numpy(), ".1f"),
            }
            rows.append(row)
    return pd.DataFrame(rows)


def median(values: Array) -> float:
    """The upper median; inf if half of the values are."""
    return float(np.sort(values)[len(values) // 2])


def _median(values: Array, form: str) -> str:
    def said(value: float) -> str:
        return "not reached" if np.isinf(value) else f"{value:{form}}"

    low, high = said(float(values.min())), said(float(values.max()))
    return said(median(values)) + (f" ({low} to {high})" if low != high else "")
