"""Models of the Hugging Face hub: download by `hf://USER/NAME`."""

from importlib import import_module
from pathlib import Path
from typing import Any

from tlclass.extras import needs
from tlclass.network.checkpoint import CARD, DESCRIPTION, RELIABILITY, WEIGHTS

FILES = (DESCRIPTION, WEIGHTS, RELIABILITY, CARD)


def download(name: str) -> Path:
    """The folder of a model of the hub, downloaded once into the hub's own cache.

    Args:
        name: `USER/NAME`, or `USER/NAME@REVISION`.

    Raises:
        FileNotFoundError: the hub has no such model, or cannot be reached and the cache has none.
        ImportError: `huggingface_hub` is not installed.
    """
    hub = package()
    repository, _, revision = name.partition("@")
    if repository.count("/") != 1:
        raise ValueError(f"hf://{name}: write it as hf://USER/NAME, or hf://USER/NAME@REVISION")
    try:
        folder = hub.snapshot_download(repository, revision=revision or None, allow_patterns=list(FILES))
    except (OSError, ValueError) as error:  # what the hub's own errors are
        first = str(error).strip().splitlines()[0]
        raise FileNotFoundError(
            f"hf://{name} cannot be downloaded ({first}): check the name and the network, or give the folder of a model"
        ) from error
    return Path(folder)


def package() -> Any:
    """The module `huggingface_hub`.

    Raises:
        ImportError: it is not installed; says how to install it.
    """
    try:
        return import_module("huggingface_hub")
    except ImportError as error:
        raise ImportError(needs("the Hugging Face hub", "huggingface_hub", "hub")) from error
