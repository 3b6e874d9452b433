"""What the light curves that a model was trained on were like, so that others can be recognised."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from tlclass.lightcurves.curves import LightCurves

TAILS = (0.001, 0.999)  # what lies outside is far from the training data

Range = tuple[float, float]


@dataclass(frozen=True)
class TrainingRange:
    """Ranges over the selected light curves of a training part.

    Attributes:
        passbands: that occur, by name.
        photometry: `forced`, `detections`, `mixed` or `any`.
        objects: how many light curves.
        observations: per light curve, fewest and most.
        days: since the trigger, first and last.
        flux: 0.1 and 99.9 % quantiles, FLUXCAL (zero point 27.5).
        flux_err: 0.1 and 99.9 % quantiles of the errors, same unit.
    """

    passbands: tuple[str, ...]
    photometry: str
    objects: int
    observations: Range
    days: Range
    flux: Range
    flux_err: Range

    @property
    def brightest(self) -> float:
        """The size of flux above which a light curve is unlike those of training."""
        return max(map(abs, self.flux))

    def to_mapping(self) -> dict[str, Any]:
        """Plain types, stored with a model."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_mapping(cls, settings: Mapping[str, Any]) -> "TrainingRange":
        """The inverse of `to_mapping`."""
        ranges = {name: _pair(settings[name]) for name in ("observations", "days", "flux", "flux_err")}
        return cls(**{**settings, **ranges, "passbands": tuple(str(name) for name in settings["passbands"])})


def measure(curves: LightCurves, photometry: str) -> TrainingRange:
    """The ranges of selected light curves, at least one, with time zero in `trigger_mjd`."""
    days = curves.days
    present = np.unique(curves.passband)
    return TrainingRange(
        passbands=tuple(curves.passbands[code] for code in present),
        photometry=photometry,
        objects=len(curves),
        observations=(float(curves.lengths.min()), float(curves.lengths.max())),
        days=(float(days.min()), float(days.max())),
        flux=_pair(np.quantile(curves.flux, TAILS).tolist()),
        flux_err=_pair(np.quantile(curves.flux_err, TAILS).tolist()),
    )


def joined(ranges: Sequence[TrainingRange]) -> TrainingRange:
    """What a model has seen that was trained on all of these, one after the other."""
    kinds = {each.photometry for each in ranges}
    wide = {
        name: (min(getattr(each, name)[0] for each in ranges), max(getattr(each, name)[1] for each in ranges))
        for name in ("observations", "days", "flux", "flux_err")
    }
    return TrainingRange(
        passbands=tuple(dict.fromkeys(band for each in ranges for band in each.passbands)),
        photometry=kinds.pop() if len(kinds) == 1 else "mixed",
        objects=sum(each.objects for each in ranges),
        **wide,
    )


def _pair(values: Sequence[float]) -> Range:
    low, high = values
    return float(low), float(high)
