"""Redshifts of host galaxies, in every reader."""

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.data.raw_rows import OBJECT, frame
from tests.data.raw_surveys import write_plasticc
from tests.data.raw_tables import write
from tests.surveys.test_rules import BANDS, ROWS
from tests.surveys.test_snana_text import HEADER, TABLE
from tests.surveys.test_snana_text import read as read_text
from tlclass.lightcurves import arrow
from tlclass.lightcurves.curves import HOST_ERRORS, LightCurves, known_hosts, settled
from tlclass.lightcurves.passbands import Passbands
from tlclass.surveys import PlasticcCSV, door
from tlclass.surveys.alerts.packets import rubin

LSST = Passbands.from_mapping(
    {f"lsst{name}": {"wavelength": 0.5, "aliases": [name, str(code)]} for code, name in enumerate("ugrizy")}
)
NAMES = [
    ("host_photoz", "host_photoz_err"),
    ("hostgal_photoz", "hostgal_photoz_err"),
    ("hostgal_zphot", "hostgal_zphot_err"),
    ("photoz", "photoz_err"),
]


def host_of(curves: LightCurves) -> list[float]:
    return [float(curves.host_photoz[0]), float(curves.host_photoz_err[0])]


def rows(**columns: object) -> pd.DataFrame:
    return frame(ROWS).assign(**columns)


def nested(**columns: object) -> pa.Table:
    lists = {name: pa.array([values.tolist()]) for name, values in rows().drop(columns="object_id").items()}
    return pa.table({"object_id": [OBJECT], **columns, **lists})


@pytest.mark.parametrize("names", NAMES, ids=str)
@pytest.mark.parametrize("where", ["rows", "objects", "memory", "nested"])
def test_a_redshift_of_the_host_is_read_from_rows_and_from_objects(
    where: str, names: tuple[str, str], tmp_path: Path
) -> None:
    stated = dict(zip(names, (0.3, 0.02), strict=True))
    if where == "memory":
        curves = door.read(rows(**stated), BANDS)
    elif where == "nested":
        curves = door.read(nested(**{name: [value] for name, value in stated.items()}), BANDS)
    else:
        write(rows(**(stated if where == "rows" else {})), tmp_path / "lc.csv")
        if where == "objects":
            write(pd.DataFrame({"object_id": [OBJECT], "mwebv": 0.1, **stated}), tmp_path / "o.csv")
        curves = door.read(tmp_path, BANDS)
    assert host_of(curves) == pytest.approx([0.3, 0.02])


def test_what_is_in_the_rows_is_of_the_object_and_the_best_redshift_counts() -> None:
    table = rows(photoz=[-9.0, 0.5, 0.3], photoz_err=[0.001, 0.2, 0.02], mwebv=[np.nan, 0.1, 0.1])
    curves = door.read(table, BANDS)
    assert host_of(curves) == pytest.approx([0.3, 0.02]) and curves.mwebv.tolist() == [0.1]


def test_a_redshift_beside_the_observations_is_read_and_a_column_z_is_not(tmp_path: Path) -> None:
    write(rows(redshift=0.1), tmp_path / "lc.csv")
    (part,) = door.parts(tmp_path / "lc.csv", BANDS, rows=2)
    assert door.read(rows(redshift=[0.1, np.nan, 0.2]), BANDS).redshift[0] == part.redshift[0] == 0.1
    assert np.isnan(door.read(rows(z=0.1), BANDS).redshift[0])


def test_the_table_of_objects_goes_before_the_rows(tmp_path: Path) -> None:
    write(rows(photoz=0.5, photoz_err=0.2, mwebv=0.3), tmp_path / "lc.csv")
    write(pd.DataFrame({"object_id": [OBJECT], "photoz": 0.3, "photoz_err": 0.02, "ra": 1.0}), tmp_path / "o.csv")
    curves = door.read(tmp_path, BANDS)
    assert host_of(curves) == pytest.approx([0.3, 0.02]) and curves.mwebv.tolist() == [0.3]


