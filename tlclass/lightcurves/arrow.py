"""Light curves as files: Parquet, and Arrow that opens memory-mapped.

An Arrow file carries a checksum of each set of light curves, Parquet one of each page: what is read is what was written,
or an error. A file without (of another tool, or an earlier version) is validated, and its columns are checked.
"""

import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tlclass.arrays import Array
from tlclass.atomic import atomic_path
from tlclass.lightcurves.curves import (
    HOST_NUMBERS,
    OBJECT_NUMBERS,
    OBSERVATION_DTYPES,
    LightCurves,
    concatenate,
    pack,
    refuse_duplicates,
)
from tlclass.lightcurves.ids import Seen, hashes
from tlclass.quoting import listed, sentence, shortened

LISTS = ("mjd", "band", "flux", "flux_err", "detected")
CHECKSUM = b"crc32"
# what damaged files make of Arrow, and of the codecs below it and the other readers
DAMAGE = (pa.ArrowException, OSError, EOFError, zlib.error, UnicodeError, MemoryError, OverflowError, RecursionError)


def write(curves: LightCurves, path: Path) -> None:
    """Write one row per object with list columns, atomically (nested-pandas / LSDB / HATS convention).

    `.arrow` gives an uncompressed Arrow file that opens memory-mapped; any other suffix zstd Parquet.
    """
    write_parts([curves], path)


def write_parts(parts: Iterable[LightCurves], path: Path) -> None:
    """Write many sets into one file, atomically and one at a time; of Parquet each is a row group.

    Raises:
        ValueError: an object id stands in two parts, their passbands differ, there is no part, or another part of a Parquet file than
            the first counts dropped observations (`.arrow` holds them for each part).
    """
    path, seen = Path(path), Seen()
    passbands: set[tuple[str, ...]] = set()
    with atomic_path(path) as temporary:
        writer: _Arrow | _Parquet | None = None
        try:
            for part in parts:
                passbands.add(part.passbands)
                if len(passbands) > 1:
                    listed = " and ".join(sorted(map(" ".join, passbands)))
                    raise ValueError(
                        f"{path}: files with the passbands {listed} cannot be read as one survey: separate them"
                    )
                table = to_arrow(part)
                writer = writer or (_Arrow if path.suffix == ".arrow" else _Parquet)(temporary, table.schema)
                writer.write(table, part)
                seen.look(part.object_id)
        finally:
            if writer is not None:
                writer.close()
        if writer is None:
            raise ValueError(f"{path}: there are no light curves to write")
        repeated = seen.repeated()
        if len(repeated):
            names = writer.object_id()
            refuse_duplicates(np.sort(names[np.isin(hashes(names), repeated)]), str(path))


class _Arrow:
    """An Arrow file, a batch per set, with its checksum."""

    def __init__(self, path: Path, schema: pa.Schema):
        self.path, self.sink = path, pa.OSFile(str(path), "wb")
        self.writer = pa.ipc.new_file(self.sink, schema)
        self.schema = schema

    def write(self, table: pa.Table, part: LightCurves) -> None:
        batch = pa.RecordBatch.from_arrays([single_chunk(column) for column in table.columns], schema=self.schema)
        about = {b"dropped": json.dumps(dict(part.dropped)), CHECKSUM: str(checksum(part))}
        self.writer.write_batch(batch, custom_metadata=about)

    def close(self) -> None:
        self.writer.close()
        self.sink.close()

    def object_id(self) -> Array:
        return np.concatenate([part.object_id for part in read_parts(self.path, verify=False)])


class _Parquet:
    """A Parquet file, a row group per set."""

    def __init__(self, path: Path, schema: pa.Schema):
        self.path, self.sets = path, 0
        self.writer = pq.ParquetWriter(path, schema, compression="zstd", write_page_checksum=True)

    def write(self, table: pa.Table, part: LightCurves) -> None:
        if self.sets and part.dropped:
            raise ValueError(f"{self.path}: Parquet holds one set of counts of dropped rows: write an .arrow file")
        self.sets += 1
        self.writer.write_table(table.replace_schema_metadata(self.writer.schema.metadata))

    def close(self) -> None:
        self.writer.close()

    def object_id(self) -> Array:
        return np.asarray(pq.read_table(self.path, columns=["object_id"])["object_id"].to_numpy()).astype(str)


