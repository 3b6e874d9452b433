"""What measurements below the detection threshold are worth early on: `python -m benchmarks.non_detections ztf-forced FOLDER`.

FOLDER holds `observations.parquet` and `objects.parquet` of forced photometry (columns object_id, mjd, band, flux, flux_err, detected;
object_id, label, of two classes). The model reads all rows, fewer of them, and upper limits in their place: zero flux with its error.
Prints the AUROC between the two classes and the mean log loss, and the difference in AUROC to detections alone with its interval of
95 % over objects (1,000 draws).
"""

import argparse
import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

import tlclass

DAYS = (0, 2, 5, 10, 20, 30)
DRAWS = 1000


def changes(rows: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Each choice of observations by name."""
    since = rows["mjd"] - rows["object_id"].map(rows[rows["detected"]].groupby("object_id")["mjd"].min())
    yield "detections alone", rows[rows["detected"]]
    yield "all from the first detection on", rows[since >= 0]
    for days in (1, 3, 10):
        yield f"and {days} d before it", rows[since >= -days]
    yield "all", rows
    yield "all but the last 10 d before the first detection", rows[(since >= 0) | (since < -10)]
    yield "detections, and one upper limit per night and passband", limited(rows)


def limited(rows: pd.DataFrame) -> pd.DataFrame:
    """Detections, and in nights without one the deepest upper limit of each passband: zero flux with its error."""
    place = [rows["object_id"], rows["band"], np.floor(rows["mjd"] + 0.5)]
    seen = rows["detected"].groupby(place).transform("any")
    deepest = rows["flux_err"].groupby(place).transform("min") == rows["flux_err"]
    limits = rows[~seen & deepest].drop_duplicates(["object_id", "band", "mjd"]).assign(flux=0.0)
    return pd.concat([rows[rows["detected"]], limits]).sort_values(["object_id", "mjd"], ignore_index=True)


def probabilities(model: tlclass.Model, rows: pd.DataFrame, pair: tuple[str, str]) -> pd.DataFrame:
    """Of the two classes, by object (index) and day (column): two levels of columns, class and day."""
    found = model.predict(rows, at_days=list(DAYS), flux_unit="fluxcal")
    return found.pivot(index="object_id", columns="at_days", values=[f"p({name})" for name in pair])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a released model or a folder")
    parser.add_argument("folder", type=Path)
    given = parser.parse_args()
    logging.disable(logging.WARNING)
    rows = pd.read_parquet(given.folder / "observations.parquet")
    truth = pd.read_parquet(given.folder / "objects.parquet").set_index("object_id")["label"]
    first, second = sorted(truth.unique())
    model = tlclass.load_model(given.model)
    print("| observations | " + " | ".join(f"{day} d" for day in DAYS) + " |\n|---" + "|---" * len(DAYS) + "|")
    alone: dict[int, np.ndarray] = {}
    first_objects: pd.Index | None = None
    for name, some in changes(rows):
        table = probabilities(model, some, (first, second)).dropna()
        is_first = (truth.reindex(table.index) == first).to_numpy()
        drawn, generator = [np.flatnonzero(is_first), np.flatnonzero(~is_first)], np.random.default_rng(0)
        # the same objects for each choice of observations
        draws = [np.concatenate([generator.choice(part, len(part)) for part in drawn]) for _ in range(DRAWS)]
        first_objects = table.index if first_objects is None else first_objects
        cells = []
        for day in DAYS:
            one, other = (table[f"p({name})", day].to_numpy() for name in (first, second))
            score = one / (one + other)
            auroc = np.array([roc_auc_score(is_first[draw], score[draw]) for draw in draws])
            loss = -np.log(np.maximum(np.where(is_first, one, other), 1e-9)).mean()
            cells.append(f"{roc_auc_score(is_first, score):.3f} / {loss:.2f}")
            if day in alone and table.index.equals(first_objects):  # else other objects were drawn
                low, high = np.percentile(auroc - alone[day], (2.5, 97.5))
                cells[-1] += f" [{low:+.2f}, {high:+.2f}]"
            alone.setdefault(day, auroc)
        print(f"| {name} ({len(table)} objects) | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
