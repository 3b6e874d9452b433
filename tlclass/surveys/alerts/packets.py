"""Read one alert packet of ZTF or Rubin: its object, and a row per exposure."""

import math
from collections.abc import Mapping
from typing import Any

from tlclass.lightcurves.curves import known_redshifts
from tlclass.lightcurves.photometry import ALERT_SNR, FACTS, FRACTION, JULIAN, UPPER_LIMIT, ZERO_POINT, flux_scale
from tlclass.lightcurves.voids import VOIDS, says_yes, void_reason
from tlclass.surveys.tables.names import ALIASES, ERRORS, PHOTOZ

Packet = Mapping[str, Any]

ZTF_BANDS = {1: "g", 2: "r", 3: "i"}  # fid
FORCED_MISSING = -99998.0  # ZTF writes -99999 where forced photometry has no value
RUBIN_UNIT = "njy"  # of the fluxes of Rubin's own schemas, and of every psfFlux (LSE-163)
OLD_FLUX = "psFlux"  # its name before schema 5; other surveys' packets use it in other units (ELAsTiCC)

TIMES = ("midpointMjdTai", "midPointTai")  # before schema 5 the latter
LASAIR_SOURCES = "diaSourcesList"

# What an exposure offers, best first; why it offers nothing.
DETECTION, FORCED, NOTHING = range(3)
FAULTS = (
    "",
    UPPER_LIMIT,
    "without a flux or error",
    "without a passband",
    *dict.fromkeys(rule.reason for rule in VOIDS),
)
FINE, LIMIT, NO_FLUX, NO_BAND = range(4)
Row = tuple[float, bytes, float, float, bool, int, int]  # mjd, band, flux, flux_err, detected, rank, fault
Head = tuple[str, float, float, float, float, float, float]  # as `tlclass.surveys.alerts.parsed.HEAD`


def is_ztf(packet: Packet) -> bool:
    """Whether a record is an alert of ZTF."""
    return packet.keys() >= {"candidate", "objectId"}


def is_rubin(packet: Packet) -> bool:
    """Whether a record is an alert of Rubin."""
    return "diaSource" in packet


def of_lasair(record: Packet) -> Packet:
    """The packet of Rubin that a record of Lasair holds (its Kafka messages and API; lsst-uk/lasair-lsst); another record as it is."""
    held = record.get("alert", record)
    if not isinstance(held, dict) or not held.get(LASAIR_SOURCES):
        return record
    *previous, newest = sorted(held[LASAIR_SOURCES], key=lambda seen: float(_either(seen, *TIMES)))
    about = held.get("diaObject") or {**record, "diaObjectId": int(record["diaObjectId"])}
    forced = held.get("diaForcedSourcesList")
    return {"diaSource": newest, "prvDiaSources": previous, "prvDiaForcedSources": forced, "diaObject": about}


def ztf(packet: Packet, forced: bool) -> tuple[Head, list[Row]]:
    """Head and rows of a packet of ZTF, with its forced photometry or without."""
    publisher = str(packet.get("publisher") or "")
    if any(name in publisher.casefold() for name in FACTS["other_publishers"]):
        raise ValueError(f"its publisher is {publisher}, whose filters are not those of ZTF")
    newest = packet["candidate"]
    rows = [_ztf_candidate(seen) for seen in (newest, *(packet.get("prv_candidates") or ()))]
    if forced:
        rows += [_ztf_forced(seen) for seen in packet.get("fp_hists") or ()]
    place = _number(newest["ra"]), _number(newest["dec"])
    return (str(packet["objectId"]), rows[0][0], *place, math.nan, math.nan, math.nan), rows


def _ztf_candidate(seen: Packet) -> Row:
    mjd, band = _mjd(seen["jd"]), _ztf_band(seen["fid"])
    if seen["magpsf"] is None or math.isnan(seen["magpsf"]):
        return mjd, band, math.nan, math.nan, False, NOTHING, LIMIT
    size = 10 ** (-0.4 * (seen["magpsf"] - ZERO_POINT))
    error = size * _number(seen["sigmapsf"]) * FRACTION
    flux = size if _is_positive(seen["isdiffpos"]) else -size
    return mjd, band, flux, error, flux >= ALERT_SNR * error, DETECTION, _fault(seen)


