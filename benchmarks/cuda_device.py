"""What one CUDA device does for one small network and for several at once, beside one processor core.

`benchmarks/cuda.sh FOLDER` runs all of it. Every measurement is a line of `FOLDER/rows.jsonl`; one that is there is not
taken again. Light curves and labels are random, lengths like forced ZTF photometry; `docs/performance.md` has the numbers.
"""

import argparse
import contextlib
import json
import logging
import multiprocessing
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.stacked import StackedGRU
from benchmarks.throughput import lengths_like_ztf, random_curves
from tlclass.inputs.batches import Batch, CurveDataset, LengthBucketSampler
from tlclass.inputs.datamodule import LabelledCurves, LightCurveDataModule
from tlclass.inputs.encoding import Encoded
from tlclass.inputs.split import Split
from tlclass.network.classifier import Classifier, build_classifier
from tlclass.network.inference import predict_logits
from tlclass.training.fit import Process, fit
from tlclass.training.settings import FitSettings

Row = dict[str, Any]
CLASSES = 12
BATCH = 128  # the recipes' own


class Bench:
    """A device, how much is measured, and where the rows go."""

    def __init__(self, folder: Path, device: str, tiny: bool) -> None:
        self.path, self.device, self.tiny = folder / "rows.jsonl", torch.device(device), tiny
        self.seconds = 0.1 if tiny else 1.0  # of one timing; fits take five times as long
        self.curves = 600 if tiny else 20480 if device == "cuda" else 2560
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def chip(self) -> str:
        """What it runs on, as it calls itself."""
        return torch.cuda.get_device_name() if self.device.type == "cuda" else "processor, 1 thread"

    def done(self, what: str) -> bool:
        """Whether the rows have this measurement of this chip."""
        key = (what, self.chip, self.tiny)
        return any((row["what"], row["chip"], row["tiny"]) == key for row in rows_of(self.path))

    def take(self, what: str, measure: Callable[[], Row]) -> None:
        """Measure, unless it was measured before, and add the row; an error is a row too, and the rest goes on."""
        if self.done(what):
            return
        began = time.perf_counter()
        try:
            row = measure()
        except Exception as error:
            row = {"error": f"{type(error).__name__}: {str(error).splitlines()[0][:200] if str(error) else ''}"}
        row = {"what": what, "chip": self.chip, "tiny": self.tiny, "took": time.perf_counter() - began, **row}
        with self.path.open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(shown(row), flush=True)

    def rate(self, step: Callable[[], int]) -> Row:
        """What `step` counts per second: the median over five equal parts of the time, after a warm-up."""
        for _ in range(3 if self.device.type == "cuda" else 1):
            step()
        parts = []
        for _ in range(5):
            self.wait()
            began, count, calls = time.perf_counter(), 0, 0
            while time.perf_counter() - began < self.seconds / 5:
                count, calls = count + step(), calls + 1
                if calls % 16 == 0:
                    self.wait()  # bounds the queue, so that the clock is not ahead of the device
            self.wait()
            parts.append(count / (time.perf_counter() - began))
        return {"rate": statistics.median(parts), "low": min(parts), "high": max(parts)}

    def wait(self) -> None:
        """For the device to have done what it was given."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()


def rows_of(path: Path) -> list[Row]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def shown(row: Row) -> str:
    if "error" in row:
        return f"{row['what']:<58} {row['error']}"
    spread = f"({row['low']:.4g} to {row['high']:.4g})" if "low" in row else ""
    note = f"  {row['note']}" if "note" in row else ""
    return f"{row['what']:<58} {row['rate']:>10.4g} {row['unit']:<28} {spread}{note}"


def network(tiny: bool = False) -> Classifier:
    sizes = {"hidden": 8, "dense": 8, "latent": 8} if tiny else {}
    return build_classifier({"name": "gru", **sizes}, {"name": "linear"}, 4, CLASSES, 0)


def drawn(n: int, tiny: bool) -> tuple[Encoded, np.ndarray]:
    generator = np.random.default_rng(0)
    lengths = lengths_like_ztf(n, generator)
    return random_curves(np.minimum(lengths, 20) if tiny else lengths, generator)


def dataset(bench: Bench) -> CurveDataset:
    return CurveDataset(*drawn(bench.curves, bench.tiny), bench.device)


def endless(data: CurveDataset, batch_size: int) -> Iterator[Batch]:
    sampler = LengthBucketSampler(data.lengths, batch_size, 0)
    while True:
        for index in sampler:
            yield data[index]


def packed_states(gru: nn.GRU, x: Tensor, lengths: Tensor) -> Tensor:
    """(N, hidden) states at the last valid step by cuDNN's packing; the lengths must be on the processor."""
    packed = nn.utils.rnn.pack_padded_sequence(x, lengths.cpu(), batch_first=True, enforce_sorted=False)
    state: Tensor = gru(packed)[1][-1]
    return state


