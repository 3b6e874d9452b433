"""Tables in FITS files, by astropy."""

import warnings
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa

from tlclass.quoting import listed, sentence
from tlclass.surveys.tables.metadata import with_unit


def fits_table(path: Path) -> pa.Table:
    """The only table of a FITS file: masked values are missing, bytes are text, the unit of a flux column becomes a column.

    Raises:
        ValueError: the file is damaged, or holds no table, several, or columns with more than one value a row.
    """
    about = path.stat()
    return _read(path, about.st_mtime_ns, about.st_size)


@lru_cache(maxsize=8)  # its columns are asked for several times before its rows
def _read(path: Path, _time: int, _size: int) -> pa.Table:
    from astropy.table import Table
    from astropy.units import UnitsWarning

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UnitsWarning)
            table = Table.read(path, format="fits", hdu=_only_table(path))
    except (OSError, EOFError, ValueError, TypeError, KeyError, IndexError) as error:
        raise ValueError(f"{path} cannot be read as a FITS table: {sentence(error)}") from error
    wide = [name for name in table.colnames if len(table[name].shape) > 1 or table[name].dtype == object]
    if wide:
        raise ValueError(
            f"{path}: the column(s) {listed(wide)} have several values in a row: write one row per observation, or remove them"
        )
    table.convert_bytestring_to_unicode()
    plain = pa.Table.from_pandas(table.to_pandas(), preserve_index=False).replace_schema_metadata(None)
    kinds = zip(plain.schema, (table[name].unit for name in table.colnames), strict=True)
    fields = [field.with_metadata({"unit": str(unit)}) if unit else field for field, unit in kinds]
    return with_unit(pa.table(plain.columns, schema=pa.schema(fields)), str(path))


def _only_table(path: Path) -> int:
    """Number of the HDU that is a table."""
    from astropy.io import fits

    with fits.open(path) as hdus:
        found: list[Any] = [
            number for number, hdu in enumerate(hdus) if isinstance(hdu, fits.BinTableHDU | fits.TableHDU)
        ]
    if len(found) != 1:
        raise ValueError(f"it holds {len(found)} tables, and one is expected: write that one into a file of its own")
    return int(found[0])
