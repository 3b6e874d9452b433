"""One job: transfer to a survey, fit, test, save."""

import json
import logging
import shutil
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tlclass.atomic import write_json
from tlclass.augment import augmentation_from
from tlclass.baseline import Baseline, fit_and_score
from tlclass.checkpoint import TrainedModel, save_model
from tlclass.data import LightCurveDataModule
from tlclass.encode import encoding_from
from tlclass.evaluate import evaluate
from tlclass.model import build_classifier
from tlclass.options import build
from tlclass.result import HISTORY, Row
from tlclass.seeds import stream
from tlclass.split import absent_classes
from tlclass.surveys import Several, Survey
from tlclass.task import FitSettings, FitSummary, fit
from tlclass.transfer import FreezePolicy, TransferReport, assert_unchanged, frozen_copy, set_trainable, transfer

log = logging.getLogger(__name__)

Settings = dict[str, Any]


def run(
    job: Settings,
    survey: Survey | Several,
    policy: FreezePolicy | Baseline,
    source: TrainedModel | None,
    folder: Path,
    logger: Any,
    settings: Settings,
) -> Row:
    """Train on a label budget of `survey`, score on its test part, leave model and predictions in `folder`.

    Args:
        job: `survey` (its card), `seed`, `head`, `data_fraction`, `protocol`, `fit`, `augmentation`, `encoding`, `model`.
        survey: built from the card.
        policy: what is loaded from `source` and what is trained, or a classifier of light-curve features instead.
        source: the model to start from, or None.
        folder: for checkpoints, the model and the predictions.
        logger: a Lightning logger or None.
        settings: of the process: `paths`, `trainer`, `progress`.

    Returns:
        The result row: coordinates, then scores.

    Raises:
        ValueError: the policy, head or budget does not fit; says what to choose.
    """
    began = time.perf_counter()
    budget = {name: job["data_fraction"][name] for name in ("fraction", "count")}
    fit_settings = build(FitSettings, job["fit"], "fit")
    data = LightCurveDataModule(
        survey,
        encoding_from(job["encoding"]),
        job["model"].get("metadata", ()),
        {**job["protocol"], **budget},
        Path(settings["paths"]["cache"]),
        job["seed"],
        fit_settings.batch_size,
        fit_settings.balance,
        augmentation_from(job["augmentation"]),
    )
    data.setup()
    if isinstance(policy, FreezePolicy):
        row = run_network(job, policy, source, data, fit_settings, folder, logger, settings)
    else:
        row = coordinates(policy.name, data) | fit_and_score(policy, data, folder)
        write_json(folder / "survey.json", {"target": data.class_counts(), "source": None})
    write_json(folder / "timing.json", {"seconds": time.perf_counter() - began})
    return row


def run_network(
    job: Settings,
    policy: FreezePolicy,
    source: TrainedModel | None,
    data: LightCurveDataModule,
    fit_settings: FitSettings,
    folder: Path,
    logger: Any,
    settings: Settings,
) -> Row:
    """Transfer, fit and score the network; leaves the model in `folder`."""
    model, report = prepare(job, policy, source, data)
    summary = train(model, policy, data, fit_settings, folder, logger, settings)
    row = describe(job, policy, source, data, report, summary) | evaluate(model, data, folder)
    counts = data.class_counts()
    write_json(folder / "survey.json", {"target": counts, "source": source.training.get("counts") if source else None})
    training = {"source": source.survey if source else None, "policy": policy.name, "seed": job["seed"], "row": row}
    training["counts"] = counts
    save_model(replace(model, training=training), folder)
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    return row


def prepare(
    job: Settings, policy: FreezePolicy, source: TrainedModel | None, data: LightCurveDataModule
) -> tuple[TrainedModel, TransferReport]:
    """The network for the survey with what the policy loads; prints the transfer report."""
    survey, seed = data.survey, job["seed"]
    head = head_settings(job["head"], source, survey)
    if head["name"] == "source":
        policy = replace(policy, load=[*policy.load, "head.*"])
    sizes = len(data.encoding.channels), len(data.classes)
    classifier = build_classifier(job["model"], head, *sizes, stream(seed, "initialisation"))
    branch = getattr(classifier.encoder, "metadata", None)
    if branch is not None and data.split.budget:
        branch.standardise_by(torch.from_numpy(data.encoded.metadata[data.split.train]))
    state = source_state(source, head) if source else None
    report = transfer(classifier, policy, state, source.classes if source else (), data.classes)
    log.info("%s", report)
    check_budget(data, report, seed)
    reader = job["survey"].get("reader", {})
    model = TrainedModel(
        classifier=classifier,
        encoder=dict(job["model"]),
        head=head,
        encoding=data.encoding,
        passbands=survey.passbands,
        taxonomy=survey.taxonomy,
        selection=survey.selection,
        survey=survey.name,
        simulated=survey.simulated or bool(source and source.simulated),
        input={name: reader[name] for name in ("columns", "flux_unit", "time_offset") if name in reader},
    )
    return model, report


