"""Sampling, signal to noise and fluxes of one survey, or of two side by side, as a figure."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tlclass.atomic import atomic_path
from tlclass.colors import OKABE_ITO, passband_look
from tlclass.inspection.account import PERCENTILES, Inspection


def title_of(one: Inspection) -> str:
    """Name, size and whether it is simulated."""
    kind = "SIMULATED" if one.simulated else "real"
    return f"{one.name}: {one.objects:,} light curves, {one.observations:,} observations, {kind}"


def draw_distributions(surveys: Sequence[Inspection], path: Path) -> None:
    """Observations, days between them and signal to noise per survey; flux percentiles per passband."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    figure = Figure(figsize=(11, 7.5), layout="constrained")
    axes = figure.subplots(2, 2)
    labels = ("observations per light curve", "days between observations", "flux / error")
    for axis, label, values in zip(axes.flat, labels, zip(*map(_spreads, surveys), strict=True), strict=False):
        edges = _edges(np.concatenate(values))
        for one, each, color, dashes in zip(surveys, values, OKABE_ITO, ("-", "--"), strict=False):
            share = np.full(len(each), 1 / max(len(each), 1))
            style = {"histtype": "step", "color": color, "ls": dashes, "lw": 1.5}
            axis.hist(np.clip(each, edges[0], edges[-1]), edges, weights=share, label=title_of(one), **style)
        axis.set(xscale="log", xlabel=label, ylabel="share")
        axis.xaxis.set_major_locator(LogLocator(subs=(1, 3), numticks=9))
        axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.xaxis.set_minor_formatter(NullFormatter())
        axis.tick_params(axis="x", labelsize=8)
    _draw_fluxes(axes[1, 1], surveys)
    figure.legend(
        *axes[0, 0].get_legend_handles_labels(), loc="outside upper center", fontsize=8, ncols=2, frameon=False
    )
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110)


def _edges(values: Any) -> Any:
    """Logarithmic bins over 99 % of the values, between whole numbers where the values are such."""
    low, high = np.percentile(values, (0.5, 99.5)) if len(values) else (1, 10)
    edges = np.geomspace(max(low, 1e-3), max(high, 10 * low, 1e-2) * 1.05, 40)
    return np.unique(np.round(edges)) - 0.5 if np.issubdtype(values.dtype, np.integer) else edges


def _spreads(one: Inspection) -> tuple[Any, Any, Any]:
    curves = one.curves
    gaps = np.diff(curves.mjd)[np.diff(curves.owner) == 0]
    return curves.lengths, gaps[gaps > 0], np.abs(curves.flux) / curves.flux_err


def _draw_fluxes(axis: Any, surveys: Sequence[Inspection]) -> None:
    """5 to 95 % as a thin bar, 25 to 75 % as a thick one, a dot at the median; a row per survey and passband."""
    rows = [(one, band) for one in surveys for band in one.fluxes.index]
    for place, (one, band) in enumerate(reversed(rows)):
        low, left, middle, right, high = (one.fluxes.loc[band, f"{p} %"] for p in PERCENTILES[1:-1])
        color, marker = passband_look(band)
        axis.plot([low, high], [place, place], color=color, lw=1)
        axis.plot([left, right], [place, place], color=color, lw=5, alpha=0.5, solid_capstyle="butt")
        axis.plot(middle, place, marker, color=color, ms=5)
    size = min(7.0, 150 / max(len(rows), 1))
    axis.set_yticks(range(len(rows)), [f"{one.name} {band}" for one, band in reversed(rows)], fontsize=size)
    axis.set_xscale("symlog", linthresh=10)
    axis.tick_params(axis="x", labelsize=7, rotation=45)
    axis.set_xlabel("flux at zero point 27.5 (5, 25, 50, 75, 95 %)")
    axis.grid(alpha=0.3, axis="x")
