"""The card of every run below a folder, kept up to date while somebody asks for it.

Each look reads what has changed and no more: of runs at work the rows that were appended, of others, every few seconds,
the times of their files.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from threading import Lock
from time import monotonic, time
from typing import Any

from pydantic import ValidationError

from harness.config.run import RunConfig
from harness.errors import HarnessError, StoreFault
from harness.runs.progress import StageRates
from harness.runs.store import reader
from harness.runs.store.run_folder import read_json, read_run
from harness.view import folders, run_card
from harness.view.live_counts import LiveCounts
from harness.view.run_card import RunCard

LOOK_S = 1.0  # between looks, however many ask
SEARCH_S = 5.0  # between searches for new runs and for changes of finished ones
COUNT_S = 0.5  # of a look at most goes into counting rows; what is left is counted by the next
SILENT_S = 60.0  # a run without a summary whose files are older is not at work, where locks do not tell

# What reading and showing a run raises where its files hold anything at all; it must hide no other run.
DAMAGES = (
    HarnessError, OSError, LookupError, TypeError, AttributeError, ValueError, ArithmeticError, RecursionError
)  # fmt: skip

ROWS = ("generations.jsonl", "judgements.jsonl")
FILES = ("run.json", "summary.json", *ROWS, "problems.jsonl")

Times = tuple[int, ...]


@dataclass
class WatchedRun:
    """A run as it was at the last look. `quiet`: there is nothing more to tell of it until its files change."""

    folder: Path
    root: Path
    name: str
    card: RunCard
    quiet: bool = False
    _times: Times = ()
    _record: Mapping[str, Any] = field(default_factory=dict)
    _config: RunConfig | None = None
    _counts: LiveCounts | None = None
    _rates: StageRates = field(default_factory=StageRates)

    def look(self, locked: Mapping[int, Collection[int]], until: float) -> None:
        """Bring the card up to date, counting rows no longer than `until`."""
        try:
            if why := folders.foreign_file(self.folder, self.root, FILES):
                raise StoreFault(why)
            read = [_times(self.folder / name) for name in FILES[:4]]
            summed_up = any(read[1]) and read[1] >= max(read[2:])  # by the time of the last change
            writing = folders.is_locked(self.folder, locked, surely=summed_up)
            times = (*chain(*read), writing)
            if self.quiet and times == self._times:
                return
            if times[:2] != self._times[:2] or self._config is None:
                self._counts = None  # what was counted of another run that had this folder
                self._record = read_json(self.folder / "run.json")
                self._config = reader.read_config(self._record)
            self._times = times
            if any(read[1]) and not writing:
                self._counts, self.quiet = None, True
                summary = read_run(self.folder)[1]
                self.card = run_card.finished(self.name, self._record, self._config, summary)
                self._record, self._config = {}, None  # of thousands of runs they are most of the memory
            else:
                self._count(self._config, writing, until)
        except DAMAGES as error:
            why = _why(error).replace(f"{self.folder}/", "")
            self.card, self._counts, self.quiet = run_card.damaged(self.name, why), None, True

    def _count(self, config: RunConfig, writing: bool, until: float) -> None:
        if self._counts is None:
            self._counts, self._rates = LiveCounts(self.folder, config.backend), StageRates()
        counted = False
        while not counted and monotonic() < until:
            counted = self._counts.advance()
        made, judged = (_times(self.folder / name)[0] for name in ROWS)
        running = writing or time() - max(made, judged, self._times[0]) / 1e9 < SILENT_S
        at = run_card.progress(
            self._record, self._counts, running, judged > made, self._rates if counted else None
        )
        self.card = run_card.unfinished(self.name, self._record, config, self._counts, at)
        self.quiet = counted and not running


def _why(error: Exception) -> str:
    """In one line."""
    match error:
        case HarnessError():
            return str(error)
        case ValidationError():
            first = error.errors()[0]
            return f"run.json is damaged: config.{'.'.join(map(str, first['loc']))}: {first['msg']}"
        case _:
            return f"run.json is damaged: {type(error).__name__}: {error}"


def _times(path: Path) -> Times:
    """(time of the last change in nanoseconds, size), zeros for a file that is not there."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return 0, 0
    return status.st_mtime_ns, status.st_size


@dataclass
class Watcher:
    """Every run below `root`. Threads may share one."""

    root: Path
    _runs: dict[str, WatchedRun] = field(default_factory=dict)
    _looked: float = 0.0
    _searched: float = 0.0
    _lock: Lock = field(default_factory=Lock)

    def look(self) -> list[RunCard]:
        """The cards as they are now, in the order of the folders; no more than LOOK_S old."""
        with self._lock:
            if monotonic() - self._looked >= LOOK_S or not self._looked:
                self._look()
            return [run.card for run in self._runs.values()]

    def folder(self, run: str) -> Path | None:
        """The folder of a run that was found: an address that was not, leads nowhere, nor do files from elsewhere."""
        if run not in self._runs:
            self.look()
        found = self._runs.get(run)
        if found is None or folders.foreign_file(found.folder, self.root, FILES):
            return None
        return found.folder

    def _look(self) -> None:
        began = monotonic()
        searching = began - self._searched >= SEARCH_S or not self._searched
        if searching:
            self._search()
        locked = folders.locked_files()
        for run in self._runs.values():
            if searching or not run.quiet:
                run.look(locked, began + COUNT_S)
        self._looked = monotonic()
        if searching:
            self._searched = self._looked

    def _search(self) -> None:
        found = {}
        for folder in folders.run_folders(self.root):
            name = folder.relative_to(self.root).as_posix()
            blank = RunCard(name, folder.name, "stopped")
            found[name] = self._runs.get(name) or WatchedRun(folder, self.root, name, blank)
        self._runs = found
