"""The figure of an explanation, and a page that holds it with its table."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tlclass.atomic import atomic_path, write_text
from tlclass.colors import GREY, class_look, passband_look, passband_order
from tlclass.report.pages import Block, Heading, Paragraph, Picture, Table, page
from tlclass.serving.explained import Explanation

SHOWN = 0.08  # classes that never reach this probability are drawn as one
OTHERS = "all other classes"


def write(found: Explanation, path: Path) -> list[Path]:
    """Write PATH.png and PATH.html."""
    path = path.with_suffix("") if path.suffix in (".png", ".html") else path
    image, text = path.with_name(f"{path.name}.png"), path.with_name(f"{path.name}.html")
    with atomic_path(image) as temporary:
        figure(found).savefig(temporary, format="png", dpi=160)
    write_text(text, page(_blocks(found, image)))
    return [image, text]


def figure(found: Explanation) -> Figure:
    """The light curve, the probabilities after each observation, and which observations moved them, one below the other."""
    drawing = Figure(figsize=(8, 8.2), layout="constrained")
    light, probable, moved = drawing.subplots(3, 1, sharex=True, height_ratios=(1.25, 1.1, 0.8))
    drawing.suptitle(f"{summary(found)}\nmodel {found.model}, {found.history}", fontsize=10, parse_math=False)
    _light_curve(light, found)
    _probabilities(probable, found)
    _influence(moved, found)
    span = max(float(np.ptp(found.days)), 5.0)
    moved.set_xlim(found.days[0] - 0.04 * span, found.days[-1] + 0.04 * span)
    moved.set_xlabel("days since time zero")
    for axes in (light, probable, moved):
        axes.grid(alpha=0.25)
        axes.axvline(0, color="black", lw=0.8, ls=":")
    drawing.align_ylabels()
    return drawing


def summary(found: Explanation) -> str:
    """What the object is called, what it is, and how sure that is."""
    size, p = len(found.mjd), found.probability[-1, found.best]
    seen = f"{size} observation{'s' if size > 1 else ''} over {np.ptp(found.mjd):.0f} days"
    return f"{found.object_id}: {found.classes[found.best]} with probability {p:.2f} after {seen}"


def _bands(found: Explanation) -> list[str]:
    return sorted(set(found.passbands.tolist()), key=passband_order)


def _light_curve(axes: Axes, found: Explanation) -> None:
    for band in _bands(found):
        here = found.passbands == band
        colour, marker = passband_look(band)
        axes.errorbar(
            found.days[here], found.flux[here], yerr=found.flux_err[here], ls="none", marker=marker, ms=5, color=colour,
            elinewidth=0.9, capsize=0, label=band,
        )  # fmt: skip
    axes.axhline(0, color="black", lw=0.6)
    low, high = float((found.flux - found.flux_err).min()), float((found.flux + found.flux_err).max())
    space = 0.1 * max(high - low, 1e-9)
    axes.set_ylim(min(low, 0) - space, max(high, 0) + space)
    for rank, number in enumerate(found.decisive(), 1):
        axes.plot(found.days[number], found.flux[number], "o", ms=12, mfc="none", mec="black", mew=1.1)
        axes.annotate(
            str(rank), (found.days[number], found.flux[number]), xytext=(7, 7), textcoords="offset points", fontsize=9,
            fontweight="bold",
        )  # fmt: skip
    axes.set_ylabel("flux (zero point 27.5 AB)")
    axes.plot([], [], "o", ms=11, mfc="none", mec="black", label="the most influential")
    _legend(axes)


def _probabilities(axes: Axes, found: Explanation) -> None:
    start = found.days[0] - 0.04 * max(float(np.ptp(found.days)), 5.0)
    days = np.concatenate([[start], found.days, [found.days[-1] + (found.days[0] - start)]])
    values = np.vstack([found.before, found.probability, found.probability[-1:]])
    shown = [k for k in range(len(found.classes)) if values[1:, k].max() >= SHOWN]
    order = sorted(shown, key=lambda k: -found.probability[-1, k])
    for k in order:
        colour, line = class_look(k)
        wide = 2.4 if k == found.best else 1.6
        axes.plot(days, values[:, k], ds="steps-post", ls=line, lw=wide, color=colour, label=found.classes[k])
    if len(shown) < len(found.classes):
        rest = [k for k in range(len(found.classes)) if k not in shown]
        axes.plot(days, values[:, rest].sum(1), ds="steps-post", ls=":", lw=1, color=GREY, label=OTHERS)
    axes.set_ylim(-0.02, 1.02)
    axes.set_ylabel("probability")
    _legend(axes)


def _legend(axes: Axes) -> None:
    """Beside the panel, where it covers nothing."""
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=9, handlelength=3, frameon=False)


def _influence(axes: Axes, found: Explanation) -> None:
    name = found.classes[found.best]
    for band in _bands(found):
        here = found.passbands == band
        colour, marker = passband_look(band)
        axes.vlines(found.days[here], 0, found.influence[here], color=colour, lw=2.2)
        axes.plot(found.days[here], found.influence[here], marker, ms=4, color=colour)
        axes.plot(found.days[here], found.change[here], marker, ms=5, mfc="none", mec=colour, mew=0.9, alpha=0.8)
    axes.axhline(0, color="black", lw=0.8)
    largest = max(float(np.abs(found.influence).max()), float(np.abs(found.change).max()), 0.1)
    axes.set_ylim(-1.15 * largest, 1.15 * largest)
    decisive = found.decisive()
    axes.plot(found.days[decisive], found.influence[decisive], "o", ms=10, mfc="none", mec="black", mew=1.1)
    axes.set_ylabel(f"effect on log odds\nof {name}")
    axes.plot([], [], "-o", lw=2.2, ms=4, color=GREY, label="in the end: with it\nminus without it")
    axes.plot([], [], "o", ms=5, mfc="none", color=GREY, label="when it came in:\nafter minus before it")
    _legend(axes)


def _blocks(found: Explanation, image: Path) -> list[Block]:
    lines = [f"Model {found.model}, {found.history}."]
    if found.novelty is not None:
        lines.append(f"Novelty: {found.novelty:.0f} % of the known objects of similar length are less unusual.")
    lines += [f"{_metadata(found)}."] if found.metadata else []
    lines += [f"Warning: {found.warning}."] if found.warning else []
    return [
        Heading(summary(found), 1),
        Paragraph(" ".join(lines)),
        Picture(image, "Light curve, probabilities after each observation, and which observations moved them."),
        Heading("The observations that count most"),
        Paragraph(_decisive(found)),
        Heading("All observations"),
        Table(_cells(found.frame), "change: of the final class's log odds when it came in. influence: its log odds in the end minus those without it."),
    ]  # fmt: skip


def _metadata(found: Explanation) -> str:
    """Which numbers of the object the model also used, and what it would say without them."""
    known = {name: value for name, value in found.metadata.items() if np.isfinite(value)}
    unknown = [name for name in found.metadata if name not in known]
    if not known:
        return f"The model also uses {' and '.join(unknown)} where they are known; of this object they are not"
    name = found.classes[found.best]
    used = ", ".join(f"{each} {value:.3g}" for each, value in known.items())
    rest = f" ({', '.join(unknown)} unknown)" if unknown else ""
    them = "them" if len(known) > 1 else "it"
    p, alone = found.probability[-1, found.best], found.without_metadata[found.best]
    return f"The model also used {used}{rest}; without {them} p({name}) would be {alone:.2f} instead of {p:.2f}"


def _decisive(found: Explanation) -> str:
    name, p = found.classes[found.best], found.probability[-1, found.best]
    parts = [
        f"{rank}: day {found.days[k]:.1f} in {found.passbands[k]}, without it p({name}) would be {found.without[k, found.best]:.2f} instead of {p:.2f}"
        for rank, k in enumerate(found.decisive(), 1)
    ]
    return "; ".join(parts) + "."


def _cells(frame: pd.DataFrame) -> pd.DataFrame:
    """Numbers with the digits that a reader wants."""
    digits = {
        "mjd": "{:.4f}",
        "days": "{:.2f}",
        "flux": "{:.1f}",
        "flux_err": "{:.1f}",
        "change": "{:+.3f}",
        "influence": "{:+.3f}",
    }
    return pd.DataFrame(
        {
            name: [
                digits.get(str(name), "{:.3f}" if str(name).startswith("p(") else "{}").format(v) for v in frame[name]
            ]
            for name in frame
        }
    )
