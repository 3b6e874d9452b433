"""Write the report: tables as CSV, the document as Markdown and HTML, the figures; return the table as text."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from tlclass.atomic import write_text
from tlclass.experiments.sweep import by_reason
from tlclass.report import tables
from tlclass.report.document import OBJECTS, comparison, document, objects_page, opening, slug
from tlclass.report.pages import Block, markdown, page
from tlclass.report.provenance import facts
from tlclass.report.sweep import (
    Sweep,
    data_note,
    last_sweep,
    missing_cells,
    read_sweeps,
    unfinished_jobs,
    untested_classes,
)
from tlclass.training.leavings import MACRO

NAMES = ("results.csv", "summary.csv", "report.md", "report.html")


def write_report(folders: Sequence[Path], published: bool = False) -> str:
    """Report the finished jobs below `folders`: one folder, or several that are compared side by side.

    Writes results.csv, summary.csv, report.md, report.html and figures/ into `report_folder(folders)`, and objects.html
    with the worst mistakes if the jobs left any.

    Args:
        folders: each with finished jobs, e.g. results/ztf2lsst.
        published: also draw the paper's own curves, where there are any for the target.

    Returns:
        The tables as text.

    Raises:
        FileNotFoundError: a folder holds no finished job.
        ValueError: two jobs have the same coordinates.
    """
    sweeps, folder = read_sweeps(folders), report_folder(folders)
    unfinished = {name: why for given in folders for name, why in unfinished_jobs(given).items()}
    objects = objects_page(sweeps, folder)
    start = opening(sweeps, facts(folders, sweeps), unfinished, bool(objects))
    middle = comparison(sweeps, folder) if len(folders) > 1 else []
    blocks: list[Block] = [*start, *middle, *document(sweeps, folder, published)]
    jobs = pd.concat([sweep.jobs for sweep in sweeps], ignore_index=True)
    summary = pd.concat([tables.summary_table(sweep.jobs) for sweep in sweeps], ignore_index=True)
    contents = (jobs.to_csv(index=False), summary.to_csv(index=False), markdown(blocks, folder), page(blocks))
    for name, text in zip(NAMES, contents, strict=True):
        write_text(folder / name, text)
    if objects:
        write_text(folder / OBJECTS, page(objects))
    said = [text_report(sweep) for sweep in sweeps]
    if len(folders) > 1:
        said.append(tables.comparison_table(sweeps).to_string(index=False))
    said += [f"{given}: {done}" for given in folders if (done := last_sweep(given))]
    if unfinished:
        said.append("\n".join(["jobs without a result:", *(f"  {line}" for line in by_reason(unfinished))]))
    return "\n\n".join(said)


def report_folder(folders: Sequence[Path]) -> Path:
    """Where the report goes: the folder itself, or for several a folder in the first, named after the others."""
    first, *others = folders
    return first / f"compared_with_{'_and_'.join(slug(str(other)) for other in others)}" if others else first


def text_report(sweep: Sweep) -> str:
    """Scores, label efficiency and what is missing, as aligned text."""
    scores = [MACRO, *sweep.subset_scores, *(f"auroc/{name}" for name in sweep.classes)]
    parts = [
        f"{sweep.name}: {data_note(sweep.jobs)}; AUROC, mean ± standard deviation over seeds",
        tables.score_table(sweep, scores).to_string(index=False),
    ]
    efficiency = tables.efficiency_table(sweep)
    if len(efficiency):
        parts.append(efficiency.to_string(index=False))
    for heading, lines in (
        ("missing jobs", missing_cells(sweep)),
        ("classes without test object", untested_classes(sweep)),
    ):
        if lines:
            parts.append("\n".join([f"{heading}:", *(f"  {line}" for line in lines)]))
    return "\n".join(parts)
