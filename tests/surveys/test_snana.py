import gzip
import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits

from tests.conftest import equal_curves, read_cached, shared_data
from tests.data.raw_snana import ELASTICC, write_elasticc, write_pair
from tlclass.lightcurves.curves import LightCurves, check, concatenate
from tlclass.lightcurves.passbands import Passbands
from tlclass.lightcurves.selection import Photometry, Selection, Trigger
from tlclass.lightcurves.taxonomy import Taxonomy
from tlclass.surveys import SnanaFits, Survey, door

LSST = Passbands.from_mapping(
    {f"lsst{band.lower()}": {"wavelength": 0.3 + 0.1 * k, "aliases": [band]} for k, band in enumerate("ugrizY")}
)
LABEL = r"ELASTICC2_TRAIN_01_(?:1percent_)?(.+)"
CURVE = {
    "mjd": [60000.25, 60001.5, 60002.5, 60003.5],
    "band": ["r", "Y", "g ", "u"],
    "flux": [1.5, 200.0, -3e4, 10.0],
    "flux_err": [2.0, 3.0, 4.0, 5.0],
    "photflag": [0, 4096, 6144, 1024 + 4096],
}


def one(folder: Path, curve: dict[str, Any] | None = None, **columns: Any) -> LightCurves:
    """What is read of a pair with one object `7` of model `X`."""
    write_pair(folder / "X", "a", {"7": curve or CURVE}, **columns)
    return check(SnanaFits(folder, LSST).read(), "t")


def pair(folder: Path, name: str = "a", packed: bool = False) -> tuple[Path, Path]:
    return write_pair(folder / "X", name, {f"{name}1": CURVE, f"{name}2": CURVE}, packed=packed)


def test_every_value_of_the_files_arrives(tmp_path: Path) -> None:
    curves = one(tmp_path)
    assert curves.object_id.tolist() == ["7"] and curves.label.tolist() == ["X"]
    assert curves.mjd.tolist() == [60000.25, 60001.5, 60002.5]
    assert [curves.passbands[code] for code in curves.passband] == ["lsstr", "lssty", "lsstg"]
    assert curves.flux.tolist() == [1.5, 200.0, -3e4] and curves.flux_err.tolist() == [2, 3, 4]
    assert curves.detected.tolist() == [False, True, True]
    assert curves.trigger_mjd.tolist() == [60002.5] and curves.extra["peak_mjd"].tolist() == [60000]
    assert np.float32(curves.mwebv) == np.float32(0.05) and np.float32(curves.redshift) == np.float32(0.1)
    assert (curves.ra, curves.dec, curves.extra["host_separation"]) == (150, -30, 1.5)
    assert curves.dropped == {"that are saturated (PHOTFLAG 1024)": 1}


def test_a_simulation_says_that_it_is_one(tmp_path: Path) -> None:
    head, _ = write_pair(tmp_path / "X", "a", {"7": CURVE, "8": CURVE}, packed=False)
    assert not SnanaFits(tmp_path, LSST).read().simulated
    with fits.open(head) as hdus:
        table = fits.BinTableHDU.from_columns([*hdus[1].columns, fits.Column("FAKE", "I", array=[0, 2])])
        fits.HDUList([hdus[0].copy(), table]).writeto(head, overwrite=True)
    assert SnanaFits(tmp_path, LSST).read().extra["simulated"].tolist() == [False, True]


def test_names_of_a_pair_may_be_in_small_letters(tmp_path: Path) -> None:
    head, phot = pair(tmp_path)
    expected = check(SnanaFits(tmp_path, LSST).read(), "t")
    with pytest.raises(
        ValueError, match=r"a_PHOT\.FITS is half of a pair of SNANA files: give its HEAD file, or the folder"
    ):
        door.read(phot, LSST)
    for file in (head, phot):
        file.rename(file.with_name(file.name.lower()))
    assert equal_curves(door.read(tmp_path, LSST), expected)
    (tmp_path / "X" / "a_phot.fits").unlink()
    with pytest.raises(FileNotFoundError, match=r"a_head\.fits has no a_phot\.fits beside it"):
        door.read(tmp_path, LSST)


