"""One light curve with one more column, in the format of every reader; for laws that hold for all of them. Simulated."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import fastavro
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from astropy.io import fits

from tests.data.raw_snana import write_pair
from tests.data.raw_tables import write, write_nested

Rows = Mapping[str, Sequence[Any]]  # mjd, band, flux, flux_err, and further columns
Write = Callable[[Rows, Path], Path]
PLAIN = ("mjd", "band", "flux", "flux_err")
NAMES = {"mjd": "MJD", "band": "BAND", "flux": "FLUXCAL", "flux_err": "FLUXCALERR"}
OBJECT = "7"


def more_of(rows: Rows) -> dict[str, Sequence[Any]]:
    return {name: values for name, values in rows.items() if name not in PLAIN}


def frame(rows: Rows) -> pd.DataFrame:
    """As SNANA's column names have it, which state the unit; the id stands in `diaObjectId` if the rows have one."""
    table = pd.DataFrame({NAMES.get(name, name): list(values) for name, values in rows.items()})
    return table if "diaObjectId" in table else table.assign(object_id=OBJECT)


def csv(rows: Rows, folder: Path) -> Path:
    return write(frame(rows), folder / "rows.csv")


def parquet(rows: Rows, folder: Path) -> Path:
    return write(frame(rows), folder / "rows.parquet")


def nested(rows: Rows, folder: Path) -> Path:
    table = frame(rows).rename(columns={"diaObjectId": "object_id"})
    objects = table[["object_id"]].drop_duplicates()
    path = write_nested(table, objects, folder / "nested.parquet", "list of structs")
    whole = pq.read_table(path)
    if "diaObjectId" in rows:
        whole = whole.rename_columns(["diaObjectId" if name == "object_id" else name for name in whole.column_names])
    pq.write_table(whole, path)
    return path


def snana_text(rows: Rows, folder: Path) -> Path:
    names = [NAMES.get(name, name) for name in rows]
    lines = [" ".join(["OBS:", *(str(value) for value in row)]) for row in zip(*rows.values(), strict=True)]
    path = folder / "one.dat"
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(f"SNID: {OBJECT}\nVARLIST: {' '.join(names)}\n" + "\n".join(lines) + "\n")
    return path


def snana_fits(rows: Rows, folder: Path) -> Path:
    """The columns are PHOTFLAG, which the pair has, or are added to the PHOT file."""
    more = more_of(rows)
    curve = {**{name: list(rows[name]) for name in PLAIN}, "photflag": more.get("PHOTFLAG", [0] * len(rows["mjd"]))}
    _, phot = write_pair(folder / "model", "a", {OBJECT: curve}, packed=False)
    with fits.open(phot) as hdus:
        table, primary = hdus[1], hdus[0].copy()
        columns = [_column(name, values) for name, values in more.items() if name != "PHOTFLAG"]
        new = fits.BinTableHDU.from_columns([*table.columns, *columns])
        fits.HDUList([primary, new]).writeto(phot, overwrite=True)
    return folder / "model"


def with_header(path: Path, **stated: Any) -> Path:
    """The same SNANA files with more in their header."""
    if path.is_dir():
        for file in path.glob("*.FITS"):
            with fits.open(file, mode="update") as hdus:
                hdus[0].header.update({f"HIERARCH {key}": value for key, value in stated.items()})
    else:
        path.write_text("".join(f"{key}: {value}\n" for key, value in stated.items()) + path.read_text())
    return path


def _column(name: str, values: Sequence[Any]) -> fits.Column:
    text = np.array(["" if value is None else str(value) for value in [*values, ""]])
    return fits.Column(name=name, format=f"{text.dtype.itemsize // 4}A", array=text)


def packet(rows: Rows) -> dict[str, Any]:
    """A Rubin packet of the newest row and the others before it; fluxes in nJy."""
    names = {"mjd": "midpointMjdTai", "band": "band", "flux": "psfFlux", "flux_err": "psfFluxErr"}
    scale = 10 ** (0.4 * (31.4 - 27.5))
    scaled = {**rows, **{name: [value * scale for value in rows[name]] for name in ("flux", "flux_err")}}
    seen = [
        {names.get(name, name): value for name, value in zip(scaled, row, strict=True)} | {"ra": 10.0, "dec": -5.0}
        for row in zip(*scaled.values(), strict=True)
    ]
    return {
        "diaSource": seen[-1],
        "prvDiaSources": seen[:-1],
        "diaObject": {"diaObjectId": int(OBJECT), "ra": 10.0, "dec": -5.0},
    }


def packets_parquet(rows: Rows, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist([packet(rows)]), folder / "packets.parquet")
    return folder / "packets.parquet"


def packets_avro(rows: Rows, folder: Path) -> Path:
    given = packet(rows)
    kinds = {
        "midpointMjdTai": "double",
        "band": "string",
        "psfFlux": "double",
        "psfFluxErr": "double",
        "ra": "double",
        "dec": "double",
    }
    fields = [
        {"name": name, "type": kinds.get(name, ["null", "boolean", "long", "double", "string"])}
        for name in given["diaSource"]
    ]
    source = {"type": "record", "name": "diaSource", "fields": fields}
    about = {
        "type": "record",
        "name": "diaObject",
        "fields": [
            {"name": name, "type": "double" if name != "diaObjectId" else "long"} for name in given["diaObject"]
        ],
    }
    schema = {
        "type": "record", "name": "lsst.v9_0.alert",
        "fields": [
            {"name": "diaSource", "type": source}, {"name": "prvDiaSources", "type": {"type": "array", "items": "diaSource"}},
            {"name": "diaObject", "type": about},
        ],
    }  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "one.avro").open("wb") as file:
        fastavro.writer(file, fastavro.parse_schema(schema), [given])
    return folder / "one.avro"


WRITERS: dict[str, Write] = {
    "csv": csv, "parquet": parquet, "nested": nested, "snana text": snana_text, "snana fits": snana_fits,
    "packets in parquet": packets_parquet, "packets in avro": packets_avro,
}  # fmt: skip
TABLES = ("csv", "parquet", "nested")
