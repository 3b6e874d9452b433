"""Label budgets: which objects train, validate and test. Indices only; drawn from named seed streams."""

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tlclass.arrays import Array
from tlclass.config import stated
from tlclass.quoting import one_of
from tlclass.seeds import stream

TEST_KINDS = ("remainder", "fixed", "development", "tuning")
LABELLINGS = ("random", "bright")
DEFAULT = stated("protocol")
BRIGHT = 0.25  # of the pool: the brightest quarter is likely to be labelled where no magnitude is given


@dataclass(frozen=True)
class Protocol:
    """How objects are split into train, validation and test.

    Attributes:
        test: which objects are scored. `remainder`: all that are not in the label budget, as in the paper. `fixed`: a stratified
            `test_fraction` by object id, the same for every seed and budget. `development`: the objects that are neither in the
            budget nor in the part of `fixed`; for choices that `fixed` judges later. `tuning`: another part like that of `fixed`;
            for choices about which objects get labels. The last two leave the part of `fixed` untouched.
        test_fraction: share of the objects in the test part; `remainder` does not use it.
        validation_fraction: share of the labels that validate.
        labelling: which objects get a label. `random`: every object of the pool with the same chance. `bright`: as in spectroscopic
            follow-up, the chance falls with the peak magnitude m, like 1 / (1 + exp((m - bright_limit) / bright_width)).
        bright_limit: AB magnitude at which the chance is half that of a bright object; null: that of the pool's brightest quarter.
        bright_width: number of magnitudes over which the chance falls.
    """

    test: str = DEFAULT["test"]
    test_fraction: float = DEFAULT["test_fraction"]
    validation_fraction: float = DEFAULT["validation_fraction"]
    labelling: str = DEFAULT["labelling"]
    bright_limit: float | None = DEFAULT["bright_limit"]
    bright_width: float = DEFAULT["bright_width"]

    def __post_init__(self) -> None:
        """Raise ValueError for an unknown kind of test part, or shares that leave a part empty."""
        one_of("protocol.test", self.test, TEST_KINDS)
        for name in ("test_fraction", "validation_fraction"):
            share = getattr(self, name)
            if not isinstance(share, float | int) or not 0 < share < 1:
                raise ValueError(f"protocol.{name} is {share}: choose a share between 0 and 1, such as 0.2")
        if self.test == "tuning" and self.test_fraction >= 0.5:
            raise ValueError(
                f"protocol.test_fraction is {self.test_fraction}: protocol.test=tuning sets two such parts aside; choose less than 0.5"
            )
        one_of("protocol.labelling", self.labelling, LABELLINGS)
        if not self.bright_width > 0:
            raise ValueError(f"protocol.bright_width is {self.bright_width}: choose a number of magnitudes above 0")

    @property
    def same_test(self) -> bool:
        """Whether the objects that test do not depend on which ones are labelled."""
        return self.test in ("fixed", "tuning")


@dataclass(frozen=True)
class Split:
    """Indices of the objects in each part; `budget` labels are used, train and val together.

    Attributes:
        train, val, test: int64 indices, disjoint.
        pool: how many labelled objects the budget was drawn from.
    """

    train: Array
    val: Array
    test: Array
    pool: int

    @property
    def budget(self) -> int:
        """Number of labels used."""
        return len(self.train) + len(self.val)


@dataclass(frozen=True)
class Labels:
    """A label budget: a number of labelled objects, or a share of those that there are.

    >>> Labels.of("5%"), Labels.of(100).name, Labels.of("all").size(1870)
    (Labels(count=None, fraction=0.05), 'n100', 1870)

    Attributes:
        count: number of labels. fraction: or a share of the pool, 0 to 1.
    """

    count: int | None = None
    fraction: float | None = None

    @classmethod
    def of(cls, value: Any, place: str = "labels") -> "Labels":
        """From `100`, `"5%"`, `"all"`, or the names of `conf/data_fraction/`: `"n100"`, `"5pct"`, `"full"`.

        Args:
            value: see above.
            place: its key as the user writes it.

        Raises:
            ValueError: the value is not one of these.
        """
        if isinstance(value, Labels):
            return value
        text = str(value).strip().lower()
        share = re.fullmatch(r"(\d+(?:\.\d+)?)(?:%|pct)", text)
        number = re.fullmatch(r"n?(\d+)", text)
        if isinstance(value, bool) or not (share or number or text in ("all", "full")):
            raise ValueError(f"{place} is {value!r}: give a whole number (100), a percentage (5%), or all")
        if number:
            return cls(count=int(number[1]))
        fraction = float(share[1]) / 100 if share else 1.0
        if not 0 < fraction <= 1:
            raise ValueError(f"{place} is {value!r}: give a percentage above 0 and up to 100")
        return cls(fraction=fraction)

    @property
    def name(self) -> str:
        """For folders, figures and logs: `n100`, `5pct`, `all`."""
        if self.count is not None:
            return f"n{self.count}"
        return "all" if self.fraction == 1 else f"{100 * (self.fraction or 0):g}pct"

    def size(self, pool: int) -> int:
        """Number of labels in a pool of so many labelled objects.

        Raises:
            ValueError: it is not between 5 and the pool, or 0.
        """
        size = self.count if self.count is not None else round(pool * (self.fraction or 0))
        if not 0 <= size <= pool or 0 < size < 5:
            possible = f"choose 5 to {pool}, or " if pool >= 5 else "label 5 or more, or choose "
            raise ValueError(
                f"labels={size}: {pool} labelled objects are available outside the test part: {possible}0 for no training"
            )
        return size


