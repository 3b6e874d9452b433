"""`tlclass report DIR`: tables and figures of a sweep; `A B`: two sweeps side by side."""

import sys
from collections.abc import Sequence
from pathlib import Path

from tlclass.options import CommandLine, reported_mistakes
from tlclass.report.write import NAMES, report_folder, write_report


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line; mistakes end with one sentence."""
    parser = CommandLine(prog="tlclass report", description=__doc__)
    parser.add_argument("results", type=Path, nargs="+", help="folder with finished jobs, e.g. results/ztf2lsst")
    parser.add_argument("--published", action="store_true", help="also draw the paper's own curves, marked as such")
    given = parser.parse_args(arguments)
    with reported_mistakes():
        table = write_report(given.results, given.published)
    sys.stdout.write(f"{table}\n\nwritten into {report_folder(given.results)}: {', '.join(NAMES)}, figures\n")


if __name__ == "__main__":
    main()
