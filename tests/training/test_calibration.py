import numpy as np
import pytest
import torch

from tlclass.training.calibration import EDGES, fit_sets

PROPORTIONS = torch.tensor([0.75, 0.2, 0.05])


def objects(number: int, evidence: float, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """(N, 3) true posterior probabilities of a made-up world, and (N,) classes drawn from it."""
    draw = torch.Generator().manual_seed(seed)
    label = torch.multinomial(PROPORTIONS, number, replacement=True, generator=draw)
    seen = torch.nn.functional.one_hot(label, 3) * evidence + torch.randn(number, 3, generator=draw)
    return torch.softmax(evidence * seen + PROPORTIONS.log(), dim=1), label


@pytest.mark.parametrize("evidence", [0.3, 1.0, 2.5])
@pytest.mark.parametrize("labelled", [True, False])
@pytest.mark.parametrize("coverage", [0.8, 0.9])
def test_sets_cover_as_many_other_objects_as_asked_for(evidence: float, labelled: bool, coverage: float) -> None:
    """With little evidence too, where the most probable class is the largest one for nearly every object."""
    probability, label = objects(4000, evidence)
    steps = torch.full((4000,), EDGES[0] - 1)
    sets = fit_sets(probability, steps, label if labelled else None, torch.ones(4000))
    others, truth = objects(4000, evidence, seed=1)
    inside = sets(others, steps, coverage)
    share = float(inside[torch.arange(4000), truth].double().mean())
    assert share == pytest.approx(max(coverage, float((others.argmax(1) == truth).double().mean())), abs=0.025)
    assert inside[torch.arange(4000), others.argmax(1)].all()


def test_every_group_of_lengths_has_thresholds_of_its_own() -> None:
    early, first = objects(1000, 0.3)
    late, second = objects(1000, 3.0, seed=1)
    steps = torch.cat([torch.full((1000,), 2), torch.full((1000,), EDGES[-1] + 1)])
    sets = fit_sets(torch.cat([early, late]), steps, torch.cat([first, second]), torch.ones(2000))
    size = sets(torch.cat([early, late]), steps, 0.9).sum(1).double()
    assert size[:1000].mean() > size[1000:].mean() + 0.5
    np.testing.assert_array_equal(sets.objects, torch.bincount(torch.cat([first, second])))
