"""Import packages of users, which add classes to `ENCODERS`, `HEADS` or `ENCODINGS`."""

import importlib
from collections.abc import Sequence


def use(trust: bool | str | Sequence[str] | None) -> None:
    """Import the packages that the user trusts by name; a model file alone never causes an import.

    Args:
        trust: names of packages; true and false name none.

    Raises:
        ImportError: one cannot be imported.
    """
    names = [trust] if isinstance(trust, str) else list(trust) if isinstance(trust, list | tuple) else []
    for name in names:
        try:
            importlib.import_module(str(name))
        except ModuleNotFoundError as error:
            raise ImportError(
                f"trust names the package {name}, but Python finds no module {error.name}: install it, or start in its folder"
            ) from error
