"""The notebooks of the documentation run as they are, and what they print and draw is stored in them."""

import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tlclass.network.classifier import ENCODERS

RUNNER = runpy.run_path(str(ROOT / "docs" / "run_notebooks.py"))
NOTEBOOKS: list[Path] = RUNNER["NOTEBOOKS"]
run: Callable[[Path], dict[str, Any]] = RUNNER["run"]


def outputs(notebook: dict[str, Any]) -> list[list[str]]:
    """The kinds of output of each cell."""
    return [[output["output_type"] for output in cell.get("outputs", [])] for cell in notebook["cells"]]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*does not have many workers.*")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_shows_what_it_prints(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, restored_logging: None
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["notebook"])
    known = dict(ENCODERS)
    try:
        found = outputs(run(path))
    finally:
        ENCODERS.clear()
        ENCODERS.update(known)
    assert any(found)
    assert found == outputs(RUNNER["read"](path)), "run python docs/run_notebooks.py"


def test_every_tutorial_of_the_site_is_there() -> None:
    names = {path.stem for path in NOTEBOOKS}
    assert names >= {"my_table", "alert_packets", "new_survey", "by_hand", "new_encoder", "choose", "stream"}
