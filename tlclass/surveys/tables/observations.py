"""From the columns of an observation table to fluxes: units, times, difference magnitudes, repeated exposures."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tlclass.surveys.tables.cells import (
    BLANK,
    coded,
    column_values,
    flags,
    identifiers,
    is_flag,
    is_true,
    numbers,
    text,
)
from tlclass.surveys.tables.columns import FLAGS, OBSERVATION_COLUMNS, ZERO_POINTS, Form, flux_scale

log = logging.getLogger(__name__)
Array = npt.NDArray[Any]
Observations = dict[str, Array]

SAME_EXPOSURE = 1e-4  # d; brokers round times differently, and exposures of one band are at least 30 s (3.5e-4 d) apart
DETECTION_BITS = 4096 | 2048  # SNANA's PHOTFLAG: detected, trigger
MAG_RANGE = (0, 40)  # outside it stand codes for "no detection": 99, 99.99, 999, -99, -999
LIMITS = "that are upper limits without a flux"
NO_MAG = f"whose magnitude is not between {MAG_RANGE[0]} and {MAG_RANGE[1]} (no detection)"
POOR = "that the broker or survey calls of bad quality"


def observation_columns(names: Sequence[str], form: Form, origin: str) -> dict[str, str]:
    """Our name -> the column, of those columns of an observation table that are read.

    Raises:
        ValueError: a column is missing or ambiguous.
    """
    found = {name: column for name, column in form.found(names, origin).items() if name in OBSERVATION_COLUMNS}
    kind = _kind(found, form)
    unused = _BRIGHTNESS["mag"] if kind == "flux" else (*_BRIGHTNESS["flux"], "flux_unit", "zero_point")
    found = {name: column for name, column in found.items() if name not in unused}
    limits_alone = kind == "mag" and "mag" not in found
    mapped = [name for name in OBSERVATION_COLUMNS if form.columns.get(name) is not None and name not in unused]
    form.needed(found, names, [*_PLACE, *(() if limits_alone else _BRIGHTNESS[kind]), *mapped], origin)
    return found


def observations_of(
    table: pa.Table, found: Mapping[str, str], form: Form, origin: str
) -> tuple[Observations, dict[str, int]]:
    """The rows that have a brightness, as `tlclass.lightcurves.curves.from_columns` wants them, and how many have none, by reason.

    Fluxes are taken where there is a flux column. Otherwise difference magnitudes m become
    +-10^(-0.4 (m - 27.5)) with the error |flux| sigma ln(10) / 2.5; the sign is that of the subtraction,
    and a negative difference is no detection. Of fluxes the table says which are detections, or the positive ones are.

    Args:
        table: of observations.
        found: what `observation_columns` says of it.
        form: how its columns become ours.
        origin: what to call it in messages.

    Raises:
        ValueError: a column holds what it should not.
    """
    kind = _kind(found, form)
    table, dropped = _with_brightness(table, found, kind, origin)
    column = {name: table[file_name] for name, file_name in found.items()}
    value = {
        name: numbers(column_values(column[name]), found[name], origin)
        for name in ("mjd", *_BRIGHTNESS[kind])
        if name in found
    }
    seen = {
        "object_id": identifiers(column["object_id"], found["object_id"], origin),
        "mjd": form.days(value["mjd"], found["mjd"], origin),
        "passband": form.passbands.codes(text(column["band"]), origin),
    }
    if kind == "mag":
        _refuse_other_systems(column, found, origin)
        positive = _positive(column, found, origin)
        seen |= flux_of(value.get("mag"), value.get("mag_err"), positive, len(table))
    else:
        scale = _flux_scale(column, found, form, origin)
        seen |= {"flux": value["flux"] * scale, "flux_err": value["flux_err"] * scale}
    if "detected" in found:
        seen["detected"] = seen.get("detected", True) & _detected(column["detected"], found["detected"], origin)
    elif kind == "flux":
        log.info("%s: no column says which fluxes are detections (detected): all positive ones count as such", origin)
        seen["detected"] = seen["flux"] > 0
    return seen, dropped


_PLACE = ("object_id", "mjd", "band")
_BRIGHTNESS = {"flux": ("flux", "flux_err"), "mag": ("mag", "mag_err")}


def _kind(found: Mapping[str, str], form: Form) -> str:
    """What the mapping names; else fluxes where there are both columns; else magnitudes where there are any."""
    for kind, pair in _BRIGHTNESS.items():
        if any(form.columns.get(name) for name in pair):
            return kind
    if set(_BRIGHTNESS["flux"]) <= set(found):
        return "flux"
    return "mag" if "mag" in found or ("limiting_mag" in found and "flux" not in found) else "flux"


def _with_brightness(
    table: pa.Table, found: Mapping[str, str], kind: str, origin: str
) -> tuple[pa.Table, dict[str, int]]:
    """Without the rows that are no measurements of the flux: upper limits, codes for none, what the broker calls bad."""
    limit = np.zeros(len(table), dtype=bool)
    poor = no_mag = limit
    if "quality" in found:
        quality = table[found["quality"]]
        limit = flags(quality, lambda value: value.casefold() in ("upperlim", "limit"), found["quality"], origin)
        poor = flags(quality, lambda value: value.casefold() == "badquality", found["quality"], origin)
    for name in set(FLAGS) & set(found):
        poor = poor | flags(table[found[name]], is_true, found[name], origin)
    if "is_limit" in found:
        limit = limit | flags(table[found["is_limit"]], is_flag, found["is_limit"], origin)
    if kind == "mag":
        mag = _magnitudes(column_values(table[found["mag"]]), found["mag"], origin) if "mag" in found else None
        limit = limit | (np.ones(len(table), dtype=bool) if mag is None else np.isnan(mag))
        if mag is not None:
            no_mag = ~limit & ((mag <= MAG_RANGE[0]) | (mag >= MAG_RANGE[1]))
    poor = poor & ~(limit | no_mag)
    dropped = {LIMITS: int(limit.sum()), NO_MAG: int(no_mag.sum()), POOR: int(poor.sum())}
    keep = ~(limit | no_mag | poor)
    return (table if keep.all() else table.filter(pa.array(keep))), {why: n for why, n in dropped.items() if n}


def _magnitudes(values: Array, name: str, origin: str) -> Array:
    """Values as float64; a limit (`>20.1`, `<20.1`) is NaN."""
    if values.dtype == object:
        limits = np.isin(values.astype("U1"), (">", "<"))
        values = np.where(limits, "", values)
    return numbers(values, name, origin)


def _flux_scale(column: Mapping[str, pa.ChunkedArray], found: Mapping[str, str], form: Form, origin: str) -> Any:
    """Factor to zero point 27.5, one per row where a column gives the zero point; the log says what is taken."""
    unit = form.stated_unit(found["flux"])
    if unit is None and "flux_unit" in column:
        unit = _only_unit(column["flux_unit"], found["flux_unit"], origin)
    if unit is None and "zero_point" in column:
        _refuse_other_systems(column, found, origin)
        log.info("%s: fluxes are at the AB zero point of their row (column %s)", origin, found["zero_point"])
        return 10 ** (0.4 * (27.5 - numbers(column_values(column["zero_point"]), found["zero_point"], origin)))
    unit = next(stated for stated in (unit, form.default_unit, "fluxcal") if stated is not None)
    log.info("%s: %s is taken as %s", origin, found["flux"], unit if isinstance(unit, str) else f"zero point {unit:g}")
    return flux_scale(unit)


def _only_unit(column: pa.ChunkedArray, name: str, origin: str) -> str | None:
    given = [unit for unit in coded(column)[0] if unit not in BLANK]
    units = {unit.lower() for unit in given}
    if len(units) > 1 or not units <= set(ZERO_POINTS):
        raise ValueError(
            f"{origin}: column {name} has {', '.join(given)}: fluxes are read in one unit of {', '.join(ZERO_POINTS)}; convert them, "
            "or call magnitudes mag and mag_err"
        )
    return units.pop() if units else None


def _refuse_other_systems(column: Mapping[str, pa.ChunkedArray], found: Mapping[str, str], origin: str) -> None:
    systems = coded(column["zero_point_system"])[0] if "zero_point_system" in column else []
    other = [system for system in systems if system.casefold() not in ("ab", *BLANK)]
    if other:
        raise ValueError(
            f"{origin}: column {found['zero_point_system']} has {', '.join(other)}: only AB zero points are read; convert the fluxes or magnitudes"
        )


def _detected(column: pa.ChunkedArray, name: str, origin: str) -> Array:
    if name.strip().casefold() == "photflag":
        return flags(column, lambda value: bool(int(float(value)) & DETECTION_BITS), name, origin)
    return flags(column, is_true, name, origin)


def _positive(column: Mapping[str, pa.ChunkedArray], found: Mapping[str, str], origin: str) -> Array | None:
    if "is_positive" not in column:
        if "quality" in column and any(_signed(status) for status in coded(column["quality"])[0]):
            return flags(column["quality"], lambda status: _signed(status) != "negative", found["quality"], origin)
        if "mag" in found:
            log.info("%s: no isdiffpos column: every difference is taken as positive", origin)
        return None
    unknown = column["is_positive"].null_count
    if unknown:
        log.info("%s: %d differences without a sign (%s) are taken as positive", origin, unknown, found["is_positive"])
    return flags(column["is_positive"], is_true, found["is_positive"], origin, missing=True)


def _signed(status: str) -> str:
    """`positive` or `negative` where a broker's status begins so (Lasair: `negative difference`), else empty."""
    return next((sign for sign in ("positive", "negative") if status.casefold().startswith(sign)), "")


