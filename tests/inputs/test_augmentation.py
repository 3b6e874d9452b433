from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import equal_curves, make_curves
from tlclass.baselines.features import until
from tlclass.config import CONF
from tlclass.dust import transmission
from tlclass.inputs.augmentation import Augmentation, augmentation_from, luminosity_distance, night_of
from tlclass.inputs.encoding import encode, encoding_from
from tlclass.lightcurves.curves import LightCurves, check, from_columns
from tlclass.lightcurves.passbands import Passbands
from tlclass.lightcurves.selection import TRIGGER_RULES, Photometry, Selection, Trigger

BANDS = Passbands.from_mapping(
    {"ztfg": {"wavelength": 0.4746}, "ztfr": {"wavelength": 0.6366}, "ztfi": {"wavelength": 0.7829}}
)
FILES = sorted(path.stem for path in (CONF / "augmentation").glob("*.yaml"))
ALERTS = Selection(Photometry("detections"))


def sample(
    n: int = 3000,
    days: Sequence[float] = tuple(range(40)),
    bands: int = 2,
    flux: float = 1000.0,
    error: float = 1.0,
    **objects: Any,
) -> LightCurves:
    """Objects of constant flux, observed on the same days in passbands that take turns, all detected."""
    owner, number = np.repeat(np.arange(n), len(days)), np.tile(np.arange(len(days)), n)
    columns = {"owner": owner, "mjd": 59000 + np.asarray(days)[number], "passband": number % bands}
    columns |= {"flux": np.full(len(owner), flux), "flux_err": np.full(len(owner), error)}
    names = np.array([f"o{k:05d}" for k in range(n)])
    about = {"object_id": names, "trigger_mjd": np.full(n, 59000.0), **objects}
    return from_columns(about, columns, BANDS.names[:bands], "sample")


def apply(curves: LightCurves, selection: Selection = ALERTS, seed: int = 0, **options: Any) -> LightCurves:
    return Augmentation(**options).apply(curves, BANDS, selection, seed)


def kept(before: LightCurves, after: LightCurves) -> np.ndarray:
    """(n,) share of the observations that are left."""
    return after.lengths / before.lengths


# -- what always holds

RANGES = {"thin": (0.0, 1.0), "snr": (0.0, 30.0), "redshift": (0.8, 1.25)}


@st.composite
def augmentations(draw: st.DrawFn) -> Augmentation:
    options: dict[str, Any] = {
        name: sorted(draw(st.lists(st.floats(low, high), min_size=2, max_size=2)))
        for name, (low, high) in RANGES.items()
        if draw(st.booleans())
    }
    options["nights"] = draw(st.none() | st.lists(st.integers(1, 4), min_size=1, max_size=3))
    options["drop_band"] = draw(st.sampled_from([0.0, 0.5, 1.0]))
    options["drop_host"] = draw(st.sampled_from([0.0, 0.5]))
    for name in ("zero_point", "error_scale", "extinction"):
        options[name] = draw(st.sampled_from([0.0, 0.1, 2.0]))
    return Augmentation(**options)


@settings(max_examples=75, deadline=None)
@given(
    augmentation=augmentations(),
    kind=st.sampled_from(["forced", "detections", "mixed"]),
    rule=st.sampled_from(tuple(TRIGGER_RULES)),
    least=st.integers(1, 5),
    seed=st.integers(0, 2**32 - 1),
)
def test_objects_stay_and_what_is_left_is_a_light_curve_as_the_survey_selects_them(
    augmentation: Augmentation, kind: str, rule: str, least: int, seed: int
) -> None:
    selection = Selection(Photometry(kind), Trigger(rule), min_observations=least)
    raw = make_curves(40, seed % 1000, BANDS.names)
    redshift = np.where(np.arange(40) % 3 == 0, np.nan, np.linspace(0, 1.5, 40))
    curves, _ = selection.select(replace(raw, redshift=redshift))
    changed = augmentation.apply(curves, BANDS, selection, seed)

    check(changed, "augmented")  # ascending times, finite fluxes, positive errors
    assert np.array_equal(changed.object_id, curves.object_id) and np.array_equal(changed.label, curves.label)
    assert np.array_equal(changed.extra["field"], curves.extra["field"])
    assert (changed.lengths >= least).all() and (changed.lengths <= curves.lengths).all()
    days = changed.mjd - changed.trigger_mjd[changed.owner]
    assert (days > -30 - 1e-9).all() and (days < 70 + 1e-9).all()
    assert changed.flux.dtype == changed.flux_err.dtype == np.float32
    assert equal_curves(changed, augmentation.apply(curves, BANDS, selection, seed))
    if rule == "column":
        assert np.array_equal(changed.trigger_mjd, curves.trigger_mjd)
    if augmentation.redshift is None:
        before = set(zip(curves.owner, curves.mjd, curves.passband, strict=True))
        assert before.issuperset(zip(changed.owner, changed.mjd, changed.passband, strict=True))
        if rule != "column":
            zeros = set(zip(range(len(changed)), changed.trigger_mjd, strict=True))
            assert zeros <= set(zip(changed.owner[changed.detected], changed.mjd[changed.detected], strict=True))
        if kind != "mixed" and rule != "second_detection":  # else not all the survey knew is in the light curve
            assert equal_curves(selection.select(changed)[0], changed)


