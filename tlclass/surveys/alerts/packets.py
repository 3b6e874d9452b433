"""What one alert packet of ZTF or of Rubin says: its object and a row per exposure it lists."""

import math
from collections.abc import Mapping
from typing import Any

Packet = Mapping[str, Any]

ZTF_BANDS = {1: "g", 2: "r", 3: "i"}  # fid
FORCED_MISSING = -99998.0  # ZTF writes -99999 where forced photometry has no value
# No warning, or none about the photometry (57: no source of the reference image within 5 arcsec); Masci et al. 2023.
FORCED_FINE = ("0", "57")
NANOJANSKY = 31.4  # AB zero point
# Measurements that do not stand for the object: the fit failed, or its pixels are bad.
RUBIN_BAD = ("psfFlux_flag", "pixelFlags_bad", "pixelFlags_saturatedCenter")

# What an exposure offers, best first; why it offers nothing.
DETECTION, FORCED, NOTHING = range(3)
FINE, UPPER_LIMIT, NO_FLUX, FAILED, BAD, WITHDRAWN, NO_BAND = range(7)
FAULTS = {
    UPPER_LIMIT: "that are upper limits, without a flux",
    NO_FLUX: "without a flux or error",
    FAILED: "of forced photometry with a failure code (procstatus)",
    BAD: f"flagged bad by the survey ({', '.join(RUBIN_BAD)})",
    WITHDRAWN: "withdrawn by the survey",
    NO_BAND: "without a passband",
}
Row = tuple[float, bytes, float, float, bool, int, int]  # mjd, band, flux, flux_err, detected, rank, fault
Head = tuple[str, float, float, float, float]  # object_id, issued, ra, dec, trigger_mjd


def ztf(packet: Packet, forced: bool) -> tuple[Head, list[Row]]:
    """Head and rows of a packet of ZTF, with its forced photometry or without."""
    newest = packet["candidate"]
    rows = [_ztf_candidate(seen) for seen in (newest, *(packet.get("prv_candidates") or ()))]
    if forced:
        rows += [_ztf_forced(seen) for seen in packet.get("fp_hists") or ()]
    return (str(packet["objectId"]), rows[0][0], _number(newest["ra"]), _number(newest["dec"]), math.nan), rows


def _ztf_candidate(seen: Packet) -> Row:
    mjd, band = _mjd(seen["jd"]), _ztf_band(seen["fid"])
    if seen["magpsf"] is None:
        return mjd, band, math.nan, math.nan, False, NOTHING, UPPER_LIMIT
    size = 10 ** (-0.4 * (seen["magpsf"] - 27.5))
    error = size * _number(seen["sigmapsf"]) * math.log(10) / 2.5  # of a small error in magnitudes
    positive = _is_positive(seen["isdiffpos"])
    return mjd, band, size if positive else -size, error, positive, DETECTION, FINE


def _ztf_forced(seen: Packet) -> Row:
    mjd, band = _mjd(seen["jd"]), _ztf_band(seen["fid"])
    flux, error = _number(seen["forcediffimflux"]), _number(seen["forcediffimfluxunc"])
    zero_point, status = _number(seen["magzpsci"]), seen.get("procstatus")
    if not (flux > FORCED_MISSING and error > 0 and zero_point > 0):
        return mjd, band, math.nan, math.nan, False, NOTHING, NO_FLUX
    if status is not None and not set(str(status).replace(",", " ").split()) <= set(FORCED_FINE):
        return mjd, band, math.nan, math.nan, False, NOTHING, FAILED
    scale = 10 ** (0.4 * (27.5 - zero_point))
    return mjd, band, flux * scale, error * scale, False, FORCED, FINE


def _mjd(jd: float | None) -> float:
    return _number(jd) - 2400000.5


def _ztf_band(fid: int) -> bytes:
    return ZTF_BANDS.get(fid, f"fid {fid}").encode()


def _is_positive(given: object) -> bool:
    """ZTF's `isdiffpos`: t or 1, f or 0."""
    text = str(given).lower()
    if text not in ("t", "true", "1", "f", "false", "0"):
        raise TypeError(f"isdiffpos is {given!r} instead of t, 1, f or 0")
    return text in ("t", "true", "1")


def rubin(packet: Packet, forced: bool, zero_point: float) -> tuple[Head | None, list[Row]]:
    """The same of Rubin, given the zero point of its fluxes; no head if no object is named."""
    source, about = packet["diaSource"], packet.get("diaObject") or {}
    # Null or 0: not associated. A packet may name its object without carrying it.
    ids = {number for number in (about.get("diaObjectId"), source.get("diaObjectId")) if number}
    if len(ids) > 1:
        raise ValueError(f"diaSource and diaObject name different objects: {' and '.join(map(str, sorted(ids)))}")
    if not ids:
        return None, []
    scale = 10 ** (0.4 * (27.5 - zero_point))
    sources = (source, *(packet.get("prvDiaSources") or ()))
    rows = [_rubin_row(seen, scale, DETECTION) for seen in sources]
    if forced:
        rows += [_rubin_row(seen, scale, FORCED) for seen in packet.get("prvDiaForcedSources") or ()]
    place = about or source
    trigger = _number(about.get("firstDiaSourceMjdTai"))
    ra, dec = _number(place["ra"]), _number(_either(place, "dec", "decl"))
    return (str(ids.pop()), rows[0][0], ra, dec, trigger), rows


def _rubin_row(seen: Packet, scale: float, rank: int) -> Row:
    """Names changed with schema 5: midPointTai, filterName, psFlux and decl before; is_negative before 8."""
    mjd, band = _number(_either(seen, "midpointMjdTai", "midPointTai")), _either(seen, "band", "filterName")
    flux, error = (
        _number(_either(seen, new, old)) for new, old in (("psfFlux", "psFlux"), ("psfFluxErr", "psFluxErr"))
    )
    negative = flux < 0 or bool(seen.get("isNegative") or seen.get("is_negative"))
    fault = FINE
    if math.isnan(flux) or math.isnan(error):
        rank, fault = NOTHING, NO_FLUX
    elif band is None:
        fault = NO_BAND
    elif seen.get("timeWithdrawnMjdTai") is not None:
        fault = WITHDRAWN
    elif any(seen.get(flag) for flag in RUBIN_BAD):
        fault = BAD
    return mjd, (band or "").encode(), flux * scale, error * scale, rank == DETECTION and not negative, rank, fault


def _either(seen: Packet, new: str, old: str) -> Any:
    return seen[new] if new in seen else seen[old]


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)
