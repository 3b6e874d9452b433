"""The pip line of an extra names where the package came from."""

import json
from importlib.metadata import PathDistribution
from pathlib import Path

import pytest

from tlclass import extras


def test_in_a_clone_it_names_the_clone() -> None:
    line = extras.install("alerts")
    assert line.startswith("pip install -e ") and f"{extras.HOME}[alerts]" in line


@pytest.mark.parametrize("kind", ["wheel", "folder", "index"])
def test_elsewhere_it_names_what_was_installed(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site, folder = tmp_path / "site", tmp_path / "a clone"
    (site / "tlclass-1.dist-info").mkdir(parents=True)
    folder.mkdir()
    urls = {"wheel": "file:///w/tlclass-1.whl", "folder": folder.as_uri()}
    if kind in urls:
        (site / "tlclass-1.dist-info" / "direct_url.json").write_text(json.dumps({"url": urls[kind]}))
    monkeypatch.setattr(extras, "HOME", site)
    monkeypatch.setattr(extras, "distribution", lambda name: PathDistribution(site / "tlclass-1.dist-info"))
    expected = {
        "wheel": "pip install 'tlclass[alerts] @ file:///w/tlclass-1.whl'",
        "folder": f"pip install '{folder}[alerts]'",
        "index": "pip install 'tlclass[alerts]'",
    }
    assert extras.install("alerts") == expected[kind]
    assert extras.needs("reading packets", "fastavro", "alerts") == f"reading packets needs fastavro: {expected[kind]}"