def training(
    bench: Bench, batch_size: int, precision: str = "fp32", how: str = "padded", fused: bool = False
) -> Callable[[], Row]:
    def measure() -> Row:
        classifier = network(bench.tiny).to(bench.device)
        run: Callable[..., Tensor] = classifier
        if how == "packed":
            encoder: Any = classifier.encoder
            encoder.forward = lambda x, lengths, metadata: encoder._latent(
                packed_states(encoder.gru, x, lengths), metadata
            )
        if how == "compiled":
            run = torch.compile(classifier, dynamic=True)
        optimizer = torch.optim.Adam(classifier.parameters(), fused=fused)
        batches = endless(dataset(bench), batch_size)
        cast = torch.autocast(bench.device.type, torch.bfloat16) if precision == "bf16" else contextlib.nullcontext()

        def step() -> int:
            batch = next(batches)
            optimizer.zero_grad()
            with cast:
                logits = run(batch.x, batch.lengths, batch.metadata)
            torch.nn.functional.cross_entropy(logits.float(), batch.label).backward()
            optimizer.step()
            return len(batch.label)

        return {"unit": "light curves/s", **bench.rate(step)}

    return measure


def prediction(bench: Bench, batch_size: int, precision: str = "fp32") -> Callable[[], Row]:
    def measure() -> Row:
        data, classifier = dataset(bench), network(bench.tiny)

        def step() -> int:
            predict_logits(classifier, data, batch_size=batch_size)
            return len(data)

        cast = torch.autocast(bench.device.type, torch.bfloat16) if precision == "bf16" else contextlib.nullcontext()
        with cast:
            return {"unit": "light curves/s", **bench.rate(step)}

    return measure


