"""Label budgets: which objects train, validate and test. Indices only; drawn from named seed streams."""

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tlclass.seeds import stream

Array = npt.NDArray[Any]

TEST_KINDS = ("remainder", "fixed", "development")


@dataclass(frozen=True)
class Protocol:
    """How objects are split into train, validation and test.

    Attributes:
        test: `remainder` (all that is not drawn, as in the paper), `fixed` (a stratified `test_fraction` by object
            id, the same for every seed and budget), or `development` (what is drawn neither for the budget nor for
            that part, which stays untouched: for choices whose result `fixed` is to judge).
        test_fraction: used by `fixed` and `development`.
        validation_fraction: of the labels.
    """

    test: str = "remainder"
    test_fraction: float = 0.2
    validation_fraction: float = 0.2

    def __post_init__(self) -> None:
        """Raise ValueError for an unknown kind of test part, or shares that leave a part empty."""
        if self.test not in TEST_KINDS:
            raise ValueError(f"protocol.test is '{self.test}': choose one of {', '.join(TEST_KINDS)}")
        for name in ("test_fraction", "validation_fraction"):
            share = getattr(self, name)
            if not isinstance(share, float | int) or not 0 < share < 1:
                raise ValueError(f"protocol.{name} is {share}: choose a share between 0 and 1, such as 0.2")


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
            raise ValueError(
                f"labels={size}: {pool} labelled objects are available; choose 5 to {pool}, or 0 for no training"
            )
        return size


def draw_split(label: Array, object_id: Array, seed: int, labels: Labels, protocol: Protocol) -> Split:
    """Draw a label budget, 80 % of it for training and 20 % for validation (paper section 3.3).

    The n objects are a uniform draw from the pool, so classes come in their real proportions; for one
    seed a smaller budget is part of a larger one. Validation is stratified inside the budget, has one object
    at least, and leaves every class of the budget one for training.

    Args:
        label: (n,) class index.
        object_id: (n,) names; decide the fixed test part, so that it depends on nothing else.
        seed: different seeds draw different objects.
        labels: how many labels are used.
        protocol: which objects test, and how many validate.

    Raises:
        ValueError: the budget does not fit, or no object is left to test on.
    """
    test, test_fraction, validation_fraction = protocol.test, protocol.test_fraction, protocol.validation_fraction
    fixed = np.zeros(len(label), dtype=bool) if test == "remainder" else fixed_test(label, object_id, test_fraction)
    pool = np.flatnonzero(~fixed)
    size = labels.size(len(pool))
    order = np.random.default_rng(stream(seed, "subset")).permutation(pool)
    drawn, rest = order[:size], order[size:]
    train, val = _hold_out(drawn, label, validation_fraction, np.random.default_rng(stream(seed, "validation")))
    tested = np.flatnonzero(fixed) if test == "fixed" else np.sort(rest)
    if not len(tested):
        raise ValueError(
            f"the budget takes all {size} objects and test={test} leaves none to test on: "
            "choose fewer labels or protocol.test=fixed"
        )
    return Split(np.sort(train), np.sort(val), tested, len(pool))


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
            f"the {len(drawn)} labels hold one object of each class, so none is left for validation: choose a larger budget"
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
            "choose fewer folds or a larger budget"
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
