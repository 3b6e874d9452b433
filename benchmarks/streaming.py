"""The stream measured: does it equal the batch, how fast is it, does anything stop it, is anything lost when it is killed.

python -m benchmarks.streaming equal --data FOLDER      # real alerts (ztf_bts) and simulated LSST light curves (plasticc), three orders
python -m benchmarks.streaming rate --live 1,100000     # updates per second, and the same by recomputing
python -m benchmarks.streaming fuzz --packets 10000     # damaged packets
python -m benchmarks.streaming kills --times 20         # kill -9 at a random time and go on
python -m benchmarks.streaming stores                   # SQLite beside LMDB
"""

import argparse
import io
import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import fastavro
import numpy as np
import torch

from tests.data.raw_alerts import complete, write_packets, ztf_schema, ztf_stream
from tests.data.raw_surveys import SHAPES
from tlclass.lightcurves.curves import LightCurves
from tlclass.network.checkpoint import TrainedModel, load_model
from tlclass.network.released import model_folder
from tlclass.serving.predictions import predict
from tlclass.streaming.arrivals import SEEN, Arrival
from tlclass.streaming.engine import Engine
from tlclass.streaming.metrics import Metrics
from tlclass.streaming.outputs import Lines
from tlclass.streaming.reading import for_model
from tlclass.streaming.run import Pace, Stream
from tlclass.streaming.sources import Item
from tlclass.streaming.state import Live, from_bytes, to_bytes
from tlclass.streaming.store import Store
from tlclass.surveys import door

BATCH = 256
SCHEMA = ztf_schema()


def arrivals(curves: LightCurves, model: TrainedModel) -> list[Arrival]:
    """A row each, as a table that is streamed gives them."""
    rows = np.zeros(len(curves.mjd), SEEN)
    codes = np.array([model.passbands.names.index(str(model.passbands.resolve(name))) for name in curves.passbands])
    for name in ("mjd", "flux", "flux_err", "detected"):
        rows[name] = getattr(curves, name)
    rows["band"] = codes[curves.passband]
    about = [
        (0.0, ra, dec, trigger) for ra, dec, trigger in zip(curves.ra, curves.dec, curves.trigger_mjd, strict=True)
    ]
    names = curves.object_id.tolist()
    return [Arrival(names[k], rows[row : row + 1], about[k], "") for row, k in enumerate(curves.owner.tolist())]


def equal(data: Path, objects: int) -> None:
    for survey, name in (("ztf_bts", "ztf-alerts"), ("ztf_forced", "ztf-forced"), ("plasticc", "lsst")):
        model = load_model(model_folder(name))
        curves = door.read(data / survey, model.passbands, {"flux_unit": "fluxcal"}, model.input)
        chosen = np.random.default_rng(0).permutation(len(curves))[:objects]
        curves = curves.take(chosen)
        table = predict(model, curves).to_pylist()
        expected = {
            row["object_id"]: np.array([row[f"p({each})"] for each in model.classes]) for row in table if row["class"]
        }
        found = arrivals(curves, model)
        by_time = sorted(range(len(found)), key=lambda k: found[k].rows["mjd"][0])
        orders = {
            "of time": by_time,
            "random": np.random.default_rng(1).permutation(len(found)).tolist(),
            "reversed": by_time[::-1],
        }
        for order, places in orders.items():
            start = time.perf_counter()
            said, how = last_words(model, [found[k] for k in places])
            assert said.keys() == expected.keys(), "the same objects are classified"
            worst = max(float(np.abs(said[key] - expected[key]).max()) for key in expected)
            seconds = time.perf_counter() - start
            print(
                f"{survey:10} {len(curves)} objects, {len(found)} rows in order {order:8}: largest difference of a probability {worst:.1e}; "
                f"{how['step']} steps, {how['recomputed']} recomputed; {len(found) / seconds:.0f} rows/s", flush=True,
            )  # fmt: skip


