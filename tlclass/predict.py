"""`tlclass predict [MODEL] INPUT -o OUT.parquet`: class probabilities for light curves."""

import argparse
import logging
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlclass.options import reported_mistakes
from tlclass.serving.reading import MODEL, add_arguments, reading_options

if TYPE_CHECKING:
    from tlclass.network.checkpoint import TrainedModel

log = logging.getLogger(__name__)

STDIN = "-"


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line; mistakes end with one sentence and exit code 2."""
    given = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    with reported_mistakes(), _input(given.input, given.format) as source:
        message = _run(given, source)
    sys.stdout.write(message)


def _run(given: argparse.Namespace, source: Path) -> str:
    import torch

    from tlclass import plugins
    from tlclass.serving.batch import predict_in_parts, writer_for
    from tlclass.serving.request import Request

    torch.set_num_threads(1)
    plugins.use(given.trust)
    request = Request(
        at_days=given.at_days or (), every_observation=given.every_observation, embedding=given.embedding, top=given.top,
        coverage=given.coverage, prior=given.prior, keep_passbands=given.keep_passbands,
    )  # fmt: skip
    writer = writer_for(given.output, source)
    options = reading_options(given)
    model, named = _model(given.model, source, options)
    done = predict_in_parts(model, source, request, options, writer)
    note = " (trained on simulated light curves)" if model.simulated else ""
    prior = f"; {done.prior}" if done.prior else ""
    return f"{named}: {done.objects} objects, {done.silent} not classifiable, to {given.output}{note}{prior}\n"


def _model(given: str | None, source: Path, options: dict[str, Any]) -> tuple["TrainedModel", str]:
    """The model that is named, or the released one for the survey of the input; and what to call it."""
    from tlclass.network.checkpoint import load_model
    from tlclass.network.released import model_folder
    from tlclass.serving.batch import survey_of

    name = given or survey_of(source, options)
    return load_model(model_folder(name)), name


@contextmanager
def _input(given: str, form: str) -> Iterator[Path]:
    """The path of the input; standard input goes through a temporary file."""
    if given != STDIN:
        yield Path(given)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"stdin.{form}"
        with path.open("wb") as file:
            while block := sys.stdin.buffer.read(1 << 20):
                file.write(block)
        yield path


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tlclass predict", description=__doc__)
    add = parser.add_argument
    add(
        "model",
        nargs="?",
        help=f"{MODEL}; if left out, the one for the input's survey",
    )
    add(
        "input",
        help="light curves: a table (.parquet, .csv), a folder, alert packets (.avro, tar), SNANA files, or - for standard input",
    )
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
        help="class proportions: flat, estimate (from the input), a survey's name (bts), or a file of 'class: share'",
    )
    add("--keep-passbands", action="store_true", help="use passbands that the model was not trained on")
    add_arguments(parser)
    add("--format", default="csv", choices=("csv", "parquet", "avro"), help="of standard input")
    return parser


def _numbers(text: str) -> list[float]:
    return [float(part) for part in text.split(",")]


if __name__ == "__main__":
    main()