def test_tables_in_parts_say_the_same(tmp_path: Path) -> None:
    write(pd.concat([rows(photoz=0.3, photoz_err=0.02), rows(object_id="b")]), tmp_path / "lc.csv")
    parts = list(door.parts(tmp_path / "lc.csv", BANDS, rows=3))
    assert len(parts) > 1
    stated = {name: host_of(part.take([k])) for part in parts for k, name in enumerate(part.object_id.tolist())}
    assert stated[OBJECT] == pytest.approx([0.3, 0.02]) and np.isnan(stated["b"]).all()


@pytest.mark.parametrize("code", [-9.0, -99.0, 0.0, np.nan])
def test_a_host_without_a_redshift_is_unknown_with_its_error(code: float) -> None:
    assert np.isnan(host_of(door.read(rows(photoz=code, photoz_err=0.1), BANDS))).all()


def test_an_error_that_is_not_stated_is_a_usual_one() -> None:
    least, usual = HOST_ERRORS
    assert host_of(door.read(rows(photoz=1.0), BANDS)) == pytest.approx([1.0, 2 * usual])
    assert host_of(door.read(rows(photoz=1.0, photoz_err=-9.0), BANDS)) == pytest.approx([1.0, 2 * usual])
    assert host_of(door.read(rows(photoz=1.0, photoz_err=0.0), BANDS)) == pytest.approx([1.0, 2 * least])
    same = known_hosts(np.array([0.2]), np.array([0.03]))
    assert [float(values[0]) for values in same.values()] == pytest.approx([0.2, 0.03])


def test_of_several_values_one_counts_whatever_their_order() -> None:
    stated = {
        "host_photoz": np.array([0.5, 0.3, -9, 0.7]), "host_photoz_err": np.array([0.2, 0.02, 0.001, 0.1]), "mwebv": np.array([0.2, np.nan, 0.1, np.nan])
    }  # fmt: skip
    owner = np.array([0, 0, 0, 2])
    for order in ([0, 1, 2, 3], [3, 2, 1, 0]):
        found = settled({name: values[order] for name, values in stated.items()}, owner[order], 3)
        assert found["host_photoz"].tolist()[::2] == [0.3, 0.7] and np.isnan(found["host_photoz"][1])
        assert found["mwebv"][0] == 0.1 and np.isnan(found["mwebv"][1:]).all()


@pytest.mark.parametrize("photoz", [20.0, 99.0, 999.0, 1e30, np.inf, -1.0])
def test_what_is_no_redshift_is_unknown(photoz: float) -> None:
    assert all(np.isnan(values).all() for values in known_hosts(np.array([photoz]), np.array([0.1])).values())
    assert known_hosts(np.array([1.0]), np.array([999.0]))["host_photoz_err"] == pytest.approx(2 * HOST_ERRORS[1])


def test_rows_that_measure_nothing_state_the_host_too() -> None:
    table = rows(photoz=[np.nan, 0.3, np.nan], photoz_err=0.02)
    for nothing in ({"MJD": [60001.25, np.nan, 60003.75]}, {"FLUXCALERR": [10.0, 0.0, 10.0]}):
        assert host_of(door.read(table.assign(**nothing), BANDS)) == pytest.approx([0.3, 0.02])
    twice = pd.concat([table.assign(photoz=np.nan), table], ignore_index=True)
    for order in (twice, twice[::-1]):
        assert host_of(door.read(order, BANDS)) == pytest.approx([0.3, 0.02])


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_one_of_two_tables_states_it(ending: str, tmp_path: Path) -> None:
    write(rows(photoz=0.3, photoz_err=0.02, mwebv=0.1), tmp_path / f"a.{ending}")
    write(rows(object_id="b"), tmp_path / f"b.{ending}")
    whole = door.read(tmp_path, BANDS)
    parts = list(door.parts(tmp_path, BANDS, rows=3))
    for curves in (whole, *parts):
        stated = dict(zip(curves.object_id.tolist(), curves.host_photoz.tolist(), strict=True))
        assert stated.get(OBJECT, 0.3) == 0.3 and np.isnan(stated.get("b", np.nan))
    assert sum(len(part) for part in parts) == 2


