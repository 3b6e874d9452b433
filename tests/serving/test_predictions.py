import json
import logging
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

import tlclass
from tests.conftest import make_curves, refused
from tlclass.lightcurves.arrow import write
from tlclass.lightcurves.passbands import Passbands
from tlclass.lightcurves.selection import Photometry
from tlclass.network.checkpoint import TrainedModel, load_model
from tlclass.network.history import ADAPTED, history
from tlclass.network.released import RELEASED
from tlclass.predict import main
from tlclass.serving.batch import model_for, predict_in_parts
from tlclass.serving.predictions import predict
from tlclass.serving.recognise import Traits, say_photometry, say_survey
from tlclass.serving.request import Request
from tlclass.surveys import door


def probabilities(frame: pd.DataFrame) -> np.ndarray:  # type: ignore[type-arg]
    return frame[[name for name in frame if name.startswith("p(")]].to_numpy(dtype=float)


def test_a_day_gives_what_a_truncated_light_curve_gives(released_model: TrainedModel) -> None:
    curves = make_curves(12)
    found = predict(released_model, curves, request=Request(at_days=[40.0, 1000.0])).to_pandas()
    assert len(found) == 24 and found.at_days.tolist()[:2] == [40.0, 1000.0]
    whole = predict(released_model, curves).to_pandas()
    assert np.allclose(probabilities(found[found.at_days == 1000.0]), probabilities(whole), atol=1e-6, equal_nan=True)
    selected, _ = released_model.selection.select(curves)
    early = selected.keep(selected.mjd - selected.trigger_mjd[selected.owner] <= 40)
    enough = early.take(early.lengths >= released_model.selection.min_observations)
    cut = predict(released_model, enough).to_pandas().set_index("object_id")
    same = found[found.at_days == 40.0].set_index("object_id").loc[cut.index]
    assert len(cut) and np.allclose(probabilities(same), probabilities(cut), atol=1e-5)


def test_a_detection_long_before_changes_a_warning_alone() -> None:
    model, days = tlclass.load_model("ztf"), np.arange(12) * 3.0
    rows = pd.DataFrame({"object_id": "a", "mjd": 59000 + days, "band": ["g", "r"] * 6})
    rows["fluxcal"] = 300 + 3000 * np.exp(-(((days - 15) / 10) ** 2))
    rows = rows.assign(flux_err=60.0)
    plain = model.predict(rows, at_days=[0, 10, 70])
    for days_before in ([500], [900, 500, 499]):
        early = [rows.head(1).assign(mjd=59000.0 - since) for since in days_before]
        found = model.predict(pd.concat([rows, *early]), at_days=[0, 10, 70])
        assert found.drop(columns="warning").equals(plain.drop(columns="warning"))
        assert found.warning.str.contains(f"^left out {len(early)} detection.* up to {days_before[0]} d before").all()
    assert (plain.warning == "").all()
    other = pd.concat([rows, *(rows.head(1).assign(mjd=58100.0 + k) for k in range(3))])
    assert model.predict(other).warning.str.contains("its brightest detection lies 915 d after time zero").all()


@pytest.mark.parametrize("offset", [-150, 0, 150])
def test_a_baseline_off_zero_is_warned_of(offset: float) -> None:
    generator, days = np.random.default_rng(0), np.arange(-100, 20)
    rows = pd.DataFrame({"object_id": "a", "mjd": 59000.0 + days, "band": "r", "flux_err": 60.0})
    rows["fluxcal"] = generator.normal(offset, 60, len(days)) + np.where(days < 0, 0, 3000)
    (warning,) = tlclass.load_model("ztf").predict(rows).warning
    assert ("subtract the baseline" in warning) == (offset != 0), warning
    assert offset == 0 or f"zero that are no detections lie {offset / 60:+.1f}"[:-1] in warning


