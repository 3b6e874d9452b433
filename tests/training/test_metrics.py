import math

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy.stats import rankdata

from tlclass.training.metrics import classification_scores, confusion_matrix, macro_auroc

CLASSES = ("a", "b", "c", "d")


def rank_auroc(score: npt.NDArray[np.float64], positive: npt.NDArray[np.bool_]) -> float:
    """Mann-Whitney U over the number of pairs; ties count one half."""
    n, m = positive.sum(), (~positive).sum()
    return float((rankdata(score)[positive].sum() - n * (n + 1) / 2) / (n * m))


@pytest.fixture
def logits() -> torch.Tensor:
    return torch.randn(200, 4, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def label(logits: torch.Tensor) -> torch.Tensor:
    noise = torch.randn(200, 4, generator=torch.Generator().manual_seed(1))
    return (logits + noise).argmax(1)


def probabilities(logits: torch.Tensor) -> npt.NDArray[np.float64]:
    shifted = np.exp(logits.double().numpy())
    return shifted / shifted.sum(1, keepdims=True)


def test_auroc_is_the_rank_statistic(logits: torch.Tensor, label: torch.Tensor) -> None:
    scores = classification_scores(logits, label, CLASSES, common=("a", "b"))
    expected = [rank_auroc(probabilities(logits)[:, k], label.numpy() == k) for k in range(4)]
    assert [scores[f"auroc/{name}"] for name in CLASSES] == pytest.approx(expected, abs=1e-6)
    assert scores["auroc_macro"] == pytest.approx(np.mean(expected), abs=1e-6)
    assert scores["auroc_common"] == pytest.approx(np.mean(expected[:2]), abs=1e-6)
    assert macro_auroc(logits, label) == pytest.approx(scores["auroc_macro"], abs=1e-12)


def test_probabilities_close_to_one_are_told_apart() -> None:
    sure = torch.linspace(23.0, 80.0, 100)
    label = torch.arange(100) < 50  # the class of the less probable half
    scores = classification_scores(torch.stack([-sure, sure], 1), label.long(), ("a", "b"))
    assert scores["auroc/a"] == scores["auroc/b"] == 0


def test_the_most_probable_class_of_soft_labels_counts(logits: torch.Tensor, label: torch.Tensor) -> None:
    soft = 0.4 * torch.nn.functional.one_hot(label, 4) + 0.15
    assert macro_auroc(logits, soft) == macro_auroc(logits, label)


def test_a_network_that_gives_no_numbers_has_no_score(label: torch.Tensor) -> None:
    assert math.isnan(macro_auroc(torch.full((200, 4), float("nan")), label))
    never = torch.tensor([[0.0, 1.0, float("-inf")], [1.0, 0.0, float("-inf")]])  # an impossible class is a number
    assert macro_auroc(never, torch.tensor([1, 0])) == 1


def test_a_class_without_test_object_is_missing_and_not_counted(logits: torch.Tensor, label: torch.Tensor) -> None:
    kept = label != 2
    scores = classification_scores(logits[kept], label[kept], CLASSES, common=("a", "c"))
    assert math.isnan(scores["auroc/c"]) and math.isnan(scores["auprc/c"])
    assert scores["n/c"] == 0
    assert scores["auroc_macro"] == pytest.approx(np.mean([scores[f"auroc/{name}"] for name in "abd"]))
    assert scores["auroc_common"] == scores["auroc/a"]
    assert scores["f1_macro"] > 0.3  # the class that no object has is not counted as 0
    assert math.isfinite(scores["balanced_accuracy"]) and math.isfinite(scores["log_loss"])
    assert macro_auroc(logits[kept], label[kept]) == pytest.approx(scores["auroc_macro"])


def test_one_class_alone_has_no_score(logits: torch.Tensor) -> None:
    label = torch.zeros(len(logits), dtype=torch.int64)
    assert math.isnan(macro_auroc(logits, label))
    assert math.isnan(classification_scores(logits, label, CLASSES)["auroc_macro"])


def test_the_other_scores_by_hand(logits: torch.Tensor, label: torch.Tensor) -> None:
    scores = classification_scores(logits, label, CLASSES)
    p, truth = probabilities(logits), label.numpy()
    assert scores["log_loss"] == pytest.approx(-np.log(p[np.arange(len(p)), truth]).mean(), abs=1e-9)
    recall = [(p.argmax(1)[truth == k] == k).mean() for k in range(4)]
    assert scores["balanced_accuracy"] == pytest.approx(np.mean(recall))
    chosen = p.argmax(1)
    f1 = [2 * ((chosen == k) & (truth == k)).sum() / ((chosen == k).sum() + (truth == k).sum()) for k in range(4)]
    assert scores["f1_macro"] == pytest.approx(np.mean(f1))
    order = np.argsort(-p[:, 0])
    hits = truth[order] == 0
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    assert scores["auprc/a"] == pytest.approx(precision[hits].mean(), abs=1e-6)
    confidence, correct = p.max(1), p.argmax(1) == truth
    bins = np.minimum((confidence * 15).astype(int), 14)
    ece = sum(
        abs(confidence[bins == b].mean() - correct[bins == b].mean()) * (bins == b).mean() for b in np.unique(bins)
    )
    assert scores["ece"] == pytest.approx(ece, abs=1e-6)
    assert sum(scores[f"n/{name}"] for name in CLASSES) == len(label)


def test_confusion_rows_are_true_classes() -> None:
    logits = torch.eye(3)[[0, 1, 1, 2]]
    assert confusion_matrix(logits, torch.tensor([0, 0, 1, 2])).tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 1]]


def test_scores_do_not_depend_on_row_order(logits: torch.Tensor, label: torch.Tensor) -> None:
    order = torch.randperm(len(label), generator=torch.Generator().manual_seed(2))
    a, b = classification_scores(logits, label, CLASSES), classification_scores(logits[order], label[order], CLASSES)
    assert a == pytest.approx(b, nan_ok=True)


def test_votes_that_differ_by_rounding_are_equal() -> None:
    """0.1 + 0.2 is no 0.3 to a processor; which of the two is larger must not decide."""
    vote = torch.tensor([0.1 + 0.2, 0.3, 0.3, 0.3, 0.9, 0.9], dtype=torch.float64)
    label = torch.tensor([0, 1, 0, 1, 0, 1])
    logits = torch.stack([vote, 1 - vote], 1).log()
    expected = (4 * 0.5 + 2 * 1 + 1 * 0.5 + 2 * 0) / 9  # of pairs; equal votes count half
    assert classification_scores(logits, label, ("a", "b"))["auroc/a"] == pytest.approx(expected, abs=1e-6)
    assert macro_auroc(logits, label) == pytest.approx(expected, abs=1e-6)
    tiny = torch.tensor([[-60.0, 0.0], [-70.0, 0.0]])  # probabilities near 0 still have an order
    assert classification_scores(tiny, torch.tensor([0, 1]), ("a", "b"))["auroc/a"] == 1
