import logging
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from tests.conftest import compose, equal_curves, read_cached, shared_data
from tlclass.config import CONF
from tlclass.experiments.cards import build_survey
from tlclass.inspection.account import inspect_survey
from tlclass.lightcurves import arrow
from tlclass.lightcurves.curves import LightCurves, check, concatenate
from tlclass.lightcurves.passbands import Passbands
from tlclass.serving.surveys import load_survey
from tlclass.surveys import PlasticcCSV, Survey, Table, Union
from tlclass.surveys.survey import cached, matching, reader_key

CARDS = sorted(path.stem for path in (CONF / "survey").glob("*.yaml"))
RAW = ("bts", "plasticc", "plasticc_ddf", "plasticc_table", "plasticc_wfd")
ZTF = Passbands.from_mapping(
    {"ztfg": {"wavelength": 0.4746, "aliases": ["g"]}, "ztfr": {"wavelength": 0.6366, "aliases": ["r"]}}
)
OBSERVATIONS = {
    "object_id": ["a", "a", "b"],
    "mjd": [1.0, 2.0, 3.0],
    "band": ["g", "r", "g"],
    "flux": [10.0, 20.0, 30.0],
    "flux_err": [1.0, 1.0, 2.0],
}
OBJECTS = {
    "object_id": ["a", "b", "c"],
    "label": ["SN Ia", "TDE", "nova"],
    "mwebv": [0.1, None, 0.3],
    "field": [7, 8, 9],
}


def survey(name: str, data: Path) -> Survey:
    return build_survey(compose([f"target={name}", f"paths.data={data}"])["target"])


def write(
    folder: Path,
    objects: dict[str, Any] = OBJECTS,
    observations: dict[str, Any] = OBSERVATIONS,
    suffix: str = ".parquet",
) -> dict[str, Path]:
    paths = {}
    for name, columns in (("objects", objects), ("observations", observations)):
        paths[name] = folder / f"{name}{suffix}"
        frame = pd.DataFrame(columns)
        frame.to_parquet(paths[name]) if suffix == ".parquet" else frame.to_csv(paths[name], index=False)
    return paths


def table(
    folder: Path,
    observations: dict[str, Any] = OBSERVATIONS,
    objects: dict[str, Any] = OBJECTS,
    suffix: str = ".parquet",
    **options: Any,
) -> LightCurves:
    return check(
        Table(
            passbands=ZTF, **write(folder, objects, observations, suffix), **{"flux_unit": "fluxcal", **options}
        ).read(),
        "t",
    )


@pytest.mark.parametrize("name", CARDS)
def test_every_card_instantiates_and_composes_as_source_and_as_target(name: str) -> None:
    """Without trust."""
    settings = compose([f"source={name}", f"target={name}"])
    for role in ("source", "target"):
        built = build_survey(settings[role])
        assert isinstance(built, Survey) and built.name and len(built.taxonomy.classes) > 1
        assert set(built.taxonomy.common) <= set(built.taxonomy.classes)


@pytest.mark.parametrize("name", RAW)
def test_a_survey_gives_selected_light_curves_of_its_classes(name: str, data: Path, cache: Path) -> None:
    built = survey(name, data)
    curves, label = built.load(cache)
    check(curves, name)
    assert len(label) == len(curves) > 20
    assert set(label) <= set(range(len(built.taxonomy.classes)))
    days = curves.mjd - curves.trigger_mjd[curves.owner]
    assert (days > -30).all() and (days < 70).all()
    assert curves.lengths.min() >= built.selection.min_observations
    assert [built.taxonomy.classes[k] for k in label] == [
        built.taxonomy.classes[built.taxonomy.index_of(str(x)) or 0] for x in curves.label
    ]
    if built.selection.photometry.kind == "detections":
        assert curves.detected.all() and np.isclose(days.min(), 0)
    again, label_again = built.load(cache)
    assert equal_curves(curves, again) and np.array_equal(label, label_again)


