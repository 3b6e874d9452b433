"""From the columns of an object table to labels, positions and the time around which light curves are cut."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tlclass.lightcurves.curves import OBJECT_NUMBERS, SIMULATED, LightCurves, best_hosts, from_columns
from tlclass.lightcurves.voids import blank
from tlclass.surveys.tables.cells import column_values, flags, identifiers, is_true, text
from tlclass.surveys.tables.columns import OBJECT_COLUMNS, ON_ROWS, Form, naming
from tlclass.surveys.tables.observations import Observations
from tlclass.surveys.tables.quantities import number_of

Array = npt.NDArray[Any]
Objects = dict[str, Array]

BEFORE_PEAK = 100.0  # d; earlier alerts at the position of a transient are unrelated (variables, artefacts)


def object_columns(names: Sequence[str], form: Form, origin: str) -> dict[str, str]:
    """Our name -> the column, of those columns of an object table that are read.

    Raises:
        ValueError: a column is missing or ambiguous.
    """
    found = {name: column for name, column in form.found(names, origin).items() if name in OBJECT_COLUMNS}
    mapped = [name for name in OBJECT_COLUMNS if form.columns.get(name) is not None]
    form.needed(found, names, ["object_id", *mapped], origin)
    return found | {name: name for name in form.extra if name in names}


def objects_of(table: pa.Table, found: Mapping[str, str], form: Form, origin: str) -> Objects:
    """The object columns of a table in our names and units: degrees, MJD, E(B-V); labels "-" and "" are empty.

    Rows without an id are left out: they cannot be used.

    Args:
        table: of objects.
        found: the result of `object_columns`.
        form: how its columns become ours.
        origin: what to call it in messages.

    Raises:
        ValueError: a column holds what it should not.
    """
    ids = identifiers(table[found["object_id"]], found["object_id"], origin)
    table = table.filter(pa.array(ids != ""))
    columns = {"object_id": ids[ids != ""]}
    if "label" in found:
        label = np.char.strip(text(table[found["label"]]).astype(str))
        columns["label"] = np.where(blank(label), "", label)
    for name in (*OBJECT_NUMBERS, "peak_mjd"):
        if name in found:
            columns[name] = number_of(name, table[found[name]], form, found[name], origin)
    if SIMULATED in found:
        columns[SIMULATED] = flags(table[found[SIMULATED]], is_true, found[SIMULATED], origin)
    return columns | {name: column_values(table[name]) for name in form.extra if name in found}


def merged(parts: Sequence[Objects], origin: str) -> Objects:
    """Several object tables as one: every object once, each value from the first table that knows it.

    Raises:
        ValueError: an id stands twice in one table, or two tables give an object different labels.
    """
    if len(parts) == 1:
        return dict(parts[0])
    ids = np.unique(np.concatenate([part["object_id"].astype(str) for part in parts]))
    whole: Objects = {"object_id": ids}
    for part in parts:
        rows = np.searchsorted(ids, part["object_id"].astype(str))
        if len(np.unique(rows)) < len(rows):
            raise ValueError(
                f"{origin}: an object table lists an object more than once: every object must have one row"
            )
        for name, values in part.items():
            if name != "object_id":
                whole[name] = _filled(whole.get(name), values, rows, len(ids))
        if "label" in part:
            _refuse_contradiction(whole, part["label"], rows, origin)
    return whole


def _filled(known: Array | None, values: Array, rows: Array, n: int) -> Array:
    numeric = values.dtype.kind in "fiub"
    if known is None:
        known = np.full(n, np.nan) if numeric else np.full(n, "", dtype=object)
    new = known.copy()
    missing = np.isnan(known[rows]) if known.dtype.kind == "f" else known[rows] == ""
    new[rows[missing]] = values[missing]
    return new


def _refuse_contradiction(whole: Objects, label: Array, rows: Array, origin: str) -> None:
    differ = np.flatnonzero((label != "") & (whole["label"][rows] != label))
    if len(differ):
        first = rows[differ[0]]
        raise ValueError(
            f"{origin}: the object tables give {len(differ)} object(s) two labels, e.g. {whole['object_id'][first]} "
            f"'{whole['label'][first]}' and '{label[differ[0]]}': correct one, or move one table away"
        )


class Listing:
    """The objects of object tables, a part of them at a time.

    Args:
        objects: as `merged` gives them. keep_unlisted: see `Table`. origin: what to call the input in messages.
    """

    def __init__(self, objects: Objects, keep_unlisted: bool, origin: str):
        self.objects, self.keep_unlisted, self.origin = objects, keep_unlisted, origin
        self.ids = objects["object_id"].astype(str)
        self.order = np.argsort(self.ids, kind="stable")
        self.seen = np.zeros(len(self.ids), dtype=bool)
        self.stranger = ""

    def of(self, observed: Array) -> Objects:
        """What is listed of these (n,) objects; those that are not listed too, where they are kept."""
        place = np.minimum(np.searchsorted(self.ids, observed, sorter=self.order), max(len(self.ids) - 1, 0))
        rows = self.order[place] if len(self.ids) else place[:0]
        known = self.ids[rows] == observed if len(self.ids) else np.zeros(len(observed), dtype=bool)
        self.seen[rows[known]] = True
        unlisted = observed[~known]
        self.stranger = self.stranger or next(iter(unlisted.tolist()), "")
        listed = {name: values[rows[known]] for name, values in self.objects.items()}
        if not self.keep_unlisted or not len(unlisted):
            return listed
        return merged([listed, {"object_id": unlisted}], self.origin)

    def unseen(self) -> Objects:
        """The listed objects that were not observed.

        Raises:
            ValueError: no observed object is listed.
        """
        if self.stranger and len(self.ids) and not self.seen.any():
            refuse_unlisted(self.stranger, self.ids[0], self.origin)
        return {name: values[~self.seen] for name, values in self.objects.items()}


def refuse_unlisted(observed: str, listed: str, origin: str) -> None:
    """Raise ValueError: the object tables list none of the objects with observations; one of each is named."""
    raise ValueError(
        f"{origin}: no object with observations (e.g. '{observed}') is in an object table (e.g. '{listed}'): "
        f"write ids in the same way in both, including leading zeros, or name their column with {naming('object_id')}"
    )


def pack(
    objects: Objects, seen: Observations, form: Form, origin: str, dropped: Mapping[str, int], part: bool = False
) -> LightCurves:
    """Light curves of objects and observations (`from_columns`).

    Where the object table has a time of peak and no trigger, `trigger_mjd` is the first positive detection
    later than 100 d before the peak, whatever the class; NaN where there is none or the peak is unknown. What observations state of
    their object (`ON_ROWS`) holds where the object table says nothing.
    """
    objects, seen = _told(objects, seen)
    peak = objects.pop("peak_mjd", None)
    curves = from_columns(objects, seen, form.passbands.names, origin, dropped, part)
    if peak is None or "trigger_mjd" in objects:
        return curves
    rows = np.flatnonzero(curves.detected & (curves.flux > 0) & (curves.mjd > (peak - BEFORE_PEAK)[curves.owner]))
    owner, first = np.unique(curves.owner[rows], return_index=True)
    trigger = np.full(len(curves), np.nan)
    trigger[owner] = curves.mjd[rows[first]]
    return replace(curves, trigger_mjd=trigger)


def _told(objects: Objects, seen: Observations) -> tuple[Objects, Observations]:
    """The objects with what rows of observations state of them, and the observations without it."""
    stated = {name: seen[name] for name in ON_ROWS if name in seen}
    if not stated:
        return objects, seen
    ids = objects["object_id"].astype(str)
    order = np.argsort(ids, kind="stable")
    place = np.minimum(np.searchsorted(ids, seen["object_id"].astype(str), sorter=order), max(len(ids) - 1, 0))
    owner = order[place] if len(ids) else place
    listed = ids[owner] == seen["object_id"].astype(str) if len(ids) else np.zeros(len(owner), dtype=bool)
    unknown = np.full(len(listed), np.nan)
    mwebv, photoz, error = (stated.get(name, unknown)[listed] for name in ON_ROWS)
    told = best_hosts(photoz, error, owner[listed], len(ids))
    known = np.flatnonzero(np.isfinite(mwebv))
    told["mwebv"] = np.full(len(ids), np.nan)
    told["mwebv"][owner[listed][known[::-1]]] = mwebv[known[::-1]]
    for name in stated:
        before = objects.get(name, np.full(len(ids), np.nan))
        told[name] = np.where(np.isfinite(before), before, told[name])
    return objects | {name: told[name] for name in stated}, {name: c for name, c in seen.items() if name not in ON_ROWS}
