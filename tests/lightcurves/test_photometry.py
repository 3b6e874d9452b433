"""Laws of the facts and functions that say what a row of photometry means."""

import numpy as np
import pytest

from tlclass.lightcurves.photometry import (
    FACTS,
    ZERO_POINTS,
    depth_offset,
    detected_by_snr,
    flux_of_magnitude,
    flux_scale,
    is_rounded,
    known_times,
    magnitude_of_flux,
    one_per_exposure,
    plain_name,
    unit_by_depth,
    unit_by_magnitudes,
    unit_of_name,
    without_prefix,
)
from tlclass.lightcurves.voids import VOIDS, void_reason


def test_every_fact_has_a_source_and_a_reason() -> None:
    assert all(rule.source and rule.reason and rule.columns == tuple(map(str.casefold, rule.columns)) for rule in VOIDS)


def test_magnitudes_and_fluxes_are_inverse() -> None:
    mag = np.linspace(12, 26, 20)
    flux, error = flux_of_magnitude(mag, 0.1)
    assert np.allclose(magnitude_of_flux(flux), mag) and np.allclose(error / flux, 0.0921034)
    negative, _ = flux_of_magnitude(mag, 0.1, np.zeros(20, dtype=bool))
    assert np.array_equal(negative, -flux) and np.isnan(magnitude_of_flux(negative)).all()


@pytest.mark.parametrize(("unit", "zero_point"), ZERO_POINTS.items())
def test_a_unit_is_its_zero_point(unit: str, zero_point: float) -> None:
    assert flux_scale(unit) == flux_scale(zero_point) == pytest.approx(10 ** (0.4 * (27.5 - zero_point)))
    with pytest.raises(ValueError, match=r"flux unit 'adu': choose one of fluxcal"):
        flux_scale("adu")


@pytest.mark.parametrize("prefix", FACTS["prefixes"])
def test_a_prefix_does_not_hide_a_name(prefix: str) -> None:
    for joint in "_.:":
        assert (
            without_prefix(f"{prefix}{joint}psfFlux") == "psfflux" and unit_of_name(f"{prefix}{joint}psfFlux") == "njy"
        )
    assert without_prefix(f"lsst_{prefix}_flux_uJy") == "flux_ujy"
    assert without_prefix(f"host_{prefix}") != "" and plain_name("i:magpsf") == "magpsf"


def test_units_by_magnitudes_need_agreement() -> None:
    mag = np.array([18.0, 19.0, 21.0])
    for zero_point in (31.4, 27.5, 23.9, 25.0):
        assert unit_by_magnitudes(10 ** (0.4 * (zero_point - mag)), mag) == pytest.approx(zero_point)
    assert unit_by_magnitudes(np.array([1.0, 10.0, 100.0]), mag) is None, (
        "magnitudes of the source, fluxes of the difference"
    )
    assert unit_by_magnitudes(np.array([1.0]), np.array([20.0])) is None, "one row proves nothing"


@pytest.mark.parametrize("survey", FACTS["depths"])
def test_units_by_depth_are_unique(survey: str) -> None:
    depths = FACTS["depths"][survey]
    names = [f"{survey}{band}" for band in depths]
    band = np.arange(len(names))
    for unit, zero_point in ZERO_POINTS.items():
        errors = np.array([10 ** (0.4 * (zero_point - depth)) / 5 for depth in depths.values()])
        assert unit_by_depth(depth_offset(errors, band, names)) == unit
        assert unit_by_depth(depth_offset(errors * 10, band, names)) != unit
    assert unit_by_depth(depth_offset(np.ones(1), np.zeros(1), ["desg"])) is None


def test_a_detection_is_never_the_sign_alone() -> None:
    flux, error = np.array([0.3, 5.0, -50.0, 1.0]), np.array([1.0, 1.0, 1.0, 0.0])
    assert detected_by_snr(flux, error).tolist() == [False, True, False, False]


def test_codes_are_no_times_and_relative_times_are_no_codes() -> None:
    assert np.isnan(known_times(np.array([59000.0, -9.0, -777.0]))).tolist() == [False, True, True]
    assert np.isnan(known_times(np.array([-20.0, -9.0, 5.0, -777.0]))).tolist() == [False, False, False, True]


@pytest.mark.parametrize("seed", range(5))
def test_the_kept_row_of_an_exposure_does_not_depend_on_the_order(seed: int) -> None:
    generator = np.random.default_rng(seed)
    n = 60
    mjd = 59000 + generator.integers(0, 6, n) + generator.integers(0, 3, n) * 2e-5
    columns = [
        generator.integers(0, 3, n),
        mjd,
        generator.normal(size=n),
        generator.uniform(1, 2, n),
        generator.random(n) < 0.5,
    ]
    rank, age = generator.integers(0, 2, n), generator.integers(0, 3, n)
    kept = one_per_exposure(*columns, rank=rank, age=age)
    order = generator.permutation(n)
    again = one_per_exposure(*(column[order] for column in columns), rank=rank[order], age=age[order])
    assert np.array_equal(kept[order], again) and kept.sum() == len(
        set(zip(columns[0].tolist(), mjd.round(3).tolist(), strict=True))
    )


def test_times_in_32_bits_are_recognised() -> None:
    mjd = np.array([59000.123456, 59001.654321])
    assert is_rounded(mjd.astype(np.float32).astype(np.float64)) and not is_rounded(mjd) and not is_rounded(mjd[:0])


def test_one_row_of_a_packet_is_judged_by_the_same_rules() -> None:
    assert void_reason({"psfFlux": 1.0, "pixelFlags_bad": None}) is None
    assert void_reason({"procstatus": "57,0"}) is None and "procstatus" in str(void_reason({"procstatus": "57,63"}))
    assert void_reason({"timeWithdrawnMjdTai": 61000.0}) == "withdrawn by the survey"