@settings(max_examples=50, deadline=None)
@given(augmentation=augmentations(), day=st.integers(0, 60), seed=st.integers(0, 1000))
def test_an_augmented_light_curve_knows_nothing_of_its_future(augmentation: Augmentation, day: int, seed: int) -> None:
    """Cut at a day after its trigger and selected anew, it has the same time zero and the same network input."""
    selection = Selection(Photometry("forced"))
    curves, _ = selection.select(make_curves(40, seed, BANDS.names))
    changed = augmentation.apply(curves, BANDS, selection, seed)
    cut = until(changed, day)
    again, _ = selection.select(cut)
    assert np.array_equal(again.trigger_mjd, changed.trigger_mjd)
    whole, early = (encode(one, BANDS, encoding_from({"name": "context"})).x for one in (changed, again))
    days = changed.mjd - changed.trigger_mjd[changed.owner]
    assert np.array_equal(whole[days <= day], early[(again.mjd - again.trigger_mjd[again.owner]) <= day])


def test_nothing_chosen_changes_nothing() -> None:
    curves, _ = ALERTS.select(make_curves(50))
    assert not Augmentation().on
    assert equal_curves(apply(curves), curves)


def test_seeds_draw_differently_and_one_option_does_not_move_another() -> None:
    curves = sample(200)
    thinned = apply(curves, thin=[0.5, 0.5])
    assert not np.array_equal(thinned.lengths, apply(curves, thin=[0.5, 0.5], seed=1).lengths)
    assert np.array_equal(thinned.mjd, apply(curves, thin=[0.5, 0.5], zero_point=0.1, error_scale=0.1).mjd)


def test_an_object_that_would_lose_too_much_keeps_all_its_observations() -> None:
    selection = replace(ALERTS, min_observations=3)
    curves = sample(100, days=[0, 1, 2])
    for options in ({"thin": [0.0, 0.5]}, {"nights": [2]}, {"snr": [2000, 2000]}, {"drop_band": 1.0}):
        assert equal_curves(apply(curves, selection, **options), curves), options
    faint = apply(curves, selection, snr=[2000, 2000], zero_point=0.1)  # it is recalibrated all the same
    assert (faint.lengths == 3).all() and not np.array_equal(faint.flux, curves.flux)


@pytest.mark.parametrize("name", FILES)
def test_every_file_builds_and_only_none_is_off(name: str) -> None:
    given_settings = yaml.safe_load((CONF / "augmentation" / f"{name}.yaml").read_text())
    built = augmentation_from(given_settings)
    assert built.on == (name not in ("none", "farther")) and bool(built.farther) == (name == "farther")
    assert {"name", *vars(Augmentation())} - set(given_settings) == {"fainter", "farther"} - {name}


# -- what each option does


def test_thin_keeps_a_share_drawn_per_object() -> None:
    curves = sample(days=np.linspace(0, 60, 400))
    share = kept(curves, apply(curves, thin=[0.3, 0.7]))
    assert share.mean() == pytest.approx(0.5, abs=0.01)
    assert share.std() == pytest.approx(np.sqrt(0.4**2 / 12 + 0.25 / 400), rel=0.05)  # uniform, and binomial noise


def test_time_zero_is_found_again_and_the_window_cut() -> None:
    """Forced photometry from -29 to 69 d with detections from 0 d on, every second of which goes."""
    curves = sample(2000, days=range(-29, 70))
    curves = replace(curves, detected=curves.mjd >= 59000)
    changed = apply(curves, Selection(), thin=[0.5, 0.5])
    delay = changed.trigger_mjd - 59000
    assert [np.mean(delay == k) for k in range(3)] == pytest.approx([1 / 2, 1 / 4, 1 / 8], abs=0.03)
    first = changed.mjd[changed.offsets[:-1]] - changed.trigger_mjd
    assert first.min() > -30 and first.max() > -29
    column = apply(curves, Selection(trigger=Trigger("column")), thin=[0.5, 0.5])
    assert (column.trigger_mjd == 59000).all()


