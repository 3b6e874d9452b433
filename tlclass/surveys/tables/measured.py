"""The rows of an observation table that measure a flux, and what its words say of them."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
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
from tlclass.surveys.tables.cells import coded, column_values, flags, is_flag, numbers
from tlclass.surveys.tables.columns import Form, naming
from tlclass.surveys.tables.names import FLAG, NO_DETECTION, WEAK
from tlclass.surveys.tables.units import magnitudes
from tlclass.wording import option

Columns = Mapping[str, pa.ChunkedArray]

MAGNITUDE_ALONE = "that have a magnitude and no flux (put them into a table of their own)"
POOR = "that the broker or survey calls of bad quality"
BRIGHTNESS = {"flux": ("flux", "flux_err"), "mag": ("mag", "mag_err")}


@dataclass(frozen=True)
class Measured:
    """Rows of a table, or of a part of one, that measure a flux.

    Attributes:
        table: those rows, all columns.
        dropped: reason -> how many others there were.
        signed: whether a broker's words for the quality of any row state the sign of its difference.
        need_sign, have_none: magnitudes that need the sign of the difference, and those of them without one.
    """

    table: pa.Table
    dropped: dict[str, int]
    signed: bool
    need_sign: int
    have_none: int


def kind_of(found: Mapping[str, str], form: Form) -> str:
    """`flux` or `mag`: what the mapping names; else fluxes where there are both columns; else magnitudes where there are any."""
    for kind, pair in BRIGHTNESS.items():
        if any(form.columns.get(name) for name in pair):
            return kind
    if set(BRIGHTNESS["flux"]) <= set(found):
        return "flux"
    return "mag" if "mag" in found or ("limiting_mag" in found and "flux" not in found) else "flux"


def marks_no_detection(found: Mapping[str, str], form: Form) -> bool:
    """Whether a flag such as `nondetection` says of measured fluxes which are no detections; of magnitudes it marks limits."""
    fluxes = kind_of(found, form) == "flux" and set(BRIGHTNESS["flux"]) <= set(found)
    return fluxes and plain_name(found.get("is_limit", "")) in NO_DETECTION


def measured(table: pa.Table, found: Mapping[str, str], form: Form, origin: str) -> Measured:
    """The rows that measure the flux.

    Args:
        table: of observations. found: our name -> its column. form: how columns become ours. origin: what to call it.

    Raises:
        ValueError: a column holds what it should not.
    """
    limit, poor = _limits(table, found, kind_of(found, form), origin)
    signed = "quality" in found and signed_status(table[found["quality"]])
    reasons: dict[str, Array] = {}
    need = none = np.zeros(len(table), dtype=bool)
    if kind_of(found, form) == "mag":
        mag = magnitudes(table[found["mag"]], found["mag"], origin) if "mag" in found else np.full(len(table), np.nan)
        limit = limit | np.isnan(mag)
        if {"detected", "mag", "mag_err"} <= set(found):
            error = numbers(column_values(table[found["mag_err"]]), found["mag_err"], origin)
            certain = error < 1 / (FRACTION * SNR)  # others that are no detections are limits, with an error or without
            limit = limit | (~flagged(table[found["detected"]], found["detected"], origin, missing=True) & ~certain)
        reasons |= {UPPER_LIMIT: limit, NO_MAGNITUDE: (mag <= MAG_RANGE[0]) | (mag >= MAG_RANGE[1])}
        if "mag" in found and not form.positive:
            need = ~(limit | poor | reasons[NO_MAGNITUDE])
            none = _without_sign(table, found) & need
            reasons[UNKNOWN_SIGN] = none if "is_positive" in found else np.zeros(len(table), dtype=bool)
    else:
        if marks_no_detection(found, form):
            known = pc.and_(*(pc.is_valid(table[found[name]]) for name in BRIGHTNESS["flux"]))
            limit = limit & ~np.asarray(known.to_numpy())
        reasons[UPPER_LIMIT] = limit
        if "mag" in found and "flux" in found:
            without = pc.and_(pc.is_null(table[found["flux"]]), pc.is_valid(table[found["mag"]]))
            reasons[MAGNITUDE_ALONE] = np.asarray(without.to_numpy())
    reasons[POOR] = poor
    kept, dropped = _filtered(table, found, reasons)
    return Measured(kept, dropped, signed, int(np.count_nonzero(need)), int(np.count_nonzero(none)))


def _filtered(
    table: pa.Table, found: Mapping[str, str], reasons: Mapping[str, Array]
) -> tuple[pa.Table, dict[str, int]]:
    out, dropped = np.zeros(len(table), dtype=bool), dict[str, int]()
    for reason, mask in reasons.items():
        dropped[reason] = int(np.count_nonzero(mask & ~out))
        out = out | mask
    if out.any():
        table = table.filter(pa.array(~out))
    void, more = voided({column: table[column] for name, column in found.items() if name.startswith(FLAG)}, len(table))
    kept = table.filter(pa.array(~void)) if void.any() else table
    return kept, {reason: n for reason, n in sum_dropped([dropped, more]).items() if n}


def _limits(table: pa.Table, found: Mapping[str, str], kind: str, origin: str) -> tuple[Array, Array]:
    """Rows that are upper limits, and rows that a broker calls bad, by its words for the quality of a row."""
    limit = poor = np.zeros(len(table), dtype=bool)
    if "quality" in found:
        quality = table[found["quality"]]
        limit = flags(quality, lambda value: value.casefold() in ("upperlim", "limit"), found["quality"], origin)
        poor = flags(quality, lambda value: value.casefold() in ("badquality", "bad", "b"), found["quality"], origin)
    if "is_limit" in found and _holds_flags(table[found["is_limit"]], found["is_limit"], kind):
        limit = limit | flags(table[found["is_limit"]], is_flag, found["is_limit"], origin)
    return limit, poor


def _holds_flags(column: pa.ChunkedArray, name: str, kind: str) -> bool:
    """Whether a column that may be one of limits holds flags: it may hold limiting magnitudes, which say nothing beside fluxes."""
    stated = [value for value in coded(column)[0] if not is_blank(value)]
    if plain_name(name) in WEAK["is_limit"]:
        return kind == "mag" and all(is_flag(value) is not None for value in stated)
    numbers = bool(stated) and all(is_flag(value) is None and says_yes(value) is not None for value in stated)
    return kind == "mag" or not numbers


def flagged(column: pa.ChunkedArray, name: str, origin: str, missing: bool = False) -> Array:
    """(n,) bool, whether a column says that its row is a detection: a flag, or the bit for it in SNANA's PHOTFLAG.

    Raises:
        ValueError: a value is neither.
    """
    meaning = _has_detection_bit if is_photflag(name) else is_flag
    return flags(column, meaning, name, origin, missing)


def is_photflag(name: str) -> bool:
    """Whether a column is SNANA's PHOTFLAG."""
    return plain_name(name) == "photflag"


