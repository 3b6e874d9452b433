"""What decided the classification of one object: its probabilities after every observation, and without each of them."""

from dataclasses import replace
from difflib import get_close_matches

import numpy as np

from tlclass.arrays import Array
from tlclass.inputs.batches import CurveDataset
from tlclass.inputs.encoding import encode, metadata_of
from tlclass.lightcurves.curves import LightCurves
from tlclass.network.calibration import log_probabilities
from tlclass.network.checkpoint import TrainedModel
from tlclass.network.history import history
from tlclass.network.inference import encode_all, logits_of
from tlclass.quoting import shortened
from tlclass.serving.account import Account
from tlclass.serving.explained import Explanation
from tlclass.serving.predictions import Classified, select
from tlclass.serving.request import Request


def explain(
    model: TrainedModel, curves: LightCurves, object_id: str, origin: str = "input", keep_passbands: bool = False
) -> Explanation:
    """Explain the classification of one object.

    Args:
        model: see `tlclass.network.checkpoint.load_model`.
        curves: unselected light curves, this object's among them.
        object_id: its name.
        origin: what to call the input in messages.
        keep_passbands: use passbands that the model was not trained on.

    Raises:
        ValueError: there is no such object, or nothing can be said about it.
    """
    object_id = str(object_id)  # ids in tables may be numbers
    given = curves.take(np.array([_place(curves, object_id, origin)]))
    asked, account = Request(every_observation=True, keep_passbands=keep_passbands), Account(model, origin)
    selected, (warning,) = select(model, given, asked, origin, account)
    if not len(selected):
        raise ValueError(f"{origin}: {object_id} is {warning}")
    account.log()
    found = Classified(model, given, selected, asked, origin)
    before = model.calibration.prior if model.calibration else np.full(len(model.classes), 1 / len(model.classes))
    return Explanation(
        object_id=object_id,
        model=model.name,
        history=history(model),
        classes=model.classes,
        passbands=np.array(selected.passbands)[selected.passband],
        mjd=selected.mjd,
        days=selected.days,
        flux=selected.flux,
        flux_err=selected.flux_err,
        probability=found.plain.exp().numpy(),
        before=np.asarray(before),
        without=_without_each(model, selected, np.asarray(before)),
        metadata={name: float(values[0]) for name, values in metadata_of(selected, model.metadata).items()},
        without_metadata=_probabilities(model, selected, hide=True)[0],
        novelty=None if model.novelty is None else float(found.novelty()[-1]),
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
    return _probabilities(model, copies.keep(others))


def _probabilities(model: TrainedModel, selected: LightCurves, hide: bool = False) -> Array:
    """(N, K) probabilities of complete light curves, with their metadata or, if `hide`, with none of them known."""
    encoded = encode(selected, model.passbands, model.encoding, model.metadata)
    if hide:
        encoded = replace(encoded, metadata=np.full_like(encoded.metadata, np.nan))
    data = CurveDataset(encoded)
    logits = logits_of(model.members, [encode_all(member.encoder, data) for member in model.members])
    return log_probabilities(model.calibration, logits, data.lengths).exp().numpy()
