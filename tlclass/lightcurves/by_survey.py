"""Which surveys observed an object: counts of observations, and names such as `ztf+lsst`."""

from collections.abc import Sequence

import numpy as np

from tlclass.arrays import Array
from tlclass.lightcurves.curves import LightCurves

SEEN_BY = "seen_by"  # extra column: the surveys that have observations of an object, before their photometry is chosen
SHOWN = "shown"  # extra column: the surveys whose observations an object has


def counted_by(curves: LightCurves, survey: Array, kept: Array, surveys: int) -> Array:
    """(n, surveys) how many of the (n_obs,) kept observations of each object come from each survey, -1 for none of them."""
    use = kept & (survey >= 0)
    flat = curves.owner[use] * surveys + survey[use]
    return np.bincount(flat, minlength=len(curves) * surveys).reshape(len(curves), surveys)


def named_surveys(seen: Array, names: Sequence[str]) -> Array:
    """(n,) str, the names of the surveys where (n, surveys) is true with a plus between, e.g. `ztf+lsst`."""
    code = seen @ (1 << np.arange(len(names)))
    known, place = np.unique(code, return_inverse=True)
    said = ["+".join(name for bit, name in enumerate(names) if number >> bit & 1) for number in known.tolist()]
    return np.array(said, dtype=str)[place] if len(said) else np.empty(0, dtype=str)
