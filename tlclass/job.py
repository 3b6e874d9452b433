"""One job: transfer to a survey, fit, test, save."""

import logging
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tlclass.atomic import write_json, write_text
from tlclass.augment import augmentation_from
from tlclass.baseline import Baseline, fit_and_score
from tlclass.checkpoint import TrainedModel, as_one, save_model
from tlclass.choice import ZERO, Choice, choose
from tlclass.data import LightCurveDataModule
from tlclass.encode import encoding_from
from tlclass.evaluate import evaluate
from tlclass.finetune import Start, finetune
from tlclass.model import build_classifier
from tlclass.options import build
from tlclass.result import HISTORY, Row
from tlclass.seeds import stream
from tlclass.split import absent_classes
from tlclass.surveys import Several, Survey
from tlclass.task import FitSettings
from tlclass.transfer import FreezePolicy, TransferReport, transfer

log = logging.getLogger(__name__)

Settings = dict[str, Any]
INPUT = ("columns", "extra", "flux_unit", "time_offset", "forced")  # settings of a reader that `predict` reads by too


def load(job: Settings, survey: Survey | Several, settings: Settings) -> LightCurveDataModule:
    """The light curves of `survey`, encoded and split by the label budget.

    Args:
        job: see `run`.
        survey: built from the card.
        settings: of the process: `paths`.

    Raises:
        FileNotFoundError, ValueError: the files are absent or break a rule, the budget does not fit, or there is one class.
    """
    fit_settings = build(FitSettings, job["fit"], "fit")
    budget = {name: job["data_fraction"][name] for name in ("fraction", "count")}
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
    present = np.unique(data.label)
    if len(present) < 2:
        raise ValueError(
            f"{survey.name}: all {len(data.label)} objects are of class {data.classes[present[0]]}, and nothing can be learnt "
            "from one class: check the labels, the taxonomy and the cuts of its card"
        )
    return data


def run(
    job: Settings,
    data: LightCurveDataModule,
    policy: FreezePolicy | Choice | Baseline,
    sources: Sequence[TrainedModel | None],
    folder: Path,
    logger: Any,
    settings: Settings,
) -> Row:
    """Train on the label budget of a survey, score on its test part, leave model and predictions in `folder`.

    Args:
        job: `survey` (its card), `seed`, `head`, `data_fraction`, `protocol`, `fit`, `augmentation`, `encoding`, `model`.
        data: what `load` gives for this job.
        policy: what is loaded from a source and what is trained, or several such policies to choose from, or a
            classifier of light-curve features instead.
        sources: the model to start from, or None, for each member of the ensemble; mostly there is one.
        folder: for checkpoints, the model and the predictions.
        logger: a Lightning logger or None.
        settings: of the process: `trainer`, `progress`.

    Returns:
        The result row: coordinates, then scores.

    Raises:
        ValueError: the policy, head or budget does not fit; says what to choose.
    """
    began = time.perf_counter()
    fit_settings = build(FitSettings, job["fit"], "fit")
    if isinstance(policy, FreezePolicy | Choice):
        row = run_network(job, policy, sources, data, fit_settings, folder, logger, settings)
    else:
        row = coordinates(policy.name, data) | fit_and_score(policy, data, folder)
        write_json(folder / "survey.json", {"target": data.class_counts(), "source": None})
    write_json(folder / "timing.json", {"seconds": time.perf_counter() - began})
    return row


def run_network(
    job: Settings,
    policy: FreezePolicy | Choice,
    sources: Sequence[TrainedModel | None],
    data: LightCurveDataModule,
    fit_settings: FitSettings,
    folder: Path,
    logger: Any,
    settings: Settings,
) -> Row:
    """Transfer, fit and score the network, or an ensemble of them; leaves the model and the history of its fit in `folder`.

    Of an ensemble, `history.json`, what is logged of the fit and what the row says about it are those of the first
    member, and of a choice those of the first fold.
    """
    name_absent_classes(data)
    checkpoints = folder / "checkpoints"
    trained = [
        train(job, policy, source, data, fit_settings, checkpoints / f"member{n}", None if n else logger, settings, n)
        for n, source in enumerate(sources)
    ]
    start, history, about = trained[0]
    if history:
        write_text(folder / HISTORY, history.read_text(encoding="utf-8"))
    model = replace(start.model, classifier=as_one([start.classifier for start, _, _ in trained]))
    row = describe(job, policy.name, sources, data, start.report) | about | evaluate(model, data, folder)
    counts, source = data.class_counts(), sources[0]
    write_json(folder / "survey.json", {"target": counts, "source": source.training.get("counts") if source else None})
    training = {"source": source.survey if source else None, "policy": policy.name, "seed": job["seed"], "row": row}
    training["counts"] = counts
    save_model(replace(model, training=training), folder)
    shutil.rmtree(checkpoints, ignore_errors=True)
    return row


