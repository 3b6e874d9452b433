import gzip
import logging
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import compose, equal_curves
from tests.data.raw_snana_text import CLASSES, write_snana_text
from tlclass.experiments.cards import build_survey
from tlclass.lightcurves.curves import LightCurves, check
from tlclass.lightcurves.passbands import Passbands
from tlclass.surveys import SnanaText, door

BANDS = Passbands.from_mapping(
    {f"lsst{name}": {"wavelength": 0.4 + 0.1 * k, "aliases": [name]} for k, name in enumerate("griz")}
)
HEADER = "SURVEY: DES\nSNID: a1\nRA: 30.5 deg\nDECL: -9.5\nMWEBV: 0.02 +- 0.01\nREDSHIFT_HELIO: -9.0\nREDSHIFT_FINAL: 0.35\nPEAKMJD: 56010.5\nSNTYPE: 1\n"
TABLE = """NVAR: 6
VARLIST: MJD FLT FIELD FLUXCAL FLUXCALERR PHOTFLAG
OBS: 56003.0 r C3 200.0 10.0 4096
OBS: 56001.0 g C3 -5.5 10.0 0
OBS: 56002.0 r C3 100.0 10.0 6144
OBS: 56004.0 i C3 9e5 10.0 5120
OBS: 56005.0 i C3 50.0 -9.0 4096
END:
"""


def read(folder: Path, *contents: str, suffix: str = ".dat", **options: Any) -> LightCurves:
    for number, content in enumerate(contents):
        (folder / f"{number}{suffix}").write_text(content)
    return check(SnanaText(folder, BANDS, **options).read(), "t")


@pytest.mark.parametrize("suffix", [".dat", ".DAT", ".txt"])
def test_one_object_exactly(suffix: str, tmp_path: Path) -> None:
    curves = read(tmp_path, HEADER + TABLE, suffix=suffix)
    assert curves.object_id.tolist() == ["a1"] and curves.label.tolist() == ["1"]
    assert curves.mjd.tolist() == [56001, 56002, 56003] and curves.flux.tolist() == [-5.5, 100, 200]
    assert [curves.passbands[code] for code in curves.passband] == ["lsstg", "lsstr", "lsstr"]
    assert curves.detected.tolist() == [False, True, True] and curves.trigger_mjd.tolist() == [56002]
    assert (curves.ra[0], curves.dec[0], curves.mwebv[0], curves.redshift[0]) == (30.5, -9.5, 0.02, 0.35)
    assert curves.extra["peak_mjd"].tolist() == [56010.5]
    assert curves.dropped == {"that are saturated (PHOTFLAG 1024)": 1, "with a missing, zero or negative flux error": 1}


@pytest.mark.parametrize(
    ("value", "label"),
    [("SN Ia-norm", "SN Ia-norm"), ("SNIa", "SNIa"), ("SN", "SN"), ("TDE (1 spectrum)", "TDE")],
)
def test_a_spectroscopic_type_may_be_two_words(value: str, label: str, tmp_path: Path) -> None:
    content = f"SNID: a\nSPEC_CLASS: {value}\n{TABLE}"
    assert read(tmp_path, content, label_key="SPEC_CLASS").label.tolist() == [label]


@pytest.mark.parametrize("flag", ["-9", "-9.0", "-99", "-999", "-9999", "999"])
def test_numbers_that_mean_unknown_are_nan(flag: str, tmp_path: Path) -> None:
    header = f"SNID: a\nSNTYPE: 1\nMWEBV: {flag}\nREDSHIFT_HELIO: {flag}\nREDSHIFT_FINAL: {flag}\nPEAKMJD: {flag}\n"
    curves = read(tmp_path, header + TABLE)
    for column in (curves.mwebv, curves.redshift, curves.extra["peak_mjd"], curves.ra):
        assert np.isnan(column).all()
    assert len(curves.mjd) == 3, "fluxes are not headers"


def test_without_photflag_signal_to_noise_decides(tmp_path: Path) -> None:
    rows = "OBS: 1 g 1 1\nOBS: 2 r 50 10 # last\nOBS: 3 r -50 10\n"
    curves = read(tmp_path, HEADER + "VARLIST: MJD BAND FLUXCAL FLUXCALERR\n" + rows)
    assert curves.detected.tolist() == [False, True, False] and np.isnan(curves.trigger_mjd).all()


def test_a_photflag_without_the_bit_of_a_detection_says_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    des = TABLE.replace("4096", "0").replace("6144", "32768").replace("5120", "0")
    assert read(tmp_path, HEADER + des).detected.tolist() == [False, True, True, True]
    assert "PHOTFLAG calls none of 5 rows a detection, so the 3 with flux / error of 5 or more" in caplog.text
    ours = (HEADER + TABLE).replace("DES", "PS1").replace("SNID: a1", "SNID: b1")
    (tmp_path / "1.dat").write_text(ours)  # a survey that uses the bit changes nothing for one that does not
    both = check(SnanaText(tmp_path, BANDS).read(), "t").detected
    assert both.tolist() == [False, True, True, True, False, True, True]
    (tmp_path / "1.dat").unlink()
    saturated = TABLE.replace("4096", "0").replace("6144", "0")  # whose bit is set in a void row alone
    assert read(tmp_path, HEADER + saturated).detected.tolist() == [False, True, True]


