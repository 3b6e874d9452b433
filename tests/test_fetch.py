import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import refused
from tlclass import fetch


@pytest.fixture
def wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    """`pip download` puts a small wheel with other content there."""

    def download(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        with zipfile.ZipFile(Path(command[command.index("--dest") + 1]) / "snmachine-2.0.0.whl", "w") as file:
            for name in fetch.PLASTICC:
                file.writestr(f"{fetch.INSIDE}/{name}", "object_id\n615\n")
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(subprocess, "run", download)


def test_a_changed_package_is_refused_and_nothing_kept(wheel: None, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"md5 .* not f52634808058584d5c32cf769d6110fc: the package changed"):
        fetch.fetch_plasticc(tmp_path / "plasticc")
    assert not list((tmp_path / "plasticc").iterdir())


def test_verified_files_are_put_there_and_not_fetched_again(
    wheel: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import hashlib

    right = hashlib.md5(b"object_id\n615\n", usedforsecurity=False).hexdigest()
    monkeypatch.setattr(fetch, "PLASTICC", dict.fromkeys(fetch.PLASTICC, right))
    fetch.fetch_plasticc(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == set(fetch.PLASTICC)
    monkeypatch.setattr(subprocess, "run", None)  # a second download would fail
    fetch.main(["plasticc", "--folder", str(tmp_path)])


def test_no_connection_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(subprocess, "run", lambda command, **_: subprocess.CompletedProcess(command, 1))
    sentence = refused(capsys, fetch.main, ["plasticc", "--folder", str(tmp_path)])
    assert sentence.startswith("error: pip could not download snmachine")
