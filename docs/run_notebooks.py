"""Runs the tutorials and stores what they print and draw, which the site shows: `python docs/run_notebooks.py [NAME ...]`.

All of them run in this process, one after the other, so that torch is imported once.
"""

import base64
import io
import json
import os
import sys
import tempfile
from contextlib import chdir, redirect_stdout
from pathlib import Path
from typing import Any

import matplotlib

FOLDER = Path(__file__).parent / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
DPI = 80


def run(path: Path) -> dict[str, Any]:
    """The notebook with the outputs of its cells: standard output and figures.

    Args:
        path: of the notebook. It runs in the current folder.

    Raises:
        Exception: whatever a cell raises; the traceback names the notebook and the number of the cell.
    """
    matplotlib.use("agg")
    notebook = read(path)
    namespace: dict[str, Any] = {"__name__": f"notebook_{path.stem}"}
    for number, cell in enumerate(notebook["cells"]):
        if cell["cell_type"] == "code":
            code = compile("".join(cell["source"]), f"{path.name}, cell {number}", "exec")
            with redirect_stdout(io.StringIO()) as printed:
                exec(code, namespace)
            cell["outputs"] = [*_text(printed.getvalue()), *_figures()]
            cell["execution_count"] = None
    return notebook


def read(path: Path) -> dict[str, Any]:
    """A notebook as it is stored."""
    notebook: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return notebook


def _text(printed: str) -> list[dict[str, Any]]:
    lines = printed.splitlines(keepends=True)
    return [{"name": "stdout", "output_type": "stream", "text": lines}] if lines else []


def _figures() -> list[dict[str, Any]]:
    """Those that are open, as PNG; they are closed."""
    from matplotlib import pyplot

    found = []
    for number in pyplot.get_fignums():
        content = io.BytesIO()
        pyplot.figure(number).savefig(content, dpi=DPI, metadata={"Software": None})
        image = base64.b64encode(content.getvalue()).decode()
        found.append({"data": {"image/png": image}, "metadata": {}, "output_type": "display_data"})
    pyplot.close("all")
    return found


def main() -> None:
    """Run those that are named, or all, and write them back."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    for path in NOTEBOOKS:
        if sys.argv[1:] and path.stem not in sys.argv[1:]:
            continue
        with tempfile.TemporaryDirectory() as folder, chdir(folder):
            notebook = run(path)
        path.write_text(json.dumps(notebook, indent=1, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
        print(f"{path.name}: {sum(bool(cell.get('outputs')) for cell in notebook['cells'])} cells with output")


if __name__ == "__main__":
    main()
