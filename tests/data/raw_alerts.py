"""Writes tiny alert packets in the published layouts. Simulated.

ZTF: true names and types, fewer fields (github.com/ZwickyTransientFacility/ztf-avro-alert, schema 4.01). Rubin: the
official schemas of the lsst-alert-packet wheel where it is installed (`official`), else the fields that are read.

python -m tests.data.raw_alerts FOLDER [OBJECTS]
"""

import io
import sys
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import fastavro
import numpy as np
from fastavro.schema import load_schema, parse_schema

from tests.data.raw_surveys import SHAPES, light_curve

Packet = dict[str, Any]

NULL_FLOAT, NULL_DOUBLE, NULL_LONG, NULL_TEXT = (["null", name] for name in ("float", "double", "long", "string"))
FLOAT_NULL, DOUBLE_NULL, LONG_NULL, TEXT_NULL = ([name, "null"] for name in ("float", "double", "long", "string"))
SEEN = {"jd": "double", "fid": "int", "pid": "long", "programid": "int"}
ZTF_FIELDS: dict[str, dict[str, Any]] = {
    "candidate": {
        **SEEN, "diffmaglim": FLOAT_NULL, "candid": "long", "isdiffpos": "string", "ra": "double", "dec": "double",
        "magpsf": "float", "sigmapsf": "float", "rb": FLOAT_NULL, "jdstarthist": DOUBLE_NULL, "magzpsci": FLOAT_NULL,
    },
    "prv_candidate": {
        **SEEN, "diffmaglim": FLOAT_NULL, "candid": LONG_NULL, "isdiffpos": TEXT_NULL, "ra": DOUBLE_NULL, "dec": DOUBLE_NULL,
        "magpsf": FLOAT_NULL, "sigmapsf": FLOAT_NULL, "rb": FLOAT_NULL, "magzpsci": FLOAT_NULL,
    },
    "fp_hist": {
        **SEEN, "magzpsci": NULL_FLOAT, "diffmaglim": NULL_FLOAT, "forcediffimflux": NULL_FLOAT,
        "forcediffimfluxunc": NULL_FLOAT, "procstatus": NULL_TEXT, "ranr": "double", "decnr": "double",
    },
    "cutout": {"fileName": "string", "stampData": "bytes"},
}  # fmt: skip

OLD = {"midPointTai": "double", "filterName": "string", "psFlux": "float", "psFluxErr": "float"}
NEW = {"midpointMjdTai": "double", "band": NULL_TEXT, "psfFlux": NULL_FLOAT, "psfFluxErr": NULL_FLOAT}
FLAGS = {name: ["null", "boolean"] for name in ("psfFlux_flag", "pixelFlags_bad", "pixelFlags_saturatedCenter")}
RUBIN_FIELDS: dict[str, dict[str, dict[str, Any]]] = {
    "3.0": {
        "diaSource": {"diaSourceId": "long", "ccdVisitId": "long", "diaObjectId": NULL_LONG, **OLD, "ra": "double", "decl": "double"},
        "diaForcedSource": {"diaForcedSourceId": "long", "ccdVisitId": "long", "diaObjectId": "long", **OLD},
        "diaObject": {"diaObjectId": "long", "ra": "double", "decl": "double"},
    },
    "7.4": {
        "diaSource": {
            "diaSourceId": "long", "visit": "long", "diaObjectId": NULL_LONG, **NEW, "ra": "double", "dec": "double",
            "is_negative": ["null", "boolean"], **FLAGS,
        },
        "diaForcedSource": {"diaForcedSourceId": "long", "visit": "long", "diaObjectId": "long", **NEW},
        "diaObject": {"diaObjectId": "long", "ra": "double", "dec": "double"},
    },
    "9.0": {
        "diaSource": {
            "diaSourceId": "long", "visit": "long", "diaObjectId": NULL_LONG, **NEW, "ra": "double", "dec": "double",
            "isNegative": ["null", "boolean"], **FLAGS, "timeWithdrawnMjdTai": NULL_DOUBLE,
        },
        "diaForcedSource": {"diaForcedSourceId": "long", "visit": "long", "diaObjectId": "long", **NEW, "timeWithdrawnMjdTai": NULL_DOUBLE},
        "diaObject": {"diaObjectId": "long", "ra": "double", "dec": "double", "firstDiaSourceMjdTai": NULL_DOUBLE},
    },
}  # fmt: skip
VERSIONS = tuple(RUBIN_FIELDS)


