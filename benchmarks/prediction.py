"""Prediction from a table of light curves to a table of probabilities, per CPU second, beside the authors' layout: `python -m benchmarks.prediction`.

The authors' network takes every light curve padded to 656 steps. Its stand-in here is the same network on such blocks in torch, with
reading and encoding as ours, so that only the layout differs. CPU seconds of one thread; compare the ratios, not the numbers, on a busy machine.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from benchmarks.throughput import PADDED
from tlclass.inputs.encoding import Paper, encode
from tlclass.network.calibration import log_probabilities
from tlclass.network.checkpoint import TrainedModel, load_model
from tlclass.network.classifier import build_classifier
from tlclass.network.inference import logits_of
from tlclass.network.released import model_folder
from tlclass.serving.batch import predict_in_parts
from tlclass.serving.request import Request
from tlclass.surveys import door

ALERTS = 26  # observations of a typical light curve of the Bright Transient Survey


def alerts(n: int, typical: int) -> pd.DataFrame:
    """A long table of n light curves: detections in g and r within 69 days, log-normal numbers of them."""
    generator = np.random.default_rng(0)
    lengths = np.clip(generator.lognormal(np.log(typical), 0.5, n), 3, 200).astype(np.int64)
    total, owner = int(lengths.sum()), np.repeat(np.arange(n), lengths)
    return pd.DataFrame(
        {
            "object_id": np.char.add("ZTF20", owner.astype(str)), "mjd": 59000 + generator.uniform(0, 69, total),
            "band": generator.choice(["ztfg", "ztfr"], total), "flux": generator.uniform(200, 2000, total),
            "flux_err": generator.uniform(10, 40, total), "detected": True,
        }
    )  # fmt: skip


def paper_model(model: TrainedModel) -> TrainedModel:
    """One untrained network of the paper's size and encoding in place of the released one."""
    encoder, head, encoding = {"name": "gru"}, {"name": "linear"}, Paper()
    classifier = build_classifier(encoder, head, len(encoding.channels), len(model.classes), seed=0).eval()
    parts = {"encoder": encoder, "head": head, "encoding": encoding, "classifier": classifier}
    return replace(model, **parts, novelty=None, sets=None, calibration=None)


@torch.inference_mode()
def padded(model: TrainedModel, table: Path, output: Path, batch: int = 128) -> None:
    """The authors' layout: every light curve padded to 656 steps, to the same table."""
    curves, _ = model.selection.select(door.read(table, model.passbands, {}, model.input))
    encoded = encode(curves, model.passbands, model.encoding)
    probabilities = []
    for begin in range(0, len(curves), batch):
        offsets = encoded.offsets[begin : begin + batch + 1]
        lengths = torch.from_numpy(np.diff(offsets))
        block = np.zeros((len(lengths), PADDED, encoded.x.shape[1]), dtype=np.float32)
        block[np.arange(PADDED) < lengths.numpy()[:, None]] = encoded.x[offsets[0] : offsets[-1]]
        x, metadata = torch.from_numpy(block), torch.zeros(len(lengths), 0)
        rows = torch.arange(len(lengths))
        latents = [member.encoder.at_every_step(x, metadata)[rows, lengths - 1] for member in model.members]
        probabilities.append(log_probabilities(model.calibration, logits_of(model.members, latents), lengths).exp())
    frame = pd.DataFrame(torch.cat(probabilities).numpy(), columns=list(model.classes))
    frame.insert(0, "object_id", curves.object_id)
    frame.to_parquet(output)


def cpu_seconds(work: Callable[[], object], repeats: int) -> float:
    took = []
    for _ in range(repeats):
        began = time.process_time()
        work()
        took.append(time.process_time() - began)
    return min(took)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, default=20_000)
    parser.add_argument("--padded", type=int, default=1_000, help="objects for the authors' layout")
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    torch.set_num_threads(1)
    released = load_model(model_folder("ztf-alerts"))
    paper = paper_model(released)
    with tempfile.TemporaryDirectory() as folder:
        many, few, out = (Path(folder) / name for name in ("many.parquet", "few.parquet", "out.parquet"))
        frame = alerts(given.objects, ALERTS)
        frame.to_parquet(many)
        frame[frame.object_id.isin(frame.object_id.unique()[: given.padded])].to_parquet(few)
        rate = given.padded / cpu_seconds(lambda: padded(paper, few, out), given.repeats)
        print(f"Parquet to Parquet, {len(frame) / given.objects:.0f} observations each, light curves per CPU second")
        print(f"  the paper's network, padded to {PADDED}   {rate:8.0f}   x1")
        read = cpu_seconds(lambda: door.read(many, paper.passbands, {}, paper.input), given.repeats)
        for name, model in (("the paper's network, `predict`", paper), ("three networks of ztf-alerts", released)):
            seconds = cpu_seconds(lambda model=model: predict_in_parts(model, many, Request(), {}, out), given.repeats)
            print(f"  {name:<35}{given.objects / seconds:8.0f}   x{given.objects / seconds / rate:.0f}")
        print(f"  reading alone                      {given.objects / read:8.0f}")


if __name__ == "__main__":
    main()