def test_the_two_forms_of_plasticc_are_the_same_data(data: Path, cache: Path) -> None:
    published, tabled = (survey(name, data).load(cache)[0] for name in ("plasticc", "plasticc_table"))
    by_id = [curves.take(np.argsort(curves.object_id)) for curves in (published, tabled)]
    assert np.array_equal(by_id[0].object_id, by_id[1].object_id) and np.array_equal(by_id[0].label, by_id[1].label)
    assert np.array_equal(by_id[0].passband, by_id[1].passband) and np.array_equal(by_id[0].offsets, by_id[1].offsets)
    assert np.allclose(by_id[0].flux, by_id[1].flux, rtol=1e-6) and np.allclose(by_id[0].mjd, by_id[1].mjd)


def test_the_two_survey_modes_of_plasticc_are_a_partition(data: Path, cache: Path) -> None:
    whole, deep, wide = (
        set(survey(name, data).load(cache)[0].object_id) for name in ("plasticc", "plasticc_ddf", "plasticc_wfd")
    )
    assert deep and wide and deep.isdisjoint(wide) and deep | wide == whole


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_parquet_and_csv_tables(suffix: str, tmp_path: Path) -> None:
    curves = table(tmp_path, suffix=suffix, extra=("field",))
    assert curves.object_id.tolist() == ["a", "b", "c"] and curves.label.tolist() == ["SN Ia", "TDE", "nova"]
    assert curves.lengths.tolist() == [2, 1, 0]
    assert curves.flux.tolist() == [10, 20, 30] and curves.passband.tolist() == [0, 1, 0]
    assert np.allclose(curves.mwebv, [0.1, np.nan, 0.3], equal_nan=True)
    assert curves.extra["field"].tolist() == [7, 8, 9]
    assert curves.detected.all() and np.isnan(curves.redshift).all()


def test_numeric_ids_and_bands(tmp_path: Path) -> None:
    numbered = OBSERVATIONS | {"object_id": [1, 1, 2], "band": [0, 1, 0]}
    passbands = Passbands.from_mapping(
        {"ztfg": {"wavelength": 0.47, "aliases": ["0"]}, "ztfr": {"wavelength": 0.63, "aliases": ["1"]}}
    )
    for suffix in (".parquet", ".csv"):
        paths = write(tmp_path, OBJECTS | {"object_id": [2, 1, 3]}, numbered, suffix)
        curves = Table(passbands=passbands, flux_unit="fluxcal", **paths).read()
        assert curves.object_id.tolist() == ["2", "1", "3"] and curves.lengths.tolist() == [1, 2, 0]


def test_columns_are_renamed_and_null_is_not_read(tmp_path: Path) -> None:
    observations = {"id": ["a"], "time": [1.0], "filter": ["g"], "f": [5.0], "e": [1.0], "detected": [False]}
    columns: dict[str, str | None] = {
        "object_id": "id",
        "mjd": "time",
        "band": "filter",
        "flux": "f",
        "flux_err": "e",
        "label": "type",
        "detected": None,
    }
    curves = table(tmp_path, observations, {"id": ["a"], "type": ["TDE"]}, columns=columns)
    assert curves.label.tolist() == ["TDE"] and curves.detected.tolist() == [True]


@pytest.mark.parametrize(
    ("unit", "factor"),
    [
        ("fluxcal", 1),
        (27.5, 1),
        ("ujy", 10 ** (0.4 * 3.6)),
        (23.9, 10 ** (0.4 * 3.6)),
        ("nJy", 10 ** (-0.4 * 3.9)),
        (31.4, 10 ** (-0.4 * 3.9)),
        (25, 10.0),
    ],
)
def test_flux_units(unit: str | float, factor: float, tmp_path: Path) -> None:
    curves = table(tmp_path, flux_unit=unit)
    assert np.allclose(curves.flux, np.array([10, 20, 30]) * factor) and np.allclose(
        curves.flux_err, np.array([1, 1, 2]) * factor
    )


