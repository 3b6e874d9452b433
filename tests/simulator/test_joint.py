"""One sky observed by two surveys: the same objects, each survey with its own observations."""

from dataclasses import replace

import numpy as np
import pytest

from tests.conftest import compose
from tlclass.experiments.cards import build_survey
from tlclass.lightcurves.curves import LightCurves, check
from tlclass.simulate import load_simulation, main
from tlclass.simulator import JointSimulation
from tlclass.simulator.joint import Observatories
from tlclass.simulator.objects import Seen

WORDS = ["surveys.ztf.n_objects=30", "surveys.ztf.classes=[SNIa]"]


@pytest.fixture(scope="module")
def simulation() -> JointSimulation:
    made = load_simulation("joint_simulated", WORDS)
    assert isinstance(made, JointSimulation)
    return made


@pytest.fixture(scope="module")
def observatories(simulation: JointSimulation) -> Observatories:
    return Observatories(simulation.surveys)


@pytest.fixture(scope="module")
def curves(simulation: JointSimulation) -> LightCurves:
    return simulation.read()


def test_both_surveys_look_at_the_same_objects(observatories: Observatories) -> None:
    seen: dict[str, Seen] = observatories.look("SNIa", 0)
    ztf, lsst = seen["ztf"], seen["lsst"]
    assert np.isfinite(ztf.columns["host_photoz"]).all()  # as the survey that states hosts has them
    for name in ("redshift", "mwebv", "host_av", "peak_abs_mag", "host_photoz", "host_photoz_err"):
        assert np.array_equal(ztf.columns[name], lsst.columns[name])
    peak = [one.columns["trigger_mjd"] + one.columns["days_trigger_to_peak"] for one in (ztf, lsst)]
    known = np.isfinite(peak[0]) & np.isfinite(peak[1])
    assert known.sum() > 20 and np.allclose(peak[0][known], peak[1][known])
    assert not np.array_equal(ztf.columns["trigger_mjd"][known], lsst.columns["trigger_mjd"][known])
    assert (
        ztf.accepted.sum() != lsst.accepted.sum()
        and (ztf.accepted & ~lsst.accepted).any()
        and (lsst.accepted & ~ztf.accepted).any()
    )


def test_an_object_enters_if_one_survey_accepts_it_with_what_all_observe(observatories: Observatories) -> None:
    ztf, lsst = observatories.look("SNIa", 0).values()
    together = observatories.observe("SNIa", 0)
    chosen = ztf.accepted | lsst.accepted
    parts = [
        seen.of(chosen, tuple(observatory.simulation.bands))
        for seen, observatory in zip((ztf, lsst), observatories.each.values(), strict=True)
    ]
    assert np.array_equal(together.lengths, parts[0].lengths + parts[1].lengths)
    assert (together.lengths > 0).all() and len(together.mjd) == together.lengths.sum()
    assert np.array_equal(together.extra["seen by ztf"], parts[0].lengths > 0)
    assert np.allclose(np.sort(together.flux), np.sort(np.concatenate([part.flux for part in parts])))
    assert (together.passband[np.isin(together.mjd, parts[1].mjd)] >= 2).all()  # g and r of ZTF come first
    assert np.array_equal(together.trigger_mjd, np.nanmin([part.trigger_mjd for part in parts], axis=0))


def test_light_curves_are_in_order_of_time_and_say_who_observes(
    curves: LightCurves, simulation: JointSimulation
) -> None:
    check(curves, "t")
    assert len(curves) == 30 and curves.passbands == (
        "ztfg",
        "ztfr",
        "lsstu",
        "lsstg",
        "lsstr",
        "lssti",
        "lsstz",
        "lssty",
    )
    of_ztf = curves.passband < 2
    for surveys, has in (("ztf", [True, False]), ("lsst", [False, True]), ("ztf+lsst", [True, True])):
        for number in np.flatnonzero(curves.extra["seen_by"] == surveys):
            own = of_ztf[curves.offsets[number] : curves.offsets[number + 1]]
            assert [own.any(), (~own).any()] == has
    assert {"ztf+lsst"} < set(curves.extra["seen_by"].tolist())
    again = simulation.read()
    assert np.array_equal(again.flux, curves.flux) and np.array_equal(again.object_id, curves.object_id)


def test_a_survey_of_another_sky_is_refused(simulation: JointSimulation) -> None:
    ztf, lsst = simulation.surveys["ztf"], simulation.surveys["lsst"]
    others = [
        (replace(lsst, seed=1), "seed"),
        (replace(lsst, mix={"SNIa": 1.0}), "mix"),
        (replace(lsst, limits=replace(lsst.limits, magnitude=24.0)), r"limits\.magnitude"),
    ]
    for other, said in others:
        with pytest.raises(ValueError, match=f"ztf and lsst observe one sky, but differ in {said}"):
            JointSimulation("t", {"ztf": ztf, "lsst": other})


def test_the_card_hands_the_sky_on_and_refuses_what_is_not_simulated() -> None:
    target = compose(["target=joint_simulated", "target.surveys.ztf.seed=5", "target.surveys.ztf.n_objects=7"])[
        "target"
    ]
    survey = build_survey(target)
    reader = survey.reader  # type: ignore[union-attr]
    assert [one.seed for one in reader.surveys.values()] == [5, 5] and reader.seed == 5 and survey.simulated
    real = compose(["target=ztf_alerts"])["target"]
    with pytest.raises(ValueError, match="ztf is not simulated here"):
        build_survey({**target, "surveys": {**target["surveys"], "ztf": real}})


def test_simulate_writes_all_passbands(tmp_path, capsys: pytest.CaptureFixture[str]) -> None:  # type: ignore[no-untyped-def]
    main(["survey=joint_simulated", *WORDS, "-o", str(tmp_path / "joint.parquet")])
    assert "30 simulated light curves" in capsys.readouterr().out
