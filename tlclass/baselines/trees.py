"""Baselines: light-curve features and trees, on the same labels and scored like the network.

Baselines run as arms next to the networks and ignore source model, encoding, encoder and head; metadata of the
encoder are features too, where any labelled object has them. A baseline is fitted to all labels of the budget, those the network keeps for validation included,
because trees need no early stopping; the number of labels is the same as for the network.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from tlclass.arrays import Array
from tlclass.baselines.features import cached_features, installed, until
from tlclass.inputs.datamodule import LightCurveDataModule
from tlclass.inputs.split import absent_classes, class_weights
from tlclass.lightcurves.curves import LightCurves
from tlclass.seeds import stream
from tlclass.training.evaluation import DAYS, score
from tlclass.training.leavings import Row

log = logging.getLogger(__name__)
Predict = Callable[[Array], Array]  # (n, F) features -> (n, K) probabilities

IGNORANCE = 1e-3  # share of the uniform distribution in every prediction; no class is impossible, and no rank changes


class Baseline(Protocol):
    """Interface of a classifier of features; `BASELINES` lists the classes."""

    @property
    def name(self) -> str:
        """Used in folders, tables and figures."""

    def fit(self, x: Array, label: Array, weight: Array, seed: int) -> Predict:
        """Fit to features (n, F), NaN where missing, class indices 0..K-1 that all occur, and weights (n,)."""


@dataclass(frozen=True)
class Forest:
    """A random forest (Breiman 2001).

    Attributes:
        name: of the arm.
        trees: how many.
    """

    name: str
    trees: int

    def fit(self, x: Array, label: Array, weight: Array, seed: int) -> Predict:
        """See `Baseline`."""
        ensemble = installed("sklearn.ensemble")
        forest = ensemble.RandomForestClassifier(self.trees, random_state=seed, n_jobs=1)
        forest.fit(x, label, sample_weight=weight)
        return forest.predict_proba  # type: ignore[no-any-return]


@dataclass(frozen=True)
class LightGBM:
    """Gradient-boosted trees (Ke et al. 2017), a fixed number of rounds.

    Attributes:
        name: of the arm.
        rounds, learning_rate, leaves, min_data: boosting rounds; step; leaves of a tree; objects of a leaf.
        feature_fraction, object_fraction: drawn for each tree.
        l2: regularisation of the leaves.
    """

    name: str
    rounds: int
    learning_rate: float
    leaves: int
    min_data: int
    feature_fraction: float
    object_fraction: float
    l2: float

    def fit(self, x: Array, label: Array, weight: Array, seed: int) -> Predict:
        """See `Baseline`."""
        lightgbm = installed("lightgbm")
        settings = {
            "objective": "multiclass", "num_class": int(label.max()) + 1, "learning_rate": self.learning_rate,
            "num_leaves": self.leaves, "min_data_in_leaf": self.min_data, "feature_fraction": self.feature_fraction,
            "bagging_fraction": self.object_fraction, "bagging_freq": 1, "lambda_l2": self.l2, "seed": seed % 2**31,
            "num_threads": 1, "deterministic": True, "force_row_wise": True, "verbosity": -1,
        }  # fmt: skip
        data = lightgbm.Dataset(x, label, weight=weight, params={"verbosity": -1})
        return lightgbm.train(settings, data, self.rounds).predict  # type: ignore[no-any-return]


BASELINES: Mapping[str, Callable[..., Baseline]] = {"forest": Forest, "lightgbm": LightGBM}


def fit_and_score(baseline: Baseline, data: LightCurveDataModule, folder: Path) -> Row:
    """Fit on the label budget, score the test part, leave predictions in `folder`; nothing of the fit is stored.

    For early classification a baseline is fitted anew for each number of days, to light curves cut alike.

    Raises:
        ValueError: the budget holds fewer than two classes, or the packages are not installed.
    """
    used = np.sort(np.concatenate([data.split.train, data.split.val]))
    missing = check_budget(baseline, data, used)
    whole = predicted(baseline, data, data.curves, used)
    early = {}
    for day in DAYS:
        cut = until(data.curves, day)
        complete = len(cut.mjd) == len(data.curves.mjd)
        early[day] = whole if complete else predicted(baseline, data, cut, used)
    row: Row = {"source": "", "source_simulated": False, "head": "", "encoder": baseline.name, "encoding": "features"}
    return row | {"absent_in_training": missing} | score(whole, early, data, folder)


def check_budget(baseline: Baseline, data: LightCurveDataModule, used: Array) -> list[str]:
    """The classes without a label in the budget, named in the log.

    Raises:
        ValueError: the budget holds fewer than two classes.
    """
    if not len(used):
        raise ValueError(f"{baseline.name} needs labels, but labels=0: choose 5 or more")
    missing = absent_classes(data.label[used], data.classes)
    if len(missing) > len(data.classes) - 2:
        raise ValueError(
            f"{baseline.name}: the {len(used)} labels of seed {data.seed} are all of one class: choose more labels"
        )
    if missing:
        message = "no object of %s among the %d labels of seed %d: expect scores near chance for these classes"
        log.warning(message, ", ".join(missing), len(used), data.seed)
    return missing


def predicted(baseline: Baseline, data: LightCurveDataModule, curves: LightCurves, used: Array) -> torch.Tensor:
    """(n_test, K) log probabilities of the test part, from a fit to the objects `used`.

    Args:
        baseline: the classifier.
        data: set up and split; gives labels, test part and seed.
        curves: its light curves, whole or cut.
        used: indices of the objects whose labels may be seen.
    """
    x = cached_features(curves, data.survey.passbands, data.cache / data.survey.name).values
    if data.metadata:
        metadata = data.encoded.metadata
        x = np.column_stack([x, metadata[:, np.isfinite(metadata[used]).any(0)]])
    present, code = np.unique(data.label[used], return_inverse=True)
    weight = class_weights(code, len(present))[code]
    predict = baseline.fit(x[used], code, weight, stream(data.seed, "baseline"))
    probability = np.zeros((len(data.split.test), len(data.classes)))
    probability[:, present] = predict(x[data.split.test])
    return torch.from_numpy(np.log((1 - IGNORANCE) * probability + IGNORANCE / len(data.classes)))
