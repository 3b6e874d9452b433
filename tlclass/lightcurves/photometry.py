"""The rules for a row of photometry, shared by all readers: units, signs, times, missing values, detections, exposures.

The facts, with their sources, stand in `photometry.yaml`; the flags that void a row are in `tlclass.lightcurves.voids`.
"""

import functools
import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from tlclass.arrays import Array

log = logging.getLogger(__name__)
FACTS: Mapping[str, Any] = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))

ZERO_POINT = 27.5  # AB, of all fluxes here: SNANA's FLUXCAL
ZERO_POINTS: Mapping[str, float] = FACTS["zero_points"]
FRACTION = float(np.log(10) / 2.5)  # relative error of a flux per magnitude of error
JULIAN = -2400000.5  # days to add to a Julian date for MJD
MJD_RANGE = (15_000, 100_000)  # the years 1899 to 2132
RELATIVE = 1000  # days; times this close to zero are relative to some event
MAG_RANGE: tuple[float, float] = tuple(FACTS["missing"]["magnitudes"])
MAG_ERR_RANGE: tuple[float, float] = tuple(FACTS["missing"]["magnitude_errors"])
SNR: float = FACTS["detection"]["snr"]
ALERT_SNR: float = FACTS["detection"]["alert_snr"]
MEASURED: float = FACTS["detection"]["measured"]
DETECTION_BITS: int = FACTS["detection"]["bits"]
TRIGGER_BITS: int = FACTS["detection"]["trigger_bits"]
SAME_EXPOSURE: float = FACTS["same_exposure"]
ROUNDED = 1e-5  # relative difference below which two fluxes are the same number in float32

UPPER_LIMIT = "that are upper limits without a flux"
NO_MAGNITUDE = f"whose magnitude is not between {MAG_RANGE[0]} and {MAG_RANGE[1]} (no detection)"
UNKNOWN_SIGN = "that are differences without a sign"
UNKNOWN_PASSBAND = "of unknown passbands"
REPEATED = "that repeat an exposure"
CONTRADICTED = "whose flux differs by more than the errors from another row of their exposure, which is kept (the earlier, then that of the smaller error)"

_PREFIX = re.compile(rf"^(?:(?:{'|'.join(FACTS['prefixes'])})[_.:])+")
_UNIT = re.compile(r"(?:^|flux|[^a-z])([num]?jy)")
_LONG_UNIT = re.compile(r"(micro|μ|nano|milli|[unm])?(jansky|jy)s?(?![a-z])")


@functools.lru_cache(4096)  # each name is asked for once per word that it might mean
def plain_name(column: str) -> str:
    """Lower case, without Fink's prefix (`i:`) or the struct a column stands in (`lightcurve.`), or ATLAS's `###`, or a comma after it;
    `_` for blanks and brackets, units in short (`short_unit`). A struct of names and ids (TNS: `instrument.name`) is called after itself.

    >>> plain_name("i:magpsf"), plain_name("Flux [nJy]"), plain_name("diaSource.psfFlux"), plain_name("instrument.name")
    ('magpsf', 'flux_njy', 'psfflux', 'instrument')
    """
    column = column.strip().strip(",").casefold()
    if "." in column and column.endswith((".name", ".id")):
        column = column.removesuffix(".name").replace(".id", "_id")
    return short_unit(re.sub(r"[ (\[]+", "_", re.sub(r"^([a-z]:|.*\.|#+)", "", column).strip().rstrip(")]")))


def short_unit(text: str) -> str:
    """Text in lower case with units of flux in their short form.

    >>> short_unit("flux_microjy"), short_unit("nanoJansky"), short_unit("μJy")
    ('flux_ujy', 'njy', 'ujy')
    """
    return _LONG_UNIT.sub(
        lambda unit: (unit[1] or "").replace("micro", "u").replace("μ", "u")[:1] + "jy", text.casefold()
    )


@functools.lru_cache(4096)
def without_prefix(column: str) -> str:
    """The plain name without the name of the table or struct before it.

    >>> without_prefix("lsst_diaSource_psfFlux"), without_prefix("host_redshift")
    ('psfflux', 'host_redshift')
    """
    return _PREFIX.sub("", plain_name(column))


