"""The sections of the report of a sweep."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from tlclass.atomic import atomic_path
from tlclass.experiments.sweep import by_reason
from tlclass.report import diagnostics, figures, mistakes, tables
from tlclass.report.convergence import convergence_table
from tlclass.report.pages import Block, Facts, Heading, Items, Link, Paragraph, Picture, Table
from tlclass.report.published import CAPTIONS, panel_of
from tlclass.report.svg import inline_svg
from tlclass.report.sweep import Sweep, data_note, missing_cells, untested_classes

OBJECTS = "objects.html"
OBJECTS_LINK = "The worst mistakes, with light curves and probabilities over time"
MISTAKES_CAPTION = (
    "Above: the light curve; hollow markers: not detected. Below: the probability of every class from the observations up to "
    "so many days; thick: the true class."
)


@dataclass(frozen=True)
class Gallery:
    """Where the figures of one sweep go."""

    folder: Path

    def keep(self, name: str, figure: Figure, caption: str) -> Picture:
        """Write the figure as PNG and PDF, and draw it for the page."""
        path = self.folder / f"{name}.png"
        figure.draw_without_rendering()  # lays out, once for all files
        figure.set_layout_engine(None)  # "none" would leave a placeholder, for which every file is drawn twice
        for file, options in ((path, {"dpi": 150}), (path.with_suffix(".pdf"), {"metadata": {"CreationDate": None}})):
            with atomic_path(file) as temporary:
                figure.savefig(temporary, **options)
        return Picture(path, caption, inline_svg(figure, f"{self.folder.name}-{name}"))


def slug(name: str) -> str:
    """A sweep's name as a folder name."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", name).strip("_.") or "sweep"


def opening(
    sweeps: Sequence[Sweep], about: Sequence[tuple[str, str]], unfinished: Mapping[str, str], objects: bool
) -> list[Block]:
    """What was run, when and where, which jobs have no result and why, and which data are simulated.

    Args:
        sweeps: of the report.
        about: names and values; see `tlclass.report.provenance.facts`.
        unfinished: folders of jobs without a result, and the reasons.
        objects: whether the page of mistakes is there.
    """
    names = ", ".join(sweep.name for sweep in sweeps)
    blocks: list[Block] = [Heading(f"Report of {names}", 1)]
    blocks += [Paragraph(f"{sweep.name}: {data_note(sweep.jobs)}.") for sweep in sweeps]
    blocks.append(Facts(about))
    if unfinished:
        blocks += [
            Heading("Jobs without a result"),
            Paragraph("These jobs have no result, so the scores below do not include them."),
        ]
        blocks.append(Items(by_reason(unfinished)))
    if objects:
        blocks.append(Link(OBJECTS_LINK, OBJECTS))
    return blocks


def document(sweeps: Sequence[Sweep], folder: Path, published: bool) -> list[Block]:
    """All sections; figures are written below `folder`/figures on the way."""
    blocks: list[Block] = []
    for sweep in sweeps:
        place = folder / "figures" / (slug(sweep.name) if len(sweeps) > 1 else "")
        blocks += [Heading(sweep.name), *sections(sweep, Gallery(place), published)]
    return blocks


def objects_page(sweeps: Sequence[Sweep], folder: Path) -> list[Block]:
    """The worst mistakes of every arm; empty if no job left any."""
    blocks: list[Block] = []
    for sweep in sweeps:
        place = Gallery(folder / "figures" / (slug(sweep.name) if len(sweeps) > 1 else ""))
        for arm, job, found in mistakes.of_arms(sweep):
            blocks.append(Heading(f"{sweep.name}: {job}" if len(sweeps) > 1 else job))
            drawn = mistakes.mistakes_figure(sweep, job, found)
            blocks.append(place.keep(f"mistakes_{slug(arm)}", drawn, MISTAKES_CAPTION))
            blocks.append(Table(mistakes.mistakes_table(found), "The same objects."))
    if not blocks:
        return []
    note = (
        "Test objects whose true class got the lowest probability, of the first seed at each arm's largest number of labels. "
        "A class may also be wrong in the survey's own table: these are the first objects to check."
    )
    return [Heading("The worst mistakes", 1), Link("Back to the report", "report.html"), Paragraph(note), *blocks]


