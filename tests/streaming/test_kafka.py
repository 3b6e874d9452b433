"""Topics, on the cluster that librdkafka plays over loopback for tests."""

import itertools
import json
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest

from tests.data.raw_alerts import Packet, confluent, ztf_schema
from tests.streaming.conftest import reading, stream_in
from tests.streaming.test_stream import assert_as_batch, lines
from tlclass.network.checkpoint import TrainedModel
from tlclass.streaming.kafka import Topic, TopicOutput
from tlclass.streaming.outputs import Lines
from tlclass.streaming.sources import Item
from tlclass.streaming.store import Store

GROUPS = itertools.count()
kafka = pytest.importorskip("confluent_kafka", reason="confluent-kafka is not installed")


@pytest.fixture(scope="module")
def address(cluster: Any) -> str:
    broker = next(iter(cluster.list_topics(timeout=10).brokers.values()))
    return f"{broker.host}:{broker.port}"


class Until:
    """A topic that ends after so many messages."""

    def __init__(self, topic: Topic, messages: int):
        self.topic, self.messages = topic, messages

    def items(self, store: Store, settle: Any) -> Generator[Item | None]:
        seen = idle = 0
        for item in self.topic.items(store, settle):
            seen, idle = seen + (item is not None), 0 if item is not None else idle + 1
            yield item
            if (seen >= self.messages and idle > 1) or idle > 100:
                return

    def committed(self, places: Any) -> None:
        self.topic.committed(places)


def send(cluster: Any, topic: str, messages: list[bytes]) -> None:
    for number, message in enumerate(messages):
        cluster.produce(topic, message, str(number).encode())
    assert cluster.flush(10) == 0


def run(
    model: TrainedModel, address: str, topic: str, folder: Path, messages: int, output: Callable[[Store], Any]
) -> Any:
    # a group of its own: librdkafka's cluster lets none join that another left; where to go on the state says, not the group
    settings = {"bootstrap.servers": address, "group.id": f"group {next(GROUPS)}", "log_level": 0}
    with stream_in(folder, model, output, batch=5) as stream:
        stream.run(Until(Topic([topic], settings, reading(model)), messages))
    return stream.metrics.counts


def read(address: str, topic: str, count: int) -> list[Any]:
    """So many messages of a topic, or more if there are."""
    settings = {"bootstrap.servers": address, "group.id": "reader", "enable.auto.commit": False, "log_level": 0}
    consumer, found = kafka.Consumer(settings), []
    consumer.assign([kafka.TopicPartition(topic, number, kafka.OFFSET_BEGINNING) for number in range(4)])
    for _ in range(100):
        message = consumer.poll(0.1)
        found += [message] if message is not None and not message.error() else []
        if message is None and len(found) >= count:
            break
    consumer.close()
    return found


@pytest.mark.slow
def test_a_topic_goes_on_where_the_state_says(
    trained: Any, folder: Path, cluster: Any, address: str, tmp_path: Path
) -> None:
    model = trained("ztf-alerts")
    messages = [file.read_bytes() for file in sorted(folder.iterdir())]
    half = len(messages) // 2
    settings = {"bootstrap.servers": address, "log_level": 0}
    send(cluster, "alerts", [*messages[:half], b"nonsense"])
    first = run(model, address, "alerts", tmp_path, half + 1, lambda store: Lines(tmp_path / "o.jsonl", store, "o"))
    assert first["arrivals"] == half and first["rejected"] == 1
    assert "offset" in lines(tmp_path / "letters.jsonl")[0]["origin"]
    send(cluster, "alerts", messages[half:])
    rest = len(messages) - half
    second = run(model, address, "alerts", tmp_path, rest, lambda store: TopicOutput("classified", settings, store))
    assert second["arrivals"] == rest and not second["rejected"]
    found = read(address, "classified", second["predictions"])
    assert len({message.headers()[0] for message in found}) == len(found) == second["predictions"] > 3
    rows = [json.loads(message.value()) for message in found]
    assert [message.key().decode() for message in found] == [row["object_id"] for row in rows]
    rows.sort(key=lambda row: row["mjd"])  # an object's messages are in one partition; those of others may come before
    assert_as_batch([*lines(tmp_path / "o.jsonl"), *rows], model, folder)


def test_messages_in_confluents_framing_need_the_schema(trained: Any, packets: list[Packet]) -> None:
    message = confluent(ztf_schema(), packets[0])
    rejected = next(iter(reading(trained("ztf-alerts")).content(message, "t")))
    assert "schema" in rejected.reason and rejected.content == message