def last_words(model: TrainedModel, found: list[Arrival]) -> tuple[dict[str, Any], Counter[str]]:
    engine, states, said, how = Engine(model), dict[str, bytes](), dict[str, Any](), Counter[str]()
    for start in range(0, len(found), BATCH):
        waiting = found[start : start + BATCH]
        while waiting:
            now = {arrival.object_id: arrival for arrival in reversed(waiting)}
            waiting = [arrival for arrival in waiting if now[arrival.object_id] is not arrival]
            known = [from_bytes(states[key]) if key in states else None for key in now]
            for key, outcome in zip(now, engine.update(list(zip(known, now.values(), strict=True))), strict=True):
                states[key] = to_bytes(outcome.live)
                how[outcome.how] += 1
                if outcome.said is not None:
                    said[key] = outcome.said.probability
    return said, how


class Prepared:
    """A source of items that are there already."""

    def __init__(self, items: list[Item]):
        self.all = items

    def items(self, store: Store, settle: Any) -> Any:
        """All of them."""
        yield from self.all

    def committed(self, places: Any) -> None:
        """Nobody is told."""


def templates(model: TrainedModel, count: int = 50, points: int = 15) -> list[Live]:
    """Live objects with so many observations each."""
    generator = np.random.default_rng(2)
    engine, lives = Engine(model), []
    for number in range(count):
        rows = np.zeros(points, SEEN)
        rows["mjd"] = 60000 + np.sort(generator.uniform(0, 30, points))
        rows["flux"], rows["flux_err"] = generator.uniform(300, 3000, points), generator.uniform(40, 90, points)
        rows["band"], rows["detected"] = generator.integers(0, 2, points), True
        lives.append(engine.update([(None, Arrival(f"t{number}", rows, (0.0, 1.0, 1.0, np.nan), ""))])[0].live)
    return lives


def next_rows(generator: np.random.Generator, live: int, count: int, night: int) -> list[Arrival]:
    found = []
    for name in generator.integers(0, live, count).tolist():
        row = np.zeros(1, SEEN)
        row["mjd"], row["flux"], row["flux_err"] = (
            60031 + night * 0.01 + generator.uniform(0, 0.001),
            generator.uniform(300, 3000),
            50,
        )
        row["band"], row["detected"] = generator.integers(0, 2), True
        found.append(Arrival(f"object{name:012d}", row, (0.0, 1.0, 1.0, np.nan), ""))
    return found


