"""Training and prediction beside the authors' layout in Keras, in one run, taking turns: `python -m benchmarks.keras_layout --keras PYTHON`.

PYTHON is the interpreter of an environment with TensorFlow and Keras, which tlclass does not need:
`python -m venv keras; keras/bin/pip install tensorflow-cpu==2.21.0 tf_keras==2.21.0` gives `keras/bin/python`. The authors' layout
is their network with every light curve padded to one length and masked (`keras_peer.py`), trained by `Model.fit`. This package trains
the same network with `lightning.Trainer`. Both take the same light curves, in batches of 128, on one thread. CPU seconds; compare the
ratios, not the numbers, on a busy machine.
"""

import argparse
import logging
import subprocess
import tempfile
import time
import warnings
from pathlib import Path

import lightning
import numpy as np
import torch
from torch.utils.data import DataLoader

from benchmarks.throughput import PADDED, lengths_like_plasticc, lengths_like_ztf, random_curves
from tlclass.inputs.batches import CurveDataset, LengthBucketSampler
from tlclass.network.inference import predict_logits
from tlclass.training.by_hand import ClassifierTask

N_CLASSES = 12
CHANNELS = ["time", "flux", "flux_err", "wavelength_um"]
PEER = Path(__file__).with_name("keras_peer.py")


def lengths_like_alerts(n: int, generator: np.random.Generator) -> np.ndarray:
    """Log-normal, median 26: detections in alerts of ZTF's Bright Transient Survey."""
    return np.clip(generator.lognormal(np.log(26), 0.5, n), 3, PADDED).astype(np.int64)


# what is measured: the lengths, and the authors' number of steps for such light curves
CASES = {
    "forced ZTF photometry": (lengths_like_ztf, PADDED),
    "ZTF alerts": (lengths_like_alerts, PADDED),
    "LSST (PLAsTiCC)": (lengths_like_plasticc, 147),
}


class Ours:
    """This package: packed light curves, batches of similar length, Lightning's loop."""

    def __init__(self, data: CurveDataset) -> None:
        self.data = data
        self.task = ClassifierTask(CHANNELS, [str(k) for k in range(N_CLASSES)])
        sampler = LengthBucketSampler(data.lengths, 128, 0)
        self.loader: DataLoader = DataLoader(data, sampler=sampler, batch_size=None)

    def train(self) -> float:
        """CPU seconds of an epoch."""
        began = time.process_time()
        quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
        trainer = lightning.Trainer(max_epochs=1, accelerator="cpu", enable_model_summary=False, **quiet)
        trainer.fit(self.task, self.loader)
        return time.process_time() - began

    def predict(self) -> float:
        """CPU seconds of the probabilities of all light curves."""
        began = time.process_time()
        torch.softmax(predict_logits(self.task.classifier, self.data), dim=1)
        return time.process_time() - began


class Theirs:
    """The authors' layout in a process of its own."""

    def __init__(self, python: str, curves: Path, steps: int, variant: str) -> None:
        command = [python, str(PEER), str(curves), str(steps), variant]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.parameters = int(self._line().split()[1])

    def _line(self) -> str:
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit("the Keras process has ended: see its message above")
        return line

    def ask(self, work: str) -> float:
        """CPU seconds of `train` or `predict` there."""
        assert self.process.stdin
        self.process.stdin.write(f"{work}\n")
        self.process.stdin.flush()
        return float(self._line())

    def close(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.wait()


def measure(python: str, variants: list[str], name: str, n: int, rounds: int) -> None:
    draw, steps = CASES[name]
    lengths = np.minimum(draw(n, np.random.default_rng(0)), steps)
    encoded, label = random_curves(lengths, np.random.default_rng(1))
    ours = Ours(CurveDataset(encoded, label))
    with tempfile.TemporaryDirectory() as folder:
        curves = Path(folder) / "curves.npz"
        np.savez(curves, x=encoded.x, lengths=lengths, label=label, n_classes=N_CLASSES)
        theirs = {variant: Theirs(python, curves, steps, variant) for variant in variants}
        took: dict[tuple[str, str], list[float]] = {}
        for number in range(rounds + 1):  # the first round, with what is compiled, does not count
            for work, own in (("train", ours.train), ("predict", ours.predict)):
                for variant, peer in theirs.items():
                    seconds = peer.ask(work)
                    took.setdefault((work, variant), []).extend([seconds] * (number > 0))
                seconds = own()
                took.setdefault((work, "tlclass"), []).extend([seconds] * (number > 0))
        for peer in theirs.values():
            peer.close()
    parameters = sum(parameter.numel() for parameter in ours.task.parameters())
    assert {peer.parameters for peer in theirs.values()} == {parameters}, "the networks differ"
    print(
        f"{name}: {n} light curves, mean length {lengths.mean():.1f}, {steps} steps with padding (x{steps / lengths.mean():.1f})"
    )
    for work in ("train", "predict"):
        own = np.array(took[work, "tlclass"])
        print(f"  {work:7}  tlclass   {n / np.median(own):6.0f} light curves per CPU second")
        for variant in variants:
            peer = np.array(took[work, variant])
            ratio = peer / own
            print(
                f"           {variant:9} {n / np.median(peer):6.0f}   tlclass is x{np.median(ratio):.1f} ({ratio.min():.1f} to {ratio.max():.1f})"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keras", required=True, help="Python of an environment with TensorFlow and Keras")
    parser.add_argument("--variants", default="keras,keras_xla,tf_keras", help="Keras 3, with XLA, or Keras 2")
    parser.add_argument("--cases", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--curves", type=int, default=2560)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    for name in given.cases:
        measure(given.keras, given.variants.split(","), name, given.curves, given.rounds)


if __name__ == "__main__":
    main()
