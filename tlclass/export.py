"""`tlclass export MODEL -o FILE.onnx`: a model as one graph that other programs run, with its encoding and calibration."""

import sys
from collections.abc import Sequence
from pathlib import Path

from tlclass.options import CommandLine, reported_mistakes
from tlclass.serving.arguments import MODEL, add_trust
from tlclass.wording import in_flags


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line; mistakes end with one sentence and exit code 2."""
    parser = CommandLine(prog="tlclass export", description=__doc__)
    parser.add_argument("model", help=MODEL)
    parser.add_argument("-o", "--output", type=Path, required=True, help="FILE.onnx, or FILE.pt2 for torch.export")
    add_trust(parser)
    given = parser.parse_args(arguments)
    from tlclass import plugins
    from tlclass.network.released import named_model
    from tlclass.serving.export import export, inputs_of

    with reported_mistakes(in_flags):
        plugins.use(given.trust)
        model = named_model(given.model)
        export(model, given.output)
    inputs = "".join(f"  {name:<12}{what}\n" for name, what in inputs_of(model).items())
    sys.stdout.write(f"{given.output}: probabilities of {', '.join(model.classes)} from\n{inputs}")


if __name__ == "__main__":
    main()
