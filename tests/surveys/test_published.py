"""Files as surveys and brokers publish them, in the forms that a trial found misread."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tlclass.lightcurves.passbands import Passbands
from tlclass.lightcurves.photometry import plain_name, unit_of_name
from tlclass.surveys import door
from tlclass.surveys.tables import files

BANDS = Passbands.from_mapping({f"lsst{b}": {"wavelength": 0.5, "aliases": [b]} for b in "gri"})
ZTF = Passbands.from_mapping({f"ztf{b}": {"wavelength": 0.5, "aliases": [b, str(k)]} for k, b in enumerate("gri", 1)})
N = 6
TIMES = 60000.25 + 3.1 * np.arange(N)
FLUX, ERROR = np.linspace(900, 2000, N), np.full(N, 40.0)


def table(**columns: Any) -> pd.DataFrame:
    """Six rows of one object in njy, by ZTF or LSST."""
    return pd.DataFrame(
        {"object_id": "a", "mjd": TIMES, "band": ["g", "r"] * 3, "flux": FLUX, "flux_err": ERROR, **columns}
    )


def magnitudes(**columns: Any) -> pd.DataFrame:
    return table(mag=19.0 - 0.1 * np.arange(N), mag_err=0.05, **columns).drop(columns=["flux", "flux_err"])


@pytest.mark.parametrize("struct", ["objectForcedSource", "diaObjectForcedSource"])
def test_fluxes_of_the_science_image_are_refused_in_lists_too(struct: str, tmp_path: Path) -> None:
    lists = {"midpointMjdTai": [TIMES], "psfFlux": [FLUX], "psfFluxErr": [ERROR], "band": [["g", "r"] * 3]}
    nested = pa.StructArray.from_arrays([pa.array(each) for each in lists.values()], names=list(lists))
    for more in ({}, {"psfDiffFlux": [FLUX], "psfDiffFluxErr": [ERROR]}):
        if more:
            both = {**lists, **more}
            nested = pa.StructArray.from_arrays([pa.array(each) for each in both.values()], names=list(both))
        pq.write_table(pa.table({"diaObjectId": [5], struct: nested}), tmp_path / "o.parquet")
        if more:
            assert len(door.read(tmp_path / "o.parquet", BANDS).mjd) == N
        else:
            with pytest.raises(ValueError, match=r"psfFlux of such a table is the brightness in the science image"):
                door.read(tmp_path / "o.parquet", BANDS)


def test_an_id_of_forced_sources_says_so_beside_times_of_the_visit() -> None:
    rows = table(forcedSourceId=range(N)).rename(
        columns={"mjd": "midpointMjdTai", "flux": "psfFlux", "flux_err": "psfFluxErr"}
    )
    with pytest.raises(ValueError, match="science image"):
        door.read(rows, BANDS)


def test_magnitudes_of_the_science_image_have_a_coefficient_of_colour_in_snad() -> None:
    with pytest.raises(ValueError, match="science image"):
        door.read(magnitudes(clrcoeff=0.1), ZTF, {"positive": True})


def test_structs_of_names_and_ids_are_called_after_themselves() -> None:
    rows = magnitudes(**{"flux_unit.name": "ABMag", "instrument.name": ["ZTF-Cam", "GPC1"] * 3, "telescope.id": 5})
    rows = rows.rename(columns={"band": "filters.name"})
    with pytest.raises(ValueError, match="unknown passband 'r of GPC1'"):
        door.read(rows, ZTF, {"positive": True})
    kept = door.read(rows, ZTF, {"positive": True, "unknown_passbands": "drop"})
    assert kept.object_id.tolist() == ["a"] and len(kept.mjd) == 3
    with pytest.raises(ValueError, match=r"lacks the column\(s\) object_id"):
        door.read(rows.drop(columns="object_id"), ZTF, {"positive": True})
    assert plain_name("diaObject.diaObjectId") == "diaobjectid" and plain_name("object.name") == "object"
    with pytest.raises(ValueError, match="VegaMag"):
        door.read(rows.drop(columns="instrument.name").assign(**{"flux_unit.name": "VegaMag"}), ZTF, {"positive": True})


def test_columns_of_fink_that_a_votable_renamed_are_refused() -> None:
    rows = magnitudes().rename(columns={"object_id": "i_objectId", "mjd": "i_jd", "band": "i_fid"})
    with pytest.raises(ValueError, match=r"i_objectId is Fink's i:objectId with another name.*CSV or Parquet$"):
        door.read(rows, ZTF)


def test_antares_says_by_a_number_which_survey_took_a_row() -> None:
    rows = magnitudes(ant_survey=[1, 2, 4, 4, 1, 1])
    assert len(door.read(rows, ZTF, {"positive": True, "unknown_passbands": "drop"}).mjd) == 4
    assert len(door.read(rows, BANDS, {"positive": True, "unknown_passbands": "drop"}).mjd) == 2
    other = magnitudes(survey_id=["ztf"] * 4 + ["lsst"] * 2)
    assert len(door.read(other, ZTF, {"positive": True, "unknown_passbands": "drop"}).mjd) == 4


def test_forced_photometry_of_pan_starrs_names_its_camera() -> None:
    rows = table(pscamera=["GPC1", "GPC2"] * 3, zero_pt=24.5).rename(columns={"flux": "ujy", "flux_err": "dujy"})
    with pytest.raises(ValueError, match="unknown passband 'g of GPC1'"):
        door.read(rows, BANDS)


def test_a_file_of_another_survey_is_known_by_its_columns() -> None:
    rows = table(Camera="bA", FWHM=1.5, Limit=17.2)
    with pytest.raises(ValueError, match=r"has the columns of ASAS-SN .*use a model or card of ASAS-SN"):
        door.read(rows, ZTF, {"flux_unit": "mjy"})


def test_a_table_of_rubin_is_none_of_ztf() -> None:
    rubin = table().rename(
        columns={"object_id": "diaObjectId", "mjd": "midpointMjdTai", "flux": "psfFlux", "flux_err": "psfFluxErr"}
    )
    for prefix in ("", "r:", "lsst_diaSource_"):
        rows = rubin.add_prefix(prefix)
        said = rf"has the columns of LSST \({prefix}diaObjectId\).*use a model or card of LSST"
        with pytest.raises(ValueError, match=said):
            door.read(rows, ZTF)
        assert len(door.read(rows, BANDS).mjd) == N
    counterpart = table().assign(lsst_diaObjectId=7)
    assert door.read(counterpart, ZTF, {"flux_unit": "njy"}).object_id.tolist() == ["a"]


def test_a_locus_of_antares_may_hold_alerts_of_two_surveys(tmp_path: Path) -> None:
    ztf = pd.DataFrame(
        {
            "ant_mjd": TIMES, "ant_survey": 1, "ant_passband": ["g", "R"] * 3, "ant_mag": 20.0, "ant_magerr": 0.1, "ztf_object_id": "ZTF21a",
            "ztf_candid": np.arange(N) + 10**15, "ztf_fid": [1, 2] * 3, "ztf_isdiffpos": "t", "ztf_jd": TIMES + 2400000.5,
        }
    )  # fmt: skip
    about = {
        "ant_mjd": TIMES + 0.1, "ant_survey": 4, "ant_passband": ["g", "r"] * 3, "ant_mag": 22.0, "ant_magerr": 0.1,
    }  # fmt: skip
    source = {
        "diaObjectId": 7, "diaSourceId": np.arange(N) + 10**14, "band": ["g", "r"] * 3, "midpointMjdTai": TIMES + 0.1, "psfFlux": FLUX,
        "psfFluxErr": ERROR,
    }  # fmt: skip
    rubin = pd.DataFrame(about | {f"lsst_diaSource_{name}": values for name, values in source.items()})
    locus = pd.concat([ztf, rubin]).assign(locus_id="ANT1")
    locus.to_csv(tmp_path / "locus.csv", index=False)
    for given in (locus, tmp_path / "locus.csv"):
        of_ztf = door.read(given, ZTF)
        assert of_ztf.object_id.tolist() == ["ZTF21a"] and of_ztf.flux == pytest.approx([1000] * N, rel=1e-5)
        named = {"columns": {"object_id": "locus_id"}, "unknown_passbands": "drop"}
        for bands, flux in ((ZTF, [1000] * N), (BANDS, FLUX * 10 ** (-0.4 * 3.9))):
            curves = door.read(given, bands, named)
            assert curves.object_id.tolist() == ["ANT1"] and curves.flux == pytest.approx(flux, rel=1e-5)
            assert sum(curves.dropped.values()) == N


def test_the_id_of_the_survey_counts_before_the_name_of_a_broker() -> None:
    rows = table(locus_id="ANT1").rename(columns=lambda name: name.replace("object_id", "ztf_object_id"))
    assert door.read(rows, ZTF, {"flux_unit": "njy"}).object_id.tolist() == ["a"]
    named = rows.rename(columns={"ztf_object_id": "lsst_diaSource_diaObjectId"})
    assert door.read(named, BANDS, {"flux_unit": "njy"}).object_id.tolist() == ["a"]


def test_flags_of_published_forced_photometry_void_rows(caplog: pytest.LogCaptureFixture) -> None:
    cosmo = table(flag=[0, 2, 1024, 16, 0, 32], field_id=600, rcid=1, ZP=30.0).rename(columns={"flux_err": "error"})
    assert len(door.read(cosmo, ZTF).mjd) == 4
    bts = table(poor_conditions=[0, 1, 0, 0, 0, 0], zpdiff=26.2).rename(
        columns={"flux": "fnu_microJy", "flux_err": "fnu_microJy_unc"}
    )
    read = door.read(bts, ZTF)
    assert len(read.mjd) == 5 and read.flux[0] == pytest.approx(900 * 10 ** (0.4 * (27.5 - 23.9)), rel=1e-6)
    assert unit_of_name("fnu_microJy") == "ujy"
    assert "may flag bad rows" not in caplog.text
    door.read(table(flags=0), ZTF, {"flux_unit": "ujy"})
    assert "column flags may flag bad rows and is not read: leave such rows out of the file" in caplog.text


def test_alerce_states_names_and_numbers_of_passbands_and_one_object_twice() -> None:
    rows = table(oid="a", diaObjectId="a", band=[6, 1] * 3, band_name=["g", "r"] * 3).drop(columns="object_id")
    assert door.read(rows, BANDS, {"flux_unit": "njy"}).passband.tolist() == [0, 1] * 3


def test_alerce_numbers_u_six() -> None:
    numbered = {f"lsst{b}": {"wavelength": 0.5, "aliases": [b, str(k)]} for k, b in enumerate("ugrizy")}
    rows = table(band=[6, 1, 2, 3, 4, 5])
    for band in (rows["band"], rows["band"].astype(float), rows["band"].astype(str)):
        read = door.read(rows.assign(band=band), Passbands.from_mapping(numbered), {"flux_unit": "njy"})
        assert read.passband.tolist() == [0, 1, 2, 3, 4, 5]


def test_a_heliocentric_redshift_counts_before_that_of_the_cmb() -> None:
    rows = table(REDSHIFT_FINAL=0.11, REDSHIFT_HELIO=0.2)
    assert door.read(rows, BANDS, {"flux_unit": "njy"}).redshift == pytest.approx(0.2)


def test_what_two_columns_say_of_an_object_does_not_matter_beside_observations() -> None:
    rows = table(ant_ra=1.0, diaObject_ra=1.0, peak_mjd=TIMES[2], peakmjd=TIMES[2]).rename(
        columns={"object_id": "lsst_diaObject_diaObjectId"}
    )
    rows = rows.assign(lsst_diaSource_diaObjectId="a")
    assert len(door.read(rows, BANDS, {"flux_unit": "njy"}).mjd) == N


def test_the_margin_of_a_catalogue_is_left_out(tmp_path: Path) -> None:
    for name, kind in (("main", "object"), ("main_5arcs", "margin")):
        folder = tmp_path / name / "dataset" / "Norder=0" / "Dir=0"
        folder.mkdir(parents=True)
        (tmp_path / name / "hats.properties").write_text(f"obs_collection={name}\ndataproduct_type={kind}\n")
        lists = {"mjd": [TIMES], "band": [["g", "r"] * 3], "flux": [FLUX], "flux_err": [ERROR]}
        pq.write_table(pa.table({"object_id": ["a"], **lists}), folder / "Npix=1.parquet")
    assert door.read(tmp_path, BANDS, {"flux_unit": "njy"}).object_id.tolist() == ["a"]


def test_a_wrong_unit_of_bright_objects_is_named(caplog: pytest.LogCaptureFixture) -> None:
    door.read(table(flux=FLUX * 1e9, flux_err=ERROR * 1e9), ZTF, {"flux_unit": "njy"})
    assert "mag shallower than this one: check the unit" in caplog.text
    caplog.clear()
    door.read(table(flux=FLUX * 10, flux_err=FLUX / 4), ZTF, {"flux_unit": "ujy"})
    assert not [each for each in caplog.records if each.levelno >= logging.WARNING]


def test_the_id_of_the_object_in_a_list_too_is_the_objects_own() -> None:
    lists = [{"midpointMjdTai": t, "band": "g", "psfFlux": 900.0, "psfFluxErr": 40.0, "diaObjectId": 5} for t in TIMES]
    rows = pa.Table.from_pylist([{"diaSourcesList": lists, "diaForcedSourcesList": lists[:1], "diaObjectId": 5}])
    read = door.read(rows, BANDS, {"columns": {"mjd": "diaSourcesList.midpointMjdTai"}})
    assert read.object_id.tolist() == ["5"] and len(read.mjd) == N
    with pytest.raises(ValueError, match=r"a\.objectId and b\.objectId both mean object_id"):
        door.read(table(**{"a.objectId": "x", "b.objectId": "y"}).drop(columns="object_id"), BANDS)


def test_a_unit_in_which_no_survey_has_such_errors_is_refused() -> None:
    babamul = table(flux=FLUX * 1e6, flux_err=ERROR * 1e6).rename(columns={"flux": "psfFlux", "flux_err": "psfFluxErr"})
    with pytest.raises(
        ValueError, match=r"psfFlux is in another unit than its name.*1\d\.\d mag shallower.*convert it"
    ):
        door.read(babamul, ZTF)
    magnitudes_too = babamul.assign(magpsf=46.4 - 2.5 * np.log10(babamul["psfFlux"]) - 7.5)
    with pytest.raises(
        ValueError, match=r"psfFlux is in another unit .*beside it \(magpsf\) its fluxes are 7\.5 mag too"
    ):
        door.read(magnitudes_too, ZTF)
    rows = table(mag=31.4 - 2.5 * np.log10(FLUX)).rename(columns={"flux": "flux_njy", "flux_err": "flux_err_njy"})
    assert len(door.read(rows, BANDS).mjd) == N
    assert len(door.read(rows.assign(mag=rows["mag"] - 5), BANDS, {"flux_unit": "njy"}).mjd) == N


def test_the_hint_for_other_kinds_of_files_keeps_headers_and_units(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("###MJD m dm uJy duJy F err chi/N\n59000.1 19 0.1 90 5 o 0 1\n")
    with pytest.raises(ValueError, match=r"sep=r'\\s\+'\)\.to_csv.*NEW\.fits"):
        door.read(tmp_path / "x.txt", ZTF)


@pytest.mark.parametrize("word", ["NoNe", "nAt", "n/A"])
def test_an_unknown_number_may_be_written_in_any_case(word: str, tmp_path: Path) -> None:
    rows = table(redshift=["0.1"] + [word if word != "n/A" else "NULL"] * 5).astype({"flux": object})
    rows.loc[2, "flux"] = word if word != "n/A" else "nuLL"
    rows.to_csv(tmp_path / "x.csv", index=False)
    assert len(door.read(tmp_path / "x.csv", BANDS, {"flux_unit": "njy"}).mjd) == N - 1


def test_the_error_code_of_atlas_counts_beside_prefixed_columns() -> None:
    for prefix in ("", "diaSource_"):
        rows = pd.DataFrame(
            {
                "object_id": "a",
                "mjd": TIMES,
                "band": ["g", "r"] * 3,
                **{
                    f"{prefix}{name}": values
                    for name, values in (("uJy", FLUX), ("duJy", ERROR), ("err", [0, 1, 0, 1, 0, 0]))
                },
            }
        )
        assert len(door.read(rows, BANDS).mjd) == 4


ALERCE = [f"ZTF24aaecooj26502360929{k:02d}" for k in range(N)]  # object and image


def alerts_of(about: dict[str, Any], **columns: Any) -> pd.DataFrame:
    return magnitudes(candid=[str(k) for k in range(N)]).assign(**about, **columns)


def test_a_candid_of_alerce_that_names_object_and_image_is_of_forced_photometry(
    caplog: pytest.LogCaptureFixture,
) -> None:
    faint = {"mag_err": [0.3, *[0.05] * 5], "isdiffpos": 1}
    alerts = door.read(alerts_of(faint), ZTF)
    assert alerts.detected.all()
    for kind in (object, "string", "category"):
        forced = door.read(magnitudes(candid=pd.Series(ALERCE, dtype=kind), extra_fields="{}").assign(**faint), ZTF)
        assert forced.detected.tolist() == [False, *[True] * 5]
    assert "extra_fields is not read; of forced photometry it holds procstatus" in caplog.text
    records = door.read(magnitudes(_id=ALERCE).assign(**faint), ZTF)
    assert records.detected.tolist() == [False, *[True] * 5]
    assert door.read(magnitudes(_id=range(N)).assign(**faint), ZTF).detected.all()
    assert not door.read(table(_id=range(N), flux=60.0), ZTF, {"flux_unit": "njy"}).detected.any()
    for other in (pa.array([b"\xff" * 12] * N, pa.binary(12)), pa.array([{"oid": "x"}] * N)):
        rows = pa.Table.from_pandas(magnitudes().assign(**faint)).append_column("_id", other)
        assert door.read(rows, ZTF).detected.all()
    both = pd.concat([alerts_of(faint), alerts_of(faint, mjd=TIMES + 1.1, candid=ALERCE, procstatus="0")])
    assert door.read(both, ZTF).detected.tolist().count(False) == 1 and len(door.read(both, ZTF).mjd) == 2 * N


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"detections": [{"mjd": 1}] * 3, "limits": [{"mjd": 1}]}, r"\(open\(FILE\)\)\['detections'\], dtype=object\)\.to_csv\(NEW, index=False\)"),
        ({"data": {"x": {"rows": [{"jd": 1}]}}}, r"json.load\(open\(FILE\)\)\['data'\]\['x'\]\['rows'\]"),
        ([{"time": 1}], r"json.load\(open\(FILE\)\), dtype=object"),
        ({"it's": [{"mjd": 1}]}, r"json.load\(open\(FILE\)\)\[\"it's\"\]"),
        ({"candidate": {}, "prv_candidates": [{"jd": 1}]}, "it is an alert packet, which tlclass stream reads"),
        ({"diaObjectId": 1, "diaSourcesList": [{"midpointMjdTai": 1}]}, "it is an alert packet, which tlclass stream reads"),
        ({"a": 1}, "write a CSV file with a row for each observation"),
        (None, r"tlclass stream reads it, and pandas.read_json\(FILE, lines=True, dtype=False"),
    ],
)  # fmt: skip
def test_json_is_told_how_to_become_a_table(content: Any, said: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(content) if content is not None else '{"mjd": 1}\n{"mjd": 2}\n')
    with pytest.raises(ValueError, match=rf"a.json is JSON, which is not read as a table: .*{said}"):
        door.read(tmp_path / "a.json", ZTF)


def test_a_photflag_whose_bit_no_row_has_is_decided_of_the_whole_table(tmp_path: Path) -> None:
    rows = pd.concat([table(object_id=f"o{k}", PHOTFLAG=4096 * (k == 3)) for k in range(6)])
    rows.to_csv(tmp_path / "a.csv", index=False)
    whole = door.read(tmp_path / "a.csv", BANDS, {"flux_unit": "njy"})
    parts = list(door.parts(tmp_path / "a.csv", BANDS, {"flux_unit": "njy"}, rows=12))
    assert len(parts) > 1 and np.concatenate([part.detected for part in parts]).tolist() == whole.detected.tolist()
    assert whole.detected.sum() == N


def test_an_option_of_alert_packets_is_refused_for_tables(tmp_path: Path) -> None:
    table().to_csv(tmp_path / "a.csv", index=False)
    for source in (table(), tmp_path / "a.csv"):
        with pytest.raises(ValueError, match=r"forced is an option of alert packets, not of tables: leave it out$"):
            door.read(source, BANDS, {"flux_unit": "njy", "forced": True})


def test_packed_json_is_to_be_unpacked(tmp_path: Path) -> None:
    (tmp_path / "a.json.gz").write_bytes(b"")
    with pytest.raises(ValueError, match=r"a.json.gz: packed files are read as .csv.gz, .tsv.gz, .fits.gz: unpack it"):
        door.read(tmp_path / "a.json.gz", ZTF)


def test_a_blank_line_before_the_names_of_columns_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("\n\n" + table().to_csv(index=False))
    whole = door.read(tmp_path / "a.csv", BANDS, {"flux_unit": "njy"})
    parts = list(door.parts(tmp_path / "a.csv", BANDS, {"flux_unit": "njy"}, rows=2))
    assert whole.mjd.tolist() == TIMES.tolist() and sum(len(part.mjd) for part in parts) == N


@pytest.mark.parametrize("comment", ["# NAME: 2020oi\n# RA: 185.7", "# %ECSV 1.0\n# ---", "# by me, in 2025", "#by me"])
def test_comments_above_the_names_of_columns_are_to_be_removed(comment: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f"{comment}\n" + table().to_csv(index=False))
    with pytest.raises(
        ValueError,
        match=r"first line '#.*' is a comment: put the names of the columns there, with commas between them$",
    ):
        door.read(tmp_path / "a.csv", ZTF)


def test_a_large_json_file_is_not_read_whole_to_refuse_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.json").write_text(json.dumps({"detections": [{"mjd": 1}] * 30}))
    monkeypatch.setattr(files, "LOOKED_AT", 100)
    with pytest.raises(ValueError, match="if it has a record on each line, tlclass stream reads it"):
        door.read(tmp_path / "a.json", ZTF)


def _of_astropy(rows: pd.DataFrame, path: Path) -> None:
    from astropy.table import Table as AstropyTable

    table = AstropyTable({name: rows[name].to_numpy(str if name in ("object_id", "band") else None) for name in rows})
    table["flux"].unit = table["flux_err"].unit = "uJy"
    table.write(path)


def _of_arrow(rows: pd.DataFrame, path: Path) -> None:
    table = pa.Table.from_pandas(rows)
    fields = [field.with_metadata({"unit": "microJy"}) if "flux" in field.name else field for field in table.schema]
    pq.write_table(pa.table(table.columns, schema=pa.schema(fields)), path)


def _of_a_votable(rows: pd.DataFrame, path: Path) -> None:
    fields = "".join(f'<FIELD name="{name}" datatype="double" unit="uJy"/>' for name in ("flux", "flux_err"))
    table = pa.Table.from_pandas(rows).replace_schema_metadata({"IVOA.VOTable-Parquet.content": fields})
    pq.write_table(table, path)


def _of_lists(rows: pd.DataFrame, path: Path) -> None:
    fields = {name: {"unit": "uJy"} if "flux" in name else None for name in rows if name != "object_id"}
    kinds = [pa.field(name, pa.list_(pa.array(rows[name]).type), metadata=about) for name, about in fields.items()]
    lists = pa.schema([pa.field("object_id", pa.string()), *kinds])
    pq.write_table(pa.table([["a"], *([rows[name].tolist()] for name in fields)], schema=lists), path)


@pytest.mark.parametrize("writer", [_of_astropy, _of_arrow, _of_a_votable, _of_lists])
def test_the_metadata_of_parquet_state_the_unit_of_fluxes(
    writer: Callable[[pd.DataFrame, Path], None], tmp_path: Path
) -> None:
    rows = pd.DataFrame({"object_id": "a", "mjd": 59000.12 + np.arange(6), "band": "g", "flux": 30.0, "flux_err": 2.0})
    writer(rows, tmp_path / "a.parquet")
    for curves in (door.read(tmp_path / "a.parquet", BANDS), *door.parts(tmp_path / "a.parquet", BANDS, rows=2)):
        assert curves.flux == pytest.approx(30 * 10 ** (0.4 * 3.6), rel=1e-5)
    table = pq.read_table(tmp_path / "a.parquet")
    pq.write_table(table.append_column("flux_unit", [["njy"] * len(table)]), tmp_path / "b.parquet")
    assert door.read(tmp_path / "b.parquet", BANDS).flux == pytest.approx(30 * 10 ** (-0.4 * 3.9), rel=1e-5), "a column"


@pytest.mark.parametrize(
    ("units", "more", "options", "flux"),
    [
        ({"flux": "ct / s", "flux_err": "ct / s"}, {"zp": 27.5}, {}, 30),
        ({"flux": "nmgy", "flux_err": "nmgy"}, {"zp": 22.5}, {}, 3000),
        ({"flux": "nmgy", "flux_err": "nmgy"}, {}, {"flux_unit": 22.5}, 3000),
        ({"sky": "uJy"}, {"sky": 2.0}, {"default_unit": "fluxcal"}, 30),
        ({"mine": "uJy", "flux": "nJy"}, {"mine": 9.0}, {"columns": {"flux": "mine"}, "default_unit": "fluxcal"}, 9),
    ],
)
def test_units_of_counts_and_of_other_columns_say_nothing_of_the_fluxes(
    units: dict[str, str], more: dict[str, float], options: dict[str, Any], flux: float, tmp_path: Path
) -> None:
    rows = pd.DataFrame({"object_id": "a", "mjd": 59000.12 + np.arange(6), "band": "g", "flux": 30.0, "flux_err": 2.0})
    table = pa.Table.from_pandas(rows.assign(**more))
    fields = [
        field.with_metadata({"unit": units[field.name]}) if field.name in units else field for field in table.schema
    ]
    pq.write_table(pa.table(table.columns, schema=pa.schema(fields)), tmp_path / "a.parquet")
    for curves in (
        door.read(tmp_path / "a.parquet", BANDS, options),
        *door.parts(tmp_path / "a.parquet", BANDS, options, rows=2),
    ):
        assert curves.flux == pytest.approx(flux, rel=1e-5)


def test_cells_that_astropy_masks_in_parquet_are_missing(tmp_path: Path) -> None:
    rows = {"object_id": ["a"] * 4, "mjd": 59000.1 + np.arange(4), "band": ["g"] * 4, "flux_err": [2.0] * 4}
    masked = {"flux_ujy": [30.0, 9e9, 30.0, 30.0], "flux_ujy.mask": [False, True, False, False]}
    pq.write_table(pa.table(rows | masked), tmp_path / "a.parquet")
    for curves in (door.read(tmp_path / "a.parquet", BANDS), *door.parts(tmp_path / "a.parquet", BANDS, rows=2)):
        assert len(curves.mjd) == 3 and curves.dropped == {"with a missing or infinite flux": 1}


@pytest.mark.parametrize("name", ["Flux [nJy]", "flux (nanoJansky)", "flux_nJy"])
def test_a_unit_may_be_written_in_brackets_or_in_full(name: str) -> None:
    rows = {"object_id": ["a"] * 3, "mjd": [59000.1, 59001.1, 59002.1], "band": ["g"] * 3}
    fluxes = {name: [3000.0] * 3, name.replace("ux", "ux_err"): [200.0] * 3}
    assert door.read(pd.DataFrame(rows | fluxes), BANDS).flux == pytest.approx(3000 * 10 ** (-0.4 * 3.9), rel=1e-5)
    column = pd.DataFrame({**rows, "flux": 3000.0, "flux_err": 200.0, "unit": "nanojanskys"})
    assert door.read(column, BANDS).flux == pytest.approx(3000 * 10 ** (-0.4 * 3.9), rel=1e-5)


def test_a_butler_calls_parquet_parq(tmp_path: Path) -> None:
    rows = pd.DataFrame({"diaObjectId": 7, "midpointMjdTai": 59000.1 + np.arange(3), "band": "g"})
    rows.assign(psfFlux=3000.0, psfFluxErr=200.0).to_parquet(tmp_path / "a.parq")
    assert len(door.read(tmp_path / "a.parq", BANDS).mjd) == 3


def test_forced_photometry_of_fpbot_and_of_zuds_is_read() -> None:
    """Columns of fpbot (simeonreusch/fpbot) and zuds: obsmjd, filtercode, and limits as magnitudes."""
    fpbot = table(magzp=31.4, upper_limit=20.9, clrcoeff=-0.05, mag=19.0, mag_err=0.1)
    fpbot = fpbot.rename(columns={"mjd": "obsmjd", "flux": "ampl", "flux_err": "ampl_err"})
    columns = {"flux": "ampl", "flux_err": "ampl_err"}
    assert door.read(fpbot, ZTF, {"columns": columns}).flux == pytest.approx(FLUX * 10 ** (-0.4 * 3.9), rel=1e-5)
    with pytest.raises(ValueError, match="no column gives the sign of the differences"):
        door.read(fpbot.drop(columns="upper_limit"), ZTF)
    zuds = table(zp=31.4, lim_mag=20.9).rename(columns={"mjd": "obsmjd", "band": "filtercode"})
    zuds["filtercode"] = "z" + zuds["filtercode"]
    assert door.read(zuds, ZTF).passband.tolist() == [0, 1] * 3


def test_rows_that_a_broker_calls_bad_are_counted_as_such() -> None:
    rows = magnitudes(isdiffpos=["t"] * (N - 1) + [None], tag=["valid"] * (N - 1) + ["badquality"])
    assert door.read(rows, ZTF).dropped == {"that the broker or survey calls of bad quality": 1}
