"""Object ids of sets that are too large to hold them all: 8 bytes an object."""

import numpy as np
import pandas as pd

from tlclass.arrays import Array


def hashes(object_id: Array) -> Array:
    """(n,) uint64: equal for equal ids; different ids of 10 million have equal ones with a probability of 3e-6."""
    return np.asarray(pd.util.hash_array(object_id.astype(object), categorize=False))


class Seen:
    """Looks for ids that stand more than once among sets that come one after the other."""

    def __init__(self) -> None:
        self._hashes: list[Array] = []

    def look(self, object_id: Array) -> None:
        """Take the (n,) ids of a set into account."""
        self._hashes.append(hashes(object_id))

    def repeated(self) -> Array:
        """The hashes that came more than once, ascending."""
        if not self._hashes:
            return np.empty(0, dtype=np.uint64)
        known = np.concatenate(self._hashes)
        known.sort()
        return np.unique(known[1:][known[1:] == known[:-1]])
