"""Databases that are made of posted SQL scripts, kept as long as a sample is judged by them.

__init__.py       which there are
build_script.py   the process that makes them
"""

import hashlib
import json
import select
import subprocess
import sys
import tempfile
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from harness.errors import Fault, UserError
from harness.schema import DatabaseFile
from harness.serve.databases import build_script

MAX_DATABASES = 64  # that are kept when nobody uses them, those used last
MAX_BYTES = MAX_DATABASES * build_script.MAX_PAGES * 4096  # of all, kept or used
BUILD_S = 5.0
PATIENCE_S = 15.0  # for the process that builds


@dataclass
class BuiltDatabase:
    """`users`: samples that it is read for now."""

    file: DatabaseFile
    size: int
    users: int = 0


class PostedDatabases:
    """The databases of scripts in use and of the last ones, in a folder of their own. Any threads may use it."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="harness-posted-")
        self._root = Path(self._folder.name) / "built"
        self._root.mkdir()
        for folder in (Path(self._folder.name), self._root):
            folder.chmod(0o755)  # the SQL worker may run under another identity
        self._made: OrderedDict[str, BuiltDatabase] = OrderedDict()
        self._builder: subprocess.Popen[bytes] | None = None
        self._lock = Lock()

    def close(self) -> None:
        self._end_builder()
        self._folder.cleanup()

    def take(self, script: str) -> DatabaseFile:
        """It stays until it is given back. Raises UserError in SQLite's words, Fault where too much is in use."""
        digest = hashlib.sha256(script.encode("utf-8", "surrogatepass")).hexdigest()
        with self._lock:
            if digest not in self._made:
                path = self._root / digest[:16] / "posted.sqlite"
                path.parent.mkdir(exist_ok=True)
                self._build(script, path)
                file = DatabaseFile(path=str(path), sha256=digest)
                self._made[digest] = BuiltDatabase(file, path.stat().st_size)
            self._made.move_to_end(digest)
            found = self._made[digest]
            found.users += 1
            self._drop_unused()
            if sum(each.size for each in self._made.values()) > MAX_BYTES:
                found.users -= 1
                raise Fault(f"posted databases of more than {MAX_BYTES >> 20} MB are in use: ask again")
            return found.file

    def give_back(self, file: DatabaseFile) -> None:
        with self._lock:
            self._made[file.sha256].users -= 1
            self._drop_unused()

    def _drop_unused(self) -> None:
        unused = [digest for digest, each in self._made.items() if not each.users]
        size = sum(each.size for each in self._made.values())
        for digest in unused:
            if len(self._made) <= MAX_DATABASES and size <= MAX_BYTES:
                return
            gone = self._made.pop(digest)
            size -= gone.size
            path = Path(gone.file.path)
            path.unlink()
            path.parent.rmdir()

    # ------------------------------------------------------------ the process that builds

    def _build(self, script: str, path: Path) -> None:
        """Raises UserError. In a process of its own: a script may try to use up memory, and SQLite is no sandbox."""
        if self._builder is None or self._builder.poll() is not None:
            self._end_builder()
            command = [sys.executable, "-I", build_script.__file__]
            self._builder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._builder.stdin is not None
        assert self._builder.stdout is not None
        error = "it took too much memory or time"
        try:
            asked = {"path": str(path), "script": script, "seconds": BUILD_S}
            self._builder.stdin.write(json.dumps(asked).encode() + b"\n")
            self._builder.stdin.flush()
            ready, _, _ = select.select([self._builder.stdout], [], [], PATIENCE_S)
            answer = self._builder.stdout.readline() if ready else b""
        except BrokenPipeError:
            answer = b""
        if answer:
            error = json.loads(answer)["error"]
        else:
            self._end_builder()
            path.unlink(missing_ok=True)
        if error:
            path.parent.rmdir()
            raise UserError(f"check.script: {error}")

    def _end_builder(self) -> None:
        if self._builder is not None:
            self._builder.kill()
            self._builder.communicate()
            self._builder = None
