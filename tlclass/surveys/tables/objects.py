"""From the columns of an object table to labels, positions and the time around which light curves are cut."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from tlclass.arrays import Array
from tlclass.lightcurves.curves import (
    HOST_NUMBERS,
    OBJECT_NUMBERS,
    ROW_NUMBERS,
    SIMULATED,
    LightCurves,
    from_columns,
    known_hosts,
    settled,
)
from tlclass.lightcurves.selection import first_mjd
from tlclass.lightcurves.voids import blank, says_yes
from tlclass.quoting import shortened
from tlclass.surveys.tables.cells import column_values, text
from tlclass.surveys.tables.columns import Form, naming
from tlclass.surveys.tables.named import Named
from tlclass.surveys.tables.names import MASKED, OBJECT_COLUMNS, PHOTOZ
from tlclass.surveys.tables.observations import Observations
from tlclass.surveys.tables.quantities import number_of

log = logging.getLogger(__name__)
Objects = dict[str, Array]

HELD = 1_000_000  # statements of rows that are held before they are settled
BEFORE_PEAK = 100.0  # d; earlier alerts at the position of a transient are unrelated (variables, artefacts)


def object_columns(names: Sequence[str], form: Form, origin: str) -> dict[str, str]:
    """Our name -> the column, of those columns of an object table that are read.

    Raises:
        ValueError: a column is missing or ambiguous.
    """
    found = {
        name: column
        for name, column in form.found(names, origin).items()
        if name in OBJECT_COLUMNS or name.startswith(MASKED)
    }
    mapped = [name for name in OBJECT_COLUMNS if form.columns.get(name) is not None and name not in ROW_NUMBERS]
    form.needed(found, names, ["object_id", *mapped], origin)
    return found | {name: name for name in form.extra if name in names}


def objects_of(rows: Named) -> Objects:
    """The object columns of a table in our names and units: degrees, MJD, E(B-V); labels "-" and "" are empty.

    Rows without an id are left out: they cannot be used.

    Args:
        rows: of a table of objects; its columns are those of `object_columns`.

    Raises:
        ValueError: a column holds what it should not.
    """
    ids = rows.ids()
    rows = rows.where(ids != "")
    columns = {"object_id": ids[ids != ""]}
    if "label" in rows:
        label = np.char.strip(text(rows["label"]).astype(str))
        columns["label"] = np.where(blank(label), "", label)
    for name in (*OBJECT_NUMBERS, "peak_mjd"):
        if name in rows:
            columns[name] = number_of(rows, name)
    photoz, error = (columns.pop(name, np.full(len(columns["object_id"]), np.nan)) for name in HOST_NUMBERS)
    columns |= known_hosts(photoz, error) if PHOTOZ in rows else {}
    if SIMULATED in rows:
        columns[SIMULATED] = rows.flags(SIMULATED, says_yes)
    return columns | {name: column_values(rows[name]) for name in rows.form.extra if name in rows}


def one_row_each(objects: Objects, origin: str) -> Objects:
    """An object table in which every object has one row: rows that say the same as another one are left out with a count.

    Args:
        objects: of one file. origin: the file.

    Raises:
        ValueError: rows of an object differ; says in what.
    """
    if pd.Index(objects["object_id"]).is_unique:
        return objects
    table = pd.DataFrame(objects)
    repeats = table.duplicated().to_numpy()
    _refuse_differing(table[~repeats], origin)
    log.warning("%s: left out %d row(s) of objects that say the same as another row", origin, repeats.sum())
    return {name: values[~repeats] for name, values in objects.items()}


def _refuse_differing(table: pd.DataFrame, origin: str) -> None:
    """Raise ValueError if an object has several rows, by the class in which they differ, or another value."""
    several = table[table.duplicated("object_id", keep=False)]
    for name in sorted(several.columns, key="label".__ne__) if len(several) else ():
        values = several.groupby("object_id")[name].unique()
        differing = values[values.map(len) > 1]
        if len(differing):
            first, second = (shortened(value) or "empty" for value in differing.iloc[0][:2])
            example = f"{differing.index[0]} {'is' if name == 'label' else f'has {name}'} {first} and {second}"
            raise ValueError(
                f"{origin}: {len(differing)} object(s) have rows that differ, e.g. {example}: every object must have one row; "
                "remove the others"
            )


def merged(parts: Sequence[Objects], origin: str) -> Objects:
    """Several object tables, each with one row per object, as one: each value from the first table that knows it.

    Raises:
        ValueError: two tables give an object different labels.
    """
    if len(parts) == 1:
        return dict(parts[0])
    ids = np.unique(np.concatenate([part["object_id"].astype(str) for part in parts]))
    whole: Objects = {"object_id": ids}
    for part in parts:
        rows = np.searchsorted(ids, part["object_id"].astype(str))
        known = np.isfinite(whole[PHOTOZ][rows]) if PHOTOZ in whole else np.zeros(len(rows), dtype=bool)
        for name in (name for name in HOST_NUMBERS if name in part):  # of one host, redshift and error of one table
            whole.setdefault(name, np.full(len(ids), np.nan))[rows[~known]] = part[name][~known]
        for name, values in part.items():
            if name not in ("object_id", *HOST_NUMBERS):
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


class Stated:
    """What rows of observations state of their objects, table after table.

    Attributes:
        ids: of all objects, in the order in which they came.
    """

    def __init__(self) -> None:
        self.ids: dict[str, None] = {}
        self._known: dict[str, list[float]] = {}
        self._held: list[tuple[Sequence[str], Mapping[str, Array]]] = []

    def add(self, ids: Sequence[str], stated: Mapping[str, Array]) -> None:
        """What `stated_in_rows` gives of a table or a part of one."""
        self.ids.update(dict.fromkeys(ids))
        if stated:
            self._held.append((ids, stated))
        if sum(len(ids) for ids, _ in self._held) > HELD:
            self._settle()

    def of(self, ids: Sequence[str]) -> Objects:
        """These objects."""
        self._settle()
        objects: Objects = {"object_id": np.array(ids, dtype=str)}
        if self._known:
            nothing = [np.nan] * len(ROW_NUMBERS)
            rows = np.array([nothing, *(self._known.get(name, nothing) for name in ids)])[1:]
            objects |= {name: rows[:, k] for k, name in enumerate(ROW_NUMBERS)}
        return objects

    def _settle(self) -> None:
        """One value of each object, of what is held and of what was known before."""
        if not self._held:
            return
        names = list(dict.fromkeys(name for ids, _ in self._held for name in ids))
        before = [name for name in names if name in self._known]
        known = np.array([self._known[name] for name in before]).reshape(-1, len(ROW_NUMBERS))
        parts = [*self._held, (before, {name: known[:, k] for k, name in enumerate(ROW_NUMBERS)})]
        place = {name: number for number, name in enumerate(names)}
        owner = np.array([place[name] for ids, _ in parts for name in ids], dtype=np.int64)
        stated = {name: np.concatenate([values[name] for _, values in parts]) for name in ROW_NUMBERS}
        rows = np.stack(list(settled(stated, owner, len(names)).values()), axis=1).tolist()
        self._known.update(zip(names, rows, strict=True))
        self._held = []


def say_one_object(stated: Stated, files: int, origin: str) -> None:
    """Warn if the rows of several files are all of one object."""
    ids = sorted(set(stated.ids) - {""})
    if files > 2 and len(ids) == 1:
        message = "%s: all %d files are of one object, '%s': if they are of several, name their column of object ids with %s, or add one"
        log.warning(message, origin, files, ids[0], naming("object_id"))


def completed(objects: Objects, stated: Objects) -> Objects:
    """Objects, with what rows state of them (`Stated.of`) where the objects' own table says nothing."""
    names = [name for name in ROW_NUMBERS if name in stated]
    if not names:
        return objects
    n = len(objects["object_id"])
    rows = pd.Index(stated["object_id"]).get_indexer(pd.Index(objects["object_id"].astype(str)))
    found = dict(objects)
    for name in names:
        own = objects.get(name, np.full(n, np.nan))
        # redshift and error of one host
        deciding = objects.get(PHOTOZ, np.full(n, np.nan)) if name in HOST_NUMBERS else own
        given = np.where(rows >= 0, stated[name][rows], np.nan) if len(stated["object_id"]) else np.full(n, np.nan)
        found[name] = np.where(np.isfinite(deciding), own, given)
    return found


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

    def of(self, stated: Objects) -> Objects:
        """What is listed of the (n,) objects, completed by what is stated of them; those that are not listed too, where they are kept."""
        observed = stated["object_id"]
        place = np.minimum(np.searchsorted(self.ids, observed, sorter=self.order), max(len(self.ids) - 1, 0))
        rows = self.order[place] if len(self.ids) else place[:0]
        known = self.ids[rows] == observed if len(self.ids) else np.zeros(len(observed), dtype=bool)
        self.seen[rows[known]] = True
        unlisted = observed[~known]
        self.stranger = self.stranger or next(iter(unlisted.tolist()), "")
        listed = completed({name: values[rows[known]] for name, values in self.objects.items()}, stated)
        if not self.keep_unlisted or not len(unlisted):
            return listed
        return merged([listed, stated], self.origin)

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
    later than 100 d before the peak, whatever the class; NaN where there is none or the peak is unknown.
    """
    peak = objects.pop("peak_mjd", None)
    curves = from_columns(objects, seen, form.passbands.names, origin, dropped, part)
    if peak is None or "trigger_mjd" in objects:
        return curves
    late = curves.detected & (curves.flux > 0) & (curves.mjd > (peak - BEFORE_PEAK)[curves.owner])
    return replace(curves, trigger_mjd=first_mjd(curves, late))