def test_the_ending_of_a_pair_decides_and_not_the_words_before_it(tmp_path: Path) -> None:
    pair(tmp_path, "a_header")
    assert door.read(tmp_path, LSST).object_id.tolist() == ["a_header1", "a_header2"]


def test_a_photflag_without_the_bit_of_a_detection_says_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert one(tmp_path, {**CURVE, "photflag": [0, 32768, 0, 0]}).detected.tolist() == [False, True, False, False]
    assert "PHOTFLAG calls none of 4 rows a detection, so the 1 with flux / error of 5 or more" in caplog.text


@pytest.mark.parametrize("flag", [-9, -99, -999, -9999, 999])
def test_what_snana_writes_for_unknown_is_unknown(flag: float, tmp_path: Path) -> None:
    keys = ("MWEBV", "SIM_REDSHIFT_CMB", "REDSHIFT_FINAL", "HOSTGAL_SPECZ", "PEAKMJD")
    curves = one(tmp_path, **{key: [flag] for key in keys}, RA=[-999.0], DEC=[-999.0])
    unknown = [curves.mwebv, curves.redshift, curves.ra, curves.dec]
    assert np.isnan([*unknown, curves.extra["host_specz"], curves.extra["peak_mjd"]]).all()


def test_the_heliocentric_redshift_counts_before_that_of_the_cmb(tmp_path: Path) -> None:
    for given, expected in (
        ({}, 0.11),
        ({"REDSHIFT_HELIO": [0.2]}, 0.2),
        ({"REDSHIFT_HELIO": [-9.0]}, 0.11),
        ({"REDSHIFT_HELIO": [0.2], "SIM_REDSHIFT_CMB": [0.3]}, 0.3),
    ):
        curves = one(tmp_path, **{"SIM_REDSHIFT_CMB": [-9.0], **given})
        assert curves.redshift == pytest.approx(expected)


@pytest.mark.parametrize(("stated", "expected"), [(59990.0, 59990.0), (1e6, np.nan), (-9.0, np.nan)])
def test_without_a_flagged_row_the_header_states_the_trigger(stated: float, expected: float, tmp_path: Path) -> None:
    curves = one(tmp_path, {**CURVE, "photflag": [0, 4096, 4096, 0]}, MJD_TRIGGER=[stated])
    assert np.array_equal(curves.trigger_mjd, [expected], equal_nan=True)


@pytest.mark.parametrize("value", [10**18 * 99, "many", -1, 4096.5])
def test_flags_in_a_header_that_are_no_bits_are_refused_with_the_file(value: Any, tmp_path: Path) -> None:
    _, phot = write_pair(tmp_path / "X", "a", {"7": CURVE}, packed=False)
    with fits.open(phot, mode="update") as hdus:
        hdus[0].header["PHOTFLAG_DETECT"] = value
    with pytest.raises(ValueError, match=rf"{phot.name} .*PHOTFLAG_DETECT.* a whole number"):
        SnanaFits(tmp_path, LSST).read()


def test_the_older_name_of_the_band_column_and_unpacked_files(tmp_path: Path) -> None:
    write_pair(tmp_path / "new" / "X", "a", {"7": CURVE})
    write_pair(tmp_path / "old" / "X", "a", {"7": CURVE}, band_column="FLT", packed=False)
    assert equal_curves(SnanaFits(tmp_path / "new", LSST).read(), SnanaFits(tmp_path / "old", LSST).read())


def test_an_object_without_observations_stays_and_rows_nobody_points_to_are_counted(tmp_path: Path) -> None:
    empty: dict[str, Any] = {name: [] for name in CURVE}
    write_pair(tmp_path / "X", "a", {"1": empty, "2": CURVE, "3": CURVE}, NOBS=[0, 4, 0])
    curves = SnanaFits(tmp_path, LSST).read()
    assert curves.lengths.tolist() == [0, 3, 0]
    assert curves.dropped["that belong to no object of the HEAD file"] == 4