def head_settings(head: Settings, source: TrainedModel | None, survey: Survey | Several) -> Settings:
    """The head's settings; for `source` with the source's head, the class map and the shares filled in.

    Raises:
        ValueError: there is no source, or it knows nothing of one of the survey's classes.
    """
    if head["name"] != "source":
        return dict(head)
    if source is None:
        raise ValueError("head=source keeps the source model's head, but there is none: choose head.name=linear or mlp")
    taxonomy = survey.taxonomy
    class_map = taxonomy.class_map(source.classes)
    orphans = absent_classes(np.array(class_map), taxonomy.classes)
    if orphans:
        raise ValueError(
            f"head=source: no class of the source ({', '.join(source.classes)}) belongs to {', '.join(orphans)}: "
            "list the source's class names in the target's taxonomy, or choose head=linear or head=mlp"
        )
    weighed = head.get("use_shares", False) and taxonomy.shares
    shares = list(taxonomy.shares_of(source.classes)) if weighed else None
    return {"name": "source", "source": dict(source.head), "class_map": list(class_map), "shares": shares}


def source_state(source: TrainedModel, head: Settings) -> Mapping[str, torch.Tensor]:
    """The source's tensors; for `SourceHead` its head lies one level deeper."""
    state = source.classifier.state_dict()
    if head["name"] != "source":
        return state
    return {f"head.source.{name[5:]}" if name.startswith("head.") else name: t for name, t in state.items()}


def check_budget(data: LightCurveDataModule, report: TransferReport, seed: int) -> None:
    """Name classes without a training object; refuse to train nothing.

    Raises:
        ValueError: the budget is 0 and a part of the network is new.
    """
    if not data.split.budget and any(part.new for part in report.parts):
        raise ValueError(
            "a budget of 0 labels trains nothing, so every part must come from the source: "
            "choose head=source and a freeze policy that loads the encoder"
        )
    missing = absent_classes(data.label[data.split.train], data.classes)
    if missing and data.split.budget:
        message = "no training object of %s among the %d labels of seed %d: no weight, and scores near chance"
        log.warning(message, ", ".join(missing), data.split.budget, seed)


def train(
    model: TrainedModel,
    policy: FreezePolicy,
    data: LightCurveDataModule,
    fit_settings: FitSettings,
    folder: Path,
    logger: Any,
    settings: Settings,
) -> FitSummary | None:
    """Fit every stage of the policy, and leave its `history.json` in `folder`; None with no label.

    Raises:
        RuntimeError: a frozen tensor moved.
    """
    if not data.split.budget:
        return None
    progress = sys.stderr.isatty() if settings["progress"] == "auto" else bool(settings["progress"])
    summaries = []
    for number, (patterns, factor) in enumerate(policy.stages):
        set_trainable(model.classifier, patterns, policy.name)
        frozen = frozen_copy(model.classifier)
        stage = replace(fit_settings, learning_rate=fit_settings.learning_rate * factor)
        place = folder / "checkpoints" / f"stage{number}"
        summaries.append(fit(model.classifier, data, stage, place, settings["trainer"], logger, progress))
        assert_unchanged(model.classifier, frozen)
    write_json(folder / HISTORY, joined_history(folder / "checkpoints", len(policy.stages)))
    return replace(summaries[-1], steps=sum(s.steps for s in summaries), epochs=sum(s.epochs for s in summaries))


def joined_history(folder: Path, stages: int) -> list[dict[str, float]]:
    """The validations of all stages, with steps, epochs and seconds counted from the first one's start."""
    joined: list[dict[str, float]] = []
    for number in range(stages):
        before = joined[-1] if joined else {}
        for line in json.loads((folder / f"stage{number}" / HISTORY).read_text(encoding="utf-8")):
            joined.append(line | {name: line[name] + before.get(name, 0) for name in ("step", "epoch", "seconds")})
    return joined


def coordinates(policy: str, data: LightCurveDataModule) -> Row:
    """Which labels of which survey were used, by which arm; the same for networks and baselines."""
    split = data.split
    return {
        "target": data.survey.name,
        "simulated": data.survey.simulated,
        "policy": policy,
        "seed": data.seed,
        "budget": split.budget,
        "pool": split.pool,
        "n_train": len(split.train),
        "n_val": len(split.val),
        "n_test": len(split.test),
    }


def describe(
    job: Settings,
    policy: FreezePolicy,
    source: TrainedModel | None,
    data: LightCurveDataModule,
    report: TransferReport,
    summary: FitSummary | None,
) -> Row:
    """The row's coordinates: what was trained on what, for how long."""
    row: Row = {
        **coordinates(policy.name, data),
        "source": source.survey if source else "",
        "source_simulated": bool(source and source.simulated),
        "head": job["head"]["name"],
        "model": job["model"]["name"],
        "encoding": job["encoding"]["name"],
        "trained_parameters": report.trained,
        "parameters": report.total,
        "frozen_identical": True,  # `train` raises otherwise
        "absent_in_training": absent_classes(data.label[data.split.train], data.classes),
    }
    return row | (vars(summary) if summary else {})
