"""Figures of scores against labels, days or steps: a colour and a marker per arm, the same in every figure."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tlclass.report.convergence import SCORE, convergence, goals, histories, median
from tlclass.report.published import panel_of, published_curves
from tlclass.report.statistics import mean_estimate
from tlclass.report.sweep import Array, Sweep, by_budget, data_note
from tlclass.report.tables import MACRO, differences, title, training_counts

# Okabe & Ito's colours, which colour-blind readers can tell apart, and a marker each
LOOKS = {
    "from_scratch": ("#000000", "o"),
    "forest": ("#D55E00", "^"),
    "lightgbm": ("#8C6D00", "v"),
    "random_frozen": ("#7F7F7F", "x"),
    "head_only": ("#E69F00", "s"),
    "latent_and_head": ("#56B4E9", "D"),
    "gru_and_head": ("#CC79A7", "P"),
    "full": ("#0072B2", "p"),
    "probe_then_full": ("#009E73", "h"),
}
SPARE = [("#332288", "<"), ("#882255", ">"), ("#117733", "*"), ("#AA4499", "d"), ("#44AA99", "X")]
WIDTH = 6.4
LINES = ("-", "--", ":", "-.")


def looks(sweeps: Sequence[Sweep]) -> dict[str, dict[str, Any]]:
    """Colour and marker of every arm."""
    arms = list(dict.fromkeys(arm for sweep in sweeps for arm in sweep.arms))
    others = [arm for arm in arms if arm not in LOOKS]
    chosen = LOOKS | {arm: SPARE[number % len(SPARE)] for number, arm in enumerate(others)}
    return {arm: {"color": chosen[arm][0], "marker": chosen[arm][1]} for arm in arms}


def new_figure(height: float, note: str, width: float = WIDTH) -> Figure:
    """An empty figure whose title says what the data are."""
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.suptitle(note, fontsize=9)
    return figure


def add_legend(figure: Figure, axes: Axes, columns: int = 3) -> None:
    """Below the panels, where it covers nothing."""
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        figure.legend(
            handles, labels, loc="outside lower center", ncols=min(columns, len(labels)), fontsize=8, handlelength=3
        )


def learning_curves(sweep: Sweep, published: bool = False) -> Figure:
    """Macro AUROC against labels."""
    figure = new_figure(4.6, f"{sweep.name}: {data_note(sweep.jobs)}")
    axes = figure.subplots()
    panel = panel_of(sweep) if published else None
    curve_panel(axes, sweep, MACRO)
    _budget_axis(axes, [*sweep.jobs["labels"], *(_published(axes, panel) if panel else [])])
    axes.set_ylabel("macro one-vs-rest AUROC")
    add_legend(figure, axes)
    return figure


def curve_panel(axes: Axes, sweep: Sweep, score: str, prefix: str = "", line: str = "-") -> None:
    """Mean, bootstrap band and a point per seed for every arm; 0 labels as a horizontal line."""
    style = looks([sweep])
    for number, arm in enumerate(sweep.arms):
        grid = by_budget(sweep.grid(arm, score))
        shift = 1.02 ** (number - (len(sweep.arms) - 1) / 2)
        found = {budget: mean_estimate(values) for budget, values in grid.items()}
        shown = {budget: one for budget, one in found.items() if one.n and budget > 0}
        budgets = list(shown)
        axes.plot(budgets, [one.value for one in shown.values()], ls=line, ms=5, label=f"{prefix}{arm}", **style[arm])
        low, high = ([getattr(one, end) for one in shown.values()] for end in ("low", "high"))
        axes.fill_between(budgets, low, high, alpha=0.18, lw=0, color=style[arm]["color"])
        for budget in budgets:
            each = grid[budget]
            axes.plot([budget * shift] * len(each), each, ".", ms=4, alpha=0.6, mew=0, color=style[arm]["color"])
        if 0 in found and found[0].n:
            label = f"{prefix}{arm}, 0 labels"
            axes.axhline(found[0].value, color=style[arm]["color"], ls=(0, (1, 1.5)), lw=1.5, zorder=1.5, label=label)
    axes.grid(alpha=0.25)


def _published(axes: Axes, panel: str) -> list[int]:
    """Draw the paper's curves; returns their budgets."""
    note = "unfinished job, " if panel == "BTS" else ""
    curves = published_curves(panel)
    for number, (method, curve) in enumerate(curves.groupby("method")):
        axes.errorbar(
            curve["labels"], curve["median"], yerr=curve["deviation"], color="#9A9A9A", ls=(":", "--")[number], lw=1,
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
    if label:
        axes.set_xlabel("labels used (training and validation)")


def panels(figure: Figure, n: int, columns: int) -> list[Axes]:
    """`n` panels in rows; places left over stay empty."""
    grid = figure.subplots(-(-n // columns), columns, squeeze=False, sharex=True)
    for axes in grid.flat[n:]:
        axes.remove()
    return list(grid.flat[:n])


def class_curves(sweep: Sweep) -> Figure:
    """One-vs-rest AUROC of each class; grey bars and the right axis: its objects in the training part."""
    columns = 2 if len(sweep.classes) <= 6 else 3
    rows = -(-len(sweep.classes) // columns)
    figure = new_figure(2.2 * rows + 0.9, f"{sweep.name}: {data_note(sweep.jobs)}", 3.6 * columns)
    counts = training_counts(sweep)
    drawn = panels(figure, len(sweep.classes), columns)
    for number, (axes, name) in enumerate(zip(drawn, sweep.classes, strict=True)):
        curve_panel(axes, sweep, f"auroc/{name}")
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
    right.bar(budgets, counts.to_numpy(), width=0.22 * budgets, color="#CCCCCC", alpha=0.7)
    right.set_ylim(0, max(2 * counts.max(), 1))
    right.tick_params(labelsize=7, colors="#777777")
    if label:
        right.set_ylabel("training objects", fontsize=8, color="#777777")
    axes.set_zorder(right.get_zorder() + 1)
    axes.patch.set_visible(False)


def subset_curves(sweep: Sweep) -> Figure:
    """Mean AUROC of the common classes, and of the subsets of the test part."""
    scores = sweep.subset_scores
    columns = min(2, len(scores))
    height = (4.4 if columns == 1 else 2.7) * -(-len(scores) // columns) + 0.7
    figure = new_figure(height, f"{sweep.name}: {data_note(sweep.jobs)}", WIDTH if columns == 1 else 7.2)
    drawn = panels(figure, len(scores), columns)
    for number, (axes, score) in enumerate(zip(drawn, scores, strict=True)):
        curve_panel(axes, sweep, score)
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
    figure = new_figure(2.9 * len(sweep.references) + 0.9, f"{sweep.name}: {data_note(sweep.jobs)}")
    drawn = panels(figure, len(sweep.references), 1)
    style = looks([sweep])
    for axes, reference in zip(drawn, sweep.references, strict=True):
        arms = sweep.compared(reference)
        for number, arm in enumerate(arms):
            shift = 1.035 ** (number - (len(arms) - 1) / 2)
            paired = differences(sweep, arm, reference).drop(columns=0, errors="ignore").dropna(axis=1, how="all")
            x = np.array([budget * shift for budget in paired.columns])
            found = [mean_estimate(values) for values in by_budget(paired).values()]
            middle = np.array([one.value for one in found])
            ends = np.abs(np.array([[one.low, one.high] for one in found]).reshape(-1, 2).T - middle)
            axes.errorbar(x, middle, yerr=np.nan_to_num(ends), capsize=3, lw=1.2, ms=5, label=arm, **style[arm])
            for place, (_, column) in zip(x, paired.items(), strict=True):
                axes.plot([place * 1.012] * len(column), column, ".", ms=4, alpha=0.6, mew=0, color=style[arm]["color"])
        axes.axhline(0, color="black", lw=0.8)
        axes.set_ylabel(f"AUROC minus {reference}")
        axes.grid(alpha=0.25)
        _budget_axis(axes, sweep.jobs["labels"], label=axes is drawn[-1])
    _joint_legend(figure, drawn)
    return figure


def _joint_legend(figure: Figure, drawn: Sequence[Axes]) -> None:
    """One entry per label of all panels."""
    entries: dict[str, Any] = {}
    for axes in drawn:
        handles, labels = axes.get_legend_handles_labels()
        entries = dict(zip(labels, handles, strict=True)) | entries
    if entries:
        figure.legend(
            entries.values(),
            list(entries),
            loc="outside lower center",
            ncols=min(3, len(entries)),
            fontsize=8,
            handlelength=3,
        )


def early_columns(sweep: Sweep) -> dict[int, str]:
    """Days since the trigger and the score from the observations up to then."""
    names = [str(name) for name in sweep.jobs.columns if str(name).startswith("auroc_macro@")]
    return {int(name.removeprefix("auroc_macro@").removesuffix("d")): name for name in names if sweep.has(name)}


def early_curves(sweep: Sweep) -> Figure:
    """Macro AUROC against days since the trigger, each arm at its largest number of labels."""
    figure = new_figure(4.6, f"{sweep.name}: {data_note(sweep.jobs)}")
    axes, style, days = figure.subplots(), looks([sweep]), early_columns(sweep)
    for arm in sweep.arms:
        jobs = sweep.at_largest(arm)
        found = [mean_estimate(jobs[name].to_numpy(dtype=float)) for name in days.values()]
        label = f"{arm}, {sweep.largest(arm):,} labels"
        axes.plot(list(days), [one.value for one in found], ms=5, label=label, **style[arm])
        low, high = [one.low for one in found], [one.high for one in found]
        axes.fill_between(list(days), low, high, alpha=0.18, lw=0, color=style[arm]["color"])
    axes.set_xlabel("days since trigger, light curve known up to then")
    axes.set_ylabel("macro one-vs-rest AUROC")
    axes.grid(alpha=0.25)
    add_legend(figure, axes, 2)
    return figure


def convergence_figure(sweep: Sweep) -> Figure:
    """Validation AUROC against steps at the largest number of labels; steps and seconds until the goal at every number of labels."""
    figure = new_figure(6.6, f"{sweep.name}: {data_note(sweep.jobs)}")
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
    axes.plot(list(reached), list(reached.values()), lw=1.2, ms=5, label=arm, **style)
    finite = found[np.isfinite(found[column].astype(float))]
    axes.plot(finite["labels"] * shift, finite[column], ".", ms=4, alpha=0.6, mew=0, color=style["color"])


def comparison_curves(sweeps: Sequence[Sweep]) -> Figure:
    """Macro AUROC of several sweeps in one panel: colours are arms, line styles are sweeps."""
    figure = new_figure(4.8 + 0.25 * len(sweeps), "\n".join(f"{one.name}: {data_note(one.jobs)}" for one in sweeps))
    axes = figure.subplots()
    for number, sweep in enumerate(sweeps):
        curve_panel(axes, sweep, MACRO, f"{sweep.name}: ", LINES[number % len(LINES)])
    _budget_axis(axes, [budget for sweep in sweeps for budget in sweep.jobs["labels"]])
    axes.set_ylabel("macro one-vs-rest AUROC")
    add_legend(figure, axes, 2)
    return figure
