"""Writes small SNANA FITS pairs as ELAsTiCC and PLAsTiCC's ZTF simulations are published. Simulated light curves.

python -m tests.data.raw_snana FOLDER
"""

import gzip
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

from tests.data.raw_surveys import SHAPES, light_curve

BANDS = dict(zip("ugrizY", np.linspace(-0.3, 2, 6), strict=True))
ELASTICC = {
    "SNIa-SALT3": "SN Ia", "SNIa-91bg": "SN Ib/c", "SNIax": "SN Ib/c", "SNIb-Templates": "SN Ib/c", "SNIb+HostXT_V19": "SN Ib/c",
    "SNIc-Templates": "SN Ib/c", "SNIcBL+HostXT_V19": "SN Ib/c", "SNII-NMF": "SN II", "SNIIn-MOSFIT": "SN II", "SNIIb+HostXT_V19": "SN II",
    "TDE": "TDE", "SLSN-I+host": "SLSN-I", "CLAGN": "TDE", "KN_K17": "nova",
}  # fmt: skip
OBJECT_TYPES = {
    "SNID": "16A", "IAUC": "16A", "RA": "D", "DEC": "D", "SNTYPE": "J", "NOBS": "J", "PTROBS_MIN": "J", "PTROBS_MAX": "J", "MWEBV": "E",
    "REDSHIFT_FINAL": "E", "HOSTGAL_PHOTOZ": "E", "HOSTGAL_SPECZ": "E", "HOSTGAL_SNSEP": "E", "HOSTGAL_LOGMASS": "E", "PEAKMJD": "E",
    "MJD_TRIGGER": "E", "SIM_REDSHIFT_CMB": "E", "SIM_REDSHIFT_HELIO": "E", "REDSHIFT_HELIO": "E",
}  # fmt: skip
UNKNOWN = {"IAUC": "NULL", "SNTYPE": 120, "HOSTGAL_PHOTOZ": -9.0, "HOSTGAL_SPECZ": -9.0, "HOSTGAL_LOGMASS": -9999.0,
           "SIM_REDSHIFT_HELIO": -9.0, "REDSHIFT_HELIO": -9.0}  # fmt: skip

Rows = dict[str, list[Any]]


def flags(curve: Mapping[str, Any]) -> np.ndarray:
    """PHOTFLAG: 4096 at detections, and 2048 as well at the second one (the first, if there is one only)."""
    detected = np.asarray(curve["detected"])
    found = np.where(detected, 4096, 0)
    at = np.flatnonzero(detected)
    if len(at):
        found[at[min(1, len(at) - 1)]] += 2048
    return found


def write_pair(
    folder: Path,
    name: str,
    curves: Mapping[str, Mapping[str, Any]],
    band_column: str = "BAND",
    packed: bool = True,
    **columns: Any,
) -> tuple[Path, Path]:
    """One HEAD and one PHOT file; `curves`: SNID -> mjd, band, flux, flux_err, photflag. `columns` override the objects'."""
    objects: Rows = {key: [] for key in OBJECT_TYPES}
    rows: Rows = {key: [] for key in ("MJD", band_column, "FIELD", "PHOTFLAG", "FLUXCAL", "FLUXCALERR")}
    for number, (snid, curve) in enumerate(curves.items()):
        n = len(curve["mjd"])
        start = len(rows["MJD"]) + 1
        values = {
            "SNID": snid,
            "RA": 150.0 + number,
            "DEC": -30.0,
            "NOBS": n,
            "PTROBS_MIN": start,
            "PTROBS_MAX": start + n - 1,
        }
        values |= {
            "MWEBV": 0.05,
            "REDSHIFT_FINAL": 0.11,
            "HOSTGAL_SNSEP": 1.5,
            "PEAKMJD": 60000.0,
            "MJD_TRIGGER": 59990.0,
        }
        values |= {"SIM_REDSHIFT_CMB": 0.1, **UNKNOWN, **{key: column[number] for key, column in columns.items()}}
        for key, value in values.items():
            objects[key].append(value)
        lists = (curve["mjd"], curve["band"], ["VOID"] * n, curve["photflag"], curve["flux"], curve["flux_err"])
        for column, values_, end in zip(rows.values(), lists, (-777.0, "-", "XXXX", 0, -777.0, -777.0), strict=True):
            column.extend([*values_, end])
    types = {"MJD": "D", band_column: "2A", "FIELD": "12A", "PHOTFLAG": "J", "FLUXCAL": "E", "FLUXCALERR": "E"}
    paths = folder / f"{name}_HEAD.FITS", folder / f"{name}_PHOT.FITS"
    for path, table, kinds in zip(paths, (objects, rows), (OBJECT_TYPES, types), strict=True):
        header = fits.Header([("SURVEY", "LSST"), ("FILTERS", "ugrizY"), ("VERSION", f"{folder.name}_{name}")])
        header["PHOTFILE"] = paths[1].name
        header["HIERARCH PHOTFLAG_DETECT"] = 4096
        unit = fits.BinTableHDU.from_columns(
            [fits.Column(key, kinds[key], array=column) for key, column in table.items()]
        )
        folder.mkdir(parents=True, exist_ok=True)
        fits.HDUList([fits.PrimaryHDU(header=header), unit]).writeto(path, overwrite=True)
    return tuple(_pack(path) if packed else path for path in paths)  # type: ignore[return-value]


def _pack(path: Path) -> Path:
    packed = path.with_name(f"{path.name}.gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    return packed


def write_elasticc(folder: Path, count: int = 12, files: int = 2, seed: int = 3) -> None:
    """A folder per model, `ELASTICC2_TRAIN_01_<model>`, with a list file and `files` pairs of `count` objects each."""
    generator, snid = np.random.default_rng(seed), 0
    for model, shape in ELASTICC.items():
        assert shape in SHAPES
        place = folder / f"ELASTICC2_TRAIN_01_{model}"
        names = [f"ELASTICC2_TRAIN_01_NONIaMODEL0-{number:04d}" for number in range(1, files + 1)]
        for name in names:
            curves = {}
            for _ in range(count):
                curve = light_curve(shape, BANDS, generator)
                snid += 1
                curves[str(snid)] = curve | {"photflag": flags(curve)}
            write_pair(place, name, curves)
        (place / f"{place.name}.LIST").write_text("".join(f"{name}_HEAD.FITS\n" for name in names))


if __name__ == "__main__":
    write_elasticc(Path(sys.argv[1]))
