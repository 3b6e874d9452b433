"""The LightningDataModule of a survey: from its card to batches."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from torch.utils.data import DataLoader, DistributedSampler, SequentialSampler

from tlclass.arrays import Array
from tlclass.config import cache_folder
from tlclass.inputs.augmentation import Augmentation, augmented
from tlclass.inputs.batches import Batch, CurveDataset, LengthBucketSampler, in_batches
from tlclass.inputs.encoding import Encoded, Encoding, encode, encoding_from
from tlclass.inputs.farther import KNOWN, Conditions, farther, parent_of
from tlclass.inputs.split import Labels, Protocol, Split, class_weights, draw_split, pool_and_test
from tlclass.lightcurves.brightness import peak_magnitudes
from tlclass.lightcurves.curves import LightCurves, concatenate
from tlclass.options import checked_arguments
from tlclass.seeds import stream
from tlclass.surveys import Several, Survey

log = logging.getLogger(__name__)

FIXED = Protocol(test="fixed")
DONORS = 1000  # light curves whose visits copies at larger redshifts get


@dataclass(frozen=True)
class Beside:
    """Light curves that train beside the labelled ones: unlabelled ones, or copies of labelled ones.

    Attributes:
        curves: m selected light curves.
        encoded: the network's input made of them.
        probability: (m, K) of each class: those that another network gave the unlabelled ones, or the label of a copy.
        each: how many unlabelled ones are drawn for each label; those that have a label by now are left out.
        parent: (m,) ids of the objects of which they are copies; a copy trains where its parent does. None: they are unlabelled.
    """

    curves: LightCurves
    encoded: Encoded
    probability: Array
    each: float = 0.0
    parent: Array | None = None


@dataclass(frozen=True)
class LabelledCurves:
    """Light curves of one survey as the network sees them, and who trains, validates and tests.

    Attributes:
        curves: selected light curves.
        encoded: the network's input made of them.
        label: (n,) class indices, or (n, K) probabilities.
        split: indices of the parts.
        beside: what else trains.
    """

    curves: LightCurves
    encoded: Encoded
    label: Array
    split: Split
    beside: tuple[Beside, ...] = ()


class BatchLoader(DataLoader[Batch]):
    """The batches that a sampler of `tlclass.inputs.batches` draws.

    Raises:
        ValueError: Lightning puts a sampler of single objects, or of a part of the batches, in its place.
    """

    def __init__(self, dataset: CurveDataset, *, sampler: Iterable[Any], **options: Any):
        if isinstance(sampler, SequentialSampler | DistributedSampler):
            raise ValueError(
                "Lightning's trainer would replace the batches of light curves: on several devices set use_distributed_sampler=False; instead of "
                "overfit_batches use few labels, labels=30"
            )
        super().__init__(dataset, sampler=sampler, **{**options, "batch_size": None})


class LightCurveDataModule(L.LightningDataModule):
    """Encoded light curves of one survey, split by a label budget.

    For Lightning's own trainer: `Trainer(max_epochs=20).fit(task, datamodule=data)`. On several devices give the trainer
    `use_distributed_sampler=False`; the batches are shared out here.

    Args:
        survey: the data set, e.g. built from its card.
        encoding: of observations, or its name, as in `conf/encoding/`.
        metadata: columns that enter the network beside the light curve, such as `mwebv`.
        labels: how many labels are used: `100`, `"5%"`, `"all"`.
        protocol: which objects are scored, and which share of the labels validates.
        cache: folder of the parsed surveys, see `tlclass.config.cache_folder`.
        seed: number from which the split and the order of the batches follow.
        batch_size: objects per training batch.
        balance: draw training batches in which every class is equally likely.
        augmentation: of the training part; validation and test are never augmented.

    Attributes:
        objects: what `setup` loads.
        device: where a network runs over these light curves outside of a fit, to validate its start and to score it.

    Raises:
        ValueError: the encoding or the number of labels is unknown, the survey is no survey, or another argument is of a wrong kind.
    """

    device: torch.device = torch.device("cpu")

    def __init__(
        self,
        survey: Survey | Several,
        encoding: Encoding | str = "paper",
        metadata: Sequence[str] = (),
        labels: Labels | int | str = "all",
        protocol: Protocol = FIXED,
        cache: str | Path | None = None,
        seed: int = 0,
        batch_size: int = 128,
        balance: bool = False,
        augmentation: Augmentation | None = None,
    ):
        encoding, metadata, protocol, seed, batch_size, balance, augmentation = checked_arguments(
            LightCurveDataModule.__init__, locals(), "survey", "labels", "cache"
        ).values()
        super().__init__()
        if isinstance(survey, str):
            raise ValueError(f"survey is '{survey}': give the survey of that card, tlclass.load_survey('{survey}')")
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}: choose a number above 0")
        self.survey, self.metadata = survey, tuple(metadata)
        self.encoding = encoding_from({"name": encoding}) if isinstance(encoding, str) else encoding
        self.labels, self.protocol, self.cache = Labels.of(labels), protocol, cache_folder(cache)
        self.seed, self.batch_size, self.balance = seed, batch_size, balance
        self.augmentation = augmentation or Augmentation()
        self.objects: LabelledCurves | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in output order."""
        return self.survey.taxonomy.classes

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the network's input channels."""
        return self.encoding.channels

    @property
    def curves(self) -> LightCurves:
        """The selected light curves."""
        return self._loaded.curves

    @property
    def encoded(self) -> Encoded:
        """The input of the network."""
        return self._loaded.encoded

    @property
    def label(self) -> Array:
        """Of each object its class index, (n,), or its class probabilities, (n, K)."""
        return self._loaded.label

    @property
    def split(self) -> Split:
        """Indices of the objects that train, validate and test."""
        return self._loaded.split

    @property
    def unlabelled(self) -> Array:
        """Indices of the objects that may be labelled and do not test, for what looks at no label."""
        pool, _ = pool_and_test(self.label, self.curves.object_id, self.protocol)
        return np.setdiff1d(pool, self.split.test)

    def without_labels(self) -> "LightCurveDataModule":
        """All light curves of the survey that do not test, those that have no label too, without labels."""
        rows, more = self.unlabelled, self.survey.unlabelled(self.cache)
        curves, encoded = self.curves.take(rows), self.encoded.take(rows)
        if len(more):
            curves = concatenate([curves, more])
            encoded = encoded.followed_by(encode(more, self.survey.passbands, self.encoding, self.metadata))
        none = np.empty(0, dtype=np.int64)
        split = Split(none, none, none, len(curves))
        return self.holding(curves=curves, encoded=encoded, label=np.full(len(curves), -1), split=split, beside=())

    @property
    def beside(self) -> tuple[Beside, ...]:
        """See `LabelledCurves`."""
        return self._loaded.beside

    def drawn(self, beside: Beside) -> Array:
        """Indices of the light curves that train beside the training part; see `Beside`."""
        ids = self.curves.object_id
        if beside.parent is not None:
            return np.flatnonzero(np.isin(beside.parent, ids[self.split.train]))
        labelled = ids[np.concatenate([self.split.train, self.split.val])]
        free = np.flatnonzero(~np.isin(beside.curves.object_id, labelled))
        wanted = round(beside.each * self.split.budget)
        return np.random.default_rng(stream(self.seed, "beside")).permutation(free)[:wanted]

    @property
    def trained_on(self) -> int:
        """How many light curves an epoch has."""
        return len(self.split.train) + sum(len(self.drawn(one)) for one in self.beside)

    @property
    def _loaded(self) -> LabelledCurves:
        if self.objects is None:
            raise RuntimeError("the light curves are not loaded yet: call setup()")
        return self.objects

    def prepare_data(self) -> None:
        """Parse the survey into the cache (once per machine)."""
        if self.objects is None:
            self.survey.load(self.cache)

    def setup(self, stage: str | None = None) -> None:
        """Load, select, encode and split; idempotent."""
        if self.objects is not None:
            return
        curves, label = self.survey.load(self.cache)
        encoded = encode(curves, self.survey.passbands, self.encoding, self.metadata)
        magnitude = peak_magnitudes(curves) if self.protocol.labelling == "bright" else None
        split = draw_split(label, curves.object_id, self.seed, self.labels, self.protocol, magnitude)
        self.objects = LabelledCurves(curves, encoded, label, split, self._copies(curves, label, split))

    def _copies(self, curves: LightCurves, label: Array, split: Split) -> tuple[Beside, ...]:
        """Copies of the labelled light curves at larger redshifts; none unless `augmentation.farther` asks for them."""
        labelled = np.sort(np.concatenate([split.train, split.val]))
        if not self.augmentation.farther or not len(labelled):
            return ()
        if isinstance(self.survey, Several) or self.survey.selection.photometry.kind != "forced":
            raise ValueError(
                f"augmentation.farther needs forced photometry of one survey, which {self.survey.name} is not: it must be known when an object was "
                "observed; set augmentation.farther=0"
            )
        pool, _ = pool_and_test(label, curves.object_id, self.protocol)
        rng = np.random.default_rng(stream(self.seed, "farther/visits"))
        visited = rng.choice(pool, min(len(pool), DONORS), replace=False)
        whole = self.survey.complete(self.cache, curves.object_id[np.union1d(labelled, visited)])
        wavelengths = self.survey.passbands.wavelengths(whole.passbands)
        seen = Conditions.of(whole.take(np.isin(whole.object_id, curves.object_id[visited])), wavelengths)
        parents = whole.take(np.isin(whole.object_id, curves.object_id[labelled]))
        made = farther(parents, self.augmentation.farther, seen, self.survey.passbands, self.seed)
        copies, _ = self.survey.selection.select(made)
        moved = len(np.unique(parent_of(copies.object_id)))
        message = "augmentation.farther=%d: %d copies of %d of %d labelled light curves of %s at larger redshifts"
        log.info(message, self.augmentation.farther, len(copies), moved, len(labelled), self.survey.name)
        if not len(copies):
            log.warning(
                "augmentation.farther=%d adds nothing: a light curve that is copied needs a redshift and %d observations, %d of them of S/N %g",
                self.augmentation.farther, *KNOWN,
            )  # fmt: skip
            return ()
        certain = np.eye(len(self.classes))[self.survey.taxonomy.encode(copies.label, self.survey.name)]
        encoded = encode(copies, self.survey.passbands, self.encoding, self.metadata)
        return (Beside(copies, encoded, certain, parent=parent_of(copies.object_id)),)

    def holding(self, **changes: Any) -> "LightCurveDataModule":
        """The same with other `objects`, those of its parts replaced that are given: `holding(split=...)`."""
        other = LightCurveDataModule(
            self.survey, self.encoding, self.metadata, self.labels, self.protocol, self.cache, self.seed,
            self.batch_size, self.balance, self.augmentation,
        )  # fmt: skip
        other.objects, other.device = replace(self._loaded, **changes), self.device
        if "split" in changes and not set(_labelled(other.split)) <= set(_labelled(self.split)):
            ours = tuple(one for one in other.beside if one.parent is None)
            other.objects = replace(other.objects, beside=ours + other._copies(other.curves, other.label, other.split))
        return other

    def dataset(self, part: Array, device: str | torch.device | None = None) -> CurveDataset:
        """The objects at these indices, with labels; on `self.device` unless another is given."""
        return CurveDataset(self.encoded.take(part), self.label[part], self.device if device is None else device)

    def training_set(self, epoch: int, device: str | torch.device = "cpu") -> CurveDataset:
        """What a network trains on as this epoch sees it: the training part, and behind it what trains beside it."""
        train, label = self.split.train, self.label[self.split.train]
        beside = [(one, self.drawn(one)) for one in self.beside]
        if beside:
            certain = np.eye(len(self.classes), dtype=np.float32)[label]
            label = np.concatenate([certain, *(one.probability[rows].astype(np.float32) for one, rows in beside)])
        if self.augmentation.on:
            curves = concatenate([self.curves.take(train), *(one.curves.take(rows) for one, rows in beside)])
            changed = augmented(curves, self.survey, self.augmentation, stream(self.seed, f"augment/{epoch}"))
            encoded = encode(changed, self.survey.passbands, self.encoding, self.metadata)
        else:
            encoded = self.encoded.take(train)
            for one, rows in beside:
                encoded = encoded.followed_by(one.encoded.take(rows))
        return CurveDataset(encoded, label, device)

    def class_weights(self) -> torch.Tensor:
        """(K,) from the training part only; see `tlclass.inputs.split.class_weights`."""
        return torch.from_numpy(class_weights(self.label[self.split.train], len(self.classes)))

    def class_counts(self) -> dict[str, Any]:
        """The survey's name, whether it is simulated, and objects per class: all usable ones and each part."""
        parts = {
            "objects": np.arange(len(self.label)),
            "train": self.split.train,
            "val": self.split.val,
            "test": self.split.test,
        }
        counts = {name: np.bincount(self.label[part], minlength=len(self.classes)) for name, part in parts.items()}
        named = {name: dict(zip(self.classes, values.tolist(), strict=True)) for name, values in counts.items()}
        return {"survey": self.survey.name, "simulated": self.survey.simulated, **named}

    def train_dataloader(self) -> DataLoader[Any]:
        """Shuffled, length-bucketed batches; with an augmentation they are of the trainer's epoch."""
        rank, ranks, epoch = 0, 1, 0
        if self.trainer is not None:
            rank, ranks, epoch = self.trainer.global_rank, self.trainer.world_size, self.trainer.current_epoch
        data = self.training_set(epoch, self._device())
        observations = self.curves.lengths[self.split.train]  # also where features took the light curves' place
        more = (one.curves.lengths[self.drawn(one)] for one in self.beside)
        observations = np.concatenate([observations, *more])
        lengths = data.lengths if self.augmentation.on else torch.from_numpy(observations)
        label = data.label.cpu() if data.label.ndim == 1 else data.label.argmax(1).cpu()
        balance = label if self.balance else None
        sampler = LengthBucketSampler(lengths, self.batch_size, self.seed, rank, ranks, balance)
        return BatchLoader(data, sampler=sampler)

    def val_dataloader(self) -> DataLoader[Any]:
        """The validation part, sorted by length; whole in every process of a distributed fit, so nothing counts twice."""
        return self._by_length(self.split.val)

    def test_dataloader(self) -> DataLoader[Any]:
        """The test part, sorted by length; whole in every process."""
        return self._by_length(self.split.test)

    def predict_dataloader(self) -> DataLoader[Any]:
        """All objects in their order, that of `curves.object_id`: whatever was used for training is among them."""
        data = self.dataset(np.arange(len(self.label)), self._device())
        return BatchLoader(data, sampler=in_batches(torch.arange(len(data))))

    def _by_length(self, part: Array) -> DataLoader[Any]:
        data = self.dataset(part, self._device())
        return BatchLoader(data, sampler=in_batches(torch.argsort(data.lengths, stable=True)))

    def _device(self) -> torch.device:
        return self.trainer.strategy.root_device if self.trainer is not None else torch.device("cpu")


def _labelled(split: Split) -> list[int]:
    """Indices of the objects whose labels are used."""
    return [*split.train.tolist(), *split.val.tolist()]
