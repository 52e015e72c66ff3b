"""Folders that lie elsewhere (s3://, gs://, memory:// and all else that fsspec knows), brought near as a local folder.

Everything else in the project knows local paths alone. A URL's files are fetched before a command and sent back at its
end; a folder that a run writes is sent while it is written, so that another machine can go on from there. An object
cannot be appended to: while a run is under way its rows go up as numbered parts, named by a manifest that is replaced
as one; with the summary the files get their own names and the parts go. `file://` is a local path like any other.

    run/generations.jsonl, ...          as in any run's folder, once it has its summary or its command has ended
    run/.parts/manifest.json            {file: [parts]}: while it is there, it stands for those files
    .writer.json                        who writes here, and a number that grows while it does

A URL has one writer at a time, told by that number moving and never by a clock; shards take a URL each, and a merge
reads them all. What a killed run had not sent is made again.
"""

import json
import logging
import os
import secrets
import shutil
import tempfile
import threading
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from time import monotonic, sleep
from types import TracebackType
from typing import Any

from harness.errors import ConfigError, HarnessError, MissingExtra, StoreFault

LOG = logging.getLogger(__name__)
EVERY = 5.0  # seconds between two sendings
PATIENCE = 3 * EVERY  # a writer whose number stands still for so long is dead
PART = 64 << 20  # most bytes of a part
TRIES = 3
PARTS, MANIFEST, WRITER, SUMMARY = ".parts", "manifest.json", ".writer.json", "summary.json"
EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs"}
BUCKETS = {*EXTRAS, "abfs", "abfss", "az", "oci", "ossfs", "oss"}


@dataclass
class Sent:
    """How much of a local file is there. `parts` are its names in the manifest, None where it has its own.

    `held` is the file, kept open while it goes up in parts: another file, put in its place, then cannot have its inode.
    """

    mark: tuple[int, int, int]
    size: int
    parts: list[str] | None = None
    held: int = -1

    def close(self) -> None:
        if self.held >= 0:
            os.close(self.held)
            self.held = -1

    def same(self, path: Path) -> bool:
        return self.held >= 0 and os.path.samestat(os.fstat(self.held), path.stat())


class Images:
    """The URLs of one command and the local folders that stand for them. A context manager: leaving it sends them."""

    def __init__(self) -> None:
        self._images: list[Image] = []

    def read(self, place: str) -> Path:
        """The folder, fetched where it is a URL. Raises ConfigError, StoreFault, MissingExtra."""
        return self._open(place, writes=False)

    def write(self, place: str) -> Path:
        """The same for one that a run goes on in; only one at a time may."""
        return self._open(place, writes=True)

    def _open(self, place: str, *, writes: bool) -> Path:
        if place.startswith("file://"):
            return Path(place.removeprefix("file://"))
        if "://" not in place:
            return Path(place)
        image = Image(place)
        self._images.append(image)
        image.open(writes=writes)
        return image.local

    def spoken(self, text: str) -> str:
        """The text with each local folder under the name that the user gave it."""
        for image in self._images:
            text = text.replace(str(image.local), image.url)
        return text

    def __enter__(self) -> "Images":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with ExitStack() as stack:
            for image in self._images:
                stack.callback(image.close)


