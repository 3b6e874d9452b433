"""The rows of an observation table that measure a flux, and what its words say of them."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow.compute as pc

from tlclass.arrays import Array
from tlclass.lightcurves.curves import sum_dropped
from tlclass.lightcurves.photometry import (
    DETECTION_BITS,
    FRACTION,
    MAG_RANGE,
    NO_MAGNITUDE,
    SNR,
    UNKNOWN_SIGN,
    UPPER_LIMIT,
    plain_name,
)
from tlclass.lightcurves.voids import integer, is_blank, says_yes, voided
from tlclass.surveys.tables.cells import coded, is_flag
from tlclass.surveys.tables.columns import BRIGHTNESS, naming
from tlclass.surveys.tables.named import Named
from tlclass.surveys.tables.names import FLAG, NO_DETECTION, WEAK
from tlclass.surveys.tables.units import magnitudes
from tlclass.wording import option

MAGNITUDE_ALONE = "that have a magnitude and no flux (put them into a table of their own)"
POOR = "that the broker or survey calls of bad quality"


@dataclass(frozen=True)
class Measured:
    """Rows of a table, or of a part of one, that measure a flux.

    Attributes:
        rows: those rows, all columns.
        dropped: reason -> how many others there were.
        signed: whether a broker's words for the quality of any row state the sign of its difference.
        need_sign, have_none: magnitudes that need the sign of the difference, and those of them without one.
    """

    rows: Named
    dropped: dict[str, int]
    signed: bool
    need_sign: int
    have_none: int


def marks_no_detection(rows: Named) -> bool:
    """Whether a flag such as `nondetection` says of measured fluxes which are no detections; of magnitudes it marks limits."""
    fluxes = rows.kind == "flux" and set(BRIGHTNESS["flux"]) <= set(rows.found)
    return fluxes and plain_name(rows.found.get("is_limit", "")) in NO_DETECTION


def measured(rows: Named) -> Measured:
    """Those of the rows of a table of observations that measure the flux.

    Raises:
        ValueError: a column holds what it should not.
    """
    limit, poor = _limits(rows)
    signed = "quality" in rows and any(sign_of(status) for status in coded(rows["quality"])[0])
    reasons: dict[str, Array] = {}
    need = none = np.zeros(len(rows), dtype=bool)
    if rows.kind == "mag":
        mag = magnitudes(rows) if "mag" in rows else np.full(len(rows), np.nan)
        limit = limit | np.isnan(mag)
        if {"detected", "mag", "mag_err"} <= set(rows.found):
            # others that are no detections are limits, with an error or without
            certain = rows.numbers("mag_err") < 1 / (FRACTION * SNR)
            limit = limit | (~flagged(rows, missing=True) & ~certain)
        reasons |= {UPPER_LIMIT: limit, NO_MAGNITUDE: (mag <= MAG_RANGE[0]) | (mag >= MAG_RANGE[1])}
        if "mag" in rows and not rows.form.positive:
            need = ~(limit | poor | reasons[NO_MAGNITUDE])
            none = _without_sign(rows) & need
            reasons[UNKNOWN_SIGN] = none if "is_positive" in rows else np.zeros(len(rows), dtype=bool)
    else:
        if marks_no_detection(rows):
            known = pc.and_(*(pc.is_valid(rows[name]) for name in BRIGHTNESS["flux"]))
            limit = limit & ~np.asarray(known.to_numpy())
        reasons[UPPER_LIMIT] = limit
        if "mag" in rows and "flux" in rows:
            without = pc.and_(pc.is_null(rows["flux"]), pc.is_valid(rows["mag"]))
            reasons[MAGNITUDE_ALONE] = np.asarray(without.to_numpy())
    reasons[POOR] = poor
    kept, dropped = _filtered(rows, reasons)
    return Measured(kept, dropped, signed, int(np.count_nonzero(need)), int(np.count_nonzero(none)))


def _filtered(rows: Named, reasons: Mapping[str, Array]) -> tuple[Named, dict[str, int]]:
    out, dropped = np.zeros(len(rows), dtype=bool), dict[str, int]()
    for reason, mask in reasons.items():
        dropped[reason] = int(np.count_nonzero(mask & ~out))
        out = out | mask
    rows = rows.where(~out)
    void, more = voided({column: rows[name] for name, column in rows.found.items() if name.startswith(FLAG)}, len(rows))
    return rows.where(~void), {reason: n for reason, n in sum_dropped([dropped, more]).items() if n}


def _limits(rows: Named) -> tuple[Array, Array]:
    """Rows that are upper limits, and rows that a broker calls bad, by its words for the quality of a row."""
    limit = poor = np.zeros(len(rows), dtype=bool)
    if "quality" in rows:
        limit = rows.flags("quality", lambda value: value.casefold() in ("upperlim", "limit"))
        poor = rows.flags("quality", lambda value: value.casefold() in ("badquality", "bad", "b"))
    if "is_limit" in rows and _limits_are_flags(rows):
        limit = limit | rows.flags("is_limit", is_flag)
    return limit, poor


def _limits_are_flags(rows: Named) -> bool:
    """Whether a column that may be one of limits holds flags: it may hold limiting magnitudes, which say nothing beside fluxes."""
    stated = [value for value in coded(rows["is_limit"])[0] if not is_blank(value)]
    if plain_name(rows.found["is_limit"]) in WEAK["is_limit"]:
        return rows.kind == "mag" and all(is_flag(value) is not None for value in stated)
    numbers = bool(stated) and all(is_flag(value) is None and says_yes(value) is not None for value in stated)
    return rows.kind == "mag" or not numbers


def flagged(rows: Named, missing: bool = False) -> Array:
    """(n,) bool, whether a column says that its row is a detection: a flag, or the bit for it in SNANA's PHOTFLAG.

    Raises:
        ValueError: a value is neither.
    """
    return rows.flags("detected", _has_detection_bit if has_photflag(rows.found) else is_flag, missing)


def has_photflag(found: Mapping[str, str]) -> bool:
    """Whether SNANA's PHOTFLAG says of these columns, by our names, which rows are detections."""
    return plain_name(found.get("detected", "")) == "photflag"


def _has_detection_bit(value: str) -> bool | None:
    bits = integer(value)
    return None if bits is None else bool(bits & DETECTION_BITS)


def _without_sign(rows: Named) -> Array:
    """(n,) bool, rows of which no column says the sign of the difference, but for words for their quality."""
    if "is_positive" in rows:
        names, codes = coded(rows["is_positive"])
        return np.array([*map(is_blank, names), True], dtype=bool)[codes]
    return np.ones(len(rows), dtype=bool)


def refuse_without_signs(rows: Named, need: int, none: int, signed: bool) -> None:
    """Raise ValueError if magnitudes need the sign of the difference, and no row has one."""
    if need and need == none and ("is_positive" in rows or not signed):
        raise ValueError(
            f"{rows.origin}: no column gives the sign of the differences (isdiffpos), so a star that faded would look like a "
            f"transient: add that column, name yours with {naming('is_positive')}, or say that all are positive with "
            f"{option('--positive', 'positive=true')}"
        )


def sign_of(status: str) -> str:
    """`positive` or `negative` where a broker's status begins so (Lasair: `negative difference`), else empty."""
    return next((sign for sign in ("positive", "negative") if status.casefold().startswith(sign)), "")