def _record(namespace: str, name: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    rows = [{"name": field, "type": kind} for field, kind in fields.items()]
    return {"type": "record", "namespace": namespace, "name": name, "fields": rows}


def ztf_schema() -> Any:
    parts = {name: _record("ztf.alert", name, fields) for name, fields in ZTF_FIELDS.items()}
    cutouts = {f"cutout{kind}": ["ztf.alert.cutout", "null"] for kind in ("Template", "Difference")}
    alert = {
        "schemavsn": "string", "publisher": "string", "objectId": "string", "candid": "long", "candidate": parts["candidate"],
        "prv_candidates": [{"type": "array", "items": parts["prv_candidate"]}, "null"],
        "fp_hists": [{"type": "array", "items": parts["fp_hist"]}, "null"], "cutoutScience": [parts["cutout"], "null"], **cutouts,
    }  # fmt: skip
    return parse_schema(_record("ztf", "alert", alert))


def official_schema(version: str) -> Path | None:
    """Rubin's own `.avsc` of the alert, None where the wheel is not installed."""
    try:
        folder = metadata.distribution("lsst-alert-packet").locate_file("lsst/alert/packet/schema")
    except metadata.PackageNotFoundError:
        return None
    return Path(str(folder)) / version.replace(".", "/") / f"lsst.v{version.replace('.', '_')}.alert.avsc"


def rubin_schema(version: str, official: bool = False) -> Any:
    if official:
        return load_schema(str(official_schema(version)))
    space = f"lsst.v{version.replace('.', '_')}"
    parts = {name: _record(space, name, fields) for name, fields in RUBIN_FIELDS[version].items()}
    alert = {
        "diaSource": parts["diaSource"], "prvDiaSources": ["null", {"type": "array", "items": f"{space}.diaSource"}],
        "prvDiaForcedSources": ["null", {"type": "array", "items": parts["diaForcedSource"]}],
        "diaObject": ["null", parts["diaObject"]], "cutoutDifference": ["null", "bytes"],
    }  # fmt: skip
    return parse_schema(_record(space, "alert", alert))


def ztf_seen(jd: float, fid: int, magnitude: float | None, sigma: float | None = 0.1, sign: str = "t") -> Packet:
    """One candidate or previous candidate; without a magnitude an upper limit."""
    seen = {"jd": jd, "fid": fid, "diffmaglim": 20.5, "magpsf": magnitude, "sigmapsf": sigma, "isdiffpos": sign}
    return (
        seen | {"ra": 10.0, "dec": 20.0, "candid": 1}
        if magnitude is not None
        else seen | {"isdiffpos": None, "sigmapsf": None}
    )


def ztf_forced(jd: float, fid: int, flux: float, error: float, zero_point: float = 26.0, status: str = "0") -> Packet:
    about = {"magzpsci": zero_point, "procstatus": status}
    return {"jd": jd, "fid": fid, "forcediffimflux": flux, "forcediffimfluxunc": error, **about}


def ztf_packet(
    name: str, seen: Packet, previous: Sequence[Packet] | None = None, forced: Sequence[Packet] | None = None
) -> Packet:
    return {"objectId": name, "candidate": seen, "prv_candidates": previous, "fp_hists": forced}


def rubin_seen(version: str, mjd: float, band: str, flux: float | None, error: float = 20.0, **more: Any) -> Packet:
    """A diaSource or diaForcedSource by the names of that schema version; flux in nJy."""
    if version == "3.0":
        return {
            "midPointTai": mjd,
            "filterName": band,
            "psFlux": flux,
            "psFluxErr": error,
            "ra": 10.0,
            "decl": -5.0,
            **more,
        }
    return {"midpointMjdTai": mjd, "band": band, "psfFlux": flux, "psfFluxErr": error, "ra": 10.0, "dec": -5.0, **more}


def rubin_packet(
    version: str, number: int | None, seen: Packet, previous: Sequence[Packet] = (), forced: Sequence[Packet] = ()
) -> Packet:
    declination = "decl" if version == "3.0" else "dec"
    about = {"diaObjectId": number, "ra": 150.0, declination: 2.0, "firstDiaSourceMjdTai": 60990.0}
    history = {"prvDiaSources": list(previous) or None, "prvDiaForcedSources": list(forced) or None}
    return {"diaSource": seen, **history, "diaObject": about if number is not None else None}


def complete(schema: Any, given: Any, named: dict[str, Any] | None = None) -> Any:
    """`given` with every field the schema wants: its default, null where it may be, else zero."""
    named = {} if named is None else named
    if isinstance(schema, str):
        if schema in named:
            return complete(named[schema], given, named)
        zero = {"string": "", "bytes": b"", "boolean": False, "float": 0.0, "double": 0.0}.get(schema, 0)
        return zero if given is None else given
    if isinstance(schema, list):
        for part in schema:  # so that names are known further on
            complete(part, None, named)
        return None if given is None else complete(next(part for part in schema if part != "null"), given, named)
    if schema["type"] == "array":
        complete(schema["items"], None, named)
        return [complete(schema["items"], item, named) for item in given or ()]
    if schema["type"] != "record":
        return 0 if given is None else given
    named[schema["name"]] = schema
    return {
        field["name"]: complete(field["type"], (given or {}).get(field["name"]), named) for field in schema["fields"]
    }


def write_packets(path: Path, schema: Any, packets: Sequence[Packet], codec: str = "null") -> Path:
    """One object container file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        fastavro.writer(file, schema, [complete(schema, packet) for packet in packets], codec=codec)
    return path


def confluent(schema: Any, packet: Packet, number: int = 703) -> bytes:
    """A packet as Kafka sends it: zero, schema id, no schema."""
    stream = io.BytesIO()
    fastavro.schemaless_writer(stream, schema, complete(schema, packet))
    return b"\x00" + number.to_bytes(4, "big") + stream.getvalue()


def _magnitude(flux: float) -> float:
    return float(27.5 - 2.5 * np.log10(abs(flux)))


def ztf_stream(name: str, shape: str, generator: np.random.Generator, days: float = 30.0) -> list[Packet]:
    """The packets of one transient: one per detection, each with the limits and detections of `days` before it."""
    curve = light_curve(shape, {"g": 0.0, "r": 1.0}, generator)
    seen, forced = [], []
    for mjd, band, flux, error, detected in zip(*curve.values(), strict=True):
        jd, fid = mjd + 2400000.5, {"g": 1, "r": 2}[band]
        seen.append(ztf_seen(jd, fid, _magnitude(flux) if detected else None, 1.0857 * error / abs(flux)))
        forced.append(ztf_forced(jd, fid, flux * 10**-0.6, error * 10**-0.6))
    packets = []
    for k, newest in enumerate(seen):
        if newest["magpsf"] is not None:
            past = [j for j in range(k) if newest["jd"] - seen[j]["jd"] < days]
            packets.append(ztf_packet(name, newest, [seen[j] for j in past], [forced[j] for j in past]))
    return packets


def write_ztf_alerts(folder: Path, objects: int = 20, seed: int = 5, packets: int | None = None) -> None:
    """One file per packet below a folder per object; the last `packets` of each object."""
    generator, schema, shapes = np.random.default_rng(seed), ztf_schema(), list(SHAPES)
    for number in range(objects):
        name = f"ZTF25aa{number:05d}"
        stream = ztf_stream(name, shapes[number % len(shapes)], generator)
        for k, packet in enumerate(stream[-packets:] if packets else stream):
            write_packets(folder / name / f"{k:04d}.avro", schema, [packet])


if __name__ == "__main__":
    write_ztf_alerts(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 20)
