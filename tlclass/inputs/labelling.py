"""Which objects to label next: strategies that rank the unlabelled objects of a pool by what a model makes of them.

A strategy is a function of a `Pool`, a number n and a random generator; it gives n indices, the most wanted first, and a score
of each, the larger the more wanted. They need no class of any object that has no label yet.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from tlclass.arrays import Array
from tlclass.lightcurves.condition import Columns, Condition
from tlclass.options import nearest

TINY = 1e-12


@dataclass(frozen=True)
class Pool:
    """What a strategy may look at.

    Attributes:
        probability: (n, K) of the classes.
        latent: (n, L) latent vectors; None of trees, which have none.
        peak_mag: (n,) AB magnitude of the brightest detection, NaN where there is none.
        labelled: (n,) bool, the objects that have a label already.
        open: (n,) bool, the objects that may be chosen; none of them is labelled.
    """

    probability: Array
    latent: Array | None
    peak_mag: Array
    labelled: Array
    open: Array

    @property
    def vectors(self) -> Array:
        """The latent vectors, each axis with mean 0 and standard deviation 1.

        Raises:
            ValueError: there are none.
        """
        if self.latent is None:
            raise ValueError("it compares latent vectors, which trees do not have: choose entropy, margin or balanced")
        spread = self.latent.std(axis=0)
        return np.asarray((self.latent - self.latent.mean(axis=0)) / np.where(spread > TINY, spread, 1))


Strategy = Callable[[Pool, int, np.random.Generator], tuple[Array, Array]]


def at_random(pool: Pool, n: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Every object alike; the scores are zero."""
    chosen = rng.permutation(np.flatnonzero(pool.open))[:n]
    return chosen, np.zeros(len(chosen))


