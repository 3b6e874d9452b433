"""Light curves read in parts are those read at once, bit for bit, whatever the format, the order of the rows and the size of the parts."""

import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import equal_curves, make_curves
from tests.data.raw_alerts import write_ztf_alerts
from tests.data.raw_snana import write_pair
from tests.data.raw_tables import LAYOUTS, alerts, plain, write, write_nested
from tests.surveys.test_alerts import ZTF
from tests.surveys.test_nested import FORMS, objects, rows
from tests.surveys.test_snana import CURVE, LSST
from tests.surveys.test_table import BANDS, LAWFUL, STATED, few_alerts
from tlclass.lightcurves import arrow
from tlclass.lightcurves.curves import LightCurves, check, concatenate
from tlclass.surveys import AlertPackets, Nested, Table, door
from tlclass.surveys.tables import batches


def joined(parts: Iterator[LightCurves], at_least: int = 2) -> LightCurves:
    found = [check(part, "a part") for part in parts]
    assert len(found) >= at_least, "the parts must be small enough to prove something"
    return concatenate(found)


def by_id(curves: LightCurves) -> LightCurves:
    return curves.take(np.argsort(curves.object_id, kind="stable"))


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_tables_of_every_layout_in_any_order(layout: str, suffix: str, tmp_path: Path) -> None:
    frame = LAYOUTS[layout](alerts())
    for name, given_rows in {"grouped": frame, "mixed": frame.sample(frac=1, random_state=1)}.items():
        reader = Table(write(given_rows, tmp_path / f"{name}{suffix}"), BANDS, **STATED)
        assert equal_curves(joined(reader.read_parts(40, 25)), reader.read())


@settings(LAWFUL, max_examples=15)
@given(
    few_alerts(),
    st.sampled_from(sorted(LAYOUTS)),
    st.integers(1, 9),
    st.integers(1, 9),
    st.randoms(use_true_random=False),
)
def test_the_size_of_the_parts_decides_nothing(
    frame: pd.DataFrame, layout: str, size: int, decisive: int, random: Any
) -> None:
    order = list(range(len(frame)))
    random.shuffle(order)
    with tempfile.TemporaryDirectory() as name:
        reader = Table(write(LAYOUTS[layout](frame.iloc[order]), Path(name) / "t.parquet"), BANDS, **STATED)
        try:
            whole = reader.read()
        except ValueError as error:
            with pytest.raises(ValueError, match=r"t\.parquet"):
                joined(reader.read_parts(size, 10**6), 0)
            assert "t.parquet" in str(error)
        else:
            assert equal_curves(joined(reader.read_parts(size, 10**6), 0), whole)


def test_a_folder_of_observations_and_objects(tmp_path: Path) -> None:
    frame = alerts()
    half = len(frame) // 2
    write(plain(frame.iloc[:half]), tmp_path / "first.parquet")
    write(plain(frame.iloc[half - 5 :]), tmp_path / "second.csv")
    write(objects(frame).iloc[3:], tmp_path / "objects.csv")
    reader = Table(folder=tmp_path, passbands=BANDS, keep_unlisted=True, **STATED)
    parts, whole = joined(reader.read_parts(40, 25)), reader.read()
    assert equal_curves(by_id(parts), by_id(whole))
    assert "never seen" in parts.object_id and parts.dropped == whole.dropped


