"""Write a simulated survey to a file.

    tlclass simulate survey=lsst_simulated n_objects=20000 -o lsst.parquet --plot sheet.png

Keys are those of the survey's card in `conf/survey`, with dots inside blocks: `systematics.outlier_fraction=0`; of a
survey in parts, `reader.parts.faint.n_objects=1000`; of surveys of one sky, `surveys.ztf.n_objects=1000`.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tlclass.config import CONF
from tlclass.experiments.cards import build_survey
from tlclass.experiments.composition import about_survey, compose, refuse_role
from tlclass.inspection.sheet import PER_CLASS, Examples, draw_sheet
from tlclass.lightcurves.arrow import write_parts
from tlclass.lightcurves.curves import SIMULATED, LightCurves, with_passbands
from tlclass.options import CommandLine, reported_mistakes
from tlclass.simulator import JointSimulation, Simulation
from tlclass.surveys import Union
from tlclass.wording import in_settings

Simulated = Simulation | JointSimulation | Union
SUFFIX = "_simulated"
ROWS = 2_000_000  # observations in memory at a time
WRITTEN = (".parquet", ".pq", ".arrow")


def load_simulation(survey: str, overrides: Sequence[str] = ()) -> Simulated:
    """The reader of the card `conf/survey/<survey>.yaml` after `key=value` overrides; of a survey in parts, of all parts.

    Raises:
        ValueError: there is no such survey, or a key or value is wrong.
    """
    known = sorted(path.stem for path in (CONF / "survey").glob(f"*{SUFFIX}.yaml"))
    if survey not in known:
        raise ValueError(f"no simulated survey {survey!r}: choose survey= from {', '.join(known)}")
    try:
        card = compose([f"target={survey}", *map(about_survey, overrides)])["target"]
    except ValueError as error:
        said = in_settings(str(error)).replace("target.", "")
        raise ValueError(
            f"cannot set {', '.join(overrides)}: {said} (keys: those of conf/survey/{survey}.yaml, with dots inside blocks)"
        ) from error
    built: Any = build_survey(card)
    reader: Simulated = built.reader
    return reader


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = CommandLine("tlclass simulate", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("settings", nargs="*", metavar="key=value", help="survey=NAME and keys of its card")
    parser.add_argument("-o", "--output", type=Path, help="file to write: .parquet, or .arrow to open memory-mapped")
    parser.add_argument("--plot", type=Path, help="also draw examples of every class into this image")
    return parser.parse_intermixed_args(argv)


def _simulate_with_bars(reader: Simulated) -> Iterator[LightCurves]:
    """The simulated light curves part after part, all with the same passbands."""
    parts: list[Any] = [part.reader for part in reader.parts.values()] if isinstance(reader, Union) else [reader]
    names = tuple(dict.fromkeys(name for part in parts for name in part.bands))
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bars:
        for part in parts:
            for curves in _simulate(part, bars):
                yield marked(with_passbands(curves, names))


def marked(curves: LightCurves) -> LightCurves:
    """The light curves with a column that says of every object that it is simulated; other tools keep it too."""
    return replace(curves, extra={**curves.extra, SIMULATED: np.ones(len(curves), dtype=bool)})


def _simulate(simulation: Simulation | JointSimulation, bars: Progress) -> Iterator[LightCurves]:
    task = bars.add_task(simulation.name, total=sum(simulation.counts().values()))
    return simulation.read_parts(ROWS, lambda done, _: bars.update(task, completed=done))


def main(argv: Sequence[str] | None = None) -> None:
    """Command line; a mistake of the user, or a disk that is full, ends with one sentence and exit code 2."""
    arguments, examples = _arguments(argv), Examples(PER_CLASS)
    with reported_mistakes():
        write_parts(_counted(_simulate_with_bars(_reader(arguments)), examples), arguments.output)
        sys.stdout.write(f"{examples.objects} simulated light curves in {arguments.output}\n")
        if arguments.plot is not None:
            title = "simulated light curves: flux (zero point 27.5) against days since trigger"
            draw_sheet(examples.curves, examples.names, arguments.plot, title)


def _counted(parts: Iterator[LightCurves], examples: Examples) -> Iterator[LightCurves]:
    """The parts; on the way the examples of each class are taken."""
    for part in parts:
        examples.look(part, part.label)
        yield part


def _reader(arguments: argparse.Namespace) -> Simulated:
    """The simulation that the command line asks for.

    Raises:
        ValueError: the output is missing or of another kind, or a setting is wrong.
        OSError: nothing can be written where the output belongs.
    """
    output: Path | None = arguments.output
    if output is None:
        raise ValueError("no output was given: add -o FILE.parquet")
    bad = [setting for setting in arguments.settings if "=" not in setting]
    if bad:
        raise ValueError(f"{bad[0]!r} is not a setting: write NAME=VALUE, e.g. n_objects=50")
    refuse_role(arguments.settings, "target", "survey")
    settings = dict(setting.split("=", 1) for setting in arguments.settings)
    overrides = [setting for setting in arguments.settings if not setting.startswith("survey=")]
    reader = load_simulation(settings.get("survey", ""), overrides)
    if output.suffix not in WRITTEN:
        raise ValueError(f"output {output}: choose a name that ends in {', '.join(WRITTEN)}")
    output.parent.mkdir(parents=True, exist_ok=True)  # now, not after minutes of simulation
    if not os.access(output.parent, os.W_OK):
        raise PermissionError(f"output {output}: the folder {output.parent.resolve()} cannot be written to")
    return reader


if __name__ == "__main__":
    main()