def test_second_detections_are_found_by_the_surveys_rule() -> None:
    curves = sample(2000, days=[0, 0.01, 1, 2, 3])
    rule = Selection(Photometry("detections"), Trigger("second_detection"))
    changed = apply(rule.select(curves)[0], rule, thin=[0.6, 0.9])
    assert set(changed.trigger_mjd - 59000) == {1, 2, 3}


def test_a_first_detection_before_the_window_still_counts() -> None:
    rule = Selection(Photometry("detections"), Trigger("second_detection"))
    raw = sample(500, days=[0, 50, 51, 52, 53])
    curves = rule.select(raw)[0]
    assert set(curves.trigger_mjd - 59000) == {50} and set(curves.lengths) == {4}
    assert set(apply(curves, rule, zero_point=0.1).trigger_mjd - 59000) == {50}
    assert set(apply(curves, rule, thin=[0.5, 0.5]).trigger_mjd - 59000) == {50, 51, 52, 53}


def test_nights_keep_every_kth_night_of_an_object() -> None:
    curves = sample(days=[night + hour for night in (0, 2, 3, 7, 8, 12) for hour in (0.0, 0.05)])
    assert night_of(curves)[:12].tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    changed = apply(curves, nights=[1, 3])
    assert np.mean(changed.lengths == 12) == pytest.approx(0.5, abs=0.03)
    assert set(changed.lengths) == {12, 4}  # two of six nights, both observations of each
    begins = changed.trigger_mjd[changed.lengths == 4] - 59000
    assert [np.mean(begins == day) for day in (0, 2, 3)] == pytest.approx([1 / 3] * 3, abs=0.04)


def test_drop_band_takes_one_of_several_bands() -> None:
    curves = sample(bands=3)
    changed = apply(curves, drop_band=0.3)
    cells = np.bincount(changed.owner * 3 + changed.passband, minlength=3 * len(curves)).reshape(-1, 3)
    bands = (cells > 0).sum(1)
    assert set(bands) == {2, 3} and np.mean(bands == 2) == pytest.approx(0.3, abs=0.03)
    assert (cells[cells > 0] >= 13).all()  # all or nothing of a band
    assert [np.mean(cells[bands == 2, k] == 0) for k in range(3)] == pytest.approx([1 / 3] * 3, abs=0.05)
    alone = sample(100, bands=1)
    assert equal_curves(apply(alone, drop_band=1.0), alone)


def test_zero_point_shifts_flux_and_error_of_an_object_and_band() -> None:
    curves = sample()
    changed = apply(curves, zero_point=0.05)
    shift = -2.5 * np.log10(changed.flux / curves.flux).reshape(-1, 40)
    assert np.allclose(changed.flux_err / curves.flux_err, changed.flux / curves.flux, rtol=1e-5)
    assert np.allclose(shift[:, ::2], shift[:, :1], atol=1e-6) and np.allclose(shift[:, 1::2], shift[:, 1:2], atol=1e-6)
    assert np.std(shift[:, :2]) == pytest.approx(0.05, rel=0.05)
    assert abs(np.corrcoef(shift[:, 0], shift[:, 1])[0, 1]) < 0.1


def test_error_scale_leaves_the_fluxes() -> None:
    curves = sample()
    changed = apply(curves, error_scale=0.3)
    ratio = np.log(changed.flux_err / curves.flux_err).reshape(-1, 40)
    assert np.array_equal(changed.flux, curves.flux) and np.ptp(ratio, axis=1).max() < 1e-6
    assert np.std(ratio[:, 0]) == pytest.approx(0.3, rel=0.05) and abs(ratio[:, 0].mean()) < 0.02


def test_redshift_stretches_times_and_dims_by_the_distance() -> None:
    curves = sample(flux=1e6, redshift=np.full(3000, 0.5))
    changed = apply(curves, redshift=[0.95, 1.1])
    days = (changed.mjd - 59000).reshape(-1, 40)
    stretch = days[:, 1]
    assert np.allclose(days, stretch[:, None] * np.arange(40), atol=1e-6)
    assert stretch.min() > 0.95 and stretch.max() < 1.1 and stretch.mean() == pytest.approx(1.025, abs=0.003)
    assert np.allclose((1 + changed.redshift) / 1.5, stretch)
    expected = (luminosity_distance(np.array(0.5)) / luminosity_distance(changed.redshift)) ** 2
    assert np.allclose(changed.flux.reshape(-1, 40) / 1e6, expected[:, None], rtol=1e-4)


