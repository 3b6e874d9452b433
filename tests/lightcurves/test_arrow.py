from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.conftest import equal_curves, make_curves
from tlclass.lightcurves.arrow import intact, read, read_parts, readable, to_arrow, write, write_parts
from tlclass.lightcurves.curves import LightCurves, check, concatenate, from_columns

BANDS = ("ztfg", "ztfr")
FORMATS = (".parquet", ".arrow")


def test_parts_are_read_back_one_by_one_and_joined_they_are_the_whole(tmp_path: Path) -> None:
    curves = replace(make_curves(), dropped={"x": 2})
    parts = [curves.take(np.arange(10)), curves.take(np.arange(10, 30))]
    write_parts(iter(parts), tmp_path / "c.arrow")
    back = list(read_parts(tmp_path / "c.arrow"))
    assert all(equal_curves(part, other) for part, other in zip(back, parts, strict=True))
    assert equal_curves(concatenate(back), replace(curves, dropped={"x": 4}))
    assert equal_curves(read(tmp_path / "c.arrow"), replace(curves, dropped={"x": 4}))


def test_an_object_in_two_parts_is_an_error_and_leaves_no_file(tmp_path: Path) -> None:
    curves = make_curves()
    with pytest.raises(ValueError, match=r"1 object id\(s\) appear more than once, e.g. object3"):
        write_parts([curves.take(np.array([1, 3])), curves.take(np.array([3]))], tmp_path / "c.arrow")
    with pytest.raises(ValueError, match="there are no light curves to write"):
        write_parts([], tmp_path / "c.arrow")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("path", ["c.arrow", "folder/c.arrow"])
def test_an_error_about_a_file_names_it_or_its_folder(path: str) -> None:
    with (
        pytest.raises(ValueError, match=r"c\.arrow cannot be read as light curves: a value is 1\.5"),
        readable(path, "light curves"),
    ):
        raise ValueError("a value is 1.5")
    with pytest.raises(ValueError, match=r"^in folder/ nothing is read$"), readable("folder/c.arrow", "light curves"):
        raise ValueError("in folder/ nothing is read")


def test_a_file_without_a_light_curve_is_refused(tmp_path: Path) -> None:
    with pa.OSFile(str(tmp_path / "c.arrow"), "wb") as file, pa.ipc.new_file(file, to_arrow(make_curves()).schema):
        pass
    for reading in (read, lambda path: list(read_parts(path))):
        with pytest.raises(ValueError, match=r"c\.arrow holds no light curves"):
            reading(tmp_path / "c.arrow")


@pytest.mark.parametrize("suffix", FORMATS)
def test_written_and_read_back_is_equal(suffix: str, tmp_path: Path) -> None:
    ids = np.array(["ZTF18å", "星雲", "a b/c", "1"])
    observations = {
        "object_id": ids[[0, 0, 1, 3]],
        "mjd": np.array([2.5, 1.5, 1.0, 5.0]),
        "passband": np.array([0, 1, 1, 0]),
    }
    observations |= {
        "flux": np.array([-1e30, 1e30, 0.0, 1e-30]),
        "flux_err": np.array([1e-30, 1e30, 1.0, 2.0]),
        "detected": np.array([1, 0, 1, 0], bool),
    }
    objects = {
        "object_id": ids,
        "label": np.array(["SN Ia", "", "é", "TDE"]),
        "mwebv": np.array([0.1, np.nan, 0.2, 0.3]),
    }
    curves = from_columns(
        objects | {"ddf": np.array([True, False, True, False]), "survey": np.array(["x", "yy", "", "é"])},
        observations,
        BANDS,
        "t",
    )
    for subset in (curves, curves.take(np.array([2])), curves.take(np.array([], int))):
        write(subset, tmp_path / f"curves{suffix}")
        assert equal_curves(subset, check(read(tmp_path / f"curves{suffix}"), "t"))


def test_an_arrow_file_is_memory_mapped(tmp_path: Path, curves: LightCurves) -> None:
    write(curves, tmp_path / "curves.arrow")
    mapped = read(tmp_path / "curves.arrow")
    for name in ("mjd", "passband", "flux", "flux_err", "detected"):
        assert not getattr(mapped, name).flags.owndata, name
        assert not getattr(mapped, name).flags.writeable, name


def test_parquet_is_one_row_per_object_with_list_columns(tmp_path: Path, curves: LightCurves) -> None:
    write(curves, tmp_path / "curves.parquet")
    table = pq.read_table(tmp_path / "curves.parquet")
    assert len(table) == len(curves)
    assert pa.types.is_large_list(table.schema.field("flux").type)
    assert table["flux"][3].as_py() == curves.flux[curves.offsets[3] : curves.offsets[4]].tolist()


def test_bands_are_stored_by_name(tmp_path: Path, curves: LightCurves) -> None:
    write(curves, tmp_path / "curves.parquet")
    bands = pd.read_parquet(tmp_path / "curves.parquet").band
    assert list(bands[3]) == [curves.passbands[code] for code in curves.passband[curves.owner == 3]]
    pq.write_table(pq.read_table(tmp_path / "curves.parquet"), tmp_path / "groups.parquet", row_group_size=2)
    assert equal_curves(read(tmp_path / "groups.parquet"), curves)


def test_files_with_band_codes_are_still_read(tmp_path: Path, curves: LightCurves) -> None:
    table = to_arrow(curves)
    codes = pa.LargeListArray.from_arrays(pa.array(curves.offsets), pa.array(curves.passband))
    table = table.set_column(table.column_names.index("band"), "band", codes)
    pq.write_table(table, tmp_path / "old.parquet")
    assert equal_curves(read(tmp_path / "old.parquet"), curves)


