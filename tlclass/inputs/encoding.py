"""From selected light curves to the network's input: the same code in training, evaluation and prediction."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np

from tlclass.arrays import Array
from tlclass.lightcurves.curves import LightCurves, rows_of
from tlclass.lightcurves.passbands import Passbands
from tlclass.lightcurves.selection import first_mjd
from tlclass.options import build_named


class Encoding(Protocol):
    """Turns observations into channels. Causal: a row depends on earlier rows of its own object only.

    An implementation is a frozen dataclass of plain numbers, listed in `ENCODINGS`, so that it can be
    stored with a model. It may have two more methods: `remembers`, see `remembered`, and `photometry`, which
    gives what was `Observed` from (n_obs, len(channels)); but for rounding the same numbers as before.
    """

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the columns."""

    def __call__(self, curves: LightCurves, wavelength: Array) -> Array:
        """(n_obs, len(channels)) float32 from light curves with time zero in `trigger_mjd`.

        `wavelength` is (n_obs,) in micrometres.
        """


@dataclass(frozen=True)
class Observed:
    """Observations, (n_obs,) each: `days` since time zero, `wavelength` in micrometres, `flux` and `flux_err` at zero point 27.5."""

    days: Array
    wavelength: Array
    flux: Array
    flux_err: Array


@dataclass(frozen=True)
class Paper:
    """Equation 1 of Gupta et al. 2025: no peak scaling, no redshift, nothing from the future.

    Attributes:
        flux_scale: FLUXCAL units per unit of input (the paper: 500 for every survey).
        time_offset, time_scale: days; (t + 30) / 100 maps the window to 0..1.
    """

    flux_scale: float = 500.0
    time_offset: float = 30.0
    time_scale: float = 100.0

    @property
    def channels(self) -> tuple[str, ...]:
        """Wavelength in um, scaled time, scaled flux, scaled flux error."""
        return ("wavelength_um", "time", "flux", "flux_err")

    def remembers(self, curves: LightCurves) -> Array:
        """None; see `remembered`."""
        return np.zeros(len(curves.mjd), dtype=bool)

    def __call__(self, curves: LightCurves, wavelength: Array) -> Array:
        """See `Encoding`."""
        time = (curves.days + self.time_offset) / self.time_scale
        return np.stack(
            [wavelength, time, curves.flux / self.flux_scale, curves.flux_err / self.flux_scale], axis=1
        ).astype(np.float32)

    def photometry(self, x: Array) -> Observed:
        """See `Encoding`."""
        wavelength, time, flux, flux_err = x[:, :4].astype(np.float64).T
        days = time * self.time_scale - self.time_offset
        return Observed(days, wavelength, flux * self.flux_scale, flux_err * self.flux_scale)


@dataclass(frozen=True)
class Asinh:
    """Compressed flux: faint and bright, deep and shallow surveys meet in one range.

    Attributes:
        flux_scale: FLUXCAL units at which asinh turns from linear to logarithmic.
        time_offset, time_scale: as in `Paper`.
    """

    flux_scale: float = 50.0
    time_offset: float = 30.0
    time_scale: float = 100.0

    @property
    def channels(self) -> tuple[str, ...]:
        """Wavelength in um, scaled time, asinh(flux / scale), log10 of the relative error."""
        return ("wavelength_um", "time", "asinh_flux", "log_relative_error")

    def remembers(self, curves: LightCurves) -> Array:
        """None; see `remembered`."""
        return np.zeros(len(curves.mjd), dtype=bool)

    def __call__(self, curves: LightCurves, wavelength: Array) -> Array:
        """See `Encoding`."""
        time = (curves.days + self.time_offset) / self.time_scale
        flux = np.arcsinh(curves.flux / self.flux_scale)
        relative = np.log10(curves.flux_err / (np.abs(curves.flux) + curves.flux_err))
        return np.stack([wavelength, time, flux, relative], axis=1).astype(np.float32)

    def photometry(self, x: Array) -> Observed:
        """See `Encoding`; the error of a flux below 1e-5 of it is not known well."""
        wavelength, time, flux, relative = x[:, :4].astype(np.float64).T
        flux = np.sinh(flux) * self.flux_scale
        share = np.minimum(10.0**relative, 1 - 1e-7)
        days = time * self.time_scale - self.time_offset
        return Observed(days, wavelength, flux, np.maximum(np.abs(flux) * share / (1 - share), 1e-6))


