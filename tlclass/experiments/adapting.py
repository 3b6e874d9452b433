"""Adaptation of the source networks to the target's unlabelled light curves, before any label is used."""

import copy
import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch

from tlclass.atomic import atomic_path
from tlclass.experiments.fitting import GROUPS, fit_from, named_from
from tlclass.experiments.job import Job
from tlclass.experiments.result import CHECKPOINTS, RESULT, write_result
from tlclass.experiments.start import prepare, source_layout
from tlclass.inputs.augmentation import augmentation_from
from tlclass.inputs.datamodule import LabelledCurves, LightCurveDataModule
from tlclass.inputs.encoding import encode
from tlclass.inputs.split import Protocol, Split
from tlclass.lightcurves.curves import LightCurves
from tlclass.locking import held
from tlclass.network.calibration import log_probabilities
from tlclass.network.checkpoint import WEIGHTS, TrainedModel, as_one
from tlclass.network.classifier import Classifier, build_classifier
from tlclass.network.history import ADAPTED
from tlclass.network.training_range import joined, measure
from tlclass.network.transfer import FreezePolicy, TransferReport
from tlclass.options import build
from tlclass.plugins import Trust
from tlclass.surveys import Survey
from tlclass.surveys.reader import InMemory
from tlclass.training.calibration import fit_sets
from tlclass.training.card import EVALUATIONS
from tlclass.training.distillation import Distillation, distil, loaded_whole, refuse_few
from tlclass.training.finetune import Start
from tlclass.training.fit import Process
from tlclass.training.reliability import Believed, believed_of, novelty_of, taught, zero_shot_calibration

log = logging.getLogger(__name__)

NONE = "none"
OF_THE_FORMER = ("release", "command", "default_for", EVALUATIONS, "measured", "source_auroc_macro")  # of `training`
OF_THE_LABELS = ("target", "simulated", "arm", "labels", "pool", "n_train", "n_val")  # of its row: what is no score


def adaptation_from(config: Mapping[str, Any], trust: Trust) -> Distillation | None:
    """The adaptation of a composed configuration; None for `adapt=none`.

    Raises:
        ValueError: a setting is unknown or out of range; names it as the user writes it.
    """
    given = config["adapt"]
    if not isinstance(given, Mapping):
        raise ValueError(f"adapt is '{given}': choose adapt=NAME, a file of conf/adapt")
    if given.get("name") == NONE:
        if unknown := sorted(set(given) - {"name"}):
            raise ValueError(
                f"adapt={NONE} has no option {', '.join(unknown)}: choose adapt=distill, or leave the option out"
            )
        return None
    own = {name: value for name, value in given.items() if name not in (*GROUPS, "freeze_policy")}
    policy = build(FreezePolicy, given["freeze_policy"], "adapt.freeze_policy")
    with named_from("adapt."):
        augmentation = augmentation_from(given["augmentation"])
    parts = {"policy": loaded_whole(policy), "fit": fit_from(given, trust, "adapt.")}
    return build(Distillation, {**own, **parts, "augmentation": augmentation}, "adapt")


def adaptation_starts(job: Job, how: Distillation, sources: Sequence[TrainedModel]) -> list[Start]:
    """The source networks with the target's classes: their own heads, and the taxonomy's shares unless `head=source` says otherwise.

    Raises:
        ValueError: a class of the target is none of the source's.
    """
    head = job.training.head if job.training.head["name"] == "source" else {"name": "source", "use_shares": True}
    none = np.empty(0, dtype=np.int64)
    data = job.data.holding(split=Split(none, none, job.data.split.test, job.data.split.pool))
    without_labels = replace(job, training=replace(job.training, head=head), data=data)
    return [prepare(without_labels, how.policy, source, member) for member, source in enumerate(sources)]


def adapted(
    job: Job, data: LightCurveDataModule, how: Distillation, sources: Sequence[TrainedModel], store: Path
) -> tuple[list[TrainedModel], Believed | None]:
    """The source models adapted to light curves of the target outside its test part, and the probabilities that they gave these before.

    The adapted models keep the source's classes, so any arm can start from them.

    Args:
        job: what they are for.
        data: the light curves; labels are not looked at.
        how: see there.
        sources: one per member.
        store: folder of the adapted networks, which another job may have left there.

    Raises:
        ValueError: a class of the target is none of the source's, or there are too few light curves.
    """
    if job.training.protocol.test != "fixed":
        refuse_few(len(data.curves), how, "with protocol.test=fixed all objects outside the test part are used")
    starts = adaptation_starts(job, how, sources)
    before = replace(starts[0].model, classifier=as_one([start.classifier for start in starts]))
    calibrated = replace(before, calibration=zero_shot_calibration(before, sources))
    believed = believed_of(calibrated, data)
    distil_once(starts, data, how, store, job.process)
    seen = measure(data.curves, data.survey.selection.photometry.kind)
    about = {"name": how.name, "survey": data.survey.name, "objects": len(data.curves)}
    models = []
    for source, start in zip(sources, starts, strict=True):
        network = build_classifier(source.encoder, source.head, len(source.encoding.channels), len(source.classes))
        network.load_state_dict(source_layout(start.classifier.state_dict()))
        ranges = joined([source.trained_on, seen]) if source.trained_on else None
        training = {**source.training, ADAPTED: about}
        models.append(replace(source, classifier=network.eval(), trained_on=ranges, training=training))
    return models, believed


