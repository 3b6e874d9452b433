"""What all figures of the report share: a colour and a marker per arm, panels, legends that fit."""

import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tlclass.colors import BLACK, BLUE, GREEN, GREY, OKABE_ITO, ORANGE, PURPLE, SKY, VERMILLION
from tlclass.report.sweep import Sweep

# arms of the paper; the others get the colours that are left
LOOKS = {
    "from_scratch": (BLACK, "o"),
    "forest": (VERMILLION, "^"),
    "lightgbm": (ORANGE, "v"),
    "random_frozen": (GREY, "x"),
    "head_only": (ORANGE, "s"),
    "latent_and_head": (SKY, "D"),
    "gru_and_head": (PURPLE, "P"),
    "full": (BLUE, "p"),
    "probe_then_full": (GREEN, "h"),
}
MARKERS = ("D", "s", "<", ">", "*", "d", "X", "P", "h")
WIDTH = 6.4
CHANCE = 0.5  # AUROC of a classifier that knows nothing
NEAR_CHANCE = 0.7  # the chance line is drawn where scores come this close; above, it would flatten the curves


def looks(sweeps: Sequence[Sweep]) -> dict[str, dict[str, Any]]:
    """Colour and marker of every arm; a colour is used again, with another marker, only where all are taken."""
    arms = list(dict.fromkeys(arm for sweep in sweeps for arm in sweep.arms))
    taken = [LOOKS[arm][0] for arm in arms if arm in LOOKS]
    free = [color for color in OKABE_ITO if color not in taken] + [color for color in OKABE_ITO if color in taken]
    others = [arm for arm in arms if arm not in LOOKS]
    chosen = LOOKS | {arm: (free[n % len(free)], MARKERS[n % len(MARKERS)]) for n, arm in enumerate(others)}
    return {arm: {"color": chosen[arm][0], "marker": chosen[arm][1]} for arm in arms}


def new_figure(height: float, note: str, width: float = WIDTH) -> Figure:
    """An empty figure whose title says what the data are."""
    figure = Figure(figsize=(width, height), layout="constrained")
    lines = [textwrap.fill(line, int(15 * width)) for line in note.split("\n")]
    figure.suptitle("\n".join(lines), fontsize=9)
    return figure


def panels(figure: Figure, n: int, columns: int) -> list[Axes]:
    """`n` panels in rows; places left over stay empty."""
    grid = figure.subplots(-(-n // columns), columns, squeeze=False, sharex=True)
    for axes in grid.flat[n:]:
        axes.remove()
    return list(grid.flat[:n])


def add_legend(figure: Figure, drawn: Sequence[Axes] | Axes, columns: int = 3) -> None:
    """One entry per label of all panels, below them: as many columns as fit, and the figure grows by its height."""
    entries: dict[str, Artist] = {}
    for axes in [drawn] if isinstance(drawn, Axes) else drawn:
        handles, labels = axes.get_legend_handles_labels()
        entries = dict(zip(labels, handles, strict=True)) | entries
    place_legend(figure, entries, columns)


def place_legend(figure: Figure, entries: dict[str, Artist], columns: int) -> None:
    """See `add_legend`."""
    if not entries:
        return
    labels = [textwrap.fill(label, int(13 * figure.get_figwidth())) for label in entries]
    for number in range(min(columns, len(entries)), 0, -1):
        legend = figure.legend(
            entries.values(), labels, loc="outside lower center", ncols=number, fontsize=8, handlelength=3, frameon=False
        )  # fmt: skip
        box = legend.get_window_extent()
        if box.width <= 0.98 * figure.bbox.width or number == 1:
            figure.set_figheight(figure.get_figheight() + box.height / figure.dpi)
            return
        legend.remove()


def chance_line(axes: Axes) -> None:
    """A line at the AUROC of chance, or a word on where it is if all scores are far above it."""
    if axes.dataLim.y0 < NEAR_CHANCE:
        axes.axhline(CHANCE, color=GREY, lw=1, ls="--", zorder=1, label="chance (0.5)")
        return
    if not np.isfinite(axes.dataLim.y0):  # no class has a score
        return
    low, high = axes.get_ylim()
    axes.set_ylim(low - 0.1 * (high - low), high)  # room for the words
    axes.annotate("chance (0.5) is below this axis", (0.01, 0.015), xycoords="axes fraction", fontsize=6.5, color=GREY)
