"""The `tlclass` command: `tlclass train ...` is `python -m tlclass.train ...`, and so for every command."""

import difflib
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec

from tlclass import __version__

COMMANDS = {  # name -> what it does; the module `tlclass.NAME` or `tlclass.NAME.__main__` with a function `main`
    "train": "pretrain on a source survey, transfer to a target, score; whole sweeps with -m",
    "predict": "class probabilities for a table, a folder or alert packets",
    "adapt": "a model adapted to your light curves, without labels",
    "evaluate": "scores of a trained model on another labelled survey",
    "report": "tables and figures of the jobs in a folder",
    "inspect": "what is in a survey or a table of light curves, and what is wrong with it",
    "simulate": "light curves of a simulated survey as a table",
    "fetch": "download a public data set",
    "models": "the models that ship with the package, and the card of a model",
    "explain": "which observations decided a classification",
    "stream": "classify alerts as they arrive",
    "export": "a model as ONNX or torch.export, for other programs",
    "import-weights": "the network of the paper's authors as a model",
    "release": "retrain the models that ship with the package",
    "publish": "put a model on the Hugging Face hub",
    "choose": "which objects to label next",
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command named by the first word with the remaining words as arguments.

    Raises:
        SystemExit: 2 if there is no such command, else the code of a command that failed.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    name = words[0] if words else "--help"
    if name in ("-h", "--help", "help"):
        sys.stdout.write(overview())
    elif name in ("-V", "--version"):
        sys.stdout.write(f"tlclass {__version__}\n")
    elif name not in COMMANDS:
        sys.stderr.write(f"error: {unknown(name)}\n")
        raise SystemExit(2)
    else:
        sys.argv = [f"tlclass {name}", *words[1:]]
        if code := import_module(module_of(name)).main():
            raise SystemExit(code)


def module_of(name: str) -> str:
    """The module whose `main` is the command."""
    module = f"tlclass.{name.replace('-', '_')}"
    spec = find_spec(module)
    return f"{module}.__main__" if spec is not None and spec.submodule_search_locations else module


def overview() -> str:
    """What `tlclass --help` says."""
    lines = [f"  {name:<16}{COMMANDS[name]}" for name in COMMANDS]
    return "\n".join(
        [
            "usage: tlclass COMMAND ...",
            "",
            "Transfer learning for the classification of astronomical transients from their light curves.",
            "",
            *lines,
            "",
            "tlclass COMMAND --help explains a command, tlclass --version says which version this is.",
            "",
        ]
    )


def unknown(name: str) -> str:
    """The message for an unknown command, with the nearest known one."""
    near = difflib.get_close_matches(name, list(COMMANDS), n=1)
    meant = f", did you mean {near[0]}?" if near else ":"
    return f"tlclass has no command '{name}'{meant} Commands are {', '.join(COMMANDS)}"


if __name__ == "__main__":
    main()
