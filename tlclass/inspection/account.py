"""What is in a survey, and what is wrong with it: counts, medians per class, fluxes per passband, duplicates."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tlclass.arrays import Array
from tlclass.inspection.gathering import SAMPLE, Gathered, Marks
from tlclass.inspection.sheet import Examples
from tlclass.inspection.violations import judged
from tlclass.lightcurves.arrow import read_parts
from tlclass.lightcurves.curves import LightCurves, refuse_none
from tlclass.lightcurves.passbands import Passbands
from tlclass.lightcurves.photometry import MJD_RANGE, magnitude_of_flux
from tlclass.lightcurves.selection import alerts_alone
from tlclass.lightcurves.taxonomy import DROPPED, TO_LIST, Taxonomy
from tlclass.surveys.reader import pieces_of
from tlclass.surveys.survey import Survey, label_counts
from tlclass.wording import of_survey

PERCENTILES = (1, 5, 25, 50, 75, 95, 99)
ORDER = "ugrizy"  # of the wavelengths, by the last letter of a passband's name
SAME_PLACE = 1.0  # arcsec
DEPTH_RANGE = (15.0, 28.5)  # mag; a survey whose 5-sigma depth is outside has another flux unit
UNLABELLED = "(no label)"  # of objects without one; the one class of a survey of which no object has a label
SAME_PASSBAND_SHIFT = 2.0  # mag that the depth of one and the same passband may differ between surveys


@dataclass(frozen=True)
class Inspection:
    """The account of one survey.

    Attributes:
        name: of the survey. simulated: whether its light curves are.
        citation: of the card.
        objects, observations: selected ones.
        curves: a random sample of the selected light curves, all where they have no more than `gathering.SAMPLE` observations.
        examples: a few light curves of every class. marks: what tells all selected objects apart.
        counts: a row per class, a column per cut (Table 1 of the paper).
        labels: a row per raw label: its class and how many objects have it.
        medians: a row per class, of the sample.
        fluxes: a row per passband: all observations; percentiles of detected flux, depth, signal to noise of the sample.
        dropped: raw observations that were dropped, by reason. left_out: those that the selection drops.
        violations: what is wrong, a sentence each. notes: what deserves a look.
    """

    name: str
    simulated: bool
    citation: str
    objects: int
    observations: int
    curves: LightCurves
    examples: Examples
    marks: Marks
    counts: pd.DataFrame
    labels: pd.DataFrame
    medians: pd.DataFrame
    fluxes: pd.DataFrame
    dropped: dict[str, int]
    left_out: dict[str, int]
    violations: list[str]
    notes: list[str]


def inspect_survey(survey: Survey, cache: Path, limit: int = SAMPLE) -> Inspection:
    """Read a survey and check it; unknown labels are reported as violations, not raised.

    A survey without labels, such as a stream's packets, is one class and gets a note.

    Memory holds a part of the survey, a sample of it, and about 60 bytes for each object. A table with a row per observation may be
    larger than memory, as may one file with a row per object; of many files, each must fit.

    Args:
        survey: see there. cache: folder. limit: observations in the sample.

    Raises:
        FileNotFoundError, ValueError: the files are absent or not readable, or hold no light curve.
    """
    survey, violations = _with_unknown_dropped(survey, cache)
    path, unread = survey.parsed(cache)
    labels = label_counts(path)
    unlabelled = bool(labels) and not any(labels)
    if unlabelled:
        survey = replace(survey, taxonomy=Taxonomy({UNLABELLED: ()}))
    known = survey.taxonomy
    found = Gathered(limit)
    for part in read_parts(path, verify=False):
        if unlabelled:
            part = replace(part, label=np.full(len(part), UNLABELLED))
        selected, cuts = survey.select(part)
        found.look(part, selected, _classes(selected, known, survey.name), cuts)
    refuse_none(sum(found.labels.values()), survey.name)
    curves, marks = found.sample.curves, found.marks
    simulated = survey.simulated or found.simulated
    fluxes = flux_table(curves)
    fluxes["observations"] = [found.passbands[band] for band in fluxes.index]
    notes = [f"no object of class {name} passed the cuts" for name in known.classes if not found.classes[name]]
    if found.seen_by:
        listed = ", ".join(f"{surveys} {count:,}" for surveys, count in sorted(found.seen_by.items()))
        notes.append(f"light curves by the surveys that observe them: {listed}")
    hosts = np.isfinite(curves.host_photoz)
    if hosts.any():
        off = np.abs(curves.host_photoz - curves.redshift)[hosts & np.isfinite(curves.redshift)]
        far = f"; {np.mean(off > 0.1):.0%} differ by more than 0.1 from the redshift" if len(off) else ""
        notes.append(
            f"the photometric redshift of the host (host_photoz) is known for {hosts.mean():.0%} of the light curves{far}"
        )
    if found.sample.halved:
        notes.append(
            f"medians, percentiles, figures and the checks of fluxes and times zero are of a random sample of {len(curves):,} of {found.objects:,} light "
            "curves; counts, cuts and duplicates are of all"
        )
    violations += wrong_wavelengths(survey.passbands)
    if not found.objects:
        violations.append("no object is left after the cuts: check times, detections and the window in the card")
    else:
        present = sorted(found.classes)
        if unlabelled:
            notes.append("no object has a class label: tlclass predict and tlclass adapt need none, training does")
        elif len(present) < 2:
            violations.append(f"all objects are of class {present[0]}: training needs two classes or more")
        violations += [*wrong_times(*found.mjd), *wrong_depths(fluxes)]
        kind = survey.selection.photometry.kind
        forced = kind == "forced" or (kind == "any" and not curves.detected.all())
        if found_alone := alerts_alone(curves, survey.selection):
            notes.append(found_alone)
        violations += judged(curves, survey.passbands, forced, survey.typical_flux)
        twice = duplicates(marks, marks, simulated)
        (notes if simulated else violations).extend(twice)
    if simulated and not survey.simulated:
        notes.append("the files say that their light curves are simulated: training needs simulated=true in the card")
    lost = sum(found.dropped.values()) / max(sum(found.dropped.values()) + found.read, 1)
    if lost > 0.2:
        notes.append(f"{lost:.0%} of the raw observations were dropped")
    notes += [f"{count} files of {label} were not read: the taxonomy drops it" for label, count in unread.items()]
    return Inspection(
        survey.name, simulated, survey.citation, found.objects, found.observations, curves, found.examples, marks,
        count_table(found, known), label_table(found.labels, known),
        median_table(curves, _classes(curves, known, survey.name), known), fluxes, found.dropped, found.left_out, violations, notes,
    )  # fmt: skip


def _with_unknown_dropped(survey: Survey, cache: Path) -> tuple[Survey, list[str]]:
    """The survey with a taxonomy that drops unknown labels and objects without one, and a sentence about each such label."""
    taxonomy = survey.taxonomy
    of_files = Counter(str(getattr(piece, "label", "")) for piece in pieces_of(survey.reader))
    unknown = taxonomy.unlisted(of_files)
    path, _ = _also_dropping(survey, unknown).parsed(cache)
    unknown |= taxonomy.unlisted(label_counts(path))
    violations = [
        f"the label '{label}' ({count}) belongs to no class and is not listed as dropped; the taxonomy maps {', '.join(taxonomy.classes)}: {of_survey(TO_LIST)}"
        for label, count in unknown.items()
    ]
    return _also_dropping(survey, unknown), violations


def _also_dropping(survey: Survey, labels: Iterable[str]) -> Survey:
    """The survey, with a taxonomy that drops these labels too, and objects without one."""
    return replace(survey, taxonomy=replace(survey.taxonomy, dropped=[*survey.taxonomy.dropped, *labels, ""]))


def _classes(curves: LightCurves, taxonomy: Taxonomy, origin: str) -> Array:
    """(n,) the name of each one's class."""
    names: Array = np.array([*taxonomy.classes, ""])[taxonomy.encode(curves.label, origin)]
    return names


