"""Augmentation: change the sampling, noise, redshift and dust of training light curves, drawn anew every epoch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tlclass.arrays import Array
from tlclass.dust import transmission
from tlclass.lightcurves.curves import HOST_NUMBERS, LightCurves, concatenate, known_hosts, known_redshifts
from tlclass.lightcurves.passbands import Passbands
from tlclass.lightcurves.selection import Selection, Trigger
from tlclass.options import build
from tlclass.seeds import stream
from tlclass.surveys import Several, Survey

NIGHT_GAP = 0.5  # days without an observation of the object that end a night
DETECTED_ABOVE = 0.01, 5.0  # quantile of flux / error of all detections, taken for the survey's threshold; at most this
OMEGA_MATTER = 0.3  # of a flat universe
STRETCHES = (0.8, 1.25)  # beyond, the neglected K-correction is no small error


@dataclass(frozen=True)
class Augmentation:
    """What is changed in selected light curves, per object; every option is off by default.

    First the calibration (`zero_point`, `error_scale`), which costs no observation. Then what can: dust, `fainter` and
    redshift dim, `thin`, `nights`, `snr` and `drop_band` drop observations, and time zero and window are found again by
    the survey's own rules. An object left without a trigger or with fewer than `Selection.min_observations` keeps
    all its observations and is only recalibrated. So objects, labels and order never change; `farther` adds objects.

    Dimming by a factor g multiplies the flux and adds noise of sqrt(1 - g^2) times the quoted error, which then stays
    what it was: the noise of the sky does not dim. Brightening multiplies the error too, since noise cannot be taken
    out. Detections that fall below the survey's threshold (as far as its detections show it) are detections no more;
    objects of alert photometry lose them.

    Nothing that the selection left out comes back: when time zero moves to a later detection, or times shrink, the
    end of the window holds no observations.

    Attributes:
        thin: [low, high]; an object keeps each observation with a probability drawn between them.
        nights: whole numbers such as [1, 2, 3]; k is drawn from them, and every k-th night of an object is kept, from one of the
            first k nights on.
        drop_band: probability that an object loses one of its passbands; it keeps at least one passband and
            `Selection.min_observations` observations.
        drop_host: probability that the redshift of an object's host galaxy is hidden (`host_photoz` and its error).
        zero_point: sigma in mag of an offset per object and passband, of flux and error.
        error_scale: sigma of ln of a factor per object on the quoted errors; the noise does not change.
        redshift: [low, high], at most 0.8 to 1.25; 1 + z is multiplied by f, drawn uniformly between them. Times since the trigger
            stretch by f. If the redshift z is known, the flux dims by the squared ratio of luminosity distances (flat universe,
            Omega_m 0.3), and the new redshift lies between z / 2 and 2 z. The K-correction is neglected, so f should lie within
            about 0.1 of 1.
        extinction: mean A_V in mag of additional dust, drawn from an exponential distribution (Gordon et al. 2023, R_V = 3.1, at
            the observed wavelength of each passband).
        fainter: [low, high] in mag from 0; an object is dimmed by so much, drawn uniformly, in all passbands alike: labelled
            objects are bright, those to be classified are not (Boone 2019). What a larger distance changes beside the flux
            is `redshift`. It is set with `augmentation=fainter`.
        farther: how many copies of each labelled light curve at larger redshifts join the training set; made once, see
            `tlclass.inputs.farther`. They need forced photometry, and redshifts of the labelled objects; a light curve with few
            significant observations has fewer or none. Trees do not use them. It is set with `augmentation=farther`.
        snr: [low, high]; a threshold is drawn between them per object, and observations with |flux| / error below it are dropped.
            For alert photometry.
    """

    thin: Sequence[float] | None = None
    nights: Sequence[int] | None = None
    drop_band: float = 0.0
    drop_host: float = 0.0
    zero_point: float = 0.0
    error_scale: float = 0.0
    redshift: Sequence[float] | None = None
    extinction: float = 0.0
    fainter: Sequence[float] | None = None
    farther: int = 0
    snr: Sequence[float] | None = None

    def __post_init__(self) -> None:
        """Refuse ranges and numbers that mean nothing."""
        _check_range("thin", self.thin, (0.0, 1.0))
        _check_range("redshift", self.redshift, STRETCHES)
        _check_range("fainter", self.fainter, (0.0, np.inf))
        _check_range("snr", self.snr, (0.0, np.inf))
        nights = self.nights if isinstance(self.nights, Sequence) else [] if self.nights is not None else [1]
        if not nights or not all(isinstance(k, int) and k > 0 for k in nights):
            raise ValueError(f"augmentation.nights is {self.nights}: give whole numbers from 1, such as [1, 2, 3]")
        for name in ("drop_band", "drop_host"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"augmentation.{name} is {getattr(self, name)}: choose a probability, 0 to 1")
        if self.farther < 0:
            raise ValueError(
                f"augmentation.farther is {self.farther}: choose 0 (off) or a whole number of copies per label"
            )
        for name in ("zero_point", "error_scale", "extinction"):
            if getattr(self, name) < 0:
                raise ValueError(f"augmentation.{name} is {getattr(self, name)}: choose 0 (off) or more")

    @property
    def on(self) -> bool:
        """Whether light curves are changed in every epoch."""
        return replace(self, farther=0) != Augmentation()

    def apply(self, curves: LightCurves, passbands: Passbands, selection: Selection, seed: int) -> LightCurves:
        """The same objects in the same order, augmented.

        Args:
            curves: selected by `selection`, time zero in `trigger_mjd`.
            passbands: wavelengths of their passbands.
            selection: the survey's rules.
            seed: of all draws; each option has a stream of its own, so that one does not move another.
        """
        curves = self._recalibrated(curves, seed)
        owner, least = curves.owner, max(selection.min_observations, 1)
        changed, stretch = self._dimmed(curves, passbands, seed)
        keep = self._kept(changed, seed) & (changed.detected | ~alerts_only(curves, selection)[owner])
        keep &= self._band_kept(changed, keep, least, seed)
        zero = time_zero(curves, changed.keep(keep), selection.trigger)
        mjd = changed.mjd if self.redshift is None else zero[owner] + (changed.mjd - zero[owner]) * stretch[owner]
        days = mjd - zero[owner]  # NaN of an object without a trigger is in no window
        keep &= (days > selection.window[0]) & (days < selection.window[1])
        enough = np.bincount(owner[keep], minlength=len(curves)) >= least
        changed = replace(changed, mjd=mjd, trigger_mjd=zero)
        return self._with_hosts_hidden(_where(enough, changed, curves).keep(keep | ~enough[owner]), seed)

    def _with_hosts_hidden(self, curves: LightCurves, seed: int) -> LightCurves:
        """The light curves with a share of the hosts unknown."""
        if not self.drop_host:
            return curves
        lost = _rng(seed, "drop_host").random(len(curves)) < self.drop_host
        photoz, error = (np.where(lost, np.nan, getattr(curves, name)) for name in HOST_NUMBERS)
        return replace(curves, host_photoz=photoz, host_photoz_err=error)

    def _recalibrated(self, curves: LightCurves, seed: int) -> LightCurves:
        n = len(curves)
        factor: Array = np.ones(1, dtype=np.float32)
        ratio: Array = np.ones(1, dtype=np.float32)
        if self.zero_point:
            offset = self.zero_point * _rng(seed, "zero_point").standard_normal((n, len(curves.passbands)))
            factor = (10 ** (-0.4 * offset)).astype(np.float32)[curves.owner, curves.passband]
        if self.error_scale:
            drawn = np.exp(self.error_scale * _rng(seed, "error_scale").standard_normal(n))
            ratio = drawn.astype(np.float32)[curves.owner]
        return replace(curves, flux=curves.flux * factor, flux_err=curves.flux_err * factor * ratio)

    def _dimmed(self, curves: LightCurves, passbands: Passbands, seed: int) -> tuple[LightCurves, Array]:
        """The light curves behind more dust and at another distance, times unchanged, and (n,) their stretch."""
        owner, stretch = curves.owner, np.ones(len(curves))
        factor = np.ones(len(owner))
        if self.extinction:
            dust = _rng(seed, "extinction").exponential(self.extinction, (len(curves), 1))
            wavelength = passbands.wavelengths(curves.passbands)
            factor *= transmission(wavelength, dust)[owner, curves.passband]
        if self.fainter is not None:
            by = _uniform(_rng(seed, "fainter"), self.fainter, len(curves))
            factor *= 10 ** (-0.4 * by[owner])
        if self.redshift is not None:
            stretch, redshift, dimming = redshifted(curves.redshift, self.redshift, _rng(seed, "redshift"))
            hosts = (1 + curves.host_photoz) * stretch - 1, curves.host_photoz_err * stretch
            curves = replace(curves, redshift=redshift, **known_hosts(*hosts))
            factor *= dimming[owner]
        if not self.extinction and self.fainter is None and self.redshift is None:
            return curves, stretch
        noise = _rng(seed, "noise").standard_normal(len(owner)) * np.sqrt(np.maximum(1 - factor**2, 0))
        flux = curves.flux * factor + curves.flux_err * noise
        error = curves.flux_err * np.maximum(factor, 1)
        dimmed = replace(curves, flux=flux.astype(np.float32), flux_err=error.astype(np.float32))
        return replace(dimmed, detected=still_detected(curves, dimmed)), stretch

    def _kept(self, curves: LightCurves, seed: int) -> Array:
        """(n_obs,) bool, by observation, night and signal to noise."""
        owner, n = curves.owner, len(curves)
        keep = np.ones(len(owner), dtype=bool)
        if self.thin is not None:
            rng = _rng(seed, "thin")
            share = _uniform(rng, self.thin, n)
            keep &= rng.random(len(owner)) < share[owner]
        if self.nights is not None:
            rng = _rng(seed, "nights")
            every = rng.choice(np.asarray(self.nights), n)
            first = (rng.random(n) * every).astype(np.int64)
            keep &= (night_of(curves) - first[owner]) % every[owner] == 0
        if self.snr is not None:
            threshold = _uniform(_rng(seed, "snr"), self.snr, n)
            keep &= np.abs(curves.flux) >= threshold[owner] * curves.flux_err
        return keep

    def _band_kept(self, curves: LightCurves, keep: Array, least: int, seed: int) -> Array:
        """(n_obs,) bool, all but the passband an object loses, of the observations in `keep`."""
        if not self.drop_band:
            return keep
        owner, shape = curves.owner, (len(curves), len(curves.passbands))
        cell = owner * shape[1] + curves.passband
        counts = np.bincount(cell[keep], minlength=shape[0] * shape[1]).reshape(shape)
        rng = _rng(seed, "drop_band")
        lost = np.where(counts > 0, rng.random(shape), -1).argmax(1)
        left = counts.sum(1) - counts[np.arange(shape[0]), lost]
        loses = (rng.random(shape[0]) < self.drop_band) & (left >= least)
        gone: Array = loses[owner] & (curves.passband == lost[owner])
        return ~gone


def augmented(curves: LightCurves, survey: Survey | Several, augmentation: Augmentation, seed: int) -> LightCurves:
    """Light curves that `survey.load` gave, or some of them, augmented by the rules of the part they come from."""
    if isinstance(survey, Survey):
        return augmentation.apply(curves, survey.passbands, survey.selection, seed)
    parts = survey.rules_of(curves)
    changed = [
        augmentation.apply(curves.take(rows), survey.passbands, selection, stream(seed, name))
        for name, (rows, selection) in parts.items()
    ]
    return concatenate(changed).take(np.argsort(np.concatenate([rows for rows, _ in parts.values()])))


def augmentation_from(settings: Mapping[str, Any]) -> Augmentation:
    """Build an augmentation from `{name, ...}`, the form of `conf/augmentation/`.

    Raises:
        ValueError: an option is unknown or out of range.
    """
    if not isinstance(settings, Mapping):
        raise ValueError(
            f"augmentation is '{settings}': choose a file of conf/augmentation with augmentation=NAME, "
            "for the source model with augmentation@pretrain.augmentation=NAME"
        )
    return build(Augmentation, {key: value for key, value in settings.items() if key != "name"}, "augmentation")


def redshifted(redshift: Array, factors: Sequence[float], rng: np.random.Generator) -> tuple[Array, Array, Array]:
    """Draw f, the change of 1 + z; see `Augmentation.redshift`.

    Args:
        redshift: (n,), see `known_redshifts`. factors: [low, high] of f.
        rng: of the draw.

    Returns:
        (n,) f, (n,) the new redshifts (unknown ones as they are), (n,) the factor on the flux.
    """
    low, high = factors
    known = known_redshifts(redshift)
    z = np.where(known, redshift, 1.0)
    nearest = np.where(known, (1 + z / 2) / (1 + z), low)
    farthest = np.where(known, (1 + 2 * z) / (1 + z), high)
    lowest, highest = np.clip(low, nearest, farthest), np.clip(high, nearest, farthest)
    stretch = lowest + rng.random(len(z)) * (highest - lowest)
    moved = (1 + z) * stretch - 1
    dimming = (luminosity_distance(z) / luminosity_distance(moved)) ** 2
    return stretch, np.where(known, moved, redshift), np.where(known, dimming, 1.0)


def luminosity_distance(redshift: Array) -> Array:
    """Luminosity distance in Hubble lengths of a flat universe with Omega_m = 0.3, up to a redshift of 20."""
    grid = np.linspace(0, 20, 20_001)
    slope = 1 / np.sqrt(OMEGA_MATTER * (1 + grid) ** 3 + 1 - OMEGA_MATTER)
    comoving = np.concatenate([[0], np.cumsum((slope[1:] + slope[:-1]) / 2 * np.diff(grid))])
    return np.asarray((1 + redshift) * np.interp(redshift, grid, comoving))


def night_of(curves: LightCurves) -> Array:
    """(n_obs,) number of the night within the object, from 0; a night ends where half a day has no observation.

    By gaps rather than by calendar days, which end in the middle of the night at some telescopes.
    """
    if not len(curves.mjd):
        return np.zeros(0, dtype=np.int64)
    begins = np.diff(curves.mjd, prepend=curves.mjd[0]) > NIGHT_GAP
    begins[curves.offsets[:-1][curves.lengths > 0]] = True
    count: Array = np.cumsum(begins)
    return count - count[curves.offsets[curves.owner]]


def time_zero(before: LightCurves, after: LightCurves, trigger: Trigger) -> Array:
    """(n,) MJD of the trigger of what is left, NaN for none.

    Of an object whose second detection triggered and whose first one is before the window, and so not in
    `before`, any later detection is a second one.
    """
    zero = trigger.time_zero(after)
    unseen = trigger.time_zero(before) != before.trigger_mjd
    if not unseen.any():
        return zero
    since = after.keep(after.mjd >= after.trigger_mjd[after.owner])
    return np.where(unseen, replace(trigger, rule="first_detection").time_zero(since), zero)


def alerts_only(curves: LightCurves, selection: Selection) -> Array:
    """(n,) bool, objects that hold detections only because their photometry does."""
    all_detected = np.bincount(curves.owner[~curves.detected], minlength=len(curves)) == 0
    return np.asarray(all_detected & (selection.photometry.kind != "forced"))


def still_detected(before: LightCurves, after: LightCurves) -> Array:
    """(n_obs,) bool, the detections that lost no significance, or are above the survey's threshold after it."""
    if not before.detected.any():
        return before.detected
    was, now = (np.abs(curves.flux) / curves.flux_err for curves in (before, after))
    quantile, most = DETECTED_ABOVE
    threshold = min(np.quantile(was[before.detected], quantile), most)
    return before.detected & (now >= np.minimum(was, threshold))


