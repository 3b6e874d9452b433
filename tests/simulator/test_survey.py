"""What a simulated survey promises: the same bytes, honest noise, its trigger and its selection."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable
from dataclasses import fields, replace

import numpy as np
import pytest

from tlclass.lightcurves.curves import LightCurves, check
from tlclass.simulate import load_simulation
from tlclass.simulator import Observatory, Simulation
from tlclass.simulator.chunks import CHUNK
from tlclass.simulator.instrument import Visits, flux_of
from tlclass.simulator.survey import second_detection

SURVEYS = ("ztf_simulated", "lsst_simulated", "bts_simulated")
PERFECT = (
    "error_floor=0", "zero_point_scatter=0", "error_scale=1", "error_jitter=0", "outlier_fraction=0",
    "baseline_offset=0", "reference_light=0", "forced_fraction=1",
)  # fmt: skip


@pytest.fixture(scope="module", params=SURVEYS)
def curves(request: pytest.FixtureRequest) -> LightCurves:
    """120 light curves of one survey."""
    return load_simulation(request.param, ["n_objects=120"]).read()


def same_bytes(a: LightCurves, b: LightCurves) -> bool:
    """Whether every column is equal byte by byte."""
    names = [f.name for f in fields(a) if f.name not in ("passbands", "extra", "dropped")]
    pairs = [(getattr(a, name), getattr(b, name)) for name in names]
    pairs += [(a.extra[name], b.extra[name]) for name in a.extra]
    return a.extra.keys() == b.extra.keys() and all(x.tobytes() == y.tobytes() for x, y in pairs)


def test_same_seed_same_bytes_for_any_number_of_processes(small: Simulation, forked_pools: None) -> None:
    first = small.read()
    assert same_bytes(first, small.read())
    assert same_bytes(first, replace(small, n_jobs=2).read())
    again = pickle.loads(pickle.dumps(Observatory(small)))  # what a spawned process gets, where these are forked
    assert same_bytes(again.observe("SNIa", 0), Observatory(small).observe("SNIa", 0))
    assert not same_bytes(first, replace(small, seed=small.seed + 1).read())


def test_larger_set_starts_with_the_smaller_ones_objects(small: Simulation) -> None:
    few, many = small.read(), replace(small, n_objects=1500).read()
    assert many.object_id.size == 1500
    for name in small.shares():
        part = many.take(np.flatnonzero(many.label == name)[: np.sum(few.label == name)])
        assert same_bytes(few.take(few.label == name), part)


def test_counts_follow_the_mix(small: Simulation) -> None:
    assert small.counts() == {"SNIa": 30, "SNII": 10}
    assert load_simulation("bts_simulated").counts() == {
        "SNIa": 4419, "SNIa-91bg": 93, "SNIax": 116, "SNIb": 135, "SNIc": 129, "SNIc-BL": 75, "SNII": 848,
        "SNIIn": 206, "SNIIb": 158, "TDE": 22, "SLSN-I": 46,
    }  # fmt: skip
    for survey, total in zip(SURVEYS, (118978, 366652, 6247), strict=True):
        assert sum(load_simulation(survey, ["n_objects=null"]).counts().values()) == total


def test_cache_key_states_every_setting_but_the_processes(small: Simulation) -> None:
    assert repr(replace(small, n_jobs=2)) == repr(small)
    plain = repr(load_simulation("ztf_simulated"))
    for change in ("seed=5", "systematics.error_floor=0.5", "population.classes.SNIa.dust.mean=0.7", "keep=[-9,9]"):
        assert repr(load_simulation("ztf_simulated", [change])) != plain


def test_columns_are_sound(curves: LightCurves) -> None:
    check(curves, "simulated")
    assert curves.object_id[0].split("-")[0] in SURVEYS
    assert {"peak_abs_mag", "host_av", "days_trigger_to_peak"} <= set(curves.extra)
    for column in (curves.redshift, curves.mwebv, curves.trigger_mjd):
        assert np.isfinite(column).all()


def test_trigger_is_the_second_detection(curves: LightCurves) -> None:
    days = curves.mjd - curves.trigger_mjd[curves.owner]
    assert days.min() >= -60 and days.max() <= 100
    at_trigger = days == 0
    np.testing.assert_array_equal(np.unique(curves.owner[at_trigger]), np.arange(curves.object_id.size))
    assert curves.detected[at_trigger].all()
    if curves.object_id[0].startswith("lsst"):
        return  # keep[0] may hide the first detection of slow objects
    explosive = curves.label != "AGN"
    before = curves.detected & (days < -0.0208) & explosive[curves.owner]
    assert (np.bincount(curves.owner[before], minlength=explosive.size)[explosive] >= 1).mean() > 0.9


def test_five_epochs_in_the_window(curves: LightCurves) -> None:
    days = curves.mjd - curves.trigger_mjd[curves.owner]
    inside = (days > -30) & (days < 70)
    assert np.bincount(curves.owner[inside], minlength=curves.object_id.size).min() >= 5


def test_detected_is_the_signal_to_noise_rule(curves: LightCurves) -> None:
    np.testing.assert_array_equal(curves.detected, curves.flux > np.float32(5) * curves.flux_err)


def test_bright_survey_holds_bright_objects() -> None:
    curves = load_simulation("bts_simulated", ["n_objects=120"]).read()
    peak = np.maximum.reduceat(np.where(curves.detected, curves.flux, 0), curves.offsets[:-1])
    assert (peak > flux_of(18.5)).all()


def test_trigger_may_be_required_before_peak() -> None:
    changes = ["n_objects=60", "classes=[SNII, SLSN-I]", "limits.peak_lead=3"]
    assert load_simulation("ztf_simulated", changes).read().extra["days_trigger_to_peak"].min() >= 3


def test_half_the_bright_survey_has_no_forced_photometry() -> None:
    curves = load_simulation("bts_simulated", ["n_objects=400", "classes=[SNIa]"]).read()
    weakest = np.minimum.reduceat(curves.flux / curves.flux_err, curves.offsets[:-1])
    assert 0.4 < (weakest >= 3).mean() < 0.75
    cut = load_simulation("bts_simulated", ["n_objects=50", "classes=[SNIa]", "systematics.forced_fraction=0"]).read()
    assert (cut.flux / cut.flux_err >= 2.99).all()


def visits_of(survey: Observatory, objects: np.ndarray, visit: np.ndarray, flux: np.ndarray) -> Visits:
    """These visits of the survey's pool, of objects with these true fluxes."""
    pool = survey.pool
    return Visits(objects, pool.band[visit], pool.depth[visit], pool.mjd[visit], np.zeros(visit.size), flux)


