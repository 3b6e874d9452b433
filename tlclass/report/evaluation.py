"""The report of one model on one survey: its scores with intervals over the objects."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from tlclass.arrays import Array
from tlclass.atomic import write_text
from tlclass.report import diagnostics, figures
from tlclass.report.document import OBJECTS, OBJECTS_LINK, Gallery, objects_page
from tlclass.report.objects import macro_auroc, resampled_within, weighted_auroc
from tlclass.report.pages import Block, Heading, Items, Link, Paragraph, Table, markdown, page
from tlclass.report.statistics import quantiles
from tlclass.report.sweep import OTHER_SCORES, Sweep, data_note, make_sweep
from tlclass.report.tables import title
from tlclass.training.leavings import MACRO, Row, read_predictions
from tlclass.training.metrics import class_f1

Intervals = dict[str, tuple[float, float]]

INTERVALS = "Intervals: central 95 % of a bootstrap over the objects, resampled within their classes."


def intervals(folder: Path) -> Intervals:
    """95 % intervals over the objects of the scores that a folder's predictions give, by the names of a row."""
    _, classes, probability, label = read_predictions(folder)
    weights = resampled_within(label)
    draws = {MACRO: macro_auroc(probability, label, weights), **other_draws(probability, label, weights)}
    for k, name in enumerate(classes):
        if 0 < np.count_nonzero(label == k) < len(label):
            draws[f"auroc/{name}"] = weighted_auroc(probability[:, k], label == k, weights)
    return {name: quantiles(values[~np.isnan(values)]) for name, values in draws.items()}


def other_draws(probability: Array, label: Array, weights: Array) -> dict[str, Array]:
    """(draws,) balanced accuracy, macro F1 and log loss of (n, K) probabilities, with (draws, n) weights."""
    n, k = probability.shape
    cell = np.zeros((n, k * k))
    cell[np.arange(n), label * k + probability.argmax(axis=1)] = 1
    confusion = (weights @ cell).reshape(-1, k, k)
    true = confusion.sum(axis=2)
    hits = np.diagonal(confusion, axis1=1, axis2=2)
    present = np.bincount(label, minlength=k) > 0
    recall = hits[:, present] / true[:, present]
    f1 = class_f1(torch.from_numpy(confusion)).numpy()[:, present]
    surprise = -np.log(np.maximum(probability[np.arange(n), label], np.finfo(float).tiny))
    return {
        "balanced_accuracy": recall.mean(axis=1),
        "f1_macro": f1.mean(axis=1),
        "log_loss": weights @ surprise / weights.sum(axis=1),
    }


def write_evaluation(row: Row, found: Intervals, notes: Sequence[str], folder: Path) -> str:
    """Write report.md, report.html, objects.html and figures/ beside the predictions; returns the tables as text.

    Args:
        row: coordinates and scores.
        found: see `intervals`.
        notes: what must be known to read the scores.
        folder: of the predictions.
    """
    sweep = as_sweep(row, folder)
    objects = objects_page([sweep], folder)
    start = introduction(row, notes) + ([Link(OBJECTS_LINK, OBJECTS)] if objects else [])
    blocks = [*start, *tables(row, found, folder), *pictures(sweep, folder)]
    write_text(folder / "report.md", markdown(blocks, folder))
    write_text(folder / "report.html", page(blocks))
    if objects:
        write_text(folder / OBJECTS, page(objects))
    tables_as_text = [block.frame.to_string(index=False) for block in blocks if isinstance(block, Table)]
    return "\n\n".join([f"{row['experiment']}: {row['n_test']:,} objects", *tables_as_text])


def introduction(row: Row, notes: Sequence[str]) -> list[Block]:
    """What was scored on what, and what must be known to read the scores."""
    what = "all objects" if row["test"] == "remainder" else f"the {row['test']} test part"
    blocks: list[Block] = [
        Heading(f"{row['experiment']}: scores", 1),
        Paragraph(f"Data: {data_note(pd.DataFrame([row]))}. Scored: {what}, {row['n_test']:,} objects. {INTERVALS}"),
    ]
    return [*blocks, Items(list(notes))] if notes else blocks


