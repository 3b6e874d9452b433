"""Features that a frozen encoder makes once, so that a head trains without running the encoder at every step."""

import numpy as np

from tlclass.inputs.datamodule import LightCurveDataModule, subset
from tlclass.inputs.encoding import Encoded
from tlclass.network.encoders import Encoder
from tlclass.network.inference import encode_all, encode_every_step


def with_features(data: LightCurveDataModule, encoder: Encoder, every_step: bool = False) -> LightCurveDataModule:
    """The same objects, split and batches with the encoder's output in place of the light curves.

    Args:
        data: set up and split.
        encoder: frozen.
        every_step: whether a light curve becomes as many steps of `latent` channels as it has observations, step k
            the embedding of the first k + 1, which truncation in training needs; else one step, of all of it.
    """
    used = np.sort(np.concatenate([data.lessons[0], data.split.val]))
    dataset, days = data.dataset(used), subset(data.encoded, used).days
    lengths, whole = np.zeros(len(data.label), dtype=np.int64), dataset.lengths.numpy()
    lengths[used] = whole if every_step else 1
    x = (encode_every_step(encoder, dataset) if every_step else encode_all(encoder, dataset)).numpy()
    days = days if every_step else days[np.cumsum(whole) - 1]
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    return data.holding(encoded=Encoded(x, offsets, days, np.empty((len(lengths), 0), dtype=np.float32)))
