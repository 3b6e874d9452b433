"""Training and data throughput, each beside what it replaces, in one run: `make bench`.

CPU seconds of one thread; compare the ratios, not the numbers, on a busy machine.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from tlclass.inputs.augmentation import Augmentation
from tlclass.inputs.batches import Batch, CurveDataset, LengthBucketSampler
from tlclass.inputs.encoding import Encoded, encode, encoding_from
from tlclass.lightcurves import arrow
from tlclass.lightcurves.curves import LightCurves, from_columns
from tlclass.lightcurves.passbands import Passbands
from tlclass.lightcurves.selection import Photometry, Selection
from tlclass.network import packed_gru
from tlclass.network.classifier import Classifier, build_classifier
from tlclass.network.inference import encode_all, predict_logits
from tlclass.training.task import truncated

PADDED = 656  # steps every light curve is padded to in the paper's code


def lengths_like_plasticc(n: int, generator: np.random.Generator) -> np.ndarray:
    """Median 17 points in the wide survey (73 %), 56 in the deep fields, in -30..70 d."""
    deep = generator.random(n) < 0.27
    drawn = np.where(deep, generator.lognormal(np.log(56), 0.5, n), generator.lognormal(np.log(17), 0.5, n))
    return np.clip(drawn, 3, PADDED).astype(np.int64)


def lengths_like_ztf(n: int, generator: np.random.Generator) -> np.ndarray:
    """Log-normal, median 60, mean 70, 95 % below 160: forced ZTF photometry."""
    return np.clip(generator.lognormal(np.log(60), 0.55, n), 3, PADDED).astype(np.int64)


def random_curves(lengths: np.ndarray, generator: np.random.Generator) -> tuple[Encoded, np.ndarray]:
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    x = generator.standard_normal((offsets[-1], 4)).astype(np.float32)
    encoded = Encoded(x, offsets, x[:, 1], np.empty((len(lengths), 0), dtype=np.float32))
    return encoded, generator.integers(0, 12, len(lengths))


def training_epoch(classifier: Classifier, batches: list[Batch]) -> Callable[[], None]:
    optimizer = torch.optim.Adam(classifier.parameters())

    def epoch() -> None:
        for batch in batches:
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(classifier(batch.x, batch.lengths, batch.metadata), batch.label)
            loss.backward()
            optimizer.step()

    return epoch


def bucketed_epoch(classifier: Classifier, data: CurveDataset) -> Callable[[], None]:
    def epoch() -> None:
        batches = [data[index] for index in LengthBucketSampler(data.lengths, 128, 0)]
        training_epoch(classifier, batches)()

    return epoch


def pad(batch: Batch) -> Batch:
    return batch._replace(x=torch.nn.functional.pad(batch.x, (0, 0, 0, PADDED - batch.x.shape[1])))


def cpu_seconds(work: Callable[[], object], repeats: int) -> float:
    work()
    took = []
    for _ in range(repeats):
        began = time.process_time()
        work()
        took.append(time.process_time() - began)
    return float(np.median(took))


def benchmark_training(name: str, lengths: np.ndarray, repeats: int) -> None:
    encoded, label = random_curves(lengths, np.random.default_rng(1))
    data = CurveDataset(encoded, label)
    settings = {"encoder": {"name": "gru"}, "head": {"name": "linear"}, "n_channels": 4, "n_classes": 12, "seed": 0}
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(0))
    random = [data[index] for index in torch.split(order, 128)]
    few = random[:2]  # padding to 656 is slow; scale it up
    bucketed = cpu_seconds(bucketed_epoch(build_classifier(**settings), data), repeats)
    plain = cpu_seconds(training_epoch(build_classifier(**settings), random), repeats)
    padded = cpu_seconds(training_epoch(build_classifier(**settings), [pad(batch) for batch in few]), repeats)
    padded *= len(data) / sum(len(batch.label) for batch in few)
    classifier = build_classifier(**settings)
    inference = cpu_seconds(lambda: predict_logits(classifier, data), repeats)
    print(f"{name}: {len(data)} light curves, mean length {lengths.mean():.0f}, paper-sized network, per CPU second")
    print(
        f"  training, bucketed, loader included {len(data) / bucketed:8.0f}   x{padded / bucketed:.1f} of padding to {PADDED}"
    )
    print(f"  training, random batches, own maximum {len(data) / plain:6.0f}   x{padded / plain:.1f}")
    print(f"  training, padded to {PADDED}           {len(data) / padded:8.0f}   x1")
    print(f"  inference                           {len(data) / inference:8.0f}")


def benchmark_frozen_encoder(lengths: np.ndarray, epochs: int = 30) -> None:
    """Training a head on an encoder that never changes: run at every step, or once (as `task.fit` does)."""
    encoded, label = random_curves(lengths, np.random.default_rng(1))
    data = CurveDataset(encoded, label)
    classifier = build_classifier({"name": "gru"}, {"name": "linear"}, 4, 5, 0)
    for parameter in classifier.encoder.parameters():
        parameter.requires_grad_(False)
    batches = [data[index] for index in LengthBucketSampler(data.lengths, 128, 0)]
    head = torch.optim.Adam(classifier.head.parameters())

    def epoch(features: list[torch.Tensor] | None) -> None:
        for number, batch in enumerate(batches):
            inside = features[number] if features else classifier.encoder(batch.x, batch.lengths, batch.metadata)
            head.zero_grad()
            torch.nn.functional.cross_entropy(classifier.head(inside), batch.label % 5).backward()
            head.step()

    with torch.no_grad():
        once = [classifier.encoder(batch.x, batch.lengths, batch.metadata) for batch in batches]
        largest = max(
            float((a - encode_all(classifier.encoder, data)[i]).abs().max()) for a, i in _with_rows(once, data)
        )
    every = cpu_seconds(lambda: epoch(None), 3)
    cached = cpu_seconds(lambda: epoch(once), 3)
    build = cpu_seconds(lambda: encode_all(classifier.encoder, data), 3)
    print(
        f"head on a frozen encoder, {len(data)} light curves: an epoch {every:.2f} s, on features {cached:.3f} s (x{every / cached:.0f}); "
        f"{epochs} epochs with making them x{epochs * every / (build + epochs * cached):.0f}; features differ by {largest:.0e} at most"
    )


def benchmark_augmentation(n: int, repeats: int) -> None:
    """What drawing and encoding an augmented training part costs, beside the training epoch it is drawn for."""
    generator = np.random.default_rng(3)
    lengths = np.clip(generator.lognormal(np.log(26), 0.5, n), 3, PADDED).astype(np.int64)
    owner, total = np.repeat(np.arange(n), lengths), int(lengths.sum())
    columns = {
        "owner": owner,
        "mjd": 59000 + generator.uniform(0, 69, total),
        "passband": generator.integers(0, 2, total),
    }
    columns |= {"flux": generator.uniform(100, 1000, total), "flux_err": generator.uniform(5, 50, total)}
    about = {"object_id": np.array([f"o{k}" for k in range(n)]), "redshift": generator.uniform(0.01, 0.2, n)}
    selection = Selection(Photometry("detections"), min_observations=3)
    curves, _ = selection.select(from_columns(about, columns, ("ztfg", "ztfr"), "benchmark"))
    passbands = Passbands.from_mapping({"ztfg": {"wavelength": 0.4746}, "ztfr": {"wavelength": 0.6366}})
    encoding = encoding_from({"name": "context"})
    augmentation = Augmentation(
        thin=[0.6, 1.0], nights=[1, 1, 2], drop_band=0.1, zero_point=0.02, error_scale=0.2, redshift=[0.95, 1.05],
        extinction=0.1, snr=[3.0, 5.0],
    )  # fmt: skip

    def drawn() -> Encoded:
        return encode(augmentation.apply(curves, passbands, selection, 0), passbands, encoding)

    data = CurveDataset(drawn(), np.arange(n) % 12)
    epoch = cpu_seconds(bucketed_epoch(build_classifier({"name": "gru"}, {"name": "linear"}, 9, 12, 0), data), repeats)
    seconds = cpu_seconds(drawn, repeats)
    print(
        f"augmentation, all options, and context encoding of {n} alert-like curves of {total / n:.0f} points: {seconds:.2f} s, "
        f"{seconds / epoch:.1%} of the training epoch ({epoch:.1f} s)"
    )


def _with_rows(features: list[torch.Tensor], data: CurveDataset) -> list[tuple[torch.Tensor, torch.Tensor]]:
    return list(zip(features, LengthBucketSampler(data.lengths, 128, 0), strict=True))


def benchmark_packed(n: int = 100) -> None:
    """Steps on the only batch of a small label budget, and on one cut at random observations: packed, or `torch.nn.GRU` on padding."""
    encoded, label = random_curves(lengths_like_plasticc(n, np.random.default_rng(0)), np.random.default_rng(1))
    whole = CurveDataset(encoded, label)[torch.arange(n)]
    pays = packed_gru.pays
    for name, batch in (("whole", whole), ("cut", truncated(whole, 1.0, 0))):
        took = {}
        for packed in (True, False):
            packed_gru.pays = pays if packed else lambda gru, x: False
            step = training_epoch(build_classifier({"name": "gru"}, {"name": "linear"}, 4, 12, 0), [batch])
            took[packed] = cpu_seconds(step, 9)
        packed_gru.pays = pays
        print(
            f"a step on {n} {name} light curves of PLAsTiCC-like lengths, packed: x{took[False] / took[True]:.1f} of torch.nn.GRU"
        )


def random_table(n_objects: int, n_observations: int) -> LightCurves:
    generator = np.random.default_rng(2)
    ids = np.array([f"object{k:07d}" for k in range(n_objects)])
    owner = np.sort(generator.integers(0, n_objects, n_observations))
    columns = {
        "object_id": ids[owner],
        "mjd": generator.uniform(59000, 60000, n_observations),
        "passband": generator.integers(0, 6, n_observations).astype(np.uint8),
        "flux": generator.normal(0, 100, n_observations),
        "flux_err": generator.uniform(1, 10, n_observations),
    }
    return from_columns({"object_id": ids}, columns, tuple("ugrizy"), "benchmark")


def benchmark_cache(n_objects: int, n_observations: int) -> None:
    curves = random_table(n_objects, n_observations)
    with tempfile.TemporaryDirectory() as folder:
        for suffix in (".arrow", ".parquet"):
            path = Path(folder) / f"curves{suffix}"
            arrow.write(curves, path)
            began = time.perf_counter()
            opened = arrow.read(path)
            seconds = time.perf_counter() - began
            print(
                f"opening {len(opened)} objects, {n_observations} observations from {suffix}: {seconds:.3f} s, {path.stat().st_size / 1e6:.0f} MB"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--curves", type=int, default=2560)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--objects", type=int, default=7848)
    parser.add_argument("--observations", type=int, default=1_400_000)
    given = parser.parse_args()
    torch.set_num_threads(1)
    for name, draw in (("PLAsTiCC-like lengths", lengths_like_plasticc), ("forced-ZTF-like lengths", lengths_like_ztf)):
        benchmark_training(name, draw(given.curves, np.random.default_rng(0)), given.repeats)
    benchmark_frozen_encoder(lengths_like_ztf(given.curves, np.random.default_rng(0)))
    benchmark_packed()
    benchmark_augmentation(4 * given.curves, given.repeats)
    benchmark_cache(given.objects, given.observations)


if __name__ == "__main__":
    main()
