"""A complete cache and a complete store of models are only read: they may lie on a disk that cannot be written."""

from collections.abc import Iterator
from pathlib import Path

import filelock
import pytest

from tests.conftest import Job
from tlclass.experiments.run import run_job


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The lock files that are asked for."""
    asked: list[str] = []
    acquire = filelock.FileLock.acquire

    def noted(self: filelock.FileLock, *arguments: object, **options: object) -> object:
        asked.append(str(self.lock_file))
        return acquire(self, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(filelock.FileLock, "acquire", noted)
    yield asked


def test_neither_cache_nor_models_are_written_or_locked_once_complete(
    settings: Job, tmp_path: Path, kept: list[str]
) -> None:
    places = [f"paths.cache={tmp_path / 'cache'}", f"paths.models={tmp_path / 'models'}"]
    small = ["fit.max_epochs=1", "fit.min_steps=0", "pretrain.fit.max_epochs=1", "freeze_policy=head_only", *places]
    run_job(settings(*small), tmp_path / "first")
    assert any("cache" in path for path in kept) and any("models" in path for path in kept)
    before = {path: path.stat().st_mtime_ns for name in ("cache", "models") for path in (tmp_path / name).rglob("*")}
    kept.clear()
    run_job(settings(*small), tmp_path / "second")
    after = {path: path.stat().st_mtime_ns for name in ("cache", "models") for path in (tmp_path / name).rglob("*")}
    assert after == before
    assert not [path for path in kept if str(tmp_path / "cache") in path or str(tmp_path / "models") in path]


def test_a_cache_that_cannot_be_written_is_named_with_the_setting(tmp_path: Path, settings: Job) -> None:
    (tmp_path / "file").write_text("")
    survey = settings("target=bts").target
    for call in (survey.load, lambda cache: survey.digest(tmp_path, cache)):
        with pytest.raises(
            OSError, match=r"^the cache .*file/cache/bts cannot be written \(Not a directory\): give paths.cache="
        ):
            call(tmp_path / "file" / "cache")
