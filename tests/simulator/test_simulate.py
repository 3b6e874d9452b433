"""The command line that writes simulated surveys."""

from __future__ import annotations

import resource
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.conftest import compose, equal_curves, refused
from tlclass import simulate
from tlclass.config import CONF
from tlclass.experiments.cards import build_survey
from tlclass.lightcurves.arrow import read, read_parts
from tlclass.simulate import load_simulation, main, marked


def test_writes_a_file_and_a_sheet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, sheet = tmp_path / "set.parquet", tmp_path / "sheet.png"
    arguments = ["survey=bts_simulated", "n_objects=12", "classes=[SNIa, TDE]", "mix.SNIa=22"]
    main([arguments[0], "-o", str(path), *arguments[1:], "--plot", str(sheet)])
    curves = read(path)
    assert np.unique(curves.label, return_counts=True)[1].tolist() == [6, 6]
    assert {"peak_abs_mag", "host_av"} <= set(curves.extra)
    assert sheet.stat().st_size > 10_000
    assert "12 simulated light curves" in capsys.readouterr().out


@pytest.mark.parametrize("suffix", ["parquet", "arrow"])
def test_a_set_is_written_in_pieces_and_is_the_same(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["survey=bts_simulated", "n_objects=9", "classes=[SNIa, TDE, SNII]"]
    whole, pieces = tmp_path / f"whole.{suffix}", tmp_path / f"pieces.{suffix}"
    main([*words, "-o", str(whole)])
    monkeypatch.setattr(simulate, "ROWS", 1)  # an observation: every chunk is a piece
    main([*words, "-o", str(pieces), "--plot", str(tmp_path / "sheet.png")])
    written = len(list(read_parts(pieces))) if suffix == "arrow" else pq.read_metadata(pieces).num_row_groups
    assert written >= 2 and equal_curves(read(pieces), read(whole))


PARTS = {
    "alerts_simulated": ("faint", "bright", "deep"),
    "plasticc_simulated": ("wide", "deep", "faint"),
    "forced_simulated": ("faint", "bright", "colour"),
}
PLACE = {"joint_simulated": "surveys.ztf."}


@pytest.mark.parametrize("name", sorted(path.stem for path in (CONF / "survey").glob("*_simulated.yaml")))
def test_every_built_in_survey_is_written_as_it_is_trained_on(name: str, tmp_path: Path) -> None:
    places = [f"reader.parts.{part}." for part in PARTS.get(name, ())] or [PLACE.get(name, "")]
    settings = [f"{place}{setting}" for place in places for setting in ("n_objects=4", "classes=[SNIa]")]
    main([f"survey={name}", *settings, "-o", str(tmp_path / "set.parquet")])
    card = compose([f"target={name}", *(f"target.{setting}" for setting in settings)])["target"]
    curves = build_survey(card).reader.read()
    assert len(curves) == 4 * len(places) and equal_curves(read(tmp_path / "set.parquet"), marked(curves))


def test_the_population_is_that_of_the_survey_or_of_its_part() -> None:
    observed = load_simulation("bts_simulated", ["population=observed"])
    assert observed.population == load_simulation("alerts_simulated").parts["deep"].reader.population
    changed = load_simulation("alerts_simulated", ["population@reader.parts.deep.population=transients"])
    assert changed.parts["deep"].reader.population == load_simulation("bts_simulated").population
    assert changed.parts["faint"].reader.population == observed.population


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["survey=ztf_simulated"], "-o FILE.parquet"),
        (["survey=atlas_simulated", "-o", "x"], "choose survey= from"),
        (["-o", "x"], "choose survey= from"),
        (["target=ztf_simulated", "-o", "x"], "write survey=ztf_simulated"),
        (
            ["survey=ztf_simulated", "systematics.outliers=0", "-o", "x"],
            "unknown setting systematics.outliers (did you mean systematics.outlier_",
        ),
        (["survey=alerts_simulated", "n_objects=5", "-o", "x"], "cannot set n_objects=5: "),
        (
            ["survey=ztf_simulated", "population=mine", "-o", "x"],
            "choose one of literature, observed, templates_example, transients",
        ),
        (
            ["survey=bts", "-o", "x"],
            "no simulated survey 'bts': choose survey= from alerts_simulated, bts_simulated",
        ),
        (["survey=ztf_simulated", "fast", "-o", "x"], "'fast' is not a setting"),
        (["survey=ztf_simulated", "n_objects=0", "-o", "x"], "n_objects is 0: choose 1 or more"),
        (["survey=ztf_simulated", "seed=-1", "-o", "x"], "seed is -1: choose 0 or more"),
        (["survey=ztf_simulated", "-o", "s.csv"], "output s.csv: choose a name that ends in .parquet, .pq, .arrow"),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert message in refused(capsys, main, arguments)


@pytest.mark.parametrize("name", ["set.parquet", "set.arrow"])
def test_a_full_disk_is_one_sentence_and_leaves_nothing(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))  # no file may grow beyond, as on a disk that is full
    try:
        sentence = refused(capsys, main, ["survey=ztf_simulated", "n_objects=20", "-o", str(tmp_path / name)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert str(tmp_path / name) in sentence and not list(tmp_path.iterdir())


def test_an_output_below_a_file_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    output = tmp_path / "file" / "set.parquet"
    assert "file" in refused(capsys, main, ["survey=ztf_simulated", "n_objects=20", "-o", str(output)])
