"""Labelled light curves moved to larger redshifts: objects with a spectrum are brighter than those that are classified (Boone 2019).

A Gaussian process in time and wavelength gives the flux of an object between its observations and bluewards of them. The object is placed
farther away, drawn by volume, and observed again with the visits and errors of another object of the survey.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np

from tlclass.arrays import Array
from tlclass.inputs.augmentation import luminosity_distance
from tlclass.lightcurves.curves import HOST_NUMBERS, LightCurves, known_hosts, known_redshifts
from tlclass.lightcurves.passbands import Passbands
from tlclass.seeds import stream

COPY = "~"  # between the id of an object and the number of its copy
DAYS = -80, 150  # of a light curve, from maximum light
KNOWN = 12, 4, 8.0  # observations, and how many of them have which signal to noise: less tells too little of the flux
NIGHTS, MICRONS = (8, 16, 30, 60), 0.6  # length scales of the Gaussian process, in time one of these
STRETCH, LARGEST = 1.5, 3.4  # change of 1 + z and redshift of a copy, at most
TRIES = 60  # redshifts and visits that are tried for one object
VISITS, DETECTIONS = 8, 2  # fewest of a copy
NEAR = 10  # a host's redshift is that of one of the objects so many places nearer or farther
SKY = 0.3  # quantile of a light curve's errors in a passband that is the sky's
SIGNIFICANCE = np.arange(0.25, 15, 0.5)  # flux / error at which the share of detections is measured


@dataclass(frozen=True)
class Visits:
    """When, in which passband (code, and wavelength in um) and with which error of the sky an object was observed; (n,) each."""

    mjd: Array
    passband: Array
    wavelength: Array
    error: Array

    @classmethod
    def of(cls, mjd: Array, passband: Array, wavelength: Array, error: Array) -> "Visits":
        """Those of an object's observations; its own light adds to an error, so one is at most twice that of the sky."""
        return cls(mjd, passband, wavelength, np.minimum(error, 2 * sky_error(passband, error)))


@dataclass(frozen=True)
class Conditions:
    """How a survey observes.

    Attributes:
        visits: of some of its objects.
        photons: variance that the light of an object adds, per flux.
        significance: (k,) flux / error. detected: (k,) share of the observations with it that are detections; below the first one none is.
    """

    visits: Sequence[Visits]
    photons: float
    significance: Array
    detected: Array

    @classmethod
    def of(cls, curves: LightCurves, wavelengths: Array) -> "Conditions":
        """Those of complete light curves. wavelengths: of their passbands, in um."""
        visits, variance, light = [], [], []
        for number in range(len(curves)):
            own = slice(*curves.offsets[number : number + 2])
            passband, flux, error = (
                curves.passband[own],
                curves.flux[own].astype(float),
                curves.flux_err[own].astype(float),
            )
            visits.append(Visits.of(curves.mjd[own], passband, wavelengths[passband], error))
            bright = flux > 10 * error
            variance.append(error[bright] ** 2 - sky_error(passband, error)[bright] ** 2)
            light.append(flux[bright])
        brighter = np.concatenate(light)
        photons = max(float(np.median(np.concatenate(variance) / brighter)), 0.0) if len(brighter) else 0.0
        place = np.searchsorted(SIGNIFICANCE, curves.flux / curves.flux_err)
        total, found = (np.bincount(some, minlength=len(SIGNIFICANCE) + 1) for some in (place, place[curves.detected]))
        share = np.where(
            total > 0, found / np.maximum(total, 1), SIGNIFICANCE.searchsorted(5.0) < np.arange(len(total))
        )
        return cls(visits, photons, SIGNIFICANCE, share[:-1])


