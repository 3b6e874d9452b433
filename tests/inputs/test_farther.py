"""Labelled light curves moved to larger redshifts: what they are, which ones train, and what is refused."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

import tlclass
from tlclass.inputs.augmentation import Augmentation, augmentation_from, luminosity_distance
from tlclass.inputs.datamodule import LightCurveDataModule
from tlclass.inputs.farther import Conditions, Process, Visits, again, farther, hosts_at, parent_of, process_of
from tlclass.inputs.split import Protocol, cross_validation
from tlclass.lightcurves.curves import LightCurves
from tlclass.lightcurves.selection import Photometry
from tlclass.network.classifier import build_classifier
from tlclass.surveys import Survey
from tlclass.surveys.reader import Reader
from tlclass.training.feature_cache import with_features

COPIES = Augmentation(farther=2)


@pytest.fixture(scope="module")
def survey() -> Survey:
    card = tlclass.load_survey("lsst_simulated", n_objects=240, classes=["SNIa", "SNII", "TDE"])
    assert isinstance(card, Survey)
    return card


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@dataclass(frozen=True)
class Nowhere:
    """Reads light curves whose redshifts are not known."""

    of: Reader

    def files(self) -> list[Path]:
        return self.of.files()

    def read(self) -> LightCurves:
        curves = self.of.read()
        return replace(curves, redshift=np.full(len(curves), np.nan))


def module(survey: Survey, cache: Path, labels: int = 60, how: Augmentation = COPIES) -> LightCurveDataModule:
    data = LightCurveDataModule(survey, "asinh", (), labels, Protocol("fixed"), cache, augmentation=how)
    data.setup()
    return data


def test_copies_are_farther_fainter_and_classified_like_their_objects(survey: Survey, cache: Path) -> None:
    whole, _ = survey.load(cache)
    whole = survey.complete(cache, whole.object_id)
    seen = Conditions.of(whole, survey.passbands.wavelengths(whole.passbands))
    made = farther(whole, 3, seen, survey.passbands, 0)
    place = {name: k for k, name in enumerate(whole.object_id.tolist())}
    parent = np.array([place[name] for name in parent_of(made.object_id)])
    assert 60 < len(made) <= 3 * len(np.unique(parent)) and len(np.unique(made.object_id)) == len(made)
    assert np.array_equal(made.label, whole.label[parent])
    assert (made.redshift > whole.redshift[parent]).all()
    assert (1 + made.redshift <= 1.5 * (1 + whole.redshift[parent]) + 1e-6).all()
    brightest = [
        np.array([curves.flux[a:b].max() for a, b in zip(curves.offsets[:-1], curves.offsets[1:], strict=True)])
        for curves in (made, whole.take(parent))
    ]
    dimming = (luminosity_distance(whole.redshift[parent]) / luminosity_distance(made.redshift)) ** 2
    assert np.median(dimming) < 0.6 and np.median(brightest[0] / brightest[1]) < 0.8
    stated = np.isfinite(made.host_photoz)
    assert stated.any() and np.corrcoef(made.host_photoz[stated], made.redshift[stated])[0, 1] > 0.7
    alone = farther(whole.take(whole.object_id == whole.object_id[parent[0]]), 3, seen, survey.passbands, 0)
    assert np.array_equal(alone.flux, made.take(parent == parent[0]).flux)
    nearby = replace(whole, redshift=np.full(len(whole), np.nan))
    assert len(farther(nearby, 3, seen, survey.passbands, 0)) == 0


def test_the_process_follows_the_light_curve_and_a_copy_its_dilation() -> None:
    days = np.linspace(-40, 80, 60)
    flux = 500 * np.exp(-0.5 * (days / 15) ** 2)
    process = Process.of(days, np.full(60, 0.6), flux, np.full(60, 2.0))
    assert np.allclose(process.flux(days[::7] + 0.5, np.full(9, 0.6)), np.interp(days[::7] + 0.5, days, flux), atol=12)
    mjd = np.arange(60000, 60300, 1.0)
    visits = Visits(mjd, np.zeros(300, np.uint8), np.full(300, 0.6), np.full(300, 0.01))
    seen = Conditions([visits], 0.0, np.array([5.0]), np.array([1.0]))
    copy = next(again(process, 0.2, seen, np.random.default_rng(0)))
    stretch = (1 + copy.redshift) / 1.2
    above = copy.mjd[copy.true > 0.5 * copy.true.max()]
    assert np.ptp(above) == pytest.approx(2 * 15 * np.sqrt(2 * np.log(2)) * stretch, abs=3)


def test_the_share_of_detections_is_that_of_the_survey(survey: Survey, cache: Path) -> None:
    whole, _ = survey.load(cache)
    seen = Conditions.of(whole, survey.passbands.wavelengths(whole.passbands))
    ratio = whole.flux / whole.flux_err
    measured = np.interp(ratio, seen.significance, seen.detected, left=0)
    assert measured.mean() == pytest.approx(whole.detected.mean(), abs=0.02)
    assert seen.detected[-1] > 0.9 and seen.detected[2] < 0.3 and seen.photons >= 0


def test_hosts_are_those_of_objects_as_far() -> None:
    known = np.linspace(0.05, 1, 200)
    error = 0.02 * (1 + known)
    found = hosts_at(np.array([0.3, 0.9]), known, known, error, np.random.default_rng(1))
    assert np.allclose(found["host_photoz"], [0.3, 0.9]) and np.allclose(found["host_photoz_err"], [0.026, 0.038])


def test_copies_train_where_their_objects_do(survey: Survey, cache: Path) -> None:
    plain, data = module(survey, cache, how=Augmentation()), module(survey, cache)
    (copies,) = data.beside
    ids = data.curves.object_id
    assert set(copies.parent) <= set(ids[np.concatenate([data.split.train, data.split.val])])
    drawn = data.drawn(copies)
    assert len(drawn) and set(copies.parent[drawn]) <= set(ids[data.split.train])
    assert data.trained_on == len(data.training_set(0)) == len(plain.split.train) + len(drawn)
    label = dict(zip(ids.tolist(), data.label.tolist(), strict=True))
    expected = [label[name] for name in copies.parent[drawn]]
    assert data.training_set(0).label[len(data.split.train) :].argmax(1).tolist() == expected
    assert np.array_equal(data.split.test, plain.split.test) and np.array_equal(data.label, plain.label)
    for fold in cross_validation(data.split, data.label, 3, 0):
        part = data.holding(split=fold)
        assert part.beside is data.beside
        assert set(copies.parent[part.drawn(copies)]) <= set(ids[fold.train])
    again_drawn = module(survey, cache)
    assert np.array_equal(again_drawn.beside[0].curves.flux, copies.curves.flux)
    hidden = module(survey, cache, how=Augmentation(farther=1, zero_point=0.1)).training_set(0)
    assert len(hidden) > len(plain.training_set(0))


def test_copies_are_made_for_labels_that_come_later(survey: Survey, cache: Path) -> None:
    few, many = module(survey, cache, labels=20), module(survey, cache, labels=60)
    grown = few.holding(split=many.split)
    assert set(grown.beside[0].parent) == set(many.beside[0].parent)
    assert module(survey, cache, labels=0).beside == ()


def test_what_copies_need_is_said(survey: Survey, cache: Path, caplog: pytest.LogCaptureFixture) -> None:
    alerts = replace(survey, selection=replace(survey.selection, photometry=Photometry("detections")))
    with pytest.raises(
        ValueError,
        match=r"augmentation\.farther needs forced photometry of one survey, which lsst_sim.*set augmentation\.farther=0",
    ):
        module(alerts, cache)
    assert module(replace(survey, reader=Nowhere(survey.reader)), cache).beside == ()
    assert "farther=2 adds nothing: a light curve that is copied needs a redshift and 12 observations" in caplog.text
    for wrong, message in ((-1, r"is -1: choose 0 \(off\) or a whole number"), (0.5, "is 0.5: give a whole number")):
        with pytest.raises(ValueError, match=rf"augmentation\.farther {message}"):
            augmentation_from({"farther": wrong})


def test_what_is_no_redshift_gives_no_copies_and_no_hosts(survey: Survey, cache: Path) -> None:
    whole, _ = survey.load(cache)
    whole = survey.complete(cache, whole.object_id)
    seen = Conditions.of(whole, survey.passbands.wavelengths(whole.passbands))
    wrong = np.array([999.0, np.inf, np.nan, -9.0, 0.0])[np.arange(len(whole)) % 5]
    assert len(farther(replace(whole, redshift=wrong), 1, seen, survey.passbands, 0)) == 0
    some = np.arange(len(whole)) % 3 == 0
    known = farther(whole.take(~some), 2, seen, survey.passbands, 0)
    beside = farther(replace(whole, redshift=np.where(some, 999.0, whole.redshift)), 2, seen, survey.passbands, 0)
    assert np.array_equal(beside.flux, known.flux)
    assert np.array_equal(beside.host_photoz, known.host_photoz, equal_nan=True)


def test_fluxes_of_which_no_process_is_found_are_no_copies() -> None:
    mjd = np.repeat(np.arange(60000.0, 60020), 2)  # each time twice, in one passband
    flux, error = np.full(40, 1.0), np.full(40, 0.1)
    assert process_of(mjd, np.full(40, 0.6), flux, error, 60010.0) is not None
    flux[20] = 1e14
    assert process_of(mjd, np.full(40, 0.6), flux, error, 60010.0) is None


@pytest.mark.parametrize("every_step", [False, True])
def test_features_are_made_where_no_copy_trains(survey: Survey, cache: Path, every_step: bool) -> None:
    data = module(survey, cache)
    alone = ~np.isin(data.curves.object_id[data.split.train], data.beside[0].parent)
    part = data.holding(split=replace(data.split, train=data.split.train[alone]))
    assert part.trained_on == alone.sum() and len(part.beside) == 1
    network = build_classifier(
        {"name": "gru", "hidden": 8, "dense": 8, "latent": 8, "metadata": []}, {"name": "linear"}, len(data.channels), 3
    )
    assert len(with_features(part, network.encoder, every_step).training_set(0)) == alone.sum()
    copies = with_features(data, network.encoder, every_step).training_set(0)
    assert len(copies) == data.trained_on > len(data.split.train)
