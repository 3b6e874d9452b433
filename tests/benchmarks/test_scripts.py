import subprocess
import sys

from tests.conftest import ROOT


def test_a_script_starts_as_its_text_says() -> None:
    """Its folder comes first where Python looks for modules, so none there may be called like one that torch imports."""
    ran = subprocess.run([sys.executable, "benchmarks/realism.py", "--help"], cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert "realism.py" in ran.stdout
