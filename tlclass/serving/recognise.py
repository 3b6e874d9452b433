"""Which released model suits an input of a survey that is recognised."""

import logging
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tlclass.lightcurves.curves import LightCurves
from tlclass.lightcurves.passbands import Passbands
from tlclass.lightcurves.photometry import FACTS
from tlclass.lightcurves.selection import SOME, is_forced, quiet
from tlclass.network.released import released

log = logging.getLogger(__name__)

ZTF_NAME = re.compile(r"ZTF\d{2}[a-z0-9]{5,9}")
ENOUGH = 0.5  # share of the objects whose names are ZTF's
ZTF_ALONE = {"g", "r"}  # ZTF's public surveys; LSST has six passbands


@dataclass(frozen=True)
class Traits:
    """What tells a survey and its kind of photometry; `+` gives those of two parts of an input.

    Attributes:
        objects: how many. named: of them have a name of ZTF.
        passbands: of the observations. observations: how many.
        quiet: observations that measure nothing. undetected: observations that are no detections.
    """

    objects: int = 0
    named: int = 0
    passbands: frozenset[str] = frozenset()
    observations: int = 0
    quiet: int = 0
    undetected: int = 0

    @classmethod
    def of(cls, curves: LightCurves) -> "Traits":
        """Those of unselected light curves."""
        return cls(
            objects=len(curves),
            named=sum(ZTF_NAME.fullmatch(name) is not None for name in curves.object_id.tolist()),
            passbands=frozenset(curves.passbands[code] for code in np.unique(curves.passband)),
            observations=len(curves.mjd),
            quiet=quiet(curves),
            undetected=int(np.count_nonzero(~curves.detected)),
        )

    def __add__(self, other: "Traits") -> "Traits":
        return Traits(
            self.objects + other.objects,
            self.named + other.named,
            self.passbands | other.passbands,
            self.observations + other.observations,
            self.quiet + other.quiet,
            self.undetected + other.undetected,
        )

    @property
    def survey(self) -> str | None:
        """`ztf`, `lsst`, or None where it is not recognised."""
        if self.named > ENOUGH * self.objects:
            return "ztf"
        return "lsst" if self.passbands & {"lsstu", "lsstz", "lssty"} else None

    @property
    def photometry(self) -> str:
        """`forced` where observations measure nothing, else `detections`."""
        return "forced" if is_forced(self.quiet, self.observations) else "detections"


def recognised(curves: LightCurves, source: Path) -> str:
    """Name of the released model for these light curves.

    ZTF's objects are recognised by their names (ZTF18abcdefg), LSST by passbands that only it has (u, z, y). Forced
    photometry is recognised by observations that measure nothing.

    Raises:
        ValueError: the survey is not recognised, or no model is released for it.
    """
    traits = Traits.of(curves)
    survey, photometry = traits.survey, traits.photometry
    if survey is None:
        raise ValueError(
            f"{source}: the survey is not recognised (ZTF by object names such as ZTF18abcdefg, LSST by the passbands u, z or y): "
            f"name a model before the input: {', '.join(released()) or 'a folder'}"
        )
    best = _made_for(survey, photometry) or _made_for(survey)
    if not best:
        raise ValueError(f"{source}: no model is released for {survey}: name the folder of one before the input")
    log.info("%s: light curves of %s (%s photometry): model %s", source, survey, photometry, best[0])
    return best[0]


def say_photometry(traits: Traits, kind: str | None, origin: str, suggest: bool = True) -> None:
    """Warn where light curves are of another kind of photometry than those that a model was trained on.

    Args:
        traits: of the unselected light curves. kind: of the model's photometry, `any` suits all; see `tlclass.lightcurves.selection.Photometry`.
        origin: what to call the input. suggest: whether to name a released model that suits them.
    """
    made = _made_for(traits.survey, traits.photometry) if suggest else []
    instead = f": {made[0]} is a model of such light curves" if made else ""
    if kind == "detections" and traits.photometry == "forced" and traits.undetected:
        message = "%s: this is forced photometry; this model was trained on detections alone and leaves out the rest%s"
        log.warning(message, origin, instead)
    if kind == "forced" and traits.photometry == "detections" and traits.observations >= SOME:
        message = "%s: nearly all observations are detections, and this model was trained on forced photometry%s"
        log.warning(message, origin, instead)


def say_survey(traits: Traits, passbands: Passbands, origin: str) -> None:
    """Warn where light curves that are of ZTF, or look so, are given to a model of another survey.

    Args:
        traits: of the unselected light curves. passbands: of the model. origin: what to call the input.
    """
    if "ztf" in passbands.systems or passbands.systems.isdisjoint(FACTS["systems"]) or not traits.observations:
        return
    present = {name[-1] for name in traits.passbands}
    if traits.survey == "ztf":
        why = "objects have names of ZTF"
    elif traits.observations >= SOME and present <= ZTF_ALONE:
        why = f"all observations are in {' and '.join(sorted(present))}, as those of ZTF are"
    else:
        return
    models = " and ".join(_made_for("ztf")) or "no released model"
    message = (
        "%s: %s, and this model is of %s: its probabilities for light curves of ZTF are wrong; for these there is %s"
    )
    log.warning(message, origin, why, ", ".join(sorted(passbands.systems)).upper(), models)


def _made_for(survey: str | None, photometry: str | None = None) -> list[str]:
    """The released models for a survey, or for one kind of its photometry."""
    wanted = {name: about["training"].get("default_for") or {} for name, about in released().items()}
    return [
        name
        for name, each in wanted.items()
        if each.get("survey") == survey and (photometry is None or each.get("photometry") in (photometry, "any"))
    ]
