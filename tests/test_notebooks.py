"""The notebooks of the documentation run as they are."""

import json
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tlclass.network.classifier import ENCODERS

NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*does not have many workers.*")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_prints_something(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    known = dict(ENCODERS)
    namespace = {"__name__": f"notebook_{path.stem}"}
    try:
        for number, cell in enumerate(json.loads(path.read_text(encoding="utf-8"))["cells"]):
            if cell["cell_type"] == "code":
                exec(compile("".join(cell["source"]), f"{path.name}, cell {number}", "exec"), namespace)
    finally:
        ENCODERS.clear()
        ENCODERS.update(known)
    assert capsys.readouterr().out.strip()


def test_every_notebook_has_a_place_on_the_site() -> None:
    site = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert len(NOTEBOOKS) >= 3 and all(f"notebooks/{path.name}" in site for path in NOTEBOOKS)
