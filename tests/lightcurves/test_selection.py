import logging
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.conftest import equal_curves
from tlclass.lightcurves.curves import LightCurves, from_columns
from tlclass.lightcurves.cuts import log_cuts, merge_cuts
from tlclass.lightcurves.selection import (
    PHOTOMETRY_KINDS,
    JointPhotometry,
    Photometry,
    Selection,
    Trigger,
    alerts_alone,
)

MINUTE = 1 / 1440
SURVEYS = {"a": ["ztfg"], "b": ["ztfr"]}
PHOTOMETRY = {kind: Photometry(kind, snr=[3, 8]) for kind in PHOTOMETRY_KINDS} | {
    "joint": JointPhotometry({"a": Photometry("detections"), "b": Photometry()}, SURVEYS),
    "shares": JointPhotometry({"a": Photometry("any"), "b": Photometry()}, SURVEYS, {"a": 0.5, "a+b": 0.5}),
}


def survey(rows: dict[str, list[tuple[float, float, bool]]], **objects: Any) -> LightCurves:
    """Light curves from `{object: [(mjd, flux, detected)]}`, flux error 1."""
    flat = [(name, *row) for name, observations in rows.items() for row in observations]
    names, mjd, flux, detected = (np.array(column) for column in zip(*flat, strict=True))
    columns = {
        "object_id": names,
        "mjd": mjd,
        "passband": np.zeros(len(mjd), int),
        "flux": flux,
        "flux_err": np.ones(len(mjd)),
        "detected": detected,
    }
    return from_columns({"object_id": np.array(list(rows)), **objects}, columns, ("ztfg",), "t")


@pytest.mark.parametrize(("rule", "zero"), [("column", 7.0), ("first_detection", 2.0), ("second_detection", 3.0)])
def test_trigger_rules(rule: str, zero: float) -> None:
    curves = survey(
        {"a": [(1, 9, False), (2, 9, True), (2 + 20 * MINUTE, 9, True), (3, 9, True)]}, trigger_mjd=np.array([7.0])
    )
    assert Trigger(rule).time_zero(curves).tolist() == [zero]


def test_the_second_detection_must_be_more_than_the_gap_later() -> None:
    curves = survey({"a": [(2, 9, True), (2.5, 9, True)]})
    assert np.isnan(Trigger("second_detection", gap_days=0.5).time_zero(curves))
    assert Trigger("second_detection", gap_days=0.49).time_zero(curves) == [2.5]


def test_time_zero_moves_on_where_a_window_passes_with_too_little() -> None:
    event = [(k, 9, True) for k in range(0, 12, 3)]
    early = {
        "nothing": [], "alone": [(-500, 9, True)], "forced": [(-500, 9, True), *((-499 + k, 0, False) for k in range(9))],
        "twice": [(-500, 9, True), (-499, 9, True)], "thrice": [(-900, 9, True), (-500, 9, True), (-499, 9, True)],
    }  # fmt: skip
    curves = survey(
        {name: [*rows, *event] for name, rows in early.items()} | {"quiet": [(0, 9, True), (100, 1, False)]}
    )
    assert not Selection(min_observations=3).moved_on(curves).any()
    assert Selection().moved_on(curves).tolist() == [0, 0, 0, -500, -500, 0]
    later = Selection(trigger=Trigger("second_detection"), min_observations=3).moved_on(curves)
    assert later[:3].tolist() == [3, 0, 0] and later[3] == 3 and np.isnan(later[5])
    assert Selection(min_observations=3).select(curves)[0].object_id.tolist() == ["nothing", "forced"], "in training"


