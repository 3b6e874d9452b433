"""The stream: read, update, put out, commit, again and again, until it is asked to stop."""

import base64
import logging
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tlclass import __version__, stopping
from tlclass.network.checkpoint import TrainedModel
from tlclass.quoting import sentence
from tlclass.streaming.arrivals import Arrival
from tlclass.streaming.engine import NOTHING_NEW, Engine, Outcome, Said
from tlclass.streaming.metrics import Metrics
from tlclass.streaming.outputs import Lines, Output, Row
from tlclass.streaming.reading import Nameless, Rejected
from tlclass.streaming.sources import Item, Source
from tlclass.streaming.state import Live
from tlclass.streaming.store import Store
from tlclass.wording import in_flags

log = logging.getLogger(__name__)

LONGEST = 1 << 20  # bytes of a dead letter that are kept
CLOCK = 101  # arrivals by whose median time objects expire


@dataclass(frozen=True)
class Pace:
    """How often, and for how long.

    Attributes:
        batch: arrivals between two commits, at most. seconds: between two commits, about.
        min_change: a prediction is put out if a probability changed by at least so much since the last one, or the class did.
        grace: days after its window for which an object is kept, for observations that come late.
        forget: days after which an expired object's id goes too.
    """

    batch: int = 256
    seconds: float = 1.0
    min_change: float = 0.0
    grace: float = 30.0
    forget: float = 365.0

    def __post_init__(self) -> None:
        """Raise ValueError for what is no pace."""
        if not 0 <= self.min_change <= 1:
            raise ValueError(f"--min-change is {self.min_change}: give a change of probability between 0 and 1")
        for name, least in (("batch", 1), ("seconds", 0), ("grace", 0), ("forget", 0)):
            if not getattr(self, name) >= least:
                raise ValueError(f"--{name} is {getattr(self, name)}: give {least} or more")


