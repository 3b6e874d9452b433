"""Wall time and CPU time of this process and everything that it starts, and how busy the machine was with other work meanwhile."""

import os
import threading
import time
from dataclasses import dataclass
from types import TracebackType

EVERY = 0.5  # seconds between two looks; what a process does between the last look and its end is missed


@dataclass(frozen=True)
class Used:
    """What a piece of work used.

    Attributes:
        seconds: wall time. cpu_seconds: of all its processes. others: cores that other processes of the machine kept busy, on average.
    """

    seconds: float
    cpu_seconds: float
    others: float


class Watch:
    """Measures what runs inside `with`; processes that were started before and live on count from the start of the block."""

    def __enter__(self) -> "Watch":
        self._last: dict[tuple[int, float], float] = {}
        self._ended = threading.Event()
        self._look()
        self._before = sum(self._last.values())
        self._start, self._busy = time.perf_counter(), _busy()
        self._thread = threading.Thread(target=self._watch, name="watch", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        self._look()
        seconds, busy = time.perf_counter() - self._start, _busy() - self._busy
        cpu = sum(self._last.values()) - self._before
        self.used = Used(seconds, cpu, max(busy - cpu, 0.0) / seconds)

    def _watch(self) -> None:
        while not self._ended.wait(EVERY):
            self._look()

    def _look(self) -> None:
        """Note the CPU time of every process by its id and the time of its start."""
        import psutil

        this = psutil.Process(os.getpid())
        for process in [this, *this.children(recursive=True)]:
            try:
                times = process.cpu_times()
                self._last[process.pid, process.create_time()] = times.user + times.system
            except psutil.NoSuchProcess:  # it ended between the two lines
                continue


def _busy() -> float:
    """CPU seconds of all processes of the machine since it started."""
    import psutil

    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system + times.irq + times.softirq)
