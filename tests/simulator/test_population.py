"""Redshifts follow the volume in which an object is visible."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tlclass.simulator import Observatory, Population
from tlclass.simulator.population import resample


@pytest.mark.parametrize("name", ["SNIa", "SNIIn", "TDE", "AGN"])
def test_redshift_fills_the_visible_volume(observatory: Callable[[str], Observatory], name: str) -> None:
    ztf = observatory("ztf_simulated")
    simulation, volume = ztf.simulation, ztf.volume(name)
    transient = simulation.population.classes[simulation.population.index(name)]
    drawn = volume.draw(transient, simulation.limits, simulation.gap, np.random.default_rng(0), 4000)

    def enclosed(z: np.ndarray) -> np.ndarray:
        return np.interp(z, volume.redshift, volume.cumulative)

    fraction = np.sort(enclosed(drawn["redshift"]) / enclosed(drawn["redshift_limit"]))
    distance = np.abs(fraction - (np.arange(4000) + 0.5) / 4000).max()
    assert distance < 1.63 / np.sqrt(4000)  # Kolmogorov-Smirnov, 1 %
    assert (drawn["redshift"] <= drawn["redshift_limit"]).all()


def test_brighter_objects_are_seen_farther(observatory: Callable[[str], Observatory]) -> None:
    ztf = observatory("ztf_simulated")
    simulation = ztf.simulation
    transient = simulation.population.classes[simulation.population.index("SNII")]
    rng = np.random.default_rng(1)
    drawn = ztf.volume("SNII").draw(transient, simulation.limits, simulation.gap, rng, 4000)
    volume_limited = transient.draw(rng, 4000, simulation.gap)["peak_magnitude"].mean()
    assert drawn["peak_magnitude"].mean() < volume_limited - 0.5  # Malmquist bias


def test_resample_repeats_no_more_than_needed() -> None:
    chosen = resample(np.array([1.0, 1.0, 2.0, 0.0]), np.random.default_rng(0), 400)
    np.testing.assert_allclose(np.bincount(chosen, minlength=4), [100, 100, 200, 0], atol=1)


def test_population_names_what_is_wrong(population: Population) -> None:
    with pytest.raises(ValueError, match="class 'KN' is not in the population"):
        population.index("KN")
    with pytest.raises(ValueError, match=r"population .*cosmology, scatter"):
        Population.from_config({"classes": {}})