class Image:
    """A URL's folder and its local stand-in."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self.fs, self.root = _connect(url)
        self._home = Path(tempfile.mkdtemp(prefix="harness-"))
        self.local = self._home / (PurePosixPath(self.root).name or "run")
        self.local.mkdir()
        self._sent: dict[Path, Sent] = {}
        self._made: set[str] = set()
        self._token, self._count = secrets.token_hex(4), 0
        self._writes = self._ready = False
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def open(self, *, writes: bool) -> None:
        try:
            if writes:
                self._take()
            self._fetch()
        except HarnessError:
            raise
        except Exception as error:  # noqa: BLE001  each file system has its own kinds
            raise StoreFault(f"{self.url}: cannot be read: {_line(error)}") from None
        self._ready = True
        if writes:
            self._thread = threading.Thread(target=self._keep_sending, daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Send what changed. Raises StoreFault, and leaves the local folder, when that cannot be done."""
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
                    kept = f"what was made is kept in {self._home}"
                    raise StoreFault(f"{self.url}: cannot be written: {_line(error)}; {kept}") from None
        for sent in self._sent.values():
            sent.close()
        shutil.rmtree(self._home, ignore_errors=True)

    def _finish(self) -> None:
        if not self._ready:  # of what could not be fetched whole nothing goes back
            return
        if self._writes and (self._writer() or {}).get("writer") != self._token:
            raise StoreFault(
                f"{self.url}: another process took over, because this one stood still; what it made since is kept"
                f" in {self._home}"
            )
        self._send(final=True)
        if self._writes:
            self.fs.rm_file(self._at(WRITER))
            self._writes = False

    # ------------------------------------------------------------ one writer

    def _take(self) -> None:
        """Become the writer. Raises StoreFault while another one's number moves."""
        before, began = self._writer(), monotonic()
        while before is not None and monotonic() - began < PATIENCE:
            sleep(PATIENCE / 20)
            if (now := self._writer()) not in (before, None):
                raise StoreFault(
                    f"{self.url} is being written by another process: wait for it, or choose another --out"
                )
            before = now
        self._writes = True
        self._beat()

    def _writer(self) -> Any:
        try:
            return json.loads(self.fs.cat_file(self._at(WRITER)))
        except FileNotFoundError:
            return None
        except ValueError:
            return {}

    def _beat(self) -> None:
        self._count += 1
        plain = json.dumps({"writer": self._token, "number": self._count})
        self._pipe(self._at(WRITER), plain.encode())

    def _keep_sending(self) -> None:
        warned = False
        while not self._stop.wait(EVERY):
            try:
                if (self._writer() or {}).get("writer") != self._token:
                    return  # another one took over: what is sent from here on would only disturb it
                self._beat()
                self._send(final=False)
            except Exception as error:  # noqa: BLE001  each file system has its own kinds
                if (
                    not warned
                ):  # once: the last round ends the command with an error if nothing gets through till then
                    LOG.warning("%s: rows are kept here and not sent yet: %s", self.url, _line(error))
                warned = True

    # ------------------------------------------------------------ fetching

    def _at(self, name: str) -> str:
        return f"{self.root}/{name}" if name else self.root

    def _fetch(self) -> None:
        self.fs.invalidate_cache()
        if self.fs.isfile(self.root):
            raise ConfigError(f"{self.url} is a file; a run needs a folder")
        found = self.fs.find(self.root) if self.fs.exists(self.root) else []
        names = [PurePosixPath(path[len(self.root) :].lstrip("/")) for path in found]
        parted = {
            name.parent.parent / file: (name.parent, parts)
            for name in names
            if name.parent.name == PARTS and name.name == MANIFEST
            for file, parts in json.loads(self.fs.cat_file(self._at(str(name)))).items()
        }
        for name in {*names, *parted}:
            if name not in parted and any(part.startswith(".") for part in name.parts):
                continue
            path = self.local / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if name not in parted:
                self.fs.get_file(self._at(str(name)), str(path))
                self._sent[path] = Sent(_mark(path), path.stat().st_size)
                continue
            folder, parts = parted[name]
            with path.open("wb") as file:
                for part in parts:
                    file.write(self.fs.cat_file(self._at(str(folder / part))))
            held = os.open(path, os.O_RDONLY)
            self._sent[path] = Sent(_mark(path), path.stat().st_size, list(parts), held)

    # ------------------------------------------------------------ sending

    def _send(self, *, final: bool) -> None:
        for folder in [self.local, *(path for path in sorted(self.local.rglob("*")) if path.is_dir())]:
            self._send_folder(folder, final=final)

    def _send_folder(self, folder: Path, *, final: bool) -> None:
        """The summary comes last and stands for whole files beside it; until then rows go up in parts."""
        files = [path for path in sorted(folder.iterdir()) if path.is_file() and path.name[0] != "."]
        changed = [path for path in files if path not in self._sent or self._sent[path].mark != _mark(path)]
        rows = {path for path in files if path.suffix == ".jsonl"}
        summary = folder / SUMMARY
        for path in changed:
            if not self._writes or (path not in rows and path != summary):
                self._put(path)
        if not self._writes:  # a report beside a run that another machine may be writing
            return
        if final or summary in changed:
            parted = [path for path in rows if path in self._sent and self._sent[path].parts is not None]
            for path in sorted(rows & {*changed, *parted}):
                self._put(path)
            if parted:
                self._drop_parts(folder)
            if summary in changed:
                self._put(summary)
        elif grown := [path for path in changed if path in rows]:
            for path in grown:
                self._grow(path)
            sent = {path.name: self._sent[path].parts for path in rows if path in self._sent}
            parts = {name: names for name, names in sent.items() if names is not None}
            self._pipe(self._name(folder / PARTS / MANIFEST), json.dumps(parts).encode())

    def _pipe(self, name: str, blob: bytes) -> None:
        self._make_parent(name)
        self.fs.pipe_file(name, blob)

    def _make_parent(self, name: str) -> None:
        """A bucket has no folders, and a client that is asked for one would make a bucket. Others want theirs made."""
        if _protocol(self.url) in BUCKETS:
            return
        if (parent := name.rpartition("/")[0]) not in self._made:
            self.fs.makedirs(parent, exist_ok=True)
            self._made.add(parent)

    def _name(self, path: Path) -> str:
        return self._at(path.relative_to(self.local).as_posix())

    def _put(self, path: Path) -> None:
        mark = _mark(path)
        self._make_parent(self._name(path))
        self.fs.put_file(str(path), self._name(path))
        if path in self._sent:
            self._sent[path].close()
        self._sent[path] = Sent(mark, mark[1])

    def _grow(self, path: Path) -> None:
        """Send the whole lines that are new; all of them where the file is another than before (put in order, say)."""
        sent = self._sent.get(path)
        if sent is None or not sent.same(path) or sent.size > path.stat().st_size:
            if sent is not None:
                sent.close()
            sent = self._sent[path] = Sent((0, 0, 0), 0, [], os.open(path, os.O_RDONLY))
        names = list(sent.parts or ())
        now = Sent(_mark(path), sent.size, names, sent.held)
        with open(now.held, "rb", closefd=False) as file:
            file.seek(now.size)
            while block := file.read(PART):
                block = block[: block.rfind(b"\n") + 1]
                if not block:
                    break
                self._count += 1
                part = f"{path.name}.{self._token}-{self._count:06}"
                self._pipe(self._name(path.parent / PARTS / part), block)
                names.append(part)
                now.size += len(block)
                file.seek(now.size)
        self._sent[path] = now

    def _drop_parts(self, folder: Path) -> None:
        """The manifest first: from then on the files' own names count."""
        self.fs.rm_file(self._name(folder / PARTS / MANIFEST))
        self.fs.rm(self._name(folder / PARTS), recursive=True)
        self._made.discard(self._name(folder / PARTS))


def _mark(path: Path) -> tuple[int, int, int]:
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns


def _line(error: Exception) -> str:
    return str(error).partition("\n")[0] or type(error).__name__


def _protocol(url: str) -> str:
    return url.partition("://")[0].rpartition("::")[2]


def _connect(url: str) -> tuple[Any, str]:
    from fsspec.core import url_to_fs

    protocol = _protocol(url)
    try:
        fs, root = url_to_fs(url)
    except ImportError as error:
        extra = f"pip install 'codelm-harness[{EXTRAS[protocol]}]'" if protocol in EXTRAS else _line(error)
        raise MissingExtra(f"{url}: {protocol}:// needs another package: {extra}") from None
    except ValueError as error:
        raise ConfigError(f"{url}: {_line(error)}") from None
    return fs, root.rstrip("/")
