"""The report through its front door."""

import re
import shutil
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from tests.conftest import Once, figures_made, keep_inline, nothing, refused
from tests.report.sweeps import scratch, shifted, write_sweep
from tlclass.experiments import sweep
from tlclass.report import write_report
from tlclass.report.__main__ import main
from tlclass.report.diagnostics import confusion_shares, reliability
from tlclass.report.document import Gallery, scores
from tlclass.report.pages import Paragraph, Picture
from tlclass.report.provenance import UNKNOWN, command
from tlclass.report.published import panel_of, published_curves
from tlclass.report.sweep import read_sweeps

ARMS = {"from_scratch": scratch, "full": shifted(4)}
FIGURES = {
    "learning_curves", "classes", "common_classes", "differences", "early", "confusion", "reliability", "convergence",
}  # fmt: skip


@pytest.fixture(scope="module")
def reported(once: Once) -> tuple[Path, str]:
    """Two policies, 0 to 1,000 labels, three seeds, one job missing; their report, and what was printed."""

    def report(folder: Path) -> None:
        write_sweep(folder, ARMS, (0, 100, 1000), range(3), absent=[("full", 100, 1)])
        with redirect_stdout(StringIO()) as out:
            main([str(folder)])
        folder.with_suffix(".txt").write_text(out.getvalue())

    folder = once("sweep", report)
    return folder, folder.with_suffix(".txt").read_text()