def test_an_object_without_a_usable_row_is_there_in_parts_too(tmp_path: Path) -> None:
    write(pd.concat([rows(mwebv=0.1), rows(object_id="bbb", MJD=np.nan, mwebv=0.2)]), tmp_path / "lc.csv")
    parts = list(door.parts(tmp_path / "lc.csv", BANDS, rows=3))
    stated = {
        name: value for part in parts for name, value in zip(part.object_id.tolist(), part.mwebv.tolist(), strict=True)
    }
    assert stated == {OBJECT: 0.1, "bbb": 0.2}


def test_redshift_and_error_are_of_one_statement(tmp_path: Path) -> None:
    write(rows(photoz=0.5, photoz_err=0.02), tmp_path / "lc.csv")
    write(pd.DataFrame({"object_id": [OBJECT], "ra": 1.0, "photoz": 1.3}), tmp_path / "o.csv")
    assert host_of(door.read(tmp_path, BANDS)) == pytest.approx([1.3, 2.3 * HOST_ERRORS[1]])
    write(pd.DataFrame({"object_id": [OBJECT], "ra": 1.0, "photoz": 0.0, "photoz_err": 0.1}), tmp_path / "o.csv")
    assert host_of(door.read(tmp_path, BANDS)) == pytest.approx([0.5, 0.02])
    other = door.read(rows(photoz=0.5, hostgal_photoz_err=0.02), BANDS)  # the error of another redshift
    assert host_of(other) == pytest.approx([0.5, 1.5 * HOST_ERRORS[1]])


SPARED = {
    "text": {"photoz": ["good", "bad", "good"]}, "path": {"zphot": "/cat/x"}, "dust": {"a_v": "SFD"}, "extinction": {"ebv": "x"},
    "days": {"photoz": pd.Timestamp("2026-01-01")}, "flags": {"photoz": True}, "two": {"photoz": 0.3, "host_photoz": 0.4},
    "three": {"photoz": 0.3, "z_phot": 0.3},
    "errors": {"photoz_err": 0.1, "photozerr": 0.1},
}  # fmt: skip


@pytest.mark.parametrize("name", SPARED)
@pytest.mark.parametrize("where", ["memory", "csv", "parquet", "objects"])
def test_a_column_that_nobody_needs_makes_no_table_unreadable(where: str, name: str, tmp_path: Path) -> None:
    table = rows(**SPARED[name])
    if where == "memory":
        curves = door.read(table, BANDS)
    elif where == "objects":
        if name in ("dust", "extinction"):
            pytest.skip("the extinction of a table of objects is asked for by those who add it")
        write(rows(), tmp_path / "lc.csv")
        write(table[:1][["object_id", *SPARED[name]]].assign(ra=1.0), tmp_path / "o.csv")
        curves = door.read(tmp_path, BANDS)
    else:
        write(table, tmp_path / f"lc.{where}")
        curves = door.read(tmp_path / f"lc.{where}", BANDS)
    assert len(curves.mjd) == 3
    expected = {"two": 0.4, "three": 0.3}.get(name)
    assert curves.host_photoz[0] == expected if expected else np.isnan(curves.host_photoz[0])
    assert np.isnan(curves.mwebv[0])


def test_cells_that_are_no_numbers_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        door.read(rows(photoz=["0.3", "bad", "?"]), BANDS)
    assert "2 of 3 cells of column photoz are no numbers: they say nothing of the objects' host_photoz" in caplog.text


