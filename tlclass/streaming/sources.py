"""Where alerts come from: folders, standard input; `kafka.py` has topics. Each says how far it has come, for the store."""

import csv
import io
import json
import logging
import queue
import sys
import threading
import time
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

from tlclass.quoting import sentence
from tlclass.streaming.reading import PASSING, Read, Reading, Rejected, Unreadable, refuse_lists
from tlclass.streaming.store import Store
from tlclass.surveys.alerts.files import CONTAINER, TARS, decoded, packet_files, packets_in
from tlclass.surveys.tables.batches import Batches
from tlclass.surveys.tables.files import JSON, PACKED, TABLES, is_kind, schema_of
from tlclass.surveys.tables.observations import observation_columns
from tlclass.surveys.tables.quantities import usable

log = logging.getLogger(__name__)

KINDS = (".avro", *TARS, *JSON, *TABLES)
TEMPORARY = (".tmp", ".part", ".partial")  # endings of files that are renamed into place when they are whole
LOOK = 1.0  # seconds between two looks into a folder
WAIT = 0.2  # seconds for something to come
LETTER = 1 << 16  # bytes of a file that cannot be read which are kept with the reason
LONGEST_LINE = 64 << 20


@dataclass(frozen=True)
class Item:
    """What was read at one place of a source.

    Attributes:
        read: arrivals, and what cannot be used. place: name of the place -> how far the source has come with it.
        sent: when it was sent, in seconds since 1970, where the source knows.
        again: whether another process classified it, so that it only updates the state.
    """

    read: list[Read]
    place: Mapping[str, Any] = field(default_factory=dict)
    sent: float | None = None
    again: bool = False


# Commits all that was yielded so far, but what was read at these places, which another process reads by now.
Settle = Callable[[Collection[str]], None]


class Source(Protocol):
    """Yields items; None where nothing has come for a while, so that what came can be committed."""

    def items(self, store: Store, settle: Settle) -> Generator[Item | None]:
        """Items from where the store says that the last commit was; `settle` is for sources that hand places on."""

    def committed(self, places: Mapping[str, Any]) -> None:
        """What was read up to these places has been committed."""


class Folder:
    """The files of a folder (or one file) by name: packets, JSON lines, tables of observations.

    Args:
        path: folder or file. reading: how. follow: whether to wait for more files; those must appear whole (renamed into place).
    """

    def __init__(self, path: Path, reading: Reading, follow: bool = False):
        if not path.exists():
            raise FileNotFoundError(
                f"no file or folder {path}: give alert packets, JSON lines or a table of observations, or - for standard input"
            )
        self.path, self.reading, self.follow = path, reading, follow
        self.unread = set[str]()  # endings of files that were warned of
        if not follow and not self._files():
            raise ValueError(
                f"{path} holds nothing that can be read: give files that end in {', '.join(KINDS)} (unpack others, such as .json.gz), or wait "
                "for some in a folder with --follow"
            )

    def items(self, store: Store, settle: Settle) -> Generator[Item | None]:
        """See `Source`."""
        before, home = store.facts("done "), self.path.resolve()
        done = set[str]()
        while True:
            for file in self._files():
                name = str(home / file.relative_to(self.path))
                if name in done:
                    continue
                done.add(name)
                if name in before:
                    _say_grown(file, before[name])
                    continue
                yield from self._of(file, name, int(store.fact(f"at {name}", 0)))
            if not self.follow:
                return
            yield None
            time.sleep(LOOK)

    def committed(self, places: Mapping[str, Any]) -> None:
        """See `Source`; the store is all there is."""

    def _files(self) -> list[Path]:
        found = [self.path] if self.path.is_file() else [path for path in self.path.rglob("*") if path.is_file()]
        visible = sorted(file for file in found if file.name[0] not in "._")
        read = [file for file in visible if is_kind(file, KINDS)]
        self._say_unread(set(visible).difference(read))
        return read

    def _say_unread(self, files: Collection[Path]) -> None:
        """Warn of files whose kind is not read, once for each ending."""
        for file in sorted(files):
            ending = "".join(file.suffixes[-2:] if file.suffix in PACKED else file.suffixes[-1:])
            if ending not in self.unread and ending not in TEMPORARY:
                self.unread.add(ending)
                others = f"whose names end in '{ending}'" if ending else "without an ending"
                log.warning("%s is not read, like all files %s: a stream reads %s", file, others, ", ".join(KINDS))

    def _of(self, file: Path, name: str, start: int) -> Iterator[Item]:
        """What a file holds, from item number `start` on."""
        number = 0
        try:
            size = file.stat().st_size
            for number, read in enumerate(self._read(file), 1):
                if number > start:
                    yield Item(read, {f"at {name}": number})
        except FileNotFoundError:
            if file.exists():
                raise
            log.warning("%s was removed before it was read", file)
            return
        except PASSING:
            raise
        except Exception as error:
            with file.open("rb") as content:
                yield Item([Rejected(str(file), sentence(error), content.read(LETTER))])
        yield Item([], {f"done {name}": size})

    def _read(self, file: Path) -> Iterator[list[Read]]:
        origin = str(file)
        if packet_files(file):
            for where, schema, packet in packets_in(file, self.reading.packets.schema):
                yield [self.reading.packet(schema, packet, where)]
        elif is_kind(file, JSON) and _is_document(file):
            yield list(self.reading.content(file.read_bytes(), origin))
        elif is_kind(file, JSON):
            with file.open("rb") as lines:
                for number, line in enumerate(lines, 1):
                    yield list(self.reading.content(line, f"{origin}, line {number}")) if line.strip() else []
        else:
            schema = schema_of(file)
            refuse_lists(schema, origin)
            form = self.reading.form
            columns = usable(observation_columns(schema.names, form, origin), schema, form, True)
            batches, done = Batches(file, columns, 1000), 0
            while True:
                for number, table in enumerate(batches, 1):
                    if number > done:
                        yield list(self.reading.table(table, origin))
                        done = number
                if not batches.again:
                    return


