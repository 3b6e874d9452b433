"""Laws of tables as people have them: the same light curves, whatever the layout."""

import gzip
import json
import logging
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import compose
from tests.data.raw_tables import (
    LAYOUTS,
    alerce,
    alerts,
    antares,
    explorer,
    fink,
    lasair,
    plain,
    write,
    write_nested,
    ztf,
)
from tests.surveys.test_surveys import ZTF
from tlclass.experiments.cards import build_survey
from tlclass.lightcurves.curves import NO_ID, LightCurves, check
from tlclass.lightcurves.photometry import CONTRADICTED, REPEATED
from tlclass.lightcurves.selection import Selection
from tlclass.surveys import Nested, Table, door

LAWFUL = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
NAMES = {"ztfg": ["g", "ZTF_g", "1"], "ztfr": ["r", "R", "2"], "lssty": []}  # of two surveys: tables of both are read
BANDS = type(ZTF).from_mapping({name: {"wavelength": 0.5, "aliases": names} for name, names in NAMES.items()})
STATED = {"default_unit": "fluxcal", "positive": True}  # what these tables do not say


def read(frame: pd.DataFrame, folder: Path, suffix: str = ".parquet", **options: Any) -> LightCurves:
    path = write(frame, folder / f"alerts{suffix}")
    return check(Table(path, BANDS, **{**STATED, **options}).read(), "t")


def same(a: LightCurves, b: LightCurves, detected: bool = True, rtol: float = 2e-6) -> bool:
    """Whether the objects that have observations are the same."""
    a, b = (curves.take(curves.lengths > 0) for curves in (a, b))
    equal = np.array_equal(a.object_id, b.object_id) and np.array_equal(a.offsets, b.offsets)
    equal = equal and np.array_equal(a.passband, b.passband) and np.allclose(a.mjd, b.mjd, rtol=0, atol=2e-9)
    equal = equal and np.allclose(a.flux, b.flux, rtol=rtol) and np.allclose(a.flux_err, b.flux_err, rtol=rtol)
    return equal and (not detected or np.array_equal(a.detected, b.detected))


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_light_curves(layout: str, suffix: str, tmp_path: Path) -> None:
    frame = alerts()
    expected = read(plain(frame), tmp_path / "plain")
    got = read(LAYOUTS[layout](frame), tmp_path / "other", suffix)
    assert same(got, expected)
    assert not expected.detected.all() and (expected.flux < 0).any()  # there are negative differences
    assert (expected.detected == (expected.flux > 0)).all()
    limits = sum(got.dropped.values())
    assert limits in (0, frame.mag.isna().sum()) and set(got.dropped) <= {"that are upper limits without a flux"}


@st.composite
def few_alerts(draw: st.DrawFn) -> pd.DataFrame:
    row = st.tuples(
        st.sampled_from(["ZTF1", "天体", "ζ Ori b"]),
        st.integers(0, 40),
        st.sampled_from(["g", "r"]),
        st.one_of(st.just(np.nan), st.floats(1, 26)),
        st.floats(0.001, 0.5),
        st.booleans(),
    )
    rows = draw(st.lists(row, min_size=1, max_size=12, unique_by=lambda one: one[:3]))
    frame = pd.DataFrame(rows, columns=["object_id", "night", "band", "mag", "mag_err", "positive"])
    if frame.mag.isna().all():
        frame.loc[0, "mag"] = 19.0
    return frame.assign(mjd=58800.25 + frame.night, limit=20.5)


@LAWFUL
@given(
    few_alerts(),
    st.sampled_from(sorted(LAYOUTS)),
    st.sampled_from([".csv", ".parquet"]),
    st.randoms(use_true_random=False),
)
def test_order_extra_columns_and_repeated_rows_do_not_matter(
    frame: pd.DataFrame, layout: str, suffix: str, random: Any
) -> None:
    with tempfile.TemporaryDirectory() as name:
        expected = read(plain(frame), Path(name) / "plain", flux_unit="fluxcal")
        rows = LAYOUTS[layout](frame)
        rows = pd.concat([rows, rows.iloc[[random.randrange(len(rows))]]]).assign(
            note="x", chi2=[np.nan] * (len(rows) + 1)
        )
        order = list(range(len(rows)))
        random.shuffle(order)
        unit = {} if layout == "rubin" else {"flux_unit": "fluxcal"}
        assert same(read(rows.iloc[order], Path(name) / "other", suffix, **unit), expected)


@LAWFUL
@given(few_alerts(), st.data())
def test_overlapping_downloads_are_their_union(frame: pd.DataFrame, data: st.DataObject) -> None:
    inside = data.draw(st.lists(st.sampled_from(["one", "other", "both"]), min_size=len(frame), max_size=len(frame)))
    parts = [frame[[where in (place, "both") for where in inside]] for place in ("one", "other")]
    layouts = data.draw(st.permutations([ztf, antares, alerce, fink]))[:2]
    with tempfile.TemporaryDirectory() as name:
        expected = read(plain(frame), Path(name) / "plain", flux_unit="fluxcal")
        for number, (part, layout) in enumerate(zip(parts, layouts, strict=True)):
            if len(part):
                write(layout(part), Path(name) / "all" / f"{number}.csv")
        got = Table(folder=Path(name) / "all", passbands=BANDS, **STATED, flux_unit="fluxcal").read()
        assert same(got, expected)
        measured = frame[frame.mag.notna()]
        twice = sum(where == "both" for where, mag in zip(inside, frame.mag, strict=True) if not np.isnan(mag))
        assert got.dropped.get(REPEATED, 0) == twice and len(got.mjd) == len(measured)


