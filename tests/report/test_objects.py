from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tlclass.report.objects import macro_auroc, object_interval, resampled_within, weighted_auroc
from tlclass.training.leavings import PREDICTIONS

CLASSES = ("b", "a", "c")


def write(folder: Path, label: np.ndarray, skill: float, seed: int, prefix: str = "o") -> Path:
    """Predictions whose true class scores higher by `skill`, rows in random order."""
    folder.mkdir()
    generator = np.random.default_rng(seed)
    score = generator.normal(size=(len(label), 3)) + skill * np.eye(3)[label]
    probability = np.exp(score) / np.exp(score).sum(1, keepdims=True)
    order = generator.permutation(len(label))
    columns = {"object_id": np.array([f"{prefix}{i:03d}" for i in order]), "class": np.array(CLASSES)[label[order]]}
    columns |= {f"p({name})": probability[order, k] for k, name in enumerate(CLASSES)}
    pq.write_table(pa.table(columns), folder / PREDICTIONS)
    return folder


@pytest.mark.parametrize("decimals", [1, 12])
def test_weights_of_one_give_the_plain_auroc_ties_included(decimals: int) -> None:
    generator = np.random.default_rng(0)
    positive = generator.random(200) < 0.2
    score = (generator.random(200) + 0.3 * positive).round(decimals)
    gap = score[positive][:, None] - score[~positive][None]
    expected = np.mean((gap > 0) + 0.5 * (gap == 0))
    assert weighted_auroc(score, positive, np.ones((1, 200)))[0] == pytest.approx(expected, abs=1e-12)


def test_weights_are_repeated_objects() -> None:
    generator = np.random.default_rng(1)
    label = generator.integers(0, 3, 60)
    probability = generator.random((60, 3))
    weights = resampled_within(label)
    assert (weights[:, label == 1].sum(axis=1) == np.count_nonzero(label == 1)).all()
    drawn = np.repeat(np.arange(60), weights[7].astype(int))
    repeated = macro_auroc(probability[drawn], label[drawn], np.ones((1, 60)))
    assert macro_auroc(probability, label, weights)[7] == pytest.approx(repeated[0], abs=1e-12)


def test_a_difference_is_paired_by_object_and_its_interval_holds_the_luck_of_the_test_part(tmp_path: Path) -> None:
    label = np.repeat([0, 1, 2], [100, 40, 20])
    good, same, poor = (
        write(tmp_path / name, label, skill, seed) for name, skill, seed in (("g", 2, 0), ("s", 2, 0), ("p", 1, 1))
    )
    assert object_interval([(good, same)]) == (0, 0)
    low, high = object_interval([(good, poor)])
    assert 0 < low < high < 0.4
    swapped = object_interval([(poor, good)])
    assert swapped == pytest.approx((-high, -low), abs=0.01)


def test_other_test_objects_or_no_predictions_give_no_interval(tmp_path: Path) -> None:
    label = np.repeat([0, 1, 2], 10)
    one, other = write(tmp_path / "a", label, 1, 0), write(tmp_path / "b", label, 1, 0, prefix="x")
    assert np.isnan(object_interval([(one, other)])).all()
    assert np.isnan(object_interval([(one, tmp_path)])).all()


def test_votes_that_differ_by_rounding_are_ties() -> None:
    score, positive = np.array([0.1 + 0.2, 0.3, 0.9, 0.9]), np.array([True, False, True, False])
    assert weighted_auroc(score, positive, np.ones((1, 4)))[0] == (0.5 + 0 + 1 + 0.5) / 4