def _has_detection_bit(value: str) -> bool | None:
    bits = integer(value)
    return None if bits is None else bool(bits & DETECTION_BITS)


def _without_sign(table: pa.Table, found: Mapping[str, str]) -> Array:
    """(n,) bool, rows of which no column says the sign of the difference, but for words for their quality."""
    if "is_positive" in found:
        names, codes = coded(table[found["is_positive"]])
        return np.array([*map(is_blank, names), True], dtype=bool)[codes]
    return np.ones(len(table), dtype=bool)


def refuse_without_signs(found: Mapping[str, str], need: int, none: int, signed: bool, origin: str) -> None:
    """Raise ValueError if magnitudes need the sign of the difference, and no row has one."""
    if need and need == none and ("is_positive" in found or not signed):
        raise ValueError(
            f"{origin}: no column gives the sign of the differences (isdiffpos), so a star that faded would look like a "
            f"transient: add that column, name yours with {naming('is_positive')}, or say that all are positive with "
            f"{option('--positive', 'positive=true')}"
        )


def signed_status(quality: pa.ChunkedArray) -> bool:
    """Whether any of these words for the quality of a row states the sign of its difference."""
    return any(sign_of(status) for status in coded(quality)[0])


def sign_of(status: str) -> str:
    """`positive` or `negative` where a broker's status begins so (Lasair: `negative difference`), else empty."""
    return next((sign for sign in ("positive", "negative") if status.casefold().startswith(sign)), "")