def test_of_one_exposure_the_kept_row_does_not_depend_on_the_order(tmp_path: Path) -> None:
    rows = pd.DataFrame({
        "object_id": "a", "mjd": [59000.00002, 59000.0, 59000.0003, 59001.0, 59001.0, 59001.0, 59001.00001, 59001.0],
        "band": ["g", "g", "g", "g", "r", "g", "g", "r"], "flux": [5.0, np.nan, 7.0, 8.0, 8.0, 8.5, 9.5, 8.0], "flux_err": [1.0] * 5 + [2.0] * 3,
    })  # fmt: skip
    for seed in range(5):
        curves = read(rows.sample(frac=1, random_state=seed), tmp_path, flux_unit="fluxcal")
        assert curves.flux.tolist() == [5, 7, 8, 8] and curves.dropped == {REPEATED: 4}
        curves = read(
            rows.assign(flux_err=rows.flux_err / 5).sample(frac=1, random_state=seed), tmp_path, flux_unit="fluxcal"
        )
        assert curves.flux.tolist() == [5, 7, 8, 8] and curves.dropped == {REPEATED: 2, CONTRADICTED: 2}


@pytest.mark.parametrize("form", ["t f", "1 0", "1 -1", "True False", "positive negative"])
def test_the_sign_of_the_subtraction_as_brokers_write_it(form: str, tmp_path: Path) -> None:
    yes, no = form.split()
    frame = pd.DataFrame(
        {"oid": ["a", "a"], "mjd": [59000.0, 59001.0], "fid": [1, 2], "magpsf": [20.0, 17.5], "sigmapsf": [0.1, 0.2]}
    )
    curves = read(frame.assign(isdiffpos=[yes, no]), tmp_path, ".csv")
    assert np.allclose(curves.flux, [1000, -10000]) and curves.detected.tolist() == [True, False]
    assert np.allclose(curves.flux_err, np.array([1000 * 0.1, 10000 * 0.2]) * np.log(10) / 2.5)
    with pytest.raises(ValueError, match=r"column isdiffpos: 'perhaps' is neither yes"):
        read(frame.assign(isdiffpos=[yes, "perhaps"]), tmp_path, ".csv")


def test_without_a_sign_nothing_is_guessed(tmp_path: Path) -> None:
    for unsigned in (antares(alerts()).drop(columns="ztf_isdiffpos"), ztf(alerts()).assign(isdiffpos=None)):
        with pytest.raises(ValueError, match=r"isdiffpos.*target.reader.positive=true.*--positive"):
            read(unsigned, tmp_path, positive=False)
        curves = read(unsigned, tmp_path, positive=True)
        assert (curves.flux > 0).all() and curves.detected.all()
    some = ztf(alerts()).assign(isdiffpos=lambda frame: frame.isdiffpos.where(np.arange(len(frame)) % 2 == 0))
    curves = read(some, tmp_path, positive=False)
    assert curves.dropped["that are differences without a sign"] > 0 and (curves.flux < 0).any()


def test_what_a_broker_calls_bad_is_left_out_and_counted(tmp_path: Path) -> None:
    bad = ["badquality", *fink(alerts())["d:tag"][1:]]
    frame = fink(alerts()).assign(**{"d:tag": bad, "i:magpsf": alerts().mag.fillna(19.0), "i:sigmapsf": 0.1})
    curves = read(frame, tmp_path)
    limits = int((frame["d:tag"] == "upperlim").sum())
    assert curves.dropped == {
        "that are upper limits without a flux": limits,
        "that the broker or survey calls of bad quality": 1,
    }


def test_limits_alone_are_dropped_and_counted(tmp_path: Path) -> None:
    limits = pd.DataFrame({"oid": ["a"] * 3, "mjd": [58990.0, 58992, 58994], "fid": [1, 2, 1], "diffmaglim": 20.1})
    write(limits, tmp_path / "non_detections.csv")
    write(
        pd.DataFrame(
            {"oid": ["a"], "mjd": [59000.0], "fid": [1], "magpsf": [20.0], "sigmapsf": [0.1], "isdiffpos": [1]}
        ),
        tmp_path / "detections.csv",
    )
    curves = Table(folder=tmp_path, passbands=BANDS, **STATED).read()
    assert len(curves.mjd) == 1 and curves.dropped == {"that are upper limits without a flux": 3}


@pytest.mark.parametrize("code", [99.0, 99.99, 999.0, -99.0, -999.0])
def test_a_magnitude_that_says_no_detection_is_none(code: float, tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {"object_id": "a", "mjd": [58990.0, 59000.0], "fid": 1, "magpsf": [code, 20.0], "sigmapsf": [99.0, 0.1]}
    )
    write_nested(frame, frame[["object_id"]][:1], tmp_path / "nested.parquet")
    for curves in (read(frame, tmp_path, ".csv"), Nested(tmp_path / "nested.parquet", BANDS, **STATED).read()):
        assert curves.mjd.tolist() == [59000] and np.allclose(curves.flux, 1000)
        assert curves.dropped == {"whose magnitude is not between 0 and 40 (no detection)": 1}


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_tables_without_a_measurement_are_no_light_curves(suffix: str, tmp_path: Path) -> None:
    for frame in (ztf(alerts()).assign(magpsf=None, sigmapsf=None, isdiffpos=None), ztf(alerts()).iloc[:0]):
        curves = read(frame, tmp_path, suffix)
        assert len(curves.mjd) == 0 and sum(curves.dropped.values()) == len(frame)
        assert curves.object_id.tolist() == sorted(frame.objectId.unique()), "objects with limits alone stay"


