"""What a light curve does as a whole, in a few numbers after every observation: for telling what is none of the classes.

The network's latent vector holds what tells the classes apart, and little else. Variable stars fall below zero in difference
images, flares and kilonovae are gone after one or two detections, microlensing is bright; none of the classes is like that.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from tlclass.inputs.encoding import Encoded, Encoding, Observed

Array = npt.NDArray[np.float64]

STATISTICS = (
    "below zero", "fastest fall", "typical change", "detections", "days between detections", "highest flux / error", "highest flux",
)  # fmt: skip
SNR = 5.0  # of a detection
CALM = 0.1  # share of the flux by which any light curve may change from one observation to the next
FIRST_DAY = 0.5  # added to the days between two observations


def statistics(encoded: Encoded, encoding: Encoding) -> Array | None:
    """(n_obs, 7) `STATISTICS`, each as log(1 + value), from the observations up to each; causal.

    Below zero: the largest negative flux / error. Changes: between neighbours in a passband, in units of the errors and 10 % of the
    flux, divided by the root of the days between them; the largest loss, and the mean size. Detections: flux / error above 5.

    None for an encoding from which the photometry cannot be read (`tlclass.inputs.encoding.Invertible`).
    """
    if not hasattr(encoding, "photometry"):
        return None
    seen: Observed = encoding.photometry(encoded.x)
    first = encoded.offsets[:-1]
    owner = np.repeat(np.arange(len(first)), np.diff(encoded.offsets))
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
    ]
    return np.log1p(np.column_stack(columns))


def _changes(seen: Observed, owner: npt.NDArray[np.int64]) -> tuple[Array, npt.NDArray[np.bool_]]:
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


def _sum_so_far(values: npt.NDArray[Any], first: npt.NDArray[np.int64], owner: npt.NDArray[np.int64]) -> Array:
    """(n_obs,) running sum within each object, which begins at its row `first`."""
    total = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
    return np.asarray(total[1:] - total[first[owner]])


def _span(days: Array, detected: npt.NDArray[np.bool_], owner: npt.NDArray[np.int64]) -> Array:
    """(n_obs,) days from the first to the last detection so far; 0 where there is none."""
    first = np.full(int(owner[-1]) + 1 if len(owner) else 0, np.inf)
    np.minimum.at(first, owner[detected], days[detected])
    since = np.where(detected, days - first[owner], 0.0)
    return _largest_so_far(np.nan_to_num(since, posinf=0.0, neginf=0.0), owner)


def _largest_so_far(values: Array, owner: npt.NDArray[np.int64]) -> Array:
    """(n_obs,) running maximum of values above 0 within each object, on a logarithmic scale so that objects can be lifted apart."""
    height = np.log1p(values) + owner * 1e3
    return np.asarray(np.expm1(np.maximum.accumulate(height) - owner * 1e3))
