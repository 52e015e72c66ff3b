"""Text files as their bytes are: gzip, UTF-8, lines, JSON; and the files that the package ships.

Every complaint is a DataError that names the file and the line. Nothing here knows what a row means.
"""

import gzip
import json
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.errors import DataError

MOST_UNPACKED = 2**30  # bytes: a few megabytes can unpack to more than any memory
TOO_LARGE = "unpacks to more than 1 GiB: give the file unpacked, or in parts"


def packaged(name: str) -> Path:
    """A file or folder that lies in the package, as `tasks/mini` does."""
    return Path(__file__).resolve().parent.parent / name


def read(path: Path) -> bytes:
    try:
        if path.suffix != ".gz":
            return path.read_bytes()
        with gzip.open(path) as file:
            blob = file.read(MOST_UNPACKED + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path}: damaged gzip file ({error}); fetch it again") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    if len(blob) > MOST_UNPACKED:
        raise DataError(f"{path}: {TOO_LARGE}")
    return blob


def decode(blob: bytes, path: Path) -> str:
    """The text of a UTF-8 file, without the byte-order mark that some editors put before it."""
    try:
        return blob.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = blob.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path}:{line}: not UTF-8 ({error.reason} at byte {error.start})") from None


def lines(text: str) -> Iterator[tuple[int, str]]:
    """(number from 1, line) of every line that is not blank.

    str.splitlines would also split at U+2028 and others, which JSON allows inside strings.
    """
    return ((number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip())


def parse_json(text: str, place: str) -> Any:
    """json.loads with integers of any size and errors that name the place."""
    limit = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        at = f"{place}:{error.lineno}" if "\n" in text else place
        raise DataError(f"{at}: malformed JSON: {error.msg} at column {error.colno}") from None
    except RecursionError:
        raise DataError(f"{place}: malformed JSON: nested too deeply") from None
    finally:
        sys.set_int_max_str_digits(limit)
