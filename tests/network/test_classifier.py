import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.conftest import compose
from tlclass.network.classifier import PART, GRUEncoder, MetadataBranch, build_classifier, initialise


def paper(seed: int = 0, n_classes: int = 12, *overrides: str) -> Any:
    settings = compose(overrides)
    return build_classifier(settings["model"], settings["head"], 4, n_classes, seed)


def test_the_papers_network_has_123912_parameters() -> None:
    assert sum(p.numel() for p in paper(0, 12, "head=linear").parameters()) == 123_912


def test_layer_sizes_of_the_paper() -> None:
    shapes = {
        name: tuple(p.shape)
        for name, p in paper(0, 5, "model=gru_metadata", "head=mlp").named_parameters()
        if p.dim() == 2
    }
    assert shapes["encoder.gru.weight_ih_l0"] == (300, 4)
    assert shapes["encoder.gru.weight_hh_l1"] == (300, 100)
    assert shapes["encoder.metadata.linear.weight"] == (10, 1)
    assert shapes["encoder.dense.joint.weight"] == (100, 110)
    assert shapes["encoder.latent.weight"] == (100, 100)
    assert shapes["head.hidden.1.weight"] == (100, 100)
    assert shapes["head.output.weight"] == (5, 100)


@pytest.mark.parametrize("head", ["linear", "mlp"])
@pytest.mark.parametrize("model", ["gru", "gru_metadata"])
def test_initialised_as_keras_does(model: str, head: str) -> None:
    for name, parameter in paper(3, 5, f"model={model}", f"head={head}").named_parameters():
        if parameter.dim() == 1:
            assert (parameter == 0).all(), name
        elif "weight_hh" in name:  # the transpose of Keras's (units, 3 units) recurrent kernel has orthonormal columns
            assert torch.allclose(parameter.T @ parameter, torch.eye(parameter.shape[1]), atol=1e-5), name
        else:
            bound = math.sqrt(6 / sum(parameter.shape))
            assert parameter.abs().max() <= bound, name
            if parameter.numel() > 1000:
                assert parameter.abs().max() > 0.98 * bound, name
                assert torch.isclose(parameter.std(), torch.tensor(bound / math.sqrt(3)), rtol=0.1), name


