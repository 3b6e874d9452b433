import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from tests.conftest import Job, refused
from tlclass.experiments.run import run_job
from tlclass.lightcurves import arrow
from tlclass.lightcurves.curves import LightCurves
from tlclass.network.checkpoint import TrainedModel, load_model
from tlclass.predict import main
from tlclass.serving.predictions import predict
from tlclass.surveys import door


@pytest.fixture
def model(scratch_job: Path) -> Path:
    """A trained model."""
    return scratch_job


@pytest.fixture
def curves(model: Path, data: Path) -> LightCurves:
    return read_input(data / "ztf_bts", load_model(model), {})


def read_input(path: Path, model: TrainedModel, options: dict[str, Any]) -> LightCurves:
    return door.read(path, model.passbands, options, model.input)


def frame(path: Path) -> pd.DataFrame:
    return pq.read_table(path).to_pandas()


def test_every_object_has_a_row_in_its_order(model: Path, curves: LightCurves) -> None:
    table = predict(load_model(model), curves).to_pandas()
    assert table.object_id.tolist() == curves.object_id.tolist()
    classes = load_model(model).classes
    p = table[[f"p({name})" for name in classes]]
    assert np.allclose(p.dropna().sum(axis=1), 1)
    known = table["n_observations"] > 0
    assert (np.array(classes)[p[known].to_numpy().argmax(1)] == table["class"][known]).all()


def test_objects_that_cannot_be_classified_are_null_and_stay(model: Path, curves: LightCurves) -> None:
    alone = curves.keep(curves.owner != 3)
    table = predict(load_model(model), alone)
    assert len(table) == len(curves)
    row = table.slice(3, 1).to_pylist()[0]
    assert row["n_observations"] == 0 and row["class"] is None and row["p(SN Ia)"] is None


def test_predictions_do_not_depend_on_the_company(model: Path, curves: LightCurves) -> None:
    whole = predict(load_model(model), curves).to_pandas().set_index("object_id")
    some = predict(load_model(model), curves.take(np.array([50, 7, 99]))).to_pandas().set_index("object_id")
    columns = [name for name in whole if name.startswith("p(")]
    assert np.allclose(some[columns], whole.loc[some.index, columns], atol=1e-6)


def test_every_object_has_one_row(model: Path, curves: LightCurves) -> None:
    with pytest.raises(ValueError, match=rf"{curves.object_id[3]}: every object must have one row"):
        predict(load_model(model), curves.take(np.array([3, 3])))


def test_a_passband_the_model_does_not_know_is_named_with_the_file(model: Path, curves: LightCurves) -> None:
    other = replace(curves, passbands=(*curves.passbands, "lsstu"))
    with pytest.raises(ValueError, match=r"lsst.parquet: unknown passband 'lsstu'; known are ztfg \(.*, ztfr"):
        predict(load_model(model), other, "lsst.parquet")


@pytest.mark.parametrize(
    "form", ["folder", "observations.parquet", "observations.csv", "curves.parquet", "curves.arrow"]
)
def test_every_form_of_input_gives_the_same(
    form: str, model: Path, curves: LightCurves, data: Path, tmp_path: Path
) -> None:
    expected = predict(load_model(model), curves).to_pandas().set_index("object_id")
    path = data / "ztf_bts" if form == "folder" else tmp_path / form
    if form.startswith("observations"):
        table = pd.read_parquet(data / "ztf_bts" / "observations.parquet")
        table.to_parquet(path) if path.suffix == ".parquet" else table.to_csv(path, index=False)
    elif form.startswith("curves"):
        arrow.write(curves, path)
    main([str(model), str(path), "-o", str(tmp_path / "out.parquet")])
    got = frame(tmp_path / "out.parquet").set_index("object_id")
    if form.startswith("observations"):  # no object table: `search` about the survey's own trigger cannot be applied
        got = got.loc[got.index.intersection(expected.index)]
    columns = [name for name in expected if name.startswith("p(")]
    both = expected.loc[got.index, columns]
    assert len(got) > 100 and np.allclose(got[columns], both, atol=1e-6, equal_nan=True)


