"""Where live objects are kept: one SQLite file, written in transactions together with how far the stream has come."""

import json
import secrets
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Any

from tlclass.streaming.state import Live, from_bytes, to_bytes

SCHEMA = """
CREATE TABLE IF NOT EXISTS objects (id TEXT PRIMARY KEY, deadline REAL NOT NULL, state BLOB, few INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS live ON objects (deadline) WHERE state IS NOT NULL;
CREATE INDEX IF NOT EXISTS finished ON objects (deadline) WHERE state IS NULL;
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS outbox (number INTEGER PRIMARY KEY AUTOINCREMENT, row TEXT NOT NULL);
"""
FORMAT = 3  # of the stored objects (`tlclass.streaming.state`); 1 is not stated in its files
CACHE = 65_536  # KB
AT_ONCE = 500  # ids in one query


class Store:
    """The state of a stream; a kill at any time leaves what the last commit left.

    An object whose window has passed keeps its id alone, so that later alerts of it are known to be too late, and goes after another
    `forget` days. One with too few observations goes at once: later alerts of it may be of another event, as in `predict`.

    Args:
        path: of the file, made if it is not there.
        model: what identifies the model; a file made with another one is refused.

    Raises:
        ValueError: the file was made with another model or by a version with another format, or is no such file.
    """

    def __init__(self, path: Path, model: str):
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path, self._changed = path, dict[str, tuple[float, bytes, bool]]()
        self._facts: dict[str, Any] = {}
        self._known: set[str] = set()  # live objects that were asked for since the last commit
        try:
            self.db = sqlite3.connect(path, isolation_level=None)
            for setting in ("journal_mode=WAL", "synchronous=NORMAL", f"cache_size=-{CACHE}", "locking_mode=EXCLUSIVE"):
                self.db.execute(f"PRAGMA {setting}")
            self.db.executescript(SCHEMA)
        except sqlite3.DatabaseError as error:
            locked = "locked" in str(error)
            why = "another stream uses it" if locked else f"it is no such file, or damaged ({error})"
            raise ValueError(f"{path} cannot be used as the state of a stream: {why}; give another --state") from error
        if self.fact("model", model).split()[-1] != model.split()[-1]:  # the digest, whatever the model was called
            raise ValueError(
                f"{path} holds the state of a stream with another model ({self.fact('model')}): give another --state"
            )
        if self.fact("format", 1 if self.db.execute("SELECT 1 FROM objects LIMIT 1").fetchone() else FORMAT) != FORMAT:
            raise ValueError(
                f"{path} was written by another version of tlclass, whose state this one cannot read: give another --state, or go on with that version"
            )
        self.key: str = self.fact("key") or secrets.token_hex(8)  # no other store has it
        self._facts |= {"model": model, "format": FORMAT, "key": self.key}

    def __enter__(self) -> "Store":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.db.close()

    def __len__(self) -> int:
        return int(self.fact("live", 0))

    def get(self, names: Sequence[str]) -> dict[str, Live | None]:
        """The known ones of these objects, with what was put since the last commit; None for one whose window has passed."""
        found: dict[str, Live | None] = {}
        for start in range(0, len(names), AT_ONCE):
            some = list(names[start : start + AT_ONCE])
            marks = ",".join("?" * len(some))
            with closing(self.db.execute(f"SELECT id, state FROM objects WHERE id IN ({marks})", some)) as rows:
                found |= {name: None if state is None else from_bytes(state) for name, state in rows}
        self._known |= {name for name, live in found.items() if live is not None}
        return found | {name: from_bytes(self._changed[name][1]) for name in names if name in self._changed}

    def put(self, name: str, live: Live, deadline: float, few: bool) -> None:
        """Remember an object until `deadline` (MJD), with the next commit; `few`: and forget it then."""
        self._changed[name] = (deadline, to_bytes(live), few)

    def fact(self, name: str, otherwise: Any = None) -> Any:
        """What was stored under this name: how far a source or an output has come."""
        if name in self._facts:
            return self._facts[name]
        found = self.db.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return otherwise if found is None else json.loads(found[0])

    def set_fact(self, name: str, value: Any) -> None:
        """Store it with the next commit."""
        self._facts[name] = value

    def facts(self, prefix: str) -> Mapping[str, Any]:
        """All stored facts whose names begin so, by the rest of the name."""
        rows = self.db.execute("SELECT name, value FROM facts WHERE substr(name, 1, ?) = ?", (len(prefix), prefix))
        return {name[len(prefix) :]: json.loads(value) for name, value in rows}

    def commit(self, now: float, forget: float, sent: Sequence[str] = (), delivered: int = 0) -> int:
        """Write everything in one transaction.

        Args:
            now: MJD of the stream; objects whose deadline is before it expire. forget: days after which their ids go too.
            sent: rows for the outbox. delivered: the number up to which the outbox is empty.

        Returns:
            How many objects expired.
        """
        try:
            self.db.execute("BEGIN IMMEDIATE")
            gone = self._write(now, forget, sent, delivered)
            self.db.execute("COMMIT")
        except sqlite3.Error as error:
            raise OSError(
                f"{self.path} could not be written: {error}; the stream stopped at its last commit: run the same command again"
            ) from error
        self._changed, self._facts, self._known = {}, {}, set()
        return gone

    def _write(self, now: float, forget: float, sent: Sequence[str], delivered: int) -> int:
        write = self.db.executemany
        write(
            "INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?)",
            [(name, *changed) for name, changed in self._changed.items()],
        )
        passed = "WHERE deadline < ? AND state IS NOT NULL"
        gone = self.db.execute(f"DELETE FROM objects {passed} AND few", (now,)).rowcount
        gone += self.db.execute(f"UPDATE objects SET state = NULL {passed}", (now,)).rowcount
        self.set_fact("live", len(self) + len(self._changed.keys() - self._known) - gone)
        write("INSERT OR REPLACE INTO facts VALUES (?, ?)", [(n, json.dumps(v)) for n, v in self._facts.items()])
        write("INSERT INTO outbox (row) VALUES (?)", [(row,) for row in sent])
        self.db.execute("DELETE FROM outbox WHERE number <= ?", (delivered,))
        self.db.execute("DELETE FROM objects WHERE deadline < ? AND state IS NULL", (now - forget,))
        return int(gone)

    def has_sent(self) -> bool:
        """Whether anything was ever put into the outbox."""
        return self.db.execute("SELECT 1 FROM sqlite_sequence WHERE name = 'outbox'").fetchone() is not None

    def waiting(self) -> Iterable[tuple[int, str]]:
        """Number and content of each row of the outbox."""
        return self.db.execute("SELECT number, row FROM outbox ORDER BY number").fetchall()
