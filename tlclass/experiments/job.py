"""One job: transfer to a survey, fit, test, save; pretraining is one that loads nothing."""

import logging
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tlclass.atomic import write_json, write_text
from tlclass.baselines.trees import Baseline, fit_and_score
from tlclass.experiments.result import CHECKPOINTS
from tlclass.inputs.augmentation import augmentation_from
from tlclass.inputs.datamodule import LightCurveDataModule
from tlclass.inputs.encoding import encoding_from
from tlclass.inputs.split import absent_classes
from tlclass.lightcurves.taxonomy import Taxonomy
from tlclass.network.checkpoint import TrainedModel, as_one, save_model
from tlclass.network.classifier import build_classifier
from tlclass.network.transfer import FreezePolicy, TransferReport, transfer
from tlclass.options import build
from tlclass.seeds import stream
from tlclass.surveys import Several, Survey
from tlclass.training.evaluation import evaluate
from tlclass.training.finetune import Start, finetune
from tlclass.training.fit import HISTORY, device_of
from tlclass.training.folds import ZERO, Choice, choose
from tlclass.training.metrics import Row
from tlclass.training.task import FitSettings

log = logging.getLogger(__name__)

Settings = dict[str, Any]
INPUT = ("columns", "extra", "flux_unit", "time_offset", "forced")  # settings of a reader that `predict` reads by too


def load(settings: Settings, survey: Survey | Several, cache: Path) -> LightCurveDataModule:
    """The light curves of `survey`, encoded and split by the label budget.

    Args:
        settings: see `Job`.
        survey: built from the card.
        cache: folder of the parsed surveys.

    Raises:
        FileNotFoundError, ValueError: the files are absent or break a rule, the budget does not fit, or there is one class.
    """
    fit_settings = build(FitSettings, settings["fit"], "fit")
    budget = {name: settings["data_fraction"][name] for name in ("fraction", "count")}
    data = LightCurveDataModule(
        survey,
        encoding_from(settings["encoding"]),
        settings["model"].get("metadata", ()),
        {**settings["protocol"], **budget},
        cache,
        settings["seed"],
        fit_settings.batch_size,
        fit_settings.balance,
        augmentation_from(settings["augmentation"]),
    )
    data.setup()
    present = np.unique(data.label)
    if len(present) < 2:
        raise ValueError(
            f"{survey.name}: all {len(data.label)} objects are of class {data.classes[present[0]]}, and nothing can be learnt "
            "from one class: check the labels, the taxonomy and the cuts of its card"
        )
    return data


@dataclass(frozen=True)
class Job:
    """What is trained, on what, and where it is left.

    Attributes:
        settings: `survey` (its card), `seed`, `head`, `data_fraction`, `protocol`, `fit`, `augmentation`, `encoding`, `model`.
        policy: what is loaded from a source and what is trained, or several such policies to choose from, or a
            classifier of light-curve features instead.
        data: what `load` gives for these settings.
        folder: for checkpoints, the model and the predictions.
        process: how it is run: `trainer`, `progress`.
        logger: a Lightning logger or None.
    """

    settings: Settings
    policy: FreezePolicy | Choice | Baseline
    data: LightCurveDataModule
    folder: Path
    process: Settings
    logger: Any = None

    @property
    def fit_settings(self) -> FitSettings:
        """Of every fit, or of its first stage."""
        return build(FitSettings, self.settings["fit"], "fit")


def run(job: Job, sources: Sequence[TrainedModel | None]) -> Row:
    """Train on the label budget of a survey, score on its test part, leave model and predictions in the job's folder.

    Args:
        job: see there.
        sources: the model to start from, or None, for each member of the ensemble; mostly there is one.

    Returns:
        The result row: coordinates, then scores.

    Raises:
        ValueError: the policy, head or budget does not fit; says what to choose.
    """
    began = time.perf_counter()
    if isinstance(job.policy, FreezePolicy | Choice):
        row = run_network(job, sources)
    else:
        row = coordinates(job) | fit_and_score(job.policy, job.data, job.folder)
        write_json(job.folder / "survey.json", {"target": job.data.class_counts(), "source": None})
    write_json(job.folder / "timing.json", {"seconds": time.perf_counter() - began})
    return row


def run_network(job: Job, sources: Sequence[TrainedModel | None]) -> Row:
    """Transfer, fit and score the network, or an ensemble of them; leaves the model and the history of its fit in the folder.

    Of an ensemble, `history.json`, what is logged of the fit and what the row says about it are those of the first
    member, and of a choice those of the first fold.
    """
    name_absent_classes(job.data)
    job.data.device = device_of(job.process["trainer"])
    trained = [train(job, source, member) for member, source in enumerate(sources)]
    start, history, about = trained[0]
    if history:
        write_text(job.folder / HISTORY, history.read_text(encoding="utf-8"))
    model = replace(start.model, classifier=as_one([start.classifier for start, _, _ in trained]))
    row = describe(job, sources, start.report) | about | evaluate(model, job.data, job.folder)
    counts, source = job.data.class_counts(), sources[0]
    write_json(
        job.folder / "survey.json", {"target": counts, "source": source.training.get("counts") if source else None}
    )
    origin = {"source": source.survey if source else None, "policy": job.policy.name, "seed": job.settings["seed"]}
    save_model(replace(model, training={**origin, "row": row, "counts": counts}), job.folder)
    shutil.rmtree(job.folder / CHECKPOINTS, ignore_errors=True)
    return row