class Stream:
    """Everything that a running stream holds.

    Args:
        model, engine, store: see there. output: of predictions. letters: of what cannot be used. pace: see there.
    """

    def __init__(
        self,
        model: TrainedModel,
        engine: Engine,
        store: Store,
        output: Output,
        letters: Lines,
        metrics: Metrics,
        pace: Pace,
    ):
        self.model, self.engine, self.store, self.pace = model, engine, store, pace
        self.output, self.letters, self.metrics = output, letters, metrics
        self.name = model.name
        self.clock: list[float] = list(store.fact("clock", []))
        self._said_late = False
        self.held: list[Item] = []  # what was read and is not committed

    def run(self, source: Source) -> None:
        """Until the source ends or the process is asked to stop; everything that was taken is then committed."""

        def settle(without: Collection[str] = ()) -> None:
            self._settle(source, without)

        with closing(source.items(self.store, settle)) as items:
            size, started = 0, time.monotonic()
            for item in items:
                if item is not None:
                    self.held.append(item)
                    size += max(len(item.read), 1)
                due = item is None or time.monotonic() - started > self.pace.seconds
                if due or size >= self.pace.batch:
                    settle()
                    size, started = 0, time.monotonic()
                if stopping.asked() is not None:
                    break
            settle()
        self._deliver(last=True)
        self.metrics.say(len(self.store), last=True)
        counts = self.metrics.counts
        if counts["rejected"] and not counts["arrivals"]:
            log.warning(
                "nothing could be used: all %d were rejected, with the reasons in the file of dead letters",
                counts["rejected"],
            )

    def _settle(self, source: Source, without: Collection[str]) -> None:
        """Take into account and commit what was read, but not at the places that another process reads by now."""
        items = [item for item in self.held if not set(item.place) & set(without)]
        self.held = []
        if not items:
            return
        places: dict[str, Any] = {}
        for item in items:
            places |= item.place
        self._updated([read for item in items if item.again for read in item.read], again=True)
        rows = self._updated([read for item in items if not item.again for read in item.read])
        self._commit(places, rows, source)
        times = [item.sent for item in items if item.sent is not None]
        self.metrics.lag = time.time() - max(times) if times else self.metrics.lag
        self.metrics.say(len(self.store))

    def _updated(self, found: Sequence[Any], again: bool = False) -> list[Row]:
        """Take what was read into account; the predictions to put out, none for what another process classified (`again`)."""
        waiting = [read for read in found if isinstance(read, Arrival)]
        if again:
            self.metrics.counts["read again"] += len(waiting)
        else:
            rejected = [read for read in found if isinstance(read, Rejected)]
            self.letters.write([_letter(each) for each in rejected])
            self.metrics.counts["rejected"] += len(rejected)
            self.metrics.counts["nameless"] += sum(isinstance(read, Nameless) for read in found)
            self.metrics.counts["arrivals"] += len(waiting)
            self._say_late(waiting)
        lives: dict[str, Live | None] = dict(self.store.get(list({arrival.object_id for arrival in waiting})))
        rows: list[Row] = []
        while waiting:
            first = {arrival.object_id: arrival for arrival in reversed(waiting)}
            waiting = [arrival for arrival in waiting if first[arrival.object_id] is not arrival]
            known = [a for a in first.values() if lives.get(a.object_id, a) is not None]
            rows += self._round(known, lives, again)
            self.metrics.counts["too late"] += 0 if again else len(first) - len(known)
        return rows

    def _round(self, arrivals: Sequence[Arrival], lives: dict[str, Live | None], again: bool) -> list[Row]:
        """One arrival for each of several objects."""
        rows = []
        for arrival, outcome in self._outcomes(arrivals, lives, again):
            live, said = outcome.live, outcome.said
            if not again:
                self._count(outcome)
            if said is not None and self._is_news(said, live):
                live = replace(live, reported=said.probability)
                rows += [] if again else [self._row(arrival.object_id, live, said)]
            lives[arrival.object_id] = live
            self._tick(arrival)
            self.store.put(arrival.object_id, live, self._deadline(live), self.engine.few(live))
        self.metrics.counts["predictions"] += len(rows)
        return rows

    def _count(self, outcome: Outcome) -> None:
        self.metrics.counts[outcome.how] += 1
        if outcome.said is not None:
            self.metrics.predicted(outcome.said.probability, outcome.live)
        elif outcome.how != NOTHING_NEW and outcome.live.steps < self.engine.least:
            self.metrics.counts["not yet"] += 1

    def _outcomes(
        self, arrivals: Sequence[Arrival], lives: dict[str, Live | None], again: bool
    ) -> Iterator[tuple[Arrival, Outcome]]:
        """All at once; if one of them breaks a rule that nobody thought of, the others are right all the same."""
        given = [(lives.get(arrival.object_id), arrival) for arrival in arrivals]
        try:
            yield from zip(arrivals, self.engine.update(given), strict=True)
        except Exception as error:
            if len(arrivals) > 1:
                for arrival in arrivals:
                    yield from self._outcomes([arrival], lives, again)
                return
            for arrival in [] if again else arrivals:
                self.letters.write([_letter(Rejected(arrival.origin, f"{type(error).__name__}: {sentence(error)}"))])
                self.metrics.counts["arrivals"] -= 1
                self.metrics.counts["rejected"] += 1

    def _is_news(self, said: Said, live: Live) -> bool:
        if not len(live.reported):
            return True
        change = np.abs(said.probability - live.reported).max()
        return bool(change >= self.pace.min_change or said.probability.argmax() != live.reported.argmax())

    def _row(self, name: str, live: Live, said: Said) -> Row:
        row: dict[str, Any] = {"object_id": name, "mjd": live.last}
        row["class"] = self.model.classes[int(said.probability.argmax())]
        row |= {f"p({each})": float(p) for each, p in zip(self.model.classes, said.probability, strict=True)}
        row |= {"n_observations": live.steps, "days": live.last - live.first}
        if said.novelty is not None and np.isfinite(said.novelty):
            row["novelty"] = said.novelty
        if said.inside is not None:
            row["set"] = [each for each, inside in zip(self.model.classes, said.inside, strict=True) if inside]
        return row | {"model": self.name, "tlclass": __version__}

    def _tick(self, arrival: Arrival) -> None:
        if len(arrival.rows):
            self.clock = [*self.clock, float(arrival.rows["mjd"].max())][-CLOCK:]

    def _say_late(self, arrivals: Sequence[Arrival]) -> None:
        """Warn once if an observation is so much older than those of earlier commits that its object may be forgotten already."""
        if self._said_late or not self.clock:
            return
        low, high = self.model.selection.window
        late = self._now() - (high - low) - self.pace.grace
        arrival = next((one for one in arrivals if len(one.rows) and one.rows["mjd"].max() < late), None)
        if arrival is not None:
            behind = self._now() - float(arrival.rows["mjd"].max())
            message = (
                "%s: %s is %.0f days older than the observations before it: objects are forgotten %.0f days after their window, so sort an archive "
                "by time, or classify it with tlclass predict"
            )
            log.warning(message, arrival.origin, arrival.object_id, behind, self.pace.grace)
            self._said_late = True

    def _deadline(self, live: Live) -> float:
        low, high = self.model.selection.window
        if live.steps:
            return live.zero + high + self.pace.grace
        newest = float(live.rows["mjd"].max(initial=-np.inf)) if len(live.rows) else self._now()
        return newest + (high - low) + self.pace.grace

    def _now(self) -> float:
        """MJD of the stream: a median, so that one packet with a wrong time ends no object's life."""
        return float(np.median(self.clock)) if self.clock else -np.inf

    def _commit(self, places: dict[str, Any], rows: Sequence[Row], source: Source) -> None:
        for name, value in places.items():
            self.store.set_fact(name, value)
        self.store.set_fact("clock", self.clock)
        sent = self.output.write(rows)
        expired = self.store.commit(self._now(), self.pace.forget, sent, self.output.delivered)
        self.metrics.counts["expired"] += expired
        self._deliver()  # before the source is told: what another process does not read again must be out
        source.committed(places)

    def _deliver(self, last: bool = False) -> None:
        delivered = self.output.flush(last)
        if last and delivered:
            self.store.commit(self._now(), self.pace.forget, (), delivered)


def _letter(rejected: Rejected) -> Row:
    content = base64.b64encode(rejected.content[:LONGEST]).decode()
    return {
        "origin": rejected.origin,
        "reason": in_flags(rejected.reason),
        "bytes": len(rejected.content),
        "content": content,
    }