def unit_of_name(column: str) -> str | None:
    """The flux unit that the name of a column states; None if it states none.

    >>> unit_of_name("flux_uJy"), unit_of_name("lsst_diaSource_psfFlux"), unit_of_name("flux")
    ('ujy', 'njy', None)
    """
    plain = without_prefix(column)
    found = _UNIT.search(plain)
    names: Mapping[str, str] = FACTS["flux_names"]
    return found[1] if found else names.get(plain)


def zero_point_of(unit: str | float) -> float:
    """The AB zero point of a flux unit, or the number that is one already.

    Raises:
        ValueError: the unit is unknown, or the number is no zero point.
    """
    if isinstance(unit, int | float):
        if not MAG_RANGE[0] < unit < MAG_RANGE[1]:
            raise ValueError(f"flux unit {unit:g}: an AB zero point lies between {MAG_RANGE[0]} and {MAG_RANGE[1]}")
        return float(unit)
    if unit.lower() not in ZERO_POINTS:
        raise ValueError(
            f"flux unit '{unit}': choose one of {', '.join(ZERO_POINTS)}, or give the AB zero point as a number"
        )
    return ZERO_POINTS[unit.lower()]


def flux_scale(unit: str | float) -> float:
    """Factor from a flux unit, or an AB zero point, to zero point 27.5.

    Raises:
        ValueError: the unit is unknown.
    """
    return float(scales(zero_point_of(unit)))


def scales(zero_point: Any) -> Any:
    """Factors from AB zero points to zero point 27.5; NaN where a zero point is missing (not above 0)."""
    with np.errstate(invalid="ignore"):
        known = np.where(np.asarray(zero_point) > 0, zero_point, np.nan)
    return 10 ** (0.4 * (ZERO_POINT - known))


def flux_of_magnitude(mag: Any, mag_err: Any, positive: Any = True) -> tuple[Any, Any]:
    """Fluxes and their errors from AB magnitudes of differences; a negative difference has a negative flux.

    Errors that are no errors of a measured magnitude but codes for a limit (-1, 0, 9.99, 99) become NaN.

    >>> [round(float(value), 1) for value in flux_of_magnitude(20.0, 0.1)]
    [1000.0, 92.1]
    """
    with np.errstate(over="ignore"):
        size = 10 ** (-0.4 * (np.asarray(mag, dtype=np.float64) - ZERO_POINT))
        error = np.asarray(mag_err, dtype=np.float64)
        error = size * np.where((error > MAG_ERR_RANGE[0]) & (error < MAG_ERR_RANGE[1]), error, np.nan) * FRACTION
    return np.where(positive, size, -size), error


def magnitude_of_flux(flux: Any) -> Any:
    """AB magnitude of fluxes at zero point 27.5, NaN where they are not positive."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(np.asarray(flux) > 0, ZERO_POINT - 2.5 * np.log10(np.asarray(flux)), np.nan)


def unit_by_magnitudes(flux: Array, mag: Array) -> float | None:
    """The AB zero point that turns these fluxes (n,) into these magnitudes (n,); None if no one does.

    Magnitudes of the source and fluxes of the difference, as some tables have them side by side, do not agree, unless neither changes:
    magnitudes that are all alike give no zero point.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        implied = mag + 2.5 * np.log10(flux)
    use = np.isfinite(implied) & (flux > 0) & (mag > MAG_RANGE[0]) & (mag < MAG_RANGE[1])
    if np.count_nonzero(use) < 2 or np.ptp(mag[use]) < 0.1:
        return None
    middle = float(np.median(implied[use]))
    if float(np.median(np.abs(implied[use] - middle))) > 0.02:
        return None
    nearest = min(ZERO_POINTS.values(), key=lambda zero_point: abs(zero_point - middle))
    return nearest if abs(nearest - middle) < 0.05 else round(middle, 2)


def depth_offset(flux_err: Array, band: Array, names: Sequence[str]) -> float | None:
    """How much deeper (mag) than the survey whose passbands these errors (n,) are of, if they were at an AB zero point of 0.

    None where the survey's depth is not known (`depths` in the facts). `band` are codes into `names`.
    """
    offsets = []
    for code, name in enumerate(names):
        known = FACTS["depths"].get(name[:-1], {}).get(name[-1])
        errors = flux_err[(band == code) & (flux_err > 0) & np.isfinite(flux_err)]
        if known is not None and len(errors):
            offsets.append(-2.5 * np.log10(5 * np.quantile(errors, 0.25)) - known)
    return float(np.median(offsets)) if offsets else None


