"""Files that appear whole or not at all."""

import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any


@contextmanager
def atomic_path(path: Path, flush: bool = True) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` when the block succeeds.

    A crash, a kill or a full disk leaves the previous file (or none), never half a file. Without `flush` that is not
    promised for a power cut; for files that are rewritten every second.

    Raises:
        OSError: the disk is full or the folder is not writable; the message names `path`.
    """
    path = Path(os.path.realpath(path))  # a link stays one
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))  # the user's umask holds
        rights = temporary.stat().st_mode
        yield temporary
        if temporary.stat().st_mode != rights:  # safetensors puts a file for its owner alone in the place
            temporary.chmod(rights)
        if flush:
            _flush(temporary)
        temporary.replace(path)
    except OSError as error:
        raise OSError(
            f"could not write {path}: {error.strerror or error}; the existing file was not changed"
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` atomically (UTF-8)."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, content: Any) -> None:
    """Write `content` as indented JSON, atomically; NaN is written as null."""
    write_text(path, json.dumps(_without_nan(content), indent=1, allow_nan=False) + "\n")


def _without_nan(content: Any) -> Any:
    if isinstance(content, dict):
        return {key: _without_nan(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_without_nan(value) for value in content]
    return None if isinstance(content, float) and content != content else content


def _flush(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())
