"""Warnings about unusual light curves, one string per object."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tlclass.arrays import Array
from tlclass.lightcurves.curves import LightCurves
from tlclass.lightcurves.cuts import Cut
from tlclass.network.checkpoint import TrainedModel

QUIET = 10  # observations before time zero by which a baseline is judged
OFF_ZERO = 1.0  # median flux / error of a baseline; of real ones that are right 3 % are beyond it


def warnings_for(
    model: TrainedModel,
    given: LightCurves,
    used: LightCurves,
    left_out: dict[str, Array],
    cuts: Sequence[Cut],
) -> list[str]:
    """One string per object of `given`, empty where nothing is unusual.

    Args:
        model: what it was trained on.
        given: all light curves, without what is left out.
        used: those that are classified, as the network sees them.
        left_out: passband -> (n,) observations of each object that were left out because the model was not trained on it.
        cuts: what the model's selection removed.
    """
    found: dict[str, list[str]] = {name: [] for name in given.object_id.tolist()}
    for cut in cuts:
        for name in cut.object_id.tolist():
            found[name].append(f"not classified: {cut.reason}")
    for band, counts in left_out.items():
        for number in np.flatnonzero(counts).tolist():
            found[given.object_id[number]].append(
                f"{counts[number]} observations in {band} left out, which the model was not trained on"
            )
    for number, text in [*_elsewhere(model, given, used), *_off_zero(given, used), *_far(model, used)]:
        found[used.object_id[number]].append(text)
    return ["; ".join(parts) for parts in found.values()]


def _elsewhere(model: TrainedModel, given: LightCurves, used: LightCurves) -> list[tuple[int, str]]:
    """(object, which of its detections lie outside the window and may be another event than those inside, or the transient itself)."""
    whole = _whole(given.keep(given.detected), used)
    (low, high), days = model.selection.window, whole.days
    early = np.bincount(whole.owner[days <= low], minlength=len(used))
    first, brightest, inside = np.zeros((3, len(used)))
    np.minimum.at(first, whole.owner, days)
    np.maximum.at(brightest, whole.owner, whole.flux)
    np.maximum.at(inside, whole.owner[days < high], whole.flux[days < high])
    when = np.zeros(len(used))
    peak = whole.flux == brightest[whole.owner]
    when[whole.owner[peak]] = days[peak]
    found = [
        (number, f"left out {early[number]} detection(s) up to {-first[number]:.0f} d before time zero")
        for number in np.flatnonzero(early).tolist()
    ]
    later = "its brightest detection lies {:.0f} d after time zero, beyond the window: if the first ones are another event, leave them out"
    return found + [(number, later.format(when[number])) for number in np.flatnonzero(brightest > inside).tolist()]


def _off_zero(given: LightCurves, used: LightCurves) -> list[tuple[int, str]]:
    """(object, how far from zero its forced photometry is before the transient)."""
    whole = _whole(given.keep(~given.detected), used)
    before = whole.keep(whole.days < 0)
    ratio, counts = before.flux / before.flux_err, before.lengths
    middle = np.lexsort((ratio, before.owner))[(before.offsets[:-1] + counts // 2)[counts >= QUIET]]
    text = "its {} fluxes before time zero that are no detections lie {:+.1f} errors from zero in the median: subtract the baseline"
    return [
        (number, text.format(counts[number], offset))
        for number, offset in zip(before.owner[middle].tolist(), ratio[middle], strict=True)
        if abs(offset) > OFF_ZERO
    ]


def _whole(given: LightCurves, used: LightCurves) -> LightCurves:
    """What is given of the objects that are classified, with their time zero."""
    place = {name: number for number, name in enumerate(given.object_id.tolist())}
    whole = given.take(np.array([place[name] for name in used.object_id.tolist()], dtype=np.int64))
    return replace(whole, trigger_mjd=used.trigger_mjd)


def _far(model: TrainedModel, used: LightCurves) -> list[tuple[int, str]]:
    """(object, what is unlike the training data)."""
    seen = model.trained_on
    if seen is None or not len(used):
        return []
    start = used.offsets[:-1]
    brightest = np.maximum.reduceat(np.abs(used.flux), start)
    error = np.exp(np.add.reduceat(np.log(used.flux_err.astype(np.float64)), start) / used.lengths)
    (smallest, largest), (fewest, most) = seen.flux_err, seen.observations
    cases = [
        (brightest, np.greater, seen.brightest, "flux up to {0:.3g} is above that of training (to {1:.3g})"),
        (error, np.less, smallest, "flux errors of {0:.3g} are below those of training (from {1:.3g})"),
        (error, np.greater, largest, "flux errors of {0:.3g} are above those of training (to {1:.3g})"),
        (used.lengths, np.less, fewest, "{0:.0f} observations, fewer than ever in training ({1:.0f})"),
        (used.lengths, np.greater, most, "{0:.0f} observations, more than ever in training ({1:.0f})"),
    ]
    return [
        (int(number), text.format(value[number], limit))
        for value, is_beyond, limit, text in cases
        for number in np.flatnonzero(is_beyond(value, limit))
    ]
