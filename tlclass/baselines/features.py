"""Features that describe a light curve, for classifiers that are not networks."""

import hashlib
import logging
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from tlclass.arrays import Array
from tlclass.atomic import atomic_path
from tlclass.config import writable_cache
from tlclass.extras import needs
from tlclass.lightcurves.curves import LightCurves
from tlclass.lightcurves.passbands import Passbands

log = logging.getLogger(__name__)
VERSION = 1  # raise it when `features` changes for the same light curves
DECLINE_DAYS = (-10, -5, 5, 10, 15, 20, 30, 40, 50)  # from the passband's own maximum
COLOUR_DAYS = (-10, 0, 10, 20, 30, 50)  # from the object's observation of highest S/N
TRIGGER_DAYS = (0, 5, 10, 20, 30, 50)  # from time zero
SMOOTHING = 4.0  # days, standard deviation of the kernel
REACH = 10.0  # days; no value where no observation is as near as this
RELATIVE_ERROR = 0.02  # of the peak flux, added so that one precise point does not decide alone


@dataclass(frozen=True)
class Features:
    """One row per light curve.

    Attributes:
        values: (N, F) float32, NaN where the light curve does not say.
        names: F names, such as `ztfg peak` or `ztfg-ztfr 10d`.
    """

    values: Array
    names: tuple[str, ...]


@dataclass(frozen=True)
class _Series:
    """The observations of each object in each passband side by side; series `object * B + band`."""

    day: Array
    flux: Array
    error: Array
    offsets: Array  # (N * B + 1,)
    bands: int

    @property
    def owner(self) -> Array:
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))


def features(curves: LightCurves, passbands: Passbands) -> Features:
    """Compute the features of selected light curves; objects do not influence each other.

    Per passband: number of observations, first and last day, the maximum (flux, day, S/N), smoothed flux before and
    after it relative to it, and the Bazin fit of the `light-curve` package (Malanchev et al. 2021). Per pair
    of neighbouring passbands: the colour at maximum and at fixed days from the object's best observation
    and from the trigger. No label, redshift or metadata enters.

    Chosen by cross-validation on real and simulated light curves outside the test parts; the package's
    statistics of magnitudes (amplitude, skewness, kurtosis and the like) cost accuracy below 1,000 labels.

    Args:
        curves: as `Selection.apply` leaves them, time zero in `trigger_mjd`.
        passbands: of the survey; the columns are these passbands in order of wavelength.

    Raises:
        ValueError: the extra `baselines` is not installed.
    """
    names = [band.name for band in sorted(passbands.bands, key=lambda band: band.wavelength)]
    series = _series(curves, [names.index(passbands.names[code]) for code in _codes(curves, passbands)], len(names))
    peak = _maximum(series)
    columns = {
        "observations": np.diff(series.offsets),
        **dict(zip(("first", "last"), _ends(series), strict=True)),
        **dict(zip(("peak", "peak day", "peak snr"), peak.T, strict=True)),
        **_declines(series, peak),
        **_bazin(series, peak),
    }
    per_band = {name: column.reshape(-1, len(names)) for name, column in columns.items()}
    table = {f"{band} {name}": column[:, k] for k, band in enumerate(names) for name, column in per_band.items()}
    table |= _colours(series, peak, names)
    with np.errstate(over="ignore"):
        values = np.stack(list(table.values()), axis=1).astype(np.float32)
    values[~np.isfinite(values)] = np.nan
    return Features(values, tuple(table))


def cached_features(curves: LightCurves, passbands: Passbands, folder: Path) -> Features:
    """Features of light curves, computed once for all jobs of a sweep and cached in `folder` by content."""
    digest = hashlib.sha256(repr((VERSION, curves.passbands, passbands)).encode())
    for column in (curves.offsets, curves.trigger_mjd, curves.mjd, curves.passband, curves.flux, curves.flux_err):
        digest.update(np.ascontiguousarray(column).data)
    path = folder / f"features-{digest.hexdigest()[:16]}.npz"
    found = _stored(path)
    if found is None:
        writable_cache(folder)
        found = features(curves, passbands)
        with atomic_path(path) as temporary:
            np.savez(temporary, values=found.values, names=np.array(found.names))
    return found


def _stored(path: Path) -> Features | None:
    """The cached features; None if there are none or the file is damaged (each array has a checksum)."""
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as stored:
            return Features(stored["values"], tuple(stored["names"].tolist()))
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, KeyError, ValueError, NotImplementedError):
        log.warning("%s is damaged: computing the features again", path)
        return None


