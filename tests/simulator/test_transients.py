"""Every class has the light curves and colours it is known for (rest frame, no dust)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tlclass.arrays import Array
from tlclass.simulate import load_simulation
from tlclass.simulator import Bands, Gap, Population, Transient, rest_frame_magnitudes
from tlclass.simulator.histories import evolve

G, R, I_BAND, Z, Y = range(5)
BANDS = Bands.top_hats([(0.4146, 0.5466), (0.5653, 0.7203), (0.692, 0.8165), (0.819, 0.921), (0.921, 1.006)])
DAYS = np.arange(1.0, 181.0)
N = 200
CLASSES = (
    "SNIa", "SNIa-91bg", "SNIax", "SNIb", "SNIc", "SNIc-BL", "SNII", "SNIIn", "SNIIb", "TDE", "SLSN-I", "AGN",
)  # fmt: skip


@pytest.fixture(scope="module")
def magnitudes(population: Population) -> dict[str, Array]:
    """(N, bands, days) of every class."""
    return {c.name: rest_frame_magnitudes(c, BANDS, DAYS, N, 1) for c in population.classes}


def decline(magnitude: Array, days: int) -> float:
    """Median magnitudes lost in `days` days after peak; `magnitude` is (N, days)."""
    top = magnitude.argmin(axis=1)
    late = np.minimum(top + days, DAYS.size - 1)
    row = np.arange(len(magnitude))
    return float(np.median(magnitude[row, late] - magnitude[row, top]))


def color(magnitude: Array, days: int) -> float:
    """Median g-r, `days` after r peak."""
    late = np.minimum(magnitude[:, R].argmin(axis=1) + days, DAYS.size - 1)
    row = np.arange(len(magnitude))
    return float(np.median(magnitude[row, G, late] - magnitude[row, R, late]))


def test_all_classes_are_there(population: Population) -> None:
    assert tuple(c.name for c in population.classes) == CLASSES


@pytest.mark.parametrize(
    ("name", "low", "high"), [("SNIa", 0.8, 1.15), ("SNIa-91bg", 1.6, 2.1), ("SNIb", 0.6, 1.1), ("SNII", 0.3, 0.7)]
)
def test_decline_in_g(magnitudes: dict[str, Array], name: str, low: float, high: float) -> None:
    assert low < decline(magnitudes[name][:, G], 15) < high


def test_plateau_of_type_ii(magnitudes: dict[str, Array]) -> None:
    assert decline(magnitudes["SNII"][:, R], 60) < 1.3


def test_tidal_disruption_stays_blue(magnitudes: dict[str, Array]) -> None:
    assert -0.5 < color(magnitudes["TDE"], 50) < -0.2


def test_superluminous_rise(magnitudes: dict[str, Array]) -> None:
    assert 30 < np.median(DAYS[magnitudes["SLSN-I"][:, R].argmin(axis=1)]) < 50


def second_peaks(magnitude: Array) -> float:
    """Fraction of curves that brighten again after the first peak, within 50 days."""
    top = magnitude.argmin(axis=1)
    after = [curve[t + 5 : t + 50] for curve, t in zip(magnitude, top, strict=True)]
    return float(np.mean([(np.diff(curve) < -1e-3).any() for curve in after]))


@pytest.mark.parametrize("band", [I_BAND, Z, Y])
def test_second_maximum_of_type_ia_only(magnitudes: dict[str, Array], band: int) -> None:
    assert second_peaks(magnitudes["SNIa"][:, band]) > 0.5
    assert second_peaks(magnitudes["SNIa-91bg"][:, band]) < 0.1


def test_histories_are_finite_and_start_dark(population: Population) -> None:
    rng = np.random.default_rng(3)
    for transient in population.classes:
        histories = evolve(transient, transient.draw(rng, 50, Gap()), rng)
        assert np.isfinite(histories.columns).all(), transient.name
        if transient.spectrum is not None:
            assert histories.columns[0].max() < 1.0  # log light, early cooling may exceed the main peak


def test_observed_population_changes_only_some_classes() -> None:
    plain = load_simulation("ztf_simulated").population.classes
    observed = load_simulation("ztf_simulated", ["population=observed"]).population.classes
    assert [a.name for a in plain] == [b.name for b in observed]
    changed = {a.name for a, b in zip(plain, observed, strict=True) if a != b}
    assert changed == {"SNIa", "SNIb", "SNIc", "SNIc-BL", "SNII", "SNIIb", "TDE", "SLSN-I"}
    for transient in observed:
        assert np.isfinite(rest_frame_magnitudes(transient, BANDS, DAYS[::30], 5, 0)).any()


def test_gap_shifts_the_sky(population: Population) -> None:
    transient = population.classes[population.index("SNII")]
    plain, shifted = (
        transient.draw(np.random.default_rng(5), 2000, gap) for gap in (Gap(), Gap(magnitude=-0.1, dust=2.0))
    )
    np.testing.assert_allclose(shifted["peak_magnitude"], plain["peak_magnitude"] - 0.1)
    assert shifted["host_av"].mean() > 1.7 * plain["host_av"].mean()


def entry(**changes: Any) -> dict[str, Any]:
    """A minimal valid class."""
    parameters = {"peak_magnitude": -18, "diffusion_time": 15, "gamma_time": 40, "temperature_peak": 1e4}
    parameters |= {"temperature_floor": 5000, "cooling_time": 30, "cooling_index": 2}
    config: dict[str, Any] = {"engine": "radioactive", "duration": 200, "parameters": parameters, "spectrum": {}}
    return config | {"dust": {"none": 1, "mean": 0}, "rate": {"local": 1e-5}} | changes


def test_a_new_class_needs_no_python() -> None:
    transient = Transient.from_config("new", entry())
    magnitude = rest_frame_magnitudes(transient, BANDS, DAYS, 3, 0)
    assert magnitude[:, R].min() == pytest.approx(-18, abs=0.05)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"engine": "steam"}, "new: the engine 'steam' .*sn_peak|new: the engine 'steam' .*random_walk"),
        ({"spectrum": {"colour": 1}}, "new.spectrum .*colour"),
        ({"parameters": {"peak_magnitude": -18}}, "new: the engine radioactive .*cooling_time"),
        ({"parameters": entry()["parameters"] | {"dipp": 1}}, "new: .*dipp"),
        ({"parameters": entry()["parameters"] | {"dip": 1}}, "dip_time"),
        (
            {"parameters": {"peak_magnitude": {"normal": [0, 1], "slope": {"w": 1}}}},
            r"new.parameters.peak_magnitude .*\bw\b",
        ),
        ({"parameters": {"peak_magnitude": {"gauss": [0, 1]}}}, "new.parameters.peak_magnitude .*gauss.*normal"),
        ({"parameters": {"peak_magnitude": {"normal": [0]}}}, r"peak_magnitude.normal is \[0\]: .*2 numbers"),
        ({"rate": {"local": 1e-5, "evolution": "fast"}}, "'fast'.*madau_dickinson"),
        ({"rate": {"local": "many"}}, "new.rate.local is many: .*number"),
    ],
)
def test_mistakes_are_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Transient.from_config("new", entry(**changes))


def test_a_sn_ia_of_the_literature_is_that_of_salt3_where_ztf_sees_it() -> None:
    """At redshift 0.065, x1 = 0.4, c = -0.084; `benchmarks/salt.py` compares more of it with SALT3 itself."""
    phases = np.array([-10, 0, 10, 20, 30, 40])  # rest-frame days since maximum in g
    colour = [-0.25, -0.25, -0.06, 0.55, 1.04, 0.95]  # g-r
    fainter = [0.86, 0.0, 0.51, 1.51, 2.34, 2.83]  # than at maximum, in g
    bands = Bands.top_hats([(low / 1.065, high / 1.065) for low, high in ((0.4146, 0.5466), (0.5653, 0.7203))])

    def difference(name: str) -> Array:
        population = load_simulation("ztf_simulated", [f"population={name}"]).population
        transient = population.classes[population.index("SNIa")]
        green, red = np.moveaxis(rest_frame_magnitudes(transient, bands, np.arange(1.0, 121.0), N, 1), 1, 0)
        days = green.argmin(axis=1)[:, None] + phases
        g, r = (np.take_along_axis(magnitude, days, axis=1) for magnitude in (green, red))
        return np.abs(np.concatenate([np.median(g - r, axis=0) - colour, np.median(g - g[:, 1:2], axis=0) - fainter]))

    assert difference("literature").mean() < 0.06 and difference("literature").max() < 0.2
    assert difference("transients").mean() > 0.12
