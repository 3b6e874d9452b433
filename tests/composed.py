"""Keeps what Hydra reads and merges while tests run: the same files merged in the same order give the same settings.

Words that change single settings are applied anew every time; each is parsed once. Cards of a user's own folder are read again
when one changes. Cards are read and written by libyaml, and settings are copied by way of pickle, which takes a third of the time.
Cards that follow one another below one setting, such as all of a source, are merged once by themselves, and every text with
a reference in it is parsed once. Three habits of Hydra that change no setting and take most of its time are left out: it
copies all its sources before it reads, every card before it merges it, and the choices for each list of defaults, whether or
not one refers to them.
"""

import copy
import functools
import pickle
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import omegaconf._utils
import omegaconf.base
import omegaconf.omegaconf
import pytest
import yaml
from hydra._internal import config_loader_impl, defaults_list
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import CachingConfigRepository, ConfigRepository
from hydra._internal.defaults_list import DefaultsList, Overrides
from hydra.core.default_element import ResultDefault
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf, flag_override
from omegaconf._utils import get_omega_conf_dumper, get_yaml_loader
from omegaconf.base import Box
from omegaconf.errors import OmegaConfBaseException

from tlclass.config import CONF

OWN = str(CONF.resolve())
LISTS = "HYDRA_REMOVE_TOP_LEVEL_DEFAULTS"  # Hydra's flag of a card whose list of defaults is to be left out


@dataclass(frozen=True)
class Stretch:
    """Cards that follow one another and fill one setting, which is empty before the first of them."""

    cards: list[ResultDefault]


def in_stretches(defaults: Sequence[ResultDefault]) -> list[Any]:
    """The cards in order, those of a stretch as one; from the first card on that may set anything they stay as they are."""
    found: list[Any] = []
    filled: set[str] = set()
    for root, group in groupby(defaults, lambda card: (card.package or "").partition(".")[0]):
        together = list(group)
        alone = root not in filled and "" not in filled and root != ""
        found += [Stretch(together)] if alone and len(together) > 1 else together
        filled.add(root)
    return found


def named(card: ResultDefault) -> tuple[Any, ...]:
    """All of a card in a list of defaults that decides what it adds."""
    return card.config_path, card.parent, card.package, card.is_self, card.primary


class Dumper(yaml.cyaml.CEmitter, get_omega_conf_dumper()):  # type: ignore[misc]
    """OmegaConf's own, which writes with libyaml."""

    __init__ = yaml.CDumper.__init__


class Loader(yaml.cyaml.CParser, get_yaml_loader()):  # type: ignore[misc]
    """OmegaConf's own, which reads with libyaml; what cannot be read is read again, as OmegaConf's says where the mistake is."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        yaml.CSafeLoader.__init__(self, stream)

    def get_single_data(self) -> Any:
        try:
            return super().get_single_data()
        except yaml.YAMLError:
            if hasattr(self.stream, "seek"):
                self.stream.seek(0)
            return get_yaml_loader()(self.stream).get_single_data()


def copied(self: DictConfig, memo: Any) -> DictConfig:
    """A deep copy; as in OmegaConf's the parent stays the same."""
    content, result = self.__dict__["_content"], DictConfig(None)
    children = list(content.values()) if isinstance(content, dict) else []
    parents = [child.__dict__["_parent"] for child in children]
    for child in children:
        child.__dict__["_parent"] = None
    try:
        parts = pickle.dumps([self.__dict__[name] for name in ("_metadata", "_flags_cache", "_content")])
    finally:
        for child, parent in zip(children, parents, strict=True):
            child.__dict__["_parent"] = parent
    metadata, flags, content = pickle.loads(parts)
    for child in content.values() if isinstance(content, dict) else ():
        child.__dict__["_parent"] = result
    result.__dict__.update(_metadata=metadata, _flags_cache=flags, _content=content, _parent=self.__dict__["_parent"])
    return result


def without_defaults(config: Any) -> Any:
    """A card without its list of defaults; Hydra looks for them in everything after it has merged all cards."""
    node = config
    while isinstance(node, DictConfig) and isinstance(node._content, dict):  # the card is below the keys of its place
        if node._get_flag(LISTS):
            node._set_flag(LISTS, None)
            with flag_override(node, ["readonly", "struct"], False):
                node.pop("defaults", None)
            break
        node = next(iter(node._content.values())) if len(node._content) == 1 else None
    return config


