"""From the columns of an observation table to fluxes, by the rules of `tlclass.lightcurves.photometry`."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tlclass.lightcurves.curves import NO_ID, NO_TIME, sum_dropped
from tlclass.lightcurves.photometry import (
    ALERT_SNR,
    DETECTION_BITS,
    FACTS,
    MAG_RANGE,
    NO_MAGNITUDE,
    REPEATED,
    UNKNOWN_PASSBAND,
    UNKNOWN_SIGN,
    UPPER_LIMIT,
    detected_by_snr,
    flux_of_magnitude,
    is_rounded,
    known_numbers,
    one_per_exposure,
    plain_name,
)
from tlclass.lightcurves.voids import voided
from tlclass.surveys.tables.bands import passbands_of
from tlclass.surveys.tables.cells import coded, column_values, flags, identifiers, is_flag, is_true, numbers
from tlclass.surveys.tables.columns import CONTEXT, FLAG, OBSERVATION_COLUMNS, Form, naming
from tlclass.surveys.tables.units import flux_factor, magnitudes, refuse_other_systems

log = logging.getLogger(__name__)
Array = npt.NDArray[Any]
Observations = dict[str, Array]
Columns = Mapping[str, pa.ChunkedArray]

POOR = "that the broker or survey calls of bad quality"
ROUNDED = "rounded"  # of observations: whether their times are too coarse to tell exposures apart
_PLACE = ("object_id", "mjd", "band")
_BRIGHTNESS = {"flux": ("flux", "flux_err"), "mag": ("mag", "mag_err")}


def observation_columns(names: Sequence[str], form: Form, origin: str) -> dict[str, str]:
    """Our name -> the column, of those columns of an observation table that are read.

    Raises:
        ValueError: a column is missing or ambiguous.
    """
    found = {
        name: column
        for name, column in form.found(names, origin).items()
        if name in OBSERVATION_COLUMNS or name.startswith((FLAG, CONTEXT))
    }
    kind = _kind(found, form)
    stated = kind == "flux" and _states_unit(found, form)
    unused = (
        (_BRIGHTNESS["mag"] if stated else ("mag_err",))
        if kind == "flux"
        else (*_BRIGHTNESS["flux"], "flux_unit", "zero_point")
    )
    found = {name: column for name, column in found.items() if name not in unused}
    limits_alone = kind == "mag" and "mag" not in found
    mapped = [name for name in OBSERVATION_COLUMNS if form.columns.get(name) is not None and name not in unused]
    form.needed(found, names, [*_PLACE, *(() if limits_alone else _BRIGHTNESS[kind]), *mapped], origin)
    return found


def _states_unit(found: Mapping[str, str], form: Form) -> bool:
    """Whether anything but magnitudes beside the fluxes says what unit these are in."""
    return bool({"flux_unit", "zero_point"} & set(found)) or form.stated_unit(found.get("flux", "")) is not None


def observations_of(
    table: pa.Table, found: Mapping[str, str], form: Form, origin: str
) -> tuple[Observations, dict[str, int]]:
    """The rows that measure a flux, as `tlclass.lightcurves.curves.from_columns` wants them, and the others by reason.

    Fluxes are taken where there is a flux column, else difference magnitudes. What a row means is decided by the rules of
    `tlclass.lightcurves.photometry`.

    Args:
        table: of observations.
        found: the result of `observation_columns`.
        form: how its columns become ours.
        origin: what to call it in messages.

    Raises:
        ValueError: a column holds what it should not; the unit or the sign of the fluxes is not stated; a band is unknown.
    """
    kind = _kind(found, form)
    table, dropped = _measured(table, found, kind, form, origin)
    mjd = _times(table[found["mjd"]], found["mjd"], form, origin)
    table, mjd = _without(np.isnan(mjd), NO_TIME, table, mjd, dropped)  # end marks have no passband either
    band, known = passbands_of({name: table[column] for name, column in found.items()}, found, form, origin)
    band = band[known]
    table, mjd = _without(~known, UNKNOWN_PASSBAND, table, mjd, dropped)
    ids = identifiers(table[found["object_id"]], found["object_id"], origin)
    named = ids != ""
    table, mjd = _without(~named, NO_ID, table, mjd, dropped)
    band = band[named]
    column = {name: table[file_name] for name, file_name in found.items()}
    seen = {
        "object_id": ids[named],
        "mjd": mjd,
        "passband": band,
    }
    seen |= _brightness(column, found, kind, band, form, origin)
    seen["detected"] = _detected(column, found, seen, kind, form, origin)
    return seen | {ROUNDED: np.full(len(band), _is_coarse(column["mjd"], seen["mjd"]))}, dropped


def _without(out: Array, reason: str, table: pa.Table, mjd: Array, dropped: dict[str, int]) -> tuple[pa.Table, Array]:
    """The table and its times without these rows (n,), which are counted."""
    if not out.any():
        return table, mjd
    dropped[reason] = int(np.count_nonzero(out))
    return table.filter(pa.array(~out)), mjd[~out]


def _kind(found: Mapping[str, str], form: Form) -> str:
    """What the mapping names; else fluxes where there are both columns; else magnitudes where there are any."""
    for kind, pair in _BRIGHTNESS.items():
        if any(form.columns.get(name) for name in pair):
            return kind
    if set(_BRIGHTNESS["flux"]) <= set(found):
        return "flux"
    return "mag" if "mag" in found or ("limiting_mag" in found and "flux" not in found) else "flux"


def _measured(
    table: pa.Table, found: Mapping[str, str], kind: str, form: Form, origin: str
) -> tuple[pa.Table, dict[str, int]]:
    """Without the rows that are no measurements of the flux, and how many are left out for which reason."""
    limit, poor = _limits(table, found, origin)
    reasons: dict[str, Array] = {}
    if kind == "mag":
        mag = magnitudes(table[found["mag"]], found["mag"], origin) if "mag" in found else np.full(len(table), np.nan)
        limit = limit | np.isnan(mag)
        reasons |= {UPPER_LIMIT: limit, NO_MAGNITUDE: (mag <= MAG_RANGE[0]) | (mag >= MAG_RANGE[1])}
        if "mag" in found:
            reasons[UNKNOWN_SIGN] = _without_sign(table, found, form, ~(limit | reasons[NO_MAGNITUDE]), origin)
    else:
        reasons[UPPER_LIMIT] = limit
    reasons[POOR] = poor
    out, dropped = np.zeros(len(table), dtype=bool), dict[str, int]()
    for reason, mask in reasons.items():
        dropped[reason] = int(np.count_nonzero(mask & ~out))
        out = out | mask
    if out.any():
        table = table.filter(pa.array(~out))
    void, more = voided({column: table[column] for name, column in found.items() if name.startswith(FLAG)}, len(table))
    kept = table.filter(pa.array(~void)) if void.any() else table
    return kept, {reason: n for reason, n in sum_dropped([dropped, more]).items() if n}


def _limits(table: pa.Table, found: Mapping[str, str], origin: str) -> tuple[Array, Array]:
    """Rows that are upper limits, and rows that a broker calls bad, by its words for the quality of a row."""
    limit = poor = np.zeros(len(table), dtype=bool)
    if "quality" in found:
        quality = table[found["quality"]]
        limit = flags(quality, lambda value: value.casefold() in ("upperlim", "limit"), found["quality"], origin)
        poor = flags(quality, lambda value: value.casefold() in ("badquality", "bad", "b"), found["quality"], origin)
    if "is_limit" in found:
        limit = limit | flags(table[found["is_limit"]], is_flag, found["is_limit"], origin)
    return limit, poor


def _times(column: pa.ChunkedArray, name: str, form: Form, origin: str) -> Array:
    """(n,) MJD; Julian dates in 32 bits are refused, because they are rounded to a quarter of a day."""
    mjd = form.days(numbers(column_values(column), name, origin), name, origin)
    if plain_name(name) == "jd" and _is_single(column.type):
        raise ValueError(
            f"{origin}: column {name}: Julian dates in 32 bits are rounded to 0.25 d: store them in 64 bits, or MJDs"
        )
    return mjd


def _is_single(kind: pa.DataType) -> bool:
    return bool(pa.types.is_float32(kind) or pa.types.is_float16(kind))


def _is_coarse(column: pa.ChunkedArray, mjd: Array) -> bool:
    return _is_single(column.type) or is_rounded(mjd)


def _brightness(
    column: Columns, found: Mapping[str, str], kind: str, band: Array, form: Form, origin: str
) -> Observations:
    """Flux and error (n,) at zero point 27.5."""
    if kind == "mag":
        refuse_other_systems(column, found, origin)
        if not {"mag", "mag_err"} <= set(column):
            return {"flux": np.empty(len(band)), "flux_err": np.empty(len(band))}
        error = numbers(column_values(column["mag_err"]), found["mag_err"], origin)
        positive = _positive(column, found, origin)
        flux = flux_of_magnitude(
            numbers(column_values(column["mag"]), found["mag"], origin), known_numbers(error), positive
        )
        return dict(zip(("flux", "flux_err"), flux, strict=True))
    value = {name: numbers(column_values(column[name]), found[name], origin) for name in ("flux", "flux_err")}
    value["flux"] = known_numbers(value["flux"], "fluxes")
    factor = flux_factor(column, found, value, band, form, origin)
    return {name: values * factor for name, values in value.items()}


def _detected(
    column: Columns, found: Mapping[str, str], seen: Observations, kind: str, form: Form, origin: str
) -> Array:
    """(n,) bool: stated by a flag or because alerts are detections, else measured by signal to noise."""
    rising = np.asarray(seen["flux"] > 0)
    if "detected" in found:
        stated = _flagged(column["detected"], found["detected"], origin)
        return stated & rising if kind == "mag" else stated
    alert = _alerts(column, found, kind, origin)
    measured = detected_by_snr(seen["flux"], seen["flux_err"], form.detection_snr)
    if not alert.all():
        message = "%s: no column says which rows are detections: %d of %d with flux / error of %g or more count as such"
        log.info(message + " (detection_snr)", origin, measured[~alert].sum(), len(alert), form.detection_snr)
    return np.where(alert, rising & detected_by_snr(seen["flux"], seen["flux_err"], ALERT_SNR), measured)


def _flagged(column: pa.ChunkedArray, name: str, origin: str) -> Array:
    if plain_name(name) == "photflag":
        return flags(column, lambda value: bool(int(float(value)) & DETECTION_BITS), name, origin)
    return flags(column, is_true, name, origin)


def _alerts(column: Columns, found: Mapping[str, str], kind: str, origin: str) -> Array:
    """(n,) bool, the rows that an alert stream sent: detections of its pipeline, not forced photometry."""
    n = len(column["mjd"])
    names, facts = {plain_name(name) for name in found.values()}, FACTS["detection"]
    if names & (set(facts["forced"]) - {"forced"}):
        return np.zeros(n, dtype=bool)
    alert = np.full(n, kind == "mag" and bool(names & set(facts["alerts"]) or _signed_status(column)))
    if "alert_id" in column:
        ids = column["alert_id"]
        alert = ~np.asarray(pc.is_null(ids, nan_is_null=True).to_numpy())
    if "forced" in column:
        alert = alert & ~flags(column["forced"], is_true, found["forced"], origin)
    return alert


def _without_sign(table: pa.Table, found: Mapping[str, str], form: Form, measured: Array, origin: str) -> Array:
    """(n,) bool, rows with a magnitude and no sign of the difference.

    Raises:
        ValueError: no row has a sign, and the settings do not say that all differences are positive.
    """
    none = np.zeros(len(table), dtype=bool)
    if form.positive or not measured.any():
        return none
    if "is_positive" in found:
        unknown = np.asarray(pc.is_null(table[found["is_positive"]], nan_is_null=True).to_numpy()) & measured
    else:
        unknown = none if "quality" in found and _signed_status({"quality": table[found["quality"]]}) else measured
    if unknown[measured].all():
        raise ValueError(
            f"{origin}: no column gives the sign of the differences (isdiffpos), so a star that faded would look like a "
            f"transient: add that column, name yours with {naming('is_positive')}, or state that all are positive with "
            "++target.reader.positive=true (in predict: --positive)"
        )
    return unknown


def _positive(column: Columns, found: Mapping[str, str], origin: str) -> Array:
    """(n,) bool, the sign of the subtraction; without one the settings say that it is positive (`_without_sign`)."""
    if "is_positive" in column:
        return flags(column["is_positive"], is_true, found["is_positive"], origin, missing=True)
    if _signed_status(column):
        return flags(column["quality"], lambda status: _signed(status) != "negative", found["quality"], origin)
    return np.ones(len(column["mjd"]), dtype=bool)


def _signed_status(column: Columns) -> bool:
    return "quality" in column and any(_signed(status) for status in coded(column["quality"])[0])


def _signed(status: str) -> str:
    """`positive` or `negative` where a broker's status begins so (Lasair: `negative difference`), else empty."""
    return next((sign for sign in ("positive", "negative") if status.casefold().startswith(sign)), "")


def joined(parts: Sequence[Observations]) -> tuple[Observations, dict[str, int]]:
    """All parts as one, each exposure once, and how many rows repeated an exposure."""
    names = [name for name in parts[0] if all(name in part for part in parts)]
    whole = (
        {name: np.concatenate([part[name] for part in parts]) for name in names} if len(parts) > 1 else dict(parts[0])
    )
    rounded = bool(whole.pop(ROUNDED).any())
    keep = first_of_exposures(whole, rounded)
    repeated = len(keep) - int(np.count_nonzero(keep))
    if not repeated:
        return whole, {}
    return {name: column[keep] for name, column in whole.items()}, {REPEATED: repeated}


def first_of_exposures(seen: Mapping[str, Array], rounded: bool = False) -> Array:
    """(n,) bool, one row of those of one exposure, see `tlclass.lightcurves.photometry.one_per_exposure`."""
    series = coded(pa.table({"id": seen["object_id"]})["id"])[1] * 256 + seen["passband"]
    usable = np.isfinite(seen["flux"]) & (seen["flux_err"] > 0)
    return one_per_exposure(
        series, seen["mjd"], seen["flux"], seen["flux_err"], seen["detected"], rank=~usable, rounded=rounded
    )
