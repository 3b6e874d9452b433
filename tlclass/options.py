"""Build an object from settings that pydantic checks against its signature; a mistake becomes one sentence."""

import argparse
import functools
import inspect
import logging
import re
import signal
import sys
import types
from collections import abc
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn, TypeVar, Union, get_args, get_origin, get_type_hints

from pydantic import BeforeValidator, Field, InstanceOf, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from tlclass.quoting import sentence, shortened
from tlclass.wording import TRUST

T = TypeVar("T")

Size = Annotated[int, Field(gt=0)]  # a number of things of which there is at least one

MISTAKES = (ValueError, OSError, ImportError)  # of a user: reported in one sentence without a traceback
LOST = ("concurrent.futures.process.BrokenProcessPool", "joblib.externals.loky.process_executor.TerminatedWorkerError")


class CommandLine(argparse.ArgumentParser):
    """The words of a command; a mistake in them is one sentence and exit code 2."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong: with the nearest option where one is unknown, and what is wanted where it is no number."""
        number = re.fullmatch(r"argument ([^:]+): invalid (int|float) value: (.*)", message)
        unknown = re.match(r"unrecognized arguments: (--[\w-]+)", message)
        if number:
            message = f"{number[1]} is {number[3]}: give {KINDS[number[2]]}"
        elif unknown:
            message += nearest(unknown[1], re.findall(r"--[\w-]+", self.format_help()))
        self.exit(2, f"error: {message}; {self.prog} --help lists what there is\n")


@contextmanager
def reported_mistakes(words: Callable[[str], str] = str) -> Iterator[None]:
    """End a command with one sentence on standard error and exit code 2 where the user made a mistake, 1 where a process of it was killed.

    Args:
        words: puts messages into the words of the command, those in the log too, see `tlclass.wording`.
    """
    try:
        with logged_in(words):
            yield
    except MISTAKES as error:
        sys.stderr.write(f"error: {words(sentence(error))}\n")
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        raise SystemExit(128 + signal.SIGINT) from None
    except RuntimeError as error:
        lost = lost_process(error)
        if lost is None:
            raise
        sys.stderr.write(f"error: {lost}\n")
        raise SystemExit(1) from None


def lost_process(error: BaseException | None) -> str | None:
    """What to say if the error is that a process of a pool was killed from outside; else None."""
    if f"{type(error).__module__}.{type(error).__name__}" not in LOST:
        return None
    signals = ", ".join(sorted(set(re.findall(r"SIG[A-Z]+", str(error)))))
    return f"a process was killed{signals and f' by {signals}'} (often: out of memory): run the same command again"


@contextmanager
def logged_in(words: Callable[[str], str]) -> Iterator[None]:
    """Put the messages of the log into the words of a command, see `tlclass.wording`."""

    def reword(record: logging.LogRecord) -> bool:
        record.msg, record.args = words(record.getMessage()), ()
        return True

    handlers = logging.getLogger().handlers[:]
    for handler in handlers:
        handler.addFilter(reword)
    try:
        yield
    finally:
        for handler in handlers:
            handler.removeFilter(reword)


OBJECT = "a group of settings with a _target_"
KINDS = {
    "int": "a whole number",
    "float": "a finite number",
    "finite": "a finite number",
    "bool": "true or false",
    "string": "text",
    "list": "a list",
    "sequence": "a list",
    "tuple": "a list",
    "dict": "a group of settings",
    "mapping": "a group of settings",
    "object": OBJECT,
}


def build(kind: Callable[..., T], options: Mapping[str, Any], what: str) -> T:
    """`kind(**options)`, the options checked and converted to the kinds that its signature states.

    Args:
        kind: a class or a function with annotated arguments.
        options: keyword arguments.
        what: their place as the user writes it, e.g. `fit`.

    Raises:
        ValueError: an option is unknown, missing or of the wrong kind, or `kind` refuses it.
    """
    values = checked_options(kind, options, what)
    try:
        return kind(**values)
    except TypeError as error:
        known = ", ".join(name for name in inspect.signature(kind).parameters if name != "self")
        raise ValueError(f"{what}: {error}; its options are {known}") from error


def checked_options(kind: Callable[..., Any], options: Mapping[str, Any], what: str) -> dict[str, Any]:
    """The options, converted to the kinds that the signature of `kind` states; some that it needs may be missing.

    Raises:
        ValueError: an option is unknown or of the wrong kind.
    """
    parameters = inspect.signature(kind).parameters
    known = [name for name, one in parameters.items() if name != "self" and one.kind is not one.VAR_KEYWORD]
    takes_any = any(one.kind is one.VAR_KEYWORD for one in parameters.values())  # and checks them itself
    if not isinstance(options, Mapping):
        raise ValueError(f"{what} is '{shortened(options)}': give its options {', '.join(known)}")
    unknown = [name for name in options if name not in known]
    if unknown and not takes_any:
        raise ValueError(
            f"{what}: unknown option {'; '.join(f'{n}{nearest(n, known)}' for n in unknown)}; known are {', '.join(known)}"
        )
    hints = get_type_hints(kind.__init__ if isinstance(kind, type) else kind, include_extras=True)  # type: ignore[misc]
    return {
        name: checked(value, hints.get(name, Any), f"{what}.{name}" if what else name)
        for name, value in options.items()
    }