def test_objects_that_no_object_table_lists_have_a_row(
    model: Path, data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    observations = pd.read_parquet(data / "ztf_bts" / "observations.parquet")
    observations.to_csv(tmp_path / "observations.csv", index=False)
    names = observations.object_id.unique()
    pd.DataFrame({"object_id": names[3:], "mwebv": 0.1}).to_csv(tmp_path / "objects.csv", index=False)
    with caplog.at_level(logging.INFO):
        curves = read_input(tmp_path, load_model(model), {})
    assert set(curves.object_id) == set(names) and (curves.lengths > 0).all()
    assert f"no object table lists 3 of {len(names)} objects" in caplog.text


def test_our_own_files_take_no_columns_or_unit(model: Path, curves: LightCurves, tmp_path: Path) -> None:
    arrow.write(curves, tmp_path / "own.parquet")
    for options in ({"flux_unit": "ujy"}, {"columns": {"flux": "nope"}}):
        with pytest.raises(ValueError, match=r"own.parquet was written by this package .* leave out --"):
            read_input(tmp_path / "own.parquet", load_model(model), options)


def test_a_folder_holds_files_of_one_kind(model: Path, curves: LightCurves, data: Path, tmp_path: Path) -> None:
    observations = pd.read_parquet(data / "ztf_bts" / "observations.parquet")
    observations.to_csv(tmp_path / "table.csv", index=False)
    nested, packets = tmp_path / "nested.parquet", tmp_path / "alert.avro"
    arrow.write(curves, nested)
    with pytest.raises(
        ValueError, match=r"list columns \(nested.parquet\) and plain tables \(table.csv\), of which only one"
    ):
        read_input(tmp_path, load_model(model), {})
    nested.unlink()
    packets.touch()
    with pytest.raises(
        ValueError, match=r"alert packets \(alert.avro\) and plain tables \(table.csv\), of which only one"
    ):
        read_input(tmp_path, load_model(model), {})
    packets.unlink()
    assert len(read_input(tmp_path, load_model(model), {})) == observations.object_id.nunique()


def test_other_column_names_and_units(model: Path, data: Path, tmp_path: Path) -> None:
    table = pd.read_parquet(data / "ztf_bts" / "observations.parquet")
    main([str(model), str(data / "ztf_bts" / "observations.parquet"), "-o", str(tmp_path / "a.parquet")])
    renamed = table.rename(columns={"mjd": "time", "band": "filter"})
    renamed[["flux", "flux_err"]] *= 10 ** (-0.4 * 3.6)
    renamed.to_csv(tmp_path / "mine.csv", index=False)
    words = ["--column", "mjd=time", "--column", "band=filter", "--flux-unit", "ujy"]
    main([str(model), str(tmp_path / "mine.csv"), "-o", str(tmp_path / "b.csv"), *words])
    a, b = frame(tmp_path / "a.parquet").set_index("object_id"), pd.read_csv(tmp_path / "b.csv").set_index("object_id")
    columns = [name for name in a if name.startswith("p(")]
    assert np.allclose(a[columns], b.loc[a.index, columns], atol=1e-5, equal_nan=True)


def test_a_name_that_states_a_unit_wins_over_the_unit_of_the_model(model: Path, data: Path, tmp_path: Path) -> None:
    trained = replace(load_model(model), input={"flux_unit": "ujy"})
    table = pd.read_parquet(data / "ztf_bts" / "observations.parquet")
    expected = read_input(data / "ztf_bts" / "observations.parquet", load_model(model), {})
    for names, zero_point, options in (
        (("FLUXCAL", "FLUXCALERR"), 27.5, {}),
        (("psfFlux", "psfFluxErr"), 31.4, {}),
        (("flux", "flux_err"), 23.9, {}),
        (("flux", "flux_err"), 27.5, {"flux_unit": "fluxcal"}),
    ):
        scaled = table.assign(
            **{name: table[name] * 10 ** (0.4 * (zero_point - 27.5)) for name in ("flux", "flux_err")}
        )
        scaled.rename(columns=dict(zip(("flux", "flux_err"), names, strict=True))).to_parquet(tmp_path / "in.parquet")
        assert np.allclose(read_input(tmp_path / "in.parquet", trained, options).flux, expected.flux, rtol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["{model}", "/no/such.csv", "-o", "{out}"],
            "error: no file or folder /no/such.csv: give a table of light curves",
        ),
        (
            ["/no/model", "{data}", "-o", "{out}"],
            "error: no model at /no/model: name a folder with model.json and model.safetensors",
        ),
        (
            ["{model}", "{empty}", "-o", "{out}"],
            "holds no table: put tables of observations and of objects (.parquet, .parq, .pq, .csv, ",
        ),
        (["{model}", "{data}", "-o", "{out}.txt"], "choose a name that ends in .parquet, .csv, .jsonl"),
        (["{model}", "{data}", "-o", "{out}", "--column", "mjd"], "error: --column mjd: write it as NAME=COLUMN"),
        (["{model}", "{data}", "-o", "{out}", "--column", "mjd=time"], r"lacks the column(s) time (mjd)"),
        (["{model}", "{data}", "-o", "{out}", "--column", "mjd=time"], "name yours with --column mjd=COLUMN"),
        (["{model}", "{data}", "-o", "{out}", "--flux-unit", "Crab"], "error: flux unit 'Crab': choose one of"),
        (["{model}", "{damaged}", "-o", "{out}"], "damaged.parquet cannot be read"),
        (["{model}", "{lsst}", "-o", "{out}"], "unknown passband"),
        (["{model}", "target=bts", "paths.data=x", "-o", "{out}"], "write survey=bts"),
    ],
)
def test_mistakes_are_one_sentence(
    arguments: list[str], message: str, model: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "damaged.parquet").write_bytes(b"PAR1 nothing")
    places: dict[str, Any] = {
        "model": model,
        "data": data / "ztf_bts",
        "out": tmp_path / "out.parquet",
        "lsst": data / "plasticc",
    }
    places |= {"empty": tmp_path / "empty", "damaged": tmp_path / "damaged.parquet"}
    with pytest.raises(SystemExit) as stop:
        main([argument.format(**places) for argument in arguments])
    text = f"{stop.value.code}\n{capsys.readouterr().err}"
    assert message in text and "Traceback" not in text and stop.value.code not in (0, None)
    assert not (tmp_path / "out.parquet").exists()


