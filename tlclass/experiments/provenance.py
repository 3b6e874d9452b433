"""When, where and with which versions a job ran: for its folder and the report."""

import os
import platform
from datetime import UTC, datetime
from typing import Any

import torch

from tlclass import __version__


def provenance(seconds: float) -> dict[str, Any]:
    """What `timing.json` holds of a job that has just ended.

    Args:
        seconds: of training and scoring.
    """
    return {
        "seconds": seconds,
        "ended": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "versions": {"tlclass": __version__, "torch": torch.__version__, "python": platform.python_version()},
    }


def machine() -> str:
    """The kind of machine, without its name: `Linux x86_64, 16 CPU cores, NVIDIA H100`."""
    parts = [f"{platform.system()} {platform.machine()}", f"{os.cpu_count()} CPU cores"]
    if torch.cuda.is_available():
        parts += sorted({torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count())})
    return ", ".join(parts)
