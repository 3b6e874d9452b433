"""Separate random streams from one seed, so that no draw depends on how often another was made."""

import hashlib

import numpy as np

from tlclass.arrays import Array


def stream(seed: int, name: str) -> int:
    """A 32-bit seed for the stream called `name`, e.g. "subset", "initialisation", "shuffle/7"."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{name}".encode()).digest()[:4], "big")


def uniform_by_name(names: Array, salt: str) -> Array:
    """(n,) numbers in [0, 1) that depend on each name and the salt alone, not on order or company."""
    digests = (hashlib.blake2b(f"{salt}/{name}".encode(), digest_size=8).digest() for name in names)
    return np.frombuffer(b"".join(digests), dtype=">u8") / 2.0**64
