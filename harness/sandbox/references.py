"""What the reference of tests says to their inputs, kept between runs: the tester computes it, the controller keeps it.

Tests that compare with a reference on hundreds of inputs (EvalPlus') compute it anew in each run, which takes as long
as judging an answer. Kept are the right values and each call's limit of time, by the text of the tests and the judge:
this package's own text, Python's version, the packages in sight, the processor. A run takes the limits that were
measured when the values were made, as EvalPlus does.

A tester computes them from the tests alone, before it looks at anything that a program has said, and hands them to the
controller; programs see neither this file nor the socket. Who can write the file can forge verdicts: it has to be its
owner's alone, and without isolation, where programs could write it, there is none.
"""

import base64
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from harness import __version__
from harness.environment import hardware
from harness.files.cache_file import LAYOUT, CacheFile, canonical
from harness.sandbox.python.spelled_inputs import MAX_KEPT_BYTES
from harness.sandbox.verdict_cache import source_digest

MAX_BYTES = 256 << 20


def identity(version: str, packages: Mapping[str, str]) -> dict[str, Any]:
    """Of who computes: Python's version, and the packages that tests may import."""
    return {
        "layout": LAYOUT,
        "harness": __version__,
        "source": source_digest(),
        "language": "python",
        "version": version,
        "packages": dict(packages),
        "machine": hardware()["machine"],
        "processor": _processor(),
    }


class ReferenceCache:
    """`identity`: what `identity` says. Close it: what was added last is written then."""

    def __init__(
        self,
        file: Path,
        identity: Mapping[str, Any],
        warn: Callable[[str], None],
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._identity = canonical(identity)
        self._file = CacheFile(file, "cache of references", warn, max_bytes, private=True)

    def close(self) -> None:
        self._file.__exit__()

    def find(self, tests: bytes) -> bytes:
        """What was kept for the tests of this digest (spelled_inputs.digest_of); empty where nothing was."""
        text = self._file.find(self._key(tests))
        if text is None:
            return b""
        try:
            opened = zlib.decompressobj()
            return opened.decompress(base64.b64decode(text, validate=True), MAX_KEPT_BYTES)
        except (ValueError, zlib.error) as error:  # not what this version writes
            self._file.disable(error)
            return b""

    def add(self, tests: bytes, values: bytes) -> None:
        text = base64.b64encode(zlib.compress(values, 1)).decode()
        self._file.add(self._identity, self._key(tests), text)

    def _key(self, tests: bytes) -> bytes:
        import hashlib

        return hashlib.sha256(self._identity.encode() + tests).digest()


def _processor() -> str:
    """Its name: on another, calls take another time."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), "")
    except OSError:
        return ""
