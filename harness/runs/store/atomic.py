"""Files replaced as a whole or not at all, and disk errors turned into faults that name the file."""

import errno
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from harness.errors import StoreFault

DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def write_atomic(path: Path, text: str) -> None:
    """Write all of `text` or nothing: a temporary file in the same folder, fsync, rename. Raises StoreFault."""
    replace_file(path, [text.encode()])


def replace_file(path: Path, blocks: Iterable[bytes]) -> None:
    """`write_atomic` for bytes that are too many to hold."""
    with replacing(path) as file:
        file.writelines(blocks)


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file to write to, which takes the place of `path` when all of it is written. Raises StoreFault."""
    temporary = path.with_name(f".{path.name}.tmp")
    with disk_errors_as_faults(path):
        try:
            with temporary.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)  # on a full disk it takes up space that is needed elsewhere
            raise
        _sync_folder(path.parent)


def to_json(plain: Any) -> str:
    return json.dumps(plain, indent=2, ensure_ascii=False) + "\n"


@contextmanager
def disk_errors_as_faults(path: Path) -> Iterator[None]:
    """A full or read-only disk is a StoreFault that names the file, not a traceback."""
    try:
        yield
    except OSError as error:
        hint = ": make space, then rerun to resume" if error.errno in DISK_FULL else ""
        raise StoreFault(f"{path}: cannot be written: {error.strerror}{hint}") from None


def make_folder(path: Path) -> None:
    """The folder with those it lies in, if it is not there. Raises StoreFault, also where a file has its name."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreFault(f"{path}: the folder cannot be made: {error.strerror}") from None


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
