"""The worst mistakes of every arm: light curves above, and below them the probabilities as the observations came in."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from tlclass.colors import GREY, class_look, passband_look, passband_order
from tlclass.report.drawing import new_figure, place_legend
from tlclass.report.svg import hover
from tlclass.report.sweep import Sweep, data_note
from tlclass.training.leavings import MISTAKES, classes_of

SHOWN, COLUMNS = 6, 3  # objects of an arm


def mistakes(folder: Path) -> pd.DataFrame:
    """The worst mistakes of a job, worst first; empty if it left none."""
    path = folder / MISTAKES
    return pd.read_parquet(path).head(SHOWN) if path.is_file() else pd.DataFrame()


def of_arms(sweep: Sweep) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Arm, which of its jobs, and mistakes: of the first seed at each arm's largest number of labels."""
    for arm in sweep.arms:
        job = sweep.at_largest(arm).sort_values("seed").iloc[0]
        found = mistakes(Path(job["folder"]))
        if len(found):
            yield arm, f"{arm}, {sweep.largest(arm):,} labels, seed {job['seed']}", found


def mistakes_table(found: pd.DataFrame) -> pd.DataFrame:
    """One mistake a line: what it is, what it was taken for, and the probabilities from all observations."""
    classes, rows = classes_of(found.columns), []
    for _, one in found.iterrows():
        last = {name: float(one[f"p({name})"][-1]) for name in classes if len(one[f"p({name})"])}
        row = {"object": one["object_id"], "true class": one["class"], "predicted": one["predicted"]}
        row |= {"observations": f"{len(one['days']):,}", "redshift": _redshift(one)}
        row |= {
            "p(true)": f"{last.get(one['class'], np.nan):.3f}",
            "p(predicted)": f"{last.get(one['predicted'], np.nan):.3f}",
        }
        rows.append(row)
    return pd.DataFrame(rows)


def mistakes_figure(sweep: Sweep, job: str, found: pd.DataFrame) -> Figure:
    """A light curve and its probabilities per object."""
    columns = min(COLUMNS, len(found))
    rows = -(-len(found) // columns)
    figure = new_figure(3.0 * rows + 0.4, f"{sweep.name}, {job}: {data_note(sweep.jobs)}", max(6.4, 3.3 * columns))
    grid = figure.subplots(2 * rows, columns, squeeze=False, height_ratios=[3, 2] * rows, sharex=False)
    classes = classes_of(found.columns)
    styles: dict[str, dict[str, Any]] = {
        name: dict(zip(("color", "ls"), class_look(k), strict=True)) for k, name in enumerate(classes)
    }
    entries: dict[str, Artist] = {}
    for number in range(rows * columns):
        row, column = divmod(number, columns)
        upper, lower = grid[2 * row, column], grid[2 * row + 1, column]
        if number >= len(found):
            upper.remove()
            lower.remove()
            continue
        one = found.iloc[number]
        entries |= _curve(upper, one)
        _probabilities(lower, one, styles)
        lower.set_xlim(upper.get_xlim())
        if column == 0:
            upper.set_ylabel("flux (zero point 27.5)", fontsize=8)
            lower.set_ylabel("probability", fontsize=8)
        lower.set_xlabel("days since trigger", fontsize=8)
    bands = dict(sorted(entries.items(), key=lambda entry: passband_order(entry[0])))
    lines: dict[str, Artist] = {f"p({name})": Line2D([], [], **style) for name, style in styles.items()}
    place_legend(figure, bands | lines, 6)
    return figure


def _curve(axes: Axes, one: "pd.Series[Any]") -> dict[str, Artist]:
    """Flux with errors; hollow markers where nothing was detected. Returns what the legend needs."""
    entries: dict[str, Artist] = {}
    band, sure = np.asarray(one["passband"]), np.asarray(one["detected"], dtype=bool)
    days, flux, error = (np.asarray(one[name], dtype=float) for name in ("days", "flux", "flux_err"))
    for name in np.unique(band):
        color, marker = passband_look(str(name))
        axes.errorbar(days[band == name], flux[band == name], error[band == name], fmt="none", ecolor=color, lw=0.6)
        for detected, face in ((True, color), (False, "none")):
            chosen = (band == name) & (sure == detected)
            (drawn,) = axes.plot(days[chosen], flux[chosen], marker, ms=3.5, color=color, mfc=face, mew=0.8)
            texts = [
                f"{name}, day {day:.1f}: {f:.0f} ± {e:.0f}"
                for day, f, e in zip(days[chosen], flux[chosen], error[chosen], strict=True)
            ]
            hover(drawn, texts)
        entries[str(name)] = Line2D([], [], color=color, marker=marker, ls="none", ms=5)
    axes.axvline(0, color=GREY, lw=0.6, zorder=0)
    said = _redshift(one)
    axes.set_title(
        f"{one['object_id']}\n{one['class']}, classified as {one['predicted']}"
        + (f", z = {said}" if said != "-" else ""),
        fontsize=7.5,
    )
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.tick_params(labelsize=7, labelbottom=False)
    axes.grid(alpha=0.25)
    return entries


def _probabilities(axes: Axes, one: "pd.Series[Any]", styles: Mapping[str, Mapping[str, Any]]) -> None:
    for name, style in styles.items():
        true = name == one["class"]
        values = one[f"p({name})"]
        (drawn,) = axes.plot(one["at_days"], values, marker=".", ms=4, lw=2.2 if true else 1, **style)
        hover(
            drawn, [f"p({name}) after {day} d: {value:.3f}" for day, value in zip(one["at_days"], values, strict=True)]
        )
    axes.set_ylim(-0.03, 1.03)
    axes.set_yticks([0, 0.5, 1])
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.tick_params(labelsize=7)
    axes.grid(alpha=0.25)


def _redshift(one: "pd.Series[Any]") -> str:
    return f"{one['redshift']:.3f}" if np.isfinite(one["redshift"]) else "-"
