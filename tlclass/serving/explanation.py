"""What decided the classification of one object: its probabilities after every observation, and without each of them."""

from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from tlclass.inputs.batches import CurveDataset
from tlclass.inputs.encoding import encode
from tlclass.inputs.shape import statistics
from tlclass.lightcurves.curves import LightCurves
from tlclass.network.calibration import log_probabilities
from tlclass.network.checkpoint import TrainedModel
from tlclass.network.history import history
from tlclass.network.inference import encode_all, encode_every_step, logits_of
from tlclass.quoting import shortened
from tlclass.serving.account import log_left_out
from tlclass.serving.predictions import trained_passbands
from tlclass.serving.warnings import warnings_for

if TYPE_CHECKING:
    import pandas as pd

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Explanation:
    """One light curve of T observations, as the model sees it, and what it makes of it.

    Attributes:
        object_id: of the object. model: what the model is called. history: what it was trained on.
        classes: K names. passbands: (T,) names.
        mjd: (T,). days: (T,) since time zero. flux, flux_err: (T,) at zero point 27.5.
        probability: (T, K) from the observations up to each.
        before: (K,) before any observation: the proportions that the model assumes.
        without: (T, K) from all observations but this one, time zero kept.
        novelty: percentile among known objects; None where the model has no score.
        warning: what is unusual, in plain words; empty if nothing is.
    """

    object_id: str
    model: str
    history: str
    classes: tuple[str, ...]
    passbands: Array
    mjd: Array
    days: Array
    flux: Array
    flux_err: Array
    probability: Array
    before: Array
    without: Array
    novelty: float | None
    warning: str

    @property
    def best(self) -> int:
        """Number of the most probable class in the end."""
        return int(self.probability[-1].argmax())

    @property
    def change(self) -> Array:
        """(T,) change of the final class's log odds when the observation came in."""
        own = np.concatenate([[self.before[self.best]], self.probability[:, self.best]])
        return np.diff(log_odds(own))

    @property
    def influence(self) -> Array:
        """(T,) log odds of the final class in the end, minus those without the observation.

        Log odds, because the probability of a class that is all but certain hardly moves whatever is left out.
        """
        return np.asarray(log_odds(self.probability[-1, self.best]) - log_odds(self.without[:, self.best]))

    def decisive(self, number: int = 3) -> Array:
        """Observations with the largest influence, for or against, in order of it."""
        return np.argsort(-np.abs(self.influence), kind="stable")[:number]

    @property
    def frame(self) -> "pd.DataFrame":
        """A row per observation: when and what it was, the probabilities after it, `change` and `influence`."""
        import pandas as pd

        columns = {"mjd": self.mjd, "days": self.days, "passband": self.passbands, "flux": self.flux}
        columns |= {"flux_err": self.flux_err}
        columns |= {f"p({name})": self.probability[:, k] for k, name in enumerate(self.classes)}
        return pd.DataFrame(columns | {"change": self.change, "influence": self.influence})

    def write(self, path: str | Path) -> list[Path]:
        """Write PATH.png and PATH.html, which needs no other file; return both paths."""
        from tlclass.serving.explanation_page import write

        return write(self, Path(path))


def log_odds(probability: Array) -> Array:
    """The logarithm of p / (1 - p), of a probability not nearer than 1e-6 to 0 or 1."""
    inside = np.clip(probability, 1e-6, 1 - 1e-6)
    return np.asarray(np.log(inside / (1 - inside)))


def explain(model: TrainedModel, curves: LightCurves, object_id: str, origin: str = "input") -> Explanation:
    """Explain the classification of one object.

    Args:
        model: see `tlclass.network.checkpoint.load_model`.
        curves: unselected light curves, this object's among them.
        object_id: its name.
        origin: what to call the input in messages.

    Raises:
        ValueError: there is no such object, or nothing can be said about it.
    """
    given = curves.take(np.array([_place(curves, object_id, origin)]))
    kept, left_out = trained_passbands(model, given)
    log_left_out(model, {name: int(counts.sum()) for name, counts in left_out.items()}, origin)
    selected, _ = model.selection.select(kept)
    (warning,) = warnings_for(model, given, selected, left_out)
    if not len(selected):
        raise ValueError(f"{origin}: {object_id} cannot be classified: {warning}")
    encoded = encode(selected, model.passbands, model.encoding, model.metadata)
    latents = [encode_every_step(member.encoder, CurveDataset(encoded)) for member in model.members]
    observations = torch.arange(1, len(selected.mjd) + 1)
    logits = logits_of(model.members, latents)
    probability = log_probabilities(model.calibration, logits, observations).exp()
    before = model.calibration.prior if model.calibration else np.full(len(model.classes), 1 / len(model.classes))
    shape = statistics(encoded, model.encoding)
    last = None if shape is None else torch.from_numpy(shape[-1:])
    novelty = None
    if model.novelty is not None:
        novelty = model.novelty(torch.cat(latents, dim=1)[-1:], observations[-1:], logits[-1:], last)
    return Explanation(
        object_id=object_id,
        model=model.name,
        history=history(model),
        classes=model.classes,
        passbands=np.array(selected.passbands)[selected.passband],
        mjd=selected.mjd,
        days=selected.mjd - selected.trigger_mjd[0],
        flux=selected.flux,
        flux_err=selected.flux_err,
        probability=probability.numpy(),
        before=np.asarray(before),
        without=_without_each(model, selected, np.asarray(before)),
        novelty=None if novelty is None else float(novelty),
        warning=warning,
    )


def _place(curves: LightCurves, object_id: str, origin: str) -> int:
    found = np.flatnonzero(curves.object_id == object_id)
    if len(found):
        return int(found[0])
    near = get_close_matches(object_id, curves.object_id.tolist(), n=3) or curves.object_id[:3].tolist()
    raise ValueError(
        f"{origin}: there is no object '{shortened(object_id)}' among the {len(curves)} objects: name one of them, such as {', '.join(near)}"
    )


def _without_each(model: TrainedModel, selected: LightCurves, before: Array) -> Array:
    """(T, K) probabilities of the one selected light curve without each of its T observations."""
    size = len(selected.mjd)
    if size == 1:
        return before[None]
    copies = selected.take(np.zeros(size, dtype=np.int64))
    others = ~np.eye(size, dtype=bool).ravel()
    encoded = encode(copies.keep(others), model.passbands, model.encoding, model.metadata)
    data = CurveDataset(encoded)
    logits = logits_of(model.members, [encode_all(member.encoder, data) for member in model.members])
    return log_probabilities(model.calibration, logits, data.lengths).exp().numpy()
