"""Rounds of labelling: the arm is fitted to the labels there are, and the next ones are chosen by its predictions."""

import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tlclass.arrays import Array
from tlclass.atomic import write_json
from tlclass.experiments.arm import Arm, Sources
from tlclass.experiments.job import Job
from tlclass.experiments.result import CHECKPOINTS
from tlclass.inputs.batches import CurveDataset
from tlclass.inputs.datamodule import LightCurveDataModule
from tlclass.inputs.labelling import Labelling, Pool
from tlclass.inputs.split import pool_and_test, split_of
from tlclass.lightcurves.brightness import last_magnitudes, peak_magnitudes
from tlclass.lightcurves.condition import Columns
from tlclass.network.checkpoint import DESCRIPTION, load_model
from tlclass.network.inference import encode_all
from tlclass.seeds import stream
from tlclass.training.leavings import read_predictions
from tlclass.wording import reworded

log = logging.getLogger(__name__)
CHOSEN = "labelling.json"  # of a round: the ids chosen in it; beside a finished job: of all rounds


def with_labels(job: Job, arm: Arm, sources: Sources, labelling: Labelling) -> Job:
    """The job with the label budget that the strategy chooses; the same job where the protocol's draw is wanted.

    Every round fits the arm to the labels so far and predicts the rest of the pool. What a round chose is kept below
    the job's checkpoints, so that an interrupted job goes on with the next round.

    Args:
        job: its budget is that of the protocol's draw.
        arm: makes the predictions, and is then run on the chosen labels.
        sources: see `Arm.run`.
        labelling: how to choose.

    Raises:
        ValueError: the arm cannot predict without labels and the first ones are not drawn, or too few objects may be chosen.
    """
    data = job.data
    label, ids, budget = data.label, data.curves.object_id, data.split.budget
    pool, test = pool_and_test(label, ids, data.protocol)
    if not labelling.chooses or budget in (0, len(pool)):
        return job
    drawn = first_labels(data, labelling, budget)
    rounds = [{"round": 0, "chosen": ids[drawn].tolist()}]
    for number, wanted in enumerate(parts(budget - len(drawn), labelling.rounds), 1):
        folder = job.folder / CHECKPOINTS / f"round{number}"
        if not (folder / CHOSEN).exists():
            record = next_round(job, arm, sources, labelling, drawn, wanted, folder)
            write_json(folder / CHOSEN, record)
        record = json.loads((folder / CHOSEN).read_text(encoding="utf-8"))
        rounds.append({"round": number, **record})
        place = {str(name): k for k, name in enumerate(ids.tolist())}
        drawn = np.concatenate([drawn, [place[name] for name in record["chosen"]]]).astype(np.int64)
    write_json(job.folder / CHOSEN, rounds)
    log.info("labels chosen by %s: %s", labelling.name, counted(data, drawn))
    return replace(job, data=data.holding(split=split_of(drawn, label, data.seed, data.protocol, pool, test)))


def first_labels(data: LightCurveDataModule, labelling: Labelling, budget: int) -> Array:
    """Indices of the labels that the protocol draws before the first round.

    Raises:
        ValueError: these are more than the budget, or too few for a fit.
    """
    if not 0 <= labelling.initial < budget or 0 < labelling.initial < 5:
        raise ValueError(
            f"labelling.initial is {labelling.initial}: choose 0, or 5 to {budget - 1} of the {budget} labels"
        )
    if not labelling.initial:
        return np.zeros(0, dtype=np.int64)
    first = LightCurveDataModule(
        data.survey, data.encoding, data.metadata, labelling.initial, data.protocol, data.cache, data.seed
    )
    first.setup()
    return np.concatenate([first.split.train, first.split.val])


def parts(total: int, rounds: int) -> list[int]:
    """The numbers of labels of each round, as equal as they can be; none is 0.

    >>> parts(100, 3), parts(2, 5)
    ([34, 33, 33], [1, 1])
    """
    return [len(part) for part in np.array_split(np.arange(total), rounds) if len(part)]


def next_round(
    job: Job, arm: Arm, sources: Sources, labelling: Labelling, drawn: Array, wanted: int, folder: Path
) -> dict[str, Any]:
    """Fit the arm to the labels drawn so far, predict the rest of the pool, and choose among it; ids and scores."""
    data = job.data
    pool, _ = pool_and_test(data.label, data.curves.object_id, data.protocol)
    rest = np.setdiff1d(pool, drawn)
    split = split_of(drawn, data.label, data.seed, data.protocol, pool, rest)
    trial = replace(job, data=data.holding(split=split), folder=folder, logger=None)
    if not len(drawn):
        refuse_untrained(arm, trial, sources)
    arm.run(trial, sources)
    seen, columns = seen_by(trial, drawn)
    rng = np.random.default_rng(stream(data.seed, f"labelling/{len(drawn)}"))
    chosen, score, lots = labelling.choose(seen, columns, wanted, rng)
    ids = columns["object_id"][chosen].tolist()
    return {"chosen": ids, "score": score.tolist(), "at_random": lots.tolist()}


def refuse_untrained(arm: Arm, trial: Job, sources: Sources) -> None:
    """Raise ValueError if the arm cannot predict without labels."""
    advice = "draw the first labels at random, e.g. labelling.initial=30"
    if not arm.needs_source:
        raise ValueError(f"arm={arm.name} cannot predict before it has labels: {advice}")
    why = "labelling chooses the first labels by predictions of the source model"
    with reworded(lambda said: f"{why}: {said}; or {advice}"):
        arm.check(trial, sources)


def seen_by(trial: Job, drawn: Array) -> tuple[Pool, Columns]:
    """What the fitted arm makes of the objects that it tested, followed by the labelled ones; and their columns.

    The labelled ones have no probabilities: they are never chosen.
    """
    data = trial.data
    objects = np.concatenate([data.split.test, drawn]).astype(np.int64)
    curves = data.curves.take(objects)
    unknown = np.full((len(drawn), len(data.classes)), 1 / len(data.classes))
    probability = np.concatenate([read_predictions(trial.folder).probability, unknown])
    labelled = np.arange(len(objects)) >= len(data.split.test)
    pool = Pool(probability, latents(trial, objects), peak_magnitudes(curves), labelled, ~labelled)
    return pool, object_columns(data, objects, pool)


def object_columns(data: LightCurveDataModule, objects: Array, pool: Pool) -> Columns:
    """The columns of which `labelling.where` may speak: nothing that is known only of labelled objects."""
    curves = data.curves.take(objects)
    columns = {name: values for name, values in curves.object_columns().items() if name not in ("label", "redshift")}
    columns |= {"peak_mag": pool.peak_mag, "last_mag": last_magnitudes(curves), "n_observations": curves.lengths}
    columns["class"] = np.array(data.classes)[pool.probability.argmax(axis=1)]
    return columns | {f"p({name})": pool.probability[:, k] for k, name in enumerate(data.classes)}


def latents(trial: Job, objects: Array) -> Array | None:
    """(n, L) latent vectors by the networks that the trial left, those of its members side by side; None of trees."""
    if not (trial.folder / DESCRIPTION).exists():
        return None
    members = load_model(trial.folder).members
    dataset: CurveDataset = trial.data.dataset(objects)
    return torch.cat([encode_all(member.encoder, dataset) for member in members], dim=1).double().numpy()


def counted(data: LightCurveDataModule, drawn: Sequence[int] | Array) -> str:
    """How many labels of each class there are, in words."""
    counts = np.bincount(data.label[drawn], minlength=len(data.classes))
    return ", ".join(f"{count} {name}" for name, count in zip(data.classes, counts, strict=True))
