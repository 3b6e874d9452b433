from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import make_curves
from tlclass.baselines.features import cached_features, features, until
from tlclass.lightcurves.curves import LightCurves, concatenate
from tlclass.lightcurves.passbands import Passbands

pytest.importorskip("light_curve", reason="needs the extra baselines")

BANDS = {"u": 0.36, "g": 0.48, "r": 0.62, "i": 0.75, "z": 0.87, "y": 1.0}
SETS = [("g", "r"), ("y", "u", "r", "i", "z", "g"), ("r",)]


def table(names: tuple[str, ...]) -> Passbands:
    return Passbands.from_mapping({name: {"wavelength": BANDS[name]} for name in names})


@pytest.fixture(params=SETS, ids=["two bands", "six bands", "one band"])
def some(request: pytest.FixtureRequest) -> tuple[LightCurves, Passbands]:
    """Few and many observations, negative fluxes."""
    return make_curves(40, seed=3, passbands=request.param), table(request.param)


def same(a: np.ndarray, b: np.ndarray) -> bool:
    return np.array_equal(a, b, equal_nan=True)


def test_a_light_curve_is_described_by_itself_alone(some: tuple[LightCurves, Passbands]) -> None:
    curves, passbands = some
    values = features(curves, passbands).values
    order = np.random.default_rng(0).permutation(len(curves))
    assert same(features(curves.take(order), passbands).values, values[order])
    assert all(same(features(curves.take(np.array([k])), passbands).values[0], values[k]) for k in range(10))


def test_columns_are_the_surveys_passbands_whatever_the_order_in_the_file(
    some: tuple[LightCurves, Passbands],
) -> None:
    curves, passbands = some
    turned = replace(
        curves,
        passbands=curves.passbands[::-1],
        passband=(len(curves.passbands) - 1 - curves.passband).astype(np.uint8),
    )
    a, b = features(curves, passbands), features(turned, passbands)
    assert a.names == b.names and same(a.values, b.values)
    assert len(set(a.names)) == len(a.names) == a.values.shape[1]


def test_no_label_redshift_or_metadata_enters(some: tuple[LightCurves, Passbands]) -> None:
    curves, passbands = some
    other = replace(curves, label=curves.label[::-1], redshift=curves.redshift + 1, mwebv=curves.mwebv + 1, extra={})
    assert same(features(other, passbands).values, features(curves, passbands).values)


def test_any_light_curve_has_finite_or_missing_values(some: tuple[LightCurves, Passbands]) -> None:
    curves, passbands = some
    first = curves.offsets[:-1]
    single = curves.keep(np.isin(np.arange(len(curves.mjd)), first))
    negative = replace(single, flux=-np.abs(single.flux))
    huge = replace(curves, flux=np.full_like(curves.flux, 3e38), flux_err=np.full_like(curves.flux, 1e-30))
    for odd in (single, negative, huge, curves.take(np.array([], dtype=int))):
        found = features(odd, passbands)
        assert found.values.shape == (len(odd), len(found.names)) and not np.isinf(found.values).any()
    assert np.isfinite(features(negative, passbands).values).any(axis=1).all()


def test_a_passband_without_observations_is_missing_and_changes_no_other() -> None:
    curves = make_curves(20, passbands=("g", "r"))
    two, three = features(curves, table(("g", "r"))), features(curves, table(("g", "r", "i")))
    columns = [three.names.index(name) for name in two.names]
    assert same(three.values[:, columns], two.values)
    missing = [k for k, name in enumerate(three.names) if "i" in name.split(" ")[0] and "observations" not in name]
    assert np.isnan(three.values[:, missing]).all()


def test_cut_at_a_day_nothing_later_enters(some: tuple[LightCurves, Passbands]) -> None:
    curves, passbands = some
    late = curves.mjd - curves.trigger_mjd[curves.owner] > 10
    first = np.isin(np.arange(len(curves.mjd)), curves.offsets[:-1])
    changed = replace(curves, flux=np.where(late & ~first, 1e6, curves.flux).astype(np.float32))
    assert same(features(until(changed, 10), passbands).values, features(until(curves, 10), passbands).values)
    assert (until(curves, -1000).lengths == 1).all() and len(until(curves, 1000).mjd) == len(curves.mjd)


def test_known_values() -> None:
    """A colour of one magnitude, and a decline by half in ten days."""
    day = np.arange(0, 61.0)
    names, bands = ("g", "r"), []
    for code, scale in enumerate((1000.0, 1000 * 10**0.4)):
        curves = make_curves(1, passbands=names)
        n = len(day)
        bands.append(
            replace(
                curves, mjd=59000 + day, passband=np.full(n, code, np.uint8), flux=(scale * 0.5 ** (day / 10)).astype(np.float32),
                flux_err=np.full(n, 10, np.float32), detected=np.ones(n, bool), offsets=np.array([0, n]), object_id=np.array([f"o{code}"]),
            )
        )  # fmt: skip
    joined = concatenate(bands)
    order = np.argsort(joined.mjd, kind="stable")
    columns = {name: getattr(joined, name)[order] for name in ("mjd", "passband", "flux", "flux_err", "detected")}
    found = features(replace(bands[0], **columns, offsets=np.array([0, len(order)])), table(names))
    value = dict(zip(found.names, found.values[0], strict=True))
    assert value["g peak"] == 1000 and value["g peak day"] == 0 and value["r last"] == 60
    assert value["g-r peak"] == pytest.approx(1, abs=1e-5)
    assert value["g-r trigger+30d"] == pytest.approx(1, abs=0.01)
    assert value["g flux at peak+10d"] == pytest.approx(0.5, abs=0.03)
    assert value["g bazin_fit_fall_time"] == pytest.approx(10 / np.log(2), rel=0.1)


def test_the_cache_is_by_content(some: tuple[LightCurves, Passbands], tmp_path: Path) -> None:
    curves, passbands = some
    for given in (curves, curves, until(curves, 5), replace(curves, flux=curves.flux + 1)):
        a, b = cached_features(given, passbands, tmp_path), features(given, passbands)
        assert a.names == b.names and same(a.values, b.values)
    assert len(list(tmp_path.iterdir())) == 3
