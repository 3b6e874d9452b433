"""Figures of scores against labels, days or steps: a colour and a marker per arm, the same in every figure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from tlclass.arrays import Array
from tlclass.colors import GREY
from tlclass.report.convergence import SCORE, convergence, goals, histories, median
from tlclass.report.drawing import WIDTH, add_legend, chance_line, looks, new_figure, panels
from tlclass.report.published import panel_of, published_curves
from tlclass.report.statistics import Estimate, mean_estimate
from tlclass.report.svg import hover
from tlclass.report.sweep import Sweep, by_budget, data_note
from tlclass.report.tables import differences, title, training_counts
from tlclass.training.leavings import MACRO

LINES = ("-", "--", ":", "-.")


def learning_curves(sweep: Sweep, published: bool = False) -> Figure:
    """Macro AUROC against labels."""
    figure = new_figure(4.1, f"{sweep.name}: {data_note(sweep.jobs)}")
    axes = figure.subplots()
    panel = panel_of(sweep) if published else None
    curve_panel(axes, sweep, MACRO)
    _budget_axis(axes, [*sweep.jobs["labels"], *(_published(axes, panel) if panel else [])])
    chance_line(axes)
    axes.set_ylabel("macro one-vs-rest AUROC")
    add_legend(figure, axes)
    return figure


def curve_panel(
    axes: Axes, sweep: Sweep, score: str, prefix: str = "", line: str = "-", style: Mapping[str, Any] | None = None
) -> None:
    """Mean, bootstrap band and a point per seed for every arm; 0 labels as a horizontal line.

    Where a sweep has one number of labels, an arm is a dot with its interval, beside those of the other arms.
    """
    style = style or looks([sweep])
    single = sweep.jobs["labels"].nunique() == 1
    for number, arm in enumerate(sweep.arms):
        grid = by_budget(sweep.grid(arm, score))
        found = {budget: one for budget, values in grid.items() if (one := mean_estimate(values)).n}
        shift = (1.06 if single else 1.02) ** (number - (len(sweep.arms) - 1) / 2)
        label = f"{prefix}{arm}"
        shown = {budget: one for budget, one in found.items() if budget > 0}
        places = [budget * (shift if single else 1) for budget in shown]
        _means(axes, arm, label, places, shown, line, style[arm])
        for budget in shown:
            _seeds(axes, sweep, arm, score, budget, budget * shift * (1.015 if single else 1), style[arm]["color"])
        if 0 in found and single:
            _means(axes, arm, f"{label}, 0 labels", [number], {0: found[0]}, line, style[arm])
            _seeds(axes, sweep, arm, score, 0, number + 0.1, style[arm]["color"])
        elif 0 in found:
            dots = {"color": style[arm]["color"], "ls": (0, (1, 1.5)), "lw": 1.5, "zorder": 1.5}
            drawn = axes.axhline(found[0].value, label=f"{label}, 0 labels", **dots)
            hover(drawn, [_said(arm, 0, found[0])])
    axes.grid(alpha=0.25)


def _means(
    axes: Axes, arm: str, label: str, places: Sequence[float], shown: Mapping[int, Estimate], line: str, style: Any
) -> None:
    """A line through the means with its band; a single mean gets a bar, as a band of one point cannot be seen."""
    (drawn,) = axes.plot(places, [one.value for one in shown.values()], ls=line, ms=5, label=label, **style)
    hover(drawn, [_said(arm, budget, one) for budget, one in shown.items()])
    low, high = ([getattr(one, end) for one in shown.values()] for end in ("low", "high"))
    if len(places) == 1 and np.isfinite(low[0]):
        axes.vlines(places, low, high, color=style["color"], lw=1.2)
    else:
        axes.fill_between(places, low, high, alpha=0.18, lw=0, color=style["color"])


def _seeds(axes: Axes, sweep: Sweep, arm: str, score: str, budget: int, place: float, color: str) -> None:
    """A point per seed."""
    each = sweep.grid(arm, score)[budget].dropna()
    (drawn,) = axes.plot([place] * len(each), each, ".", ms=5, alpha=0.6, mew=0, color=color)
    hover(drawn, [f"{arm}, {budget:,} labels, seed {seed}: {value:.3f}" for seed, value in each.items()])


def _said(arm: str, budget: int, found: Estimate) -> str:
    """A mean in words, for the pointer."""
    interval = "" if np.isnan(found.low) else f" [{found.low:.3f}, {found.high:.3f}]"
    return f"{arm}, {budget:,} labels: {found.value:.3f}{interval}, {found.n} seed{'s' if found.n > 1 else ''}"


def _published(axes: Axes, panel: str) -> list[int]:
    """Draw the paper's curves; returns their budgets."""
    note = "unfinished job, " if panel == "BTS" else ""
    curves = published_curves(panel)
    for number, (method, curve) in enumerate(curves.groupby("method")):
        axes.errorbar(
            curve["labels"], curve["median"], yerr=curve["deviation"], color=GREY, ls=(":", "--")[number], lw=1,
            marker=("1", "2")[number], ms=6, elinewidth=0.7, zorder=1, label=f"paper, {method} ({note}other data)",
        )  # fmt: skip
    return [int(budget) for budget in curves["labels"]]