@dataclass(frozen=True)
class Process:
    """A Gaussian process of the flux of one object; days from maximum light, wavelengths in um, both (n,) and of the observer."""

    days: Array
    wavelength: Array
    weight: Array
    scale: float

    @classmethod
    def of(cls, days: Array, wavelength: Array, flux: Array, error: Array) -> "Process":
        """The most likely of a few length scales and amplitudes."""
        best = (-np.inf, cls(days, wavelength, flux, 0.0))
        for scale in NIGHTS:
            shape = matern((days[:, None] - days) / scale) * matern((wavelength[:, None] - wavelength) / MICRONS)
            for amplitude in (0.5 * flux.max(), flux.max()):
                covariance = amplitude**2 * shape + np.diag(error**2 + (0.01 * flux) ** 2)
                weight = np.linalg.solve(covariance, flux)
                likelihood = -0.5 * flux @ weight - 0.5 * np.linalg.slogdet(covariance)[1]
                if likelihood > best[0]:
                    best = likelihood, cls(days, wavelength, amplitude**2 * weight, scale)
        return best[1]

    def flux(self, days: Array, wavelength: Array) -> Array:
        """The expected flux at these days and wavelengths, both (m,)."""
        near = matern((days[:, None] - self.days) / self.scale)
        found: Array = near * matern((wavelength[:, None] - self.wavelength) / MICRONS) @ self.weight
        return found


@dataclass(frozen=True)
class Moved:
    """An object as it is observed at a larger redshift; `true` is its flux without noise, (m,) each."""

    redshift: float
    mjd: Array
    passband: Array
    flux: Array
    flux_err: Array
    detected: Array
    true: Array


def sky_error(passband: Array, error: Array) -> Array:
    """(n,) error that the sky alone gives in the passband of each observation: a low quantile of the light curve's errors there."""
    sky = np.zeros(len(error))
    for code in np.unique(passband):
        sky[passband == code] = np.quantile(error[passband == code], SKY)
    return sky


def matern(distance: Array) -> Array:
    """The Matern kernel of order 3/2."""
    scaled = np.sqrt(3) * np.abs(distance)
    return np.asarray((1 + scaled) * np.exp(-scaled))


def process_of(mjd: Array, wavelength: Array, flux: Array, error: Array, peak: float) -> Process | None:
    """The process of an object's observations, (n,) each; None where they tell too little of its flux.

    Args:
        mjd, wavelength, flux, error: of each observation. peak: MJD of maximum light.
    """
    near = (mjd >= peak + DAYS[0]) & (mjd <= peak + DAYS[1])
    fewest, sure, significance = KNOWN
    if near.sum() < fewest or np.sort(flux[near] / error[near])[-sure] < significance:
        return None
    try:
        return Process.of(mjd[near] - peak, wavelength[near], flux[near], error[near])
    except np.linalg.LinAlgError:  # one exposure twice, beside a flux that is larger by many orders of magnitude
        return None


def again(process: Process, redshift: float, seen: Conditions, rng: np.random.Generator) -> Iterator[Moved]:
    """The object farther away, drawn by volume, wherever enough of its observations are detections."""
    grid = np.linspace(redshift, max(min(STRETCH * (1 + redshift) - 1, LARGEST), redshift + 0.02), 200)
    distance = luminosity_distance(grid)
    volume = (distance / (1 + grid)) ** 3
    for _ in range(TRIES):
        z = np.interp(rng.uniform(volume[0], volume[-1]), volume, grid)
        there = seen.visits[int(rng.integers(len(seen.visits)))]
        peak = rng.choice(there.mjd) + rng.uniform(-25, 25)
        stretch = (1 + redshift) / (1 + z)
        near = (there.mjd > peak + DAYS[0]) & (there.mjd < peak + 0.95 * DAYS[1] / stretch)
        if near.sum() < VISITS:
            continue
        mjd, passband, error = there.mjd[near], there.passband[near], there.error[near]
        dimming = (distance[0] / np.interp(z, grid, distance)) ** 2 / stretch  # flux per frequency
        true = dimming * process.flux((mjd - peak) * stretch, there.wavelength[near] * stretch)
        error = np.hypot(error, np.sqrt(seen.photons * np.abs(true)))
        flux = true + error * rng.standard_normal(len(true))
        detected = rng.random(len(true)) < np.interp(flux / error, seen.significance, seen.detected, left=0)
        if detected.sum() >= DETECTIONS and true.max() > 0:
            yield Moved(float(z), mjd, passband, flux, error, detected, true)