FACTS = {
    "the unit, by the depth of the survey": lambda f: f.drop(columns="flux_unit", errors="ignore").assign(
        flux=f.flux * 1e3, flux_err=np.where(f.index % 5 == 4, 1e5, 2000.0)
    ),
    "the unit in a column that is mostly empty": lambda f: f.assign(flux_unit=["", *[None] * (len(f) - 2), "ujy"]),
    "times that are rounded": lambda f: f.assign(mjd=f.mjd.astype("float32").astype("float64")),
    "times that are relative to something": lambda f: f.assign(mjd=f.mjd - 58800),
    "numbers in a CSV file that are none": lambda f: f.assign(flux=[*map(str, f.flux[:-1]), "nan"]),
    "ids that are called as missing values are": lambda f: f.assign(object_id=["NA" if k % 9 == 8 else i for k, i in enumerate(f.object_id)]),
}  # fmt: skip


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
@pytest.mark.parametrize("fact", FACTS)
def test_what_is_decided_of_the_whole_table(
    fact: str, suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = plain(alerts()).reset_index(drop=True)
    path = write(FACTS[fact](frame).sample(frac=1, random_state=2), tmp_path / f"t{suffix}")
    monkeypatch.setattr(batches, "BLOCK", 600)
    unit = {} if "unit" in fact else {"default_unit": "fluxcal"}
    reader = Table(path, ZTF, **unit)
    assert equal_curves(joined(reader.read_parts(40, 10**6)), reader.read())


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_what_breaks_the_table_far_down_is_an_error_in_parts_too(suffix: str, tmp_path: Path) -> None:
    frame = plain(alerts())
    for number, (column, value, said) in enumerate(
        (("mjd", 12.0, "mjd"), ("band", "H", "H"), ("flux_unit", "mjy", "mjy"))
    ):
        broken = frame.assign(flux_unit="ujy").reset_index(drop=True)
        broken.loc[len(broken) - 1, column] = value
        reader = Table(write(broken, tmp_path / f"t{number}{suffix}"), BANDS)
        with pytest.raises(ValueError, match=said):
            joined(reader.read_parts(40, 25))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("layout", ["plain", "ztf", "lasair"])
def test_nested_files(layout: str, form: str, tmp_path: Path) -> None:
    path = write_nested(rows(layout, alerts()), objects(alerts()), tmp_path / "nested.parquet", form)
    reader = Nested(path, BANDS, default_unit="fluxcal")
    assert equal_curves(joined(reader.read_parts(40, 25)), reader.read())


@pytest.mark.parametrize("suffix", [".parquet", ".arrow"])
def test_files_of_this_package(suffix: str, tmp_path: Path) -> None:
    curves = make_curves()
    arrow.write(curves, tmp_path / f"own{suffix}")
    parts = joined(door.parts(tmp_path / f"own{suffix}", ZTF, rows=100), 2 if suffix == ".parquet" else 1)
    assert equal_curves(parts, curves)


def test_an_object_in_two_files_is_found(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_nested(rows("plain", alerts()), objects(alerts()), tmp_path / "nested" / f"{name}.parquet")
        write_pair(tmp_path / "snana" / name, name, {"1": CURVE})
    with pytest.raises(ValueError, match=r"nested: 13 object id\(s\) are in more than one place"):
        joined(door.parts(tmp_path / "nested", BANDS, {"default_unit": "fluxcal"}, rows=40))
    with pytest.raises(
        ValueError, match=r"snana: 1 object id\(s\) are in more than one place.* or give each file by itself"
    ):
        joined(door.parts(tmp_path / "snana", LSST))


@pytest.mark.parametrize("nested", [False, True])
def test_warnings_are_those_of_the_whole_once(nested: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    frame = plain(alerts()).assign(isdiffpos="f", flag=0)
    path = tmp_path / "t.parquet"
    write_nested(frame, objects(alerts()), path) if nested else write(frame, path)
    reader = (Nested if nested else Table)(path, passbands=BANDS, default_unit="fluxcal")  # type: ignore[call-arg]
    said = []
    for read in (reader.read, lambda: joined(reader.read_parts(40, 25))):
        caplog.clear()
        read()
        said.append(sorted(record.getMessage() for record in caplog.records if record.levelno == logging.WARNING))
    assert len(said[0]) == 2 and said[0] == said[1]


def test_files_that_are_all_of_one_object_are_warned_of_in_parts_too(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    frame = plain(alerts()).assign(object_id="target")
    for day in range(3):
        write(frame.assign(mjd=frame.mjd + day), tmp_path / f"{day}.csv")
    joined(Table(folder=tmp_path, passbands=BANDS, **STATED).read_parts(40), 1)
    assert "all 3 files are of one object, 'target'" in caplog.text


def test_fluxes_of_the_science_image_in_lists_are_refused_in_parts_too(tmp_path: Path) -> None:
    forced = [{"midpointMjdTai": 60000.25 + k, "band": "r", "psfFlux": 9e4, "psfFluxErr": 1e3} for k in range(9)]
    table = pa.Table.from_pylist([{"diaObjectId": name, "diaObjectForcedSource": forced} for name in (5, 6, 7)])
    pq.write_table(table, tmp_path / "n.parquet")
    reader = Nested(tmp_path / "n.parquet", BANDS)
    for read in (reader.read, lambda: joined(reader.read_parts(9))):
        with pytest.raises(ValueError, match=r"psfFlux of such a table is the brightness in the science image"):
            read()


def test_packets(tmp_path: Path) -> None:
    write_ztf_alerts(tmp_path, objects=6, packets=3)
    reader = AlertPackets(tmp_path, ZTF)
    assert equal_curves(joined(reader.read_parts(60)), reader.read())
    assert equal_curves(joined(reader.read_parts(10**6), 1), reader.read())


def test_packets_of_which_few_have_a_label(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_ztf_alerts(tmp_path / "packets", objects=6, packets=3)
    last = AlertPackets(tmp_path / "packets", ZTF).read().object_id[-1]
    labels = tmp_path / "labels.csv"
    labels.write_text(f"object_id,label\n{last},TDE\n")
    reader = AlertPackets(tmp_path / "packets", ZTF, labels=labels)
    with caplog.at_level("INFO"):
        assert equal_curves(joined(reader.read_parts(60)), reader.read())
    assert caplog.text.count("1 of 6 objects have a label") == 2, "in parts and at once"
    labels.write_text("object_id,label\nelsewhere,TDE\n")
    for read in (reader.read, lambda: joined(reader.read_parts(60))):
        with pytest.raises(ValueError, match=r"labels\.csv: none of its .*objects is among .* and has a label"):
            read()


def test_no_temporary_file_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    path = write(plain(alerts()).sample(frac=1, random_state=1), tmp_path / "t.parquet")
    parts = Table(path, BANDS, **STATED).read_parts(40, 25)
    next(parts)
    assert list((tmp_path / "scratch").iterdir())
    parts.close()
    assert not list((tmp_path / "scratch").iterdir())
