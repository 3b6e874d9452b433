import logging
import logging.config
from collections.abc import Callable

import pytest
import yaml

from tests.conftest import ROOT
from tlclass.config import CONF
from tlclass.logs import log_to_terminal


def as_hydra_does() -> None:
    settings = yaml.safe_load((CONF / "train.yaml").read_text(encoding="utf-8"))["hydra"]["job_logging"]
    logging.config.dictConfig({"version": 1, "incremental": True, "loggers": settings["loggers"]})


@pytest.mark.parametrize("set_up", [log_to_terminal, as_hydra_does])
def test_matplotlib_says_nothing_of_its_fonts(set_up: Callable[[], None]) -> None:
    logging.getLogger("matplotlib").setLevel(logging.NOTSET)
    set_up()
    fonts = logging.getLogger("matplotlib.font_manager")
    assert fonts.isEnabledFor(logging.WARNING) and not fonts.isEnabledFor(logging.INFO)


def test_the_log_is_set_up_in_one_place() -> None:
    places = [path.name for path in (ROOT / "tlclass").rglob("*.py") if "basicConfig" in path.read_text()]
    assert places == ["logs.py"]
