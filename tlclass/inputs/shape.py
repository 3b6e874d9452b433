"""What a light curve does as a whole, in a few numbers after every observation: for telling what is none of the classes.

The network's latent vector holds what tells the classes apart, and little else. Variable stars fall below zero in difference
images, flares and kilonovae are gone after one or two detections, so that little of their light comes late; microlensing is
bright. None of the classes is like that.
"""

import numpy as np

from tlclass.arrays import Array
from tlclass.inputs.encoding import Encoded, Encoding, Observed
from tlclass.lightcurves.photometry import SNR

STATISTICS = (
    "below zero", "fastest fall", "typical change", "detections", "days between detections", "highest flux / error", "highest flux",
    "late flux", "days since detection", "mean day",
)  # fmt: skip
# By these the novelty is judged; by the first seven of all in models of format 2.
TELLING = (
    "fastest fall", "typical change", "detections", "highest flux", "late flux", "days since detection", "mean day",
)  # fmt: skip
CALM = 0.1  # share of the flux by which any light curve may change from one observation to the next
FIRST_DAY = 0.5  # added to the days between two observations
LATE = 5.0  # days after the first detection


def statistics(encoded: Encoded, encoding: Encoding) -> Array | None:
    """(n_obs, 10) `STATISTICS`, each as log(1 + value), from the observations up to each; causal.

    Below zero: the largest negative flux / error. Changes: between neighbours in a passband, in units of the errors and 10 % of the
    flux, divided by the root of the days between them; the largest loss, and the mean size. Detections: flux / error above 5. Late
    flux: the mean of what is later than 5 d after the first detection, by the errors, as a share of the highest flux since that
    detection. Mean day: of the days since the first detection, weighted by (flux / error)^2.

    None for an encoding from which the photometry cannot be read (`tlclass.inputs.encoding.Encoding`).
    """
    if not hasattr(encoding, "photometry"):
        return None
    seen: Observed = encoding.photometry(encoded.x)
    first = encoded.offsets[:-1]
    owner = encoded.owner
    snr = seen.flux / seen.flux_err
    detected = snr > SNR
    change, has_change = _changes(seen, owner)
    changes = np.maximum(_sum_so_far(has_change, first, owner), 1)
    columns = [
        _largest_so_far(np.maximum(-snr, 0), owner),
        _largest_so_far(np.maximum(-change, 0), owner),
        _sum_so_far(np.abs(change), first, owner) / changes,
        _sum_so_far(detected, first, owner),
        _span(seen.days, detected, owner),
        _largest_so_far(np.maximum(snr, 0), owner),
        _largest_so_far(np.maximum(seen.flux, 0), owner),
        *_since_detection(seen, detected, first, owner),
    ]
    table: Array = np.log1p(np.column_stack(columns))
    return table


def _changes(seen: Observed, owner: Array) -> tuple[Array, Array]:
    """(n_obs,) change since the last point in the passband, see `statistics`, and where there is such a point."""
    order = np.lexsort((np.arange(len(owner)), seen.wavelength, owner))
    same = (np.diff(owner[order]) == 0) & (np.diff(seen.wavelength[order]) == 0)
    before, after = order[:-1][same], order[1:][same]
    flux, error = seen.flux, seen.flux_err
    calm = CALM * np.maximum(np.abs(flux[before]), np.abs(flux[after]))
    size = (flux[after] - flux[before]) / np.sqrt(error[before] ** 2 + error[after] ** 2 + calm**2)
    change, known = np.zeros(len(flux)), np.zeros(len(flux), dtype=bool)
    change[after] = size / np.sqrt(np.maximum(seen.days[after] - seen.days[before], 0) + FIRST_DAY)
    known[after] = True
    return change, known


def _since_detection(seen: Observed, detected: Array, first: Array, owner: Array) -> tuple[Array, Array, Array]:
    """(n_obs,) late flux, days since the first detection and mean day, see `statistics`; 0 before that detection."""
    days = np.maximum(seen.days - _first_detection(seen.days, detected, owner), 0.0)
    since = detected | (days > 0)
    late = days > LATE
    highest = _largest_so_far(np.where(since, np.maximum(seen.flux, 0), 0), owner)
    precision = _sum_so_far(late / seen.flux_err**2, first, owner)
    mean = _sum_so_far(late * seen.flux / seen.flux_err**2, first, owner) / np.where(precision > 0, precision, 1.0)
    weight = np.where(since, np.maximum(seen.flux / seen.flux_err, 0) ** 2, 0.0)
    light = _sum_so_far(weight, first, owner)
    center = _sum_so_far(weight * days, first, owner) / np.where(light > 0, light, 1.0)
    return np.maximum(mean, 0) / np.where(highest > 0, highest, 1.0), days, np.maximum(center, 0)


def _first_detection(days: Array, detected: Array, owner: Array) -> Array:
    """(n_obs,) day of the object's first detection; infinite where there is none."""
    first = np.full(int(owner[-1]) + 1 if len(owner) else 0, np.inf)
    np.minimum.at(first, owner[detected], days[detected])
    return np.asarray(first[owner])


def _sum_so_far(values: Array, first: Array, owner: Array) -> Array:
    """(n_obs,) running sum within each object, which begins at its row `first`; rounded alike whatever objects are beside it."""
    rank = np.arange(len(owner)) - first[owner]
    table = np.zeros((len(first), int(rank.max(initial=-1)) + 1))
    table[owner, rank] = values
    return np.asarray(table.cumsum(axis=1)[owner, rank])


def _span(days: Array, detected: Array, owner: Array) -> Array:
    """(n_obs,) days from the first to the last detection so far; 0 where there is none."""
    since = np.where(detected, days - _first_detection(days, detected, owner), 0.0)
    return _largest_so_far(np.nan_to_num(since, posinf=0.0, neginf=0.0), owner)


def _largest_so_far(values: Array, owner: Array) -> Array:
    """(n_obs,) running maximum of values above 0 within each object, on a logarithmic scale so that objects can be lifted apart."""
    height = np.log1p(values) + owner * 1e3
    return np.asarray(np.expm1(np.maximum.accumulate(height) - owner * 1e3))