def test_the_command_writes_tables_pages_and_every_figure(reported: tuple[Path, str]) -> None:
    folder, out = reported
    for said in ("from_scratch", "TDE", "75 % fewer", "full, 100 labels, seed 1", "(simulated) to bts (real)"):
        assert said in out, said
    assert len(pd.read_csv(folder / "results.csv")) == 14 and len(pd.read_csv(folder / "summary.csv")) == 5
    for name in FIGURES:
        assert (folder / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG"), name
        assert (folder / "figures" / f"{name}.pdf").read_bytes().startswith(b"%PDF"), name
    text = (folder / "report.md").read_text()
    assert set(re.findall(r"\(figures/(\w+)\.png\)", text)) == FIGURES
    for said in ("full, 100 labels, seed 1", "75 % fewer", "skill above chance", "(simulated) to bts (real)"):
        assert said in text, said


def test_the_pages_need_nothing_else(reported: tuple[Path, str]) -> None:
    folder, _ = reported
    for name, drawings in (("report.html", len(FIGURES)), ("objects.html", len(ARMS))):
        page = (folder / name).read_text()
        assert page.count("<svg") == drawings and 'name="viewport"' in page and "prefers-color-scheme: dark" in page
        links = re.findall(r'(?:src|href|url)\s*[=(]\s*"?([^">)]{1,60})', page)
        own = set(re.findall(r' id="([^"]+)"', page))
        assert all(link[1:] in own for link in links if link.startswith("#")), "a link into the page leads nowhere"
        outside = {link for link in links if not link.startswith(("#", "data:"))}
        assert outside <= {"report.html", "objects.html"} and "http" not in page
        assert len(own) == len(re.findall(r' id="', page)), "an id is used twice"


def test_the_page_tells_how_the_jobs_were_made(reported: tuple[Path, str]) -> None:
    folder, _ = reported
    for page in ((folder / "report.html").read_text(), (folder / "report.md").read_text()):
        for said in ("2026-01-01", "2026-01-03", "2 CPU cores", "torch 2.13.0", "21 min", "14 finished"):
            assert said in page, said
    assert "full, 100 labels, seed 1" in page


def test_every_point_says_its_value(reported: tuple[Path, str]) -> None:
    page = (reported[0] / "report.html").read_text()
    jobs = pd.read_csv(reported[0] / "results.csv")
    for _, job in jobs[jobs["labels"] > 0].iterrows():
        assert f"{job['arm']}, {job['labels']:,} labels, seed {job['seed']}: {job['auroc_macro']:.3f}" in page
    assert 'class="hover"><title>' in page and "full, 0 labels: " in page


def test_mistakes_are_drawn_with_their_probabilities(reported: tuple[Path, str]) -> None:
    page = (reported[0] / "objects.html").read_text()
    for said in ("object0", "TDE, classified as SN Ia", "p(TDE) after 10 d: 0.100", "ztfg, day 5.0: 150 ± 10"):
        assert said in page, said


def test_a_failed_job_is_reported_with_its_reason(without_figures: None, tmp_path: Path) -> None:
    folder = write_sweep(tmp_path, {"full": scratch}, (100,), range(1))
    (folder / "full" / "n100" / "seed7").mkdir()
    (folder / "full" / "n100" / "seed7" / "failed.json").write_text('{"message": "the disk is full"}')
    text = write_report([folder])
    for said in (text, (folder / "report.html").read_text(), (folder / "report.md").read_text()):
        assert "full/n100/seed7: the disk is full" in said


def test_the_report_counts_the_jobs_of_the_last_command_and_names_those_that_did_not_begin(
    without_figures: None, tmp_path: Path
) -> None:
    """Of an earlier command there is a job with 100 labels; of the last one, killed, one that ended before `job.json`."""
    write_sweep(tmp_path, {"full": scratch}, (30, 100), range(1))
    ledger = sweep.open_ledger(tmp_path, [f"labels={labels} seed={seed}" for labels in (30, 50) for seed in (0, 1)])
    for number, job in enumerate(("full/n30/seed0", "full/n30/seed1")):
        ledger.note(number, tmp_path / job)
    for killed in (True, False):  # its ledger is there, or its last word
        text = write_report([tmp_path])
        for said in (text, (tmp_path / "report.html").read_text(), (tmp_path / "report.md").read_text()):
            assert "1 of the 4 jobs of the last sweep command are finished" in said
            assert "full/n30/seed1: interrupted" in said
            assert (
                "2 more of the last sweep command: not begun" in said and "labels=50 seed=0, labels=50 seed=1" in said
            )
        if killed:
            sweep.close_ledger()


def test_of_a_sweep_that_left_no_list_of_jobs_no_number_is_claimed(without_figures: None, tmp_path: Path) -> None:
    write_sweep(tmp_path, {"full": scratch}, (100,), range(1))
    assert "last sweep command" not in write_report([tmp_path])
    sweep.open_ledger(tmp_path, None)
    sweep.close_ledger()
    assert "last sweep command" not in write_report([tmp_path])


def test_the_command_is_that_of_the_sweep(tmp_path: Path) -> None:
    assert command(tmp_path) == UNKNOWN
    sources = "config_sources: [{path: conf, provider: main}, {path: /my cards, provider: command-line}]"
    words = "overrides: {task: [+experiment=demo_bts, 'labels=100,all'], hydra: ['hydra.sweep.subdir=x']}"
    (tmp_path / "multirun.yaml").write_text(f"hydra: {{runtime: {{{sources}}}, {words}}}")
    assert command(tmp_path) == "tlclass train --config-dir '/my cards' experiment=demo_bts labels=100,all -m"


def test_the_same_results_give_the_same_report(
    reported: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every drawing of the pages; of the files one, as the others are written alike."""
    folder, files = reported[0], ["report.html", "objects.html", "summary.csv", "figures/classes.pdf"]
    keep = Gallery.keep

    def keep_one(gallery: Gallery, name: str, figure: Figure, caption: str) -> Picture:
        return (keep if name == "classes" else keep_inline)(gallery, name, figure, caption)

    monkeypatch.setattr(Gallery, "keep", keep_one)
    shutil.copytree(folder, tmp_path / "again")
    for name in files:
        (tmp_path / "again" / name).unlink()
    text = write_report([tmp_path / "again"])
    assert text.replace(str(tmp_path / "again"), str(folder)) in reported[1]
    here, there = (str(path).encode() for path in (tmp_path / "again", folder))
    for name in files:
        assert (tmp_path / "again" / name).read_bytes().replace(here, there) == (folder / name).read_bytes(), name


def test_text_from_results_is_escaped(without_figures: None, tmp_path: Path) -> None:
    folder = write_sweep(tmp_path, ARMS, (100,), range(1), classes=("<b>", "a|b"), experiment="<i>x</i>")
    write_report([folder])
    page = (folder / "report.html").read_text()
    assert "<i>" not in page and "<b>" not in page and "&lt;b&gt;" in page
    objects = (folder / "objects.html").read_text()
    assert "<b>" not in objects and "&lt;b&gt;" in objects
    assert "a\\|b" in (folder / "report.md").read_text()


def test_one_job_makes_a_report_without_intervals(undrawn: None, tmp_path: Path) -> None:
    folder = write_sweep(tmp_path, {"full": scratch}, (100,), range(1))
    text = write_report([folder])
    assert "0.601" in text and "±0" not in text
    said = (folder / "report.md").read_text()
    assert "One seed: there are no intervals" in said
    assert "no reference arm" in said
    assert "training from scratch sets the goal" in said


def test_jobs_without_predictions_history_and_counts_are_named(undrawn: None, tmp_path: Path) -> None:
    folder = write_sweep(tmp_path, ARMS, (100,), range(2), classes=("TDE",))
    for name in ("predictions.parquet", "history.json", "survey.json"):
        for path in folder.rglob(name):
            path.unlink()
    write_report([folder])
    said = (folder / "report.md").read_text()
    assert "because a job has no predictions.parquet: from_scratch, full" in said
    assert "no job of from_scratch has a history.json" in said and "No job has a survey.json" in said


def test_two_folders_are_compared_side_by_side(
    undrawn: None, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module, name in figures_made():
        if name != "comparison_curves":  # those of one folder are made in other tests
            monkeypatch.setattr(module, name, nothing)
    folders = [write_sweep(tmp_path / name, ARMS, (100,), range(2), classes=("TDE",)) for name in ("a", "b")]
    before = sorted(path for path in folders[1].rglob("*"))
    main([str(folder) for folder in folders])
    (written,) = folders[0].glob("compared_with_*")
    assert str(written) in capsys.readouterr().out
    text = (written / "report.md").read_text()
    assert "(figures/comparison.png)" in text and "Side by side" in text
    assert set(pd.read_csv(written / "summary.csv")["sweep"]) == {f"e ({folder})" for folder in folders}
    assert sorted(path for path in folders[1].rglob("*")) == before


def test_published_curves_are_marked_as_other_data(undrawn: None, tmp_path: Path) -> None:
    folder = write_sweep(tmp_path, ARMS, (100,), range(2), classes=("TDE",))
    write_report([folder], published=True)
    said = (folder / "report.md").read_text()
    assert "arXiv:2502.18558" in said and "unfinished job" in said and "Other data" in said


def test_published_curves_are_drawn_only_where_asked_for(reported: tuple[Path, str]) -> None:
    assert "2502.18558" not in (reported[0] / "report.md").read_text()


def test_a_target_without_published_curve_says_so(undrawn: None, tmp_path: Path) -> None:
    folder = write_sweep(tmp_path, ARMS, (100,), range(2), classes=("TDE",), target="mine")
    assert panel_of(read_sweeps([folder])[0]) is None
    blocks = list(scores(read_sweeps([folder])[0], Gallery(tmp_path / "figures"), published=True))
    assert Paragraph("The paper published no curve for this target (only LSST and BTS), so none is shown.") in blocks


@pytest.mark.parametrize(("panel", "budgets"), [("LSST", 17), ("BTS", 19)])
def test_published_medians_are_scores(panel: str, budgets: int) -> None:
    curves = published_curves(panel)
    assert curves.groupby("method").size().to_dict() == {"direct": budgets, "transfer": budgets}
    assert curves["median"].between(0, 1).all() and (curves["deviation"] >= 0).all()


def test_rows_of_a_confusion_matrix_are_shares_and_absent_classes_have_none() -> None:
    probability = np.eye(3)[[0, 0, 1, 1]]
    shares = confusion_shares(probability, np.array([0, 0, 0, 1]))
    assert shares[0].tolist() == pytest.approx([2 / 3, 1 / 3, 0]) and shares[1].tolist() == [0, 1, 0]
    assert np.isnan(shares[2]).all()


def test_calibrated_probabilities_lie_on_the_diagonal() -> None:
    generator = np.random.default_rng(0)
    p = generator.uniform(0.5, 1, 40000)
    label = (generator.random(40000) > p).astype(np.int64)
    bins = reliability(np.column_stack([p, 1 - p]), label)
    assert bins["correct"].to_numpy() == pytest.approx(bins["confidence"].to_numpy(), abs=0.03)
    assert bins["objects"].sum() == 40000


def test_an_empty_folder_says_what_to_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sentence = refused(capsys, main, [str(tmp_path)])
    assert f"no result.json below {tmp_path}: name the folder of an experiment" in sentence
