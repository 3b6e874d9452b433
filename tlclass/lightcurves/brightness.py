"""How bright objects are, measured on their own light curves."""

import numpy as np

from tlclass.arrays import Array
from tlclass.lightcurves.curves import LightCurves
from tlclass.lightcurves.photometry import magnitude_of_flux

THIRDS = ("bright third", "middle third", "faint third")


def peak_magnitudes(curves: LightCurves) -> Array:
    """(n,) AB magnitude of the brightest detection in any passband, NaN of an object without a positive detection."""
    shining = curves.detected & (curves.flux > 0)
    peak = np.full(len(curves), np.nan)
    np.fmax.at(peak, curves.owner[shining], curves.flux[shining])
    return np.asarray(magnitude_of_flux(peak))


def last_magnitudes(curves: LightCurves) -> Array:
    """(n,) AB magnitude of the latest detection in any passband, NaN of an object without a positive detection."""
    shining = np.flatnonzero(curves.detected & (curves.flux > 0))
    owner = curves.owner[shining]
    last = np.flatnonzero(np.diff(owner, append=-1))  # observations of an object ascend in time
    magnitude = np.full(len(curves), np.nan)
    magnitude[owner[last]] = magnitude_of_flux(curves.flux[shining[last]].astype(np.float64))
    return magnitude


def thirds(magnitude: Array) -> dict[str, Array]:
    """(n,) bool of each of THIRDS: equal numbers of the objects whose (n,) magnitude is known, from bright to faint.

    >>> {name: mask.tolist() for name, mask in thirds(np.array([19.0, 17.0, np.nan, 18.0])).items()}["faint third"]
    [True, False, False, False]
    """
    order = np.argsort(magnitude, kind="stable")[: np.count_nonzero(~np.isnan(magnitude))]  # NaN sorts last
    masks = {}
    for name, part in zip(THIRDS, np.array_split(order, len(THIRDS)), strict=True):
        masks[name] = np.zeros(len(magnitude), dtype=bool)
        masks[name][part] = True
    return masks
