"""What files say of their columns beside the cells: the unit of fluxes, in FITS headers and the metadata of Parquet."""

import re

import numpy as np
import pyarrow as pa

from tlclass.lightcurves.photometry import ZERO_POINTS, short_unit, without_prefix
from tlclass.lightcurves.voids import is_blank
from tlclass.surveys.tables.kinds import refuse_two_units
from tlclass.surveys.tables.names import ALIASES, WEAK

# Units whose zero point another column states: counts, also of a second
COUNTED = re.compile(r"(adu|dn|ct|count|electron|e-?|photon)s?(\s*(/\s*s|s-1))?")
FLUXES = {*ALIASES["flux"], *WEAK["flux"]}
ERRORS = {*ALIASES["flux_err"], *WEAK["flux_err"]}
ZEROS = set(ALIASES["zero_point"])
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
    """The unit that metadata state of the fluxes; None if they state none, several or counts, or a column states it.

    The settings may name any column as the fluxes, so a unit of janskys in another one counts as well.

    Raises:
        ValueError: the errors are in another unit.
    """
    stated = {name: short_unit(unit) for name, unit in units_of(schema).items()}
    called = {name for name in schema.names if without_prefix(name) in FLUXES}
    if not called <= stated.keys() or UNIT in map(without_prefix, schema.names):
        return None
    fluxes = {stated[name] for name in called}
    refuse_two_units(fluxes, {unit for name, unit in stated.items() if without_prefix(name) in ERRORS}, origin)
    units = fluxes | {unit for unit in stated.values() if unit.endswith("jy")}
    if len(units) != 1:
        return None
    unit = units.pop()
    by_zero_point = unit not in ZERO_POINTS and not ZEROS.isdisjoint(map(without_prefix, schema.names))
    return None if by_zero_point or COUNTED.fullmatch(unit) else unit


def schema_with_unit(schema: pa.Schema, origin: str) -> pa.Schema:
    """The schema of `with_unit`."""
    return schema if unit_of_fluxes(schema, origin) is None else schema.append(pa.field(UNIT, pa.string()))


def with_unit(table: pa.Table, origin: str, schema: pa.Schema | None = None) -> pa.Table:
    """The table with a column for the unit that metadata state of its fluxes; `schema` of the whole file, of which it has some columns."""
    unit = unit_of_fluxes(table.schema if schema is None else schema, origin)
    return table if unit is None else table.append_column(UNIT, pa.array(np.repeat([unit], len(table)), pa.string()))
