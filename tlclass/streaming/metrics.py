"""How the stream is doing: counts, rates, lag and drift, as lines of the log and for Prometheus."""

import logging
import time
from collections import Counter
from typing import Any

import numpy as np

from tlclass.arrays import Array
from tlclass.extras import needs
from tlclass.network.checkpoint import TrainedModel
from tlclass.streaming.arrivals import ABOUT
from tlclass.streaming.state import Live

log = logging.getLogger(__name__)

EVERY = 10.0  # seconds between two lines
MEMORY = 2000.0  # predictions over which shares are averaged


class Metrics:
    """Counts what happens.

    Attributes:
        counts: `arrivals`, of which `step`, `recomputed`, `nothing new`, `too late`, `not yet` (cannot be classified yet); `predictions` that
            were put out, `rejected`, `nameless`, `expired`, `objects` that are live; `with host_photoz`, and so for each of the model's
            metadata: arrivals that were classified with it.
        shares: (K,) of the classes among the last predictions. far: share of them with a flux or error outside the training data.
    """

    def __init__(self, model: TrainedModel, port: int | None = None):
        self.model, self.counts = model, Counter[str]()
        prior = model.calibration.prior if model.calibration else None
        self.expected = np.array(prior) if prior else None
        self.shares = np.array(prior or [1 / len(model.classes)] * len(model.classes))
        self.far = self.lag = 0.0
        self._said, self._before = time.monotonic(), 0
        self._gauges = _served(port) if port is not None else {}

    def predicted(self, probability: Array, live: Live) -> None:
        """A prediction was made."""
        weight = 1 / MEMORY
        for name in self.model.metadata:
            self.counts[f"with {name}"] += int(name in ABOUT and np.isfinite(live.about[ABOUT.index(name)]))
        self.shares = (1 - weight) * self.shares + weight * probability
        self.far = (1 - weight) * self.far + weight * self._is_far(live)

    def _is_far(self, live: Live) -> bool:
        seen = self.model.trained_on
        if seen is None or not len(live.rows):
            return False
        row = live.rows[-1]
        return bool(abs(row["flux"]) > seen.brightest or not seen.flux_err[0] <= row["flux_err"] <= seen.flux_err[1])

    @property
    def drift(self) -> float:
        """Half the summed difference of the classes' shares to those the model assumes: 0 the same, 1 other classes."""
        return 0.0 if self.expected is None else float(np.abs(self.shares - self.expected).sum() / 2)

    def say(self, live: int, last: bool = False) -> None:
        """Log a line every `EVERY` seconds, and set what Prometheus asks for."""
        now = time.monotonic()
        passed = now - self._said
        if passed < EVERY and not last:
            return
        rate = (self.counts["arrivals"] - self._before) / max(passed, 1e-9)
        self._said, self._before = now, self.counts["arrivals"]
        self.counts["objects"] = live
        log.info(
            "%s; %.0f arrivals/s, lag %.1f s, drift of the classes %.2f, outside the training data %.1f %%",
            ", ".join(f"{count} {name}" for name, count in sorted(self.counts.items())), rate, self.lag, self.drift, 100 * self.far,
        )  # fmt: skip
        values = {**{name.replace(" ", "_"): float(count) for name, count in self.counts.items()}, "rate": rate}
        values |= {"lag_seconds": self.lag, "class_drift": self.drift, "outside_training": self.far}
        if self._gauges:
            for name, value in values.items():
                self._gauges["all"].labels(name).set(value)
            for name, share in zip(self.model.classes, self.shares.tolist(), strict=True):
                self._gauges["share"].labels(name).set(share)


def _served(port: int) -> dict[str, Any]:
    try:
        from prometheus_client import CollectorRegistry, Gauge, start_http_server
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(needs("--metrics-port", "prometheus-client", "kafka")) from error
    registry = CollectorRegistry()
    gauges = {
        "all": Gauge("tlclass_stream", "Counts and measures of the stream", ["what"], registry=registry),
        "share": Gauge(
            "tlclass_stream_class_share", "Share of each class among the last predictions", ["name"], registry=registry
        ),
    }
    start_http_server(port, registry=registry)
    return gauges