def test_initialisation_follows_the_seed() -> None:
    a, b, c = (paper(seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not torch.equal(a["encoder.gru.weight_ih_l0"], c["encoder.gru.weight_ih_l0"])
    torch.manual_seed(99)
    assert torch.equal(paper(1).state_dict()["encoder.latent.weight"], a["encoder.latent.weight"])


def test_initialise_leaves_a_normalisation_as_it_is() -> None:
    layer = torch.nn.LayerNorm(4)
    initialise(layer, torch.Generator())
    assert (layer.weight == 1).all() and (layer.bias == 0).all()


def test_initialise_covers_a_bare_gru() -> None:
    gru = nn.GRU(3, 5)
    initialise(gru, torch.Generator().manual_seed(0))
    assert torch.allclose(gru.weight_hh_l0.T @ gru.weight_hh_l0, torch.eye(5), atol=1e-5)
    assert (gru.bias_hh_l0 == 0).all()


def test_the_encoder_reads_the_state_at_the_last_valid_step() -> None:
    encoder = GRUEncoder(4, hidden=8, dense=8, latent=8).eval()
    x = torch.randn(3, 9, 4)
    lengths = torch.tensor([1, 5, 9])
    out = encoder(x, lengths, torch.empty(3, 0))
    assert out.shape == (3, 8) and encoder.out_features == 8
    for i, n in enumerate(lengths.tolist()):
        assert torch.allclose(out[i], encoder(x[i : i + 1, :n], torch.tensor([n]), torch.empty(1, 0))[0], atol=1e-6)


def metadata(*rows: list[float]) -> Tensor:
    return torch.tensor(rows)


def test_metadata_are_standardised_by_the_training_part() -> None:
    branch = MetadataBranch(2, 4)
    table = torch.randn(500, 2) * torch.tensor([0.1, 50.0]) + torch.tensor([0.3, -20.0])
    branch.standardise_by(table)
    standardised = (table - branch.mean) / branch.scale
    assert torch.allclose(standardised.mean(0), torch.zeros(2), atol=1e-4)
    assert torch.allclose(standardised.std(0), torch.ones(2), atol=2e-3)
    assert {"mean", "scale"} <= set(branch.state_dict())  # travel with the weights


def test_unknown_metadata_count_as_the_mean() -> None:
    branch = MetadataBranch(1, 3)
    branch.standardise_by(metadata([1.0], [3.0], [math.nan]))
    assert branch.mean.tolist() == [2.0]
    assert torch.allclose(branch(metadata([math.nan])), branch(metadata([2.0])))
    assert not torch.allclose(branch(metadata([math.nan])), branch(metadata([3.0])))


@pytest.mark.parametrize(
    "table", [[[math.nan], [math.nan]], [[0.5], [0.5]], [[0.5]]], ids=["all unknown", "constant", "one object"]
)
def test_metadata_that_say_nothing_stay_finite(table: list[list[float]]) -> None:
    branch = MetadataBranch(1, 3)
    branch.standardise_by(torch.tensor(table))
    assert branch(metadata([0.5], [math.nan])).isfinite().all()


@pytest.mark.parametrize("value", [math.nan, math.inf, 0.0, 0.03, 0.7, -58123.4])
def test_metadata_that_do_not_spread_keep_their_unit(value: float) -> None:
    branch = MetadataBranch(1, 3)
    for n in (1, 7, 1000, 100_003):
        branch.standardise_by(torch.tensor([[value]] * n + [[math.nan]]))
        assert branch.scale.tolist() == [1.0]


def test_small_metadata_that_spread_are_standardised() -> None:
    branch = MetadataBranch(1, 3)
    branch.standardise_by(metadata([2e-9], [4e-9]))
    assert branch.scale.item() == pytest.approx(1e-9)


def test_the_metadata_branch_reaches_the_output() -> None:
    encoder = GRUEncoder(4, ["mwebv"], hidden=8, dense=8, latent=8)
    x, lengths = torch.randn(1, 3, 4), torch.tensor([3])
    assert not torch.allclose(encoder(x, lengths, metadata([0.0])), encoder(x, lengths, metadata([5.0])))


def test_part_names_are_public() -> None:
    names = {
        ".".join(name.split(".")[:2])
        for name, _ in paper(0, 5, "model=gru_metadata").named_parameters()
        if name.startswith("encoder")
    }
    assert names == {"encoder.gru", "encoder.metadata", "encoder.dense", "encoder.latent"}


def test_unknown_models_and_heads_name_the_known() -> None:
    with pytest.raises(ValueError, match=r"model 'lstm' is unknown: choose one of gru"):
        build_classifier({"name": "lstm"}, {"name": "linear"}, 4, 3)
    with pytest.raises(ValueError, match=r"head 'big' is unknown: choose one of linear, mlp, source"):
        build_classifier({"name": "gru"}, {"name": "big"}, 4, 3)


def test_a_batch_that_is_mostly_padding_runs_in_parts_with_the_same_result() -> None:
    classifier = build_classifier({"name": "gru", "hidden": 7}, {"name": "linear"}, 4, 5, 0)
    generator = torch.Generator().manual_seed(0)
    lengths = torch.randint(1, 20, (3 * PART + 5,), generator=generator)
    lengths[17] = 90
    x = torch.randn(len(lengths), 90, 4, generator=generator)
    whole, metadata = classifier.encoder.gru(x)[0], torch.empty(len(lengths), 0)
    expected = whole[torch.arange(len(lengths)), lengths - 1]
    assert torch.allclose(classifier.encoder._last_states(x, lengths), expected, atol=1e-6)
    classifier(x, lengths, metadata).sum().backward()
    assert all(bool((p.grad != 0).any()) for name, p in classifier.named_parameters() if "gru" in name)
