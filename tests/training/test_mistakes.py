"""The mistakes that a job stores are its worst ones, with the light curves as they were."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from tlclass.lightcurves.curves import from_columns
from tlclass.training.mistakes import MOST, write_mistakes

CLASSES = ("SN Ia", "SN II")


@pytest.fixture(scope="module")
def data() -> Any:
    """Forty objects of three observations each; the odd ones are SN II; all but the first ten are the test part."""
    n = 40
    observations = {
        "owner": np.repeat(np.arange(n), 3),
        "mjd": 59000 + np.tile([0.0, 5.0, 20.0], n),
        "passband": np.tile(np.array([0, 1, 0], dtype=np.uint8), n),
        "flux": np.arange(3.0 * n),
        "flux_err": np.ones(3 * n),
    }
    objects = {"object_id": np.array([f"o{k:02d}" for k in range(n)]), "trigger_mjd": np.full(n, 59000.0)}
    curves = from_columns(objects, observations, ("ztfg", "ztfr"), "test")
    return SimpleNamespace(
        curves=curves, classes=CLASSES, label=np.arange(n) % 2, split=SimpleNamespace(test=np.arange(10, n))
    )


def test_the_worst_come_first_with_their_light_curves(data: Any, tmp_path: Path) -> None:
    chance = torch.linspace(-3, 3, 30)  # logit of SN II
    logits = torch.stack([torch.zeros(30), chance], dim=1)
    write_mistakes(tmp_path / "m.parquet", data, logits, {10: logits, 0: torch.zeros_like(logits)})
    found = pd.read_parquet(tmp_path / "m.parquet")
    assert 0 < len(found) <= MOST and (found["class"] != found["predicted"]).all()
    true = [one[f"p({one['class']})"][-1] for _, one in found.iterrows()]
    assert true == sorted(true) and max(true) < 0.5
    first = found.iloc[0]
    number = int(first["object_id"][1:])
    assert first["days"].tolist() == [0, 5, 20] and first["passband"].tolist() == ["ztfg", "ztfr", "ztfg"]
    assert first["flux"].tolist() == [3 * number, 3 * number + 1, 3 * number + 2]
    assert first["at_days"].tolist() == [0, 10] and first["p(SN Ia)"][0] == 0.5


def test_a_model_without_mistakes_leaves_an_empty_table(data: Any, tmp_path: Path) -> None:
    right = torch.nn.functional.one_hot(torch.from_numpy(data.label[data.split.test]), 2).double() * 5
    write_mistakes(tmp_path / "m.parquet", data, right, {0: right})
    assert len(pd.read_parquet(tmp_path / "m.parquet")) == 0
