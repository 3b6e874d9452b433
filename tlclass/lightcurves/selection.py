"""Which observations are analysed: photometry kind, time zero, window. The same code for every survey."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from tlclass.arrays import Array
from tlclass.lightcurves.by_survey import SHOWN, counted_by, named_surveys
from tlclass.lightcurves.curves import LightCurves, refuse_none
from tlclass.lightcurves.cuts import Cut, log_cuts
from tlclass.lightcurves.photometry import MEASURED
from tlclass.quoting import one_of, shortened
from tlclass.seeds import uniform_by_name

log = logging.getLogger(__name__)
FORCED = 0.02  # share of observations of flux / error below `MEASURED`, above which photometry is forced
ALONE = 2  # detections in its window, without which time zero moves on
SOME = 50  # observations without which nothing is said of the kind of photometry
PHOTOMETRY_KINDS = {  # which observations each kind leaves out
    "forced": "none",
    "detections": "that are no detections",
    "mixed": "that are no detections, of objects that are shown as alerts",
    "any": f"that are no detections and below zero by more than {MEASURED:g} errors",
}
TRIGGER_RULES = {  # how time zero is found -> which objects have none
    "column": "without the time of a trigger",
    "first_detection": "without a detection",
    "second_detection": "without a second detection",
}


@dataclass(frozen=True)
class Photometry:
    """The kind of photometry: forced photometry keeps all epochs, alert streams have detections only.

    Attributes:
        kind: `forced` (all epochs), `detections`, `mixed` (each object one or the other, by `forced_fraction`), or `any` (detections or
            all epochs, as an object has them, but for what is below zero by more than `MEASURED` errors: alerts of a source that faded).
        snr: detection threshold in flux / error; one number, or [low, high] to draw one per object;
            None takes the survey's own detection flag.
        forced_fraction: the share of objects kept forced when mixed.
        seed: of the draws per object, which depend on the object id alone.
    """

    kind: str = "forced"
    snr: float | Sequence[float] | None = None
    forced_fraction: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse an unknown kind."""
        one_of("selection.photometry.kind", self.kind, PHOTOMETRY_KINDS)

    @property
    def summary(self) -> str:
        """In words, for a model's card."""
        kind = "detections alone, or all epochs of forced photometry" if self.kind == "any" else self.kind
        return f"{kind} (a detection has S/N {self.snr})" if self.snr is not None else kind

    @property
    def left_out(self) -> str:
        """Which observations `apply` drops, as the reason of a `Cut`."""
        return PHOTOMETRY_KINDS[self.kind]

    def apply(self, curves: LightCurves) -> LightCurves:
        """Drop the epochs that this kind of photometry lacks; redefine `detected` by the S/N threshold."""
        detected, kept = self.judge(curves)
        curves = curves if detected is curves.detected else replace(curves, detected=detected)
        return curves if kept is None else curves.keep(kept)

    def judge(self, curves: LightCurves) -> tuple[Array, Array | None]:
        """(n_obs,) bool which observations are detections, and which this kind of photometry has; None: all of them."""
        detected = curves.detected
        low, high = self.snr if isinstance(self.snr, Sequence) else (self.snr, self.snr)
        if low is not None and high is not None:
            draw = uniform_by_name(curves.object_id, f"snr/{self.seed}") if low != high else 0.0
            threshold = np.full(len(curves), low + (high - low) * draw, dtype=np.float32)
            detected = curves.flux >= threshold[curves.owner] * curves.flux_err
        if self.kind == "forced":
            return detected, None
        if self.kind == "any":
            return detected, detected | (curves.flux > -MEASURED * curves.flux_err)
        if self.kind == "detections":
            return detected, detected
        forced = uniform_by_name(curves.object_id, f"forced/{self.seed}") < self.forced_fraction
        return detected, detected | forced[curves.owner]