def test_parts_have_the_same_passbands(tmp_path: Path) -> None:
    parts = [make_curves(passbands=("ztfg", "ztfr")), make_curves(passbands=("lsstg", "lsstr"))]
    with pytest.raises(ValueError, match="files with the passbands lsstg lsstr and ztfg ztfr cannot be read as one"):
        write_parts(parts, tmp_path / "parts.arrow")


def test_writing_replaces_the_whole_file_or_nothing(tmp_path: Path, curves: LightCurves) -> None:
    path = tmp_path / "curves.arrow"
    write(curves, path)
    before = path.read_bytes()
    with pytest.raises((pa.ArrowInvalid, ValueError, pa.ArrowTypeError)):
        write(replace(curves, label=np.array(["too", "short"])), path)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["curves.arrow"]  # no temporary file stays


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_damaged_file_is_named(suffix: str, tmp_path: Path, curves: LightCurves) -> None:
    path = tmp_path / f"curves{suffix}"
    write(curves, path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ValueError, match=str(path)):
        read(path)


def test_another_parquet_file_is_refused_with_what_it_lacks(tmp_path: Path) -> None:
    pq.write_table(pa.table({"object_id": ["a"], "mjd": [1.0]}), tmp_path / "other.parquet")
    with pytest.raises(
        ValueError,
        match=r"other.parquet is not a light-curve file.*lacks band, flux, flux_err, detected; it has object_id, mjd",
    ):
        read(tmp_path / "other.parquet")


def flipped(content: bytes, bit: int) -> bytes:
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def test_no_flipped_bit_changes_what_an_arrow_file_holds(tmp_path: Path, curves: LightCurves) -> None:
    path = tmp_path / "curves.arrow"
    write_parts([curves.take(np.arange(15)), replace(curves.take(np.arange(15, 30)), dropped={"x": 2})], path)
    content, written = path.read_bytes(), read(path)
    assert intact(path)
    refused = 0
    for bit in np.random.default_rng(1).choice(8 * len(content), 400, replace=False):
        path.write_bytes(flipped(content, int(bit)))
        try:
            assert equal_curves(read(path), written), bit
        except ValueError as error:
            refused += 1
            assert str(path) in str(error) and not intact(path)
    assert refused > 200


def test_an_arrow_file_without_checksums_is_read_and_is_not_intact(tmp_path: Path, curves: LightCurves) -> None:
    """As other tools, and earlier versions, write it."""
    table = to_arrow(curves)
    with pa.OSFile(str(tmp_path / "other.arrow"), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    assert equal_curves(read(tmp_path / "other.arrow"), curves)
    assert not intact(tmp_path / "other.arrow")


def lists(values: list[list[object]], kind: pa.DataType) -> pa.Array:
    return pa.array(values, pa.list_(kind))


COLUMNS: dict[str, tuple[str, pa.Array]] = {
    "times as text": ("mjd", lists([["59000"], ["b"]], pa.string())),
    "times not in lists": ("mjd", pa.array([1.0, 2.0])),
    "no list of times": ("mjd", lists([[59000.0], None], pa.float64())),  # type: ignore[list-item]
    "one flux too many": ("flux", lists([[1.0], [2.0, 3.0]], pa.float32())),
    "fluxes as structs": ("flux", lists([[{"a": 1}], [{"a": 1}]], pa.struct([("a", pa.int8())]))),
    "flags missing": ("detected", lists([[True], [None]], pa.bool_())),
    "flags as text": ("detected", lists([["t"], ["f"]], pa.string())),
    "an unknown band": ("band", lists([["ztfg"], ["ztfx"]], pa.string())),
    "a code too high": ("band", lists([[0], [2]], pa.int8())),
    "a code below zero": ("band", lists([[0], [-1]], pa.int8())),
    "a band missing": ("band", lists([["ztfg"], [None]], pa.string())),
    "extinction as text": ("mwebv", pa.array(["0.1", "a"])),
    "ids as structs": ("object_id", pa.array([{"a": 1}, {"a": 2}])),
    "labels as a map": ("label", pa.array([[("a", 1)], []], pa.map_(pa.string(), pa.int8()))),
}  # fmt: skip


def small(**changes: pa.Array) -> pa.Table:
    columns = {
        "object_id": pa.array(["a", "b"]), "label": pa.array(["", ""]), "mwebv": pa.array([0.1, 0.2]), "mjd": lists([[59000.0], [59001.0]], pa.float64()),
        "band": lists([["ztfg"], ["ztfr"]], pa.string()), "flux": lists([[1.0], [2.0]], pa.float32()), "flux_err": lists([[1.0], [1.0]], pa.float32()),
        "detected": lists([[True], [False]], pa.bool_()),
    }  # fmt: skip
    return pa.table(columns | changes).replace_schema_metadata({"passbands": "ztfg ztfr"})


@pytest.mark.parametrize("name", COLUMNS)
def test_columns_of_another_kind_are_named(name: str, tmp_path: Path) -> None:
    column, values = COLUMNS[name]
    path = tmp_path / "other.parquet"
    pq.write_table(small(**{column: values}), path)
    with pytest.raises(ValueError, match=rf"{path}.*\b{column}\b") as refused:
        read(path)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("kind", [pa.float16(), pa.float32(), pa.float64(), pa.int32()])
def test_numbers_of_another_width_are_taken(kind: pa.DataType, tmp_path: Path) -> None:
    values = np.array([1, 2], dtype=kind.to_pandas_dtype())
    column = pa.ListArray.from_arrays(pa.array([0, 1, 2], pa.int32()), pa.array(values))
    pq.write_table(small(flux=column), tmp_path / "other.parquet")
    curves = read(tmp_path / "other.parquet")
    assert curves.flux.tolist() == [1, 2] and curves.flux.dtype == np.float32
    assert curves.detected.tolist() == [True, False]
