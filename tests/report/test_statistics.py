import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import isotonic_regression

from tlclass.report.statistics import (
    Estimate,
    estimate,
    isotonic,
    label_efficiency,
    labels_to_reach,
    mean_estimate,
    means,
    ratio,
    skill,
)

BUDGETS = np.array([100.0, 200.0, 400.0, 800.0, 1600.0])
CURVE = 0.5 + 0.1 * np.log10(BUDGETS / 10)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 2, 3], [1, 2, 3]),
        ([3, 2, 1], [2, 2, 2]),
        ([1, 3, 2, 4], [1, 2.5, 2.5, 4]),
        ([4, 1, 1, 5, 3], [2, 2, 2, 4, 4]),
        ([7], [7]),
    ],
)
def test_known_monotone_regressions(values: list[float], expected: list[float]) -> None:
    assert isotonic(np.array(values, dtype=float)).tolist() == expected


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_the_monotone_regression_is_scipys(values: list[float]) -> None:
    given_values = np.array(values)
    assert isotonic(given_values) == pytest.approx(isotonic_regression(given_values).x, abs=1e-12)


@pytest.mark.parametrize("factor", [1.5, 2.0, 4.0, 8.0])
def test_a_curve_shifted_by_a_factor_reaches_the_level_with_so_many_times_fewer_labels(factor: float) -> None:
    shifted = CURVE + 0.1 * np.log10(factor)
    assert labels_to_reach(BUDGETS, shifted, CURVE[-1]) == pytest.approx(1600 / factor)
    noise = np.random.default_rng(1).normal(0, 0.01, (8, 1))
    found = label_efficiency(BUDGETS, shifted + noise, CURVE[-1] + noise[:, 0])
    assert found.value == pytest.approx(1600 / factor)
    assert found.low == pytest.approx(1600 / factor) == found.high  # the arms' noise is the same: they are paired


def test_what_is_never_reached_is_never_extrapolated() -> None:
    assert labels_to_reach(BUDGETS, CURVE, CURVE[-1] + 1e-6) == np.inf


def test_the_smallest_budget_and_what_follows_zero_labels_are_upper_limits() -> None:
    assert labels_to_reach(BUDGETS, CURVE, 0.5) == 100
    with_zero = np.concatenate([[0.0], BUDGETS])
    assert labels_to_reach(with_zero, np.concatenate([[0.4], CURVE]), 0.5) == 100
    assert labels_to_reach(with_zero, np.concatenate([[0.6], CURVE + 0.1]), 0.55) == 0


def test_a_budget_without_jobs_is_interpolated_over_not_taken_as_zero() -> None:
    holed = CURVE.copy()
    holed[2] = np.nan
    assert labels_to_reach(BUDGETS, holed, CURVE[2]) == pytest.approx(400)
    assert np.isnan(labels_to_reach(BUDGETS, np.full(5, np.nan), 0.5))


def test_an_interval_says_where_draws_do_not_reach_the_level() -> None:
    noise = np.random.default_rng(2).normal(0, 0.05, (6, 5))
    found = label_efficiency(BUDGETS, CURVE + noise, np.full(6, CURVE[-1]) + noise[::-1, -1])
    assert found.high == np.inf and np.isfinite(found.low)


def test_intervals_cover_the_mean() -> None:
    """Of 400 experiments with 20 seeds the 95 % interval covers the truth in about 93 %."""
    generator = np.random.default_rng(0)
    found = [mean_estimate(generator.normal(0.8, 0.02, 20)) for _ in range(400)]
    assert 0.89 < np.mean([one.low <= 0.8 <= one.high for one in found]) < 0.98


def test_one_seed_has_no_interval_and_none_has_no_value() -> None:
    one = mean_estimate(np.array([0.7, np.nan]))
    assert (one.value, one.n) == (0.7, 1) and np.isnan(one.low)
    assert np.isnan(mean_estimate(np.array([np.nan])).value)
    pair = estimate(np.array([[0.8, 0.9]]), ratio)
    assert pair.value == pytest.approx(8 / 9) and np.isnan(pair.high)


def test_what_one_seed_has_keeps_its_value_in_every_draw() -> None:
    """0 labels, tried with one seed only, are enough: no draw may forget it."""
    scores = np.column_stack([[0.9, np.nan, np.nan], np.full((3, 1), 0.9)])
    found = label_efficiency(np.array([0.0, 100.0]), scores, np.array([0.6, 0.7, 0.65]))
    assert (found.value, found.low, found.high) == (0, 0, 0)


def test_the_same_scores_give_the_same_interval() -> None:
    scores = np.random.default_rng(3).normal(0.8, 0.02, 7)
    assert mean_estimate(scores) == mean_estimate(scores) and isinstance(mean_estimate(scores), Estimate)


def test_skill_counts_from_chance() -> None:
    pair = np.array([[0.65, 0.8], [0.65, 0.8]])
    assert estimate(pair, skill).value == pytest.approx(0.5) and estimate(pair, ratio).value == pytest.approx(0.8125)
    assert np.isnan(estimate(np.array([[0.65, 0.5]]), skill).value)  # the reference has no skill


def test_means_leave_out_what_is_missing() -> None:
    assert means(np.array([[1.0, np.nan], [3.0, np.nan]])).tolist()[0] == 2
    assert np.isnan(means(np.array([[1.0, np.nan], [3.0, np.nan]]))[1])
