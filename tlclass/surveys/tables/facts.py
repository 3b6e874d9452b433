"""What is decided once of a whole table of observations, whether it is read at once or in parts."""

import logging
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from tlclass.arrays import Array
from tlclass.lightcurves.photometry import RELATIVE, are_relative, is_rounded, known_numbers, plain_name, without_prefix
from tlclass.surveys.saying import tell
from tlclass.surveys.tables.bands import passbands_of
from tlclass.surveys.tables.cells import coded
from tlclass.surveys.tables.columns import ADD_ID, BRIGHTNESS, naming
from tlclass.surveys.tables.measured import Measured, flagged, has_photflag, refuse_without_signs
from tlclass.surveys.tables.named import Named
from tlclass.surveys.tables.names import WEAK
from tlclass.surveys.tables.units import (
    flux_factor,
    judge_depth,
    only_unit,
    proved_unit,
    refuse_magnitudes,
    say_depth,
    say_unit,
)

log = logging.getLogger(__name__)

ROUNDING = 1e-4  # of a tenth of a day
NEARLY_ALL = 0.9  # of the times: then they are rounded, as no telescope observes at midnight alone
SOME_ROWS = 5  # that have other ids each, before these are taken for numbers of rows
DECISIVE = 1_000_000  # rows; medians that decide something are those of the first so many that measure a flux


@dataclass(frozen=True)
class Facts:
    """What all rows of a table have in common.

    Attributes:
        unit: of its fluxes; None: a column has the zero point of each row, or it has magnitudes.
        relative: whether its times are days since some event.
        rounded: whether its times are too coarse to tell exposures apart.
        signed: whether words for the quality of a row state the sign of its difference.
        bits: whether its PHOTFLAG, if it has one, calls any row a detection: DES and Foundation do not use that bit.
    """

    unit: str | float | None
    relative: bool
    rounded: bool
    signed: bool
    bits: bool


