"""Kafka topics as source and as output; needs confluent-kafka."""

import logging
import os
import time
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlclass.extras import needs
from tlclass.streaming.outputs import Output, Row, as_json
from tlclass.streaming.partitions import DAY, Replays, begin, offset_in_group, offset_since, parted, place
from tlclass.streaming.reading import Reading
from tlclass.streaming.sources import WAIT, Item, Settle
from tlclass.streaming.store import Store

if TYPE_CHECKING:
    from confluent_kafka import Consumer, Message

log = logging.getLogger(__name__)

VARIABLE = "TLCLASS_KAFKA_"  # TLCLASS_KAFKA_SASL_PASSWORD is librdkafka's sasl.password
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

    Where it goes on is what the store says. If another member classified messages of a partition that the store does not know, these are read
    again first, without predictions: the state of their objects is then what one process would have. See `tlclass.streaming.partitions`.

    Args:
        topics: names. given: librdkafka's settings. reading: how messages are read.
        replay: days back to which messages are read again; 0 for alerts that hold all earlier observations of their object.
    """

    def __init__(self, topics: Sequence[str], given: Mapping[str, Any], reading: Reading, replay: float = 0.0):
        try:
            from confluent_kafka import Consumer
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(needs("a Kafka topic", "confluent-kafka", "kafka")) from error
        if "group.id" not in given:
            raise ValueError(
                f"no consumer group is named: set {VARIABLE}GROUP_ID, or group.id in the file of --kafka-settings"
            )
        self.topics, self.reading, self.replay = list(topics), reading, replay
        self.replays = Replays()
        self.consumer: Consumer = Consumer({**CONSUMER, **given})

    def items(self, store: Store, settle: Settle) -> Generator[Item | None]:
        """See `tlclass.streaming.sources.Source`; partitions that go to another process are settled before they go."""

        def assigned(consumer: "Consumer", partitions: list[Any]) -> None:
            for partition in partitions:
                self._begin(partition, store)
            consumer.incremental_assign(partitions)

        def revoked(consumer: "Consumer", partitions: list[Any]) -> None:
            settle(())
            self._gone(partitions, "goes to another process of the group, or this one ends")

        def lost(consumer: "Consumer", partitions: list[Any]) -> None:
            settle([place(one.topic, one.partition) for one in partitions])
            self._gone(
                partitions,
                "was taken away: this process did not answer the broker in time (session.timeout.ms, max.poll.interval.ms)",
            )

        self.consumer.subscribe(self.topics, on_assign=assigned, on_revoke=revoked, on_lost=lost)
        try:
            while True:
                message = self.consumer.poll(WAIT)
                yield None if message is None else self._item(message)
        finally:
            self.consumer.close()

    def _begin(self, partition: Any, store: Store) -> None:
        """Set the offset at which a partition begins."""
        topic, number = partition.topic, partition.partition
        name, since = place(topic, number), time.time() * 1000 - self.replay * DAY
        oldest = (lambda: offset_since(self.consumer, topic, number, since)) if self.replay > 0 else None
        where = begin(store.fact(name), offset_in_group(self.consumer, topic, number), oldest)
        if where.offset is not None:
            partition.offset = where.offset
        self.replays.started(name, where)

    def _gone(self, partitions: Sequence[Any], why: str) -> None:
        self.replays.stopped([place(one.topic, one.partition) for one in partitions])
        for one in partitions:
            log.info("partition %d of topic %s %s", one.partition, one.topic, why)

    def _item(self, message: "Message") -> Item | None:
        error = message.error()
        if error is not None:
            if error.fatal():
                raise OSError(f"Kafka: {error.str()}")
            log.warning("Kafka: %s", error.str())
            return None
        topic, partition, offset = str(message.topic()), int(message.partition() or 0), int(message.offset() or 0)
        kind, milliseconds = message.timestamp()
        name = place(topic, partition)
        read = list(self.reading.content(message.value() or b"", f"{topic}, partition {partition}, offset {offset}"))
        again = self.replays.holds(name, offset)
        return Item(read, {name: offset + 1}, milliseconds / 1000 if kind else None, again)

    def committed(self, places: Mapping[str, Any]) -> None:
        """See `tlclass.streaming.sources.Source`: the group goes on from here if another process takes over."""
        from confluent_kafka import KafkaException, TopicPartition

        told = {name: offset for name, offset in places.items() if self.replays.to_tell(name, offset)}
        try:
            if told:
                self.consumer.commit(
                    offsets=[TopicPartition(*parted(name), each) for name, each in told.items()], asynchronous=False
                )
        except KafkaException as error:
            log.warning(
                "Kafka: the offsets were not committed to the broker (%s); a process that takes over may send some predictions again",
                error,
            )


class TopicOutput(Output):
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
        self.topic, self.store = topic, store

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
