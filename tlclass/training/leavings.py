"""What a job leaves, beside its model; here, so that a report does not wait for torch and Lightning, nor the command line for pyarrow."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tlclass.arrays import Array

MACRO = "auroc_macro"  # the main score of a row
SETS = "sets_90"  # the share of 90 % prediction sets that hold the true class
Row = dict[str, Any]  # of a job: coordinates, then scores
HISTORY = "history.json"  # of the validations during the fit
MISTAKES = "mistakes.parquet"
TIMING = "timing.json"
PREDICTIONS = "predictions.parquet"  # of the test objects
SPLIT = "split.json"  # ids of the objects that a job trained and validated on
SURVEY = "survey.json"  # objects per class of target and source
SETTINGS = "config.yaml"  # what the user composed
WORDS = "overrides.yaml"  # the words of the command line: its folder of cards, then the settings


class Predictions(NamedTuple):
    """Probabilities (n, K) of the test objects, the names of the K classes, and by object its id (n,) and the index (n,) of its true class."""

    object_id: Array
    classes: list[str]
    probability: Array
    label: Array


def classes_of(columns: Iterable[object]) -> list[str]:
    """The classes that have a column of probabilities, `p(SN Ia)`, among the names of these columns."""
    return [str(name)[2:-1] for name in columns if str(name).startswith("p(")]


def read_predictions(*folders: Path | str) -> Predictions:
    """What jobs left in their folders, job after job; see `tlclass.training.evaluation.write_predictions`."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    table = pa.concat_tables([pq.read_table(Path(folder) / PREDICTIONS) for folder in folders])
    classes = classes_of(table.column_names)
    label = pc.index_in(table["class"], pa.array(classes)).to_numpy().astype(np.int64)
    probability = np.stack([table[f"p({name})"].to_numpy() for name in classes], axis=1)
    return Predictions(table["object_id"].to_numpy().astype(str), classes, probability, label)


def words_of(hydra: Any) -> list[str]:
    """The words of a command line, as Hydra's own settings (plain types) hold them; folders of cards stand first."""
    own = [source["path"] for source in hydra["runtime"]["config_sources"] if source["provider"] == "command-line"]
    searched = [word for word in hydra["overrides"]["hydra"] if word.startswith("hydra.searchpath=")]
    return [*(word for path in own for word in ("--config-dir", path)), *searched, *hydra["overrides"]["task"]]
