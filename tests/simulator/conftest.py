"""The three simulated surveys and their population, loaded once."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tlclass.simulate import load_simulation
from tlclass.simulator import Observatory, Population, Simulation

SURVEYS = ("ztf_simulated", "lsst_simulated", "bts_simulated")


@pytest.fixture(scope="session")
def population() -> Population:
    """All twelve classes."""
    return load_simulation("ztf_simulated").population


@pytest.fixture(scope="session")
def observatory() -> Callable[[str], Observatory]:
    """The observatory of a survey by name; each is built once."""
    built: dict[str, Observatory] = {}

    def get(name: str) -> Observatory:
        if name not in built:
            built[name] = Observatory(load_simulation(name))
        return built[name]

    return get


@pytest.fixture(scope="session")
def small() -> Simulation:
    """Two classes, few objects."""
    return load_simulation("ztf_simulated", ["n_objects=40", "classes=[SNIa, SNII]", "mix.SNIa=3", "mix.SNII=1"])
