import subprocess
import sys

import pytest

from tests.conftest import ROOT


@pytest.mark.parametrize("script", ["realism.py"])
def test_a_script_starts_as_its_text_says(script: str) -> None:
    """Its folder comes first where Python looks for modules, so none there may be called like one that torch imports."""
    ran = subprocess.run([sys.executable, f"benchmarks/{script}", "--help"], cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert script in ran.stdout
