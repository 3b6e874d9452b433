"""Prediction inside Dask (LSDB), Spark and Ray Data with one worker and with two, beside one process of `tlclass predict`.

    python -m benchmarks.engines --objects 2000,80000 --csv docs/results/engines.csv   # again for more measurements
    python docs/make_engines_figure.py

The lines that are run are those of docs/engines.md. Light curves of 20 points, SIMULATED numbers. Each measurement is a process of its own;
its seconds run from the started engine to the written predictions, loading the model in each worker included. Two sizes tell the
time for each light curve from the time that every run takes. Runs with one and with two workers take turns, because other work on the machine
changes. Every result is compared with that of `tlclass predict`. Engines that are not installed are left out, with a line that says so.
"""

import argparse
import csv
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.watching import Used, Watch
from tlclass.extras import needs

ALONE = "predict"  # one process of `tlclass predict`, with which the engines are compared
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
    if engine == ALONE:
        frame.to_parquet(folder / "rows.parquet", index=False)
        return
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
    if engine == ALONE:
        yield
    elif engine == "lsdb":
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


def run(engine: str, workers: int, objects: int, folder: Path) -> tuple[Used, Used]:
    """Run the lines of docs/engines.md in `folder`, which write `classes`; its input is written first if it is not there.

    Returns:
        What the start of the engine used, and what the lines used.
    """
    if not any(folder.iterdir()):
        write_input(simulated(objects), engine, folder)
    os.chdir(folder)
    with ExitStack() as stack:
        with Watch() as start:
            stack.enter_context(started(engine, workers))
        with Watch() as watch:
            if engine == ALONE:
                command = [MODEL, "rows.parquet", "-o", "classes/0.parquet", "--flux-unit", UNIT]
                Path("classes").mkdir()
                subprocess.run([sys.executable, "-m", "tlclass.cli", "predict", *command], check=True)
            else:
                exec(compile(lines(engine), str(PAGE), "exec"), {"__name__": "lines"})
    return start.used, watch.used


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


def measured(engine: str, workers: int, objects: int, folder: Path) -> dict[str, float]:
    """One measurement, in a process of its own: a row of the table."""
    for old in ("classes", "seconds.json"):
        shutil.rmtree(folder / old, ignore_errors=True) if old == "classes" else (folder / old).unlink(missing_ok=True)
    command = ["--run", engine, "--workers", str(workers), "--objects", str(objects), "--folder", str(folder)]
    done = subprocess.run([sys.executable, "-m", "benchmarks.engines", *command], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{engine} failed: {done.stderr}")
    found: dict[str, float] = json.loads((folder / "seconds.json").read_text())
    return found


def rows(given: argparse.Namespace, folder: Path) -> Iterator[dict[str, Any]]:
    """The measurements, those that are to be compared one after the other."""
    for objects in map(int, given.objects.split(",")):
        alone = folder / f"{ALONE} {objects}"
        for engine in given.engines.split(","):
            for workers in ["1"] if engine == ALONE else given.workers.split(","):
                place = folder / f"{engine} {objects}"
                place.mkdir(exist_ok=True)
                found = measured(engine, int(workers), objects, place)
                if not (alone / "classes").exists():
                    alone.mkdir(exist_ok=True)
                    measured(ALONE, 1, objects, alone)
                difference = largest_difference(written(place), written(alone))
                yield {"engine": engine, "workers": workers, "objects": objects, **found, "difference": difference}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", default="5000,80000", help="light curves: one size or several")
    parser.add_argument("--engines", default=",".join([ALONE, *ENGINES]))
    parser.add_argument("--workers", default="1,2")
    parser.add_argument("--csv", type=Path, help="add the measurements to this table")
    parser.add_argument("--run", help="one measurement, in this process")
    parser.add_argument(
        "--folder",
        type=lambda name: Path(name).absolute(),
        help="for the input, which is then kept for later measurements",
    )
    given = parser.parse_args()
    if given.run:
        start, used = run(given.run, int(given.workers), int(given.objects), given.folder)
        row = {"start_seconds": start.seconds, "start_cpu_seconds": start.cpu_seconds, **asdict(used)}
        (given.folder / "seconds.json").write_text(json.dumps(row))
        return
    for engine in set(given.engines.split(",")) - {ALONE}:
        if find_spec(ENGINES[engine]) is None:
            print(needs(engine, ENGINES[engine], {"ray": "ray-data"}.get(engine, engine)))
            given.engines = ",".join(name for name in given.engines.split(",") if name != engine)
    with tempfile.TemporaryDirectory() as name:
        for row in rows(given, given.folder or Path(name)):
            print(
                "  ".join(
                    f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}" for key, value in row.items()
                ),
                flush=True,
            )
            if given.csv is not None:
                is_new = not given.csv.exists()
                with given.csv.open("a", newline="") as file:
                    writer = csv.DictWriter(file, list(row), lineterminator="\n")
                    if is_new:
                        writer.writeheader()
                    writer.writerow(
                        {key: f"{value:.4g}" if isinstance(value, float) else value for key, value in row.items()}
                    )


if __name__ == "__main__":
    main()