def test_ids_get_the_class_in_front_where_models_number_their_objects_anew(tmp_path: Path) -> None:
    for model in ("MODEL01", "MODEL02"):
        write_pair(tmp_path / f"ZTF_MSIP_{model}", "a", {"1": CURVE})
    reader = SnanaFits(tmp_path, LSST, label="ZTF_MSIP_(.+)", prefix_ids=True)
    assert reader.read().object_id.tolist() == ["MODEL01/1", "MODEL02/1"]
    with pytest.raises(ValueError, match=r"1 object id\(s\) appear more than once, e.g. 1:"):
        read_cached(SnanaFits(tmp_path, LSST), tmp_path / "cache")
    assert not list((tmp_path / "cache").glob("*.arrow"))


# -- files that are wrong


def test_truncated_files_are_named_and_leave_no_cache(tmp_path: Path) -> None:
    pair(tmp_path)
    for path in list((tmp_path / "X").iterdir()):
        for packed in (False, True):
            shutil.copytree(tmp_path / "X", tmp_path / "bad" / "X")
            content = gzip.compress(path.read_bytes()) if packed else path.read_bytes()
            target = tmp_path / "bad" / "X" / (f"{path.name}.gz" if packed else path.name)
            (tmp_path / "bad" / "X" / path.name).unlink()
            for length in (len(content) // 2, len(content) - 2900 if not packed else len(content) - 9, 100, 0):
                target.write_bytes(content[: max(length, 0)])
                with pytest.raises(
                    ValueError, match=rf"{path.name}.*(cannot be read as an SNANA FITS file|do not fit)"
                ):
                    read_cached(SnanaFits(tmp_path / "bad", LSST), tmp_path / "cache")
            shutil.rmtree(tmp_path / "bad")
    assert not list((tmp_path / "cache").glob("*.arrow")) and not list((tmp_path / "cache").glob(".*arrow"))


def test_a_phot_file_of_another_head_is_refused(tmp_path: Path) -> None:
    (head, phot), (_, other) = pair(tmp_path, "a"), pair(tmp_path, "b")
    shutil.copy(other, phot)
    with pytest.raises(ValueError, match=r"a_HEAD.FITS and .*a_PHOT.FITS do not belong together: PHOTFILE is a_PHOT"):
        SnanaFits(tmp_path, LSST).read()
    shutil.move(head, head.with_name("c_HEAD.FITS"))
    shutil.copy(phot, phot.with_name("c_PHOT.FITS"))
    with pytest.raises(ValueError, match=r"c_HEAD.FITS belongs to a_PHOT.FITS, not to c_PHOT.FITS"):
        SnanaFits(tmp_path, LSST).read()


@pytest.mark.parametrize("columns", [{"NOBS": [3, 4]}, {"PTROBS_MAX": [4, 40]}, {"PTROBS_MIN": [-9, 6]}])
def test_pointers_that_do_not_fit_are_refused(columns: dict[str, Any], tmp_path: Path) -> None:
    write_pair(tmp_path / "X", "a", {"1": CURVE, "2": CURVE}, **columns)
    with pytest.raises(ValueError, match=r"do not fit: object . has \d observations in rows .* cut short or belongs"):
        SnanaFits(tmp_path, LSST).read()


def test_what_is_missing_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(FileNotFoundError, match=r"no \*_HEAD.FITS or \*_HEAD.FITS.gz below .*: set paths.data"):
        SnanaFits(tmp_path, LSST).files()
    _, phot = pair(tmp_path)
    with pytest.raises(ValueError, match=r"X: the folder's name does not match 'ELASTICC_\(.\+\)'.*label"):
        SnanaFits(tmp_path, LSST, label="ELASTICC_(.+)").pieces()
    (tmp_path / "X" / "X.LIST").write_text("a_HEAD.FITS\nb_HEAD.FITS\n")
    SnanaFits(tmp_path, LSST).pieces()
    assert "X: 1 of the 2 files that X.LIST lists are not there, e.g. b_HEAD.FITS" in caplog.text
    shutil.copy(phot.with_name("a_HEAD.FITS"), phot.with_name("a_HEAD.FITS.gz"))
    with pytest.raises(ValueError, match=r"a_HEAD.FITS and a_HEAD.FITS.gz are the same file.*remove one"):
        SnanaFits(tmp_path, LSST).files()
    phot.unlink()
    phot.with_name("a_HEAD.FITS.gz").unlink()
    with pytest.raises(FileNotFoundError, match=r"a_HEAD.FITS has no a_PHOT.FITS beside it"):
        SnanaFits(tmp_path, LSST).files()


def test_an_unknown_band_and_a_missing_column_name_the_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"a_PHOT.FITS.gz: unknown passband 'w' \(1 observations\)"):
        one(tmp_path, {**CURVE, "band": ["r", "w", "g", "u"]})
    _, phot = write_pair(tmp_path / "X", "a", {"1": CURVE}, packed=False)
    phot.write_bytes(phot.read_bytes().replace(b"'MJD     '", b"'TIME    '"))
    (tmp_path / "X" / "a_HEAD.FITS.gz").unlink()
    (tmp_path / "X" / "a_PHOT.FITS.gz").unlink()
    with pytest.raises(ValueError, match=r"a_PHOT.FITS lacks the column MJD; it has TIME"):
        SnanaFits(tmp_path, LSST).read()
    phot.unlink()
    _, phot = write_pair(tmp_path / "X", "a", {"1": {**CURVE, "band": ["r", "q", "g", "u"]}}, packed=False)
    phot.write_bytes(phot.read_bytes().replace(b"q", b"\xc8"))
    with pytest.raises(ValueError, match=r"a_PHOT.FITS is damaged: .*xc8"):
        SnanaFits(tmp_path, LSST).read()
    phot.unlink()
    phot.with_name("a_HEAD.FITS").unlink()
    write_pair(tmp_path / "X", "a", {"1": CURVE}, band_column="FILTER")
    with pytest.raises(ValueError, match=r"a_PHOT.FITS.gz lacks the column BAND or FLT; it has MJD, FILTER"):
        SnanaFits(tmp_path, LSST).read()


