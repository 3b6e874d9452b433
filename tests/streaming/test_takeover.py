"""Two processes of one consumer group: one dies, one leaves, and the other goes on with the objects of both.

The cluster is the one that librdkafka plays over loopback; it waits about three seconds before each new assignment.
"""

import faulthandler
import itertools
import json
import logging
import multiprocessing
import os
import signal
import sys
import time
import warnings
from collections.abc import Callable, Generator, Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.streaming.conftest import reading, stream_in
from tests.streaming.test_stream import Trained, assert_as_batch, lines
from tlclass.stream import main
from tlclass.streaming.arrivals import Arrival
from tlclass.streaming.outputs import Lines
from tlclass.streaming.partitions import Begin, Replays, begin, parted, place
from tlclass.streaming.sources import Item, Settle
from tlclass.streaming.store import Store

kafka = pytest.importorskip("confluent_kafka", reason="confluent-kafka is not installed")

PARTITIONS = 4  # of a topic of this cluster
PROCESSES = ("first", "second")
LONGEST = 90.0  # seconds until something happened
LEAST = 3  # observations without which the model says nothing
Message = dict[str, Any]


def rows() -> Iterator[list[Message]]:
    """Rows of an object for each partition without any history, night after night."""
    generator = np.random.default_rng(5)
    for night in range(12):
        yield [
            {
                "object_id": f"object{number}", "mjd": 60000.0 + 2 * night + 0.1 * number, "band": "gr"[night % 2],
                "fluxcal": float(500 + 80 * night + generator.normal(0, 30)), "flux_err": 30.0,
            }
            for number in range(PARTITIONS)
        ]  # fmt: skip


