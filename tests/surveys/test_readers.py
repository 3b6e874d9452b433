"""One law for every reader: what a survey's files hold is what arrives, however they were written."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import read_cached
from tests.data.raw_snana import write_pair
from tlclass.lightcurves.curves import LightCurves, check, from_columns
from tlclass.lightcurves.passbands import Passbands
from tlclass.surveys import Nested, SnanaFits, SnanaText, Table

BANDS = "gri"
PASSBANDS = Passbands.from_mapping(
    {f"ztf{b}": {"wavelength": 0.4 + 0.1 * k, "aliases": [b]} for k, b in enumerate(BANDS)}
)
Objects = dict[str, pd.DataFrame]
Write = Callable[[Objects, Path], Any]

LARGEST = float(np.float32(1e10))
float32 = st.floats(-LARGEST, LARGEST, width=32)
fluxes = st.sampled_from([0.0, -LARGEST, LARGEST, -12.5, 1e-30]) | float32
errors = st.sampled_from([1e-30, 1.0, LARGEST]) | st.floats(2.0**-120, LARGEST, width=32)
broken = st.sampled_from([np.nan, np.inf, -np.inf, 0.0, -1.0])


@st.composite
def light_curves(draw: st.DrawFn, ids: st.SearchStrategy[str]) -> Objects:
    """A few objects: none, one or many observations, in one band or several, shuffled, repeated, some with broken errors."""
    found: Objects = {}
    for name in draw(st.lists(ids, min_size=1, max_size=4, unique=True)):
        days = draw(st.lists(st.integers(0, 4000), max_size=8, unique=True))
        bands = draw(st.sampled_from(["g", "r", "gri"]))
        rows = [
            {
                "mjd": 58000 + day / 64,
                "band": draw(st.sampled_from(list(bands))),
                "flux": np.float32(draw(fluxes)),
                "flux_err": np.float32(draw(broken if draw(st.integers(0, 9)) == 0 else errors)),
                "detected": draw(st.booleans()),
            }
            for day in days
        ]
        rows += rows[: draw(st.integers(0, 1))]
        types = {"mjd": "float64", "band": "str", "flux": "float64", "flux_err": "float64", "detected": "bool"}
        found[name] = pd.DataFrame(rows, columns=list(types)).astype(types)
    return found


def long_table(objects: Objects) -> pd.DataFrame:
    parts = [table.assign(object_id=name) for name, table in objects.items()]
    return pd.concat(parts, ignore_index=True)


def write_table(objects: Objects, folder: Path, suffix: str) -> Table:
    tables = {
        "observations": long_table(objects).assign(seeing=1.5),
        "objects": pd.DataFrame({"object_id": list(objects)}),
    }
    for name, table in tables.items():
        path = folder / f"{name}{suffix}"
        table.to_parquet(path) if suffix == ".parquet" else table.to_csv(path, index=False)
    return Table(folder / f"observations{suffix}", PASSBANDS, folder / f"objects{suffix}", flux_unit="fluxcal")


def write_snana(objects: Objects, folder: Path) -> SnanaFits:
    curves = {
        name: {**table.to_dict("list"), "photflag": 4096 * table.detected.astype(int)}
        for name, table in objects.items()
    }
    write_pair(folder / "model", "a", curves)
    return SnanaFits(folder, PASSBANDS)


def write_nested(objects: Objects, folder: Path) -> Nested:
    rows = [{"object_id": name, "field": 7, **table.to_dict("list")} for name, table in objects.items()]
    names, kinds = (
        ("mjd", "band", "flux", "flux_err", "detected"),
        (pa.float64(), pa.string(), pa.float32(), pa.float32(), pa.bool_()),
    )
    lists = [pa.field(name, pa.list_(kind)) for name, kind in zip(names, kinds, strict=True)]
    schema = pa.schema([("object_id", pa.string()), ("field", pa.int64()), *lists])
    pq.write_table(pa.Table.from_pylist(rows, schema), folder / "nested.parquet")
    return Nested(folder / "nested.parquet", PASSBANDS, flux_unit="fluxcal")


def write_snana_text(objects: Objects, folder: Path) -> SnanaText:
    for name, table in objects.items():
        rows = [
            f"OBS: {r.mjd!r} {r.band} {float(r.flux)!r} {float(r.flux_err)!r} {4096 * r.detected}"
            for r in table.itertuples()
        ]
        head = f"SURVEY: TEST\nSNID: {name}\nSNTYPE: 1\nNOBS: {len(rows)}\nNVAR: 5\nVARLIST: MJD BAND FLUXCAL FLUXCALERR PHOTFLAG\n"
        (folder / f"{name}.dat").write_text(head + "\n".join(rows) + "\nEND:\n")
    return SnanaText(folder, PASSBANDS)


any_text = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=6).map("o{}o".format)
FORMATS: dict[str, tuple[Write, st.SearchStrategy[str]]] = {
    "parquet": (lambda objects, folder: write_table(objects, folder, ".parquet"), any_text),
    "csv": (
        lambda objects, folder: write_table(objects, folder, ".csv"),
        st.text("abcäλ☃ ", max_size=6).map("o{}o".format),
    ),
    "nested": (write_nested, any_text),
    "snana": (write_snana, st.integers(0, 10**9).map(str)),
    "snana_text": (write_snana_text, st.integers(0, 10**9).map(str)),
}


def expected(objects: Objects) -> LightCurves:
    table = long_table(objects)
    columns = {name: table[name].to_numpy() for name in ("mjd", "flux", "flux_err", "detected")}
    columns |= {
        "object_id": table.object_id.to_numpy().astype(str),
        "passband": PASSBANDS.codes(table.band.to_numpy(), "t"),
    }
    return from_columns({"object_id": np.array(list(objects))}, columns, PASSBANDS.names, "t")


@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_what_was_written_arrives_checked_sorted_and_counted(name: str, data: st.DataObject) -> None:
    write, ids = FORMATS[name]
    objects = data.draw(light_curves(ids))
    usable = [np.isfinite(table.flux_err) & (table.flux_err > 0) for table in objects.values()]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        reader = write(objects, folder)
        if not any(mask.any() for mask in usable):
            if sum(map(len, objects.values())):
                with pytest.raises(ValueError, match="is usable"):
                    reader.read()
            return
        curves = check(reader.read(), name)
        again = read_cached(reader, folder / "cache")
    truth = expected(objects)
    order = [truth.object_id.tolist().index(each) for each in curves.object_id]
    assert len(order) == len(truth)
    told = not name.startswith("snana") or truth.detected.any()  # a PHOTFLAG that calls no row a detection says nothing
    for column in ("mjd", "flux", "flux_err", *(["detected"] if told else []), "passband", "offsets"):
        assert np.array_equal(getattr(curves, column), getattr(truth.take(np.array(order)), column)), column
        assert np.array_equal(getattr(again, column), getattr(curves, column)), column
    assert sum(curves.dropped.values()) == sum(truth.dropped.values())
