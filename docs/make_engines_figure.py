"""Draw docs/figures/engines.png from docs/results/engines.csv, and print the table of docs/engines.md.

python -m benchmarks.engines --objects 2000,80000 --csv docs/results/engines.csv
python docs/make_engines_figure.py

The machine had two cores and no other work; the right panel shows what the engines themselves cost.
"""

from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tlclass.colors import BLACK, GREY, LINES, OKABE_ITO

FOLDER = Path(__file__).parent
NAMES = {"lsdb": "LSDB on Dask", "spark": "Spark", "ray": "Ray Data"}
ALONE = "predict"  # one process of `tlclass predict`


def main() -> None:
    """Draw the largest size, print all."""
    table = pd.read_csv(FOLDER / "results" / "engines.csv")
    largest = table[table["objects"] == table["objects"].max()]
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    wall, cpu = figure.subplots(1, 2)
    draw(wall, largest, "seconds", "wall time (s)")
    draw(cpu, largest, "cpu_seconds", "CPU time of all processes (s)")
    figure.suptitle(f"{largest['objects'].iloc[0]:,} simulated light curves of 20 points, two cores", fontsize=10)
    figure.legend(*wall.get_legend_handles_labels(), frameon=False, fontsize=8, loc="outside lower center", ncols=4)
    figure.savefig(FOLDER / "figures" / "engines.png", dpi=110)
    print(rows_of(table))


def draw(axes: Axes, table: pd.DataFrame, column: str, label: str) -> None:
    """A line per engine through the medians, each measurement as a point, and one process of `tlclass predict`."""
    for number, (engine, name) in enumerate(NAMES.items()):
        part = table[table["engine"] == engine]
        color, middle = OKABE_ITO[number], part.groupby("workers")[column].median()
        axes.plot(middle.index, middle, color=color, ls=LINES[number], label=name)
        axes.plot(part["workers"], part[column], "osD"[number], color=color, ms=5)
    alone = table.loc[table["engine"] == ALONE, column]
    axes.plot([1] * len(alone), alone, "*", color=BLACK, ms=9, label="tlclass predict, one process")
    axes.set(xlabel="workers", ylabel=label, xticks=[1, 2], xlim=(0.8, 2.2))
    axes.set_ylim(0, None)
    axes.grid(alpha=0.3, color=GREY)
    axes.spines[["top", "right"]].set_visible(False)


def rows_of(table: pd.DataFrame) -> str:
    """The medians as a table of Markdown."""
    table = table.assign(received=table["cpu_seconds"] / table["seconds"])
    lines = [
        "| | light curves | workers | start (s) | wall (s) | CPU (s) | cores it got | cores of others |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for (engine, objects, workers), part in table.groupby(["engine", "objects", "workers"], sort=True):
        middle = part.median(numeric_only=True)
        lines.append(
            f"| {NAMES.get(str(engine), '`tlclass predict`')} | {objects:,} | {workers} | {middle['start_seconds']:.0f} | {middle['seconds']:.0f} | "
            f"{middle['cpu_seconds']:.0f} | {middle['received']:.2f} | {middle['others']:.1f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