def test_every_observation_ends_with_the_whole_light_curve(released_model: TrainedModel) -> None:
    curves = make_curves(12)
    each = predict(released_model, curves, request=Request(every_observation=True)).to_pandas()
    whole = predict(released_model, curves).to_pandas()
    assert np.allclose(
        probabilities(each.groupby("object_id", sort=False).tail(1)), probabilities(whole), atol=1e-5, equal_nan=True
    )
    known = each[each.n_observations > 0]
    assert (known.groupby("object_id").n_observations.diff().dropna() == 1).all()


def test_sets_grow_with_coverage_and_hold_the_best_class(released_model: TrainedModel) -> None:
    curves = make_curves(30)
    small, large = (predict(released_model, curves, request=Request(coverage=c)).to_pandas() for c in (0.6, 0.95))
    for a, b, best in zip(small["set"].dropna(), large["set"].dropna(), large["class"].dropna(), strict=True):
        assert set(a) <= set(b) and best in b


def test_top_classes_are_the_most_probable(released_model: TrainedModel) -> None:
    curves = make_curves(12)
    whole = predict(released_model, curves).to_pandas()
    top = predict(released_model, curves, request=Request(top=2)).to_pandas()
    assert top.class_1.equals(whole["class"]) and "p(TDE)" not in top
    assert np.allclose(top.p_2.dropna(), np.sort(probabilities(whole)[top.p_2.notna()])[:, -2])


def test_a_passband_that_was_not_in_training_is_left_out(
    released_model: TrainedModel, caplog: pytest.LogCaptureFixture
) -> None:
    curves = make_curves(12, passbands=("ztfg", "ztfr", "ztfi"))
    found = predict(released_model, curves).to_pandas()
    without = predict(released_model, curves.keep(curves.passband != 2)).to_pandas()
    count = int((curves.passband == 2).sum())
    assert np.array_equal(probabilities(found), probabilities(without), equal_nan=True)
    assert f"left out {count} observations in ztfi" in caplog.text and "--keep-passbands" in caplog.text
    assert found.warning.str.contains("in ztfi left out").any()
    kept = predict(released_model, curves, request=Request(keep_passbands=True)).to_pandas()
    assert not np.allclose(probabilities(kept), probabilities(found), equal_nan=True)


def test_unlike_training_is_said(released_model: TrainedModel) -> None:
    curves = make_curves(12)
    bright = replace(curves, flux=curves.flux * 1e6, flux_err=curves.flux_err * 1e6)
    warned = predict(released_model, bright).to_pandas().query("n_observations > 0").warning
    assert warned.str.contains("above").all()


def test_nothing_to_classify_is_a_table_of_nulls(released_model: TrainedModel) -> None:
    curves = make_curves(4)
    dark = replace(curves, detected=np.zeros_like(curves.detected))
    for request in (
        Request(),
        Request(at_days=[1.0]),
        Request(every_observation=True),
        Request(embedding=True, coverage=0.9),
    ):
        found = predict(released_model, dark, request=request).to_pandas()
        assert len(found) == 4 and found["class"].isna().all() and (found.n_observations == 0).all()
        assert found.warning.str.contains("not classified: without a detection").all()


