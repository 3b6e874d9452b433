"""Score a trained model on a labelled survey: scores, predictions, report, and a place in the card of the model."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from tlclass import plugins
from tlclass.atomic import write_json
from tlclass.config import cache_folder
from tlclass.experiments.cards import build_survey
from tlclass.experiments.composition import compose, refuse_role
from tlclass.experiments.scoring import score_model
from tlclass.inputs.split import Protocol
from tlclass.network.checkpoint import CARD, load_model, save_model
from tlclass.network.released import HUB, model_folder, released
from tlclass.options import Size, build, checked
from tlclass.quoting import shortened
from tlclass.report.evaluation import intervals, write_evaluation
from tlclass.surveys import Survey
from tlclass.training.card import EVALUATIONS, NOTES, write_card
from tlclass.training.leavings import Row


def evaluate(
    model: str | Path,
    words: Sequence[str],
    test_part: bool = False,
    output: Path | None = None,
    config_dir: str | None = None,
    card: str | None = None,
) -> str:
    """Score a model on the target that these words name; returns the tables as text.

    Args:
        model: see `tlclass.load_model`.
        words: as on the command line of `tlclass.train`.
        test_part: score the test part of `protocol.test=fixed` alone, not all objects.
        output: folder of the scores; `evaluate/MODEL/SURVEY` if None.
        config_dir: folder with cards of the user's own.
        card: title under which the scores are added to the card of the model; None leaves the card as it is.

    Raises:
        FileNotFoundError, ValueError: model or survey cannot be read or do not fit; one sentence says why.
    """
    refuse_role(words, "survey", "target")
    if not any(word.startswith("target=") for word in words):
        raise ValueError(
            "no survey was given: add target=NAME, e.g. target=bts paths.data=FOLDER, or target=table for tables of your own; "
            "the names are the files of conf/survey"
        )
    home = model_folder(model)
    if card is not None and (str(model).startswith(HUB) or str(model) in released()):
        raise ValueError(
            f"--card {card}: {model} is not a folder of yours: copy the model and give the folder of the copy"
        )
    title = None if card is None else card_title(card)
    settings = compose(words, config_dir)
    torch.set_num_threads(checked(settings["threads"], Size, "threads"))
    plugins.use(settings["trust"])
    trained, survey = load_model(home), build_survey(settings["target"], settings["trust"])
    if not isinstance(survey, Survey):
        raise ValueError(f"target={survey.name} combines several surveys: score one at a time")
    folder = output or Path("evaluate") / _short(model) / survey.name
    refuse_used(folder, str(model))
    protocol = replace(build(Protocol, settings["protocol"], "protocol"), test="fixed" if test_part else "remainder")
    row, notes = score_model(trained, home, survey, protocol, cache_folder(settings["paths"]["cache"]), folder)
    found = intervals(folder)
    text = write_evaluation(row, found, notes, folder)
    contents = {"model": str(model), **row, "notes": notes, "intervals": found}
    write_json(folder / SCORES, contents)
    written = f"written into {folder}: scores.json, predictions.parquet, report.md, report.html, figures"
    if title is not None:
        place = home if home.is_dir() else home.parent
        add_to_card(place, title, row, notes)
        written += f"\nthe card {place / CARD} shows the scores under '{title}'"
    return f"{text}\n\n{written}\n"


SCORES = "scores.json"


def card_title(given: str) -> str:
    """A title for scores in a card, on one line without the marks of a heading.

    Raises:
        ValueError: nothing is left.
    """
    title = " ".join(given.split()).strip("# ")
    if not title:
        raise ValueError(
            f"--card '{shortened(given)}': give the scores a title, such as 'ELAsTiCC, all objects'; it becomes a heading of the card"
        )
    return title


def _short(model: str | Path) -> str:
    """A name for a folder: of a released model its own, of a folder its last parts, of a job without `results`.

    >>> _short("ztf"), _short("hf://me/mine"), _short("results/best_transfer/transfer/n100/seed0")
    ('ztf', 'me-mine', 'best_transfer-transfer-n100-seed0')
    """
    parts = Path(str(model).removeprefix(HUB)).parts[-4:]
    return "-".join(part for part in parts if part.strip("./")) or "model"


def _model_of(scores: Path) -> str | None:
    """The model whose scores a file holds; None if there is no such file, or nothing can be read of it."""
    try:
        return str(json.loads(scores.read_text(encoding="utf-8"))["model"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def refuse_used(folder: Path, model: str) -> None:
    """Raise ValueError if the folder holds a job, a model, or the scores of another model than `model`, whose files would be replaced."""
    scored = _model_of(folder / SCORES)
    if scored is not None and Path(scored).resolve() != Path(model).resolve():
        raise ValueError(f"output {folder} holds the scores of {shortened(scored)}: choose another folder with -o")
    for name in ("model.json", "job.json"):
        if (folder / name).exists():
            raise ValueError(
                f"output {folder} holds {name}, so its files would be replaced: choose another folder with -o"
            )


def add_to_card(folder: Path, title: str, row: Row, notes: Sequence[str] = ()) -> None:
    """Keep scores and notes on them with a model and write its card again; those under the same title are replaced."""
    model = load_model(folder)
    training = dict(model.training)
    training[EVALUATIONS] = {**training.get(EVALUATIONS, {}), title: {**row, NOTES: list(notes)}}
    model = replace(model, training=training)
    save_model(model, folder)
    write_card(model, folder)
