"""Photometric redshifts of simulated host galaxies."""

from dataclasses import replace

import numpy as np
import pytest

from tests.simulator.test_survey import same_bytes
from tlclass.simulate import load_simulation
from tlclass.simulator import Simulation
from tlclass.simulator.hosts import FARTHEST_STATED, Hosts


def drawn(n: int = 20_000, z: float = 0.5, **options: float) -> tuple[np.ndarray, np.ndarray]:
    return Hosts(**options).draw(np.full(n, z), np.random.default_rng(0))


def test_well_measured_hosts_scatter_by_the_stated_error() -> None:
    photoz, error = drawn(error=0.02, spread=0.0, error_scale=1.25)
    assert error == pytest.approx(0.03)
    assert np.std(photoz - 0.5) == pytest.approx(1.25 * 0.03, rel=0.03)


def test_a_share_of_the_hosts_is_measured_poorly_and_some_of_these_are_anywhere() -> None:
    photoz, error = drawn(
        error=0.02, spread=0.0, poor=0.3, poor_error=0.3, poor_spread=0.0, poor_scale=0.1, outliers=0.5
    )
    poor = error > 0.1
    assert poor.mean() == pytest.approx(0.3, abs=0.02)
    assert (np.abs(photoz - 0.5)[~poor] < 0.2).all()
    anywhere = np.abs(photoz - 0.5)[poor] > 0.3
    assert anywhere.mean() == pytest.approx(0.5 * (FARTHEST_STATED - 0.6) / FARTHEST_STATED, abs=0.03)


def test_a_share_is_known() -> None:
    photoz, error = drawn(known=0.25)
    assert np.isfinite(photoz).mean() == pytest.approx(0.25, abs=0.02)
    assert np.array_equal(np.isnan(photoz), np.isnan(error)) and np.nanmin(photoz) > 0


@pytest.mark.parametrize(("name", "value"), [("known", 1.5), ("poor", -0.1), ("error", -1.0), ("outliers", 2.0)])
def test_shares_and_errors_that_mean_nothing_are_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=rf"hosts.{name} is {value}: choose 0"):
        Hosts(**{name: value})


def test_hosts_move_no_other_draw(small: Simulation) -> None:
    plain, told = small.read(), replace(small, hosts=Hosts()).read()
    assert np.isnan(plain.host_photoz).all() and np.isfinite(told.host_photoz).all()
    hidden = replace(told, host_photoz=plain.host_photoz, host_photoz_err=plain.host_photoz_err)
    assert same_bytes(hidden, plain)
    assert np.median(np.abs(told.host_photoz - told.redshift)) < 0.03


def test_the_card_of_lsst_states_them() -> None:
    curves = load_simulation("lsst_simulated", ["n_objects=600"]).read()
    off = np.abs(curves.host_photoz - curves.redshift) / (1 + curves.redshift)
    assert np.median(off) < 0.03 and 0.03 < np.mean(off > 0.15) < 0.25
