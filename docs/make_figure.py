"""Draw docs/figures/probabilities.png: a SIMULATED light curve, and what a released model thought as its observations came in.

python docs/make_figure.py
"""

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

import tlclass
from tlclass.colors import GREY, class_look, passband_look

FILE = Path(__file__).parent / "figures" / "probabilities.png"
CLASS = "TDE"  # of the object that is drawn


def main() -> None:
    """Simulate, classify after every observation, draw the object that is learnt most clearly."""
    survey = tlclass.load_survey("bts_simulated", n_objects=300)
    with tempfile.TemporaryDirectory() as folder:
        curves, label = survey.load(Path(folder))
    chosen = curves.take(np.flatnonzero(label == survey.taxonomy.classes.index(CLASS)))
    model = tlclass.load_model("ztf-alerts")
    found = model.predict(chosen, every_observation=True)
    column = f"p({CLASS})"
    by_object = found.groupby("object_id")[column].agg(["first", "last", "size"])
    rise = (by_object["last"] - by_object["first"]).where(by_object["size"] >= 20)
    name = str(rise.idxmax())
    draw(chosen.take(chosen.object_id == name), found[found["object_id"] == name], model.classes)


def draw(curve: tlclass.LightCurves, found: pd.DataFrame, classes: tuple[str, ...]) -> None:
    """Flux above, probabilities below."""
    figure = Figure(figsize=(8, 4.4), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 2])
    days = curve.mjd - curve.trigger_mjd[0]
    for code, name in enumerate(curve.passbands):
        color, marker = passband_look(name)
        part = curve.passband == code
        upper.errorbar(
            days[part], curve.flux[part], curve.flux_err[part], fmt=marker, color=color, ms=4, lw=0.8, label=name
        )
    upper.set_ylabel("flux (zero point 27.5)")
    upper.set_title(f"A simulated {CLASS} as ZTF would see it, classified after every observation", fontsize=10)
    upper.legend(frameon=False, fontsize=9)
    for number, name in enumerate(classes):
        color, line = class_look(number)
        lower.plot(days, found[f"p({name})"], ls=line, lw=2.4 if name == CLASS else 1.3, color=color, label=name)
    lower.set(ylabel="probability", xlabel="days since the first detection", ylim=(-0.03, 1.03))
    lower.legend(frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1, 0.5))
    for axes in (upper, lower):
        axes.grid(alpha=0.3, color=GREY)
        axes.spines[["top", "right"]].set_visible(False)
    FILE.parent.mkdir(exist_ok=True)
    figure.savefig(FILE, dpi=110)


if __name__ == "__main__":
    main()
