"""Checks of light curves: time zero in noise, objects of noise alone, wrong unit, impossible colours, a lost sign."""

from itertools import pairwise

import numpy as np

from tlclass.arrays import Array
from tlclass.lightcurves.curves import LightCurves
from tlclass.lightcurves.passbands import Passbands
from tlclass.lightcurves.photometry import SNR, magnitude_of_flux

NOISE = 3.0  # flux / error; time zero belongs above it
SHARE = 0.2  # of the objects; simulations with wrong errors on purpose stay below it
FACTOR = 5.0  # between the median flux here and what the card expects
COLOUR = 2.0  # mag between neighbouring passbands; the median colour of supernovae, TDEs and AGN is well inside it
COLOUR_OF_U = 4.0  # the same of u, which metals blanket
SAME_NIGHT = 0.5  # days between the two points of a colour
FEW = 30  # with fewer points there is no verdict


def judged(curves: LightCurves, passbands: Passbands, forced: bool, typical_flux: float | None) -> list[str]:
    """Every violation of selected light curves, a sentence each.

    Args:
        curves: selected, with time zero in `trigger_mjd`; at least one object.
        passbands: with their wavelengths.
        forced: whether they are forced photometry.
        typical_flux: median |flux| that the survey's card expects; None: not stated.
    """
    return [
        *time_zero_in_noise(curves),
        *noise_alone(curves),
        *other_flux(curves, typical_flux),
        *odd_colours(curves, passbands),
        *(lost_sign(curves) if forced else []),
    ]


def time_zero_in_noise(curves: LightCurves) -> list[str]:
    """Objects whose time zero is a point of S/N below `NOISE`; none where time zero is at no observation."""
    ratio = _ratio(curves)
    at_zero = np.abs(curves.days) < 1e-6
    best = np.full(len(curves), -np.inf)
    np.maximum.at(best, curves.owner[at_zero], ratio[at_zero])
    known = np.isfinite(best)
    low = known & (best < NOISE)
    if not known.any() or low.sum() <= SHARE * known.sum():
        return []
    return [
        f"time zero is a point of flux / error {np.median(best[low]):.1f} in {low.sum()} of {known.sum()} objects, e.g. "
        f"{curves.object_id[np.flatnonzero(low)[0]]}: set selection.photometry.snr, or name the column of detections"
    ]


def noise_alone(curves: LightCurves) -> list[str]:
    """Light curves without any point of S/N `SNR`."""
    best = np.maximum.reduceat(_ratio(curves), curves.offsets[:-1])
    low = best < SNR
    if low.sum() <= SHARE * len(curves):
        return []
    return [
        f"{low.sum()} of {len(curves)} light curves are noise (no point of flux / error {SNR:g}), e.g. "
        f"{curves.object_id[np.flatnonzero(low)[0]]}: check the errors and the flux unit, or leave these objects out"
    ]


def other_flux(curves: LightCurves, typical_flux: float | None) -> list[str]:
    """A median |flux| that is more than a factor `FACTOR` from what the card expects."""
    middle = float(np.median(np.abs(curves.flux)))
    if typical_flux is None or typical_flux / FACTOR <= middle <= typical_flux * FACTOR:
        return []
    return [
        f"the median |flux| is {middle:.3g}, the card's typical_flux {typical_flux:g}: check the flux unit, or correct typical_flux"
    ]


def odd_colours(curves: LightCurves, passbands: Passbands) -> list[str]:
    """Neighbouring passbands whose median colour within a night no transient has: a unit or name is wrong in one of them."""
    sure = curves.detected & (_ratio(curves) >= SNR)
    waves = passbands.wavelengths(curves.passbands)
    seen = [int(code) for code in np.argsort(waves) if (sure & (curves.passband == code)).any()]
    found = []
    for blue, red in pairwise(seen):
        colours = _colours(curves, sure, blue, red)
        limit = COLOUR_OF_U if curves.passbands[blue].endswith("u") else COLOUR
        if len(colours) >= FEW and abs(np.median(colours)) > limit:
            names = f"{curves.passbands[blue]} - {curves.passbands[red]}"
            found.append(
                f"the median colour {names} is {np.median(colours):+.1f} mag, which no transient has: check the passbands' names and the "
                "flux unit of each"
            )
    return found


def _colours(curves: LightCurves, sure: Array, blue: int, red: int) -> Array:
    """Magnitude differences of a point in one passband and the nearest later or earlier one in the other, of one object."""
    rows = np.flatnonzero(sure & ((curves.passband == blue) | (curves.passband == red)))
    owner, mjd, band = curves.owner[rows], curves.mjd[rows], curves.passband[rows]
    pair = (np.diff(owner) == 0) & (np.diff(mjd) < SAME_NIGHT) & (band[1:] != band[:-1])
    first, second = rows[:-1][pair], rows[1:][pair]
    difference = magnitude_of_flux(curves.flux[first]) - magnitude_of_flux(curves.flux[second])
    return np.asarray(np.where(curves.passband[first] == blue, difference, -difference))


def lost_sign(curves: LightCurves) -> list[str]:
    """Forced photometry has as many negative as positive fluxes where there is no light; none negative is a lost sign."""
    faint = np.abs(_ratio(curves)) < 1
    if faint.sum() < FEW or (curves.flux[faint] < 0).any():
        return []
    return [
        f"none of the {faint.sum()} fluxes within one error of zero is negative: the sign of the forced photometry was lost; use signed fluxes"
    ]


def _ratio(curves: LightCurves) -> Array:
    return np.asarray(curves.flux.astype(np.float64) / curves.flux_err)
