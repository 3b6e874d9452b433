"""Where a partition of a topic is read from when it is assigned, so that its objects are complete although another process had it."""

import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from confluent_kafka import Consumer

log = logging.getLogger(__name__)

PLACE = "topic "
DAY = 86_400_000  # milliseconds
ANSWER = 30.0  # seconds that the broker may take to answer


@dataclass(frozen=True)
class Begin:
    """Where reading begins.

    Attributes:
        offset: of the first message; None: where the settings of the consumer say (`auto.offset.reset`).
        until: messages before this offset were classified by another process: they update the state and cause no predictions.
    """

    offset: int | None
    until: int = 0


def begin(own: int | None, group: int | None, oldest: Callable[[], int] | None) -> Begin:
    """Where a partition begins.

    >>> begin(own=40, group=40, oldest=lambda: 0), begin(own=40, group=100, oldest=lambda: 60)
    (Begin(offset=40, until=0), Begin(offset=60, until=100))

    Args:
        own: offset up to which the state of this process knows the partition; None: not at all.
        group: offset up to which some process of the group classified it; None: none did.
        oldest: gives the offset from which messages are worth reading again; None: none is.
    """
    if group is None or (own is not None and own >= group):
        return Begin(own)
    return Begin(group if oldest is None else min(max(own or 0, oldest()), group), group)


def place(topic: str, partition: int) -> str:
    """The name of a partition in the store."""
    return f"{PLACE}{topic} {partition}"


def parted(name: str) -> tuple[str, int]:
    """The inverse of `place`."""
    topic, _, partition = name.removeprefix(PLACE).rpartition(" ")
    return topic, int(partition)


def offset_in_group(consumer: "Consumer", topic: str, partition: int) -> int | None:
    """The offset that the group committed to the broker; None if it committed none."""
    from confluent_kafka import TopicPartition

    found = consumer.committed([TopicPartition(topic, partition)], timeout=ANSWER)[0]
    if found.error is not None:
        raise OSError(f"Kafka: the offset of {topic}, partition {partition}, is not known: {found.error.str()}")
    return found.offset if found.offset >= 0 else None


def offset_since(consumer: "Consumer", topic: str, partition: int, since: float) -> int:
    """The offset of the first message that is kept and was sent at this time or later, in milliseconds since 1970.

    It is that of the first one that is kept where the broker finds none by time.
    """
    from confluent_kafka import TopicPartition

    low, _ = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=ANSWER)
    found = consumer.offsets_for_times([TopicPartition(topic, partition, max(int(since), 0))], timeout=ANSWER)[0]
    return max(low, found.offset) if found.error is None else low


class Replays:
    """Which partitions are read again up to which offset; writes into the log when it begins and when it ends."""

    def __init__(self) -> None:
        self._until: dict[str, int] = {}

    def started(self, name: str, where: Begin) -> None:
        """A partition was assigned."""
        topic, partition = parted(name)
        self._until.pop(name, None)
        if where.offset is None or where.offset >= where.until:
            log.info("partition %d of topic %s is read here now", partition, topic)
            return
        self._until[name] = where.until
        log.info(
            "partition %d of topic %s is taken over from another process of the group: messages %d to %d are read again without predictions, to "
            "rebuild the state of their objects", partition, topic, where.offset, where.until - 1,
        )  # fmt: skip

    def stopped(self, names: Collection[str]) -> None:
        """Partitions were given to another process."""
        for name in names:
            self._until.pop(name, None)

    def holds(self, name: str, offset: int) -> bool:
        """Whether the message at this offset was classified by another process."""
        until = self._until.get(name)
        if until is None or offset < until:
            return until is not None
        del self._until[name]
        log.info("partition %d of topic %s: the state is rebuilt, new messages are classified", *reversed(parted(name)))
        return False

    def to_tell(self, name: str, offset: int) -> bool:
        """Whether the group may be told that the partition is read up to here; while it is read again the group is further."""
        return offset >= self._until.get(name, 0)
