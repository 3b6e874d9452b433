"""A sheet of example light curves, a row per class."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tlclass.atomic import atomic_path
from tlclass.lightcurves.curves import LightCurves

Array = npt.NDArray[Any]

HEAD = 0.65  # inches for title and legend
# by the last letter of a passband's name, blue to red
COLORS = {"u": "purple", "g": "green", "r": "red", "i": "orange", "z": "brown", "y": "black"}


def draw_sheet(curves: LightCurves, names: Array, path: Path, title: str, per_class: int = 4) -> None:
    """Draw the first light curves of every class against days since the trigger; undetected points are faint.

    Args:
        curves: time zero is `trigger_mjd`.
        names: (n,) the class of each.
        path: of the image.
        title: says what the data are.
        per_class: light curves in a row.
    """
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot as plt

    classes = list(dict.fromkeys(names.tolist()))
    shape, height = (len(classes), per_class), 1.7 * len(classes) + HEAD
    figure, axes = plt.subplots(*shape, figsize=(3.2 * per_class, height), squeeze=False, sharex=True)
    for row, name in zip(axes, classes, strict=True):
        chosen = np.flatnonzero(names == name)[:per_class]
        for axis, index in zip(row, chosen, strict=False):
            _draw(axis, curves, int(index))
        for axis in row[len(chosen) :]:
            axis.set_axis_off()
        row[0].set_ylabel(name)
    handles, labels = _legend(axes)
    figure.tight_layout(rect=(0, 0, 1, 1 - HEAD / height))
    figure.suptitle(title, y=1 - 0.1 / height, fontsize=11)
    top = (0.5, 1 - 0.3 / height)
    figure.legend(handles, labels, loc="upper center", bbox_to_anchor=top, ncols=len(labels), frameon=False)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=80)
    plt.close(figure)


def _draw(axis: Any, curves: LightCurves, index: int) -> None:
    part = slice(int(curves.offsets[index]), int(curves.offsets[index + 1]))
    days = curves.mjd[part] - curves.trigger_mjd[index]
    band, flux, error = curves.passband[part], curves.flux[part], curves.flux_err[part]
    for code, name in enumerate(curves.passbands):
        for sure, alpha in ((True, 1.0), (False, 0.25)):
            chosen = (band == code) & (curves.detected[part] == sure)
            if chosen.any():
                axis.errorbar(
                    days[chosen], flux[chosen], error[chosen], fmt=".", ms=4, lw=0.7, alpha=alpha,
                    color=COLORS.get(name[-1], f"C{code}"), label=name,
                )  # fmt: skip
    axis.axvline(0, color="0.8", lw=0.7, zorder=0)
    redshift = curves.redshift[index]
    axis.set_title(f"z = {redshift:.3f}" if np.isfinite(redshift) else str(curves.object_id[index]), fontsize=8, pad=2)
    axis.tick_params(labelsize=7)


def _legend(axes: Any) -> tuple[list[Any], list[str]]:
    """One entry per passband that is drawn anywhere."""
    found: dict[str, Any] = {}
    for axis in axes.flat:
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    names = sorted(found, key=lambda name: list(COLORS).index(name[-1]) if name[-1] in COLORS else len(COLORS))
    return [found[name] for name in names], names
