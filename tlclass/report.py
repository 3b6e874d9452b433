"""`python -m tlclass.report RESULTS_DIR`: the table over seeds, and learning curves."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tlclass.atomic import atomic_path, write_text
from tlclass.result import read_results

CELL = ["experiment", "source", "target", "policy", "head", "encoding", "budget"]
SHOWN = ("auroc_macro", "auroc_common")


def results_table(folder: Path) -> pd.DataFrame:
    """One row per finished job.

    Raises:
        FileNotFoundError: there is none.
    """
    return pd.DataFrame(read_results(folder)).sort_values([*CELL, "seed"], ignore_index=True)


def summary_table(results: pd.DataFrame) -> pd.DataFrame:
    """Mean, standard deviation and number of seeds of every score, per experiment, policy and budget.

    A score that is missing in a job (no test object of a class) is left out of its mean; n counts the
    jobs that have it.
    """
    scores = [name for name in results.columns if name.startswith("auroc") or "/auroc" in name]
    scores += [name for name in ("auprc_macro", "log_loss", "balanced_accuracy", "ece") if name in results]
    grouped = results.groupby(CELL, dropna=False)
    columns: dict[str, pd.Series[Any]] = {"seeds": grouped.size()}
    for name in scores:
        values = grouped[name]
        columns |= {name: values.mean(), f"{name} sd": values.std(ddof=1), f"{name} n": values.count()}
    columns |= {name: grouped[name].mean() for name in results.columns if name.startswith("n/")}
    return pd.DataFrame(columns).reset_index()


def text_table(summary: pd.DataFrame) -> str:
    """The summary as aligned text, a block per experiment: macro, common classes, subsets and every class."""
    blocks = [f"{name}\n{_block(cell)}" for name, cell in summary.groupby("experiment", sort=False)]
    return "\n\n".join(blocks)


def _block(summary: pd.DataFrame) -> str:
    every = [str(name) for name in summary.columns]
    names = [name for name in SHOWN if name in every]
    names += [name for name in every if name.endswith(("/auroc_macro", "/auroc_common"))]
    names += [name for name in every if name.startswith("auroc/") and not name.endswith((" sd", " n"))]
    shown = pd.DataFrame({name: summary[name] for name in ("policy", "budget", "seeds")})
    for name in names:
        if summary[f"{name} n"].any() or _has_class(summary, name):
            title = name.replace("auroc_", "").replace("auroc/", "")
            shown[title] = [
                _cell(row[name], row[f"{name} sd"], row[f"{name} n"], row["seeds"]) for _, row in summary.iterrows()
            ]
    return shown.to_string(index=False)


def _has_class(summary: pd.DataFrame, score: str) -> bool:
    """Whether the class of this score is one of the experiment's, though no test object has it."""
    tested = f"n/{score.removeprefix('auroc/')}"
    return tested not in summary or bool(summary[tested].notna().any())


def _cell(mean: float, sd: float, n: int, seeds: int) -> str:
    if n == 0:
        return "missing"
    spread = f" ±{sd:.3f}" if np.isfinite(sd) else ""
    return f"{mean:.3f}{spread}" + (f" (n={n})" if n != seeds else "")


def data_note(results: pd.DataFrame) -> str:
    """Which of the data are simulated."""

    def kind(name: str, simulated: bool) -> str:
        return f"{name} ({'simulated' if simulated else 'real'})"

    targets = {kind(row["target"], row["simulated"]) for _, row in results.iterrows()}
    sources = {kind(row["source"], row["source_simulated"]) for _, row in results.iterrows() if row["source"]}
    return f"{', '.join(sorted(sources)) + ' to ' if sources else ''}{', '.join(sorted(targets))}"


def draw(results: pd.DataFrame, path: Path) -> None:
    """Macro AUROC against the label budget: a panel per experiment, a line per policy, a dot per seed."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    names = list(results["experiment"].unique())
    figure, panels = plt.subplots(1, len(names), figsize=(5.6 * len(names), 4.2), layout="constrained", squeeze=False)
    for axes, name in zip(panels[0], names, strict=True):
        _draw_experiment(axes, results[results["experiment"] == name])
        axes.set_title(f"{name}: {data_note(results[results['experiment'] == name])}", fontsize=8)
    panels[0][0].set_ylabel("macro one-vs-rest AUROC on the test part")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=150)
    plt.close(figure)


def _draw_experiment(axes: Any, results: pd.DataFrame) -> None:
    budgets = sorted(results["budget"].unique())
    for number, (policy, jobs) in enumerate(results.groupby("policy", sort=False)):
        cells = jobs.groupby("budget")["auroc_macro"]
        mean, spread = cells.mean(), cells.std(ddof=1).fillna(0)
        axes.errorbar(mean.index, mean, yerr=spread, marker="o", ms=4, capsize=3, color=f"C{number}", label=policy)
        axes.plot(jobs["budget"], jobs["auroc_macro"], ".", ms=3, alpha=0.5, color=f"C{number}")
    axes.set_xscale(
        "symlog" if budgets[0] == 0 else "log",
        **({"linthresh": budgets[1]} if budgets[0] == 0 < len(budgets) - 1 else {}),
    )
    axes.set_xticks(budgets, [str(budget) for budget in budgets])
    axes.minorticks_off()
    axes.set_xlabel("labels used (training and validation)")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line; mistakes end with one sentence."""
    parser = argparse.ArgumentParser(prog="python -m tlclass.report", description=__doc__)
    parser.add_argument("results", type=Path, help="folder with finished jobs, e.g. results/plasticc2bts")
    given = parser.parse_args(arguments)
    try:
        results = results_table(given.results)
    except FileNotFoundError as error:
        sys.stderr.write(f"error: {error}\n")
        raise SystemExit(2) from None
    summary, note = summary_table(results), data_note(results)
    write_text(given.results / "results.csv", results.to_csv(index=False))
    write_text(given.results / "summary.csv", summary.to_csv(index=False))
    draw(results, given.results / "learning_curves.png")
    sys.stdout.write(f"{text_table(summary)}\n\nmacro AUROC, mean ± standard deviation over seeds; {note}\n")
    sys.stdout.write(
        f"written: {', '.join(str(given.results / name) for name in ('results.csv', 'summary.csv', 'learning_curves.png'))}\n"
    )


if __name__ == "__main__":
    main()
