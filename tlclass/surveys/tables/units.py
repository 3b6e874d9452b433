"""The flux unit of a table: stated by the table or the user, or derived from magnitudes or depth; else an error."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from tlclass.arrays import Array
from tlclass.lightcurves.photometry import (
    FACTS,
    ZERO_POINT,
    ZERO_POINTS,
    depth_offset,
    fits_depth,
    flux_scale,
    scales,
    short_unit,
    unit_by_depth,
    unit_by_magnitudes,
    zero_point_of,
)
from tlclass.lightcurves.voids import is_blank
from tlclass.surveys.saying import tell
from tlclass.surveys.tables.cells import coded, column_values, numbers
from tlclass.surveys.tables.named import Named
from tlclass.wording import option

log = logging.getLogger(__name__)
AB = ("ab", "abmag", "ab_mag", "ab mag", "mag(ab)", "mag", "mags", "sdss", "ps1", "panstarrs", "ztf")

BRIGHT = 20  # flux / error of objects whose own light makes the errors
BRIGHTEST = 5  # mag by which it makes them larger, at most
GIVE_UNIT = option("--flux-unit UNIT", "flux_unit=UNIT")


def flux_factor(rows: Named, unit: str | float | None) -> Any:
    """Factor to zero point 27.5; without a unit one per row, of the zero points in a column.

    Args:
        rows: of a table. unit: see `tlclass.surveys.tables.facts.Facts`.

    Raises:
        ValueError: the zero points are of another system than AB, or no numbers.
    """
    if unit is not None:
        return flux_scale(unit)
    refuse_other_systems(rows)
    return scales(rows.numbers("zero_point"))


def say_unit(rows: Named, unit: str | float | None) -> None:
    """Log which unit is taken."""
    if unit is None:
        message = "%s: fluxes are at the AB zero point of their row (column %s)"
        tell(log, logging.INFO, message, rows.origin, rows.found["zero_point"])
    else:
        tell(log, logging.INFO, "%s: %s is taken as %s", rows.origin, rows.found["flux"], _spelled(unit))


def say_depth(
    value: Mapping[str, Array], band: Array, found: Mapping[str, str], passbands: Sequence[str], origin: str
) -> None:
    """Warn where errors in the unit that is taken are far from the depth of the survey; large errors of bright objects are not.

    Args:
        value: `flux` and `flux_err` (n,) at zero point 27.5. band: (n,) passband codes. found: their columns in the file.
        passbands: the names of the codes. origin: what to call the file.
    """
    offset = depth_offset(value["flux_err"], band, passbands)
    if offset is None:
        return
    deeper = offset + ZERO_POINT
    if abs(deeper) > 2 * float(FACTS["depth_tolerance"]) and not _bright(deeper, value):
        message = "%s: in the unit that is taken, %s has errors of a survey %s: check the unit (%s), and that %s are errors of one sigma in it"
        tell(log, logging.WARNING, message, origin, found["flux"], _compared(deeper), GIVE_UNIT, found["flux_err"])


def _bright(deeper: float, value: Mapping[str, Array]) -> bool:
    """Whether errors are large (`deeper` mag, negative) because they are those of bright objects."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return -BRIGHTEST < deeper < 0 and bool(np.nanmedian(np.abs(value["flux"]) / value["flux_err"]) > BRIGHT)


def judge_depth(
    value: Mapping[str, Array],
    band: Array,
    found: Mapping[str, str],
    unit: str | float | None,
    passbands: Sequence[str],
    origin: str,
) -> None:
    """Refuse a unit that a name or a column states where the errors prove that it is another. Arguments: see `say_depth`; the unit.

    Raises:
        ValueError: they are those of no survey, or FLUXCAL is in nJy.
    """
    refuse_depth(value["flux_err"], band, found, passbands, origin)
    if unit == "fluxcal" and "flux_unit" not in found:
        refuse_other_fluxcal(value, band, found, passbands, origin)


