"""Models on the Hugging Face hub: download by `hf://USER/NAME`, publish a folder."""

from importlib import import_module
from pathlib import Path
from typing import Any

from tlclass.atomic import write_text
from tlclass.extras import needs
from tlclass.network.checkpoint import DESCRIPTION, RELIABILITY, WEIGHTS, load_model
from tlclass.training.card import CARD, card

FILES = (DESCRIPTION, WEIGHTS, RELIABILITY, CARD)


def download(name: str) -> Path:
    """The folder of a model of the hub, downloaded once into the hub's own cache.

    Args:
        name: `USER/NAME`, or `USER/NAME@REVISION`.

    Raises:
        FileNotFoundError: the hub has no such model, or cannot be reached and the cache has none.
        ImportError: `huggingface_hub` is not installed.
    """
    hub = _hub()
    repository, _, revision = name.partition("@")
    if repository.count("/") != 1:
        raise ValueError(f"hf://{name}: write it as hf://USER/NAME, or hf://USER/NAME@REVISION")
    try:
        folder = hub.snapshot_download(repository, revision=revision or None, allow_patterns=list(FILES))
    except (OSError, ValueError) as error:  # what the hub's own errors are
        first = str(error).strip().splitlines()[0]
        raise FileNotFoundError(f"hf://{name} cannot be downloaded: {first}") from error
    return Path(folder)


def publish(folder: Path, name: str, private: bool = False) -> str:
    """Upload a model folder; its card is written where there is none. Returns the address.

    Raises:
        FileNotFoundError, ValueError: the folder holds no sound model.
        OSError: the hub refuses, or cannot be reached.
        ImportError: `huggingface_hub` is not installed.
    """
    hub = _hub()
    ready(folder)
    api = hub.HfApi()
    api.create_repo(name, private=private, exist_ok=True)
    api.upload_folder(
        repo_id=name, folder_path=folder, allow_patterns=list(FILES), commit_message="Upload a tlclass model"
    )
    return f"{api.endpoint}/{name}"


def ready(folder: Path) -> list[Path]:
    """The files of a model that a hub needs, after checking that it loads; writes its card where there is none."""
    model = load_model(folder)
    if not (folder / CARD).exists():
        write_text(folder / CARD, card(model, folder.name))
    return [folder / name for name in FILES if (folder / name).exists()]


def _hub() -> Any:
    try:
        return import_module("huggingface_hub")
    except ImportError as error:
        raise ImportError(needs("the Hugging Face hub", "huggingface_hub", "hub")) from error
