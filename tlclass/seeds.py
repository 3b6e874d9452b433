"""Separate random streams from one seed, so that no draw depends on how often another was made."""

import hashlib


def stream(seed: int, name: str) -> int:
    """A 32-bit seed for the stream called `name`, e.g. "subset", "initialisation", "shuffle/7"."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{name}".encode()).digest()[:4], "big")
