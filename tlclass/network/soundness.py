"""Whether a model's files are sound, before memory is taken for what they state: they may be damaged, or a stranger's."""

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from tlclass.quoting import shortened


def description_of(path: Path) -> dict[str, Any]:
    """A JSON object of finite numbers.

    Raises:
        ValueError: the file is no JSON, not an object, or holds NaN or a number too large.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"), parse_constant=_finite, parse_float=_finite)
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise ValueError(
            f"{path.parent} does not hold a readable model: {path.name} is not JSON ({type(error).__name__}: {shortened(error)}): copy it again"
        ) from error
    except OverflowError as error:
        raise ValueError(
            f"{path} holds {error}, which is not a finite number: copy it again, or train the model again"
        ) from None
    if not isinstance(found, dict):
        raise ValueError(
            f"{path.parent} does not hold a readable model: {path.name} is not a JSON object: copy it again"
        )
    return found


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise OverflowError(shortened(text))
    return number


def refuse_infinite(tensors: Mapping[str, Tensor], origin: Path) -> None:
    """Raise ValueError if a weight is NaN or infinite: every probability would be NaN."""
    bad = [name for name, tensor in tensors.items() if not bool(torch.isfinite(tensor).all())]
    if bad:
        raise ValueError(
            f"{origin}: {len(bad)} of {len(tensors)} tensors hold values that are not finite, e.g. {shortened(bad[0])}: "
            "the file is damaged or its training failed; copy it again, or train the model again"
        )


def refuse_misfit(build: Callable[[], nn.Module], members: int, tensors: Mapping[str, Tensor], origin: Path) -> None:
    """Compare an architecture with the tensors for it; it is built without memory, and no further than the tensors go.

    Args:
        build: makes one network.
        members: how many of them the description states.
        tensors: of the file, by name; those of an ensemble begin with `members.0.`, ...
        origin: what to call it in messages.

    Raises:
        ValueError: the numbers or shapes differ.
    """
    found = {name.split(".")[1] for name in tensors if name.startswith("members.")}
    stated = members if members != 1 else 0
    if not isinstance(members, int) or isinstance(members, bool) or len(found) != stated or not tensors:
        raise ValueError(
            f"{origin}: it states {shortened(members)} network(s), but its weights are of {len(found) or 1}: copy both files again"
        )
    own = {name.removeprefix("members.0."): tensor for name, tensor in tensors.items()} if found else dict(tensors)
    largest = max(tensor.numel() for tensor in own.values())
    count = 0

    def within(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        nonlocal count
        count += 1
        if count > len(own) or (parameter is not None and parameter.numel() > largest):
            raise ValueError(_misfit(origin, "it states more weights, or larger ones, than there are"))

    hook = register_module_parameter_registration_hook(within)
    try:
        with torch.device("meta"):
            state = build().state_dict()
    finally:
        hook.remove()
    for name, tensor in state.items():
        if name not in own or own[name].shape != tensor.shape:
            has = f"of shape {tuple(own[name].shape)}" if name in own else "absent"
            raise ValueError(_misfit(origin, f"{name} should be of shape {tuple(tensor.shape)} and is {has}"))
        if own[name].is_floating_point() != tensor.is_floating_point():
            raise ValueError(_misfit(origin, f"{name} should hold {tensor.dtype} and holds {own[name].dtype}"))


def _misfit(origin: Path, what: str) -> str:
    return f"{origin}: the weights do not fit the architecture in model.json: {what}; copy both files again"
