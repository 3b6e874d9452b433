"""Features that a frozen encoder makes once, so that a head trains without running the encoder at every step."""

import copy

import numpy as np

from tlclass.inputs.datamodule import LightCurveDataModule
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
    used = np.sort(np.concatenate([data.split.train, data.split.val]))
    lengths = np.diff(data.encoded.offsets) if every_step else np.ones(len(data.encoded), dtype=np.int64)
    offsets = np.concatenate([[0], np.cumsum(np.where(np.isin(np.arange(len(lengths)), used), lengths, 0))])
    dataset = data.dataset(used)
    x = (encode_every_step(encoder, dataset) if every_step else encode_all(encoder, dataset)).numpy()
    featured = copy.copy(data)
    featured.encoded = Encoded(x, offsets, x[:, 0], np.empty((len(lengths), 0), dtype=np.float32))
    return featured
