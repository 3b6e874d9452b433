"""`tlclass publish FOLDER USER/NAME`: put a model on the Hugging Face hub."""

import sys
from collections.abc import Sequence
from pathlib import Path

from tlclass.options import CommandLine, reported_mistakes


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line; mistakes end with one sentence and exit code 2."""
    parser = CommandLine(prog="tlclass publish", description=__doc__)
    parser.add_argument("folder", type=Path, help="folder of a model")
    parser.add_argument(
        "name", nargs="?", help="USER/NAME on the hub; left out: check the folder and write its card, upload nothing"
    )
    parser.add_argument("--private", action="store_true", help="readable by you alone")
    given = parser.parse_args(arguments)
    from tlclass.serving.publishing import publish, ready

    with reported_mistakes():
        if given.name is None:
            sys.stdout.write("ready to publish: " + ", ".join(map(str, ready(given.folder))) + "\n")
        else:
            sys.stdout.write(f"{publish(given.folder, given.name, given.private)}\n")


if __name__ == "__main__":
    main()
