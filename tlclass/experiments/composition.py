"""Compose the settings of a job from command-line overrides; everything that is specific to Hydra."""

import functools
import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from tlclass.config import CONF
from tlclass.experiments.additions import with_added
from tlclass.experiments.devices import workers
from tlclass.experiments.words import is_axis, quoted, readable
from tlclass.extras import install
from tlclass.inputs.split import Labels
from tlclass.options import MISTAKES, lost_process, nearest
from tlclass.quoting import sentence
from tlclass.wording import in_settings

log = logging.getLogger(__name__)

Settings = dict[str, Any]
OPTIONAL = ("experiment", "debug")  # groups that are absent unless chosen: Hydra wants a + before them
PARTS = ("passbands", "population", "taxonomy")  # groups that are parts of a survey's card
BESIDE = ("source", "paths", "trust", "sizes", "hydra")  # settings that are not the survey's
ROLES = ("source", "target")  # of a survey: each card of conf/survey is a choice of both groups
CONFIG_DIR = ("--config-dir", "-cd")
MULTIRUN = ("-m", "--multirun")
NO_NAME = re.compile(r"|null|true|false|[-+.\d]+", re.IGNORECASE)  # what cannot be the name of a choice
NOISE = ("full_key", "object_type", "See https://hydra.cc")  # beginnings of lines that say nothing to a user
EXTRAS = {"joblib": "joblib", "submitit_slurm": "slurm", "submitit_local": "slurm", "ray": "ray"}  # of launchers

OmegaConf.register_new_resolver("cuda_workers", workers, replace=True)
OmegaConf.register_new_resolver("labels_name", lambda labels: Labels.of(labels).name, replace=True)


def compose(overrides: Sequence[str], config_dir: str | None = None) -> Settings:
    """The settings that these arguments of `tlclass train` give, without running anything.

    Raises:
        ValueError: an argument is no known setting; one sentence names it.
    """
    folders = [Path(config_dir)] if config_dir else []
    own = [f"hydra.searchpath=[{quoted(f'file://{Path(config_dir).resolve()}')}]"] if config_dir else []
    try:
        with hydra.initialize_config_dir(str(CONF.resolve()), version_base="1.3"):
            return plain(hydra.compose("train", overrides=[*own, *as_hydra_wants(overrides, folders)]))
    except (HydraException, OmegaConfBaseException) as error:
        raise ValueError(in_words(error)) from error


def plain(config: DictConfig) -> Settings:
    """The settings as plain types, interpolations resolved, with the chosen parts of the source.

    Parts that an experiment added to a source which the command line then replaced are left out.
    """
    settings = cast(Settings, OmegaConf.to_container(config, resolve=True))
    source = settings["source"]
    chosen = source.pop("chosen", source.get("parts", ()))
    if source.get("_target_") != "tlclass.surveys.Several":
        source.pop("parts", None)
    else:
        source["parts"] = {name: source["parts"][name] for name in chosen}
    return settings


def as_hydra_wants(words: Sequence[str], own: Sequence[Path] = ()) -> list[str]:
    """The words of a command line as Hydra's grammar has them.

    `+arm=transfer` and `experiment=ztf2lsst` work with and without the plus, `sizes.ztf_simulated=20000` too; `data_fraction=n100,5pct` and
    `data_fraction.count=100` are words for `labels`; a list of sources is one choice; paths are quoted.

    Args:
        words: of the command line.
        own: folders of cards beside those that the words give with `--config-dir`.

    Raises:
        ValueError: see `refuse_role`, `without_lists`, `as_labels`, `with_added` and `readable`.
    """
    refuse_role(words, "survey", "target")
    folders = [CONF, *own, *own_folders(words)]
    name_surveys(folders)
    multirun = bool({*MULTIRUN, "hydra.mode=MULTIRUN"} & set(words))
    given = [
        without_lists(with_added(word, folders))
        for one in readable(words, multirun)
        for word in as_labels(with_plus(one, folders))
    ]
    axis = next((word for word in given if not multirun and is_axis(word)), None)
    if axis:
        raise ValueError(f"{axis} has several values: add -m to run all of them, or write a list in brackets")
    name_repeated(given)
    return given


def name_repeated(words: Sequence[str]) -> None:
    """Log which value counts where a setting has two.

    Raises:
        ValueError: two choices of a group that is added are given, which Hydra refuses.
    """
    known: dict[str, str] = {}
    for word in words:
        key, equals, _ = word.lstrip("+").partition("=")
        before = known.get(key, word) if equals and not word.startswith("-") else word
        if before != word:
            if word.startswith("+") and is_group(key.partition("@")[0]):
                raise ValueError(f"{key} is given more than once: give one, or several with commas and -m")
            log.warning("%s and %s are both given: the last one counts", before, word)
        known[key] = word