def read_parts(path: Path, verify: bool = True, sealed: bool = False) -> Iterator[LightCurves]:
    """The sets `write_parts` wrote into an `.arrow` file, one at a time, memory-mapped.

    Args:
        path: the file.
        verify: whether to validate the file, and compare each set with its checksum where it has one.
        sealed: whether every set must have one.

    Raises:
        ValueError: the file is damaged or holds no light curves.
    """
    with readable(path, "light curves"):
        count = pa.ipc.open_file(pa.memory_map(str(path))).num_record_batches
        if not count:
            raise ValueError(f"{path} holds no light curves")
        for number in range(count if verify else 0):
            _batch(path, number)[0].validate(full=True)  # Arrow follows offsets without looking
    for number in range(count):
        with readable(path, "light curves"):
            batch, metadata = _batch(path, number)
            about = dict(metadata or {})
            curves = from_arrow(pa.Table.from_batches([batch]), str(path))
            curves = replace(curves, dropped=_dropped(about.get(b"dropped")))
        if verify and (sealed or CHECKSUM in about) and about.get(CHECKSUM) != str(checksum(curves)).encode():
            raise ValueError(f"{path} is damaged: its content does not match its checksum")
        yield curves


def _batch(path: Path, number: int) -> tuple[pa.RecordBatch, Mapping[bytes, bytes] | None]:
    """One set of a file, in a mapping of its own, so that no other set stays in memory with it."""
    found: tuple[pa.RecordBatch, Mapping[bytes, bytes] | None]
    found = pa.ipc.open_file(pa.memory_map(str(path))).get_batch_with_custom_metadata(number)
    return found


def intact(path: Path) -> bool:
    """Whether an `.arrow` file holds what was written into it, by its checksums."""
    try:
        return all(True for _ in read_parts(path, sealed=True))
    except ValueError:
        return False


def read(path: Path) -> LightCurves:
    """Read what `write` wrote; an `.arrow` file is memory-mapped, its columns stay on disk until used.

    Raises:
        ValueError: the file is damaged, or is not a light-curve table.
    """
    if Path(path).suffix == ".arrow":
        parts = list(read_parts(path))
        return parts[0] if len(parts) == 1 else concatenate(parts)
    with readable(path, "light curves"):
        table = pq.read_table(path, partitioning=None, page_checksum_verification=True)
        table.validate(full=True)
        return from_arrow(table, str(path))


@contextmanager
def readable(path: Path | str, what: str) -> Iterator[None]:
    """Replace a library's error about a file by one sentence that names the file.

    Raises:
        ValueError: the block raised what damaged files make of Arrow and of the codecs below it.
    """
    try:
        yield
    except DAMAGE as error:
        if getattr(error, "errno", None) or isinstance(error, FileNotFoundError):  # nothing is wrong with the file
            raise
        said = sentence(error, 200).rstrip(".")
        raise ValueError(
            f"{path} cannot be read as {what}: it is damaged or of another kind ({said}); get it again, or remove it"
        ) from error
    except ValueError as error:
        folder = Path(path).parent  # of a plain name it is ".", which any sentence may hold
        if Path(path).name in str(error) or (folder.name and str(folder) in str(error)):
            raise
        raise ValueError(f"{path} cannot be read as {what}: {sentence(error)}") from error


def parquet(path: Path | str) -> pq.ParquetFile:
    """A Parquet file that is read a batch at a time: checksums are verified, and no batch stays in memory after the next.

    Arrow's own default (`pre_buffer`) keeps what it has read of a file until its end.
    """
    return pq.ParquetFile(path, page_checksum_verification=True, buffer_size=1 << 20, pre_buffer=False)


def checksum(curves: LightCurves) -> int:
    """CRC-32 of all that a set of light curves holds, whatever file it stands in; 1 to 3 GB/s."""
    columns = {name: getattr(curves, name) for name in (*OBSERVATION_DTYPES, "passband", "offsets")}
    columns |= {name: column for name, column in curves.object_columns().items() if not _is_new(name, column)}
    kinds = [(name, column.dtype.str if column.dtype.kind in "biuf" else "text") for name, column in columns.items()]
    total = zlib.crc32(json.dumps([curves.passbands, dict(curves.dropped), kinds]).encode())
    for column in columns.values():
        if column.dtype.kind in "biuf":
            total = zlib.crc32(np.ascontiguousarray(column).view(np.uint8).data, total)
        else:
            total = zlib.crc32("\0".join(column.astype(str).tolist()).encode(), total)
    return total


