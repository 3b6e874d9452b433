"""What arrives: rows of one object, from an alert packet or from a table."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tlclass.arrays import Array
from tlclass.lightcurves.curves import ROW_NUMBERS, LightCurves, from_columns, settled
from tlclass.lightcurves.photometry import SAME_EXPOSURE, known_times, one_per_exposure
from tlclass.surveys.alerts.parsed import HEAD_NUMBERS

# One row as it was sent. `issued` stands last: two rows are the same if all before it is. `band` is a passband's code.
SEEN = np.dtype(
    [
        ("mjd", "f8"), ("flux", "f8"), ("flux_err", "f8"), ("band", "u1"), ("detected", "?"), ("rank", "i1"), ("fault", "i1"),
        ("issued", "f8"),
    ]
)  # fmt: skip
KEY = SEEN.itemsize - 8  # bytes of a row without `issued`
ABOUT = (*HEAD_NUMBERS, "mwebv", "redshift")
NOTHING_KNOWN = (np.nan,) * len(ABOUT)
UNKNOWN = 255  # code of a passband that is not known; such rows are never used


@dataclass(frozen=True)
class Arrival:
    """What one packet, or one row of a table, says of an object.

    Attributes:
        object_id: of whom.
        rows: (n,) of type `SEEN`.
        about: `ABOUT` of the object, NaN where unknown.
        origin: where it came from.
    """

    object_id: str
    rows: Array
    about: tuple[float, ...]
    origin: str


def distinct(rows: Array) -> Array:
    """Of rows that say the same only the one that was issued last, in the order of time."""
    order = np.lexsort((-rows["issued"], rows["mjd"]))
    newest: dict[bytes, int] = {}
    for place in order.tolist():
        newest.setdefault(rows[place].tobytes()[:KEY], place)
    return rows[list(newest.values())]


def contested(rows: Array) -> bool:
    """Whether two rows of one exposure, (n,) in order of time, are equally good, so that the one issued last counts."""
    kind = rows["band"].astype(np.int64) * 256 + rows["rank"]
    order = np.argsort(kind, kind="stable")
    same = np.diff(kind[order]) == 0
    return bool((same & (np.diff(rows["mjd"][order]) <= SAME_EXPOSURE)).any())


def newest(first: Sequence[float], second: Sequence[float]) -> tuple[float, ...]:
    """Of what two packets say about an object, what the later one says, ties are broken by value; `ROW_NUMBERS` as `settled` does."""
    later = max(first, second, key=lambda about: tuple(-np.inf if x != x else x for x in about[:3]))
    both = dict(zip(ABOUT, np.array([first, second], dtype=np.float64).T, strict=True))
    stated = {name: both[name] for name in ROW_NUMBERS}
    if all(np.isnan(values).all() for values in stated.values()):
        return tuple(later)
    best = settled(stated, np.zeros(2, dtype=np.int64), 1)
    return tuple(float(best[name][0]) if name in best else value for name, value in zip(ABOUT, later, strict=True))


def light_curves(
    names: Sequence[str], rows: Iterable[Array], about: Sequence[Sequence[float]], passbands: tuple[str, ...]
) -> LightCurves:
    """Light curves of N objects from all rows of each, as the readers make them of whole files.

    Args:
        names: (N,) ids. rows: N arrays of type `SEEN`. about: N times `ABOUT`. passbands: what the codes stand for.
    """
    parts = list(rows)
    flat = np.concatenate([np.empty(0, SEEN), *parts])
    owner = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    series = owner * 256 + flat["band"]
    keep = one_per_exposure(
        series, flat["mjd"], flat["flux"], flat["flux_err"], flat["detected"], flat["rank"], -flat["issued"]
    )
    keep &= (flat["fault"] == 0) & (flat["band"] != UNKNOWN)
    flat, owner = flat[keep], owner[keep]
    observations: Mapping[str, Array] = {
        "owner": owner, "mjd": flat["mjd"], "passband": flat["band"],
        **{name: flat[name] for name in ("flux", "flux_err", "detected")},
    }  # fmt: skip
    facts = np.array([tuple(each) for each in about], dtype=np.float64).reshape(len(parts), len(ABOUT))
    objects = {"object_id": np.array(names, dtype=str), **{name: facts[:, k] for k, name in enumerate(ABOUT) if k}}
    return from_columns(objects, observations, passbands, "the stream", part=True)


def packet_times(mjd: Array) -> Array:
    """Times of packets as MJD; codes for "unknown" among Julian dates are far below zero here."""
    known = known_times(mjd, relative=False)
    return np.where(known > 0, known, np.nan)
