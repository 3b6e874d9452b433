"""Several surveys of the same objects: one light curve per object, each survey read by its own rules."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.conftest import compose
from tlclass import predict
from tlclass.experiments.cards import build_survey
from tlclass.experiments.composition import about_survey
from tlclass.inspection.account import inspect_survey
from tlclass.lightcurves.curves import LightCurves, check
from tlclass.lightcurves.selection import JointPhotometry, Photometry, Selection
from tlclass.surveys import Joint, Survey, door
from tlclass.surveys.survey import reader_key

MJD = 60000.0
WORDS = ("survey=ztf_and_lsst",)


def ztf(names: str = "abc", labels: dict[str, str] | None = None) -> dict[str, pd.DataFrame]:
    """Alerts in g and r as magnitudes, of objects called by a letter each."""
    rows = [
        {"object_id": name, "mjd": MJD + 2 * k, "band": "gr"[k % 2], "mag": 19.0, "mag_err": 0.1, "isdiffpos": "t"}
        for name in names
        for k in range(4)
    ]
    objects = [
        {"object_id": name, "label": (labels or {}).get(name, ""), "redshift": 0.1, "mwebv": np.nan} for name in names
    ]
    return {"observations": pd.DataFrame(rows), "objects": pd.DataFrame(objects)}


def lsst(names: str = "bcd", labels: dict[str, str] | None = None) -> dict[str, pd.DataFrame]:
    """Forced photometry in u and i in nJy, the same bands' names `g` where ZTF has one too, first at S/N 1 and 6 d before ZTF."""
    rows = [
        {
            "object_id": name,
            "mjd": MJD - 6 + 3 * k,
            "band": "ugi"[k % 3],
            "psfFlux": 100.0 if k == 0 else 91201.0,
            "psfFluxErr": 100.0,
        }
        for name in names
        for k in range(5)
    ]
    objects = [
        {"object_id": name, "label": (labels or {}).get(name, "SN Ia"), "redshift": 0.3, "mwebv": 0.05}
        for name in names
    ]
    return {"observations": pd.DataFrame(rows), "objects": pd.DataFrame(objects)}


def write(folder: Path, **surveys: dict[str, pd.DataFrame]) -> Path:
    for survey, tables in surveys.items():
        (folder / survey).mkdir(parents=True, exist_ok=True)
        for name, table in tables.items():
            table.to_csv(folder / survey / f"{name}.csv", index=False)
    return folder


def survey_of(data: Path, *words: str) -> Survey:
    settings = compose([f"paths.data={data}", *(about_survey(word) for word in (*WORDS, *words))])
    survey = build_survey(settings["target"])
    assert isinstance(survey, Survey)
    return survey


def of(curves: LightCurves, name: str) -> LightCurves:
    return curves.take(curves.object_id == name)


def bands(curves: LightCurves) -> list[str]:
    return [curves.passbands[code] for code in curves.passband]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("joint"), ztf=ztf(), lsst=lsst())


def test_observations_of_one_object_are_one_light_curve_in_the_same_unit(both: Path) -> None:
    curves = check(survey_of(both).reader.read(), "t")
    assert curves.object_id.tolist() == ["a", "b", "c", "d"]
    assert curves.extra["seen_by"].tolist() == ["ztf", "ztf+lsst", "ztf+lsst", "lsst"]
    one = of(curves, "b")
    assert bands(one) == [
        "lsstu",
        "lsstg",
        "ztfg",
        "lssti",
        "ztfr",
        "lsstu",
        "ztfg",
        "ztfr",
        "lsstg",
    ]  # by time; g is each survey's own
    magnitude = 27.5 - 2.5 * np.log10(one.flux[1:])
    assert np.allclose(magnitude, 19.0, atol=0.001)  # 91,201 nJy and 19 mag
    assert one.redshift[0] == 0.1 and one.mwebv[0] == 0.05 and one.label[0] == "SN Ia"  # of the first that knows


def test_photometry_is_each_surveys_own_and_time_zero_the_first_detection_of_any(both: Path) -> None:
    survey = survey_of(both, "surveys.lsst.selection.photometry.kind=forced")
    selected, _ = survey.selection.select(survey.reader.read())
    one = of(selected, "b")
    assert (
        one.trigger_mjd[0] == MJD - 3 and one.mjd[0] == MJD - 6 and not one.detected[0]
    )  # LSST's S/N 1 stays, ZTF has none such
    assert of(selected, "a").trigger_mjd[0] == MJD
    fewer = survey_of(both, "surveys.lsst.selection.photometry.kind=detections")
    assert len(of(fewer.selection.select(fewer.reader.read())[0], "b").mjd) == len(one.mjd) - 1


