from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tlclass.inputs.split import (
    TEST_KINDS,
    Labels,
    Protocol,
    Split,
    absent_classes,
    class_weights,
    cross_validation,
    draw_split,
    fixed_test,
)

COUNTS = (300, 120, 60, 15, 5)
LABEL = np.random.default_rng(0).permutation(np.repeat(np.arange(len(COUNTS)), COUNTS))
IDS = np.array([f"ZTF{number:05d}" for number in range(len(LABEL))])
BUDGETS: list[Mapping[str, Any]] = [
    {"fraction": 0.05},
    {"fraction": 0.5},
    {"count": 5},
    {"count": 37},
    {"count": 100},
    {"count": 290},
]


def draw(seed: int = 0, count: int | None = None, fraction: float | None = None, **protocol: Any) -> Split:
    return draw_split(LABEL, IDS, seed, Labels(count, fraction), Protocol(**protocol))


@pytest.fixture(params=TEST_KINDS)
def test_kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("budget", BUDGETS, ids=str)
@pytest.mark.parametrize("seed", range(5))
def test_parts_are_disjoint_and_have_their_exact_sizes(test_kind: str, budget: Mapping[str, Any], seed: int) -> None:
    split = draw(seed, test=test_kind, **budget)
    together = np.concatenate([split.train, split.val, split.test])
    assert len(np.unique(together)) == len(together)
    size = budget.get("count", round(split.pool * budget.get("fraction", 0)))
    assert split.budget == size
    assert len(split.val) == round(0.2 * size)
    untouched = sum(round(0.2 * count) for count in COUNTS)
    if test_kind == "remainder":
        assert split.pool == len(LABEL) and len(together) == len(LABEL)
    elif test_kind == "tuning":
        assert split.pool == len(LABEL) - untouched - len(split.test)
        assert not set(together) & set(draw(seed, test="fixed", **budget).test)
    elif test_kind == "development":
        assert split.pool == len(LABEL) - untouched == len(together)
        assert not set(together) & set(draw(seed, test="fixed", **budget).test)
    else:
        assert split.pool == len(LABEL) - len(split.test)
        assert len(split.test) == untouched


def test_smaller_budgets_are_part_of_larger_ones_of_the_same_seed(test_kind: str) -> None:
    drawn: set[int] = set()
    for count in (5, 20, 100, 290):
        split = draw(3, count=count, test=test_kind)
        larger = {*split.train.tolist(), *split.val.tolist()}
        assert drawn < larger
        drawn = larger


def test_the_same_seed_draws_the_same_and_another_seed_others(test_kind: str) -> None:
    splits = [draw(seed, count=100, test=test_kind) for seed in (1, 1, 2)]
    for part in ("train", "val", "test"):
        assert np.array_equal(getattr(splits[0], part), getattr(splits[1], part))
    overlap = np.intersect1d(splits[0].train, splits[2].train)
    assert len(overlap) < 40


def test_the_fixed_test_part_is_the_same_for_all_seeds_budgets_and_row_orders() -> None:
    parts = [IDS[draw(seed, test="fixed", **budget).test] for seed in range(3) for budget in BUDGETS]
    assert all(np.array_equal(part, parts[0]) for part in parts)
    order = np.random.default_rng(1).permutation(len(LABEL))
    shuffled = draw_split(LABEL[order], IDS[order], 0, Labels(50), Protocol("fixed"))
    assert set(IDS[order][shuffled.test]) == set(parts[0])


def test_the_fixed_test_part_is_stratified_and_does_not_follow_the_order_of_ids() -> None:
    chosen = fixed_test(LABEL, IDS, 0.2)
    assert np.bincount(LABEL[chosen]).tolist() == [60, 24, 12, 3, 1]
    assert 150 < np.flatnonzero(chosen).mean() < 350  # spread over the table


def test_budgets_have_the_pools_class_proportions() -> None:
    shares = np.mean([np.bincount(LABEL[draw(seed, count=100).train], minlength=5) for seed in range(40)], axis=0) / 80
    assert np.allclose(shares, np.array(COUNTS) / sum(COUNTS), atol=0.02)


