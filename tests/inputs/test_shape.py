from dataclasses import replace

import numpy as np
import pytest

from tests.conftest import make_curves
from tlclass.inputs.encoding import ENCODINGS, Asinh, Encoded, encode, encoding_from
from tlclass.inputs.shape import STATISTICS, statistics
from tlclass.lightcurves.curves import LightCurves
from tlclass.lightcurves.passbands import Passbands

BANDS = Passbands.from_mapping({"ztfg": {"wavelength": 0.47}, "ztfr": {"wavelength": 0.64}})


@pytest.fixture(params=ENCODINGS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_the_photometry_can_be_read_from_an_encoding(name: str, curves: LightCurves) -> None:
    encoding = encoding_from({"name": name})
    seen = encoding.photometry(encode(curves, BANDS, encoding).x)  # type: ignore[attr-defined]
    assert np.allclose(seen.flux, curves.flux, rtol=1e-4, atol=1e-3)
    assert np.allclose(seen.flux_err, curves.flux_err, rtol=2e-3)
    assert np.allclose(seen.days, curves.mjd - curves.trigger_mjd[curves.owner], atol=1e-4)
    assert np.allclose(seen.wavelength, BANDS.wavelengths(curves.passbands)[curves.passband])


def test_the_statistics_are_those_of_the_light_curve_so_far(name: str, curves: LightCurves) -> None:
    encoding = encoding_from({"name": name})
    whole = statistics(encode(curves, BANDS, encoding), encoding)
    rank = np.arange(len(curves.mjd)) - curves.offsets[curves.owner]
    short = curves.keep(rank < 5)
    part = statistics(encode(short, BANDS, encoding), encoding)
    assert whole is not None and part is not None
    assert np.allclose(part, whole[rank < 5], atol=1e-9)


def test_what_they_say_of_one_light_curve() -> None:
    one = make_curves(1, longest=2).take(np.zeros(5, dtype=np.int64))
    offsets = np.array([0, 5])
    given = replace(
        one.take(np.array([0])), mjd=59000 + np.array([0.0, 1, 3, 7, 9]), flux=np.array([100, 600, 90, -60, 55], "f4"),
        flux_err=np.full(5, 10, "f4"), passband=np.array([0, 1, 0, 0, 1], "u1"), detected=np.ones(5, dtype=bool), offsets=offsets,
    )  # fmt: skip
    found = statistics(encode(given, BANDS, Asinh()), Asinh())
    assert found is not None
    below, fall, typical, detections, days, highest, brightest, late, since, mean = np.expm1(found).T
    assert below == pytest.approx([0, 0, 0, 6, 6], rel=1e-3)
    assert detections == pytest.approx([1, 2, 3, 3, 4]) and days == pytest.approx([0, 1, 3, 3, 9], abs=1e-4)
    steepest = (600 - 55) / np.sqrt(200 + 60**2) / np.sqrt(8.5)
    assert fall[-1] == pytest.approx(max(steepest, 150 / np.sqrt(200 + 9**2) / np.sqrt(4.5)), rel=1e-3) and fall[1] == 0
    first_fall = (100 - 90) / np.sqrt(200 + 10**2) / np.sqrt(3.5)
    assert typical[:3] == pytest.approx([0, 0, first_fall], rel=1e-3)
    assert highest == pytest.approx([10, 60, 60, 60, 60], rel=1e-3) and brightest == pytest.approx(
        [100, 600, 600, 600, 600]
    )
    assert since == pytest.approx([0, 1, 3, 7, 9], abs=1e-4) and late[:3].tolist() == [0, 0, 0]
    assert late[3] == 0 and late[4] == 0  # the mean of -60 and 55 is below zero
    assert mean[[0, 1, 4]] == pytest.approx(
        [0, 3600 / 3700, (3600 + 81 * 3 + 5.5**2 * 9) / (3700 + 81 + 5.5**2)], rel=1e-3
    )


def test_what_comes_late_is_a_share_of_the_highest_flux_since_the_first_detection() -> None:
    one = make_curves(1, longest=2).take(np.zeros(1, dtype=np.int64))
    given = replace(
        one, mjd=59000 + np.array([0.0, 2, 4, 8, 12]), flux=np.array([40, 100, 60, 30, 10], "f4"), flux_err=np.array([10, 10, 10, 10, 20], "f4"),
        passband=np.zeros(5, "u1"), detected=np.ones(5, dtype=bool), offsets=np.array([0, 5]),
    )  # fmt: skip
    found = statistics(encode(given, BANDS, Asinh()), Asinh())
    assert found is not None
    late, since, _ = np.expm1(found[:, -3:]).T
    assert since == pytest.approx([0, 0, 2, 6, 10], abs=1e-4)  # flux / error of the first is 4
    assert late == pytest.approx([0, 0, 0, 0.3, (30 + 10 / 4) / 1.25 / 100], rel=1e-3)


def test_the_statistics_of_an_object_are_the_same_beside_others(curves: LightCurves) -> None:
    bright = replace(curves, flux_err=np.where(curves.owner == 0, np.float32(1e-3), curves.flux_err))
    both, alone = (statistics(encode(c, BANDS, Asinh()), Asinh()) for c in (bright, bright.take(np.array([1]))))
    assert both is not None and alone is not None
    beside = both[bright.owner == 1]
    assert np.array_equal(beside[:, [2, 9]], alone[:, [2, 9]]) and np.allclose(beside, alone, atol=1e-9)


def test_an_encoding_without_photometry_has_none() -> None:
    class Other:
        channels = ("a",)

    empty = Encoded(np.empty((0, 1)), np.array([0]), np.empty(0), np.empty((0, 0)))
    assert statistics(empty, Other()) is None  # type: ignore[arg-type]
    nothing = encode(make_curves(3).take(np.zeros(0, dtype=np.int64)), BANDS, Asinh())
    found = statistics(nothing, Asinh())
    assert found is not None and found.shape == (0, len(STATISTICS))
