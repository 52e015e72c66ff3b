"""A local copy of the runs at a URL, kept up to date while they are written there: for who watches them.

Nothing is written at the URL. Only what says something of a run is copied (.json, .jsonl), no weights. Rows that come
up in parts (remote.py) are appended to the copy, so that it grows as the run's own file does.
"""

import json
import logging
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from time import monotonic
from types import TracebackType

from harness.errors import HarnessError, StoreFault
from harness.runs.store.remote import MANIFEST, PARTS, SUMMARY
from harness.runs.store.remote_folder import RemoteFolder, first_line

LOG = logging.getLogger(__name__)
INTERVAL_S = 5.0
REST = 10  # listing takes at most this part of the time, however many files there are
COPIED = (".json", ".jsonl")
COPYING = ".copying"


class Mirror:
    """A context manager: inside it `local` is brought up to date by itself, leaving it deletes the copy."""

    def __init__(self, url: str) -> None:
        """Raises ConfigError, MissingExtra."""
        self.remote = RemoteFolder(url)
        self.url = self.remote.url
        self._temporary = tempfile.TemporaryDirectory(prefix="harness-view-")
        self.local = Path(self._temporary.name) / (PurePosixPath(self.remote.root).name or "runs")
        self.local.mkdir()
        self._stamps: dict[PurePosixPath, str] = {}
        self._parts: dict[PurePosixPath, list[str]] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._update_regularly, daemon=True)

    def __enter__(self) -> "Mirror":
        try:
            self.update()
        except HarnessError:
            self._temporary.cleanup()
            raise
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._temporary.cleanup()

    def update(self) -> None:
        """Copy what has changed since the last time. Raises ConfigError, StoreFault."""
        try:
            self._update()
        except HarnessError:
            raise
        except Exception as error:  # noqa: BLE001  each file system has its own kinds
            raise StoreFault(f"{self.url}: cannot be read: {first_line(error)}") from None

    def _update_regularly(self) -> None:
        wait, warned = INTERVAL_S, False
        while not self._stop.wait(wait):
            began = monotonic()
            try:
                self.update()
                warned = False
            except HarnessError as error:  # a run has ended in the meantime, or there is no way there
                if warned:
                    LOG.warning("%s", error)
                warned = not warned
            wait = max(INTERVAL_S, REST * (monotonic() - began))

    def _update(self) -> None:
        found = self.remote.stamps()
        in_parts = self._manifests(found)
        whole = {
            name
            for name in found
            if name.suffix in COPIED and not str(name).startswith(".") and "/." not in str(name)
        } - in_parts.keys()
        for name in [*self._stamps, *self._parts]:
            if name not in whole and name not in in_parts:
                self._forget(name)
        for name, (folder, parts) in in_parts.items():
            self._copy_parts(name, folder, parts)
        for name in sorted(
            whole, key=lambda name: (name.name == SUMMARY, name)
        ):  # which says that rows are whole
            if self._stamps.get(name) != found[name]:
                copy = self.local / name
                copy.parent.mkdir(parents=True, exist_ok=True)
                self.remote.download(str(name), copy.with_name(COPYING))
                copy.with_name(COPYING).replace(copy)
                self._stamps[name] = found[name]
                self._parts.pop(name, None)

    def _forget(self, name: PurePosixPath) -> None:
        self._stamps.pop(name, None)
        self._parts.pop(name, None)
        (self.local / name).unlink(missing_ok=True)

    def _manifests(
        self, found: Mapping[PurePosixPath, str]
    ) -> dict[PurePosixPath, tuple[PurePosixPath, list[str]]]:
        return {
            name.parent.parent / file: (name.parent, parts)
            for name in found
            if name.parent.name == PARTS and name.name == MANIFEST
            for file, parts in json.loads(self.remote.read(str(name))).items()
        }

    def _copy_parts(self, name: PurePosixPath, folder: PurePosixPath, parts: Sequence[str]) -> None:
        known = self._parts.get(name, [])
        path = self.local / name
        if not path.is_file() or name in self._stamps or parts[: len(known)] != known:
            known = []
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            self._stamps.pop(name, None)
        for part in parts[len(known) :]:
            rows = self.remote.read(str(folder / part))
            with path.open("ab") as file:
                file.write(rows)
            known = self._parts[name] = [*known, part]