def _budget_axis(axes: Axes, given: Iterable[int], label: bool = True) -> None:
    budgets = sorted({budget for budget in given if budget > 0})
    if budgets:
        axes.set_xscale("log")
        kept = [budgets[-1]]  # from the right, as close as their labels fit
        spec = axes.get_subplotspec()
        gap = 0.11 * (spec.get_gridspec().ncols if spec else 1) * (np.log(budgets[-1] / budgets[0]) or 1.0)
        for budget in budgets[-2::-1]:
            if np.log(kept[-1] / budget) > gap:
                kept.append(budget)
        axes.set_xticks(kept, [f"{budget:,}" for budget in kept])
        axes.minorticks_off()
        if len(budgets) == 1:
            axes.set_xlim(budgets[0] / 2, budgets[0] * 2)
    else:
        axes.set_xticks([])
    if label:
        axes.set_xlabel("labels used (training and validation)" if budgets else "no label was used")


def class_curves(sweep: Sweep) -> Figure:
    """One-vs-rest AUROC of each class; grey bars and the right axis: its objects in the training part."""
    columns = 2 if len(sweep.classes) <= 6 else 3
    rows = -(-len(sweep.classes) // columns)
    figure = new_figure(2.2 * rows + 0.4, f"{sweep.name}: {data_note(sweep.jobs)}", 3.6 * columns)
    counts = training_counts(sweep)
    drawn = panels(figure, len(sweep.classes), columns)
    for number, (axes, name) in enumerate(zip(drawn, sweep.classes, strict=True)):
        curve_panel(axes, sweep, f"auroc/{name}")
        chance_line(axes)
        last = number >= len(drawn) - columns
        _budget_axis(axes, sweep.jobs["labels"], label=last)
        axes.tick_params(labelbottom=last, labelsize=8)
        axes.set_title(_class_title(sweep, name), fontsize=9)
        _count_bars(axes, counts[name], number % columns == columns - 1 or number == len(drawn) - 1)
        if number % columns == 0:
            axes.set_ylabel("AUROC")
        if not sweep.has(f"auroc/{name}"):
            axes.text(0.5, 0.5, "missing: no test object", ha="center", transform=axes.transAxes)
    add_legend(figure, drawn[0], columns + 1)
    return figure


def _class_title(sweep: Sweep, name: str) -> str:
    tested = sweep.jobs.get(f"n/{name}", pd.Series(dtype=float)).dropna()
    if tested.empty:
        return name
    low, high = int(tested.min()), int(tested.max())
    return f"{name} ({low:,}{'' if low == high else f' to {high:,}'} test objects)"


def _count_bars(axes: Axes, counts: "pd.Series[float]", label: bool) -> None:
    if counts.empty:
        return
    right = axes.twinx()
    budgets = counts.index.to_numpy(dtype=float)
    right.bar(budgets, counts.to_numpy(), width=0.22 * budgets, color=GREY, alpha=0.35)
    right.set_ylim(0, max(2 * counts.max(), 1))
    right.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    right.tick_params(labelsize=7, colors=GREY)
    if label:
        right.set_ylabel("training objects", fontsize=8, color=GREY)
    axes.set_zorder(right.get_zorder() + 1)
    axes.patch.set_visible(False)


def subset_curves(sweep: Sweep) -> Figure:
    """Mean AUROC of the common classes, and of the subsets of the test part."""
    scores = sweep.subset_scores
    columns = min(2, len(scores))
    height = (4.4 if columns == 1 else 2.7) * -(-len(scores) // columns) + 0.3
    figure = new_figure(height, f"{sweep.name}: {data_note(sweep.jobs)}", WIDTH if columns == 1 else 7.2)
    drawn = panels(figure, len(scores), columns)
    for number, (axes, score) in enumerate(zip(drawn, scores, strict=True)):
        curve_panel(axes, sweep, score)
        chance_line(axes)
        last = number >= len(drawn) - columns
        _budget_axis(axes, sweep.jobs["labels"], label=last)
        axes.tick_params(labelbottom=last)
        axes.set_title("common classes" if score == "auroc_common" else title(score), fontsize=9)
        if number % columns == 0:
            axes.set_ylabel("mean one-vs-rest AUROC")
    add_legend(figure, drawn[0])
    return figure


def difference_curves(sweep: Sweep) -> Figure:
    """Paired differences in macro AUROC: a panel per reference, a line per arm, a point per seed."""
    figure = new_figure(2.7 * len(sweep.references) + 0.4, f"{sweep.name}: {data_note(sweep.jobs)}")
    drawn = panels(figure, len(sweep.references), 1)
    style = looks([sweep])
    for axes, reference in zip(drawn, sweep.references, strict=True):
        arms = sweep.compared(reference)
        for number, arm in enumerate(arms):
            shift = 1.035 ** (number - (len(arms) - 1) / 2)
            _differences(axes, sweep, arm, reference, shift, style[arm])
        axes.axhline(0, color="black", lw=0.8)
        axes.set_ylabel(f"AUROC minus\n{reference}")
        axes.grid(alpha=0.25)
        _budget_axis(axes, sweep.jobs["labels"], label=axes is drawn[-1])
    add_legend(figure, drawn)
    return figure


def _differences(axes: Axes, sweep: Sweep, arm: str, reference: str, shift: float, style: Mapping[str, Any]) -> None:
    """One arm minus one reference, at places that are shifted so that arms do not hide each other."""
    paired = differences(sweep, arm, reference).drop(columns=0, errors="ignore").dropna(axis=1, how="all")
    name, found = f"{arm} minus {reference}", {b: mean_estimate(values) for b, values in by_budget(paired).items()}
    x = np.array([budget * shift for budget in found])
    middle = np.array([one.value for one in found.values()])
    ends = np.abs(np.array([[one.low, one.high] for one in found.values()]).reshape(-1, 2).T - middle)
    bars = axes.errorbar(x, middle, yerr=np.nan_to_num(ends), capsize=3, lw=1.2, ms=5, label=arm, **style)
    hover(bars.lines[0], [f"{name}, {_said_difference(budget, one)}" for budget, one in found.items()])
    for place, (budget, column) in zip(x, paired.items(), strict=True):
        each = column.dropna()
        (points,) = axes.plot([place * 1.012] * len(each), each, ".", ms=5, alpha=0.6, mew=0, color=style["color"])
        hover(points, [f"{name}, {budget:,} labels, seed {seed}: {value:+.3f}" for seed, value in each.items()])


def _said_difference(budget: int, found: Estimate) -> str:
    interval = "" if np.isnan(found.low) else f" [{found.low:+.3f}, {found.high:+.3f}]"
    return f"{budget:,} labels: {found.value:+.3f}{interval}, {found.n} pairs"


def early_columns(sweep: Sweep) -> dict[int, str]:
    """Days since the trigger and the score from the observations up to then."""
    names = [str(name) for name in sweep.jobs.columns if str(name).startswith("auroc_macro@")]
    return {int(name.removeprefix("auroc_macro@").removesuffix("d")): name for name in names if sweep.has(name)}


def early_curves(sweep: Sweep) -> Figure:
    """Macro AUROC against days since the trigger, each arm at its largest number of labels."""
    figure = new_figure(4.1, f"{sweep.name}: {data_note(sweep.jobs)}")
    axes, style, days = figure.subplots(), looks([sweep]), early_columns(sweep)
    for arm in sweep.arms:
        jobs = sweep.at_largest(arm)
        found = [mean_estimate(jobs[name].to_numpy(dtype=float)) for name in days.values()]
        label = f"{arm}, {sweep.largest(arm):,} labels"
        (drawn,) = axes.plot(list(days), [one.value for one in found], ms=5, label=label, **style[arm])
        hover(
            drawn,
            [f"{day} d: {_said(arm, sweep.largest(arm), one)}" for day, one in zip(days, found, strict=True) if one.n],
        )
        low, high = [one.low for one in found], [one.high for one in found]
        axes.fill_between(list(days), low, high, alpha=0.18, lw=0, color=style[arm]["color"])
    chance_line(axes)
    axes.set_xlabel("days since trigger, light curve known up to then")
    axes.set_ylabel("macro one-vs-rest AUROC")
    axes.grid(alpha=0.25)
    add_legend(figure, axes, 2)
    return figure


def convergence_figure(sweep: Sweep) -> Figure:
    """Validation AUROC against steps at the largest number of labels; steps and seconds until the goal at every number of labels."""
    figure = new_figure(6.2, f"{sweep.name}: {data_note(sweep.jobs)}")
    mosaic: dict[str, Axes] = figure.subplot_mosaic([["curves", "curves"], ["steps", "seconds"]])
    style, history, found = looks([sweep]), histories(sweep), convergence(sweep)
    wanted = goals(history)
    largest = max(wanted)
    for (arm, _), lines in history[history["labels"] == largest].groupby(["arm", "seed"], sort=False):
        mosaic["curves"].plot(lines["step"], lines[SCORE], lw=1, alpha=0.7, color=style[str(arm)]["color"])
    mosaic["curves"].axhline(wanted[largest], color="black", lw=1, ls=":")
    mosaic["curves"].set_xscale("symlog", linthresh=10)
    mosaic["curves"].set_xlim(left=-1)
    mosaic["curves"].set_xlabel("optimizer steps")
    mosaic["curves"].set_ylabel("validation macro AUROC")
    mosaic["curves"].set_title(f"{largest:,} labels, a line per seed; dotted: the goal", fontsize=9)
    for column in ("steps", "seconds"):
        axes = mosaic[column]
        timed = [arm for arm in sweep.arms if arm in set(found["arm"])]
        for number, arm in enumerate(timed):
            shift = 1.02 ** (number - (len(timed) - 1) / 2)
            _until_goal(axes, found[found["arm"] == arm], column, style[arm], arm, shift)
        _scale_from_zero(axes, found[column].to_numpy(dtype=float))
        axes.set_ylabel(f"{'optimizer steps' if column == 'steps' else 'seconds'} until the goal")
        axes.grid(alpha=0.25)
        _budget_axis(axes, found["labels"])
    mosaic["curves"].grid(alpha=0.25)
    add_legend(figure, mosaic["steps"])
    return figure


def _scale_from_zero(axes: Axes, values: Array) -> None:
    """Logarithmic, with a linear part down to 0 where some job is there from the start."""
    positive = values[np.isfinite(values) & (values > 0)]
    if not len(positive):
        return
    if (values > 0).all():
        axes.set_yscale("log")
        return
    axes.set_yscale("symlog", linthresh=float(positive.min()))
    axes.set_ylim(bottom=-0.1 * positive.min())


def _until_goal(axes: Axes, found: pd.DataFrame, column: str, style: dict[str, Any], arm: str, shift: float) -> None:
    middle = {int(str(budget)): median(some[column].to_numpy(dtype=float)) for budget, some in found.groupby("labels")}
    reached = {budget: value for budget, value in middle.items() if np.isfinite(value)}
    (drawn,) = axes.plot(list(reached), list(reached.values()), lw=1.2, ms=5, label=arm, **style)
    hover(drawn, [f"{arm}, {budget:,} labels: {value:,.0f} {column}" for budget, value in reached.items()])
    finite = found[np.isfinite(found[column].astype(float))]
    axes.plot(finite["labels"] * shift, finite[column], ".", ms=5, alpha=0.6, mew=0, color=style["color"])


def comparison_curves(sweeps: Sequence[Sweep]) -> Figure:
    """Macro AUROC of several sweeps in one panel: colours are arms, line styles are sweeps."""
    figure = new_figure(4.2 + 0.2 * len(sweeps), "\n".join(f"{one.name}: {data_note(one.jobs)}" for one in sweeps))
    axes, style = figure.subplots(), looks(sweeps)
    for number, sweep in enumerate(sweeps):
        curve_panel(axes, sweep, MACRO, f"{sweep.name}: ", LINES[number % len(LINES)], style)
    _budget_axis(axes, [budget for sweep in sweeps for budget in sweep.jobs["labels"]])
    chance_line(axes)
    axes.set_ylabel("macro one-vs-rest AUROC")
    add_legend(figure, axes, 2)
    return figure
