"""Files of recorded completions that are no JSON lines, as rows: lists, objects, folders, and one query a line.

    open_rows(path, file) -> (place, row), ...     detected from the content; None for JSON lines

Rows are what rows.py reads. Where they have no id, their place in task order or the name of their folder stands for it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from harness.backends.replay import json_stream
from harness.backends.replay.rows import IDS, IMPORT
from harness.errors import DataError
from harness.files import decode, parse_json, read

ZIP = b"PK\x03\x04"
BOM = b"\xef\xbb\xbf"
MULTIPL_E = re.compile(r"(?<!\.results)\.json(\.gz)?$")
BIRD_MARK = "\t----- bird -----\t"


@dataclass(frozen=True)
class UnnamedRow:
    """`position` counts from 1 in task order; 0 if there is a `folder`, named for the id with "_" for each "/"."""

    solution: str | list[str]
    position: int = 0
    folder: str = ""


Rows = Iterator[tuple[str, Any]]  # (place, a row or an UnnamedRow)


def open_rows(path: Path, file: BinaryIO) -> Rows | None:
    """The rows of a file, None if it holds JSON lines (or is damaged, which whoever reads lines will tell)."""
    head = file.read(json_stream.BLOCK)
    start = head.removeprefix(BOM).lstrip()[:1]
    file.seek(0)
    if head.startswith(ZIP):
        raise DataError(f"{path}: an archive, as Inspect writes it; {IMPORT}")
    if start == b"[":
        return _list(path, file)
    if start not in (b"", b"{"):
        return _queries(path, file)
    try:
        kind = _kind_of_object(path, file)
    except DataError:
        kind = "lines"
    file.seek(0)
    readers = {"bird": _bird, "lists": _lists_by_id, "wikisql": _queries}
    return readers[kind](path, file) if kind in readers else None


def _kind_of_object(path: Path, file: BinaryIO) -> str:
    """What the first object of the file is: a row with an id, a query of WikiSQL, or all completions by id."""
    numbers = lists = True
    for count, (_, name, value) in enumerate(json_stream.members(path, file, only_first=True)):
        if name in IDS or name == "doc":
            return "lines"
        if count == 0 and name in ("query", "error"):
            return "wikisql"
        numbers = numbers and name.isdecimal() and isinstance(value, str)
        lists = lists and isinstance(value, list)
    return "bird" if numbers else "lists" if lists else "lines"


def _list(path: Path, file: BinaryIO) -> Rows:
    """Rows, or in task order the list of each problem's programs (bigcode-evaluation-harness)."""
    rows = False
    for number, (line, value) in enumerate(json_stream.elements(path, file), 1):
        rows = rows or (number == 1 and isinstance(value, dict))
        if rows:
            yield f"{path}:{line}, row {number}", value
        elif isinstance(value, list) and all(isinstance(text, str) for text in value):
            yield f"{path}:{line}, list {number}", UnnamedRow(value, number)
        else:
            raise DataError(f"{path}:{line}, list {number}: expected a list of texts")


def _lists_by_id(path: Path, file: BinaryIO) -> Rows:
    """{ID: [TEXT, ...], ...}: CRUXEval's way."""
    for line, name, value in json_stream.members(path, file):
        yield f"{path}:{line}, {name}", {"task_id": name, "text": value}


def _bird(path: Path, file: BinaryIO) -> Rows:
    for number, (line, name, value) in enumerate(json_stream.members(path, file), 1):
        yield f"{path}:{line}, {name}", UnnamedRow(str(value).split(BIRD_MARK)[0], number)


def _queries(path: Path, file: BinaryIO) -> Rows:
    """One query a line; of Spider's what stands before a tab, of WikiSQL's the whole JSON."""
    count = 0
    for number, line in enumerate(file, 1):
        try:
            text = line.decode().removeprefix("\ufeff").strip()
        except UnicodeDecodeError as error:
            raise DataError(f"{path}:{number}: not UTF-8 ({error.reason})") from None
        if text:
            count += 1
            query = text if text.startswith("{") else text.split("\t")[0]
            yield f"{path}:{number}", UnnamedRow(query, count)


# ---------------------------------------------------------------- folders


def open_folder(path: Path) -> Rows:
    """EvalPlus' samples: ID_WITH_UNDERSCORES/0.py, 1.py, ...; or MultiPL-E's files, one a problem."""
    inside = sorted(path.iterdir())
    folders = [each for each in inside if each.is_dir() and any(each.glob("*.py"))]
    files = [each for each in inside if MULTIPL_E.search(each.name)]
    if bool(folders) == bool(files):
        raise DataError(
            f"no completions file {str(path)!r}, but a folder: it must hold either a folder of numbered programs for"
            " each problem (EvalPlus) or a JSON file for each (MultiPL-E)"
        )
    return _programs(folders) if folders else _objects(files)


def _programs(folders: list[Path]) -> Rows:
    for folder in folders:
        files = list(folder.glob("*.py"))
        for file in files:
            if not file.stem.isdecimal():
                raise DataError(f"{file}: expected numbered programs, 0.py, 1.py, ...")
        for file in sorted(files, key=lambda each: int(each.stem)):
            yield str(file), UnnamedRow(decode(file.read_bytes(), file), folder=folder.name)


def _objects(files: list[Path]) -> Rows:
    for file in files:
        yield str(file), parse_json(decode(read(file), file), str(file))
