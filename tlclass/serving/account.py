"""What is unusual about an input as a whole: added up over its parts, and logged once."""

import logging
from collections.abc import Mapping, Sequence

import numpy as np

from tlclass.arrays import Array
from tlclass.inputs.encoding import known_metadata
from tlclass.lightcurves.curves import LightCurves
from tlclass.lightcurves.cuts import Cut, log_cuts, merge_cuts
from tlclass.network.checkpoint import TrainedModel
from tlclass.serving.recognise import Traits, say_photometry, say_survey
from tlclass.surveys.tables.columns import naming

log = logging.getLogger(__name__)


class Account:
    """The parts of one input, as one model sees them.

    Args:
        model: that classifies them. origin: what to call the input in messages.
    """

    def __init__(self, model: TrainedModel, origin: str):
        self.model, self.origin = model, origin
        self.given, self.kept = Traits(), Traits()
        self.left_out: dict[str, int] = {}
        self.cuts: list[Cut] = []  # of all parts so far
        self.told: dict[str, int] = dict.fromkeys(model.metadata, 0)

    def add(self, given: LightCurves, kept: LightCurves, left_out: Mapping[str, Array], cuts: Sequence[Cut]) -> None:
        """Take a part into account.

        Args:
            given: its light curves, unselected. kept: without passbands that the model was not trained on.
            left_out: passband -> (n,) observations of each object that this costs. cuts: what the model's selection removed of `kept`.
        """
        traits = Traits.of(given)
        self.given += traits
        self.kept += traits if kept is given else Traits.of(kept)
        for name, counts in left_out.items():
            self.left_out[name] = self.left_out.get(name, 0) + int(np.sum(counts))
        self.cuts = merge_cuts([self.cuts, cuts])
        for name, known in known_metadata(given, self.model.metadata).items():
            self.told[name] += known

    def log(self) -> None:
        """Log each kind of message once, for all parts together."""
        _log_left_out(self.model, self.left_out, self.origin)
        say_survey(self.given, self.model.passbands, self.origin)
        released = "release" in self.model.training  # no other model suits a survey better than its own
        say_photometry(self.kept, self.model.selection.photometry.kind, self.origin, suggest=released)
        log_cuts(self.given.objects, self.cuts, self.origin)
        if self.model.calibration is None and self.model.training:
            log.warning("%s: the probabilities of this model are not calibrated: they may be far too high", self.origin)
        _log_told(self.told, self.given.objects, self.origin)


def _log_left_out(model: TrainedModel, left_out: Mapping[str, int], origin: str) -> None:
    """Log how many observations are left out of each passband that the model was not trained on."""
    known = ", ".join(model.trained_on.passbands) if model.trained_on else ""
    for name, count in left_out.items():
        message = "%s: left out %d observations in %s, on which this model was not trained (it knows %s): --keep-passbands (keep_passbands=True) uses them"
        log.warning(message, origin, count, name, known)


def _log_told(told: Mapping[str, int], objects: int, origin: str) -> None:
    """Log of how many objects the metadata that the model uses are known."""
    if told and not any(told.values()):
        message = "%s: the model also uses %s, which this input states for no object (add columns with these names, or name yours with %s)"
        log.info(message, origin, " and ".join(told), naming(next(iter(told))))
    elif told:
        each = ", ".join(f"{name} for {count} of {objects}" for name, count in told.items())
        log.info("%s: the model also uses numbers of the objects; the input states %s", origin, each)
