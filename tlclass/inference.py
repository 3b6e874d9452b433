"""Probabilities of a trained classifier: the one path used by evaluation and prediction."""

import torch
from torch import Tensor

from tlclass.batches import CurveDataset, SortedSampler
from tlclass.model import Classifier


@torch.inference_mode()
def predict_logits(
    classifier: Classifier, data: CurveDataset, steps: Tensor | None = None, batch_size: int = 512
) -> Tensor:
    """(n, n_classes) logits on the CPU, in the order of the data.

    Args:
        classifier: put into evaluation mode; its device must be the data's.
        data: n light curves.
        steps: (n,) how many observations of each to look at (at least 1); None looks at all.
            The network is causal, so this equals a truncated light curve.
        batch_size: objects per batch.
    """
    classifier.eval()
    steps = data.lengths if steps is None else steps
    logits = torch.empty(len(data), 0)
    for index in SortedSampler(steps, batch_size):
        batch = data[index]
        longest = int(steps[index].max())
        out = classifier(batch.x[:, :longest], steps[index].to(batch.x.device), batch.metadata).cpu()
        if not logits.shape[1]:
            logits = torch.empty(len(data), out.shape[1])
        logits[index] = out
    return logits
