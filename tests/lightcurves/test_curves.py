import logging
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tests.conftest import equal_curves, make_curves
from tlclass.lightcurves.curves import BRIGHTEST, LightCurves, check, concatenate, from_columns, log_dropped

BANDS = ("ztfg", "ztfr")

Columns = dict[str, Any]


@st.composite
def tables(draw: st.DrawFn) -> tuple[Columns, Columns]:
    """Distinct objects (some without observations) and observations in any order, good and bad."""
    ids = draw(
        st.lists(
            st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=8),
            min_size=1,
            max_size=6,
            unique=True,
        )
    )
    n_obs = draw(st.integers(1, 40))
    anything = st.sampled_from([np.nan, np.inf, -np.inf, 0.0, -1.0, 1.0, 2.0]) | st.floats(
        -1e30, 1e30, allow_subnormal=False
    )
    observations = {
        "object_id": np.array(draw(st.lists(st.sampled_from(ids), min_size=n_obs, max_size=n_obs))),
        "mjd": np.array(draw(st.lists(st.integers(50000, 50010), min_size=n_obs, max_size=n_obs)), dtype=float),
        "passband": draw(hnp.arrays(np.uint8, n_obs, elements=st.integers(0, 1))),
        "flux": np.array(draw(st.lists(anything, min_size=n_obs, max_size=n_obs))),
        "flux_err": np.array(draw(st.lists(anything, min_size=n_obs, max_size=n_obs))),
        "detected": draw(hnp.arrays(bool, n_obs)),
    }
    observations["flux"][0], observations["flux_err"][0] = -1e10, 1e-3  # at least one usable row
    return {"object_id": np.array(ids)}, observations


def one(**changes: Any) -> LightCurves:
    """Object `a` with three observations at days 1, 2, 3, columns overridden."""
    columns: Columns = {
        "object_id": np.array(["a"] * 3),
        "mjd": np.array([1.0, 2.0, 3.0]),
        "passband": np.array([0, 1, 0]),
    }
    columns |= {"flux": np.array([10.0, 20.0, 30.0]), "flux_err": np.ones(3)}
    return from_columns({"object_id": np.array(["a", "b"])}, columns | changes, BANDS, "file.csv")


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(tables(), st.randoms(use_true_random=False))
def test_what_enters_keeps_the_invariants_and_row_order_does_not_matter(
    table: tuple[Columns, Columns], random: Any
) -> None:
    objects, observations = table
    curves = check(from_columns(objects, observations, BANDS, "t"), "t")
    assert np.array_equal(curves.object_id, objects["object_id"])
    usable = (
        (np.abs(observations["flux"]) <= BRIGHTEST)
        & (observations["flux_err"] > 0)
        & (observations["flux_err"] <= BRIGHTEST)
    )
    columns = ("object_id", "mjd", "passband", "flux", "flux_err")
    rows = list(zip(*(observations[name][usable].tolist() for name in columns), strict=True))
    expected = {(a, b, c, np.float32(d), np.float32(e)) for a, b, c, d, e in rows if np.float32(e) > 0}
    owner = curves.object_id[curves.owner].tolist()
    assert (
        set(zip(owner, curves.mjd.tolist(), curves.passband.tolist(), curves.flux, curves.flux_err, strict=True))
        == expected
    )
    assert len(curves.mjd) == len(expected)  # nothing twice

    order = list(range(len(observations["mjd"])))
    random.shuffle(order)
    same_flag = {**observations, "detected": np.ones(len(order), bool)}
    shuffled = {name: column[order] for name, column in same_flag.items()}
    assert equal_curves(from_columns(objects, shuffled, BANDS, "t"), from_columns(objects, same_flag, BANDS, "t"))


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("flux", np.nan, "missing or infinite flux"),
        ("flux", -np.inf, "missing or infinite flux"),
        ("flux", 1e39, "missing or infinite flux"),
        ("flux", 1e20, "flux or error beyond that of magnitude 0 (no measurement)"),
        ("flux_err", 1e20, "flux or error beyond that of magnitude 0 (no measurement)"),
        ("flux_err", np.nan, "missing, zero or negative flux error"),
        ("flux_err", 0.0, "missing, zero or negative flux error"),
        ("flux_err", -1.0, "missing, zero or negative flux error"),
        ("flux_err", np.inf, "missing, zero or negative flux error"),
        ("mjd", np.nan, "missing or infinite time"),
        ("mjd", np.inf, "missing or infinite time"),
    ],
)
def test_bad_rows_are_dropped_and_counted(column: str, value: float, reason: str) -> None:
    good = {"mjd": np.array([1.0, 2.0, 3.0]), "flux": np.array([10.0, 20.0, 30.0]), "flux_err": np.ones(3)}[column]
    bad = good.copy()
    bad[1] = value
    curves = one(**{column: bad})
    assert np.array_equal(getattr(curves, column), good[[0, 2]].astype(getattr(curves, column).dtype))
    assert curves.dropped == {f"with a {reason}": 1}