def train(job: Job, source: TrainedModel | None, member: int) -> tuple[Start, Path | None, Row]:
    """One network, transferred and fitted: what it started from, holding it now; its history; how the fit went."""
    folder, logger = job.folder / CHECKPOINTS / f"member{member}", None if member else job.logger
    starts = starting_points(job, source, member)
    for start in starts:
        log.info("%s", start.report)
    if isinstance(job.policy, Choice):
        start, summary, found = choose(job.policy, starts, job.data, job.fit_settings, folder, job.process, logger)
        folder = folder / start.policy.name / "fold0"
    else:
        (start,), found = starts, Row()
        summary = finetune(start, job.data, job.fit_settings, folder, job.process, logger)
    about = found | (vars(summary) if summary else {})
    return start, folder / HISTORY if summary else None, about


def starting_points(job: Job, source: TrainedModel | None, member: int = 0) -> list[Start]:
    """The network before training; of a choice one per candidate, and before them, if every part comes from the source, one
    that changes nothing.

    Raises:
        ValueError: the policy or the head does not fit the source, or the budget is 0 and something would be new.
    """
    if isinstance(job.policy, FreezePolicy):
        return [prepare(job, job.policy, source, member)]
    assert isinstance(job.policy, Choice)
    starts = [prepare(job, policy, source, member) for policy in job.policy.policies]
    if any(part.new for part in starts[0].report.parts):
        return starts
    zero = FreezePolicy(ZERO, load=starts[0].policy.load, train=())
    return [prepare(job, zero, source, member), *starts]


def prepare(job: Job, policy: FreezePolicy, source: TrainedModel | None, member: int) -> Start:
    """The network for the survey with what the policy loads."""
    settings, data = job.settings, job.data
    head = head_settings(settings["head"], source, data.survey.taxonomy)
    if head["name"] == "source":
        policy = replace(policy, load=[*policy.load, "head.*"])
    model = new_model(settings, data.survey, head, f"initialisation/{member}" if member else "initialisation")
    model = replace(model, simulated=model.simulated or bool(source and source.simulated))
    (classifier,) = model.members
    if data.split.budget:
        classifier.encoder.standardise_by(torch.from_numpy(data.encoded.metadata[data.split.train]))
    state = source_state(source, head) if source else None
    report = transfer(classifier, policy, state, source.classes if source else (), data.classes)
    if not data.split.budget and any(part.new for part in report.parts):
        raise ValueError(
            "a budget of 0 labels trains nothing, so every part must come from the source: "
            "choose head=source and a freeze policy that loads the encoder"
        )
    return Start(policy, model, report)


def new_model(
    settings: Settings, survey: Survey | Several, head: Settings, initialisation: str = "initialisation"
) -> TrainedModel:
    """A network for the survey, initialised and not trained, with all that using it needs.

    Args:
        settings: of a `Job`.
        survey: its light curves and classes.
        head: see `head_settings`.
        initialisation: which random stream of the job's seed.
    """
    encoding, reader = encoding_from(settings["encoding"]), settings["survey"].get("reader", {})
    sizes = len(encoding.channels), len(survey.taxonomy.classes)
    return TrainedModel(
        classifier=build_classifier(settings["model"], head, *sizes, stream(settings["seed"], initialisation)),
        encoder=dict(settings["model"]),
        head=head,
        encoding=encoding,
        passbands=survey.passbands,
        taxonomy=survey.taxonomy,
        selection=survey.selection,
        survey=survey.name,
        simulated=survey.simulated,
        input={name: reader[name] for name in INPUT if name in reader},
    )


def head_settings(head: Settings, source: TrainedModel | None, taxonomy: Taxonomy) -> Settings:
    """The head's settings; for `source` with the source's head, the class map and the shares filled in.

    Raises:
        ValueError: there is no source, or it knows nothing of one of the taxonomy's classes.
    """
    if head["name"] != "source":
        return dict(head)
    if source is None:
        raise ValueError("head=source keeps the source model's head, but there is none: choose head.name=linear or mlp")
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


def name_absent_classes(data: LightCurveDataModule) -> None:
    """Say which classes have no training object."""
    missing = absent_classes(data.label[data.split.train], data.classes)
    if missing and data.split.budget:
        message = "no training object of %s among the %d labels of seed %d: no weight, and scores near chance"
        log.warning(message, ", ".join(missing), data.split.budget, data.seed)


def coordinates(job: Job) -> Row:
    """Which labels of which survey were used, by which arm; the same for networks and baselines."""
    data, split = job.data, job.data.split
    return {
        "target": data.survey.name,
        "simulated": data.survey.simulated,
        "policy": job.policy.name,
        "seed": data.seed,
        "budget": split.budget,
        "pool": split.pool,
        "n_train": len(split.train),
        "n_val": len(split.val),
        "n_test": len(split.test),
    }


def describe(job: Job, sources: Sequence[TrainedModel | None], report: TransferReport) -> Row:
    """The row's coordinates: what was trained on what."""
    source, data = sources[0], job.data
    return {
        **coordinates(job),
        "source": source.survey if source else "",
        "source_simulated": bool(source and source.simulated),
        **{name: job.settings[name]["name"] for name in ("head", "model", "encoding")},
        "members": len(sources),
        "trained_parameters": report.trained,
        "parameters": report.total,
        "frozen_identical": True,  # `finetune` raises otherwise
        "absent_in_training": absent_classes(data.label[data.split.train], data.classes),
    }
