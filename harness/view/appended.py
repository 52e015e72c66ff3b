"""A file of rows that another process appends to, read from where the last look ended.

A torn last line waits until it is whole. A file that was replaced (a stage's end puts its rows in order) is read
again from the start.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic_core import from_json

BLOCK = 1 << 20  # bytes that are read at a time, so that memory does not grow with the file
SEEN = 64  # bytes before the offset that must still be there


@dataclass(frozen=True)
class AppendedBlock:
    """(offset, line) of each whole line; `anew`: from the start, what was read before is void; `last`: no more now."""

    lines: Sequence[tuple[int, bytes]]
    anew: bool
    last: bool


@dataclass
class AppendedRows:
    path: Path
    offset: int = 0
    size: int = 0  # of the file at the last look
    _inode: int = 0
    _seen: bytes = field(default=b"", repr=False)

    def read(self) -> AppendedBlock:
        """The next lines. Raises OSError for a file that cannot be read; one that is not there has none."""
        try:
            file = self.path.open("rb")
        except FileNotFoundError:
            anew, self.size = self.offset > 0, 0
            self.restart()
            return AppendedBlock((), anew, True)
        with file:
            status = os.fstat(file.fileno())
            self.size = status.st_size
            file.seek(max(0, self.offset - len(self._seen)))
            anew = bool(self.offset) and (
                status.st_ino != self._inode or file.read(len(self._seen)) != self._seen
            )
            if anew:
                self.restart()
            self._inode = status.st_ino
            file.seek(began := self.offset)
            lines = list[tuple[int, bytes]]()
            while self.offset - began < BLOCK:
                line = file.readline()
                if not line.endswith(b"\n"):
                    return AppendedBlock(lines, anew, True)
                lines.append((self.offset, line))
                self.offset += len(line)
                self._seen = line[-SEEN:]
            return AppendedBlock(lines, anew, False)

    def size_now(self) -> int:
        try:
            return self.path.stat().st_size
        except OSError:
            return 0

    def restart(self) -> None:
        """Have everything read again."""
        self.offset, self._inode, self._seen = 0, 0, b""


def parse(line: bytes) -> dict[str, Any]:
    """The row in a line; an empty one where there is none."""
    try:
        row = from_json(line)
    except ValueError:
        try:
            row = json.loads(line)  # takes half a surrogate pair too
        except ValueError:
            return {}
    return row if isinstance(row, dict) else {}


def line_at(path: Path, offset: int) -> bytes:
    """The line that begins there."""
    with path.open("rb") as file:
        file.seek(offset)
        return file.readline()
