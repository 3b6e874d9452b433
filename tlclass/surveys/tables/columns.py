"""Which columns of a file are ours, by their names or as the user states it."""

import logging
import re
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields

import numpy as np

from tlclass.arrays import Array
from tlclass.dust import R_V
from tlclass.lightcurves.curves import HOST_NUMBERS, ROW_NUMBERS
from tlclass.lightcurves.passbands import Passbands
from tlclass.lightcurves.photometry import (
    FACTS,
    JULIAN,
    MJD_RANGE,
    RELATIVE,
    SNR,
    are_relative,
    known_times,
    no_dates,
    plain_name,
    unit_of_name,
    without_prefix,
    zero_point_of,
)
from tlclass.lightcurves.voids import NAMES, columns_read
from tlclass.quoting import listed, shortened
from tlclass.surveys.saying import say_unread_flags, tell
from tlclass.surveys.tables.kinds import MASK, refuse_doubles
from tlclass.surveys.tables.names import (
    ALIASES,
    CONTEXT,
    CONTEXT_NAMES,
    COUNTS,
    ERRORS,
    FLAG,
    MASKED,
    OBSERVATION_COLUMNS,
    PHOTOZ,
    PHOTOZ_ERR,
    SNANA_ZERO_POINT,
    TWINS,
    WEAK,
)
from tlclass.wording import option

log = logging.getLogger(__name__)

_FINK = re.compile(r"[rid]_(?:diaobjectid|objectid)")  # astropy's name for Fink's r:diaObjectId
_WIDE = re.compile(r"(flux|mag|magnitude)_(ztf|lsst)?[ugrizy]|[ugrizy]_?(flux|mag)", re.IGNORECASE)
SECONDS = 1e7  # no date in days, Julian or other, is as large
PACKED = "extra_fields"  # what ALeRCE's API packs into one cell; of forced photometry procstatus is among it
ADD_ID = "add a column with its name"
_ANY = frozenset(
    name for names in (*ALIASES.values(), *WEAK.values(), *COUNTS.values(), NAMES, CONTEXT_NAMES) for name in names
)
BRIGHTNESS = {"flux": ("flux", "flux_err"), "mag": ("mag", "mag_err")}
SHIFTS = {"peakt": 2458000 - 2400000.5}  # days to MJD; peakt is JD - 2458000
SCALES = {"a_v": 1 / R_V}  # A_V to E(B-V)


@dataclass(frozen=True, kw_only=True)
class TableOptions:
    """What may be stated of a survey's tables.

    Attributes:
        columns: our name -> the file's column, where it is not found by itself (auto) or is ambiguous; null: do not
            read it. Observations: object_id, mjd, band, and flux, flux_err, or difference magnitudes (AB) mag,
            mag_err, is_positive; detected, limiting_mag, quality, is_limit, flux_unit, zero_point. Objects: object_id, label, mwebv, ra, dec,
            redshift, host_photoz, host_photoz_err, trigger_mjd, peak_mjd (for a trigger, see `tlclass.surveys.tables.objects.pack`).
        extra: further object columns to keep where present, for `where`, `subsets` and diagnostics.
        flux_unit: `fluxcal` (zero point 27.5 AB), `jy`, `mjy`, `ujy`, `njy`, or a zero point (AB) as a number; None: what the flux
            column's name says (FLUXCAL; nJy for Rubin's psfFlux and psfDiffFlux; Jy, mJy, uJy, nJy in it), else a
            column flux_unit, else the zero point of each row (column zp, as sncosmo has it), else `default_unit`.
        time_offset: days to add to get MJD, of observations and of objects; 0: -2400000.5 for a column called jd, else none.
        default_unit: as `flux_unit`; None: what magnitudes in the same table or the survey's depth prove, else an error.
        positive: whether all differences are positive, of magnitudes without a sign.
        unknown_passbands: `error`, or `drop` to leave out their rows with a count.
        detection_snr: flux / error from which a row is a detection where nothing states which rows are.
    """

    columns: Mapping[str, str | None] = field(default_factory=dict)
    extra: tuple[str, ...] = ()
    flux_unit: str | float | None = None
    time_offset: float = 0.0
    default_unit: str | float | None = None
    positive: bool = False
    unknown_passbands: str = "error"
    detection_snr: float = SNR


