"""The GRU for training on the CPU gives what `torch.nn.GRU` gives, gradients included."""

import copy

import pytest
import torch
from torch import Tensor, nn

from tlclass.network.classifier import build_classifier
from tlclass.network.packed_gru import last_states, pays

LENGTHS = torch.tensor([4, 1, 6, 3, 3, 6])


def built(layers: int = 2) -> nn.GRU:
    torch.manual_seed(0)
    return nn.GRU(3, 5, num_layers=layers, batch_first=True).double()


def padded(requires_grad: bool = False) -> Tensor:
    x = torch.randn(len(LENGTHS), 6, 3, dtype=torch.double, generator=torch.Generator().manual_seed(1))
    return x.requires_grad_(requires_grad)


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_states_and_gradients_are_those_of_torch(layers: int) -> None:
    gru, x = built(layers), padded(requires_grad=True)
    target = torch.randn(len(LENGTHS), 5, dtype=torch.double, generator=torch.Generator().manual_seed(2))
    found = []
    for states in (last_states(gru, x, LENGTHS), gru(x)[0][torch.arange(len(LENGTHS)), LENGTHS - 1]):
        gradients = torch.autograd.grad((states * target).sum(), [x, *gru.parameters()])
        found.append([states, *gradients])
    for one, other in zip(*found, strict=True):
        assert torch.allclose(one, other, rtol=0, atol=1e-12)


def test_what_is_frozen_stays_without_gradient() -> None:
    gru, whole = built(), built()
    for name, parameter in gru.named_parameters():
        parameter.requires_grad_(name.endswith("l1"))
    for network in (gru, whole):
        last_states(network, padded(), LENGTHS).sum().backward()
    for (name, parameter), other in zip(gru.named_parameters(), whole.parameters(), strict=True):
        assert other.grad is not None
        if name.endswith("l1"):
            assert parameter.grad is not None and torch.equal(parameter.grad, other.grad)
        else:
            assert parameter.grad is None


def test_it_is_used_to_train_on_the_cpu_alone() -> None:
    gru, x = built(), padded()
    assert pays(gru, x)
    with torch.no_grad():
        assert not pays(gru, x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert not pays(gru, x)
    frozen = copy.deepcopy(gru).requires_grad_(False)
    assert not pays(frozen, x) and pays(frozen, padded(requires_grad=True))


def test_a_network_in_training_says_what_it_says_in_use() -> None:
    network = build_classifier({"name": "gru", "hidden": 5}, {"name": "linear"}, 3, 4, seed=0)
    x, metadata = padded().float(), torch.zeros(len(LENGTHS), 0)
    training = network(x, LENGTHS, metadata)
    with torch.no_grad():
        in_use = network(x, LENGTHS, metadata)
    assert torch.allclose(training, in_use, rtol=0, atol=1e-6)
    training.sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