def test_letters_that_number_the_filters_of_a_survey_are_no_sloan_filters(tmp_path: Path) -> None:
    cfa = HEADER.replace("DES", "PS1_LOWZ_COMBINED(CFA3K)\nFILTERS: abcdefghijklm # UBVri -> fghij")
    with pytest.raises(ValueError, match=r"unknown passband .*'g of PS1_LOWZ_COMBINED\(CFA3K\)'"):
        read(tmp_path, cfa + TABLE)
    csp = HEADER.replace("DES", "CSP\nFILTERS: ugriBnmoJjYyH")
    assert [BANDS.names[code] for code in read(tmp_path, csp + TABLE).passband] == ["lsstg", "lsstr", "lsstr"]


def test_files_named_txt_are_read_where_they_name_an_object(tmp_path: Path) -> None:
    (tmp_path / "README.txt").write_text("Light curves of DES.\nSNID: is the id, VARLIST: the columns.\n")
    (tmp_path / "a.txt").write_text(HEADER + TABLE)
    assert door.read(tmp_path, BANDS).object_id.tolist() == ["a1"]
    assert door.read(tmp_path / "a.txt", BANDS).object_id.tolist() == ["a1"]


@pytest.mark.parametrize(("fake", "said"), [("0", False), ("2  # simulated with snlc_sim.exe", True), ("", False)])
def test_a_simulation_says_that_it_is_one(fake: str, said: bool, tmp_path: Path) -> None:
    assert read(tmp_path, HEADER + f"FAKE: {fake}\n" + TABLE).simulated == said


def test_files_may_be_packed(tmp_path: Path) -> None:
    expected = read(tmp_path, HEADER + TABLE)
    (tmp_path / "0.dat").unlink()
    for name in ("0.dat.gz", "0.txt.gz"):
        packed = tmp_path / name
        packed.write_bytes(gzip.compress((HEADER + TABLE).encode()))
        for path in (tmp_path, packed):
            assert equal_curves(door.read(path, BANDS), replace(expected, label=np.array([tmp_path.name])))
        packed.write_bytes(packed.read_bytes()[:-40])
        with pytest.raises(ValueError, match=rf"{name}.*(truncated or damaged|unpack it)"):
            SnanaText(packed, BANDS).read()
        packed.unlink()


def test_an_empty_value_is_unknown(tmp_path: Path) -> None:
    for value in ("", "+- (NA, HELIO)", "NULL", "  # not measured"):
        curves = read(tmp_path, HEADER.replace("REDSHIFT_", "OLD_") + f"REDSHIFT_FINAL: {value}\n" + TABLE)
        assert np.isnan(curves.redshift).all() and len(curves.mjd), value


def test_one_file_with_all_objects_and_a_file_each_are_the_same(tmp_path: Path) -> None:
    contents = [
        (HEADER + TABLE).replace("a1", name).replace("100.0", flux) for name, flux in zip("bca", "123", strict=True)
    ]
    (tmp_path / "each").mkdir()
    (tmp_path / "all").mkdir()
    each, together = read(tmp_path / "each", *contents), read(tmp_path / "all", "".join(contents))
    assert each.object_id.tolist() == together.object_id.tolist() == ["b", "c", "a"]
    for name in ("mjd", "flux", "passband", "offsets", "redshift", "trigger_mjd"):
        assert np.array_equal(getattr(each, name), getattr(together, name))


def test_an_object_without_observations_is_kept(tmp_path: Path) -> None:
    curves = read(tmp_path, HEADER.replace("a1", "empty") + "NOBS: 0\nEND:\n" + HEADER + TABLE)
    assert curves.object_id.tolist() == ["empty", "a1"] and curves.lengths.tolist() == [0, 3]


@pytest.mark.parametrize(
    "mark", ["DETECTION: 6 MJDs satisfy g+r+i+z", "TRIGGER:  trigger logic satisfied at MJD_TRIGGER=56002.0"]
)
def test_marks_among_the_observations_are_passed_over(mark: str, tmp_path: Path) -> None:
    marked = TABLE.replace("OBS: 56002.0", f"{mark}\nOBS: 56002.0")
    assert marked != TABLE
    expected = read(tmp_path, HEADER + TABLE)
    assert equal_curves(read(tmp_path, HEADER + marked), expected)


