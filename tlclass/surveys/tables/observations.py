"""From the columns of an observation table to fluxes, by the rules of `tlclass.lightcurves.photometry`."""

import logging
import re
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tlclass.arrays import Array
from tlclass.lightcurves.curves import NO_ID, NO_TIME, ROW_NUMBERS
from tlclass.lightcurves.photometry import (
    ALERT_SNR,
    FACTS,
    detected_by_snr,
    flux_of_magnitude,
    known_numbers,
    once_per_exposure,
    plain_name,
    unit_of_name,
    without_prefix,
)
from tlclass.lightcurves.voids import says_yes
from tlclass.surveys.saying import say_no_bits, tell
from tlclass.surveys.tables.bands import passbands_of
from tlclass.surveys.tables.cells import coded, is_flag
from tlclass.surveys.tables.columns import BRIGHTNESS, Form, naming
from tlclass.surveys.tables.facts import Facts, Judgement, times
from tlclass.surveys.tables.kinds import refuse_two_units
from tlclass.surveys.tables.measured import Measured, flagged, has_photflag, marks_no_detection, measured, sign_of
from tlclass.surveys.tables.named import Named
from tlclass.surveys.tables.names import CONTEXT, COUNTS, FLAG, MASKED, OBSERVATION_COLUMNS, WEAK
from tlclass.surveys.tables.units import GIVE_UNIT, flux_factor, refuse_other_systems

log = logging.getLogger(__name__)
Observations = dict[str, Array]

ROUNDED = "rounded"  # of observations: whether their times are too coarse to tell exposures apart
_PLACE = ("object_id", "mjd", "band")
NAMING = (*FACTS["context"], *FACTS["context_codes"])  # columns that say who took a row


def observation_columns(names: Sequence[str], form: Form, origin: str) -> dict[str, str]:
    """Our name -> the column, of those columns of an observation table that are read.

    Raises:
        ValueError: a column is missing or ambiguous.
    """
    found = {
        name: column
        for name, column in form.found(names, origin, OBSERVATION_COLUMNS).items()
        if name in (*OBSERVATION_COLUMNS, *ROW_NUMBERS) or name.startswith((FLAG, CONTEXT, MASKED))
    }
    kind = form.kind(found)
    stated = kind == "flux" and _states_unit(found, form)
    stated_unit = found.get("flux_unit", "")
    if kind == "mag" and (plain_name(stated_unit) in ("unit", "units") or stated_unit.endswith(".name")):
        found.setdefault("zero_point_system", found["flux_unit"])  # of magnitudes it says the system: ABMag, VegaMag
    unused = ("mag_err",) if kind == "flux" else (*BRIGHTNESS["flux"], "flux_unit", "zero_point")
    found = {name: column for name, column in found.items() if name not in unused}
    if kind == "flux" and form.flux_unit is None:
        fluxes, errors = (filter(None, [unit_of_name(found.get(name, ""))]) for name in BRIGHTNESS["flux"])
        refuse_two_units(list(fluxes), list(errors), origin)
    _refuse_foreign(names, found, form, origin)
    if kind == "flux" and "flux" in found and not stated and "mag" not in found:
        _refuse_counts(names, found.get("flux", ""), form, origin)
    if kind in found and form.columns.get(kind) is None:
        _refuse_science(names, kind, found[kind], origin)
    limits_alone = kind == "mag" and "mag" not in found
    mapped = [name for name in OBSERVATION_COLUMNS if form.columns.get(name) is not None and name not in unused]
    form.needed(found, names, [*_PLACE, *(() if limits_alone else BRIGHTNESS[kind]), *mapped], origin)
    return found


def _states_unit(found: Mapping[str, str], form: Form) -> bool:
    """Whether anything but magnitudes beside the fluxes says what unit these are in."""
    return bool({"flux_unit", "zero_point"} & set(found)) or form.stated_unit(found) is not None


def _refuse_counts(names: Sequence[str], flux: str, form: Form, origin: str) -> None:
    """Raise ValueError if the fluxes are counts, or may be, and nothing states their unit.

    Counts that somebody renamed to `flux` have a column with their zero point beside them, and so do calibrated fluxes; where the counts stand
    there too, it is theirs.
    """
    plain = {without_prefix(name): name for name in names}
    if without_prefix(flux) in COUNTS and form.columns.get("zero_point", "") is not None:
        raise ValueError(
            f"{origin}: {flux} is in counts of each image, and nothing states their zero points: add the column "
            f"{COUNTS[without_prefix(flux)][0]}, or give the unit with {GIVE_UNIT}"
        )
    about = FACTS["zero_point_names"]
    found = [
        name for each, name in plain.items() if re.search(about["like"], each) and not re.search(about["but"], each)
    ]
    if found and not set(COUNTS) & set(plain) and form.columns.get("zero_point", "") is not None:
        raise ValueError(
            f"{origin}: nothing states the unit of the flux, and {found[0]} may be its zero point: say so with "
            f"{naming('zero_point').replace('COLUMN', found[0])}, or give the unit with {GIVE_UNIT}"
        )


