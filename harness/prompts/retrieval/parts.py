"""The vectors of an index, written part by part: a build that is killed goes on where it was.

A folder `.KEY.building` holds `vectors.npy`, as far as it got, and `parts.jsonl`, a line [rows, SHA-256] for each part
that is on the disk. Whoever holds the key's lock may go on with it. What nobody came back to is removed after a week.
"""

import hashlib
import io
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from harness.errors import StoreFault

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]
    Blocks = Callable[[int], Iterable[Vectors]]  # the vectors from a row on

VECTORS, PARTS = "vectors.npy", "parts.jsonl"
FLOAT32_BYTES = 4
KEPT_S = 7 * 24 * 3600.0
LEFT_OVER = re.compile(r"\.([0-9a-f]+)\.(?:building|[0-9]+)")  # a number: of versions that could not go on


@dataclass(frozen=True)
class IndexShape:
    rows: int
    dimension: int


def building_folder(index: Path) -> Path:
    return index.with_name(f".{index.name}.building")


def write_vectors(folder: Path, shape: IndexShape, blocks: "Blocks") -> None:
    """Fill the folder's `vectors.npy`; `blocks` is asked for the rows that are not there yet. Raises StoreFault.

    The list of parts is the caller's to remove, once nothing is left to be killed in.
    """
    folder.mkdir(exist_ok=True)
    for name in (VECTORS, PARTS):
        (folder / name).touch()
    with (folder / VECTORS).open("r+b") as vectors, (folder / PARTS).open("r+b") as parts:
        rows = _continue(vectors, parts, shape)
        for block in blocks(rows) if rows < shape.rows else ():
            data = block.astype("<f4").tobytes()
            _append(vectors, data)
            _append(parts, json.dumps([len(block), hashlib.sha256(data).hexdigest()]).encode() + b"\n")
            rows += len(block)
    if rows != shape.rows:
        shutil.rmtree(folder)
        raise StoreFault(f"{rows} vectors for {shape.rows} texts")


def _append(file: IO[bytes], data: bytes) -> None:
    file.write(data)
    file.flush()
    os.fsync(file.fileno())


def _continue(vectors: IO[bytes], parts: IO[bytes], shape: IndexShape) -> int:
    """Leave both files with the whole parts only, positioned behind them; the number of rows that are there."""
    header = _header(shape)
    rows, listed = 0, 0
    if vectors.read(len(header)) == header:
        for count, line in _whole_parts(vectors, parts, FLOAT32_BYTES * shape.dimension):
            rows, listed = rows + count, listed + len(line)
    for file, size in ((parts, listed), (vectors, len(header) + rows * FLOAT32_BYTES * shape.dimension)):
        file.seek(0)
        if file is vectors:
            file.write(header)
        file.truncate(size)
        file.seek(size)
    return rows


def _header(shape: IndexShape) -> bytes:
    from numpy.lib import format as npy

    buffer = io.BytesIO()
    npy.write_array_header_1_0(
        buffer, {"descr": "<f4", "fortran_order": False, "shape": (shape.rows, shape.dimension)}
    )
    return buffer.getvalue()


def _whole_parts(vectors: IO[bytes], parts: IO[bytes], row_bytes: int) -> Iterator[tuple[int, bytes]]:
    """The rows of each part, and its line, up to the first that is torn or has other content."""
    for line in parts:
        try:
            count, sha = json.loads(line)
        except ValueError:
            return
        if hashlib.sha256(vectors.read(count * row_bytes)).hexdigest() != sha or not line.endswith(b"\n"):
            return
        yield count, line


def remove_left_over(cache: Path) -> None:
    """Folders of builds that were killed and that nobody went on with for a week, or can go on with."""
    import filelock

    for folder in cache.glob(".*"):
        found = LEFT_OVER.fullmatch(folder.name)
        if not found or not folder.is_dir():
            continue
        try:
            newest = max(path.stat().st_mtime for path in (folder, *folder.iterdir()))
        except FileNotFoundError:  # another process has just finished or removed it
            continue
        if folder.name.endswith(".building") and time.time() - newest < KEPT_S:
            continue
        try:
            with filelock.FileLock(cache / f"{found[1]}.lock", timeout=0):
                shutil.rmtree(folder, ignore_errors=True)
        except filelock.Timeout:  # somebody is building it
            continue
