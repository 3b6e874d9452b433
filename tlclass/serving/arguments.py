"""What a command line states about how its input is read: the same words for every command that reads light curves."""

import argparse
from collections.abc import Sequence
from typing import Any

MODEL = "a released model (tlclass models), a folder, or hf://USER/NAME"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the words about the input; `reading_options` reads them."""
    add = parser.add_argument
    add(
        "--positive",
        action="store_true",
        help="all differences are positive, where magnitudes have no sign (isdiffpos)",
    )
    add("--drop-unknown-passbands", action="store_true", help="leave out rows of passbands the model has no name for")
    add(
        "--column",
        action="append",
        default=[],
        metavar="NAME=COLUMN",
        help="our name = the file's column, e.g. mjd=time; NAME=null: do not read it",
    )
    add("--flux-unit", help="fluxcal (zero point 27.5 AB), jy, mjy, ujy, njy, or the AB zero point")
    add(
        "--time-offset",
        type=float,
        metavar="DAYS",
        help="days to add to the times to get MJD, e.g. -2400000.5 for Julian dates",
    )
    add_trust(parser)


def add_trust(parser: argparse.ArgumentParser) -> None:
    """Add the word of every command that loads a model, see `tlclass.plugins`."""
    parser.add_argument(
        "--trust",
        action="append",
        default=[],
        metavar="PACKAGE",
        help="import this package, whose classes the model uses",
    )


def add_keep_passbands(parser: argparse.ArgumentParser) -> None:
    """Add the word of commands that classify, see `tlclass.serving.request.Request`."""
    parser.add_argument("--keep-passbands", action="store_true", help="use passbands that the model was not trained on")


def reading_options(given: argparse.Namespace) -> dict[str, Any]:
    """What is stated about the input, for `tlclass.surveys.door.read`.

    Raises:
        ValueError: a column is not stated as NAME=COLUMN.
    """
    options: dict[str, Any] = {"flux_unit": _unit(given.flux_unit)} if given.flux_unit else {}
    if given.column:
        options["columns"] = _pairs(given.column)
    if given.time_offset is not None:
        options["time_offset"] = given.time_offset
    if given.drop_unknown_passbands:
        options["unknown_passbands"] = "drop"
    if given.positive:
        options["positive"] = True
    return options


def _pairs(given: Sequence[str]) -> dict[str, str | None]:
    wrong = [pair for pair in given if "=" not in pair]
    if wrong:
        raise ValueError(f"--column {wrong[0]}: write it as NAME=COLUMN, e.g. --column mjd=time")
    named = dict(pair.split("=", 1) for pair in given)
    return {name: None if column == "null" else column for name, column in named.items()}


def _unit(given: str) -> str | float:
    try:
        return float(given)
    except ValueError:
        return given
