"""What SNANA's headers say of an object: one list of keys for text and for HEAD files."""

from collections.abc import Iterable

import numpy as np

from tlclass.arrays import Array
from tlclass.lightcurves.photometry import known_extinction, known_numbers, known_times

# ours: theirs, of which the first that is known counts. The true redshift of a simulation, as its truth tables state it, comes first.
# Of measured ones the heliocentric one does, by which times dilate: REDSHIFT_FINAL is in the frame of the CMB (README of
# DES-SN5YR/0_DATA), in which the Sun moves at 370 km/s.
KEYS = {
    "mwebv": ("MWEBV",),
    "redshift": ("SIM_REDSHIFT_CMB", "REDSHIFT_HELIO", "REDSHIFT_FINAL", "REDSHIFT_CMB"),
    "peak_mjd": ("PEAKMJD", "SIM_PEAKMJD", "SEARCH_PEAKMJD"),
    "host_photoz": ("HOSTGAL_PHOTOZ", "HOST_GALAXY_PHOTO-Z"),
    "host_photoz_err": ("HOSTGAL_PHOTOZ_ERR", "HOSTGAL_PHOTOZERR", "HOSTGAL_PHOTOZ+-", "HOST_GALAXY_PHOTO-Z+-"),
}
KNOWN = {"mwebv": known_extinction, "peak_mjd": known_times}


def first_known(ours: str, given: Iterable[Array], n: int) -> Array:
    """(n,) of the values (n,) of each key, in their order, the first that is known; NaN where none is.

    >>> first_known("redshift", [np.array([-9.0, 0.1]), np.array([0.2, 0.3])], 2)
    array([0.2, 0.1])
    """
    values = np.full(n, np.nan)
    for each in given:
        values = np.where(np.isnan(values), KNOWN.get(ours, known_numbers)(each), values)
    return values
