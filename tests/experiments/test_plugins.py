"""Classes of a package outside: an encoder, a head, a loss, an encoding and an arm, from the recipe to `predict`."""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from tlclass import evaluate, plugins, predict, train
from tlclass.experiments.composition import compose
from tlclass.experiments.plan import plan_from
from tlclass.inputs.encoding import ENCODINGS
from tlclass.network.classifier import ENCODERS
from tlclass.network.heads import HEADS

PACKAGE = """
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from tlclass.experiments.arm import Folds
from tlclass.inputs.encoding import ENCODINGS
from tlclass.network.classifier import ENCODERS
from tlclass.network.encoders import Encoder
from tlclass.network.heads import HEADS, Head


class Mean(Encoder):
    parts = ("inner", "outer")

    def __init__(self, n_channels, units=6):
        super().__init__()
        self.out_features = units
        self.inner, self.outer = nn.Linear(n_channels, units), nn.Linear(units, units)

    def forward(self, x, lengths, metadata):
        valid = torch.arange(x.shape[1], device=x.device) < lengths[:, None]
        return torch.relu(self.outer((torch.relu(self.inner(x)) * valid[..., None]).sum(1) / lengths[:, None]))


class Scaled(Head):
    def __init__(self, in_features, n_classes):
        super().__init__()
        self.output, self.scale = nn.Linear(in_features, n_classes), nn.Parameter(torch.ones(()))

    def forward(self, latent):
        return self.scale * self.output(latent)


@dataclass(frozen=True)
class Squashed:
    scale: float = 500.0

    @property
    def channels(self):
        return ("wavelength_um", "time", "flux")

    def __call__(self, curves, wavelength):
        time = (curves.mjd - curves.trigger_mjd[curves.owner]) / 100
        return np.stack([wavelength, time, np.tanh(curves.flux / self.scale)], axis=1).astype(np.float32)


@dataclass(frozen=True)
class Brier:
    weight: float = 1.0

    def __call__(self, logits, label):
        return self.weight * (torch.softmax(logits, 1) - nn.functional.one_hot(label, logits.shape[1])).square().sum(1)


@dataclass(frozen=True)
class MyFolds(Folds):
    pass


ENCODERS["mean"], HEADS["scaled"], ENCODINGS["squashed"] = Mean, Scaled, Squashed
"""
CARDS = {
    "model/mean.yaml": "name: mean\nunits: 8\n",
    "head/scaled.yaml": "name: scaled\n",
    "encoding/squashed.yaml": "name: squashed\nscale: 300.0\n",
    "loss/brier.yaml": "name: brier\n_target_: mine.Brier\nweight: 2.0\n",
    "method/my_folds.yaml": "defaults: [folds, _self_]\n_target_: mine.MyFolds\nname: mine\nfolds: 2\n",
}
WORDS = [
    "arm=transfer", "members=1", "source=plasticc", "target=bts", "protocol.test=fixed", "trust=[mine]",
    "model=mean", "head@pretrain.head=scaled", "encoding=squashed", "loss=brier", "loss@pretrain.loss=brier", "method=my_folds", "arm.name=mine",
    "fit.max_epochs=2", "fit.min_steps=0", "fit.batch_size=32", "pretrain.fit.max_epochs=2", "progress=false", "trainer=cpu", "logger=none",
    "experiment_name=mine", "-m", "labels=40,60",
]  # fmt: skip


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package on Python's path and a folder with its cards; forgotten afterwards."""
    (tmp_path / "mine.py").write_text(PACKAGE)
    for name, card in CARDS.items():
        (tmp_path / "cards" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "cards" / name).write_text(card)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    forget()


def forget() -> None:
    """As in a process that did not import the package."""
    sys.modules.pop("mine", None)
    for table, name in ((ENCODERS, "mean"), (HEADS, "scaled"), (ENCODINGS, "squashed")):
        table.pop(name, None)  # type: ignore[attr-defined]


@pytest.mark.slow
def test_classes_of_another_package_work_in_the_recipe_a_sweep_the_report_predict_and_evaluate(
    package: Path,
    data: Path,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    restored_logging: None,
    undrawn: None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    paths = {"data": data, "cache": cache, "models": package / "models", "results": package / "results"}
    words = [*(f"paths.{name}={path}" for name, path in paths.items()), *WORDS]
    monkeypatch.setattr(sys, "argv", ["tlclass.train", *words, "--config-dir", str(package / "cards")])
    train.main()
    rows = {path.parent: json.loads(path.read_text()) for path in (package / "results").rglob("result.json")}
    assert {row["labels"] for row in rows.values()} == {40, 60}
    for row in rows.values():
        assert (row["encoder"], row["encoding"], row["arm"], row["head"]) == ("mean", "squashed", "mine", "source")
        assert row["folds"] == 2 and row["frozen_identical"]
    assert "mine" in (package / "results" / "mine" / "report.md").read_text()
    folder = next(iter(rows))
    forget()
    given = [str(folder), str(data / "ztf_bts"), "-o", str(package / "out.parquet")]
    with pytest.raises(SystemExit):
        predict.main(given)
    assert re.search(r"'(mean|squashed)' .*--trust PACKAGE", capsys.readouterr().err) and "mine" not in sys.modules
    predict.main([*given, "--trust", "mine"])
    assert pd.read_parquet(package / "out.parquet")["p(SN Ia)"].notna().any()
    forget()
    words = [*(word for word in words if word.startswith("paths.")), "target=bts", "trust=[mine]", "--test-part"]
    evaluate.main([str(folder), *words, "-o", str(package / "scores")])
    scores = json.loads((package / "scores" / "scores.json").read_text())
    assert scores["auroc_macro"] == rows[folder]["auroc_macro"] and scores["encoder"] == "mean"


def test_an_encoding_without_a_flux_scale_takes_none(package: Path) -> None:
    words = ["trust=[mine]", "encoding=squashed", "pretrain.flux_scale=30"]
    with pytest.raises(ValueError, match=r"pretrain.flux_scale is 30.*squashed"):
        plan_from(compose(words, str(package / "cards"))).pretraining()


def test_a_package_that_is_not_there_is_named() -> None:
    plugins.use(False)
    plugins.use(True)
    with pytest.raises(ImportError, match="trust names the package nowhere_to_be_found"):
        plugins.use(["nowhere_to_be_found"])
