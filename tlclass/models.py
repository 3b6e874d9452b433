"""`tlclass models [NAME]`: the models that ship with the package, or the card of one."""

import sys
from collections.abc import Sequence

from tlclass.options import CommandLine, reported_mistakes


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line; mistakes end with one sentence and exit code 2."""
    parser = CommandLine(prog="tlclass models", description=__doc__)
    parser.add_argument("name", nargs="?", help="a released model, a folder, or hf://USER/NAME: print its card")
    given = parser.parse_args(arguments)
    with reported_mistakes():
        sys.stdout.write(_card(given.name) if given.name else _listing())


def _card(name: str) -> str:
    from tlclass.serving.model import load_model

    return load_model(name).card


def _listing() -> str:
    from tlclass.network.released import RELEASED, released

    lines = []
    for name, about in released().items():
        size = sum(file.stat().st_size for file in (RELEASED / name).iterdir()) / 1e6
        bands = (about.get("trained_on") or {}).get("passbands") or list(about["passbands"])
        lines.append(f"{name}\n  {about['training'].get('summary', '')}")
        lines.append(
            f"  classes: {', '.join(about['classes'])}\n  passbands: {', '.join(bands)}; {size:.1f} MB; weights {about['weights_sha256'][:12]}\n"
        )
    return "\n".join(lines) or "no model ships with this installation: run `tlclass release`\n"


if __name__ == "__main__":
    main()
