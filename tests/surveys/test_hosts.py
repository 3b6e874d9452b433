"""Redshifts of host galaxies, in every reader."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from tests.data.raw_rows import OBJECT, frame
from tests.data.raw_surveys import write_plasticc
from tests.data.raw_tables import write
from tests.surveys.test_rules import BANDS, ROWS
from tests.surveys.test_snana_text import HEADER, TABLE
from tests.surveys.test_snana_text import read as read_text
from tlclass.lightcurves.curves import HOST_ERRORS, LightCurves, best_hosts, known_hosts
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


@pytest.mark.parametrize("names", NAMES, ids=str)
@pytest.mark.parametrize("where", ["rows", "objects", "memory", "nested"])
def test_a_redshift_of_the_host_is_read_from_rows_and_from_objects(
    where: str, names: tuple[str, str], tmp_path: Path
) -> None:
    stated = dict(zip(names, (0.3, 0.02), strict=True))
    if where == "memory":
        curves = door.read(rows(**stated), BANDS)
    elif where == "nested":
        lists = {name: pa.array([values.tolist()]) for name, values in rows().drop(columns="object_id").items()}
        table = pa.table({"object_id": [OBJECT], **{name: [value] for name, value in stated.items()}, **lists})
        curves = door.read(table, BANDS)
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


def test_of_several_redshifts_that_with_the_smallest_error_counts() -> None:
    photoz, error = np.array([0.5, 0.3, -9, 0.7]), np.array([0.2, 0.02, 0.001, 0.1])
    owner = np.array([0, 0, 0, 2])
    found = best_hosts(photoz, error, owner, 3)
    assert found["host_photoz"].tolist()[::2] == [0.3, 0.7] and np.isnan(found["host_photoz"][1])


def test_snana_text_states_it_with_an_error(tmp_path: Path) -> None:
    curves = read_text(tmp_path, HEADER + "HOSTGAL_PHOTOZ: 0.31 +- 0.04\n" + TABLE)
    assert host_of(curves) == pytest.approx([0.31, 0.04])


def test_a_packet_states_it_in_its_object() -> None:
    source = {
        "diaSourceId": 1, "diaObjectId": 7, "midPointTai": 60000.5, "filterName": "g", "psFlux": 1e4, "psFluxErr": 100.0, "ra": 1.0, "decl": 2.0,
    }  # fmt: skip
    about = {"diaObjectId": 7, "ra": 1.0, "decl": 2.0, "hostgal_zphot": 0.3, "hostgal_zphot_err": 0.02}
    head, _ = rubin({"diaSource": source, "diaObject": about}, True, 27.5)
    assert head is not None and head[-2:] == (0.3, 0.02)


def test_plasticc_states_it(tmp_path: Path) -> None:
    write_plasticc(tmp_path)
    (file,) = tmp_path.rglob("*metadata*")
    table = pd.read_csv(file).assign(hostgal_photoz=0.3, hostgal_photoz_err=0.02)
    table.loc[0, ["hostgal_photoz", "hostgal_photoz_err"]] = 0.0
    table.to_csv(file, index=False)
    curves = PlasticcCSV(file.parent, LSST).read()
    assert np.isnan(curves.host_photoz[0]) and curves.host_photoz[1:] == pytest.approx(0.3)