def compare(target: Inspection, source: Inspection) -> tuple[list[str], list[str]]:
    """Violations and notes about two surveys together: shared objects, and fluxes that look like another unit."""
    violations = [
        f"{sentence} (target {target.name}, source {source.name})"
        for sentence in duplicates(target.marks, source.marks, target.simulated or source.simulated)
    ]
    notes = []
    for band in target.fluxes.index.intersection(source.fluxes.index):
        shift = target.fluxes.loc[band, "depth"] - source.fluxes.loc[band, "depth"]
        if abs(shift) > SAME_PASSBAND_SHIFT:
            violations.append(
                f"{band}: the 5-sigma depth differs by {shift:+.1f} mag from {source.name} in the same passband: "
                "check the flux unit (uJy taken for zero point 27.5 is +3.6, nJy -3.9)"
            )
    ours, theirs = (np.median(np.abs(one.curves.flux)) for one in (target, source))
    if max(ours, theirs) > 5 * min(ours, theirs):
        notes.append(
            f"the median flux is {ours:.0f} here and {theirs:.0f} in {source.name}: with a constant flux scale the network's inputs differ by that factor"
        )
    return violations, notes


def count_table(found: Gathered, taxonomy: Taxonomy) -> pd.DataFrame:
    """Objects per class as read, after each cut, and as analysed; dropped classes are one row."""
    rows = [*taxonomy.classes, "(dropped)"]

    def tally(labels: Mapping[str, int]) -> Array:
        place = taxonomy.encode(np.array(list(labels), dtype=str), "survey") % len(rows)
        return np.bincount(place, list(labels.values()), minlength=len(rows)).astype(np.int64)

    left = tally(found.labels)
    columns = {"read": left}
    for reason, cut in found.cuts.items():
        if cut.total():
            left = left - tally(cut)
            columns[f"without those {reason}"] = left
    table = pd.DataFrame(columns, index=rows)
    return pd.concat([table, table.sum().to_frame("total").T])