def _is_new(name: str, column: Array) -> bool:
    """Whether files of before could lack the column: it says nothing."""
    return name in HOST_NUMBERS and bool(np.isnan(column).all())


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
            f"it has {listed(table.column_names)}"
        )
    table = table.combine_chunks()
    lists = {name: _list(single_chunk(table[name]), name, origin) for name in LISTS}
    _refuse_uneven(lists, origin)
    objects = {name: _of_objects(table[name], name, origin) for name in table.column_names if name not in LISTS}
    passbands = tuple(table.schema.metadata[b"passbands"].decode().split())
    columns = {
        name: _numbers(lists[name].flatten(), dtype, f"{origin}: column {name}")
        for name, dtype in OBSERVATION_DTYPES.items()
    }
    columns["passband"] = _codes(lists["band"].flatten(), passbands, origin)
    offsets = np.asarray(lists["mjd"].offsets.to_numpy(zero_copy_only=False)).astype(np.int64, copy=False)
    offsets = offsets - offsets[0] if len(offsets) else np.zeros(1, dtype=np.int64)
    packed = pack(objects, objects["object_id"].astype(str), columns, offsets, passbands)
    return replace(packed, dropped=_dropped(table.schema.metadata.get(b"dropped")))


def _dropped(text: bytes | None) -> dict[str, int]:
    """Reason -> count, as it stands in a file's metadata."""
    try:
        found = json.loads(text or b"{}")
    except ValueError:
        raise pa.ArrowInvalid("the counts of dropped observations are not JSON") from None
    if not isinstance(found, dict) or not all(isinstance(count, int) for count in found.values()):
        raise pa.ArrowInvalid("the counts of dropped observations are not numbers")
    return found


def _list(column: pa.Array, name: str, origin: str) -> pa.Array:
    if not (pa.types.is_list(column.type) or pa.types.is_large_list(column.type)):
        raise ValueError(
            f"{origin}: column {name} is of type {column.type}: a list of observations per object is expected"
        )
    if column.null_count:
        raise ValueError(f"{origin}: column {name} has no list for {column.null_count} object(s)")
    return column


def _refuse_uneven(lists: Mapping[str, pa.Array], origin: str) -> None:
    """Observations belong together by their place in the lists."""
    lengths = {name: column.value_lengths().cast(pa.int64()) for name, column in lists.items()}
    for name, length in lengths.items():
        if not length.equals(lengths["mjd"]):
            raise ValueError(f"{origin}: the lists mjd and {name} of an object differ in length")


def _numbers(values: pa.Array, dtype: type, what: str) -> Array:
    """Values as this type; without a copy where the file holds it already."""
    kind = values.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
        raise ValueError(f"{what} is of type {kind}: numbers are expected")
    if values.null_count and dtype is np.bool_:
        raise ValueError(f"{what} has {values.null_count} missing value(s)")
    found = np.asarray(values.to_numpy(zero_copy_only=False))
    if dtype is np.bool_:
        return found.view(np.bool_) if found.dtype == np.uint8 and found.max(initial=0) <= 1 else found != 0
    return found.astype(dtype, copy=False)


def _codes(bands: pa.Array, passbands: tuple[str, ...], origin: str) -> Array:
    """(n_obs,) uint8 codes of bands stored by name, or by code as files written before have them."""
    if bands.null_count:
        raise ValueError(f"{origin}: column band has {bands.null_count} missing value(s)")
    if pa.types.is_integer(bands.type):
        codes = np.asarray(bands.to_numpy(zero_copy_only=False))
        if len(codes) and not 0 <= codes.min() <= codes.max() < len(passbands):
            raise ValueError(
                f"{origin}: column band has codes {codes.min()} to {codes.max()} for {len(passbands)} passbands"
            )
        return codes.astype(np.uint8, copy=False)
    bands = bands if pa.types.is_dictionary(bands.type) else bands.dictionary_encode()
    names, codes = bands.dictionary.to_pylist(), np.asarray(bands.indices.to_numpy(zero_copy_only=False))
    if names == list(passbands) and codes.dtype == np.uint8:
        return codes  # still memory-mapped
    unknown = [shortened(name) for name in names if name not in passbands]
    if unknown:
        raise ValueError(
            f"{origin}: column band has {', '.join(unknown[:5])}; its passbands are {', '.join(passbands)}"
        )
    return np.asarray(np.array([passbands.index(name) for name in names], dtype=np.uint8)[codes])


def _of_objects(column: pa.ChunkedArray, name: str, origin: str) -> Array:
    """(n,) a quantity per object."""
    kind, number = column.type, name in OBJECT_NUMBERS
    if (
        pa.types.is_nested(kind)
        or pa.types.is_run_end_encoded(kind)
        or (number and not (pa.types.is_floating(kind) or pa.types.is_integer(kind)))
    ):
        raise ValueError(
            f"{origin}: column {name} is of type {kind}: {'numbers' if number else 'numbers or text'} are expected, one per object"
        )
    values = np.asarray(column.to_numpy())
    return values.astype(str) if values.dtype == object else values


def single_chunk(column: pa.ChunkedArray) -> pa.Array:
    """The column in one piece."""
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