def test_validation_is_stratified_inside_the_budget() -> None:
    split = draw(0, fraction=0.5)
    val, whole = (
        np.bincount(LABEL[part], minlength=5) for part in (split.val, np.concatenate([split.train, split.val]))
    )
    assert (np.abs(val - 0.2 * whole) <= 1).all()


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 6), min_size=6, max_size=80), st.data(), st.integers(0, 10**6))
def test_every_drawn_class_keeps_a_training_object_and_validation_gets_what_is_left_up_to_its_share(
    labels: list[int], data: Any, seed: int
) -> None:
    label = np.array(labels)
    count = data.draw(st.integers(5, len(label) - 1))
    share = data.draw(st.sampled_from([0.01, 0.2, 0.5, 0.9, 0.99]))
    ids = np.arange(len(label)).astype(str)
    try:
        split = draw_split(label, ids, seed, Labels(count), Protocol(validation_fraction=share))
    except ValueError as error:  # allowed only where no class has two objects
        assert "validation" in str(error)
        return
    drawn = np.concatenate([split.train, split.val])
    assert set(label[split.train]) == set(label[drawn])
    spare = len(drawn) - len(np.unique(label[drawn]))
    assert len(split.val) == min(max(1, round(share * count)), spare)
    assert len(split.val) > 0


def test_a_class_with_two_objects_among_singles_can_give_one_to_validation() -> None:
    label = np.array([0, 0, 0, 1, 2, 3])
    for seed in range(20):
        split = draw_split(label, IDS[:6], seed, Labels(5), Protocol())
        assert label[split.val].tolist() == [0]


@pytest.mark.parametrize("test", TEST_KINDS)
def test_a_budget_larger_than_the_pool_is_an_error(test: str) -> None:
    pool = {"remainder": 500, "tuning": 300}.get(test, 400)
    with pytest.raises(ValueError, match=f"501.*{pool}.*5 to {pool}"):
        draw(count=501, test=test)


@pytest.mark.parametrize("count", [-1, 1, 4])
def test_budgets_that_make_no_sense_are_errors(count: int) -> None:
    with pytest.raises(ValueError, match=f"labels={count}"):
        draw(count=count)


@pytest.mark.parametrize("word", ["-3", "many", "0%", "101%", "1.5", "", True, None, "n", "pct"])
def test_a_word_that_is_no_label_budget_is_refused(word: Any) -> None:
    with pytest.raises(ValueError, match=r"labels is .*percentage"):
        Labels.of(word)


@pytest.mark.parametrize("word", [0, 7, "100", "n300", "5%", "12.5pct", "all", "full"])
def test_a_label_budget_reads_its_own_name(word: Any) -> None:
    labels = Labels.of(word)
    assert Labels.of(labels.name) == labels == Labels.of(labels)


def test_everything_drawn_leaves_no_remainder_to_test_on() -> None:
    with pytest.raises(
        ValueError, match=r"take all 500 objects, so protocol.test=remainder leaves no.*protocol.test=fixed"
    ):
        draw(fraction=1.0)
    assert len(draw(fraction=1.0, test="fixed").test) == 100


def test_an_unknown_test_kind_names_the_allowed() -> None:
    with pytest.raises(ValueError, match=r"test is 'random': choose one of remainder, fixed"):
        draw(fraction=0.1, test="random")


@pytest.mark.parametrize("name", ["test_fraction", "validation_fraction"])
@pytest.mark.parametrize("share", [-0.2, 0.0, 1.0, 1.5, float("nan"), "abc"])
def test_a_share_that_leaves_a_part_empty_is_an_error(name: str, share: Any) -> None:
    with pytest.raises(
        ValueError, match=rf"protocol.{name} is '?{share}'?: (choose a share between 0 and 1|give a finite)"
    ):
        draw(fraction=0.1, test="fixed", **{name: share})


def test_a_budget_of_zero_labels_tests_on_everything_else() -> None:
    split = draw(count=0)
    assert split.budget == 0 and len(split.test) == len(LABEL)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=50))
def test_class_weights_have_mean_1_and_balance_the_classes(labels: list[int]) -> None:
    label = np.array(labels)
    weights = class_weights(label, 6)
    assert weights.dtype == np.float32
    assert np.isclose(weights[label].mean(), 1, atol=1e-5)
    present = np.unique(label)
    assert (weights[np.setdiff1d(np.arange(6), present)] == 0).all()
    totals = np.bincount(label, weights=weights[label], minlength=6)[present]
    assert np.allclose(totals, totals[0], rtol=1e-5)


def test_absent_classes_are_named() -> None:
    assert absent_classes(np.array([0, 2, 2]), ("a", "b", "c", "d")) == ["b", "d"]