def _say_grown(file: Path, size: int) -> None:
    """Warn of a file that was read and has another size by now."""
    now = file.stat().st_size
    if now != size:
        log.warning(
            "%s was read when it had %d bytes and now has %d: it is not read again; files must appear whole, so write new rows to a new file",
            file, size, now,
        )  # fmt: skip


def _is_document(file: Path) -> bool:
    """Whether a file is one JSON document over several lines, not one on each line; a first line that is cut off is no document."""
    with file.open("rb") as lines:
        first = next((line for line in lines if line.strip()), b"{}")
    try:
        json.loads(first)
    except ValueError:
        return first.strip() in (b"{", b"[") or first.lstrip().startswith((b"[{", b"[ {")) or _is_json(file)
    return False


def _is_json(file: Path) -> bool:
    if file.stat().st_size > LONGEST_LINE:
        return False
    try:
        json.loads(file.read_bytes())
    except ValueError:
        return False
    return True


class StandardInput:
    """JSON lines, CSV of observations, or one Avro stream of packets. Where it stopped is not known; what comes again is recognised by what it says."""

    def __init__(self, reading: Reading):
        self.reading, self.stream = reading, sys.stdin.buffer
        self.waiting: queue.Queue[Item | Exception] = queue.Queue(1000)

    def items(self, store: Store, settle: Settle) -> Generator[Item | None]:
        """See `Source`."""
        reader = threading.Thread(target=self._read, name="standard input", daemon=True)
        reader.start()
        while reader.is_alive() or not self.waiting.empty():
            try:
                item = self.waiting.get(timeout=WAIT)
            except queue.Empty:
                yield None
                continue
            if isinstance(item, Exception):
                raise item
            yield item

    def _read(self) -> None:
        try:
            for number, item in enumerate(self._found(), 1):
                self.waiting.put(Item(item(f"standard input, number {number}"), sent=time.time()))
        except PASSING as error:
            self.waiting.put(error)
        except Exception as error:
            self.waiting.put(Item([Rejected("standard input", sentence(error))]))

    def _found(self) -> Iterator[Callable[[str], list[Read]]]:
        """A packet or a line after the other, each as a function that reads it."""
        start = self.stream.read(len(CONTAINER))
        if start == CONTAINER:
            stream: Any = _Resumed(start, self.stream)
            for name, packet in decoded(stream, "standard input", self.reading.packets.schema):
                yield partial(self._packet, name, packet)
            return
        every = chain(
            [start + self.stream.readline(LONGEST_LINE)], iter(lambda: self.stream.readline(LONGEST_LINE), b"")
        )
        lines = (line for line in every if line.strip())
        first = next(lines, None)
        if first is None:
            return
        first = first.lstrip(b"\xef\xbb\xbf \t\r\n")
        if first.startswith((b"{", b"[")):
            yield from (partial(self._line, line) for line in chain([first], lines))
            return
        try:
            header = _cells(first)
            observation_columns(header, self.reading.form, "standard input")
        except ValueError as error:
            second = next(lines, b"")
            if not second.lstrip().startswith((b"{", b"[")):
                raise Unreadable(str(error)) from error
            yield from (partial(self._line, line) for line in chain([first, second], lines))
            return
        yield from (partial(self._row, header, line) for line in lines)

    def _packet(self, name: str, packet: Any, origin: str) -> list[Read]:
        return [self.reading.packet(name, packet, origin)]

    def _line(self, line: bytes, origin: str) -> list[Read]:
        return list(self.reading.content(line, origin))

    def _row(self, header: Sequence[str], line: bytes, origin: str) -> list[Read]:
        try:
            cells = _cells(line)
        except ValueError as error:
            return [Rejected(origin, str(error), line)]
        if len(cells) != len(header):
            return [
                Rejected(origin, f"it has {len(cells)} cells, and the first line names {len(header)} columns", line)
            ]
        row = {name: cell if cell.strip() else None for name, cell in zip(header, cells, strict=True)}
        return list(self.reading.rows([row], origin))

    def committed(self, places: Mapping[str, Any]) -> None:
        """See `Source`; standard input keeps no position."""


def _cells(line: bytes) -> list[str]:
    """The cells of a line of CSV.

    Raises:
        ValueError: it is no text.
    """
    try:
        return next(csv.reader([line.decode("utf-8-sig").rstrip("\r\n")]))
    except (UnicodeDecodeError, csv.Error):
        raise ValueError("it is not a line of CSV in UTF-8: give JSON lines, CSV or Avro packets") from None


class _Resumed(io.RawIOBase):
    """A stream whose first bytes were read already."""

    def __init__(self, start: bytes, rest: Any):
        self.start, self.rest = start, rest

    def read(self, size: int = -1) -> bytes:
        given, self.start = self.start[:size] if size >= 0 else self.start, self.start[size:] if size >= 0 else b""
        more = size - len(given) if size >= 0 else -1
        return given + (self.rest.read(more) if more else b"")

    def seek(self, offset: int, whence: int = 0) -> int:
        """To the beginning, where the reader of packets looks at the first bytes again."""
        self.start = CONTAINER
        return 0
