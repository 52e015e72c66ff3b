"""Run folders at URLs (s3://, gs://, memory:// and whatever else fsspec knows), used through a local copy.

The rest of the project knows local paths only. A URL's files are downloaded before a command and uploaded at its end;
a folder that a run writes is uploaded all the while, so that another machine can resume from there. An object cannot
be appended to: while a run is at work its rows go up as numbered parts, listed by a manifest that is replaced as a
whole; with the summary the files get their own names and the parts are deleted. `file://` is a local path like any
other.

    run/generations.jsonl, ...          as in any run's folder, once it has its summary or its command has ended
    run/.parts/manifest.json            {file: [parts]}: while it exists, it stands for those files
    .writer.json                        who writes here, and a number that grows as long as it does

A URL has one writer at a time, recognised by that number changing and never by a clock. Shards take a URL each, and a
merge reads them all. What a killed run had not uploaded is made again.
"""

import json
import logging
import os
import secrets
import shutil
import tempfile
import threading
from collections.abc import Collection, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from time import monotonic, sleep
from types import TracebackType
from typing import Any

from harness.errors import HarnessError, StoreFault
from harness.runs.store.remote_folder import RemoteFolder, first_line

LOG = logging.getLogger(__name__)
UPLOAD_INTERVAL_S = 5.0
WRITER_TIMEOUT_S = 3 * UPLOAD_INTERVAL_S  # a writer whose number has not changed for so long is dead
MAX_PART_BYTES = 64 << 20
TRIES = 3
PARTS, MANIFEST, WRITER, SUMMARY = ".parts", "manifest.json", ".writer.json", "summary.json"

Fingerprint = tuple[int, int, int]  # inode, size, time of change


@dataclass
class UploadState:
    """How much of a local file is uploaded. `parts`: its names in the manifest, None where it has its own name.

    `fd` is the file, kept open while it goes up in parts: a file that replaces it then cannot have its inode.
    """

    fingerprint: Fingerprint
    size: int
    parts: list[str] | None = None
    fd: int = -1

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def is_file(self, path: Path) -> bool:
        """Whether `path` is still the file that is kept open."""
        return self.fd >= 0 and os.path.samestat(os.fstat(self.fd), path.stat())


def is_url(place: str) -> bool:
    """Whether a place is not on this machine: `file://` is a local path like any other."""
    return "://" in place and not place.startswith("file://")


class RemoteRuns:
    """The URLs of one command and their local copies. A context manager: leaving it uploads them."""

    def __init__(self) -> None:
        self._runs: list[RemoteRun] = []

    def local_path(self, place: str) -> Path:
        """The folder, downloaded where it is a URL. Raises ConfigError, StoreFault, MissingExtra."""
        return self._open(place, writes=False)

    def output_dir(self, place: str) -> Path:
        """The same for a folder that a run writes to; only one process at a time may."""
        return self._open(place, writes=True)

    def _open(self, place: str, *, writes: bool) -> Path:
        if not is_url(place):
            return Path(place.removeprefix("file://"))
        run = RemoteRun(place)
        self._runs.append(run)
        run.open(writes=writes)
        return run.local

    def display_path(self, text: str) -> str:
        """The text with the URL that the user gave in place of each local copy's path."""
        for run in self._runs:
            text = text.replace(str(run.local), run.url)
        return text

    def __enter__(self) -> "RemoteRuns":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with ExitStack() as stack:
            for run in self._runs:
                stack.callback(run.close)


