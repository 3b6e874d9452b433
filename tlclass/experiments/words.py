"""Quote values of the command line for Hydra's grammar, so that paths may contain blanks, brackets, `=`, `~` or commas."""

import inspect
import re
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from tlclass.quoting import shortened

WORD = re.compile(r"(?P<key>\+{0,2}[\w./@][\w./@-]*)=(?P<value>.*)", re.DOTALL)
# Further settings that are paths.
ELSEWHERE = ("source_model", "target.matches", "source.matches", "hydra.run.dir", "hydra.sweep.dir")
QUOTES = ("'", '"')


def readable(words: Sequence[str], multirun: bool = False) -> list[str]:
    """The words of a command line, values quoted where Hydra's grammar would not take them as they are.

    A path is what it says: `paths.data=/my data/[1],2` is one folder. With `multirun` commas separate the values of an
    axis where all of them are there and there is no file of the whole name. A path that begins with `~` is below a home folder. What the
    user quoted, `null` and interpolations (`${...}`) stay as they are.

    Raises:
        ValueError: a value cannot be read even so; says which and how to quote it.
    """
    return [_readable(word, multirun) for word in words]


def is_axis(word: str) -> bool:
    """Whether the word gives several values, one for each job of a sweep.

    >>> is_axis("seed=0,1"), is_axis("seed=range(0,3)"), is_axis("tags=[a,b]")
    (True, True, False)
    """
    return _parses(word) and _parser().parse_override(word).is_sweep_override()


def quoted(text: str) -> str:
    r"""The text between quotes as Hydra reads them.

    >>> print(quoted("it's a\\b\\"))
    'it\'s a\b\\'
    """
    inner = re.sub(r"(\\*)'", lambda found: found[1] * 2 + r"\'", text)
    slashes = len(inner) - len(inner.rstrip("\\"))
    return f"'{inner}{chr(92) * slashes}'"


def written(value: object) -> str:
    """A value of Python as Hydra reads it.

    >>> print(written({"mjd": "time, UTC", "zp": None, "all": [True, 1.5]}))
    {mjd: 'time, UTC', zp: null, all: [true, 1.5]}
    """
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key}: {written(one)}' for key, one in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(written, value))}]"
    return quoted(str(value)) if isinstance(value, str | Path) else str(value)


def _readable(word: str, multirun: bool) -> str:
    match = WORD.fullmatch(word)
    if match is None or _is_quoted(match["value"]):
        return word
    key, value = match["key"], match["value"]
    if _is_path(key) and value not in ("", "null"):
        return f"{key}={_path(value, multirun)}"
    if _parses(word):
        return word
    if value[:1] in ("[", "{") or not _parses(f"{key}={quoted(value)}"):
        raise ValueError(
            f"{shortened(word)} cannot be read: brackets, braces and quotes must be closed, and a text that holds them needs quotes of its own, "
            f"""e.g. '{key.lstrip("+")}="the text"' with both kinds of quotes"""
        )
    return f"{key}={quoted(value)}"


def _path(value: str, multirun: bool) -> str:
    if multirun and not _exists(value) and re.match(r"(choice|range|interval|glob|sort|shuffle|tag)\(", value):
        return value
    parts = value.split(",")
    axis = multirun and not _exists(value) and all(map(_stands, parts))
    return ",".join(map(_one_path, parts)) if axis else quoted(_home(value))


def _stands(part: str) -> bool:
    return part == "null" or _is_quoted(part) or _exists(_home(part))


def _one_path(part: str) -> str:
    return part if part == "null" or _is_quoted(part) else quoted(_home(part))


def _home(value: str) -> str:
    if not value.startswith("~") or _exists(value):
        return value
    try:
        return str(Path(value).expanduser())
    except RuntimeError:  # no such user
        return value


def _exists(value: str) -> bool:
    try:
        return Path(value).exists()
    except (OSError, ValueError):
        return False


def _is_path(key: str) -> bool:
    name = key.lstrip("+")
    parent, _, last = name.rpartition(".")
    return parent == "paths" or name in ELSEWHERE or (".reader" in parent and last in _path_fields())


@cache
def _path_fields() -> frozenset[str]:
    """The settings of the readers that are paths."""
    from tlclass import surveys  # slow to import, and rarely needed here

    readers = [kind for kind in map(vars(surveys).get, surveys.__all__) if inspect.isclass(kind) and is_dataclass(kind)]
    return frozenset(field.name for kind in readers for field in fields(kind) if _holds_path(field.type))


def _holds_path(kind: object) -> bool:
    return re.search(r"\bPath\b", getattr(kind, "__name__", "") + str(kind)) is not None


def _is_quoted(value: str) -> bool:
    return len(value) > 1 and value[0] in QUOTES and value[-1] == value[0] and _parses(f"key={value}")


@cache
def _parser() -> OverridesParser:
    return OverridesParser.create()


@cache
def _parses(word: str) -> bool:
    try:
        _parser().parse_override(word)
    except HydraException:
        return False
    return True
