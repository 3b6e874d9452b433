"""Building a class from settings, with an answer to a misspelt one."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

T = TypeVar("T")

MISTAKES = (ValueError, OSError, ImportError)  # a user's, said in one sentence without a traceback
KINDS = {int: "a whole number", float: "a number", bool: "true or false"}


def build(kind: Callable[..., T], options: Mapping[str, Any], what: str) -> T:
    """`kind(**options)`.

    Raises:
        ValueError: an option is unknown or missing; names it and the known ones. A word stands where a number belongs,
            or in place of all options.
    """
    parameters = inspect.signature(kind).parameters
    known = [name for name in parameters if name != "self"]
    if not isinstance(options, Mapping):
        raise ValueError(f"{what} is '{options}': give its options {', '.join(known)}")
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise ValueError(f"{what}: unknown option {', '.join(unknown)}; known are {', '.join(known)}")
    for name, value in options.items():
        needed = KINDS.get(parameters[name].annotation)
        if needed and isinstance(value, str):
            raise ValueError(f"{what}.{name} is '{value}': give {needed}")
    try:
        return kind(**options)
    except TypeError as error:
        raise ValueError(f"{what}: {error}; its options are {', '.join(known)}") from error


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
