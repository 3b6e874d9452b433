"""Which objects of a table to label next: a ranked list for a spectrograph."""

import logging
from collections.abc import Mapping, Sequence
from numbers import Integral
from pathlib import Path

import numpy as np
import pyarrow as pa

from tlclass.arrays import Array
from tlclass.inputs.labelling import Labelling, Pool
from tlclass.lightcurves.brightness import last_magnitudes, peak_magnitudes
from tlclass.lightcurves.curves import LightCurves
from tlclass.lightcurves.passbands import Passbands
from tlclass.lightcurves.voids import blank
from tlclass.network.checkpoint import TrainedModel
from tlclass.quoting import listed, shortened
from tlclass.serving.predictions import predict
from tlclass.serving.request import Request
from tlclass.surveys.tables.cells import text
from tlclass.surveys.tables.columns import Form
from tlclass.surveys.tables.files import TABLES, is_kind, read_table, refuse_prediction, schema_of
from tlclass.wording import reworded

log = logging.getLogger(__name__)
TOP = 2  # classes of an object that the list names
WHY = {
    "entropy": "entropy {score:.2f} nats",
    "margin": "{second} is {lead:.2f} less probable",
    "balanced": "{first} wanted, {second} is {lead:.2f} less probable",
    "coreset": "distance {score:.1f} from all labelled and chosen objects",
    "badge": "unsure, and distance {score:.2f} from all chosen gradients",
    "novelty": "distance {score:.1f} from the nearest class",
}
AT_RANDOM = "drawn at random"


def choose(
    model: TrainedModel,
    curves: LightCurves,
    n: int,
    labelling: Labelling,
    labelled: Sequence[str] = (),
    seed: int = 0,
    origin: str = "input",
) -> pa.Table:
    """The n objects to label next, the most wanted first.

    Args:
        model: see `tlclass.network.checkpoint.load_model`.
        curves: unselected, as for `predict`. Objects that cannot be classified are never chosen.
        n: how many.
        labelling: the strategy, a condition, and the share that is drawn at random. The condition may name every column of
            the table of predictions, of the objects, and `peak_mag` and `last_mag` (AB magnitude of the brightest and the latest detection).
        labelled: ids of objects that have a label already.
        seed: of all draws.
        origin: what to call the input in messages.

    Returns:
        `rank`, `object_id`, `ra`, `dec` (null where unknown), `peak_mag`, `last_mag`, `class_1`, `p_1`, `class_2`, `p_2`, `score` (the larger the
        more wanted) and `why`.

    Raises:
        ValueError: n is no number above 0, fewer than n objects may be chosen, the condition names an unknown column, or no object of `labelled` is there.
    """
    if not isinstance(n, Integral) or n < 1:
        raise ValueError(f"n is {n}: choose a whole number of objects, 1 or more")
    if isinstance(labelled, str):
        raise ValueError(f"labelled is {shortened(labelled)!r}: give a list of ids, such as [{shortened(labelled)!r}]")
    predictions = predict(model, curves, origin, Request(embedding=True))
    columns = {name: predictions[name].to_numpy(zero_copy_only=False) for name in predictions.column_names}
    classified = predictions["class"].is_valid().to_numpy()
    if not classified.all():
        log.warning(
            "%s: %d of %d objects cannot be classified and are not chosen",
            origin,
            np.count_nonzero(~classified),
            len(classified),
        )
    pool = _pool(model, columns, curves, classified, labelled)
    own = {name: values for name, values in curves.object_columns().items() if name != "label"}
    shown = {name: values for name, values in columns.items() if not name.startswith("latent_")}
    known: dict[str, Array] = {**own, **shown, "peak_mag": pool.peak_mag, "last_mag": last_magnitudes(curves)}
    chosen, score, lots = labelling.choose(pool, known, n, np.random.default_rng(seed))
    best = _best(model, pool.probability[chosen])
    best["score"] = score
    table = {"rank": np.arange(1, n + 1)}
    table |= {name: known[name][chosen] for name in ("object_id", "ra", "dec", "peak_mag", "last_mag")}
    why = reasons(labelling.name, best, lots)
    return pa.table(
        {name: pa.array(values, from_pandas=True) for name, values in {**table, **best}.items()} | {"why": why}
    )


def reasons(strategy: str, best: Mapping[str, Array], lots: Array) -> list[str]:
    """Why each object is in the list, in words.

    Args:
        strategy: its name.
        best: columns `class_1`, `class_2`, `p_1`, `p_2` and `score`.
        lots: bool, the objects that were drawn at random.
    """
    lead = best["p_1"] - best["p_2"]
    rows = zip(best["class_1"], best["class_2"], lead, best["score"], lots, strict=True)
    return [
        AT_RANDOM if by_lot else WHY[strategy].format(first=first, second=second, lead=gap, score=score)
        for first, second, gap, score, by_lot in rows
    ]


def read_ids(path: Path, passbands: Passbands) -> list[str]:
    """Ids of labelled objects: of a table those with a class, or all if it states none; of another file the lines.

    Args:
        path: the file. passbands: of the model, as for every table.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a table is damaged.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"no file {path}: give a table of objects (object_id, class), or a text file with the id of one labelled object a line"
        )
    if not is_kind(path, TABLES):
        try:
            return [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        except UnicodeDecodeError:
            raise ValueError(
                f"{path} is no text in UTF-8: give one object id a line, or a table (object_id, class)"
            ) from None
    names = schema_of(path).names
    refuse_prediction(path, names)
    with reworded(lambda said: f"{said.partition(': choose')[0]}: remove one of them, or call the right one class"):
        found = Form(passbands).found(names, str(path), sure=("object_id", "label"))
    if "object_id" not in found:
        raise ValueError(f"{path} lacks the column object_id; it has {listed(names)}: call the column of object ids so")
    columns = [found[name] for name in ("object_id", "label") if name in found]
    table = read_table(path, columns, text=columns, ids=columns[:1])
    ids, *label = (text(table[name]) for name in columns)
    return [str(name) for name in (ids[~blank(label[0])] if label else ids) if name]


def _pool(
    model: TrainedModel, columns: Mapping[str, Array], curves: LightCurves, classified: Array, labelled: Sequence[str]
) -> Pool:
    there = set(curves.object_id.tolist())
    missing = [name for name in labelled if name not in there]
    if missing and len(missing) == len(labelled):
        raise ValueError(
            f"none of the {len(labelled)} labelled object(s) is in the table, e.g. {missing[0]}: give ids of its objects"
        )
    if missing:
        log.warning("%d of %d labelled objects are not in the table, e.g. %s", len(missing), len(labelled), missing[0])
    done = np.isin(curves.object_id, np.array(list(labelled), dtype=str)) & classified
    p = np.stack([columns[f"p({name})"] for name in model.classes], axis=1).astype(float)
    latent = np.stack([values for name, values in columns.items() if name.startswith("latent_")], axis=1).astype(float)
    p = np.where(classified[:, None], p, 1 / p.shape[1])
    latent = np.where(classified[:, None], latent, np.nanmean(latent, axis=0) if classified.any() else 0)
    return Pool(p, latent, peak_magnitudes(curves), done, classified & ~done)


def _best(model: TrainedModel, probability: Array) -> dict[str, Array]:
    order = np.argsort(-probability, axis=1, kind="stable")
    names, row = np.array(model.classes), np.arange(len(order))
    columns = {}
    for rank in range(TOP):
        columns[f"class_{rank + 1}"] = names[order[:, rank]]
        columns[f"p_{rank + 1}"] = probability[row, order[:, rank]]
    return columns
