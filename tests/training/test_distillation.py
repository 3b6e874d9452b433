"""What networks are taught: which light curves, cut where, with which probabilities."""

from pathlib import Path

import numpy as np
import pytest

from tests.conftest import Job
from tlclass.experiments import job
from tlclass.inputs.datamodule import LightCurveDataModule
from tlclass.inputs.encoding import Encoded
from tlclass.training.distillation import Distillation, lesson_of


@pytest.fixture
def how(settings: Job) -> Distillation:
    found = settings("adapt=distill", "labels=0", "head=source").adaptation
    assert found is not None
    return found


@pytest.fixture
def target(settings: Job, cache: Path) -> LightCurveDataModule:
    return job.load(settings("adapt=distill", "labels=0", "head=source").training, cache)


def curve(encoded: Encoded, number: int) -> np.ndarray:  # type: ignore[type-arg]
    return encoded.x[encoded.offsets[number] : encoded.offsets[number + 1]]


def test_the_first_observations_of_a_light_curve(target: LightCurveDataModule) -> None:
    part, steps = np.array([3, 0, 3]), np.array([2, 1, 3])
    some = target.encoded.take(part, steps)
    assert np.diff(some.offsets).tolist() == steps.tolist()
    for number, (whole, length) in enumerate(zip(part, steps, strict=True)):
        assert (curve(some, number) == curve(target.encoded, whole)[:length]).all()


def test_a_lesson_holds_out_beginnings_of_light_curves_that_do_not_train(
    target: LightCurveDataModule, how: Distillation
) -> None:
    n = len(target.encoded)
    probability = np.random.default_rng(0).dirichlet(np.ones(5), n).astype(np.float32)
    lesson = lesson_of(target, probability, how, seed=4)
    train, val = lesson.split.train, lesson.split.val
    assert set(train) < set(range(n)) and len(lesson.split.test) == 0
    assert len(train) == n - round(how.validation_fraction * n)
    assert (lesson.label[train] == probability[train]).all()
    for number in val:
        (whole,) = np.flatnonzero((probability == lesson.label[number]).all(1))
        short, complete = curve(lesson.encoded, number), curve(target.encoded, whole)
        assert whole not in train
        assert len(short) <= len(complete) and (short == complete[: len(short)]).all()
    lengths = lesson.encoded.lengths[val]
    assert lengths.min() < lengths.max()
    again, other = (lesson_of(target, probability, how, seed) for seed in (4, 5))
    assert (again.split.train == train).all() and not np.array_equal(other.split.train, train)
