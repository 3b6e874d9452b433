"""What a sweep varies, and the place of each varied setting in a job's folder."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

PLACED = ("arm", "labels", "seed")  # the folders of every job
NAMING = ("freeze_policy", "method")  # where no arm is chosen, they name it


def varied(params: Mapping[str, Any] | None, words: Sequence[str]) -> list[str]:
    """The settings that a sweep varies, in order: axes of the experiment, then of the command line, which wins.

    Args:
        params: `hydra.sweeper.params` of the experiment. words: of the command line.
    """
    given = _keys(words)
    axes = [name for name in params or {} if name not in given and name not in replaced(params, words)]
    return [*axes, *(name for name, sweeps in given.items() if sweeps)]


def replaced(params: Mapping[str, Any] | None, words: Sequence[str]) -> list[str]:
    """Axes of the experiment that an arm replaces, which is a complete recipe: `freeze_policy` and `method`.

    >>> replaced({"arm": "full,forest", "freeze_policy": "from_scratch,head_only", "seed": "0,1"}, [])
    ['freeze_policy']
    """
    arms = "arm" in (params or {}) or "arm" in _keys(words)
    return [name for name in params or {} if name in NAMING and arms]


def _keys(words: Sequence[str]) -> dict[str, bool]:
    """Key -> whether it is swept, of words of the command line."""
    overrides = OverridesParser.create().parse_overrides(list(words))
    return {override.get_key_element().lstrip("+"): override.is_sweep_override() for override in overrides}


def subdir(axes: Sequence[str], arm_chosen: bool) -> str:
    """The folder of a job below its sweep's: arm, labels, every other varied setting, seed.

    >>> subdir(["seed", "fit.learning_rate"], False)
    '${arm.name}/${labels_name:${labels}}/fit.learning_rate=${place:fit.learning_rate}/seed${seed}'

    Args:
        axes: see `varied`.
        arm_chosen: whether the arm is named by a file of `conf/arm/`, and not by its freeze policy and method.
    """
    placed = (*PLACED, *(() if arm_chosen else NAMING))
    more = [f"{safe(name)}=${{place:{name}}}" for name in axes if name not in placed]
    return "/".join(["${arm.name}", "${labels_name:${labels}}", *more, "seed${seed}"])


def place(name: str, *, _root_: DictConfig) -> str:
    """The value of a varied setting, or the chosen file of a varied group, as a part of a folder's name."""
    choices = HydraConfig.get().runtime.choices
    return safe(choices[name] if name in choices else OmegaConf.select(_root_, name))


def safe(value: object) -> str:
    """The value as text that can stand in a folder's name."""
    return re.sub(r"[^\w.+-]+", "_", str(value))


OmegaConf.register_new_resolver("place", place, replace=True)
