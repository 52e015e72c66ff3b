"""A cache on this machine: texts by their keys, each with the identity of what made it. It only saves work.

One SQLite file, shared by many processes. Rows are written in short transactions, so a kill loses at most the last
seconds, and other runs never wait long. Each row has a checksum, with its key. A file that is damaged, locked, not
writable or of another layout is skipped with a warning. Beyond its size the oldest rows are deleted.

The file is readable and writable by its owner alone, for who writes it decides what is found. A `private` one that
others may write, or that another user owns, is not used either.
"""

import json
import os
import sqlite3
import stat
import time
import zlib
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from harness.errors import StoreFault

LAYOUT = 2  # goes up when the tables, or what a key is made of, change; an older file is not used
MAX_BYTES = 4 << 30
FLUSH_ROWS = 64
FLUSH_SECONDS = 2.0
BUSY_TIMEOUT_S = 10.0  # for another process' transaction
TABLES = """
create table if not exists identities (id integer primary key, identity text unique not null);
create table if not exists entries (
    id integer primary key, key blob unique not null, identity integer not null, text text not null,
    sum integer not null
);
"""


class CacheFile:
    """`name` is what warnings call it. A context manager; without a file, and after a warning, it is empty."""

    def __init__(
        self,
        file: Path | None,
        name: str,
        warn: Callable[[str], None],
        max_bytes: int = MAX_BYTES,
        private: bool = False,
    ) -> None:
        self._file, self._name, self._warn, self._max_bytes = file, name, warn, max_bytes
        self._waiting: list[tuple[str, bytes, str]] = []
        self._flushed = time.monotonic()
        self._database = self._open(file, private) if file is not None else None

    def __enter__(self) -> "CacheFile":
        return self

    def __exit__(self, *_: object) -> None:
        self.flush()
        if self._database is not None:
            self._database.close()
            self._database = None

    @property
    def usable(self) -> bool:
        return self._database is not None

    def find(self, key: bytes) -> str | None:
        if self._database is None:
            return None
        try:
            row = self._database.execute("select text, sum from entries where key = ?", (key,)).fetchone()
            if row is not None and row[1] != _sum(key, row[0]):
                raise ValueError("a row is damaged")
        except (sqlite3.Error, ValueError, TypeError, AttributeError) as error:
            self.disable(error)
            return None
        return None if row is None else str(row[0])

    def add(self, identity: str, key: bytes, text: str) -> None:
        """Keep a text from the next transaction on, unless there is one for its key."""
        if self._database is not None:
            self._waiting.append((identity, key, text))
            if len(self._waiting) >= FLUSH_ROWS or time.monotonic() - self._flushed > FLUSH_SECONDS:
                self.flush()

    def flush(self) -> None:
        if self._database is None or not self._waiting:
            return
        try:
            with self._database:  # one transaction
                numbers = {identity: self._number(identity) for identity, _, _ in self._waiting}
                self._database.executemany(
                    "insert or ignore into entries (key, identity, text, sum) values (?, ?, ?, ?)",
                    [
                        (key, numbers[identity], text, _sum(key, text))
                        for identity, key, text in self._waiting
                    ],
                )
                self._make_room()
        except sqlite3.Error as error:
            self.disable(error)
        self._waiting.clear()
        self._flushed = time.monotonic()

    def disable(self, error: Exception) -> None:
        """Go on without the file: say so once."""
        self._warn(
            f"the {self._name} {self._file} cannot be used ({error}): nothing is reused or kept from here on. If it is"
            " damaged, delete it; --no-cache turns it off"
        )
        database, self._database = self._database, None
        if database is not None:
            database.close()

    def _open(self, file: Path, private: bool) -> sqlite3.Connection | None:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            fd = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            found = os.fstat(fd)
            os.close(fd)
            if private and (found.st_uid != os.getuid() or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)):
                raise PermissionError("others may write it: it must be yours, and chmod 600")
            return _connect(file)
        except (sqlite3.Error, OSError) as error:
            self._database = None
            self.disable(error)
            return None

    def _number(self, identity: str) -> int:
        assert self._database is not None
        self._database.execute("insert or ignore into identities (identity) values (?)", (identity,))
        found = self._database.execute("select id from identities where identity = ?", (identity,)).fetchone()
        return int(found[0])

    def _make_room(self) -> None:
        """Delete the oldest tenth when the file is full; the freed pages are used again."""
        assert self._database is not None
        pages, free, size = (
            self._database.execute(f"pragma {name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "page_size")
        )
        if (pages - free) * size > self._max_bytes:
            self._database.execute(
                "delete from entries where id <= (select min(id) + (max(id) - min(id)) / 10 from entries)"
            )


def canonical(plain: Any) -> str:
    """A JSON value as the one text that keys and identities are made of."""
    return json.dumps(plain, sort_keys=True, ensure_ascii=True, separators=(",", ":"))


def _connect(file: Path) -> sqlite3.Connection:
    # Not only the thread that opened it may use it; one at a time is for the caller to see to.
    database = sqlite3.connect(file, timeout=BUSY_TIMEOUT_S, check_same_thread=False)
    try:
        (layout,) = database.execute("pragma user_version").fetchone()
        if layout not in (0, LAYOUT):
            raise sqlite3.DatabaseError(f"it is of layout {layout}, and this version writes {LAYOUT}")
        if layout == 0:
            database.executescript(f"begin immediate; {TABLES} pragma user_version = {LAYOUT}; commit;")
    except BaseException:
        database.close()
        raise
    return database


def _sum(key: bytes, text: str) -> int:
    return zlib.crc32(text.encode(), zlib.crc32(key))


# ---------------------------------------------------------------- what is in it


def contents(file: Path) -> list[tuple[dict[str, Any], int, int]]:
    """(identity, entries, their bytes) of each identity. Raises StoreFault for a damaged file."""
    if not file.is_file():
        return []
    query = (
        "select identities.identity, count(*), sum(length(text)) from entries"
        " join identities on identities.id = entries.identity group by identities.id order by identities.id"
    )
    try:
        with closing(_connect(file)) as database:
            return [(json.loads(row[0]), row[1], row[2]) for row in database.execute(query)]
    except (sqlite3.Error, ValueError) as error:
        raise StoreFault(f"{file} cannot be read: {error}; delete it") from None


def drop(file: Path, wanted: Callable[[Mapping[str, Any]], bool]) -> int:
    """Delete the entries of each identity that is `wanted`, also while other processes use the file.

    Returns how many they were. Raises StoreFault.
    """
    if not file.is_file():
        return 0
    dropped = 0
    try:
        with closing(_connect(file)) as database:
            with database:
                for number, text in database.execute("select id, identity from identities").fetchall():
                    if wanted(json.loads(text)):
                        dropped += database.execute(
                            "delete from entries where identity = ?", (number,)
                        ).rowcount
                        database.execute("delete from identities where id = ?", (number,))
            database.execute("vacuum")
    except (sqlite3.Error, ValueError) as error:
        raise StoreFault(f"{file} cannot be cleared: {error}; delete it") from None
    return dropped
