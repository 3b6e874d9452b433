"""Alert packets in files: Avro, tar archives of it, Parquet with a row per packet, and messages as Kafka sends them."""

import io
import re
import tarfile
import zlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import IO, Any

from tlclass.extras import needs
from tlclass.quoting import sentence
from tlclass.surveys.alerts.packets import Packet
from tlclass.surveys.alerts.schema import refuse_boundless
from tlclass.surveys.alerts.tables import holds_packets, rows_in
from tlclass.surveys.tables.files import PARQUET, is_kind, schema_of

TARS = (".tar", ".tar.gz", ".tgz")
RUBIN_IDS = range(100, 10_000)  # 100 times the version, and two digits (README of lsst/alert_packet)
GIVE_SCHEMA = (
    "give the .avsc file of that alert: tlclass stream --schema FILE, or tlclass predict MODEL survey=lsst_alerts survey.reader.path=FILE "
    "survey.reader.schema=FILE"
)
CONTAINER, CONFLUENT = b"Obj\x01", b"\x00"  # first bytes of an Avro object container file and of a Kafka message


def packet_files(path: Path) -> list[Path]:
    """The Avro files, tar archives and Parquet files of packets at or below `path`, sorted; empty if there are none."""
    files = path.rglob("*") if path.is_dir() else [path]
    named = (file for file in files if is_kind(file, (".avro", *TARS, *PARQUET)) and file.is_file())
    return sorted(file for file in named if not is_kind(file, PARQUET) or holds_packets(schema_of(file)))


def packets_in(file: Path, schema: Path | None) -> Iterator[tuple[str, str, Packet]]:
    """What to call it, the name of its schema, and the content of each packet of a file; `schema`: see `decoded`.

    Raises:
        ModuleNotFoundError, ValueError: see `decoded`.
    """
    if is_kind(file, PARQUET):
        yield from ((str(file), "", packet) for packet in rows_in(file))
        return
    for origin, stream in _streams(file):
        yield from ((origin, name, packet) for name, packet in decoded(stream, origin, schema))


def decoded(stream: IO[bytes], origin: str, schema: Path | None) -> Iterator[tuple[str, Packet]]:
    """The name of the schema and the content of each packet in an open file.

    Args:
        stream: the file. origin: what to call it. schema: of packets that Kafka sends without it, see `AlertPackets`.

    Raises:
        ModuleNotFoundError: fastavro is not installed.
        ValueError: it is damaged, or a Kafka message of an unknown schema.
    """
    try:
        import fastavro
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(needs("reading alert packets", "fastavro", "alerts")) from error
    start = stream.read(len(CONTAINER))
    if start[:1] == CONFLUENT or (schema is not None and start != CONTAINER):
        yield _message(start + stream.read(), origin, schema)
        return
    if start != CONTAINER:
        raise ValueError(
            f"{origin} is not an Avro file: it starts with {start!r} instead of {CONTAINER!r}: remove it, or, if it is an alert that Kafka sends "
            f"without its schema, {GIVE_SCHEMA}"
        )
    stream.seek(0)
    try:
        reader = fastavro.reader(stream)
        name = str(reader.writer_schema["name"])  # type: ignore[call-overload, index]
    except Exception as error:  # whatever a damaged file makes of fastavro
        raise _refusal(origin, error) from error
    refuse_boundless(reader.writer_schema, origin)
    try:
        for packet in reader:
            yield name, packet  # type: ignore[misc]
    except Exception as error:  # as above
        raise _refusal(origin, error) from error


def _message(content: bytes, origin: str, given: Path | None) -> tuple[str, Packet]:
    """A packet as Kafka sends it: Confluent's framing (a zero byte, four bytes of schema id) or none (Fink), and the packet."""
    import fastavro

    number = int.from_bytes(content[1:5], "big")
    if given is None:
        known = f"; Rubin's {number} is schema {number // 100}.{number % 100} of github.com/lsst/alert_packet"
        raise ValueError(
            f"{origin} is a Kafka message without its schema (Confluent framing, schema id {number}{known if number in RUBIN_IDS else ''}): "
            f"save alerts as Avro object container files, or {GIVE_SCHEMA}"
        )
    schema = _schema(Path(given))
    framed = content[:1] == CONFLUENT
    why = ""  # it cannot be read in the framing that its first byte states
    for packed in (content[5:], content) if framed else (content,):
        stream = io.BytesIO(packed)
        try:
            packet = fastavro.schemaless_reader(stream, schema, None)
        except Exception as error:  # whatever a damaged file makes of fastavro
            why = why or f"{type(error).__name__}: {sentence(error, 200)}"
            continue
        if isinstance(packet, dict) and not stream.read(1):
            return str(schema["name"]), packet
        why = why or "its length is another"
    raise ValueError(
        f"{origin} cannot be read with the schema {given} ({why}): it is truncated or damaged, or has another schema: get it again, or give the "
        f"schema {f'of id {number}' if framed else 'with which it was written'}"
    )


def _streams(file: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """What to call it and the open file, for a packet file or each packet file in an archive; nothing is unpacked."""
    if not is_kind(file, TARS):
        with file.open("rb") as stream:
            yield str(file), stream
        return
    try:
        with tarfile.open(file) as archive:
            for member in archive:
                if member.isfile() and member.name.endswith(".avro"):
                    content = archive.extractfile(member)
                    yield f"{file}:{member.name}", io.BytesIO(content.read() if content else b"")
            _refuse_truncated(archive)
    except (tarfile.TarError, zlib.error, OSError, EOFError) as error:
        raise ValueError(_damaged(str(file), error)) from error


def _refuse_truncated(archive: tarfile.TarFile) -> None:
    """`tarfile` takes a file cut between two members for complete; a whole one ends with blocks of zeros."""
    if archive.fileobj is not None:
        archive.fileobj.seek(archive.offset)
        if len(archive.fileobj.read(tarfile.BLOCKSIZE)) < tarfile.BLOCKSIZE:
            raise tarfile.ReadError("it ends without an end mark")


def _refusal(origin: str, error: Exception) -> Exception:
    """What to raise where fastavro cannot read a file."""
    lacking = re.search(r"(\w+) codec is supported but .*'([\w.]+)'", str(error))
    if lacking is None:
        return ValueError(_damaged(origin, error))
    return ModuleNotFoundError(
        f"{origin} is packed with {lacking[1]}, which needs {lacking[2]}: pip install {lacking[2]}"
    )


def _damaged(origin: str, error: Exception) -> str:
    said = "" if isinstance(error, tarfile.TarError) else f" ({type(error).__name__}: {sentence(error, 200)})"
    return f"{origin} cannot be read: it is truncated or damaged{said}; get it again, or remove it"


@cache
def _schema(path: Path) -> dict[str, Any]:
    """A schema with those it refers to, which lie beside it."""
    from fastavro.schema import load_schema

    try:
        schema = dict(load_schema(str(path)))  # type: ignore[arg-type]
    except Exception as error:  # whatever a damaged file makes of fastavro
        raise ValueError(
            f"{path} is not an Avro schema that can be used: {type(error).__name__} {sentence(error, 200)}"
        ) from error
    refuse_boundless(schema, str(path))
    return schema
