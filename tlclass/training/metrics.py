"""Scores of predicted probabilities.

A class without a test object has no score, and neither has a probability that is not a number; none is counted as 0.5.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torchmetrics.functional.classification import (
    binary_auroc,
    binary_average_precision,
    multiclass_calibration_error,
    multiclass_confusion_matrix,
)

Scores = dict[str, float]

TIED = 9  # decimals of log odds; a forest gives many objects the same votes, which rounding differently must not rank


def classification_scores(
    logits: Tensor, label: Tensor, classes: Sequence[str], common: Sequence[str] = (), auprc: bool = True
) -> Scores:
    """All scores of one test set, flat.

    Args:
        logits: (N, K). label: (N,) int64 in 0..K-1.
        classes: K names.
        common: classes whose mean AUROC is also given, as `auroc_common`.
        auprc: give the areas under precision-recall curves too.

    Returns:
        `auroc_macro` (mean one-vs-rest AUROC over the classes that have test objects and others),
        `auroc/<class>` and `auprc/<class>` (NaN where undefined), `auprc_macro`, `log_loss`,
        `balanced_accuracy` and `f1_macro` (mean over the classes that have test objects), `ece` (15 bins), `n/<class>`.
    """
    rank = ranks(logits)
    auroc = {name: _one_vs_rest(binary_auroc, rank[:, k], label == k) for k, name in enumerate(classes)}
    scores = {"auroc_macro": _mean(auroc, classes)}
    if common:
        scores["auroc_common"] = _mean(auroc, common)
    scores |= decision_scores(logits, label) | probability_scores(logits, label)
    scores |= {f"auroc/{name}": value for name, value in auroc.items()}
    if auprc:
        area = {name: _one_vs_rest(binary_average_precision, rank[:, k], label == k) for k, name in enumerate(classes)}
        scores |= {"auprc_macro": _mean(area, classes)} | {f"auprc/{name}": value for name, value in area.items()}
    return scores | {f"n/{name}": float((label == k).sum()) for k, name in enumerate(classes)}


def macro_auroc(logits: Tensor, label: Tensor) -> float:
    """Mean one-vs-rest AUROC over the classes present; NaN if there are fewer than two, or a probability is not a number.

    Of labels that are (N, K) probabilities the most probable class counts.
    """
    label = label if label.ndim == 1 else label.argmax(1)
    rank = ranks(logits)
    scores = {str(k): _one_vs_rest(binary_auroc, rank[:, k], label == k) for k in range(logits.shape[1])}
    return _mean(scores, list(scores))


def ranks(logits: Tensor) -> Tensor:
    """(N, K) the rank of each object's probability of a class, from 0 to below 1; NaN for a class with a probability that is not a number.

    Equal probabilities have equal ranks on every processor, although they differ in their last digits. Ranked by the log odds, which also
    tell probabilities close to 1 apart.
    """
    logits = logits.double()
    others = [torch.cat([logits[:, :k], logits[:, k + 1 :]], 1).logsumexp(1) for k in range(logits.shape[1])]
    odds = (logits - torch.stack(others, 1)).round(decimals=TIED)
    columns = [torch.unique(column, return_inverse=True)[1].double() / len(column) for column in odds.T]
    return torch.where(odds.isnan().any(0), torch.nan, torch.stack(columns, 1))


def decision_scores(logits: Tensor, label: Tensor) -> Scores:
    """`balanced_accuracy` and `f1_macro` of the most probable class: means over the classes that have objects."""
    confusion = confusion_matrix(logits, label).double()
    recall = confusion.diag() / confusion.sum(1)
    return {"balanced_accuracy": float(recall.nanmean()), "f1_macro": float(class_f1(confusion).nanmean())}


def probability_scores(logits: Tensor, label: Tensor) -> Scores:
    """`log_loss` and `ece` (15 bins) of the probabilities, see `classification_scores`."""
    probability = torch.softmax(logits.double(), dim=1)
    loss = torch.nn.functional.cross_entropy(logits.double(), label)
    error = multiclass_calibration_error(probability, label, logits.shape[1], n_bins=15)
    return {"log_loss": float(loss), "ece": float(error)}


def confusion_matrix(logits: Tensor, label: Tensor) -> Tensor:
    """(K, K) counts, rows true, columns predicted."""
    return multiclass_confusion_matrix(logits.argmax(1), label, logits.shape[1])


def class_f1(confusion: Tensor) -> Tensor:
    """(..., K) harmonic mean of precision and recall of each class; NaN where no object is of the class.

    Args:
        confusion: (..., K, K) counts or weights, rows true, columns predicted.
    """
    hits, true, predicted = confusion.diagonal(dim1=-2, dim2=-1), confusion.sum(-1), confusion.sum(-2)
    return torch.where(true > 0, 2 * hits / (true + predicted), torch.nan)


def _one_vs_rest(score: object, rank: Tensor, positive: Tensor) -> float:
    if positive.all() or not positive.any() or rank.isnan().any():
        return float("nan")
    return float(score(rank, positive.long(), validate_args=False))  # type: ignore[operator]


def _mean(scores: dict[str, float], names: Sequence[str]) -> float:
    return float(torch.tensor([scores[name] for name in names], dtype=torch.float64).nanmean())
