"""Prediction inside Dask (LSDB), Spark and Ray Data with one worker and with two: `python -m benchmarks.engines [--objects 20000]`.

The lines that are run are those of docs/engines.md. Light curves of 20 points, SIMULATED numbers. Each measurement is a process of its own;
its seconds run from the started engine to the written predictions, loading the model in each worker included. Every result is compared with
one call of `predict_partition`. Engines that are not installed are left out, with a line that says so.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd

from tlclass.extras import needs
from tlclass.serving.engines import predict_partition

ENGINES = {
    "lsdb": "lsdb",
    "spark": "pyspark",
    "ray": "ray",
}  # name -> package; the extras have these names, but ray-data
PAGE = Path(__file__).parent.parent / "docs" / "engines.md"
MODEL, UNIT = "ztf-alerts", "fluxcal"
POINTS, FILES = 20, 8


def lines(engine: str) -> str:
    """The Python lines for this engine of docs/engines.md."""
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    return next(block for block in blocks if f"import {ENGINES[engine]}" in block or f"from {ENGINES[engine]}" in block)


def simulated(objects: int, seed: int = 0) -> pd.DataFrame:
    """A row per observation of so many light curves, object after object."""
    generator = np.random.default_rng(seed)
    start = np.repeat(60000 + generator.uniform(0, 300, objects), POINTS)
    days = np.sort(generator.uniform(0, 60, (objects, POINTS)), axis=1).ravel()
    error = generator.uniform(20, 60, len(days))
    return pd.DataFrame({
        "object_id": np.repeat([f"ZTF26{number:09d}" for number in range(objects)], POINTS), "mjd": start + days,
        "band": generator.choice(["g", "r"], len(days)), "flux": error * generator.uniform(1, 30, len(days)), "flux_err": error,
    })  # fmt: skip


def write_input(frame: pd.DataFrame, engine: str, folder: Path) -> None:
    """The table in the layout that the lines of this engine read, below `folder`."""
    if engine == "lsdb":
        _write_catalogue(frame, folder / "catalogue")
        return
    if engine == "spark":
        table, target = frame.sample(frac=1, random_state=0), folder / "sources"  # rows of an object far apart
    else:
        table, target = frame.groupby("object_id").agg(list).reset_index(), folder / "nested"
    target.mkdir()
    for number in range(FILES):
        table.iloc[number::FILES].to_parquet(target / f"{number}.parquet", index=False)


def _write_catalogue(frame: pd.DataFrame, path: Path) -> None:
    import lsdb
    from nested_pandas import NestedFrame

    objects = pd.DataFrame({"object_id": frame["object_id"].unique()})
    generator = np.random.default_rng(1)
    objects["ra"], objects["dec"] = generator.uniform(0, 360, len(objects)), generator.uniform(-80, 80, len(objects))
    nested = NestedFrame(objects.set_index("object_id")).join_nested(frame.set_index("object_id"), "lightcurve")
    rows = max(len(objects) // 20, 50)
    lsdb.from_dataframe(
        nested.reset_index(), ra_column="ra", dec_column="dec", partition_rows=rows, margin_threshold=None
    ).write_catalog(path, catalog_name=path.name, as_collection=False)


@contextmanager
def started(engine: str, workers: int) -> Iterator[None]:
    """The engine on this machine with so many workers of one core."""
    if engine == "lsdb":
        from dask.distributed import Client

        with Client(n_workers=workers, threads_per_worker=1, dashboard_address=None):
            yield
    elif engine == "spark":
        from pyspark.sql import SparkSession

        os.environ["PYSPARK_PYTHON"] = sys.executable
        builder = SparkSession.builder.master(f"local[{workers}]")
        builder = builder.config("spark.driver.host", "127.0.0.1").config("spark.ui.enabled", "false")
        session = builder.config("spark.sql.shuffle.partitions", str(2 * FILES)).getOrCreate()
        try:
            yield
        finally:
            session.stop()
    else:
        import ray

        ray.init(num_cpus=workers, include_dashboard=False, log_to_driver=False)
        try:
            yield
        finally:
            ray.shutdown()


def run(engine: str, workers: int, objects: int, folder: Path) -> float:
    """Write so many light curves into `folder` and run the lines of docs/engines.md there, which write `classes`; seconds of the lines."""
    write_input(simulated(objects), engine, folder)
    os.chdir(folder)
    with started(engine, workers):
        start = time.perf_counter()
        exec(compile(lines(engine), str(PAGE), "exec"), {"__name__": "lines"})
        return time.perf_counter() - start


def written(folder: Path) -> pd.DataFrame:
    """What the lines wrote, in order of the ids."""
    catalogue = folder / "classes" / "classes" / "dataset"  # of LSDB, which writes statistics beside it
    files = sorted((catalogue if catalogue.is_dir() else folder / "classes").rglob("[!_]*.parquet"))
    found = pd.concat([pd.read_parquet(file) for file in files], ignore_index=True)
    return found.sort_values("object_id", ignore_index=True)


def largest_difference(found: pd.DataFrame, expected: pd.DataFrame) -> float:
    """Of any probability; infinite where objects or classes differ."""
    expected = expected.sort_values("object_id", ignore_index=True)
    names = [name for name in expected if name.startswith("p(")]
    if found["object_id"].tolist() != expected["object_id"].tolist() or (found["class"] != expected["class"]).any():
        return float("inf")
    return float(np.abs(found[names].to_numpy() - expected[names].to_numpy()).max())


def _measure(engine: str, workers: int, objects: int, expected: pd.DataFrame) -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as name:
        command = ["--run", engine, "--workers", str(workers), "--objects", str(objects), "--folder", name]
        done = subprocess.run([sys.executable, "-m", "benchmarks.engines", *command], capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{engine} failed: {done.stderr}")
        seconds = json.loads((Path(name) / "seconds.json").read_text())
        return seconds, largest_difference(written(Path(name)), expected)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, default=20_000)
    parser.add_argument("--engines", default=",".join(ENGINES))
    parser.add_argument("--workers", default="1,2")
    parser.add_argument("--run", help="one measurement, in this process")
    parser.add_argument("--folder", type=Path, help="with the input of that measurement")
    given = parser.parse_args()
    if given.run:
        seconds = run(given.run, int(given.workers), given.objects, given.folder)
        (given.folder / "seconds.json").write_text(json.dumps(seconds))
        return
    frame = simulated(given.objects)
    start = time.process_time()
    expected = predict_partition(frame, MODEL, flux_unit=UNIT)
    alone = time.process_time() - start
    print(f"{given.objects:,} light curves of {POINTS} points; one process: {alone:.1f} CPU seconds", flush=True)
    print(f"{'engine':>8} {'workers':>7} {'seconds':>8} {'x':>5} {'largest difference':>18}", flush=True)
    for engine in given.engines.split(","):
        if find_spec(ENGINES[engine]) is None:
            print(needs(engine, ENGINES[engine], {"ray": "ray-data"}.get(engine, engine)))
            continue
        first = None
        for workers in map(int, given.workers.split(",")):
            seconds, difference = _measure(engine, workers, given.objects, expected)
            first = first or seconds
            print(f"{engine:>8} {workers:7} {seconds:8.1f} {first / seconds:5.2f} {difference:18.1e}", flush=True)


if __name__ == "__main__":
    main()