def _where(chosen: Array, one: LightCurves, other: LightCurves) -> LightCurves:
    """Objects of `one` where the (n,) mask is true, else of `other`; both have the same rows."""
    rows = chosen[one.owner]
    observations = ("mjd", "flux", "flux_err", "detected")
    columns: dict[str, Any] = {name: np.where(rows, getattr(one, name), getattr(other, name)) for name in observations}
    objects = {
        name: np.where(chosen, getattr(one, name), getattr(other, name))
        for name in ("trigger_mjd", "redshift", *HOST_NUMBERS)
    }
    return replace(one, **columns, **objects)


def _rng(seed: int, name: str) -> np.random.Generator:
    return np.random.default_rng(stream(seed, name))


def _uniform(rng: np.random.Generator, between: Sequence[float], n: int) -> Array:
    low, high = between
    return rng.uniform(low, high, n)


def _check_range(name: str, given: Sequence[float] | None, allowed: tuple[float, float]) -> None:
    if given is None:
        return
    if not isinstance(given, Sequence) or len(given) != 2 or not allowed[0] <= given[0] <= given[1] <= allowed[1]:
        raise ValueError(
            f"augmentation.{name} is {given}: give [low, high] between {allowed[0]:g} and {allowed[1]:g}, or null for none"
        )