def comparison(sweeps: Sequence[Sweep], folder: Path) -> list[Block]:
    """Several sweeps side by side."""
    drawn = Gallery(folder / "figures").keep(
        "comparison", figures.comparison_curves(sweeps), "Macro AUROC against labels; line styles are sweeps."
    )
    caption = "Macro AUROC, mean ± standard deviation over seeds, 95 % bootstrap interval of the mean, number of seeds."
    return [Heading("Side by side"), Table(tables.comparison_table(sweeps), caption), drawn]


def sections(sweep: Sweep, gallery: Gallery, published: bool) -> Iterator[Block]:
    """All sections of one sweep; where one cannot be made, the reason stands in its place."""
    yield Paragraph(f"Data: {data_note(sweep.jobs)}. {interval_note(sweep)}")
    yield from absences(sweep)
    yield from scores(sweep, gallery, published)
    yield from comparisons(sweep, gallery)
    yield from predictions(sweep, gallery)
    yield from speed(sweep, gallery)
    yield from class_counts(sweep)


def interval_note(sweep: Sweep) -> str:
    """How the intervals are made, and how far they can be trusted with so few seeds."""
    seeds = sweep.jobs["seed"].nunique()
    if seeds == 1:
        return "One seed: there are no intervals and no standard deviations."
    note = f"Intervals: 95 % percentile bootstrap over the {seeds} seeds, resampled as a whole (arms stay paired)."
    note += " An arm with a single seed has no interval, because its spread is not known."
    if seeds < 10:
        note += " With fewer than about ten seeds such intervals are too narrow"
        note += f"; with {seeds} they are the range of the seeds." if seeds <= 3 else "."
    return note


def absences(sweep: Sweep) -> Iterator[Block]:
    """Missing cells and classes, by name."""
    missing, untested = missing_cells(sweep), untested_classes(sweep)
    if missing:
        yield Heading("Missing jobs", 3)
        yield Paragraph("These combinations have no finished job, so their means are over fewer seeds (column seeds).")
        yield Items(missing)
    if untested:
        yield Heading("Classes without a score", 3)
        yield Paragraph("Here no test object has the class, so the macro AUROC is the mean over the other classes.")
        yield Items(untested)


def scores(sweep: Sweep, gallery: Gallery, published: bool) -> Iterator[Block]:
    """Learning curves and the tables of scores."""
    yield Heading("Scores", 3)
    caption = "Macro AUROC against labels: mean, 95 % bootstrap band over seeds, a point per seed; dotted horizontal lines: 0 labels."
    panel = panel_of(sweep)
    if published:
        caption += f" {CAPTIONS[panel]}" if panel else ""
    yield gallery.keep("learning_curves", figures.learning_curves(sweep, published), caption)
    if published and not panel:
        yield Paragraph("The paper published no curve for this target (only LSST and BTS), so none is shown.")
    yield Table(tables.main_table(sweep), "Scores on the test part: mean ± standard deviation over seeds.")
    if sweep.subset_scores:
        caption = "Mean AUROC of the common classes and of subsets of the test part, as above."
        yield gallery.keep("common_classes", figures.subset_curves(sweep), caption)
    if sweep.classes:
        caption = (
            "AUROC per class, as above. Grey bars, right axis: mean number of the class's objects in the training part."
        )
        yield gallery.keep("classes", figures.class_curves(sweep), caption)
        yield Table(
            tables.class_table(sweep),
            "One-vs-rest AUROC per class: mean ± standard deviation; missing: no test object.",
        )
    if sweep.magnitude_scores:
        yield Table(
            tables.magnitude_table(sweep),
            "AUROC by brightness: equal thirds of the test part by the AB magnitude of the brightest detection, mean ± standard deviation.",
        )
    if figures.early_columns(sweep):
        caption = "Macro AUROC against days since the trigger, each arm at its largest number of labels, 95 % bootstrap band over seeds."
        yield gallery.keep("early", figures.early_curves(sweep), caption)


