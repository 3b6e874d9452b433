"""Peak memory of a command on tables of more and more light curves: `python benchmarks/memory.py [--objects 100000,1000000]`.

`--commands predict,estimate,inspect,simulate`: `tlclass predict`, the same with `--prior estimate`, `tlclass inspect`, and `tlclass simulate` of so
many light curves.

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
CODE = "import sys; from tlclass.{command} import main; sys.exit(main(sys.argv[1:]))"


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


def write_labels(path: Path, objects: int) -> None:
    """A table of the class of each object."""
    names = [f"ZTF26{row:09d}" for row in range(objects)]
    label = np.array(["SN Ia", "SN II", "TDE"])[np.arange(objects) % 3]
    pq.write_table(pa.table({"object_id": names, "class": label}), path)


def words_of(command: str, model: str, objects: int, folder: Path) -> list[str]:
    """The command line for the table in `folder`."""
    table, output = folder / "table.parquet", folder / "out.parquet"
    if command == "simulate":
        return ["survey=bts_simulated", f"n_objects={objects}", "-o", str(output)]
    if command == "inspect":
        reader = [f"survey.reader.observations={table}", f"survey.reader.objects={folder / 'objects.parquet'}"]
        cache = [f"paths.cache={folder / 'cache'}", "-o", str(folder / "report")]
        return ["survey=table", *reader, "survey.reader.columns.label=class", "survey.reader.flux_unit=fluxcal", *cache]
    return [model, str(table), "-o", str(output), *(["--prior", "estimate"] if command == "estimate" else [])]


def measure(command: str, words: list[str]) -> tuple[float, float]:
    """Peak memory in GB and seconds of one command."""
    start = time.perf_counter()
    code = CODE.format(command="predict" if command == "estimate" else command)
    process = subprocess.Popen([sys.executable, "-c", code, *words], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status) not in (
        (0, 1) if command == "inspect" else (0,)
    ):  # 1: something is wrong with the data
        raise SystemExit(f"{command} {' '.join(words)} failed")
    return usage.ru_maxrss / 1e6, time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="ztf-alerts")
    parser.add_argument("--objects", default="100000,1000000")
    parser.add_argument("--orders", default="time,object")
    parser.add_argument("--commands", default="predict")
    given = parser.parse_args()
    print(
        f"{'command':>9} {'light curves':>12} {'rows in order of':>16} {'table, GB':>9} {'peak, GB':>8} {'seconds':>8}"
    )
    for objects in map(int, given.objects.split(",")):
        for order in given.orders.split(","):
            for command in given.commands.split(","):
                with tempfile.TemporaryDirectory() as name:
                    folder = Path(name)
                    path = folder / "table.parquet"
                    write(path, objects, order)
                    write_labels(folder / "objects.parquet", objects)
                    peak, seconds = measure(command, words_of(command, given.model, objects, folder))
                    size = path.stat().st_size / 1e9
                    print(f"{command:>9} {objects:12,} {order:>16} {size:9.2f} {peak:8.2f} {seconds:8.0f}", flush=True)
                    if command != "inspect":
                        rows = pq.read_metadata(folder / "out.parquet").num_rows
                        assert rows == objects, f"{rows} rows for {objects} objects"


if __name__ == "__main__":
    main()
