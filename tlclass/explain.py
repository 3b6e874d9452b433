"""`tlclass explain MODEL TABLE --object ID -o NAME`: which observations decided the classification of one object."""

import sys
from collections.abc import Sequence
from pathlib import Path

from tlclass.logs import log_to_terminal
from tlclass.options import CommandLine, reported_mistakes
from tlclass.serving.arguments import MODEL, add_arguments, add_keep_passbands, reading_options
from tlclass.wording import in_flags


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line; mistakes end with one sentence and exit code 2."""
    parser = CommandLine(prog="tlclass explain", description=__doc__)
    parser.add_argument("model", help=MODEL)
    parser.add_argument("input", type=Path, help="light curves, as for tlclass predict")
    parser.add_argument("--object", required=True, metavar="ID", help="the object's name")
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="NAME", help="NAME.png and NAME.html are written"
    )
    add_keep_passbands(parser)
    add_arguments(parser)
    given = parser.parse_args(arguments)
    log_to_terminal()
    from tlclass import plugins
    from tlclass.serving.model import load_model

    with reported_mistakes(in_flags):
        plugins.use(given.trust)
        found = load_model(given.model).explain(
            given.input, given.object, keep_passbands=given.keep_passbands, **reading_options(given)
        )
        written = found.write(given.output)
    sys.stdout.write(f"{' and '.join(map(str, written))}\n")


if __name__ == "__main__":
    main()