def train(
    job: Settings,
    policy: FreezePolicy | Choice,
    source: TrainedModel | None,
    data: LightCurveDataModule,
    fit_settings: FitSettings,
    folder: Path,
    logger: Any,
    settings: Settings,
    member: int,
) -> tuple[Start, Path | None, Row]:
    """One network, transferred and fitted: what it started from, holding it now; its history; how the fit went."""
    if isinstance(policy, Choice):
        starts = candidates(job, policy, source, data, member)
        start, summary, found = choose(policy, starts, data, fit_settings, folder, settings, logger)
        folder = folder / start.policy.name / "fold0"
    else:
        start, found = prepare(job, policy, source, data, member), Row()
        summary = finetune(start, data, fit_settings, folder, settings, logger)
    about = found | (vars(summary) if summary else {})
    return start, folder / HISTORY if summary else None, about


def candidates(
    job: Settings, choice: Choice, source: TrainedModel | None, data: LightCurveDataModule, member: int
) -> list[Start]:
    """The candidates, and before them one that changes nothing, if every part comes from the source."""
    starts = [prepare(job, policy, source, data, member) for policy in choice.policies]
    if any(part.new for part in starts[0].report.parts):
        return starts
    zero = FreezePolicy(ZERO, load=starts[0].policy.load, train=())
    return [prepare(job, zero, source, data, member), *starts]


def prepare(
    job: Settings, policy: FreezePolicy, source: TrainedModel | None, data: LightCurveDataModule, member: int = 0
) -> Start:
    """The network for the survey with what the policy loads; prints the transfer report."""
    survey, seed = data.survey, job["seed"]
    head = head_settings(job["head"], source, survey)
    if head["name"] == "source":
        policy = replace(policy, load=[*policy.load, "head.*"])
    initialisation = f"initialisation/{member}" if member else "initialisation"
    sizes = len(data.encoding.channels), len(data.classes)
    classifier = build_classifier(job["model"], head, *sizes, stream(seed, initialisation))
    branch = getattr(classifier.encoder, "metadata", None)
    if branch is not None and data.split.budget:
        branch.standardise_by(torch.from_numpy(data.encoded.metadata[data.split.train]))
    state = source_state(source, head) if source else None
    report = transfer(classifier, policy, state, source.classes if source else (), data.classes)
    log.info("%s", report)
    refuse_untrained(data, any(part.new for part in report.parts))
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
        input={name: reader[name] for name in INPUT if name in reader},
    )
    return Start(policy, model, report)


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


def refuse_untrained(data: LightCurveDataModule, new: bool) -> None:
    """Raise ValueError if the budget is 0 and a part of the network is new."""
    if not data.split.budget and new:
        raise ValueError(
            "a budget of 0 labels trains nothing, so every part must come from the source: "
            "choose head=source and a freeze policy that loads the encoder"
        )


def name_absent_classes(data: LightCurveDataModule) -> None:
    """Say which classes have no training object."""
    missing = absent_classes(data.label[data.split.train], data.classes)
    if missing and data.split.budget:
        message = "no training object of %s among the %d labels of seed %d: no weight, and scores near chance"
        log.warning(message, ", ".join(missing), data.split.budget, data.seed)


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
    policy: str,
    sources: Sequence[TrainedModel | None],
    data: LightCurveDataModule,
    report: TransferReport,
) -> Row:
    """The row's coordinates: what was trained on what."""
    source = sources[0]
    return {
        **coordinates(policy, data),
        "source": source.survey if source else "",
        "source_simulated": bool(source and source.simulated),
        "head": job["head"]["name"],
        "model": job["model"]["name"],
        "encoding": job["encoding"]["name"],
        "members": len(sources),
        "trained_parameters": report.trained,
        "parameters": report.total,
        "frozen_identical": True,  # `finetune` raises otherwise
        "absent_in_training": absent_classes(data.label[data.split.train], data.classes),
    }
