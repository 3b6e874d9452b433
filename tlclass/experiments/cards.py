"""Survey cards: a mapping whose `_target_` names the class or function it is built by, at any depth.

A card is code, because it names what is called. Without trust only classes that describe a survey are built, see `ALLOWED`.
"""

import importlib
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import is_dataclass
from typing import Any

from tlclass.options import MISTAKES, build
from tlclass.plugins import Trust, packages
from tlclass.quoting import shortened
from tlclass.surveys import Several, Survey
from tlclass.wording import reworded

TARGET = "_target_"
# Where the dataclasses are defined that a card may build, and the functions beside them.
ALLOWED = (
    "tlclass.surveys",
    "tlclass.lightcurves.passbands",
    "tlclass.lightcurves.selection",
    "tlclass.lightcurves.taxonomy",
    "tlclass.experiments.arm",
    "tlclass.training.losses",
    "tlclass.training.schedules",
)
FUNCTIONS = (
    "tlclass.simulator.simulated_survey",
    "tlclass.simulator.joint_simulated_survey",
    "tlclass.surveys.joint_survey",
)
CONSTRUCTORS = ("from_mapping",)  # class methods that build such a class
NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+", re.ASCII)


def build_survey(card: Mapping[str, Any], trust: Trust = False, place: str | None = None) -> Survey | Several:
    """A survey from its card.

    Args:
        card: plain types, interpolations resolved.
        trust: names of further packages whose classes the card may build, or true for all that is importable.
        place: its key as the user writes it, e.g. `target`.

    Raises:
        ValueError: the card has a wrong or missing key, names what is not trusted, or is no survey's.
        ImportError: a module it names cannot be imported.
    """
    named = shortened(card.get("name", "") if isinstance(card, Mapping) else card)
    what = place or f"survey card {named}".rstrip()
    survey = build_part(card, trust, what)
    if not isinstance(survey, Survey | Several):
        raise ValueError(f"{what} builds a {type(survey).__name__}: give {TARGET}: tlclass.surveys.Survey")
    return survey


def build_part(card: Mapping[str, Any], trust: Trust, what: str) -> Any:
    """The object of the class that a card names, e.g. an arm from `conf/method/`; see `build_survey`.

    Raises:
        ValueError, ImportError: see `build_survey`.
    """
    if not isinstance(card, Mapping):
        raise ValueError(f"{what} is the word '{shortened(card)}': choose a file of conf/ or give a group of settings")
    refuse_untrusted(card, trust, what)
    try:
        return _built(card, trust, what)
    except MISTAKES:
        raise
    except Exception as error:  # of a class that was given what it cannot be made of
        raise ValueError(f"{what}: {type(error).__name__}: {shortened(error, 200)}") from error


def refuse_untrusted(card: Any, trust: Trust, what: str) -> None:
    """Check every `_target_` of a card before anything is built.

    Raises:
        ValueError: one is not trusted; names it and what to do. Nothing outside `tlclass` and the trusted packages is imported.
    """
    if isinstance(card, Mapping):
        special = [key for key in card if isinstance(key, str) and re.fullmatch(r"_\w+_", key) and key != TARGET]
        if TARGET in card and special:
            raise ValueError(
                f"{what}: {', '.join(special)} is not allowed in a card: give the options of its {TARGET} by name"
            )
        if TARGET in card:
            resolve(card[TARGET], trust, what)
        for value in card.values():
            refuse_untrusted(value, trust, what)
    elif isinstance(card, list | tuple):
        for value in card:
            refuse_untrusted(value, trust, what)


def resolve(name: Any, trust: Trust, what: str) -> Callable[..., Any]:
    """The class or function that a `_target_` names.

    Raises:
        ValueError: it is no name, is not trusted, or does not exist.
    """
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise ValueError(
            f"{what}: {TARGET} is {shortened(name)}: give the full name of a class, e.g. tlclass.surveys.Table"
        )
    if trust is not True and not _listed(name, (*ALLOWED, *map(_module, FUNCTIONS), *packages(trust))):
        raise ValueError(_not_trusted(name, what))
    found = _imported(name, what)
    if trust is not True and not (_of_a_survey(found) or _of_a_package(found, packages(trust))):
        raise ValueError(_not_trusted(name, what))
    if not callable(found):
        raise ValueError(f"{what}: {TARGET} {shortened(name)} is a {type(found).__name__}, not a class or a function")
    built: Callable[..., Any] = found
    return built


def opened(trust: Trust, more: Sequence[str]) -> Trust:
    """The trust where cards may name the classes of more packages."""
    return trust is True or (*packages(trust), *more)


def _not_trusted(name: str, what: str) -> str:
    return (
        f"{what}: {TARGET} {shortened(name)} is not a class of tlclass that a card may build; nothing was run: a card is code, so read it; "
        f"if you trust it, add trust=[{name.partition('.')[0]}] for the classes of that package, or trust=true for everything"
    )


def _listed(name: str, packages: Sequence[str]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def _of_a_survey(found: Any) -> bool:
    """Whether the object may be built without trust. It is judged by where it is defined, as a module also holds what it imports."""
    if inspect.isclass(found):
        return is_dataclass(found) and _listed(found.__module__, ALLOWED)
    if inspect.ismethod(found):
        return found.__name__ in CONSTRUCTORS and inspect.isclass(found.__self__) and _of_a_survey(found.__self__)
    return inspect.isfunction(found) and any(found is _imported(name, name) for name in FUNCTIONS)


def _module(name: str) -> str:
    return name.rpartition(".")[0]


def _of_a_package(found: Any, names: Sequence[str]) -> bool:
    """Whether a class or function is defined in one of these packages, not merely imported there."""
    home = getattr(found, "__module__", None) if inspect.isclass(found) or inspect.isroutine(found) else None
    return isinstance(home, str) and _listed(home, names)


def _imported(name: str, what: str) -> Any:
    """The object of a dotted name; its longest beginning that is a module is imported."""
    parts = name.split(".")
    for length in range(len(parts) - 1, 0, -1):
        module = ".".join(parts[:length])
        try:
            found = importlib.import_module(module)
        except ModuleNotFoundError as error:
            if error.name is None or not _listed(module, (error.name,)):
                raise ImportError(
                    f"{what}: {TARGET} {shortened(name)}: {module} needs the module {error.name}"
                ) from error
            continue
        for part in parts[length:]:
            found = getattr(found, part, None)  # type: ignore[assignment]
        if found is not None:
            return found
        break
    raise ValueError(
        f"{what}: {TARGET} {shortened(name)} does not exist: check the name, and that its package is installed"
    )


def _built(node: Any, trust: Trust, what: str) -> Any:
    if isinstance(node, list | tuple):
        return [_built(value, trust, what) for value in node]
    if not isinstance(node, Mapping):
        return node
    options = {key: _built(value, trust, f"{what}.{key}") for key, value in node.items() if key != TARGET}
    if TARGET not in node:
        return options
    with reworded(lambda said: said if what in said else f"{what}: {said}"):
        return build(resolve(node[TARGET], trust, what), options, what)