# -- many files


@pytest.fixture(scope="module")
def elasticc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("elasticc")
    write_elasticc(folder, count=4)
    return folder


def survey(folder: Path, members: dict[str, list[str]], dropped: list[str]) -> Survey:
    selection = Selection(Photometry(), Trigger("column"))
    return Survey(
        "elasticc", SnanaFits(folder, LSST, LABEL), LSST, Taxonomy(members, dropped), selection, simulated=True
    )


def test_piece_by_piece_is_the_whole_and_processes_do_not_matter(
    elasticc: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forked_pools: None
) -> None:
    reader = SnanaFits(elasticc, LSST, LABEL)
    whole = reader.read()
    assert len(whole) == 4 * 2 * len(ELASTICC) and set(whole.label) == set(ELASTICC)
    assert equal_curves(concatenate([piece.read() for piece in reader.pieces()]), whole)
    assert equal_curves(read_cached(reader, tmp_path / "one"), whole)
    monkeypatch.setattr("tlclass.surveys.parallel.WORTH_PROCESSES", 0)
    monkeypatch.setattr("tlclass.surveys.parallel.usable_cores", lambda: 2)
    assert equal_curves(read_cached(reader, tmp_path / "two"), whole)


def test_files_of_dropped_classes_are_not_read(
    elasticc: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    folder = tmp_path / "data"
    shutil.copytree(elasticc, folder)
    for path in (folder / "ELASTICC2_TRAIN_01_KN_K17").glob("*_HEAD*"):
        path.write_bytes(b"not to be read")
    members = {"SNIa": ["SNIa*"], "TDE": []}
    dropped = [name for name in ELASTICC if name not in ("SNIa-SALT3", "SNIa-91bg", "SNIax", "TDE")]
    curves, label = survey(folder, members, dropped).load(tmp_path / "cache")
    assert set(curves.label) == {"SNIa-SALT3", "SNIa-91bg", "SNIax", "TDE"} and set(label) == {0, 1}
    assert "files of dropped classes are not read: CLAGN (2), KN_K17 (2)" in caplog.text
    with pytest.raises(ValueError, match=r"elasticc \(folders\): unknown class label 'KN_K17' \(2\)"):
        survey(folder, members, [name for name in dropped if name != "KN_K17"]).load(tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_memory_holds_what_is_selected_and_not_what_is_read(
    elasticc: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every piece is selected by itself: no step before sees more than one file's observations."""
    seen: list[int] = []
    select = Selection.select
    monkeypatch.setattr(Selection, "select", lambda self, curves: seen.append(len(curves)) or select(self, curves))  # type: ignore[func-returns-value]
    monkeypatch.setattr("tlclass.lightcurves.arrow.read", None)
    survey(elasticc, {"all": list(ELASTICC)}, []).load(tmp_path)
    assert max(seen) == 4 and len(seen) == 2 * len(ELASTICC)


def test_elasticc_is_trained_on_and_transferred_to_through_the_front_door(
    elasticc: Path, tmp_path: Path, train_cli: Callable[..., None]
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "elasticc").symlink_to(elasticc)
    train_cli("source=elasticc", "target=elasticc", "freeze_policy=gru_and_head", "head=mlp", f"paths.data={data}")
    row = json.loads(next((tmp_path / "results").rglob("result.json")).read_text())
    assert row["source"] == row["target"] == "elasticc" and row["simulated"]
    assert row["pool"] + row["n_test"] == 4 * 2 * (len(ELASTICC) - 1)  # all but the kilonovae
    assert row["n/SNIc"] >= 1 and row["n/AGN"] >= 1  # SNIc-Templates is SNIc, CLAGN is AGN


# -- the genuine files


def test_the_genuine_elasticc_files_give_the_known_truth() -> None:
    folder = shared_data("elasticc2_fits")
    curves = check(SnanaFits(folder / "elasticc2_fits", LSST, LABEL).read(), "t")
    objects = (
        pd.read_parquet(folder / "elasticc2_mini" / "objects.parquet").set_index("object_id").loc[curves.object_id]
    )
    seen = pd.read_parquet(folder / "elasticc2_mini" / "observations.parquet").set_index("object_id")
    assert len(curves) == 184 and curves.label.tolist() == objects["class"].tolist() and not curves.dropped
    for name in ("mwebv", "ra", "dec", "redshift"):
        assert np.allclose(getattr(curves, name), objects[name], rtol=1e-6)
    assert np.allclose(curves.extra["peak_mjd"], objects["peak_mjd"], rtol=1e-7)
    assert np.allclose(curves.trigger_mjd, objects["trigger_mjd"], atol=0.002)  # that one was stored as float32
    assert np.array_equal(np.isnan(curves.extra["host_specz"]), objects["host_specz"] == -9)
    for number, name in enumerate(curves.object_id):
        truth, part = seen.loc[[name]], slice(*curves.offsets[number : number + 2])
        rows = np.lexsort((truth.flux_err, truth.flux, truth.band.cat.codes, truth.mjd))
        ours = np.lexsort((curves.flux_err[part], curves.flux[part], curves.passband[part], curves.mjd[part]))
        assert np.array_equal(curves.mjd[part], np.sort(truth.mjd))
        for column in ("flux", "flux_err", "detected"):
            assert np.array_equal(np.sort(getattr(curves, column)[part]), np.sort(truth[column]))
        truth = truth.iloc[np.argsort(truth.mjd.to_numpy(), kind="stable")]
        same_day = truth.mjd.duplicated(keep=False).to_numpy()
        names = np.array([curves.passbands[code][-1] for code in curves.passband[part]])
        for column, ours_ in (("flux", curves.flux[part]), ("band", names), ("detected", curves.detected[part])):
            assert np.array_equal(ours_[~same_day], truth[column].to_numpy()[~same_day])
        assert len(rows) == len(ours)
