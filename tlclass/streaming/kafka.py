"""Kafka topics as source and as output; needs confluent-kafka."""

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlclass.extras import needs
from tlclass.streaming.outputs import Row, as_json
from tlclass.streaming.reading import Reading
from tlclass.streaming.sources import WAIT, Item
from tlclass.streaming.store import Store

if TYPE_CHECKING:
    from confluent_kafka import Consumer, Message

log = logging.getLogger(__name__)

VARIABLE = "TLCLASS_KAFKA_"  # TLCLASS_KAFKA_SASL_PASSWORD is librdkafka's sasl.password
PLACE = "topic "
PATIENCE = 30.0  # seconds for the broker to take what is sent
CONSUMER = {
    "enable.auto.commit": False,
    "auto.offset.reset": "earliest",
    "partition.assignment.strategy": "cooperative-sticky",
}
PRODUCER = {"enable.idempotence": True, "linger.ms": 20}


def settings(file: Path | None, environment: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Librdkafka's settings: of a file of `name=value` lines, then of environment variables `TLCLASS_KAFKA_NAME`.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a line is of another form, or nothing names a broker.
    """
    found: dict[str, Any] = {}
    if file is not None:
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
            text = line.strip()
            if text and not text.startswith("#"):
                name, equals, value = text.partition("=")
                if not equals:
                    raise ValueError(
                        f"{file}, line {number}: write each setting as name=value, as librdkafka names them"
                    )
                found[name.strip()] = value.strip()
    for variable, value in (os.environ if environment is None else environment).items():
        if variable.startswith(VARIABLE):
            found[variable.removeprefix(VARIABLE).lower().replace("_", ".")] = value
    if "bootstrap.servers" not in found:
        raise ValueError(
            f"no Kafka broker is named: set {VARIABLE}BOOTSTRAP_SERVERS=HOST:PORT, or write bootstrap.servers=HOST:PORT into the file of --kafka-settings"
        )
    return found


class Topic:
    """Messages of topics; a member of the consumer group `group.id` gets some of their partitions.

    Where it goes on is what the store says; a partition that the store knows nothing of begins where the group stands.
    """

    def __init__(self, topics: Sequence[str], given: Mapping[str, Any], reading: Reading):
        try:
            from confluent_kafka import Consumer
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(needs("a Kafka topic", "confluent-kafka", "kafka")) from error
        if "group.id" not in given:
            raise ValueError(
                f"no consumer group is named: set {VARIABLE}GROUP_ID, or group.id in the file of --kafka-settings"
            )
        self.topics, self.reading = list(topics), reading
        self.consumer: Consumer = Consumer({**CONSUMER, **given})

    def items(self, store: Store) -> Iterator[Item | None]:
        """See `tlclass.streaming.sources.Source`."""

        def assigned(consumer: "Consumer", partitions: list[Any]) -> None:
            for partition in partitions:
                partition.offset = store.fact(_place(partition.topic, partition.partition), partition.offset)
            consumer.incremental_assign(partitions)

        self.consumer.subscribe(self.topics, on_assign=assigned)
        try:
            while True:
                message = self.consumer.poll(WAIT)
                yield None if message is None else self._item(message)
        finally:
            self.consumer.close()

    def _item(self, message: "Message") -> Item | None:
        error = message.error()
        if error is not None:
            if error.fatal():
                raise OSError(f"Kafka: {error.str()}")
            log.warning("Kafka: %s", error.str())
            return None
        topic, partition, offset = message.topic(), message.partition(), message.offset()
        kind, milliseconds = message.timestamp()
        read = list(self.reading.content(message.value() or b"", f"{topic}, partition {partition}, offset {offset}"))
        return Item(
            read, {_place(str(topic), int(partition or 0)): int(offset or 0) + 1}, milliseconds / 1000 if kind else None
        )

    def committed(self, places: Mapping[str, Any]) -> None:
        """See `tlclass.streaming.sources.Source`: the broker is told too, for those who watch the group."""
        from confluent_kafka import KafkaException, TopicPartition

        offsets = []
        for name, offset in places.items():
            topic, _, partition = name.removeprefix(PLACE).rpartition(" ")
            offsets.append(TopicPartition(topic, int(partition), offset))
        try:
            if offsets:
                self.consumer.commit(offsets=offsets, asynchronous=True)
        except KafkaException as error:  # the store counts
            log.warning("Kafka: the offsets were not committed to the broker (the state folder has them): %s", error)


class TopicOutput:
    """Predictions as messages, keyed by object. What was not acknowledged is sent again with the same `number` in its header.

    Args:
        topic: name. given: librdkafka's settings. store: whose outbox holds what is to be sent.
    """

    def __init__(self, topic: str, given: Mapping[str, Any], store: Store):
        try:
            from confluent_kafka import Producer
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(needs("a Kafka topic", "confluent-kafka", "kafka")) from error
        own = {name: value for name, value in given.items() if not name.startswith(("group.", "auto.offset"))}
        self.producer: Producer = Producer({**PRODUCER, **own})
        self.topic, self.store, self.delivered = topic, store, 0

    def write(self, rows: Sequence[Row]) -> list[str]:
        """See `tlclass.streaming.outputs.Output`."""
        return [as_json(row) for row in rows]

    def flush(self, last: bool = False) -> int:
        """See `tlclass.streaming.outputs.Output`."""
        failed: list[str] = []

        def done(error: Any, message: "Message") -> None:
            if error is not None:
                failed.append(str(error))

        number = self.delivered
        for number, row in self.store.waiting():
            if number > self.delivered:
                key = row.split('"', 4)[3]  # of "object_id", which stands first
                self.producer.produce(
                    self.topic, row.encode(), key.encode(), headers={"number": str(number)}, on_delivery=done
                )
                self.producer.poll(0)
        if self.producer.flush(PATIENCE) or failed:
            raise OSError(
                f"Kafka: topic {self.topic} did not accept predictions: {failed[0] if failed else 'no answer'}"
            )
        self.delivered = number
        return number

    def close(self) -> None:
        """See `tlclass.streaming.outputs.Output`."""


def _place(topic: str, partition: int) -> str:
    return f"{PLACE}{topic} {partition}"