def test_shares_show_some_objects_as_one_survey_sees_them(both: Path) -> None:
    survey = survey_of(both, "+shares=ztf")
    selected, _ = survey.selection.select(survey.reader.read())
    assert selected.extra["shown"].tolist() == ["ztf", "ztf", "ztf", "lsst"]  # d is LSST's alone
    assert selected.extra["seen_by"].tolist() == ["ztf", "ztf+lsst", "ztf+lsst", "lsst"]
    assert of(selected, "b").trigger_mjd[0] == MJD and set(bands(of(selected, "b"))) == {"ztfg", "ztfr"}
    again, _ = survey.selection.select(selected)
    assert np.array_equal(again.mjd, selected.mjd)  # augmentation selects twice


def test_shares_are_drawn_by_the_object_in_the_given_proportions() -> None:
    rule = JointPhotometry(
        {"x": Photometry(), "y": Photometry()}, {"x": ["p"], "y": ["q"]}, {"x": 0.2, "x+y": 0.5, "y": 0.3}
    )
    shown = rule._shown(np.arange(4000).astype(str), np.ones(4000, dtype=bool))
    assert np.allclose(
        [(shown == sees).all(axis=1).mean() for sees in ([True, False], [True, True], [False, True])],
        [0.2, 0.5, 0.3],
        atol=0.03,
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["+shares={ztf: 0.5}"], ["shares", "0.5"]),
        (["+shares=des"], ["des", "ztf, lsst"]),
        (["+shares={ztf: -1, lsst: 2}"], ["ztf", "-1"]),
        (["+selection.photometry={_target_: tlclass.lightcurves.selection.Photometry, kind: mixed}"], ["surveys.NAME.selection.photometry"]),
        (["passbands@surveys.lsst.passbands=ztf"], ["ztf", "lsst", "ztfg"]),
        (["matches=absent.csv"], ["absent.csv"]),
    ],
)  # fmt: skip
def test_what_a_card_may_not_say_is_one_sentence(words: list[str], said: list[str], both: Path) -> None:
    with pytest.raises((ValueError, FileNotFoundError)) as error:
        survey_of(both, *words).reader.read()
    assert all(word in str(error.value) for word in said) and "\n" not in str(error.value)


def test_labels_of_one_class_agree_and_others_are_refused(tmp_path: Path) -> None:
    agree = write(tmp_path / "agree", ztf=ztf(labels={"b": "SN Ia-91T"}), lsst=lsst())
    curves = survey_of(agree).reader.read()
    assert curves.label.tolist() == ["", "SN Ia-91T", "SN Ia", "SN Ia"]
    wrong = write(tmp_path / "wrong", ztf=ztf(labels={"b": "TDE", "c": "TDE"}), lsst=lsst())
    with pytest.raises(
        ValueError, match=r"labels of 2 object\(s\) disagree, e\.g\. b is 'TDE' in ztf and 'SN Ia' in lsst"
    ):
        survey_of(wrong).reader.read()
    unknown = write(tmp_path / "unknown", ztf=ztf(labels={"b": "TED"}), lsst=lsst())
    with pytest.raises(ValueError, match=r"'TED' in ztf and 'SN Ia' in lsst"):
        survey_of(unknown).reader.read()


@pytest.fixture
def renamed(tmp_path: Path) -> Path:
    """LSST calls b, c and d 1, 2 and 3, and has split c in two."""
    data = write(tmp_path, ztf=ztf(), lsst=lsst("1234"))
    pd.DataFrame({"lsst": ["1", "2", "4"], "ztf": ["b", "c", "c"], "who": ["me"] * 3}).to_csv(
        tmp_path / "matches.csv", index=False
    )
    return data


def test_a_cross_match_says_which_objects_are_one(renamed: Path) -> None:
    curves = survey_of(renamed, f"matches={renamed / 'matches.csv'}").reader.read()
    assert curves.object_id.tolist() == ["a", "b", "c", "3"] and len(of(curves, "b").mjd) == 9
    assert curves.extra["seen_by"].tolist() == ["ztf", "ztf+lsst", "ztf+lsst", "lsst"]
    named = pd.DataFrame({"ztf": ["b"], "lsst": [1], "object_id": ["SN2026b"]})
    named.to_parquet(renamed / "named.parquet")
    assert "SN2026b" in survey_of(renamed, f"matches={renamed / 'named.parquet'}").reader.read().object_id


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"ztf": ["a", "b"], "lsst": ["1", "1"]}, ["1 is matched to both a and b"]),
        ({"ztf": ["a"], "des": ["1"]}, ["ztf, des", "ztf, lsst"]),
    ],
)
def test_a_cross_match_that_is_none_is_refused(table: dict[str, Any], said: list[str], renamed: Path) -> None:
    pd.DataFrame(table).to_csv(renamed / "bad.csv", index=False)
    with pytest.raises(ValueError) as error:
        survey_of(renamed, f"matches={renamed / 'bad.csv'}").reader.read()
    assert all(word in str(error.value) for word in said)


