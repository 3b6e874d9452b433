"""Messages about a file: of many files, or many parts of one, each kind of message once, with the number of files."""

import logging
from collections.abc import Collection, Iterable, Sequence
from contextvars import ContextVar, Token
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tlclass.arrays import Array
from tlclass.lightcurves.photometry import detected_by_snr, plain_name

log = logging.getLogger(__name__)

# Flags of rows that no rule knows; `mask` is ATClean's.
UNREAD_FLAGS = ("flag", "flags", "bad", "is_bad", "bad_flag", "quality_flag", "qflag", "ignore", "mask")


@dataclass
class _Message:
    """One kind of message: who logs it, about which file first, with which further values, and about which other files."""

    log: logging.Logger
    origin: str
    counts: tuple[int, ...]
    values: Sequence[Any]
    others: set[str] = field(default_factory=set)


class Together:
    """Holds messages back while files or parts of them are read (`with`), and logs them at the end, each kind once.

    >>> together = Together()
    >>> for file in ("a.csv", "b.csv"):
    ...     with together:
    ...         tell(logging.getLogger("example"), logging.WARNING, "%s: %d rows in %s", file, "Jy", counts=(3,))
    >>> together.log()  # a.csv and 1 more file(s) like it: 6 rows in Jy
    """

    def __init__(self) -> None:
        self._held: dict[tuple[int, str], _Message] = {}
        self._token: Token[Together | None] | None = None

    def __enter__(self) -> "Together":
        self._token = _TOGETHER.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        if self._token is not None:
            _TOGETHER.reset(self._token)

    def add(self, level: int, text: str, message: _Message) -> None:
        """Hold a message back."""
        held = self._held.setdefault((level, text), message)
        if held is not message:
            held.others |= {message.origin} - {held.origin}
            held.counts = tuple(sum(pair) for pair in zip(held.counts, message.counts, strict=True))

    def log(self) -> None:
        """Log what was held back."""
        for (level, text), each in self._held.items():
            more = f" and {len(each.others)} more file(s) like it" if each.others else ""
            each.log.log(level, text, each.origin + more, *each.counts, *each.values)
        self._held.clear()


_TOGETHER: ContextVar[Together | None] = ContextVar("together", default=None)


def tell(
    log: logging.Logger, level: int, text: str, origin: str, *values: object, counts: tuple[int, ...] = ()
) -> None:
    """Log a message about a file.

    Args:
        log, level: as for `logging`.
        text: with places for the origin, the counts and the values, in this order.
        origin: the file. values: those of the first file stand for all.
        counts: are added up over files, and over the parts of a file.
    """
    together = _TOGETHER.get()
    if together is None:
        log.log(level, text, origin, *counts, *values)
    else:
        together.add(level, text, _Message(log, origin, counts, values))


def say_no_bits(flux: Array, flux_err: Array, snr: float, origin: str, level: int = logging.WARNING) -> None:
    """Log where SNANA's PHOTFLAG calls no row of a file a detection, so that flux / error decides.

    Args:
        flux, flux_err: (n,). snr: flux / error of a detection. origin: the file. level: of the message.
    """
    bright = int(np.count_nonzero(detected_by_snr(flux, flux_err, snr)))
    if bright:
        message = (
            "%s: PHOTFLAG calls none of %d rows a detection, so the %d with flux / error of %g or more count as such"
        )
        tell(log, level, message, origin, snr, counts=(len(flux), bright))


def say_unread_flags(names: Iterable[str], read: Collection[str], origin: str) -> bool:
    """Log which of the columns `names` may be flags of bad rows, and are not among those that are `read`; whether there are any."""
    unread = [name for name in dict.fromkeys(names) if plain_name(name) in UNREAD_FLAGS and name not in read]
    if unread:
        message = "%s: column %s may flag bad rows and is not read: leave such rows out of the file"
        tell(log, logging.WARNING, message, origin, " and ".join(unread))
    return bool(unread)