@dataclass(frozen=True)
class Context(Asinh):
    """`Asinh` and what one looks at in a light curve: slope in the band, colour, decline since maximum, age.

    All of it from observations up to this one; 0 where there is none yet. Works for any number of bands.
    """

    @property
    def channels(self) -> tuple[str, ...]:
        """Asinh's, then: change of asinh flux and days / 10 since the last point in this band; difference to, and
        wavelength step from, the last point in the nearest other band; drop from the running maximum; days / 100
        since the first detection.
        """
        context = ("change_in_band", "time_in_band", "difference_to_band", "wavelength_step", "drop_from_maximum")
        return (*super().channels, *context, "time_since_detection")

    def remembers(self, curves: LightCurves) -> Array:
        """The last observation in each band, the brightest one and the first detection of each object; see `remembered`."""
        rows, owner = np.arange(len(curves.mjd)), curves.owner
        keep = np.zeros(len(rows), dtype=bool)
        series = owner * 256 + curves.passband
        keep[rows[::-1][np.unique(series[::-1], return_index=True)[1]]] = True
        by_flux = np.lexsort((curves.flux, owner))
        keep[by_flux[curves.offsets[1:][curves.lengths > 0] - 1]] = True
        found = np.flatnonzero(curves.detected)
        keep[found[np.unique(owner[found], return_index=True)[1]]] = True
        return keep

    def __call__(self, curves: LightCurves, wavelength: Array) -> Array:
        """See `Encoding`."""
        plain = super().__call__(curves, wavelength)
        flux = plain[:, 2]
        same, other = last_in_band(curves, wavelength)
        step = np.where(same < 0, 0, flux - flux[same])
        days = np.where(same < 0, 0, (curves.mjd - curves.mjd[same]) / 10)
        colour = np.where(other < 0, 0, flux - flux[other])
        distance = np.where(other < 0, 0, wavelength - wavelength[other])
        drop = _running_maximum(flux, curves.owner) - flux
        age = days_since_detection(curves) / self.time_scale
        return np.column_stack([plain, step, days, colour, distance, drop, age]).astype(np.float32)


def remembered(encoding: Encoding, curves: LightCurves) -> Array:
    """(n_obs,) bool, the observations without which those that come later cannot be encoded.

    The encoding of a later observation is the same, whether all observations before it are given or only these. An encoding without a
    method `remembers` of this signature (without the first argument) needs all of them.
    """
    if hasattr(encoding, "remembers"):
        return np.asarray(encoding.remembers(curves))
    return np.ones(len(curves.mjd), dtype=bool)


def days_since_detection(curves: LightCurves) -> Array:
    """(n_obs,) float64 days since the object's first detection; 0 before it, and where there is none."""
    first = np.nan_to_num(first_mjd(curves, curves.detected), nan=np.inf)
    days: Array = np.maximum(curves.mjd - first[curves.owner], 0.0)
    return days


def last_in_band(curves: LightCurves, wavelength: Array) -> tuple[Array, Array]:
    """(n_obs,) rows of the last earlier point in the same band and of the last point in the nearest other band.

    -1 where there is none. "Earlier" is by row; of two bands equally near, the bluer is taken.
    """
    rows = np.arange(len(curves.mjd))
    first = curves.offsets[curves.owner]
    same, other = np.full(len(rows), -1), np.full(len(rows), -1)
    nearest = np.full(len(rows), np.inf)
    for code in range(len(curves.passbands)):
        here = curves.passband == code
        if not here.any():
            continue
        before = np.maximum.accumulate(np.where(here, rows, -1))  # last row of this band up to each row
        same[here] = np.concatenate([[-1], before[:-1]])[here]
        distance = np.where(here | (before < first), np.inf, np.abs(wavelength - wavelength[here][0]))
        other = np.where(distance < nearest, before, other)
        nearest = np.minimum(distance, nearest)
    return np.where(same < first, -1, same), other


