"""Packets of a few objects, released models, and the stream of them as a user runs it."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.data.raw_alerts import Packet, write_packets, ztf_schema, ztf_stream
from tests.data.raw_surveys import SHAPES
from tlclass.network.checkpoint import TrainedModel, load_model
from tlclass.network.released import model_folder
from tlclass.serving.predictions import predict
from tlclass.streaming.arrivals import Arrival
from tlclass.streaming.engine import Engine, Outcome
from tlclass.streaming.metrics import Metrics
from tlclass.streaming.outputs import Lines
from tlclass.streaming.reading import Reading, for_model
from tlclass.streaming.run import Pace, Stream
from tlclass.streaming.state import Live, from_bytes, to_bytes
from tlclass.streaming.store import Store
from tlclass.surveys import door

MODELS = ("ztf-alerts", "ztf-forced", "ztf")
OTHERS = ("lsst",)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A producer that is the cluster too: librdkafka plays it over loopback."""
    kafka = pytest.importorskip("confluent_kafka", reason="confluent-kafka is not installed")
    producer = kafka.Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "none", "log_level": 0})
    yield producer
    producer.flush(5)


@pytest.fixture(scope="session")
def trained() -> Callable[[str], TrainedModel]:
    loaded = {name: load_model(model_folder(name)) for name in (*MODELS, *OTHERS)}
    return loaded.__getitem__


@pytest.fixture(scope="session")
def packets() -> list[Packet]:
    """Those of four objects, in order of time for each."""
    generator, shapes = np.random.default_rng(3), list(SHAPES)
    return [
        packet
        for number in range(3)
        for packet in ztf_stream(f"ZTF25aa{number:05d}", shapes[number % len(shapes)], generator)[:7]
    ]


@pytest.fixture(scope="session")
def folder(packets: list[Packet], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as files, named by time, so that objects take turns."""
    path = tmp_path_factory.mktemp("packets")
    for packet in packets:
        name = f"{packet['candidate']['jd']:.6f}_{packet['objectId']}.avro"
        write_packets(path / name, ztf_schema(), [packet])
    return path


@contextmanager
def stream_in(folder: Path, model: TrainedModel, output: Callable[[Store], Any], **pace: float) -> Iterator[Stream]:
    """A stream with its state and its dead letters in a folder, and this output."""
    with Store(folder / "s", "m") as store:
        letters = Lines(folder / "letters.jsonl", store, "letters")
        stream = Stream(model, Engine(model), store, output(store), letters, Metrics(model), Pace(**pace))
        yield stream
        letters.close()
        stream.output.close()


def reading(model: TrainedModel, **stated: Any) -> Reading:
    return for_model(model.passbands, door.reader_settings(stated, model.input))


def run(model: TrainedModel, arrivals: Sequence[Arrival], batch: int = 1) -> tuple[dict[str, Live], list[Outcome]]:
    """The objects after these arrivals, and what each of them did; objects pass through their stored form."""
    engine, objects, outcomes = Engine(model), dict[str, bytes](), []
    for start in range(0, len(arrivals), batch):
        waiting = list(arrivals[start : start + batch])
        while waiting:
            now = list({arrival.object_id: arrival for arrival in reversed(waiting)}.values())
            waiting = [arrival for arrival in waiting if not any(arrival is one for one in now)]
            known = [from_bytes(objects[a.object_id]) if a.object_id in objects else None for a in now]
            for arrival, outcome in zip(now, engine.update(list(zip(known, now, strict=True))), strict=True):
                objects[arrival.object_id] = to_bytes(outcome.live)
                outcomes.append(outcome)
    return {name: from_bytes(content) for name, content in objects.items()}, outcomes


def of_batch(model: TrainedModel, source: Any, **stated: Any) -> dict[str, np.ndarray[Any, Any] | None]:
    """Probabilities by object and, as the last number, its novelty from 0 to 1, as `predict` gives them."""
    curves = door.read(source, model.passbands, stated, model.input)
    rows = predict(model, curves).to_pylist()
    return {
        row["object_id"]: np.array([*(row[f"p({name})"] for name in model.classes), row["novelty"] / 100])
        if row["class"]
        else None
        for row in rows
    }
