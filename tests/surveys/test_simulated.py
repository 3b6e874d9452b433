"""Simulated surveys as cards: what one number in a card changes."""

from pathlib import Path

import numpy as np

from tests.conftest import Job


def test_simulated_twins_differ_in_what_the_survey_does_and_are_gone_with_another_seed(
    settings: Job, cache: Path
) -> None:
    def dust(*words: str) -> set[float]:
        survey = settings("target=lsst_simulated", "target.n_objects=40", "target.classes=[SNIa]", *words).target
        return set(survey.load(cache)[0].extra["host_av"]) - {0.0}

    wide = ["target.seed=202", "target.limits.magnitude=23.1"]
    assert dust("target.seed=202") & dust(*wide) and not dust() & dust(*wide)


def test_one_number_in_a_simulated_card_changes_the_light_curves(settings: Job, cache: Path) -> None:
    plain, clean = (
        settings("target=bts_simulated", "target.n_objects=30", "target.classes=[SNIa]", *more).target.load(cache)[0]
        for more in ([], ["target.systematics.outlier_fraction=0"])
    )
    assert (plain.object_id == clean.object_id).all() and not np.array_equal(plain.flux, clean.flux)


def test_faint_bright_and_deep_simulations_are_one_source(settings: Job, cache: Path) -> None:
    few = ("n_objects=24", "classes=[SNIa,SNII]")
    parts = [f"target.reader.parts.{part}.{word}" for part in ("faint", "bright", "deep") for word in few]
    curves, label = settings("target=alerts_simulated", *parts).target.load(cache)
    origin = {str(name).split("-")[0] for name in curves.object_id}
    assert origin == {"faint_simulated", "bright_simulated", "deep_simulated"} and set(label) <= set(range(12))
    assert curves.detected.all()  # alerts hold detections only