@dataclass(frozen=True)
class JointPhotometry:
    """The photometry of objects that several surveys observe: each survey's own kind, told by the passband.

    Attributes:
        kinds: survey -> its photometry.
        passbands: survey -> the names of its passbands.
        shares: of the objects that all surveys observe, which share is shown as these surveys see it, e.g. `{ztf: 0.25, lsst: 0.25,
            ztf+lsst: 0.5}`, drawn by the object id; empty: all with everything. For training; a model file states none.
    """

    kinds: Mapping[str, Photometry]
    passbands: Mapping[str, Sequence[str]]
    shares: Mapping[str, float] = field(default_factory=dict)

    snr = None  # each survey has its own

    def __post_init__(self) -> None:
        """Refuse shares of surveys that are not there, and such that do not add up to 1."""
        for name, share in self.shares.items():
            unknown = sorted(set(name.split("+")) - set(self.kinds))
            if unknown:
                raise ValueError(
                    f"shares: {', '.join(map(shortened, unknown))} is none of the surveys {', '.join(self.kinds)}: write one of them, or "
                    f"several with a plus between, e.g. {'+'.join(self.kinds)}"
                )
            if isinstance(share, bool) or not isinstance(share, int | float) or not share >= 0:
                raise ValueError(f"shares: {name} is {shortened(share)}: give a share of at least 0")
        total = sum(self.shares.values())
        if self.shares and not abs(total - 1) < 1e-6:
            raise ValueError(f"shares add up to {total:g}: they must add up to 1")

    @property
    def kind(self) -> str:
        """The kind of all surveys, `mixed` where they differ."""
        kinds = {photometry.kind for photometry in self.kinds.values()}
        return kinds.pop() if len(kinds) == 1 else "mixed"

    @property
    def summary(self) -> str:
        """See `Photometry.summary`."""
        return "; ".join(f"{name}: {photometry.summary}" for name, photometry in self.kinds.items())

    @property
    def left_out(self) -> str:
        """See `Photometry.left_out`."""
        hidden = ", or that `shares` hide" if self.shares else ""
        return f"that the photometry of their survey lacks ({self.summary}){hidden}"

    def apply(self, curves: LightCurves) -> LightCurves:
        """Apply each survey's rule to its passbands; the extra column `shown` says whose observations an object has."""
        survey = self._survey_of(curves)
        detected, kept = curves.detected.copy(), np.ones(len(curves.mjd), dtype=bool)
        for number, photometry in enumerate(self.kinds.values()):
            own = survey == number
            found, has = photometry.judge(curves)
            detected[own] = found[own]
            kept[own] = True if has is None else has[own]
        seen: Array = counted_by(curves, survey, kept, len(self.kinds)) > 0
        shown = seen & self._shown(curves.object_id, np.asarray(seen.all(axis=1)))
        curves = replace(
            curves, detected=detected, extra={**curves.extra, SHOWN: named_surveys(shown, tuple(self.kinds))}
        )
        allowed = (survey < 0) | shown[curves.owner, survey]
        return curves.keep(kept & allowed)

    def _survey_of(self, curves: LightCurves) -> Array:
        """(n_obs,) place of the survey that took each observation, -1 for none of them."""
        places = {band: number for number, bands in enumerate(self.passbands.values()) for band in bands}
        return np.array([places.get(band, -1) for band in curves.passbands], dtype=np.int64)[curves.passband]

    def _shown(self, object_id: Array, by_all: Array) -> Array:
        """(n, surveys) bool, whose observations each object is shown with; all unless a share hides some."""
        shown = np.ones((len(object_id), len(self.kinds)), dtype=bool)
        if self.shares:
            edges = np.cumsum(list(self.shares.values()))[:-1]
            drawn = np.searchsorted(edges, uniform_by_name(object_id, "shares"), side="right")
            sets = np.array([[one in name.split("+") for one in self.kinds] for name in self.shares])
            shown[by_all] = sets[drawn[by_all]]
        return shown