def test_without_a_flagged_row_the_header_states_the_trigger(tmp_path: Path) -> None:
    for stated, expected in (("56001.5", 56001.5), ("-9", np.nan), ("0", np.nan), ("1000000", np.nan)):
        curves = read(tmp_path, HEADER + f"MJD_TRIGGER: {stated}\n" + TABLE.replace("6144", "4096"))
        assert np.array_equal(curves.trigger_mjd, [expected], equal_nan=True)
    assert read(tmp_path, HEADER + "MJD_TRIGGER: 56001.5\n" + TABLE).trigger_mjd.tolist() == [56002]


def test_labels_from_a_key_or_from_the_folder(tmp_path: Path) -> None:
    write_snana_text(tmp_path)
    by_key = SnanaText(tmp_path, BANDS, label_key="SIM_TYPE_NAME", prefix_ids=True).read()
    by_folder = SnanaText(tmp_path, BANDS, label_key=None, prefix_ids=True).read()
    assert by_key.label.tolist() == by_folder.label.tolist()
    assert {name: by_key.label.tolist().count(name) for name in CLASSES} == {n: c for n, (_, _, c) in CLASSES.items()}
    assert by_key.object_id[0] == "AGN/1" and by_key.dropped == {"that are saturated (PHOTFLAG 1024)": len(by_key)}
    numbered = SnanaText(tmp_path, BANDS, prefix_ids=True).read()
    assert set(numbered.label) == {str(number) for _, number, _ in CLASSES.values()}
    with pytest.raises(ValueError, match=r"object id\(s\) appear more than once, e.g. 1"):
        SnanaText(tmp_path, BANDS).read()
    with pytest.raises(
        ValueError, match=r"no object has the header key TYPE; there are SURVEY, SNID, .* set reader.label_key"
    ):
        SnanaText(tmp_path, BANDS, label_key="TYPE").read()


def test_the_card_reads_the_files_of_a_folder(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_snana_text(tmp_path / "snana_text")
    overrides = [
        "target=snana_text",
        f"paths.data={tmp_path}",
        "target.reader.label_key=SIM_TYPE_NAME",
        "target.reader.prefix_ids=true",
    ]
    built = build_survey(compose(overrides)["target"])
    with caplog.at_level(logging.WARNING):
        curves, label = built.load(tmp_path / "cache")
    assert len(curves) == 23 and {built.taxonomy.classes[k] for k in label} == set(CLASSES)
    assert "dropped 23 of" in caplog.text and "that are saturated" in caplog.text


def test_sncosmo_reads_the_same(tmp_path: Path) -> None:
    """Where sncosmo can read: one object in a file."""
    sncosmo = pytest.importorskip("sncosmo")
    write_snana_text(tmp_path)
    file = tmp_path / "SNII" / "SNII_000002.dat"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        meta, published = sncosmo.read_snana_ascii(str(file), default_tablename="OBS")
    curves = SnanaText(file.parent, BANDS, pattern=file.name).read()
    rows = published["OBS"][published["OBS"]["PHOTFLAG"] & 1024 == 0]
    assert np.array_equal(curves.mjd, rows["MJD"]) and np.array_equal(curves.flux, rows["FLUXCAL"].astype(np.float32))
    assert (curves.redshift[0], curves.mwebv[0]) == (meta["REDSHIFT_HELIO"], meta["MWEBV"])


MISTAKES = {
    "short row": (HEADER + TABLE.replace(" -5.5", ""), r"0.dat, line 13: 5 values where VARLIST names 6 columns"),
    "no names": (HEADER + "OBS: 1 g 1 1\n", r"0.dat, line 10: 4 values where VARLIST names 0 columns"),
    "text": (HEADER + TABLE.replace("-5.5", "faint"), r"0.dat: object a1, FLUXCAL: could not convert string to float: 'faint'"),
    "column": (HEADER + TABLE.replace("FLUXCALERR", "ERR"), r"0.dat: object a1 lacks the column\(s\) FLUXCALERR; VARLIST has MJD"),
    "no id": (HEADER.replace("SNID", "ID") + TABLE, r"0.dat: observations come before the key SNID"),
    "other file": ("README\n", r"0.dat: no key SNID, .*: set reader.pattern"),
    "band": (HEADER + TABLE.replace(" i ", " H "), r"unknown passband 'H( of DES)?' \(1 observations\); known are lsstg"),
    "twice": ((HEADER + TABLE) * 2, r"object id\(s\) appear more than once, e.g. a1"),
    "header": (HEADER.replace("0.02", "low") + TABLE, r"0.dat: MWEBV: could not convert string to float: 'low'"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_name_file_and_place(name: str, tmp_path: Path) -> None:
    content, message = MISTAKES[name]
    with pytest.raises(ValueError, match=message):
        read(tmp_path, content)


def test_no_files_say_what_to_set(tmp_path: Path) -> None:
    with pytest.raises(
        FileNotFoundError, match=r"no file \*\*/\*.dat in .*: set paths.data, reader.folder or reader.pattern"
    ):
        SnanaText(tmp_path, BANDS).read()