def test_julian_dates(tmp_path: Path) -> None:
    observations = OBSERVATIONS | {"mjd": [2459000.5, 2459001.5, 2459002.5]}
    curves = table(tmp_path, observations, OBJECTS | {"trigger_mjd": [2459000.5] * 3}, time_offset=-2400000.5)
    assert curves.mjd.tolist() == [59000, 59001, 59002] and curves.trigger_mjd.tolist() == [59000] * 3


def test_unsorted_times_are_sorted_without_a_word(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        curves = table(
            tmp_path, OBSERVATIONS | {"mjd": [2.13, 1.13, 3.13], "flux_err": [50.0] * 3, "flux_unit": ["fluxcal"] * 3}
        )
    assert curves.flux.tolist() == [20, 10, 30]
    assert not any(record.levelno >= logging.WARNING for record in caplog.records)


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_missing_values_and_bad_errors_are_dropped_and_counted(suffix: str, tmp_path: Path) -> None:
    rows = {
        "object_id": list("aaaaa"),
        "mjd": [1, 2, 3, 4, 5.0],
        "band": list("ggggg"),
        "flux": [1, np.nan, 3, 4, 5],
        "flux_err": [1, 1, np.nan, 0, -1],
    }
    curves = table(tmp_path, rows, suffix=suffix)
    assert curves.flux.tolist() == [1]
    assert curves.dropped == {
        "with a missing or infinite flux": 1,
        "with a missing, zero or negative flux error": 3,
    }


def test_a_missing_column_lists_what_there_is_and_how_to_name_it(tmp_path: Path) -> None:
    observations = {("flx" if name == "flux" else name): column for name, column in OBSERVATIONS.items()}
    with pytest.raises(
        ValueError,
        match=r"observations.parquet lacks the column\(s\) flux; it has object_id, mjd, band, flx, .*columns.flux=COLUMN",
    ):
        table(tmp_path, observations)
    with pytest.raises(
        ValueError, match=r"objects.parquet lacks the column\(s\) typ \(label\); it has object_id, label"
    ):
        table(tmp_path, columns={"label": "typ"})


def test_extra_columns_are_read_where_present_and_needed_where_they_choose(tmp_path: Path) -> None:
    curves = table(tmp_path, extra=("origin",))
    assert "origin" not in curves.extra
    with pytest.raises(ValueError, match="no column 'origin' to select objects by"):
        matching(curves, {"origin": "x"}, "table")


def test_a_misspelt_key_of_the_column_map_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"fluxx.*flux_err"):
        table(tmp_path, columns={"fluxx": "flux"})


def test_text_where_numbers_belong_names_column_and_row(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"observations.csv: column flux, row 2: 'bright' is not a number"):
        table(tmp_path, OBSERVATIONS | {"flux": [1.0, "bright", 3.0]}, suffix=".csv")


def test_duplicate_object_ids_are_an_error(tmp_path: Path) -> None:
    twice = {"object_id": ["a", "a", "b"], "class": ["SN Ia", "SN II", "TDE"], "z": [0.1, 0.1, 0.2]}
    with pytest.raises(
        ValueError, match=r"objects.parquet: 1 object\(s\) have rows that differ, e.g. a is SN Ia and SN II"
    ):
        table(tmp_path, objects=twice)
    with pytest.raises(ValueError, match=r"objects.parquet: .*, e.g. a has redshift 0.1 and nan"):
        table(tmp_path, objects=twice | {"class": ["SN Ia"] * 3, "z": [0.1, np.nan, 0.2]})