@dataclass(frozen=True)
class Trigger:
    """How time zero is found.

    Attributes:
        rule: `column` (the survey's `trigger_mjd`), `first_detection`, or `second_detection`
            (the first one more than `gap_days` after the first detection, as LSST and SNANA trigger).
        search: days before and after the survey's `trigger_mjd` in which observations count at all,
            where that column is known; None counts all.
        gap_days: least distance of the second detection from the first.
    """

    rule: str = "first_detection"
    search: Sequence[float] | None = None
    gap_days: float = 30 / 1440

    def __post_init__(self) -> None:
        """Refuse an unknown rule, and days that are none."""
        one_of("selection.trigger.rule", self.rule, TRIGGER_RULES)
        if self.search is not None:
            _refuse_no_days("selection.trigger.search", self.search, "the trigger of the survey", "[-30, 100]")
        if isinstance(self.gap_days, bool) or not isinstance(self.gap_days, int | float) or not self.gap_days >= 0:
            raise ValueError(
                f"selection.trigger.gap_days is {shortened(self.gap_days)}: give a number of days of at least 0"
            )

    def near_survey_trigger(self, curves: LightCurves) -> LightCurves:
        """Drop observations outside `search`."""
        if self.search is None:
            return curves
        days = curves.days
        return curves.keep(~((days <= self.search[0]) | (days >= self.search[1])))

    def time_zero(self, curves: LightCurves) -> Array:
        """(n,) MJD of the trigger, NaN for an object that never triggers."""
        if self.rule == "column":
            return curves.trigger_mjd
        first = first_mjd(curves, curves.detected)
        if self.rule == "first_detection":
            return first
        return first_mjd(curves, curves.detected & (curves.mjd > (first + self.gap_days)[curves.owner]))


@dataclass(frozen=True)
class Selection:
    """From all observations of a survey to the analysed ones.

    Attributes:
        photometry, trigger: see there.
        window: days relative to time zero, exclusive, paper section 3.1.
        min_observations: objects with fewer in the window are dropped (and counted).
        max_observations: of longer light curves the earliest are kept (N_t of the paper).
    """

    photometry: Photometry | JointPhotometry = field(default_factory=Photometry)
    trigger: Trigger = field(default_factory=Trigger)
    window: Sequence[float] = (-30.0, 70.0)
    min_observations: int = 1
    max_observations: int = 656

    def __post_init__(self) -> None:
        """Refuse a window without days and numbers that are none."""
        _refuse_no_days("selection.window", self.window, "time zero", "[-30, 70]")
        for name in ("min_observations", "max_observations"):
            number = getattr(self, name)
            if not isinstance(number, int) or isinstance(number, bool) or number < 1:
                raise ValueError(f"selection.{name} is {shortened(number)}: it must be a whole number of at least 1")

    @classmethod
    def from_mapping(cls, settings: dict[str, Any]) -> "Selection":
        """The inverse of `to_mapping`."""
        parts = {"photometry": _photometry(settings["photometry"]), "trigger": Trigger(**settings["trigger"])}
        return cls(**{**settings, **parts})

    def to_mapping(self) -> dict[str, Any]:
        """Plain types, stored with a model."""
        settings = asdict(self)
        if isinstance(self.photometry, JointPhotometry):  # a model classifies all observations that it is given
            settings["photometry"] = {name: settings["photometry"][name] for name in ("kinds", "passbands")}
        return settings

    def apply(self, curves: LightCurves, origin: str) -> LightCurves:
        """The selected light curves with `trigger_mjd` set to time zero.

        Every cut is logged with the number of objects it costs.

        Raises:
            ValueError: no object is left.
        """
        selected, cuts = self.select(curves)
        self.account(len(curves), cuts, origin)
        return selected

    def select(self, curves: LightCurves, move_on: bool = False) -> tuple[LightCurves, list[Cut]]:
        """Apply the selection without logging; return the selected light curves, and what each rule removed, in order.

        Args:
            curves: see `LightCurves`. move_on: whether time zero is that of `moved_on`, as in predictions; training leaves such objects out.
        """
        near = self.trigger.near_survey_trigger(curves)
        seen = self.photometry.apply(near)
        zero = self.moved_on(seen) if move_on else self.trigger.time_zero(seen)
        triggered = replace(seen, trigger_mjd=zero).take(np.isfinite(zero))
        (low, high), days = self.window, triggered.days
        inside = triggered.keep((days > low) & (days < high))
        rank = np.arange(len(inside.mjd)) - inside.offsets[inside.owner]
        first = inside.keep(rank < self.max_observations)
        least, what = self.min_observations, "detections" if self.photometry.kind == "detections" else "observations"
        enough, between = first.lengths >= least, f"between {low:g} and {high:g} d of the trigger"
        late = f"beyond the first {self.max_observations} of their object (max_observations)"
        cuts = [
            Cut.within(curves, near, "far from the trigger of the survey (selection.trigger.search)"),
            Cut.within(near, seen, self.photometry.left_out),
            Cut.of(seen, ~np.isfinite(zero), TRIGGER_RULES[self.trigger.rule]),
            Cut.within(triggered, inside, f"not {between}"),
            Cut.within(inside, first, late, usual=False),
            Cut.of(first, ~enough, f"with fewer than {least} {what} {between}"),
        ]
        return first.take(enough), cuts

    def few(self, observations: Array, detections: Array) -> Array:
        """Whether so many in its window leave open that time zero is none of the transient."""
        return np.asarray((observations < self.min_observations) | (detections < ALONE))

    def moved_on(self, curves: LightCurves) -> Array:
        """(n,) MJD of the trigger by its rule, but not at detections that are probably none of the transient.

        Where a window has passed with too `few` in it, and detections follow, the first of those counts as the first. So what is
        observed later never moves a time zero that has enough in its window.

        Args:
            curves: after `photometry` was applied.
        """
        zero = self.trigger.time_zero(curves)
        if self.trigger.rule == "column":
            return zero
        (low, high), days, owner = self.window, curves.mjd - zero[curves.owner], curves.owner
        inside, later = (days > low) & (days < high), curves.detected & (days >= high)
        seen, found, after = (
            np.bincount(owner[rows], minlength=len(curves)) for rows in (inside, inside & curves.detected, later)
        )
        again = self.few(seen, found) & (after > 0)
        if again.any():
            next_one = self.moved_on(replace(curves, detected=later).take(again))
            zero[again] = np.where(np.isfinite(next_one), next_one, zero[again])
        return zero

    def account(self, total: int, cuts: Sequence[Cut], origin: str) -> None:
        """Log how many of `total` objects, and how many observations, each cut removed.

        Raises:
            ValueError: there was nothing, or nothing is left.
        """
        refuse_none(total, origin)
        if not log_cuts(total, cuts, origin):
            low, high = self.window
            raise ValueError(
                f"{origin}: no object is left after the cuts (window {low:g} to {high:g} d about "
                f"{self.trigger.rule}): check that times are in MJD days, that detections are flagged or selection.photometry.snr is set, and the window"
            )