def label_table(labels: Mapping[str, int], taxonomy: Taxonomy) -> pd.DataFrame:
    """Raw labels, their class, and their objects as read."""
    names = sorted(labels)
    owners = [taxonomy.index_of(name.strip()) for name in names]
    classes = ["(dropped)" if owner in (None, DROPPED) else taxonomy.classes[int(owner or 0)] for owner in owners]
    return pd.DataFrame(
        {"class": classes, "objects": [labels[name] for name in names]}, index=[name or UNLABELLED for name in names]
    ).sort_values(["class", "objects"], ascending=[True, False])


def median_table(curves: LightCurves, classes: Array, taxonomy: Taxonomy) -> pd.DataFrame:
    """Medians over the objects of each class, and over all."""
    owner, days = curves.owner, curves.days
    n = curves.lengths
    first, last = (_per_object(curves, days, pick) for pick in (np.minimum, np.maximum))
    night = np.floor(curves.mjd)
    fresh = np.concatenate([[True], (night[1:] != night[:-1]) | (owner[1:] != owner[:-1])])[: len(owner)]
    nights = np.bincount(owner[fresh], minlength=len(curves))
    pairs = np.unique(owner * len(curves.passbands) + curves.passband)  # of object and passband
    peak = _per_object(curves, curves.flux.astype(np.float64), np.maximum)
    with np.errstate(divide="ignore", invalid="ignore"):
        columns = {
            "observations": n,
            "nights": nights,
            "first day": first,
            "last day": last,
            "days between nights": np.where(nights > 1, (last - first) / (nights - 1), np.nan),
            "passbands": np.bincount(pairs // len(curves.passbands), minlength=len(curves)),
            "detected": np.bincount(owner, curves.detected, minlength=len(curves)) / n,
            "brightest (mag)": magnitude_of_flux(peak),
        }
    table = pd.DataFrame(columns)
    table.index = pd.Index(classes)
    rows = {name: table.loc[table.index == name].median() for name in taxonomy.classes}
    return pd.DataFrame.from_dict(rows | {"all": table.median()}, orient="index")


def _per_object(curves: LightCurves, values: Array, pick: Any) -> Array:
    """(n,) minimum or maximum over the observations of each object (none is empty after selection)."""
    reduced: Array = pick.reduceat(values, curves.offsets[:-1]) if len(curves) else np.empty(0)
    return reduced


def flux_table(curves: LightCurves) -> pd.DataFrame:
    """Per passband: observations, percentiles of flux, median error, depth (mag of five median errors), median S/N."""
    rows = {}
    for code, name in enumerate(curves.passbands):
        part = curves.passband == code
        if part.any():
            flux, error = curves.flux[part].astype(np.float64), curves.flux_err[part].astype(np.float64)
            middle = float(np.median(error))
            percentiles = dict(zip((f"{p} %" for p in PERCENTILES), np.percentile(flux, PERCENTILES), strict=True))
            rows[name] = {
                "observations": len(flux),
                **percentiles,
                "error": middle,
                "depth": float(magnitude_of_flux(5 * middle)),
            }
            rows[name] |= {"S/N": float(np.median(flux / error)), "negative": float(np.mean(flux < 0))}
    return pd.DataFrame.from_dict(rows, orient="index")


def wrong_wavelengths(passbands: Passbands) -> list[str]:
    """Passbands whose wavelengths are not in the order of their letters; u < g < r < i < z < y."""
    known = [band for band in passbands.bands if band.name[-1] in ORDER]
    known.sort(key=lambda band: ORDER.index(band.name[-1]))
    return [
        f"{one.name} ({one.wavelength} um) is not bluer than {other.name} ({other.wavelength} um): their wavelengths are swapped"
        for one, other in pairwise(known)
        if one.name[-1] != other.name[-1] and one.wavelength >= other.wavelength
    ]


def wrong_times(low: float, high: float) -> list[str]:
    """First and last times that cannot be MJD days (simulations may count from zero)."""
    if high < MJD_RANGE[0] / 10 or (MJD_RANGE[0] < low and high < MJD_RANGE[1]):
        return []
    return [
        f"times run from {low:.1f} to {high:.1f}, which is not MJD in days: set the reader's time_offset (Julian dates: -2400000.5)"
    ]


def wrong_depths(fluxes: pd.DataFrame) -> list[str]:
    """Passbands whose 5-sigma depth no survey of transients has."""
    odd = fluxes[(fluxes["depth"] < DEPTH_RANGE[0]) | (fluxes["depth"] > DEPTH_RANGE[1])]
    return [
        f"{name}: the 5-sigma depth is {depth:.1f} mag, outside {DEPTH_RANGE[0]:g} to {DEPTH_RANGE[1]:g}: check the flux unit"
        for name, depth in odd["depth"].items()
    ]


def duplicates(one: Marks, other: Marks, simulated: bool) -> list[str]:
    """Objects of one set that are in the other (or twice in it): by id, by their observations, by their position.

    Positions count for real objects only: simulations draw many objects at the same pointings.
    """
    within = one is other
    found = {} if within else {"have the same id": _matches(one.id_hash, other.id_hash)}
    found["have the same observations"] = _matches(one.fingerprint, other.fingerprint, within)
    if not simulated:
        found[f"are within {SAME_PLACE:g} arcsec of each other"] = _neighbours(one, other)
    sentences = []
    for how, (left, right) in found.items():
        if len(left):
            example = f"{one.object_id[int(left[0])]} and {other.object_id[int(right[0])]}"
            sentences.append(f"{len(left)} pair(s) of objects {how}, e.g. {example}: keep one of each")
    return sentences


def _matches(left: Array, right: Array, within: bool = False) -> tuple[Array, Array]:
    """Indices of equal values; within one set each pair of neighbours in sorted order once."""
    if within:
        order = np.argsort(left, kind="stable")
        same = left[order][1:] == left[order][:-1]
        return order[:-1][same], order[1:][same]
    _, mine, theirs = np.intersect1d(left, right, return_indices=True)
    return mine, theirs


def _neighbours(one: Marks, other: Marks) -> tuple[Array, Array]:
    from astropy import units as u
    from astropy.coordinates import SkyCoord, search_around_sky

    mine, theirs = (np.flatnonzero(np.isfinite(curves.ra) & np.isfinite(curves.dec)) for curves in (one, other))
    if not len(mine) or not len(theirs):
        return mine[:0], theirs[:0]
    left = SkyCoord(one.ra[mine] * u.deg, one.dec[mine] * u.deg)
    right = SkyCoord(other.ra[theirs] * u.deg, other.dec[theirs] * u.deg)
    a, b, _, _ = search_around_sky(left, right, SAME_PLACE * u.arcsec)
    keep = a < b if one is other else a >= 0
    return mine[a[keep]], theirs[b[keep]]
