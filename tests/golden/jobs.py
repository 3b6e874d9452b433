"""Tiny jobs through the command line, and the numbers of their result rows and predictions."""

import json
import math
import re
from pathlib import Path
from typing import Any

import pandas as pd

from tests.data.raw_surveys import write_all
from tests.golden import door

SMALL = [
    "model.hidden=8", "model.dense=8", "model.latent=8", "progress=false", "threads=1", "trainer=cpu", "logger=none",
    "fit.batch_size=32", "fit.max_epochs=3", "fit.min_steps=12", "fit.learning_rate=0.01", "protocol.test=fixed",
    "pretrain.fit.batch_size=32", "pretrain.fit.max_epochs=3", "pretrain.fit.learning_rate=0.01",
]  # fmt: skip
ZTF_SOURCE = ["source=ztf_simulated", "source.n_objects=240"]
CLASSES = ("SNIa", "SNIa-91bg", "SNIax", "SNIb", "SNIc", "SNIc-BL", "SNII", "SNIIn", "SNIIb", "TDE", "SLSN-I")
EVEN = f"target.mix={{{', '.join(f'{name}: 1' for name in CLASSES)}}}"  # so that every class is in the test part
BTS_TARGET = ["target=bts_simulated", "target.n_objects=240", EVEN]
PARTS = [f"source.reader.parts.{part}.n_objects=96" for part in ("faint", "bright", "deep")]
# The recipe as it was when the rows were recorded: since then its source loses a passband of some light curves, and light curves are
# truncated at few observations as often as at many.
RECORDED = ["pretrain.augmentation.drop_band=0.0", "fit.truncate=0.9", "fit.truncation=even"]
TRANSFER = ["+arm=transfer", *BTS_TARGET, "members=1", *RECORDED]
LIGHT = [*TRANSFER, *ZTF_SOURCE]  # Hydra composes the three parts of the arm's own source in 4 s
N100 = ["data_fraction=n100"]

# The words of each job after SMALL and the folders; a renamed config key changes here.
JOBS: dict[str, list[str]] = {
    "paper": ["+arm=paper", *ZTF_SOURCE, *BTS_TARGET],
    "transfer_folds": [*TRANSFER, *PARTS, *N100, "method.folds=2"],
    "layerwise": [*LIGHT, *N100, "freeze_policy=layerwise", "method=finetune"],
    "transfer_ensemble": [*LIGHT, *N100, "freeze_policy=head_only", "method=finetune", "members=2"],
    "zero_labels": [*LIGHT, "data_fraction=n0", "freeze_policy=head_only", "method=finetune"],
    "chosen": [*LIGHT, *N100, "method=chosen", "method.folds=2"],
    # Of files: a simulated flux differs in its last digit between processors, and fits of features and trees make much of that.
    "forest": ["+arm=forest", "target=bts", *N100, "method.options.trees=30"],
    "lightgbm": ["+arm=lightgbm", "target=bts", *N100, "method.options.rounds=10"],
    "from_scratch_context": ["+arm=from_scratch_context", *BTS_TARGET, "data_fraction=50pct", "augmentation=alerts"],
    "several_sources": [
        "source=[ztf_simulated,lsst_simulated]", "source.parts.ztf_simulated.n_objects=120",
        "source.parts.lsst_simulated.n_objects=120", *BTS_TARGET, *N100, "head=source", "freeze_policy=full",
        "augmentation@pretrain.augmentation=alerts",
    ],
    "metadata": ["model=gru_metadata", *ZTF_SOURCE, *BTS_TARGET, *N100, "freeze_policy=gru_and_head", "head=mlp"],
    "files": [
        "source=plasticc", "target=bts", "encoding=paper_matched", "freeze_policy=probe_then_full", "fit.average=0.5",
        "fit.l2_sp=0.1", "schedule.warmup_steps=3", "fit.truncate=0.5", "fit.balance=true", "schedule@pretrain.schedule=one_cycle",
    ],
    "lsst": [
        "+arm=paper_lsst", *ZTF_SOURCE, "target=lsst_simulated", "target.n_objects=200", "encoding=asinh",
        "protocol.test=remainder", "data_fraction=n100",
    ],
    "gradual": [*LIGHT, "freeze_policy=gradual_unfreezing", "method=finetune", "data_fraction=50pct"],
}  # fmt: skip

# Today's name in a row -> the name in the golden file: of a whole key, or of one of its parts between `/` and `@`.
# A row key that gets another name needs one line here, e.g. {"auroc_average": "auroc_macro"}.
RENAMED: dict[str, str] = {"labels": "budget"}

SCORE = 1e-5  # of scores and probabilities


def prepare(workspace: Path) -> None:
    """Write the raw data that all jobs share."""
    write_all(workspace / "data")


def run(name: str, workspace: Path) -> dict[str, Any]:
    """Run a job in a prepared workspace, whose data, cache and source models all jobs share, and summarise it."""
    folders = {one: workspace / one for one in ("data", "cache", "models")} | {"results": workspace / "results" / name}
    door.train([*SMALL, *(f"paths.{one}={folder}" for one, folder in folders.items()), *JOBS[name]])
    folder = job_folder(name, workspace)
    return {"row": row_of(folder / door.RESULT), "predictions": predictions_of(folder / door.PREDICTIONS)}


def job_folder(name: str, workspace: Path) -> Path:
    """Where the job left its result."""
    (path,) = (workspace / "results" / name).rglob(door.RESULT)
    return path.parent


def row_of(path: Path) -> dict[str, Any]:
    """The numbers and truths of a result row by their golden names; null is a score that is not defined."""
    row = _flat(json.loads(path.read_text()))
    return {golden_name(key): _rounded(value) for key, value in row.items() if not isinstance(value, str)}


def golden_name(key: str) -> str:
    """See RENAMED."""
    if key in RENAMED:
        return RENAMED[key]
    return "".join(RENAMED.get(part, part) for part in re.split("([/@])", key))


def predictions_of(path: Path) -> dict[str, Any]:
    """The number of test objects, the first five with their probabilities, and the mean probability per class."""
    table = pd.read_parquet(path)
    probability = table.filter(like="p(")
    first = {str(table.object_id[k]): [_rounded(p) for p in probability.iloc[k].tolist()] for k in range(5)}
    mean = {str(name): _rounded(value) for name, value in probability.mean().items()}
    return {"count": len(table), "first": first, "mean": mean}


def differences(golden: Any, found: Any, where: str = "") -> list[str]:
    """What of the golden numbers is missing or different; more than the golden numbers may be there."""
    if isinstance(golden, dict):
        if not isinstance(found, dict):
            return [f"{where}: {found} is no mapping"]
        missing = [f"{where}/{key} is missing" for key in golden if key not in found]
        return missing + [
            line for key in golden if key in found for line in differences(golden[key], found[key], f"{where}/{key}")
        ]
    if isinstance(golden, list) and isinstance(found, list) and len(golden) == len(found):
        return [
            line
            for k, pair in enumerate(zip(golden, found, strict=True))
            for line in differences(*pair, f"{where}/{k}")
        ]
    return [] if _same(golden, found) else [f"{where}: {golden} was, {found} is"]


def _same(golden: Any, found: Any) -> bool:
    if isinstance(golden, float) and isinstance(found, int | float):
        return abs(golden - found) <= SCORE
    return bool(golden == found) and type(golden) is type(found)


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 7) if math.isfinite(value) else None
    return value


def _flat(row: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in row.items():
        flat |= _flat(value, f"{prefix}{key}/") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat
