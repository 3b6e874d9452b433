import re
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.conftest import compose, make_curves
from tlclass import inspect as inspect_module
from tlclass.experiments.cards import build_survey
from tlclass.experiments.composition import about_survey
from tlclass.extras import install
from tlclass.inspect import main
from tlclass.inspection.account import duplicates, inspect_survey, wrong_times, wrong_wavelengths
from tlclass.inspection.gathering import Marks
from tlclass.lightcurves.arrow import checksum, read, read_parts
from tlclass.lightcurves.passbands import Passbands
from tlclass.surveys import survey as survey_module
from tlclass.surveys.reader import parts_of

Inspect = Callable[..., tuple[int, str]]


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The images, which `inspect` names and does not draw."""
    images: list[Path] = []

    def draw(path: Path) -> None:
        images.append(path)
        path.write_bytes(b"")

    monkeypatch.setattr(inspect_module, "draw_sheet", lambda curves, names, path, title: draw(path))
    monkeypatch.setattr(inspect_module, "draw_distributions", lambda surveys, path: draw(path))
    return images


@pytest.fixture
def inspect(inspect_and_draw: Inspect, drawn: list[Path]) -> Inspect:
    """`inspect("survey=bts", data=FOLDER)`: exit code and what was printed; without drawing, most of the time it takes."""
    return inspect_and_draw


@pytest.fixture
def inspect_and_draw(data: Path, tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]) -> Inspect:
    """The same with the images."""

    def call(*words: str, data: Path = data, cache: Path = cache) -> tuple[int, str]:
        try:
            code = main([*words, "-o", str(tmp_path / "report"), f"paths.data={data}", f"paths.cache={cache}"])
        except SystemExit as ended:
            code = ended.code
        printed = capsys.readouterr()
        assert "Traceback" not in printed.err
        return code, printed.out + printed.err

    return call


@pytest.fixture
def changed(data: Path, tmp_path: Path) -> Callable[..., Path]:
    """A copy of the BTS tables, `change(objects, observations)` applied."""

    def call(change: Callable[[pd.DataFrame, pd.DataFrame], tuple[pd.DataFrame, pd.DataFrame]]) -> Path:
        folder = tmp_path / "changed" / "ztf_bts"
        folder.mkdir(parents=True)
        tables = (pd.read_parquet(data / "ztf_bts" / f"{name}.parquet") for name in ("objects", "observations"))
        for name, table in zip(("objects", "observations"), change(*tables), strict=True):
            table.to_parquet(folder / f"{name}.parquet", index=False)
        return folder.parent

    return call


def test_a_sound_survey_is_described_and_exits_with_0(inspect_and_draw: Inspect, tmp_path: Path) -> None:
    code, said = inspect_and_draw("survey=bts", "source=plasticc_table", "source.typical_flux=544")
    assert code == 0 and "violations: 0" in said and "real" in said and "SIMULATED" in said
    names = ("report.txt", "report.html", "sheet.png", "distributions.png")
    assert all((tmp_path / "report" / name).stat().st_size > 1000 for name in names)
    page = (tmp_path / "report" / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 2 and "http" not in page.replace("http-equiv", "")
    assert (tmp_path / "report" / "report.txt").read_text() in said


def test_the_counts_are_what_training_gets_and_every_loss_has_its_column(data: Path, cache: Path) -> None:
    survey = build_survey(compose(["target=bts", f"paths.data={data}"])["target"])
    found = inspect_survey(survey, cache)
    curves, label = survey.load(cache)
    raw = pd.read_parquet(data / "ztf_bts" / "objects.parquet")["class"].value_counts()
    table = found.counts
    for k, name in enumerate(survey.taxonomy.classes):
        assert table.loc[name].iloc[0] == raw[name] and table.loc[name].iloc[-1] == (label == k).sum()
    assert table.loc["total"].iloc[0] == raw.sum() and table.loc["total"].iloc[-1] == len(curves)
    assert (table.diff(axis=1).iloc[:, 1:] <= 0).all(axis=None)
    assert table.loc["(dropped)"].tolist()[0] == raw["other"] and table.loc["(dropped)"].tolist()[-1] == 0
    assert found.fluxes["observations"].sum() == len(curves.mjd)
    assert found.medians.loc["all", "observations"] == np.median(curves.lengths)
    _, cuts = survey.select(read(survey.parsed(cache)[0]))
    assert found.left_out == {cut.reason: cut.observations for cut in cuts if cut.observations}
    bands = [len(np.unique(curves.passband[a:b])) for a, b in pairwise(curves.offsets)]
    assert found.medians.loc["all", "passbands"] == np.median(bands)


def test_an_unknown_label_is_a_violation_with_its_count(inspect: Inspect, changed: Callable[..., Path]) -> None:
    folder = changed(lambda objects, seen: (objects.replace({"class": {"TDE": "TED"}}), seen))
    code, said = inspect("survey=bts", data=folder)
    assert code == 1
    assert (
        "the label 'TED' (16) belongs to no class" in said
        and "survey.taxonomy.members" in said
        and "no object of class TDE" in said
    )


def test_a_single_class_is_a_violation(inspect: Inspect, changed: Callable[..., Path]) -> None:
    folder = changed(lambda objects, seen: (objects.assign(**{"class": "TDE"}), seen))
    code, said = inspect("survey=bts", data=folder)
    assert code == 1 and "all objects are of class TDE: training needs two classes or more" in said


def test_the_report_names_settings_by_the_word_of_this_command(inspect: Inspect) -> None:
    _, said = inspect("survey=bts", "survey.selection.photometry.kind=forced")
    assert "for alerts set survey.selection.photometry.kind=detections" in said


def test_objects_without_a_label_have_a_row_with_a_name(inspect: Inspect, changed: Callable[..., Path]) -> None:
    folder = changed(lambda objects, seen: (objects.assign(**{"class": ["", "", *objects["class"][2:]]}), seen))
    _, said = inspect("survey=bts", data=folder)
    assert re.search(r"\n\(no label\) +\(dropped\) +2\n", said)


def test_light_curves_without_any_label_are_described(inspect_and_draw: Inspect, changed: Callable[..., Path]) -> None:
    folder = changed(lambda objects, seen: (objects.assign(**{"class": ""}), seen))
    code, said = inspect_and_draw("survey=bts", data=folder)
    assert code == 0 and "no object has a class label: tlclass predict and tlclass adapt need none" in said
    assert re.search(r"\(no label\) +168\b", said) and "no object of class" not in said


@pytest.mark.parametrize(("unit", "shift"), [(1 / 27.54, "+3.6"), (36.3, "-3.9")])
def test_a_wrong_flux_unit_jumps_out(
    unit: float, shift: str, inspect: Inspect, changed: Callable[..., Path], data: Path
) -> None:
    folder = changed(lambda objects, seen: (objects, seen.assign(flux=seen.flux * unit, flux_err=seen.flux_err * unit)))
    source = ["source=table", "source.reader.columns.label=class", "source.reader.flux_unit=fluxcal"]
    source += [f"source.reader.{name}={data}/ztf_bts/{name}.parquet" for name in ("objects", "observations")]
    code, said = inspect("survey=bts", *source, data=folder)
    assert (
        code == 1 and f"the 5-sigma depth differs by {shift} mag from table" in said and "check the flux unit" in said
    )


def test_copies_of_an_object_are_found_by_observations_and_by_position(
    inspect: Inspect, changed: Callable[..., Path]
) -> None:
    def copy(objects: pd.DataFrame, seen: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
        objects = objects.assign(ra=np.arange(len(objects)) / 2.0, dec=10.0)
        twin, near = objects.iloc[[0]], objects.iloc[[1]]
        twin = twin.assign(object_id="twin", ra=300.0)
        near = near.assign(object_id="near", ra=near.ra + 0.5 / 3600)
        rows = [
            seen[seen.object_id == objects.object_id[n]].assign(object_id=name)
            for n, name in enumerate(("twin", "near"))
        ]
        rows[1] = rows[1].assign(mjd=rows[1].mjd + 1)
        return pd.concat([objects, twin, near]), pd.concat([seen, *rows])

    code, said = inspect("survey=bts", data=changed(copy))
    assert code == 1
    assert "1 pair(s) of objects have the same observations, e.g. " in said and "twin" in said
    assert "1 pair(s) of objects are within 1 arcsec of each other, e.g. " in said and "near" in said


def test_objects_in_source_and_target_are_a_violation(inspect: Inspect, data: Path) -> None:
    source = [
        "source=table",
        f"source.reader.objects={data}/ztf_bts/objects.parquet",
        "source.reader.columns.label=class",
    ]
    code, said = inspect("survey=bts", *source, f"source.reader.observations={data}/ztf_bts/observations.parquet")
    assert code == 1 and "pair(s) of objects have the same id" in said and "(target bts, source table)" in said


def test_julian_dates_are_not_read_as_days(inspect: Inspect, changed: Callable[..., Path]) -> None:
    folder = changed(lambda objects, seen: (objects, seen.assign(mjd=seen.mjd + 2400000.5)))
    code, said = inspect("survey=bts", data=folder)
    assert code == 2 and "Julian dates: call the column jd, or give survey.reader.time_offset=-2400000.5\n" in said


def test_times_from_zero_are_a_simulation() -> None:
    assert not wrong_times(59000, 59100) and not wrong_times(-30, 70)
    assert wrong_times(2459000.5, 2459100.5)


def test_swapped_wavelengths_are_named() -> None:
    bands = {"ztfg": {"wavelength": 0.6366}, "ztfr": {"wavelength": 0.4746}, "ztfi": {"wavelength": 0.78}}
    (said,) = wrong_wavelengths(Passbands.from_mapping(bands))
    assert "ztfg (0.6366 um) is not bluer than ztfr (0.4746 um)" in said
    bands["ztfg"], bands["ztfr"] = bands["ztfr"], bands["ztfg"]
    assert not wrong_wavelengths(Passbands.from_mapping(bands))


def test_simulated_objects_may_share_a_position() -> None:
    curves = replace(make_curves(), ra=np.full(30, 10.0), dec=np.full(30, 10.0))
    marks = Marks.of(curves)
    assert not duplicates(marks, marks, simulated=True)
    assert "435 pair(s)" in duplicates(marks, marks, simulated=False)[0]
    other = Marks.of(curves.take(np.array([4])))
    found = duplicates(marks, other, simulated=True)
    assert len(found) == 2 and all(
        "object4 and object4" in sentence for sentence in found
    )  # same id, same observations


def test_what_is_known_of_hosts_is_a_note(data: Path, cache: Path, tmp_path: Path) -> None:
    card = compose(["target=lsst_simulated", "target.n_objects=60", "target.hosts.known=0.5"])["target"]
    (note,) = [note for note in inspect_survey(build_survey(card), tmp_path).notes if "host_photoz" in note]
    assert re.search(r"is known for [3-6]\d% of the light curves; \d+% differ by more than 0.1 from the redshift", note)
    plain = inspect_survey(build_survey(compose(["target=bts", f"paths.data={data}"])["target"]), cache)
    assert not any("host_photoz" in note for note in plain.notes)


def test_a_table_read_in_parts_has_the_same_account(
    data: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    survey = build_survey(compose(["target=bts", f"paths.data={data}"])["target"])
    whole, (curves, label) = inspect_survey(survey, cache), survey.load(cache)
    monkeypatch.setattr(survey_module, "LARGE", 0)
    monkeypatch.setattr(survey_module, "parts_of", partial(parts_of, rows=500))
    found = inspect_survey(survey, tmp_path)
    (parsed,) = tmp_path.rglob("*.arrow")
    assert len(list(read_parts(parsed))) > 2
    for name in ("counts", "labels", "medians", "fluxes"):
        pd.testing.assert_frame_equal(getattr(found, name), getattr(whole, name), rtol=1e-6)
    assert (found.violations, found.notes) == (whole.violations, whole.notes)
    for name in ("objects", "observations", "dropped", "left_out"):
        assert getattr(found, name) == getattr(whole, name)

    again, labels = survey.load(tmp_path)  # what training takes
    order, other = np.argsort(curves.object_id), np.argsort(again.object_id)
    assert checksum(again.take(other)) == checksum(curves.take(order)) and (labels[other] == label[order]).all()

    some = inspect_survey(survey, tmp_path, limit=whole.observations // 3)
    assert whole.observations / 8 < len(some.curves.mjd) <= whole.observations / 3
    assert some.counts.equals(whole.counts) and some.objects == whole.objects and some.violations == whole.violations
    assert any(f"{len(some.curves):,} of {whole.objects:,}" in note for note in some.notes)
    assert set(some.examples.names) == set(whole.examples.names)
    assert some.fluxes["observations"].equals(whole.fluxes["observations"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "survey=NAME"),
        (["target=bts"], "write survey=bts: this command calls the survey survey, not target"),
        (["survey=nope"], "error: survey 'nope' is unknown: choose one of alerts_simulated"),
        (["survey=bts", "survey.window=3"], "window"),
        (["survey=table"], "holds no table: put tables of observations and of objects"),
    ],
)
def test_a_mistake_is_said_and_exits_with_2(words: list[str], message: str, inspect: Inspect, tmp_path: Path) -> None:
    code, said = inspect(*words, data=tmp_path)
    assert code == 2 and said.count("error: ") == 1 and message in said


def test_a_reader_that_is_not_installed_is_said_and_exits_with_2(
    inspect: Inspect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ztf_alerts").mkdir()
    (tmp_path / "ztf_alerts" / "one.avro").write_bytes(b"Obj")
    monkeypatch.setitem(sys.modules, "fastavro", None)
    code, said = inspect("survey=ztf_alerts", data=tmp_path, cache=tmp_path / "cache")
    assert code == 2 and f"needs fastavro: {install('alerts')}\n" in said


def test_settings_are_named_by_the_word_of_this_command(inspect: Inspect) -> None:
    code, said = inspect("survey=bts", "survey.reader.columns.label=nope")
    assert code == 2 and "survey.reader.columns.label" in said and "target" not in said.partition("error: ")[2]


def test_survey_stands_for_the_target() -> None:
    words = [
        "survey=bts",
        "survey.where.a=1",
        "+survey.x=1",
        "survey/passbands=lsst",
        "source=table",
        "paths.data=survey=x",
    ]
    expected = [
        "target=bts",
        "target.where.a=1",
        "+target.x=1",
        "target/passbands=lsst",
        "source=table",
        "paths.data=survey=x",
    ]
    assert [about_survey(word) for word in words] == expected


def test_several_surveys_are_compared_one_at_a_time(inspect: Inspect) -> None:
    code, said = inspect("survey=bts", "source=[bts,plasticc]")
    assert code == 2 and "source=bts+plasticc combines several surveys: compare with one at a time" in said
