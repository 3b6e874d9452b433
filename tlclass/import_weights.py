"""`tlclass import-weights FILE.h5|FILE.onnx -o FOLDER`: the network of the paper's authors as a model of this package."""

import sys
from collections.abc import Sequence
from pathlib import Path

from tlclass.options import CommandLine, reported_mistakes


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line; mistakes end with one sentence and exit code 2."""
    parser = CommandLine(prog="tlclass import-weights", description=__doc__)
    parser.add_argument(
        "weights", type=Path, help="the authors' file, e.g. NoHostClassifier.h5 of the package astromcad"
    )
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of the model")
    parser.add_argument("--classes", help="in the order of the outputs, with commas; left out: the paper's twelve")
    given = parser.parse_args(arguments)
    from tlclass.network.checkpoint import save_model
    from tlclass.serving.import_weights import as_model
    from tlclass.serving.paper_weights import read_paper_weights
    from tlclass.training.card import write_card

    with reported_mistakes():
        classes = [name.strip() for name in given.classes.split(",")] if given.classes else None
        model = as_model(read_paper_weights(given.weights), classes, given.weights.name)
        save_model(model, given.output)
        write_card(model, given.output)
    sys.stdout.write(
        f"{given.output}: {', '.join(model.classes)}; use it with tlclass predict {given.output} TABLE, or in tlclass train "
        f"with source_model={given.output} encoding=paper. The weights stay under their authors' licence\n"
    )


if __name__ == "__main__":
    main()
