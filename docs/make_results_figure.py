"""Draw docs/figures/real_transfer.png from the tables of docs/results/real_ztf.md: scores by labels, and by days.

python docs/make_results_figure.py
"""

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tlclass.colors import BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, VERMILLION

DOCS = Path(__file__).parent
PAGE, FILE = DOCS / "results" / "real_ztf.md", DOCS / "figures" / "real_transfer.png"
LOOKS = {
    "transfer, adapted": (GREEN, "*", "-"), "transfer": (BLUE, "o", "-"), "transfer_literature, adapted": (ORANGE, "D", "--"),
    "lightgbm": (VERMILLION, "v", "-"), "paper": (PURPLE, ">", "-"), "from_scratch": (BLACK, "s", "-"),
}  # fmt: skip
BUDGETS, DAYS = (0, 30, 100, 300, 1000, 1870), (0, 5, 10, 20, 30, 50)
EARLY = (("transfer, adapted", 1870), ("transfer, adapted", 0), ("transfer", 0), ("lightgbm", 1870), ("paper", 1870))


def tables(page: Path) -> list[list[list[str]]]:
    """The tables of a page: rows of cells, the header first."""
    found: list[list[list[str]]] = [[]]
    for line in page.read_text(encoding="utf-8").splitlines():
        if not line.startswith("|"):
            found.append([])
        elif set(line) - set("|- "):
            found[-1].append([cell.strip(" *") for cell in line.strip("|").split("|")])
    return [table for table in found if table]


def rows(page: Path, *header: str) -> dict[tuple[str, int], dict[str, str]]:
    """Of the table whose header begins so, the cells of each row by arm and number of labels."""
    (table,) = [table for table in tables(page) if tuple(table[0][: len(header)]) == header]
    return {(row[0], int(row[1].replace(",", ""))): dict(zip(table[0], row, strict=True)) for row in table[1:]}


def by_labels(axes: Axes) -> None:
    """Macro AUROC of complete light curves; a bar is the standard deviation over draws of labels."""
    found = rows(PAGE, "arm", "labels", "seeds", "macro")
    for arm, (color, marker, line) in LOOKS.items():
        cells = [(place, found[arm, n]["macro"].split("±")) for place, n in enumerate(BUDGETS) if (arm, n) in found]
        places, mean = [place for place, _ in cells], [float(parts[0]) for _, parts in cells]
        spread = [float(parts[1]) if len(parts) > 1 else 0.0 for _, parts in cells]
        axes.errorbar(places, mean, spread, color=color, marker=marker, ls=line, capsize=3, label=arm)
    axes.set_xticks(range(len(BUDGETS)), [f"{n:,}" for n in BUDGETS])
    axes.set(xlabel="labelled real light curves", ylabel="macro AUROC", title="Complete light curves", ylim=(0.42, 1))
    axes.legend(frameon=False, fontsize=8, loc="lower right", ncols=2)


def by_days(axes: Axes) -> None:
    """Macro AUROC from the first days."""
    found = rows(PAGE, "arm", "labels", "0 d")
    for arm, labels in EARLY:
        color, marker, _ = LOOKS[arm]
        values = [float(found[arm, labels][f"{day} d"]) for day in DAYS]
        line = ":" if labels == 0 else "-"
        axes.plot(DAYS, values, color=color, marker=marker, ls=line, label=f"{arm}, {labels:,} labels")
    axes.set(xlabel="days since the first detection", title="The first days")
    axes.legend(frameon=False, fontsize=8, loc="lower right")


def main() -> None:
    """Two panels with one scale of scores."""
    figure = Figure(figsize=(10, 4.6), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    by_labels(left)
    by_days(right)
    for axes in (left, right):
        axes.grid(alpha=0.3, color=GREY)
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(
        "468 real ZTF transients, five classes; transfer and paper pretrain on simulated light curves", fontsize=11
    )
    figure.savefig(FILE, dpi=110)


if __name__ == "__main__":
    main()
