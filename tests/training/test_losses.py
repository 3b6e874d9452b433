import functools
from pathlib import Path

import pytest
import torch
from torch.nn.functional import cross_entropy

from tests.conftest import fit_of
from tlclass.config import CONF
from tlclass.training.losses import CrossEntropy, Focal, Loss, weighted_losses

GENERATOR = torch.Generator().manual_seed(0)
LOGITS = torch.randn(40, 4, generator=GENERATOR)
LABEL = torch.randint(4, (40,), generator=GENERATOR)
CARDS = sorted((CONF / "loss").glob("*.yaml"))


@pytest.fixture(params=CARDS, ids=lambda card: card.stem)
def loss(request: pytest.FixtureRequest) -> Loss:
    card: Path = request.param
    return fit_of(f"loss={card.stem}").loss


def test_every_loss_gives_each_object_its_own_finite_value_and_a_gradient(loss: Loss) -> None:
    logits = LOGITS.clone().requires_grad_()
    each = loss(logits, LABEL)
    assert each.shape == LABEL.shape and (each >= 0).all()
    assert torch.allclose(loss(logits[5:6], LABEL[5:6]), each[5:6])
    extreme = torch.tensor([[100.0, -100.0, 0.0, 0.0]]).requires_grad_()
    for label in (0, 1):
        value = loss(extreme, torch.tensor([label])).sum()
        (gradient,) = torch.autograd.grad(value, extreme)
        assert value.isfinite() and gradient.isfinite().all()


def test_every_loss_prefers_the_right_class(loss: Loss) -> None:
    right = 3.0 * torch.nn.functional.one_hot(LABEL, 4)
    assert (loss(right, LABEL) < loss(-right, LABEL)).all()


def test_labels_may_be_probabilities(loss: Loss) -> None:
    weights = torch.tensor([0.5, 1.0, 2.0, 0.1])
    sure = torch.nn.functional.one_hot(LABEL, 4).float()
    expected = weighted_losses(loss, LOGITS, LABEL, weights)
    assert torch.allclose(weighted_losses(loss, LOGITS, sure, weights), expected, atol=1e-6)


def test_the_default_is_cross_entropy() -> None:
    assert torch.equal(CrossEntropy()(LOGITS, LABEL), cross_entropy(LOGITS, LABEL, reduction="none"))
    smooth = cross_entropy(LOGITS, LABEL, reduction="none", label_smoothing=0.1)
    assert torch.equal(CrossEntropy(0.1)(LOGITS, LABEL), smooth)


def test_focal_loss_by_hand() -> None:
    p = torch.softmax(LOGITS, dim=1)[torch.arange(40), LABEL]
    assert torch.allclose(Focal(2.0)(LOGITS, LABEL), -((1 - p) ** 2) * p.log(), atol=1e-6)
    assert torch.allclose(Focal(0.0)(LOGITS, LABEL), CrossEntropy()(LOGITS, LABEL))


def test_a_loss_that_averages_is_refused() -> None:
    with pytest.raises(ValueError, match=r"1 value\(s\) for 40 objects.*reduction=none"):
        weighted_losses(cross_entropy, LOGITS, LABEL, torch.ones(4))
    each = functools.partial(cross_entropy, reduction="none")
    weights = torch.tensor([0.0, 1.0, 2.0, 3.0])
    assert torch.equal(weighted_losses(each, LOGITS, LABEL, weights), weights[LABEL] * each(LOGITS, LABEL))


@pytest.mark.parametrize(("kind", "value"), [(CrossEntropy, 1.0), (CrossEntropy, -0.1), (Focal, -1.0)])
def test_numbers_out_of_range_are_named(kind: type, value: float) -> None:
    with pytest.raises(ValueError, match=rf"loss\.\w+ is {value}"):
        kind(value)
