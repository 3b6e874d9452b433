"""Batches gathered from one flat tensor: sorted by length, padded to the batch's own longest curve."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from tlclass.arrays import Array
from tlclass.inputs.encoding import Encoded
from tlclass.seeds import stream

EVALUATED = 512  # objects per batch of validation, test and prediction
MEGABATCH = 10  # batches sorted together: nearly all the padding goes, and the order stays random


class Batch(NamedTuple):
    """Padded light curves.

    Attributes:
        x: (B, T, C) float32, zeros after the last valid step.
        lengths: (B,) int64, valid steps.
        metadata: (B, M) float32.
        label: (B,) int64 class index, -1 where unknown; or (B, K) float32 probabilities.
        position: (B,) int64, in the data set.
    """

    x: Tensor
    lengths: Tensor
    metadata: Tensor
    label: Tensor
    position: Tensor


class CurveDataset(Dataset[Batch]):
    """Encoded light curves in flat tensors; asked for many indices at once, it returns their batch.

    Args:
        encoded: n light curves.
        label: (n,) class indices, (n, K) probabilities, or None.
        device: where the tensors live; a batch is gathered there, and the processor does not wait for it.
    """

    def __init__(self, encoded: Encoded, label: Array | None = None, device: str | torch.device = "cpu"):
        n_channels = encoded.x.shape[1]
        flat = np.concatenate([encoded.x, np.zeros((1, n_channels), dtype=np.float32)])  # last row: the padding
        self.x = torch.from_numpy(flat).to(device)
        self.start = torch.from_numpy(encoded.offsets[:-1].astype(np.int64)).to(device)
        self.lengths = torch.from_numpy(encoded.lengths.astype(np.int64))  # on the CPU, which plans the batches
        self.steps = self.lengths.to(device)
        self.metadata = torch.from_numpy(encoded.metadata).to(device)
        known = np.full(len(encoded), -1) if label is None else label
        kind = np.int64 if known.ndim == 1 else np.float32
        self.label = torch.from_numpy(known.astype(kind)).to(device)

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, index: Tensor) -> Batch:
        """The batch of these objects, in this order; `index` is (B,) int64."""
        step = torch.arange(int(self.lengths[index].max()), device=self.x.device)
        here = index.to(self.x.device, non_blocking=True)
        lengths = self.steps[here]
        rows = torch.where(step < lengths[:, None], self.start[here][:, None] + step, len(self.x) - 1)  # (B, T)
        x = self.x.index_select(0, rows.flatten()).view(len(index), len(step), -1)
        return Batch(x, lengths, self.metadata[here], self.label[here], index)


class LengthBucketSampler(Sampler[Tensor]):
    """Random batches of similar length, anew each epoch, the same for the same seed.

    Objects are shuffled, sorted by length inside megabatches of ten batches, and the batches shuffled:
    7 times the throughput of padding everything to 656 steps (paper's code) on CPU.

    Args:
        lengths: (n,) steps per object.
        batch_size: objects per batch.
        seed: of the shuffling.
        rank, ranks: this process and the number of processes that share each batch; all draw the same order.
        balance: (n,) class indices, to draw objects so that all classes are equally likely; None visits each once.
    """

    def __init__(
        self,
        lengths: Tensor,
        batch_size: int,
        seed: int,
        rank: int = 0,
        ranks: int = 1,
        balance: Tensor | None = None,
    ):
        self.lengths, self.batch_size, self.seed, self.epoch = lengths, batch_size, seed, 0
        self.rank, self.ranks, self.balance = rank, ranks, balance

    def set_epoch(self, epoch: int) -> None:
        """Lightning calls this at the start of an epoch, also when a run resumes."""
        self.epoch = epoch

    def __len__(self) -> int:
        return -(-len(self.lengths) // self.batch_size)

    def __iter__(self) -> Iterator[Tensor]:
        """Yield (B,) index tensors."""
        generator = torch.Generator().manual_seed(stream(self.seed, f"shuffle/{self.epoch}"))
        if self.balance is None:
            order = torch.randperm(len(self.lengths), generator=generator)
        else:
            order = balanced_order(self.balance, generator)
        batches = [
            batch
            for mega in torch.split(order, self.batch_size * MEGABATCH)
            for batch in torch.split(mega[torch.argsort(self.lengths[mega], stable=True)], self.batch_size)
        ]
        for position in torch.randperm(len(batches), generator=generator).tolist():
            yield self._share(batches[position])

    def _share(self, batch: Tensor) -> Tensor:
        """This process's objects; a batch with fewer objects than processes goes to all, their mean gradient is its own."""
        return batch[self.rank :: self.ranks] if len(batch) >= self.ranks else batch


def balanced_order(label: Tensor, generator: torch.Generator) -> Tensor:
    """(n,) indices drawn with replacement: first one of the classes that occur in `label`, then one of its objects."""
    by_class = torch.argsort(label, stable=True)
    counts = torch.unique(label, return_counts=True)[1]
    drawn = torch.randint(len(counts), (len(label),), generator=generator)
    place = torch.rand(len(label), dtype=torch.float64, generator=generator) * counts[drawn]
    return by_class[(counts.cumsum(0) - counts)[drawn] + place.long()]


def in_batches(order: Tensor, batch_size: int = EVALUATED) -> Sequence[Tensor]:
    """Index tensors (B,) of all objects in this order, for evaluation; batches in order of length are padded least."""
    return torch.split(order, batch_size) if len(order) else ()
