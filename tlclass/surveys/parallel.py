"""One function over many files: on all cores, results in order, few of them in memory, with progress."""

import logging
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tlclass import stopping

log = logging.getLogger(__name__)

Item = TypeVar("Item")
Result = TypeVar("Result")

WORTH_PROCESSES = 50_000_000  # bytes of raw files; below, starting processes takes longer than reading


def in_order(
    function: Callable[[Item], Result], items: Sequence[Item], title: str, size: int = 0, processes: int | None = None
) -> Iterator[Result]:
    """Yield `function(item)` for every item, in their order.

    With several items of at least `WORTH_PROCESSES` bytes together the work is spread over processes, at
    most two results a process ahead of the consumer, so that memory stays bounded. `function` and the items
    must then be picklable. A bar is shown in a terminal, a line about every ten seconds elsewhere.

    Args:
        function: called once per item.
        items: e.g. files.
        title: of the bar.
        size: bytes of all items together.
        processes: None: one per core if it pays, as described above.

    Raises:
        Exception: what `function` raised for the first item that failed.
    """
    if processes is None:
        processes = usable_cores() if size >= WORTH_PROCESSES else 1
    processes = min(processes, len(items))
    results = map(function, items) if processes < 2 else _spread(function, items, processes)
    for result in _shown(results, len(items), title):
        yield result
        stopping.check()


def usable_cores() -> int:
    """How many cores this process may use: on a cluster fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _spread(function: Callable[[Item], Result], items: Sequence[Item], processes: int) -> Iterator[Result]:
    with ProcessPoolExecutor(processes, get_context("spawn"), stopping.end_with, (os.getpid(),)) as pool:
        ahead: deque[Future[Result]] = deque()
        try:
            for item in items:
                ahead.append(pool.submit(function, item))
                if len(ahead) >= 2 * processes:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _shown(results: Iterator[Result], total: int, title: str) -> Iterator[Result]:
    if total < 2 or not sys.stderr.isatty():
        yield from _logged(results, total, title)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=total)
        for result in results:
            bar.advance(task)
            yield result


def _logged(results: Iterator[Result], total: int, title: str) -> Iterator[Result]:
    said = time.monotonic()
    for number, result in enumerate(results, 1):
        if time.monotonic() - said > 10:
            said = time.monotonic()
            log.info("%s: %d of %d files", title, number, total)
        yield result
