"""Peak memory of `tlclass predict` on tables of more and more light curves: `python benchmarks/memory.py [--objects 100000,1000000]`.

Small light curves (12 points each on average), SIMULATED numbers, as Parquet with a row per observation: in order of time, so that the
rows of an object are far apart, or sorted by object. Each prediction is a process of its own; its peak is what the kernel counted.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

POINTS, NIGHTS = 12, 60
CODE = "import sys; from tlclass.predict import main; main(sys.argv[1:])"


def write(path: Path, objects: int, order: str) -> None:
    """A table of `objects` light curves, written night by night, or object by object."""
    generator = np.random.default_rng(0)
    writer = None
    for part in range(NIGHTS):
        if order == "time":
            rows = generator.permutation(objects)[: objects * POINTS // NIGHTS]
            mjd = 60000 + part + generator.uniform(0, 0.4, len(rows))
        else:
            rows = np.repeat(np.arange(objects * part // NIGHTS, objects * (part + 1) // NIGHTS), POINTS)
            mjd = 60000 + generator.uniform(0, NIGHTS, len(rows))
        error = generator.uniform(20, 60, len(rows))
        table = pa.table({
            "object_id": pa.array(np.char.add("ZTF26", [f"{row:09d}" for row in rows.tolist()])), "mjd": mjd,
            "band": pa.array(np.array(["g", "r"])[generator.integers(0, 2, len(rows))]), "fluxcal": error * generator.uniform(3, 30, len(rows)),
            "flux_err": error,
        })  # fmt: skip
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()


def measure(model: str, path: Path, output: Path) -> tuple[float, float]:
    """Peak memory in GB and seconds of one prediction."""
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-c", CODE, model, str(path), "-o", str(output)])
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"the prediction of {path} failed")
    return usage.ru_maxrss / 1e6, time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="ztf-alerts")
    parser.add_argument("--objects", default="100000,1000000")
    parser.add_argument("--orders", default="time,object")
    given = parser.parse_args()
    print(f"{'light curves':>12} {'rows in order of':>16} {'table, GB':>9} {'peak, GB':>8} {'seconds':>8}")
    with tempfile.TemporaryDirectory() as folder:
        for objects in map(int, given.objects.split(",")):
            for order in given.orders.split(","):
                path = Path(folder) / "table.parquet"
                write(path, objects, order)
                peak, seconds = measure(given.model, path, Path(folder) / "out.parquet")
                rows = pq.read_metadata(Path(folder) / "out.parquet").num_rows
                assert rows == objects, f"{rows} rows for {objects} objects"
                print(
                    f"{objects:12,} {order:>16} {path.stat().st_size / 1e9:9.2f} {peak:8.2f} {seconds:8.0f}", flush=True
                )


if __name__ == "__main__":
    main()
