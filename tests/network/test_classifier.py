import math
from typing import Any

import pytest
import torch

from tests.conftest import compose
from tlclass.network.classifier import build_classifier


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


def test_part_names_are_public() -> None:
    names = {
        ".".join(name.split(".")[:2])
        for name, _ in paper(0, 5, "model=gru_metadata").named_parameters()
        if name.startswith("encoder")
    }
    assert names == {"encoder.gru", "encoder.metadata", "encoder.dense", "encoder.latent"}


def test_unknown_models_and_heads_name_the_known() -> None:
    with pytest.raises(ValueError, match=r"model 'lstm' is unknown: choose one of gru, transformer"):
        build_classifier({"name": "lstm"}, {"name": "linear"}, 4, 3)
    with pytest.raises(ValueError, match=r"head 'big' is unknown: choose one of linear, mlp, source"):
        build_classifier({"name": "gru"}, {"name": "big"}, 4, 3)
