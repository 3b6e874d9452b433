"""The stream: read, update, put out, commit, again and again, until it is asked to stop."""

import base64
import logging
import time
from collections.abc import Iterator, Sequence
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
        self.name = str(model.training.get("release") or model.survey)
        self.clock: list[float] = list(store.fact("clock", []))

    def run(self, source: Source) -> None:
        """Until the source ends or the process is asked to stop; everything that was taken is then committed."""
        for items in self._batches(source):
            places: dict[str, Any] = {}
            for item in items:
                places |= item.place
            rows = self._updated([read for item in items for read in item.read])
            self._commit(places, rows, source)
            times = [item.sent for item in items if item.sent is not None]
            self.metrics.lag = time.time() - max(times) if times else self.metrics.lag
            self.metrics.say(len(self.store))
        self._deliver(last=True)
        self.metrics.say(len(self.store), last=True)

    def _batches(self, source: Source) -> Iterator[list[Item]]:
        held: list[Item] = []
        size, started = 0, time.monotonic()
        for item in source.items(self.store):
            if item is not None:
                held.append(item)
                size += max(len(item.read), 1)
            due = item is None or time.monotonic() - started > self.pace.seconds
            if held and (due or size >= self.pace.batch):
                yield held
                held, size, started = [], 0, time.monotonic()
            if stopping.asked() is not None:
                break
        if held:
            yield held

    def _updated(self, found: Sequence[Any]) -> list[Row]:
        """Take what was read into account; the predictions to put out."""
        rejected = [read for read in found if isinstance(read, Rejected)]
        self.letters.write([_letter(each) for each in rejected])
        self.metrics.counts["rejected"] += len(rejected)
        self.metrics.counts["nameless"] += sum(isinstance(read, Nameless) for read in found)
        waiting = [read for read in found if isinstance(read, Arrival)]
        self.metrics.counts["arrivals"] += len(waiting)
        lives: dict[str, Live | None] = dict(self.store.get(list({arrival.object_id for arrival in waiting})))
        rows: list[Row] = []
        while waiting:
            first = {arrival.object_id: arrival for arrival in reversed(waiting)}
            waiting = [arrival for arrival in waiting if first[arrival.object_id] is not arrival]
            rows += self._round([a for a in first.values() if lives.get(a.object_id, a) is not None], lives)
            self.metrics.counts["too late"] += sum(lives.get(name, a) is None for name, a in first.items())
        return rows

    def _round(self, arrivals: Sequence[Arrival], lives: dict[str, Live | None]) -> list[Row]:
        """One arrival for each of several objects."""
        rows = []
        for arrival, outcome in self._outcomes(arrivals, lives):
            live = outcome.live
            self.metrics.counts[outcome.how] += 1
            if outcome.said is not None:
                self.metrics.predicted(outcome.said.probability, live)
                if self._is_news(outcome.said, live):
                    live = replace(live, reported=outcome.said.probability)
                    rows.append(self._row(arrival.object_id, live, outcome.said))
            elif outcome.how != NOTHING_NEW and live.steps < self.engine.least:
                self.metrics.counts["not yet"] += 1
            lives[arrival.object_id] = live
            self._tick(arrival)
            self.store.put(arrival.object_id, live, self._deadline(live))
        self.metrics.counts["predictions"] += len(rows)
        return rows

    def _outcomes(
        self, arrivals: Sequence[Arrival], lives: dict[str, Live | None]
    ) -> Iterator[tuple[Arrival, Outcome]]:
        """All at once; if one of them breaks a rule that nobody thought of, the others are right all the same."""
        given = [(lives.get(arrival.object_id), arrival) for arrival in arrivals]
        try:
            yield from zip(arrivals, self.engine.update(given), strict=True)
        except Exception as error:
            if len(arrivals) > 1:
                for arrival in arrivals:
                    yield from self._outcomes([arrival], lives)
                return
            for arrival in arrivals:
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
        expired = self.store.commit(self._now(), self.pace.forget, sent, getattr(self.output, "delivered", 0))
        self.metrics.counts["expired"] += expired
        source.committed(places)
        self._deliver()

    def _deliver(self, last: bool = False) -> None:
        delivered = self.output.flush(last)
        if last and delivered:
            self.store.commit(self._now(), self.pace.forget, (), delivered)


def _letter(rejected: Rejected) -> Row:
    content = base64.b64encode(rejected.content[:LONGEST]).decode()
    return {"origin": rejected.origin, "reason": rejected.reason, "bytes": len(rejected.content), "content": content}
