"""Keeps what Hydra reads and merges while tests run: the same files merged in the same order give the same settings.

Words that change single settings are applied anew every time. Cards of a user's own folder are read again when one changes.
Three habits of Hydra that change no setting and take most of its time are left out: it copies all its sources before it
reads, every card before it merges it, and the choices for each list of defaults, whether or not one refers to them.
"""

import copy
import pickle
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hydra._internal import config_loader_impl, defaults_list
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import CachingConfigRepository, ConfigRepository
from hydra._internal.defaults_list import DefaultsList, Overrides
from hydra.core.default_element import ResultDefault
from omegaconf.base import Box

from tlclass.config import CONF

OWN = str(CONF.resolve())


@contextmanager
def kept() -> Iterator[None]:
    """Within this block every card is read once, the same choices are listed once and every list is merged once."""
    files: dict[Any, Any] = {}
    embedded: dict[Any, bytes] = {}  # pickled: a copy of it takes a third of the time of a deep copy
    lists: dict[Any, DefaultsList] = {}
    merged: dict[Any, bytes] = {}
    read, merge = ConfigRepository.load_config, ConfigLoaderImpl._compose_config_from_defaults_list
    make_list, embed = config_loader_impl.create_defaults_list, ConfigLoaderImpl._load_single_config
    interpolate = defaults_list._create_interpolation_map

    def load_config(self: ConfigRepository, config_path: str) -> Any:
        key = (cards(self), config_path)
        if key not in files:
            files[key] = read(self, config_path)
        return files[key]

    def embed_card(self: ConfigLoaderImpl, default: ResultDefault, repo: Any) -> Any:
        key = (cards(repo), default.config_path, default.package, default.primary)
        if key not in embedded:
            embedded[key] = pickle.dumps(embed(self, default, repo))
        return pickle.loads(embedded[key])

    def choices(overrides: Overrides, defaults: Any, self_added: bool) -> Any:
        needed = any(each.is_interpolation() for each in defaults if not each.is_self())
        return interpolate(overrides, defaults, self_added) if needed else None

    def share_sources(self: CachingConfigRepository, delegate: Any) -> None:
        self.delegate, self.cache = copy.copy(delegate), {}  # it may get other sources, which are not changed

    def compose(self: ConfigLoaderImpl, defaults: Sequence[Any], repo: Any) -> Any:
        listed = tuple((each.config_path, each.parent, each.package, each.is_self, each.primary) for each in defaults)
        key = (cards(repo), listed)
        if key not in merged:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(Box, "_re_parent", lambda node: None)  # of the whole tree after each of its cards
                config = merge(self, list(defaults), repo)
            config._re_parent()
            merged[key] = pickle.dumps(config)
        return pickle.loads(merged[key])

    def choose(repo: Any, config_name: Any, overrides_list: Any, prepend_hydra: bool, skip_missing: bool) -> Any:
        values = Overrides(repo, overrides_list).config_overrides  # they choose no card
        groups = tuple(each.input_line for each in overrides_list if not any(each is value for value in values))
        key = (cards(repo), config_name, groups, prepend_hydra, skip_missing)
        if key not in lists:
            lists[key] = make_list(repo, config_name, overrides_list, prepend_hydra, skip_missing)
        return replace(lists[key], defaults=list(lists[key].defaults), config_overrides=values)

    with pytest.MonkeyPatch.context() as patch:
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
