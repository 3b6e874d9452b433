"""Writes tiny raw files in the formats the survey cards expect. Simulated, with classes that really differ.

python -m tests.data.raw_surveys FOLDER
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

# class: peak flux, rise and decay (days), flux ratio red / blue
SHAPES = {
    "SN Ia": (2000, 8, 20, 0.8),
    "SN II": (700, 4, 200, 1.2),
    "SN Ib/c": (900, 9, 15, 2.0),
    "SLSN-I": (3000, 30, 60, 0.5),
    "TDE": (1500, 15, 300, 0.35),
    "nova": (900, 2, 8, 1.0),
}
ZTF_COUNTS = {"SN Ia": 70, "SN II": 36, "SN Ib/c": 24, "SLSN-I": 18, "TDE": 16, "nova": 4}
PLASTICC = {
    "SNIa": ("SN Ia", 90, 40), "SNIa-91bg": ("SN Ib/c", 67, 10), "SNIax": ("SN Ib/c", 52, 10), "SNII": ("SN II", 42, 30),
    "SNIbc": ("SN Ib/c", 62, 20), "TDE": ("TDE", 15, 20), "SLSN-I": ("SLSN-I", 95, 20), "AGN": ("TDE", 88, 12), "RRL": ("nova", 92, 3),
}  # fmt: skip
SUBTYPES = {
    "SN Ia": ("SN Ia", "SN Ia-91T", "SN Iax"),
    "SN II": ("SN II", "SN IIP", "SN IIn"),
    "SN Ib/c": ("SN Ib", "SN Ic-BL"),
}


def light_curve(shape: str, bands: Mapping[str, float], generator: np.random.Generator) -> dict[str, Any]:
    """Observations of one object; `bands` gives each band's place between blue (0) and red (1)."""
    peak, rise, decay, color = SHAPES[shape]
    days = np.sort(generator.uniform(-25, 75, generator.integers(25, 45)))
    band = generator.choice(list(bands), len(days))
    tint = color ** np.array([bands[name] for name in band])
    flux = peak * generator.uniform(0.7, 1.4) * tint * np.where(days < 0, np.exp(days / rise), np.exp(-days / decay))
    error = generator.uniform(15, 30, len(days))
    flux = flux + error * generator.normal(size=len(days))
    mjd = 58000 + generator.uniform(0, 800) + days
    return {"mjd": mjd, "band": band, "flux": flux, "flux_err": error, "detected": flux / error > 5}


def write_ztf_bts(folder: Path, seed: int = 1) -> None:
    """Two Parquet tables as below `shared/data/ztf_bts`: detections only, ids and types as brokers write them."""
    generator, objects, rows = np.random.default_rng(seed), [], []
    for name, count in ZTF_COUNTS.items():
        for number in range(count):
            curve = pd.DataFrame(light_curve(name, {"g": 0.0, "r": 1.0}, generator)).query("detected")
            object_id = f"ZTF18{name.replace(' ', '').replace('/', '').lower()[:5]}{number:03d}"
            rows.append(curve.assign(object_id=object_id))
            objects.append({
                "object_id": object_id, "source_class": SUBTYPES.get(name, (name,))[number % len(SUBTYPES.get(name, (name,)))],
                "class": "other" if name == "nova" else name, "redshift": 0.05, "mwebv": generator.uniform(0.01, 0.3),
                "trigger_mjd": curve["mjd"].min() if len(curve) else np.nan, "phot_origin": "manytde_forced" if number % 3 == 0 else "antares_alert",
                "host": 9.0 + number % 4,
            })  # fmt: skip
    _write(folder, objects, rows)


def write_plasticc(folder: Path, seed: int = 2) -> None:
    """The published CSV pair and the same data as two Parquet tables, as below `shared/data/plasticc`."""
    generator, objects, rows = np.random.default_rng(seed), [], []
    bands = dict(zip("ugrizy", np.linspace(-0.3, 2, 6), strict=True))
    for name, (shape, code, count) in PLASTICC.items():
        for number in range(count):
            object_id = str(100_000 + 1000 * code + number)
            rows.append(pd.DataFrame(light_curve(shape, bands, generator)).assign(object_id=object_id))
            objects.append({
                "object_id": object_id, "class": name, "code": code, "mwebv": generator.uniform(0.01, 0.3),
                "redshift": 0.3, "ra": 10.0, "dec": -30.0, "ddf": number % 2 == 0,
            })  # fmt: skip
    _write(folder, objects, rows)
    table = pd.concat(rows)
    published = {
        "object_id": table.object_id,
        "mjd": table.mjd,
        "passband": table.band.map({name: code for code, name in enumerate("ugrizy")}),
    }
    published |= {"flux": table.flux, "flux_err": table.flux_err, "detected_bool": table.detected.astype(int)}
    pd.DataFrame(published).to_csv(folder / "plasticc_train_lightcurves.csv", index=False)
    meta = pd.DataFrame(objects)
    columns = {
        "object_id": meta.object_id,
        "ra": meta.ra,
        "decl": meta.dec,
        "ddf_bool": meta.ddf.astype(int),
        "true_target": meta.code,
    }
    columns |= {"true_submodel": 1, "true_z": meta.redshift, "mwebv": meta.mwebv}
    pd.DataFrame(columns).to_csv(folder / "plasticc_train_metadata.csv", index=False)


def _write(folder: Path, objects: list[dict[str, Any]], rows: list[pd.DataFrame]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(objects).to_parquet(folder / "objects.parquet", index=False)
    pd.concat(rows).sample(frac=1, random_state=0).to_parquet(folder / "observations.parquet", index=False)


def write_all(folder: Path) -> None:
    """Everything below one data folder."""
    write_ztf_bts(folder / "ztf_bts")
    write_plasticc(folder / "plasticc")


if __name__ == "__main__":
    write_all(Path(sys.argv[1]))
