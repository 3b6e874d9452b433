"""Which released model suits an input of a survey that is recognised."""

import logging
import re
from pathlib import Path

import numpy as np

from tlclass.lightcurves.curves import LightCurves
from tlclass.network.released import released

log = logging.getLogger(__name__)

ZTF_NAME = re.compile(r"ZTF\d{2}[a-z0-9]{5,9}")
ENOUGH = 0.5  # share of the objects whose names are ZTF's
FORCED = 0.02  # share of observations of flux / error below 3, above which photometry is forced


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
    photometry = "forced" if _is_forced(curves) else "detections"
    models = {
        name: about["training"]["default_for"]
        for name, about in released().items()
        if (about["training"].get("default_for") or {}).get("survey") == survey
    }
    best = [name for name, wanted in models.items() if wanted["photometry"] == photometry] or list(models)
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


def _is_forced(curves: LightCurves) -> bool:
    quiet = (
        curves.flux < 3 * curves.flux_err
    )  # not `detected`: without a flag it is flux / error of 5, and alerts have 3 or more
    return bool(len(quiet) and quiet.mean() > FORCED)
