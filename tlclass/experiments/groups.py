"""The groups of a job's settings, each checked by the class that it builds: arm, head, encoding, trainer."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import lightning as L

from tlclass.experiments.arm import Arm
from tlclass.experiments.cards import build_part
from tlclass.network.heads import HEADS
from tlclass.options import checked, checked_options, nearest
from tlclass.plugins import Trust
from tlclass.training.fit import refuse_reserved


def arm_from(arm: Mapping[str, Any], method: Mapping[str, Any], trust: Trust) -> Arm:
    """The arm: its class and options are those of the method, its name its own.

    Raises:
        ValueError: a key is wrong or missing.
    """
    if not isinstance(arm, Mapping) or set(arm) - {"name", "reference"}:
        raise ValueError(f"arm is {arm!r}: choose arm=NAME, or set arm.name and arm.reference")
    options = {key: value for key, value in method.items() if key != "name"}
    if arm.get("reference") is not None:
        options["is_reference"] = checked(arm["reference"], bool, "arm.reference")
    built: Arm = build_part({**options, "name": str(arm["name"])}, trust, "method")
    return built


def named(settings: Any, table: Mapping[str, Any], group: str) -> Mapping[str, Any]:
    """Settings with the name of one of the classes in a table, and options as its signature states them.

    Raises:
        ValueError: they are a word, or the name or an option is unknown or of the wrong kind.
    """
    if not isinstance(settings, Mapping):
        raise ValueError(f"{group} is '{settings}': choose {group}=NAME, one of {', '.join(table)}")
    if settings.get("name") not in table:
        name = str(settings.get("name"))
        raise ValueError(f"{group} '{name}' is unknown{nearest(name, table)}: choose one of {', '.join(table)}")
    options = {key: value for key, value in settings.items() if key != "name"}
    return {"name": settings["name"], **checked_options(table[settings["name"]], options, group)}


@dataclass(frozen=True)
class KeptHead:
    """What can be set of `head=source`; the rest is the source model's and the taxonomy's."""

    use_shares: bool = False


def trainer_options(trainer: Mapping[str, Any]) -> dict[str, Any]:
    """Options of Lightning's trainer.

    Raises:
        ValueError: one is not the user's to set, or is of the wrong kind.
    """
    refuse_reserved(trainer)
    options = checked_options(L.Trainer, trainer, "trainer")
    devices = options.get("devices", 1)
    if isinstance(devices, str) and not re.fullmatch(r"auto|-?\d+(,\d+)*", devices):
        raise ValueError(f"trainer.devices is '{devices}': give a whole number, a list of devices, or auto")
    return options


def target_head(head: Any, arm: Arm) -> Mapping[str, Any]:
    """The target's head; training from scratch beside `head=source` has no head to keep and gets a new linear one."""
    found = named(head, {**HEADS, "source": KeptHead}, "head")
    return {"name": "linear"} if found["name"] == "source" and not arm.needs_source else found


def encoding_for(card: Mapping[str, Any], encoding: Any) -> Mapping[str, Any]:
    """The encoding's settings; a flux scale of null becomes the survey's own.

    Raises:
        ValueError: its card states none.
    """
    if not isinstance(encoding, Mapping):
        raise ValueError(f"encoding is '{encoding}': choose encoding=NAME, a file of conf/encoding")
    if encoding.get("flux_scale", 0) is not None:
        return encoding
    if card.get("typical_flux") is None:
        raise ValueError(
            f"encoding.flux_scale is null, so that the survey's typical flux is taken, but the card of {card.get('name')} states "
            "none: set typical_flux there (median |flux| of its light curves), or a number as encoding.flux_scale"
        )
    return {**encoding, "flux_scale": float(card["typical_flux"])}


def with_flux_scale(encoding: Mapping[str, Any], flux_scale: float | None) -> Mapping[str, Any]:
    """The source's encoding: the target's with another flux scale.

    Raises:
        ValueError: the encoding has no flux scale, and one is given.
    """
    if "flux_scale" in encoding:
        return {**encoding, "flux_scale": flux_scale}
    if flux_scale is not None:
        raise ValueError(f"pretrain.flux_scale is {flux_scale}, but encoding {encoding['name']} has none: leave it out")
    return encoding
