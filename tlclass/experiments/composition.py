"""From the words of a command line to the settings of a job: all that is special about composing them with Hydra."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from tlclass.config import CONF
from tlclass.experiments.cards import build_survey as build_survey
from tlclass.experiments.devices import workers
from tlclass.options import MISTAKES

Settings = dict[str, Any]
UNKNOWN = re.compile(r"Could not find '(?P<group>.+)/(?P<name>.+)'\n\nAvailable options in '.+':\n(?P<known>(\t.+\n)+)")
EXTRAS = {"joblib": "joblib", "submitit_slurm": "slurm", "submitit_local": "slurm", "ray": "ray"}  # of launchers

OmegaConf.register_new_resolver("cuda_workers", workers, replace=True)


def compose(overrides: Sequence[str], config_dir: str | None = None) -> Settings:
    """The settings these words of a command line give, without running anything.

    Raises:
        HydraException, OmegaConfBaseException: a word means nothing; see `one_sentence`.
    """
    own = [f"hydra.searchpath=[file://{Path(config_dir).resolve()}]"] if config_dir else []
    with hydra.initialize_config_dir(str(CONF.resolve()), version_base="1.3"):
        return plain(hydra.compose("train", overrides=[*own, *map(without_lists, overrides)]))


def plain(config: DictConfig) -> Settings:
    """The settings as plain types, interpolations resolved, with the chosen parts of the source.

    Parts that an experiment added to a source which the command line then replaced are left out.
    """
    settings: Settings = OmegaConf.to_container(config, resolve=True)  # type: ignore[assignment]
    source = settings["source"]
    chosen = source.pop("chosen", source.get("parts", ()))
    if source["_target_"] != "tlclass.surveys.Several":
        source.pop("parts", None)
    else:
        source["parts"] = {name: source["parts"][name] for name in chosen}
    return settings


def without_lists(word: str) -> str:
    """A word of the command line in which a list of sources is one choice: `source=[a,b]` becomes `source=a+b`.

    Hydra would lay the cards of a list over one another. The choice is a card made here, `several` with these parts.

    Raises:
        ValueError: fewer than two surveys are listed, or one twice, or it is the target that is a list.
    """
    group, _, value = word.partition("=")
    if group not in ("source", "target") or "[" not in value:
        return word
    if group == "target":
        raise ValueError(f"{word}: the target is one survey; only the source can be several")
    override = OverridesParser.create().parse_override(word)
    given: Any = override.value()
    choices = given.list if override.is_choice_sweep() else [given]
    return "source=" + ",".join(_one_card(word, c) if isinstance(c, list) else str(c) for c in choices)


def _one_card(word: str, listed: Sequence[Any]) -> str:
    names = [str(name) for name in listed]
    if len(names) < 2 or len(set(names)) < len(names):
        raise ValueError(f"{word}: list two surveys or more, and none twice; one alone is source=NAME")
    defaults = ["several", *({f"/survey@parts.{name}": name} for name in names), "_self_"]
    choice = "+".join(names)
    ConfigStore.instance().store(choice, {"defaults": defaults, "chosen": names}, "source", provider="tlclass")
    return choice


def target_settings(settings: Settings, from_scratch: bool) -> Settings:
    """Those of `tlclass.experiments.job.Job` for the target.

    Training from scratch beside `head=source` has no head to keep; it gets a new linear one.
    """
    head = {"name": "linear"} if from_scratch and settings["head"]["name"] == "source" else settings["head"]
    kept = {name: settings[name] for name in ("seed", "data_fraction", "protocol", "fit", "augmentation", "model")}
    encoding = encoding_for(settings["target"], settings["encoding"])
    return {"survey": settings["target"], "encoding": encoding, "head": head, **kept}


def pretraining_settings(settings: Settings) -> Settings:
    """The same for the source model."""
    pretrain = {name: value for name, value in settings["pretrain"].items() if name != "flux_scale"}
    encoding = {**settings["encoding"], "flux_scale": settings["pretrain"]["flux_scale"]}
    encoding = encoding_for(settings["source"], encoding)
    return {"survey": settings["source"], "encoding": encoding, "model": settings["model"], **pretrain}


def encoding_for(card: Settings, encoding: Settings) -> Settings:
    """The encoding's settings; a flux scale of null becomes the survey's own.

    Raises:
        ValueError: its card states none.
    """
    if encoding["flux_scale"] is not None:
        return encoding
    if card.get("typical_flux") is None:
        raise ValueError(
            f"the flux scale is to be matched to {card['name']}, but its card states no typical_flux: add one "
            "(the median |flux| of its light curves), or give encoding.flux_scale and pretrain.flux_scale a number"
        )
    return {**encoding, "flux_scale": float(card["typical_flux"])}


def refuse_twins(source: Settings, target: Settings) -> None:
    """Raise ValueError if source and target are simulated with the same seed: test objects would have twins in the source.

    The simulator draws an object from the seed, its class and its number alone, whatever the survey.
    """
    shared = sorted(simulation_seeds(source) & simulation_seeds(target))
    if shared:
        raise ValueError(
            f"source and target {target['name']} are simulated with the same seed {', '.join(map(str, shared))}, "
            "so that objects of one have twins in the other: give the target another, "
            f"e.g. target.seed={max(simulation_seeds(source)) + 1}"
        )


def simulation_seeds(card: Any) -> set[int]:
    """The seeds of the built-in simulations in a survey's card, those of its parts included."""
    if not isinstance(card, Mapping):
        return set()
    own = {card["seed"]} if card.get("_target_") == "tlclass.simulator.simulated_survey" else set()
    return own.union(*map(simulation_seeds, card.values()))


