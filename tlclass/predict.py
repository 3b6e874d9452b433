"""`tlclass predict [MODEL] INPUT -o OUT.parquet`: class probabilities for light curves.

A survey's card instead of the input: `tlclass predict MODEL survey=NAME [paths.data=FOLDER] [key=value] -o OUT.parquet`.
"""

import argparse
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlclass.logs import log_to_terminal
from tlclass.options import CommandLine, reported_mistakes
from tlclass.serving.arguments import MODEL, add_arguments, add_keep_passbands, reading_options
from tlclass.wording import TRUST, in_flags, of_survey

if TYPE_CHECKING:
    from tlclass.network.checkpoint import TrainedModel
    from tlclass.surveys import Survey

STDIN = "-"
STDIN_FILE = "tlclass-stdin"
SURVEY = "survey="


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line; mistakes end with one sentence and exit code 2."""
    given = _parser().parse_intermixed_args(arguments)
    log_to_terminal()
    words = _of_card if given.input.startswith(SURVEY) else _of_file
    with reported_mistakes(words), _input(given) as source:
        message = _run(given, source)
    sys.stdout.write(message)


def _of_card(message: str) -> str:
    """A message in the words of a card's settings; the package is named by a flag here too."""
    return of_survey(message.replace(TRUST, in_flags(TRUST)))


def _of_file(message: str) -> str:
    """A message in the words of flags; the temporary file of standard input is called so."""
    return re.sub(rf"\S*{STDIN_FILE}\.\w+", "standard input", in_flags(message))


def _run(given: argparse.Namespace, source: "Path | Survey") -> str:
    import torch

    from tlclass import plugins
    from tlclass.network.history import history
    from tlclass.serving.batch import predict_in_parts, refuse_output
    from tlclass.serving.request import Request

    torch.set_num_threads(1)
    plugins.use(given.trust)
    request = Request(
        at_days=given.at_days or (), every_observation=given.every_observation, embedding=given.embedding, top=given.top,
        coverage=given.coverage, prior=given.prior, keep_passbands=given.keep_passbands,
    )  # fmt: skip
    refuse_output(given.output, source)
    options = reading_options(given)
    model, named = _model(given.model, source, options)
    objects, silent, prior = predict_in_parts(model, source, request, options, given.output)
    assumed = f"; {prior}" if prior else ""
    return f"{named}: {objects} objects, {silent} not classifiable, to {given.output} ({history(model)}){assumed}\n"


def _model(given: str | None, source: "Path | Survey", options: dict[str, Any]) -> tuple["TrainedModel", str]:
    """The model that is named, or the released one for the survey of the input; and what to call it."""
    from tlclass.network.released import named_model
    from tlclass.serving.batch import model_for

    name = given or model_for(source, options)  # type: ignore[arg-type]  # a card comes with a model
    return named_model(name), name


@contextmanager
def _input(given: argparse.Namespace) -> Iterator["Path | Survey"]:
    """The path of the input, or the survey of a card; standard input goes through a temporary file."""
    words = [given.input, *given.settings]
    if "=" in given.input and not given.input.startswith(SURVEY):
        _refuse_role(words)
    named = next((word for word in (given.model, given.input) if word and word.startswith(SURVEY)), "")
    if named and (named != given.input or given.model is None):
        raise ValueError(f"{named}: name a model before the survey, e.g. tlclass predict ztf {named}")
    if given.input.startswith(SURVEY):
        from tlclass.serving.surveys import stated_survey

        yield stated_survey(words, given.config_dir, given.trust)
        return
    if given.settings:
        raise ValueError(
            f"{' '.join(words)}: give one input, or a survey's card with its settings, {SURVEY}NAME paths.data=FOLDER"
        )
    if given.input != STDIN:
        yield Path(given.input)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{STDIN_FILE}.{given.format}"
        with path.open("wb") as file:
            while block := sys.stdin.buffer.read(1 << 20):
                file.write(block)
        yield path


def _refuse_role(words: Sequence[str]) -> None:
    """Raise ValueError where a word is `target=NAME`, as for `tlclass evaluate`; Hydra is only imported for words like this."""
    from tlclass.experiments.composition import refuse_role

    refuse_role(words, "target", SURVEY.removesuffix("="))


def _parser() -> argparse.ArgumentParser:
    parser = CommandLine(prog="tlclass predict", description=__doc__)
    add = parser.add_argument
    add(
        "model",
        nargs="?",
        help=f"{MODEL}; if left out, the one for the input's survey",
    )
    add(
        "input",
        help="light curves: a table (.parquet, .csv, .tsv, .fits), a folder, alert packets (.avro, tar), SNANA files, - for standard input, or survey=NAME",
    )
    add(
        "settings",
        nargs="*",
        metavar="key=value",
        help="settings of survey=NAME: paths.data=FOLDER, matches=FILE, survey.key=value",
    )
    add("--config-dir", help="folder with cards of your own")
    add("-o", "--output", type=Path, required=True, help="probabilities: .parquet, .csv or .jsonl")
    add(
        "--at-days",
        type=_numbers,
        metavar="0,5,10",
        help="probabilities from the observations up to these days after time zero: one row per day",
    )
    add("--every-observation", action="store_true", help="one row per observation, from the observations up to it")
    add("--embedding", action="store_true", help="the latent vectors too")
    add("--top", type=int, metavar="K", help="only the K most probable classes")
    add("--coverage", type=float, metavar="0.9", help="a set of classes that holds the true one with this probability")
    add(
        "--prior",
        metavar="PRIOR",
        help="class proportions: flat, balanced (half-way to flat, for macro F1), estimate (from the input), a survey (bts), or a file of 'class: share'",
    )
    add_keep_passbands(parser)
    add_arguments(parser)
    add("--format", default="csv", choices=("csv", "parquet", "avro"), help="format of standard input")
    return parser


def _numbers(text: str) -> list[float]:
    """The days of `--at-days`."""
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"'{text}' is no list of days: give numbers with commas between them, such as 0,5,10"
        ) from None


if __name__ == "__main__":
    main()
