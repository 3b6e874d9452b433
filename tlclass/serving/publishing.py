"""Publish the folder of a model on the Hugging Face hub."""

from pathlib import Path

from tlclass.atomic import write_text
from tlclass.network.checkpoint import CARD, load_model
from tlclass.network.hub import FILES, package
from tlclass.training.card import card


def publish(folder: Path, name: str, private: bool = False) -> str:
    """Upload a model folder; its card is written where there is none. Returns the address.

    Raises:
        FileNotFoundError, ValueError: the folder holds no sound model.
        OSError: the hub refuses, or cannot be reached.
        ImportError: `huggingface_hub` is not installed.
    """
    hub = package()
    ready(folder)
    api = hub.HfApi()
    try:
        api.create_repo(name, private=private, exist_ok=True)
        api.upload_folder(
            repo_id=name, folder_path=folder, allow_patterns=list(FILES), commit_message="Upload a tlclass model"
        )
    except Exception as error:  # of the hub, of its HTTP client, which has changed, or of the network
        said = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise OSError(f"hf://{name} cannot be written: {said}") from error
    return f"{api.endpoint}/{name}"


def ready(folder: Path) -> list[Path]:
    """The files of a model that a hub needs, after checking that it loads; writes its card where there is none."""
    model = load_model(folder)
    if not (folder / CARD).exists():
        write_text(folder / CARD, card(model, folder.name))
    return [folder / name for name in FILES if (folder / name).exists()]
