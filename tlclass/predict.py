"""`python -m tlclass.predict MODEL INPUT -o OUT.parquet`: class probabilities for a table of light curves."""

import argparse
import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import torch

from tlclass.atomic import atomic_path
from tlclass.inputs.batches import CurveDataset
from tlclass.inputs.encoding import encode
from tlclass.lightcurves.curves import LightCurves, check, log_dropped
from tlclass.network.checkpoint import TrainedModel, load_model
from tlclass.network.inference import predict_logits
from tlclass.options import MISTAKES
from tlclass.surveys import door
from tlclass.surveys.alerts.reader import packet_files

log = logging.getLogger(__name__)


def predict(model: TrainedModel, curves: LightCurves, origin: str = "input") -> pa.Table:
    """Class probabilities of light curves, by the same steps as training and evaluation.

    Args:
        model: see `tlclass.network.checkpoint.load_model`.
        curves: unselected; the model's own photometry rule, trigger and window are applied.
        origin: what to call the input in messages.

    Returns:
        One row per object of `curves`, in its order: `object_id`, `class` (the most probable one),
        `p(<class>)` each, `n_observations` used. An object that cannot be classified (no trigger, or too
        few observations in the window) has null there and 0 observations.

    Raises:
        ValueError: no object can be classified, ids repeat, or a passband or metadata column is unknown.
    """
    check(curves, origin)
    model.passbands.wavelengths(curves.passbands, origin)
    selected = model.selection.apply(curves, origin)
    encoded = encode(selected, model.passbands, model.encoding, model.metadata)
    logits = predict_logits(model.classifier, CurveDataset(encoded))
    probability = torch.softmax(logits.double(), dim=1).numpy()
    row = {name: number for number, name in enumerate(curves.object_id)}
    place = np.array([row[name] for name in selected.object_id], dtype=np.int64)
    known = np.zeros(len(curves), dtype=bool)
    known[place] = True
    best = np.zeros(len(curves), dtype=np.int64)
    best[place] = probability.argmax(1)
    used = np.zeros(len(curves), dtype=np.int64)
    used[place] = selected.lengths
    columns = {"object_id": pa.array(curves.object_id), "class": pa.array(np.array(model.classes)[best], mask=~known)}
    for k, name in enumerate(model.classes):
        column = np.zeros(len(curves))
        column[place] = probability[:, k]
        columns[f"p({name})"] = pa.array(column, mask=~known)
    return pa.table(columns | {"n_observations": pa.array(used)})


def read_input(path: Path, model: TrainedModel, options: Mapping[str, Any]) -> LightCurves:
    """Light curves of a file or folder as the model takes them; see `tlclass.surveys.door.read`."""
    return door.read(path, model.passbands, options, model.input)


def check_output(path: Path, given: Path) -> None:
    """Raise ValueError if `path` is no name for a table, or that of a file of the input `given`."""
    if path.suffix not in (".parquet", ".csv"):
        raise ValueError(f"output {path}: choose a name that ends in .parquet or .csv")
    if not path.exists():
        return
    read = packet_files(given) or [given, *given.rglob("*")]
    if path.resolve() in {file.resolve() for file in read}:
        raise ValueError(f"output {path} is a file of the input {given} and would replace it: choose another name")


def write_table(table: pa.Table, path: Path) -> None:
    """Write Parquet, or CSV by suffix, atomically."""
    with atomic_path(path) as temporary:
        (pa.csv.write_csv if path.suffix == ".csv" else pq.write_table)(table, temporary)


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line; mistakes end with one sentence and exit code 2."""
    parser = argparse.ArgumentParser(prog="python -m tlclass.predict", description=__doc__)
    parser.add_argument("model", type=Path, help="folder with model.safetensors and model.json")
    parser.add_argument(
        "input",
        type=Path,
        help="table of light curves: .parquet, .csv, or a folder with objects and observations; alert packets: .avro, a tar or folder of them",
    )
    parser.add_argument("-o", "--output", type=Path, required=True, help="probabilities, .parquet or .csv")
    parser.add_argument(
        "--column",
        action="append",
        default=[],
        metavar="NAME=COLUMN",
        help="our name = the file's column, e.g. mjd=time",
    )
    parser.add_argument("--flux-unit", help="fluxcal (zero point 27.5 AB), jy, mjy, ujy, njy, or the AB zero point")
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    torch.set_num_threads(1)
    try:
        check_output(given.output, given.input)
        model = load_model(given.model)
        options: dict[str, Any] = {"flux_unit": _unit(given.flux_unit)} if given.flux_unit else {}
        if given.column:
            options["columns"] = {**model.input.get("columns", {}), **_pairs(given.column)}
        curves = read_input(given.input, model, options)
        log_dropped(curves.dropped, len(curves.mjd), str(given.input))
        table = predict(model, curves, str(given.input))
        write_table(table, given.output)
    except MISTAKES as error:
        sys.stderr.write(f"error: {error}\n")
        raise SystemExit(2) from None
    note = " (trained on simulated light curves)" if model.simulated else ""
    sys.stdout.write(f"{len(table)} objects, {table['class'].null_count} not classifiable, to {given.output}{note}\n")


def _pairs(given: Sequence[str]) -> dict[str, str]:
    wrong = [pair for pair in given if "=" not in pair]
    if wrong:
        raise ValueError(f"--column {wrong[0]}: write it as NAME=COLUMN, e.g. --column mjd=time")
    return dict(pair.split("=", 1) for pair in given)


def _unit(given: str) -> str | float:
    try:
        return float(given)
    except ValueError:
        return given


if __name__ == "__main__":
    main()