def refuse_other_fluxcal(
    value: Mapping[str, Array], band: Array, found: Mapping[str, str], passbands: Sequence[str], origin: str
) -> None:
    """Raise ValueError where fluxes that are called FLUXCAL have the depth of the survey in nJy alone. Arguments: see `say_depth`."""
    offset = depth_offset(value["flux_err"], band, passbands)
    if offset is None or unit_by_depth(offset) != "njy" or _bright(offset + ZERO_POINT, value):
        return
    deeper = offset + ZERO_POINT
    if abs(deeper) > float(FACTS["depth_refuted"]):
        raise ValueError(
            f"{origin}: {found['flux']} has errors of a survey {_compared(deeper)} at zero point {ZERO_POINT}, and of its depth in nJy, in which "
            f"SNANA simulates since April 2026, and nothing states the zero point ({FACTS['snana_zero_point']}): give the unit of your file with "
            f"{option('--flux-unit njy', 'flux_unit=njy')} or {option('--flux-unit fluxcal', 'flux_unit=fluxcal')}"
        )


def refuse_depth(flux_err: Array, band: Array, found: Mapping[str, str], passbands: Sequence[str], origin: str) -> None:
    """Raise ValueError where errors in the unit that is taken are larger than those of any survey. See `say_depth`."""
    offset = depth_offset(flux_err, band, passbands)
    if offset is not None and offset + ZERO_POINT < -float(FACTS["depth_impossible"]):
        raise ValueError(
            f"{origin}: {found['flux']} is in another unit than its name or a column says: its errors would be those of a survey "
            f"{_compared(offset + ZERO_POINT)}: convert it, or state the unit with {GIVE_UNIT}, one of {', '.join(ZERO_POINTS)} or the AB zero point"
        )


def refuse_magnitudes(rows: Named, flux: Array) -> None:
    """Raise ValueError where magnitudes in the same table contradict the unit of the fluxes (n,), which are at zero point 27.5 by it."""
    implied, magnitude = _unit_beside(rows, flux), rows.found.get("mag")
    if implied is not None and abs(implied - ZERO_POINT) > float(FACTS["depth_tolerance"]):
        raise ValueError(
            f"{rows.origin}: {rows.found['flux']} is in another unit than its name or a column says: by the magnitudes beside it ({magnitude}) its "
            f"fluxes are {abs(implied - ZERO_POINT):.1f} mag too {'bright' if implied > ZERO_POINT else 'faint'}: state the unit with "
            f"{GIVE_UNIT}, or leave {magnitude} out"
        )


def _unit_beside(rows: Named, flux: Array) -> float | None:
    """The AB zero point that magnitudes in the same table give to these fluxes (n,); None if there are none, or no one does."""
    return unit_by_magnitudes(flux, magnitudes(rows)) if "mag" in rows else None


def proved_unit(rows: Named, value: Mapping[str, Array], band: Array) -> str | float:
    """The unit that magnitudes in the same table, the model's or card's own unit, or the survey's depth give; the log says which.

    Args:
        rows: of a table. value: `flux` and `flux_err` (n,) as the file has them. band: (n,) passband codes.

    Raises:
        ValueError: nothing states or proves the unit.
    """
    flux, form, origin = rows.found["flux"], rows.form, rows.origin
    by_magnitudes = _unit_beside(rows, value["flux"])
    if by_magnitudes is not None:
        message = "%s: %s is at zero point %g, which the magnitudes beside it (%s) give"
        tell(log, logging.INFO, message, origin, flux, by_magnitudes, rows.found["mag"])
        return by_magnitudes
    offset = depth_offset(value["flux_err"], band, form.passbands.names)
    by_depth = unit_by_depth(offset)
    if form.default_unit is not None:
        say_default(form.default_unit, offset, value, flux, origin)
        return form.default_unit
    if by_depth is not None:
        message = "%s: nothing states the unit of %s; it is taken as %s, the only unit that gives the depth of the survey: if that is wrong, give %s"
        tell(log, logging.WARNING, message, origin, flux, by_depth, GIVE_UNIT)
        return by_depth
    if not len(value["flux"]):
        return "fluxcal"
    raise ValueError(
        f"{origin}: nothing states the unit of {flux} (median {np.nanmedian(np.abs(value['flux'])):.3g}): put it into the column's name "
        f"(flux_ujy, flux_njy, fluxcal), add a column flux_unit or zp (the AB zero point), or give it with {GIVE_UNIT}, one of "
        f"{', '.join(ZERO_POINTS)} or the AB zero point"
    )