def test_repeated_rows_are_dropped_and_counted() -> None:
    curves = one(mjd=np.array([1.0, 1.0, 1.0]), passband=np.array([0, 0, 0]), flux=np.array([10.0, 10.0, 11.0]))
    assert curves.flux.tolist() == [10.0, 11.0]
    assert curves.dropped == {"that repeat another one exactly": 1}


def test_rows_that_tie_in_all_but_the_error_or_the_flag_do_not_depend_on_their_order() -> None:
    same = {"mjd": np.ones(3), "passband": np.zeros(3, int), "flux": np.ones(3)}
    for error in ([1.0, 2.0, 1.0], [1.0, 1.0, 2.0], [2.0, 1.0, 1.0]):
        assert one(**same, flux_err=np.array(error)).flux_err.tolist() == [1.0, 2.0]
    for flag in ([True, False, False], [False, True, False], [False, False, True]):
        assert one(**same, detected=np.array(flag)).detected.tolist() == [True]


def test_observations_of_objects_not_listed_are_dropped_and_counted() -> None:
    curves = one(object_id=np.array(["a", "zzz", "a"]))
    assert len(curves.mjd) == 2
    assert curves.dropped == {"of objects that are not in the object table": 1}


def test_the_account_of_what_was_dropped_says_why_and_of_how_many(caplog: pytest.LogCaptureFixture) -> None:
    curves = one(flux=np.array([np.nan, np.nan, 1.0]))
    log_dropped(curves.dropped, len(curves.mjd), "file.csv")
    assert "file.csv: dropped 2 of 3 observations with a missing or infinite flux" in caplog.text


def test_sorting_by_time_is_silent(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        curves = one(mjd=np.array([3.0, 1.0, 2.0]))
    assert curves.mjd.tolist() == [1, 2, 3] and curves.flux.tolist() == [20, 30, 10]
    assert not caplog.records


def test_duplicate_object_ids_are_an_error_naming_them() -> None:
    with pytest.raises(ValueError, match=r"file.csv: 1 object id\(s\) appear more than once, e.g. x"):
        from_columns({"object_id": np.array(["x", "y", "x"])}, _observations("x"), BANDS, "file.csv")


def test_nothing_usable_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"file.csv: none of its 3 observations is usable"):
        one(flux=np.full(3, np.nan))


def test_objects_without_observations_and_with_one_survive() -> None:
    curves = check(one(object_id=np.array(["a", "a", "b"])), "t")
    assert curves.lengths.tolist() == [2, 1]
    assert check(one(), "t").lengths.tolist() == [3, 0]


def test_an_empty_observation_table_gives_empty_objects() -> None:
    nothing = {name: np.array([], dtype=float) for name in ("mjd", "flux", "flux_err")} | {
        "passband": np.array([], np.uint8)
    }
    curves = check(
        from_columns({"object_id": np.array(["a"])}, {"object_id": np.array([], str)} | nothing, BANDS, "t"), "t"
    )
    assert curves.lengths.tolist() == [0]


