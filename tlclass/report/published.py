"""The curves published in the paper, for comparison: other data, other code, medians instead of means."""

from pathlib import Path

import pandas as pd

from tlclass.report.sweep import Sweep

PANELS = {"elasticc": "LSST", "lsst": "LSST", "bts": "BTS"}  # part of a target's name: panel of Figure 1
CAPTIONS = {
    "LSST": (
        "Grey: medians and median absolute deviations published in Figure 1 (right) of arXiv:2502.18558, on the paper's own data (simulated "
        "ELAsTiCC light curves), read from the authors' vector figure. Other data, test objects and code than this sweep."
    ),
    "BTS": (
        "Grey: medians and median absolute deviations of the BTS figure in the authors' public repository (arXiv:2502.18558, Figure 1 left), "
        "on the paper's own data; that figure is of an unfinished job (2 transfer runs up to 2,000 labels, 1 above), not the paper's final "
        "panel. Other data, test objects and code than this sweep."
    ),
}


def panel_of(sweep: Sweep) -> str | None:
    """Which panel of the paper's Figure 1 has the sweep's kind of target, or None."""
    targets = {str(name).lower() for name in sweep.jobs["target"]}
    found = {panel for part, panel in PANELS.items() if any(part in name for name in targets)}
    return found.pop() if len(found) == 1 else None


def published_curves(panel: str) -> pd.DataFrame:
    """Columns `method` (transfer or direct), `labels`, `median`, `deviation`."""
    table = pd.read_csv(Path(__file__).with_name("published.csv"), comment="#")
    return table[table["panel"] == panel]
