"""A sheet of example light curves, a row per class."""

import textwrap
from pathlib import Path
from typing import Any

import numpy as np

from tlclass.arrays import Array
from tlclass.atomic import atomic_path
from tlclass.colors import passband_look, passband_order
from tlclass.lightcurves.curves import LightCurves, concatenate

HEAD = 0.65  # inches for title and legend
ROW = 1.8  # inches of a class
PER_CLASS = 4  # light curves in a row


class Examples:
    """The first light curves of every class, of sets that come one after the other.

    Attributes:
        objects: looked at so far.
    """

    def __init__(self, per_class: int = PER_CLASS):
        self.per_class, self.objects = per_class, 0
        self._held: list[LightCurves] = []
        self._names: list[Array] = []

    def look(self, curves: LightCurves, names: Array) -> None:
        """Take a set and the class of each of its light curves into account."""
        self.objects += len(curves)
        known = self.names
        wanted = [
            np.flatnonzero(names == name)[: max(self.per_class - np.count_nonzero(known == name), 0)]
            for name in np.unique(names)
        ]
        chosen = np.sort(np.concatenate([*wanted, np.empty(0, dtype=np.int64)]))
        if len(chosen) or not self._held:
            self._held.append(curves.take(chosen))
            self._names.append(names[chosen])

    @property
    def curves(self) -> LightCurves:
        """The chosen ones, in the order in which they came."""
        return concatenate(self._held)

    @property
    def names(self) -> Array:
        """The class of each."""
        return np.concatenate([np.empty(0, dtype=str), *self._names])


def draw_sheet(curves: LightCurves, names: Array, path: Path, title: str) -> None:
    """Draw the first light curves of every class against days since the trigger; hollow markers are not detected.

    Args:
        curves: time zero is `trigger_mjd`.
        names: (n,) the class of each.
        path: of the image.
        title: says what the data are.
    """
    from matplotlib.figure import Figure

    classes = list(dict.fromkeys(names.tolist()))
    width, height = 3.4 * PER_CLASS, ROW * len(classes) + HEAD
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.suptitle(textwrap.fill(title, int(12 * width)), fontsize=11)
    axes = figure.subplots(len(classes), PER_CLASS, squeeze=False, sharex=True)
    for row, name in zip(axes, classes, strict=True):
        chosen = np.flatnonzero(names == name)[:PER_CLASS]
        for axis, index in zip(row, chosen, strict=False):
            _draw(axis, curves, int(index))
        for axis in row[len(chosen) :]:
            axis.set_axis_off()
        row[0].set_ylabel(name)
    figure.legend(handles=_legend(curves), loc="outside lower center", ncols=8, frameon=False)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=100)


def _draw(axis: Any, curves: LightCurves, index: int) -> None:
    from matplotlib.ticker import MaxNLocator

    part = slice(int(curves.offsets[index]), int(curves.offsets[index + 1]))
    days = curves.mjd[part] - curves.trigger_mjd[index]
    band, flux, error = curves.passband[part], curves.flux[part], curves.flux_err[part]
    for code, name in enumerate(curves.passbands):
        color, marker = passband_look(name)
        for detected, face in ((True, color), (False, "none")):
            chosen = (band == code) & (curves.detected[part] == detected)
            if chosen.any():
                axis.errorbar(
                    days[chosen], flux[chosen], error[chosen], fmt=marker, ms=3, mew=0.7, lw=0.6, color=color, mfc=face
                )
    axis.axvline(0, color="0.8", lw=0.7, zorder=0)
    redshift = curves.redshift[index]
    axis.set_title(f"z = {redshift:.3f}" if np.isfinite(redshift) else str(curves.object_id[index]), fontsize=8, pad=2)
    axis.tick_params(labelsize=7)
    axis.yaxis.set_major_locator(MaxNLocator(4))
    axis.xaxis.set_major_locator(MaxNLocator(5, integer=True))


def _legend(curves: LightCurves) -> list[Any]:
    """One entry per passband that is drawn anywhere, in full colour, and one that explains hollow markers."""
    from matplotlib.lines import Line2D

    present = [curves.passbands[code] for code in np.unique(curves.passband)]
    entries = []
    for name in sorted(present, key=passband_order):
        color, marker = passband_look(name)
        entries.append(Line2D([], [], color=color, marker=marker, ls="none", label=name))
    if not curves.detected.all():
        entries.append(Line2D([], [], color="0.4", marker="o", mfc="none", ls="none", label="not detected"))
    return entries
