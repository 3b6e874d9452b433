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
    return pd.DataFrame(columns).reset_index()


def text_table(summary: pd.DataFrame) -> str:
    """The summary as aligned text: macro, common classes, subsets and every class."""
    every = [str(name) for name in summary.columns]
    names = [name for name in SHOWN if name in every]
    names += [
        name for name in every if name.endswith(("/auroc_macro", "/auroc_common")) and " " not in name.split("/")[-1]
    ]
    names += [name for name in every if name.startswith("auroc/") and not name.endswith((" sd", " n"))]
    shown = pd.DataFrame({name: summary[name] for name in ("experiment", "policy", "budget", "seeds")})
    for name in names:
        title = name.replace("auroc_", "").replace("auroc/", "")
        shown[title] = [
            _cell(mean, sd, n, seeds)
            for mean, sd, n, seeds in zip(
                summary[name], summary[f"{name} sd"], summary[f"{name} n"], summary["seeds"], strict=True
            )
        ]
    return shown.to_string(index=False)


def _cell(mean: float, sd: float, n: int, seeds: int) -> str:
    if n == 0:
        return "missing"
    spread = f" ±{sd:.3f}" if np.isfinite(sd) else ""
    return f"{mean:.3f}{spread}" + (f" (n={n})" if n != seeds else "")


def data_note(results: pd.DataFrame) -> str:
    """Which of the data are simulated."""
    target = "simulated" if results["simulated"].any() else "real"
    with_source = results[results["source"] != ""]
    source = (
        ""
        if with_source.empty
        else f"; source {', '.join(sorted(with_source['source'].unique()))} is {'simulated' if with_source['source_simulated'].any() else 'real'}"
    )
    return f"target {', '.join(sorted(results['target'].unique()))} is {target}{source}"


def draw(summary: pd.DataFrame, note: str, path: Path) -> None:
    """Macro AUROC against the label budget, a line per policy with its standard deviation."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6.4, 4.2), constrained_layout=True)
    for (experiment, policy), cell in summary.groupby(["experiment", "policy"]):
        label = policy if summary["experiment"].nunique() == 1 else f"{experiment}: {policy}"
        axes.errorbar(
            cell["budget"],
            cell["auroc_macro"],
            yerr=cell["auroc_macro sd"].fillna(0),
            marker="o",
            capsize=3,
            label=label,
        )
    if (summary["budget"] > 0).all() and summary["budget"].nunique() > 1:
        axes.set_xscale("log")
        ticks = sorted(summary["budget"].unique())
        axes.set_xticks(ticks, [str(tick) for tick in ticks])
        axes.minorticks_off()
    axes.set_xlabel("labels used (training and validation)")
    axes.set_ylabel("macro one-vs-rest AUROC on the test part")
    axes.set_title(note, fontsize=9)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=150)
    plt.close(figure)


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
    draw(summary, note, given.results / "learning_curves.png")
    sys.stdout.write(f"{text_table(summary)}\n\nmacro AUROC, mean ± standard deviation over seeds; {note}\n")
    sys.stdout.write(
        f"written: {', '.join(str(given.results / name) for name in ('results.csv', 'summary.csv', 'learning_curves.png'))}\n"
    )


if __name__ == "__main__":
    main()
