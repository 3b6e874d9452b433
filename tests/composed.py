"""Keeps what Hydra reads and merges while tests run: the same cards merged in the same order give the same settings.

Words that set single values are applied anew every time. Cards of a user's own folder are read again when one changes. Cards are read
by libyaml.
"""

import functools
import pickle
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import omegaconf._utils
import omegaconf.base
import pytest
import yaml
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import ConfigRepository
from hydra.core.default_element import ResultDefault
from omegaconf._utils import get_yaml_loader
from omegaconf.base import Box

from tlclass.config import CONF

OWN = str(CONF.resolve())


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


@contextmanager
def kept() -> Iterator[None]:
    """Within this block every card is read once, and a list of cards that comes again is not merged again."""
    files: dict[Any, Any] = {}
    embedded: dict[Any, bytes] = {}  # pickled: a copy of it takes a third of the time of a deep copy
    merged: dict[Any, bytes] = {}
    read, embed = ConfigRepository.load_config, ConfigLoaderImpl._load_single_config
    merge = ConfigLoaderImpl._compose_config_from_defaults_list

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

    def compose(self: ConfigLoaderImpl, defaults: Sequence[ResultDefault], repo: Any) -> Any:
        key = (cards(repo), *((d.config_path, d.parent, d.package, d.is_self, d.primary) for d in defaults))
        if key not in merged:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(Box, "_re_parent", lambda node: None)  # of the whole tree after each of its cards
                config = merge(self, list(defaults), repo)
            config._re_parent()
            merged[key] = pickle.dumps(config)
        return pickle.loads(merged[key])

    with pytest.MonkeyPatch.context() as patch:
        for module in (omegaconf.base, omegaconf._utils):  # of every text with a reference in it
            patch.setattr(module, "parse", functools.cache(module.parse))  # type: ignore[attr-defined]
        patch.setattr(omegaconf._utils, "get_yaml_loader", lambda: Loader)
        patch.setattr(ConfigRepository, "load_config", load_config)
        patch.setattr(ConfigLoaderImpl, "_load_single_config", embed_card)
        patch.setattr(ConfigLoaderImpl, "_compose_config_from_defaults_list", compose)
        yield


def cards(repo: Any) -> tuple[Any, ...]:
    """The folders of cards, and of a user's own every card with its time; those of the package do not change."""
    folders = [source.path for source in repo.get_sources() if source.scheme() == "file"]
    own = [path for folder in folders if folder != OWN for path in sorted(Path(folder).rglob("*.yaml"))]
    return (*folders, *((str(path), path.stat().st_mtime_ns) for path in own))