def test_surveys_without_a_common_object_need_a_cross_match(renamed: Path) -> None:
    with pytest.raises(ValueError, match=r"no object id is in two of the surveys ztf, lsst.*matches=FILE"):
        survey_of(renamed).reader.read()


def test_a_mistake_in_a_table_names_the_survey_and_its_setting(tmp_path: Path) -> None:
    tables = lsst()
    tables["observations"]["band"] = "q"
    data = write(tmp_path, ztf=ztf(), lsst=tables)
    with pytest.raises(ValueError, match=r"^lsst: .* target\.surveys\.lsst\.reader\.unknown_passbands=drop"):
        survey_of(data).reader.read()


def test_large_tables_are_read_in_parts_with_the_same_light_curves(renamed: Path) -> None:
    reader = survey_of(renamed, f"matches={renamed / 'matches.csv'}").reader
    assert isinstance(reader, Joint)
    whole = reader.read()
    parts = list(reader.read_parts(rows=4))
    assert len(parts) > 1 and sum(map(len, parts)) == len(whole)
    for part in parts:
        for name in part.object_id:
            one, alone = of(part, name), of(whole, name)
            assert (
                np.array_equal(one.mjd, alone.mjd)
                and np.array_equal(one.flux, alone.flux)
                and bands(one) == bands(alone)
            )
            assert one.object_columns().keys() == alone.object_columns().keys() and one.label[0] == alone.label[0]


def test_every_file_and_the_cross_match_decide_the_cache_key(renamed: Path) -> None:
    survey = survey_of(renamed, f"matches={renamed / 'matches.csv'}")
    assert len(survey.reader.files()) == 5
    keys = {reader_key(survey.reader)}
    for file in survey.reader.files():
        file.write_bytes(file.read_bytes() + b"\n")
        keys.add(reader_key(survey.reader))
    assert len(keys) == 6


def test_a_model_file_keeps_the_photometry_of_each_survey_and_no_shares(both: Path) -> None:
    selection = survey_of(both, "+shares=ztf").selection
    stored = Selection.from_mapping(selection.to_mapping())
    assert stored == replace(selection, photometry=replace(selection.photometry, shares={}))
    assert stored.photometry.kind == "mixed" and "ztf: detections" in stored.photometry.summary


def test_inspect_says_who_observes_how_many(both: Path, cache: Path) -> None:
    notes = inspect_survey(survey_of(both), cache / "joint").notes
    assert any("lsst 1, ztf+lsst 2" in note for note in notes)  # a has no label


def test_a_survey_is_a_source_of_light_curves(both: Path) -> None:
    survey = survey_of(both)
    assert len(door.read(survey, survey.passbands)) == 4
    with pytest.raises(ValueError, match=r"ztf_and_lsst.*flux_unit"):
        door.read(survey, survey.passbands, {"flux_unit": "njy"})


def test_a_joint_survey_is_trained_on_and_classified(tmp_path: Path, train_cli: Callable[..., None]) -> None:
    shapes, generator = ("SN Ia", "TDE"), np.random.default_rng(0)
    labels = {chr(200 + k): shapes[k % 2] for k in range(40)}
    first, second = ztf("".join(labels), labels), lsst("".join(list(labels)[10:]), labels)
    for tables in (first, second):
        column = "mag" if "mag" in tables["observations"] else "psfFlux"
        tables["observations"][column] *= generator.uniform(0.98, 1.02, len(tables["observations"]))
    data = write(tmp_path / "data", ztf=first, lsst=second)
    train_cli("target=ztf_and_lsst", "freeze_policy=from_scratch", f"paths.data={data}")
    model = next((tmp_path / "results").rglob("model.json")).parent
    out = tmp_path / "out.csv"
    predict.main([str(model), "survey=ztf_and_lsst", f"paths.data={data}", "-o", str(out)])
    found = pd.read_csv(out)
    assert len(found) == 40 and found["n_observations"].max() == 9 and found["class"].notna().all()
    for wrong in (["survey=ztf_and_lsst", "-o", str(out)], [str(model), str(data), "paths.data=x", "-o", str(out)]):
        with pytest.raises(SystemExit):
            predict.main(wrong)