@pytest.mark.parametrize("count", [7, 37, 100, 390])
@pytest.mark.parametrize("folds", [2, 5])
def test_folds_validate_each_label_once_and_are_stratified(count: int, folds: int) -> None:
    split = draw(1, count=count, test="fixed")
    parts = cross_validation(split, LABEL, folds, seed=1)
    used = np.sort(np.concatenate([split.train, split.val]))
    values, counts = np.unique(LABEL[used], return_counts=True)
    single = used[np.isin(LABEL[used], values[counts == 1])]
    assert np.array_equal(np.sort(np.concatenate([part.val for part in parts])), np.setdiff1d(used, single))
    sizes = [np.bincount(LABEL[part.val], minlength=len(COUNTS)) for part in parts]
    assert np.ptp(sizes, axis=0).max() <= 1 and np.ptp(np.sum(sizes, axis=1)) <= 1
    for part in parts:
        assert np.array_equal(np.sort(np.concatenate([part.train, part.val])), used)
        assert set(LABEL[part.train]) == set(values) and set(single) <= set(part.train)
        assert np.array_equal(part.test, split.test) and part.pool == split.pool


def test_folds_depend_on_the_seed_alone() -> None:
    split = draw(1, count=100)
    folds = [[part.val.tolist() for part in cross_validation(split, LABEL, 5, seed)] for seed in (1, 1, 2)]
    assert folds[0] == folds[1] != folds[2]


def test_too_many_folds_say_what_there_is() -> None:
    label = np.array([0, 0, 0, 1, 2])
    split = Split(np.arange(4), np.array([4]), np.array([]), 5)
    with pytest.raises(ValueError, match=r"4 folds of 5 labels, of which 3 can validate .*: choose fewer folds"):
        cross_validation(split, label, 4, 0)
    assert len(cross_validation(split, label, 3, 0)) == 3


MAGNITUDE = np.random.default_rng(1).uniform(16, 21, len(LABEL))


def bright(seed: int, count: int, magnitude: np.ndarray | None = MAGNITUDE, **protocol: Any) -> Split:
    how = Protocol("fixed", labelling="bright", **protocol)
    return draw_split(LABEL, IDS, seed, Labels(count), how, magnitude)


def used(split: Split) -> list[int]:
    return sorted([*split.train.tolist(), *split.val.tolist()])


def test_bright_objects_are_more_likely_to_have_a_label() -> None:
    split = bright(0, 60)
    assert split.test.tolist() == draw(0, count=60, test="fixed").test.tolist()
    pool = np.setdiff1d(np.arange(len(LABEL)), split.test)
    limit = np.quantile(MAGNITUDE[pool], 0.25)
    chosen = np.concatenate([used(bright(seed, 60)) for seed in range(20)]).astype(int)
    share = np.array([np.isin(chosen, pool[where]).sum() / where.sum() for where in bins(MAGNITUDE[pool], limit)])
    assert share[0] > 1.5 * share[1] > 2 * share[2]
    assert used(bright(0, 60)) == used(split) != used(bright(1, 60))
    assert set(used(bright(0, 30))) < set(used(split))


def bins(peak: np.ndarray, limit: float) -> list[np.ndarray]:
    return [peak < limit, (peak >= limit) & (peak < limit + 0.6), peak >= limit + 0.6]


def test_the_limit_and_the_width_say_how_bright() -> None:
    faint = MAGNITUDE[used(bright(0, 60, bright_limit=20.0))].mean()
    assert faint > MAGNITUDE[used(bright(0, 60, bright_limit=17.0, bright_width=0.05))].mean() + 0.5


def test_objects_without_a_detection_are_labelled_last() -> None:
    unseen = np.where(np.arange(len(LABEL)) % 4 == 0, np.nan, MAGNITUDE)
    assert not np.isnan(unseen[used(bright(0, 250, unseen))]).any()
    assert len(used(bright(0, 400, unseen))) == 400
    for nothing in (None, np.full(len(LABEL), np.nan)):
        with pytest.raises(ValueError, match=r"protocol\.labelling=bright"):
            bright(0, 60, nothing)


@pytest.mark.parametrize(
    "wrong",
    [{"labelling": "faint"}, {"bright_width": 0.0}, {"test": "tuning", "test_fraction": 0.5}],
    ids=str,
)
def test_wrong_protocols_are_named(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"protocol.{list(wrong)[-1]}"):
        Protocol(**wrong)
