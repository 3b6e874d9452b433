"""Models by name: those inside the package, folders, and models of the Hugging Face hub."""

import json
from pathlib import Path
from typing import Any

from tlclass.network.checkpoint import DESCRIPTION, TrainedModel, load_model
from tlclass.options import nearest

RELEASED = Path(__file__).parent.parent / "released"
HUB = "hf://"


def released() -> dict[str, dict[str, Any]]:
    """The description (`model.json`) of every model inside the package, by name."""
    files = sorted(RELEASED.glob(f"*/{DESCRIPTION}"))
    return {file.parent.name: json.loads(file.read_text(encoding="utf-8")) for file in files}


def model_folder(name: str | Path) -> Path:
    """The folder of a model: a released one by its name, a folder, or `hf://USER/NAME`, which is downloaded once.

    Raises:
        FileNotFoundError: there is none; names the released ones.
        ValueError: it is neither text nor a path.
    """
    if not isinstance(name, str | Path):
        raise ValueError(f"a model of type {type(name).__name__}: give its name or its folder")
    text = str(name)
    if text.startswith(HUB):
        from tlclass.network.hub import download

        return download(text.removeprefix(HUB))
    if isinstance(name, str) and (RELEASED / text / DESCRIPTION).is_file() and "/" not in text:
        return RELEASED / text
    path = Path(name)
    if not path.exists() and path.parent == Path():
        raise FileNotFoundError(
            f"no model '{text}'{nearest(text, released())}: give a folder with {DESCRIPTION}, hf://USER/NAME, or one of "
            f"{', '.join(released()) or '(none released)'}"
        )
    return path


def named_model(name: str | Path) -> TrainedModel:
    """The model of that name.

    Args:
        name: see `model_folder`.

    Raises:
        FileNotFoundError: there is none; names the released ones.
        ValueError: its files are damaged or from a newer version.
    """
    return load_model(model_folder(name))
