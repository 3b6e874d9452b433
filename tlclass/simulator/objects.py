"""A chunk of drawn objects, and what a survey sees of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tlclass.arrays import Array
from tlclass.lightcurves.curves import LightCurves, pack
from tlclass.simulator.chunks import CHUNK
from tlclass.simulator.histories import Histories
from tlclass.simulator.instrument import Visits


@dataclass(frozen=True)
class Objects:
    """A chunk of drawn objects, before anyone looks at them.

    Attributes:
        histories: how they evolve, with what was drawn of them.
        mwebv: (n,) E(B-V) of the Milky Way, mag.
        host_photoz, host_photoz_err: (n,) photometric redshifts of the host galaxies; NaN where unknown.
        stretch: (n,) observed days per day of the object.
        start: (n,) days since `origin` at which they begin.
        origin: MJD.
    """

    histories: Histories
    mwebv: Array
    host_photoz: Array
    host_photoz_err: Array
    stretch: Array
    start: Array
    origin: float

    @property
    def columns(self) -> dict[str, Array]:
        """What light curves state of them."""
        drawn = self.histories.drawn
        columns = {name: drawn[name] for name in ("redshift", "host_av")} | {"peak_abs_mag": drawn["peak_magnitude"]}
        return columns | {name: getattr(self, name) for name in ("mwebv", "host_photoz", "host_photoz_err")}


@dataclass(frozen=True)
class Seen:
    """What a survey sees of a chunk of objects.

    Attributes:
        visits: all of them; and of each visit, (m,): flux, flux_err, detected, and whether it is kept.
        accepted: (n,) bool, the objects that pass the survey's limits.
        columns: (n,) per object.
    """

    visits: Visits
    flux: Array
    flux_err: Array
    detected: Array
    keep: Array
    accepted: Array
    columns: dict[str, Array]

    def of(self, chosen: Array, passbands: tuple[str, ...]) -> LightCurves:
        """The kept observations, in these passbands, of the objects where the (n,) mask is true; without names and labels."""
        visits, keep = self.visits, self.keep & chosen[self.visits.objects]
        counts = np.bincount(visits.objects[keep], minlength=CHUNK)[chosen]
        observed = {name: getattr(self, name)[keep] for name in ("flux", "flux_err", "detected")}
        observed |= {"mjd": visits.mjd[keep], "passband": visits.band[keep]}
        columns = {name: values[chosen] for name, values in self.columns.items()}
        offsets = np.append(0, np.cumsum(counts)).astype(np.int64)
        return pack(columns, np.full(len(counts), ""), observed, offsets, passbands)
