"""The command that installs an optional part of the package, as it works where the package is installed."""

import json
import shlex
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

HOME = Path(__file__).resolve().parent.parent  # of the package: a clone, or the environment's site-packages


def install(extra: str) -> str:
    """`pip install '.[alerts]'` and the like: from the clone, the wheel or the index that the package came from.

    Args:
        extra: a name of `[project.optional-dependencies]` in pyproject.toml.
    """
    if (HOME / "pyproject.toml").is_file():
        return f"pip install -e {shlex.quote(f'{HOME}[{extra}]')}"
    origin = _origin()
    if not origin:
        return f"pip install {shlex.quote(f'tlclass[{extra}]')}"
    folder = url2pathname(urlsplit(origin).path)
    if origin.startswith("file:") and Path(folder).is_dir():
        return f"pip install {shlex.quote(f'{folder}[{extra}]')}"
    return f"pip install {shlex.quote(f'tlclass[{extra}] @ {origin}')}"


def needs(what: str, package: str, extra: str) -> str:
    """One sentence for a missing optional package.

    Args:
        what: cannot be done without it, e.g. `reading alert packets`.
        package: that is missing.
        extra: that brings it.
    """
    return f"{what} needs {package}: {install(extra)}"


def _origin() -> str | None:
    """Where pip took the package from if not from an index (PEP 610)."""
    try:
        record = distribution("tlclass").read_text("direct_url.json")
    except PackageNotFoundError:
        return None
    return str(json.loads(record)["url"]) if record else None
