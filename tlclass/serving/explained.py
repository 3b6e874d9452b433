"""How a model sees one light curve, in numbers: what it makes of each observation."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tlclass.arrays import Array

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Explanation:
    """One light curve of T observations, as the model sees it, and what it makes of it.

    Attributes:
        object_id: of the object.
        model: name of the model.
        history: what the model was trained on.
        classes: K names.
        passbands: (T,) names.
        mjd: (T,) times.
        days: (T,) since time zero.
        flux: (T,) at zero point 27.5 AB.
        flux_err: (T,) in the same unit.
        probability: (T, K) from the observations up to each one.
        before: (K,) before any observation: the proportions that the model assumes.
        without: (T, K) from all observations except this one, with the same time zero.
        metadata: numbers of the object that the model also uses, such as `host_photoz`; NaN where unknown.
        without_metadata: (K,) from all observations, without these numbers.
        novelty: percentile among known objects; None where the model has no score.
        warning: how the light curve differs from the training data; empty if it does not.
    """

    object_id: str
    model: str
    history: str
    classes: tuple[str, ...]
    passbands: Array
    mjd: Array
    days: Array
    flux: Array
    flux_err: Array
    probability: Array
    before: Array
    without: Array
    metadata: Mapping[str, float]
    without_metadata: Array
    novelty: float | None
    warning: str

    @property
    def best(self) -> int:
        """Number of the most probable class in the end."""
        return int(self.probability[-1].argmax())

    @property
    def change(self) -> Array:
        """(T,) change of the final class's log odds when the observation came in."""
        own = np.concatenate([[self.before[self.best]], self.probability[:, self.best]])
        return np.diff(log_odds(own))

    @property
    def influence(self) -> Array:
        """(T,) log odds of the final class in the end, minus those without the observation.

        Log odds, because the probability of a class that is all but certain hardly moves whatever is left out.
        """
        return np.asarray(log_odds(self.probability[-1, self.best]) - log_odds(self.without[:, self.best]))

    def decisive(self, number: int = 3) -> Array:
        """Observations with the largest influence, for or against, in order of it."""
        return np.argsort(-np.abs(self.influence), kind="stable")[:number]

    def write(self, path: str | Path) -> list[Path]:
        """Write PATH.png and PATH.html, which needs no other file; return both paths."""
        from tlclass.serving.explanation_page import write  # imported here: matplotlib takes a second

        return write(self, Path(path))

    @property
    def frame(self) -> "pd.DataFrame":
        """A row per observation: when and what it was, the probabilities after it, `change` and `influence`."""
        import pandas as pd

        columns = {"mjd": self.mjd, "days": self.days, "passband": self.passbands, "flux": self.flux}
        columns |= {"flux_err": self.flux_err}
        columns |= {f"p({name})": self.probability[:, k] for k, name in enumerate(self.classes)}
        return pd.DataFrame(columns | {"change": self.change, "influence": self.influence})


def log_odds(probability: Array) -> Array:
    """The logarithm of p / (1 - p), of a probability not nearer than 1e-6 to 0 or 1."""
    inside = np.clip(probability, 1e-6, 1 - 1e-6)
    return np.asarray(np.log(inside / (1 - inside)))