def pulls(changes: tuple[str, ...], magnitude: float, snr: float = 0.0) -> np.ndarray:
    """(observed - true) / quoted error of a constant source in the ZTF-like survey."""
    overrides = [f"systematics.{change}" for change in (*PERFECT, *changes)]
    survey = Observatory(load_simulation("ztf_simulated", overrides))
    rng = np.random.default_rng(2)
    visit = rng.integers(survey.pool.mjd.size, size=50_000)
    objects = np.sort(rng.integers(CHUNK, size=visit.size))
    visits = visits_of(survey, objects, visit, np.full(visit.size, flux_of(magnitude), np.float32))
    flux, _, error = survey.instrument.measure(visits, rng)
    return (flux - visits.flux) / error


@pytest.mark.parametrize(("changes", "rms"), [((), 1.0), (("error_scale=1.2",), 1.2)])
@pytest.mark.parametrize("magnitude", [17.0, 22.0])
def test_pulls(changes: tuple[str, ...], rms: float, magnitude: float) -> None:
    pull = pulls(changes, magnitude)
    assert abs(pull.mean()) < 0.02
    assert pull.std() == pytest.approx(rms, abs=0.015)


@pytest.mark.parametrize(
    "change", ["outlier_fraction=0.1", "baseline_offset=1", "zero_point_scatter=0.1", "error_jitter=0.5"]
)
def test_systematics_break_the_pulls(change: str) -> None:
    assert pulls((change,), 17.0).std() > 1.1


@pytest.mark.parametrize(
    ("change", "spread"),
    [("error_spread=0.5", "error"), ("noise_spread=0.5", "noise"), ("error_jitter=[0.1,0.5]", "jitter")],
)
def test_objects_differ_in_errors_and_noise(change: str, spread: str) -> None:
    survey = Observatory(load_simulation("ztf_simulated", [f"systematics.{c}" for c in (*PERFECT, change)]))
    rng = np.random.default_rng(2)
    visit = np.tile(np.flatnonzero(survey.pool.band == 0)[:60], 400)
    objects = np.repeat(np.arange(400), 60)
    visits = visits_of(survey, objects, visit, np.zeros(visit.size, np.float32))
    flux, _, error = survey.instrument.measure(visits, rng)
    depth = np.log(error).reshape(400, 60) - np.log(error).reshape(400, 60).mean(axis=0)
    found = {"error": depth.mean(axis=1).std(), "noise": np.log((flux / error).reshape(400, 60).std(axis=1)).std()}
    found["jitter"] = (depth - depth.mean(axis=1, keepdims=True)).std(axis=1).std()
    usual = {"error": 0.1, "noise": 0.15, "jitter": 0.06}
    assert [name for name in usual if found[name] > usual[name]] == [spread]