def test_luminosity_distances_are_those_of_a_flat_universe() -> None:
    from astropy.cosmology import FlatLambdaCDM

    redshift = np.array([0.003, 0.05, 0.5, 1.0, 3.0])
    expected = FlatLambdaCDM(H0=70, Om0=0.3, Tcmb0=0).luminosity_distance(redshift).value / (299792.458 / 70)
    assert luminosity_distance(redshift) == pytest.approx(expected, rel=1e-4)


def test_near_objects_are_moved_by_at_most_a_factor_of_two_and_unknown_redshifts_do_not_dim() -> None:
    redshift = np.tile([0.01, 0.05, np.nan, -9.0], 750)
    curves = sample(redshift=redshift, flux=1e6)
    changed = apply(curves, redshift=[0.9, 1.1])
    near = redshift > 0
    assert (changed.redshift[near] >= redshift[near] / 2).all() and (changed.redshift[near] <= 2 * redshift[near]).all()
    assert np.std(changed.redshift[redshift == 0.01]) > 0.002
    unknown = ~near[changed.owner]
    assert (changed.flux[unknown] == 1e6).all() and np.array_equal(
        changed.redshift[~near], redshift[~near], equal_nan=True
    )
    assert np.ptp(changed.mjd[changed.offsets[1:] - 1][~near]) > 5  # but all are stretched


def test_what_leaves_the_window_is_cut() -> None:
    curves = sample(200, days=range(70), redshift=np.full(200, 0.5))
    changed = apply(curves, redshift=[1.25, 1.25])
    assert (changed.lengths == 56).all()  # 56 * 1.25 = 70


def test_extinction_follows_the_dust_law() -> None:
    curves = sample(flux=1e6)
    changed = apply(curves, extinction=0.3)
    loss = -2.5 * np.log10(changed.flux.astype(float) / 1e6).reshape(-1, 40)
    blue, red = -2.5 * np.log10(transmission(np.array([0.4746, 0.6366]), 1.0))
    assert (loss > -1e-4).all() and np.allclose(loss[:, 1], loss[:, 0] * red / blue, atol=1e-4)
    assert (loss[:, 0] / blue).mean() == pytest.approx(0.3, rel=0.06)
    assert (loss[:, 0] / blue).std() == pytest.approx(0.3, rel=0.1)  # exponential


def test_fainter_objects_are_fainter_in_every_passband_alike() -> None:
    curves = sample(flux=1e6)
    changed = apply(curves, fainter=[0.5, 1.5])
    loss = -2.5 * np.log10(changed.flux.astype(float) / 1e6).reshape(-1, 40)
    assert np.ptp(loss, axis=1).max() < 1e-3
    assert loss.min() > 0.49 and loss.max() < 1.51 and loss.mean() == pytest.approx(1.0, abs=0.02)
    noisy = apply(sample(3000, flux=20.0), Selection(), fainter=[1.0, 1.0])
    noise = noisy.flux - np.float32(20.0 * 10**-0.4)
    assert np.std(noise) == pytest.approx(np.sqrt(1 - 10**-0.8) * noisy.flux_err[0], rel=0.02)


def test_dimming_leaves_the_noise_of_the_sky_and_brightening_cannot_take_it_out() -> None:
    rng = np.random.default_rng(0)
    curves = sample(redshift=np.full(3000, 0.5), error=100.0)
    curves = replace(curves, flux=(curves.flux + 100 * rng.standard_normal(len(curves.flux))).astype(np.float32))
    for factors, ratio in (([1.1, 1.1], 1.0), ([0.9, 0.9], None)):
        changed = apply(curves, Selection(), redshift=factors)
        dimming = (luminosity_distance(np.array(0.5)) / luminosity_distance(changed.redshift[0])) ** 2
        assert np.mean(changed.flux) == pytest.approx(1000 * dimming, rel=0.01)
        assert np.std(changed.flux) == pytest.approx(float(changed.flux_err[0]), rel=0.02)
        assert changed.flux_err[0] == pytest.approx(100 * (ratio or dimming))


