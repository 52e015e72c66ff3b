"""One append-only file of JSON rows: written in batches, a torn last line removed, sorted without loading it.

A row is a `schema.Generation` or `Judgement`. A bit records its key (schema/sample_index.py), so memory does not grow
with the size of rows. A full or read-only disk ends in a one-line error that says how many rows are safe.
"""

import heapq
import json
import os
import re
import sys
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from time import monotonic
from typing import Any, Generic, TypeVar

from pydantic import ValidationError

from harness.errors import StoreFault
from harness.runs.store.atomic import DISK_FULL, disk_errors_as_faults, replace_file
from harness.schema import Generation, Judgement
from harness.schema.sample_index import MAX_SAMPLES, Key, SampleIndex

Row = TypeVar("Row", Generation, Judgement)

FLUSH_ROWS = 64
FLUSH_BYTES = 1 << 20
FLUSH_SECONDS = 2.0
SYNC_SHARE = 0.05  # of the time may be spent on fsync, unless FLUSH_SECONDS have passed
MAX_SORTED_PIECES = 64  # of a file, which are merged without loading anything

# How every row begins that was written here; any other order of fields is parsed as JSON, which is slower.
HEAD = re.compile(rb'\{"problem_id":"([^"\\]*)","index":(\d{1,9}),(?:"scorer":"([^"\\]*)")?')

_encode = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode


@dataclass
class JsonlFile(Generic[Row]):
    """The file at `path`, whose rows are `model`s; a key is written once.

    Opening it removes a torn last line; any other damaged or repeated line is a StoreFault.
    """

    path: Path
    model: type[Row]
    keys: SampleIndex = field(default_factory=SampleIndex)
    _file: FileIO | None = None
    _size: int = 0
    _buffer: list[bytes] = field(default_factory=list)
    _buffered_bytes: int = 0
    _written: float = 0.0
    _synced: float = 0.0
    _sync_cost: float = 0.0
    _unsynced: bool = False

    def __post_init__(self) -> None:
        if self.path.exists():
            with disk_errors_as_faults(self.path):
                _remove_torn_line(self.path)
            self._check()

    def _check(self) -> None:
        """Read every row once, so that a bad one is found before any work is done."""
        for number, line in self._lines():
            self._parse(number, line)
            key = self._key(number, line)
            if not self.keys.add(*key):
                raise self._damaged(number, f"{_format_key(key)} occurs twice")

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
        return (self._parse_plain(number, line) for number, line in self._lines())

    def values(self) -> Iterator[Row]:
        """Every row, in file order."""
        return (self._parse(number, line) for number, line in self._lines())

    def _parse_plain(self, number: int, line: bytes) -> dict[str, Any]:
        try:
            row = json.loads(line)
            row["problem_id"], row["index"]
        except (ValueError, KeyError, TypeError) as error:
            raise self._damaged(number, error) from None
        assert isinstance(row, dict)
        return row

    def _parse(self, number: int, line: bytes) -> Row:
        try:
            return self.model.model_validate_json(line, strict=False)
        except ValidationError:
            pass
        try:  # half a surrogate pair, which only Python's json accepts; or a row whose error is to be reported
            return self.model.model_validate(self._parse_plain(number, line), strict=False)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise self._damaged(number, f"{where}: {first['msg'].lower()}") from None

    def _key(self, number: int, line: bytes) -> Key:
        if (head := HEAD.match(line)) is not None:
            name, index, scorer = head[1].decode(), int(head[2]), (head[3] or b"").decode()
        else:
            row = self._parse_plain(number, line)
            name, index, scorer = row["problem_id"], row["index"], row.get("scorer", "")
        if type(index) is not int or not 0 <= index < MAX_SAMPLES:
            raise self._damaged(number, f"index {index!r}: expected 0 to {MAX_SAMPLES - 1}")
        return sys.intern(name), index, sys.intern(scorer)

    # ------------------------------------------------------------ writing

    def append(self, value: Row) -> None:
        key = value.problem_id, value.index, value.scorer if isinstance(value, Judgement) else ""
        if not self.keys.add(*key):
            raise StoreFault(f"{self.path}: {_format_key(key)} was about to be written twice")
        line = _encode(value.model_dump(mode="json")).encode() + b"\n"
        self._buffer.append(line)
        self._buffered_bytes += len(line)
        if (
            len(self._buffer) >= FLUSH_ROWS
            or self._buffered_bytes >= FLUSH_BYTES
            or monotonic() - self._written > FLUSH_SECONDS
        ):
            self._write()
            since = monotonic() - self._synced
            if since > FLUSH_SECONDS or since * SYNC_SHARE >= self._sync_cost:
                self._sync()

    def _write(self) -> None:
        """Write the buffered rows: from then on only a crash of the machine can lose them, not one of this process."""
        if not self._buffer:
            return
        try:
            if self._file is None:
                self._file = self.path.open("ab", buffering=0)
                self._size = self.path.stat().st_size
            left = memoryview(b"".join(self._buffer))
            while left:
                left = left[self._file.write(left) :]
        except OSError as error:
            raise self._drop_buffer(error) from None
        self._size += self._buffered_bytes
        self._buffer, self._buffered_bytes = [], 0
        self._written = monotonic()
        self._unsynced = True

    def _drop_buffer(self, error: OSError) -> StoreFault:
        """Drop the rows that could not be written, so that the file ends with a whole line."""
        lost, self._buffer, self._buffered_bytes = len(self._buffer), [], 0
        if self._file is not None:
            with suppress(OSError):  # else the torn line is removed when the file is opened again
                os.ftruncate(self._file.fileno(), self._size)
        what = "make space" if error.errno in DISK_FULL else "fix it"
        return StoreFault(
            f"{self.path}: cannot be written: {error.strerror}. {len(self.keys) - lost} rows are safe in it:"
            f" {what}, then rerun to resume"
        )

    def _sync(self) -> None:
        assert self._file is not None
        began = monotonic()
        with disk_errors_as_faults(self.path):
            os.fsync(self._file.fileno())
        self._synced = monotonic()
        self._sync_cost = self._synced - began
        self._unsynced = False

    def flush(self) -> None:
        """Write and fsync."""
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
        gone = [self._key(0, line) for number, line in self._lines() if unwanted(self._parse(number, line))]
        for key in gone:
            self.keys.remove(*key)
        if gone:
            self._rewrite(line for number, line in self._lines() if self.keys.has(*self._key(number, line)))

    def sort(self, problems: Sequence[str], scorers: Sequence[str] = ("",)) -> None:
        """Sort the file, atomically, by problem, sample and scorer. A sorted file is left alone.

        A file of a few sorted pieces, as one scorer after the other leaves it, is merged without loading it; for any
        other 24 bytes a row are held in memory.
        """
        ranks = {name: i for i, name in enumerate(problems)}
        scorer_ranks = {name: i for i, name in enumerate(scorers)}

        def rank(number: int, line: bytes) -> int:
            name, index, scorer = self._key(number, line)
            if name not in ranks or scorer not in scorer_ranks:
                raise self._damaged(number, f"{_format_key((name, index, scorer))} is not part of this run")
            return (ranks[name] * MAX_SAMPLES + index) * len(scorer_ranks) + scorer_ranks[scorer]

        starts, at, before = array("q"), 0, sys.maxsize
        for number, line in self._lines():
            if (now := rank(number, line)) < before:
                starts.append(at)
            at, before = at + len(line), now
        if len(starts) > 1:
            self._rewrite(
                self._merge_pieces(starts, at, rank)
                if len(starts) <= MAX_SORTED_PIECES
                else self._sort_rows(at, rank)
            )

    def _merge_pieces(
        self, starts: Sequence[int], end: int, rank: Callable[[int, bytes], int]
    ) -> Iterator[bytes]:
        def piece(start: int, stop: int) -> Iterator[tuple[int, bytes]]:
            with self.path.open("rb") as file:
                file.seek(start)
                while start < stop:
                    line = file.readline()
                    start += len(line)
                    yield rank(0, line), line

        pieces = [piece(*ends) for ends in zip(starts, [*starts[1:], end], strict=True)]
        return (line for _, line in heapq.merge(*pieces))

    def _sort_rows(self, end: int, rank: Callable[[int, bytes], int]) -> Iterator[bytes]:
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
        replace_file(self.path, lines)


def _format_key(key: Key) -> str:
    name, index, scorer = key
    return f"{name}/{index}/{scorer}" if scorer else f"{name}/{index}"


def _remove_torn_line(path: Path) -> None:
    """Remove what follows the last newline: a line whose writing was interrupted."""
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