def test_the_column_that_is_named_counts_and_no_other(tmp_path: Path) -> None:
    table = rows(photoz=0.9, my_z=0.3)
    assert door.read(table, BANDS, {"columns": {"host_photoz": "my_z"}}).host_photoz[0] == 0.3
    with pytest.raises(ValueError, match=r"lacks the column\(s\) q \(host_photoz\)"):
        door.read(table, BANDS, {"columns": {"host_photoz": "q"}})
    with pytest.raises(ValueError, match="'bad' is not a number"):
        door.read(rows(my_z="bad"), BANDS, {"columns": {"host_photoz": "my_z"}})
    write(table, tmp_path / "lc.csv")
    write(pd.DataFrame({"object_id": [OBJECT], "ra": 1.0}), tmp_path / "o.csv")
    assert door.read(tmp_path, BANDS, {"columns": {"host_photoz": "my_z"}}).host_photoz[0] == 0.3
    with pytest.raises(ValueError, match=r"lacks the column\(s\) q \(host_photoz\)"):
        door.read(tmp_path, BANDS, {"columns": {"host_photoz": "q"}})


def test_the_error_is_the_column_called_after_the_redshift() -> None:
    usual = HOST_ERRORS[1]
    assert host_of(door.read(rows(err=0.77, zz=0.3), BANDS, {"columns": {"host_photoz": "zz"}})) == pytest.approx(
        [0.3, 1.3 * usual]
    )
    assert np.isnan(host_of(door.read(rows(err=0.77, _err=0.5), BANDS))).all()
    both = rows(photoz=0.3, photoz_err=0.01, host_photoz=0.5)
    assert host_of(door.read(both, BANDS, {"columns": {"host_photoz": "photoz"}})) == pytest.approx([0.3, 0.01])
    named = {"host_photoz": "photoz", "host_photoz_err": None}
    assert host_of(door.read(both, BANDS, {"columns": named})) == pytest.approx([0.3, 1.3 * usual])
    assert np.isnan(host_of(door.read(both, BANDS, {"columns": {"host_photoz": None}}))).all()


@pytest.mark.parametrize("name", ["a_v", "A_V", "obj.a_v", "lc_a_v", "A V"])
def test_dust_of_whatever_kind_beside_observations_is_no_extinction(name: str) -> None:
    assert np.isnan(door.read(rows(**{name: 0.31}), BANDS).mwebv[0])


def test_text_of_another_arrow_type_is_read() -> None:
    table = pa.Table.from_pandas(rows(photoz="0.3"))
    place = table.column_names.index("photoz")
    assert (
        door.read(table.set_column(place, "photoz", table["photoz"].cast(pa.string_view())), BANDS).host_photoz[0]
        == 0.3
    )


@pytest.mark.parametrize(
    "column",
    [
        {"photoz": pa.array([[0.1, 0.2]])}, {"photoz": pa.array([[0.1, 0.2, 0.3]])}, {"hosts": pa.array([[{"photoz": 0.3, "photoz_err": 0.1}]])},
        {"host": pa.array([{"photoz": 0.3}])},
    ],
    ids=["short", "as long", "candidates", "struct"],
)  # fmt: skip
def test_lists_of_candidates_are_no_redshift_of_the_host(column: dict[str, pa.Array], tmp_path: Path) -> None:
    pq.write_table(nested(**column), tmp_path / "n.parquet")
    (part,) = door.parts(tmp_path / "n.parquet", BANDS, rows=2)
    for curves in (door.read(tmp_path / "n.parquet", BANDS), part):
        assert len(curves.mjd) == 3 and np.isnan(curves.host_photoz[0])


@pytest.mark.parametrize("key", ["HOSTGAL_PHOTOZ", "HOST_GALAXY_PHOTO-Z"])
def test_snana_text_states_it_with_an_error(key: str, tmp_path: Path) -> None:
    curves = read_text(tmp_path, f"{HEADER}{key}: 0.31 +- 0.04\n{TABLE}")
    assert host_of(curves) == pytest.approx([0.31, 0.04])


