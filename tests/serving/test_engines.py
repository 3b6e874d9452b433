"""What other engines call gives what `predict` gives."""

import logging
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from benchmarks import engines as benchmark
from tests.data.raw_tables import alerts, plain, write_nested
from tlclass.serving import engines
from tlclass.serving.engines import predict_batches, predict_partition, predictions_meta, predictions_schema
from tlclass.serving.request import Request

MODEL = "ztf-alerts"


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return plain(alerts()).sort_values(["object_id", "mjd"], ignore_index=True)


@pytest.fixture(scope="module")
def whole(frame: pd.DataFrame) -> pd.DataFrame:
    return predict_partition(frame, MODEL, flux_unit="fluxcal")


def same(first: pd.DataFrame, second: pd.DataFrame) -> bool:
    numbers = [name for name in first if name.startswith("p(")]
    equal = first.object_id.tolist() == second.object_id.tolist() and first["class"].equals(second["class"])
    return equal and np.allclose(first[numbers], second[numbers], atol=1e-6, equal_nan=True)


def test_rows_of_an_object_may_go_on_in_the_next_batch(
    frame: pd.DataFrame, whole: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "ROWS", 30)
    batches = pa.Table.from_pandas(frame).to_batches(max_chunksize=7)
    found = list(predict_batches(batches, MODEL, flux_unit="fluxcal"))
    assert len(found) > 2 and same(pa.Table.from_batches(found).to_pandas(), whole)
    assert found[0].schema.equals(predictions_schema(MODEL))


def test_messages_of_batches_come_once_with_the_counts_of_all(
    frame: pd.DataFrame, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    rows = np.arange(len(frame))
    odd = frame.assign(mjd=frame.mjd.round(), band=frame.band.mask(rows % 7 == 0, "i").mask(rows % 11 == 0, "K"))
    odd = odd.assign(flux=odd.flux.mask(rows % 13 == 0))
    options: dict[str, Any] = {"flux_unit": "fluxcal", "unknown_passbands": "drop"}
    caplog.set_level(logging.INFO)
    predict_partition(odd, MODEL, **options)
    whole = sorted(record.getMessage() for record in caplog.records)
    caplog.clear()
    monkeypatch.setattr(engines, "ROWS", 30)
    batches = pa.Table.from_pandas(odd, preserve_index=False).to_batches(max_chunksize=7)
    assert len(list(predict_batches(batches, MODEL, **options))) > 2
    assert sorted(record.getMessage() for record in caplog.records) == whole
    for words in ("whole days", "of unknown passbands", "infinite flux", "left out", "the selection drops"):
        assert any(words in message for message in whole), whole


def test_nested_partitions(frame: pd.DataFrame, whole: pd.DataFrame, tmp_path: Path) -> None:
    path = write_nested(frame, pd.DataFrame({"object_id": frame.object_id.unique()}), tmp_path / "n.parquet")
    assert same(predict_partition(pd.read_parquet(path), MODEL, flux_unit="fluxcal"), whole)


def test_a_partition_without_rows_has_the_columns(whole: pd.DataFrame, frame: pd.DataFrame) -> None:
    asked = Request(embedding=True, coverage=0.9)
    meta = predictions_meta(MODEL, asked)
    full = predict_partition(frame, MODEL, asked, flux_unit="fluxcal")
    assert not len(meta) and meta.dtypes.equals(full.dtypes) and len(full.columns) > len(whole.columns)
    assert predict_partition(frame.iloc[:0], MODEL).dtypes.equals(whole.dtypes)
    assert not list(predict_batches(pa.Table.from_pandas(frame.iloc[:0]).to_batches(), MODEL))


def test_rows_of_an_object_that_stand_apart_are_an_error(frame: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "ROWS", 30)
    first = frame[frame.object_id == frame.object_id[0]]
    apart = pd.concat([first.iloc[:5], frame[frame.object_id != frame.object_id[0]], first.iloc[5:]])
    batches = pa.Table.from_pandas(apart, preserve_index=False).to_batches(max_chunksize=7)
    with pytest.raises(ValueError, match=frame.object_id[0]):
        list(predict_batches(batches, MODEL, flux_unit="fluxcal"))


@pytest.mark.slow
@pytest.mark.parametrize("engine", list(benchmark.ENGINES))
def test_the_documented_lines_give_in_each_engine_what_one_process_gives(engine: str, tmp_path: Path) -> None:
    for package in (benchmark.ENGINES[engine], "psutil"):
        if find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    command = ["--run", engine, "--workers", "2", "--objects", "2000", "--folder", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.engines", *command], capture_output=True, text=True
    )  # not in this process: engines leave threads behind, and their libraries warn
    assert not done.returncode, done.stderr[-2000:]
    expected = predict_partition(benchmark.simulated(2000), MODEL, flux_unit="fluxcal")
    assert benchmark.largest_difference(benchmark.written(tmp_path), expected) <= 1e-6