@dataclass(frozen=True)
class Form(TableOptions):
    """How the columns of a survey's tables become ours; a column that is to be found (auto) is as one that is not named."""

    passbands: Passbands

    def __post_init__(self) -> None:
        """Raise ValueError for a column mapping with an unknown name, and for an unknown unit."""
        named = {ours: column for ours, column in self.columns.items() if column != "auto"}
        object.__setattr__(self, "columns", named)
        object.__setattr__(self, "extra", tuple(self.extra))
        for unit in (self.flux_unit, self.default_unit):
            if unit is not None:
                zero_point_of(unit)
        strange = sorted(set(self.columns) - set(ALIASES))
        if strange:
            raise ValueError(f"columns: {', '.join(strange)} is not a column role; the roles are {', '.join(ALIASES)}")

    @classmethod
    def of(cls, reader: object) -> "Form":
        """The settings of a reader that has them as attributes."""
        return cls(**{each.name: getattr(reader, each.name) for each in fields(cls)})

    @property
    def of_model(self) -> bool:
        """Whether light curves are read for a trained model, and not by the card of a survey: then labels are not read."""
        return self.columns.get("label", "") is None

    def found(self, names: Iterable[str], origin: str, sure: Container[str] = tuple(ALIASES)) -> dict[str, str]:
        """Our name -> the file's column, for each of ours that a file with columns `names` has.

        Args:
            names: of its columns. origin: what to call it. sure: those of ours which only one column may mean; another that two mean is left out.

        Raises:
            ValueError: two columns of the file mean the same.
        """
        names = list(names)
        _refuse_renamed(names, origin)
        given = {ours: column for ours, column in self.columns.items() if column in names}
        skipped = [ours for ours, column in self.columns.items() if column is None]
        free = [(column, plain_name(column)) for column in self._own(names) if column not in given.values()]
        sought = {
            ours: _only(ours, free, origin, ours in sure)
            for ours in ALIASES
            if ours not in given and ours not in skipped
        }
        sought |= {ours: None for ours in ROW_NUMBERS if ours in self.columns}  # no other than the one that is named
        if PHOTOZ_ERR in sought and PHOTOZ_ERR not in self.columns:
            sought[PHOTOZ_ERR] = _error_of(given.get(PHOTOZ) or sought.get(PHOTOZ), free)
        found = {ours: column for ours, column in {**sought, **given}.items() if column is not None}
        stating = COUNTS.get(without_prefix(found.get("flux", "")), ())
        counts = next((column for column, plain in free if plain in stating and "zero_point" not in skipped), None)
        found = found if counts is None else {"zero_point": counts, **found}
        flags = {f"{FLAG}{column}": column for column in columns_read(names)}
        context = {f"{CONTEXT}{column}": column for column, plain in free if plain in CONTEXT_NAMES}
        read = {**found, **flags, **context}
        return read | {f"{MASKED}{column}": column + MASK for column in read.values() if column + MASK in names}

    def _own(self, names: Sequence[str]) -> list[str]:
        """These columns without those that are called after another survey, where some are called after that of the passbands (`ztf_fid`)."""
        survey = {name: plain_name(name).partition("_")[0] for name in names}
        others = set(FACTS["systems"]) - self.passbands.systems
        if self.passbands.systems.isdisjoint(survey.values()):
            return list(names)
        return [name for name in names if survey[name] not in others]

    def knows(self, column: str) -> bool:
        """Whether a file's column of this name may be read at all."""
        given = [name.rsplit(".", 1)[-1] for name in self.columns.values() if name is not None]
        return bool({plain_name(column), without_prefix(column)} & _ANY) or column in given or column in self.extra

    def role(self, names: Iterable[str], origin: str) -> str:
        """What a table is of: `observations` if it has times and brightnesses, `objects` if it has ids without those.

        Raises:
            ValueError: it is neither.
        """
        names = list(names)
        found = self.found(names, origin, OBSERVATION_COLUMNS)
        if "mjd" in found and any(name in found for name in ("flux", "mag", "limiting_mag")):
            return "observations"
        if "flux" in found and "mjd" not in found and "band" in found:
            self.needed(found, names, ["mjd"], origin)
        if "object_id" in found:
            return "objects"
        raise ValueError(
            f"{origin} is neither a table of observations (object_id, mjd, band, flux or mag) nor of objects "
            f"(object_id, label); it has {listed(names)}: name yours with {naming('object_id')}, or move the file away"
        )

    def needed(self, found: Mapping[str, str], names: Iterable[str], required: Iterable[str], origin: str) -> None:
        """Check that the required columns, and those the mapping names, are there.

        Raises:
            ValueError: some are not; names them, what there is, and what to do.
        """
        wanted = {name: column for name, column in self.columns.items() if column is not None}
        absent = {
            name: wanted.get(name, name)
            for name in required
            if name not in found or wanted.get(name, found[name]) != found[name]
        }
        if absent:
            lacking = ", ".join(
                column if column == name else f"{shortened(column)} ({name})" for name, column in absent.items()
            )
            names = list(names)
            wide = [name for name in names if _WIDE.fullmatch(plain_name(name))]
            if "band" in absent and len(wide) > 1:
                raise ValueError(
                    f"{origin} has a column for each passband ({listed(wide)}): give a row for each observation in one passband, "
                    "with columns object_id, mjd, band, flux, flux_err (pandas.wide_to_long makes them)"
                )
            alone = f", or, if the file is of one object, {ADD_ID}" if "object_id" in absent else ""
            raise ValueError(
                f"{origin} lacks the column(s) {lacking}; it has {listed(names) or 'none'}: name yours with {naming(*absent)}{alone}"
            )

    def days(self, values: Array, column: str, origin: str, relative: bool | None = None) -> Array:
        """MJD from the values of a time column; days relative to some event (within 1,000 of zero) are let through.

        A column called jd is of Julian dates, unless `time_offset` says otherwise.

        Args:
            values: (n,). column: their name. origin: what to call the file.
            relative: whether they are relative to some event; None: these values decide.

        Raises:
            ValueError: they are no Modified Julian Dates.
        """
        plain = without_prefix(column)
        values = known_times(values, relative)
        shift = SHIFTS.get(plain) or self.time_offset or (JULIAN if plain == "jd" else 0.0)
        mjd = values + shift if shift else values
        outside = no_dates(mjd, relative)
        if outside.any():
            given = values[np.flatnonzero(outside)[0]]
            remedy = self._remedy(values[np.isfinite(mjd)] if are_relative(values) else values[outside], plain)
            raise ValueError(
                f"{origin}: column {column}: {np.count_nonzero(outside)} of {len(mjd)} times are not Modified Julian Dates "
                f"({MJD_RANGE[0]} to {MJD_RANGE[1]}), e.g. {given:.15g}{f' with {shift:+.15g} d' if shift else ''}: {remedy}"
            )
        return mjd

    @staticmethod
    def _remedy(values: Array, column: str) -> str:
        """What to do about times outside of `MJD_RANGE`."""
        low, high = MJD_RANGE
        if (np.abs(values) > SECONDS).all():
            return "these are no days (seconds?): give Modified Julian Dates in days"
        if (np.abs(values) < RELATIVE).any():
            return f"some are days since some event, of which {RELATIVE} are read at most: leave out what is later, or give Modified Julian Dates"
        if ((values > low) & (values < high)).all() and column != "jd":
            return f"these are Modified Julian Dates: leave out {option('--time-offset', 'time_offset')}"
        if ((values > low) & (values < high)).all():
            return f"these are Modified Julian Dates, so call the column mjd instead of {column}"
        if ((values + JULIAN > low) & (values + JULIAN < high)).all():
            return f"these are Julian dates: call the column jd, or give {option(f'--time-offset {JULIAN}', f'time_offset={JULIAN}')}"
        return f"give the days to add with {option('--time-offset DAYS', 'time_offset=DAYS')}"

    def kind(self, found: Mapping[str, str]) -> str:
        """`flux` or `mag`: what the mapping names; else fluxes where there are both columns; else magnitudes where there are any."""
        for kind, pair in BRIGHTNESS.items():
            if any(self.columns.get(name) for name in pair):
                return kind
        if set(BRIGHTNESS["flux"]) <= set(found):
            return "flux"
        return "mag" if "mag" in found or ("limiting_mag" in found and "flux" not in found) else "flux"

    def stated_unit(self, found: Mapping[str, str]) -> str | float | None:
        """The unit of the fluxes by the settings or else by the name of their column; None if neither says, or SNANA's zero points do."""
        if self.flux_unit is not None or plain_name(found.get("zero_point", "")) == SNANA_ZERO_POINT:
            return self.flux_unit
        return unit_of_name(found.get("flux", ""))