def distil_once(
    starts: Sequence[Start], data: LightCurveDataModule, how: Distillation, store: Path, process: Process
) -> None:
    """Adapt the networks, or give them the weights that a job with other labels left in `store` when it did."""
    networks = as_one([start.classifier for start in starts])
    if not (store / RESULT).exists():  # a complete store may be read only
        with held(store / "lock", f"{store}: another process is adapting these networks, waiting for it"):
            if not (store / RESULT).exists():
                distil(starts, data, how, store / CHECKPOINTS, process)
                with atomic_path(store / WEIGHTS) as temporary:
                    safetensors.torch.save_file(networks.state_dict(), temporary)
                write_result(store, {"experiment": "adaptation", "adapt": how.name, "unlabelled": len(data.curves)})
                shutil.rmtree(store / CHECKPOINTS, ignore_errors=True)
                return
    log.info("adapt=%s: networks from %s", how.name, store)
    networks.load_state_dict(safetensors.torch.load_file(store / WEIGHTS))


def adapt_model(
    model: TrainedModel, curves: LightCurves, origin: str, how: Distillation, seed: int, folder: Path
) -> TrainedModel:
    """A trained model, adapted to light curves without labels.

    Calibration, prediction sets and novelty are fitted to these light curves, where the model has them.

    Args:
        model: one network or an ensemble; it stays as it is.
        curves: unselected; the model's own photometry rule, trigger and window are applied.
        origin: what to call them.
        how: see there.
        seed: of the order of the light curves and of where they are cut.
        folder: for the checkpoints; called again after an interruption it goes on from them.

    Raises:
        ValueError: a passband or metadata column is unknown, or too few light curves are left.
    """
    data = without_labels(model, model.selection.apply(curves, origin), seed)
    starts = [own_start(model, member, how.policy) for member in model.members]
    believed = believed_of(model, data)
    distil(starts, data, how, folder, Process({"accelerator": "cpu"}))
    seen = measure(data.curves, model.selection.photometry.kind)
    changed = replace(
        model,
        classifier=as_one([start.classifier.eval() for start in starts]),
        training={
            **unscored(model.training),
            ADAPTED: {"name": how.name, "survey": origin, "objects": len(data.label)},
        },
        trained_on=joined([model.trained_on, seen]) if model.trained_on else None,
    )
    return changed if believed is None else reliable_without_labels(changed, believed, origin)


def unscored(training: Mapping[str, Any]) -> dict[str, Any]:
    """What is known of a model, without its name and its scores: they are not those of the networks that it becomes."""
    kept = {name: value for name, value in training.items() if name not in OF_THE_FORMER}
    if "row" in training:
        kept["row"] = {name: value for name, value in training["row"].items() if name in OF_THE_LABELS}
    return kept | ({"source": training["release"]} if "release" in training else {})


def without_labels(model: TrainedModel, curves: LightCurves, seed: int) -> LightCurveDataModule:
    """Selected light curves as the model sees them, none of them in a test part."""
    survey = Survey(model.survey, InMemory(curves), model.passbands, model.taxonomy, model.selection, curves.simulated)
    encoded, none = encode(curves, model.passbands, model.encoding, model.metadata), np.empty(0, dtype=np.int64)
    data = LightCurveDataModule(survey, model.encoding, model.metadata, 0, Protocol("remainder"), seed=seed)
    data.objects = LabelledCurves(curves, encoded, np.full(len(curves), -1), Split(none, none, none, len(curves)))
    return data


def own_start(model: TrainedModel, member: Classifier, policy: FreezePolicy) -> Start:
    """A copy of a network that is trained on from where it is."""
    network = copy.deepcopy(member)
    names = frozenset(name for name, _ in network.named_parameters())
    report = TransferReport(policy.name, (), names, model.classes, model.classes)
    return Start(policy, replace(model, classifier=network), report)


def reliable_without_labels(model: TrainedModel, believed: Believed, origin: str) -> TrainedModel:
    """The adapted model, calibrated, with prediction sets and novelty of the light curves that it was adapted to."""
    seen, calibration = taught(model, believed, origin)
    probability = log_probabilities(calibration, seen.logits, seen.observations).exp()
    return replace(
        model,
        calibration=calibration,
        sets=fit_sets(probability, seen.observations, None, seen.weight) if model.sets else None,
        novelty=novelty_of(seen) if model.novelty else None,
    )