class Judgement:
    """Looks at a table, part after part, and says what holds for the whole of it.

    Medians (are the times relative to something, which unit do the fluxes have) are those of its first `DECISIVE` rows;
    all else is of every row. So the parts into which a table is cut change nothing.

    Args:
        decisive: rows.
    """

    def __init__(self, decisive: int = DECISIVE):
        self.decisive = decisive
        self._held: list[Named] = []  # until the decisive rows are there
        self._head: Named | None = None
        self._relative = self._outside = self._far = self._some = self._signed = self._bits = False
        self._coarse = True
        self._need = self._none = 0
        self._units: set[str] = set()
        self._dated = np.zeros(4, dtype=np.int64)  # times; on a whole day of MJD; of JD; on a tenth of a day
        self._several = False  # whether an object has several of them

    def look(self, rows: Measured) -> None:
        """Take the next part of the table into account.

        Raises:
            ValueError: a column holds what it should not.
        """
        self._need, self._none = self._need + rows.need_sign, self._none + rows.have_none
        self._signed |= rows.signed
        if self._head is not None:
            self._scan(rows.rows)
            return
        self._held.append(rows.rows)
        if sum(map(len, self._held)) >= self.decisive:
            self._decide()

    def facts(self) -> Facts:
        """What holds for all parts looked at.

        Raises:
            ValueError: the sign or the unit of the differences is not stated, or times of two kinds are mixed.
        """
        head = self._decide() if self._head is None else self._head
        refuse_without_signs(head, self._need, self._none, self._signed)
        if self._outside and self._far:
            raise ValueError(
                f"{head.origin}: column {head.found['mjd']}: some times are dates and others lie within {RELATIVE} days of zero: give "
                "Modified Julian Dates in all rows, or days since some event in all"
            )
        self._say_whole_days(head)
        return Facts(self._unit(head), self._relative, self._some and self._coarse, self._signed, self._bits)

    def _decide(self) -> Named:
        """The decisive rows."""
        table = pa.concat_tables([rows.table for rows in self._held])
        whole = replace(self._held[0], table=table)
        head = replace(whole, table=table.slice(0, self.decisive))
        self._held, self._head = [], head
        _refuse_row_numbers(whole)
        self._relative = are_relative(head.numbers("mjd"))
        self._scan(whole)
        return head

    def _scan(self, rows: Named) -> None:
        mjd = times(rows, self._relative)
        known = mjd[~np.isnan(mjd)]
        far = np.abs(known[np.isfinite(known)])
        self._some |= bool(len(known))
        self._coarse &= not len(known) or is_single(rows["mjd"].type) or is_rounded(known)
        self._count_whole_days(rows, mjd)
        self._bits = self._bits or (has_photflag(rows.found) and bool(flagged(rows).any()))
        self._far |= bool((far >= RELATIVE).any())
        self._outside |= bool((far < RELATIVE).any())
        if rows.kind == "flux" and "flux_unit" in rows and rows.form.flux_unit is None:
            name = rows.found["flux_unit"]
            unit = only_unit(rows["flux_unit"], name, rows.origin)
            self._units |= {unit} if unit else set()
            only_unit(pa.chunked_array([sorted(self._units)], pa.string()), name, rows.origin)

    def _count_whole_days(self, rows: Named, mjd: Array) -> None:
        share = mjd - np.floor(mjd)
        tenths = np.abs(10 * mjd - np.round(10 * mjd)) < ROUNDING
        here = np.array([np.count_nonzero(which) for which in (np.isfinite(mjd), share == 0, share == 0.5, tenths)])
        self._dated += here
        if not self._several and here[1:].max() >= NEARLY_ALL * here[0] > 0:
            codes = coded(rows["object_id"])[1][np.isfinite(mjd)]
            self._several = bool((np.bincount(codes[codes >= 0]) > 1).any())

    def _say_whole_days(self, rows: Named) -> None:
        """Warn where nearly all times are of whole days, of MJD or JD, or of tenths, and objects have several observations."""
        total, whole, tenths = int(self._dated[0]), int(self._dated[1:3].max()), int(self._dated[3])
        if self._several and tenths >= NEARLY_ALL * total:
            coarse, count = ("whole days", whole) if whole >= NEARLY_ALL * total else ("rounded to 0.1 d", tenths)
            merged = "" if self._coarse else "; those in one passband count as one exposure"
            message = (
                "%s: %d of %d times (%s) are %s, so the order of observations in a night is lost, and with it colours%s: give times with "
                "their fraction of a day (0.001 d or better)"
            )
            tell(log, logging.WARNING, message, rows.origin, rows.found["mjd"], coarse, merged, counts=(count, total))

    def _unit(self, head: Named) -> str | float | None:
        if head.kind != "flux":
            return None
        unit = head.form.stated_unit(head.found)
        unit = next(iter(self._units), None) if unit is None else unit
        proved = unit is None and "zero_point" not in head
        if not proved:
            say_unit(head, unit)
        rows = head.where(~np.isnan(times(head, self._relative)))
        band, known, _ = passbands_of(rows)
        rows, band = rows.where(known), band[known]
        value = {name: rows.numbers(name) for name in BRIGHTNESS["flux"]}
        value["flux"] = known_numbers(value["flux"], "fluxes")
        if proved:
            return proved_unit(rows, value, band)
        factor = flux_factor(rows, unit)
        value = {name: values * factor for name, values in value.items()}
        if rows.form.flux_unit is None:
            refuse_magnitudes(rows, value["flux"])
            judge_depth(value, band, rows.found, unit, rows.form.passbands.names, rows.origin)
        say_depth(value, band, rows.found, rows.form.passbands.names, rows.origin)
        return unit


def _refuse_row_numbers(rows: Named) -> None:
    """Raise ValueError if a column of a vague name (id, cid) that is taken for the objects' is another in every row."""
    name = rows.found["object_id"]
    vague = rows.form.columns.get("object_id") != name and without_prefix(name) in WEAK["object_id"]
    ids = set(coded(rows["object_id"])[0]) if vague and len(rows) >= SOME_ROWS else set()
    if len(ids) == len(rows) and ids and all(each.isdigit() for each in ids):
        raise ValueError(
            f"{rows.origin}: no two observations have the same {name}, so it numbers rows, not objects: name the column of object ids with "
            f"{naming('object_id')}, or, if the file is of one object, {ADD_ID}"
        )


def times(rows: Named, relative: bool) -> Array:
    """(n,) MJD; Julian dates in 32 bits are refused, because they are rounded to a quarter of a day."""
    name = rows.found["mjd"]
    mjd = rows.form.days(rows.numbers("mjd"), name, rows.origin, relative)
    if plain_name(name) == "jd" and is_single(rows["mjd"].type):
        raise ValueError(
            f"{rows.origin}: column {name}: Julian dates in 32 bits are rounded to 0.25 d: store them in 64 bits, or MJDs"
        )
    return mjd


def is_single(kind: pa.DataType) -> bool:
    """Whether these are numbers of 32 bits or fewer."""
    return bool(pa.types.is_float32(kind) or pa.types.is_float16(kind))