@pytest.mark.parametrize("coverage", ["0", "0.3", "2"])
def test_a_coverage_without_thresholds_is_refused_before_anything_is_read(
    coverage: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["ztf-alerts", str(tmp_path / "absent.csv"), "-o", str(tmp_path / "p.csv"), "--coverage", coverage]
    sentence = refused(capsys, main, words)
    assert "coverage" in sentence and "0.99" in sentence and "absent" not in sentence


@pytest.mark.parametrize(("given", "output"), [("mine.csv", "mine.csv"), (".", "./mine.csv"), ("mine.csv", "link.csv")])
def test_the_input_is_never_overwritten(
    given: str, output: str, model: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pd.read_parquet(data / "ztf_bts" / "observations.parquet").to_csv(tmp_path / "mine.csv", index=False)
    (tmp_path / "link.csv").symlink_to(tmp_path / "mine.csv")
    before = (tmp_path / "mine.csv").read_bytes()
    words = [str(model), str(tmp_path / given), "-o", str(tmp_path / output)]
    assert "is a file of the input" in refused(capsys, main, words)
    assert (tmp_path / "mine.csv").read_bytes() == before and (tmp_path / "link.csv").is_symlink()
    main([str(model), str(tmp_path / "mine.csv"), "-o", str(tmp_path / "new.csv")])
    main([str(model), str(tmp_path / "mine.csv"), "-o", str(tmp_path / "new.csv")])  # an earlier output may be replaced


# -- predict equals evaluation


@pytest.mark.parametrize(
    "options",
    [
        ["freeze_policy=full", "head=linear"],
        ["freeze_policy=full", "head=source"],
        ["freeze_policy=from_scratch", "encoding=context", "target.reader.extra=[host]", "model.metadata=[host,mwebv]"],
    ],
    ids=["linear", "source", "extra column"],
)
def test_predict_equals_evaluation(
    options: list[str], settings: Job, tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_job(settings("model=gru_metadata", *options), tmp_path / "job")
    main([str(tmp_path / "job"), str(data / "ztf_bts"), "-o", str(tmp_path / "out.parquet")])
    evaluated = pq.read_table(tmp_path / "job" / "predictions.parquet").to_pandas().set_index("object_id")
    predicted = pq.read_table(tmp_path / "out.parquet").to_pandas().set_index("object_id")
    columns = [name for name in evaluated if name.startswith("p(")]
    assert len(predicted) == 168 and len(evaluated) == 33
    assert (evaluated[columns] - predicted.loc[evaluated.index, columns]).abs().max().max() < 1e-6
    assert "168 objects" in capsys.readouterr().out

    for name in ("objects", "observations"):  # the same objects alone: to the last bit
        table = pd.read_parquet(data / "ztf_bts" / f"{name}.parquet")
        (tmp_path / "test").mkdir(exist_ok=True)
        table[table.object_id.isin(evaluated.index)].to_parquet(tmp_path / "test" / f"{name}.parquet")
    main([str(tmp_path / "job"), str(tmp_path / "test"), "-o", str(tmp_path / "out.parquet")])
    predicted = pq.read_table(tmp_path / "out.parquet").to_pandas().set_index("object_id")
    ours, theirs = (table.loc[evaluated.index, columns].to_numpy() for table in (evaluated, predicted))
    assert np.allclose(ours, theirs, rtol=0, atol=1e-6)