def say_default(unit: str | float, offset: float | None, value: Mapping[str, Array], name: str, origin: str) -> None:
    """Log that the unit of the model or card is taken: a warning where the errors do not have the survey's depth in it.

    Raises:
        ValueError: they have it in another unit, and are not those of bright objects.
    """
    taken = "%s: %s is taken as %s, the unit of the model or card (default_unit): the table states none"
    if offset is None or fits_depth(offset, unit):
        tell(log, logging.INFO, taken, origin, name, _spelled(unit))
        return
    deeper, fitting = offset + zero_point_of(unit), unit_by_depth(offset)
    compared = _compared(deeper)
    if fitting and abs(deeper) > float(FACTS["depth_refuted"]) and not _bright(deeper, value):
        raise ValueError(
            f"{origin}: nothing states the unit of {name}: in {_spelled(unit)}, the unit of the model or card (default_unit), its errors are those of "
            f"a survey {compared}, in {fitting} they fit its depth: give the unit of your file with {GIVE_UNIT}, "
            f"one of {', '.join(ZERO_POINTS)} or the AB zero point"
        )
    fits = f", and fit its depth in {fitting}" if fitting else ""
    but = f"{taken}; but then its errors are those of a survey %s%s: state the unit with %s"
    tell(log, logging.WARNING, but, origin, name, _spelled(unit), compared, fits, GIVE_UNIT)


def _compared(deeper: float) -> str:
    return f"{abs(deeper):.1f} mag {'deeper' if deeper > 0 else 'shallower'} than this one"


def _spelled(unit: str | float) -> str:
    return unit if isinstance(unit, str) else f"zero point {unit:g}"


def magnitudes(rows: Named) -> Array:
    """(n,) float64; a limit (`>20.1`, `<20.1`) is NaN."""
    values = column_values(rows["mag"])
    if values.dtype == object:
        limits = np.isin(np.char.lstrip(values.astype(str)).astype("U1"), (">", "<"))
        values = np.where(limits, "", values)
    return numbers(values, rows.found["mag"], rows.origin)


def only_unit(column: pa.ChunkedArray, name: str, origin: str) -> str | None:
    """The unit that all rows of a column state; None if none does.

    Raises:
        ValueError: they state several, or one that is unknown.
    """
    given = [unit for unit in coded(column)[0] if not is_blank(unit)]
    units = {short_unit(unit) for unit in given}
    if len(units) > 1 or not units <= set(ZERO_POINTS):
        raise ValueError(
            f"{origin}: column {name} has {', '.join(given)}: all fluxes must be in one of the units {', '.join(ZERO_POINTS)}; convert them, "
            "or call magnitudes mag and mag_err"
        )
    return units.pop() if units else None


def refuse_other_systems(rows: Named) -> None:
    """Raise ValueError if zero points or magnitudes are of another system than AB."""
    if "zero_point_system" not in rows:
        return
    systems, codes = coded(rows["zero_point_system"])
    other = [system for code, system in enumerate(systems) if not is_ab(system) and (codes == code).any()]
    if other:
        raise ValueError(
            f"{rows.origin}: column {rows.found['zero_point_system']} has {', '.join(other)}: only AB zero points are read; convert the fluxes or "
            f"magnitudes, or leave those rows out with {option('--drop-unknown-passbands', 'unknown_passbands=drop')}"
        )


def is_ab(system: str) -> bool:
    """Whether a row's system is AB, or not stated; Sloan's and Pan-STARRS's magnitudes are AB within 0.04."""
    return is_blank(system) or system.casefold() in AB
