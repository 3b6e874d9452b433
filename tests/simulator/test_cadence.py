"""Pools of pointings have the rates, bands and depths of their cards."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tlclass.simulate import load_simulation
from tlclass.simulator import Observatory
from tlclass.simulator.cadence import illumination

SURVEYS = ("ztf_simulated", "lsst_simulated", "bts_simulated")


@pytest.mark.parametrize(("name", "per_year"), [("ztf_simulated", 120), ("lsst_simulated", 82), ("bts_simulated", 155)])
def test_visits_per_year(observatory: Callable[[str], Observatory], name: str, per_year: float) -> None:
    survey = observatory(name)
    rate = survey.pool.key.size / survey.pool.pointings / survey.simulation.cadence.length * 365.25
    assert rate == pytest.approx(per_year, rel=0.08)


@pytest.mark.parametrize("name", SURVEYS)
def test_visits_ascend_and_are_found_by_time(observatory: Callable[[str], Observatory], name: str) -> None:
    pool = observatory(name).pool
    assert (np.diff(pool.key) >= 0).all()
    pointing, first, last = np.array([3, 3, 7]), np.array([100.0, -50.0, 400.0]), np.array([200.0, 30.0, 400.5])
    objects, visit = pool.between(pointing, first, last)
    days = pool.mjd[visit] - pool.start
    assert (days >= first[objects]).all() and (days <= last[objects]).all()
    inside = (pool.key >= 3e5 + 100) & (pool.key <= 3e5 + 200)
    np.testing.assert_array_equal(visit[objects == 0], np.flatnonzero(inside))


def test_lsst_visits_come_in_pairs_and_u_in_dark_time(observatory: Callable[[str], Observatory]) -> None:
    pool = observatory("lsst_simulated").pool
    gaps = np.diff(pool.mjd)
    assert (np.abs(gaps - 33 / 1440) < 2 / 1440).mean() == pytest.approx(0.5, abs=0.03)
    assert illumination(pool.mjd[pool.band == 0]).max() < 0.5


def test_more_visits_a_night_on_some_pointings() -> None:
    changes = ["cadence.chance=1", "cadence.steps=[2,3]", "cadence.extra=[0,1.5]"]
    pool = Observatory(load_simulation("ztf_simulated", changes)).pool
    pointing = (pool.key // 1e5).astype(int)
    nights = np.unique(np.stack([pointing, np.floor(pool.mjd)]), axis=1)[0]
    for parity, visits in ((0, 2.0), (1, 3.5)):
        assert (pointing % 2 == parity).sum() / (nights % 2 == parity).sum() == pytest.approx(visits, abs=0.05)


def test_unknown_cadence_and_band_are_errors() -> None:
    with pytest.raises(ValueError, match=r"cadence\.kind is 'hourly': choose one of"):
        load_simulation("ztf_simulated", ["cadence.kind=hourly"])
    with pytest.raises(ValueError, match="lsstx"):
        load_simulation("lsst_simulated", ["cadence.pairs=[[lsstu, lsstx]]"])
