"""Import packages of users, which add classes to `ENCODERS`, `HEADS` or `ENCODINGS`."""

import importlib
from collections.abc import Sequence

from tlclass.quoting import shortened

Trust = bool | str | Sequence[str] | None


def packages(trust: Trust) -> tuple[str, ...]:
    """The trusted packages by name; true and false name none."""
    if isinstance(trust, str):
        return (trust,)
    if isinstance(trust, list | tuple) and all(isinstance(name, str) for name in trust):
        return tuple(trust)
    if trust in (True, False, None):
        return ()
    raise ValueError(f"trust is {shortened(trust)}: give true, false or names of packages, e.g. trust=[mypackage]")


def use(trust: Trust) -> None:
    """Import the packages that the user trusts by name; a model file alone never causes an import.

    Raises:
        ImportError: one cannot be imported.
    """
    for name in packages(trust):
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            raise ImportError(
                f"trust names the package {name}, but Python finds no module {error.name}: install it, or start in its folder"
            ) from error