def packet(**about: object) -> dict[str, dict[str, object]]:
    source = {
        "diaSourceId": 1, "diaObjectId": 7, "midPointTai": 60000.5, "filterName": "g", "psFlux": 1e4, "psFluxErr": 100.0, "ra": 1.0, "decl": 2.0,
    }  # fmt: skip
    return {"diaSource": source, "diaObject": {"diaObjectId": 7, "ra": 1.0, "decl": 2.0, **about}}


@pytest.mark.parametrize(
    ("about", "expected"),
    [
        ({"hostgal_zphot": 0.3, "hostgal_zphot_err": 0.02}, (0.3, 0.02)),
        ({"hostgal_zphot": -9.0, "photoz": 0.4, "photoz_err": 0.1, "hostgal_zphot_err": -9.0}, (0.4, 0.1)),
        ({"hostgal_zphot": 999.0, "hostgal_zphot_err": 999.0}, (np.nan, np.nan)),
        ({"hostgal_zphot": "abc"}, (np.nan, np.nan)),
        ({"photoz": [0.1]}, (np.nan, np.nan)),
        ({"hostgal_zphot": 0.3, "hostgal_zphot_err": None}, (0.3, np.nan)),
        ({"hostgal_zphot": 0.3, "hostgal_zphot_err": None, "hostgal_zphot_error": 0.1}, (0.3, 0.1)),
        ({"hostgal_zphot": True}, (np.nan, np.nan)),
        ({}, (np.nan, np.nan)),
    ],
)
def test_a_packet_states_it_in_its_object(about: dict[str, object], expected: tuple[float, float]) -> None:
    head, _ = rubin(packet(**about), True, 27.5)
    assert head is not None and np.array_equal(head[-2:], expected, equal_nan=True)


def test_packets_as_parquet_state_it_too(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pylist([packet(hostgal_zphot=0.3, hostgal_zphot_err=0.02)]), tmp_path / "p.parquet")
    assert host_of(door.read(tmp_path / "p.parquet", BANDS, {"flux_unit": "njy"})) == pytest.approx([0.3, 0.02])


def test_files_keep_what_is_known_and_files_of_before_are_read(tmp_path: Path) -> None:
    curves = door.read(rows(photoz=0.3), BANDS)
    for changes in ({}, {"host_photoz": np.array([0.3]), "host_photoz_err": np.array([np.nan])}):
        arrow.write(replace(curves, **changes), tmp_path / "c.arrow")
        again = arrow.read(tmp_path / "c.arrow")
        assert np.array_equal(host_of(again), host_of(replace(curves, **changes)), equal_nan=True)
    plain = door.read(rows(), BANDS)
    arrow.write(plain, tmp_path / "old.arrow")
    batch, about = pa.ipc.open_file(tmp_path / "old.arrow").get_batch_with_custom_metadata(0)
    before = pa.Table.from_batches([batch]).drop_columns(["host_photoz", "host_photoz_err"])
    with pa.ipc.new_file(tmp_path / "before.arrow", before.schema) as sink:
        sink.write_batch(before.to_batches()[0], custom_metadata=about)
    assert np.isnan(host_of(arrow.read(tmp_path / "before.arrow"))).all()


def test_plasticc_states_it(tmp_path: Path) -> None:
    write_plasticc(tmp_path)
    (file,) = tmp_path.rglob("*metadata*")
    table = pd.read_csv(file).assign(hostgal_photoz=0.3, hostgal_photoz_err=0.02)
    table.loc[0, ["hostgal_photoz", "hostgal_photoz_err"]] = 0.0
    table.to_csv(file, index=False)
    curves = PlasticcCSV(file.parent, LSST).read()
    assert np.isnan(curves.host_photoz[0]) and curves.host_photoz[1:] == pytest.approx(0.3)
