"""What a model's scores lose when the photometry changes: `python -m benchmarks.robustness MODEL [MODEL ...] FOLDER`.

FOLDER holds `observations.parquet` and `objects.parquet` of the Bright Transient Survey (columns object_id, mjd, band, flux, flux_err;
object_id, class). Every change is made to the observations of the table, so the model reads what a user with such data would give it.
Macro AUROC over the classes (one against rest), on the test part (`protocol.test=fixed`) or on all other objects (`--development`).
"""

import argparse
import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import f1_score, roc_auc_score

import tlclass
from tlclass.inputs.split import fixed_test

DAYS = (5, 10, 20, 70)


def changes(observations: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Each change by name, and the observations after it."""
    in_g = observations["band"] == "g"
    night = observations["object_id"] + np.floor(observations["mjd"]).astype(int).astype(str)
    drawn = pd.util.hash_pandas_object(night, index=False).to_numpy() % 6
    yield "as observed", observations
    yield "errors halved", observations.assign(flux_err=observations["flux_err"] / 2)
    yield "errors doubled", observations.assign(flux_err=observations["flux_err"] * 2)
    yield "threshold raised to S/N 7", observations[observations["flux"] > 7 * observations["flux_err"]]
    yield "half of the nights", observations[drawn < 3]
    yield "a third of the nights", observations[drawn < 2]
    yield "g 0.05 mag fainter", brightened(observations, in_g, -0.05)
    yield "g 0.05 mag brighter", brightened(observations, in_g, 0.05)
    yield "both bands 0.05 mag fainter", brightened(observations, in_g | True, -0.05)
    yield "no g", observations[~in_g]
    yield "no r", observations[in_g]


def brightened(observations: pd.DataFrame, rows: pd.Series, magnitude: float) -> pd.DataFrame:
    """Flux and error of these rows multiplied by what so many magnitudes are."""
    factor = np.where(rows, 10 ** (0.4 * magnitude), 1.0)
    return observations.assign(flux=observations["flux"] * factor, flux_err=observations["flux_err"] * factor)


def scores(
    predicted: pd.DataFrame, truth: pd.Series, classes: tuple[str, ...], test: bool
) -> dict[float, tuple[float, float]]:
    """Macro AUROC and macro F1 of the objects in the test part, or of the others, by the number of days."""
    found = {}
    predicted = predicted[predicted[f"p({classes[0]})"].notna()]
    for days, rows in predicted.groupby("at_days"):
        label = truth.reindex(rows["object_id"]).map(classes.index).to_numpy()
        chosen = fixed_test(label, rows["object_id"].to_numpy(str), 0.2) == test
        probability, label = rows[[f"p({name})" for name in classes]].to_numpy()[chosen], label[chosen]
        auroc = [roc_auc_score(label == number, probability[:, number]) for number in range(len(classes))]
        found[days] = float(np.mean(auroc)), float(f1_score(label, probability.argmax(1), average="macro"))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", help="released models or folders, and the folder of the data last")
    parser.add_argument("--development", action="store_true", help="score the objects outside the test part")
    given = parser.parse_args()
    *models, folder = given.models
    logging.disable(logging.WARNING)
    observations = pd.read_parquet(Path(folder) / "observations.parquet")
    truth = pd.read_parquet(Path(folder) / "objects.parquet").set_index("object_id")["class"]
    print("| model | change | " + " | ".join(f"{days} d" for days in DAYS) + " | macro F1 | objects |")
    print("|---|---" + "|---" * (len(DAYS) + 2) + "|")
    for name in models:
        model = tlclass.load_model(name)
        known = observations[observations["object_id"].map(truth).isin(model.classes)]
        for change, changed in changes(known):
            predicted = model.predict(changed, at_days=list(DAYS)).reset_index(drop=True)
            found = scores(predicted, truth, tuple(model.classes), not given.development)
            cells = " | ".join(f"{found[days][0]:.3f}" for days in DAYS)
            scored = changed["object_id"].nunique()
            print(f"| `{name}` | {change} | {cells} | {found[DAYS[-1]][1]:.2f} | {scored} |", flush=True)


if __name__ == "__main__":
    main()
