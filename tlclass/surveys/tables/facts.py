"""What is decided once of a whole table of observations, whether it is read at once or in parts."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from tlclass.arrays import Array
from tlclass.lightcurves.photometry import RELATIVE, are_relative, is_rounded, known_numbers, plain_name, without_prefix
from tlclass.surveys.saying import tell
from tlclass.surveys.tables.bands import passbands_of
from tlclass.surveys.tables.cells import coded, column_values, numbers
from tlclass.surveys.tables.columns import ADD_ID, Form, naming
from tlclass.surveys.tables.measured import Measured, flagged, is_photflag, kind_of, refuse_without_signs
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
        found: our name -> the table's column. form: how columns become ours. origin: what to call the table.
        decisive: rows.
    """

    def __init__(self, found: Mapping[str, str], form: Form, origin: str, decisive: int = DECISIVE):
        self.found, self.form, self.origin, self.decisive = found, form, origin, decisive
        self.kind = kind_of(found, form)
        self._held: list[pa.Table] = []  # until the decisive rows are there
        self._head: pa.Table | None = None
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
            self._scan(rows.table)
            return
        self._held.append(rows.table)
        if sum(map(len, self._held)) >= self.decisive:
            self._decide()

    def facts(self) -> Facts:
        """What holds for all parts looked at.

        Raises:
            ValueError: the sign or the unit of the differences is not stated, or times of two kinds are mixed.
        """
        if self._head is None:
            self._decide()
        refuse_without_signs(self.found, self._need, self._none, self._signed, self.origin)
        if self._outside and self._far:
            raise ValueError(
                f"{self.origin}: column {self.found['mjd']}: some times are dates and others lie within {RELATIVE} days of zero: give "
                "Modified Julian Dates in all rows, or days since some event in all"
            )
        self._say_whole_days()
        return Facts(self._unit(), self._relative, self._some and self._coarse, self._signed, self._bits)

    def _decide(self) -> None:
        whole = pa.concat_tables(self._held)
        self._held, self._head = [], whole.slice(0, self.decisive)
        self._refuse_row_numbers(whole)
        self._relative = are_relative(self._time_values(self._head))
        self._scan(whole)

    def _refuse_row_numbers(self, table: pa.Table) -> None:
        """Raise ValueError if a column of a vague name (id, cid) that is taken for the objects' is another in every row."""
        name = self.found["object_id"]
        vague = self.form.columns.get("object_id") != name and without_prefix(name) in WEAK["object_id"]
        ids = set(coded(table[name])[0]) if vague and len(table) >= SOME_ROWS else set()
        if len(ids) == len(table) and ids and all(each.isdigit() for each in ids):
            raise ValueError(
                f"{self.origin}: no two observations have the same {name}, so it numbers rows, not objects: name the column of object ids with "
                f"{naming('object_id')}, or, if the file is of one object, {ADD_ID}"
            )

    def _time_values(self, table: pa.Table) -> Array:
        return numbers(column_values(table[self.found["mjd"]]), self.found["mjd"], self.origin)

    def _scan(self, table: pa.Table) -> None:
        column = table[self.found["mjd"]]
        mjd = times(column, self.found["mjd"], self.form, self.origin, self._relative)
        known = mjd[~np.isnan(mjd)]
        far = np.abs(known[np.isfinite(known)])
        self._some |= bool(len(known))
        self._coarse &= not len(known) or is_single(column.type) or is_rounded(known)
        self._count_whole_days(table, mjd)
        name = self.found.get("detected", "")
        self._bits = self._bits or (is_photflag(name) and bool(flagged(table[name], name, self.origin).any()))
        self._far |= bool((far >= RELATIVE).any())
        self._outside |= bool((far < RELATIVE).any())
        if self.kind == "flux" and "flux_unit" in self.found:
            unit = only_unit(table[self.found["flux_unit"]], self.found["flux_unit"], self.origin)
            self._units |= {unit} if unit else set()
            only_unit(pa.chunked_array([sorted(self._units)], pa.string()), self.found["flux_unit"], self.origin)

    def _count_whole_days(self, table: pa.Table, mjd: Array) -> None:
        share = mjd - np.floor(mjd)
        tenths = np.abs(10 * mjd - np.round(10 * mjd)) < ROUNDING
        here = np.array([np.count_nonzero(which) for which in (np.isfinite(mjd), share == 0, share == 0.5, tenths)])
        self._dated += here
        if not self._several and here[1:].max() >= NEARLY_ALL * here[0] > 0:
            codes = coded(table[self.found["object_id"]])[1][np.isfinite(mjd)]
            self._several = bool((np.bincount(codes[codes >= 0]) > 1).any())

    def _say_whole_days(self) -> None:
        """Warn where nearly all times are of whole days, of MJD or JD, or of tenths, and objects have several observations."""
        total, whole, tenths = int(self._dated[0]), int(self._dated[1:3].max()), int(self._dated[3])
        if self._several and tenths >= NEARLY_ALL * total:
            coarse, count = ("whole days", whole) if whole >= NEARLY_ALL * total else ("rounded to 0.1 d", tenths)
            merged = "" if self._coarse else "; those in one passband count as one exposure"
            message = (
                "%s: %d of %d times (%s) are %s, so the order of observations in a night is lost, and with it colours%s: give times with "
                "their fraction of a day (0.001 d or better)"
            )
            tell(log, logging.WARNING, message, self.origin, self.found["mjd"], coarse, merged, counts=(count, total))

    def _unit(self) -> str | float | None:
        if self.kind != "flux":
            return None
        unit = self.form.stated_unit(self.found)
        unit = next(iter(self._units), None) if unit is None else unit
        if unit is None and "zero_point" not in self.found:
            return self._proved()
        say_unit(unit, self.found, self.origin)
        column, value, band = self._decisive_values()
        factor = flux_factor(column, self.found, unit, self.origin)
        value = {name: values * factor for name, values in value.items()}
        if self.form.flux_unit is None:
            refuse_magnitudes(column, self.found, value["flux"], self.origin)
            judge_depth(value, band, self.found, unit, self.form.passbands.names, self.origin)
        say_depth(value, band, self.found, self.form.passbands.names, self.origin)
        return unit

    def _proved(self) -> str | float:
        column, value, band = self._decisive_values()
        return proved_unit(column, self.found, value, band, self.form, self.origin)

    def _decisive_values(self) -> tuple[dict[str, pa.ChunkedArray], dict[str, Array], Array]:
        """Columns of the first rows by our names, their fluxes and errors as the file has them, and the codes of their passbands."""
        head = self._head if self._head is not None else pa.table({})
        mjd = times(head[self.found["mjd"]], self.found["mjd"], self.form, self.origin, self._relative)
        head = head.filter(pa.array(~np.isnan(mjd)))
        column = {name: head[file_name] for name, file_name in self.found.items()}
        band, known, _ = passbands_of(column, self.found, self.form, self.origin)
        column = {name: values.filter(pa.array(known)) for name, values in column.items()}
        value = {
            name: numbers(column_values(column[name]), self.found[name], self.origin) for name in ("flux", "flux_err")
        }
        value["flux"] = known_numbers(value["flux"], "fluxes")
        return column, value, band[known]


def times(column: pa.ChunkedArray, name: str, form: Form, origin: str, relative: bool) -> Array:
    """(n,) MJD; Julian dates in 32 bits are refused, because they are rounded to a quarter of a day."""
    mjd = form.days(numbers(column_values(column), name, origin), name, origin, relative)
    if plain_name(name) == "jd" and is_single(column.type):
        raise ValueError(
            f"{origin}: column {name}: Julian dates in 32 bits are rounded to 0.25 d: store them in 64 bits, or MJDs"
        )
    return mjd


def is_single(kind: pa.DataType) -> bool:
    """Whether these are numbers of 32 bits or fewer."""
    return bool(pa.types.is_float32(kind) or pa.types.is_float16(kind))
