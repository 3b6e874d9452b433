"""Updates live objects: one step of the networks where an observation comes in order, a recomputation where it does not."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tlclass.arrays import Array
from tlclass.inputs.encoding import Encoded, encode, remembered
from tlclass.inputs.shape import statistics
from tlclass.lightcurves.curves import LightCurves
from tlclass.lightcurves.photometry import SAME_EXPOSURE
from tlclass.network.calibration import log_probabilities
from tlclass.network.checkpoint import TrainedModel
from tlclass.network.inference import logits_of
from tlclass.network.sets import usable
from tlclass.streaming.arrivals import Arrival, contested, distinct, light_curves, newest
from tlclass.streaming.state import KEPT, Live, Network

STEP, RECOMPUTED, NOTHING_NEW = "step", "recomputed", "nothing new"


@dataclass(frozen=True)
class Said:
    """What the model makes of an object now.

    Attributes:
        probability: (K,). novelty: percentile among known objects, or None. inside: (K,) the classes of the prediction set, or None.
    """

    probability: Array
    novelty: float | None
    inside: Array | None


@dataclass(frozen=True)
class Outcome:
    """What an arrival did to its object.

    Attributes:
        live: the object now. said: None where nothing changed or it cannot be classified yet. how: by `STEP`, `RECOMPUTED`, or neither.
    """

    live: Live
    said: Said | None
    how: str


class Engine:
    """Updates objects by arrivals; the result after any arrivals in any order is that of `predict` on all of them.

    Args:
        model: see `tlclass.network.checkpoint.load_model`.
        coverage: of prediction sets, or None.

    Raises:
        ValueError: the model has no prediction sets, or none of this coverage.
    """

    def __init__(self, model: TrainedModel, coverage: float | None = None):
        if coverage is not None:
            usable(model.sets, coverage)
        self.model, self.coverage = model, coverage
        self.names = model.passbands.names
        self.least = model.selection.min_observations
        model.classifier.eval()
        known = model.trained_passbands
        self.trained = np.array([name in known for name in self.names])

    @torch.inference_mode()
    def update(self, objects: Sequence[tuple[Live | None, Arrival]]) -> list[Outcome]:
        """One arrival for each of N different objects; None where the object is new."""
        seen = [_with_rows(live or Live(), arrival) for live, arrival in objects]
        outcomes = [Outcome(each.live, None, NOTHING_NEW) for each in seen]
        again = [k for k, each in enumerate(seen) if each.changed and not each.in_order]
        onward = [k for k, each in enumerate(seen) if each.changed and each.in_order and len(each.new)]
        names = [arrival.object_id for _, arrival in objects]
        moved = self._moved_on(onward, seen, names)
        again, onward = [*again, *moved], [k for k in onward if k not in moved]
        for chosen, way, how in ((again, self._again, RECOMPUTED), (onward, self._onward, STEP)):
            if not chosen:
                continue
            for k, live, said in way(chosen, seen, names):
                outcomes[k] = Outcome(live, said, how)
        return outcomes

    def _again(
        self, chosen: list[int], seen: "list[_Seen]", names: list[str]
    ) -> Iterator[tuple[int, Live, Said | None]]:
        """Everything from all rows."""
        ids, place = [names[k] for k in chosen], {names[k]: k for k in chosen}
        lives = [seen[k].live for k in chosen]
        selected = self._selected(lives, ids)
        kept_ids = set(selected.object_id.tolist())
        for k, live in zip(chosen, lives, strict=True):
            if names[k] not in kept_ids:
                yield k, replace(live, steps=0, detections=0, networks=(), kept=np.empty(0, KEPT)), None
        if not len(selected):
            return
        encoded = encode(selected, self.model.passbands, self.model.encoding, self.model.metadata)
        x, lengths = _padded(encoded)
        metadata = torch.from_numpy(encoded.metadata)
        latents, states = [], []
        for member in self.model.members:
            latent, each = member.encoder.replay(x, lengths, metadata)
            latents.append(latent)
            states.append(each)
        keep = remembered(self.model.encoding, selected)
        for row, said in enumerate(self._said(latents, lengths, self._shape(encoded))):
            k = place[str(selected.object_id[row])]
            here = slice(int(selected.offsets[row]), int(selected.offsets[row + 1]))
            networks = tuple(_arrays(each[row]) for each in states)
            yield (
                k,
                replace(
                    seen[k].live, steps=int(lengths[row]), detections=int(selected.detected[here].sum()),
                    zero=float(selected.trigger_mjd[row]), first=float(selected.mjd[here.start]),
                    last=float(selected.mjd[here.stop - 1]), kept=_kept(selected, here, keep), networks=networks,
                ),
                said,
            )  # fmt: skip

    def _onward(
        self, chosen: list[int], seen: "list[_Seen]", names: list[str]
    ) -> Iterator[tuple[int, Live, Said | None]]:
        """A step for each new observation that is selected."""
        lives = [seen[k].live for k in chosen]
        new = light_curves(
            [names[k] for k in chosen], [seen[k].new for k in chosen], [live.about for live in lives], self.names
        )
        selection = self.model.selection
        new = selection.photometry.apply(selection.trigger.near_survey_trigger(self._usable(new)))
        days = new.mjd - np.array([live.zero for live in lives])[new.owner]
        new = new.keep((days > selection.window[0]) & (days < selection.window[1]))
        rank = np.arange(len(new.mjd)) - new.offsets[new.owner]
        steps = np.array([live.steps for live in lives])
        new = new.keep(rank + steps[new.owner] < selection.max_observations)
        moved = np.flatnonzero(new.lengths > 0)
        for row in np.flatnonzero(new.lengths == 0).tolist():
            yield chosen[row], lives[row], None
        if len(moved):
            yield from self._stepped([chosen[row] for row in moved], [lives[row] for row in moved], new.take(moved))

    def _stepped(
        self, chosen: list[int], lives: list[Live], new: LightCurves
    ) -> Iterator[tuple[int, Live, Said | None]]:
        both, is_new = _appended(lives, new)
        encoded = encode(both, self.model.passbands, self.model.encoding, self.model.metadata)
        x = torch.from_numpy(encoded.x[is_new])
        metadata = torch.from_numpy(encoded.metadata)
        latents, networks = [], []
        for number, member in enumerate(self.model.members):
            latent, states = _steps(member.encoder, x, new.offsets, metadata, [live.networks[number] for live in lives])
            latents.append(latent)
            networks.append(states)
        keep = remembered(self.model.encoding, both)
        found = np.bincount(new.owner[new.detected], minlength=len(new))
        total = torch.from_numpy(np.array([live.steps for live in lives]) + new.lengths)
        for row, said in enumerate(self._said(latents, total, self._shape_of(lives, new.object_id.tolist()))):
            here = slice(int(both.offsets[row]), int(both.offsets[row + 1]))
            yield (
                chosen[row],
                replace(
                    lives[row], steps=int(total[row]), detections=lives[row].detections + int(found[row]),
                    last=float(both.mjd[here.stop - 1]), kept=_kept(both, here, keep), networks=tuple(states[row] for states in networks),
                ),
                said,
            )  # fmt: skip

    def _moved_on(self, chosen: list[int], seen: "list[_Seen]", names: list[str]) -> list[int]:
        """Which of these get another time zero, because there is too little in a window that has passed."""
        end = self.model.selection.window[1]
        late = [k for k in chosen if self.few(seen[k].live) and (seen[k].new["mjd"] >= seen[k].live.zero + end).any()]
        if not late:
            return []
        selected = self._selected([seen[k].live for k in late], [names[k] for k in late])
        zero = dict(zip(selected.object_id.tolist(), selected.trigger_mjd.tolist(), strict=True))
        return [k for k in late if zero.get(names[k]) != seen[k].live.zero]

    def few(self, live: Live) -> bool:
        """Whether later detections may move its time zero."""
        return bool(self.model.selection.few(np.array(live.steps), np.array(live.detections)))

    def _selected(self, lives: list[Live], ids: list[str]) -> LightCurves:
        """What is classified of all rows of objects."""
        curves = light_curves(ids, [live.rows for live in lives], [live.about for live in lives], self.names)
        return self.model.selection.select(self._usable(curves), move_on=True)[0]

    def _usable(self, curves: LightCurves) -> LightCurves:
        return curves.keep(self.trained[curves.passband])

    def _shape_of(self, lives: list[Live], ids: list[str]) -> Tensor | None:
        """The same from all rows of objects that the networks have seen up to their last one."""
        if self.model.novelty is None or self.model.novelty.shape is None:
            return None
        selected = self._selected(lives, ids)
        shape = self._shape(encode(selected, self.model.passbands, self.model.encoding, self.model.metadata))
        place = {name: row for row, name in enumerate(selected.object_id.tolist())}
        return None if shape is None else shape[[place[name] for name in ids]]

    def _shape(self, encoded: Encoded) -> Tensor | None:
        """(N, S) statistics of whole light curves for the novelty, where the encoding gives them."""
        every = statistics(encoded, self.model.encoding) if self.model.novelty else None
        return None if every is None else torch.from_numpy(every[encoded.offsets[1:] - 1])

    def _said(self, latents: list[Tensor], steps: Tensor, shape: Tensor | None) -> list[Said | None]:
        """By the latent vectors of each network, (N, L), the (N,) numbers of observations and the statistics for the novelty."""
        logits = logits_of(self.model.members, latents)
        probability = log_probabilities(self.model.calibration, logits, steps).exp()
        score, novelty = self.model.novelty, None
        if score is not None:
            novelty = score(torch.cat(latents, dim=1), steps, logits, shape).tolist()
        inside = None
        if self.coverage is not None and self.model.sets is not None:
            inside = self.model.sets(probability, steps, self.coverage).numpy()
        return [
            Said(p, novelty[k] if novelty else None, inside[k] if inside is not None else None)
            if steps[k] >= self.least and np.isfinite(p).all()
            else None
            for k, p in enumerate(probability.numpy())
        ]


@dataclass(frozen=True)
class _Seen:
    """An object with the rows of an arrival.

    Attributes:
        live: all its rows. new: those that no arrival before had. changed: whether the result can have changed.
        in_order: whether the new rows that matter all come after what the networks have seen.
    """

    live: Live
    new: Array
    changed: bool
    in_order: bool


def _with_rows(live: Live, arrival: Arrival) -> _Seen:
    before = len(live.rows)
    whole = distinct(np.concatenate([live.rows, arrival.rows]))
    about = newest(live.about, arrival.about)
    trigger_moved = not np.array_equal(about[3:], live.about[3:], equal_nan=True)
    known = {row.tobytes()[:-8] for row in live.rows}
    new = np.array([row.tobytes()[:-8] not in known for row in whole], dtype=bool)
    reissued = live.contested and not np.array_equal(whole[~new]["issued"], live.rows["issued"], equal_nan=True)
    if before == len(whole) and not reissued and not trigger_moved:
        return _Seen(replace(live, rows=whole, about=about), whole[new], False, True)
    late = whole[new]["mjd"] <= live.rows["mjd"].max(initial=-np.inf) + SAME_EXPOSURE
    late |= ~np.isfinite(whole[new]["mjd"])
    matter = any(not _is_harmless(row, live.rows) for row in whole[new][late])
    in_order = bool(live.steps) and not (matter or reissued or trigger_moved)
    now = replace(live, rows=whole, about=about, contested=contested(whole))
    return _Seen(now, whole[new][~late], True, in_order)


def _is_harmless(row: Any, rows: Array) -> bool:
    """Whether a row that came late changes nothing: a better one of its exposure is there, or it is none that is used."""
    near = rows[(rows["band"] == row["band"]) & (np.abs(rows["mjd"] - row["mjd"]) <= SAME_EXPOSURE)]
    if not len(near):
        return bool(row["fault"] != 0 or not np.isfinite(row["mjd"]))
    return bool(near["rank"].min() < row["rank"] and np.ptp(near["mjd"]) <= SAME_EXPOSURE)


def _padded(encoded: Encoded) -> tuple[Tensor, Tensor]:
    lengths = encoded.lengths
    x = np.zeros((len(lengths), lengths.max(), encoded.x.shape[1]), dtype=np.float32)
    x[np.arange(x.shape[1]) < lengths[:, None]] = encoded.x
    return torch.from_numpy(x), torch.from_numpy(lengths)


def _appended(lives: list[Live], new: LightCurves) -> tuple[LightCurves, Array]:
    """What the encoding needs of earlier observations, and the new ones, with time zero in `trigger_mjd`; and which are new."""
    earlier = np.array([len(live.kept) for live in lives])
    owner = np.concatenate([np.repeat(np.arange(len(lives)), earlier), new.owner])
    order = np.argsort(owner, kind="stable")
    kept = np.concatenate([live.kept for live in lives])
    columns: dict[str, Any] = {
        name: np.concatenate([kept[name], getattr(new, name)])[order] for name in KEPT.names or ()
    }
    offsets = np.concatenate([[0], np.cumsum(earlier + new.lengths)]).astype(np.int64)
    both = replace(new, **columns, offsets=offsets, trigger_mjd=np.array([live.zero for live in lives]))
    return both, order >= len(kept)


def _kept(curves: LightCurves, here: slice, keep: Array) -> Array:
    chosen = np.flatnonzero(keep[here]) + here.start
    rows = np.empty(len(chosen), KEPT)
    for name in KEPT.names or ():
        rows[name] = getattr(curves, name)[chosen]
    return rows


def _steps(
    encoder: Any, x: Tensor, offsets: Array, metadata: Tensor, states: list[Network]
) -> tuple[Tensor, list[Network]]:
    """Steps of N objects by their new observations, `x[offsets[k]:offsets[k + 1]]`; latent vectors and states at the end."""
    counts, now = np.diff(offsets), list(states)
    latents: list[Tensor | None] = [None] * len(states)
    for step in range(int(counts.max())):
        groups: dict[Any, list[int]] = {}
        for k in np.flatnonzero(counts > step).tolist():
            groups.setdefault(tuple((name, array.shape) for name, array in now[k].items()), []).append(k)
        for rows in groups.values():
            state = {name: torch.from_numpy(np.concatenate([now[k][name] for k in rows])) for name in now[rows[0]]}
            latent, after = encoder.step(x[offsets[rows] + step], metadata[rows], state)
            for place, k in enumerate(rows):
                latents[k] = latent[place]
                now[k] = {name: tensor[place : place + 1].numpy() for name, tensor in after.items()}
    return torch.stack([latent for latent in latents if latent is not None]), now


def _arrays(state: dict[str, Tensor]) -> Network:
    return {name: tensor.numpy() for name, tensor in state.items()}
