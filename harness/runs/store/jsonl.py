"""One append-only file of JSON rows: written through in batches, torn tail repaired, put in order without being held.

A row is a `schema.Generation` or `Judgement`. Its key is known by a bit (harness/schema/sample_index.py), so memory
does not grow with the rows. A disk that is full or read-only ends in one line that says what is safe.
"""

import errno
import heapq
import json
import os
import re
import sys
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from time import monotonic
from typing import Any, Generic, TypeVar

from pydantic import ValidationError

from harness.errors import StoreFault
from harness.schema import Generation, Judgement
from harness.schema.sample_index import MOST, Key, Keys

Row = TypeVar("Row", Generation, Judgement)

FLUSH_ROWS = 64
FLUSH_BYTES = 1 << 20
FLUSH_SECONDS = 2.0
SYNC_SHARE = 0.05  # of the time may go into waiting for the disk, unless FLUSH_SECONDS are over
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
RUNS = 64  # ascending stretches of a file that are merged without holding anything

# How every row begins that was written here; any other order of fields is read as JSON, and slower.
HEAD = re.compile(rb'\{"problem_id":"([^"\\]*)","index":(\d{1,9}),(?:"scorer":"([^"\\]*)")?')

_encode = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode


@dataclass
class Log(Generic[Row]):
    """The file at `path`, whose rows are `model`s; a key is written once.

    Opening it cuts off a torn last line; any other damaged or doubled line is a StoreFault, not passed over.
    """

    path: Path
    model: type[Row]
    keys: Keys = field(default_factory=Keys)
    _file: FileIO | None = None
    _size: int = 0
    _waiting: list[bytes] = field(default_factory=list)
    _waiting_bytes: int = 0
    _written: float = 0.0
    _synced: float = 0.0
    _sync_cost: float = 0.0
    _unsynced: bool = False

    def __post_init__(self) -> None:
        if self.path.exists():
            with writing(self.path):
                _cut_torn_tail(self.path)
            self._check()

    def _check(self) -> None:
        """Read every row once, so that whatever is wrong with one is found before any work."""
        for number, line in self._lines():
            self._value(number, line)
            key = self._key(number, line)
            if not self.keys.add(*key):
                raise self._damaged(number, f"{_shown(key)} is there twice")

    def _lines(self) -> Iterator[tuple[int, bytes]]:
        """(number from 1, line) of what is in the file."""
        self.flush()
        if self.path.exists():
            with self.path.open("rb") as file:
                yield from enumerate(file, 1)

    def _damaged(self, number: int, why: object) -> StoreFault:
        return StoreFault(
            f"{self.path}:{number}: damaged row ({why}); delete the line to have its sample made again"
        )

    # ------------------------------------------------------------ reading

    def rows(self) -> Iterator[dict[str, Any]]:
        """Every row as plain JSON, in file order."""
        return (self._row(number, line) for number, line in self._lines())

    def values(self) -> Iterator[Row]:
        """Every row, in file order."""
        return (self._value(number, line) for number, line in self._lines())

    def _row(self, number: int, line: bytes) -> dict[str, Any]:
        try:
            row = json.loads(line)
            row["problem_id"], row["index"]
        except (ValueError, KeyError, TypeError) as error:
            raise self._damaged(number, error) from None
        assert isinstance(row, dict)
        return row

    def _value(self, number: int, line: bytes) -> Row:
        try:
            return self.model.model_validate_json(line, strict=False)
        except ValidationError:
            pass
        try:  # half a surrogate pair, which only Python's reader takes; or a row with a complaint to tell
            return self.model.model_validate(self._row(number, line), strict=False)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise self._damaged(number, f"{where}: {first['msg'].lower()}") from None

    def _key(self, number: int, line: bytes) -> Key:
        if (head := HEAD.match(line)) is not None:
            name, index, scorer = head[1].decode(), int(head[2]), (head[3] or b"").decode()
        else:
            row = self._row(number, line)
            name, index, scorer = row["problem_id"], row["index"], row.get("scorer", "")
        if type(index) is not int or not 0 <= index < MOST:
            raise self._damaged(number, f"index {index!r}: expected 0 to {MOST - 1}")
        return sys.intern(name), index, sys.intern(scorer)

    # ------------------------------------------------------------ writing

    def append(self, value: Row) -> None:
        key = value.problem_id, value.index, value.scorer if isinstance(value, Judgement) else ""
        if not self.keys.add(*key):
            raise StoreFault(f"{self.path}: {_shown(key)} was about to be written twice")
        line = _encode(value.model_dump(mode="json")).encode() + b"\n"
        self._waiting.append(line)
        self._waiting_bytes += len(line)
        if (
            len(self._waiting) >= FLUSH_ROWS
            or self._waiting_bytes >= FLUSH_BYTES
            or monotonic() - self._written > FLUSH_SECONDS
        ):
            self._write()
            since = monotonic() - self._synced
            if since > FLUSH_SECONDS or since * SYNC_SHARE >= self._sync_cost:
                self._sync()

    def _write(self) -> None:
        """Hand the waiting rows to the system: from there on only the machine can lose them, not this process."""
        if not self._waiting:
            return
        try:
            if self._file is None:
                self._file = self.path.open("ab", buffering=0)
                self._size = self.path.stat().st_size
            left = memoryview(b"".join(self._waiting))
            while left:
                left = left[self._file.write(left) :]
        except OSError as error:
            raise self._lost(error) from None
        self._size += self._waiting_bytes
        self._waiting, self._waiting_bytes = [], 0
        self._written = monotonic()
        self._unsynced = True

    def _lost(self, error: OSError) -> StoreFault:
        """Give up the rows that could not be written, so that the file ends with a whole line."""
        lost, self._waiting, self._waiting_bytes = len(self._waiting), [], 0
        if self._file is not None:
            with suppress(OSError):  # else the torn line is cut off when the file is opened again
                os.ftruncate(self._file.fileno(), self._size)
        what = "make space" if error.errno in FULL else "see to that"
        return StoreFault(
            f"{self.path}: cannot be written: {error.strerror}. {len(self.keys) - lost} rows are safe in it:"
            f" {what}, and the same command goes on from there"
        )

    def _sync(self) -> None:
        assert self._file is not None
        began = monotonic()
        with writing(self.path):
            os.fsync(self._file.fileno())
        self._synced = monotonic()
        self._sync_cost = self._synced - began
        self._unsynced = False

    def flush(self) -> None:
        """Write through to the disk."""
        self._write()
        if self._unsynced:
            self._sync()

    def close(self) -> None:
        try:
            self.flush()
        finally:
            file, self._file = self._file, None
            if file is not None:
                file.close()

    # ------------------------------------------------------------ the whole file

    def drop(self, unwanted: Callable[[Row], bool]) -> None:
        """Remove rows, atomically."""
        gone = [self._key(0, line) for number, line in self._lines() if unwanted(self._value(number, line))]
        for key in gone:
            self.keys.remove(*key)
        if gone:
            self._rewrite(line for number, line in self._lines() if self.keys.has(*self._key(number, line)))

    def sort(self, problems: Sequence[str], scorers: Sequence[str] = ("",)) -> None:
        """Put the file in canonical order, atomically: by problem, sample, scorer. In order, it is left alone.

        A file of few ascending stretches, which is what a scorer after the other leaves, is merged with nothing
        held; of any other 24 bytes a row are.
        """
        ranks = {name: i for i, name in enumerate(problems)}
        places = {name: i for i, name in enumerate(scorers)}

        def rank(number: int, line: bytes) -> int:
            name, index, scorer = self._key(number, line)
            if name not in ranks or scorer not in places:
                raise self._damaged(number, f"{_shown((name, index, scorer))} is no part of this run")
            return (ranks[name] * MOST + index) * len(places) + places[scorer]

        starts, at, before = array("q"), 0, sys.maxsize
        for number, line in self._lines():
            if (now := rank(number, line)) < before:
                starts.append(at)
            at, before = at + len(line), now
        if len(starts) > 1:
            self._rewrite(self._merged(starts, at, rank) if len(starts) <= RUNS else self._arranged(at, rank))

    def _merged(self, starts: Sequence[int], end: int, rank: Callable[[int, bytes], int]) -> Iterator[bytes]:
        def stretch(start: int, stop: int) -> Iterator[tuple[int, bytes]]:
            with self.path.open("rb") as file:
                file.seek(start)
                while start < stop:
                    line = file.readline()
                    start += len(line)
                    yield rank(0, line), line

        stretches = [stretch(*ends) for ends in zip(starts, [*starts[1:], end], strict=True)]
        return (line for _, line in heapq.merge(*stretches))

    def _arranged(self, end: int, rank: Callable[[int, bytes], int]) -> Iterator[bytes]:
        import numpy as np

        ranks, offsets, at = array("q"), array("q"), 0
        for number, line in self._lines():
            ranks.append(rank(number, line))
            offsets.append(at)
            at += len(line)
        assert at == end
        with self.path.open("rb") as file:
            for row in np.argsort(np.frombuffer(ranks, dtype=np.int64)):
                file.seek(offsets[row])
                yield file.readline()

    def _rewrite(self, lines: Iterable[bytes]) -> None:
        self.close()
        replace(self.path, lines)


