"""Arms end to end: policies, heads, encoders and ensembles."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from tests.conftest import Composed, Job
from tlclass import predict
from tlclass.experiments.plan import plan_from
from tlclass.experiments.run import run_job
from tlclass.network.checkpoint import load_model
from tlclass.network.classifier import ENCODERS
from tlclass.network.encoders import Encoder

SCRATCH = "freeze_policy=from_scratch"


@pytest.mark.parametrize(
    "more", [[], ["fit.average=0.5", "fit.l2_sp=0.1", "schedule.warmup_steps=3"]], ids=["", "options"]
)
def test_frozen_tensors_of_the_saved_model_are_the_sources_bit_by_bit(
    more: list[str], settings: Job, tmp_path: Path
) -> None:
    run_job(settings("freeze_policy=gru_and_head", f"paths.models={tmp_path / 'models'}", *more), tmp_path / "job")
    model = safetensors.torch.load_file(tmp_path / "job" / "model.safetensors")
    (path,) = (tmp_path / "models").rglob("model.safetensors")
    source = safetensors.torch.load_file(path)
    for name, tensor in model.items():
        if name.startswith("encoder."):
            assert torch.equal(tensor, source[name]) == (not name.startswith("encoder.gru.")), name


def test_zero_labels_classify_with_the_source_head(settings: Job, tmp_path: Path) -> None:
    job = settings("head=source", "freeze_policy=head_only", "labels=0", "model=gru_metadata")
    row = run_job(job, tmp_path / "job")
    assert row["labels"] == 0 and row["n_test"] == 33 and 0 <= row["auroc_macro"] <= 1
    with pytest.raises(ValueError, match=r"labels=0.*head=source"):
        run_job(settings("labels=0"), tmp_path / "other")


@pytest.mark.parametrize("head", ["linear", "mlp", "source"])
def test_metadata_and_heads_train_end_to_end(head: str, settings: Job, tmp_path: Path) -> None:
    row = run_job(settings("model=gru_metadata", f"head={head}", "freeze_policy=full"), tmp_path / "job")
    assert row["head"] == head and load_model(tmp_path / "job").metadata == ("mwebv",)


class Mean(Encoder):
    """The least an encoder is: the mean of a layer's output over the valid steps."""

    parts = ("layer",)

    def __init__(self, n_channels: int) -> None:
        super().__init__()
        self.out_features = 6
        self.layer = nn.Linear(n_channels, 6)

    def forward(self, x: Tensor, lengths: Tensor, metadata: Tensor) -> Tensor:
        valid = torch.arange(x.shape[1]) < lengths[:, None]
        return (torch.relu(self.layer(x)) * valid[..., None]).sum(1) / lengths[:, None]


@pytest.mark.parametrize("policy", ["head_only", "layerwise"])
def test_an_encoder_needs_forward_its_size_and_its_parts_alone(
    policy: str, composed: Composed, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ENCODERS, "mean", Mean)
    job = composed(f"freeze_policy={policy}", "fit.truncate=0.6")
    row = run_job(plan_from({**job, "model": {"name": "mean"}}), tmp_path / "job")
    assert row["encoder"] == "mean" and row["epochs"] > 0
    predict.main([str(tmp_path / "job"), str(data / "ztf_bts"), "-o", str(tmp_path / "out.parquet")])


def probabilities(folder: Path) -> Any:
    return pd.read_parquet(folder / "predictions.parquet").filter(like="p(").to_numpy()


def test_an_ensemble_is_the_mean_of_networks_from_source_models_of_their_own(settings: Job, tmp_path: Path) -> None:
    same = ["freeze_policy=full", "head=source", "labels=0", f"paths.models={tmp_path / 'models'}"]
    row = run_job(settings(*same, "members=2"), tmp_path / "both")
    single = [run_job(settings(*same, f"pretrain.seed={k}"), tmp_path / str(k)) for k in range(2)]
    assert len(list((tmp_path / "models").rglob("model.json"))) == 2
    assert (row["members"], single[0]["members"]) == (2, 1)
    apart = [probabilities(tmp_path / str(k)) for k in range(2)]
    assert not np.allclose(*apart, atol=1e-3)
    assert np.allclose(
        probabilities(tmp_path / "both"), np.mean(apart, axis=0), atol=5e-3
    )  # each is calibrated by itself
    model = load_model(tmp_path / "both")
    assert len(model.members) == 2
    words = ["freeze_policy=head_only", "head=source", "head.use_shares=false", "members=2"]
    trained = run_job(settings(*words, f"source_model={tmp_path / 'both'}"), tmp_path / "on")
    assert trained["members"] == 2


def test_an_ensemble_given_as_the_source_says_how_many_members_it_needs(settings: Job, tmp_path: Path) -> None:
    run_job(settings(SCRATCH, "members=2"), tmp_path / "both")
    with pytest.raises(ValueError, match=rf"{tmp_path / 'both'}.*members=2"):
        run_job(settings("freeze_policy=full", f"source_model={tmp_path / 'both'}"), tmp_path / "job")


@pytest.mark.slow
@pytest.mark.parametrize("target", ["bts_simulated", "lsst_simulated"])
def test_simulated_surveys_transfer_through_the_same_door(target: str, settings: Job, tmp_path: Path) -> None:
    surveys = ["source=ztf_simulated", f"target={target}", "source.n_objects=160", "target.n_objects=160"]
    row = run_job(settings(*surveys, "head=source", "freeze_policy=full", "encoding=context"), tmp_path / "job")
    assert row["simulated"] and row["source_simulated"] and row["target"] == target
    assert load_model(tmp_path / "job").simulated


@pytest.mark.slow
def test_the_recommended_recipe_moves_every_layer_of_every_network(settings: Job, tmp_path: Path) -> None:
    small = [f"source.reader.parts.{part}.n_objects=96" for part in ("faint", "bright", "deep")]
    row = run_job(
        settings(
            "+experiment=best_transfer", "labels=100", "members=2", "method.folds=2", "pretrain.fit.max_epochs=2",
            *small,
        ),
        tmp_path / "job",
    )  # fmt: skip
    assert (row["arm"], row["labels"], row["members"], row["folds"]) == ("transfer", 100, 2, 2)
    assert row["source_simulated"] and not row["simulated"] and row["encoding"] == "context"
    assert {"choice/zero/val_loss", "choice/layerwise/val_loss"} <= set(row)
    assert row["trained_parameters"] == row["parameters"]
    model = load_model(tmp_path / "job")
    assert len(model.members) == 2 and model.classes == ("SN Ia", "SN II", "SN Ib/c", "SLSN-I", "TDE")
