"""Prediction inside other engines: one function over a partition, which Dask (LSDB), Spark and Ray call.

A partition holds whole objects. What a table leaves unsaid (the unit of its fluxes) is decided in each partition by itself, so state it.
See docs/engines.md for the few lines that each engine needs.
"""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from tlclass.lightcurves.curves import from_columns
from tlclass.serving.model import Model, load_model
from tlclass.serving.predictions import predict
from tlclass.serving.request import Request
from tlclass.surveys.grouping import consecutive

if TYPE_CHECKING:
    import pandas as pd

ROWS = 200_000  # observations that are classified at once


@lru_cache(maxsize=2)
def _loaded(name: str) -> Model:
    """A model, loaded once in each process of an engine; one thread each, as engines have a process per core."""
    import torch

    torch.set_num_threads(1)
    return load_model(name)


def predict_partition(
    partition: "pd.DataFrame | pa.Table", model: str, request: Request | None = None, **options: Any
) -> "pd.DataFrame":
    """Predictions of the objects in one partition.

    Args:
        partition: a row per observation, or a row per object with list or nested columns; of whole objects.
        model: name or folder. request: further rows and columns. options: how to read it, such as `flux_unit="njy"`.

    Raises:
        ValueError: the partition cannot be read as light curves.
    """
    if not len(partition):
        return predictions_meta(model, request)
    table = partition if isinstance(partition, pa.Table) else pa.Table.from_pandas(partition, preserve_index=False)
    frame: pd.DataFrame = _loaded(model).table(table, request or Request(), options).to_pandas()
    return frame


def predict_batches(
    batches: Iterable[pa.RecordBatch],
    model: str,
    request: Request | None = None,
    object_id: str = "object_id",
    **options: Any,
) -> Iterator[pa.RecordBatch]:
    """Predictions of a sequence of batches with a row per observation in which the rows of an object stand together.

    An object may go on in the next batch; memory holds about `ROWS` rows. What is dropped or unusual is logged once, at the end.

    Args:
        batches: see above. model, request, options: see `predict_partition`.
        object_id: the column of the ids.

    Raises:
        ValueError: see `predict_partition`, or the rows of an object stand apart.
    """
    for found in _loaded(model).tables(_whole_objects(batches, object_id), request or Request(), options):
        yield from found.replace_schema_metadata(None).combine_chunks().to_batches()


def _whole_objects(batches: Iterable[pa.RecordBatch], object_id: str) -> Iterator[pa.Table]:
    tables = (pa.Table.from_batches([batch]) for batch in batches if batch.num_rows)
    done: set[Any] = set()
    for part in consecutive(tables, ROWS, object_id):
        ids = set(part[object_id].unique().to_pylist())
        if ids & done:
            raise ValueError(
                f"the rows of object {min(ids & done)} are not next to each other: sort each partition by {object_id} first"
            )
        done |= ids
        yield part


def predictions_meta(model: str, request: Request | None = None) -> "pd.DataFrame":
    """A table of predictions without rows: what engines ask for as `meta` or schema."""
    frame: pd.DataFrame = predictions_schema(model, request).empty_table().to_pandas()
    return frame


def predictions_schema(model: str, request: Request | None = None) -> pa.Schema:
    """Names and types of the columns of predictions."""
    trained = _loaded(model).trained
    one = {"mjd": np.zeros(1), "passband": np.zeros(1, "u1"), "flux": np.ones(1), "flux_err": np.ones(1)}
    curves = from_columns(
        {"object_id": np.array(["x"])}, {"owner": np.zeros(1, int), **one}, trained.passbands.names, "an example"
    )
    nothing = curves.take(np.empty(0, dtype=np.int64))
    return predict(trained, nothing, "an example", request or Request()).schema.remove_metadata()
