"""Make a trained model reliable in use: calibration, prediction sets, novelty, and the range of its training data."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from tlclass.arrays import Array
from tlclass.inputs.batches import CurveDataset
from tlclass.inputs.datamodule import LightCurveDataModule
from tlclass.inputs.encoding import Encoded, Encoding
from tlclass.inputs.shape import statistics
from tlclass.lightcurves.taxonomy import Taxonomy
from tlclass.network.calibration import Calibration, log_probabilities
from tlclass.network.checkpoint import TrainedModel
from tlclass.network.classifier import Classifier
from tlclass.network.inference import encode_every_step, logits_of, predict_logits
from tlclass.network.novelty import Novelty
from tlclass.network.training_range import TrainingRange, joined, measure
from tlclass.training.calibration import fit_calibration, fit_sets, views_of
from tlclass.training.heldout import Heldout, common, read_heldout
from tlclass.training.novelty import fit_novelty

log = logging.getLogger(__name__)
# A network is surer of real light curves than it should be by what it is of simulated ones, so the evidence that it sees in a light curve counts
# 1 / GAP. The proportions that it starts from are those of the survey with a share EVEN given to all classes alike: real samples hold more of the
# rare classes than the expected proportions, which are those of the survey's own search (follow-up prefers rare objects). Both are chosen on the
# 1,870 development objects of the Bright Transient Survey by the log loss after 0, 2, 5, 10, 15, 20, 30, 50 and 70 d together (factors of 1.5 to 1.8
# differ by .002) and the calibration error in the first days, which grows with a larger share.
GAP = 1.7
EVEN = 0.08
ENOUGH = 100  # labelled objects: prediction sets come from them, else from the source's held-out light curves


@dataclass(frozen=True)
class Validated:
    """Networks and the objects that they were not trained on.

    Attributes:
        networks: per member of the ensemble, per fold, a network. parts: per fold the indices of the objects that validate it.
    """

    networks: Sequence[Sequence[Classifier]]
    parts: Sequence[Array]


@dataclass(frozen=True)
class Believed:
    """What calibrated networks say of complete light curves, before they are adapted to them.

    Attributes:
        calibration: theirs.
        data: the light curves.
        probability: (n, K) float64 of each.
    """

    calibration: Calibration
    data: LightCurveDataModule
    probability: Array


@dataclass(frozen=True)
class Seen:
    """What an ensemble makes of light curves at several lengths.

    Attributes:
        logits: (V, K). latent: (V, L) of all members, one after the other.
        observations: (V,) lengths. label: (V,) class of the model, or (V, K) how probable each is. kind: (V,) class of the source, or the same.
        weight: (V,), the views of an object together as much as the object.
        shape: (V, S) of `tlclass.inputs.shape.statistics`; None where the encoding does not give them.
    """

    logits: Tensor
    latent: Tensor
    observations: Tensor
    label: Tensor
    kind: Tensor
    weight: Tensor
    shape: Tensor | None = None

    @property
    def objects(self) -> float:
        """How many light curves there are."""
        return float(self.weight.sum())


def made_reliable(
    model: TrainedModel,
    sources: Sequence[TrainedModel | None],
    data: LightCurveDataModule | None,
    validated: Validated | None,
    believed: Believed | None = None,
) -> TrainedModel:
    """The same model with its training range, and calibrated inside the label budget.

    With labels the calibration is fitted to predictions of networks that did not see the object, and held near that of the
    source's held-out light curves; without labels it is that one, the classes weighed by the taxonomy's shares. Of networks
    that were adapted to unlabelled light curves, what they said before takes the place of the held-out ones.

    Args:
        model: trained.
        sources: what each member started from; None where it started from nothing.
        data: what it was trained on; None, or a budget of 0, if no label was used.
        validated: networks and the labelled objects that none of their training saw; None without labels.
        believed: what the sources said of the unlabelled light curves that they were then adapted to; None if they were not.
    """
    known = [source for source in sources if source is not None]
    model = replace(model, trained_on=_range(model, known, data))
    held = _heldout(model, known) if believed is None else None
    labelled = _labelled(validated, data) if validated is not None and data is not None and data.split.budget else None
    if believed is None and held is None and labelled is None:
        log.info("no held-out light curves beside the source model and no labels: the probabilities stay uncalibrated")
        return model
    calibration, unlabelled = None, None
    if believed is not None:
        unlabelled, calibration = taught(model, believed, model.survey)
    elif held is not None:
        calibration = _of_heldout(held, known[0], model)
    if labelled is not None:
        where = f"labels of {model.survey}, each by networks that were not trained on it"
        calibration = fit_calibration(
            labelled.logits, labelled.observations, labelled.label, labelled.weight, where, calibration
        )
    without_labels = unlabelled or held
    chosen = (
        labelled if labelled is not None and (without_labels is None or labelled.objects >= ENOUGH) else without_labels
    )
    assert chosen is not None
    probability = log_probabilities(calibration, chosen.logits, chosen.observations).exp()
    widened = chosen is unlabelled or (chosen is held and known[0].simulated and model.survey != known[0].survey)
    sets = fit_sets(probability, chosen.observations, None if widened else chosen.label, chosen.weight)
    described = without_labels if without_labels is not None else _final(model, data)
    return replace(model, calibration=calibration, sets=sets, novelty=novelty_of(described))


def novelty_of(seen: Seen) -> Novelty:
    """The novelty score of networks by what they make of known objects."""
    return fit_novelty(seen.latent, seen.observations, seen.kind, seen.weight, seen.logits, seen.shape)


def zero_shot_calibration(model: TrainedModel, sources: Sequence[TrainedModel]) -> Calibration | None:
    """The calibration of networks that no light curve of the survey has changed; None without held-out light curves."""
    held = _heldout(model, sources)
    return None if held is None else _of_heldout(held, sources[0], model)


def believed_of(model: TrainedModel, data: LightCurveDataModule) -> Believed | None:
    """What a calibrated model, one network or an ensemble, says of complete light curves; None without a calibration."""
    if model.calibration is None:
        return None
    logits = predict_logits(model.classifier, data.dataset(np.arange(len(data.encoded))))
    length = torch.from_numpy(data.encoded.lengths)
    return Believed(model.calibration, data, model.calibration(logits, length).exp().numpy())


def taught(model: TrainedModel, believed: Believed, of: str) -> tuple[Seen, Calibration]:
    """What adapted networks make of the unlabelled light curves at all lengths, and the temperature that fits best.

    The probabilities that the networks gave to complete light curves before stand for the classes. They are calibrated; those
    of the adapted networks for beginnings need not be: they separate the classes better, so they may be surer.
    """
    start, probability = believed.calibration, believed.probability
    seen = see(model.members, believed.data.encoded, probability, probability.argmax(1), encoding=model.encoding)
    where = (
        f"{start.fitted_on}. Then the temperature was fitted again, to the probabilities that the networks gave to {len(probability):,} "
        f"complete light curves of {of} before they were adapted to them"
    )
    found = fit_calibration(seen.logits, seen.observations, seen.label, seen.weight, where, start, biased=False)
    return seen, replace(found, prior=start.prior, objects=start.objects)


def _of_heldout(held: Seen, source: TrainedModel, model: TrainedModel) -> Calibration:
    """Of light curves that the source has not seen, widened where they are simulated and the model is for real ones."""
    where = ("simulated " if source.simulated else "") + (
        f"light curves of {source.survey} that were held out, in the expected proportions of the classes"
    )
    found = fit_calibration(held.logits, held.observations, held.label, held.weight, where, biased=False)
    return found if not source.simulated or model.survey == source.survey else widened(found)


def widened(calibration: Calibration) -> Calibration:
    """The calibration of simulated light curves made one for real ones, see `GAP` and `EVEN`."""
    expected = torch.tensor(calibration.prior, dtype=torch.float64)
    prior = (1 - EVEN) * expected / expected.sum() + EVEN / len(expected)
    bias = (torch.tensor(calibration.bias, dtype=torch.float64) - expected.log()) / GAP + prior.log()
    return replace(
        calibration,
        temperature=calibration.temperature * GAP,
        bias=tuple((bias - bias.mean()).tolist()),
        prior=tuple(prior.tolist()),
        fitted_on=f"{calibration.fitted_on}. For real light curves the evidence of the networks counts 1 / {GAP}, and {100 * EVEN:g} % of the "
        "proportions are shared equally among the classes; both numbers were chosen on real development objects whose classes were known",
    )


def _range(
    model: TrainedModel, sources: Sequence[TrainedModel], data: LightCurveDataModule | None
) -> TrainingRange | None:
    """Of everything the model has seen; None where a source does not say what it was trained on."""
    ranges = [source.trained_on for source in sources]
    if None in ranges:
        return None
    own = []
    if data is not None and len(data.split.train):
        own = [measure(data.curves.take(data.split.train), model.selection.photometry.kind)]
    seen = [each for each in ranges if each is not None] + own
    return joined(seen) if seen else None


def _heldout(model: TrainedModel, sources: Sequence[TrainedModel]) -> Seen | None:
    """The sources' held-out light curves of the model's classes, weighed by the taxonomy's shares."""
    if len(sources) < len(model.members) or any(source.folder is None for source in sources):
        return None
    found = [read_heldout(source.folder) for source in sources if source.folder is not None]
    parts = common([part for part in found if part is not None]) if None not in found else []
    if not parts or not len(parts[0]):
        return None
    part = parts[0]
    label = np.array(model.taxonomy.class_map(part.classes))[part.label]
    part, label = part.take(np.flatnonzero(label >= 0)), label[label >= 0]
    weight = _expected(model.taxonomy, part)
    return see(model.members, part.encoded, label, part.label, weight, model.encoding)


