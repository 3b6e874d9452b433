"""`tlclass release [NAME ...]`: make the models that ship with the package, from a fixed seed."""

import logging
from collections.abc import Sequence
from pathlib import Path

import torch

from tlclass.logs import TIMED, log_to_terminal
from tlclass.network.released import RELEASED
from tlclass.options import CommandLine, reported_mistakes
from tlclass.serving.making import check_data, make, pretrain_all, recipes, score

log = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line; mistakes end with one sentence and exit code 2. Run again, it goes on where it was stopped."""
    parser = CommandLine(prog="tlclass release", description=__doc__)
    known = recipes()
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which (default: all): {', '.join(known)}")
    parser.add_argument("--folder", type=Path, default=RELEASED, help="where the models are written, a folder each")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--models", type=Path, default=Path("models"), help="where pretrained networks are kept")
    parser.add_argument("--cache", type=Path, help="where simulated light curves are kept")
    parser.add_argument(
        "--data",
        type=Path,
        help="folder of the surveys that models are adapted to or trained with, and scored on for their cards",
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of tlclass train, for trials"
    )
    given = parser.parse_intermixed_args(arguments)
    log_to_terminal(TIMED, "%H:%M:%S")
    torch.set_num_threads(1)
    words = [f"paths.models={given.models.resolve()}", "trainer=cpu", "progress=false", "logger=none", *given.set]
    cache = [f"paths.cache={given.cache.resolve()}"] if given.cache else []
    data = [f"paths.data={given.data.resolve()}"] if given.data else []
    words += cache + data
    with reported_mistakes():
        unknown = [name for name in given.names if name not in known]
        if unknown:
            raise ValueError(f"no release {', '.join(unknown)}: choose from {', '.join(known)}")
        if given.set and given.folder.resolve() == RELEASED.resolve():
            raise ValueError(
                f"--set {given.set[0]} makes other models than those that ship with the package: give --folder FOLDER, which leaves those as they are"
            )
        chosen = [known[name] for name in given.names or known]
        check_data(chosen, words)
        pretrain_all(chosen, words, given.jobs)
        for recipe in chosen:
            make(recipe, words, given.folder / recipe.name)
            if given.data:
                score(recipe, [*data, *cache], given.folder / recipe.name)
            elif recipe.scored:
                log.warning("%s is not scored on %s: give --data FOLDER", recipe.name, "; ".join(recipe.scored))


if __name__ == "__main__":
    main()
