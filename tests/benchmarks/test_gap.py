"""What benchmarks/gap.py says of real and simulated light curves is only as good as these."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import compose, make_curves
from tlclass.experiments.cards import build_survey
from tlclass.inputs.split import fixed_test
from tlclass.network.released import RELEASED

pytest.importorskip("sklearn", reason="needs the extra baselines")
pytest.importorskip("light_curve", reason="needs the extra baselines")
from benchmarks import gap


def rows(n: int, shift: float = 0.0, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(shift, 1, (n, 4))


def test_equal_samples_cannot_be_told_apart_and_unequal_ones_can(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gap, "TREES", 100)
    same, _ = gap.domain_auc(rows(300), rows(300, seed=1))
    apart, importance = gap.domain_auc(rows(300), rows(300, seed=1) + np.array([0, 0, 2, 0]))
    assert abs(same - 0.5) < 0.08
    assert apart > 0.85 and importance.argmax() == 2


def test_separation_leaves_missing_values_out() -> None:
    real, sim = rows(200)[:, 0], rows(200, shift=1.5, seed=1)[:, 0]
    full = gap.separation(real, sim)
    assert full < 0.2  # real values are the smaller ones
    assert gap.separation(np.append(real, [np.nan] * 50), np.append(sim, np.nan)) == full
    assert gap.separation(real[:5], sim) == 0.5
    assert gap.quantiles(np.array([1.0, 2, 3, np.nan, np.nan])) == "1.32/2/2.68 (40% none)"
    assert gap.quantiles(np.array([np.nan])) == "-"


def test_partners_have_the_same_peak_magnitudes_and_are_used_once() -> None:
    real = np.random.default_rng(0).normal(18, 0.4, 50)
    sim = np.random.default_rng(1).uniform(15, 21, 20_000)
    chosen = gap.partners(real, sim)
    assert len(set(chosen.tolist())) == len(chosen) == gap.LEAST
    assert np.percentile(sim[chosen], (16, 50, 84)) == pytest.approx(np.percentile(real, (16, 50, 84)), abs=0.08)
    assert np.abs(sim[chosen][:, None] - real).min(axis=1).max() < 2 * gap.MAGNITUDE_WIDTH


def test_distance_to_neighbours() -> None:
    points = np.arange(5.0)[:, None]
    assert gap.nearest(points, points, k=2, itself=True).tolist() == [1.5, 1.0, 1.0, 1.0, 1.5]
    assert gap.nearest(np.array([[10.0]]), points, k=2).tolist() == [6.5]


def test_latent_vectors_are_measured_in_the_scatter_of_the_simulated_ones() -> None:
    rng = np.random.default_rng(0)
    sim = rng.normal(0, [1, 5, 1e-4], (500, 3)) @ np.array([[1, 0.5, 0], [0, 1, 0], [0, 0, 1]]) + 7
    real, again = gap.whitened(gap.Seen(sim[:20], sim), gap.Seen(sim, sim))
    assert again.std(axis=0) == pytest.approx(1)
    assert np.abs(np.corrcoef(again.T) - np.eye(again.shape[1])).max() < 1e-6
    assert np.allclose(real, again[:20])


def test_scores_are_one_against_the_rest() -> None:
    group = np.array(["a", "a", "b", "b", "c"])
    perfect = (group[:, None] == np.array(["a", "b", "c"])).astype(float)
    assert set(gap.aurocs(group, perfect, ["a", "b", "c"]).values()) == {1.0}
    assert gap.aurocs(group, 1 - perfect, ["a", "b", "c"])["macro"] == 0


def test_noise_is_measured_in_quoted_errors() -> None:
    rng, t = np.random.default_rng(0), np.arange(4000.0)
    for scale in (1.0, 2.0):
        flux = 100 + scale * rng.normal(size=t.size)
        found = gap._noise(t, flux, np.ones(t.size))
        assert found["pull"] == pytest.approx(0.674 * scale, rel=0.05)  # median of |a normal deviate|
    assert np.isnan(gap._noise(t[:4], t[:4], t[:4])["pull"])
    assert gap._same_band(np.array([1.0, 1.1, 1.2, 9.0]), np.array([0, 1, 0, 0])) == pytest.approx(1 / 3)
    curves = make_curves(3, seed=1, passbands=("ztfg", "ztfr"))
    detections = replace(curves, flux=np.abs(curves.flux))  # as `describe` gets them
    assert gap._sampling(detections, 0)["detections"] == detections.offsets[1]


def test_no_object_of_the_test_part_is_looked_at(data: Path, tmp_path: Path) -> None:
    survey = build_survey(compose(["+experiment=best_transfer", f"paths.data={data}"])["target"])
    curves, label = survey.load(tmp_path)
    seen = gap.development(survey, tmp_path)
    tested = curves.object_id[fixed_test(label, curves.object_id, gap.TEST_FRACTION)]
    assert len(tested) and len(seen.curves) == len(curves) - len(tested)
    assert not set(tested) & set(seen.curves.object_id)
    assert compose(["+experiment=best_transfer"])["protocol"]["test_fraction"] == gap.TEST_FRACTION


@pytest.mark.slow
def test_the_page_is_written(data: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = [f"source.reader.parts.{part}.n_objects=120" for part in ("faint", "bright", "deep")]
    (tmp_path / "figures").mkdir()
    monkeypatch.setattr(gap, "DOCS", tmp_path)
    monkeypatch.setattr(gap, "TREES", 20)
    monkeypatch.setattr(gap, "DRAWN", gap.DRAWN[::4])  # one panel of each kind
    monkeypatch.setattr(gap, "LEAST", 100)
    given = ["--data", str(data), "--model", str(RELEASED / "ztf-alerts-12"), "--cache", str(cache), *small]
    monkeypatch.setattr("sys.argv", ["gap.py", *given])
    gap.main()
    page = (tmp_path / "gap.md").read_text()
    assert "{" not in page and all(f"| {name} |" in page for name in gap.GROUPS)
    assert (tmp_path / "figures" / "gap_features.png").stat().st_size > 10_000
