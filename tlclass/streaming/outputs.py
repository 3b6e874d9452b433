"""Where predictions go: JSON lines, Parquet files, or a topic; each of them once, whenever the stream was killed."""

import hashlib
import json
import math
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from tlclass.atomic import atomic_path
from tlclass.lightcurves.arrow import parquet, readable
from tlclass.locking import taken
from tlclass.streaming.store import Store

Row = Mapping[str, Any]
OWNER = b"tlclass_state"  # in the metadata of a Parquet file: the key of the store that its predictions are of
TAIL = 256  # bytes by which a file is recognised
PART = 20_000  # predictions in a Parquet file


def as_json(row: Row) -> str:
    """One line of JSON."""
    return json.dumps(dict(row), allow_nan=False)


PREDICTIONS = "predictions"  # name of the output in the store


class Output:
    """Takes predictions; what was not committed is written again.

    Attributes:
        delivered: number up to which the outbox of the store has been delivered; 0 where nothing is put into it.
    """

    delivered = 0

    def write(self, rows: Sequence[Row]) -> list[str]:
        """Take rows before the commit of what they are made of; what is returned goes into the store's outbox."""
        raise NotImplementedError

    def flush(self, last: bool = False) -> int:
        """After a commit: the number up to which the outbox has been delivered; all of it if this is the `last` time."""
        return 0

    def close(self) -> None:
        """Finish."""


class Lines(Output):
    """A file of JSON, an object a line; what lies beyond its committed length was never said and is cut off at the start.

    Where the file is moved away meanwhile, as logrotate does, a new one begins.

    Args:
        path: the file. store: knows the length. name: under which.
    """

    def __init__(self, path: Path, store: Store, name: str):
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path, self.option = path, "-o" if name == PREDICTIONS else "--dead-letters"
        self.store, self.length, self.end = store, f"length of {name}", f"end of {name}"
        self.file = self._opened()
        size, committed = self.file.seek(0, 2), store.fact(self.length)
        ours = committed is not None and (not size or self._ends_at(committed))
        if size and not ours and name == PREDICTIONS:
            self.file.close()
            raise _of_another_state(path)
        if ours and committed < size:
            self.file.truncate(committed)
        else:
            self._note()
            store.commit(-math.inf, 0)

    def _opened(self) -> IO[bytes]:
        file = self.path.open("a+b")
        self.movable = self.path.is_file()
        if self.movable and not taken(file):
            file.close()
            raise ValueError(
                f"another stream writes {self.path} now: give another file with {self.option}, or end that stream first"
            )
        return file

    def _is_moved(self) -> bool:
        try:
            return self.movable and not os.path.samestat(self.path.stat(), os.fstat(self.file.fileno()))
        except FileNotFoundError:
            return True

    def write(self, rows: Sequence[Row]) -> list[str]:
        """See `Output`."""
        if rows:
            if self._is_moved():
                self.file.close()
                self.file = self._opened()
            try:
                self.file.write("".join(as_json(row) + "\n" for row in rows).encode())
                self.file.flush()
                os.fsync(self.file.fileno())
            except OSError as error:
                raise OSError(error.errno, error.strerror, str(self.path)) from error
        self._note()
        return []

    def _note(self) -> None:
        """Tell the store, for its next commit, how long the file is and how it ends."""
        length = self.file.seek(0, 2)
        self.store.set_fact(self.length, length)
        self.store.set_fact(self.end, self._tail(length))

    def _tail(self, length: int) -> str:
        self.file.seek(max(0, length - TAIL))
        return hashlib.sha256(self.file.read(min(length, TAIL))).hexdigest()

    def _ends_at(self, committed: int) -> bool:
        """Whether the first bytes, so many, can be what this store wrote; earlier versions did not note how they end."""
        return self.store.fact(self.end) in (None, self._tail(committed))

    def close(self) -> None:
        """See `Output`."""
        with suppress(OSError):  # of what could not be written, which `write` said
            self.file.close()


class Parts(Output):
    """A folder of Parquet files of `PART` predictions each; those of an unfinished file wait in the store.

    Args:
        folder: the predictions of one store, whose key the files carry. store: numbers them.
    """

    def __init__(self, folder: Path, store: Store):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.store = folder, store
        self._ours: set[Path] = set()  # files that are known to be of this store
        self._refuse_strangers()
        for leftover in folder.glob(".*.parquet"):
            leftover.unlink(missing_ok=True)  # of a kill while a file was written
        waiting = [number for number, _ in store.waiting()]
        self.pending = len(waiting)
        for file in folder.glob("*.parquet"):
            if waiting and file.stem.isdecimal() and int(file.stem) >= waiting[0]:
                file.unlink()  # written before a kill; its predictions wait still

    def write(self, rows: Sequence[Row]) -> list[str]:
        """See `Output`."""
        self.pending += len(rows)
        return [as_json(row) for row in rows]

    def flush(self, last: bool = False) -> int:
        """See `Output`. A file is named by its last prediction, so that one that is written again replaces itself."""
        if not self.pending or (self.pending < PART and not last):
            return 0
        waiting = [(number, row) for number, row in self.store.waiting() if number > self.delivered]
        self.pending, self.delivered = 0, waiting[-1][0]
        number = waiting[-1][0]
        self._refuse_strangers()
        with atomic_path(self.folder / f"{number:012d}.parquet") as temporary:
            table = pa.Table.from_pylist([json.loads(row) for _, row in waiting])
            pq.write_table(table.replace_schema_metadata({OWNER: self.store.key}), temporary)
        return number

    def _refuse_strangers(self) -> None:
        """Raise ValueError if the folder holds files of another store, which may be writing there now."""
        for file in set(self.folder.glob("[!.]*.parquet")) - self._ours:
            with readable(file, "predictions"):
                owner = (parquet(file).schema_arrow.metadata or {}).get(OWNER)
            unnamed = owner is None and self.store.has_sent()  # earlier versions wrote no key
            if owner != self.store.key.encode() and not unnamed:
                raise _of_another_state(self.folder)
            self._ours.add(file)


def _of_another_state(path: Path) -> ValueError:
    return ValueError(
        f"output {path} exists and another state wrote it: name another one, or give the state that wrote it"
    )


class StandardOutput(Output):
    """JSON lines on standard output."""

    def write(self, rows: Sequence[Row]) -> list[str]:
        """See `Output`."""
        try:
            print("".join(as_json(row) + "\n" for row in rows), end="", flush=True)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains of it at its end
            raise OSError(
                "the program that reads standard output has ended: what it did not get comes again when the stream is started again"
            ) from None
        return []
