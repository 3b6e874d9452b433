import logging
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import make_curves, refused
from tlclass.colors import PASSBANDS, class_look
from tlclass.explain import main
from tlclass.lightcurves.curves import LightCurves
from tlclass.network.checkpoint import TrainedModel, load_model
from tlclass.network.released import RELEASED
from tlclass.serving.explained import Explanation, log_odds
from tlclass.serving.explanation import explain
from tlclass.serving.explanation_page import figure
from tlclass.serving.predictions import predict
from tlclass.serving.request import Request


@pytest.fixture(scope="module")
def model() -> TrainedModel:
    return load_model(RELEASED / "ztf-alerts")


@pytest.fixture(scope="module")
def curves() -> LightCurves:
    return make_curves(12)


@pytest.fixture(scope="module")
def name(curves: LightCurves) -> str:
    return str(curves.object_id[curves.lengths.argmax()])


@pytest.fixture(scope="module")
def found(model: TrainedModel, curves: LightCurves, name: str) -> Explanation:
    return explain(model, curves, name)


def test_the_probabilities_are_those_of_predict(
    found: Explanation, model: TrainedModel, curves: LightCurves, name: str
) -> None:
    each = predict(model, curves, request=Request(every_observation=True)).to_pandas()
    own = each[each.object_id == name]
    columns = [f"p({label})" for label in model.classes]
    assert np.allclose(found.frame[columns], own[columns], atol=1e-6) and np.allclose(found.frame.mjd, own.mjd)
    assert found.novelty == pytest.approx(own.novelty.iloc[-1], abs=1e-3)
    ends = log_odds(np.array([found.before[found.best], found.probability[-1, found.best]]))
    assert found.change.sum() == pytest.approx(ends[1] - ends[0])


def test_threads_may_share_a_model(model: TrainedModel, curves: LightCurves, name: str, found: Explanation) -> None:
    often, before = 1e-6, sys.getswitchinterval()
    sys.setswitchinterval(often)
    try:
        with ThreadPoolExecutor(8) as threads:
            each = list(threads.map(lambda _: explain(model, curves, name).probability, range(60)))
    finally:
        sys.setswitchinterval(before)
    assert all(np.allclose(one, found.probability) for one in each)


def test_passbands_without_training_may_be_kept(model: TrainedModel) -> None:
    curves = make_curves(12, passbands=("ztfg", "ztfr", "ztfi"))
    name = str(curves.object_id[curves.lengths.argmax()])
    for keep in (False, True):
        own = predict(model, curves, request=Request(keep_passbands=keep)).to_pandas().set_index("object_id").loc[name]
        found = explain(model, curves, name, keep_passbands=keep)
        assert ("ztfi" in found.passbands) == keep and len(found.mjd) == own.n_observations
        assert np.allclose(found.probability[-1], own[[f"p({one})" for one in model.classes]].astype(float), atol=1e-6)


def test_without_an_observation_is_the_light_curve_without_it(
    found: Explanation, model: TrainedModel, curves: LightCurves, name: str
) -> None:
    one = curves.take(curves.object_id == name)
    last = int(np.flatnonzero(one.mjd == found.mjd[-1])[-1])  # time zero stays where it is
    rest = one.keep(np.arange(len(one.mjd)) != last)
    expected = predict(model, rest).to_pandas()[[f"p({label})" for label in found.classes]]
    assert np.allclose(found.without[-1], expected.to_numpy(dtype=float), atol=1e-5)
    strongest = found.decisive(1)[0]
    assert abs(found.influence[strongest]) == np.abs(found.influence).max()


@pytest.mark.parametrize("redshift", [0.05, np.nan])
def test_what_the_redshift_of_the_host_changed_is_told(redshift: float, tmp_path: Path) -> None:
    model = load_model(RELEASED / "lsst")
    curves = make_curves(12, passbands=("lsstg", "lsstr"))
    about = {"host_photoz": np.full(12, redshift), "host_photoz_err": np.full(12, 0.2 * redshift)}
    told = replace(curves, **about)
    name = str(curves.object_id[curves.lengths.argmax()])
    with_it, without_it = explain(model, told, name), explain(model, curves, name)
    assert np.allclose(with_it.without_metadata, without_it.probability[-1], atol=1e-6)
    page = with_it.write(tmp_path / "why")[1].read_text()
    if np.isnan(redshift):
        assert np.allclose(with_it.probability, without_it.probability)
        assert (
            "The model also uses host_photoz and host_photoz_err where they are known; of this object they are not."
            in page
        )
    else:
        assert with_it.metadata == pytest.approx({"host_photoz": 0.05, "host_photoz_err": 0.01})
        assert np.abs(with_it.probability[-1] - with_it.without_metadata).max() > 0.01
        label, p = with_it.classes[with_it.best], with_it.probability[-1, with_it.best]
        told = f"without them p({label}) would be {with_it.without_metadata[with_it.best]:.2f} instead of {p:.2f}."
        assert f"The model also used host_photoz 0.05, host_photoz_err 0.01; {told}" in page


class Links(HTMLParser):
    """What a page loads from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [
            str(value) for key, value in attrs if key in ("src", "href") and not str(value).startswith("data:")
        ]


def test_the_page_needs_no_other_file(found: Explanation, tmp_path: Path) -> None:
    image, page = found.write(tmp_path / "one.object")
    assert image.name == "one.object.png" and image.read_bytes().startswith(b"\x89PNG")
    links = Links()
    links.feed(page.read_text())
    assert not links.found and found.object_id in page.read_text() and "simulated" in page.read_text()
    assert page.read_text().count("<tr>") >= len(found.mjd)


def test_every_passband_and_class_has_a_look_of_its_own(found: Explanation) -> None:
    assert len(set(PASSBANDS.values())) == len(PASSBANDS) and len({class_look(k) for k in range(12)}) == 12
    light, probable, _ = figure(found).axes
    texts = {text.get_text() for axes in (light, probable) for text in axes.get_legend().get_texts()}
    assert set(found.passbands) | {found.classes[found.best]} <= texts


def test_one_observation_is_explained_too(model: TrainedModel) -> None:
    curves = make_curves(3, longest=2)
    few = replace(model, selection=replace(model.selection, min_observations=1))
    number = int(np.flatnonzero(curves.detected[curves.offsets[:-1]])[0])
    found = explain(few, curves, str(curves.object_id[number]))
    assert found.influence == pytest.approx(found.change) and len(figure(found).axes) == 3


def test_mistakes_are_one_sentence(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = str(data / "ztf_bts" / "observations.parquet")
    words = ["ztf-alerts", table, "--object", "nobody", "-o", str(tmp_path / "x")]
    assert "nobody" in refused(capsys, main, words)


def test_what_is_left_out_is_said_as_in_predict(
    model: TrainedModel, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    curves = make_curves(12, passbands=("ztfg", "ztfr", "ztfi"))
    one = curves.take(curves.object_id == name)
    caplog.set_level(logging.INFO)
    predict(model, one)
    expected = [record.getMessage() for record in caplog.records]
    caplog.clear()
    explain(model, curves, name)
    assert [record.getMessage() for record in caplog.records] == expected
    assert "in ztfi" in expected[0] and "are no detections" in expected[-1]


def test_what_cannot_be_classified_says_why(model: TrainedModel) -> None:
    curves = make_curves(3)
    dark = replace(curves, detected=np.zeros_like(curves.detected))
    with pytest.raises(ValueError, match="object0 is not classified: without a detection"):
        explain(model, dark, "object0")
