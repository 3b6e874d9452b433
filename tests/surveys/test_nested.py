"""Nested Parquet, in every form it is published in, is the same light curves as long tables."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.conftest import equal_curves, read_cached
from tests.data.raw_tables import LAYOUTS, alerts, plain, write, write_nested
from tests.surveys.test_table import BANDS, same
from tlclass.lightcurves import arrow
from tlclass.lightcurves.curves import LightCurves, check
from tlclass.surveys import Nested, Table, door
from tlclass.surveys.reader import pieces_of
from tlclass.surveys.tables.columns import Form
from tlclass.surveys.tables.lists import flattened, read_known
from tlclass.surveys.tables.nested import is_nested

FORMS = ("lists", "struct of lists", "list of structs")


def objects(frame: pd.DataFrame) -> pd.DataFrame:
    known = frame.drop_duplicates("object_id")[["object_id", "class"]].assign(ra=10.0, dec=-5.0, A_V=0.31)
    return pd.concat(
        [known, pd.DataFrame({"object_id": ["never seen"], "class": ["TDE"], "ra": [1.0], "dec": [2.0], "A_V": [0.62]})]
    )


def rows(layout: str, frame: pd.DataFrame) -> pd.DataFrame:
    """A broker's layout with the id column called `object_id`, to group by."""
    names = {"objectId", "oid", "ztf_object_id", "i:objectId", "SNID", "diaObjectId"}
    table = LAYOUTS[layout](frame)
    return table.rename(columns=dict.fromkeys(names & set(table), "object_id")).drop(
        columns="locus_id", errors="ignore"
    )


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> LightCurves:
    folder = tmp_path_factory.mktemp("long")
    write(plain(alerts()), folder / "observations.parquet")
    write(objects(alerts()), folder / "objects.parquet")
    return Table(folder=folder, passbands=BANDS, default_unit="fluxcal").read()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_form_is_the_same_light_curves(layout: str, form: str, tmp_path: Path, long: LightCurves) -> None:
    each = rows(layout, alerts())
    if form == "lists":  # ALeRCE's positions per detection cannot stand beside the object's under the same name
        each = each.drop(columns=["ra", "dec"], errors="ignore")
    path = write_nested(each, objects(alerts()), tmp_path / "nested.parquet", form)
    curves = check(Nested(path, BANDS, default_unit="fluxcal").read(), "t")
    assert is_nested(path) and same(curves, long) and curves.label.tolist() == long.label.tolist()
    assert np.allclose(curves.mwebv, long.mwebv) and np.allclose(curves.ra, long.ra) and curves.lengths[-1] == 0


def test_a_hats_catalogue_is_read_partition_by_partition(tmp_path: Path, long: LightCurves) -> None:
    frame, folder = alerts(), tmp_path / "catalogue" / "dataset"
    names = objects(frame).object_id.to_numpy()
    for number, some in enumerate(np.array_split(names, 3)):
        about = objects(frame)[lambda table, some=some: table.object_id.isin(some)].assign(_healpix_29=7)
        path = folder / f"Norder={number % 2}" / "Dir=0" / f"Npix={number}.parquet"
        write_nested(rows("rubin", frame[frame.object_id.isin(some)]), about, path)
    write_nested(rows("rubin", frame), objects(frame), folder / "data_thumbnail.parquet")
    pq.write_metadata(pq.read_schema(path), folder / "_metadata")
    pq.write_metadata(pq.read_schema(path), folder / "_common_metadata")
    pd.DataFrame({"Norder": [0], "Npix": [1]}).to_csv(folder.parent / "partition_info.csv")
    reader = Nested(folder.parent, BANDS)
    assert is_nested(folder.parent) and len(pieces_of(reader)) == 3
    read = read_cached(reader, tmp_path / "cache")
    assert equal_curves(read, reader.read())
    order = [int(np.flatnonzero(read.object_id == name)[0]) for name in long.object_id]
    assert same(read.take(np.array(order)), long, detected=False)


def test_our_own_files_are_read_as_they_were_written(tmp_path: Path, long: LightCurves) -> None:
    for suffix in (".parquet", ".arrow"):
        arrow.write(long, tmp_path / f"own{suffix}")
        assert equal_curves(
            Nested(tmp_path / f"own{suffix}", BANDS, default_unit="fluxcal").read(), long
        ) and is_nested(tmp_path / f"own{suffix}")


def test_our_own_files_may_be_saved_again_by_pandas(tmp_path: Path, long: LightCurves) -> None:
    arrow.write(long, tmp_path / "own.parquet")
    pd.read_parquet(tmp_path / "own.parquet").to_parquet(tmp_path / "again.parquet")
    assert same(Nested(tmp_path / "again.parquet", BANDS, default_unit="fluxcal").read(), long)


def test_an_object_stands_in_one_file(tmp_path: Path, long: LightCurves) -> None:
    for name in ("a.parquet", "b.parquet"):
        arrow.write(long, tmp_path / "two" / name)
    with pytest.raises(
        ValueError, match=rf"object {long.object_id[0]} is in both .*a.parquet and .*b.parquet: an object"
    ):
        Nested(tmp_path / "two", BANDS, default_unit="fluxcal").read()


def nested(tmp_path: Path, **columns: Any) -> LightCurves:
    pq.write_table(pa.table(columns), tmp_path / "n.parquet")
    return Nested(tmp_path / "n.parquet", BANDS, flux_unit="fluxcal").read()