@contextmanager
def kept() -> Iterator[None]:
    """Within this block every card is read once, the same choices are listed once and a list that comes again is not merged again."""
    files: dict[Any, Any] = {}
    embedded: dict[Any, bytes] = {}  # pickled: a copy of it takes a third of the time of a deep copy
    lists: dict[Any, DefaultsList] = {}
    merged: dict[Any, bytes] = {}
    stretches: dict[Any, bytes] = {}
    parsed: dict[str, Any] = {}
    met: set[Any] = set()
    read, merge = ConfigRepository.load_config, ConfigLoaderImpl._compose_config_from_defaults_list
    make_list, embed = config_loader_impl.create_defaults_list, ConfigLoaderImpl._load_single_config
    interpolate, parse = defaults_list._create_interpolation_map, OverridesParser.parse_rule

    def load_config(self: ConfigRepository, config_path: str) -> Any:
        key = (cards(self), config_path)
        if key not in files:
            files[key] = read(self, config_path)
        return files[key]

    def embed_card(self: ConfigLoaderImpl, default: ResultDefault | Stretch, repo: Any) -> Any:
        if isinstance(default, Stretch):
            key = (cards(repo), *map(named, default.cards))
            if key not in stretches:
                stretches[key] = pickle.dumps(merged_cards(self, default.cards, repo))
            return SimpleNamespace(config=pickle.loads(stretches[key]))
        key = (cards(repo), default.config_path, default.package, default.primary)
        if key not in embedded:
            card = embed(self, default, repo)
            card.config = without_defaults(card.config)
            embedded[key] = pickle.dumps(card)
        return pickle.loads(embedded[key])

    def parse_rule(self: OverridesParser, word: str, rule: str) -> Any:
        if rule != "override":
            return parse(self, word, rule)
        if word not in parsed:
            parsed[word] = parse(self, word, rule)
        return copy.deepcopy(parsed[word])

    def choices(overrides: Overrides, defaults: Any, self_added: bool) -> Any:
        needed = any(each.is_interpolation() for each in defaults if not each.is_self())
        return interpolate(overrides, defaults, self_added) if needed else None

    def share_sources(self: CachingConfigRepository, delegate: Any) -> None:
        self.delegate, self.cache = copy.copy(delegate), {}  # it may get other sources, which are not changed

    def merged_cards(self: ConfigLoaderImpl, defaults: Sequence[Any], repo: Any) -> Any:
        config = OmegaConf.create()
        try:
            with flag_override(config, "no_deepcopy_set_nodes", True):
                for default in defaults:
                    config.merge_with(embed_card(self, default, repo).config)
        except OmegaConfBaseException:
            return merge(self, defaults, repo)  # which says in which card the mistake is
        return config

    def compose(self: ConfigLoaderImpl, defaults: Sequence[Any], repo: Any) -> Any:
        key = (cards(repo), *map(named, defaults))
        if key in merged:
            return pickle.loads(merged[key])
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Box, "_re_parent", lambda node: None)  # of the whole tree after each of its cards
            config = merged_cards(self, in_stretches(defaults), repo)
        config._re_parent()
        if key in met:  # most lists of a test of cards come once
            merged[key] = pickle.dumps(config)
        met.add(key)
        return config

    def choose(repo: Any, config_name: Any, overrides_list: Any, prepend_hydra: bool, skip_missing: bool) -> Any:
        values = Overrides(repo, overrides_list).config_overrides  # they choose no card
        groups = tuple(each.input_line for each in overrides_list if not any(each is value for value in values))
        key = (cards(repo), config_name, groups, prepend_hydra, skip_missing)
        if key not in lists:
            lists[key] = make_list(repo, config_name, overrides_list, prepend_hydra, skip_missing)
        return replace(lists[key], defaults=list(lists[key].defaults), config_overrides=values)

    with pytest.MonkeyPatch.context() as patch:
        for module in (omegaconf.base, omegaconf._utils):
            patch.setattr(module, "parse", functools.cache(module.parse))  # type: ignore[attr-defined]
        patch.setattr(omegaconf._utils, "get_yaml_loader", lambda: Loader)
        patch.setattr(omegaconf.omegaconf, "get_omega_conf_dumper", lambda: Dumper)
        patch.setattr(OverridesParser, "parse_rule", parse_rule)
        patch.setattr(DictConfig, "__deepcopy__", copied)
        patch.setattr(config_loader_impl, "create_defaults_list", choose)
        patch.setattr(defaults_list, "_create_interpolation_map", choices)
        patch.setattr(CachingConfigRepository, "__init__", share_sources)
        patch.setattr(ConfigLoaderImpl, "_load_single_config", embed_card)
        patch.setattr(ConfigRepository, "load_config", load_config)
        patch.setattr(ConfigLoaderImpl, "_compose_config_from_defaults_list", compose)
        yield


def cards(repo: Any) -> tuple[Any, ...]:
    """The folders of cards, and of a user's own every card with its time; those of the package do not change."""
    folders = [source.path for source in repo.get_sources() if source.scheme() == "file"]
    own = [path for folder in folders if folder != OWN for path in sorted(Path(folder).rglob("*.yaml"))]
    return (*folders, *((str(path), path.stat().st_mtime_ns) for path in own))