@pytest.mark.parametrize(
    "prior", ["flat", "balanced", "estimate", "bts", {"SN Ia": 1, "SN II": 1, "SN Ib/c": 1, "SLSN-I": 1, "TDE": 96}]
)
def test_a_prior_shifts_probabilities_and_is_stated(prior: object, released_model: TrainedModel) -> None:
    curves = make_curves(30)
    found = predict(released_model, curves, request=Request(prior=prior))  # type: ignore[arg-type]
    p = probabilities(found.to_pandas())
    assert np.allclose(np.nansum(p, axis=1)[~np.isnan(p[:, 0])], 1)
    assert b"class proportions" in found.schema.metadata[b"tlclass.predictions"]
    if prior == "balanced":
        assert released_model.calibration is not None
        plain = probabilities(predict(released_model, curves).to_pandas())
        expected = plain / np.sqrt(released_model.calibration.prior)
        np.testing.assert_allclose(p, expected / expected.sum(axis=1, keepdims=True), rtol=1e-6)
    if isinstance(prior, dict):
        assert np.nanmean(p[:, 4]) > np.nanmean(probabilities(predict(released_model, curves).to_pandas())[:, 4])


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"prior": {"Comet": 1}}, "Comet"),
        ({"prior": {"SN Ia": 1}}, "TDE"),
        ({"prior": "nowhere"}, "flat, balanced, estimate"),
        ({"prior": {"SN Ia": float("inf")}}, "SN Ia.*inf"),
        ({"prior": {"SN Ia": -1}}, "SN Ia.*-1"),
        ({"prior": {"TDE": "many"}}, "TDE.*many"),
        ({"prior": {"TDE": [1]}}, "TDE"),
        ({"at_days": [5.0, float("nan")]}, "at_days.*nan"),
        ({"at_days": "10"}, "at_days is 10: give a list"),
        ({"at_days": 10}, "at_days is 10: give a list"),
        ({"top": 2.5}, "top is 2.5: give a whole number"),
        ({"coverage": "0.9"}, "coverage is '0.9': give a number"),
        ({"prior": np.full(5, 0.2)}, "prior is of type ndarray: give a dictionary"),
    ],
)
def test_a_wrong_prior_is_refused(wrong: dict[str, object], words: str, released_model: TrainedModel) -> None:
    with pytest.raises(ValueError, match=words):
        predict(released_model, make_curves(8), request=Request(**wrong))  # type: ignore[arg-type]


def test_photometry_of_another_kind_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    curves = make_curves(40)
    flux = np.abs(curves.flux) + 10 * curves.flux_err
    named = np.array([f"ZTF21aaa{number:04d}" for number in range(len(curves))])
    bright = replace(curves, object_id=named, flux=flux, detected=np.ones(len(flux), bool))
    dark = np.arange(len(flux)) % 9 == 0
    forced = replace(bright, flux=np.where(dark, 0, flux), detected=~dark)
    fading = replace(bright, flux=np.where(dark, -flux, flux), detected=~dark)
    for kind, given, warned in (
        ("detections", fading, ""),
        ("detections", bright, ""), ("forced", forced, ""), ("forced", bright, ": ztf is a model"), ("detections", forced, ": ztf is a model"),
        ("any", forced, ""), ("any", bright, ""),
    ):  # fmt: skip
        caplog.clear()
        say_photometry(Traits.of(given), kind, "mine.csv")
        assert (warned in caplog.text) and bool(warned) == bool(caplog.text)