def test_threshold_of_each_object_lies_in_its_range() -> None:
    changes = ["n_objects=200", "classes=[SNIa]", "trigger.snr=[4,6]", "systematics.error_jitter=0.3"]
    quoted = load_simulation("ztf_simulated", changes).read()
    snr = np.where(quoted.detected, quoted.flux / quoted.flux_err, np.inf)
    weakest = np.minimum.reduceat(snr, quoted.offsets[:-1])
    assert weakest.min() >= 4 and 0.05 < (weakest > 5).mean() < 0.95
    filtered = load_simulation("ztf_simulated", [*changes, "trigger.filtered=true"]).read()
    assert (filtered.flux / filtered.flux_err)[filtered.detected].min() < 3.5  # the quoted error may be large there
    with pytest.raises(ValueError, match=r"trigger\.snr is \[4, 5, 6\]: .*2 numbers"):
        load_simulation("ztf_simulated", ["trigger.snr=[4,5,6]"])


def test_lost_epochs_and_light_after_peak() -> None:
    def curves(*changes: str) -> LightCurves:
        return load_simulation("ztf_simulated", ["n_objects=200", "classes=[SNIa]", *changes]).read()

    complete, cut = curves(), curves("systematics.lost=[0.4,0.6]")
    assert cut.mjd.size / complete.mjd.size == pytest.approx(0.5, abs=0.08)
    late = curves("limits.peak_trail=5")
    days = late.mjd - (late.trigger_mjd + late.extra["days_trigger_to_peak"])[late.owner]
    assert np.maximum.reduceat(np.where(late.detected, days, -np.inf), late.offsets[:-1]).min() > 5


def test_depth_is_where_half_the_epochs_are_detected(observatory: Callable[[str], Observatory]) -> None:
    survey = observatory("lsst_simulated")
    rng = np.random.default_rng(4)
    visit = rng.integers(survey.pool.mjd.size, size=50_000)
    true = flux_of(survey.pool.depth[visit]).astype(np.float32)
    visits = visits_of(survey, np.sort(rng.integers(CHUNK, size=visit.size)), visit, true)
    flux, _, error = survey.instrument.measure(visits, rng)
    assert (flux > 5 * error).mean() == pytest.approx(0.5, abs=0.06)  # the source's own photons cost a little


def test_second_detection_needs_its_gap() -> None:
    objects = np.array([0, 0, 0, 1, 2, 2])
    mjd = np.array([10.0, 10.01, 12.0, 5.0, 7.0, 7.5])
    np.testing.assert_array_equal(second_detection(objects, mjd, 0.02, 4), [12.0, np.nan, 7.5, np.nan])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("mix.SNIa=-1", "mix.SNIa is -1"),
        ("classes=[SNIa, KN]", "classes names KN"),
        ("n_objects=0", "n_objects is 0: choose 1 or more"),
        ("n_objects=many", "whole number"),
        ("n_jobs=0", "n_jobs is 0: choose 1 or more"),
        ("systematics.error_floor=low", "systematics.error_floor is low: give a number"),
    ],
)
def test_mistakes_are_named(override: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        load_simulation("ztf_simulated", [override])


def test_mix_is_checked(small: Simulation) -> None:
    with pytest.raises(ValueError, match="class 'KN' is not in the population"):
        replace(small, mix={"SNIa": 1, "KN": 1}, classes=None)
    with pytest.raises(ValueError, match="mix is SNIa: 0"):
        replace(small, mix={"SNIa": 0}, classes=None)


def test_impossible_survey_says_so() -> None:
    simulation = load_simulation("ztf_simulated", ["n_objects=5", "classes=[SNIa]", "limits.peak_magnitude=5"])
    with pytest.raises(ValueError, match=r"none of \d+ .*mix\.SNIa=0"):
        simulation.read()
