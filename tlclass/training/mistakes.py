"""The test objects that a model gets most wrong, with their light curves and its probabilities over time."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from tlclass.arrays import Array
from tlclass.atomic import atomic_path
from tlclass.inputs.datamodule import LightCurveDataModule

MOST = 12


def write_mistakes(
    path: Path, data: LightCurveDataModule, logits: torch.Tensor, early: Mapping[int, torch.Tensor]
) -> None:
    """Write the misclassified test objects whose true class got the lowest probability, worst first, one row each.

    Columns: `object_id`, `class`, `predicted`, `redshift`; lists over the observations: `days` since the trigger, `passband`,
    `flux` and `flux_err` at zero point 27.5, `detected`; and lists over `at_days`: `p(<class>)` from the observations up
    to so many days.

    Args:
        path: of the Parquet file.
        data: set up and split.
        logits: (n_test, K). early: the same by days since the trigger.
    """
    part, classes = data.split.test, np.array(data.classes)
    label, probability = data.label[part], torch.softmax(logits.double(), dim=1).numpy()
    chosen, true = probability.argmax(axis=1), probability[np.arange(len(part)), label]
    wrong = np.flatnonzero(chosen != label)
    worst = wrong[np.argsort(true[wrong], kind="stable")][:MOST]
    over_time = {day: torch.softmax(some.double(), dim=1).numpy()[worst] for day, some in sorted(early.items())}
    curves = data.curves.take(part[worst])
    names = np.array(curves.passbands, dtype=object)
    columns = {
        "object_id": pa.array(curves.object_id, pa.string()),
        "class": pa.array(classes[label[worst]], pa.string()),
        "predicted": pa.array(classes[chosen[worst]], pa.string()),
        "redshift": pa.array(curves.redshift, pa.float64()),
        "days": _lists(curves.days, curves.offsets),
        "passband": _lists(names[curves.passband], curves.offsets),
        "flux": _lists(curves.flux, curves.offsets),
        "flux_err": _lists(curves.flux_err, curves.offsets),
        "detected": _lists(curves.detected, curves.offsets),
        "at_days": pa.array([[*over_time]] * len(worst), pa.list_(pa.int64())),
    }
    for k, name in enumerate(classes):
        values = [[float(some[row, k]) for some in over_time.values()] for row in range(len(worst))]
        columns[f"p({name})"] = pa.array(values, pa.list_(pa.float64()))
    with atomic_path(path) as temporary:
        pq.write_table(pa.table(columns), temporary)


def _lists(values: Array, offsets: Array) -> Any:
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(values))
