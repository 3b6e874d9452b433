"""Build loss, optimizer, schedule and callbacks from their configuration groups."""

import functools
import inspect
import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import torch
from lightning.pytorch.callbacks import Callback

from tlclass.experiments.cards import TARGET, build_part, opened, refuse_untrusted, resolve
from tlclass.options import build, nearest
from tlclass.plugins import Trust
from tlclass.training.settings import FitSettings
from tlclass.wording import reworded

GROUPS = ("loss", "optimizer", "schedule")
OPEN = {  # packages whose classes these groups may name beside those of tlclass
    "loss": ("torch.nn",),
    "optimizer": ("torch.optim",),
    "schedule": (),
    "callbacks": ("lightning.pytorch.callbacks", "tlclass.training.callbacks"),
}


def fit_from(config: Mapping[str, Any], trust: Trust, where: str = "") -> FitSettings:
    """How long, how fast, and with which loss, optimizer and schedule.

    Args:
        config: with the groups `fit`, `loss`, `optimizer` and `schedule`.
        trust: see `build_survey`.
        where: the place of these groups, e.g. `pretrain.`.

    Raises:
        ValueError: an option is unknown or out of range, or a class is not trusted.
    """
    group = config["fit"]
    moved = [name for name in (*GROUPS, "warmup_steps") if isinstance(group, Mapping) and name in group]
    if moved:
        word = f"schedule@{where}schedule" if where else "schedule"
        raise ValueError(
            f"{where}fit.{moved[0]} cannot be set: loss, optimizer and schedule are groups of their own, "
            f"e.g. {word}=one_cycle and {where}schedule.warmup_steps=50"
        )
    with named_from(where):
        return replace(
            build(FitSettings, group, f"{where}fit"),
            loss=build_part(unnamed(config["loss"]), opened(trust, OPEN["loss"]), f"{where}loss"),
            optimizer=optimizer_from(unnamed(config["optimizer"]), trust, f"{where}optimizer"),
            schedule=build_part(unnamed(config["schedule"]), opened(trust, OPEN["schedule"]), f"{where}schedule"),
        )


def named_from(where: str) -> AbstractContextManager[None]:
    """Name what a class refuses as the user writes it: with the place of its group in front, e.g. `pretrain.`.

    Raises:
        ValueError: the one that is raised inside.
    """
    groups = "fit|loss|optimizer|schedule|protocol|augmentation"
    return reworded(lambda said: re.sub(rf"(?<![.\w])({groups})\.", rf"{where}\1.", said))


def optimizer_from(card: Any, trust: Trust, what: str) -> Callable[..., torch.optim.Optimizer]:
    """A class of optimizers with options; the parameters come later.

    Raises:
        ValueError: it is no optimizer, or does not take the options.
    """
    make = _with_options(card, opened(trust, OPEN["optimizer"]), what)
    try:
        made = make([{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": 1e-3}])
    except (TypeError, ValueError) as error:
        raise ValueError(f"{what}: {error}") from error
    if not isinstance(made, torch.optim.Optimizer):
        raise ValueError(f"{what}: {TARGET} {card[TARGET]} is not an optimizer: give a class such as torch.optim.AdamW")
    return make


def callbacks_from(group: Any, trust: Trust) -> list[Callback]:
    """Lightning's callbacks by name; `callbacks=[lr_monitor,gradient_norm]` gives several.

    Raises:
        ValueError: a class is not trusted, is no callback, or does not take its options.
    """
    if not isinstance(group, Mapping):
        raise ValueError(f"callbacks is '{group}': choose files of conf/callbacks, e.g. callbacks=lr_monitor")
    built = []
    for name, card in group.items():
        what = f"callbacks.{name}"
        try:
            callback = _with_options(card, opened(trust, OPEN["callbacks"]), what)()
        except (TypeError, ValueError) as error:
            raise ValueError(f"{what}: {error}") from error
        if not isinstance(callback, Callback):
            raise ValueError(f"{what}: {TARGET} {card[TARGET]} is not a callback of Lightning")
        built.append(callback)
    return built


def unnamed(card: Any) -> Any:
    """The card without its name, which stands for it in folders, tables and the job's key."""
    return {key: value for key, value in card.items() if key != "name"} if isinstance(card, Mapping) else card


def _with_options(card: Any, trust: Trust, what: str) -> Callable[..., Any]:
    if not isinstance(card, Mapping) or TARGET not in card:
        raise ValueError(f"{what} is {card!r}: give the name of a class as {TARGET}, and its options")
    refuse_untrusted(card, trust, what)
    kind = resolve(card[TARGET], trust, what)
    options = {name: value for name, value in card.items() if name != TARGET}
    known = list(inspect.signature(kind).parameters)
    for name in options:
        if name not in known:
            raise ValueError(
                f"{what}: unknown option {name}{nearest(name, known)}; {card[TARGET]} has {', '.join(known)}"
            )
    return functools.partial(kind, **options)