def _running_maximum(values: Array, owner: Array) -> Array:
    """(n_obs,) maximum within the object so far; each object is lifted above the one before it."""
    lift = owner * 1000.0  # asinh values of float32 fluxes stay within +-100
    return np.maximum.accumulate(values + lift) - lift


ENCODINGS: dict[str, type[Any]] = {"paper": Paper, "asinh": Asinh, "context": Context}


def encoding_from(settings: Mapping[str, Any]) -> Encoding:
    """Build an encoding from `{name, ...}`, the form of `conf/encoding/` and of a stored model.

    Raises:
        ValueError: unknown name or option.
    """
    encoding: Encoding = build_named(ENCODINGS, settings, "encoding")
    return encoding


def encoding_settings(encoding: Encoding) -> dict[str, Any]:
    """The inverse of `encoding_from`."""
    name = next(name for name, kind in ENCODINGS.items() if type(encoding) is kind)
    return {"name": name, **asdict(encoding)}  # type: ignore[call-overload]


@dataclass(frozen=True)
class Encoded:
    """Network input of many objects, flat.

    Attributes:
        x: (n_obs, C) float32.
        offsets: (n + 1,) int64.
        days: (n_obs,) float32 days since the trigger.
        metadata: (n, M) float32 in raw units (the network standardises), NaN where unknown.
    """

    x: Array
    offsets: Array
    days: Array
    metadata: Array

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> Array:
        """(n,) observations per object."""
        return np.diff(self.offsets)

    @property
    def owner(self) -> Array:
        """(n_obs,) index of the object each observation belongs to."""
        return np.repeat(np.arange(len(self)), self.lengths)

    def until(self, day: float) -> Array:
        """(n,) observations per object up to so many days after the trigger."""
        return np.bincount(self.owner[self.days <= day], minlength=len(self))

    def take(self, objects: Array, steps: Array | None = None) -> "Encoded":
        """The objects at these indices, in this order; of each so many first observations where `steps` are given."""
        rows, offsets = rows_of(self.offsets[objects], self.lengths[objects] if steps is None else steps)
        return Encoded(self.x[rows], offsets, self.days[rows], self.metadata[objects])

    def followed_by(self, other: "Encoded") -> "Encoded":
        """These objects, then those of the other."""
        return Encoded(
            np.concatenate([self.x, other.x]),
            np.concatenate([self.offsets, self.offsets[-1] + other.offsets[1:]]),
            np.concatenate([self.days, other.days]),
            np.concatenate([self.metadata, other.metadata]),
        )


def encode(curves: LightCurves, passbands: Passbands, encoding: Encoding, metadata: Sequence[str] = ()) -> Encoded:
    """Encode selected light curves (`Selection.apply`), all observations at once.

    Raises:
        ValueError: a passband or a metadata column is unknown.
    """
    columns = curves.object_columns()
    numeric = [name for name, column in columns.items() if column.dtype.kind in "fiub"]
    absent = [name for name in metadata if name not in numeric]
    if absent:
        raise ValueError(
            f"metadata {', '.join(absent)} is not a numeric column; the numeric columns are {', '.join(numeric)}"
        )
    wavelength = passbands.wavelengths(curves.passbands)[curves.passband]
    table = np.stack([columns[name] for name in metadata], axis=1) if metadata else np.empty((len(curves), 0))
    days = curves.days.astype(np.float32)
    return Encoded(encoding(curves, wavelength), curves.offsets, days, table.astype(np.float32))


def metadata_of(curves: LightCurves, metadata: Sequence[str]) -> dict[str, Array]:
    """(n,) values of each of these columns, NaN where unknown, and everywhere if there is no such column."""
    columns, unknown = curves.object_columns(), np.full(len(curves), np.nan)
    return {name: columns.get(name, unknown) for name in metadata}


def known_metadata(curves: LightCurves, metadata: Sequence[str]) -> dict[str, int]:
    """Of how many objects each of these columns is known; of none where there is no such column."""
    return {name: int(np.isfinite(values).sum()) for name, values in metadata_of(curves, metadata).items()}
