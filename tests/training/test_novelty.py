from dataclasses import replace

import torch

from tlclass.inputs.shape import STATISTICS, TELLING
from tlclass.network.novelty import Novelty, entropy
from tlclass.training.novelty import fit_novelty

N = 1200
Drawn = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]


def drawn(seed: int, n: int = N) -> Drawn:
    """Latent vectors in three classes, lengths, classes, logits, and shapes that are the same for all of them."""
    generator = torch.Generator().manual_seed(seed)
    kind = torch.randint(0, 3, (n,), generator=generator)
    latent = torch.randn(n, 6, generator=generator) + 4 * torch.nn.functional.one_hot(kind, 6)
    logits = torch.randn(n, 3, generator=generator) + 5 * torch.nn.functional.one_hot(kind, 3)
    shape = torch.randn(n, len(STATISTICS), generator=generator)
    return latent, torch.randint(1, 30, (n,), generator=generator), kind, logits, shape


def fitted(shaped: bool = True) -> Novelty:
    latent, observations, kind, logits, shape = drawn(0)
    return fit_novelty(latent, observations, kind, torch.ones(N), logits, shape if shaped else None)


def test_known_objects_have_percentiles_from_0_to_100() -> None:
    latent, observations, _, logits, shape = drawn(1)
    for score, given in ((fitted(), shape), (fitted(), None), (fitted(False), None)):
        percentile = score(latent, observations, logits, given)
        assert abs(percentile.mean() - 50) < 4 and percentile.min() >= 0 and percentile.max() < 100
        assert abs((percentile > 90).float().mean() - 0.1) < 0.04


def test_what_is_far_in_either_space_or_unsure_is_new() -> None:
    latent, observations, _, logits, shape = drawn(2, 200)
    score = fitted()
    assert score(latent + 9, observations, logits, shape).median() > 97
    assert score(latent, observations, logits, shape + 9).median() > 97
    assert score(latent, observations, torch.zeros_like(logits), shape).median() > 85
    assert score(latent, observations, logits).median() < 70  # which the latent vectors do not show


def test_the_entropy_is_that_of_the_probabilities() -> None:
    found = entropy(torch.tensor([[0.0, 0, 0, 0], [100, 0, 0, 0], [0, 0, -100, -100]]))
    assert torch.allclose(found, torch.tensor([4.0, 1, 2]).log().double(), atol=1e-6)


def test_only_the_telling_statistics_are_looked_at() -> None:
    latent, observations, _, logits, shape = drawn(4, 200)
    score, before = fitted(), fitted()(latent, observations, logits, shape)
    for number, name in enumerate(STATISTICS):
        changed = shape + 9 * torch.nn.functional.one_hot(torch.tensor(number), len(STATISTICS))
        after = score(latent, observations, logits, changed)
        assert torch.equal(after, before) == (name not in TELLING)


def test_no_two_objects_are_alike_however_far() -> None:
    _, _, _, logits, shape = drawn(5, 1)
    far = torch.outer(torch.arange(1.0, 5), torch.full((6,), 6.0))
    score = fitted()(far, torch.full((4,), 10), logits.expand(4, -1), shape.expand(4, -1))
    assert (score.diff() > 0).all() and score[-1] < 100


def test_it_is_stored_whole_with_and_without_shapes() -> None:
    latent, observations, _, logits, shape = drawn(3)
    alone = fitted(False)
    for score, given in ((fitted(), shape), (fitted(), None), (alone, shape), (alone, None)):
        again = Novelty.from_tensors(score.tensors())
        assert torch.equal(again(latent, observations, logits, given), score(latent, observations, logits, given))
    assert "shape.mean" not in alone.tensors() and "shape.mean" in fitted().tensors()


def test_a_score_without_entropy_compares_the_product_of_both_distances() -> None:
    """As models of format 2 have it; `tests.golden` holds one."""
    latent, observations, _, logits, shape = drawn(6)
    now = fitted()
    assert now.shape is not None
    old = replace(now, entropy=None, behaviour=None, columns=None)
    product = (now.latent(latent, observations) * now.shape(shape[:, :7], observations)).log()
    assert torch.allclose(old.unusual(latent, observations, logits, shape), product)
    assert torch.equal(old(latent, observations, logits), now(latent, observations, logits))