def _shown(key: Key) -> str:
    name, index, scorer = key
    return f"{name}/{index}/{scorer}" if scorer else f"{name}/{index}"


def replace(path: Path, parts: Iterable[bytes]) -> None:
    """Write all of `parts` or nothing: a temporary file in the same folder, fsync, rename."""
    temporary = path.with_name(f".{path.name}.tmp")
    with writing(path):
        try:
            with temporary.open("wb") as file:
                file.writelines(parts)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)  # on a full disk it stands in the way of what is worth more
            raise
        _sync_folder(path.parent)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """A full or read-only disk is a fault with the file's name, not a stack trace."""
    try:
        yield
    except OSError as error:
        full = ": make space, and the same command goes on" if error.errno in FULL else ""
        raise StoreFault(f"{path}: cannot be written: {error.strerror}{full}") from None


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _cut_torn_tail(path: Path) -> None:
    """Drop what stands behind the last newline: a line whose writing was interrupted."""
    with path.open("r+b") as file:
        size = end = file.seek(0, os.SEEK_END)
        while end:
            start = max(0, end - 65536)
            file.seek(start)
            newline = file.read(end - start).rfind(b"\n")
            if newline >= 0:
                end = start + newline + 1
                break
            end = start
        if end != size:
            file.truncate(end)
            os.fsync(file.fileno())