def unit_by_depth(offset: float | None) -> str | None:
    """The unit that gives the depth of the survey, of `depth_offset`; None where it is not known, or no unit or several do."""
    if offset is None:
        return None
    fits = [unit for unit in ZERO_POINTS if fits_depth(offset, unit)]
    return fits[0] if len(fits) == 1 else None


def fits_depth(offset: float, unit: str | float) -> bool:
    """Whether fluxes in this unit have about the depth of the survey, see `depth_offset`."""
    return abs(offset + zero_point_of(unit)) <= float(FACTS["depth_tolerance"])


def known_numbers(values: Any, kind: str = "numbers") -> Array:
    """Values as float64, the codes that stand for "unknown" as NaN.

    Args:
        values: of any number type.
        kind: which codes: `numbers` (of objects), `times`, or `fluxes`.

    >>> known_numbers(np.array([0.1, -9.0]))
    array([0.1, nan])
    """
    numbers = np.asarray(values, dtype=np.float64)
    return np.where(np.isin(numbers, FACTS["missing"][kind]), np.nan, numbers)


def known_times(values: Array, relative: bool | None = None) -> Array:
    """Times as float64, codes for "unknown" as NaN; times that are relative to some event have no codes but -777.

    Whether they are is decided by their median where `relative` does not say it.
    """
    numbers = np.asarray(values, dtype=np.float64)
    coded = np.isin(numbers, FACTS["missing"]["times"])
    if are_relative(numbers) if relative is None else relative:
        coded &= numbers == -777
    return np.where(coded, np.nan, numbers)


def known_extinction(values: Any) -> Array:
    """E(B-V) in mag, NaN where it is a code for "unknown" or no extinction that there is in the sky."""
    numbers = known_numbers(values)
    low, high = FACTS["missing"]["extinctions"]
    with np.errstate(invalid="ignore"):
        return np.where((numbers < low) | (numbers > high), np.nan, numbers)


def are_relative(values: Array) -> bool:
    """Whether the median of these times, without the codes for "unknown", is within `RELATIVE` days of zero."""
    numbers = np.asarray(values, dtype=np.float64)
    others = np.abs(numbers[~np.isin(numbers, FACTS["missing"]["times"]) & np.isfinite(numbers)])
    return bool(len(others)) and bool(np.median(others) < RELATIVE)


def no_dates(mjd: Array, relative: bool | None = None) -> Array:
    """(n,) bool, the times that are no Modified Julian Dates; none where all are within `RELATIVE` days of zero, unless `relative` is False."""
    known = np.isfinite(mjd)
    outside = known & ((mjd < MJD_RANGE[0]) | (mjd > MJD_RANGE[1]))
    return outside & (relative is False or bool((np.abs(mjd[known]) >= RELATIVE).any()))


def refuse_no_dates(mjd: Array, origin: str) -> None:
    """Raise ValueError if some of the times (n,) of a format that has MJDs are none."""
    outside = no_dates(mjd)
    if outside.any():
        raise ValueError(
            f"{origin}: {np.count_nonzero(outside)} of {len(mjd)} times are not Modified Julian Dates ({MJD_RANGE[0]} to {MJD_RANGE[1]}), "
            f"e.g. {mjd[outside][0]:.15g}: correct them, or leave those observations out"
        )


def known_position(ra_or_dec: Any, name: str) -> Array:
    """Degrees, NaN where they are outside the sky."""
    numbers = np.asarray(ra_or_dec, dtype=np.float64)
    low, high = (-180, 360) if name == "ra" else (-90, 90)
    with np.errstate(invalid="ignore"):
        return np.where((numbers < low) | (numbers > high), np.nan, numbers)


def detected_by_snr(flux: Any, flux_err: Any, snr: float = SNR) -> Array:
    """(n,) bool, the fluxes that are `snr` errors or more above zero; never the sign of the flux alone."""
    with np.errstate(invalid="ignore"):
        return np.asarray(np.asarray(flux) >= snr * np.asarray(flux_err)) & (np.asarray(flux_err) > 0)


