"""`tlclass choose MODEL INPUT -n 100`: which objects to label next, a ranked list for a spectrograph.

tlclass choose ztf my_alerts.parquet -n 100 --where "peak_mag < 19 and n_observations >= 5" -o targets.csv
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tlclass.inputs.labelling import STRATEGIES, Labelling
from tlclass.logs import log_to_terminal
from tlclass.options import CommandLine, reported_mistakes
from tlclass.serving.arguments import MODEL, add_arguments, reading_options
from tlclass.wording import in_flags


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line; mistakes end with one sentence and exit code 2."""
    given = _parser().parse_args(arguments)
    log_to_terminal()
    with reported_mistakes(in_flags):
        sys.stdout.write(_run(given))


def _run(given: argparse.Namespace) -> str:
    import torch

    from tlclass import plugins
    from tlclass.network.released import named_model
    from tlclass.serving.batch import as_csv, opened, refuse_output
    from tlclass.serving.choosing import choose, read_ids
    from tlclass.surveys import door

    torch.set_num_threads(1)
    plugins.use(given.trust)
    labelling = Labelling(given.strategy, random=given.random, where=given.where)
    if given.output is not None:
        refuse_output(given.output, given.input)
    model = named_model(given.model)
    labelled = read_ids(given.labelled, model.passbands) if given.labelled else []
    curves = door.read(given.input, model.passbands, reading_options(given), model.input)
    table = choose(model, curves, given.n, labelling, labelled, given.seed, str(given.input))
    if given.output is None:
        return as_csv(table)
    with opened(given.output, table.schema) as writer:
        writer.write(table)
    return f"{len(table)} of {len(curves)} objects to {given.output}\n"


def _parser() -> argparse.ArgumentParser:
    parser = CommandLine(prog="tlclass choose", description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add("model", help=MODEL)
    add("input", type=Path, help="light curves: whatever tlclass predict reads")
    add("-n", type=int, default=100, help="how many objects (100)")
    add("--strategy", default="margin", help=f"how to choose (margin): {', '.join(STRATEGIES)}")
    add(
        "--where",
        metavar="CONDITION",
        help='e.g. "peak_mag < 19 and p(TDE) > 0.1"; last_mag, ra, dec, n_observations, class, ...',
    )
    add("--random", type=float, default=0.0, metavar="SHARE", help="this share is drawn at random instead (0)")
    add(
        "--labelled",
        type=Path,
        metavar="FILE",
        help="objects that have a label already: a table (object_id, class), or one id a line",
    )
    add("--seed", type=int, default=0, help="number from which all draws follow (0)")
    add("-o", "--output", type=Path, help="the list: .csv, .parquet or .jsonl (without: CSV on standard output)")
    add_arguments(parser)
    return parser


if __name__ == "__main__":
    main()