def _expected(taxonomy: Taxonomy, part: Heldout) -> Array:
    """(n,) weights that give the classes their expected proportions, with mean 1; equal ones where none are stated."""
    count = np.bincount(part.label, minlength=len(part.classes))
    mapped = [name for name, index in zip(part.classes, taxonomy.class_map(part.classes), strict=True) if index >= 0]
    known = all(taxonomy.shares.get(name, 0) > 0 for name in mapped)  # else all classes count alike
    share = np.array(taxonomy.shares_of(part.classes) if known else [1.0] * len(part.classes))
    weight = (share / np.maximum(count, 1))[part.label]
    return np.asarray(weight / weight.mean())


def _labelled(validated: Validated, data: LightCurveDataModule) -> Seen:
    """What the networks of each fold say about the objects that validate it."""
    seen = [
        see([each[number] for each in validated.networks], data.encoded.take(part), data.label[part])
        for number, part in enumerate(validated.parts)
    ]
    names = [name for name in Seen.__dataclass_fields__ if name != "shape"]
    return Seen(**{name: torch.cat([getattr(part, name) for part in seen]) for name in names})


def _final(model: TrainedModel, data: LightCurveDataModule | None) -> Seen:
    """What the model itself says about its label budget."""
    assert data is not None
    used = np.sort(np.concatenate([data.split.train, data.split.val]))
    return see(model.members, data.encoded.take(used), data.label[used], encoding=model.encoding)


def see(
    members: Sequence[Classifier],
    encoded: Encoded,
    label: Array,
    kind: Array | None = None,
    weight: Array | None = None,
    encoding: Encoding | None = None,
) -> Seen:
    """What an ensemble makes of light curves at the lengths of `views_of`.

    Args:
        members: the networks.
        encoded: n light curves. label: (n,) class, or (n, K) how probable each is. kind: (n,) class of the source. weight: (n,) of each object.
        encoding: of the light curves, for their shape; None leaves it out.
    """
    shape = None if encoding is None else statistics(encoded, encoding)
    views = views_of(encoded)
    row, number = torch.from_numpy(views.row), views.object
    data = CurveDataset(encoded)
    latents = [encode_every_step(member.encoder, data)[row] for member in members]
    each = np.ones(len(label)) if weight is None else weight
    return Seen(
        logits=logits_of(members, latents),
        latent=torch.cat(latents, dim=1),
        observations=torch.from_numpy(views.observations.copy()),
        label=torch.from_numpy(label[number]),
        kind=torch.from_numpy((label if kind is None else kind)[number]),
        weight=torch.from_numpy(each[number] * views.share),
        shape=None if shape is None else torch.from_numpy(shape[views.row]),
    )
