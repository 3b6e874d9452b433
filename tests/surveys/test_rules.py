"""What a row of photometry means: every rule stated once and applied to every reader."""

import gzip
import json
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.conftest import equal_curves
from tests.data.raw_rows import OBJECT, TABLES, WRITERS, frame, with_header
from tests.data.raw_tables import alerts, antares, fluxes, write, write_nested, ztf
from tlclass.lightcurves.curves import NO_ID, TOO_BRIGHT, LightCurves, concatenate
from tlclass.lightcurves.passbands import Passbands
from tlclass.lightcurves.photometry import FACTS, SNR, UNKNOWN_PASSBAND, known_extinction
from tlclass.lightcurves.voids import VOIDS, Void
from tlclass.streaming.reading import Nameless, for_model
from tlclass.surveys import door

pytest.importorskip("fastavro")
BANDS = Passbands.from_mapping({f"lsst{b}": {"wavelength": 0.5, "aliases": [b]} for b in "gri"})
ZTF = Passbands.from_mapping({f"ztf{b}": {"wavelength": 0.5, "aliases": [b, str(k)]} for k, b in enumerate("gri", 1)})
ROWS = {
    "mjd": [60001.25, 60002.5, 60003.75],
    "band": ["g", "r", "g"],
    "flux": [100.0, 200.0, -50.0],
    "flux_err": [10.0] * 3,
}
# What voids a row, and what does not, by the condition of the rule.
CASES: dict[str, tuple[list[Any], list[Any]]] = {
    "set": ([True, 1], [False, 0]),
    "not_in": (["56", 61], []),
    "bits": ([], [0]),
    "known": ([61000.5], [None]),
    "zero": ([0], [int(OBJECT)]),
}
SNANA = ("snana text", "snana fits")
SPELLINGS = {
    "photflag": "PHOTFLAG", "psfflux_flag": "psfFlux_flag", "psfdiffflux_flag": "psfDiffFlux_flag", "pixelflags_bad": "pixelFlags_bad",
    "pixelflags_saturatedcenter": "pixelFlags_saturatedCenter", "invalidpsfflag": "invalidPsfFlag", "timewithdrawnmjdtai": "timeWithdrawnMjdTai",
    "diff_pixelflags_nodatacenter": "diff_PixelFlags_nodataCenter",
    "pixelflags_nodatacenter": "pixelFlags_nodataCenter", "diaobjectid": "diaObjectId", "ujy": "uJy", "dujy": "duJy",
}  # fmt: skip


def read(reader: str, rows: dict[str, Any], folder: Path, bands: Passbands = BANDS, **options: Any) -> LightCurves:
    """What a reader makes of rows; a table is also read in parts, which must say the same."""
    path = WRITERS[reader](rows, folder)
    try:
        curves = door.read(path, bands, options)
    except ValueError as error:
        if reader in TABLES:
            with quiet(), pytest.raises(ValueError, match=re.escape(str(error))):
                list(door.parts(path, bands, options, rows=1))
        raise
    if reader in TABLES:
        with quiet():
            parts = list(door.parts(path, bands, options, rows=1))
        assert equal_curves(concatenate(parts), curves)
        assert concatenate(parts).dropped == curves.dropped
    return curves


@contextmanager
def quiet() -> Iterator[None]:
    """Without messages: they came when the whole was read."""
    logger = logging.getLogger("tlclass")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    yield
    logger.setLevel(level)


@pytest.mark.parametrize("reader", WRITERS)
@pytest.mark.parametrize("rule", VOIDS, ids=lambda rule: rule.columns[0])
def test_every_flag_voids_a_row_in_every_reader(rule: Void, reader: str, tmp_path: Path) -> None:
    if rule.condition == "zero" and reader not in ("csv", "parquet"):
        pytest.skip("an id of a row: the other formats name the object once")
    bad, good = CASES[rule.condition]
    good = list(rule.values) if rule.condition == "not_in" else good
    for number, value in enumerate([*bad, *rule.values] if rule.condition == "bits" else bad):
        for name in rule.columns:
            flags = {SPELLINGS.get(name, name): [good[0], value, good[-1]]}
            beside = {SPELLINGS.get(other, other): [1.0, 1.0, 1.0] for other in rule.beside}
            flags = flags if reader in ("csv", "snana fits", "snana text") else _alike(flags)
            curves = read(reader, {**ROWS, **flags, **beside}, tmp_path / f"{name}{number}")
            assert curves.mjd.tolist() == [60001.25, 60003.75], f"{name} = {value}"
            assert curves.dropped == {rule.reason: 1}


@pytest.mark.parametrize(
    ("reader", "blank"),
    [*((name, blank) for name in TABLES for blank in ("", "  ", "\u3000")), ("csv", None), ("parquet", None)],
)
def test_a_row_without_an_object_is_dropped_with_a_count(reader: str, blank: str | None, tmp_path: Path) -> None:
    table = pd.DataFrame({"object_id": ["a", blank, "a"], **ROWS})
    curves = door.read(_write(reader, table, tmp_path), BANDS, {"flux_unit": "fluxcal"})
    assert curves.object_id.tolist() == ["a"]
    assert curves.mjd.tolist() == [60001.25, 60003.75]
    assert curves.dropped == {NO_ID: 1}


