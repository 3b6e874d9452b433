"""What files say of their columns beside the cells: the unit of fluxes, in FITS headers and the metadata of Parquet."""

import re
from collections.abc import Iterable

import numpy as np
import pyarrow as pa

from tlclass.lightcurves.photometry import short_unit, without_prefix
from tlclass.lightcurves.voids import is_blank
from tlclass.surveys.tables.kinds import refuse_two_units
from tlclass.surveys.tables.names import ALIASES, WEAK

COUNTED = ("adu", "dn", "ct", "count", "electron")  # units whose zero point another column states
FLUXES = {*ALIASES["flux"], *WEAK["flux"]}
ERRORS = {*ALIASES["flux_err"], *WEAK["flux_err"]}
UNIT = "flux_unit"  # column that a table gets where its metadata state the unit of its fluxes
STATING = (b"unit", b"units")  # keys of a field's metadata
# Astropy's YAML; the VOTable in Parquet (IVOA note VOParquet)
DESCRIPTIONS = {
    b"table_meta_yaml": re.compile(r"""\{name: ['"]?(?P<name>[^,}'"]+)['"]?,\s+unit: ['"]?(?P<unit>[^,}'"]+)"""),
    b"IVOA.VOTable-Parquet.content": re.compile(
        r"""<FIELD(?=[^>]*\sname=["'](?P<name>[^"']+))(?=[^>]*\sunit=["'](?P<unit>[^"']+))"""
    ),
}


def units_of(schema: pa.Schema) -> dict[str, str]:
    """The units of columns by their names, as the metadata of a schema state them."""
    about = schema.metadata or {}
    found = {
        each["name"].strip(): each["unit"].strip()
        for key, pattern in DESCRIPTIONS.items()
        for each in pattern.finditer(about.get(key, b"").decode(errors="replace"))
    }
    for field in schema:
        stated = next((value for key, value in (field.metadata or {}).items() if key.lower() in STATING), b"")
        found |= {field.name: stated.decode(errors="replace").strip()} if stated else {}
    return {name: unit for name, unit in found.items() if name in schema.names and not is_blank(unit)}


def unit_of_fluxes(schema: pa.Schema, origin: str) -> str | None:
    """The unit that metadata state of the fluxes; None if they state none, or counts, or a column of units is there.

    Raises:
        ValueError: the errors are in another unit.
    """
    stated = units_of(schema)
    if not stated or UNIT in map(without_prefix, schema.names):
        return None
    fluxes, errors = (_of(stated, names) for names in (FLUXES, ERRORS))
    refuse_two_units(fluxes, errors, origin)
    units = fluxes or {unit for unit in stated.values() if short_unit(unit).endswith("jy")}
    return next(iter(units)) if len(units) == 1 and not units <= set(COUNTED) else None


def _of(stated: dict[str, str], names: Iterable[str]) -> set[str]:
    return {unit for column, unit in stated.items() if without_prefix(column) in names}


def schema_with_unit(schema: pa.Schema, origin: str) -> pa.Schema:
    """The schema of `with_unit`."""
    return schema if unit_of_fluxes(schema, origin) is None else schema.append(pa.field(UNIT, pa.string()))


def with_unit(table: pa.Table, origin: str, schema: pa.Schema | None = None) -> pa.Table:
    """The table with a column for the unit that metadata state of its fluxes; `schema` of the whole file, of which it has some columns."""
    unit = unit_of_fluxes(table.schema if schema is None else schema, origin)
    return table if unit is None else table.append_column(UNIT, pa.array(np.repeat([unit], len(table)), pa.string()))