def refuse_unknown(settings: Settings) -> None:
    """Raise ValueError for a key that nothing reads, such as `+freez_policy=full` or `+pretrain.members=3`.

    Where a class is built from a group it names its own.
    """
    defaults: Any = OmegaConf.load(CONF / "train.yaml")
    groups = [next(iter(entry)) for entry in defaults.pop("defaults") if not isinstance(entry, str)]
    inner = [group.split("@pretrain.")[1] for group in groups if "@" in group]
    budget = list(defaults["pretrain"]["data_fraction"])
    known = {
        "": [*(group for group in groups if "@" not in group), *(name for name in defaults if name != "hydra")],
        "pretrain.": [*defaults["pretrain"], *inner],
        "pretrain.data_fraction.": ["name", *budget],
        "data_fraction.": ["name", *budget],
        "paths.": list(defaults["paths"]),
    }
    for place, names in known.items():
        given: Any = settings
        for part in place.split(".")[:-1]:
            given = given[part]
        if not isinstance(given, Mapping):
            raise ValueError(f"{place[:-1]} is '{given}': set {', '.join(f'{place}{name}' for name in names)}")
        unknown = [f"{place}{name}" for name in sorted(set(given) - set(names))]
        if unknown:
            raise ValueError(
                f"unknown setting {', '.join(unknown)}; known are {', '.join(f'{place}{name}' for name in names)}"
            )


def in_words(error: BaseException) -> str:
    """Hydra's message without its internals; its hint often hides in the cause."""
    text = f"{error}: {error.__cause__}" if isinstance(error, HydraException) and error.__cause__ else str(error)
    missing = next((extra for name, extra in EXTRAS.items() if f"Could not find 'hydra/launcher/{name}'" in text), None)
    if missing:
        return f"this launcher is not installed: pip install 'tlclass[{missing}]'"
    twice = re.search(r"@source\.parts\.(\w+)\S* appears more than once", text)
    if twice:
        return (
            f"the experiment has {twice[1]} among its sources already, and a list cannot name it again: leave the list out, "
            "and add another survey to the experiment's with +survey@source.parts.NAME=NAME"
        )
    unknown = UNKNOWN.search(text)
    if unknown:
        known = ", ".join(name for name in unknown["known"].split() if "+" not in name)  # "+": see `without_lists`
        return f"{unknown['group']} '{unknown['name']}' is unknown: choose one of {known}"
    lines = text.split("Config search path")[0].splitlines()
    return "\n".join(
        line for line in lines if line.strip() and not line.strip().startswith(("full_key", "object_type"))
    )


def one_sentence(error: BaseException) -> str | None:
    """What a user did wrong, or None if the error is ours."""
    return in_words(error) if isinstance(error, (HydraException, OmegaConfBaseException, *MISTAKES)) else None
