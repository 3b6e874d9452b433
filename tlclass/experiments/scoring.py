"""A trained model on the labelled light curves of any survey: which classes can be compared, and how well it does."""

import json
import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tlclass.inputs.datamodule import LightCurveDataModule
from tlclass.inputs.encoding import encoding_settings, known_metadata
from tlclass.inputs.split import Labels, Protocol
from tlclass.lightcurves.curves import LightCurves
from tlclass.network.checkpoint import TrainedModel
from tlclass.surveys import Survey
from tlclass.training.evaluation import evaluate
from tlclass.training.leavings import SPLIT, Row

log = logging.getLogger(__name__)


def score_model(
    model: TrainedModel, home: Path, survey: Survey, protocol: Protocol, cache: Path, folder: Path
) -> tuple[Row, list[str]]:
    """Score a model on a survey's labelled objects; leaves its predictions in a folder.

    Args:
        model: see `tlclass.network.checkpoint.load_model`.
        home: its folder, which may list the objects that it was trained on.
        survey: its own photometry rule, trigger and window are applied.
        protocol: `remainder` scores all objects, `fixed` those of the test part.
        cache: folder of the parsed surveys.
        folder: for the predictions; see `tlclass.training.evaluation.score`.

    Returns:
        Coordinates and scores, by the names that a job's row has; and what must be known to read them, a sentence each.

    Raises:
        FileNotFoundError, ValueError: the survey cannot be read, lacks what the model takes, or has too few classes of the model.
    """
    survey, notes = comparable(model, survey)
    data = LightCurveDataModule(survey, model.encoding, model.metadata, Labels(count=0), protocol, cache, seed=0)
    data.setup()
    present = np.unique(data.label[data.split.test])
    if len(present) < 2:
        raise ValueError(
            f"{survey.name}: {len(data.split.test)} objects of class {', '.join(data.classes[k] for k in present)} can be scored, but "
            "an AUROC needs two classes: check the labels and the cuts of its card"
        )
    tested = data.curves.object_id[data.split.test].tolist()
    seen, more = seen_in_training(model, home, survey, tested)
    notes += [*more, *rules_that_differ(model, survey), *passbands_that_differ(model, data.curves)]
    notes += metadata_that_lack(model, data.curves.take(data.split.test), survey)
    for note in notes:
        log.warning("%s", note)
    class_map = survey.taxonomy.class_map(model.classes)
    same = class_map == tuple(range(len(data.classes)))
    scores = evaluate(model, data, folder, None if same else class_map)
    return coordinates(model, home, survey, protocol, seen, len(tested)) | scores, notes


def metadata_that_lack(model: TrainedModel, curves: LightCurves, survey: Survey) -> list[str]:
    """A sentence on what the model uses of objects and is not known of all of these."""
    known = known_metadata(curves, model.metadata)
    lacking = ", ".join(f"{name} of {count}" for name, count in known.items() if count < len(curves))
    said = (
        f"of the {len(curves)} scored objects {survey.name} states {lacking}; the model uses them where they are known"
    )
    return [said] if lacking else []


def comparable(model: TrainedModel, survey: Survey) -> tuple[Survey, list[str]]:
    """The survey without the classes that the model does not know, and sentences about them.

    Raises:
        ValueError: fewer than two classes are left.
    """
    taxonomy = survey.taxonomy
    class_map = taxonomy.class_map(model.classes)
    unknown = [name for k, name in enumerate(taxonomy.classes) if k not in class_map]
    if len(taxonomy.classes) - len(unknown) < 2:
        raise ValueError(
            f"the classes of the model ({', '.join(model.classes)}) cannot be compared with those of {survey.name} "
            f"({', '.join(taxonomy.classes)}): list the model's class names in the survey's taxonomy, or choose another, "
            "e.g. taxonomy@target.taxonomy=common"
        )
    notes = []
    if unknown:
        notes.append(f"The model has no class for {', '.join(unknown)}: objects of these classes are not scored.")
    extra = [name for name, k in zip(model.classes, class_map, strict=True) if k < 0]
    if extra:
        notes.append(
            f"{survey.name} has no class for the model's {', '.join(extra)}: their probability is distributed over the other classes."
        )
    return replace(survey, taxonomy=taxonomy.without(unknown)) if unknown else survey, notes


def seen_in_training(model: TrainedModel, home: Path, survey: Survey, tested: list[str]) -> tuple[int, list[str]]:
    """How many of these objects the model was trained or validated on, as far as its folder says, and a sentence about it."""
    path = (home if home.is_dir() else home.parent) / SPLIT
    if (model.row or model.training).get("labels") == 0:
        return 0, []
    if not path.is_file():
        unsaid = f"The model was trained on {survey.name} too, and {path} is absent, so it may have been trained on objects scored here."
        return 0, [unsaid] if model.survey == survey.name else []
    stored = json.loads(path.read_text(encoding="utf-8"))
    learnt = {*stored["train"], *stored["val"]}
    seen = len(learnt.intersection(tested))
    if not seen:
        return 0, []
    return seen, [
        f"The model was trained or validated on {seen:,} of the {len(tested):,} objects scored here, so these scores are too high: "
        "add --test-part if it was trained with protocol.test=fixed, or choose other objects."
    ]


def rules_that_differ(model: TrainedModel, survey: Survey) -> list[str]:
    """Sentences about photometry and time zero that are not those of the survey the model was trained for; `any` photometry suits all."""
    pairs: Mapping[str, tuple[Any, Any]] = {
        "photometry": (model.selection.photometry.kind, survey.selection.photometry.kind),
        "time zero": (model.selection.trigger.rule, survey.selection.trigger.rule),
    }
    return [
        f"The model was trained for {name} '{one}', {survey.name} has '{other}'."
        for name, (one, other) in pairs.items()
        if one not in (other, "any")
    ]


def passbands_that_differ(model: TrainedModel, curves: LightCurves) -> list[str]:
    """A sentence about passbands that have observations and that the model was not trained on; none if there are none."""
    if model.trained_on is None:
        return []
    present = [curves.passbands[code] for code in np.unique(curves.passband)]
    other = [name for name in present if name not in model.trained_on.passbands]
    return other and [
        f"The model was not trained on {', '.join(other)} (it knows {', '.join(model.trained_on.passbands)}): observations in them count "
        "here, and `tlclass predict` leaves them out."
    ]


def coordinates(model: TrainedModel, home: Path, survey: Survey, protocol: Protocol, seen: int, tested: int) -> Row:
    """Which model was scored on what; the names are those of a job's row, `labels` those that it was trained with."""
    row = model.row
    return {
        "experiment": f"{(home if home.is_dir() else home.parent).name} on {survey.name}",
        "source": f"model {model.name}" + (f" pretrained on {row['source']}" if row.get("source") else ""),
        "source_simulated": bool(
            row.get("source_simulated") if row.get("source") else row.get("simulated", model.simulated)
        ),
        "target": survey.name,
        "simulated": survey.simulated,
        "arm": str(model.training.get("arm", "model")),
        "reference": False,
        "seed": first_seed(model),
        "test": protocol.test,
        "labels": max(model.labels, seen),
        "n_test": tested,
        "head": model.head["name"],
        "encoder": model.encoder["name"],
        "encoding": encoding_settings(model.encoding)["name"],
        "members": len(model.members),
        "parameters": sum(tensor.numel() for tensor in model.classifier.parameters()),
    }


def first_seed(model: TrainedModel) -> int:
    """The seed of a model; of a released ensemble, whose networks have one each, that of the first."""
    seed = model.training.get("seed", 0)
    return int(seed[0] if isinstance(seed, list) else seed)
