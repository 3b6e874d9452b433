"""Where the configuration files are (`conf/` in a checkout, `tlclass/conf/` in an installed wheel), and the cache."""

import errno
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

_PACKAGE = Path(__file__).parent
CONF = _PACKAGE / "conf" if (_PACKAGE / "conf").is_dir() else _PACKAGE.parent / "conf"


def stated(group: str) -> Mapping[str, Any]:
    """The settings of a group in `conf/train.yaml`: the defaults in Python too."""
    found: dict[str, Any] = yaml.safe_load((CONF / "train.yaml").read_text(encoding="utf-8"))[group]
    return found


def cache_folder(given: str | Path | None = None) -> Path:
    """The folder of parsed surveys: the one given (`paths.cache`), else that of TLCLASS_CACHE, else `~/.cache/tlclass`."""
    return Path(given or os.environ.get("TLCLASS_CACHE") or Path.home() / ".cache" / "tlclass")


def writable_cache(folder: Path) -> None:
    """Make a folder of the cache.

    Raises:
        OSError: it may not be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise OSError(
            f"the cache {folder} cannot be written ({error.strerror}): give paths.cache=FOLDER, or set TLCLASS_CACHE"
        ) from error