def draw_split(
    label: Array, object_id: Array, seed: int, labels: Labels, protocol: Protocol, magnitude: Array | None = None
) -> Split:
    """Draw a label budget, 80 % of it for training and 20 % for validation (paper section 3.3).

    The n objects are a uniform draw from the pool, so classes come in their real proportions, unless `protocol.labelling`
    says otherwise; for one seed a smaller budget is part of a larger one. Validation is stratified inside the budget, has
    one object at least, and leaves every class of the budget one for training.

    Args:
        label: (n,) class index.
        object_id: (n,) names; decide the fixed test part, so that it depends on nothing else.
        seed: different seeds draw different objects.
        labels: how many labels are used.
        protocol: which objects test, how many validate, and who gets a label.
        magnitude: (n,) of the peak; see `tlclass.lightcurves.brightness`. Only `protocol.labelling=bright` needs it.

    Raises:
        ValueError: the budget does not fit, or no object is left to test on.
    """
    pool, test = pool_and_test(label, object_id, protocol)
    size = labels.size(len(pool))
    rng = np.random.default_rng(stream(seed, "subset"))
    order = (
        rng.permutation(pool) if protocol.labelling == "random" else _brightest_first(pool, magnitude, protocol, rng)
    )
    return split_of(order[:size], label, seed, protocol, pool, test)


def pool_and_test(label: Array, object_id: Array, protocol: Protocol) -> tuple[Array, Array | None]:
    """Indices of the objects that may be labelled, and of those that test; None where all that are not drawn do."""
    if protocol.test == "remainder":
        return np.arange(len(label)), None
    share = protocol.test_fraction
    fixed = fixed_test(label, object_id, share)
    if protocol.test == "development":
        return np.flatnonzero(~fixed), None
    if protocol.test == "fixed":
        return np.flatnonzero(~fixed), np.flatnonzero(fixed)
    both = fixed_test(label, object_id, 2 * share)
    return np.flatnonzero(~both), np.flatnonzero(both & ~fixed)


def split_of(drawn: Array, label: Array, seed: int, protocol: Protocol, pool: Array, test: Array | None) -> Split:
    """The split with these labelled objects.

    Args:
        drawn: indices of the budget, in the order in which they were chosen.
        label, seed, protocol: see `draw_split`.
        pool, test: see `pool_and_test`.

    Raises:
        ValueError: no object is left to test on, or to validate.
    """
    train, val = _hold_out(
        drawn, label, protocol.validation_fraction, np.random.default_rng(stream(seed, "validation"))
    )
    tested = np.setdiff1d(pool, drawn) if test is None else test
    if not len(tested):
        raise ValueError(
            f"the labels take all {len(drawn)} objects, so protocol.test={protocol.test} leaves no test objects: "
            "choose fewer labels or protocol.test=fixed"
        )
    return Split(np.sort(train), np.sort(val), tested, len(pool))


def _brightest_first(pool: Array, magnitude: Array | None, protocol: Protocol, rng: np.random.Generator) -> Array:
    """The pool in an order in which objects follow with chances as their brightness gives (Efraimidis & Spirakis 2006).

    Objects without a magnitude come last.
    """
    if magnitude is None or np.isnan(magnitude[pool]).all():
        raise ValueError(
            "protocol.labelling=bright needs a detection in the light curves: choose protocol.labelling=random"
        )
    peak = magnitude[pool]
    limit = float(np.nanquantile(peak, BRIGHT)) if protocol.bright_limit is None else protocol.bright_limit
    chance = -np.logaddexp(0, (np.where(np.isnan(peak), np.inf, peak) - limit) / protocol.bright_width)
    rank = -chance - rng.gumbel(size=len(pool))
    order: Array = pool[np.argsort(rank, kind="stable")]
    return order


