"""Checkpoints of a fit: written whole, and forgotten where a kill left them damaged."""

import io
import logging
import pickle
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from tlclass.atomic import atomic_path

log = logging.getLogger(__name__)


def forget_damaged(folder: Path) -> None:
    """Where a checkpoint cannot be read, as a kill or a power cut may leave it, say so and remove the fit's traces."""
    traces = [folder / name for name in ("last.ckpt", "best.ckpt", "done.json")]
    for checkpoint in (path for path in traces[:2] if path.exists()):
        content = io.BytesIO(checkpoint.read_bytes())
        try:
            torch.load(content, weights_only=True, map_location="cpu")
        except (RuntimeError, EOFError, ValueError, pickle.UnpicklingError):
            log.warning("%s is damaged: this fit starts anew", checkpoint)
            for path in traces:
                path.unlink(missing_ok=True)
            return


class WholeCheckpoints(TorchCheckpointIO):
    """Checkpoints that appear whole or not at all.

    Lightning writes them in the system's temporary folder first and moves them; where that is another disk, a kill
    or a full disk during the move leaves half a file in place of the last good one.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write beside the old one, then rename.

        Raises:
            OSError: the disk is full; the old one is intact.
        """
        content = io.BytesIO()
        torch.save(checkpoint, content)
        with atomic_path(Path(path), flush=False) as temporary:
            temporary.write_bytes(content.getbuffer())
