"""Where the configuration files are (`conf/` in a checkout, `tlclass/conf/` in an installed wheel), and the cache."""

import os
from pathlib import Path

_PACKAGE = Path(__file__).parent
CONF = _PACKAGE / "conf" if (_PACKAGE / "conf").is_dir() else _PACKAGE.parent / "conf"


def cache_folder() -> Path:
    """The folder of parsed surveys where none is given (`paths.cache=null`)."""
    return Path(os.environ.get("TLCLASS_CACHE") or Path.home() / ".cache" / "tlclass")