def _refuse_foreign(names: Sequence[str], found: Mapping[str, str], form: Form, origin: str) -> None:
    """Raise ValueError if the columns are those of another survey than the passbands are of, and none says who took each row.

    A card may state passbands of its own for the letters of a survey that is known; those of a model are what they are. Columns of which none is
    read may name the counterpart of an object in another survey.
    """
    plain = {each: name for name in names for each in (plain_name(name), without_prefix(name))}
    if form.passbands.systems.isdisjoint(FACTS["systems"]) or not plain.keys().isdisjoint(NAMING):
        return
    known = {column for name, column in found.items() if not name.startswith(FLAG)}
    for survey, forms in FACTS["forms"].items():
        form_found = next((columns for columns in forms if plain.keys() >= set(columns)), ())
        stated = survey.casefold() in FACTS["systems"] and not form.of_model
        is_read = not known.isdisjoint(plain[each] for each in form_found)
        if is_read and not stated and survey.casefold() not in form.passbands.systems:
            raise ValueError(
                f"{origin} has the columns of {survey} ({', '.join(plain[each] for each in form_found)}), whose passbands are not those of the model "
                f"or card ({', '.join(form.passbands.names)}): use a model or card of {survey}"
            )


def _refuse_science(names: Sequence[str], kind: str, column: str, origin: str) -> None:
    """Raise ValueError if the brightnesses are of the science image, not of the difference."""
    about, plain = FACTS["science_image"][kind], {without_prefix(name) for name in names}
    if plain_name(column) in about["names"] and plain & set(about["tables"]) and plain.isdisjoint(about["differences"]):
        raise ValueError(
            f"{origin}: {column} of such a table is the brightness in the science image, host galaxy included: give that of the difference "
            f"({about['instead']}), or say that it is one with {naming(kind).replace('COLUMN', column)}"
        )


def observations_of(rows: Named) -> tuple[Observations, dict[str, int]]:
    """The rows that measure a flux, as `tlclass.lightcurves.curves.from_columns` wants them, and the others by reason.

    Fluxes are taken where there is a flux column, else difference magnitudes. What a row means is decided by the rules of
    `tlclass.lightcurves.photometry`.

    Args:
        rows: of a table of observations; its columns are those of `observation_columns`.

    Raises:
        ValueError: a column holds what it should not; the unit or the sign of the fluxes is not stated; a band is unknown.
    """
    found, judgement = measured(rows), Judgement()
    judgement.look(found)
    return converted(found, judgement.facts())


def converted(given: Measured, facts: Facts, part: bool = False) -> tuple[Observations, dict[str, int]]:
    """The same of rows that are a table or a part of one, given what holds for the whole of it.

    Raises:
        ValueError: a column holds what it should not, or a band is unknown.
    """
    rows, dropped = given.rows, dict(given.dropped)
    mjd = times(rows, facts.relative)
    timed = ~np.isnan(mjd)  # end marks have no passband either
    rows, mjd = rows.where(timed), mjd[timed]
    band, known, unknown = passbands_of(rows)
    rows, mjd, band = rows.where(known), mjd[known], band[known]
    ids = rows.ids()
    named = ids != ""
    rows, mjd, band = rows.where(named), mjd[named], band[named]
    left_out = {NO_TIME: int(np.count_nonzero(~timed)), **unknown, NO_ID: int(np.count_nonzero(~named))}
    dropped |= {reason: n for reason, n in left_out.items() if n}
    seen = {"object_id": ids[named], "mjd": mjd, "passband": band, **_brightness(rows, facts)}
    seen["detected"] = _detected(rows, seen, facts, logging.DEBUG if part else logging.INFO)
    return seen | {ROUNDED: np.full(len(band), facts.rounded)}, dropped


def _brightness(rows: Named, facts: Facts) -> Observations:
    """Flux and error (n,) at zero point 27.5."""
    if rows.kind == "mag":
        refuse_other_systems(rows)
        if not {"mag", "mag_err"} <= set(rows.found):
            return {name: np.empty(len(rows)) for name in BRIGHTNESS["flux"]}
        flux = flux_of_magnitude(rows.numbers("mag"), rows.numbers("mag_err"), _positive(rows, facts))
        return dict(zip(BRIGHTNESS["flux"], flux, strict=True))
    value = {name: rows.numbers(name) for name in BRIGHTNESS["flux"]}
    value["flux"] = known_numbers(value["flux"], "fluxes")
    if "is_positive" in rows:
        wrong = (value["flux"] > 0) & ~_positive(rows, facts)
        value["flux"] = np.where(wrong, -value["flux"], value["flux"])
        if wrong.any():
            message = "%s: %d of %d fluxes are above zero where column %s says that the difference is negative: they are taken as negative"
            tell(
                log,
                logging.WARNING,
                message,
                rows.origin,
                rows.found["is_positive"],
                counts=(int(wrong.sum()), len(wrong)),
            )
    factor = flux_factor(rows, facts.unit)
    return {name: values * factor for name, values in value.items()}


