"""Writes the paper's ZTF simulations in the two pickled layouts its authors use. Simulated, with classes that really differ.

python -m tests.data.raw_pickles FOLDER
"""

import functools
import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Table

from tests.data.raw_surveys import light_curve

WRITTEN = {"r": 0.4827, "g": 0.6223}  # the wrong way round, as the authors wrote it
# class -> file of the class, shape of its light curves, count
CLASSES = {
    "SNIa": ("lc_classnum_Ia-norm_90.pickle", "SN Ia", 12), "SNIa-91bg": ("lc_classnum_Ia-91bg_67.pickle", "SN Ib/c", 6),
    "SNIb": ("lc_classnum_Ib.pickle", "SN Ib/c", 6), "SNII": ("lc_classnum_II.pickle", "SN II", 8),
    "TDE": ("lc_classnum_TDE_64.pickle", "TDE", 5), "AGN": ("lc_classnum_AGN_70_old.pickle", "TDE", 5),
    "KNe": ("lc_classnum_Kilonova_99.pickle", "nova", 3),
}  # fmt: skip


def table(shape: str, generator: np.random.Generator) -> Table:
    """One light curve as RAPID leaves it: days since the trigger, PHOTFLAG 6144 there."""
    curve = light_curve(shape, {"g": 0.0, "r": 1.0}, generator)
    detected = np.flatnonzero(curve["detected"])
    trigger = curve["mjd"][detected[0]]
    flags = np.where(curve["detected"], 4096, 0)
    flags[detected[0]] = 6144
    columns = {"passband": curve["band"], "time": (curve["mjd"] - trigger).astype(np.float32)}
    columns |= {"flux": curve["flux"].astype(np.float32), "fluxErr": curve["flux_err"].astype(np.float32)}
    meta = {"redshift": generator.uniform(0.06, 0.3), "mwebv": np.float32(generator.uniform(0.01, 0.3))}
    meta |= {"trigger_mjd": float(trigger), "b": 30.0, "peakmjd": float(trigger) + 5}
    return Table(columns | {"photflag": flags.astype(np.int32)}, meta=meta)


def tables(seed: int = 4) -> dict[str, dict[str, Table]]:
    """Class -> id -> light curve; the caller may change them."""
    content: dict[str, dict[str, Table]] = pickle.loads(_pickled(seed))
    return content


@functools.cache
def _pickled(seed: int) -> bytes:
    """Making the tables takes much longer than a copy of them."""
    generator = np.random.default_rng(seed)
    return pickle.dumps(
        {
            name: {f"{number}_{generator.integers(10**8)}": table(shape, generator) for number in range(count)}
            for name, (_, shape, count) in CLASSES.items()
        }
    )


def write_tables(folder: Path, seed: int = 4, protocol: int = 4) -> None:
    """One file per class."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in tables(seed).items():
        dump(content, folder / CLASSES[name][0], protocol)


def lists(seed: int = 4, rest_frame: bool = False) -> tuple[list[Any], list[str], list[list[float]]]:
    """x_data, target_cls and host_galaxy_info made of the same light curves by the authors' recipe."""
    x_data, target, host = [], [], []
    for name, content in tables(seed).items():
        for curve in content.values():
            days = np.array(curve["time"], dtype=np.float64)
            inside = (days > -30) & (days < 70)
            days = days / (1 + curve.meta["redshift"]) if rest_frame else days
            wavelength = np.array([WRITTEN[band] for band in curve["passband"]])
            rows = np.column_stack([wavelength, (days + 30) / 100, curve["flux"] / 500, curve["fluxErr"] / 500])[inside]
            x_data.append(rows[np.argsort(rows[:, 1])])
            target.append(name)
            host.append([curve.meta["redshift"], curve.meta["mwebv"]])
    return x_data, target, host


def write_lists(folder: Path, seed: int = 4, protocol: int = 4, rest_frame: bool = False) -> None:
    """The three files, named as the authors' loaders name them."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in zip(("x_data", "target_cls", "host_galaxy_info"), lists(seed, rest_frame), strict=True):
        dump(content, folder / name, protocol)


def dump(content: Any, path: Path, protocol: int = 4) -> None:
    """Pickle to a file."""
    path.write_bytes(pickle.dumps(content, protocol=protocol))


if __name__ == "__main__":
    write_lists(Path(sys.argv[1]))
    write_tables(Path(sys.argv[1]))