@pytest.mark.parametrize("seed", range(4))
def test_what_comes_later_moves_no_time_zero_that_has_passed(seed: int) -> None:
    generator, rule = np.random.default_rng(seed), Selection(min_observations=3)
    times = {f"o{k}": np.sort(generator.uniform(0, 900, 12)) for k in range(20)}
    curves = survey({name: [(t, 9, generator.random() < 0.6) for t in each] for name, each in times.items()})
    zero = rule.moved_on(curves)
    assert (zero > rule.trigger.time_zero(curves)).any()
    for wait in (0.0, 5.0, 40.0, 200.0):
        known = curves.keep(curves.mjd <= (zero + wait)[curves.owner])
        assert wait > 70 or np.array_equal(rule.moved_on(known), zero, equal_nan=True)
        assert (rule.moved_on(known) <= zero)[np.isfinite(zero)].all()


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ("column", "the time of a trigger"),
        ("first_detection", "a detection"),
        ("second_detection", "a second detection"),
    ],
)
def test_objects_that_never_trigger_are_dropped_and_counted(
    rule: str, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    curves = survey(
        {"seen": [(1, 9, True), (2, 9, True)], "unseen": [(1, 9, False)]}, trigger_mjd=np.array([1.0, np.nan])
    )
    selected = Selection(trigger=Trigger(rule)).apply(curves, "survey")
    assert selected.object_id.tolist() == ["seen"]
    assert f"survey: dropped 1 of 2 objects without {why}, e.g. unseen" in caplog.text


def test_any_photometry_keeps_what_an_object_has() -> None:
    curves = survey({"alerts": [(1, 9, True), (2, 4, True)], "forced": [(0, -2, False), (1, 9, True), (2, 0, False)]})
    assert equal_curves(Photometry("any").apply(curves), curves)
    negative = survey({"alerts": [(0, -9, False), (1, 9, True), (2, -4, False), (3, 9, True)]})
    assert Photometry("any").apply(negative).mjd.tolist() == [1, 3]  # alerts of a negative difference
    assert Photometry("any", snr=8).apply(curves).detected.tolist() == [True, False, False, True, False]


def test_the_window_is_exclusive() -> None:
    curves = survey({"a": [(-30, 1, False), (-29.99, 2, False), (0, 3, True), (69.99, 4, False), (70, 5, False)]})
    assert Selection().apply(curves, "t").flux.tolist() == [2, 3, 4]


def test_the_cap_keeps_the_earliest(caplog: pytest.LogCaptureFixture) -> None:
    curves = survey({"a": [(t, t, True) for t in range(10)], "b": [(t, 20 + t, True) for t in range(2)]})
    rule = Selection(max_observations=3)
    assert rule.apply(curves, "t").flux.tolist() == [0, 1, 2, 20, 21]
    assert "t: dropped 7 observations beyond the first 3 of their object (max_observations)" in caplog.text
    cuts = [rule.select(curves.take(np.array([one])))[1] for one in (0, 1, 0)]
    assert sum(cut.observations for cut in merge_cuts(cuts)) == 14


def test_cuts_of_many_sets_hold_a_count_and_a_few_names(curves: LightCurves, caplog: pytest.LogCaptureFixture) -> None:
    cuts = Selection(min_observations=10_000).select(curves)[1]
    together = cuts
    for _ in range(4):
        together = merge_cuts([together, cuts])
    assert [len(cut) for cut in together] == [5 * len(cut) for cut in cuts] and len(curves) > 3
    assert all(len(cut.object_id) == len(cut.label) <= 3 for cut in together)
    assert log_cuts(5 * len(curves), together, "survey") == 0
    assert f"e.g. {', '.join(curves.object_id[:3])}" in caplog.text


@pytest.mark.parametrize("kind", PHOTOMETRY)
@pytest.mark.parametrize("search", [None, (-10, 60)])
def test_every_observation_is_kept_or_counted(
    kind: str, search: Any, curves: LightCurves, caplog: pytest.LogCaptureFixture
) -> None:
    selection = Selection(PHOTOMETRY[kind], Trigger(search=search), (-10, 30), max_observations=6)
    mine = replace(curves, trigger_mjd=curves.mjd[curves.offsets[:-1]] + 5)
    whole = mine.take(np.isin(mine.object_id, selection.select(mine)[0].object_id))
    selected, cuts = selection.select(whole)
    lost = {cut.reason: cut.observations for cut in cuts if cut.observations}
    assert len(selected) == len(whole) > 10 and sum(lost.values()) == len(whole.mjd) - len(selected.mjd)
    assert len(lost) == 2 + (search is not None) + (kind != "forced")  # window and cap, search, photometry
    parts = [selection.select(whole.take([number]))[1] for number in range(len(whole))]
    assert {cut.reason: cut.observations for cut in merge_cuts(parts) if cut.observations} == lost
    with caplog.at_level(logging.INFO):
        log_cuts(len(whole), cuts, "survey")
    assert all(f"{count} observations {reason}" in caplog.text for reason, count in lost.items())
    assert all("max_observations" in each.message for each in caplog.records if each.levelno >= logging.WARNING)


def test_search_hides_what_lies_far_from_the_survey_trigger() -> None:
    rows = [(10.0, 1, True), (100.0, 2, True), (110.0, 3, True), (400.0, 4, True)]
    curves = survey({"a": rows, "b": rows}, trigger_mjd=np.array([100.0, np.nan]))
    selected = Selection(trigger=Trigger(search=(-30, 70))).apply(curves, "t")
    assert selected.trigger_mjd.tolist() == [100.0, 10.0]  # where the column is unknown all count
    assert selected.take(np.array([0])).flux.tolist() == [2, 3]


def test_photometry_kinds(curves: LightCurves) -> None:
    assert equal_curves(Photometry("forced").apply(curves), curves)
    detections = Photometry("detections").apply(curves)
    assert detections.detected.all() and len(detections.mjd) == curves.detected.sum()
    mixed = Photometry("mixed", forced_fraction=0.5).apply(curves)
    whole = np.array([equal_curves(mixed.take([i]), curves.take([i])) for i in range(len(curves))])
    cut = np.array([equal_curves(mixed.take([i]), detections.take([i])) for i in range(len(curves))])
    assert (whole | cut).all() and not whole.all() and not cut.all()
    assert equal_curves(mixed, Photometry("mixed", forced_fraction=0.5).apply(curves))  # the draw is seeded


def test_a_threshold_redefines_detections(curves: LightCurves) -> None:
    detected = Photometry("forced", snr=5).apply(curves).detected
    assert np.array_equal(detected, curves.flux > 5 * curves.flux_err)
    drawn = Photometry("forced", snr=[4, 6]).apply(curves).detected
    assert (drawn >= (curves.flux > 6 * curves.flux_err)).all() and (drawn <= (curves.flux > 4 * curves.flux_err)).all()


def test_photometry_of_an_object_does_not_look_at_its_future(curves: LightCurves) -> None:
    rank = np.arange(len(curves.mjd)) - curves.offsets[curves.owner]
    for kind in ("forced", "detections", "mixed"):
        photometry = Photometry(kind, snr=[3, 8])
        early = photometry.apply(curves.keep(rank < 5))
        late = photometry.apply(curves)
        first = early.lengths
        position = np.arange(len(late.mjd)) - late.offsets[late.owner]
        assert equal_curves(late.keep(position < first[late.owner]), early)


@pytest.mark.parametrize("kind", PHOTOMETRY_KINDS)
def test_the_draws_belong_to_the_object_and_not_to_its_place(kind: str, curves: LightCurves) -> None:
    photometry = Photometry(kind, snr=[3, 8])
    some = np.array([20, 3, 11, 4])
    assert equal_curves(photometry.apply(curves.take(some)), photometry.apply(curves).take(some))


def test_short_light_curves_are_dropped_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    curves = survey({"a": [(1, 9, True), (2, 9, True)], "b": [(1, 9, True), (200, 9, True)]})
    assert Selection(min_observations=2).apply(curves, "survey").object_id.tolist() == ["a"]
    assert (
        "survey: dropped 1 of 2 objects with fewer than 2 observations between -30 and 70 d of the trigger, e.g. b"
        in caplog.text
    )


def test_an_object_without_observation_in_the_window_is_dropped_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    curves = survey({"a": [(1, 9, True)], "b": [(500, 9, True)]}, trigger_mjd=np.array([1.0, 1.0]))
    assert Selection(trigger=Trigger("column")).apply(curves, "survey").object_id.tolist() == ["a"]
    assert "dropped 1 of 2 objects with fewer than 1 observations" in caplog.text


def test_nothing_dropped_is_nothing_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        Selection().apply(survey({"a": [(1, 9, True)]}), "t")
    assert not caplog.records


def test_nothing_left_is_an_error() -> None:
    with pytest.raises(
        ValueError,
        match=r"survey: no object is left after the cuts \(window -30 to 70 d about first_detection\): check",
    ):
        Selection().apply(survey({"a": [(1, 9, False)]}), "survey")


def test_time_zero_replaces_the_trigger_column(curves: LightCurves) -> None:
    selected = Selection().apply(curves, "t")
    for i in range(len(selected)):
        part = slice(*selected.offsets[i : i + 2])
        assert selected.trigger_mjd[i] == selected.mjd[part][selected.detected[part]][0]


def test_unknown_kinds_and_rules_name_the_allowed() -> None:
    with pytest.raises(ValueError, match=r"photometry.kind is 'alerts': choose one of forced, detections, mixed"):
        Photometry("alerts")
    with pytest.raises(
        ValueError, match=r"trigger.rule is 'peak': choose one of column, first_detection, second_detection"
    ):
        Trigger("peak")


def test_mapping_round_trip() -> None:
    selection = Selection(
        Photometry("mixed", [4.0, 6.0], 0.3, 7), Trigger("second_detection", [-10.0, 5.0]), [-20.0, 50.0], 4, 99
    )
    assert Selection.from_mapping(selection.to_mapping()) == selection


def test_selecting_twice_is_selecting_once(curves: LightCurves) -> None:
    selection = Selection(Photometry("detections"), window=(-30.0, 70.0))
    once = selection.apply(curves, "t")
    assert equal_curves(selection.apply(replace(once), "t"), once)


@pytest.mark.parametrize("days", [5, "ab", [1], [3, 1], [None, 2], [float("nan"), 1.0]])
def test_days_that_are_no_interval_are_refused(days: Any) -> None:
    for make in (lambda: Selection(window=days), lambda: Trigger(search=days)):
        with pytest.raises(ValueError, match=r"^selection\.(window|trigger\.search) is .*first and last day"):
            make()
    with pytest.raises(ValueError, match=r"selection\.trigger\.gap_days is x"):
        Trigger(gap_days="x")  # type: ignore[arg-type]


def test_detections_alone_are_named_where_forced_photometry_is_expected() -> None:
    alerts = survey({"a": [(float(k), 9, True) for k in range(60)]})
    forced = survey({"a": [(float(k), 9 if k > 1 else 0, k > 1) for k in range(60)]})
    assert "set target.selection.photometry.kind=detections" in alerts_alone(alerts, Selection())
    assert not alerts_alone(forced, Selection())
    assert not alerts_alone(alerts, Selection(photometry=Photometry("detections")))