def _detected(rows: Named, seen: Observations, facts: Facts, level: int) -> Array:
    """(n,) bool: stated by a flag or because alerts are detections, else measured by signal to noise.

    A PHOTFLAG that calls no row of the table a detection states nothing.
    """
    least, rising = rows.form.detection_snr, np.asarray(seen["flux"] > 0)
    no_bits = has_photflag(rows.found) and not facts.bits
    loud = logging.DEBUG if level == logging.DEBUG else logging.WARNING
    if no_bits:
        say_no_bits(seen["flux"], seen["flux_err"], least, rows.origin, loud)
    elif "detected" in rows:
        stated = flagged(rows)
        _say_faint(stated, seen, rows.found["detected"], rows.origin, loud)
        return stated & rising if rows.kind == "mag" else stated
    if marks_no_detection(rows):
        return ~rows.flags("is_limit", is_flag)
    alert = _alerts(rows, facts)
    by_snr = detected_by_snr(seen["flux"], seen["flux_err"], least)
    if not alert.all() and not no_bits:
        message = "%s: no column says which rows are detections: %d of %d with flux / error of %g or more count as such (detection_snr)"
        tell(log, level, message, rows.origin, least, counts=(int(by_snr[~alert].sum()), len(alert)))
    return np.where(alert, rising & detected_by_snr(seen["flux"], seen["flux_err"], ALERT_SNR), by_snr)


def _say_faint(stated: Array, seen: Observations, name: str, origin: str, level: int) -> None:
    """Log where most of the rows that a column calls detections are far too faint for one."""
    faint = stated & (np.abs(seen["flux"]) < ALERT_SNR * seen["flux_err"])
    if faint.sum() > stated.sum() / 2:
        message = "%s: %d of %d detections have flux / error below %g (column %s): check that fluxes and errors are not swapped, nor in different units"
        tell(log, level, message, origin, ALERT_SNR, name, counts=(int(faint.sum()), int(stated.sum())))


def _alerts(rows: Named, facts: Facts) -> Array:
    """(n,) bool, the rows that an alert stream sent: detections of its pipeline, not forced photometry."""
    found = rows.found
    names, known = {plain_name(name) for name in found.values()}, FACTS["detection"]
    of_forced = [name for name, own in found.items() if plain_name(own) in known["forced"] and name != "forced"]
    sent = "alert_id" in rows and plain_name(found["alert_id"]) not in WEAK["alert_id"]  # any record has an _id
    if of_forced and not sent:
        return np.zeros(len(rows), dtype=bool)
    alert = np.full(len(rows), rows.kind == "mag" and bool(names & set(known["alerts"]) or facts.signed))
    if "alert_id" in rows:
        ids = rows["alert_id"]
        alert = ~_is_empty(ids) if sent else alert
        if not (pa.types.is_integer(ids.type) or pa.types.is_floating(ids.type) or pa.types.is_null(ids.type)):
            named = pc.match_substring_regex(pc.cast(ids, pa.string()), known["forced_ids"])
            alert &= ~np.asarray(pc.fill_null(named, False).to_numpy())
    for name in of_forced:  # where alerts stand in the same table, these are empty
        alert &= _is_empty(rows[name])
    if "forced" in rows:
        alert = alert & ~rows.flags("forced", says_yes)
    return alert


def _is_empty(column: pa.ChunkedArray) -> Array:
    return np.asarray(pc.is_null(column, nan_is_null=True).to_numpy())


def _positive(rows: Named, facts: Facts) -> Array:
    """(n,) bool, the sign of the subtraction; without one the settings say that it is positive."""
    if "is_positive" in rows:
        return rows.flags("is_positive", says_yes, missing=True)
    if facts.signed:
        return rows.flags("quality", lambda status: sign_of(status) != "negative")
    return np.ones(len(rows), dtype=bool)


def joined(parts: Sequence[Observations]) -> tuple[Observations, dict[str, int]]:
    """All parts as one, each exposure once, and how many rows repeated an exposure."""
    names = [name for name in parts[0] if all(name in part for part in parts)]
    whole = (
        {name: np.concatenate([part[name] for part in parts]) for name in names} if len(parts) > 1 else dict(parts[0])
    )
    rounded = bool(whole.pop(ROUNDED).any())
    series = coded(pa.table({"id": whole["object_id"]})["id"])[1] * 256 + whole["passband"]
    keep, repeated = once_per_exposure(whole, series, rounded)
    return (whole if keep.all() else {name: column[keep] for name, column in whole.items()}), repeated
