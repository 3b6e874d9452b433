"""Which released model suits an input of a survey that is recognised."""

import logging
import re
from pathlib import Path

import numpy as np

from tlclass.lightcurves.curves import LightCurves
from tlclass.lightcurves.passbands import Passbands
from tlclass.lightcurves.photometry import FACTS
from tlclass.network.released import released

log = logging.getLogger(__name__)

ZTF_NAME = re.compile(r"ZTF\d{2}[a-z0-9]{5,9}")
ENOUGH = 0.5  # share of the objects whose names are ZTF's
FORCED = 0.02  # share of observations of flux / error below 3, above which photometry is forced
ZTF_ALONE = {"g", "r"}  # ZTF's public surveys; LSST has six passbands
SOME = 50  # observations without which nothing is said of a model's other kind of photometry


def recognised(curves: LightCurves, source: Path) -> str:
    """Name of the released model for these light curves.

    ZTF's objects are recognised by their names (ZTF18abcdefg), LSST by passbands that only it has (u, z, y). Forced
    photometry is recognised by observations that measure nothing.

    Raises:
        ValueError: the survey is not recognised, or no model is released for it.
    """
    survey = _survey(curves)
    if survey is None:
        raise ValueError(
            f"{source}: the survey is not recognised (ZTF by object names such as ZTF18abcdefg, LSST by the passbands u, z or y): "
            f"name a model before the input: {', '.join(released()) or 'a folder'}"
        )
    photometry = photometry_of(curves)
    best = _made_for(survey, photometry) or _made_for(survey)
    if not best:
        raise ValueError(f"{source}: no model is released for {survey}: name the folder of one before the input")
    log.info("%s: light curves of %s (%s photometry): model %s", source, survey, photometry, best[0])
    return best[0]


def _survey(curves: LightCurves) -> str | None:
    named = np.array([ZTF_NAME.fullmatch(name) is not None for name in curves.object_id.tolist()])
    if len(named) and named.mean() > ENOUGH:
        return "ztf"
    present = {curves.passbands[code] for code in np.unique(curves.passband)}
    return "lsst" if present & {"lsstu", "lsstz", "lssty"} else None


def photometry_of(curves: LightCurves) -> str:
    """`forced` where observations measure nothing, else `detections`."""
    # not `detected`: without a flag it is flux / error of 5, and alerts have 3 or more, of sources that fade below zero
    quiet = np.abs(curves.flux) < 3 * curves.flux_err
    return "forced" if len(quiet) and quiet.mean() > FORCED else "detections"


def say_photometry(curves: LightCurves, kind: str | None, origin: str) -> None:
    """Warn where light curves are of another kind of photometry than those that a model was trained on.

    Args:
        curves: unselected. kind: of the model's photometry, see `tlclass.lightcurves.selection.Photometry`. origin: what to call the input.
    """
    found = photometry_of(curves)
    made = _made_for(_survey(curves), found)
    instead = f": {made[0]} is a model of such light curves" if made else ""
    if kind == "detections" and found == "forced" and not curves.detected.all():
        message = "%s: %d of %d observations are no detections and left out, because this model was trained on detections alone%s"
        log.warning(message, origin, np.count_nonzero(~curves.detected), len(curves.mjd), instead)
    if kind == "forced" and found == "detections" and len(curves.mjd) >= SOME:
        message = "%s: all observations are detections, and this model was trained on forced photometry%s"
        log.warning(message, origin, instead)


def say_survey(curves: LightCurves, passbands: Passbands, origin: str) -> None:
    """Warn where light curves that are of ZTF, or look so, are given to a model of another survey.

    Args:
        curves: unselected. passbands: of the model. origin: what to call the input.
    """
    if "ztf" in passbands.systems or passbands.systems.isdisjoint(FACTS["systems"]) or not len(curves.mjd):
        return
    named = _survey(curves) == "ztf"
    present = {curves.passbands[code][-1] for code in np.unique(curves.passband)}
    if named or (len(curves.mjd) >= SOME and present <= ZTF_ALONE):
        why = (
            "objects have names of ZTF"
            if named
            else f"all observations are in {' and '.join(sorted(present))}, as those of ZTF are"
        )
        message = (
            "%s: %s, and this model is of %s: its probabilities for light curves of ZTF are wrong; %s are models of ZTF"
        )
        log.warning(
            message,
            origin,
            why,
            ", ".join(sorted(passbands.systems)).upper(),
            " and ".join(_made_for("ztf")) or "others",
        )


def _made_for(survey: str | None, photometry: str | None = None) -> list[str]:
    """The released models for a survey, or for one kind of its photometry."""
    wanted = {name: about["training"].get("default_for") or {} for name, about in released().items()}
    return [
        name
        for name, each in wanted.items()
        if each.get("survey") == survey and photometry in (None, each.get("photometry"))
    ]