def scale_of(column: str) -> float:
    """Factor that a column's name implies, e.g. from A_V to E(B-V)."""
    return SCALES.get(without_prefix(column), 1.0)


def say(found: Mapping[str, str], names: Iterable[str], origin: str) -> None:
    """Log which columns were taken under another name, and which of `names` may be flags that no rule knows."""
    say_unread_flags(names, found.values(), origin)
    if any(plain_name(name) == PACKED for name in names):
        message = "%s: column %s is not read; of forced photometry it holds procstatus, which says where the fit failed: give its fields columns of their own"
        tell(log, logging.WARNING, message, origin, PACKED)
    other = [f"{column} as {name}" for name, column in found.items() if column != name and " " not in name]
    if other:
        tell(log, logging.INFO, "%s: took %s", origin, ", ".join(other))


def naming(*ours: str) -> str:
    """What to write to say which columns are ours."""
    flags, settings = ([f"{before}{name}=COLUMN" for name in ours] for before in ("--column ", "columns."))
    return option(" ".join(flags), *settings)


def _error_of(photoz: str | None, free: Sequence[tuple[str, str]]) -> str | None:
    """The column with the error of the redshifts in the column `photoz`: it is called after it."""
    names = [] if photoz is None else [without_prefix(photoz) + end for end in ERRORS]
    return next((column for column, _ in free if without_prefix(column) in names), None)


