"""From light curves to a table of class probabilities, by the same steps as training and evaluation."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from tlclass import __version__
from tlclass.arrays import Array
from tlclass.inputs.batches import CurveDataset
from tlclass.inputs.encoding import Encoded, encode
from tlclass.inputs.shape import statistics
from tlclass.lightcurves.curves import LightCurves, check, log_dropped, sum_dropped
from tlclass.network.calibration import log_probabilities
from tlclass.network.checkpoint import TrainedModel
from tlclass.network.inference import Views, encode_all, encode_every_step, logits_of, refuse_lost
from tlclass.network.sets import usable
from tlclass.serving.account import Account
from tlclass.serving.priors import reweighed
from tlclass.serving.request import Request
from tlclass.serving.warnings import warnings_for
from tlclass.wording import reworded

ABOUT = b"tlclass.predictions"  # key of the table's metadata: what made it

TOO_EARLY = "no observation by then"
OTHER_SETS = (
    "; the sets are made for the model's own proportions, so they may hold the true class less often than asked"
)


@dataclass(frozen=True)
class Rows:
    """Which light curve, and how many of its observations, each row of the table is about.

    Attributes:
        object: (R,) number of the object in the input.
        view: (R,) number of the classified view, -1 where nothing can be classified.
        at: (R,) days or MJD that the row is about, or None.
    """

    object: Array
    view: Array
    at: Array | None = None


def predict(
    model: TrainedModel,
    curves: LightCurves,
    origin: str = "input",
    request: Request | None = None,
    account: Account | None = None,
) -> pa.Table:
    """Class probabilities of light curves.

    Args:
        model: see `tlclass.network.checkpoint.load_model`.
        curves: unselected; the model's own photometry rule, trigger and window are applied.
        origin: what to call the input in messages.
        request: further rows and columns.
        account: takes what is unusual about these light curves, a part of an input; without it they are the whole, and it is logged.

    Returns:
        In the order of `curves` one row per object (or per object and day, or observation; see `Request`): `object_id`,
        `class` (the most probable one), `p(<class>)` each, `n_observations` used, `days` from the first to the last of them,
        `novelty` (percentile among known objects, where the model has a score) and `warning`. Where nothing can be classified
        (no trigger, too few observations in the window) class and probabilities are null, and `warning` says why.

    Raises:
        ValueError: ids repeat, or a passband or metadata column is unknown.
    """
    asked = request or Request()
    seen = account or Account(model, origin)
    selected, warnings = select(model, curves, asked, origin, seen)
    if account is None:
        seen.log()
    return Classified(model, curves, selected, asked, origin).table(np.array(warnings, dtype=object))


def predict_each(
    model: TrainedModel, parts: Iterable[LightCurves], origin: str, request: Request
) -> Iterator[pa.Table]:
    """What `predict` gives, part after part of one input; what is dropped or unusual is logged once, after the last one.

    Raises:
        ValueError: see `predict`.
    """
    account = Account(model, origin)
    kept, dropped = 0, dict[str, int]()
    for part in parts:
        kept, dropped = kept + len(part.mjd), sum_dropped([dropped, part.dropped])
        yield predict(model, part, origin, request, account)
    log_dropped(dropped, kept, origin)
    account.log()


def before_prior(model: TrainedModel, curves: LightCurves, origin: str, asked: Request) -> Tensor:
    """(V, K) log probabilities of all that `predict` classifies, under the class proportions that the model assumes.

    Raises:
        ValueError: see `predict`.
    """
    selected, _ = select(model, curves, asked, origin, Account(model, origin))
    return Classified(model, curves, selected, asked, origin).plain


def select(
    model: TrainedModel, curves: LightCurves, asked: Request, origin: str, account: Account
) -> tuple[LightCurves, list[str]]:
    """What is classified of these light curves, and a warning for each of them, empty where nothing is unusual.

    Raises:
        ValueError: ids repeat, or a passband is unknown.
    """
    check(curves, origin)
    model.passbands.wavelengths(curves.passbands, origin)
    kept, left_out = (curves, {}) if asked.keep_passbands else trained_passbands(model, curves)
    selected, cuts = model.selection.select(kept, move_on=True)
    account.add(curves, kept, left_out, cuts)
    return selected, warnings_for(model, kept, selected, left_out, cuts)


def trained_passbands(model: TrainedModel, curves: LightCurves) -> tuple[LightCurves, dict[str, Array]]:
    """The light curves without passbands that the model was never trained on, and how many observations of each object that costs."""
    known = model.trained_passbands
    strange = np.array([model.passbands.resolve(name) not in known for name in curves.passbands], dtype=bool)
    left_out = {
        curves.passbands[code]: np.bincount(curves.owner[curves.passband == code], minlength=len(curves))
        for code in np.flatnonzero(strange & np.isin(np.arange(len(strange)), curves.passband)).tolist()
    }
    return (curves.keep(~strange[curves.passband]), left_out) if left_out else (curves, {})


class Classified:
    """The model's output for the selected light curves, at each of V views.

    Attributes:
        latents: per network (V, latent). logits: (V, K). plain: (V, K) log probabilities under the class proportions that the model assumes.
    """

    def __init__(self, model: TrainedModel, curves: LightCurves, selected: LightCurves, asked: Request, origin: str):
        self.model, self.curves, self.selected, self.asked = model, curves, selected, asked
        number = {name: place for place, name in enumerate(curves.object_id)}
        self.place = np.array([number[name] for name in selected.object_id], dtype=np.int64)
        both = partial(reworded, lambda said: f"{origin} and the model {model.folder or model.survey}: {said}")
        with both():
            encoded = encode(selected, model.passbands, model.encoding, model.metadata)
        self.views, self.rows = _views_and_rows(encoded, self.place, len(curves), selected.mjd, asked)
        self.latents = _latents(model, encoded, self.views)
        self.shape = statistics(encoded, model.encoding)
        self.observations = torch.from_numpy(self.views.observations)
        self.logits = logits_of(model.members, self.latents)
        with both():
            refuse_lost(self.logits)
        self.plain = log_probabilities(model.calibration, self.logits, self.observations)

    def table(self, warning: Array) -> pa.Table:
        """See `predict`; `warning` is one per object."""
        log_probability, prior = reweighed(self.model, self.plain, self.asked.prior)
        if prior and self.asked.coverage is not None:
            prior += OTHER_SETS
        probability = log_probability.exp()
        columns: dict[str, pa.Array] = {"object_id": pa.array(self.curves.object_id[self.rows.object])}
        if self.rows.at is not None:
            columns["mjd" if self.asked.every_observation else "at_days"] = pa.array(self.rows.at, from_pandas=True)
        columns |= self._classes(probability.numpy())
        if self.asked.coverage is not None:
            columns["set"] = self._sets(probability, self.asked.coverage)
        used = np.where(self.rows.view >= 0, self._spread(self.views.observations), 0)
        columns["n_observations"] = pa.array(used.astype(np.int64))
        columns["days"] = self._column(self._covered())
        if self.model.novelty is not None:
            columns["novelty"] = self._column(self.novelty())
        reason = np.where((used == 0) & (warning[self.rows.object] == ""), TOO_EARLY, warning[self.rows.object])
        columns["warning"] = pa.array(reason.tolist(), type=pa.string())
        if self.asked.embedding:
            columns |= self._embedding()
        return pa.table(columns).replace_schema_metadata(self._about(prior))

    def novelty(self) -> Array:
        """(V,) percentile among known objects; for a model that has a score."""
        score = self.model.novelty
        assert score is not None
        shape = None if self.shape is None else torch.from_numpy(self.shape[self.views.row])
        return score(torch.cat(self.latents, dim=1), self.observations, self.logits, shape).numpy()

    def _classes(self, p: Array) -> dict[str, pa.Array]:
        """From (V, K) probabilities."""
        names = np.array(self.model.classes)
        order = np.argsort(-p, axis=1, kind="stable")
        if self.asked.top is None:
            best = {"class": self._names(names[order[:, 0]])}
            return best | {f"p({name})": self._column(p[:, k]) for k, name in enumerate(self.model.classes)}
        columns = {}
        for rank in range(min(self.asked.top, len(names))):
            chosen = order[:, rank]
            columns[f"class_{rank + 1}"] = self._names(names[chosen])
            columns[f"p_{rank + 1}"] = self._column(p[np.arange(len(p)), chosen])
        return columns

    def _sets(self, probability: Tensor, coverage: float) -> pa.Array:
        inside = usable(self.model.sets, coverage)(probability, self.observations, coverage).numpy()
        names = np.array(self.model.classes)
        each = [names[row].tolist() for row in inside]
        return pa.array([each[view] if view >= 0 else None for view in self.rows.view], type=pa.list_(pa.string()))

    def _covered(self) -> Array:
        """(V,) days from the first to the last observation that is looked at."""
        first = self.selected.mjd[self.selected.offsets[self.views.object]] if len(self.views.object) else np.empty(0)
        return np.asarray(self.selected.mjd[self.views.row] - first)

    def _embedding(self) -> dict[str, pa.Array]:
        latent = torch.cat(self.latents, dim=1).numpy()
        return {f"latent_{axis}": self._column(latent[:, axis]) for axis in range(latent.shape[1])}

    def _names(self, values: Array) -> pa.Array:
        return pa.array(self._spread(values.astype(object)), mask=self.rows.view < 0, type=pa.string())

    def _column(self, values: Array) -> pa.Array:
        return pa.array(self._spread(values), mask=self.rows.view < 0)

    def _spread(self, values: Array) -> Array:
        """(V,) to (R,), 0 where a row has no view."""
        spread = np.zeros(len(self.rows.view), dtype=values.dtype)
        known = self.rows.view >= 0
        spread[known] = values[self.rows.view[known]]
        return spread

    def _about(self, prior: str) -> dict[bytes, bytes]:
        model = self.model
        about: dict[str, Any] = {
            "tlclass": __version__,
            "model": model.name,
            "classes": list(model.classes),
            "simulated_training_data": model.simulated,
            "calibrated": model.calibration is not None,
            "prior": prior,
        }
        return {ABOUT: json.dumps(about).encode()}


def _views_and_rows(encoded: Encoded, place: Array, total: int, mjd: Array, asked: Request) -> tuple[Views, Rows]:
    """What is classified, and what each row of the table is about.

    Args:
        encoded: n classified light curves. place: (n,) where they stand among the `total` of the input.
        mjd: of their observations. asked: which rows.
    """
    n = len(encoded)
    if asked.every_observation:
        owner = encoded.owner
        rows = np.arange(len(owner))
        views = Views(owner, rows - encoded.offsets[owner] + 1, rows)
        silent = np.setdiff1d(np.arange(total), place)
        objects = np.concatenate([place[owner], silent])
        order = np.argsort(objects, kind="stable")
        at = np.concatenate([mjd, np.full(len(silent), np.nan)])
        return views, Rows(objects[order], np.concatenate([rows, np.full(len(silent), -1)])[order], at[order])
    days = [float(day) for day in asked.at_days] or [np.inf]
    steps = np.stack([encoded.until(day) for day in days], axis=1)  # (n, D)
    known = steps.ravel() > 0
    number = np.repeat(np.arange(n), len(days))[known]
    observations = steps.ravel()[known]
    views = Views(number, observations, encoded.offsets[number] + observations - 1)
    view = np.full((total, len(days)), -1)
    view[place] = np.where(known, np.cumsum(known) - 1, -1).reshape(n, len(days))
    objects = np.repeat(np.arange(total), len(days))
    return views, Rows(objects, view.ravel(), np.tile(days, total) if asked.at_days else None)


def _latents(model: TrainedModel, encoded: Encoded, views: Views) -> list[Tensor]:
    """Per network the (V, latent) vectors of the views."""
    if not len(views.row):
        return [torch.zeros(0, member.encoder.out_features) for member in model.members]
    data = CurveDataset(encoded)
    if np.array_equal(views.row, encoded.offsets[1:] - 1):  # each light curve once and whole
        return [encode_all(member.encoder, data) for member in model.members]
    rows = torch.from_numpy(views.row)
    return [encode_every_step(member.encoder, data)[rows] for member in model.members]