class RemoteRun:
    """A URL's folder and its local copy."""

    def __init__(self, url: str) -> None:
        self.remote = RemoteFolder(url)
        self.url = self.remote.url
        self._temporary = Path(tempfile.mkdtemp(prefix="harness-"))
        self.local = self._temporary / (PurePosixPath(self.remote.root).name or "run")
        self.local.mkdir()
        self._uploaded: dict[Path, UploadState] = {}
        self._writer_id, self._counter = secrets.token_hex(4), 0
        self._writes = self._downloaded = False
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def open(self, *, writes: bool) -> None:
        try:
            if writes:
                self._become_writer()
            self._download()
        except HarnessError:
            raise
        except Exception as error:  # noqa: BLE001  each file system has its own kinds
            raise StoreFault(f"{self.url}: cannot be read: {first_line(error)}") from None
        self._downloaded = True
        if writes:
            self._thread = threading.Thread(target=self._upload_regularly, daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Upload what changed. Raises StoreFault, and keeps the local copy, when that fails."""
        if self._thread is not None:
            self._stop.set()
            self._thread.join()
        for left in reversed(range(TRIES)):
            try:
                self._finish()
                break
            except StoreFault:
                raise
            except Exception as error:  # noqa: BLE001  each file system has its own kinds
                if not left:
                    kept = f"the local copy is kept in {self._temporary}"
                    raise StoreFault(f"{self.url}: cannot be written: {first_line(error)}; {kept}") from None
        for state in self._uploaded.values():
            state.close()
        shutil.rmtree(self._temporary, ignore_errors=True)

    def _finish(self) -> None:
        if not self._downloaded:  # an incomplete copy must not be uploaded
            return
        if self._writes and not self._is_writer():
            raise StoreFault(
                f"{self.url}: another process took over because this one had stalled; the local copy is kept in"
                f" {self._temporary}"
            )
        self._upload(final=True)
        if self._writes:
            self.remote.delete(WRITER)
            self._writes = False

    # ------------------------------------------------------------ one writer

    def _become_writer(self) -> None:
        """Raises StoreFault while another writer's number changes."""
        before, began = self._read_writer(), monotonic()
        while before is not None and monotonic() - began < WRITER_TIMEOUT_S:
            sleep(WRITER_TIMEOUT_S / 20)
            if (now := self._read_writer()) not in (before, None):
                raise StoreFault(
                    f"{self.url} is being written by another process: wait for it, or choose another --out"
                )
            before = now
        self._writes = True
        self._heartbeat()

    def _read_writer(self) -> Any:
        try:
            return json.loads(self.remote.read(WRITER))
        except FileNotFoundError:
            return None
        except ValueError:
            return {}

    def _is_writer(self) -> bool:
        return bool((self._read_writer() or {}).get("writer") == self._writer_id)

    def _heartbeat(self) -> None:
        self._counter += 1
        plain = json.dumps({"writer": self._writer_id, "number": self._counter})
        self.remote.write(WRITER, plain.encode())

    def _upload_regularly(self) -> None:
        warned = False
        while not self._stop.wait(UPLOAD_INTERVAL_S):
            try:
                if not self._is_writer():
                    return  # another process took over: uploads from here would only disturb it
                self._heartbeat()
                self._upload(final=False)
            except Exception as error:  # noqa: BLE001  each file system has its own kinds
                if not warned:  # once: if nothing gets through until the end, `close` raises an error
                    text = "%s: rows are kept locally and not uploaded yet: %s"
                    LOG.warning(text, self.url, first_line(error))
                warned = True

    # ------------------------------------------------------------ download

    def _download(self) -> None:
        names = self.remote.files()
        in_parts = self._read_manifests(names)
        for name in {*names, *in_parts}:
            path = self.local / name
            if name in in_parts:
                path.parent.mkdir(parents=True, exist_ok=True)
                self._download_parts(path, *in_parts[name])
            elif not any(part.startswith(".") for part in name.parts):
                path.parent.mkdir(parents=True, exist_ok=True)
                self.remote.download(str(name), path)
                self._uploaded[path] = UploadState(_fingerprint(path), path.stat().st_size)

    def _read_manifests(
        self, names: Iterable[PurePosixPath]
    ) -> dict[PurePosixPath, tuple[PurePosixPath, list[str]]]:
        """The folder and the names of the parts of each file that is uploaded in parts."""
        return {
            name.parent.parent / file: (name.parent, parts)
            for name in names
            if name.parent.name == PARTS and name.name == MANIFEST
            for file, parts in json.loads(self.remote.read(str(name))).items()
        }

    def _download_parts(self, path: Path, folder: PurePosixPath, parts: Sequence[str]) -> None:
        with path.open("wb") as file:
            for part in parts:
                file.write(self.remote.read(str(folder / part)))
        fd = os.open(path, os.O_RDONLY)
        self._uploaded[path] = UploadState(_fingerprint(path), path.stat().st_size, list(parts), fd)

    # ------------------------------------------------------------ upload

    def _upload(self, *, final: bool) -> None:
        for folder in [self.local, *(path for path in sorted(self.local.rglob("*")) if path.is_dir())]:
            self._upload_folder(folder, final=final)

    def _upload_folder(self, folder: Path, *, final: bool) -> None:
        """Rows go up in parts until there is a summary or the command ends; then as whole files."""
        files = _visible_files(folder)
        changed = [path for path in files if self._has_changed(path)]
        if not self._writes:  # a report in a run that another machine may be writing
            self._upload_files(changed)
            return
        rows = [path for path in files if _has_rows(path)]
        self._upload_files(path for path in changed if not _has_rows(path) and path.name != SUMMARY)
        if final or folder / SUMMARY in changed:
            self._upload_whole(folder, rows, changed)
        elif not set(rows).isdisjoint(changed):
            self._upload_in_parts(folder, rows, changed)

    def _upload_whole(self, folder: Path, rows: Sequence[Path], changed: Collection[Path]) -> None:
        """Row files under their own names instead of parts; the summary last, since it says that they are whole."""
        in_parts = [path for path in rows if self._parts_of(path) is not None]
        self._upload_files(path for path in rows if path in changed or path in in_parts)
        if in_parts:
            self._delete_parts(folder)
        if folder / SUMMARY in changed:
            self._upload_file(folder / SUMMARY)

    def _upload_in_parts(self, folder: Path, rows: Sequence[Path], changed: Collection[Path]) -> None:
        """The new rows of each changed file, then a manifest that names the parts of all."""
        for path in rows:
            if path in changed:
                self._upload_new_rows(path)
        parts = {path.name: self._parts_of(path) for path in rows}
        manifest = {name: names for name, names in parts.items() if names is not None}
        self.remote.write(self._name(folder / PARTS / MANIFEST), json.dumps(manifest).encode())

    def _upload_files(self, paths: Iterable[Path]) -> None:
        for path in paths:
            self._upload_file(path)

    def _upload_file(self, path: Path) -> None:
        fingerprint = _fingerprint(path)
        self.remote.upload(path, self._name(path))
        if path in self._uploaded:
            self._uploaded[path].close()
        self._uploaded[path] = UploadState(fingerprint, fingerprint[1])

    def _upload_new_rows(self, path: Path) -> None:
        """Only whole lines. The state changes when all of them are uploaded: a failed upload is repeated."""
        before = self._state_in_parts(path)
        now = UploadState(_fingerprint(path), before.size, list(before.parts or ()), before.fd)
        assert now.parts is not None
        with open(now.fd, "rb", closefd=False) as file:
            file.seek(now.size)
            while block := file.read(MAX_PART_BYTES):
                block = block[: block.rfind(b"\n") + 1]
                if not block:
                    break
                now.parts.append(self._upload_part(path, block))
                now.size += len(block)
                file.seek(now.size)
        self._uploaded[path] = now

    def _upload_part(self, path: Path, block: bytes) -> str:
        self._counter += 1
        part = f"{path.name}.{self._writer_id}-{self._counter:06}"
        self.remote.write(self._name(path.parent / PARTS / part), block)
        return part

    def _delete_parts(self, folder: Path) -> None:
        """The manifest first: from then on the files' own names count."""
        self.remote.delete(self._name(folder / PARTS / MANIFEST))
        self.remote.delete_folder(self._name(folder / PARTS))

    # ------------------------------------------------------------ what is uploaded

    def _name(self, path: Path) -> str:
        return path.relative_to(self.local).as_posix()

    def _has_changed(self, path: Path) -> bool:
        state = self._uploaded.get(path)
        return state is None or state.fingerprint != _fingerprint(path)

    def _parts_of(self, path: Path) -> list[str] | None:
        state = self._uploaded.get(path)
        return state.parts if state is not None else None

    def _state_in_parts(self, path: Path) -> UploadState:
        """The file's state; one of nothing uploaded where it has been replaced (sorted, say) or is new."""
        state = self._uploaded.get(path)
        if state is not None and state.is_file(path) and state.size <= path.stat().st_size:
            return state
        if state is not None:
            state.close()
        state = self._uploaded[path] = UploadState((0, 0, 0), 0, [], os.open(path, os.O_RDONLY))
        return state


def _fingerprint(path: Path) -> Fingerprint:
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns


def _visible_files(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.iterdir()) if path.is_file() and path.name[0] != "."]


def _has_rows(path: Path) -> bool:
    return path.suffix == ".jsonl"