def test_take_gives_those_objects_in_that_order(curves: LightCurves) -> None:
    chosen = np.array([5, 2, 2 + 7])
    taken = check(curves.take(chosen), "t")
    assert taken.object_id.tolist() == curves.object_id[chosen].tolist()
    assert taken.extra["field"].tolist() == curves.extra["field"][chosen].tolist()
    for new, old in enumerate(chosen):
        here, there = slice(*taken.offsets[new : new + 2]), slice(*curves.offsets[old : old + 2])
        for name in ("mjd", "passband", "flux", "flux_err", "detected"):
            assert np.array_equal(getattr(taken, name)[here], getattr(curves, name)[there])


def test_laws_of_take(curves: LightCurves) -> None:
    everything = np.arange(len(curves))
    assert equal_curves(curves.take(everything), curves)
    assert equal_curves(curves.take(everything[::-1]).take(everything[::-1]), curves)
    mask = everything % 3 == 0
    assert equal_curves(curves.take(mask), curves.take(np.flatnonzero(mask)))
    assert len(curves.take(np.array([], dtype=np.int64))) == 0
    assert len(curves.take(np.zeros(len(curves), bool))) == 0


def test_laws_of_keep(curves: LightCurves) -> None:
    bright = curves.flux > 300
    kept = check(curves.keep(bright), "t")
    assert len(kept) == len(curves)
    assert np.array_equal(kept.flux, curves.flux[bright])
    assert np.array_equal(kept.object_id[kept.owner], curves.object_id[curves.owner[bright]])
    assert equal_curves(curves.keep(np.ones(len(bright), bool)), curves)
    assert curves.keep(np.zeros(len(bright), bool)).lengths.sum() == 0
    some = np.array([7, 1])
    assert equal_curves(kept.take(some), curves.take(some).keep(curves.take(some).flux > 300))


def test_concatenate_undoes_take(curves: LightCurves) -> None:
    first, second = np.arange(12), np.arange(12, len(curves))
    assert equal_curves(concatenate([curves.take(first), curves.take(second)]), curves)
    assert equal_curves(concatenate([curves]), curves)


def test_concatenate_joins_passbands_by_name() -> None:
    a, b = make_curves(5, 1, ("ztfg", "ztfr")), make_curves(6, 2, ("lssti", "ztfr", "ztfg"))
    b = replace(b, object_id=np.array([f"b{i}" for i in range(6)]), extra={})
    joined = check(concatenate([a, b]), "t")
    assert joined.passbands == ("ztfg", "ztfr", "lssti")
    names = np.concatenate([np.array(a.passbands)[a.passband], np.array(b.passbands)[b.passband]])
    assert np.array_equal(np.array(joined.passbands)[joined.passband], names)
    assert not joined.extra  # only what all parts have


@pytest.mark.parametrize(
    ("column", "value", "named"),
    [
        ("mjd", np.nan, "mjd"),
        ("mjd", 0.0, "the order of mjd"),
        ("flux", np.inf, "flux"),
        ("flux_err", 0.0, "flux_err"),
        ("passband", 2, "passband"),
    ],
)
def test_check_names_the_object_and_the_row(curves: LightCurves, column: str, value: float, named: str) -> None:
    broken = getattr(curves, column).copy()
    victim = int(np.flatnonzero(curves.lengths > 3)[2])
    broken[curves.offsets[victim] + 2] = value
    with pytest.raises(ValueError, match=f"file: {named} .* row 2 of object {curves.object_id[victim]}"):
        check(replace(curves, **{column: broken}), "file")


def test_check_refuses_inconsistent_offsets_and_duplicates(curves: LightCurves) -> None:
    for offsets in (curves.offsets[:-1], curves.offsets + 1, curves.offsets[::-1]):
        with pytest.raises(ValueError, match=rf"file: the offsets .*{len(curves) + 1} numbers"):
            check(replace(curves, offsets=offsets), "file")
    with pytest.raises(ValueError, match=r"column flux has"):
        check(replace(curves, flux=curves.flux[:-1]), "file")
    with pytest.raises(ValueError, match=r"appear more than once, e.g. object1"):
        check(replace(curves, object_id=np.where(curves.object_id == "object2", "object1", curves.object_id)), "file")


def _observations(object_id: str) -> Columns:
    return {
        "object_id": np.array([object_id]),
        "mjd": np.ones(1),
        "passband": np.zeros(1, int),
        "flux": np.ones(1),
        "flux_err": np.ones(1),
    }