def is_group(name: str) -> bool:
    """Whether its values are choices, files of a folder in `conf/`."""
    return name.isidentifier() and (name in ROLES or (CONF / name).is_dir())


def name_surveys(folders: Sequence[Path]) -> None:
    """Make every card in the `survey` groups of these folders a choice of `source` and of `target`."""
    for name in sorted({path.stem for folder in folders for path in (folder / "survey").glob("*.yaml")}):
        _name_survey(name)


@functools.cache
def _name_survey(name: str) -> None:
    """Store the choice of one card, the first time that it is met; a choice is the same for every card of a name."""
    for group in ROLES:
        ConfigStore.instance().store(name, {"defaults": [{"/survey@_here_": name}]}, group, provider="tlclass")


def own_folders(words: Sequence[str]) -> list[Path]:
    """The folders of cards that a command line gives with `--config-dir`."""
    pairs = zip(words, [*words[1:], ""], strict=False)  # no word at all has no pair
    found = [
        after if word in CONFIG_DIR else word.partition("=")[2]
        for word, after in pairs
        if word.partition("=")[0] in CONFIG_DIR
    ]
    return [Path(folder) for folder in found if folder]


def with_plus(word: str, folders: Sequence[Path]) -> str:
    """The override with a plus exactly where Hydra requires one.

    Args:
        word: of the command line. folders: of cards, whose choices a refusal names.

    Raises:
        ValueError: a group is given no name of a choice: `arm=null`.
    """
    key, equals, value = word.partition("=")
    name = key.lstrip("+")
    if not equals or not is_group(name):
        return word
    if NO_NAME.fullmatch(value) and name != "data_fraction":  # which `as_labels` reads
        group = "survey" if name in ROLES else name
        known = ", ".join(sorted({path.stem for folder in folders for path in (folder / group).glob("*.yaml")}))
        raise ValueError(f"{word}: give the name of a choice, one of {known}, or leave {name} out")
    return f"+{word.lstrip('+')}" if name in OPTIONAL else word.lstrip("+")


def as_labels(word: str) -> list[str]:
    """Translate an override of `data_fraction` to one of `labels`; others are unchanged.

    Raises:
        ValueError: it is no label budget.
    """
    key, _, value = word.partition("=")
    if key == "data_fraction":
        names = [name for name in value.split(",") if name != "count"]
        return [f"labels={','.join(_amount(Labels.of(name)) for name in names)}"] if names else []
    if key == "data_fraction.count":
        return [f"labels={value}"]
    if key == "data_fraction.fraction":
        return ["labels=" + ",".join(_amount(Labels(fraction=_number(word, share))) for share in value.split(","))]
    return [word]


def _amount(labels: Labels) -> str:
    return "all" if labels.fraction == 1 else f"{labels.count}" if labels.count is not None else labels.name


