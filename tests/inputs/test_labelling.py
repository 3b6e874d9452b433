from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tlclass.inputs.labelling import STRATEGIES, Labelling, Pool

N, LABELLED = 60, 10
NAMES = list(STRATEGIES)


def pool(seed: int = 0) -> Pool:
    rng = np.random.default_rng(seed)
    labelled = np.arange(N) < LABELLED
    probability = rng.dirichlet([0.5, 0.5, 0.5], N)
    return Pool(probability, rng.normal(size=(N, 4)), rng.uniform(16, 21, N), labelled, ~labelled)


def choose(name: str, pool: Pool, n: int = 12, seed: int = 0, **options: Any) -> list[int]:
    chosen, score, _ = Labelling(name, **options).choose(
        pool, {"peak_mag": pool.peak_mag}, n, np.random.default_rng(seed)
    )
    assert len(chosen) == len(score) and np.isfinite(score).all()
    return [int(one) for one in chosen]


@pytest.mark.parametrize("name", NAMES)
def test_every_strategy_gives_so_many_different_open_objects_and_the_same_again(name: str) -> None:
    chosen = choose(name, pool())
    assert len(set(chosen)) == 12 and min(chosen) >= LABELLED
    assert choose(name, pool()) == chosen


@pytest.mark.parametrize("name", NAMES)
def test_a_condition_and_the_whole_pool(name: str) -> None:
    some = pool()
    bright = np.flatnonzero(some.open & (some.peak_mag < 18))
    assert set(choose(name, some, len(bright), where="peak_mag < 18")) == set(bright)
    assert set(choose(name, some, N - LABELLED)) == set(range(LABELLED, N))
    with pytest.raises(ValueError, match=f"{len(bright) + 1} .* {len(bright)} "):
        choose(name, some, len(bright) + 1, where="peak_mag < 18")


@pytest.mark.parametrize("name", NAMES)
def test_objects_all_alike_and_identical_ones_are_no_obstacle(name: str) -> None:
    alike = replace(pool(), probability=np.full((N, 3), 1 / 3), latent=np.ones((N, 4)))
    assert len(set(choose(name, alike, 5))) == 5


def test_uncertain_objects_come_first() -> None:
    some = pool()
    p = some.probability
    p[:] = [0.7, 0.2, 0.1]
    p[20], p[30] = [0.5, 0.5, 0.0], [1 / 3, 1 / 3, 1 / 3]
    p[40] = [0.495, 0.505, 0.0]
    assert choose("entropy", some)[0] == 30
    assert set(choose("margin", some)[:3]) == {20, 30, 40}


def test_balanced_takes_as_many_of_every_predicted_class() -> None:
    some = pool()
    predicted = some.probability.argmax(axis=1)
    assert np.bincount(predicted[choose("balanced", some)]).tolist() == [4, 4, 4]


def test_a_coreset_begins_far_from_what_is_labelled_and_spreads() -> None:
    latent = np.zeros((N, 2))
    latent[50], latent[51], latent[52] = [9, 0], [9.01, 0], [0, 8]
    chosen = choose("coreset", replace(pool(), latent=latent), 2)
    assert 52 in chosen and len({50, 51} & set(chosen)) == 1


def test_badge_distances_are_those_of_the_gradients() -> None:
    some = pool()
    gradient = some.probability.copy()
    gradient[np.arange(N), gradient.argmax(axis=1)] -= 1
    outer = np.einsum("ik,il->ikl", gradient, some.vectors).reshape(N, -1)
    one, two = STRATEGIES["badge"](some, 2, np.random.default_rng(3))[0]
    _, score = STRATEGIES["badge"](some, 2, np.random.default_rng(3))
    assert score == pytest.approx([np.linalg.norm(outer[one]), np.linalg.norm(outer[one] - outer[two])])


def test_the_novel_object_is_found() -> None:
    some = pool()
    assert some.latent is not None
    some.latent[33] = [30, -30, 30, 30]
    assert choose("novelty", some)[0] == 33


def test_a_share_is_drawn_at_random() -> None:
    some = pool()
    chosen, _, lots = Labelling("margin", random=0.25).choose(some, {}, 12, np.random.default_rng(0))
    assert lots.sum() == 3 and len(set(chosen)) == 12
    assert choose("margin", some)[:9] == chosen[~lots].tolist()
    assert choose("random", some, seed=1) != choose("random", some, seed=2)


@pytest.mark.parametrize("name", ["coreset", "badge", "novelty"])
def test_what_compares_latent_vectors_refuses_trees(name: str) -> None:
    with pytest.raises(ValueError, match=r"latent .* trees"):
        choose(name, replace(pool(), latent=None))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"name": "margins"}, ("labelling", "margins", "did you mean margin")),
        ({"rounds": 0}, ("labelling.rounds", "0")),
        ({"initial": -1}, ("labelling.initial", "-1")),
        ({"random": 1.5}, ("labelling.random", "1.5")),
        ({"where": "peak_mag <"}, ("condition", "peak_mag <")),
    ],
    ids=str,
)
def test_wrong_options_are_named(options: dict[str, Any], words: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=r"\w") as error:
        Labelling(**options)
    assert all(word in str(error.value) for word in words)
