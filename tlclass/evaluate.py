"""Score a trained model on a labelled survey: `tlclass evaluate MODEL target=bts paths.data=FOLDER`.

    tlclass evaluate results/best/seed0 target=elasticc paths.data=FOLDER -o elasticc
    tlclass evaluate results/best/seed0 target=bts protocol.test_fraction=0.2 --test-part

The settings are the same as for `tlclass train`; the survey to score is `target`. Writes scores.json, predictions.parquet, report.md,
report.html and figures/.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tlclass.experiments.composition import compose
from tlclass.options import reported_mistakes


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line; mistakes end with one sentence and exit code 2."""
    parser = argparse.ArgumentParser("tlclass evaluate", description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "model", help="folder of a job or a model, a released model (tlclass models), or hf://USER/NAME"
    )
    parser.add_argument(
        "settings", nargs="*", metavar="key=value", help="target=NAME, paths.data=FOLDER, target.key=value"
    )
    parser.add_argument("--test-part", action="store_true", help="score the test part of protocol.test=fixed alone")
    parser.add_argument("-o", "--output", type=Path, help="folder of the scores (evaluate/NAME)")
    parser.add_argument("--config-dir", help="folder with cards of your own")
    given = parser.parse_intermixed_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    with reported_mistakes():
        sys.stdout.write(evaluate(given.model, given.settings, given.test_part, given.output, given.config_dir))


def evaluate(
    model: str | Path,
    words: Sequence[str],
    test_part: bool = False,
    output: Path | None = None,
    config_dir: str | None = None,
) -> str:
    """Score a model on the target that these words name; returns the tables as text.

    Args:
        model: see `tlclass.load_model`.
        words: as on the command line of `tlclass.train`.
        test_part: score the test part of `protocol.test=fixed` alone, not all objects.
        output: folder of the scores; `evaluate/NAME` if None.
        config_dir: folder with cards of the user's own.

    Raises:
        FileNotFoundError, ValueError: model or survey cannot be read or do not fit; one sentence says why.
    """
    import torch

    from tlclass import plugins
    from tlclass.atomic import write_json
    from tlclass.experiments.cards import build_survey
    from tlclass.experiments.scoring import score_model
    from tlclass.inputs.split import Protocol
    from tlclass.network.checkpoint import load_model
    from tlclass.network.released import model_folder
    from tlclass.options import build
    from tlclass.report.evaluation import intervals, write_evaluation
    from tlclass.surveys import Survey

    if not any(word.startswith("target=") for word in words):
        raise ValueError(
            "no survey was given: add target=NAME, e.g. target=bts paths.data=FOLDER; the names are the files of conf/survey"
        )
    settings = compose(words, config_dir)
    torch.set_num_threads(int(settings["threads"]))
    plugins.use(settings["trust"])
    home = model_folder(model)
    trained, survey = load_model(home), build_survey(settings["target"], settings["trust"])
    if not isinstance(survey, Survey):
        raise ValueError(f"target={survey.name} combines several surveys: score one at a time")
    folder = output or Path("evaluate") / survey.name
    refuse_used(folder)
    protocol = replace(build(Protocol, settings["protocol"], "protocol"), test="fixed" if test_part else "remainder")
    scored = score_model(trained, home, survey, protocol, Path(settings["paths"]["cache"]), folder)
    found = intervals(folder)
    text = write_evaluation(scored.row, found, scored.notes, folder)
    contents = {"model": str(model), **scored.row, "notes": scored.notes, "intervals": found}
    write_json(folder / "scores.json", contents)
    return f"{text}\n\nwritten into {folder}: scores.json, predictions.parquet, report.md, report.html, figures\n"


def refuse_used(folder: Path) -> None:
    """Raise ValueError if the folder holds a job or a model, whose files would be replaced."""
    for name in ("model.json", "job.json"):
        if (folder / name).exists():
            raise ValueError(
                f"output {folder} holds {name}, so its files would be replaced: choose another folder with -o"
            )


if __name__ == "__main__":
    main()
