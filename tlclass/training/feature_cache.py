"""Features that a frozen encoder makes once, so that a head trains without running the encoder at every step."""

from dataclasses import replace

import numpy as np
import torch

from tlclass.arrays import Array
from tlclass.inputs.batches import CurveDataset
from tlclass.inputs.datamodule import LightCurveDataModule
from tlclass.inputs.encoding import Encoded
from tlclass.network.encoders import Encoder
from tlclass.network.inference import encode_all, encode_every_step


def with_features(data: LightCurveDataModule, encoder: Encoder, every_step: bool) -> LightCurveDataModule:
    """The same objects, split and batches with the encoder's output in place of the light curves.

    Args:
        data: set up and split.
        encoder: frozen.
        every_step: whether a light curve becomes as many steps of `latent` channels as it has observations, step k
            the embedding of the first k + 1, which truncation in training needs; else one step, of all of it.
    """
    used = np.concatenate([data.split.train, data.split.val])
    drawn = ((one, data.drawn(one)) for one in data.beside)
    beside = tuple(
        replace(one, encoded=_features(one.encoded, rows, encoder, every_step, data.device))
        for one, rows in drawn
        if len(rows)
    )
    return data.holding(encoded=_features(data.encoded, used, encoder, every_step, data.device), beside=beside)


def _features(encoded: Encoded, used: Array, encoder: Encoder, every_step: bool, device: torch.device) -> Encoded:
    """The encoder's output for the objects at these indices; the others are left without a step."""
    used = np.sort(used)
    part = encoded.take(used)
    dataset = CurveDataset(part, device=device)
    lengths, whole = np.zeros(len(encoded), dtype=np.int64), dataset.lengths.numpy()
    lengths[used] = whole if every_step else 1
    x = (encode_every_step(encoder, dataset) if every_step else encode_all(encoder, dataset)).numpy()
    days = part.days if every_step else part.days[np.cumsum(whole) - 1]
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    return Encoded(x, offsets, days, np.empty((len(encoded), 0), dtype=np.float32))
