"""The LightningDataModule of a survey: from its card to batches."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import DataLoader

from tlclass.inputs.augmentation import Augmentation, augmented
from tlclass.inputs.batches import CurveDataset, LengthBucketSampler, SortedSampler
from tlclass.inputs.encoding import Encoded, Encoding, encode
from tlclass.inputs.split import Labels, Protocol, Split, class_weights, draw_split
from tlclass.lightcurves.curves import LightCurves
from tlclass.seeds import stream
from tlclass.surveys import Several, Survey

Array = npt.NDArray[Any]


class LightCurveDataModule(L.LightningDataModule):
    """Encoded light curves of one survey, split by a label budget.

    Args:
        survey: the data set, built from its card.
        encoding: of observations.
        metadata: columns for the metadata branch.
        labels: how many labels are used.
        protocol: which objects test, and how many validate.
        cache: folder of the parsed surveys.
        seed: of the split and the shuffling.
        batch_size: objects per training batch.
        balance: draw training batches in which every class is equally likely.
        augmentation: of the training part; validation and test are never augmented.

    Attributes:
        device: where a network runs over these light curves outside of a fit, to validate its start and to score it.
    """

    device: torch.device = torch.device("cpu")

    def __init__(
        self,
        survey: Survey | Several,
        encoding: Encoding,
        metadata: Sequence[str],
        labels: Labels,
        protocol: Protocol,
        cache: Path,
        seed: int,
        batch_size: int = 128,
        balance: bool = False,
        augmentation: Augmentation | None = None,
    ):
        super().__init__()
        self.survey, self.encoding, self.metadata = survey, encoding, tuple(metadata)
        self.labels, self.protocol, self.cache, self.seed, self.batch_size = labels, protocol, cache, seed, batch_size
        self.balance, self.augmentation = balance, augmentation or Augmentation()
        self.curves: LightCurves | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in output order."""
        return self.survey.taxonomy.classes

    def prepare_data(self) -> None:
        """Parse the survey into the cache (once per machine)."""
        if self.curves is None:
            self.survey.load(self.cache)

    def setup(self, stage: str | None = None) -> None:
        """Load, select, encode and split; idempotent."""
        if self.curves is not None:
            return
        self.curves, self.label = self.survey.load(self.cache)
        self.encoded: Encoded = encode(self.curves, self.survey.passbands, self.encoding, self.metadata)
        self.lengths = torch.from_numpy(np.diff(self.encoded.offsets))
        self.split: Split = draw_split(self.label, self.curves.object_id, self.seed, self.labels, self.protocol)

    def dataset(self, part: Array, device: str | torch.device | None = None) -> CurveDataset:
        """The objects at these indices, with labels; on `self.device` unless another is given."""
        return CurveDataset(subset(self.encoded, part), self.label[part], self.device if device is None else device)

    def training_set(self, epoch: int, device: str | torch.device = "cpu") -> CurveDataset:
        """The training part as this epoch sees it."""
        part = self.split.train
        if not self.augmentation.on:
            return self.dataset(part, device)
        assert self.curves is not None
        seed = stream(self.seed, f"augment/{epoch}")
        curves = augmented(self.curves.take(part), self.survey, self.augmentation, seed)
        return CurveDataset(
            encode(curves, self.survey.passbands, self.encoding, self.metadata), self.label[part], device
        )

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
        lengths = data.lengths if self.augmentation.on else self.lengths[self.split.train]
        balance = torch.from_numpy(self.label[self.split.train]) if self.balance else None
        sampler = LengthBucketSampler(lengths, self.batch_size, self.seed, rank, ranks, balance)
        return DataLoader(data, sampler=sampler, batch_size=None)

    def val_dataloader(self) -> DataLoader[Any]:
        """The validation part, sorted by length; whole in every process of a distributed fit, so nothing counts twice."""
        data = self.dataset(self.split.val, self._device())
        return DataLoader(data, sampler=SortedSampler(data.lengths, 512), batch_size=None)

    def _device(self) -> torch.device:
        return self.trainer.strategy.root_device if self.trainer is not None else torch.device("cpu")


def subset(encoded: Encoded, part: Array) -> Encoded:
    """The light curves at these indices, in this order."""
    lengths = np.diff(encoded.offsets)[part]
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    rows = np.arange(offsets[-1]) + np.repeat(encoded.offsets[part] - offsets[:-1], lengths)
    return Encoded(encoded.x[rows], offsets, encoded.days[rows], encoded.metadata[part])
