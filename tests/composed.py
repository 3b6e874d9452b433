"""Keeps what Hydra reads and merges while tests run: the same files merged in the same order give the same settings.

Only cards of `conf/` are kept; words that change single settings are applied anew every time, as are cards of other folders.
"""

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import ConfigRepository
from omegaconf import DictConfig

from tlclass.config import CONF

OWN = str(CONF.resolve())


@contextmanager
def kept() -> Iterator[None]:
    """Within this block every card is read once and every list of cards merged once."""
    files: dict[str, Any] = {}
    merged: dict[Any, DictConfig] = {}
    read, merge = ConfigRepository.load_config, ConfigLoaderImpl._compose_config_from_defaults_list

    def load_config(self: ConfigRepository, config_path: str) -> Any:
        if not own(self):
            return read(self, config_path)
        if config_path not in files:
            files[config_path] = read(self, config_path)
        return copy.deepcopy(files[config_path])

    def compose(self: ConfigLoaderImpl, defaults: Sequence[Any], repo: Any) -> DictConfig:
        if not own(repo):
            return merge(self, list(defaults), repo)
        key = tuple((each.config_path, each.parent, each.package, each.is_self, each.primary) for each in defaults)
        if key not in merged:
            merged[key] = merge(self, list(defaults), repo)
        return copy.deepcopy(merged[key])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ConfigRepository, "load_config", load_config)
        patch.setattr(ConfigLoaderImpl, "_compose_config_from_defaults_list", compose)
        yield


def own(repo: Any) -> bool:
    """Whether the package's cards are the only files."""
    return [source.path for source in repo.get_sources() if source.scheme() == "file"] == [OWN]
