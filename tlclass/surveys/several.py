"""Several surveys combined: each is read by its own rules, all have the same classes."""

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tlclass.arrays import Array
from tlclass.lightcurves.curves import LightCurves, concatenate
from tlclass.lightcurves.passbands import Passbands, joined
from tlclass.lightcurves.selection import Selection
from tlclass.lightcurves.taxonomy import Taxonomy
from tlclass.surveys.survey import Survey

log = logging.getLogger(__name__)

PART = "survey"  # extra column with the name of the part an object comes from


@dataclass(frozen=True)
class Several:
    """Several surveys as one source, e.g. simulations of ZTF and of LSST.

    Every part keeps its own reader, cuts, photometry kind, trigger, window and passbands; its taxonomy is replaced.
    Object ids are `part:id`.

    Attributes:
        parts: name -> survey, in order.
        taxonomy: of all parts; a raw label it neither maps nor drops is an error.
    """

    parts: Mapping[str, Survey]
    taxonomy: Taxonomy

    def __post_init__(self) -> None:
        """Refuse no parts, and passbands that contradict each other."""
        if not self.parts:
            raise ValueError(
                "source=several has no parts: write source=[NAME,NAME], or /survey@source.parts.NAME: NAME among the "
                "defaults of an experiment"
            )
        joined([part.passbands for part in self.parts.values()])

    @property
    def name(self) -> str:
        """The parts' names, with a plus between them."""
        return "+".join(self.parts)

    @property
    def passbands(self) -> Passbands:
        """Of all parts; an alias that two passbands share (`g` of ZTF and of LSST) is left out."""
        return joined([part.passbands for part in self.parts.values()])

    @property
    def selection(self) -> Selection:
        """Of the first part. Not used in training: a model file states it, and `predict` applies it to new light curves.

        So the part that new light curves look like goes first.
        """
        return next(iter(self.parts.values())).selection

    @property
    def simulated(self) -> bool:
        """Whether any part is."""
        return any(part.simulated for part in self.parts.values())

    @property
    def citation(self) -> str:
        """Of all parts that state one."""
        return "; ".join(part.citation for part in self.parts.values() if part.citation)

    @property
    def subsets(self) -> Mapping[str, Mapping[str, Any]]:
        """Every part is a subset, so that its own scores are reported too."""
        return {name: {PART: name} for name in self.parts}

    def digest(self, root: Path, cache: Path) -> str:
        """Hash of the parts' raw files, see `Survey.digest`."""
        digests = [(name, part.digest(root, cache)) for name, part in self.parts.items()]
        return hashlib.sha256(repr(digests).encode()).hexdigest()[:16]

    def load(self, cache: str | Path | None = None) -> tuple[LightCurves, Array]:
        """Selected light curves of all parts, part after part, and their class indices; see `Survey.load`."""
        loaded = [self._load(name, part, cache) for name, part in self.parts.items()]
        curves, labels = zip(*loaded, strict=True)
        return concatenate(list(curves)), np.concatenate(labels)

    def unlabelled(self, cache: Path) -> LightCurves:
        """Of all parts; see `Survey.unlabelled`."""
        return concatenate([self._named(name, part.unlabelled(cache)) for name, part in self.parts.items()])

    def rules_of(self, curves: LightCurves) -> dict[str, tuple[Array, Selection]]:
        """Rows and selection rules of each part among light curves that `load` gave."""
        return {name: (np.flatnonzero(curves.extra[PART] == name), part.selection) for name, part in self.parts.items()}

    def _load(self, name: str, part: Survey, cache: str | Path | None) -> tuple[LightCurves, Array]:
        curves, label = replace(part, taxonomy=self.taxonomy).load(cache)
        counts = np.bincount(label, minlength=len(self.taxonomy.classes)).tolist()
        listed = ", ".join(f"{one} {count}" for one, count in zip(self.taxonomy.classes, counts, strict=True))
        log.info("%s: %d objects of %s: %s", self.name, len(curves), name, listed)
        return self._named(name, curves), label

    @staticmethod
    def _named(name: str, curves: LightCurves) -> LightCurves:
        """The light curves of a part, whose name says so."""
        ids = np.char.add(f"{name}:", curves.object_id)
        return replace(curves, object_id=ids, extra={**curves.extra, PART: np.full(len(curves), name)})
