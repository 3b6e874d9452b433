"""Small raw files of every survey card, read, selected and encoded, in numbers."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tests.data.raw_alerts import rubin_packet, rubin_schema, rubin_seen, write_packets, write_ztf_alerts
from tests.data.raw_pickles import write_lists, write_tables
from tests.data.raw_snana import flags, write_elasticc, write_pair
from tests.data.raw_snana_text import write_snana_text
from tests.data.raw_surveys import light_curve, write_all
from tests.data.raw_tables import LAYOUTS, alerts, explorer, plain, plain_magnitudes, write, write_nested
from tests.golden import door

Array = npt.NDArray[Any]

ENCODINGS = ("paper", "context")
FIRST = 3  # rows of encoded observations that are kept
TOLERANCE = 2e-6  # relative, of float32 values and of sums to the sum of sizes
LABELS = ("SN Ia", "SN II", "SN Ib", "SLSN-I", "TDE", "nova")
SNANA_MODELS = {"MODEL01": "SN Ia", "MODEL02": "SN II", "MODEL13": "SN Ib/c", "MODEL64": "TDE", "MODEL51": "nova"}
FORMS = ("lists", "struct of lists", "list of structs")
ALERTS = ["target.reader.labels={data}/labels.csv"]
TEXT = ["target.reader.label_key=SIM_TYPE_NAME", "target.reader.prefix_ids=true"]
PARTS = {
    "alerts_simulated": ("faint", "bright", "deep"),
    "plasticc_simulated": ("wide", "deep", "faint"),
    "forced_simulated": ("faint", "bright", "colour"),
}

# What is read -> the words after `paths.data=`; a renamed config key changes here. The card's name is first.
SURVEYS: dict[str, list[str]] = {
    **{name: [f"target={name}"] for name in ("bts", "plasticc", "plasticc_ddf", "plasticc_wfd", "plasticc_table")},
    **{name: [f"target={name}"] for name in ("elasticc", "ztf_snana", "ztf_sims", "ztf_sims_tables")},
    "snana_text": ["target=snana_text", *TEXT],
    "ztf_alerts": ["target=ztf_alerts", *ALERTS],
    "ztf_alerts forced": ["target=ztf_alerts", *ALERTS, "target.selection.photometry.kind=forced"],
    **{
        f"lsst_alerts {version}": ["target=lsst_alerts", *ALERTS, f"target.reader.path={{data}}/lsst_{version}"]
        for version in ("3.0", "7.4", "9.0")
    },
    **{f"table {name}": ["target=table", f"target.reader.folder={{data}}/table/{name}"] for name in LAYOUTS},
    "ztf_forced": ["target=ztf_forced"],
    **{f"nested {form}": ["target=nested", f"target.reader.path={{data}}/nested/{form}.parquet"] for form in FORMS},
    **{
        name: [f"target={name}", "target.n_objects=60"]
        for name in ("bts_simulated", "ztf_simulated", "lsst_simulated")
    },
    **{
        name: [f"target={name}", *(f"target.reader.parts.{part}.n_objects=24" for part in parts)]
        for name, parts in PARTS.items()
    },
    "faint_simulated": ["target=faint_simulated", "target.n_objects=60"],
    "joint_simulated": ["target=joint_simulated", "target.surveys.ztf.n_objects=48"],
    "ztf_and_lsst": ["target=ztf_and_lsst"],
}  # fmt: skip


def write_raw(folder: Path) -> None:
    """The raw files of all surveys below one data folder."""
    write_all(folder)
    write_elasticc(folder / "elasticc", count=3, files=2)
    write_ztf_snana(folder / "ztf_snana")
    write_snana_text(folder / "snana_text")
    write_lists(folder / "ztf_sims")
    write_tables(folder / "ztf_sims")
    write_ztf_alerts(folder / "ztf_alerts", 12, packets=3)
    for version in ("3.0", "7.4", "9.0"):
        write_lsst_alerts(folder / f"lsst_{version}", version)
    names = [*sorted(path.name for path in (folder / "ztf_alerts").iterdir()), *map(str, range(1, 13))]
    labels = [LABELS[k % len(LABELS)] for k in range(len(names))]
    pd.DataFrame({"object_id": names, "label": labels}).to_csv(folder / "labels.csv", index=False)
    write_tables_of_every_layout(folder)


def write_ztf_snana(folder: Path, count: int = 4) -> None:
    """One pair of SNANA files per model, whose objects are numbered anew in each."""
    generator = np.random.default_rng(6)
    for model, shape in SNANA_MODELS.items():
        curves = [light_curve(shape, {"g": 0.0, "r": 1.0}, generator) for _ in range(count)]
        named = {str(k + 1): curve | {"photflag": flags(curve)} for k, curve in enumerate(curves)}
        write_pair(folder / f"ZTF_MSIP_{model}", "a", named)


def write_lsst_alerts(folder: Path, version: str, count: int = 12) -> None:
    """One packet per object, with its detections and its forced photometry."""
    generator, packets = np.random.default_rng(7), []
    bands = dict(zip("ugrizy", np.linspace(-0.3, 2, 6), strict=True))
    for number in range(count):
        curve = light_curve(LABELS[number % 5].replace("Ib", "Ib/c"), bands, generator)
        rows = [
            (rubin_seen(version, float(mjd), str(band), float(flux), float(error)), bool(seen))
            for mjd, band, flux, error, seen in zip(*curve.values(), strict=True)
        ]
        detections = [row for row, seen in rows if seen]
        forced = [row for row, _ in rows]
        packets.append(rubin_packet(version, number + 1, detections[-1], detections[:-1], forced))
    write_packets(folder / "alerts.avro", rubin_schema(version), packets)


def write_tables_of_every_layout(folder: Path) -> None:
    """The same light curves as tables in the layout of every broker, and nested in every form."""
    frame = alerts(18)
    for name, layout in LAYOUTS.items():
        write(layout(frame), folder / "table" / name / "observations.csv")
        write(explorer(frame), folder / "table" / name / "explorer.csv")
    about = frame.drop_duplicates("object_id")[["object_id", "class"]].assign(ra=10.0, dec=-5.0, A_V=0.31)
    write(plain(frame), folder / "ztf_forced" / "observations.csv")
    write(explorer(frame), folder / "ztf_forced" / "explorer.csv")
    for survey, later in (("ztf", 0.0), ("lsst", 0.4)):  # the same objects, days apart
        write(plain_magnitudes(frame.assign(mjd=frame["mjd"] + later)), folder / survey / "observations.csv")
        write(explorer(frame), folder / survey / "explorer.csv")
    for form in FORMS:
        write_nested(plain(frame), about, folder / "nested" / f"{form}.parquet", form)


def describe(name: str, data: Path, cache: Path) -> dict[str, Any]:
    """The numbers of a survey's selected and encoded light curves."""
    words = [f"paths.data={data}", *(word.format(data=data) for word in SURVEYS[name])]
    curves = door.curves_of(words, ENCODINGS, cache / name.replace(" ", "_"))
    sums = {encoding: numbers(x) for encoding, x in curves.encoded.items()}
    about = {
        "ids": [str(one) for one in curves.object_id[:FIRST]],
        "label": "".join(f"{k:x}" for k in curves.label.tolist()),
    }
    further = {"days": numbers(curves.days[:, None]), "metadata": numbers(curves.metadata)}
    return {**about, "lengths": curves.lengths.tolist(), **sums, **further}