def is_rounded(mjd: Array) -> bool:
    """Whether these times were stored in 32 bits, which tell MJDs apart by 5 minutes at best."""
    return bool(len(mjd)) and bool((np.isnan(mjd) | (mjd.astype(np.float32) == mjd)).all())


def one_per_exposure(
    series: Array,
    mjd: Array,
    flux: Array,
    flux_err: Array,
    detected: Array,
    rank: Any = 0,
    age: Any = 0,
    rounded: bool = False,
) -> Array:
    """(n,) bool: of the rows of one exposure the best one, whatever the order of the rows.

    Rows of one exposure have the same `series` and times within `SAME_EXPOSURE`. The best is the one of the lowest rank;
    of equal ones, of the lowest age; then the earliest, of the smallest error and flux, a detection first.

    Args:
        series: (n,) number of the object and passband.
        mjd, flux, flux_err, detected: (n,) the rows.
        rank: how good a row is, 0 the best, e.g. 1 where there is no usable flux.
        age: the lower, the newer the file or packet that has the row.
        rounded: whether times are too coarse to tell exposures apart; then rows with another flux are another exposure.
    """
    keep = np.ones(len(mjd), dtype=bool)
    rows, group = _shared(series, mjd, flux, rounded)
    rank, age = (np.broadcast_to(values, len(mjd))[rows] for values in (rank, age))
    best = np.lexsort((~detected[rows], flux[rows], flux_err[rows], mjd[rows], age, rank, group))
    keep[rows] = False
    keep[rows[best[np.unique(group[best], return_index=True)[1]]]] = True
    return keep


def once_per_exposure(seen: Mapping[str, Array], series: Array, rounded: bool = False) -> tuple[Array, dict[str, int]]:
    """(n,) bool, of the rows of one exposure the best one, and how many others there are by reason.

    Args:
        seen: `mjd`, `flux`, `flux_err` and `detected`, (n,) each. series: 256 times the number of the object, and the code of the passband.
        rounded: see `one_per_exposure`.
    """
    mjd, flux, error = (seen[name] for name in ("mjd", "flux", "flux_err"))
    objects, days = np.diff(series // 256), np.diff(mjd)
    in_order = (objects > 0) | ((objects == 0) & (days > SAME_EXPOSURE))
    if in_order.all():  # by object and time, as most files are
        return np.ones(len(mjd), dtype=bool), {}
    usable = np.isfinite(flux) & (error > 0)
    keep = one_per_exposure(series, mjd, flux, error, seen["detected"], rank=~usable, rounded=rounded)
    differing = contradicted(keep, series, mjd, flux, error, rounded)
    counts = {REPEATED: int(np.count_nonzero(~keep)) - differing, CONTRADICTED: differing}
    return keep, {reason: number for reason, number in counts.items() if number}


def contradicted(keep: Array, series: Array, mjd: Array, flux: Array, flux_err: Array, rounded: bool = False) -> int:
    """How many of the rows (n,) that `one_per_exposure` does not keep have another flux than the one kept, by more than both errors."""
    rows, group = _shared(series, mjd, flux, rounded)
    kept = keep[rows]
    best = np.zeros(group.max(initial=0) + 1, dtype=np.int64)
    best[group[kept]] = rows[kept]
    other = best[group]
    with np.errstate(invalid="ignore"):
        apart = np.abs(flux[rows] - flux[other]) > np.hypot(flux_err[rows], flux_err[other])
    return int(np.count_nonzero(apart))


def _shared(series: Array, mjd: Array, flux: Array, rounded: bool) -> tuple[Array, Array]:
    """The rows that are of one exposure with others, and the number of that exposure; few of all."""
    order = np.lexsort((flux, mjd, series) if rounded else (mjd, series))
    close = (np.diff(series[order]) == 0) & (np.diff(mjd[order]) <= SAME_EXPOSURE)
    if rounded:
        close &= np.abs(np.diff(flux[order])) <= ROUNDED * np.abs(flux[order][1:])
    inside = np.flatnonzero(np.r_[close, False] | np.r_[False, close])
    return order[inside], np.cumsum(~np.r_[False, close])[inside]
