"""A JSON list or object too large to hold: its elements one by one, each with the line it begins on. Two blocks of text
and one element are in memory at a time. What the elements mean is for others.
"""

import codecs
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from harness.errors import DataError

BLOCK = 1 << 16
BLANKS = " \t\r\n"
MARGIN = 16  # characters at the end in which a value may look wrong only because the rest is not read yet


def elements(path: Path, file: BinaryIO) -> Iterator[tuple[int, Any]]:
    """(line, value) of each element of the list in `file`. Raises DataError naming the line."""
    text = _Text(path, file)
    for line, _, value in _parts(text, "[", "]"):
        yield line, value
    text.end()


def members(path: Path, file: BinaryIO, *, only_first: bool = False) -> Iterator[tuple[int, str, Any]]:
    """(line, name, value) of each member of the object in `file`. Raises DataError naming the line, and for what
    follows the object unless `only_first`."""
    text = _Text(path, file)
    yield from _parts(text, "{", "}")
    if not only_first:
        text.end()


class _Text:
    """The file's text from `at` on, refilled block by block; `line` is the line of `at`."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.path, self.text, self.at, self.line = path, "", 0, 1
        self._file, self._decoder = file, codecs.getincrementaldecoder("utf-8-sig")()

    def more(self) -> bool:
        """Drop what was read and append as much as there is, at least a block. False at the end of the file."""
        blob = self._file.read(max(BLOCK, len(self.text) - self.at))
        try:
            new = self._decoder.decode(blob, final=not blob)
        except UnicodeDecodeError as error:
            line = self.line + self.text.count("\n", self.at) + error.object.count(b"\n", 0, error.start)
            raise DataError(f"{self.path}:{line}: not UTF-8 ({error.reason})") from None
        self.text, self.at = self.text[self.at :] + new, 0
        return bool(blob)

    def move(self, to: int) -> None:
        self.line += self.text.count("\n", self.at, to)
        self.at = to

    def next(self) -> str:
        """The next character that is no blank; "" at the end of the file."""
        while True:
            end = len(self.text)
            to = next((i for i in range(self.at, end) if self.text[i] not in BLANKS), end)
            self.move(to)
            if to < end:
                return self.text[to]
            if not self.more():
                return ""

    def take(self, wanted: str) -> str:
        """The next character, which must be one of `wanted`, and step over it."""
        found = self.next()
        if not found or found not in wanted:
            there = repr(found) if found else "the end of the file"
            raise DataError(
                f"{self.path}:{self.line}: malformed JSON: expected {' or '.join(wanted)}, got {there}"
            )
        self.move(self.at + 1)
        return found

    def value(self) -> Any:
        """The next value, and step over it."""
        self.next()
        while True:
            try:
                value, end = json.JSONDecoder().raw_decode(self.text, self.at)
            except json.JSONDecodeError as error:
                line = self.line + self.text.count("\n", self.at, error.pos)
                unfinished = error.msg.startswith("Unterminated") or error.pos > len(self.text) - MARGIN
                if not unfinished or not self.more():
                    raise DataError(f"{self.path}:{line}: malformed JSON: {error.msg}") from None
            except RecursionError:
                raise DataError(f"{self.path}:{self.line}: malformed JSON: nested too deeply") from None
            else:
                if end < len(self.text) or not self.more():  # a number may go on in the next block
                    self.move(end)
                    return value

    def end(self) -> None:
        if self.next():
            raise DataError(f"{self.path}:{self.line}: malformed JSON: more behind the end")


def _parts(text: _Text, opens: str, closes: str) -> Iterator[tuple[int, str, Any]]:
    text.take(opens)
    if text.next() == closes:
        text.take(closes)
    else:
        after = ","
        while after == ",":
            name = ""
            if closes == "}":
                if text.next() != '"':
                    text.take('"')
                name = text.value()
                text.take(":")
            text.next()
            line = text.line
            with _integers_of_any_size():
                value = text.value()
            yield line, name, value
            after = text.take("," + closes)


@contextmanager
def _integers_of_any_size() -> Iterator[None]:
    limit = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    try:
        yield
    finally:
        sys.set_int_max_str_digits(limit)
