"""A file of recorded completions, indexed: eight bytes a sample stay in memory, texts are read when they are asked for.

The format is detected from the content (the package lists them). Everything is read and checked once when the file is
opened, so that every mistake is reported with its line before any work. A gzip file is unpacked to a
temporary file that has no name, and lists are copied to one, because neither can be entered in the middle.
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
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from io import TextIOWrapper
from pathlib import Path
from typing import Any, BinaryIO

from pydantic import ValidationError

from harness.errors import DataError, unknown
from harness.files import decode, lines, parse_json
from harness.schema import Completion, Form
from harness.schema.sample_index import MAX_SAMPLES

FORMS: Mapping[str, Form] = {
    "completion": "continuation",
    "generation": "continuation",
    "solution": "program",
    "text": "output",
}
BOM = b"\xef\xbb\xbf"
PARTS = 20  # bits of an offset for the number of a response within its line (lm-evaluation-harness)


@dataclass(frozen=True)
class RecordedSample:
    completion: Completion
    prompt_sha: str
    offset: int


@dataclass
class Recording:
    """Where each sample of each problem lies in the file behind `handle`: its line's offset, and which response of it.

    `unmatched` are rows of problems that are not in the run: their first place and their number, by id.
    """

    path: Path
    handle: int
    digest: str
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
        file, last, responses = self.file(), -1, list[dict[str, Any]]()
        for index in indices:
            offset, part = divmod(self.samples[name][index], 1 << PARTS)
            if offset != last:
                file.seek(offset)
                last, responses = offset, [row for _, row in _responses(self._again(file.readline()), "")]
            if (
                not 0 <= part < len(responses)
                or responses[part].get("task_id", responses[part].get("problem_id", name)) != name
            ):
                raise self._changed()
            row = responses[part]
            yield RecordedSample(_completion(row, str(self.path)), str(row.get("prompt_sha", "")), offset)

    def _again(self, line: bytes) -> dict[str, Any]:
        try:
            row = parse_json(line.decode().removeprefix("\ufeff"), "")
        except (UnicodeDecodeError, DataError):
            raise self._changed() from None
        if not isinstance(row, dict):
            raise self._changed()
        return row

    def _changed(self) -> DataError:
        return DataError(f"{self.path} was changed while it was read: run the same command again")

    def place(self, offset: int) -> str:
        """The line, which is counted only for the messages that need it."""
        file, number = self.file(), 1
        while offset > 0 and (block := file.read(min(offset, 1 << 20))):
            number += block.count(b"\n")
            offset -= len(block)
        return f"{self.path}:{number}"


def open_recording(path: Path, problem_ids: Sequence[str], *, strict: bool = False) -> Recording:
    """Index and check the file. `strict`: rows of other ids are errors. Raises DataError naming the line."""
    with _decompressed(path) as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]  # BinaryIO lacks readinto
        file.seek(0)
        start = file.read(1 << 16).removeprefix(BOM).lstrip()[:1]
        file.seek(0)
        if start == b"[":
            return _of_lists(path, digest, file, problem_ids)
        if (official := _official(path, file, start)) is not None:
            return _in_order(path, digest, official, problem_ids)
        recording = Recording(path, os.dup(file.fileno()), digest)
        _index(recording, problem_ids, strict)
        return recording


@contextmanager
def _decompressed(path: Path) -> Iterator[BinaryIO]:
    with ExitStack() as stack:
        try:
            file: Any = stack.enter_context(path.open("rb"))
            if path.suffix == ".gz":
                file = stack.enter_context(tempfile.TemporaryFile())
                with gzip.open(path) as packed:
                    shutil.copyfileobj(packed, file, 1 << 16)
                file.seek(0)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise DataError(f"{path}: damaged gzip file ({error}); fetch it again") from None
        except OSError as error:
            raise DataError(f"{path}: cannot be read: {error.strerror}") from None
        yield file


# ---------------------------------------------------------------- rows


def _index(recording: Recording, problem_ids: Sequence[str], strict: bool) -> None:
    known, path = set(problem_ids), recording.path
    for place, at, row in _rows(recording):
        name = _id(row, place)
        if name not in known:
            if strict:
                raise DataError(f"{place}: {unknown('problem', name, problem_ids)}")
            _completion(row, place)
            first, count = recording.unmatched.get(name, (place, 0))
            recording.unmatched[name] = first, count + 1
            continue
        of_one = recording.samples.setdefault(name, array("q"))
        index = row.get("index", len(of_one)) if "prompt_sha" in row else len(of_one)
        if (
            type(index) is not int
            or not 0 <= index < MAX_SAMPLES
            or (index < len(of_one) and of_one[index] >= 0)
        ):
            raise DataError(f"{place}: {name} has sample index {index!r} twice or not as a number from 0 on")
        _completion(row, place)
        of_one.extend([-1] * (index + 1 - len(of_one)))
        of_one[index] = at
    for name, of_one in recording.samples.items():
        if (missing := next((i for i, at in enumerate(of_one) if at < 0), None)) is not None:
            raise DataError(f"{path}: {name} has no sample {missing}, but one with index {len(of_one) - 1}")


def _rows(recording: Recording) -> Iterator[tuple[str, int, dict[str, Any]]]:
    """(place, offset and part, row) of each response of each line that is not blank."""
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
            row = parse_json(text.rstrip("\n"), place)
            if not isinstance(row, dict):
                raise DataError(f"{place}: expected an object, got {type(row).__name__}")
            for part, response in _responses(row, place):
                yield place, offset << PARTS | part, response
        offset += len(line)


def _responses(row: dict[str, Any], place: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """The row, or a row for each response of a line of lm-evaluation-harness."""
    if not ("resps" in row and "doc" in row):
        yield 0, row
        return
    doc, responses = row["doc"], row["resps"]
    if not isinstance(doc, dict) or not isinstance(responses, list):
        raise DataError(
            f"{place}: 'doc' must be an object and 'resps' a list, as lm-evaluation-harness has them"
        )
    named = {key: doc[key] for key in ("task_id", "problem_id") if key in doc}
    responses = (text for each in responses for text in (each if isinstance(each, list) else [each]))
    for part, text in enumerate(responses):
        yield part, {**named, "text": text}


def _id(row: Mapping[str, Any], place: str) -> str:
    name = row.get("task_id", row.get("problem_id"))
    if not isinstance(name, str):
        raise DataError(f"{place}: expected 'task_id' or 'problem_id' with a text, the row has {_keys(row)}")
    return name


def _keys(row: Mapping[str, Any]) -> str:
    return ", ".join(sorted(map(repr, row))) or "nothing"


def _completion(row: Mapping[str, Any], place: str) -> Completion:
    value = row.get("completion")
    if isinstance(value, dict):
        try:
            return Completion.model_validate(value)
        except ValidationError as error:
            first = error.errors()[0]
            raise DataError(f"{place}: completion.{first['loc'][0]}: {first['msg'].lower()}") from None
    for key, form in FORMS.items():
        if key in row:
            if not isinstance(row[key], str):
                raise DataError(f"{place}: {key!r} must be a text, got {type(row[key]).__name__}")
            return Completion(text=row[key], form=form)
    raise DataError(f"{place}: expected 'completion', 'solution' or 'text', the row has {_keys(row)}")


# ---------------------------------------------------------------- a list of lists of programs


def _of_lists(path: Path, digest: str, file: BinaryIO, problem_ids: Sequence[str]) -> Recording:
    """The programs as rows in a temporary file."""
    samples, number, at, wrong = dict[str, "array[int]"](), 0, 0, 0
    with tempfile.TemporaryFile() as rows:
        for number, texts in enumerate(_elements(path, file), 1):
            if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
                wrong = wrong or number  # reported once the rest is known to be a list at all
            if wrong or number > len(problem_ids) or not texts:
                continue
            of_one = samples[problem_ids[number - 1]] = array("q")
            for text in texts:
                of_one.append(at << PARTS)
                at += rows.write(json.dumps({"solution": text}).encode() + b"\n")
        if wrong:
            raise DataError(f"{path}, list {wrong}: expected a list of texts")
        if number != len(problem_ids):
            raise DataError(
                f"{path}: {number} lists for {len(problem_ids)} problems; one a problem, in task order"
            )
        rows.flush()
        return Recording(path, os.dup(rows.fileno()), digest, samples)


def _elements(path: Path, file: BinaryIO) -> Iterator[Any]:
    """The elements of a JSON list one by one. What cannot be read so is read whole, for its value or its complaint."""
    stream, count = TextIOWrapper(file, encoding="utf-8-sig", newline=""), 0
    try:
        text = stream.read(1 << 16).lstrip()[1:]
        while not (text := text.lstrip()).startswith("]"):
            try:
                value, behind = _element(text, first=not count)
            except ValueError:
                if not (more := stream.read(max(1 << 16, len(text)))):
                    raise
                text += more
            else:
                yield value
                text, count = behind, count + 1
        if (text[1:] + stream.read()).strip():
            raise ValueError("more behind the list")
    except (ValueError, RecursionError):
        stream.seek(0)
        yield from parse_json(decode(stream.buffer.read(), path), str(path))[count:]
    finally:
        stream.detach()


def _element(text: str, *, first: bool) -> tuple[Any, str]:
    """The next value and what follows it. Raises ValueError when the text ends before, or is none."""
    if not first:
        if not text.startswith(","):
            raise ValueError("no comma")
        text = text[1:].lstrip()
    value, end = json.JSONDecoder().raw_decode(text)
    return value, text[end:]


# ---------------------------------------------------------------- formats of text-to-SQL's official evaluators

BIRD_MARK = "\t----- bird -----\t"


def _official(path: Path, file: BinaryIO, start: bytes) -> list[tuple[str, str]] | None:
    """(place, query) in the file's order, if it is in one of those formats: one query a problem."""

    def text() -> str:
        file.seek(0)
        return decode(file.read(), path)

    if start not in (b"", b"{"):
        stripped = ((number, line.strip()) for number, line in lines(text()))
        return [(f"{path}:{number}", line.split("\t")[0]) for number, line in stripped]
    first = next((line for line in file if line.removeprefix(BOM).strip()), b"")
    row = _object(first.removeprefix(BOM))
    if row is None or (row and all(key.isdecimal() for key in row)):
        row = _object(text().encode())
        if row and all(key.isdecimal() for key in row):
            return [(f"{path}, {key}", str(value).split(BIRD_MARK)[0]) for key, value in row.items()]
    elif {"query", "error"} & set(row) and not {"task_id", "problem_id"} & set(row):
        return [(f"{path}:{number}", line) for number, line in lines(text())]
    return None


def _object(text: bytes) -> Mapping[str, Any] | None:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _in_order(
    path: Path, digest: str, queries: Sequence[tuple[str, str]], problem_ids: Sequence[str]
) -> Recording:
    if len(queries) != len(problem_ids):
        raise DataError(
            f"{path}: not JSON with ids, so one query a line: {len(queries)} queries for {len(problem_ids)}"
            " problems; there must be one for each, in their order"
        )
    samples, at = dict[str, "array[int]"](), 0
    with tempfile.TemporaryFile() as rows:
        for name, (_, query) in zip(problem_ids, queries, strict=True):
            samples[name] = array("q", [at << PARTS])
            at += rows.write(json.dumps({"solution": query}).encode() + b"\n")
        rows.flush()
        return Recording(path, os.dup(rows.fileno()), digest, samples)
