"""Look at a survey before training on it: `tlclass inspect survey=bts paths.data=FOLDER`.

    tlclass inspect survey=table survey.reader.objects=o.csv survey.reader.observations=l.csv
    tlclass inspect survey=elasticc source=ztf_simulated paths.data=FOLDER -o elasticc

The settings are the same as for `tlclass train`, but `target` is called `survey`; with `source=NAME` two surveys are compared.
Writes report.txt, report.html, sheet.png and distributions.png. Exit code 1: something is wrong with the data.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from tlclass.atomic import write_text
from tlclass.config import cache_folder
from tlclass.experiments.cards import build_survey
from tlclass.experiments.composition import about_survey, compose, refuse_role
from tlclass.inspection.account import Inspection, compare, inspect_survey
from tlclass.inspection.distributions import draw_distributions, title_of
from tlclass.inspection.sheet import draw_sheet
from tlclass.logs import log_to_terminal
from tlclass.options import CommandLine, reported_mistakes
from tlclass.plugins import Trust
from tlclass.report.pages import Block, Heading, Items, Picture, Table, page
from tlclass.surveys import Several, Survey
from tlclass.wording import of_survey

Section = tuple[str, "pd.DataFrame | list[str]"]


def sections(target: Inspection, source: Inspection | None) -> list[Section]:
    """The sections of the report: each a title and a table or a list of sentences, violations first."""
    violations, notes = list(target.violations), list(target.notes)
    if source is not None:
        worse, more = compare(target, source)
        violations, notes = violations + worse, notes + more
        violations += [f"{source.name}: {sentence}" for sentence in source.violations]
    found: list[Section] = [
        (f"violations: {len(violations)}", [*map(of_survey, violations)]),
        ("notes", [*map(of_survey, notes)]),
        ("objects per class, as read and after each cut", target.counts),
        ("raw labels", target.labels),
        ("raw observations that were dropped", _counts(target.dropped)),
        ("observations that the selection drops", _counts(target.left_out)),
        ("medians per class", target.medians.round(2)),
        (
            "flux per passband (zero point 27.5): percentiles, median error, 5-sigma depth in mag",
            target.fluxes.round(2),
        ),
    ]
    if source is not None:
        found.append((f"the same of the source, {title_of(source)}", source.fluxes.round(2)))
    return found


def _counts(dropped: Mapping[str, int]) -> list[str]:
    return [f"{count:,} {reason}" for reason, count in dropped.items()]


def as_text(title: str, found: Sequence[Section]) -> str:
    """Plain text, tables aligned."""
    blocks = [title]
    for heading, body in found:
        said = "\n".join(f"- {line}" for line in body or ["none"]) if isinstance(body, list) else body.to_string()
        blocks.append(f"{heading}\n{said}".strip())
    return "\n\n".join(blocks) + "\n"


def as_html(title: str, found: Sequence[Section], images: Sequence[Path]) -> str:
    """One self-contained page."""
    blocks: list[Block] = [Heading(title, 1)]
    for heading, body in found:
        if isinstance(body, list):
            blocks += [Heading(heading), Items(body or ["none"])]
        else:
            cells = body.rename_axis("").reset_index().astype(object)
            blocks += [Heading(heading), Table(cells.where(cells.notna(), ""), "")]
    return page([*blocks, *(Picture(image, f"{image.stem}: {title}") for image in images)])


def one_survey(card: Mapping[str, Any], trust: Trust) -> Survey:
    """The survey of a card; see `build_survey` for `trust`.

    Raises:
        ValueError: the card is of several surveys.
    """
    survey = build_survey(card, trust)
    if isinstance(survey, Several):
        raise ValueError(f"source={survey.name} combines several surveys: compare with one at a time")
    return survey


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line. Returns 0 if all is well, 1 if there are violations; mistakes end with one sentence and exit code 2."""
    parser = CommandLine("tlclass inspect", description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "settings", nargs="*", metavar="key=value", help="survey=NAME, source=NAME, paths.data=FOLDER, survey.key=value"
    )
    parser.add_argument("-o", "--output", type=Path, help="folder of the report (inspect/NAME)")
    parser.add_argument("--config-dir", help="folder with cards of your own")
    given = parser.parse_intermixed_args(arguments)
    log_to_terminal()
    logging.getLogger("tlclass.surveys").setLevel(logging.INFO)
    with reported_mistakes(of_survey):
        if not any(word.startswith("survey=") for word in given.settings):
            refuse_role(given.settings, "target", "survey")
            raise ValueError(
                "no survey was given: add survey=NAME, e.g. survey=bts paths.data=FOLDER; for tables of your own put them into a folder and give "
                "survey=table paths.data=FOLDER; the names are the files of conf/survey"
            )
        settings = compose([about_survey(word) for word in given.settings], given.config_dir)
        cache = cache_folder(settings["paths"]["cache"])
        target = inspect_survey(one_survey(settings["target"], settings["trust"]), cache)
        compared = any(word.startswith("source=") for word in given.settings)
        source = inspect_survey(one_survey(settings["source"], settings["trust"]), cache) if compared else None
        return write_report(target, source, given.output or Path("inspect") / target.name)


def write_report(target: Inspection, source: Inspection | None, folder: Path) -> int:
    """Write the files below `folder` and print the text; 1 if anything is violated."""
    folder.mkdir(parents=True, exist_ok=True)
    found, title = sections(target, source), title_of(target)
    images = []
    if len(target.curves):
        images = [folder / "sheet.png", folder / "distributions.png"]
        draw_sheet(
            target.examples.curves,
            target.examples.names,
            images[0],
            f"{title}; flux (zero point 27.5) against days since trigger",
        )
        draw_distributions([target, *([source] if source else [])], images[1])
    text = as_text(f"{title}\ncite: {target.citation or 'nothing stated in the card'}", found)
    write_text(folder / "report.txt", text)
    write_text(folder / "report.html", as_html(title, found, images))
    sys.stdout.write(
        text + f"\nwritten: {folder}/report.txt, report.html{''.join(f', {image.name}' for image in images)}\n"
    )
    return 1 if found[0][1] else 0


if __name__ == "__main__":
    raise SystemExit(main())