class Members:
    """Processes of one group, each with its folder: its state, its output, its log."""

    def __init__(self, cluster: Any, folder: Path):
        broker = next(iter(cluster.list_topics(timeout=10).brokers.values()))
        self.cluster, self.folder, self.sent = cluster, folder, 0
        self.settings = folder / "kafka.conf"
        self.settings.write_text(
            f"bootstrap.servers={broker.host}:{broker.port}\ngroup.id=takeover\nsession.timeout.ms=6000\nheartbeat.interval.ms=300\nlog_level=0\n"
        )

    def start(self, name: str) -> BaseProcess:
        place = self.folder / name
        place.mkdir(exist_ok=True)
        words = ["ztf-alerts", "kafka:rows", "-o", f"{place}/out.jsonl", "--state", f"{place}/state", "--kafka-settings", str(self.settings)]  # fmt: skip
        process = multiprocessing.get_context("fork").Process(
            name=name, target=_stream, args=([*words, "--flux-unit", "fluxcal"], place / "log"), daemon=True
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # threads of libraries, which the child does not use
            process.start()
        return process

    def send(self, nights: Iterator[list[Message]], count: int) -> None:
        for night in itertools.islice(nights, count):
            for partition, row in enumerate(night):
                self.cluster.produce("rows", json.dumps(row).encode(), row["object_id"].encode(), partition)
                self.sent += 1
        assert self.cluster.flush(10) == 0

    def found(self) -> list[Message]:
        return [row for file in sorted(self.folder.glob("*/out.jsonl")) for row in lines(file)]

    def log(self, name: str) -> str:
        file = self.folder / name / "log"
        return file.read_text() if file.exists() else ""

    def until(self, happened: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + LONGEST
        while not happened():
            assert time.monotonic() < end, f"not in {LONGEST:g} s: {what}\n{self.account()}"
            time.sleep(0.1)

    def account(self) -> str:
        """What each process put out, wrote into its log, and does now."""
        for process in multiprocessing.active_children():
            if process.name in PROCESSES and process.pid is not None:
                os.kill(process.pid, signal.SIGUSR1)
        time.sleep(1)
        told = []
        for file in sorted(self.folder.glob("*/log")):
            out = file.parent / "out.jsonl"
            rows = [(row["object_id"], row["n_observations"]) for row in lines(out)] if out.exists() else []
            told.append(f"{file.parent.name} put out {rows}\n{file.read_text()}")
        return "\n".join(told)

    def until_all_is_classified(self) -> None:
        self.until(lambda: len(self.found()) >= self.sent - PARTITIONS * (LEAST - 1), "all messages classified")


def _stream(words: list[str], log: Path) -> None:
    """`tlclass stream` in a forked process, which has imported everything already."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for number in (1, 2):
        os.dup2(descriptor, number)
    for handler in logging.getLogger().handlers[:]:  # pytest's
        logging.getLogger().removeHandler(handler)
    sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
    faulthandler.register(signal.SIGUSR1, descriptor)
    main(words)


@pytest.mark.slow
def test_every_message_counts_once_when_a_process_dies_and_when_one_leaves(
    cluster: Any, trained: Trained, tmp_path: Path
) -> None:
    model, nights = trained("ztf-alerts"), rows()
    members = Members(cluster, tmp_path)
    members.send(nights, 3)
    first = members.start("first")
    members.until_all_is_classified()
    second = members.start("second")
    members.until(
        lambda: members.log("second").count("taken over") >= 2,
        "two members",
    )
    members.send(nights, 3)
    members.until_all_is_classified()
    shares = [
        len({row["object_id"] for row in lines(tmp_path / name / "out.jsonl")[-6:]}) for name in ("first", "second")
    ]
    assert shares == [2, 2], "each has the objects of two partitions"

    first.kill()
    first.join()
    members.until(lambda: members.log("second").count("taken over") >= 4, "the other took over")
    members.send(nights, 3)
    members.until_all_is_classified()

    first = members.start("first")  # with the state it had, in which three nights of some objects are missing
    members.until(lambda: members.log("first").count("taken over") >= 2, "it is back")
    second.terminate()
    second.join()
    members.until(lambda: members.log("first").count("taken over") >= 4, "the other left")
    members.send(nights, 3)
    members.until_all_is_classified()
    first.terminate()
    first.join()

    found = sorted(members.found(), key=lambda row: row["mjd"])
    keys = [(row["object_id"], row["n_observations"]) for row in found]
    assert sorted(keys) == [(f"object{k}", n) for k in range(PARTITIONS) for n in range(LEAST, 13)], "each alert once"
    table = tmp_path / "all.csv"
    pd.DataFrame([row for night in rows() for row in night]).to_csv(table, index=False)
    assert_as_batch(found, model, table)


class Handing:
    """A source of two places; the second one goes to another process before it is committed."""

    def __init__(self, arrivals: list[Arrival], out: Path):
        self.arrivals, self.out, self.told = arrivals, out, list[tuple[dict[str, Any], int]]()

    def items(self, store: Store, settle: Settle) -> Generator[Item | None]:
        yield Item([self.arrivals[0]], {"first": 1}, again=True)
        yield Item([self.arrivals[1]], {"first": 2})
        yield Item([self.arrivals[2]], {"second": 1})
        settle(["second"])

    def committed(self, places: Any) -> None:
        self.told.append((dict(places), len(lines(self.out))))


def test_what_another_process_reads_by_now_is_dropped_and_what_it_classified_is_not_put_out(
    trained: Trained, folder: Path, tmp_path: Path
) -> None:
    model = trained("ztf-alerts")
    files = sorted(folder.iterdir(), key=lambda file: (file.stem.split("_")[1], file.name))
    of_one = [file for file in files if file.stem.split("_")[1] == files[0].stem.split("_")[1]]
    found = [next(iter(reading(model).content(file.read_bytes(), file.name))) for file in (*of_one[-2:], files[-1])]
    source = Handing([each for each in found if isinstance(each, Arrival)], tmp_path / "o.jsonl")
    with stream_in(tmp_path, model, lambda store: Lines(source.out, store, "o"), seconds=1e9) as stream:
        stream.run(source)
        store = stream.store
        assert (store.fact("first"), store.fact("second"), len(store)) == (2, None, 1)
    assert (stream.metrics.counts["arrivals"], stream.metrics.counts["read again"]) == (1, 1)
    assert source.told == [({"first": 2}, 1)], "told after the only prediction was out"
    assert lines(source.out)[0]["object_id"] == found[1].object_id


class AtOnce:
    """A source whose messages are all taken into account at once, the first three again."""

    def __init__(self, arrivals: list[Arrival]):
        self.arrivals = arrivals

    def items(self, store: Store, settle: Settle) -> Generator[Item | None]:
        for number, arrival in enumerate(self.arrivals):
            yield Item([arrival], {"place": number + 1}, again=number < 3)

    def committed(self, places: Any) -> None:
        pass


def test_a_new_message_in_the_batch_that_rebuilds_the_state_finds_it(trained: Trained, tmp_path: Path) -> None:
    model = trained("ztf-alerts")
    nights = [json.dumps(night[0]).encode() for night in itertools.islice(rows(), 6)]
    arrivals = [next(iter(reading(model).content(row, "row"))) for row in nights]
    with stream_in(tmp_path, model, lambda store: Lines(tmp_path / "o.jsonl", store, "o"), seconds=1e9) as stream:
        stream.run(AtOnce([each for each in arrivals if isinstance(each, Arrival)]))
        assert len(stream.store) == 1
    assert [row["n_observations"] for row in lines(tmp_path / "o.jsonl")] == [4, 5, 6]


@pytest.mark.parametrize(
    ("own", "group", "oldest", "expected"),
    [
        (None, None, 7, Begin(None)),  # nobody has read it
        (40, None, 7, Begin(40)),
        (40, 40, 7, Begin(40)),  # a restart
        (42, 40, 7, Begin(42)),  # killed before the broker was told
        (40, 100, 7, Begin(40, 100)),  # another process went on
        (40, 100, 60, Begin(60, 100)),  # the broker keeps no more, or it is too long ago
        (None, 100, 60, Begin(60, 100)),  # new here, or the state was lost
        (None, 100, 100, Begin(100, 100)),
        (None, 100, 130, Begin(100, 100)),  # nothing to read again
        (40, 100, None, Begin(100, 100)),  # as it was asked for
    ],
)
def test_where_a_partition_begins(own: int | None, group: int | None, oldest: int | None, expected: Begin) -> None:
    assert begin(own, group, None if oldest is None else lambda: oldest) == expected


def test_the_group_is_told_nothing_while_messages_are_read_again() -> None:
    replays, name = Replays(), place("a topic", 3)
    assert parted(name) == ("a topic", 3)
    replays.started(name, Begin(2, 4))
    assert [replays.holds(name, offset) for offset in (2, 3)] == [True, True]
    assert not replays.to_tell(name, 3) and replays.to_tell(name, 4)
    assert not replays.holds(name, 4) and replays.to_tell(name, 1)
    replays.started(name, Begin(2, 4))
    replays.stopped([name])
    assert not replays.holds(name, 2)