def comparisons(sweep: Sweep, gallery: Gallery) -> Iterator[Block]:
    """Arms against the baselines: differences, label efficiency, ratio and skill."""
    yield Heading("Against the baselines", 3)
    if not sweep.references or len(sweep.arms) < 2:
        yield Paragraph(
            "The sweep has no reference arm (training from scratch, trees, the paper's recipe) beside another: nothing to compare."
        )
        return
    paired = tables.paired_table(sweep)
    if len(paired):
        caption = (
            "Difference in macro AUROC for the same seed and labels: mean, 95 % bootstrap interval, a point per seed."
        )
        yield gallery.keep("differences", figures.difference_curves(sweep), caption)
        yield Table(paired, "Paired differences in macro AUROC (same seed, labels and objects).")
    yield Table(
        tables.efficiency_table(sweep),
        "Label efficiency: labels at which the monotone curve through the means reaches the baseline's score at its largest number of labels "
        "(interpolated in the logarithm of the labels, never extrapolated).",
    )
    yield Table(
        tables.share_table(sweep),
        "AUROC as a ratio to the baseline's at its largest number of labels, and skill above chance, (A - 0.5) / (A of the baseline - 0.5): "
        "chance is an AUROC of 0.5, so the ratio alone looks too good.",
    )


def predictions(sweep: Sweep, gallery: Gallery) -> Iterator[Block]:
    """Confusion and reliability."""
    yield Heading("Confusion and reliability", 3)
    present = diagnostics.arms_with_predictions(sweep)
    absent = [arm for arm in sweep.arms if arm not in present]
    if absent:
        yield Paragraph(f"Not shown, because a job has no predictions.parquet: {', '.join(absent)}.")
    if present:
        caption = "Confusion matrices: shares of each true class, summed over the seeds of each arm's largest number of labels."
        yield gallery.keep("confusion", diagnostics.confusion_matrices(sweep), caption)
        caption = (
            f"Reliability at each arm's largest number of labels, all seeds together: {diagnostics.BINS} bins, those with at "
            f"least {diagnostics.FEWEST} objects. Above the diagonal: too cautious; below: too confident. ECE: mean over seeds."
        )
        yield gallery.keep("reliability", diagnostics.reliability_diagram(sweep), caption)


def speed(sweep: Sweep, gallery: Gallery) -> Iterator[Block]:
    """Convergence."""
    yield Heading("Convergence", 3)
    found = convergence_table(sweep)
    if found.empty:
        yield Paragraph(
            "Not shown, because no job of from_scratch has a history.json, or the targets differ: training from scratch sets the goal."
        )
        return
    absent = [arm for arm in sweep.arms if arm not in set(found["arm"])]
    if absent:
        yield Paragraph(f"Not shown, because no job has a history.json: {', '.join(absent)}.")
    caption = (
        "The goal is 95 % of from_scratch's best validation macro AUROC with as many labels (mean over seeds). "
        "Lower panels: median over seeds, where most of them reach the goal; a point per seed that reaches it. Step 0 is before any training."
    )
    yield gallery.keep("convergence", figures.convergence_figure(sweep), caption)
    yield Table(
        found,
        "Optimizer steps and seconds until the goal: median over seeds and range. Seconds depend on the machine of each job.",
    )


def class_counts(sweep: Sweep) -> Iterator[Block]:
    """Table 1."""
    yield Heading("Class counts", 3)
    surveys = tables.survey_counts(sweep)
    if not surveys:
        yield Paragraph("No job has a survey.json, so the class counts are not known.")
    for counts in surveys:
        kind = "simulated" if counts["simulated"] else "real"
        tested = counts["role"] == "target" and same_test(sweep)
        caption = f"{counts['role']}: {counts['survey']} ({kind}), usable objects per class"
        yield Table(tables.counts_table(counts, tested), caption + (" and in the test part." if tested else "."))


def same_test(sweep: Sweep) -> bool:
    """Whether every job was tested on as many objects of each class."""
    counts: pd.DataFrame = sweep.jobs[[f"n/{name}" for name in sweep.classes if f"n/{name}" in sweep.jobs]]
    return len(counts.columns) > 0 and bool((counts.nunique() <= 1).all())
