"""`tlclass adapt MODEL TABLE -o FOLDER`: a model adapted to your light curves, without a label.

The model's probabilities for complete light curves train it for their first days (`adapt=distill` of `tlclass train`).
"""

import argparse
import logging
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from tlclass.logs import log_to_terminal
from tlclass.options import CommandLine, reported_mistakes
from tlclass.serving.arguments import MODEL, add_arguments, reading_options
from tlclass.wording import in_flags


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line; mistakes end with one sentence and exit code 2. The same command resumes an interrupted run."""
    parser = CommandLine(prog="tlclass adapt", description=__doc__)
    add = parser.add_argument
    add("model", help=MODEL)
    add(
        "input",
        type=Path,
        help="unlabelled light curves: a table (.parquet, .csv, .tsv, .fits), a folder, alert packets, SNANA files",
    )
    add("-o", "--output", type=Path, required=True, help="folder of the adapted model")
    add(
        "--most",
        type=int,
        default=20_000,
        metavar="N",
        help="largest number of light curves to learn from; N are drawn if there are more",
    )
    add("--seed", type=int, default=0, help="number from which all draws follow (0)")
    add(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="e.g. adapt.fit.min_steps=300, for a shorter adaptation",
    )
    add_arguments(parser)
    given, others = parser.parse_known_args(arguments)
    if others:
        setting = next((word for word in others if "=" in word and not word.startswith("-")), None)
        parser.error(f"{setting}: write --set {setting}" if setting else f"unrecognized arguments: {' '.join(others)}")
    log_to_terminal()
    with reported_mistakes(in_flags):
        message = run(given)
    sys.stdout.write(message)


def run(given: argparse.Namespace) -> str:
    """Adapt the model; returns the message for the user.

    Raises:
        FileNotFoundError, ValueError: model or light curves cannot be read, do not fit, or a setting is wrong.
    """
    import shutil

    import numpy as np
    import torch

    from tlclass import plugins
    from tlclass.experiments.adapting import adapt_model, adaptation_from
    from tlclass.experiments.composition import compose
    from tlclass.experiments.result import CHECKPOINTS
    from tlclass.network.checkpoint import DESCRIPTION, save_model
    from tlclass.network.history import ADAPTED
    from tlclass.network.released import named_model
    from tlclass.seeds import stream
    from tlclass.serving.account import Account
    from tlclass.serving.predictions import trained_passbands
    from tlclass.surveys import door
    from tlclass.training.card import write_card

    torch.set_num_threads(1)
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)  # after its import, which sets it to INFO
    plugins.use(given.trust)
    if given.most < 1:
        raise ValueError(f"--most is {given.most}: give a number of light curves, 1 or more")
    if (given.output / DESCRIPTION).exists():
        raise ValueError(f"output {given.output} already holds a model: choose another folder with -o")
    others = [word for word in given.set if not re.match(r"(\w+@)?\+*adapt[.=]", word)]
    if others:
        raise ValueError(f"--set {others[0]}: only settings of adapt count here, e.g. adapt.{others[0].lstrip('+')}")
    how = adaptation_from(compose(["adapt=distill", *given.set]), trust=False)
    if how is None:
        raise ValueError("--set adapt=none would adapt nothing: leave it out")
    model = named_model(given.model)
    curves = door.read(given.input, model.passbands, reading_options(given), model.input)
    if len(curves) > given.most:
        drawn = np.random.default_rng(stream(given.seed, "most")).permutation(len(curves))[: given.most]
        logging.warning("%s: %d of %d light curves are used (--most)", given.input, given.most, len(curves))
        curves = curves.take(np.sort(drawn))
    kept, left_out = trained_passbands(model, curves)
    account = Account(model, given.input.name)
    account.add(curves, kept, left_out, cuts=())  # `adapt_model` selects, and counts what that removes
    account.log()
    adapted = adapt_model(model, kept, given.input.name, how, given.seed, given.output / CHECKPOINTS)
    save_model(adapted, given.output)
    write_card(adapted, given.output)
    shutil.rmtree(given.output / CHECKPOINTS)
    learnt = adapted.training[ADAPTED]["objects"]
    return f"{given.output}: {given.model} adapted to {learnt} unlabelled light curves of {given.input}\n"


if __name__ == "__main__":
    main()