def test_only_what_is_needed_of_a_wide_catalogue_is_read(tmp_path: Path, long: LightCurves) -> None:
    wide = plain(alerts()).assign(flux_flag=False, cutout="x" * 1000, ra=1.0)
    about = objects(alerts()).assign(image="y" * 1000, field=7)
    for form in FORMS[1:]:
        path = write_nested(wide, about, tmp_path / "wide.parquet", form)
        read, unread = read_known(path, Form(BANDS, extra=("field",)))
        assert {"image", "cutout", "flux_flag"} == set(unread) and read.nbytes < 200_000
        curves = Nested(path, BANDS, extra=("field",), default_unit="fluxcal").read()
        assert same(curves, long) and (curves.extra["field"] == 7).all()


def test_of_two_nested_light_curves_one_must_be_named(tmp_path: Path, long: LightCurves) -> None:
    once = pq.read_table(write_nested(plain(alerts()), objects(alerts()), tmp_path / "once.parquet"))
    forced = pq.read_table(
        write_nested(plain(alerts()).assign(flux=1.0)[::2], objects(alerts()), tmp_path / "forced.parquet")
    )
    pq.write_table(once.append_column("forced", forced["lightcurve"]), tmp_path / "both.parquet")
    with pytest.raises(ValueError, match=r"the columns lightcurve.mjd and forced.mjd both mean mjd"):
        Nested(tmp_path / "both.parquet", BANDS, default_unit="fluxcal").read()
    names = ("mjd", "band", "flux", "flux_err", "detected")
    for struct, expected in (("lightcurve", long), ("forced", None)):
        columns = {name: f"{struct}.{name}" for name in names}
        curves = Nested(tmp_path / "both.parquet", BANDS, columns=columns, default_unit="fluxcal").read()
        assert same(curves, expected) if expected else (curves.flux == 1).all()


def test_null_and_empty_lists_are_objects_without_observations(tmp_path: Path) -> None:
    lists = {
        "mjd": [[59000.0, 59001.0], None, []],
        "band": [["g", "r"], None, []],
        "flux": [[1.0, 2.0], None, []],
        "flux_err": [[1.0, 1.0], None, []],
    }
    curves = nested(tmp_path, id=[5, 6, 7], **lists)
    assert (
        curves.object_id.tolist() == ["5", "6", "7"]
        and curves.lengths.tolist() == [2, 0, 0]
        and curves.flux.tolist() == [1, 2]
    )


def test_mistakes_say_what_is_wrong(tmp_path: Path) -> None:
    lists = {"mjd": [[59000.0, 59001.0]], "band": [["g", "r"]], "flux": [[1.0]], "flux_err": [[1.0, 1.0]]}
    with pytest.raises(ValueError, match="the lists mjd and flux of an object differ in length"):
        nested(tmp_path, id=["a"], **lists)
    with pytest.raises(ValueError, match=r"n.parquet lacks the column\(s\) flux, flux_err; it has mjd, band, id"):
        nested(tmp_path, id=["a"], mjd=lists["mjd"], band=lists["band"])
    with pytest.raises(ValueError, match=r"lacks the column\(s\) object_id; it has host:"):
        nested(tmp_path, host=["a"], **lists)
    with pytest.raises(
        ValueError, match=r"n.parquet: no list column has the name of a time or a brightness; it has none: "
    ):
        nested(tmp_path, id=["a"])
    with pytest.raises(
        ValueError, match=r"; it has cmjd, cband, cflux, cflux_err: name yours with .*columns.mjd=COLUMN"
    ):
        nested(tmp_path, id=["a"], **{f"c{name}": values for name, values in lists.items()})
    path = tmp_path / "n.parquet"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(ValueError, match=f"{path} cannot be read"):
        Nested(tmp_path, BANDS, default_unit="fluxcal").read()
    with pytest.raises(FileNotFoundError, match=r"no data folder /no/such: set paths.data=FOLDER"):
        Nested(Path("/no/such"), BANDS).files()


def test_list_columns_of_no_known_name_are_listed() -> None:
    form = Nested(Path("n.parquet"), BANDS, default_unit="fluxcal").form()
    with pytest.raises(ValueError, match=r"n.parquet: no list column has a known name; there are epochs, counts"):
        flattened(pa.table({"id": ["a"], "epochs": [[59000.0]], "counts": [[1.0]]}), "id", ["id"], form, "n.parquet")


def test_columns_that_are_not_read_may_be_of_any_kind_in_memory_too() -> None:
    lists = {"mjd": [[60001.25, 60002.5]], "band": [["g", "r"]], "flux": [[9.0, 8.0]], "flux_err": [[1.0, 1.0]]}
    other = pa.array([[("depth", 24.5)]], pa.map_(pa.string(), pa.float64()))
    table = pa.table({"object_id": ["a"], **lists, "about": other})
    assert len(door.read(table, BANDS, {"flux_unit": "fluxcal"}).mjd) == 2


def test_two_list_columns_of_one_name_are_an_error() -> None:
    lists = {"mjd": [[60001.25]], "band": [["g"]], "flux": [[9.0]], "flux_err": [[1.0]]}
    table = pa.table({"object_id": ["a"], **lists}).append_column("flux", pa.array([[8.0]]))
    with pytest.raises(ValueError, match=r"the column\(s\) flux appear twice: rename or remove one of each"):
        door.read(table, BANDS)
