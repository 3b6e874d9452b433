"""What the observations of a second survey add: the same simulated objects as ZTF alone, LSST alone and both see them. SIMULATED.

    tlclass train experiment=several_surveys -m
    python -m benchmarks.several_surveys results/several_surveys/*/all/seed*

The objects are drawn with another seed than those of training, and both surveys observe each of them. Days count from the first
detection of either survey. Before a survey's own first detection there is nothing to classify: its probabilities are equal.
"""

import argparse
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tlclass.config import cache_folder
from tlclass.inputs.batches import CurveDataset
from tlclass.inputs.encoding import encode
from tlclass.lightcurves.by_survey import SEEN_BY
from tlclass.lightcurves.curves import LightCurves
from tlclass.network.checkpoint import TrainedModel, load_model
from tlclass.network.inference import predict_logits
from tlclass.serving.surveys import load_survey
from tlclass.training.metrics import macro_auroc

DAYS = (0.0, 5.0, 10.0, 20.0, 70.0)  # since the first detection of either survey; the last is the complete light curve
SHOWN = {"ztf": "ZTF alone", "lsst": "LSST alone", "ztf+lsst": "both"}


def shown(objects: int, seed: int, cache: Path) -> dict[str, LightCurves]:
    """The same objects as each survey alone and both see them; those that can be classified in all three cases."""
    changes = {"surveys__ztf__n_objects": objects, "surveys__ztf__seed": seed}
    surveys = {name: load_survey("joint_simulated", shares=name, **changes) for name in SHOWN}
    loaded = {
        name: replace(survey, where={SEEN_BY: "ztf+lsst"}).load(cache)[0]  # type: ignore[type-var]
        for name, survey in surveys.items()
    }
    common = set.intersection(*(set(curves.object_id.tolist()) for curves in loaded.values()))
    return {name: curves.take(np.isin(curves.object_id, sorted(common))) for name, curves in loaded.items()}


def scores(model: TrainedModel, seen: Mapping[str, LightCurves]) -> list[dict[str, Any]]:
    """Macro AUROC per case and day, and the share of objects that can be classified."""
    zero, rows = seen["ztf+lsst"].trigger_mjd, []
    for name, curves in seen.items():
        label = torch.from_numpy(model.taxonomy.encode(curves.label, name))
        encoded = encode(curves, model.passbands, model.encoding, model.metadata)
        for day in DAYS:
            until = (zero + day)[curves.owner]
            steps = np.bincount(curves.owner[curves.mjd <= until], minlength=len(curves))
            steps[curves.trigger_mjd > zero + day] = 0
            known = np.flatnonzero(steps)
            data = CurveDataset(encoded.take(known, steps[known]), label[known].numpy())
            logits = torch.zeros(len(curves), len(model.classes))
            logits[known] = predict_logits(model.classifier, data).log_softmax(1)
            rows.append(
                {"shown": name, "day": day, "auroc": macro_auroc(logits, label), "classified": len(known) / len(curves)}
            )
    return rows


def table(found: Mapping[str, list[dict[str, Any]]]) -> str:
    """Markdown: a row per model and case, a column per day."""
    lines = [
        "| model | observations | " + " | ".join(f"{day:g} d" for day in DAYS) + " |",
        "|---" * (len(DAYS) + 2) + "|",
    ]
    for model, rows in found.items():
        for name, said in SHOWN.items():
            cells = [f"{row['auroc']:.3f} ({row['classified']:.0%})" for row in rows if row["shown"] == name]
            lines.append(f"| {model} | {said} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("models", nargs="+", type=Path, help="folders of jobs")
    parser.add_argument(
        "--objects", type=int, default=8000, help="that are simulated; those that both surveys observe are scored"
    )
    parser.add_argument("--seed", type=int, default=910)
    parser.add_argument("--cache", type=Path, default=cache_folder())
    parser.add_argument("-o", "--output", type=Path, help="also write the numbers into this .json")
    given = parser.parse_args()
    torch.set_num_threads(1)
    seen = shown(given.objects, given.seed, given.cache)
    print(f"{len(seen['ztf+lsst'])} objects")
    found = {}
    for folder in given.models:
        model = load_model(folder)
        found[str(folder)] = scores(replace(model, folder=folder), seen)
        print(table({str(folder): found[str(folder)]}), flush=True)
    if given.output:
        given.output.write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