def states_alone(column: str) -> bool:
    """Whether a name means one of `ROW_NUMBERS`."""
    names = {plain_name(column), without_prefix(column)}
    return any(names & {*ALIASES[ours], *WEAK.get(ours, ())} for ours in ROW_NUMBERS)


def refuse_absent(tables: Mapping[str, Sequence[str]], form: Form, origin: str) -> None:
    """Raise ValueError if a column that the mapping names, of `ROW_NUMBERS`, is in none of these tables, name -> its columns."""
    names = list(dict.fromkeys(name for columns in tables.values() for name in columns))
    named = [ours for ours in ROW_NUMBERS if form.columns.get(ours) is not None]
    form.needed({ours: form.columns[ours] for ours in named if form.columns[ours] in names}, names, named, origin)  # type: ignore[misc]


def _refuse_renamed(names: Sequence[str], origin: str) -> None:
    """Raise ValueError for Fink's columns as a VOTable has them: with `r_x` for `r:x` no flag of a row is known."""
    renamed = next((name for name in names if _FINK.fullmatch(name.casefold())), None)
    if renamed:
        raise ValueError(
            f"{origin}: {renamed} is Fink's {renamed.replace('_', ':', 1)} with another name, as a VOTable has it, so its flags would not be known: write "
            "r:, i: and d: again for r_, i_ and d_ in front of all names, or download it as CSV or Parquet"
        )


def _only(ours: str, free: Sequence[tuple[str, str]], origin: str, sure: bool) -> str | None:
    """The column that means `ours`: by its full name, else by its name without the table's, else by a weaker name."""
    bare = [(column, without_prefix(column)) for column, _ in free]
    weak = [column for names in (free, bare) for name in WEAK.get(ours, ()) for column, plain in names if plain == name]
    for names in (free, bare):
        exact = [column for column, plain in names if plain in ALIASES[ours]]
        plain_of = dict(names)
        if len(exact) > 1 and ours in HOST_NUMBERS:
            exact.sort(key=lambda column: ALIASES[ours].index(plain_of[column]))
        elif len(exact) > 1:
            if sure:
                refuse_doubles(exact, origin)
            best = TWINS.get(tuple(sorted((plain_of[column] for column in exact), key=ALIASES[ours].index)))
            several = names is bare or sum("." not in column for column in exact) == 1
            same = ours == "object_id" and several and len({plain_of[column] for column in exact}) == 1
            # `same`: the id of the object in several records of an alert, or also in a list of its own
            if best or same:
                exact.sort(key=lambda column: column.count("."))
                return next(column for column in exact if same or plain_of[column] == best)
            if sure and not (names is bare and weak):
                raise ValueError(
                    f"{origin}: the columns {' and '.join(map(shortened, exact))} both mean {ours}: choose one with {naming(ours)}"
                )
            exact = []
        if exact:
            return exact[0]
    return weak[0] if weak else None
