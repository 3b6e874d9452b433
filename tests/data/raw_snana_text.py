"""Writes SNANA text light curves as the published samples have them. Simulated, with classes that really differ.

python -m tests.data.raw_snana_text FOLDER
"""

import sys
from pathlib import Path

import numpy as np

from tests.data.raw_surveys import light_curve

# class -> shape of its light curves, SNTYPE, count
CLASSES = {"SNIa": ("SN Ia", 1, 8), "SNII": ("SN II", 20, 6), "SNIc": ("SN Ib/c", 33, 5), "AGN": ("TDE", 70, 4)}

OBJECT = """SURVEY: DES
SNID:   {snid}
IAUC:    NULL
FILTERS: griz
RA:      {ra:.6f}  deg
DECL:    -27.100000  deg
MWEBV:     {mwebv:.4f} +- {mwebv_err:.4f}   # MW E(B-V)
REDSHIFT_HELIO:   {redshift:.5f} +- 0.0005  (Helio)
REDSHIFT_FINAL:   0.30000 +- 0.0005  (CMB)
PEAKMJD:  {peak:.3f}
SNTYPE:  {sntype}
SIM_TYPE_NAME:  {name}   # true: the class

# ============================================
NOBS: {count}
NVAR:   7
VARLIST:  MJD  BAND FIELD   FLUXCAL   FLUXCALERR PHOTFLAG  ZPFLUX
{rows}
END_PHOTOMETRY:

NSPECTRA: 1
NVAR_SPEC: 3
VARNAMES_SPEC: LAMMIN LAMMAX FLAM
SPECTRUM_ID:       1
SPECTRUM_MJD:      {peak:.2f}
SPEC:  4000.0 4010.0 1.2e-17
SPECTRUM_END:
"""


def text(snid: str, name: str, generator: np.random.Generator) -> str:
    """One object; its first detection is the trigger, one observation is saturated."""
    shape, sntype, _ = CLASSES[name]
    curve = light_curve(shape, dict(zip("griz", np.linspace(0, 1.5, 4), strict=True)), generator)
    flags = np.where(curve["detected"], 4096, 0)
    flags[np.flatnonzero(curve["detected"])[0]] = 6144
    flags[-1] |= 1024
    rows = [
        f"OBS: {mjd:.4f} {band} C3 {flux:.3f} {error:.3f} {flag} 31.0"
        for mjd, band, flux, error, flag in zip(
            curve["mjd"], curve["band"], curve["flux"], curve["flux_err"], flags, strict=True
        )
    ]
    return OBJECT.format(
        snid=snid, name=name, sntype=sntype, rows="\n".join(rows), count=len(rows), ra=generator.uniform(0, 360), peak=curve["mjd"].mean(),
        mwebv=generator.uniform(0.01, 0.3), mwebv_err=0.001, redshift=generator.uniform(0.1, 0.8),
    )  # fmt: skip


def write_snana_text(folder: Path, seed: int = 5) -> None:
    """One file per object in a folder per class, but the AGN all in one file; SNIDs repeat from class to class."""
    generator = np.random.default_rng(seed)
    for name, (_, _, count) in CLASSES.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name / f"{name}.README").write_text("no light curve")
        objects = [text(str(number + 1), name, generator) for number in range(count)]
        if name == "AGN":
            (folder / name / "all.dat").write_text("".join(objects))
            continue
        for number, content in enumerate(objects):
            (folder / name / f"{name}_{number + 1:06d}.dat").write_text(content)


if __name__ == "__main__":
    write_snana_text(Path(sys.argv[1]))
