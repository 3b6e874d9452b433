"""Alert packets as Parquet, a row per packet: what Fink's data transfer saves, and any packet that Arrow took as it is."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from tlclass.lightcurves.arrow import parquet
from tlclass.lightcurves.voids import NAMES
from tlclass.surveys.tables.names import ALIASES

ROWS_AT_ONCE = 1000  # packets are Python objects while they are read
# What is read of a packet, by the last name of a column.
READ = frozenset({
    "objectid", "jd", "fid", "magpsf", "sigmapsf", "isdiffpos", "ra", "dec", "decl", "magzpsci", "forcediffimflux", "forcediffimfluxunc",
    "diaobjectid", "midpointmjdtai", "midpointtai", "band", "filtername", "psfflux", "psfluxerr", "psflux", "psffluxerr", "isnegative",
    "is_negative", "firstdiasourcemjdtai", *ALIASES["host_photoz"], *ALIASES["host_photoz_err"], *NAMES,
})  # fmt: skip
PARTS = (
    "objectId",
    "candidate",
    "prv_candidates",
    "fp_hists",
    "diaSource",
    "prvDiaSources",
    "prvDiaForcedSources",
    "diaObject",
)


def holds_packets(schema: pa.Schema) -> bool:
    """Whether a table has a row per packet: the measurement of the alert itself stands in a struct."""
    names = ("candidate", "objectId") if "candidate" in schema.names else ("diaSource",)
    return all(name in schema.names for name in names) and bool(pa.types.is_struct(schema.field(names[0]).type))


def rows_in(file: Path) -> Iterator[dict[str, Any]]:
    """The packets of a Parquet file; only what is needed of each is read.

    Raises:
        ValueError: the file is damaged.
    """
    try:
        table = parquet(file)
        leaves = [table.schema.column(number).path for number in range(len(table.schema))]
        for batch in table.iter_batches(ROWS_AT_ONCE, columns=[path for path in leaves if _wanted(path)]):
            yield from batch.to_pylist()
    except (pa.ArrowInvalid, OSError) as error:
        raise ValueError(f"{file} cannot be read: {error}") from error


def packets_of(table: pa.Table) -> Iterator[dict[str, Any]]:
    """The packets of a table in memory."""
    parts = table.select([name for name in PARTS if name in table.column_names])
    for batch in parts.to_batches(ROWS_AT_ONCE):
        yield from batch.to_pylist()


def _wanted(path: str) -> bool:
    parts = path.split(".")
    return parts[0] in PARTS and parts[-1].casefold() in READ