def hosts_at(redshift: Array, known: Array, photoz: Array, error: Array, rng: np.random.Generator) -> dict[str, Array]:
    """Photometric redshifts of hosts, (m,): those of objects that are nearly as far, with the same error in units of 1 + z.

    Args:
        redshift: (m,) of the moved objects. known, photoz, error: (n,) of objects whose redshift is known. rng: of the draw.
    """
    order = np.argsort(known, kind="stable")
    place = np.searchsorted(known[order], redshift) + rng.integers(-NEAR, NEAR + 1, len(redshift))
    donor = order[np.clip(place, 0, len(known) - 1)]
    stretch = (1 + redshift) / (1 + known[donor])
    found = (1 + photoz[donor]) * stretch - 1, error[donor] * stretch
    return {name: np.maximum(values, 0.001) for name, values in zip(HOST_NUMBERS, found, strict=True)}


def farther(curves: LightCurves, each: int, seen: Conditions, passbands: Passbands, seed: int) -> LightCurves:
    """Copies of labelled light curves at larger redshifts, at most `each` of an object; their ids are `ID~NUMBER`.

    Objects without a redshift, or with too few significant observations, have none. What becomes of an object depends on its id and the
    seed alone; its host's redshift depends on the other objects too.

    Args:
        curves: complete light curves (not selected).
        each: copies.
        seen: how the survey observes.
        passbands: of the survey.
        seed: of all draws.
    """
    wavelengths = passbands.wavelengths(curves.passbands)
    found, parent, names = list[Moved](), list[int](), list[str]()
    known = known_redshifts(curves.redshift)
    for number in np.flatnonzero(known):
        own = slice(*curves.offsets[number : number + 2])
        flux, error = curves.flux[own].astype(float), curves.flux_err[own].astype(float)
        if not (flux / error >= KNOWN[2]).any():
            continue
        peak = float(curves.mjd[own][np.argmax(np.where(flux / error >= KNOWN[2], flux, 0))])
        process = process_of(curves.mjd[own], wavelengths[curves.passband[own]], flux, error, peak)
        if process is None:
            continue
        rng = np.random.default_rng(stream(seed, f"farther/{curves.object_id[number]}"))
        made = list(islice(again(process, float(curves.redshift[number]), seen, rng), each))
        found += made
        parent += [int(number)] * len(made)
        names += [f"{curves.object_id[number]}{COPY}{copy}" for copy in range(len(made))]
    rows = np.array(parent, dtype=np.int64)
    redshift = np.array([one.redshift for one in found])
    near = curves.take(known & np.isfinite(curves.host_photoz))
    hosts: dict[str, Any] = {name: np.full(len(rows), np.nan) for name in HOST_NUMBERS}
    if len(near) and len(rows):
        rng = np.random.default_rng(stream(seed, "farther"))
        hosts = known_hosts(*hosts_at(redshift, near.redshift, near.host_photoz, near.host_photoz_err, rng).values())
    columns = {
        "mjd": np.float64, "passband": np.uint8, "flux": np.float32, "flux_err": np.float32, "detected": np.bool_,
    }  # fmt: skip
    changed: dict[str, Any] = {
        name: np.concatenate([np.empty(0, kind), *(getattr(one, name) for one in found)]).astype(kind)
        for name, kind in columns.items()
    }
    moved = curves.take(rows)
    return replace(
        moved,
        **changed,
        **hosts,
        offsets=np.concatenate([[0], np.cumsum([len(one.mjd) for one in found])]).astype(np.int64),
        object_id=np.array(names, dtype=str),
        redshift=redshift,
        trigger_mjd=np.array([one.mjd[one.detected][0] for one in found]),
        dropped={},
    )


def parent_of(object_id: Array) -> Array:
    """(m,) ids of the objects of which these are copies."""
    return np.array([str(name).rpartition(COPY)[0] for name in object_id], dtype=str)
