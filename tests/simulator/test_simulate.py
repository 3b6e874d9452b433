"""The command line that writes simulated surveys."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tlclass.lightcurves import read
from tlclass.simulate import main


def test_writes_a_file_and_a_sheet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, sheet = tmp_path / "set.parquet", tmp_path / "sheet.png"
    arguments = ["survey=bts_simulated", "n_objects=12", "classes=[SNIa, TDE]", "mix.SNIa=22"]
    assert main([*arguments, "-o", str(path), "--plot", str(sheet)]) == 0
    curves = read(path)
    assert np.unique(curves.label, return_counts=True)[1].tolist() == [6, 6]
    assert {"peak_abs_mag", "host_av"} <= set(curves.extra)
    assert sheet.stat().st_size > 10_000
    assert "12 simulated light curves" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["survey=ztf_simulated"], "give -o FILE.parquet"),
        (["survey=atlas_simulated", "-o", "x"], "choose survey= from"),
        (["-o", "x"], "choose survey= from"),
        (["survey=ztf_simulated", "systematics.outliers=0", "-o", "x"], "cannot set systematics.outliers=0"),
        (["survey=ztf_simulated", "fast", "-o", "x"], "settings are key=value"),
        (["survey=ztf_simulated", "n_objects=0", "-o", "x"], "n_objects must be at least 1"),
        (["survey=ztf_simulated", "seed=-1", "-o", "x"], "seed must be 0 or more, got -1"),
        (["survey=ztf_simulated", "-o", "s.csv"], "output s.csv: choose a name that ends in .parquet, .pq, .arrow"),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
