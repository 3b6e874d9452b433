import logging
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import Job, equal_curves
from tlclass.inputs.augmentation import Augmentation, augmented
from tlclass.lightcurves.curves import check
from tlclass.lightcurves.passbands import Passbands
from tlclass.surveys import Several, Survey


def built(settings: Job, *more: str) -> Several:
    survey = settings("source=[bts,plasticc]", *more).source
    assert isinstance(survey, Several)
    return survey


def read(settings: Job, name: str) -> Survey:
    survey = settings(f"source={name}").source
    assert isinstance(survey, Survey)
    return survey


@pytest.fixture
def both(settings: Job) -> Several:
    return built(settings)


def test_every_part_is_what_it_is_alone_but_for_its_classes(
    both: Several, settings: Job, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    curves, label = both.load(cache)
    check(curves, "both")
    assert both.name == "bts+plasticc" and both.simulated
    for name in both.parts:
        alone, _ = read(settings, name).load(cache)
        own = np.flatnonzero(curves.extra["survey"] == name)
        part = curves.take(own)
        assert part.object_id.tolist() == [f"{name}:{object_id}" for object_id in alone.object_id]
        for column in ("mjd", "flux", "detected", "trigger_mjd", "label"):
            assert np.array_equal(getattr(part, column), getattr(alone, column))
        names = np.array(part.passbands)[part.passband]
        assert np.array_equal(names, np.array(alone.passbands)[alone.passband])
        assert np.array_equal(label[own], both.taxonomy.encode(alone.label, name))
        assert f"bts+plasticc: {len(alone)} objects of {name}: SNIa " in caplog.text
    assert len(curves) == len(label) and set(label) == set(range(8))
    deep = curves.extra["survey"] == "plasticc"
    assert curves.take(~deep).detected.all() and not curves.take(deep).detected.all()  # alerts, forced photometry


def test_its_parts_are_subsets_and_the_first_gives_the_rules_of_a_model_file(both: Several) -> None:
    assert both.subsets == {"bts": {"survey": "bts"}, "plasticc": {"survey": "plasticc"}}
    assert both.selection == both.parts["bts"].selection != both.parts["plasticc"].selection


def test_an_alias_of_two_passbands_is_nobodys(both: Several) -> None:
    bands = both.passbands
    assert len(bands.names) == 9
    names = np.array(["ztfg", "lsstg", "LSST-g", "5"])
    assert [bands.names[code] for code in bands.codes(names, "t")] == ["ztfg", "lsstg", "lsstg", "lssty"]
    with pytest.raises(ValueError, match=r"unknown passband 'g' \(1 observations\); known are ztfg"):
        bands.codes(np.array(["g"]), "t")
    assert Passbands.from_mapping(bands.to_mapping()) == bands  # a model file holds them


def test_a_passband_with_two_wavelengths_is_an_error(settings: Job) -> None:
    surveys = ["source=[ztf_simulated,ztf_alerts]", "source.parts.ztf_alerts.passbands.table.ztfr.wavelength=0.64"]
    with pytest.raises(ValueError, match=r"passband ztfr has the wavelength 0.6366 um in one survey and 0.64 um in"):
        settings(*surveys)


def test_a_label_the_common_taxonomy_does_not_know_is_an_error(both: Several, cache: Path) -> None:
    narrow = replace(both.taxonomy, dropped=())
    with pytest.raises(ValueError, match=r"bts: unknown class label 'other' \(4\); the taxonomy maps SNIa, SNIa-91bg"):
        replace(both, taxonomy=narrow).load(cache)


@pytest.mark.parametrize("name", ["ztf_bts/observations.parquet", "plasticc/plasticc_train_metadata.csv"])
def test_raw_files_of_every_part_decide_its_digest(
    name: str, settings: Job, both: Several, data: Path, tmp_path: Path
) -> None:
    root, cache = tmp_path / "data", tmp_path / "cache"
    shutil.copytree(data, root)
    moved = built(settings, f"paths.data={root}")
    assert moved.digest(root, cache) == both.digest(data, cache)
    (root / name).write_bytes((root / name).read_bytes() + b" ")
    assert moved.digest(root, cache) != both.digest(data, cache)


def test_it_is_augmented_part_by_part_and_in_order(both: Several, cache: Path) -> None:
    """Shuffled objects; the second part has another trigger rule, which alone would move time zero otherwise."""
    second = both.parts["plasticc"]
    fixed = replace(
        second, selection=replace(second.selection, trigger=replace(second.selection.trigger, rule="column"))
    )
    survey = replace(both, parts={"bts": both.parts["bts"], "plasticc": fixed})
    curves, _ = both.load(cache)
    curves = curves.take(np.random.default_rng(0).permutation(len(curves)))
    assert equal_curves(augmented(curves, survey, Augmentation(), 0), curves)
    changed = augmented(curves, survey, Augmentation(thin=[0.4, 0.6]), 0)
    assert np.array_equal(changed.object_id, curves.object_id) and np.array_equal(changed.label, curves.label)
    moved = changed.trigger_mjd != curves.trigger_mjd
    alerts = curves.extra["survey"] == "bts"
    assert moved[alerts].mean() > 0.3 and not moved[~alerts].any()
    assert isinstance(second, Survey) and (changed.lengths < curves.lengths).mean() > 0.8
