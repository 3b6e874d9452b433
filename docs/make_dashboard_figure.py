r"""Draw docs/figures/dashboard.png: what panels of a dashboard show, from a sweep of SIMULATED light curves. It is no screenshot.

tlclass train -m experiment=demo_bts experiment_name=dashboard labels=100,300,1000 freeze_policy=from_scratch,full "logger=[csv,wandb]" \\
  sizes.ztf_simulated=4000 sizes.bts_simulated=2500 pretrain.fit.max_epochs=4
python docs/make_dashboard_figure.py results/dashboard

The CSV logger gets the same keys and numbers as Weights & Biases, whose offline files only its own server reads.
"""

import sys
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tlclass.colors import GREY, LINES, OKABE_ITO

FILE = Path(__file__).parent / "figures" / "dashboard.png"


def main() -> None:
    """Draw the panels of the sweep in the folder that the command line names."""
    folder = Path(sys.argv[1])
    results = pd.read_csv(folder / "results.csv")
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    summary(left, results)
    training(right, folder)
    for axes in (left, right):
        axes.grid(alpha=0.3, color=GREY)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(FILE, dpi=110)


def summary(axes: Axes, results: pd.DataFrame) -> None:
    """The panel of the summary run: a line per arm."""
    for number, (arm, rows) in enumerate(results.groupby("arm")):
        mean = rows.groupby("labels")["auroc_macro"].mean()
        axes.plot(mean.index, mean, marker="os"[number], color=OKABE_ITO[number], label=arm)
    axes.set(xscale="log", xlabel="labels used", ylabel="test/auroc_macro")
    axes.set_title("transfer against scratch by labels (simulated)", fontsize=9)
    axes.legend(frameon=False, fontsize=8)


def training(axes: Axes, folder: Path) -> None:
    """A line per run: the validation score while it trains."""
    jobs = sorted(folder.glob("*/*/seed0/metrics.csv"), key=lambda path: (path.parts[-4], int(path.parts[-3][1:])))
    arms = sorted({path.parts[-4] for path in jobs})
    places = dict.fromkeys(arms, 0)
    for path in jobs:
        arm, labels = path.parts[-4], path.parts[-3]
        rows = pd.read_csv(path).dropna(subset="val/auroc_macro")
        look = {"color": OKABE_ITO[arms.index(arm)], "ls": LINES[places[arm]]}
        axes.plot(rows["step"], rows["val/auroc_macro"], lw=1.2, label=f"{arm}, {labels}", **look)
        places[arm] += 1
    axes.set(xlabel="trainer/global_step", ylabel="val/auroc_macro")
    axes.set_title("validation while training (simulated)", fontsize=9)
    axes.legend(frameon=False, fontsize=7)


if __name__ == "__main__":
    main()
