"""What an inspection keeps of a survey that is read part after part: counts of all of it, a sample, and marks of each object."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from tlclass.arrays import Array
from tlclass.inspection.sheet import Examples
from tlclass.lightcurves.by_survey import SEEN_BY
from tlclass.lightcurves.curves import LightCurves, concatenate, sum_dropped
from tlclass.lightcurves.cuts import Cut
from tlclass.lightcurves.ids import hashes

SAMPLE = 5_000_000  # observations that are held at most


@dataclass(frozen=True)
class Marks:
    """What tells n objects apart, about 60 bytes each.

    Attributes:
        object_id: names. id_hash: (n,) uint64 of them.
        fingerprint: (n,) a number per light curve that only equal observations share.
        ra, dec: (n,) degrees, NaN where unknown.
    """

    object_id: pa.ChunkedArray
    id_hash: Array
    fingerprint: Array
    ra: Array
    dec: Array

    @classmethod
    def of(cls, curves: LightCurves) -> "Marks":
        """Those of light curves none of which is empty."""
        names = pa.chunked_array([pa.array(curves.object_id, pa.string())])
        return cls(names, hashes(curves.object_id), _fingerprints(curves), curves.ra.copy(), curves.dec.copy())

    @classmethod
    def joined(cls, parts: "list[Marks]") -> "Marks":
        """Those of several sets, one after the other."""
        names = pa.chunked_array([chunk for part in parts for chunk in part.object_id.chunks], pa.string())
        columns = ("id_hash", "fingerprint", "ra", "dec")
        return cls(names, *(np.concatenate([getattr(part, column) for part in parts]) for column in columns))


class Sample:
    """Light curves drawn at random, by their ids, so that they have at most `limit` observations; all if they have no more."""

    def __init__(self, limit: int):
        self.limit, self.halved = limit, 0
        self._parts: list[LightCurves] = []

    def look(self, curves: LightCurves) -> None:
        """Take a set into account."""
        self._parts.append(self._thinned(curves))
        while sum(len(part.mjd) for part in self._parts) > self.limit:
            self.halved += 1
            self._parts = [self._thinned(part) for part in self._parts]

    def _thinned(self, curves: LightCurves) -> LightCurves:
        if not self.halved:
            return curves
        return curves.take(hashes(curves.object_id) < np.uint64(1 << (64 - self.halved)))

    @property
    def curves(self) -> LightCurves:
        """The sample, in the order in which its light curves came."""
        return concatenate(self._parts)


class Gathered:
    """The account of a survey, part after part.

    Attributes:
        objects, observations: as selected. read: observations as read.
        labels: raw label -> objects as read. cuts: reason -> raw label -> objects, in the order of the cuts.
        left_out: reason -> observations that the selection drops.
        classes: class -> selected objects. passbands: name -> selected observations.
        seen_by: surveys -> selected objects that these surveys observe, of a joint survey.
        mjd: the first and the last time. dropped: see `LightCurves`.
        simulated: whether a part says so. sample, examples: of the selected light curves.
    """

    def __init__(self, limit: int = SAMPLE):
        self.objects = self.observations = self.read = 0
        self.labels, self.classes, self.passbands = Counter[str](), Counter[str](), Counter[str]()
        self.seen_by = Counter[str]()
        self.cuts: dict[str, Counter[str]] = {}
        self.left_out: dict[str, int] = {}
        self.mjd: tuple[float, float] = (np.inf, -np.inf)
        self.dropped: dict[str, int] = {}
        self.simulated = False
        self.sample, self.examples = Sample(limit), Examples()
        self._marks: list[Marks] = []

    def look(self, part: LightCurves, curves: LightCurves, classes: Array, cuts: list[Cut]) -> None:
        """Take into account: a part as read, what is selected of it with the class of each, and what was cut."""
        self.read += len(part.mjd)
        self.objects, self.observations = self.objects + len(curves), self.observations + len(curves.mjd)
        self.labels += counted(part.label)
        for cut in cuts:
            self.cuts[cut.reason] = self.cuts.get(cut.reason, Counter()) + counted(cut.label)
            self.left_out = sum_dropped([self.left_out, {cut.reason: cut.observations}])
        self.classes += counted(classes)
        self.seen_by += counted(curves.extra.get(SEEN_BY, np.empty(0, dtype=str)))
        numbers = np.bincount(curves.passband, minlength=len(curves.passbands)).tolist()
        self.passbands += Counter(dict(zip(curves.passbands, numbers, strict=True)))
        self.mjd = (curves.mjd.min(initial=self.mjd[0]), curves.mjd.max(initial=self.mjd[1]))
        self.dropped = sum_dropped([self.dropped, part.dropped])
        self.simulated |= curves.simulated
        self.sample.look(curves)
        self.examples.look(curves, classes)
        self._marks.append(Marks.of(curves))

    @property
    def marks(self) -> Marks:
        """Of all selected objects."""
        return Marks.joined(self._marks)


def counted(values: Array) -> Counter[str]:
    """How often each text stands among these."""
    return Counter(values.astype(str).tolist())


def _fingerprints(curves: LightCurves) -> Array:
    weights = np.random.default_rng(0).uniform(1, 2, 4)
    mixed = (
        (curves.mjd % 1) * weights[0]
        + curves.flux * weights[1]
        + curves.flux_err * weights[2]
        + curves.passband * weights[3]
    )
    return np.add.reduceat(mixed, curves.offsets[:-1]) if len(curves) else np.empty(0)