def module(n: int, tiny: bool = False) -> LightCurveDataModule:
    """A data module of random light curves: 80 % train, 20 % validate."""
    survey: Any = SimpleNamespace(
        name="random", simulated=True, taxonomy=SimpleNamespace(classes=tuple("abcdefghijkl"[:CLASSES]))
    )
    made = LightCurveDataModule(survey, "paper", batch_size=BATCH)
    encoded, label = drawn(n, tiny)
    order, cut = np.random.default_rng(1).permutation(n), max(1, n // 5)
    split = Split(train=np.sort(order[cut:]), val=np.sort(order[:cut]), test=order[:0], pool=n)
    curves: Any = SimpleNamespace(lengths=np.diff(encoded.offsets))  # all that is looked at
    made.objects = LabelledCurves(curves, encoded, label, split)
    return made


def fitted(steps: int, labels: int, options: dict[str, Any], folder: Path, tiny: bool = False) -> Row:
    """About so many steps of the package's own fit, validation and checkpoints included."""
    settings = FitSettings(max_epochs=1, min_steps=steps, patience_epochs=10**6)
    data = module(labels, tiny)
    began = time.perf_counter()
    summary = fit(network(tiny), data, settings, folder, Process(options, progress=False))
    took = time.perf_counter() - began
    return {"rate": summary.steps / took, "unit": "steps/s", "steps": summary.steps, "seconds": took}


def one_fit(bench: Bench, labels: int, **options: Any) -> Callable[[], Row]:
    def measure() -> Row:
        chosen = {"accelerator": bench.device.type, "devices": 1, **options}
        with tempfile.TemporaryDirectory() as folder:
            run = partial(fitted, labels=labels, options=chosen, tiny=bench.tiny)
            run(10, folder=Path(folder) / "first")
            warm = run(50, folder=Path(folder) / "warm")
            return run(int(5 * bench.seconds * warm["rate"]), folder=Path(folder) / "fit")

    return measure


def same_twice(bench: Bench, deterministic: bool) -> Callable[[], Row]:
    def measure() -> Row:
        settings, states, took = FitSettings(max_epochs=1, min_steps=60 if bench.tiny else 300), [], []
        options = {"accelerator": bench.device.type, "devices": 1, "deterministic": deterministic}
        for _ in range(2):
            with tempfile.TemporaryDirectory() as folder:
                classifier = network(bench.tiny)
                began = time.perf_counter()
                fit(classifier, module(1000, bench.tiny), settings, Path(folder), Process(options, progress=False))
                took.append(time.perf_counter() - began)
                states.append(torch.cat([parameter.detach().cpu().flatten() for parameter in classifier.parameters()]))
        torch.use_deterministic_algorithms(False)
        difference = float((states[0] - states[1]).abs().max())
        return {"rate": difference, "unit": "largest difference", "note": f"{min(took):.2f} s"}

    return measure


def stacked(bench: Bench, networks: int, kind: str) -> Callable[[], Row]:
    """Training steps of so many networks at once on batches of 128 light curves of 64 points, the same shape for all kinds."""

    def measure() -> Row:
        torch.manual_seed(0)
        steps, batch = (8, 16) if bench.tiny else (64, BATCH)
        x = torch.randn(networks, batch, steps, 4, device=bench.device)
        label = torch.randint(CLASSES, (networks, batch), device=bench.device)
        parts: nn.Module = (
            StackedGRU(networks, 4, 100, CLASSES) if kind != "cudnn" else nn.ModuleList([network(bench.tiny)])
        ).to(bench.device)
        graph = bench.device.type == "cuda" and kind != "eager"
        optimizer = torch.optim.Adam(parts.parameters(), capturable=graph)
        lengths = torch.full((batch,), steps, device=bench.device)
        metadata = torch.empty(batch, 0, device=bench.device)

        def step() -> None:
            optimizer.zero_grad(set_to_none=True)
            logits = parts(x) if kind != "cudnn" else parts[0](x[0], lengths, metadata)[None]  # type: ignore[index]
            torch.nn.functional.cross_entropy(logits.flatten(0, 1), label.flatten()).backward()
            optimizer.step()

        run = captured(step) if graph else step

        def count() -> int:
            run()
            return networks

        return {"unit": "network steps/s", **bench.rate(count)}

    return measure


def captured(step: Callable[[], None]) -> Callable[[], None]:
    """The same step as a CUDA graph."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay


def worker(
    number: int, phases: Sequence[tuple[str, int]], labels: int, seconds: float, tiny: bool, start: Any, queue: Any
) -> None:
    """One process of several that fit at once; takes part in every phase with more jobs than its number."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    try:
        with tempfile.TemporaryDirectory() as name:
            for phase, (device, jobs) in enumerate(phases):
                run = partial(fitted, labels=labels, options={"accelerator": device, "devices": 1}, tiny=tiny)
                if number < jobs:
                    run(10, folder=Path(name) / f"first{phase}")
                    warm = run(40, folder=Path(name) / f"warm{phase}")
                start.wait()
                if number < jobs:
                    queue.put((phase, run(int(seconds * warm["rate"]), folder=Path(name) / f"fit{phase}")))
                start.wait()
    except Exception as error:
        start.abort()  # the others wait for this process
        queue.put((0, error))


def several_jobs(bench: Bench, phases: Sequence[tuple[str, int]], labels: int) -> None:
    """Fits side by side in processes of their own, all started at once."""
    names = {phase: f"{phase[1]} jobs at once, {phase[0]}, {labels} labels" for phase in phases}
    missing = [phase for phase in phases if not bench.done(names[phase])]
    if not missing:
        return
    context = multiprocessing.get_context("spawn")
    most = max(jobs for _, jobs in missing)
    start, queue = context.Barrier(most), context.Queue()
    arguments = (missing, labels, 5 * bench.seconds, bench.tiny, start, queue)
    processes = [context.Process(target=worker, args=(k, *arguments), daemon=True) for k in range(most)]
    for process in processes:
        process.start()
    found: list[tuple[int, Row]] = []
    while len(found) < sum(jobs for _, jobs in missing):
        phase, row = queue.get(timeout=240)
        if isinstance(row, Exception):
            for process in processes:
                process.terminate()
            raise row
        found.append((phase, row))
    for process in processes:
        process.join(60)
    for number, phase in enumerate(missing):
        rows = [row for where, row in found if where == number]
        rates = [row["rate"] for row in rows]
        total = sum(row["steps"] for row in rows) / max(row["seconds"] for row in rows)
        row = {"rate": total, "unit": "steps/s in all", "note": f"{min(rates):.3g} to {max(rates):.3g} each"}
        bench.take(names[phase], partial(dict, row))


def measure_all(bench: Bench) -> None:
    cuda = bench.device.type == "cuda"
    for size in (128,) if bench.tiny or not cuda else (128, 512, 2048):
        bench.take(f"training, batch {size}, padded, fp32", training(bench, size))
        bench.take(f"training, batch {size}, packed, fp32", training(bench, size, how="packed"))
        if cuda or bench.tiny:
            bench.take(f"training, batch {size}, padded, bf16", training(bench, size, "bf16"))
            bench.take(f"training, batch {size}, padded, fp32, fused Adam", training(bench, size, fused=True))
    for size in (512,) if bench.tiny or not cuda else (512, 4096, 16384):
        bench.take(f"prediction, batch {size}, fp32", prediction(bench, size))
    if cuda:
        bench.take("prediction, batch 4096, bf16", prediction(bench, 4096, "bf16"))
    for labels in (100, 5000):
        bench.take(f"fit, {labels} labels, fp32", one_fit(bench, labels))
    if not cuda:
        return
    bench.take("fit, 5000 labels, bf16-mixed", one_fit(bench, 5000, precision="bf16-mixed"))
    bench.take("fit, 5000 labels, deterministic", one_fit(bench, 5000, deterministic=True))
    bench.take("two fits, plain", same_twice(bench, False))
    bench.take("two fits, deterministic", same_twice(bench, True))
    bench.take("1 network, cuDNN, CUDA graph", stacked(bench, 1, "cudnn"))
    for networks in (1, 4, 16, 64):
        bench.take(f"{networks} networks stacked, CUDA graph", stacked(bench, networks, "graph"))
    bench.take("16 networks stacked, no graph", stacked(bench, 16, "eager"))


def table(folder: Path) -> str:
    rows = rows_of(folder / "rows.jsonl")
    chips = dict.fromkeys(row["chip"] for row in rows)
    lines = []
    for chip in chips:
        lines += [f"\n{chip}", *(shown(row) for row in rows if row["chip"] == chip)]
    return "\n".join([*lines, "", *map(figure_1, sorted((folder / "results").glob("ztf2*")))])


def figure_1(folder: Path) -> str:
    """What the whole of a figure costs, from the cells of some budgets: seconds of a job grow linearly between budgets."""
    cells: dict[str, dict[int, list[float]]] = {}
    for path in folder.rglob("timing.json"):
        row = json.loads((path.parent / "result.json").read_text())
        cells.setdefault(row["arm"], {}).setdefault(row["labels"], []).append(json.loads(path.read_text())["seconds"])
    budgets = BUDGETS[folder.name]
    total, lines = 0.0, []
    for arm, seconds in sorted(cells.items()):
        known = sorted(seconds)
        means = [statistics.mean(seconds[budget]) for budget in known]
        arm_total = 10 * float(np.interp(budgets, known, means).sum())
        total += arm_total
        measured = ", ".join(f"{b}: {m:.1f} s" for b, m in zip(known, means, strict=True))
        lines.append(
            f"{folder.name} {arm}: {measured}; {len(budgets)} budgets x 10 seeds {arm_total / 60:.0f} min of jobs"
        )
    return "\n".join([*lines, f"{folder.name} complete: {total / 60:.0f} min of jobs, divided by the jobs at once"])


HUNDREDS = list(range(100, 1001, 100))
BUDGETS = {
    "ztf2bts": [*HUNDREDS, 1200, 1400, 1600, 1800, 2000, 2500, 3000, 3500, 4000],
    "ztf2lsst": [*HUNDREDS, *range(2000, 10001, 1000)],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["measure", "compile", "jobs", "table"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--tiny", action="store_true", help="seconds instead of minutes, to see that it works")
    parser.add_argument("--jobs", type=int, nargs="+", default=[1, 4, 8, 16], help="processes at once")
    given = parser.parse_args()
    if given.what == "table":
        sys.stdout.write(table(given.folder) + "\n")
        return
    torch.set_num_threads(1)
    bench = Bench(given.folder, given.device, given.tiny)
    if given.what == "measure":
        measure_all(bench)
    elif given.what == "compile":
        eager = training(bench, 512)()["rate"]
        compiled = training(bench, 512, how="compiled")

        def measure() -> Row:
            row = compiled()
            return {**row, "note": f"x{row['rate'] / eager:.2f} of not compiled in the same process"}

        bench.take("training, batch 512, compiled, fp32", measure)
    else:
        several_jobs(bench, [(given.device, jobs) for jobs in given.jobs], 1000)


if __name__ == "__main__":
    main()
