"""Confusion matrices and reliability, from the predictions that the jobs left."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from tlclass.arrays import Array
from tlclass.colors import GREY
from tlclass.report.drawing import WIDTH, add_legend, looks, new_figure, panels
from tlclass.report.statistics import mean_estimate
from tlclass.report.svg import hover
from tlclass.report.sweep import Sweep, data_note
from tlclass.training.leavings import PREDICTIONS, read_predictions

ON_CELL = "#111111"  # dark text on light cells, in a dark page too
BINS = 15  # as in the expected calibration error
FEWEST = 10  # objects in a bin that is drawn


def arms_with_predictions(sweep: Sweep) -> list[str]:
    """Arms whose jobs at the largest number of labels all left their predictions."""
    jobs = {arm: sweep.at_largest(arm)["folder"] for arm in sweep.arms}
    return [arm for arm, some in jobs.items() if all((Path(f) / PREDICTIONS).is_file() for f in some)]


def confusion_shares(probability: Array, label: Array) -> Array:
    """(K, K) shares of each true class (rows) by predicted class; NaN rows for classes without objects."""
    n = probability.shape[1]
    counts = np.bincount(label * n + probability.argmax(axis=1), minlength=n * n).reshape(n, n).astype(float)
    total = counts.sum(axis=1, keepdims=True)
    shares: Array = np.divide(counts, total, out=np.full((n, n), np.nan), where=total > 0)
    return shares


def confusion_matrices(sweep: Sweep) -> Figure:
    """Row-normalised, summed over the seeds of each arm's largest number of labels."""
    arms = arms_with_predictions(sweep)
    n = len(sweep.classes)
    columns = min(2 if n <= 6 else 3, len(arms))
    side, size = (3.6, 7) if n <= 6 else (4.4, 5)
    figure = new_figure(
        side * -(-len(arms) // columns) + 0.5, f"{sweep.name}: {data_note(sweep.jobs)}", max(WIDTH, side * columns)
    )
    figure.set_layout_engine("constrained", w_pad=0.12, h_pad=0.08)
    for axes, arm in zip(panels(figure, len(arms), columns), arms, strict=True):
        _, classes, probability, label = read_predictions(*sweep.at_largest(arm)["folder"])
        shares = confusion_shares(probability, label)
        draw_shares(axes, shares, classes, size)
        tested = np.bincount(label, minlength=len(classes)) // max(len(sweep.at_largest(arm)), 1)
        rows = [
            f"{name} ({'missing' if not number else f'{number:,}'})"
            for name, number in zip(classes, tested, strict=True)
        ]
        axes.set_xticks(range(len(classes)), classes, rotation=45, ha="right", rotation_mode="anchor", fontsize=7)
        axes.set_yticks(range(len(classes)), rows, fontsize=7)
        axes.tick_params(labelbottom=True)
        axes.set_xlabel("predicted class", fontsize=8)
        axes.set_ylabel("true class (test objects per seed)", fontsize=8)
        axes.set_title(f"{arm}, {sweep.largest(arm):,} labels", fontsize=9)
    return figure


def draw_shares(axes: Axes, shares: Array, classes: Sequence[str], size: float) -> None:
    """A square per cell, white to blue, with its share."""
    colors = matplotlib.colormaps["Blues"]
    for (row, column), share in np.ndenumerate(shares):
        absent = bool(np.isnan(share))
        square = Rectangle(
            (column - 0.5, row - 0.5), 1, 1, facecolor=colors(0.0 if absent else share), edgecolor="none"
        )
        said = "no test object" if absent else f"{share:.1%}"
        hover(axes.add_patch(square), [f"true {classes[row]}, predicted {classes[column]}: {said}"])
        axes.text(
            column, row, "-" if absent else f"{share:.2f}", ha="center", va="center", fontsize=size,
            color="white" if share > 0.6 else ON_CELL,
        )  # fmt: skip
    axes.set(xlim=(-0.5, len(classes) - 0.5), ylim=(len(classes) - 0.5, -0.5), aspect="equal")


def reliability(probability: Array, label: Array) -> pd.DataFrame:
    """Mean confidence of the predicted class, share of correct ones and objects, per bin of confidence."""
    confidence = probability.max(axis=1)
    place = np.minimum((confidence * BINS).astype(int), BINS - 1)
    table = pd.DataFrame({"bin": place, "confidence": confidence, "correct": probability.argmax(axis=1) == label})
    return table.groupby("bin").agg(
        confidence=("confidence", "mean"), correct=("correct", "mean"), objects=("bin", "size")
    )


def reliability_diagram(sweep: Sweep) -> Figure:
    """Share of correct predictions against confidence, and below it how many objects have that confidence."""
    figure = new_figure(5.6, f"{sweep.name}: {data_note(sweep.jobs)}")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    style = looks([sweep])
    upper.plot([0, 1], [0, 1], color=GREY, lw=1, ls=":", label="perfectly calibrated")
    for arm in arms_with_predictions(sweep):
        _, _, probability, label = read_predictions(*sweep.at_largest(arm)["folder"])
        bins = reliability(probability, label)
        shown = bins[bins["objects"] >= FEWEST]
        error = mean_estimate(sweep.at_largest(arm)["ece"].to_numpy(dtype=float)).value if sweep.has("ece") else np.nan
        name = f"{arm}, {sweep.largest(arm):,} labels (ECE {error:.3f})"
        (drawn,) = upper.plot(shown["confidence"], shown["correct"], ms=5, lw=1.2, label=name, **style[arm])
        hover(drawn, [_said(arm, *bin) for bin in shown.itertuples(index=False, name=None)])
        share = bins["objects"] / bins["objects"].sum()
        lower.step((bins.index + 0.5) / BINS, share, where="mid", color=style[arm]["color"])
    upper.set_ylabel("share correct")
    upper.grid(alpha=0.25)
    lower.set_ylabel("share of objects")
    lower.set_xlabel("probability of the predicted class")
    lower.set_ylim(bottom=0)
    lower.grid(alpha=0.25)
    add_legend(figure, upper, 1)
    return figure


def _said(arm: str, confidence: float, correct: float, objects: int) -> str:
    return f"{arm}: {objects:,} objects, mean probability {confidence:.2f}, {correct:.0%} correct"
