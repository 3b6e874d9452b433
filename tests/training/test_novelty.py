import torch

from tlclass.network.novelty import Novelty
from tlclass.training.novelty import fit_novelty

N = 1200


def drawn(seed: int, n: int = N) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Latent vectors in three classes, lengths, classes, and shapes that are the same for all of them."""
    generator = torch.Generator().manual_seed(seed)
    kind = torch.randint(0, 3, (n,), generator=generator)
    latent = torch.randn(n, 6, generator=generator) + 4 * torch.nn.functional.one_hot(kind, 6)
    return latent, torch.randint(1, 30, (n,), generator=generator), kind, torch.randn(n, 4, generator=generator)


def fitted() -> Novelty:
    latent, observations, kind, shape = drawn(0)
    return fit_novelty(latent, observations, kind, torch.ones(N), shape)


def test_known_objects_have_percentiles_from_0_to_100() -> None:
    latent, observations, _, shape = drawn(1)
    for given in (shape, None):
        percentile = fitted()(latent, observations, given)
        assert abs(percentile.mean() - 50) < 4 and percentile.min() >= 0 and percentile.max() < 100
        assert abs((percentile > 90).float().mean() - 0.1) < 0.04


def test_what_is_far_in_either_space_is_new() -> None:
    latent, observations, _, shape = drawn(2, 200)
    score = fitted()
    assert score(latent + 9, observations, shape).median() > 99
    assert score(latent, observations, shape + 9).median() > 97
    assert score(latent, observations).median() < 70  # which the latent vectors do not show


def test_no_two_objects_are_alike_however_far() -> None:
    score, ones = fitted(), torch.full((4,), 10)
    far = score(torch.outer(torch.arange(1.0, 5), torch.full((6,), 6.0)), ones)
    assert (far.diff() > 0).all() and far[-1] < 100


def test_it_is_stored_whole_with_and_without_shapes() -> None:
    latent, observations, kind, shape = drawn(3)
    both, alone = fitted(), fit_novelty(latent, observations, kind, torch.ones(N))
    for score, given in ((both, shape), (both, None), (alone, shape), (alone, None)):
        again = Novelty.from_tensors(score.tensors())
        assert torch.equal(again(latent, observations, given), score(latent, observations, given))
    assert "joint" not in alone.tensors() and "shape.mean" in both.tensors()