def quiet(curves: LightCurves) -> int:
    """How many observations measure nothing.

    Not `detected`: without a flag it is flux / error of 5, and alerts have 3 or more, of sources that fade below zero.
    """
    return int(np.count_nonzero(np.abs(curves.flux) < MEASURED * curves.flux_err))


def is_forced(quiet: int, observations: int) -> bool:
    """Whether photometry is forced, not of detections alone, if so many of its observations measure nothing."""
    return quiet > FORCED * observations


def alerts_alone(curves: LightCurves, selection: Selection) -> str:
    """What is wrong if selected light curves are detections alone where forced photometry is expected; empty if nothing is."""
    total = len(curves.mjd)
    if selection.photometry.kind != "forced" or total < SOME or is_forced(quiet(curves), total):
        return ""
    return (
        f"nearly all of the {total} observations measure a flux (|flux| / error of {MEASURED:g} or more), as alerts do, but the card says that they are "
        "forced photometry: for alerts set target.selection.photometry.kind=detections"
    )


def first_mjd(curves: LightCurves, mask: Array) -> Array:
    """(n,) MJD of the first masked observation per object, NaN if none."""
    rows = np.flatnonzero(mask)
    owner, position = np.unique(curves.owner[rows], return_index=True)
    first = np.full(len(curves), np.nan)
    first[owner] = curves.mjd[rows[position]]
    return first


def _photometry(settings: dict[str, Any]) -> Photometry | JointPhotometry:
    """The inverse of what `Selection.to_mapping` makes of it."""
    if "kinds" not in settings:
        return Photometry(**settings)
    return JointPhotometry({name: Photometry(**one) for name, one in settings["kinds"].items()}, settings["passbands"])


def _refuse_no_days(what: str, days: object, since: str, example: str) -> None:
    """Raise ValueError unless `days` are a first and a later last day."""
    two = not isinstance(days, str) and isinstance(days, Sequence) and len(days) == 2
    if not two or not all(isinstance(day, int | float) for day in days) or not days[0] < days[1]:  # type: ignore[index, attr-defined]
        raise ValueError(
            f"{what} is {shortened(days)}: give its first and last day relative to {since}, e.g. {example}"
        )
