"""Warnings about unusual light curves, one string per object."""

import numpy as np
import numpy.typing as npt

from tlclass.lightcurves.curves import LightCurves
from tlclass.network.checkpoint import TrainedModel

Array = npt.NDArray[np.str_]


def warnings_for(
    model: TrainedModel, given: LightCurves, used: LightCurves, left_out: dict[str, npt.NDArray[np.int64]]
) -> list[str]:
    """One string per object of `given`, empty where nothing is unusual.

    Args:
        model: what it was trained on.
        given: all light curves.
        used: those that are classified, as the network sees them.
        left_out: passband -> (n,) observations of each object that were left out because the model was not trained on it.
    """
    found: list[list[str]] = [[] for _ in range(len(given))]
    place = {name: number for number, name in enumerate(given.object_id)}
    position = np.array([place[name] for name in used.object_id], dtype=np.int64)
    classified = np.zeros(len(given), dtype=bool)
    classified[position] = True
    for number in np.flatnonzero(~classified).tolist():
        found[number].append(_why_not(model, given, number))
    for band, counts in left_out.items():
        for number in np.flatnonzero(counts).tolist():
            found[number].append(
                f"{counts[number]} observations in {band} left out, which the model was not trained on"
            )
    for number, text in _far(model, used):
        found[position[number]].append(text)
    return ["; ".join(parts) for parts in found]


def _why_not(model: TrainedModel, given: LightCurves, number: int) -> str:
    rows = slice(given.offsets[number], given.offsets[number + 1])
    low, high = model.selection.window
    if not (rows.stop - rows.start):
        return "no observation"
    if not given.detected[rows].any():
        return "no detection, so there is no time zero"
    return f"fewer than {max(model.selection.min_observations, 1)} observations between {low:g} and {high:g} days from time zero"


def _far(model: TrainedModel, used: LightCurves) -> list[tuple[int, str]]:
    """(object, what is unlike the training data)."""
    seen = model.trained_on
    if seen is None or not len(used):
        return []
    start = used.offsets[:-1]
    brightest = np.maximum.reduceat(np.abs(used.flux), start)
    error = np.exp(np.add.reduceat(np.log(used.flux_err.astype(np.float64)), start) / used.lengths)
    cases = [
        (
            brightest > max(abs(seen.flux[0]), abs(seen.flux[1])),
            "flux up to {0:.3g} is above that of training (to {1:.3g})",
            brightest,
            max(map(abs, seen.flux)),
        ),
        (
            error < seen.flux_err[0],
            "flux errors of {0:.3g} are below those of training (from {1:.3g})",
            error,
            seen.flux_err[0],
        ),
        (
            error > seen.flux_err[1],
            "flux errors of {0:.3g} are above those of training (to {1:.3g})",
            error,
            seen.flux_err[1],
        ),
        (
            used.lengths < seen.observations[0],
            "{0:.0f} observations, fewer than ever in training ({1:.0f})",
            used.lengths,
            seen.observations[0],
        ),
        (
            used.lengths > seen.observations[1],
            "{0:.0f} observations, more than ever in training ({1:.0f})",
            used.lengths,
            seen.observations[1],
        ),
    ]
    return [
        (int(number), text.format(value[number], limit))
        for mask, text, value, limit in cases
        for number in np.flatnonzero(mask)
    ]
