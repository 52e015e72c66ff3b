"""A recording, indexed: eight bytes a sample stay in memory, texts are read when they are asked for.

Everything is read and checked once when the recording is opened, so that every mistake is reported with its place
before any work. What is no file of JSON lines (layouts.py), and a gzip file, is copied to a temporary file that has no
name, because it cannot be entered in the middle.
"""

import gzip
import hashlib
import json
import os
import shutil
import tempfile
import weakref
import zlib
from array import array
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from harness.backends.replay import layouts
from harness.backends.replay.layouts import UnnamedRow
from harness.backends.replay.rows import Row, RowReader
from harness.errors import DataError, unknown
from harness.files import parse_json
from harness.schema import Completion
from harness.schema.sample_index import MAX_SAMPLES

GZIP = b"\x1f\x8b"
PARTS = 20  # bits of an offset for the number of a completion within its line


@dataclass(frozen=True)
class RecordedSample:
    completion: Completion
    prompt_sha: str
    offset: int


@dataclass
class Recording:
    """Where each sample of each problem lies in the file behind `handle`: its line's offset, and which text in it.

    `unmatched` is a RecordedBackend's: rows of problems that are not in the run.
    """

    path: Path
    handle: int
    digest: str
    rows: RowReader
    samples: dict[str, "array[int]"] = field(default_factory=dict)
    unmatched: dict[str, tuple[str, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._close = weakref.finalize(self, os.close, self.handle)

    def close(self) -> None:
        self._close()

    def file(self) -> BinaryIO:
        """The file from its beginning; one reader at a time, and closing it is needless."""
        os.lseek(self.handle, 0, os.SEEK_SET)
        return os.fdopen(self.handle, "rb", closefd=False)

    def read(self, name: str, indices: Sequence[int]) -> Iterator[RecordedSample]:
        """The samples of a problem. Raises DataError when the file is not what it was."""
        file, last, row = self.file(), -1, Row(name, ())
        for index in indices:
            offset, part = divmod(self.samples[name][index], 1 << PARTS)
            if offset != last:
                file.seek(offset)
                last, row = offset, self._again(file.readline())
            if row.name != name or part >= len(row.completions):
                raise self._changed()
            yield RecordedSample(row.completions[part], row.prompt_sha, offset)

    def _again(self, line: bytes) -> Row:
        try:
            return self.rows.read(parse_json(line.decode().removeprefix("\ufeff"), ""), "")
        except (UnicodeDecodeError, DataError):
            raise self._changed() from None

    def _changed(self) -> DataError:
        return DataError(f"{self.path} was changed while it was read: run the same command again")

    def place(self, offset: int) -> str:
        """The line, which is counted only for the messages that need it."""
        file, number = self.file(), 1
        while offset > 0 and (block := file.read(min(offset, 1 << 20))):
            number += block.count(b"\n")
            offset -= len(block)
        return f"{self.path}:{number}"


def open_recording(
    path: Path, problem_ids: Sequence[str], *, field: str = "", strict: bool = False
) -> Recording:
    """Index and check the file or folder. `field` is backend.field; `strict`: rows of other ids are errors.

    Raises DataError naming the line.
    """
    rows = RowReader(field, problem_ids)
    with ExitStack() as stack:
        if path.is_dir():
            file: BinaryIO = stack.enter_context(tempfile.TemporaryFile())
            recording = Recording(path, os.dup(file.fileno()), "", rows)
            _index(recording, _copied(layouts.open_folder(path), recording, file, problem_ids), strict)
            file.seek(0)
            recording.digest = _sha256(file)
            return recording
        file = stack.enter_context(_decompressed(path))
        digest = _sha256(file)
        file.seek(0)
        other = layouts.open_rows(path, file)
        if other is None:
            recording = Recording(path, os.dup(file.fileno()), digest, rows)
            _index(recording, _lines(recording), strict)
            return recording
        copy = stack.enter_context(tempfile.TemporaryFile())
        recording = Recording(path, os.dup(copy.fileno()), digest, rows)
        _index(recording, _copied(other, recording, copy, problem_ids), strict)
        return recording


def _sha256(file: BinaryIO) -> str:
    return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]  # BinaryIO lacks readinto


@contextmanager
def _decompressed(path: Path) -> Iterator[BinaryIO]:
    with ExitStack() as stack:
        try:
            file: BinaryIO = stack.enter_context(path.open("rb"))
            packed = file.read(len(GZIP)) == GZIP or path.suffix == ".gz"
            file.seek(0)
            if packed:
                with gzip.open(file) as stream:
                    file = stack.enter_context(tempfile.TemporaryFile())
                    shutil.copyfileobj(stream, file, 1 << 16)
                file.seek(0)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise DataError(f"{path}: damaged gzip file ({error}); fetch it again") from None
        except OSError as error:
            raise DataError(f"{path}: cannot be read: {error.strerror}") from None
        yield file


# ---------------------------------------------------------------- the index


def _index(recording: Recording, rows: Iterator[tuple[str, int, Row]], strict: bool) -> None:
    known = recording.rows.problem_ids
    for place, offset, row in rows:
        if row.name not in known:
            if strict:
                raise DataError(f"{place}: {unknown('problem', row.name, known)}")
            first, count = recording.unmatched.get(row.name, (place, 0))
            recording.unmatched[row.name] = first, count + len(row.completions)
            continue
        of_one = recording.samples.setdefault(row.name, array("q"))
        if row.prompt_sha:
            _own_index(of_one, row, offset, place)
        else:
            of_one.extend(offset << PARTS | part for part in range(len(row.completions)))
    for name in [name for name, of_one in recording.samples.items() if not of_one]:
        del recording.samples[name]
    for name, of_one in recording.samples.items():
        if (missing := next((i for i, at in enumerate(of_one) if at < 0), None)) is not None:
            raise DataError(
                f"{recording.path}: {name} has no sample {missing}, but one with index {len(of_one) - 1}"
            )


def _own_index(of_one: "array[int]", row: Row, offset: int, place: str) -> None:
    """This project's own rows say which sample they are, in any order of the lines."""
    index = row.index
    if type(index) is not int or not 0 <= index < MAX_SAMPLES or (index < len(of_one) and of_one[index] >= 0):
        raise DataError(f"{place}: {row.name} has sample index {index!r} twice or not as a number from 0 on")
    of_one.extend([-1] * (index + 1 - len(of_one)))
    of_one[index] = offset << PARTS


def _lines(recording: Recording) -> Iterator[tuple[str, int, Row]]:
    """(place, offset, row) of each line that is not blank."""
    offset = 0
    for number, line in enumerate(recording.file(), 1):
        place = f"{recording.path}:{number}"
        try:
            text = line.decode()
        except UnicodeDecodeError as error:
            at = offset + error.start
            raise DataError(f"{place}: not UTF-8 ({error.reason} at byte {at})") from None
        text = text.removeprefix("\ufeff") if number == 1 else text
        if text.strip():
            yield place, offset, recording.rows.read(parse_json(text.rstrip("\n"), place), place)
        offset += len(line)


def _copied(
    rows: layouts.Rows, recording: Recording, copy: BinaryIO, problem_ids: Sequence[str]
) -> Iterator[tuple[str, int, Row]]:
    """The same of another layout, whose rows are written to `copy` with the ids that they stand for."""
    of_folder = {name.replace("/", "_"): name for name in problem_ids}
    offset, position, place, beyond = 0, 0, "", 0
    for place, row in rows:
        if isinstance(row, UnnamedRow):
            position = row.position
            if position > len(problem_ids):
                beyond += 1
                continue
            of_position = problem_ids[position - 1] if position else ""
            name = of_position or of_folder.get(row.folder, row.folder.replace("_", "/"))
            row = {"task_id": name, "solution": row.solution}
        read = recording.rows.read(row, place)
        size = copy.write(json.dumps(row).encode() + b"\n")
        yield place, offset, read
        offset += size
    copy.flush()
    if 0 < position < len(problem_ids):
        raise DataError(
            f"{recording.path}: {position} rows without ids for {len(problem_ids)} problems; there must be one for"
            f" each, in task order. If they were made for the first {position}, give --limit {position}"
        )
    if beyond:
        recording.unmatched[str(position)] = place, beyond