def test_the_mapping_chooses_between_fluxes_and_magnitudes(tmp_path: Path) -> None:
    frame = plain(alerts()).assign(magpsf=20.0, sigmapsf=0.1)
    assert same(read(frame, tmp_path), read(plain(alerts()), tmp_path))
    assert np.allclose(read(frame, tmp_path, columns={"mag": "magpsf"}).flux, 1000)
    assert np.allclose(read(frame, tmp_path, columns={"flux": None}).flux, 1000)


def test_columns_that_are_empty_at_first_are_still_numbers(tmp_path: Path) -> None:
    n = 200_000  # more than the first block of a CSV file
    frame = pd.DataFrame({"oid": "a", "mjd": 58000 + np.arange(n) / 50, "fid": 1, "magpsf": np.nan, "sigmapsf": np.nan})
    frame.loc[n - 1, ["magpsf", "sigmapsf"]] = 20.0, 0.1
    frame["isdiffpos"] = [None] * (n - 1) + ["t"]
    assert np.allclose(read(frame, tmp_path, ".csv").flux, 1000)


def test_two_columns_of_one_meaning_are_an_error_until_one_is_named(tmp_path: Path) -> None:
    frame = plain(alerts()).assign(FLUXCAL=1.0)
    with pytest.raises(
        ValueError,
        match=r"alerts.parquet: the columns flux and FLUXCAL both mean flux: .* with target.reader.columns.flux=COLUMN",
    ):
        read(frame, tmp_path)
    assert (read(frame, tmp_path, columns={"flux": "FLUXCAL"}).flux == 1).all()
    assert (read(frame, tmp_path, columns={"flux": "flux"}).flux != 1).any()


def test_exact_twins_are_no_conflict(tmp_path: Path) -> None:
    frame = plain(alerts())
    twins = frame.assign(jd=frame.mjd + 2400000.5, fid=frame.band.map({"g": 1, "r": 2}), time="2019", name="SN")
    twins = twins.assign(psfFlux=3.0, psfFluxErr=1.0)
    assert same(read(twins, tmp_path), read(frame, tmp_path))


def test_class_is_the_label_and_not_source_class(tmp_path: Path) -> None:
    write(plain(alerts()), tmp_path / "lc.csv")
    objects = alerts().drop_duplicates("object_id")[["object_id", "class"]].assign(source_class="x", class_code=3)
    write(objects, tmp_path / "objects.csv")
    assert Table(folder=tmp_path, passbands=BANDS, **STATED).read().label.tolist() == objects["class"].tolist()


def test_rubin_fluxes_are_njy_unless_the_card_says_otherwise(tmp_path: Path) -> None:
    flux = {"midpointMjdTai": 61000.0, "band": "g", "psfFlux": 3631.0, "psfFluxErr": 36.31}
    frame = pd.DataFrame({"diaObjectId": [170032882292621334], **flux})
    curves = read(frame, tmp_path)
    assert curves.object_id.tolist() == ["170032882292621334"] and np.allclose(curves.flux, 3631 * 10 ** (-0.4 * 3.9))
    assert np.allclose(read(frame, tmp_path, flux_unit="fluxcal").flux, 3631)
    difference = frame.assign(psfDiffFlux=1.0, psfDiffFluxErr=0.1)
    assert np.allclose(read(difference, tmp_path).flux, 10 ** (-0.4 * 3.9))  # not the flux of the source and its host


def test_what_rubin_flags_is_left_out_as_in_alert_packets(tmp_path: Path) -> None:
    source = {
        "diaObjectId": 7,
        "midpointMjdTai": 61000.0 + np.arange(5),
        "band": "g",
        "psfFlux": 9.0,
        "psfFluxErr": 1.0,
    }
    flagged = {
        "psfFlux_flag": [1, 0, 0, 0, 0],
        "pixelFlags_bad": [0, 1, 0, 0, 0],
        "pixelFlags_saturatedCenter": [0, 0, 1, 0, 0],
    }
    frame = pd.DataFrame(source | flagged).astype(dict.fromkeys(flagged, bool))
    for suffix in (".csv", ".parquet"):
        curves = read(frame, tmp_path, suffix)
        assert curves.mjd.tolist() == [61003, 61004]
        assert sum(curves.dropped.values()) == 3 and all("flagged bad by the survey" in why for why in curves.dropped)
        difference = frame.assign(psfDiffFlux=9.0, psfDiffFluxErr=1.0, psfDiffFlux_flag=[False] * 4 + [True])
        assert read(difference, tmp_path, suffix).mjd.tolist() == [61000, 61003], "the flag of the flux that is read"


