"""Layouts that surveys, brokers and catalogues publish: read rightly, or refused in one sentence that says what to do."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.data import raw_layouts as raw
from tests.data.raw_layouts import save
from tlclass.lightcurves.passbands import Passbands
from tlclass.surveys import door

ZTF = Passbands.from_mapping(
    {f"ztf{b}": {"wavelength": 0.5, "aliases": [b, f"ZTF_{b}", str(k)]} for k, b in enumerate("gri", 1)}
)
LSST = Passbands.from_mapping({f"lsst{b}": {"wavelength": 0.5, "aliases": [b, str(k)]} for k, b in enumerate("ugrizy")})
ATLAS = Passbands.from_mapping({f"atlas{b}": {"wavelength": 0.5, "aliases": [b]} for b in "co"})
UJY, NJY = 10 ** (0.4 * (27.5 - 23.9)), 10 ** (0.4 * (27.5 - 31.4))

# name -> content, file, passbands, options, (mjd, passband, flux, detected)
READ: dict[str, tuple[str, str, Passbands, dict[str, Any], tuple[list[float], list[str], list[float], list[bool]]]] = {
    "ZTF forced photometry service": (
        raw.ZTF_FORCED, "fp.csv", ZTF, {},
        ([59000.25, 59001.25], ["ztfg", "ztfr"], [100 * 10**0.6, -20 * 10**0.6], [True, False]),
    ),
    "ATLAS forced photometry": (
        raw.ATLAS, "atlas.csv", ATLAS, {"columns": {"band": "F"}},
        ([59001.25, 59002.25], ["atlaso", "atlasc"], [363.1 * UJY, -12 * UJY], [True, False]),
    ),
    "Open Supernova Catalog (OACAPI)": (
        raw.OPEN_CATALOG, "oac.csv", ZTF, {"positive": True, "unknown_passbands": "drop"},
        ([58850.5], ["ztfg"], [1e4], [True]),
    ),
    "ALeRCE detections": (
        raw.ALERCE, "detections.csv", ZTF, {}, ([58000.25, 58001.25], ["ztfg", "ztfr"], [10**3.4, -(10**3.2)], [True, False]),
    ),
    "ALeRCE forced photometry (TAP)": (
        raw.ALERCE_TAP, "forced.csv", ZTF, {}, ([59000.25, 59001.25], ["ztfg", "ztfr"], [10**3.4, -1000], [True, False]),
    ),
    "Lasair for LSST": (
        raw.LASAIR_LSST, "lasair.csv", LSST, {}, ([61000.25, 61001.25], ["lsstg", "lsstr"], [3981.07 * NJY, -3981.07 * NJY], [True, False]),
    ),
    "SNANA text of Pan-STARRS": (
        raw.SNANA, "ps1.dat", LSST, {},
        ([55086.6, 55191.3, 55192.3], ["lsstg", "lsstg", "lsstr"], [-243.44, 400, 50], [False, True, False]),
    ),
    "SkyPortal": (
        raw.SKYPORTAL, "sp.csv", ZTF, {"unknown_passbands": "drop"},
        ([59000.25, 59001.25], ["ztfg", "ztfr"], [1000, -100], [True, False]),
    ),
    "Rubin DP1 forced sources": (
        raw.RUBIN_DP1, "dp1.csv", LSST, {"columns": {"object_id": "diaObjectId"}},
        ([60650.25, 60651.25], ["lsstg", "lsstr"], [3981.07 * NJY, -398.107 * NJY], [True, False]),
    ),
    "PLAsTiCC": (
        raw.PLASTICC, "test.csv", LSST, {},
        ([59750.25, 59751.25, 59752.25], ["lsstg", "lsstr", "lsstz"], [100, -3.5, 12.5], [True, False, False]),
    ),
}  # fmt: skip

# name -> content, file, passbands, what the sentence must hold
REFUSED: dict[str, tuple[str, str, Passbands, str]] = {
    "ZTF forced photometry as sent": (raw.ZTF_FORCED_AS_SENT, "batchfp.txt", ZTF, r"batchfp.txt.*\.csv"),
    "ATLAS as sent": (raw.ATLAS_AS_SENT, "atlas.csv", ATLAS, r"atlas.csv .* no commas"),
    "Open Supernova Catalog without a word": (raw.OPEN_CATALOG, "oac.csv", ZTF, r"oac.csv.*positive"),
    "SkyPortal of two instruments": (raw.SKYPORTAL, "sp.csv", ZTF, r"'sdssr of SEDM' \(1 obs.*unknown_passbands=drop"),
    "Gaia alerts": (raw.GAIA, "gaia.csv", ZTF, r"gaia.csv"),
    "ASAS-SN Sky Patrol": (
        raw.ASASSN,
        "asassn.csv",
        ZTF,
        r"asassn.csv has the columns of ASAS-SN .*use a model or card of ASAS-SN",
    ),
}


@pytest.mark.parametrize("name", READ)
def test_a_published_layout_is_read_rightly(name: str, tmp_path: Path) -> None:
    content, file, bands, options, (mjd, band, flux, detected) = READ[name]
    curves = door.read(save(content, tmp_path / file), bands, options)
    assert curves.mjd.tolist() == pytest.approx(mjd, abs=1e-8) and len(curves) == 1
    assert [curves.passbands[code] for code in curves.passband] == band
    assert np.allclose(curves.flux, flux, rtol=1e-5) and curves.detected.tolist() == detected


def test_the_padded_lists_of_multimodal_universe_are_read_when_their_unit_is_given(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pydict(raw.MULTIMODAL), tmp_path / "ps1.parquet")
    curves = door.read(tmp_path / "ps1.parquet", LSST, {"flux_unit": "fluxcal"})
    assert curves.mjd.tolist() == [55680.25, 55692.25, 55711.25] and curves.flux.tolist() == [-1.5, 2.25, 137.0]
    assert [curves.passbands[code] for code in curves.passband] == ["lsstg", "lsstr", "lsstg"]
    assert curves.redshift.tolist() == [0.25] and curves.detected.tolist() == [False, False, True]


@pytest.mark.parametrize("name", REFUSED)
def test_a_published_layout_is_refused_in_one_sentence(name: str, tmp_path: Path) -> None:
    content, file, bands, message = REFUSED[name]
    with pytest.raises(ValueError, match=message) as refused:
        door.read(save(content, tmp_path / file), bands)
    assert "\n" not in str(refused.value).strip()