def _alike(flags: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """The values in one type, which a column of Parquet has."""
    (name, values), *_ = flags.items()
    kinds = {type(value) for value in values if value is not None}
    if len(kinds) < 2:
        return flags
    kind = str if str in kinds else int
    return {name: [kind(value) for value in values]}


@pytest.mark.parametrize("reader", WRITERS)
def test_codes_for_missing_are_no_times_and_no_fluxes(reader: str, tmp_path: Path) -> None:
    for code in FACTS["missing"]["times"]:
        rows = {**ROWS, "mjd": [60001.25, float(code), 60003.75]}
        assert read(reader, rows, tmp_path / f"t{code}").mjd.tolist() == [60001.25, 60003.75], code
    for code in FACTS["missing"]["fluxes"]:
        if not reader.startswith("packets"):  # in these fluxes are in nJy, and unknown ones are null
            rows = {**ROWS, "flux": [100.0, float(code), -50.0]}
            assert read(reader, rows, tmp_path / f"f{code}").flux.tolist() == [100, -50], code


@pytest.mark.parametrize(
    "reader", [name for name in WRITERS if not name.startswith("packets") and name != "snana fits"]
)
def test_a_detection_is_measured_where_nothing_states_it(reader: str, tmp_path: Path) -> None:
    rows = {**ROWS, "flux": [10 * SNR - 1, 10 * SNR, -500.0]}
    assert read(reader, rows, tmp_path).detected.tolist() == [False, True, False]
    assert read(reader, rows, tmp_path / "low", detection_snr=3).detected.tolist() == [True, True, False]


@pytest.mark.parametrize("reader", [*TABLES, "snana text", "snana fits"])
def test_photflag_states_what_is_detected(reader: str, tmp_path: Path) -> None:
    curves = read(reader, {**ROWS, "PHOTFLAG": [0, 4096, 0]}, tmp_path)
    assert curves.detected.tolist() == [False, True, False]


@pytest.mark.parametrize("reader", WRITERS)
def test_an_unknown_passband_is_an_error_or_dropped_with_a_count(reader: str, tmp_path: Path) -> None:
    rows = {**ROWS, "band": ["g", "H", "g"]}
    with pytest.raises(
        ValueError,
        match=r"unknown passband '(lsst)?[Hh]( of \w+)?' \(1 obs.*unknown_passbands=drop.*--drop-unknown-passbands",
    ):
        read(reader, rows, tmp_path)
    curves = read(reader, rows, tmp_path, unknown_passbands="drop")
    assert curves.mjd.tolist() == [60001.25, 60003.75] and list(curves.dropped.values()) == [1]
    (reason,) = curves.dropped
    assert re.fullmatch(rf"{UNKNOWN_PASSBAND}: '(lsst)?[Hh]( of \w+)?'", reason)


@pytest.mark.parametrize("reader", WRITERS)
def test_dropped_passbands_are_named_in_one_message(
    reader: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    read(reader, {**ROWS, "band": ["g", "H", "K"]}, tmp_path, unknown_passbands="drop")
    (said,) = [record.getMessage() for record in caplog.records if UNKNOWN_PASSBAND in record.getMessage()]
    assert f"dropped 2 of 3 observations {UNKNOWN_PASSBAND}: " in said
    assert re.search("[Hh]' \\(1\\)", said) and re.search("[Kk]' \\(1\\)", said)


@pytest.mark.parametrize("reader", WRITERS)
@pytest.mark.parametrize(("column", "code"), [("flux", 1e20), ("flux", -1e20), ("flux_err", 1e33)])
def test_a_number_that_no_object_reaches_fills_a_masked_cell(
    column: str, code: float, reader: str, tmp_path: Path
) -> None:
    rows = {name: [*values, *values, *values] for name, values in ROWS.items()}
    rows["mjd"] = [60001.25 + k for k in range(9)]
    rows[column] = [*rows[column][:8], code]
    curves = read(reader, rows, tmp_path)
    assert len(curves.mjd) == 8 and curves.dropped == {TOO_BRIGHT: 1}


@pytest.mark.parametrize("reader", WRITERS)
def test_two_rows_of_one_exposure_count_once(reader: str, tmp_path: Path) -> None:
    rows = {**ROWS, "mjd": [60001.25, 60001.25001, 60003.75], "band": ["g"] * 3, "flux": [100.0, 101.0, -50.0]}
    curves = read(reader, rows, tmp_path)
    assert curves.flux == pytest.approx([100, -50]) and list(curves.dropped.values()) == [1]


@pytest.mark.parametrize("reader", [*TABLES, *SNANA])
def test_other_fluxes_of_a_whole_day_are_other_exposures(
    reader: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = {**ROWS, "mjd": [60001.0, 60001.0, 60003.0], "band": ["g"] * 3}
    assert read(reader, rows, tmp_path).flux.tolist() == [100, 200, -50]
    assert "count as one exposure" not in caplog.text


@pytest.mark.parametrize("reader", [*TABLES, *SNANA])
def test_times_that_are_no_dates_are_refused(reader: str, tmp_path: Path) -> None:
    for first in (2460001.75, 1.677e9, 10001.75):
        with pytest.raises(ValueError, match=r"1 of 3 times are not Modified Julian Dates \(15000 to 100000\)"):
            read(reader, {**ROWS, "mjd": [first, 60002.5, 60003.75]}, tmp_path / str(first))


@pytest.mark.parametrize("reader", ["csv", *SNANA])
def test_the_time_of_a_flagged_row_does_not_matter(reader: str, tmp_path: Path) -> None:
    curves = read(reader, {**ROWS, "mjd": [60001.25, 3.0, 60003.75], "PHOTFLAG": [0, 1024, 0]}, tmp_path)
    assert curves.mjd.tolist() == [60001.25, 60003.75] and list(curves.dropped.values()) == [1]


@pytest.mark.parametrize("reader", [*TABLES, *SNANA])
def test_a_flag_that_no_rule_knows_is_named(reader: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    read(reader, {**ROWS, "FLAG": [0, 1, 0]}, tmp_path)
    assert "column FLAG may flag bad rows and is not read" in caplog.text


@pytest.mark.parametrize("reader", [*TABLES, *SNANA])
def test_fluxcal_of_the_depth_of_the_survey_in_njy_is_refused(
    reader: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    scale = 10 ** (0.4 * 3.9)
    rows = {**ROWS, "flux": [20 * scale, 40 * scale, -10 * scale], "flux_err": [2 * scale] * 3}
    with pytest.raises(ValueError, match=r"FLUXCAL has errors of .* nJy, .*ZP_FLUXCAL.*--flux-unit njy"):
        read(reader, rows, tmp_path)
    assert read(reader, rows, tmp_path, flux_unit="njy").flux == pytest.approx([20, 40, -10], rel=1e-5)
    assert read(reader, rows, tmp_path, flux_unit="fluxcal").flux == pytest.approx(rows["flux"], rel=1e-5)
    assert re.search(r"FLUXCAL has errors of a survey 3\.\d mag shallower", caplog.text)


def test_rows_of_a_stream_follow_the_same_rules(caplog: pytest.LogCaptureFixture) -> None:
    reading = for_model(BANDS, {})

    def arrive(**more: Any) -> list[Any]:
        row = {"object_id": "a", "MJD": 60001.25, "BAND": "g", "FLUXCAL": 100.0, "FLUXCALERR": 10.0, **more}
        return list(reading.content(json.dumps(row).encode(), "t"))

    assert arrive()[0].rows["flux"] == 100 and not caplog.text
    assert arrive(ZP_FLUXCAL=31.4)[0].rows["flux"] == pytest.approx(100 * 10 ** (-0.4 * 3.9))
    assert [type(each) for each in arrive(diff_PixelFlags_nodataCenter=True)] == [Nameless]
    for _ in range(2):
        assert arrive(FLAG=1)[0].rows["flux"] == 100
    assert caplog.text.count("column FLAG may flag bad rows and is not read") == 1


@pytest.mark.parametrize("reader", [*TABLES, *SNANA])
def test_another_instrument_has_other_passbands(reader: str, tmp_path: Path) -> None:
    for column in FACTS["context"]:
        if not column.isidentifier() and reader in SNANA:
            continue
        rows = {**ROWS, column: ["LSSTCam", "SEDM", ""]}
        if reader == "snana text":
            rows[column] = ["LSSTCam", "SEDM", "-"]
        with pytest.raises(ValueError, match=r"unknown passband 'r of SEDM' \(1 observations\)"):
            read(reader, rows, tmp_path)
        assert read(reader, rows, tmp_path, unknown_passbands="drop").mjd.tolist() == [60001.25, 60003.75]


@pytest.mark.parametrize(("column", "name"), [("band", "ztfg"), ("band", "ZTF_r"), ("filter", "ZTF-g"), ("fid", 1)])
def test_the_passbands_of_ztf_are_not_those_of_lsst(column: str, name: Any) -> None:
    named = Passbands.from_mapping(
        {f"lsst{b}": {"wavelength": 0.5, "aliases": [b, str(k)]} for k, b in enumerate("ugr")}
    )
    rows = frame({**ROWS, "band": [name] * 3}).rename(columns={"BAND": column})
    with pytest.raises(ValueError, match=r"unknown passband.*use a model or card of ZTF.*unknown_passbands=drop"):
        door.read(rows, named)
    mine = Passbands.from_mapping({"mine": {"wavelength": 0.5, "aliases": [str(name)]}})
    assert door.read(rows, mine).passbands == ("mine",)


@pytest.mark.parametrize("reader", TABLES)
def test_the_case_of_a_filter_is_kept(reader: str, tmp_path: Path) -> None:
    for name in "RIG":
        with pytest.raises(ValueError, match=f"unknown passband '{name}'"):
            read(reader, {**ROWS, "band": ["g", name, "g"]}, tmp_path, ZTF)
    named = read(reader, {**ROWS, "band": ["ZTFG", "ztfR", "ztfg"]}, tmp_path, ZTF)
    assert named.passband.tolist() == [0, 1, 0], "whole names are clear in any case"


def test_antares_calls_ztfs_r_so(tmp_path: Path) -> None:
    curves = door.read(write(antares(alerts()), tmp_path / "a.csv"), ZTF)
    assert set(curves.passband.tolist()) == {0, 1}


def test_yse_calls_ztfs_passbands_x_and_y(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = WRITERS["snana text"]({**ROWS, "band": ["X", "Y", "g"]}, tmp_path)
    path.write_text("SURVEY: YSE\n" + path.read_text())
    with caplog.at_level(logging.WARNING):
        assert door.read(path, ZTF).passband.tolist() == [0, 1, 0]
    assert "g of YSE are taken as the passbands of this survey" in caplog.text
    with pytest.raises(ValueError, match=r"unknown passband 'ztfg' \(1 observations\), 'ztfr'"):
        door.read(path, Passbands.from_mapping({f"lsst{b}": {"wavelength": 0.5, "aliases": [b]} for b in "gY"}))


@pytest.mark.parametrize("nested", [False, True])
def test_vega_magnitudes_are_refused_or_left_out(nested: bool, tmp_path: Path) -> None:
    rows = (
        ztf(alerts())
        .assign(system=lambda frame: np.where(frame.fid == 1, "AB", "Vega"))
        .rename(columns={"objectId": "object_id"})
    )
    path = (
        write_nested(rows, rows[["object_id"]].drop_duplicates(), tmp_path / "n.parquet")
        if nested
        else write(rows, tmp_path / "a.csv")
    )
    with pytest.raises(ValueError, match=r"column system has Vega: only AB"):
        door.read(path, ZTF)
    curves = door.read(path, ZTF, {"unknown_passbands": "drop"})
    assert (
        set(curves.passband.tolist()) == {0}
        and sum(n for reason, n in curves.dropped.items() if UNKNOWN_PASSBAND in reason) > 10
    )


# -- units


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize(("unit", "zero_point"), FACTS["zero_points"].items())
def test_a_name_behind_a_prefix_states_its_unit(unit: str, zero_point: float, nested: bool, tmp_path: Path) -> None:
    expected = fluxes(alerts())
    scale = 10 ** (0.4 * (zero_point - 27.5))
    name = {"fluxcal": "ztf_FLUXCAL", "njy": "lsst_diaSource_psfFlux"}.get(unit, f"lc_flux_{unit}")
    rows = expected[["object_id", "mjd", "band"]].assign(
        **{name: expected.flux * scale, "flux_err": expected.flux_err * scale}
    )
    objects = rows[["object_id"]].drop_duplicates()
    path = write_nested(rows, objects, tmp_path / "n.parquet") if nested else write(rows, tmp_path / "a.csv")
    curves = door.read(path, ZTF, {"columns": {"flux": name}})
    assert np.allclose(np.sort(curves.flux), np.sort(expected.flux), rtol=1e-5)


@pytest.mark.parametrize("name", ["flux_{}_err", "flux_err_{}"])
def test_columns_whose_name_states_the_unit_are_found(name: str) -> None:
    rows = frame(ROWS).rename(columns={"FLUXCAL": "flux_uJy", "FLUXCALERR": name.format("uJy")})
    assert door.read(rows, BANDS).flux[0] == pytest.approx(frame(ROWS).FLUXCAL[0] * 10 ** (0.4 * 3.6))


def test_fluxes_and_errors_whose_names_state_two_units_are_refused() -> None:
    rows = frame(ROWS).rename(columns={"FLUXCAL": "flux_uJy", "FLUXCALERR": "flux_err_nJy"})
    with pytest.raises(ValueError, match=r"fluxes are in uJy and their errors in nJy: convert them to one unit"):
        door.read(rows, BANDS)


@pytest.mark.parametrize("stated", [{"unit": "uJy"}, {"FluxUnit": "ujy"}, {"zpt": 23.9}, {"mag_zp": 23.9}])
def test_columns_that_state_the_unit_have_many_names(stated: dict[str, Any]) -> None:
    rows = frame(ROWS).rename(columns={"FLUXCAL": "flux", "FLUXCALERR": "flux_err"}).assign(**stated)
    curves = door.read(rows, BANDS, trained={"default_unit": "fluxcal"})
    assert curves.flux[0] == pytest.approx(frame(ROWS).FLUXCAL[0] * 10 ** (0.4 * 3.6))


@pytest.mark.parametrize("name", ["zpdiff", "magzpsci"])
def test_counts_under_another_name_are_not_taken_as_calibrated(name: str) -> None:
    rows = frame(ROWS).rename(columns={"FLUXCAL": "flux", "FLUXCALERR": "flux_err"}).assign(**{name: 26.2})
    with pytest.raises(ValueError, match=rf"{name} may be its zero point.*--column zero_point={name}.*--flux-unit"):
        door.read(rows, BANDS, trained={"default_unit": "fluxcal"})
    counts = door.read(rows, BANDS, {"columns": {"zero_point": name}}).flux
    assert np.allclose(counts, door.read(rows, BANDS, {"flux_unit": "fluxcal"}).flux * 10 ** (0.4 * 1.3))


@pytest.mark.parametrize("unit", [0.0, -3.0, 1000.0, float("nan"), "crab"])
def test_what_is_no_unit_is_refused_before_it_is_used(unit: Any) -> None:
    with pytest.raises(
        ValueError, match=rf"flux.unit.*{unit if isinstance(unit, str) else format(unit, 'g')}.*(number|zero point)"
    ):
        door.read(frame(ROWS), BANDS, {"flux_unit": unit})


@pytest.mark.parametrize("reader", [*TABLES, *SNANA])
@pytest.mark.parametrize(("stated", "zero_point"), [(31.4, 31.4), (27.5, 27.5), (-9.0, 27.5)])
def test_the_zero_point_that_snana_states_is_that_of_its_fluxes(
    reader: str, stated: float, zero_point: float, tmp_path: Path
) -> None:
    expected = read(reader, ROWS, tmp_path / "without")
    if reader in SNANA:
        curves = door.read(with_header(WRITERS[reader](ROWS, tmp_path), ZP_FLUXCAL=stated), BANDS)
    else:
        curves = read(reader, {**ROWS, "ZP_FLUXCAL": [zero_point] * 3, "ZEROPT": [31.0] * 3}, tmp_path)
    for name in ("flux", "flux_err"):
        scaled = getattr(curves, name) * 10 ** (0.4 * (zero_point - 27.5))
        assert np.allclose(scaled, getattr(expected, name), rtol=1e-6)


def test_a_zero_point_in_the_table_of_objects_is_not_passed_over(tmp_path: Path) -> None:
    write(frame(ROWS), tmp_path / "PHOT.csv")
    for stated, refused in ((31.4, True), (27.5, False), (-9.0, False)):
        write(pd.DataFrame({"object_id": [OBJECT], "ZP_FLUXCAL": [stated]}), tmp_path / "HEAD.csv")
        with (
            pytest.raises(ValueError, match=r"HEAD.csv: column ZP_FLUXCAL says .* zero point 31.4")
            if refused
            else nullcontext()
        ):
            assert len(door.read(tmp_path, BANDS).mjd) == 3
        assert len(door.read(tmp_path, BANDS, {"flux_unit": "njy"}).mjd) == 3


@pytest.mark.parametrize("reader", SNANA)
def test_what_snana_says_of_fluxes_is_checked(reader: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"ZP_FLUXCAL is 315: an AB zero point lies between 0 and 40"):
        door.read(with_header(WRITERS[reader](ROWS, tmp_path / "zero point"), ZP_FLUXCAL=315.0), BANDS)
    with pytest.raises(ValueError, match=r"(one\.dat|a_HEAD\.FITS).*ZP_FLUXCAL.*(a number|float: 'AB')"):
        door.read(with_header(WRITERS[reader](ROWS, tmp_path / "text"), ZP_FLUXCAL="AB"), BANDS)
    with pytest.raises(ValueError, match=r"corrected for Milky Way extinction \(MWEBV_APPLYFLAG=1\)"):
        door.read(with_header(WRITERS[reader](ROWS, tmp_path / "dust"), MWEBV_APPLYFLAG=1), BANDS)
    assert len(door.read(with_header(WRITERS[reader](ROWS, tmp_path / "no dust"), MWEBV_APPLYFLAG=0), BANDS).mjd) == 3


def test_seconds_are_called_so() -> None:
    with pytest.raises(ValueError, match=r"no days \(seconds\?\): give Modified Julian Dates in days$"):
        door.read(frame({**ROWS, "mjd": [1.677e9, 1.678e9, 1.679e9]}), BANDS)


def test_calendar_dates_as_text_are_called_so() -> None:
    rows = frame(ROWS)
    rows["MJD"] = "2024-11-28T01:25:00"
    with pytest.raises(ValueError, match=r"calendar dates.*Modified Julian Dates.*2024-11-28"):
        door.read(rows, BANDS)


@pytest.mark.parametrize("reader", TABLES)
def test_magnitudes_beside_fluxes_prove_the_unit(reader: str, tmp_path: Path) -> None:
    for zero_point in (31.4, 23.9, 25.0):
        rows = {
            "mjd": [60001.25, 60002.5], "band": ["g", "r"], "flux": [10 ** (0.4 * (zero_point - 20)), 10 ** (0.4 * (zero_point - 19))],
            "flux_err": [1.0, 1.0], "mag": [20.0, 19.0],
        }  # fmt: skip
        table = frame(rows).rename(columns={"FLUXCAL": "flux", "FLUXCALERR": "flux_err"})
        path = _write(reader, table, tmp_path / str(zero_point))
        assert np.allclose(door.read(path, BANDS).flux, [1000, 10**3.4], rtol=1e-4)


def test_magnitudes_that_are_all_alike_say_nothing_of_the_unit() -> None:
    curves = curves_of(magnitudes()[:2].assign(flux_ujy=[30.0, 30.2], flux_ujy_err=3.0, mag=[17.0, 17.01]))
    assert np.allclose(curves.flux, [30 * 10 ** (0.4 * 3.6), 30.2 * 10 ** (0.4 * 3.6)], rtol=1e-4)


def _write(reader: str, table: pd.DataFrame, folder: Path) -> Path:
    if reader == "nested":
        return write_nested(table, table[["object_id"]].drop_duplicates(), folder / "n.parquet")
    return write(table, folder / f"a.{reader}")


@pytest.mark.parametrize("reader", TABLES)
def test_the_depth_of_the_survey_decides_or_the_unit_is_asked_for(
    reader: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = frame(ROWS).rename(columns={"FLUXCAL": "flux", "FLUXCALERR": "flux_err"})
    for unit, zero_point in (("fluxcal", 27.5), ("njy", 31.4), ("ujy", 23.9)):
        error = 10 ** (0.4 * (zero_point - 20.7)) / 5  # ZTF's depth
        path = _write(reader, rows.assign(flux_err=error, flux=8 * error), tmp_path / unit)
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            curves = door.read(path, ZTF)
        assert (
            np.allclose(curves.flux, 8 / 5 * 10 ** (0.4 * 6.8), rtol=1e-4) and f"it is taken as {unit}" in caplog.text
        )
        caplog.clear()
        trained = {"default_unit": "njy"}  # refused where the errors fit another unit
        told = f"in {unit} they fit its depth.*--flux-unit.*one of fluxcal"
        with nullcontext() if unit == "njy" else pytest.raises(ValueError, match=told):
            door.read(path, ZTF, trained=trained)
        assert not caplog.text
        door.read(path, ZTF, {"flux_unit": "njy"}, trained)  # what the user states counts
    bright = rows.assign(flux_err=5e3, flux=2e5)  # FLUXCAL, magnitude 14.2: its own light makes such errors
    caplog.clear()
    door.read(_write(reader, bright, tmp_path / "bright"), ZTF, trained={"default_unit": "fluxcal"})
    assert "mag shallower than this one, and fit its depth in njy" in caplog.text
    path = _write(reader, rows.assign(flux=8 * error / 10**1.5, flux_err=error / 10**1.5), tmp_path / "between")
    caplog.clear()
    door.read(path, ZTF, trained={"default_unit": "ujy"})
    assert "3.8 mag deeper" in caplog.text and "depth in" not in caplog.text, (
        "no unit fits: the user is told all the same"
    )
    path = _write(reader, rows.assign(flux_err=2e9), tmp_path / "odd")
    with pytest.raises(
        ValueError,
        match=r"nothing states the unit of flux .*flux_njy.*flux_unit or zp.*flux_unit=UNIT.*--flux-unit.*fluxcal",
    ):
        door.read(path, ZTF)


# -- alerts and forced photometry


@pytest.mark.parametrize("mark", [{"forced": True}, {"procstatus": "0"}, {"infobitssci": 0}])
def test_magnitudes_of_forced_photometry_are_measured_not_detected(mark: dict[str, Any]) -> None:
    assert curves_of(two(magerr=[1.7, 0.1], **mark)).detected.tolist() == [False, True]


def test_alerts_are_detections_unless_nothing_is_there() -> None:
    alerts = two(magerr=[1.7, 0.35]).rename(columns={"mag": "magpsf", "magerr": "sigmapsf"})
    assert curves_of(alerts).detected.tolist() == [False, True]


# -- times


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_times_in_32_bits_are_not_repeated_exposures(suffix: str, tmp_path: Path) -> None:
    mjd = np.array([59000.001, 59000.0015, 59000.0018, 59001.3], dtype=np.float32)
    rows = pd.DataFrame({"object_id": "a", "mjd": mjd, "band": "g", "FLUXCAL": [1.0, 2.0, 2.0, 3.0], "FLUXCALERR": 1.0})
    if suffix == ".csv":
        rows["mjd"] = rows.mjd.astype(float)
    curves = door.read(write(rows, tmp_path / f"a{suffix}"), BANDS)
    assert curves.flux.tolist() == [1, 2, 3] and curves.dropped == {"that repeat an exposure": 1}
    julian = rows.rename(columns={"mjd": "jd"}).assign(jd=(mjd.astype(float) + 2400000.5).astype(np.float32))
    with pytest.raises(ValueError, match=r"column jd: Julian dates in 32 bits"):
        door.read(write(julian, tmp_path / "j.parquet"), BANDS)


# -- what the package itself writes


@pytest.mark.parametrize(
    ("name", "times", "warned"),
    [
        ("mjd", [60001.0, 60001.0, 60004.0], True),
        ("jd", [2460001.5, 2460001.5, 2460004.5], True),
        ("jd", [2460001.0, 2460001.0, 2460004.0], True),
        ("mjd", [60001.0, 60001.25, 60004.5], False),
        ("mjd", [60001.0], False),
    ],
)
@pytest.mark.parametrize("rows", [400_000, 1])
def test_times_of_whole_days_are_warned_of(
    name: str, times: list[float], warned: bool, rows: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    n = len(times)
    given = frame({"band": ["g", "r", "g"][:n], "flux": [100.0] * n, "flux_err": [10.0] * n, "mjd": times})
    path = write(given.rename(columns={"MJD": name}), tmp_path / "a.csv")
    list(door.parts(path, BANDS, rows=rows))
    assert [f"{n} of {n} times ({name})" in record.getMessage() for record in caplog.records].count(True) == warned


def test_predictions_are_no_labels(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(frame(ROWS), tmp_path / "lc.csv")
    predicted = pd.DataFrame({"object_id": [OBJECT], "class": ["SN Ia"], "p(SN Ia)": [0.9], "n_observations": [3]})
    for suffix in ("csv", "parquet"):
        write(predicted, tmp_path / f"classes.{suffix}")
    from tlclass.surveys import Table

    curves = Table(folder=tmp_path, passbands=BANDS, keep_unlisted=True).read()
    assert curves.label.tolist() == [""] and caplog.text.count("classes.csv: it holds predictions") == 1
    with pytest.raises(ValueError, match=r"classes.csv holds predictions of a model"):
        Table(tmp_path / "lc.csv", BANDS, tmp_path / "classes.csv").read()


@pytest.mark.parametrize("form", ["own", "nested", "tables"])
def test_files_that_say_they_are_simulated_are(form: str, tmp_path: Path) -> None:
    from tlclass.lightcurves import arrow
    from tlclass.simulate import marked

    curves = marked(door.read(frame(ROWS), BANDS))
    arrow.write(curves, tmp_path / "own.parquet")
    path = tmp_path / "own.parquet"
    if form == "nested":  # through pandas, which keeps no metadata
        pq.write_table(pq.read_table(path).replace_schema_metadata(None), path)
    if form == "tables":
        path.unlink()
        write(frame(ROWS), tmp_path / "lc.csv")
        write(pd.DataFrame({"object_id": [OBJECT], "simulated": [True]}), tmp_path / "objects.csv")
        path = tmp_path
    assert door.read(path, BANDS, {} if form == "own" else {"default_unit": "fluxcal"}).simulated


# -- alert packets as tables


@pytest.mark.parametrize("in_memory", [False, True])
def test_packets_in_parquet_are_read_as_in_avro(in_memory: bool, tmp_path: Path) -> None:
    older = [
        {"jd": 2460000.5 + k, "fid": 1 + k % 2, "magpsf": 20.0 - k / 10, "sigmapsf": 0.1, "isdiffpos": "t"}
        for k in range(4)
    ]
    limit = {**older[0], "jd": 2459990.5, "magpsf": None, "sigmapsf": None, "isdiffpos": None}

    def alert(newest: int) -> dict[str, Any]:
        return {
            "objectId": "ZTF1",
            "candid": newest,
            "candidate": {**older[newest], "ra": 1.0, "dec": 2.0},
            "prv_candidates": [limit, *older[:newest]],
        }

    table = pa.Table.from_pylist([alert(2), alert(3)])
    pq.write_table(table, tmp_path / "alerts.parquet")
    curves = door.read(table if in_memory else tmp_path / "alerts.parquet", ZTF)
    assert curves.mjd.tolist() == [60000, 60001, 60002, 60003] and curves.detected.all(), "the newest of each alert too"
    assert (
        curves.object_id.tolist() == ["ZTF1"]
        and curves.dropped["that repeat an exposure of another packet or list"] == 4
    )


def test_packets_of_a_survey_are_not_read_in_the_passbands_of_another() -> None:
    seen = {"jd": 2460000.5, "fid": 1, "magpsf": 20.0, "sigmapsf": 0.1, "isdiffpos": "t", "ra": 1.0, "dec": 2.0}
    table = pa.Table.from_pylist([{"objectId": "a", "candidate": seen}])
    with pytest.raises(ValueError, match=r"unknown passband 'ztfg' \(1 observations\); known are lsstg"):
        door.read(table, BANDS)


def test_of_two_nested_columns_the_one_that_is_named_is_read(tmp_path: Path) -> None:
    source = [{"midpointMjdTai": 60001.25, "band": "g", "psfFlux": 9e4, "psfFluxErr": 1e3, "diaSourceId": 1}]
    whole = {"psfFlux": 9e9, "psfFluxErr": 1.0, "psfFlux_flag": True}
    forced = [
        {"midpointMjdTai": 60000.0 + k, "band": "r", "psfDiffFlux": 1e3 * k, "psfDiffFluxErr": 1e3, **whole}
        for k in range(3)
    ]
    pq.write_table(
        pa.Table.from_pylist([{"diaObjectId": 5, "diaSource": source, "diaObjectForcedSource": forced}]),
        tmp_path / "h.parquet",
    )
    with pytest.raises(
        ValueError, match=r"diaSource.midpointMjdTai and diaObjectForcedSource.midpointMjdTai both mean mjd"
    ):
        door.read(tmp_path / "h.parquet", BANDS)
    named = {
        name: door.read(tmp_path / "h.parquet", BANDS, {"columns": {"mjd": f"{name}.midpointMjdTai"}})
        for name in ("diaSource", "diaObjectForcedSource")
    }
    njy = 10 ** (0.4 * (27.5 - 31.4))
    assert named["diaSource"].flux == pytest.approx([9e4 * njy]) and named["diaSource"].detected.all()
    assert named["diaObjectForcedSource"].flux == pytest.approx(np.array([0, 1e3, 2e3]) * njy)


@pytest.mark.parametrize("unknown", [-9.0, -0.5, 1e308, 101.0])
def test_an_extinction_that_the_sky_does_not_have_is_unknown(unknown: float) -> None:
    assert np.isnan(known_extinction([unknown])).all() and known_extinction([0.0, 7.5]).tolist() == [0.0, 7.5]


def test_unknown_numbers_of_objects_are_not_numbers(tmp_path: Path) -> None:
    write(frame(ROWS), tmp_path / "lc.csv")
    for code in FACTS["missing"]["numbers"]:
        write(
            pd.DataFrame({"object_id": [OBJECT], "mwebv": code, "redshift": code, "peakmjd": -9.0}), tmp_path / "o.csv"
        )
        curves = door.read(tmp_path, BANDS)
        assert np.isnan(curves.mwebv[0]) and np.isnan(curves.redshift[0]) and np.isnan(curves.trigger_mjd[0]), code


@pytest.mark.parametrize("code", [-1.0, 0.0, 9.99, 99.0, 99.99, 999.0, np.inf])
def test_an_error_that_marks_a_limit_is_none(code: float) -> None:
    assert curves_of(two(magerr=[0.1, code])).mjd.tolist() == [59000]


@pytest.mark.parametrize("name", ["is_limit", "upper_limit", "ul", "limflag", "nondetection", "nondet"])
def test_a_column_may_mark_limits(name: str) -> None:
    assert curves_of(two(**{name: [0, 1]})).mjd.tolist() == [59000]


@pytest.mark.parametrize(
    ("flux", "error", "said"),
    [(1e3, 100.0, ""), (20.0, 0.1, "mag deeper"), (1e3, 1e4, "mag shallower"), (1e6, 1e4, "")],
)
@pytest.mark.parametrize("stated", [{"flux_unit": "fluxcal"}, {"zp": 27.5}])
def test_a_stated_unit_that_does_not_fit_the_errors_is_warned_of(
    flux: float, error: float, said: str, stated: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    rows = {**ROWS, "object_id": "a", "flux": flux, "flux_err": error, **stated}
    door.read(pd.DataFrame(rows), ZTF)
    assert (said in caplog.text) and bool(said) == ("in the unit that is taken" in caplog.text)


@pytest.mark.parametrize(
    ("more", "refused"),
    [
        ({"expMidptMJD": 60001.25}, True),
        ({"midpointMjdTai": 60001.25, "diaSourceId": 5}, False),
        ({"expMidptMJD": 60001.25, "psfDiffFlux": 90.0, "psfDiffFluxErr": 9.0}, False),
    ],
)
def test_fluxes_of_the_science_image_are_refused(more: dict[str, Any], refused: bool) -> None:
    rows = pd.DataFrame([{"diaObjectId": 5, "band": "g", "psfFlux": 9e9, "psfFluxErr": 9.0, **more}])
    if refused:
        with pytest.raises(ValueError, match=r"science image.*psfDiffFlux.*--column flux=psfFlux"):
            door.read(rows, BANDS)
        assert len(door.read(rows, BANDS, {"columns": {"flux": "psfFlux"}}).mjd)
    else:
        assert len(door.read(rows, BANDS).mjd) == 1


def test_cells_that_are_no_numbers_say_what_to_write(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('object_id,mjd,band,flux,flux_err\na,60001.25,g,"1,5",1\n')
    with pytest.raises(ValueError, match=r"'1,5'.*decimals with a point"):
        door.read(tmp_path / "a.csv", BANDS)
    (tmp_path / "b.csv").write_text("object_id,mjd,band,flux,flux_err\n", encoding="utf-16")
    with pytest.raises(ValueError, match=r"b\.csv.*save it as UTF-8"):
        door.read(tmp_path / "b.csv", BANDS)


@pytest.mark.parametrize(("flux", "said"), [(5.0, True), (-5.0, True), (500.0, False), (-500.0, False)])
def test_detections_that_measure_nothing_are_warned_of(
    flux: float, said: bool, caplog: pytest.LogCaptureFixture
) -> None:
    rows = {**ROWS, "object_id": "a", "flux": flux, "flux_err": 50.0, "detected": True, "flux_unit": "fluxcal"}
    door.read(pd.DataFrame(rows), ZTF)
    assert ("3 of 3 detections have flux / error below 2" in caplog.text) == said


@pytest.mark.parametrize("name", ["detected", "is_detection", "ul"])
def test_a_column_of_yes_and_no_holds_nothing_else(name: str) -> None:
    with pytest.raises(ValueError, match=f"column {name}: '7.3'.*rename the column"):
        curves_of(two(**{name: [1, 7.3]}))


# -- files that were misread without a word


def curves_of(rows: pd.DataFrame, **options: Any) -> LightCurves:
    return door.read(rows, ZTF, options, trained={"default_unit": "fluxcal"})


def flat(**columns: Any) -> pd.DataFrame:
    """Six observations of one object in plain columns."""
    given = {"mjd": 59000.0 + np.arange(6), "band": ["g", "r"] * 3, "flux": [30.0, 200, 300, 200, 90, 60]}
    return pd.DataFrame({"object_id": "a", **given, "flux_err": 10.0, **columns})


@pytest.mark.parametrize("written", ["1.70033E+17", "1.70033e+17"])
def test_ids_that_a_spreadsheet_rounded_are_refused(written: str) -> None:
    with pytest.raises(ValueError, match=rf"ids like {re.escape(written)} are rounded"):
        curves_of(flat(object_id=written))


def test_the_sign_of_a_difference_counts_beside_fluxes_too(caplog: pytest.LogCaptureFixture) -> None:
    rows = flat(isdiffpos=["t", "t", "t", "f", "f", "t"])
    assert curves_of(rows).flux.tolist() == [30, 200, 300, -200, -90, 60]
    assert "2 of 6 fluxes are above zero where column isdiffpos says that the difference is negative" in caplog.text
    signed = rows.assign(flux=[30.0, 200, 300, -200, -90, 60])
    caplog.clear()
    assert curves_of(signed).flux.tolist() == signed.flux.tolist() and "above zero" not in caplog.text


def test_counts_without_their_zero_points_are_refused() -> None:
    rows = flat().rename(columns={"flux": "forcediffimflux", "flux_err": "forcediffimfluxunc"})
    with pytest.raises(
        ValueError, match=r"forcediffimflux is in counts of each image.*add the column zpdiff, or .*--flux-unit"
    ):
        curves_of(rows)
    assert curves_of(rows.assign(zpdiff=27.5)).flux[0] == pytest.approx(30)
    assert curves_of(rows, flux_unit=27.5).flux[0] == pytest.approx(30)


@pytest.mark.parametrize("column", FACTS["context_if_named"])
def test_a_column_that_names_another_survey_makes_passbands_foreign(column: str) -> None:
    with pytest.raises(ValueError, match=r"unknown passband 'r of PS1' \(1 observations\)"):
        curves_of(flat(**{column: ["ZTF", "PS1", "ZTF", "", "main", "7"]}))
    assert len(curves_of(flat(**{column: ["WFD", "DDF", "1", "", "main", "7"]})).mjd) == 6


def nested(lists: pd.DataFrame, folder: Path, **plain: Any) -> LightCurves:
    columns = {name: [lists[name].tolist()] for name in lists if name != "object_id"}
    path = folder / "n.parquet"
    pq.write_table(pa.table({"object_id": ["a"], **{name: [value] for name, value in plain.items()}, **columns}), path)
    return door.read(path, ZTF, {}, trained={"default_unit": "fluxcal"})


def test_plain_columns_beside_lists_say_it_of_all_observations(tmp_path: Path) -> None:
    assert nested(flat(), tmp_path, flux_unit="uJy").flux[0] == pytest.approx(30 * 10 ** (0.4 * 3.6), rel=1e-5)
    assert nested(flat(), tmp_path, zp=23.9).flux[0] == pytest.approx(30 * 10 ** (0.4 * 3.6), rel=1e-5)
    assert nested(flat().drop(columns="band"), tmp_path, band="r").passband.tolist() == [1] * 6
    assert nested(flat(), tmp_path, filter="i").passband.tolist() == [0, 1] * 3, "lists say it more exactly"
    with pytest.raises(ValueError, match=r"unknown passband 'g of ATLAS'"):
        nested(flat(), tmp_path, instrument="ATLAS")
    with pytest.raises(ValueError, match=r"column magsys has vega: only AB"):
        nested(flat(), tmp_path, magsys="vega", zp=27.5)


def magnitudes(**columns: Any) -> pd.DataFrame:
    rows = flat(mag=[19.0, 18.5, 18.2, 18.4, 18.9, 19.2], magerr=0.05, **columns)
    return rows.drop(columns=["flux", "flux_err"])


def two(**columns: Any) -> pd.DataFrame:
    """The first two of these magnitudes, with their sign."""
    return magnitudes(isdiffpos="t")[:2].assign(**columns)


def test_magnitudes_of_the_science_image_are_refused() -> None:
    release = magnitudes(filtercode=["zg", "zr"] * 3, catflags=0)
    with pytest.raises(
        ValueError, match=r"mag of such a table is the brightness in the science image.*--column mag=mag"
    ):
        curves_of(release)
    assert len(curves_of(release, columns={"mag": "mag"}, positive=True).mjd) == 6


@pytest.mark.parametrize(
    "column", ["unit", "magsys", "photsys", "phot_system", "magnitude_system", "zeropoint_system", "zp_sys"]
)
def test_vega_magnitudes_are_refused_wherever_they_are_called_so(column: str) -> None:
    for system in ("VegaMag", "vega"):
        with pytest.raises(ValueError, match=rf"column {column} has {system}: only AB"):
            curves_of(magnitudes(isdiffpos="t", **{column: system}))
    assert len(curves_of(magnitudes(isdiffpos="t", **{column: "ABMag"})).mjd) == 6
    assert len(curves_of(magnitudes(isdiffpos="t", unit="mag", flux_unit="uJy")).mjd) == 6


@pytest.mark.parametrize("unknown", ["", "nan", "--", "None"])
def test_a_sign_that_is_unknown_is_no_positive_one(unknown: str) -> None:
    curves = curves_of(magnitudes(isdiffpos=[unknown, "t", "t", "t", "f", "t"]))
    assert len(curves.mjd) == 5 and sum(curves.dropped.values()) == 1


@pytest.mark.parametrize("name", ["object", "transient", "ztf_name"])
def test_a_name_of_objects_counts_before_a_number_of_rows(name: str) -> None:
    rows = flat().rename(columns={"object_id": name}).assign(id=np.arange(6))
    assert curves_of(rows).object_id.tolist() == ["a"]


def test_a_measured_flux_that_is_no_detection_is_kept() -> None:
    curves = curves_of(flat(nondetection=[True, False, False, False, False, True]))
    assert curves.detected.tolist() == [False, True, True, True, True, False]
    faint = curves_of(flat(nondetection=False, flux=[30.0, 200, 300, 200, 90, 60]))
    assert faint.detected.all(), "the flag decides, not the signal to noise"
    blank = flat(nondetection=[True, False, False, False, False, True], flux=[np.nan, 200, 300, 200, 90, 60])
    assert len(curves_of(blank).mjd) == 5
    assert len(curves_of(flat(upper_limit=[True, False, False, False, False, True])).mjd) == 4


def test_a_flag_that_cannot_be_read_names_its_column() -> None:
    told = curves_of(flat(PHOTFLAG=["0x1000", "0", "4096.0", "0", "0", "0"])).detected
    assert told.tolist() == [True, False, True, False, False, False]
    with pytest.raises(ValueError, match=r"column PHOTFLAG: 'det' is neither"):
        curves_of(flat(PHOTFLAG=["det", "0", "0", "0", "0", "0"]))


def test_names_that_a_reader_of_blanks_leaves_with_commas_and_the_micro_sign_are_known() -> None:
    rows = flat().rename(columns={"mjd": "mjd,", "band": "filter,", "flux": "flux_µJy", "flux_err": "flux_err_µJy"})
    assert curves_of(rows).flux[0] == pytest.approx(30 * 10 ** (0.4 * 3.6), rel=1e-5)
    with pytest.raises(
        ValueError, match=r"lacks the column\(s\) object_id.*if the file is of one object, add a column with its name"
    ):
        curves_of(flat().drop(columns="object_id"))


def test_an_offset_that_is_not_needed_is_called_so() -> None:
    with pytest.raises(ValueError, match=r"these are Modified Julian Dates: leave out .*--time-offset"):
        curves_of(flat(), time_offset=2400000.5)


@pytest.mark.parametrize("missing", ["   ", " NULL ", "...", " nan"])
@pytest.mark.parametrize("column", ["flux", "flux_err", "mjd"])
def test_a_cell_of_blanks_is_a_missing_number(column: str, missing: str, tmp_path: Path) -> None:
    rows = flat().astype({column: str})
    rows.loc[2, column] = missing
    rows.to_csv(tmp_path / "a.csv", index=False)
    for source in (rows, tmp_path / "a.csv"):
        curves = door.read(source, ZTF, {}, trained={"default_unit": "fluxcal"})
        assert len(curves.mjd) == 5 and sum(curves.dropped.values()) == 1


def test_a_limit_may_have_blanks_before_it() -> None:
    rows = magnitudes(isdiffpos="t").astype({"mag": str})
    rows.loc[0, "mag"] = "  > 20.5"
    assert curves_of(rows).dropped == {"that are upper limits without a flux": 1}


@pytest.mark.parametrize("column", FACTS["context"])
def test_a_column_on_who_took_a_row_counts_whatever_it_says(column: str) -> None:
    with pytest.raises(ValueError, match=r"unknown passband 'r of Sinistro 3' \(1 observations\)"):
        curves_of(flat(**{column.upper(): ["P48 - ZTF", "Sinistro 3", "Palomar 48-inch", "", "ztf", "Zwicky"]}))


def test_short_names_of_surveys_are_words_of_their_own() -> None:
    assert len(curves_of(flat(source=["description", "wised", "2mass-free" * 0, "", "nested", "lcos"])).mjd) == 6
    with pytest.raises(ValueError, match=r"unknown passband 'r of DES'"):
        curves_of(flat(source=["", "DES", "", "", "", ""]))


def test_snana_text_says_who_took_a_row_too(tmp_path: Path) -> None:
    rows = [("58000.1", "g", "P48"), ("58001.1", "r", "P48"), ("58002.1", "r", "LCO")]
    lines = [f"OBS: {mjd} {band} {who} 900.0 50.0" for mjd, band, who in rows]
    header = ["SURVEY: ZTF", "SNID: a", "VARLIST: MJD FLT TELESCOPE FLUXCAL FLUXCALERR"]
    (tmp_path / "a.dat").write_text("\n".join([*header, *lines]) + "\n")
    with pytest.raises(ValueError, match=r"unknown passband 'r of LCO' \(1 observations\)"):
        door.read(tmp_path, ZTF)
    assert len(door.read(tmp_path, ZTF, {"unknown_passbands": "drop"}).mjd) == 2


@pytest.mark.parametrize("column", ["zp_ab", "mag_zeropoint", "photzp", "zpmaginpsci", "zero_pt", "zpAB"])
def test_what_may_be_a_zero_point_is_asked_about(column: str) -> None:
    rows = flat(**{column: 26.2})
    with pytest.raises(
        ValueError, match=rf"{column} may be its zero point: say so with .*--column zero_point={column}"
    ):
        curves_of(rows)
    assert curves_of(rows, columns={"zero_point": column}).flux[0] == pytest.approx(30 * 10 ** (0.4 * 1.3), rel=1e-5)
    assert curves_of(rows, flux_unit="fluxcal").flux[0] == pytest.approx(30)
    assert curves_of(flat(zp_err=0.02, zprms=0.01, zphot=0.1, hostzphot=0.1, zp_band=1)).flux[0] == pytest.approx(30)


def test_rows_of_magnitudes_in_a_table_of_fluxes_are_named() -> None:
    rows = flat(zp=27.5, mag=np.nan, magerr=np.nan)
    rows.loc[3:, ["flux", "flux_err", "zp", "mag", "magerr"]] = [np.nan, np.nan, np.nan, 19.0, 0.1]
    (reason,) = curves_of(rows).dropped
    assert reason.startswith("that have a magnitude and no flux")


def test_times_of_tenths_of_a_day_are_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    curves_of(flat(mjd=[59000.1, 59000.3, 59001.2, 59003.0, 59004.5, 59005.7]))
    assert "6 of 6 times (mjd) are rounded to 0.1 d, so the order of observations in a night is lost" in caplog.text


def test_numbers_of_rows_are_no_objects() -> None:
    numbered = flat().drop(columns="object_id").assign(id=np.arange(6))
    with pytest.raises(
        ValueError, match=r"no two observations have the same id.*--column object_id=COLUMN.*add a column with its name"
    ):
        curves_of(numbered)
    assert len(curves_of(numbered, columns={"object_id": "id"})) == 6, "the user says so"
    named = flat().drop(columns="object_id").assign(name=[f"ZTF25a{k}" for k in range(6)])
    assert len(curves_of(named)) == 6, "names are no numbers"


def test_files_that_are_all_of_one_object_are_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(3):
        rows = flat(mjd=59000.123 + np.arange(6) + 100 * number, object="target").drop(columns="object_id")
        rows.to_csv(tmp_path / f"SN{number}.csv", index=False)
    assert len(door.read(tmp_path, ZTF, {}, trained={"default_unit": "fluxcal"})) == 1
    assert "all 3 files are of one object, 'target'" in caplog.text


@pytest.mark.parametrize("written", ["g-ZTF", "r_ztf", "ZTF i", "ztf::g", "P48 r", "p48i", "zg", "zr", "ZTF.g"])
def test_a_survey_and_a_letter_are_its_passband(written: str) -> None:
    (letter,) = set("gri") & set(written)
    assert curves_of(flat(band=written, flux_err=20.0)).passband.tolist() == ["gri".index(letter)] * 6
    for strange in ("z", "ztfy", "P48 R", "g-ATLAS", "gg-ztf", "PS1 r"):
        with pytest.raises(ValueError, match="unknown passband"):
            curves_of(flat(band=strange))


def test_categories_of_polars_are_text() -> None:
    table = pa.Table.from_pandas(flat(), preserve_index=False)
    band = pa.DictionaryArray.from_arrays(pa.array([0, 1] * 3, pa.uint32()), pa.array(["g", "r"], pa.string_view()))
    assert curves_of(table.set_column(2, "band", band)).passband.tolist() == [0, 1] * 3


def test_a_photflag_without_the_bit_of_a_detection_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    assert curves_of(flat(PHOTFLAG=0)).detected.tolist() == curves_of(flat()).detected.tolist()
    assert (
        "PHOTFLAG calls none of 6 rows a detection, so the 5 with flux / error of 5 or more count as such"
        in caplog.text
    )
    assert curves_of(flat(PHOTFLAG=[0, 4096, 0, 0, 0, 0])).detected.tolist() == [False, True, *[False] * 4]


def test_late_days_since_an_event_are_named() -> None:
    with pytest.raises(ValueError, match=r"some are days since some event, of which 1000 are read at most"):
        curves_of(flat(mjd=[0.0, 1.2, 3.4, 5.6, 20.1, 1200.7]))


def test_a_table_with_a_column_for_each_passband_is_told_the_form() -> None:
    for wide in (["flux_g", "flux_r"], ["mag_ztfg", "mag_ztfr"], ["g_flux", "r_flux"]):
        rows = flat().drop(columns=["band", "flux", "flux_err"]).assign(**dict.fromkeys(wide, 20.0))
        with pytest.raises(
            ValueError, match=rf"has a column for each passband \({wide[0]}, {wide[1]}\): give a row for"
        ):
            curves_of(rows)


def test_a_file_is_what_it_holds_whatever_its_name(tmp_path: Path) -> None:
    packed, parquet = tmp_path / "packed.csv", tmp_path / "parquet.csv"
    packed.write_bytes(gzip.compress(flat().to_csv(index=False).encode()))
    assert len(door.read(packed, ZTF, {}, trained={"default_unit": "fluxcal"}).mjd) == 6
    flat().to_parquet(parquet)
    with pytest.raises(ValueError, match=r"it is a Parquet file: call it \.parquet"):
        door.read(parquet, ZTF)