@pytest.mark.parametrize(("name", "zero_point"), [("flux_ujy", 23.9), ("flux_uJy", 23.9), ("flux_njy", 31.4)])
def test_a_name_may_end_in_its_unit(
    name: str, zero_point: float, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    frame = plain(alerts())
    scale = 10 ** (0.4 * (zero_point - 27.5))
    named = frame.assign(flux=frame.flux * scale, flux_err=frame.flux_err * scale)
    named = named.rename(columns={"flux": name, "flux_err": name.replace("flux", "flux_err")})
    columns = {"flux": name, "flux_err": name.replace("flux", "flux_err")}
    with caplog.at_level(logging.INFO):
        assert same(read(named, tmp_path, columns=columns), read(frame, tmp_path))
    assert f"{name} is taken as {name[-3:].lower()}" in caplog.text
    assert same(
        read(named, tmp_path, columns=columns, default_unit=25.0), read(frame, tmp_path, default_unit="fluxcal")
    )


def test_a_column_of_zero_points_is_used_row_by_row(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    frame = plain(alerts())
    zp = np.where(np.arange(len(frame)) % 2, 25.0, 30.0)
    scale = 10 ** (0.4 * (zp - 27.5))
    sncosmo = frame.assign(flux=frame.flux * scale, flux_err=frame.flux_err * scale, zp=zp, zpsys="ab")
    with caplog.at_level(logging.INFO):
        for suffix in (".csv", ".parquet"):
            assert same(read(sncosmo, tmp_path, suffix), read(frame, tmp_path))
    assert "fluxes are at the AB zero point of their row (column zp)" in caplog.text
    nested = write_nested(sncosmo, frame[["object_id"]].drop_duplicates(), tmp_path / "nested.parquet")
    assert same(Nested(nested, BANDS).read(), read(frame, tmp_path))
    assert not same(read(sncosmo, tmp_path, flux_unit="fluxcal"), read(frame, tmp_path))
    with pytest.raises(ValueError, match="column zpsys has vega: only AB zero points are read; convert the fluxes"):
        read(sncosmo.assign(zpsys="vega"), tmp_path)


def test_times_that_are_no_mjd_are_an_error(tmp_path: Path) -> None:
    frame = plain(alerts())
    for wrong, given_ in (
        (frame.mjd + 2400000.5, "24583.*time_offset"),
        (frame.mjd - 50000, "83.*time_offset"),
        (frame.mjd * 86400, "50.*seconds"),
    ):
        with pytest.raises(
            ValueError,
            match=rf"column mjd: \d+ of \d+ times are not Modified Julian Dates \(15000 to 100000\), e.g. {given_}",
        ):
            read(frame.assign(mjd=wrong), tmp_path)
    julian = frame.assign(mjd=frame.mjd + 2400000.5)
    assert same(read(julian, tmp_path, time_offset=-2400000.5), read(frame, tmp_path))
    renamed = julian.rename(columns={"mjd": "jd"})
    with pytest.raises(ValueError, match=r"these are Modified Julian Dates, so call the column mjd instead of jd"):
        read(frame.rename(columns={"mjd": "jd"}), tmp_path)
    assert same(read(renamed, tmp_path), read(frame, tmp_path))
    assert same(read(renamed, tmp_path, time_offset=-2400000.5, columns={"mjd": "jd"}), read(frame, tmp_path))


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_ids_keep_their_spelling(suffix: str, tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {"SNID": ["007", "été", "7"], "mjd": 59000.0, "band": "g", "flux": [1e10, -1e10, 2.0], "flux_err": 1.0}
    )
    assert sorted(read(frame, tmp_path, suffix, flux_unit="fluxcal").object_id) == ["007", "7", "été"]
    assert sorted(read(frame, tmp_path, suffix, flux_unit="fluxcal").flux) == [np.float32(-1e10), 2, np.float32(1e10)]


def test_ids_may_look_like_missing_values(tmp_path: Path) -> None:
    frame = pd.DataFrame({"object_id": ["NA", "nan", "null", "x", ""], "mjd": 59000.0, "band": "g"})
    frame = frame.assign(flux=[1.0, 2.0, 3.0, np.nan, 5.0], flux_err=1.0)
    curves = read(frame, tmp_path, ".csv", flux_unit="fluxcal")
    assert curves.object_id.tolist() == ["NA", "nan", "null", "x"] and curves.lengths.tolist() == [1, 1, 1, 0]
    assert curves.dropped[NO_ID] == 1


def test_ids_that_floats_cannot_tell_apart_are_refused(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {"objectId": [2.0**53 + 2, None, 5.0], "mjd": 59000.0, "band": "g", "flux": 1.0, "flux_err": 1.0}
    )
    with pytest.raises(
        ValueError,
        match=r"column objectId: ids up to 9007199254740994 are stored as floating-point .* as integers or as text",
    ):
        read(frame, tmp_path, flux_unit="fluxcal")
    write_nested(
        frame.rename(columns={"objectId": "object_id"}),
        pd.DataFrame({"object_id": [2.0**53 + 2]}),
        tmp_path / "n.parquet",
    )
    with pytest.raises(ValueError, match=r"column objectId: ids like 9007199254740994\.0 are rounded"):
        read(frame, tmp_path, ".csv", flux_unit="fluxcal")
    with pytest.raises(ValueError, match="column object_id: ids up to 9007199254740994 are stored"):
        Nested(tmp_path / "n.parquet", BANDS).read()
    for suffix in (".parquet", ".csv"):
        assert read(frame[1:], tmp_path, suffix, flux_unit="fluxcal").object_id.tolist() == ["5"]


def test_ids_that_lost_their_zeros_are_shown(tmp_path: Path) -> None:
    frame = pd.DataFrame({"object_id": ["00229"], "mjd": 59000.0, "band": "g", "flux": 2.0, "flux_err": 1.0})
    write(frame, tmp_path / "lc.csv")
    write(pd.DataFrame({"object_id": ["229"], "label": "TDE"}), tmp_path / "objects.csv")
    with pytest.raises(
        ValueError, match=r"no object with observations \(e.g. '00229'\) is in an object table \(e.g. '229'\)"
    ):
        Table(folder=tmp_path, passbands=BANDS, **STATED, flux_unit="fluxcal").read()


def test_one_observation_one_band_and_objects_without_any(tmp_path: Path) -> None:
    write(
        pd.DataFrame({"oid": ["b"], "mjd": [59000.0], "fid": [2], "magpsf": [20.0], "sigmapsf": [0.1]}),
        tmp_path / "lc.csv",
    )
    write(pd.DataFrame({"oid": ["a", "b"], "class": ["TDE", "-"]}), tmp_path / "objects.csv")
    curves = check(Table(folder=tmp_path, passbands=BANDS, **STATED, flux_unit="fluxcal").read(), "t")
    assert (
        curves.lengths.tolist() == [0, 1] and curves.label.tolist() == ["TDE", ""] and curves.passband.tolist() == [1]
    )


def test_a_truncated_file_is_named(tmp_path: Path) -> None:
    path = write(plain(alerts()), tmp_path / "cut.parquet")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ValueError, match=f"{path} cannot be read"):
        Table(folder=tmp_path, passbands=BANDS, **STATED).read()
    (tmp_path / "empty.csv").touch()
    path.unlink()
    with pytest.raises(ValueError, match=r"empty.csv cannot be read: the file is empty"):
        Table(folder=tmp_path, passbands=BANDS, **STATED).read()


def test_folders_say_what_they_lack(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a table reader needs observations=FILE or folder=FOLDER"):
        Table(passbands=BANDS)
    with pytest.raises(FileNotFoundError, match=f"{tmp_path} holds no table"):
        Table(folder=tmp_path, passbands=BANDS, **STATED).files()
    write(explorer(alerts()), tmp_path / "explorer.csv")
    with pytest.raises(ValueError, match=r"holds no table of observations, only of objects \(explorer.csv\)"):
        Table(folder=tmp_path, passbands=BANDS, **STATED).read()
    write(pd.DataFrame({"x": [1]}), tmp_path / "notes.csv")
    with pytest.raises(
        ValueError, match=r"notes.csv is neither a table of observations .* nor of objects .*; it has x:"
    ):
        Table(folder=tmp_path, passbands=BANDS, **STATED).read()


FIVE = {"object_id": "a", "mjd": 59000.0 + np.arange(5), "band": ["g", "r", "g", "r", "g"]}
FLUXES = FIVE | {"flux": 1000.0, "flux_err": 50.0}
MAGNITUDES = FIVE | {"mag": 20.0, "mag_err": 0.05}


@pytest.mark.parametrize("blank", [" ", "_"])
def test_a_status_gives_the_sign_where_no_column_does(blank: str, tmp_path: Path) -> None:
    frame = lasair(alerts()).drop(columns="isdiffpos")
    status = np.where(alerts().positive, "positive difference", "negative difference")
    frame["unforced mag status"] = np.where(alerts().mag.isna(), "limit", status)
    frame.columns = frame.columns.str.replace(" ", blank)
    assert same(read(frame, tmp_path, ".csv"), read(plain(alerts()), tmp_path))


def test_limits_are_no_detections_however_they_are_written(tmp_path: Path) -> None:
    limit = [False, False, False, False, True]
    written = {
        "'>'": {"mag": [20.0] * 4 + [">20.5"]},
        "'<'": {"mag": [20.0] * 4 + ["<20.5"]},
        "upperlimit": {"upperlimit": np.where(limit, "T", "F")},
        "is_upper_limit": {"is_upper_limit": limit},
        "limit": {"limit": limit},
        "detected": {"detected": np.logical_not(limit), "mag_err": [0.05] * 4 + [0.36]},
    }
    for changed in written.values():
        curves = read(pd.DataFrame(MAGNITUDES | changed), tmp_path, ".csv")
        assert len(curves.mjd) == 4 and curves.dropped == {"that are upper limits without a flux": 1}
    curves = read(pd.DataFrame(MAGNITUDES | {"detected": np.logical_not(limit)}), tmp_path, ".csv")
    assert curves.detected.tolist() == [True] * 4 + [False]
    assert read(pd.DataFrame(MAGNITUDES | {"limit": 20.5}), tmp_path, ".csv").detected.all(), "limiting magnitudes"
    with pytest.raises(ValueError, match=r"column upperlimit: '20.5' is neither yes"):
        read(pd.DataFrame(MAGNITUDES | {"upperlimit": 20.5}), tmp_path, ".csv")


def test_objects_with_limits_alone_stay(tmp_path: Path) -> None:
    frame = pd.DataFrame(MAGNITUDES | {"object_id": list("aaaab"), "mag": [20.0] * 4 + [np.nan]})
    assert read(frame, tmp_path, ".csv").object_id.tolist() == ["a", "b"]
    write(pd.DataFrame({"oid": ["c"], "mjd": 59000.0, "fid": 1, "diffmaglim": 20.1}), tmp_path / "non_detections.csv")
    assert Table(folder=tmp_path, passbands=BANDS, **STATED).read().object_id.tolist() == ["a", "b", "c"]


def test_fluxes_under_unknown_names_are_not_taken_as_limits(tmp_path: Path) -> None:
    forced = pd.DataFrame(
        FIVE | {"diffmaglim": 20.5, "zpdiff": 26.2, "forcediffimflux": 10.0, "forcediffimfluxunc": 1.0}
    )
    strange = forced.rename(columns={"forcediffimflux": "counts"})
    with pytest.raises(ValueError, match=r"no flux or magnitude by name; it has .*counts.*columns.flux=COLUMN"):
        read(strange, tmp_path, ".csv")
    with pytest.raises(ValueError, match=r"lacks the column\(s\) flux_err"):
        read(pd.DataFrame(FIVE | {"diffmaglim": 20.5, "flux": 10.0, "sigma": 1.0}), tmp_path, ".csv")
    assert np.allclose(read(forced, tmp_path, ".csv").flux, 10 * 10 ** (0.4 * (27.5 - 26.2)))
    converted = forced.assign(flux=1000.0, flux_err=1.0)
    assert np.allclose(read(converted, tmp_path, ".csv", flux_unit="fluxcal").flux, 1000), (
        "zpdiff is of the counts alone"
    )


def test_without_a_flag_signal_to_noise_decides_and_that_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    frame = pd.DataFrame(FLUXES | {"flux": [4.9, -9, 5, 9, -1], "flux_err": 1.0})
    with caplog.at_level(logging.INFO):
        assert read(frame, tmp_path, flux_unit="fluxcal").detected.tolist() == [False, False, True, True, False]
    assert "2 of 5 with flux / error of 5 or more" in caplog.text and "detection_snr" in caplog.text
    assert "flux is taken as fluxcal" in caplog.text
    low = read(frame, tmp_path, detection_snr=3, flux_unit="fluxcal")
    assert low.detected.tolist() == [True, False, True, True, False]


@pytest.mark.parametrize(
    ("name", "zero_point"), [("flux_mJy", 16.4), ("fluxnJy", 31.4), ("flux(Jy)", 8.9), ("flux_µJy", 23.9)]
)
def test_the_name_of_a_flux_may_hold_its_unit(name: str, zero_point: float, tmp_path: Path) -> None:
    size = 10 ** (0.4 * (zero_point - 27.5))
    frame = pd.DataFrame(FLUXES | {"flux": 1000 * size, "flux_err": 50 * size}).rename(columns={"flux": name})
    assert np.allclose(read(frame, tmp_path, ".csv", columns={"flux": name}).flux, 1000)


def test_a_column_may_hold_the_unit(tmp_path: Path) -> None:
    curves = read(pd.DataFrame(FLUXES | {"flux_unit": "uJy"}), tmp_path, ".csv")
    assert np.allclose(curves.flux, 1000 * 10 ** (0.4 * (27.5 - 23.9)))
    mixed = pd.DataFrame(FLUXES)
    mixed["flux_unit"] = ["uJy" if row % 2 else "ujy " for row in range(len(mixed))]
    assert np.array_equal(read(mixed, tmp_path, ".csv").flux, curves.flux)
    with pytest.raises(ValueError, match=r"column flux_unit has ABMag: .* or call magnitudes mag and mag_err"):
        read(pd.DataFrame(FLUXES | {"flux_unit": "ABMag"}), tmp_path, ".csv")


def test_calendar_dates_are_refused(tmp_path: Path) -> None:
    for dates in (pd.to_datetime(["2020-05-31"] * 5), pd.to_datetime(["2020-05-31"] * 5).date):
        with pytest.raises(ValueError, match="column mjd holds calendar dates: give Modified Julian Dates"):
            read(pd.DataFrame(FLUXES | {"mjd": dates}), tmp_path)


def test_times_of_objects_are_mjd_too(tmp_path: Path) -> None:
    julian = pd.DataFrame(FLUXES).assign(mjd=59000.0 + np.arange(5) + 2400000.5)
    early = julian.assign(mjd=julian.mjd - 500)
    write(pd.concat([early, julian]), tmp_path / "lc.csv")
    explorer_row = {"ZTFID": ["a"], "type": "SN Ia", "peakt": 59001 + 2400000.5 - 2458000}
    write(pd.DataFrame(explorer_row), tmp_path / "bts.csv")
    table = Table(folder=tmp_path, passbands=BANDS, time_offset=-2400000.5)
    assert table.read().trigger_mjd.tolist() == [59000], "peakt says of itself what it counts from"
    write(pd.DataFrame({"object_id": ["a"], "trigger_mjd": [59000.0]}), tmp_path / "bts.csv")
    with pytest.raises(
        ValueError, match=r"column trigger_mjd: 1 of 1 times are not Modified .* 59000 with -2400000.5 d"
    ):
        table.read()


def test_ids_are_the_same_with_blanks_or_a_fraction(tmp_path: Path) -> None:
    assert read(
        pd.DataFrame(FLUXES | {"object_id": ["a", "a ", " a", "a", "a"]}), tmp_path, ".csv"
    ).lengths.tolist() == [5]
    curves = read(pd.DataFrame(FLUXES | {"object_id": 615.0, "band": [1.0, 2.0, 1.0, 2.0, 1.0]}), tmp_path, ".csv")
    assert curves.object_id.tolist() == ["615"] and curves.passband.tolist() == [0, 1, 0, 1, 0]
    with pytest.raises(ValueError, match=r"ids like 1.70032882292621\d*e\+17 are rounded .* as integers or as text"):
        read(pd.DataFrame(FLUXES | {"object_id": 170032882292621334.0}), tmp_path, ".csv")
    numbered = pd.DataFrame(FLUXES).rename(columns={"object_id": "name"}).assign(id=np.arange(5))
    assert read(numbered, tmp_path, ".csv").object_id.tolist() == ["a"], "not the number of the row"


def test_the_table_of_tns_needs_no_mapping(tmp_path: Path) -> None:
    write(pd.DataFrame(FLUXES | {"object_id": "SN 2020abc"}), tmp_path / "lc.csv")
    row = {"ID": [5], "Name": "SN 2020abc", "RA": "10:35:32.09", "DEC": "-04:53:39.2", "Obj. Type": "SN II"}
    write(pd.DataFrame(row | {"Redshift": 0.1}), tmp_path / "tns_search.csv")
    curves = Table(folder=tmp_path, passbands=BANDS, **STATED).read()
    assert (
        curves.label.tolist() == ["SN II"] and curves.redshift.tolist() == [0.1] and np.allclose(curves.dec, -4.89422)
    )


def test_two_columns_of_one_name_are_an_error(tmp_path: Path) -> None:
    frame = pd.DataFrame(FLUXES).assign(other=1.0).rename(columns={"other": "flux"})
    for source, name in ((frame, "the table"), (write(frame, tmp_path / "a.csv"), r"a\.csv")):
        with pytest.raises(
            ValueError, match=rf"{name}: the column\(s\) flux appear twice: rename or remove one of each"
        ):
            door.read(source, BANDS)


@pytest.mark.parametrize("separator", [";", "\t", " "])
def test_other_separators_are_named(separator: str, tmp_path: Path) -> None:
    pd.DataFrame(FLUXES).to_csv(tmp_path / "lc.csv", index=False, sep=separator)
    with pytest.raises(ValueError, match=r"lc.csv cannot be read: its first line 'object_id.* has no commas"):
        Table(tmp_path / "lc.csv", BANDS).read()


def test_files_of_other_kinds_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("a.csv", "b.json", "c.txt"):
        pd.DataFrame(FLUXES).to_csv(tmp_path / name, index=False)
    with caplog.at_level(logging.INFO):
        Table(folder=tmp_path, passbands=BANDS, **STATED).read()
    assert "ignored 2 file(s) that are no tables by their names, e.g. b.json, c.txt" in caplog.text


@pytest.mark.parametrize("rows", [400_000, 12])
@pytest.mark.parametrize("name", ["A.CSV", "a.csv.gz", "a.tsv", "A.TSV.GZ", "A.PARQUET", "a.fits", "A.FITS.GZ"])
def test_tables_of_other_names_are_read_as_csv_is(name: str, rows: int, tmp_path: Path) -> None:
    frame = (
        plain(alerts())
        .iloc[:30]
        .assign(note=lambda table: np.where(table.index % 2, "x", ""))
        .astype({"object_id": str})
    )
    write(frame, tmp_path / "plain.csv")
    expected = list(Table(tmp_path / "plain.csv", BANDS, **STATED).read_parts(rows))
    path = tmp_path / name
    if "FITS" in name.upper():
        from astropy.table import Table as FitsTable

        FitsTable.from_pandas(frame).write(tmp_path / "plain.fits")
        content = (tmp_path / "plain.fits").read_bytes()
        path.write_bytes(content if name == "a.fits" else gzip.compress(content))
    elif "PARQUET" in name:
        frame.to_parquet(path)
    else:
        packed, tabs = "GZ" in name.upper(), "TSV" in name.upper()
        frame.to_csv(path, index=False, sep="\t" if tabs else ",", compression="gzip" if packed else None)
    found = list(Table(path, BANDS, **STATED).read_parts(rows))
    assert len(found) == len(expected) and all(map(same, found, expected))
    assert door.accepted(path) == [path]


def test_fluxes_and_errors_in_two_units_are_refused(tmp_path: Path) -> None:
    from astropy.table import Table as FitsTable

    table = FitsTable({"object_id": ["a"], "mjd": [60000.5], "band": ["g"], "flux": [9.0], "flux_err": [1.0]})
    table["flux"].unit, table["flux_err"].unit = "nJy", "uJy"
    table.write(tmp_path / "a.fits")
    with pytest.raises(ValueError, match=r"a\.fits: its fluxes are in nJy and their errors in uJy: convert them"):
        Table(tmp_path / "a.fits", BANDS).read()


def test_fits_tables_keep_their_unit_and_what_is_missing(tmp_path: Path) -> None:
    from astropy.table import MaskedColumn
    from astropy.table import Table as FitsTable

    flux = MaskedColumn([1.0, 2.0, 3.0], mask=[False, True, False], unit="nJy")
    given = {"object_id": [b"a", b"a", b"b"], "mjd": [59000.1, 59000.2, 59000.3], "band": ["g"] * 3}
    table = FitsTable({**given, "flux": flux, "flux_err": [1.0] * 3})
    table.write(tmp_path / "a.fits")
    curves = Table(tmp_path / "a.fits", BANDS).read()
    assert curves.object_id.tolist() == ["a", "b"] and curves.flux == pytest.approx(
        np.array([1, 3]) * 10 ** (-0.4 * 3.9)
    )
    table["image"] = np.zeros((3, 4))
    table.write(tmp_path / "b.fits")
    with pytest.raises(ValueError, match=r"b\.fits.*image.*one row per observation"):
        Table(tmp_path / "b.fits", BANDS).read()


@pytest.mark.parametrize("rows", [400_000, 5])
def test_one_file_per_object_is_warned_of_once(rows: int, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    for number in range(3):
        rows_of = {"mjd": 59000.137 + np.arange(4), "band": "g", "flux": [1e6, 1.0, 1.0, 1.0], "flux_err": 1e5}
        write(pd.DataFrame(rows_of).assign(object_id=f"o{number}"), tmp_path / "all" / f"{number}.csv")
    list(Table(folder=tmp_path / "all", passbands=ZTF, default_unit="fluxcal").read_parts(rows))
    (warning,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert "0.csv and 2 more" in warning and "flux is taken as fluxcal" in warning
    assert sum("3 of 12 with flux / error" in record.getMessage() for record in caplog.records) == (rows > 12)


def test_every_alert_of_a_long_csv_is_read_or_counted(tmp_path: Path) -> None:
    generator, n, objects = np.random.default_rng(0), 60_000, 800
    names = np.array([f"ZTF18{number:07d}" for number in range(objects)])
    order, jd = np.arange(n), 2458500.5 + generator.uniform(0, 300, n)
    columns = {"i:objectId": names[order % objects], "i:jd": jd, "i:fid": 1 + order % 2, "d:tag": "valid"}
    columns |= {"i:magpsf": generator.uniform(16, 20, n), "i:sigmapsf": 0.1}
    columns |= {"i:isdiffpos": np.where(order % 9, "t", "f")}
    pa.csv.write_csv(pa.Table.from_pandas(pd.DataFrame(columns)), tmp_path / "alerts.csv")
    curves = Table(tmp_path / "alerts.csv", BANDS).read()
    assert len(curves) == objects and len(curves.mjd) + sum(curves.dropped.values()) == n


# -- the BTS from raw files


@pytest.fixture
def raw_bts(tmp_path: Path) -> Path:
    """Two brokers' downloads that overlap, and the explorer's CSV with unclassified objects."""
    frame = alerts(60, shapes=("SN Ia", "SN II", "SN Ib/c"))
    one, other = frame[frame.index % 3 > 0], frame[frame.index % 3 < 2]
    write(alerce(one), tmp_path / "ztf_bts" / "alerce" / "detections.csv")
    write(fink(other), tmp_path / "ztf_bts" / "fink.parquet")
    table = explorer(frame)
    table.loc[[0, 3], "type"] = ["-", None]
    table.loc[5, "peakt"] = np.nan
    write(table, tmp_path / "ztf_bts" / "bts.csv")
    return tmp_path


def test_bts_from_the_explorer_and_broker_tables(raw_bts: Path, caplog: pytest.LogCaptureFixture) -> None:
    survey = build_survey(compose(["target=bts", f"paths.data={raw_bts}"])["target"])
    curves, label = survey.load(raw_bts / "cache")
    assert {"ZTF19a000000", "ZTF19a000003"}.isdisjoint(curves.object_id) and set(label) == {0, 1, 2}
    assert (
        "bts: dropped 2 of 60 objects that are not classified (no label), e.g. ZTF19a000000, ZTF19a000003"
        in caplog.text
    )
    assert "that are upper limits without a flux" in caplog.text and "that repeat an exposure" in caplog.text
    assert (
        np.allclose(curves.mwebv, 0.1) and np.allclose(curves.ra, 158.88370833) and np.allclose(curves.dec, -4.89422222)
    )
    assert {0.069} == set(curves.redshift[np.isfinite(curves.redshift)]) and np.isnan(curves.redshift).any()
    assert curves.detected.all() and (curves.flux > 0).all()


def test_bts_is_trained_on_from_the_raw_files(raw_bts: Path, train_cli: Callable[..., None]) -> None:
    train_cli("target=bts", "freeze_policy=from_scratch", f"paths.data={raw_bts}")
    row = json.loads(next((raw_bts / "results").rglob("result.json")).read_text())
    assert row["pool"] + row["n_test"] == 58 and row["auroc_common"] > 0 and not row["simulated"]


def test_the_trigger_is_the_first_detection_not_long_before_the_peak(raw_bts: Path) -> None:
    frame = alerts(60, shapes=("SN Ia", "SN II", "SN Ib/c"))
    early = frame.drop_duplicates("object_id").assign(
        mjd=lambda rows: rows.peak - 300, mag=17.0, mag_err=0.1, positive=True
    )
    write(ztf(early), raw_bts / "ztf_bts" / "early.csv")
    curves = build_survey(compose(["target=bts", f"paths.data={raw_bts}"])["target"]).reader.read()
    first = frame[frame.mag.notna() & frame.positive].groupby("object_id").mjd.min()
    expected = first[curves.object_id].to_numpy()
    unknown = curves.object_id == "ZTF19a000005"
    assert np.isnan(curves.trigger_mjd[unknown]).all() and np.allclose(
        curves.trigger_mjd[~unknown], expected[~unknown], atol=1e-6
    )
    kept, _ = Selection().select(curves)
    assert len(kept)


def test_object_tables_are_merged_and_may_not_contradict(raw_bts: Path) -> None:
    reader = build_survey(compose(["target=bts", f"paths.data={raw_bts}"])["target"]).reader
    alone = reader.read()
    other = pd.DataFrame({"objname": ["ZTF19a000001", "ZTF19a000000"], "type": ["TDE", "TDE"], "redshift": [0.5, 0.5]})
    write(other, raw_bts / "ztf_bts" / "tns.csv")
    with pytest.raises(ValueError, match=r"give 1 object\(s\) two labels, e.g. ZTF19a000001 'SN IIP' and 'TDE'"):
        reader.read()
    write(other.assign(type=["SN IIP", "TDE"]), raw_bts / "ztf_bts" / "tns.csv")
    both = reader.read()
    assert both.label.tolist() == ["TDE", *alone.label[1:]] and both.redshift[0] == 0.5
    assert both.redshift[1] == alone.redshift[1] and np.array_equal(both.offsets, alone.offsets)
