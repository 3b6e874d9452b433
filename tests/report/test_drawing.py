"""Laws of figures: every arm has a look of its own, legends fit, a single number of labels can be seen."""

import re
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from tests.report.sweeps import scratch, shifted, write_sweep
from tlclass.colors import OKABE_ITO, PASSBANDS
from tlclass.report import figures
from tlclass.report.drawing import add_legend, looks, new_figure
from tlclass.report.svg import hover, inline_svg
from tlclass.report.sweep import Sweep, read_sweeps

ARMS = {"from_scratch": scratch, "transfer": shifted(4), "paper": shifted(2)}


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Sweep:
    """Three arms, one number of labels."""
    return read_sweeps([write_sweep(tmp_path_factory.mktemp("s"), ARMS, (100,), range(2), classes=("TDE",))])[0]


def test_colours_of_arms_differ_and_colour_blind_readers_can_tell_them_apart(sweep: Sweep) -> None:
    chosen = [looks([sweep])[arm]["color"] for arm in sweep.arms]
    assert len(set(chosen)) == len(ARMS) and set(chosen) <= set(OKABE_ITO)


def test_passbands_have_a_colour_and_a_marker_each() -> None:
    assert len({color for color, _ in PASSBANDS.values()}) == len({marker for _, marker in PASSBANDS.values()}) == 6


def boxes(figure: Figure) -> bool:
    """Whether all legends lie inside the figure."""
    figure.draw_without_rendering()
    found = [legend.get_window_extent() for legend in figure.legends]
    return all(box.x0 >= 0 and box.x1 <= figure.bbox.width and box.y0 >= 0 for box in found)


def test_legends_are_not_clipped(sweep: Sweep) -> None:
    assert boxes(figures.learning_curves(sweep, published=True))
    figure = new_figure(3, "x" * 400)
    axes = figure.subplots()
    for number in range(7):
        axes.plot([0, 1], label=f"an arm with a very long name, some.setting.of.the.training={number}, " * 3)
    add_legend(figure, axes)
    assert boxes(figure) and figure.get_figheight() > 4


def test_one_number_of_labels_gives_dots_beside_each_other(sweep: Sweep) -> None:
    (axes,) = figures.learning_curves(sweep).axes
    places = {line.get_label(): float(line.get_xdata()[0]) for line in axes.lines if line.get_label() in ARMS}
    assert len(set(places.values())) == len(ARMS)
    assert all(90 < place < 110 for place in places.values()) and axes.get_xlim()[0] < 60


@pytest.mark.parametrize(("factor", "drawn"), [(1, True), (10_000, False)])
def test_chance_is_on_the_axis_or_said_to_be_below(tmp_path: Path, factor: float, drawn: bool) -> None:
    folder = write_sweep(tmp_path, {"full": shifted(factor)}, (100, 300), range(1), classes=("TDE",))
    (axes,) = figures.learning_curves(read_sweeps([folder])[0]).axes
    assert any("chance" in str(line.get_label()) for line in axes.lines) == drawn
    assert any("chance" in text.get_text() for text in axes.texts) != drawn


def test_counts_have_whole_ticks(tmp_path: Path) -> None:
    folder = write_sweep(tmp_path, {"full": scratch}, (3, 4), range(1), classes=("TDE", "SN Ia"))
    figure = figures.class_curves(read_sweeps([folder])[0])
    counts = [axes for axes in figure.axes if axes.get_ylabel() == "training objects"]
    assert counts and all(float(tick).is_integer() for axes in counts for tick in axes.get_yticks())


def test_a_drawing_has_a_text_per_point_and_no_fixed_black() -> None:
    figure = new_figure(2, "note")
    (line,) = figure.subplots().plot([0, 1, 2], [1, 2, 3], "o-", color="#000000")
    hover(line, ["one", "two", 'a "<three>"'])
    hover(figure.axes[0].plot([], [])[0], [])
    drawing = inline_svg(figure, "n")
    assert re.findall(r"<title>(.*?)</title>", drawing) == ["one", "two", 'a "&lt;three&gt;"']
    assert "#000000" not in drawing and "currentColor" in drawing and 'id="n-' in drawing
    assert drawing == inline_svg(figure, "n")