def tables(row: Row, found: Intervals, folder: Path) -> list[Block]:
    """Scores, classes, days since the trigger, subsets and confusion; those for which there is anything."""
    made = [
        Table(scores(row, found), "Scores."),
        Table(
            per_class(row, found, folder),
            "Classes: one-vs-rest AUROC, and F1, recall and precision of the most probable class.",
        ),
    ]
    early = [name for name in row if name.startswith(f"{MACRO}@")]
    if early:
        days = [name.removeprefix(f"{MACRO}@").removesuffix("d") for name in early]
        frame = pd.DataFrame({"days since trigger": days, "macro AUROC": [number(row[name]) for name in early]})
        for name in OTHER_SCORES:
            if f"{name}@{days[0]}d" in row:
                frame[title(name)] = [number(row[f"{name}@{day}d"]) for day in days]
        made.append(
            Table(
                frame,
                "Scores from the observations up to this number of days after the trigger, at least the first observation.",
            )
        )
    subsets = [name.removesuffix(f"/{MACRO}") for name in row if name.endswith(f"/{MACRO}")]
    if subsets:
        made.append(Table(pd.DataFrame([subset(row, name) for name in subsets]), "Subsets of the objects."))
    return [
        Heading("Scores"),
        *made,
        Heading("Confusion"),
        Table(confusion(folder), "Number of objects: a row per true class, a column per predicted class."),
    ]


def scores(row: Row, found: Intervals) -> pd.DataFrame:
    """One score a line."""
    names = [name for name in (MACRO, "auroc_common", *OTHER_SCORES) if name in row]
    return pd.DataFrame(
        {
            "score": [f"{title(name)} AUROC" if name.startswith("auroc") else title(name) for name in names],
            "value": [number(row[name]) for name in names],
            "95 % interval": [interval(found, name) for name in names],
        }
    )


def per_class(row: Row, found: Intervals, folder: Path) -> pd.DataFrame:
    """One class a line."""
    _, classes, probability, label = read_predictions(folder)
    chosen = probability.argmax(axis=1)
    lines = []
    for k, name in enumerate(classes):
        hits, true, predicted = np.sum((label == k) & (chosen == k)), np.sum(label == k), np.sum(chosen == k)
        lines.append(
            {
                "class": name,
                "objects": f"{true:,}",
                "AUROC": number(row[f"auroc/{name}"]),
                "95 % interval": interval(found, f"auroc/{name}"),
                "F1": number(2 * hits / (true + predicted) if true else np.nan),
                "recall": number(hits / true if true else np.nan),
                "precision": number(hits / predicted if predicted else np.nan),
            }
        )
    return pd.DataFrame(lines)


def subset(row: Row, name: str) -> Mapping[str, str]:
    """The scores of one subset of the objects."""
    objects = sum(value for key, value in row.items() if key.startswith(f"{name}/n/"))
    return {
        "subset": name,
        "objects": f"{objects:,.0f}",
        "macro AUROC": number(row[f"{name}/{MACRO}"]),
        "balanced accuracy": number(row[f"{name}/balanced_accuracy"]),
        "macro F1": number(row[f"{name}/f1_macro"]),
    }


def confusion(folder: Path) -> pd.DataFrame:
    """Counts, a line per true class."""
    _, classes, probability, label = read_predictions(folder)
    table = np.zeros((len(classes), len(classes)), dtype=int)
    np.add.at(table, (label, probability.argmax(axis=1)), 1)
    return pd.DataFrame(table, columns=classes).astype(str).assign(true=classes)[["true", *classes]]


def as_sweep(row: Row, folder: Path) -> Sweep:
    """The one model as a sweep of one job, for the figures."""
    jobs = pd.DataFrame([row | {"folder": str(folder), "trained_parameters": None}])
    return make_sweep(str(row["experiment"]), jobs)


def pictures(sweep: Sweep, folder: Path) -> list[Block]:
    """Days since the trigger, confusion and reliability, drawn as in the report of a sweep."""
    gallery = Gallery(folder / "figures")
    drawn: list[Block] = [Heading("Figures")]
    if figures.early_columns(sweep):
        drawn.append(gallery.keep("early", figures.early_curves(sweep), "Macro AUROC against days since the trigger."))
    shares = gallery.keep("confusion", diagnostics.confusion_matrices(sweep), "Confusion: shares of each true class.")
    caption = f"Reliability in {diagnostics.BINS} bins, those with at least {diagnostics.FEWEST} objects."
    return [*drawn, shares, gallery.keep("reliability", diagnostics.reliability_diagram(sweep), caption)]


def number(value: float) -> str:
    """Three decimals, or `missing` where there is no score."""
    return "missing" if np.isnan(value) else f"{value:.3f}"


def interval(found: Intervals, name: str) -> str:
    """`[low, high]`, or `-` where there is none."""
    low, high = found.get(name, (np.nan, np.nan))
    return "-" if np.isnan(low) else f"[{low:.3f}, {high:.3f}]"
