"""How fast files become light curves: `make bench`. CPU seconds of one process; generated files, simulated numbers.

Each format is measured in a process of its own, so that the peak of memory is its own.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from tlclass.inputs.encoding import Paper, encode
from tlclass.lightcurves.curves import check
from tlclass.lightcurves.passbands import Passbands
from tlclass.lightcurves.selection import Photometry, Selection, Trigger
from tlclass.surveys import Nested, SnanaFits, Table

BANDS = "ugrizY"
PASSBANDS = Passbands.from_mapping(
    {f"lsst{band.lower()}": {"wavelength": 0.36 + 0.13 * k, "aliases": [band]} for k, band in enumerate(BANDS)}
)


def observations(objects: int, points: int) -> pd.DataFrame:
    """`objects` light curves of `points` rows each."""
    generator = np.random.default_rng(0)
    n = objects * points
    days = np.sort(generator.uniform(0, 300, (objects, points)), axis=1).ravel()
    flux, error = generator.normal(20, 40, n).astype(np.float32), generator.uniform(2, 8, n).astype(np.float32)
    columns = {"object_id": np.repeat(np.arange(objects), points), "mjd": 60000 + days.round(4)}
    columns |= {
        "passband": generator.choice(list(BANDS), n),
        "flux": flux,
        "flux_err": error,
        "detected": flux > 5 * error,
    }
    return pd.DataFrame(columns)


def write_csv(table: pd.DataFrame, folder: Path) -> Table:
    table.to_csv(folder / "observations.csv", index=False)
    return Table(folder / "observations.csv", PASSBANDS)


def write_parquet(table: pd.DataFrame, folder: Path) -> Table:
    table.to_parquet(folder / "observations.parquet")
    return Table(folder / "observations.parquet", PASSBANDS)


def write_nested(table: pd.DataFrame, folder: Path) -> Nested:
    table.groupby("object_id").agg(list).reset_index().to_parquet(folder / "nested.parquet")
    return Nested(folder / "nested.parquet", PASSBANDS)


def write_snana(table: pd.DataFrame, folder: Path) -> SnanaFits:
    """As published: SNANA's columns, packed, 2,000 light curves a file."""
    from tests.data.raw_snana import write_pair

    for number, part in table.groupby(table.object_id // 2000):
        part = part.rename(columns={"passband": "band"}).assign(photflag=4096 * part.detected)
        curves = {str(name): curve.to_dict("list") for name, curve in part.groupby("object_id")}
        write_pair(folder / "model", f"part{number}", curves)
    return SnanaFits(folder, PASSBANDS)


FORMATS = {"csv": write_csv, "parquet": write_parquet, "nested": write_nested, "snana": write_snana}


def measure(name: str, objects: int, points: int, folder: Path) -> None:
    """Write the files in a process of its own, then read, select and encode them here."""
    again = [
        sys.executable,
        "-m",
        "benchmarks.readers",
        "--write",
        name,
        "--objects",
        str(objects),
        "--points",
        str(points),
        "--folder",
        str(folder),
    ]
    subprocess.run(again, check=True)
    readers = {
        "csv": lambda: Table(folder / "observations.csv", PASSBANDS),
        "parquet": lambda: Table(folder / "observations.parquet", PASSBANDS),
        "nested": lambda: Nested(folder / "nested.parquet", PASSBANDS),
        "snana": lambda: SnanaFits(folder, PASSBANDS),
    }
    began = time.process_time()
    curves = check(readers[name]().read(), name)
    read = time.process_time() - began
    selected = Selection(Photometry(), Trigger("first_detection")).apply(curves, name)
    encode(selected, PASSBANDS, Paper(), ())
    ready = time.process_time() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(
        f"{name:8s} {objects} light curves of {points} points: read {objects / read:7.0f} a CPU second; "
        f"ready for training after {ready:4.1f} s, peak memory {peak:.2f} GB"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, default=8000)
    parser.add_argument("--points", type=int, default=180)
    parser.add_argument("--write", choices=FORMATS, help=argparse.SUPPRESS)
    parser.add_argument("--read", choices=FORMATS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.write:
        FORMATS[given.write](observations(given.objects, given.points), given.folder)
    elif given.read:
        measure(given.read, given.objects, given.points, given.folder)
    else:
        for name in FORMATS:
            with tempfile.TemporaryDirectory() as folder:
                again = [
                    "--read",
                    name,
                    "--objects",
                    str(given.objects),
                    "--points",
                    str(given.points),
                    "--folder",
                    folder,
                ]
                subprocess.run([sys.executable, "-m", "benchmarks.readers", *again], check=True)


if __name__ == "__main__":
    main()
