"""The card of a model: what it is, what it was trained on, how good it is and where not to trust it. Markdown."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tlclass.atomic import write_text
from tlclass.network.checkpoint import CARD, TrainedModel
from tlclass.network.history import ADAPTED, before_adaptation
from tlclass.training.leavings import MACRO, SETS

PAPER = "Gupta et al. 2025, Transfer Learning for Transient Classification, arXiv:2502.18558"
EVALUATIONS = "evaluations"  # of a model's `training`: title -> scores of it on another survey, by the names of a row
CITATION = "citation"  # of a model's `training`: of the light curves of its survey, where they are in it
NOTES = "notes"  # of such scores: what must be known to read them
CARD_DAYS = (5, 10, 20)  # since time zero, of early scores
TRIGGER = {
    "first_detection": "the first detection",
    "second_detection": "the second detection",
    "column": "the trigger time of the table",
}


def write_card(model: TrainedModel, folder: Path) -> None:
    """Write `README.md` into the folder of a model."""
    write_text(folder / CARD, card(model, folder.name))


def card(model: TrainedModel, name: str) -> str:
    """Markdown with the YAML header of the Hugging Face hub."""
    parts = [
        _header(model),
        f"# {model.training.get('release', name)}",
        _purpose(model),
        _input(model),
        _training(model),
    ]
    parts += [_scores(model), _calibration(model), _limits(model), _use(model), _citation(model)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _header(model: TrainedModel) -> str:
    tags = ["astronomy", "time-series-classification", "transients", "tlclass"]
    tags += ["simulated-training-data"] if model.simulated else []
    about = {"license": "bsd-3-clause", "library_name": "tlclass", "tags": tags}
    return f"---\n{yaml.safe_dump(about, sort_keys=False)}---"


def _purpose(model: TrainedModel) -> str:
    networks = len(model.members)
    kind = f"an ensemble of {networks} networks" if networks > 1 else "one network"
    summary = model.training.get("summary") or f"Classifies light curves of the survey {model.survey}."
    return f"{summary}\n\nClasses: {', '.join(model.classes)}. It is {kind}, written by `tlclass`."


def _input(model: TrainedModel) -> str:
    photometry, trigger, seen = model.selection.photometry, model.selection.trigger, model.trained_on
    low, high = model.selection.window
    rows = [
        ("passbands trained on", ", ".join(seen.passbands) if seen else "not recorded"),
        ("photometry", photometry.summary),
        ("time zero", TRIGGER.get(trigger.rule, trigger.rule)),
        (
            "window",
            f"{low:g} to {high:g} days from time zero, at least {model.selection.min_observations} observations",
        ),
        ("encoding", ", ".join(model.encoding.channels)),
    ]
    if model.metadata:
        rows.append(("metadata", ", ".join(model.metadata)))
    return "## Input\n\n" + markdown_table(("what", "value"), rows)


def _training(model: TrainedModel) -> str:
    about, seen = model.training, model.trained_on
    learnt = before_adaptation(model).replace("simulated", "**simulated**")
    lines = [f"{learnt[0].upper()}{learnt[1:]}."]
    if seen:
        added = " (the numbers of all networks added up)" if len(model.members) > 1 else ""
        lines.append(f"Light curves in all: {seen.objects:,}{added}.")
    if about.get("source"):
        lines.append(f"Source of the transfer: `{about['source']}`.")
    row = model.row
    if row.get("n_train") is not None:
        lines.append(f"Labels of {row.get('target', model.survey)}: {model.labels}, seed {row.get('seed')}.")
    adapted = about.get(ADAPTED) or {}
    if adapted:
        lines.append(
            f"Adapted to {adapted['objects']:,} light curves of {adapted['survey']} without their labels (adapt={adapted['name']})."
        )
    if about.get("command"):
        lines.append(f"Made by `{about['command']}`.")
    return "## Training data\n\n" + "\n".join(lines)


def _scores(model: TrainedModel) -> str:
    about = model.training
    row = model.row
    parts = [_evaluation(f"Test objects of {row.get('target', model.survey)}", row)] if MACRO in row else []
    parts += [_evaluation(title, row) for title, row in (about.get(EVALUATIONS) or {}).items()]
    further = [f"- {name}: {text}" for name, text in (about.get("measured") or {}).items()]
    if about.get("source_auroc_macro"):
        scores = ", ".join(_number(value) for value in about["source_auroc_macro"])
        further.append(
            f"- Macro AUROC of each network on simulated light curves that were held out (all classes of the source): {scores}."
        )
    if further:
        parts.append("\n".join(["### Further measurements\n", *further] if parts else further))
    return "\n\n".join(["## Scores", *parts]) if parts else ""


def _evaluation(title: str, row: Mapping[str, Any]) -> str:
    """Scores by class and by days since time zero, with intervals of the AUROCs."""
    classes = [name.removeprefix("n/") for name in row if name.startswith("n/") and row[name]]
    objects = {name: float(row[f"n/{name}"]) for name in classes}
    total = sum(objects.values())
    days = [day for day in CARD_DAYS if f"{MACRO}@{day}d" in row]
    heads = {f"@{day}d": f"after {day} d" for day in days} | {"": "complete"}
    by_class = [
        (name, f"{n:.0f}", *(_interval(row.get(f"auroc/{name}{when}"), n, total - n) for when in heads))
        for name, n in objects.items()
    ]
    shown = {
        MACRO: "macro AUROC", "f1_macro": "macro F1", "balanced_accuracy": "balanced accuracy", "log_loss": "log loss",
        "ece": "calibration error (ECE)", SETS: "90 % sets that hold the class",
    }  # fmt: skip
    by_day = [(head, *(_number(row.get(f"{name}{when}")) for name in shown)) for when, head in heads.items()]
    kind = "simulated" if row.get("simulated") else "real"
    note = f"{total:,.0f} {kind} objects." if "simulated" in row else f"{total:,.0f} objects."
    labels = "AUROC of each class against the others (95 % interval, Hanley and McNeil 1982):"
    return "\n\n".join(
        [
            f"### {title}",
            *([_list(row[NOTES])] if row.get(NOTES) else []),
            f"{note} {labels}",
            markdown_table(("class", "objects", *heads.values()), by_class),
            markdown_table(("light curve", *shown.values()), by_day),
        ]
    )


def _interval(value: float | None, positive: float, negative: float) -> str:
    """AUROC with a 95 % interval by the formula of Hanley and McNeil (1982)."""
    if value is None or not math.isfinite(value) or positive < 1 or negative < 1:
        return "not defined"
    first, second = value / (2 - value), 2 * value**2 / (1 + value)
    variance = (value * (1 - value) + (positive - 1) * (first - value**2) + (negative - 1) * (second - value**2)) / (
        positive * negative
    )
    half = 1.96 * math.sqrt(max(variance, 0))
    return f"{value:.3f} ({max(value - half, 0):.3f} to {min(value + half, 1):.3f})"


def _calibration(model: TrainedModel) -> str:
    found = model.calibration
    if found is None:
        return "## Calibration\n\nThe probabilities are not calibrated."
    proportions = ", ".join(
        f"{name} {100 * share:.1f} %" for name, share in zip(model.classes, found.prior, strict=True)
    )
    return (
        "## Calibration\n\n"
        f"The temperature is {found.temperature:.2f} for ten observations and changes as (observations / 10)^{found.slope:.2f}. "
        f"It was fitted to {found.objects:,} {found.fitted_on}. "
        f"The probabilities assume these class proportions: {proportions}. If yours differ, give `--prior`."
    )


def _limits(model: TrainedModel) -> str:
    lines = [
        "It gives every object one of its classes, also objects of kinds that it was not trained on: look at `novelty` and `warning` of each row."
    ]
    lines = [*model.training.get("limits", ()), *lines]
    if model.simulated:
        lines.append(
            "Simulated light curves differ from real ones; scores on real objects are lower where the sampling differs from that of training."
        )
    seen = model.trained_on
    if seen:
        low, high = map(_three_digits, seen.flux_err)
        fewest, most = seen.observations
        lines.append(
            f"Flux errors in training were {low} to {high} (zero point 27.5), and light curves had {fewest:g} to {most:g} observations."
        )
    return f"## Known limits\n\n{_list(lines)}"


def _use(model: TrainedModel) -> str:
    name = model.training.get("release", "FOLDER")
    return f'## Use\n\n```python\nimport tlclass\n\ntlclass.load_model("{name}").predict("alerts.parquet")\n```'


def _citation(model: TrainedModel) -> str:
    cited = model.training.get(CITATION)
    return f"## Citation\n\n{PAPER}." + (f" Light curves of {model.survey}: {cited}." if cited else "")


def markdown_table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """A table in Markdown of these cells, whose bars are escaped."""
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |" for cells in lines)


def _list(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _number(value: Any) -> str:
    return "not defined" if value is None or not math.isfinite(value) else f"{value:.3f}"


def _three_digits(value: float) -> str:
    """Rounded to three digits, without an exponent.

    >>> _three_digits(0.8294), _three_digits(4391.2)
    ('0.829', '4,390')
    """
    return f"{float(f'{value:.3g}'):,g}"
