"""The network before training: initialised for the survey, with what a freeze policy loads from a source model."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from tlclass.experiments.job import Job, Training, reader_options
from tlclass.inputs.split import absent_classes
from tlclass.lightcurves.taxonomy import Taxonomy
from tlclass.network.checkpoint import TrainedModel
from tlclass.network.classifier import build_classifier
from tlclass.network.transfer import FreezePolicy, transfer
from tlclass.seeds import stream
from tlclass.training.finetune import Start, never_trained


def prepare(job: Job, policy: FreezePolicy, source: TrainedModel | None, member: int) -> Start:
    """The network for the survey with what the policy loads.

    Args:
        job: what is trained on what.
        policy: what is loaded and trained.
        source: the source model, or None.
        member: its number in the ensemble; each has an initialisation of its own.

    Raises:
        ValueError: the policy or the head does not fit the source, or there is no label and something would be new.
    """
    data = job.data
    head = head_settings(job.training.head, source, data.survey.taxonomy)
    if head["name"] == "source":
        policy = replace(policy, load=[*policy.load, "head.*"])
    model = new_model(job.training, head, f"initialisation/{member}" if member else "initialisation")
    model = replace(model, simulated=model.simulated or bool(source and source.simulated))
    (classifier,) = model.members
    if data.split.budget:
        classifier.encoder.standardise_by(torch.from_numpy(data.encoded.metadata[data.split.train]))
    state = source_state(source, head) if source else None
    report = transfer(classifier, policy, state, source.classes if source else (), data.classes)
    if not data.split.budget and any(part.new for part in report.parts):
        raise ValueError(
            "with labels=0 nothing is trained, so every part must come from the source: "
            "choose head=source and a freeze policy that loads the encoder"
        )
    return Start(policy, model, report, never_trained(classifier, policy))


def new_model(training: Training, head: Mapping[str, Any], initialisation: str = "initialisation") -> TrainedModel:
    """A network for the survey, initialised and not trained, with all that using it needs.

    Args:
        training: what it is for.
        head: see `head_settings`.
        initialisation: which random stream of the seed.
    """
    survey, encoding = training.survey, training.encoding
    sizes = len(encoding.channels), len(survey.taxonomy.classes)
    return TrainedModel(
        classifier=build_classifier(training.encoder, head, *sizes, stream(training.seed, initialisation)),
        encoder=dict(training.encoder),
        head=dict(head),
        encoding=encoding,
        passbands=survey.passbands,
        taxonomy=survey.taxonomy,
        selection=survey.selection,
        survey=survey.name,
        simulated=survey.simulated,
        input=reader_options(survey),
    )


def head_settings(head: Mapping[str, Any], source: TrainedModel | None, taxonomy: Taxonomy) -> dict[str, Any]:
    """The head's settings; for `source` with the source's head, the class map and the shares filled in.

    Raises:
        ValueError: there is no source, or none of its classes belongs to one of the taxonomy's.
    """
    if head["name"] != "source":
        return dict(head)
    if source is None:
        raise ValueError("head=source needs a source model, but this arm has none: choose head=linear or head=mlp")
    class_map = taxonomy.class_map(source.classes)
    orphans = absent_classes(np.array(class_map), taxonomy.classes)
    if orphans:
        raise ValueError(
            f"head=source: no class of the source ({', '.join(source.classes)}) belongs to {', '.join(orphans)}: "
            "list the source's class names in the target's taxonomy, or choose head=linear or head=mlp"
        )
    weighed = head.get("use_shares", False) and taxonomy.shares
    shares = weights(source, taxonomy) if weighed else None
    return {"name": "source", "source": dict(source.head), "class_map": list(class_map), "shares": shares}


def weights(source: TrainedModel, taxonomy: Taxonomy) -> list[float] | None:
    """By what the probability of each source class is multiplied: its share here over the share that the source assumes.

    A pretrained source assumes equal classes. A released model assumes shares of its own (`SourceHead`); one with the classes of this
    taxonomy is taken as it is, None.

    Raises:
        ValueError: the taxonomy lacks the share of a class.
    """
    assumed = source.head.get("shares")
    if assumed is None:
        return list(taxonomy.shares_of(source.classes))
    if source.classes == taxonomy.classes:
        return None
    total = np.zeros(len(source.classes))
    mapped = np.array(source.head["class_map"])
    np.add.at(total, mapped[mapped >= 0], np.array(assumed)[mapped >= 0])
    return [share / before for share, before in zip(taxonomy.shares_of(source.classes), total.tolist(), strict=True)]


def source_state(source: TrainedModel, head: Mapping[str, Any]) -> Mapping[str, torch.Tensor]:
    """The source's tensors; for `SourceHead` its head lies one level deeper."""
    state = source.classifier.state_dict()
    if head["name"] != "source":
        return state
    return {f"head.source.{name[5:]}" if name.startswith("head.") else name: t for name, t in state.items()}


def source_layout(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors of a network with `SourceHead` as those of its source model: the inverse of `source_state`."""
    return {f"head.{name[12:]}" if name.startswith("head.source.") else name: t for name, t in state.items()}
