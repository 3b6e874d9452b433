"""What SNANA's headers say of an object and its fluxes: one list of keys for text and for FITS files."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from tlclass.arrays import Array
from tlclass.lightcurves.curves import SIMULATED
from tlclass.lightcurves.photometry import (
    FACTS,
    MAG_RANGE,
    ZERO_POINT,
    flux_scale,
    known_extinction,
    known_numbers,
    known_times,
    scales,
)
from tlclass.surveys.tables.units import refuse_other_fluxcal, say_depth

# ours: theirs, of which the first that is known counts. The true redshift of a simulation, as its truth tables state it, comes first.
# Of measured ones the heliocentric one does, by which times dilate: REDSHIFT_FINAL is in the frame of the CMB (README of
# DES-SN5YR/0_DATA), in which the Sun moves at 370 km/s.
KEYS = {
    "mwebv": ("MWEBV",),
    "redshift": ("SIM_REDSHIFT_CMB", "REDSHIFT_HELIO", "REDSHIFT_FINAL", "REDSHIFT_CMB"),
    "peak_mjd": ("PEAKMJD", "SIM_PEAKMJD", "SEARCH_PEAKMJD"),
    "trigger_mjd": ("MJD_TRIGGER",),
    "host_photoz": ("HOSTGAL_PHOTOZ", "HOST_GALAXY_PHOTO-Z"),
    "host_photoz_err": ("HOSTGAL_PHOTOZ_ERR", "HOSTGAL_PHOTOZERR", "HOSTGAL_PHOTOZ+-", "HOST_GALAXY_PHOTO-Z+-"),
}
ZERO_POINT_KEY = FACTS["snana_zero_point"]
CORRECTED_KEY = "MWEBV_APPLYFLAG"
FAKE_KEY = "FAKE"
FLUX_NAMES = {"flux": "FLUXCAL", "flux_err": "FLUXCALERR"}


def known_dates(values: Array) -> Array:
    """MJDs, NaN where they are codes for "unknown"."""
    dates = known_times(values, relative=False)
    return np.where(dates > 0, dates, np.nan)


KNOWN = {"mwebv": known_extinction, "peak_mjd": known_dates, "trigger_mjd": known_dates}


def first_known(ours: str, given: Iterable[Array], n: int) -> Array:
    """(n,) of the values (n,) of each key, in their order, the first that is known; NaN where none is.

    >>> first_known("redshift", [np.array([-9.0, 0.1]), np.array([0.2, 0.3])], 2)
    array([0.2, 0.1])
    """
    values = np.full(n, np.nan)
    for each in given:
        values = np.where(np.isnan(values), KNOWN.get(ours, known_numbers)(each), values)
    return values


def flux_factors(zero_points: Array, unit: str | float | None, origin: str) -> tuple[Array, Array]:
    """(n,) factors from FLUXCAL to zero point 27.5, and (n,) bool where nothing states the zero point, so that 27.5 is taken.

    Args:
        zero_points: (n,) as the files state them, NaN where they state none. unit: of all fluxes, as the user states it. origin: what to call
            the files in messages.

    Raises:
        ValueError: one is no zero point.
    """
    if unit is not None:
        return np.full(len(zero_points), flux_scale(unit)), np.zeros(len(zero_points), dtype=bool)
    stated = known_numbers(zero_points)
    wrong = stated[(stated <= MAG_RANGE[0]) | (stated >= MAG_RANGE[1])]
    if len(wrong):
        raise ValueError(
            f"{origin}: {ZERO_POINT_KEY} is {wrong[0]:g}: an AB zero point lies between {MAG_RANGE[0]} and {MAG_RANGE[1]}"
        )
    taken = np.isnan(stated)
    return np.asarray(scales(np.where(taken, ZERO_POINT, stated))), taken


def judge_unit(seen: Mapping[str, Array], doubtful: Array, passbands: Sequence[str], origin: str) -> None:
    """Compare errors with the depth of the survey, as those of tables are.

    Args:
        seen: `flux`, `flux_err` and `passband` (n,) of the rows. doubtful: (n,) bool, whether nothing states their zero point, and they are of
            the survey of the passbands.
        passbands: names of the codes. origin: what to call the files in messages.

    Raises:
        ValueError: doubtful rows are in nJy.
    """
    unstated = {name: seen[name][doubtful] for name in ("flux", "flux_err")}
    refuse_other_fluxcal(unstated, seen["passband"][doubtful], FLUX_NAMES, passbands, origin)
    say_depth(seen, seen["passband"], FLUX_NAMES, passbands, origin)


def simulated(fake: Array) -> dict[str, Array]:
    """The column that says which objects are simulated, of what the key FAKE states of them (n,): 0 is real; no column where all are."""
    return {SIMULATED: fake > 0} if (fake > 0).any() else {}


def refuse_corrected(flag: int, origin: str) -> None:
    """Raise ValueError if the header says that fluxes are corrected for extinction."""
    if flag:
        raise ValueError(
            f"{origin}: its fluxes are corrected for Milky Way extinction ({CORRECTED_KEY}={flag}): use uncorrected fluxes, as for all other surveys"
        )