def entropy(pool: Pool, n: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Those whose probabilities have the largest entropy, in nats."""
    p = np.maximum(pool.probability, TINY)
    return _highest(-(p * np.log(p)).sum(axis=1), pool, n)


def margin(pool: Pool, n: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Those whose two most probable classes are nearest to each other; the score is 1 minus the difference."""
    return _highest(_doubt(pool), pool, n)


def balanced(pool: Pool, n: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """As many of every predicted class, in each the smallest margins first, so that rare classes get labels too."""
    doubt, predicted = _doubt(pool), pool.probability.argmax(axis=1)
    turn = np.full(len(doubt), len(doubt))  # in which round of one object a class an object is taken
    for kind in np.unique(predicted):
        members = np.flatnonzero(pool.open & (predicted == kind))
        turn[members[np.argsort(-doubt[members], kind="stable")]] = np.arange(len(members))
    candidates = np.flatnonzero(pool.open)
    chosen = candidates[np.lexsort((-doubt[candidates], turn[candidates]))][:n]
    return chosen, doubt[chosen]


def coreset(pool: Pool, n: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """One after the other, the object farthest from all that are labelled or chosen (k-center greedy, Sener & Savarese 2018)."""
    vectors = pool.vectors

    def distance(one: int) -> Array:
        return np.asarray(((vectors - vectors[one]) ** 2).sum(axis=1))

    return _spread_out(pool, n, distance, lambda near: int(near.argmax()))


def badge(pool: Pool, n: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """k-means++ among gradients of the last layer, as if the most probable class were true: unsure and diverse (Ash et al. 2020).

    A gradient is the outer product of the error of the probabilities and the latent vector, so that distances come
    from products of the two, and the gradients themselves are never made. Labelled objects are no centres.
    """
    vectors, error = pool.vectors, pool.probability.copy()
    error[np.arange(len(error)), error.argmax(axis=1)] -= 1
    size = (vectors**2).sum(axis=1) * (error**2).sum(axis=1)

    def distance(one: int) -> Array:
        return np.asarray(np.maximum(size + size[one] - 2 * (vectors @ vectors[one]) * (error @ error[one]), 0))

    def draw(near: Array) -> int:
        return int(rng.choice(len(near), p=near / near.sum())) if near.sum() > 0 else int(pool.open.argmax())

    return _spread_out(replace(pool, labelled=np.zeros_like(pool.labelled)), n, distance, draw, size)


def novelty(pool: Pool, n: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Those farthest from the mean of every predicted class (Mahalanobis distance, after Lee et al. 2018): unlike all classes."""
    vectors, predicted = pool.vectors, pool.probability.argmax(axis=1)
    means = np.stack([vectors[predicted == kind].mean(axis=0) for kind in np.unique(predicted)])
    own = vectors - means[np.searchsorted(np.unique(predicted), predicted)]
    value, axes = np.linalg.eigh(own.T @ own / len(own))
    kept = value > value.max() * 1e-3
    whitened = axes[:, kept] / np.sqrt(value[kept])
    projected, centres = vectors @ whitened, means @ whitened
    near = np.stack([((projected - centre) ** 2).sum(axis=1) for centre in centres]).min(axis=0)
    return _highest(np.sqrt(near), pool, n)


STRATEGIES: dict[str, Strategy] = {
    "random": at_random,
    "entropy": entropy,
    "margin": margin,
    "balanced": balanced,
    "coreset": coreset,
    "badge": badge,
    "novelty": novelty,
}


@dataclass(frozen=True)
class Labelling:
    """Which objects of the pool get the labels of a budget; a file of `conf/labelling/`.

    Attributes:
        name: of a strategy; `random` is the draw of the protocol.
        rounds: the budget is spent in so many equal parts, and the networks are fitted again before each.
        initial: labels that the protocol draws before the first round. 0 begins with the predictions of the source model,
            which need `head=source`.
        random: share of each part that is drawn at random instead.
        where: a condition that the objects chosen fulfil, e.g. `peak_mag < 19`; see `tlclass.lightcurves.condition`.

    Raises:
        ValueError: the name is unknown, or a number is out of range.
    """

    name: str = "random"
    rounds: int = 1
    initial: int = 0
    random: float = 0.0
    where: str | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be done."""
        _ = self.strategy
        if self.rounds < 1:
            raise ValueError(f"labelling.rounds is {self.rounds}: choose 1 or more")
        if self.initial < 0:
            raise ValueError(f"labelling.initial is {self.initial}: choose 0 or more labels")
        if not 0 <= self.random <= 1:
            raise ValueError(f"labelling.random is {self.random}: choose a share between 0 and 1")
        if self.where is not None:
            Condition(self.where)

    @property
    def strategy(self) -> Strategy:
        """The function of that name."""
        if self.name not in STRATEGIES:
            raise ValueError(
                f"labelling is '{self.name}'{nearest(self.name, STRATEGIES)}: choose one of {', '.join(STRATEGIES)}"
            )
        return STRATEGIES[self.name]

    @property
    def chooses(self) -> bool:
        """Whether it differs from the protocol's own draw."""
        return self.name != "random" or self.where is not None

    def choose(self, pool: Pool, columns: Columns, n: int, rng: np.random.Generator) -> tuple[Array, Array, Array]:
        """The next n objects to label, the most wanted first.

        Args:
            pool: what is known of all objects.
            columns: (n,) values by name, for `where`.
            n: how many.
            rng: of all draws.

        Returns:
            (n,) indices; (n,) scores; (n,) bool, which of them were drawn at random.

        Raises:
            ValueError: too few objects may be chosen.
        """
        if self.where is not None:
            pool = replace(pool, open=pool.open & Condition(self.where)(columns))
        found = int(np.count_nonzero(pool.open))
        if found < n:
            place = f"fulfil '{self.where}'" if self.where is not None else "are left"
            raise ValueError(
                f"{n} objects are to be chosen, and {found} without a label {place}: choose fewer, or another condition"
            )
        drawn = n if self.name == "random" else round(n * self.random)
        chosen, score = self.strategy(pool, n - drawn, rng)
        rest = pool.open.copy()
        rest[chosen] = False
        more, none = at_random(replace(pool, open=rest), drawn, rng)
        lots = np.concatenate([np.zeros(len(chosen), dtype=bool), np.ones(len(more), dtype=bool)])
        return np.concatenate([chosen, more]), np.concatenate([score, none]), lots


def _doubt(pool: Pool) -> Array:
    """(n,) 1 minus the difference of the two largest probabilities."""
    ordered = np.sort(pool.probability, axis=1)
    return np.asarray(1 - (ordered[:, -1] - ordered[:, -2]))


def _highest(score: Array, pool: Pool, n: int) -> tuple[Array, Array]:
    candidates = np.flatnonzero(pool.open)
    chosen = candidates[np.argsort(-score[candidates], kind="stable")][:n]
    return chosen, score[chosen]


def _spread_out(
    pool: Pool, n: int, distance: Callable[[int], Array], pick: Callable[[Array], int], first: Array | None = None
) -> tuple[Array, Array]:
    """Objects that lie apart, one after the other.

    Args:
        pool: its labelled objects are centres from the start.
        n: how many.
        distance: (n,) squared distances from one object.
        pick: the next object, given the squared distances to the nearest centre (0 where an object may not be chosen).
        first: the same before there is a centre; None: distances from the mean, the origin of `Pool.vectors`.
    """
    centres = np.flatnonzero(pool.labelled)
    if len(centres):
        near = np.minimum.reduce([distance(int(one)) for one in centres])
    else:
        near = (pool.vectors**2).sum(axis=1) if first is None else first
    unset, open_ = not len(centres), pool.open.copy()
    chosen, scores = [], []
    for _ in range(n):
        allowed = np.where(open_, np.maximum(near, TINY), 0)
        one = pick(allowed)
        chosen.append(one)
        scores.append(float(np.sqrt(near[one])))
        open_[one] = False
        near = distance(one) if unset else np.minimum(near, distance(one))
        unset = False
    return np.array(chosen, dtype=np.int64), np.array(scores)