def _number(word: str, value: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise ValueError(f"{word}: give a share between 0 and 1, or labels=5%") from None


def refuse_role(words: Sequence[str], other: str, own: str) -> None:
    """Raise ValueError if a word calls the survey as another command does: `survey=bts` where it is `target`, or the reverse.

    Args:
        words: of a command line. other: what another command calls its survey. own: what this one does.
    """
    for word in words:
        if re.match(rf"\+*{other}[=.]", word):
            meant = own + word.lstrip("+").removeprefix(other)
            raise ValueError(f"write {meant}: this command calls the survey {own}, not {other}")


def about_survey(word: str) -> str:
    """The setting of `tlclass train` that a word of `inspect` and `simulate` means: their survey is its target.

    >>> about_survey("survey=bts"), about_survey("n_objects=800"), about_survey("paths.data=FOLDER")
    ('target=bts', 'target.n_objects=800', 'paths.data=FOLDER')
    """
    prefix, key, rest = re.fullmatch(r"([+~]*)([^=./@]*)(.*)", word, re.DOTALL).groups()  # type: ignore[union-attr]
    if key in ("survey", "target"):
        return f"{prefix}target{rest}"
    if key in PARTS and rest.startswith("="):
        return f"{prefix}{key}@target.{key}{rest}"
    if key in PARTS and rest.startswith("@"):
        place = rest[1:].removeprefix("survey.")
        return word if place.startswith(("target.", "source.")) else f"{prefix}{key}@target.{place}"
    return word if key in BESIDE else f"{prefix}target.{key}{rest}"


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
        raise ValueError(f"{word}: list at least two different surveys; write source=NAME for one")
    defaults = ["several", *({f"/survey@parts.{name}": name} for name in names), "_self_"]
    choice = "+".join(names)
    ConfigStore.instance().store(choice, {"defaults": defaults, "chosen": names}, "source", provider="tlclass")
    return choice


def paths_to(name: str, settings: DictConfig) -> list[str]:
    """Where a name stands below these settings, with dots: `n_objects` of a survey in parts is that of each part.

    >>> paths_to("n_objects", DictConfig({"reader": {"parts": {"faint": {"n_objects": 3}}}}))
    ['reader.parts.faint.n_objects']
    """
    found = []
    for key in map(str, settings):
        below = settings._get_node(key)
        found += [key] if key == name else []
        if isinstance(below, DictConfig) and not (below._is_none() or below._is_interpolation()):
            found += [f"{key}.{path}" for path in paths_to(name, below)]
    return sorted(found, key=lambda path: path.count("."))


def choices_with(name: str, group: str) -> list[str]:
    """Which choices of a group of conf/ (but surveys) have a key of this name: `adapt=distill` has `beside`.

    >>> choices_with("beside", "adapt")
    ['adapt=distill']
    """
    files = sorted((CONF / group).glob("*.yaml")) if group and group not in ROLES else []
    return [f"{group}={file.stem}" for file in files if name in OmegaConf.load(file)]


def in_words(error: BaseException) -> str:
    """Hydra's message without its internals; its hint often hides in the cause."""
    refused = of_resolver(error)
    if refused:
        return refused
    text = f"{error}: {error.__cause__}" if isinstance(error, HydraException) and error.__cause__ else str(error)
    if isinstance(error, MissingConfigException) and not error.options and "/" not in str(error.missing_cfg_file):
        return (
            f"{str(error).split('. ')[0]}: recipes are chosen with experiment=NAME; --config-name is the name of a file in your "
            "folder of --config-dir FOLDER"
        )
    if isinstance(error, MissingConfigException) and error.options:
        group, _, name = str(error.missing_cfg_file).rpartition("/")
        if group == "hydra/launcher" and name in EXTRAS:
            return f"this launcher is not installed: {install(EXTRAS[name])}"
        known = [option for option in error.options if "+" not in option]  # "+": see `without_lists`
        return f"{group} '{name}' is unknown{nearest(name, known)}: choose one of {', '.join(known)}"
    absent = error.__cause__
    if isinstance(absent, ConfigKeyError | ConfigAttributeError) and isinstance(absent.parent_node, DictConfig):
        place = str(absent.full_key).rpartition(".")[0]
        siblings = [
            f"{place}.{name}" if place else str(name) for name in map(str, absent.parent_node) if name != "hydra"
        ]
        name = str(absent.full_key).rpartition(".")[2]
        inside = [f"{place}.{path}" if place else path for path in paths_to(name, absent.parent_node)]
        others = choices_with(name, place)
        if others:
            return f"{absent.full_key} is a setting of {' and '.join(others)}: give {others[0]} too"
        close = (
            f" (did you mean {' or '.join(inside[:3])}?)"
            if inside
            else nearest(str(absent.full_key), siblings if place else [*siblings, *OPTIONAL])
        )
        there = (
            f"the known ones are {', '.join(siblings)}"
            if siblings
            else f"{place} has none yet, add one with a plus, +{absent.full_key}=VALUE"
        )
        return f"unknown setting {absent.full_key}{close}: {there}"
    twice = re.search(r"@source\.parts\.(\w+)\S* appears more than once", text)
    if twice:
        return (
            f"the experiment already has {twice[1]} as a source, so a list cannot name it again: leave the list out, "
            "and add another survey to the experiment's with +survey@source.parts.NAME=NAME"
        )
    if isinstance(error, OverrideParseException) and "=" not in error.override:
        return f"'{error.override}' is not a setting: write KEY=VALUE, such as labels=100"
    lines = text.split("Config search path")[0].splitlines()
    return " ".join(line.strip() for line in lines if line.strip() and not line.strip().startswith(NOISE))


def of_resolver(error: BaseException) -> str:
    """What a resolver of ours, such as `labels_name`, says against a value; empty if the error is another."""
    while isinstance(error, OmegaConfBaseException) and (inner := error.__cause__ or error.__context__):
        error = inner
    return str(error) if isinstance(error, ValueError) and not isinstance(error, OmegaConfBaseException) else ""


def one_sentence(error: BaseException) -> str | None:
    """The user's mistake, or that a process was killed, in one sentence; None if the error is a bug of the package."""
    if isinstance(error, OSError) and not isinstance(error, HydraException):
        return in_settings(sentence(error))
    is_mistake = isinstance(error, (HydraException, OmegaConfBaseException, *MISTAKES))
    return in_settings(in_words(error)) if is_mistake else lost_process(error)
