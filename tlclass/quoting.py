"""Quote text of files and users in messages: on one line, and shortened."""

import errno
from collections.abc import Collection, Iterable

LONGEST = 80  # characters
_ACCESS, _ROOM = (
    "check who may write or read it, or give another path",
    "free some space and run the same command again",
)
REMEDIES = {  # of errors of the operating system, by number
    errno.EACCES: _ACCESS,
    errno.EPERM: _ACCESS,
    errno.EROFS: "give another path",
    errno.ENOTDIR: "a part of this path is a file, so give another path",
    errno.ENOSPC: _ROOM,
    errno.EDQUOT: _ROOM,
    errno.EFBIG: _ROOM,
    errno.ENOLCK: "this file system has no locks, so put results, models and cache on another",
}


def shortened(value: object, longest: int = LONGEST) -> str:
    r"""The text of a value for a message: control characters escaped, the middle left out where it is long.

    >>> shortened("a" * 1_000_000, 20)
    'aaaaaaaa...aaaaaaaa (1,000,000 characters)'
    >>> shortened("two\nlines")
    'two\\nlines'
    """
    text = value if isinstance(value, str) else str(value)
    if len(text) <= longest:
        return _printable(text)
    half = max(1, longest // 2 - 2)
    return f"{_printable(text[:half])}...{_printable(text[-half:])} ({len(text):,} characters)"


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)


def as_text(value: object) -> str:
    """The text of a value, also where it is bytes."""
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def listed(values: Iterable[object], most: int = 40) -> str:
    """Values one after the other, each shortened, no more than so many.

    >>> listed(["mjd", "flux", "band"], most=2)
    'mjd, flux and 1 more'
    """
    found = list(values)
    more = f" and {len(found) - most:,} more" if len(found) > most else ""
    return ", ".join(shortened(value) for value in found[:most]) + more


def one_of(what: str, given: object, allowed: Collection[str]) -> None:
    """Raise ValueError unless the value that a user gave for `what` is one of the allowed words."""
    if given not in allowed:
        raise ValueError(f"{what} is '{shortened(given)}': choose one of {', '.join(allowed)}")


def sentence(error: BaseException, longest: int = 1000) -> str:
    """The message of an error on one line: libraries write many, or quote a whole file.

    >>> sentence(PermissionError(13, "Permission denied", "/sys/out.csv"))
    '/sys/out.csv: permission denied: check who may write or read it, or give another path'
    """
    said = str(error)
    if isinstance(error, OSError) and error.strerror:  # of the operating system
        place = f"{error.filename}: " if error.filename else ""
        remedy = REMEDIES.get(error.errno or 0, "")
        said = f"{place}{error.strerror[0].lower()}{error.strerror[1:]}{remedy and ': '}{remedy}"
    return shortened(" ".join(said.split()) or type(error).__name__, longest)
