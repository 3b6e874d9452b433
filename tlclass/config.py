"""Where the configuration files are: `conf/` in a checkout, `tlclass/conf/` in an installed wheel."""

from pathlib import Path

_PACKAGE = Path(__file__).parent
CONF = _PACKAGE / "conf" if (_PACKAGE / "conf").is_dir() else _PACKAGE.parent / "conf"
