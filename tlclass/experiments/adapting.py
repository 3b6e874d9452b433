"""Adaptation of the source networks to the target's unlabelled light curves, before any label is used."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tlclass.experiments.cards import Trust
from tlclass.experiments.fitting import GROUPS, fit_from
from tlclass.experiments.job import Job
from tlclass.experiments.result import CHECKPOINTS
from tlclass.experiments.start import prepare, source_layout
from tlclass.inputs.augmentation import augmentation_from
from tlclass.inputs.split import Split
from tlclass.network.checkpoint import TrainedModel
from tlclass.network.classifier import build_classifier
from tlclass.network.training_range import joined, measure
from tlclass.network.transfer import FreezePolicy
from tlclass.options import build
from tlclass.training.distillation import ADAPTED, Distillation, distil, loaded_whole
from tlclass.training.finetune import Start

NONE = "none"


def adaptation_from(config: Mapping[str, Any], trust: Trust) -> Distillation | None:
    """The adaptation of a composed configuration; None for `adapt=none`.

    Raises:
        ValueError: a setting is unknown or out of range; names it as the user writes it.
    """
    given = config["adapt"]
    if not isinstance(given, Mapping):
        raise ValueError(f"adapt is '{given}': choose adapt=NAME, a file of conf/adapt")
    if given.get("name") == NONE:
        return None
    own = {name: value for name, value in given.items() if name not in (*GROUPS, "freeze_policy")}
    policy = build(FreezePolicy, given["freeze_policy"], "adapt.freeze_policy")
    parts = {"policy": loaded_whole(policy), "fit": fit_from(given, trust, "adapt.")}
    return build(Distillation, {**own, **parts, "augmentation": augmentation_from(given["augmentation"])}, "adapt")


def starting_points(job: Job, how: Distillation, sources: Sequence[TrainedModel]) -> list[Start]:
    """The source networks with the target's classes: their own heads, and the taxonomy's shares unless `head=source` says otherwise.

    Raises:
        ValueError: a class of the target is none of the source's.
    """
    head = job.training.head if job.training.head["name"] == "source" else {"name": "source", "use_shares": True}
    none = np.empty(0, dtype=np.int64)
    data = job.data.holding(split=Split(none, none, job.data.split.test, job.data.split.pool))
    without_labels = replace(job, training=replace(job.training, head=head), data=data)
    return [prepare(without_labels, how.policy, source, member) for member, source in enumerate(sources)]


def adapted(job: Job, how: Distillation, sources: Sequence[TrainedModel]) -> list[TrainedModel]:
    """The source models, adapted to all light curves of the target outside its test part; see `Distillation`.

    They keep their classes, so that any arm starts from them as from the others.

    Args:
        job: what they are for; labels are not looked at.
        how: see there.
        sources: one per member.

    Raises:
        ValueError: a class of the target is none of the source's, or there are too few light curves.
    """
    starts, unlabelled = starting_points(job, how, sources), job.data.unlabelled
    distil(starts, job.data, unlabelled, how, job.folder / CHECKPOINTS / "adapt", job.process)
    seen = measure(job.data.curves.take(unlabelled), job.training.survey.selection.photometry.kind)
    about = {"name": how.name, "survey": job.data.survey.name, "objects": len(unlabelled)}
    models = []
    for source, start in zip(sources, starts, strict=True):
        network = build_classifier(source.encoder, source.head, len(source.encoding.channels), len(source.classes))
        network.load_state_dict(source_layout(start.classifier.state_dict()))
        ranges = joined([source.trained_on, seen]) if source.trained_on else None
        training = {**source.training, ADAPTED: about}
        models.append(replace(source, classifier=network.eval(), trained_on=ranges, training=training))
    return models