def test_what_dimming_hides_is_not_detected_any_more() -> None:
    rng = np.random.default_rng(1)
    curves = sample(500, flux=1.0)
    flux = rng.uniform(5, 20, len(curves.flux)).astype(np.float32)
    curves = replace(curves, flux=flux)  # all above 5 sigma
    alerts, forced = (apply(curves, selection, extinction=1.0) for selection in (ALERTS, Selection()))
    assert alerts.detected.all() and alerts.flux.min() > 4.9 and alerts.lengths.sum() < 0.8 * len(flux)
    assert not forced.detected.all() and (forced.flux[forced.detected] > 4.9).all() and forced.flux.min() < 3


def test_snr_drops_what_is_below_a_threshold_of_the_object() -> None:
    curves = sample(1000, days=np.linspace(0, 60, 200))
    flux = np.tile(np.linspace(0.1, 20, 200), 1000).astype(np.float32)
    changed = apply(replace(curves, flux=flux), snr=[5, 10])
    faintest = np.minimum.reduceat(changed.flux, changed.offsets[:-1])
    assert faintest.min() >= 5 and faintest.max() <= 10.1 and faintest.mean() == pytest.approx(7.55, abs=0.15)


def test_a_share_of_the_hosts_is_not_known_and_nothing_else_changes() -> None:
    hosts = {"host_photoz": np.full(3000, 0.3), "host_photoz_err": np.full(3000, 0.02)}
    curves = sample(3000, **hosts)
    changed = apply(curves, drop_host=0.4)
    lost = np.isnan(changed.host_photoz)
    assert lost.mean() == pytest.approx(0.4, abs=0.04) and np.array_equal(lost, np.isnan(changed.host_photoz_err))
    assert (changed.host_photoz[~lost] == 0.3).all() and np.array_equal(changed.flux, curves.flux)
    assert np.array_equal(changed.mjd, curves.mjd) and np.array_equal(changed.trigger_mjd, curves.trigger_mjd)
    both = apply(curves, drop_host=0.4, drop_band=0.5)
    assert np.array_equal(both.mjd, apply(curves, drop_band=0.5).mjd)  # one option does not move another
    assert np.array_equal(np.isnan(both.host_photoz), lost)


def test_the_redshift_of_the_host_moves_with_the_object() -> None:
    curves = sample(
        500, flux=1e6, redshift=np.full(500, 0.5), host_photoz=np.full(500, 0.5), host_photoz_err=np.full(500, 0.03)
    )
    changed = apply(curves, redshift=[0.95, 1.1])
    assert np.allclose(changed.host_photoz, changed.redshift)
    assert np.allclose(changed.host_photoz_err / (1 + changed.redshift), 0.02)


MISTAKES = {
    r"thin is \[0.5\]: give \[low, high\] between 0 and 1, or null": {"thin": [0.5]},
    r"thin is \[0.9, 0.5\]": {"thin": [0.9, 0.5]},
    r"redshift is \[0.5, 1.0\]: give \[low, high\] between 0.8 and 1.25": {"redshift": [0.5, 1.0]},
    r"nights is \[0, 1\]: give whole numbers from 1": {"nights": [0, 1]},
    r"nights is \[\]": {"nights": []},
    r"nights is 2: give a list": {"nights": 2},
    r"snr is 5: give a list": {"snr": 5},
    r"fainter is \[-1.0, 1.0\]: give \[low, high\] between 0": {"fainter": [-1.0, 1.0]},
    r"drop_band is 2.*0 to 1": {"drop_band": 2},
    r"drop_host is -1.*0 to 1": {"drop_host": -1},
    r"extinction is -1.*0 \(off\)": {"extinction": -1},
    r"augmentation: unknown option thinn.*known are thin, nights": {"thinn": 1},
}


@pytest.mark.parametrize("message", MISTAKES)
def test_mistakes_are_one_sentence(message: str) -> None:
    with pytest.raises(ValueError, match=message):
        augmentation_from({"name": "x", **MISTAKES[message]})


def test_a_name_in_place_of_the_options_is_answered_with_the_right_word() -> None:
    with pytest.raises(ValueError, match=r"augmentation is 'alerts': .* augmentation@pretrain.augmentation=NAME"):
        augmentation_from("alerts")  # type: ignore[arg-type]


def test_what_is_no_redshift_is_unknown() -> None:
    wrong = np.array([999.0, np.inf, -9.0, 0.0])
    changed = apply(sample(4, redshift=wrong), redshift=[1.1, 1.1])
    unknown = apply(sample(4), redshift=[1.1, 1.1])
    assert np.array_equal(changed.redshift, wrong)
    assert np.array_equal(changed.flux, unknown.flux) and np.array_equal(changed.mjd, unknown.mjd)