def _ztf_forced(seen: Packet) -> Row:
    mjd, band = _mjd(seen["jd"]), _ztf_band(seen["fid"])
    flux, error = _number(seen["forcediffimflux"]), _number(seen["forcediffimfluxunc"])
    zero_point = _number(seen["magzpsci"])
    if not (flux > FORCED_MISSING and error > 0 and zero_point > 0):
        return mjd, band, math.nan, math.nan, False, NOTHING, NO_FLUX
    fault = _fault(seen)
    if fault:
        return mjd, band, math.nan, math.nan, False, NOTHING, fault
    scale = flux_scale(zero_point)
    return mjd, band, flux * scale, error * scale, False, FORCED, FINE


def _fault(seen: Packet) -> int:
    """Why the survey's flags void a row, as a place in `FAULTS`; `FINE` if they do not."""
    reason = void_reason(seen)
    return FINE if reason is None else FAULTS.index(reason)


def _mjd(jd: float | None) -> float:
    return _number(jd) + JULIAN


def _ztf_band(fid: int) -> bytes:
    return ZTF_BANDS.get(fid, f"fid {fid}").encode()


def _is_positive(given: object) -> bool:
    """ZTF's `isdiffpos`: t or 1, f or 0."""
    positive = says_yes(str(given))
    if positive is None:
        raise TypeError(f"isdiffpos is {given!r} instead of t, 1, f or 0")
    return positive


def rubin(packet: Packet, forced: bool, zero_point: float) -> tuple[Head | None, list[Row]]:
    """The same of Rubin, given the zero point of its fluxes; no head if no object is named."""
    source, about = packet["diaSource"], packet.get("diaObject") or {}
    # Null or 0: not associated. A packet may name its object without carrying it.
    given = [number for number in (source.get("diaObjectId"), about.get("diaObjectId")) if number]
    ids = {number for number in given if not (isinstance(number, float) and number == float(given[0]))}
    if given and not ids:
        raise ValueError("diaObjectId is a floating-point number, which does not tell neighbours apart: store integers")
    if len(ids) > 1:
        raise ValueError(f"diaSource and diaObject name different objects: {' and '.join(map(str, sorted(ids)))}")
    if not ids:
        return None, []
    scale = flux_scale(zero_point)
    sources = (source, *(packet.get("prvDiaSources") or ()))
    rows = [_rubin_row(seen, scale, DETECTION) for seen in sources]
    if forced:
        rows += [_rubin_row(seen, scale, FORCED) for seen in packet.get("prvDiaForcedSources") or ()]
    place = about if about.get("ra") is not None else source
    trigger = _number(about.get("firstDiaSourceMjdTai"))
    ra, dec = _number(place["ra"]), _number(_either(place, "dec", "decl"))
    return (str(ids.pop()), rows[0][0], ra, dec, trigger, *_host(about)), rows


def _rubin_row(seen: Packet, scale: float, rank: int) -> Row:
    """Names changed with schema 5: midPointTai, filterName, psFlux and decl before; is_negative before 8."""
    mjd, band = _number(_either(seen, *TIMES)), _either(seen, "band", "filterName")
    flux, error = (
        _number(_either(seen, new, old)) for new, old in (("psfFlux", OLD_FLUX), ("psfFluxErr", "psFluxErr"))
    )
    detected = flux >= ALERT_SNR * error and not (seen.get("isNegative") or seen.get("is_negative"))
    fault = FINE
    if math.isnan(flux) or math.isnan(error):
        rank, fault = NOTHING, NO_FLUX
    elif band is None:
        fault = NO_BAND
    else:
        fault = _fault(seen)
    return mjd, (band or "").encode(), flux * scale, error * scale, detected and rank == DETECTION, rank, fault


def _either(seen: Packet, new: str, old: str) -> Any:
    return seen[new] if new in seen else seen[old]


def _host(about: Packet) -> tuple[float, float]:
    """Photometric redshift and its error, of the first name that states one; NaN where nothing is stated, or something that is no number."""
    for name in ALIASES[PHOTOZ]:
        if known_redshifts(_known(about.get(name))):
            errors = [_known(about.get(name + end)) for end in ERRORS]
            return _known(about[name]), next((error for error in errors if error == error), math.nan)
    return math.nan, math.nan


def _known(stated: object) -> float:
    return float(stated) if isinstance(stated, int | float) and not isinstance(stated, bool) else math.nan


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)
