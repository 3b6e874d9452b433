"""Build an object from settings; pydantic checks them against the signature, and a mistake becomes one sentence."""

import inspect
import types
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

from pydantic import BeforeValidator, ConfigDict, ValidationError, create_model
from pydantic_core import ErrorDetails, PydanticCustomError

from tlclass.quoting import shortened

T = TypeVar("T")

MISTAKES = (ValueError, OSError, ImportError)  # a user's, told in one sentence without a traceback
KINDS = {
    "int": "a whole number",
    "float": "a finite number",
    "finite": "a finite number",
    "bool": "true or false",
    "string": "text",
    "list": "a list",
    "tuple": "a list",
    "dict": "a group of settings",
    "mapping": "a group of settings",
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
    try:
        values = _checked(kind).model_validate({name: options[name] for name in options if name in known})
        return kind(**{name: getattr(values, name) if name in known else options[name] for name in options})
    except ValidationError as error:
        raise ValueError(sentence(error, what)) from None
    except TypeError as error:
        raise ValueError(f"{what}: {error}; its options are {', '.join(known)}") from error


def build_named(table: Mapping[str, Callable[..., T]], settings: Mapping[str, Any], what: str, **given: Any) -> T:
    """Build the entry of `table` that `settings["name"]` names from the other settings and `given`.

    Raises:
        ValueError: the name or an option is unknown.
    """
    name = settings["name"]
    if name not in table:
        raise ValueError(f"{what} '{name}' is unknown{nearest(str(name), table)}: choose one of {', '.join(table)}")
    options = {key: value for key, value in settings.items() if key != "name"}
    return build(table[name], {**options, **given}, f"{what} '{name}'")


def sentence(error: ValidationError, what: str) -> str:
    """What pydantic found, in one sentence: the key as the user writes it, what was given, what is allowed."""
    return "; ".join(_one(found, what) for found in error.errors())


def nearest(word: str, known: Sequence[str] | Mapping[str, Any], give: str = " (did you mean {}?)") -> str:
    """A question that names the known word most like this one; empty if none is."""
    close = get_close_matches(word, list(known), n=1, cutoff=0.6)
    return give.format(close[0]) if close else ""


def number_not_truth(value: Any) -> Any:
    """Refuse true and false where a number is wanted; Python would take them as 1 and 0."""
    if isinstance(value, bool):
        raise PydanticCustomError("float_type", "a number is wanted")
    return value


def _one(found: ErrorDetails, what: str) -> str:
    place = ".".join([*([what] if what else []), *(str(part) for part in found["loc"] if not _is_kind(part))])
    kind = found["type"]
    if kind == "value_error":
        return str(found["ctx"]["error"])
    if kind == "missing":
        return f"{place} is missing"
    allowed = KINDS.get(kind.split("_")[0])
    if kind == "literal_error":
        allowed = f"one of {found['ctx']['expected']}"
    return f"{place} is {shortened(repr(found['input']))}: give {allowed}" if allowed else f"{place}: {found['msg']}"


def _is_kind(part: int | str) -> bool:
    """Whether part of an error's place names a branch of a union, which the user did not write."""
    return isinstance(part, str) and (part in KINDS or "[" in part or part.startswith("function-"))


def _checked(kind: Callable[..., Any]) -> Any:
    """A pydantic model with the arguments of `kind`."""
    hints = get_type_hints(kind.__init__ if isinstance(kind, type) else kind)  # type: ignore[misc]
    fields: dict[str, Any] = {}
    for name, parameter in inspect.signature(kind).parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD:
            continue
        default = ... if parameter.default is inspect.Parameter.empty else parameter.default
        fields[name] = (_strict(hints.get(name, Any)), default)
    config = ConfigDict(arbitrary_types_allowed=True, allow_inf_nan=False, protected_namespaces=())
    return create_model("Options", __config__=config, **fields)


def _strict(annotation: Any) -> Any:
    """The annotation, in which true and false are no numbers, and interfaces are not checked: their classes are."""
    if isinstance(annotation, type) and getattr(annotation, "_is_protocol", False):
        return Any
    if annotation in (int, float):
        return Annotated[annotation, BeforeValidator(number_not_truth)]
    if get_origin(annotation) in (Union, types.UnionType):
        return Union[tuple(_strict(part) for part in get_args(annotation))]  # noqa: UP007
    return annotation