def fixed_test(label: Array, object_id: Array, fraction: float) -> Array:
    """(n,) bool: a `fraction` of each class, chosen by the objects' ids alone.

    Objects are taken in the order of (crc32(id) modulo 5, crc32(id)): a rule of one line in any language, so
    that other tools can set the same fifth aside.
    """
    digest = np.array([zlib.crc32(str(name).encode()) for name in object_id], dtype=np.int64)
    chosen = np.zeros(len(label), dtype=bool)
    for value in np.unique(label):
        members = np.flatnonzero(label == value)
        chosen[
            members[np.lexsort((object_id[members], digest[members], digest[members] % 5))][
                : round(fraction * len(members))
            ]
        ] = True
    return chosen


def _hold_out(drawn: Array, label: Array, fraction: float, generator: np.random.Generator) -> tuple[Array, Array]:
    """Systematic sampling along the class-sorted draw: exact total, proportional in each class, which keeps one object."""
    if not len(drawn):
        return drawn, drawn
    by_class, single = _by_class(drawn, label, generator)
    candidates = by_class[~single]
    if not len(candidates):
        raise ValueError(
            f"the {len(drawn)} labels hold one object of each class, so none is left for validation: choose more labels"
        )
    kinds, first = np.unique(label[candidates], return_index=True)
    wanted = min(max(1, round(fraction * len(drawn))), len(candidates) - len(kinds))
    places = np.arange(len(candidates))
    if 2 * wanted > len(candidates):  # more than every second: could be all of a class, unless one of each stays
        places = np.delete(places, first)
    positions = np.floor((np.arange(wanted) + generator.random()) * len(places) / wanted).astype(np.int64)
    chosen = np.zeros(len(candidates), dtype=bool)
    chosen[places[positions]] = True
    return np.concatenate([by_class[single], candidates[~chosen]]), candidates[chosen]


def cross_validation(split: Split, label: Array, folds: int, seed: int) -> list[Split]:
    """The whole budget of `split`, `folds` times: each label validates once and trains in the other folds.

    Folds are stratified: their sizes, and their numbers of objects of a class, differ by at most one. A class's only
    object trains in every fold and never validates.

    Args:
        split: whose train and val are the budget; its test part stays.
        label: (n,) class index of all objects.
        folds: how many.
        seed: of the draw.

    Raises:
        ValueError: a fold would have nothing to validate on.
    """
    used = np.sort(np.concatenate([split.train, split.val]))
    by_class, single = _by_class(used, label, np.random.default_rng(stream(seed, "folds")))
    usable = int(np.count_nonzero(~single))
    if usable < folds:
        raise ValueError(
            f"{folds} folds of {len(used)} labels, of which {usable} can validate (a class's only object cannot): "
            "choose fewer folds or more labels"
        )
    fold = np.where(single, -1, (np.cumsum(~single) - 1) % folds)
    return [
        Split(np.sort(by_class[fold != number]), np.sort(by_class[fold == number]), split.test, split.pool)
        for number in range(folds)
    ]


def _by_class(drawn: Array, label: Array, generator: np.random.Generator) -> tuple[Array, Array]:
    """The objects shuffled and then sorted by class, and which of them are their class's only one."""
    shuffled: Array = generator.permutation(drawn)
    by_class = shuffled[np.argsort(label[shuffled], kind="stable")]
    values, counts = np.unique(label[by_class], return_counts=True)
    return by_class, np.isin(label[by_class], values[counts == 1])


def class_weights(label: Array, n_classes: int) -> Array:
    """(n_classes,) float32 inverse-frequency weights with mean 1 over the objects; 0 for an absent class."""
    counts = np.bincount(label, minlength=n_classes).astype(np.float64)
    present = counts > 0
    weights: Array = np.divide(len(label), counts * present.sum(), out=np.zeros(n_classes), where=present)
    return np.asarray(weights, dtype=np.float32)


def absent_classes(label: Array, classes: Sequence[str]) -> list[str]:
    """Names of the classes that have no object."""
    return [name for index, name in enumerate(classes) if not np.any(label == index)]