@pytest.mark.parametrize("rows", [None, 1])
def test_rows_of_objects_that_say_the_same_count_once(
    rows: int | None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Read at once and in parts."""
    for name in ("once", "twice"):
        (tmp_path / name).mkdir()
    once = {"object_id": ["b", "a"], "class": ["TDE", "SN Ia"], "z": [np.nan, 0.1]}
    twice = {name: [values[0], *values, values[0]] for name, values in once.items()}
    paths = [write(folder, objects) for folder, objects in ((tmp_path / "once", once), (tmp_path / "twice", twice))]
    reader = [Table(passbands=ZTF, flux_unit="fluxcal", **files) for files in paths]
    seen = [each.read() if rows is None else concatenate(list(each.read_parts(rows, 1))) for each in reader]
    assert equal_curves(*seen)
    assert f"{paths[1]['objects']}: left out 2 row(s) of objects that say the same as another row" in caplog.text


def test_objects_without_an_observation_are_a_cut_of_their_own(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    objects = {"object_id": ["a", "b", "c"], "class": ["SN Ia", "TDE", "SN II"]}
    days = [59000.0, 59001.0, 59002.0, 59003.0]
    observations = {"object_id": ["a"] * 4 + ["b"] * 4, "mjd": days * 2, "band": ["g", "r"] * 4}
    observations |= {"flux": [100.0] * 8, "flux_err": [1.0] * 8}
    words = [f"target.reader.{name}={path}" for name, path in write(tmp_path, objects, observations).items()]
    built = build_survey(compose(["target=table", *words, "target.reader.flux_unit=fluxcal"])["target"])
    curves, _ = built.load(tmp_path / "cache")
    assert curves.object_id.tolist() == ["a", "b"]
    why = "that have no observation in the data (or none that is usable)"
    assert f"table: dropped 1 of 3 objects {why}, e.g. c" in caplog.text and "without a detection" not in caplog.text
    counts = inspect_survey(built, tmp_path / "cache").counts
    assert counts[f"without those {why}"].tolist() == [1, 0, 0, 0, 1, 0, 2]


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    paths = write(tmp_path)
    paths["observations"].write_bytes(b"PAR1 nonsense")
    with pytest.raises(ValueError, match=f"{paths['observations']} cannot be read"):
        Table(passbands=ZTF, flux_unit="fluxcal", **paths).read()
    other = tmp_path / "observations.hdf5"
    other.touch()
    with pytest.raises(
        ValueError, match=r"unknown kind of file '.hdf5': .parquet, .parq, .pq, .csv, .csv.gz, .*\.fits.* are read"
    ):
        Table(other, ZTF).read()
    packed = tmp_path / "observations.json.gz"
    packed.touch()
    with pytest.raises(ValueError, match=r"packed files are read as .csv.gz, .tsv.gz, .fits.gz: unpack it"):
        Table(packed, ZTF).read()


def test_missing_files_and_folders_say_what_to_set(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=f"no data folder {tmp_path / 'nowhere'}: set paths.data=FOLDER"):
        Table(tmp_path / "nowhere" / "o.parquet", ZTF).read()
    write(tmp_path)
    with pytest.raises(
        FileNotFoundError,
        match=f"no file o.parquet in {tmp_path}; it holds objects.parquet, observations.parquet: set paths.data",
    ):
        Table(tmp_path / "o.parquet", ZTF).read()


def test_plasticc_refuses_unknown_class_numbers_and_missing_columns(data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "plasticc"
    shutil.copytree(data / "plasticc", folder)
    passbands = survey("plasticc", data).passbands
    meta = pd.read_csv(folder / "plasticc_train_metadata.csv")
    meta.assign(true_target=meta.true_target.replace(90, 77)).to_csv(
        folder / "plasticc_train_metadata.csv", index=False
    )
    with pytest.raises(
        ValueError, match=r"plasticc_train_metadata.csv: unknown class number 77 \(40\); PLAsTiCC has 6, 15"
    ):
        PlasticcCSV(folder, passbands).read()
    meta.drop(columns="mwebv").to_csv(folder / "plasticc_train_metadata.csv", index=False)
    with pytest.raises(ValueError, match=r"plasticc_train_metadata.csv lacks the column\(s\) mwebv; it has object_id"):
        PlasticcCSV(folder, passbands).read()
    (folder / "plasticc_train_metadata.csv").unlink()
    with pytest.raises(FileNotFoundError, match=r"no file plasticc_train_metadata.csv in"):
        PlasticcCSV(folder, passbands).read()


def test_the_cache_is_read_instead_of_the_files_until_they_change(tmp_path: Path) -> None:
    paths = write(tmp_path)
    reader = Table(passbands=ZTF, flux_unit="fluxcal", **paths)
    first = read_cached(reader, tmp_path / "cache")
    stats = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "cache").glob("*.arrow")}
    assert len(stats) == 1
    assert equal_curves(read_cached(reader, tmp_path / "cache"), first) and equal_curves(reader.read(), first)
    assert {path.name: path.stat().st_mtime_ns for path in (tmp_path / "cache").glob("*.arrow")} == stats
    write(tmp_path, observations=OBSERVATIONS | {"flux": [11.0, 20.0, 30.0]})
    assert read_cached(reader, tmp_path / "cache").flux.tolist() == [11, 20, 30]


def test_the_cache_key_covers_every_setting_of_the_reader(tmp_path: Path) -> None:
    paths = write(tmp_path)
    other = Passbands.from_mapping(
        {"ztfg": {"wavelength": 0.48, "aliases": ["g"]}, "ztfr": {"wavelength": 0.6366, "aliases": ["r"]}}
    )
    variants: list[dict[str, Any]] = [{}, {"flux_unit": "ujy"}, {"time_offset": 1.0}, {"extra": ("field",)}]
    variants += [{"columns": {"detected": None}}, {"passbands": other}]
    keys = {reader_key(Table(**{"passbands": ZTF, **paths, **variant})) for variant in variants}
    assert len(keys) == len(variants)


def test_the_digest_follows_the_contents_wherever_the_files_lie(data: Path, tmp_path: Path) -> None:
    root, cache = tmp_path / "moved", tmp_path / "cache"
    shutil.copytree(data, root)
    moved, before = survey("plasticc", root), survey("plasticc", data).digest(data, cache)
    assert moved.digest(root, cache) == before
    path = root / "plasticc" / "plasticc_train_metadata.csv"
    os.utime(path)  # touched
    assert moved.digest(root, cache) == before
    content = path.read_bytes()
    middle = len(content) // 2
    path.write_bytes(content[:middle] + b"#" + content[middle + 1 :])  # of the same length
    assert moved.digest(root, cache) != before
    path.write_bytes(content)
    assert moved.digest(root, cache) == before
    with pytest.raises(FileNotFoundError, match="no data folder"):
        survey("plasticc", tmp_path / "gone").digest(tmp_path / "gone", cache)


def test_the_digest_of_simulated_light_curves_is_that_of_their_settings(data: Path, tmp_path: Path) -> None:
    card = compose(["target=bts_simulated"])["target"]
    digests = [build_survey({**card, **more}).digest(data, tmp_path) for more in ({}, {"n_jobs": 2}, {"seed": 1})]
    assert digests[0] == digests[1] != digests[2]


def test_a_union_reads_its_parts_as_one(data: Path, cache: Path) -> None:
    deep, wide = survey("plasticc_ddf", data), survey("bts", data)
    union = read_cached(Union({"deep": deep, "wide": wide}), cache / "union")
    parts = [part.reader.read() for part in (deep, wide)]
    assert equal_curves(check(union, "t"), concatenate(parts))
    assert len(union) == sum(map(len, parts))
    with pytest.raises(ValueError, match=r"object id\(s\) appear more than once"):
        read_cached(Union({"one": deep, "two": deep}), cache / "twice")


def test_objects_are_chosen_by_their_extra_columns(tmp_path: Path) -> None:
    curves = table(tmp_path, extra=("field",))
    assert matching(curves, {"field": 8}, "t").tolist() == [False, True, False]
    assert matching(curves, {"field": [8, 9]}, "t").tolist() == [False, True, True]
    assert matching(curves, {}, "t").all()
    with pytest.raises(ValueError, match=r"t: there is no column 'colour' to select objects by; the columns are field"):
        matching(curves, {"colour": 1}, "t")


def test_an_unknown_class_label_names_the_survey_and_the_count(data: Path, tmp_path: Path, cache: Path) -> None:
    shutil.copytree(data / "ztf_bts", tmp_path / "ztf_bts")
    objects = pd.read_parquet(tmp_path / "ztf_bts" / "objects.parquet")
    objects.assign(**{"class": objects["class"].replace("TDE", "TED")}).to_parquet(
        tmp_path / "ztf_bts" / "objects.parquet"
    )
    with pytest.raises(ValueError, match=r"bts: unknown class label 'TED' \(16\); the taxonomy maps SN Ia, SN II"):
        survey("bts", tmp_path).load(cache)


@pytest.mark.parametrize(
    ("rows", "objects", "said"),
    [
        ({}, {"tns_type": "SN Ia"}, r"with target.reader.columns.label=COLUMN, e.g. tns_type of objects.csv"),
        (
            {"class": "SN Ia"},
            {},
            r"class of rows.csv stands beside observations.*\[\['object_id', 'class'\]\].drop_duplicates",
        ),
        ({}, {"class": ""}, r"add a table of objects with object_id and class"),
        ({}, {"class": "Ia"}, r"'Ia' \(1\) \(did you mean SN Ia\?\)"),
    ],
)
def test_where_classes_may_stand_is_said(
    rows: dict[str, str], objects: dict[str, str], said: str, tmp_path: Path
) -> None:
    seen = pd.DataFrame({"object_id": "a", "mjd": [59000.1, 59001.2], "band": "g", "fluxcal": 90.0, "fluxcalerr": 9.0})
    seen.assign(**rows).to_csv(tmp_path / "rows.csv", index=False)
    pd.DataFrame({"object_id": ["a"], "redshift": 0.1, **objects}).to_csv(tmp_path / "objects.csv", index=False)
    with pytest.raises(ValueError, match=said):
        load_survey("table", tmp_path).load(tmp_path / "cache")


def test_a_card_with_a_wrong_key_is_one_sentence(data: Path) -> None:
    card = compose(["target=bts", f"paths.data={data}"])["target"]
    with pytest.raises(ValueError, match=r"survey card bts: .*colour"):
        build_survey({**card, "colour": 1})


@pytest.mark.slow
def test_the_real_surveys_have_the_known_counts(tmp_path: Path) -> None:
    folder = shared_data("plasticc")
    reader = survey("plasticc_table", folder).reader
    curves = read_cached(reader, tmp_path)
    assert len(curves) == 7848 and len(curves.mjd) == 1_421_705
    _, label = survey("bts", folder).load(tmp_path)
    assert np.bincount(label).shape == (5,) and 2000 < len(label) <= 2355


@pytest.mark.parametrize("damage", ["a flipped bit", "cut short", "no checksum", "empty"])
def test_a_damaged_cache_is_made_again_with_a_warning(
    damage: str, data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    reader = survey("bts", data).reader
    path = cached([reader], tmp_path)
    fresh, content = arrow.read(path), path.read_bytes()
    stamp = path.stat().st_mtime_ns
    cached([reader], tmp_path)
    assert path.stat().st_mtime_ns == stamp  # an intact one stays
    changed = bytearray(content)
    changed[len(content) // 2] ^= 1
    damaged = {"a flipped bit": bytes(changed), "cut short": content[:-100], "empty": b"", "no checksum": b""}[damage]
    path.unlink()
    path.write_bytes(damaged)
    if damage == "no checksum":
        table = arrow.to_arrow(fresh)
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
    caplog.clear()
    with caplog.at_level("WARNING"):
        again = arrow.read(cached([reader], tmp_path))
    assert equal_curves(again, fresh)
    assert [record.levelname for record in caplog.records if str(path) in record.getMessage()] == ["WARNING"]