def numbers(x: Array) -> dict[str, Any]:
    """Per column the sum, the sum of sizes and a sum weighed by place, NaN left out; the first rows; how many are NaN."""
    wide = np.nan_to_num(x.astype(np.float64))
    place = 1 + np.arange(len(wide)) % 97
    sums = {"sum": wide.sum(0), "size": np.abs(wide).sum(0), "placed": (wide * place[:, None]).sum(0) / 97}
    written = {key: [float(f"{value:.9g}") for value in values] for key, values in sums.items()}
    first = [[float(f"{value:.8g}") for value in row] for row in wide[:FIRST]]
    return {**written, "first": first, "missing": np.isnan(x).sum(0).tolist()}


def differences(golden: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """Which of the golden numbers are different."""
    exact = [key for key in ("ids", "label", "lengths") if golden[key] != found[key]]
    told = [f"{key}: {golden[key]} was, {found[key]} is" for key in exact]
    for part in (*ENCODINGS, "days", "metadata"):
        told += [f"{part}: {line}" for line in _numbers_differ(golden[part], found[part])]
    return told


def _numbers_differ(golden: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    if np.shape(golden["first"]) != np.shape(found["first"]) or golden["missing"] != found["missing"]:
        return [f"{golden['first']}, missing {golden['missing']} was, {found['first']}, missing {found['missing']} is"]
    size = np.maximum(np.array(golden["size"]), 1.0)
    checks: dict[str, Callable[[Array, Array], Array]] = {
        key: lambda a, b: np.abs(a - b) <= TOLERANCE * size for key in ("sum", "size", "placed")
    }
    checks["first"] = lambda a, b: np.abs(a - b) <= TOLERANCE * np.maximum(np.abs(a), 1.0)
    return [
        f"{key} {golden[key]} was, {found[key]} is"
        for key, same in checks.items()
        if not same(np.array(golden[key]), np.array(found[key])).all()
    ]
