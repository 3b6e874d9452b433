"""Building a class from settings, with an answer to a misspelt one."""

import inspect
import math
from collections.abc import Callable, Mapping
from numbers import Integral, Real
from typing import Any, TypeVar

T = TypeVar("T")

MISTAKES = (ValueError, OSError, ImportError)  # a user's, said in one sentence without a traceback
KINDS = {int: "a whole number", float: "a finite number", bool: "true or false"}


def build(kind: Callable[..., T], options: Mapping[str, Any], what: str) -> T:
    """`kind(**options)`.

    Raises:
        ValueError: an option is unknown or missing; names it and the known ones. Or it is of another kind; see `check`.
            Or a word stands in place of all options.
    """
    parameters = inspect.signature(kind).parameters
    known = [name for name, one in parameters.items() if name != "self" and one.kind is not one.VAR_KEYWORD]
    takes_any = any(one.kind is one.VAR_KEYWORD for one in parameters.values())  # and checks them itself
    if not isinstance(options, Mapping):
        raise ValueError(f"{what} is '{options}': give its options {', '.join(known)}")
    unknown = sorted(set(options) - set(known))
    if unknown and not takes_any:
        raise ValueError(f"{what}: unknown option {', '.join(unknown)}; known are {', '.join(known)}")
    for name in [name for name in options if name in known]:
        check(options[name], parameters[name].annotation, f"{what}.{name}")
    try:
        return kind(**options)
    except TypeError as error:
        raise ValueError(f"{what}: {error}; its options are {', '.join(known)}") from error


def check(value: Any, kind: Any, what: str) -> None:
    """Raise ValueError if `kind` is one of `KINDS` and `value` is not of it; true and false are no numbers."""
    number, truth = isinstance(value, Real), isinstance(value, bool)
    fits = {
        int: isinstance(value, Integral) and not truth,
        float: number and not truth and math.isfinite(value),
        bool: truth,
    }
    if not fits.get(kind, True):
        raise ValueError(f"{what} is {value!r}: give {KINDS[kind]}")


def build_named(table: Mapping[str, Callable[..., T]], settings: Mapping[str, Any], what: str, **given: Any) -> T:
    """Build the entry of `table` that `settings["name"]` names from the other settings and `given`.

    Raises:
        ValueError: the name or an option is unknown.
    """
    name = settings["name"]
    if name not in table:
        raise ValueError(f"{what} '{name}' is unknown: choose one of {', '.join(table)}")
    options = {key: value for key, value in settings.items() if key != "name"}
    return build(table[name], {**options, **given}, f"{what} '{name}'")