def installed(module: str) -> Any:
    """A module of the extra `baselines`.

    Raises:
        ValueError: it is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise ValueError(needs("a baseline of light-curve features", module, "baselines")) from error


def until(curves: LightCurves, day: float) -> LightCurves:
    """The observations up to so many days after the trigger, at least the first one of every object."""
    first = np.arange(len(curves.mjd)) == curves.offsets[curves.owner]
    return curves.keep(first | (curves.days <= day))


def _codes(curves: LightCurves, passbands: Passbands) -> list[int]:
    """For each passband name of `curves` its place in the survey's table."""
    return [int(code) for code in passbands.codes(np.array(curves.passbands), "light curves")]


def _series(curves: LightCurves, rank: Sequence[int], bands: int) -> _Series:
    key = curves.owner * bands + np.array(rank, dtype=np.int64)[curves.passband]
    order = np.argsort(key, kind="stable")  # keeps time order
    offsets = np.searchsorted(key[order], np.arange(len(curves) * bands + 1))
    day = curves.days[order]
    flux, error = curves.flux[order].astype(np.float64), curves.flux_err[order].astype(np.float64)
    return _Series(day, flux, error, offsets, bands)


def _ends(series: _Series) -> tuple[Array, Array]:
    """First and last day, (N * B,) each."""
    seen = np.diff(series.offsets) > 0
    first, last = np.full((2, len(seen)), np.nan)
    first[seen] = series.day[series.offsets[:-1][seen]]
    last[seen] = series.day[series.offsets[1:][seen] - 1]
    return first, last


def _maximum(series: _Series) -> Array:
    """(N * B, 3): flux, day and S/N of the brightest observation."""
    seen = np.diff(series.offsets) > 0
    row = np.lexsort((-series.flux, series.owner))[series.offsets[:-1][seen]]
    peak = np.full((len(seen), 3), np.nan)
    peak[seen] = np.stack([series.flux[row], series.day[row], series.flux[row] / series.error[row]], axis=1)
    return peak


def _smoothed(series: _Series, peak: Array, day: Array) -> Array:
    """(N * B,) weighted mean flux about one day per series, NaN without an observation nearby."""
    owner, n = series.owner, len(series.offsets) - 1
    distance = series.day - day[owner]
    variance = series.error**2 + (RELATIVE_ERROR * peak[owner, 0]) ** 2
    near = np.abs(distance) <= REACH
    weight = np.where(near, np.exp(-0.5 * (distance / SMOOTHING) ** 2) / variance, 0.0)
    total = np.bincount(owner, weight, n)
    summed = np.bincount(owner, weight * series.flux, n)
    mean: Array = np.divide(summed, total, out=np.full(n, np.nan), where=total > 0)
    return mean


def _declines(series: _Series, peak: Array) -> dict[str, Array]:
    """Smoothed flux relative to the maximum, where that is positive."""
    height = np.where(peak[:, 0] > 0, peak[:, 0], np.nan)
    return {f"flux at peak{day:+d}d": _smoothed(series, peak, peak[:, 1] + day) / height for day in DECLINE_DAYS}


def _colours(series: _Series, peak: Array, names: Sequence[str]) -> dict[str, Array]:
    """Magnitude differences of neighbouring passbands, NaN where a flux is missing or not positive."""
    snr = np.nan_to_num(peak[:, 2].reshape(-1, series.bands), nan=-np.inf)
    best = np.take_along_axis(peak[:, 1].reshape(-1, series.bands), snr.argmax(1)[:, None], 1)[:, 0]
    fluxes = {"peak": peak[:, 0]}
    for reference, zero, days in (("best", best, COLOUR_DAYS), ("trigger", np.zeros_like(best), TRIGGER_DAYS)):
        at = np.repeat(zero, series.bands)
        fluxes |= {f"{reference}{day:+d}d": _smoothed(series, peak, at + day) for day in days}
    table: dict[str, Array] = {}
    for name, flux in fluxes.items():
        magnitude = -2.5 * np.log10(np.where(flux > 0, flux, np.nan)).reshape(-1, series.bands)
        difference = magnitude[:, :-1] - magnitude[:, 1:]
        table |= {f"{blue}-{red} {name}": difference[:, k] for k, (blue, red) in enumerate(pairwise(names))}
    return table


def _bazin(series: _Series, peak: Array) -> dict[str, Array]:
    """The fit of Bazin et al. (2009) to flux relative to the maximum; NaN below six observations."""
    lc = installed("light_curve")
    fit = lc.BazinFit("lmsder", lmsder_niter=20)
    values = np.full((len(peak), len(fit.names)), np.nan)
    height = np.abs(peak[:, 0]) + np.finfo(np.float32).tiny
    for k in np.flatnonzero(np.diff(series.offsets)):  # fit.many is slower: it compares all slices of one array
        part = slice(series.offsets[k], series.offsets[k + 1])
        flux, error = series.flux[part] / height[k], series.error[part] / height[k]
        values[k] = fit(series.day[part], flux, error, fill_value=np.nan, sorted=True, check=False)
    return dict(zip(fit.names, values.T, strict=True))