@pytest.mark.parametrize("words", [
    "predict {model} {table} -o {out}", "predict {table} -o {out}", "predict {model} {table} -o {out} --prior estimate",
    "adapt {model} {table} -o {out}", "choose {model} {table} -n 1", "explain {model} {table} --object a -o {out}",
    "evaluate {model} target=table target.reader.observations={table} paths.cache={out}.cache",
    "inspect survey=table survey.reader.observations={table} paths.cache={out}.cache",
])  # fmt: skip
def test_a_table_without_rows_is_refused(
    words: str, released_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table, out = tmp_path / "nothing.csv", tmp_path / "out.csv"
    table.write_text("object_id,mjd,band,flux,flux_err,label\n")
    command, *others = words.format(model=released_folder, table=table, out=out).split()
    sentence = refused(capsys, import_module(f"tlclass.{command}").main, others)
    assert sentence.endswith("holds no light curve: give a table with observations")
    assert not out.exists()


@pytest.mark.parametrize("words", ["{model} {table}", "{table}", "{model} {table} --prior estimate"])
def test_predict_says_each_thing_once(
    words: str, released_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    table, mjd = tmp_path / "mine.csv", [58000.1, 58001.2, 58002.3, 58003.4]
    rows = {"object_id": "ZTF21aaaaaaa", "mjd": mjd, "band": [*"grgK"], "flux": 900.0, "flux_err": [9.0, 9.0, 0.0, 9.0]}
    pd.DataFrame(rows).to_csv(table, index=False)
    given = words.format(model=released_folder, table=table).split()
    caplog.set_level(logging.INFO)
    main([*given, "-o", str(tmp_path / "out.csv"), "--flux-unit", "fluxcal", "--drop-unknown-passbands"])
    found = [record.getMessage() for record in caplog.records]
    assert len(set(found)) == len(found)
    for counted in ("1 of 4 observations of unknown passbands: 'K'", "1 of 4 observations with a missing, zero or neg"):
        assert sum(counted in message for message in found) == 1


def test_the_survey_is_recognised_by_the_first_light_curves(tmp_path: Path) -> None:
    named = replace(make_curves(1), object_id=np.array(["ZTF21aaaaaaa"]))
    write(named.take([]), tmp_path / "a.parquet")
    write(named, tmp_path / "b.parquet")
    assert model_for(tmp_path, {}) == "ztf"


def test_a_light_curve_longer_than_any_in_training_is_warned_of(released_model: TrainedModel) -> None:
    seen = released_model.trained_on
    assert seen is not None
    short = replace(released_model, trained_on=replace(seen, observations=(1.0, 2.0)))
    said = predict(short, make_curves(8)).to_pandas()
    long = said[said.n_observations > 2]
    assert len(long) and long.warning.str.contains(r"more than ever in training \(2\)").all()


@pytest.mark.parametrize(
    ("system", "name", "bands", "said"),
    [
        ("lsst", "ZTF21aaaaaaa", "gr", "names of ZTF"),
        ("lsst", "o", "gr", "g and r"),
        ("lsst", "o", "gri", ""),
        ("ztf", "ZTF21aaaaaaa", "gr", ""),
    ],
)
def test_light_curves_of_ztf_for_a_model_of_another_survey_are_warned_of(
    system: str, name: str, bands: str, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    names = tuple(f"{system}{band}" for band in bands)
    curves = make_curves(1, longest=200, seed=1, passbands=names)
    passbands = Passbands.from_mapping({band: {"wavelength": 0.5} for band in names})
    say_survey(Traits.of(replace(curves, object_id=np.array([name]))), passbands, "mine.csv")
    assert (said in caplog.text) and bool(said) == bool(caplog.text) == ("for these there is ztf" in caplog.text)


@pytest.mark.parametrize("content", [b"SN Ia: [1", b"- SN Ia", b"\xff\xfe"])
def test_a_file_without_proportions_is_refused(content: bytes, released_model: TrainedModel, tmp_path: Path) -> None:
    (tmp_path / "prior.yaml").write_bytes(content)
    with pytest.raises(ValueError, match=r"prior\.yaml.*class: share"):
        predict(released_model, make_curves(8), request=Request(prior=tmp_path / "prior.yaml"))


def test_sets_under_another_prior_are_marked(released_model: TrainedModel) -> None:
    def prior(coverage: float | None, prior: str | None) -> str:
        found = predict(released_model, make_curves(8), request=Request(coverage=coverage, prior=prior))
        return str(json.loads(found.schema.metadata[b"tlclass.predictions"])["prior"])

    assert "sets" in prior(0.9, "flat") and "sets" not in prior(None, "flat") and prior(0.9, None) == ""


def test_proportions_are_estimated_from_all_parts_together(
    released_model: TrainedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    curves, request = make_curves(30), Request(prior="estimate")
    path = tmp_path / "curves.parquet"
    write(curves, path)
    monkeypatch.setattr(door, "parts", partial(door.parts, rows=len(curves.mjd) // 4))
    output = tmp_path / "found.parquet"
    objects, _, prior = predict_in_parts(released_model, path, request, {}, output)
    whole = predict(released_model, curves, request=request)
    assert pq.read_metadata(output).num_row_groups > 1 and objects == 30
    found = pq.read_table(output)
    assert np.allclose(probabilities(found.to_pandas()), probabilities(whole.to_pandas()), atol=1e-6, equal_nan=True)
    about = json.loads(whole.schema.metadata[b"tlclass.predictions"])
    assert prior == about["prior"] and "estimated" in prior


def test_what_is_unusual_about_an_input_is_logged_once_for_all_its_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    model = load_model(RELEASED / "ztf-alerts")
    curves = make_curves(30, passbands=("ztfg", "ztfr", "ztfi"))
    path, output = tmp_path / "curves.parquet", tmp_path / "found.parquet"
    write(curves, path)
    caplog.set_level(logging.INFO, "tlclass.lightcurves")
    predict(model, curves, str(path))
    whole = sorted(record.getMessage() for record in caplog.records)
    caplog.clear()
    monkeypatch.setattr(door, "parts", partial(door.parts, rows=len(curves.mjd) // 4))
    predict_in_parts(model, path, Request(), {}, output)
    assert pq.read_metadata(output).num_row_groups > 1
    assert sorted(record.getMessage() for record in caplog.records) == whole
    assert any("ztfi" in message for message in whole) and any("are no detections" in message for message in whole)


def test_the_public_api_takes_tables_of_every_kind(released_folder: Path, data: Path) -> None:
    model = tlclass.load_model(released_folder)
    assert model.classes[0] == "SN Ia" and model.passbands == ("ztfg", "ztfr") and "# tiny" in model.card
    path = data / "ztf_bts" / "observations.parquet"
    table = pd.read_parquet(path)
    assert model.predict(path).equals(model.predict(table))
    latent = model.embed(table)
    assert latent.shape == (table.object_id.nunique(), 1 + 2 * 8)


def test_every_public_name_can_be_imported() -> None:
    assert all(getattr(tlclass, name) is not None for name in tlclass.__all__)
    with pytest.raises(AttributeError, match="nothing"):
        _ = tlclass.nothing


ROW = {"target": "bts", "simulated": False, "source_simulated": True, "n_train": 90, "n_val": 10}


@pytest.mark.parametrize(
    ("simulated", "training", "said", "unsaid"),
    [
        (True, {"source": "ztf_simulated"}, ["simulated"], ["real", "labels"]),
        (True, {"source": "ztf_simulated", "row": ROW}, ["pretrained", "simulated", "100 labels", "real", "bts"], []),
        (False, {"source": None, "row": {**ROW, "source_simulated": False}}, ["100 labels", "real"], ["simulated", "pre"]),
        (True, {"source": "a", "row": {**ROW, "n_train": 0, "n_val": 0}}, ["simulated"], ["labels", "real"]),
        (True, {ADAPTED: {"objects": 1870, "survey": "bts"}}, ["simulated", "1,870", "bts", "without labels"], ["real"]),
    ],
)  # fmt: skip
def test_what_a_model_learnt_from_is_said(
    simulated: bool, training: dict[str, object], said: list[str], unsaid: list[str]
) -> None:
    model = replace(load_model(RELEASED / "lsst"), simulated=simulated, training=training)
    text = history(model)
    assert all(word in text for word in said) and not any(word in text for word in unsaid), text


def test_why_an_object_is_not_classified_is_what_the_selection_removed_it_for(released_model: TrainedModel) -> None:
    curves = make_curves(4)
    faint = replace(curves, detected=np.zeros_like(curves.detected))
    faint.detected[curves.offsets[:-1]] = True
    by_snr = replace(released_model.selection, photometry=Photometry(kind="forced", snr=1e9))
    alerts = replace(released_model.selection, photometry=Photometry(kind="detections"), min_observations=3)
    for selection, why in ((by_snr, "without a detection"), (alerts, "with fewer than 3 detections between")):
        warned = predict(replace(released_model, selection=selection), faint).to_pandas().warning
        assert warned.str.startswith(f"not classified: {why}").all()
