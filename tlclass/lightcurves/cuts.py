"""What a selection removed: how much, for which reason, and the names of a few objects."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tlclass.arrays import Array
from tlclass.lightcurves.curves import LightCurves

log = logging.getLogger(__name__)

NAMED = 3  # objects that a message names of those that a rule removed


@dataclass(frozen=True)
class Cut:
    """The objects that one rule removed, or observations of objects that stay.

    Attributes:
        reason: completes "dropped so many objects ...", or observations.
        object_id, label: (n,) of those objects; of several sets together, see `merge_cuts`, a few of them.
        observations: removed from objects that stay.
        usual: whether that is what the selection is for and nothing to warn of: a model of detections is given forced photometry.
        unnamed: objects removed beside those in `object_id`.
    """

    reason: str
    object_id: Array
    label: Array
    observations: int = 0
    usual: bool = False
    unnamed: int = 0

    def __len__(self) -> int:
        return len(self.object_id) + self.unnamed

    @classmethod
    def of(cls, curves: LightCurves, removed: Array, reason: str) -> "Cut":
        """The objects of `curves` where the (n,) mask `removed` is true."""
        return cls(reason, curves.object_id[removed], curves.label[removed])

    @classmethod
    def within(cls, before: LightCurves, after: LightCurves, reason: str, usual: bool = True) -> "Cut":
        """The observations of the same objects that `after` lacks."""
        nobody = np.empty(0, dtype=str)
        return cls(reason, nobody, nobody, len(before.mjd) - len(after.mjd), usual)


def log_cuts(total: int, cuts: Sequence[Cut], origin: str) -> int:
    """Log how many of `total` objects, and how many observations, each cut removed; return how many objects are left."""
    usual = [f"{cut.observations} observations {cut.reason}" for cut in cuts if cut.usual and cut.observations]
    if usual:
        log.info("%s: the selection drops %s", origin, "; ".join(usual))
    for cut in cuts:
        if len(cut):
            names = ", ".join(cut.object_id[:NAMED])
            log.warning("%s: dropped %d of %d objects %s, e.g. %s", origin, len(cut), total, cut.reason, names)
        if cut.observations and not cut.usual:
            log.warning("%s: dropped %d observations %s", origin, cut.observations, cut.reason)
        total -= len(cut)
    return total


def merge_cuts(parts: Sequence[Sequence[Cut]]) -> list[Cut]:
    """The same rules applied to several sets, as one list whose memory does not grow with the objects: of each rule `NAMED` are named.

    An empty list stands for no set.
    """
    return [
        Cut(
            cuts[0].reason,
            (named := np.concatenate([cut.object_id[:NAMED] for cut in cuts])[:NAMED]),
            np.concatenate([cut.label[:NAMED] for cut in cuts])[:NAMED],
            sum(cut.observations for cut in cuts),
            cuts[0].usual,
            sum(map(len, cuts)) - len(named),
        )
        for cuts in zip(*filter(None, parts), strict=True)
    ]