def rate(live: list[int], updates: int) -> None:
    torch.set_num_threads(1)
    model = load_model(model_folder("ztf-alerts"))
    made = templates(model)
    for number in live:
        with tempfile.TemporaryDirectory() as folder, Store(Path(folder) / "state.sqlite", "m") as store:
            for k in range(number):
                store.put(f"object{k:012d}", made[k % len(made)], 60200.0, False)
                if k % 20_000 == 19_999:
                    store.commit(0, 1e9)
            store.commit(0, 1e9)
            size = sum(file.stat().st_size for file in Path(folder).iterdir())
            output, letters = Lines(Path(folder) / "o.jsonl", store, "o"), Lines(Path(folder) / "d.jsonl", store, "d")
            stream = Stream(model, Engine(model), store, output, letters, Metrics(model), Pace(seconds=1e9))
            generator = np.random.default_rng(3)
            many = updates if number > 1 else updates // 10
            found = (
                next_rows(generator, number, many, 0)
                if number > 1
                else [next_rows(generator, 1, 1, night)[0] for night in range(many)]
            )
            source = Prepared([Item([arrival]) for arrival in found])
            start, cpu = time.perf_counter(), time.process_time()
            stream.run(source)
            seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
            assert stream.metrics.counts["step"] + stream.metrics.counts["recomputed"] == many
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
            print(
                f"{number:9,} live objects: {many / cpu:7.0f} updates per CPU second ({many / seconds:.0f} per second), "
                f"state {size / 1e9:.3f} GB, peak memory of the process {peak:.2f} GB, {stream.metrics.counts['step'] / many:.0%} by a step", flush=True,
            )  # fmt: skip
    again(model, made, updates // 10)


def again(model: TrainedModel, made: list[Live], updates: int) -> None:
    """The same by recomputing from the stored rows."""
    engine, generator = Engine(model), np.random.default_rng(3)
    start = time.process_time()
    for first in range(0, updates, BATCH):
        arrivals = next_rows(generator, 10**9, min(BATCH, updates - first), 0)
        arrivals = list({arrival.object_id: arrival for arrival in arrivals}.values())
        lives = [replace(made[k % len(made)], steps=0, networks=()) for k in range(len(arrivals))]
        engine.update(list(zip(lives, arrivals, strict=True)))
    print(
        f"by recomputing from 16 observations, without a store: {updates / (time.process_time() - start):.0f} per CPU second"
    )


def damaged(generator: random.Random, packet: dict[str, Any]) -> bytes:
    """A packet after one of several accidents, as bytes of a file, of a message, or of JSON."""
    packet = json.loads(json.dumps(packet, default=float))
    accident = generator.randrange(6)
    if accident == 0:
        part = generator.choice([packet, packet["candidate"], *(packet.get("prv_candidates") or [])])
        key = generator.choice(sorted(part))
        part[key] = generator.choice([None, "x", -1, 1e300, float("nan"), [], {}, True, 0])
    if accident == 1:
        part = generator.choice([packet, packet["candidate"]])
        part.pop(generator.choice(sorted(part)))
    if accident in (0, 1, 2) and generator.random() < 0.5:
        return json.dumps(packet).encode()
    stream = io.BytesIO()
    try:
        fastavro.writer(stream, SCHEMA, [complete(SCHEMA, packet)])
    except Exception:
        return json.dumps(packet).encode()
    content = bytearray(stream.getvalue())
    if accident == 3:
        for _ in range(generator.randrange(1, 20)):
            content[generator.randrange(len(content))] = generator.randrange(256)
    if accident == 4:
        del content[generator.randrange(len(content)) :]
    if accident == 5:
        start = generator.randrange(len(content))
        content[start:start] = generator.randbytes(generator.randrange(1, 50))
    return bytes(content)


def fuzz(packets: int, seed: int) -> None:
    model = load_model(model_folder("ztf-alerts"))
    drawn, generator = random.Random(seed), np.random.default_rng(seed)
    good = [packet for k, shape in enumerate(SHAPES) for packet in ztf_stream(f"ZTF25aa{k:05d}", shape, generator)]
    reading = for_model(model.passbands, door.reader_settings({}, model.input))
    items, silent = [], 0
    for number in range(packets):
        read = list(reading.content(damaged(drawn, drawn.choice(good)), f"packet {number}"))
        silent += not read
        items.append(Item(read))
    with tempfile.TemporaryDirectory() as folder, Store(Path(folder) / "s", "m") as store:
        output, letters = Lines(Path(folder) / "o.jsonl", store, "o"), Lines(Path(folder) / "d.jsonl", store, "d")
        stream = Stream(model, Engine(model), store, output, letters, Metrics(model), Pace())
        stream.run(Prepared(items))
        counts = stream.metrics.counts
        lines = sum(1 for _ in (Path(folder) / "d.jsonl").open())
    total = counts["arrivals"] + counts["rejected"] + counts["nameless"]
    assert lines == counts["rejected"] and not silent and total >= packets
    assert counts["arrivals"] == sum(counts[name] for name in ("step", "recomputed", "nothing new", "too late"))
    print(f"{packets} damaged packets (seed {seed}): " + ", ".join(f"{n} {name}" for name, n in sorted(counts.items())))


def kills(times: int, objects: int, seed: int) -> None:
    generator, drawn = np.random.default_rng(seed), random.Random(seed)
    with tempfile.TemporaryDirectory() as name:
        folder, shapes = Path(name) / "in", list(SHAPES)
        for number in range(objects):
            for packet in ztf_stream(f"ZTF25aa{number:05d}", shapes[number % len(shapes)], generator)[:10]:
                file = f"{packet['candidate']['jd']:.6f}_{packet['objectId']}.avro"
                write_packets(folder / file, ztf_schema(), [packet])
        whole, seconds = run_once(folder, Path(name) / "whole", None)
        good = 0
        for trial in range(times):
            place, killed = Path(name) / f"killed{trial}", 0
            while run_once(folder, place, drawn.uniform(0.2, 1.0) * seconds if killed < 3 else None)[1] < 0:
                killed += 1
            same = (place / "o.jsonl").read_bytes() == (whole_path := Path(name) / "whole" / "o.jsonl").read_bytes()
            good += same or equal_rows(place / "o.jsonl", whole_path)
            print(
                f"trial {trial + 1}: killed {killed} times, {'the same' if same else 'equal'} {whole} predictions",
                flush=True,
            )
        print(f"{good} of {times}: each prediction once, none lost, states of {objects} objects as without a kill")


def equal_rows(first: Path, second: Path) -> bool:
    """The same predictions in the same order but for the last digits."""
    rows = [[json.loads(line) for line in path.read_text().splitlines()] for path in (first, second)]
    if len(rows[0]) != len(rows[1]):
        return False
    return all(
        a["object_id"] == b["object_id"]
        and a["mjd"] == b["mjd"]
        and all(abs(a[k] - b[k]) < 1e-6 for k in a if k.startswith("p("))
        for a, b in zip(*rows, strict=True)
    )


def run_once(folder: Path, place: Path, after: float | None) -> tuple[int, float]:
    """Predictions and seconds of a run; -1 seconds if it was killed."""
    command = [
        sys.executable,
        "-m",
        "tlclass.stream",
        "ztf-alerts",
        str(folder),
        "-o",
        str(place / "o.jsonl"),
        "--state",
        str(place / "s"),
    ]
    start = time.monotonic()
    process = subprocess.Popen(
        [*command, "--batch", "8"], stderr=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    try:
        code = process.wait(after)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()
        return 0, -1.0
    if code:
        raise SystemExit("the stream failed")
    return len((place / "o.jsonl").read_text().splitlines()), time.monotonic() - start


def stores(objects: int, size: int) -> None:
    """Read 256 random values, write them back, commit; on one core."""
    import lmdb

    from tlclass.streaming import store as ours

    generator, value = np.random.default_rng(0), os.urandom(size)
    names = [f"object{k:012d}" for k in range(objects)]
    rounds = [[names[k] for k in generator.integers(0, objects, BATCH)] for _ in range(100)]
    with tempfile.TemporaryDirectory() as folder:
        with Store(Path(folder) / "s.sqlite", "m") as store:
            store._changed = dict.fromkeys(names, (1.0, value, False))
            store.commit(0, 1)
            start = time.perf_counter()
            for some in rounds:
                marks = ",".join("?" * len(some))
                store.db.execute(f"SELECT id, state FROM objects WHERE id IN ({marks})", some).fetchall()
                store._changed = dict.fromkeys(some, (1.0, value, False))
                store.commit(0, 1)
            print(
                f"SQLite {ours.sqlite3.sqlite_version}: {100 * BATCH / (time.perf_counter() - start):.0f} updates per second"
            )
        with lmdb.open(f"{folder}/lmdb", map_size=1 << 36, sync=False, metasync=False) as database:
            with database.begin(write=True) as transaction:
                for name in names:
                    transaction.put(name.encode(), value)
            start = time.perf_counter()
            for some in rounds:
                with database.begin(write=True) as transaction:
                    for name in some:
                        transaction.get(name.encode())
                        transaction.put(name.encode(), value)
            print(
                f"LMDB {'.'.join(map(str, lmdb.version()))}: {100 * BATCH / (time.perf_counter() - start):.0f} updates per second"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("equal", "rate", "fuzz", "kills", "stores"))
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--objects", type=int, default=200)
    parser.add_argument("--live", default="1,100000")
    parser.add_argument("--updates", type=int, default=10_000)
    parser.add_argument("--packets", type=int, default=10_000)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.what == "equal":
        equal(given.data, given.objects)
    elif given.what == "rate":
        rate([int(part) for part in given.live.split(",")], given.updates)
    elif given.what == "fuzz":
        fuzz(given.packets, given.seed)
    elif given.what == "kills":
        kills(given.times, min(given.objects, 12), given.seed)
    else:
        stores(given.objects if given.objects > 200 else 100_000, 3500)


if __name__ == "__main__":
    main()