def checked_arguments(function: Callable[..., Any], given: Mapping[str, Any], *but: str) -> dict[str, Any]:
    """The arguments of a function of the Python interface, in the order of its signature, checked against their annotations as `build` does.

    It is called by the function itself: Lightning finds the arguments of a task and of its subclasses in their own frames.

    >>> def cut(days: float, names: Sequence[str] = ()) -> None: ...
    >>> checked_arguments(cut, {"days": "ten", "names": ()})
    Traceback (most recent call last):
    ValueError: days is 'ten': give a finite number

    Args:
        function: whose arguments they are.
        given: its `locals()`. Arrays, tensors and columns of tables stand for lists.
        but: names of arguments that it checks itself.
    """
    names = [name for name in inspect.signature(function).parameters if name not in ("self", *but)]
    plain = {name: given[name].tolist() if hasattr(given[name], "tolist") else given[name] for name in names}
    try:
        return checked_options(function, plain, "")
    except ValueError as error:
        words = str(error).replace(OBJECT, "an object").replace("a group of settings", "a dictionary")
        raise ValueError(re.sub(r"the settings of an? (\w+), e.g. by a file of conf/", r"\1(...)", words)) from None


def build_named(table: Mapping[str, Callable[..., T]], settings: Mapping[str, Any], what: str, **given: Any) -> T:
    """Build the entry of `table` that `settings["name"]` names from the other settings and `given`.

    Raises:
        ValueError: the name or an option is unknown.
    """
    name = settings["name"]
    if name not in table:
        raise ValueError(
            f"{what} '{name}' is unknown{nearest(str(name), table)}: choose one of {', '.join(table)}; {TRUST}"
        )
    options = {key: value for key, value in settings.items() if key != "name"}
    return build(table[name], {**options, **given}, what)


def checked(value: Any, annotation: Any, place: str) -> Any:
    """The value, converted to the kind that the annotation states; what is no plain type is not checked.

    Raises:
        ValueError: it is of another kind; names its place.
    """
    try:
        return _adapter(annotation).validate_python(value)
    except ValidationError as error:
        raise ValueError(_one(error.errors(), place)) from None


def nearest(word: str, known: Sequence[str] | Mapping[str, Any]) -> str:
    """A question that names the known word most like this one; empty if none is."""
    close = get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f" (did you mean {close[0]}?)" if close else ""


def _no_other(kind: str) -> BeforeValidator:
    """Refuse true and false, which Python would take as 1 and 0, and 1.0 as a whole number: the job of `seed=1.0` would be another than that of `seed=1`."""

    def refuse(value: Any) -> Any:
        if isinstance(value, bool) or (kind == "int" and isinstance(value, float)):
            raise PydanticCustomError(f"{kind}_type", "a number is expected")
        return value

    return BeforeValidator(refuse)


def _no_plain_value(value: Any) -> Any:
    """Refuse a word, a number or a list where an object that does something is wanted."""
    if value is None or isinstance(value, str | int | float | list | tuple | Mapping):
        raise PydanticCustomError("object_type", "an object is expected")
    return value


def _one(errors: Sequence[ErrorDetails], what: str) -> str:
    """The first thing that pydantic found, in one sentence: the key as the user writes it, what was given, what is allowed."""
    first, place = errors[0], _place(errors[0], what)
    allowed = [_allowed(found) for found in errors if _place(found, what) == place]  # several of a union
    if None in allowed:
        return f"{place}: {first['msg']}"
    return f"{place} is {shortened(repr(first['input']))}: give {' or '.join(dict.fromkeys(map(str, allowed)))}"


def _place(found: ErrorDetails, what: str) -> str:
    return ".".join([*([what] if what else []), *(str(part) for part in found["loc"] if not _is_kind(part))])


def _allowed(found: ErrorDetails) -> str | None:
    """What may stand there."""
    kind, given = found["type"], found["input"]
    if kind == "int_type" and isinstance(given, float) and given.is_integer():
        return f"{KINDS['int']} without a decimal point or exponent, {int(given)}"
    if kind == "literal_error":
        return f"one of {found['ctx']['expected']}"
    if kind == "greater_than":
        return f"a number above {found['ctx']['gt']}"
    if kind == "is_instance_of":
        name = found["ctx"]["class"]
        return {"Sequence": "a list", "Mapping": "a group of settings"}.get(
            name, f"the settings of a {name}, e.g. by a file of conf/"
        )
    return KINDS.get(kind.split("_")[0])


def _is_kind(part: int | str) -> bool:
    """Whether part of an error's place names a branch of a union, which the user did not write."""
    return isinstance(part, str) and (part in (*KINDS, "str") or "[" in part or part.startswith("function-"))


@functools.cache
def _adapter(annotation: Any) -> TypeAdapter[Any]:
    return TypeAdapter(_plain(annotation))


def _plain(annotation: Any) -> Any:
    """The plain types of an annotation, in which true and false are no numbers; anything else is `Any`."""
    if annotation is int:
        return Annotated[int, _no_other("int")]
    if annotation is float:
        return Annotated[float, Field(allow_inf_nan=False), _no_other("float")]
    if annotation in (Any, bool, str, Path, type(None), ...):
        return annotation
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return annotation
    if origin is Annotated:
        return Annotated[_plain(arguments[0]), *arguments[1:]]
    if origin in (Union, types.UnionType):
        return Union[tuple(map(_plain, arguments))]  # noqa: UP007
    if origin in (list, tuple, dict, abc.Sequence, abc.Mapping):
        return origin[tuple(map(_plain, arguments))]
    if getattr(annotation, "_is_protocol", False) or origin is abc.Callable:
        return Annotated[Any, BeforeValidator(_no_plain_value)]
    if isinstance(annotation, type):
        return InstanceOf[annotation]  # type: ignore[misc]
    return Any
