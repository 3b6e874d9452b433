"""Light curves as files: Parquet, and Arrow that opens memory-mapped."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from tlclass.atomic import atomic_path
from tlclass.lightcurves.curves import LightCurves, concatenate, pack, refuse_duplicates

Array = npt.NDArray[Any]

LISTS = ("mjd", "band", "flux", "flux_err", "detected")


def write(curves: LightCurves, path: Path) -> None:
    """Write one row per object with list columns, atomically (nested-pandas / LSDB / HATS convention).

    `.arrow` gives an uncompressed Arrow file that opens memory-mapped; any other suffix zstd Parquet.
    """
    if Path(path).suffix == ".arrow":
        write_parts([curves], path)
        return
    with atomic_path(Path(path)) as temporary:
        pq.write_table(to_arrow(curves), temporary, compression="zstd")


def write_parts(parts: Iterable[LightCurves], path: Path) -> None:
    """Write many sets into one `.arrow` file, atomically and one at a time, for `read_parts`.

    Raises:
        ValueError: an object id stands in two parts, their passbands differ, or there is no part.
    """
    names: list[Array] = []
    passbands: set[tuple[str, ...]] = set()
    with atomic_path(Path(path)) as temporary, pa.OSFile(str(temporary), "wb") as sink:
        writer = None
        for part in parts:
            passbands.add(part.passbands)
            if len(passbands) > 1:
                listed = " and ".join(sorted(map(" ".join, passbands)))
                raise ValueError(
                    f"{path}: files with the passbands {listed} cannot be read as one survey: separate them"
                )
            table = to_arrow(part)
            writer = writer or pa.ipc.new_file(sink, table.schema)
            batch = pa.RecordBatch.from_arrays([_single_chunk(column) for column in table.columns], schema=table.schema)
            writer.write_batch(batch, custom_metadata={"dropped": json.dumps(dict(part.dropped))})
            names.append(part.object_id)
        if writer is None:
            raise ValueError(f"{path}: there are no light curves to write")
        writer.close()
        refuse_duplicates(np.sort(np.concatenate(names)), str(path))


def read_parts(path: Path) -> Iterator[LightCurves]:
    """The sets `write_parts` wrote, one at a time, memory-mapped.

    Raises:
        ValueError: the file is damaged.
    """
    try:
        file = pa.ipc.open_file(pa.memory_map(str(path)))
        found = [file.get_batch_with_custom_metadata(number) for number in range(file.num_record_batches)]
    except (pa.ArrowInvalid, OSError) as error:
        raise ValueError(f"{path} cannot be read as light curves: {error}") from error
    for batch, metadata in found:
        curves = from_arrow(pa.Table.from_batches([batch]), str(path))
        yield replace(curves, dropped=json.loads(metadata[b"dropped"]))


def read(path: Path) -> LightCurves:
    """Read what `write` wrote; an `.arrow` file is memory-mapped, its columns stay on disk until used.

    Raises:
        ValueError: the file is damaged, or is not a light-curve table.
    """
    if Path(path).suffix == ".arrow":
        parts = list(read_parts(path))
        return parts[0] if len(parts) == 1 else concatenate(parts)
    try:
        table = pq.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise ValueError(f"{path} cannot be read as light curves: {error}") from error
    return from_arrow(table, str(path))


def to_arrow(curves: LightCurves) -> pa.Table:
    """One row per object; observations as large_list columns; bands by name (dictionary), in the schema in code order."""
    flat = {"mjd": curves.mjd, "flux": curves.flux, "flux_err": curves.flux_err}
    flat["detected"] = curves.detected.view(np.uint8)  # Arrow packs booleans into bits, which cannot be mapped
    names = pa.array(curves.passbands, pa.string())
    bands = pa.DictionaryArray.from_arrays(pa.array(curves.passband), names)
    offsets = pa.array(curves.offsets)
    columns = {name: pa.array(column) for name, column in curves.object_columns().items()}
    columns |= {name: pa.LargeListArray.from_arrays(offsets, pa.array(column)) for name, column in flat.items()}
    columns["band"] = pa.LargeListArray.from_arrays(offsets, bands)
    return pa.table(columns).replace_schema_metadata(
        {"passbands": " ".join(curves.passbands), "dropped": json.dumps(dict(curves.dropped))}
    )


def from_arrow(table: pa.Table, origin: str) -> LightCurves:
    """The inverse of `to_arrow`, without a copy where Arrow holds one chunk."""
    missing = [name for name in ("object_id", *LISTS) if name not in table.column_names]
    if missing or b"passbands" not in (table.schema.metadata or {}):
        raise ValueError(
            f"{origin} is not a light-curve file of this package: it lacks {', '.join(missing) or 'its passband names'}; "
            f"it has {', '.join(table.column_names)}"
        )
    table = table.combine_chunks()
    lists = {name: _single_chunk(table[name]) for name in LISTS}
    objects = {name: _numpy(table[name]) for name in table.column_names if name not in LISTS}
    passbands = tuple(table.schema.metadata[b"passbands"].decode().split())
    bands = lists.pop("band").flatten()
    columns = {name: np.asarray(array.flatten().to_numpy(zero_copy_only=False)) for name, array in lists.items()}
    columns["passband"] = _codes(bands, passbands)
    columns["detected"] = columns["detected"].view(np.bool_)
    offsets = np.asarray(lists["mjd"].offsets.to_numpy(zero_copy_only=False)).astype(np.int64, copy=False)
    offsets = offsets - offsets[0]
    packed = pack(objects, objects["object_id"].astype(str), columns, offsets, passbands)
    return replace(packed, dropped=json.loads(table.schema.metadata.get(b"dropped", b"{}")))


def _codes(bands: pa.Array, passbands: tuple[str, ...]) -> Array:
    """(n_obs,) uint8 codes of bands stored by name, or by code as files written before have them."""
    if pa.types.is_integer(bands.type):
        return np.asarray(bands.to_numpy(zero_copy_only=False))
    bands = bands if pa.types.is_dictionary(bands.type) else bands.dictionary_encode()
    names, codes = bands.dictionary.to_pylist(), np.asarray(bands.indices.to_numpy(zero_copy_only=False))
    if names == list(passbands) and codes.dtype == np.uint8:
        return codes  # still memory-mapped
    return np.asarray(np.array([passbands.index(name) for name in names], dtype=np.uint8)[codes])


def _single_chunk(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _numpy(column: pa.ChunkedArray) -> Array:
    values = np.asarray(column.to_numpy())
    return values.astype(str) if values.dtype == object else values
