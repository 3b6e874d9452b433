"""Several surveys of the same objects as one survey, e.g. ZTF and LSST: the reader, and what its card builds."""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from tlclass.arrays import Array
from tlclass.lightcurves.by_survey import SHOWN
from tlclass.lightcurves.curves import LightCurves
from tlclass.lightcurves.ids import hashes
from tlclass.lightcurves.passbands import joined
from tlclass.lightcurves.selection import JointPhotometry, Photometry, Selection
from tlclass.lightcurves.taxonomy import Taxonomy
from tlclass.quoting import shortened
from tlclass.surveys.grouping import MOST_FILES
from tlclass.surveys.joint.crossmatch import Matches, read_matches
from tlclass.surveys.joint.merging import merged
from tlclass.surveys.joint.spilling import Spill
from tlclass.surveys.reader import parts_of
from tlclass.surveys.survey import Survey, matching
from tlclass.surveys.tables.files import existing
from tlclass.wording import reworded

log = logging.getLogger(__name__)

BYTES = 20  # of a file for each observation in it: of Parquet, the smallest; others give smaller parts


@dataclass(frozen=True)
class Joint:
    """Reads surveys of the same objects: the observations of equal ids are one light curve.

    Of each survey its reader, `where` and `selection.trigger.search` are applied; zero points, units and flags are those of its own files.

    Attributes:
        name: of all together, for messages.
        surveys: name -> survey; no two have a passband in common.
        taxonomy: labels of an object must belong to the same class.
        matches: table with a column of ids per survey, where they name an object differently; see `read_matches`.
    """

    name: str
    surveys: Mapping[str, Survey]
    taxonomy: Taxonomy
    matches: Path | None = None

    def __post_init__(self) -> None:
        """Refuse a single survey, and two that have a passband in common."""
        refuse_overlap(self.name, self.surveys)

    def files(self) -> list[Path]:
        """The raw files of all surveys, and the cross-match."""
        given = [] if self.matches is None else [existing(Path(self.matches))]
        return [*given, *(file for survey in self.surveys.values() for file in survey.reader.files())]

    def read(self) -> LightCurves:
        """All light curves; see `tlclass.surveys.joint.merging.merged`.

        Raises:
            FileNotFoundError, ValueError: what the surveys' readers raise, or the surveys have no object in common.
        """
        matches = self._matches()
        parts = {name: self._own(name, next(self._read(name)), matches) for name in self.surveys}
        self._say({name: hashes(part.object_id) for name, part in parts.items()})
        return merged(parts, self.taxonomy, self.name)

    def read_parts(self, rows: int) -> Iterator[LightCurves]:
        """What `read` reads, about so many observations at a time, in the order of a hash of the ids.

        Each survey's own reader must read in parts, or its files must each fit into memory.
        """
        size = sum(file.stat().st_size for file in self.files())
        number = min(-(-size // (rows * BYTES)), MOST_FILES)
        if number < 2:
            yield self.read()
            return
        matches = self._matches()
        with Spill(number) as spill:
            for name in self.surveys:
                spill.take(name, (self._own(name, part, matches) for part in self._read(name, rows)))
            self._say(spill.ids)
            for found in spill.read():
                yield merged(found, self.taxonomy, self.name)

    def _matches(self) -> Matches:
        return Matches() if self.matches is None else read_matches(Path(self.matches), tuple(self.surveys))

    def _read(self, name: str, rows: int | None = None) -> Iterator[LightCurves]:
        """Light curves of a survey, about so many observations at a time, None: all. Mistakes name it, and its settings as the user writes them."""
        reader = self.surveys[name].reader
        with reworded(lambda said: f"{name}: {said.replace('target.reader.', f'target.surveys.{name}.reader.')}"):
            yield from [reader.read()] if rows is None else parts_of(reader, rows)

    def _own(self, name: str, curves: LightCurves, matches: Matches) -> LightCurves:
        """Light curves of a survey as they enter: chosen, near its own trigger, with the joint ids."""
        survey = self.surveys[name]
        curves = curves.take(matching(curves, survey.where, name))
        curves = survey.selection.trigger.near_survey_trigger(curves)
        return replace(curves, object_id=matches.renamed(name, curves.object_id))

    def _say(self, ids: Mapping[str, Array]) -> None:
        """Log how many objects each survey has, and how many two of them share.

        Raises:
            ValueError: none, and no cross-match says so.
        """
        distinct = {name: np.unique(one) for name, one in ids.items()}
        shared = {
            f"{one} and {two}": len(np.intersect1d(distinct[one], distinct[two], assume_unique=True))
            for one, two in combinations(distinct, 2)
        }
        counts = ", ".join(f"{len(one)} of {name}" for name, one in distinct.items())
        log.info("%s: objects: %s; %s", self.name, counts, ", ".join(f"{n} of {pair}" for pair, n in shared.items()))
        if self.matches is None and not any(shared.values()):
            raise ValueError(
                f"{self.name}: no object id is in two of the surveys {', '.join(self.surveys)}: where they name an object differently, give a table "
                "with a column of ids for each survey, matches=FILE; objects of one survey alone are read by its own card"
            )


def refuse_overlap(name: str, surveys: Mapping[str, Survey]) -> None:
    """Raise ValueError for fewer than two surveys, and for two that have a passband in common."""
    if len(surveys) < 2:
        raise ValueError(
            f"{name}: a joint survey joins two surveys or more, and {len(surveys)} is given: name each in the defaults of its card, "
            "/survey@surveys.NAME: CARD"
        )
    for one, two in combinations(surveys, 2):
        shared = [band for band in surveys[one].passbands.names if band in surveys[two].passbands.names]
        if shared:
            raise ValueError(
                f"{name}: the surveys {one} and {two} both have the passband {', '.join(shared)}, so that one exposure could count twice: put "
                "their tables into one folder, where an exposure of several tables counts once, or name the passbands differently"
            )


def joint_survey(
    name: str,
    surveys: Mapping[str, Survey],
    taxonomy: Taxonomy,
    selection: Selection,
    matches: Path | None = None,
    **facts: Any,
) -> Survey:
    """Build the survey of a card such as `conf/survey/ztf_and_lsst.yaml`.

    Args:
        name, surveys, taxonomy, matches: see `Joint`.
        selection: time zero and window, of all observations together; photometry is that of each survey.
        facts: see `joint_facts`.
    """
    return Survey(
        name, Joint(name, surveys, taxonomy, matches), **joint_facts(name, surveys, taxonomy, selection, **facts)
    )


def joint_facts(
    name: str,
    surveys: Mapping[str, Survey],
    taxonomy: Taxonomy,
    selection: Selection,
    shares: Mapping[str, float] | str | None = None,
    simulated: bool = False,
    where: Mapping[str, Any] | None = None,
    subsets: Mapping[str, Mapping[str, Any]] | None = None,
    citation: str = "",
    typical_flux: float | None = None,
) -> dict[str, Any]:
    """What is known of a joint survey but its reader: keyword arguments of `Survey`.

    Args:
        name, surveys, taxonomy, selection: see `joint_survey`.
        shares: see `JointPhotometry`; a word is the only share: `ztf` shows what ZTF alone sees.
        simulated: whether the light curves are; also where one of the surveys is.
        where, typical_flux: see `Survey`.
        subsets: see `Survey`; without any, what each survey alone and all of them are shown.
        citation: beside those of the surveys.

    Raises:
        ValueError: the selection states a kind of photometry.
    """
    refuse_overlap(name, surveys)
    if selection.photometry != Photometry():
        raise ValueError(
            f"{name}: selection.photometry is that of each survey: leave it out here and set surveys.NAME.selection.photometry"
        )
    photometry = JointPhotometry(
        {one: _own_photometry(name, one, survey) for one, survey in surveys.items()},
        {one: survey.passbands.names for one, survey in surveys.items()},
        _shares(name, shares),
    )
    cited = dict.fromkeys(text for text in (citation, *(survey.citation for survey in surveys.values())) if text)
    return {
        "passbands": joined([survey.passbands for survey in surveys.values()]),
        "taxonomy": taxonomy,
        "selection": replace(selection, photometry=photometry),
        "simulated": simulated or any(survey.simulated for survey in surveys.values()),
        "where": where or {},
        "subsets": subsets or {one: {SHOWN: one} for one in (*surveys, "+".join(surveys))},
        "citation": "; ".join(cited),
        "typical_flux": typical_flux,
    }


def _shares(name: str, shares: Mapping[str, float] | str | None) -> dict[str, float]:
    if isinstance(shares, str):
        return {shares: 1.0}
    if shares is not None and not isinstance(shares, Mapping):
        raise ValueError(
            f"{name}: shares is {shortened(shares)}: give a share for each way to show an object, e.g. {{ztf: 0.4, ztf+lsst: 0.6}}, or one of them"
        )
    return {str(one): share for one, share in (shares or {}).items()}


def _own_photometry(name: str, one: str, survey: Survey) -> Photometry:
    photometry = survey.selection.photometry
    if isinstance(photometry, JointPhotometry):
        raise ValueError(f"{name}: survey {one} is a joint survey itself: list its surveys here")
    return photometry