def flux_of(mag: Array | None, mag_err: Array | None, positive: Array | None, n: int) -> Observations:
    """Flux, error and detection flag (n,) of difference magnitudes; see `observations_of`."""
    if mag is None or mag_err is None:
        return {"flux": np.empty(n), "flux_err": np.empty(n), "detected": np.empty(n, dtype=bool)}
    positive = np.ones(n, dtype=bool) if positive is None else positive
    with np.errstate(over="ignore"):
        size = 10 ** (-0.4 * (mag - 27.5))
        error = size * mag_err * (np.log(10) / 2.5)
    return {"flux": np.where(positive, size, -size), "flux_err": error, "detected": positive}


def joined(parts: Sequence[Observations]) -> tuple[Observations, dict[str, int]]:
    """All parts as one, each exposure once, and how many rows repeated an exposure."""
    names = [name for name in parts[0] if all(name in part for part in parts)]
    whole = (
        {name: np.concatenate([part[name] for part in parts]) for name in names} if len(parts) > 1 else dict(parts[0])
    )
    keep = first_of_exposures(whole)
    repeated = len(keep) - int(np.count_nonzero(keep))
    if not repeated:
        return whole, {}
    return {name: column[keep] for name, column in whole.items()}, {"that repeat an exposure": repeated}


def first_of_exposures(seen: Mapping[str, Array]) -> Array:
    """(n,) bool, one row of those of one object and passband within `SAME_EXPOSURE`, whatever the order of the rows.

    A row with a usable flux is kept before one without, then the earliest, of the smallest error and flux.
    """
    keep = np.ones(len(seen["mjd"]), dtype=bool)
    owner = coded(pa.table({"id": seen["object_id"]})["id"])[1]
    series = owner * 256 + seen["passband"]
    order = np.lexsort((seen["mjd"], series))
    close = (np.diff(series[order]) == 0) & (np.diff(seen["mjd"][order]) <= SAME_EXPOSURE)
    inside = np.flatnonzero(np.r_[close, False] | np.r_[False, close])  # members of groups only: few
    rows, group = order[inside], np.cumsum(~np.r_[False, close])[inside]
    usable = np.isfinite(seen["flux"][rows]) & (seen["flux_err"][rows] > 0)
    keys = [~seen["detected"][rows]] if "detected" in seen else []
    best = np.lexsort((*keys, seen["flux"][rows], seen["flux_err"][rows], seen["mjd"][rows], ~usable, group))
    keep[rows] = False
    keep[rows[best[np.unique(group[best], return_index=True)[1]]]] = True
    return keep
