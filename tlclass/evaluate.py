"""Score a trained model on a labelled survey: `tlclass evaluate MODEL target=bts paths.data=FOLDER`.

    tlclass evaluate results/best/seed0 target=elasticc paths.data=FOLDER -o elasticc
    tlclass evaluate results/best/seed0 target=bts protocol.test_fraction=0.2 --test-part
    tlclass evaluate my_model target=elasticc paths.data=FOLDER --card "ELAsTiCC, all objects"

The settings are the same as for `tlclass train`; the survey to score is `target`. Writes scores.json, predictions.parquet, report.md,
report.html and figures/; --card writes the scores into the card of the model too.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from tlclass.logs import log_to_terminal
from tlclass.options import CommandLine, reported_mistakes
from tlclass.wording import in_settings


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line; mistakes end with one sentence and exit code 2."""
    parser = CommandLine("tlclass evaluate", description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "model", help="folder of a job or a model, a released model (tlclass models), or hf://USER/NAME"
    )
    parser.add_argument(
        "settings", nargs="*", metavar="key=value", help="target=NAME, paths.data=FOLDER, target.key=value"
    )
    parser.add_argument("--test-part", action="store_true", help="score the test part of protocol.test=fixed alone")
    parser.add_argument("-o", "--output", type=Path, help="folder of the scores (evaluate/MODEL/SURVEY)")
    parser.add_argument("--card", metavar="TITLE", help="add the scores to the card of the model, under this title")
    parser.add_argument("--config-dir", help="folder with cards of your own")
    given = parser.parse_intermixed_args(arguments)
    log_to_terminal()
    with reported_mistakes(in_settings):
        from tlclass.serving.evaluating import evaluate

        said = evaluate(given.model, given.settings, given.test_part, given.output, given.config_dir, given.card)
        sys.stdout.write(said)


if __name__ == "__main__":
    main()
