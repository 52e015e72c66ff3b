"""Where each sample of an opened run stands in its files, and how it ended: SQLite, in a temporary file of its own.

Texts stay where they are and are read by their offsets, so that memory does not grow with the run. The files are read
block by block as they grow; rows that were put in another order, and another run in the same folder, are read from the
start. A run has tables of its own, for dropping one needs no memory and deleting a million rows does. What a sample's
end is called is the report's word for it.
"""

import re
import sqlite3
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from threading import RLock
from time import monotonic
from types import NoneType
from typing import Any

from harness import scorers
from harness.results.report.sections import sample_outcome
from harness.schema import UNANSWERED
from harness.schema.sample_index import MAX_SAMPLES
from harness.view.appended import AppendedRows, parse

WAITING = "not judged yet"
UNUSUAL = ("length", *UNANSWERED)  # ends of a completion that tell how its sample ended
HALF = re.compile(
    "[\ud800-\udfff]"
)  # of a surrogate pair: no name of a problem, and nothing that SQLite takes
FIELDS: Mapping[str, Mapping[str, Any]] = {
    "problems": {"problem_id": str},
    "generations": {"problem_id": str, "index": int, "completion": dict},
    "judgements": {
        "problem_id": str, "index": int, "scorer": str, "status": str, "answer": str, "score": dict | NoneType
    },
}  # fmt: skip
MOST_RUNS = 8  # opened at a time: who opens more loses the one that was not looked at for longest
CACHE_KB = 16 << 10  # of the database; the rest lies in its file

# Some builds overwrite what is deleted: to drop a table would then hold all of it in memory, as the journal.
SETTINGS = ("journal_mode = MEMORY", "secure_delete = OFF", "synchronous = OFF", f"cache_size = -{CACHE_KB}")
# Of one run, by its number.
SAMPLES = (
    "CREATE TABLE samples_{0} (at INTEGER PRIMARY KEY, problem TEXT, sample INTEGER, ended TEXT, value REAL,"
    " judged INTEGER, finish TEXT, cut_off INTEGER)",
    "CREATE UNIQUE INDEX by_name_{0} ON samples_{0} (problem, sample)",
    "CREATE INDEX by_end_{0} ON samples_{0} (ended)",
)
PROBLEMS = "CREATE TABLE problems_{0} (problem TEXT PRIMARY KEY, at INTEGER) WITHOUT ROWID"


@dataclass
class IndexedRun:
    """A run that somebody reads. `version` grows with each change; `whole`: all that is on disk is in the index.

    `number` names its tables, `record` tells run.json from that of another run which took the folder.
    `scorer` is the first, whose verdicts the list shows. `unusual`: some completions ended in one of the UNUSUAL ways.
    """

    number: int
    record: tuple[int, ...]
    problems: AppendedRows
    generations: AppendedRows
    judgements: AppendedRows
    scorer: str = ""
    graded: bool = True
    unusual: bool = False
    version: int = 0
    whole: bool = False
    dropped: bool = False
    ends: tuple[int, Mapping[str, int]] = (-1, {})  # version, how many samples ended how
    count: int = 0
    # (offset, samples before it) of each block, so that a page far behind is found without counting up to it
    marks: list[tuple[int, int]] = field(default_factory=list)

    @property
    def share(self) -> float:
        """How much of the files is in the index, 0 to 1."""
        if self.whole:
            return 1.0
        files = (self.generations, self.judgements)
        return min(1.0, sum(file.offset for file in files) / max(1, sum(file.size_now() for file in files)))

    def mark(self, number: int) -> tuple[int, int]:
        """(offset, samples before it) of the last block that begins with no later a sample than that number."""
        at = bisect_right(self.marks, number, key=lambda mark: mark[1])
        return self.marks[at - 1] if at else (0, 0)


@dataclass
class RunIndex:
    """The samples of a few runs. Threads may share one."""

    lock: RLock = field(default_factory=RLock)
    _runs: dict[str, IndexedRun] = field(default_factory=dict)
    _last: int = 0

    def __post_init__(self) -> None:
        # An empty name is a temporary file that SQLite deletes by itself.
        self.database = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        for setting in SETTINGS:
            self.database.execute(f"PRAGMA {setting}")

    def open(self, run: str, folder: Path, seconds: float = 0.5) -> IndexedRun:
        """The run, with what has come since it was last asked for, as far as that can be read in so many seconds.

        Raises OSError where its files are not there any more or cannot be read.
        """
        status = (folder / "run.json").stat()  # written once; a resumed run keeps it
        record = (status.st_ino, status.st_mtime_ns, status.st_size)
        with self.lock:
            found = self._runs.pop(run, None)
            if found is None or found.record != record:
                if found is not None:
                    self._drop(found)
                found = self._new(folder, record)
            self._runs[run] = found  # the last is the one that was asked for
            while len(self._runs) > MOST_RUNS:
                self._drop(self._runs.pop(next(iter(self._runs))))
        until = monotonic() + seconds
        while not self._advance(found) and monotonic() < until:
            pass
        return found

    def close(self) -> None:
        self.database.close()

    def _new(self, folder: Path, record: tuple[int, ...]) -> IndexedRun:
        self._last += 1
        problems, generations, judgements = (
            AppendedRows(folder / f"{name}.jsonl") for name in ("problems", "generations", "judgements")
        )
        for statement in (*SAMPLES, PROBLEMS):
            self.database.execute(statement.format(self._last))
        version = self._last << 32  # never that of a run which had the folder before
        return IndexedRun(self._last, record, problems, generations, judgements, version=version)

    def _drop(self, run: IndexedRun) -> None:
        run.dropped = True  # whoever still reads it stops
        for table in ("samples", "problems"):
            self.database.execute(f"DROP TABLE {table}_{run.number}")

    # ------------------------------------------------------------ reading the files

    def _advance(self, run: IndexedRun) -> bool:
        """One more block. The files in their order: a verdict is looked at when its sample is known."""
        with self.lock:
            if run.dropped:
                return True
            try:
                with self.database:
                    self.database.execute("BEGIN")
                    run.whole = self._problems(run) and self._generations(run) and self._judgements(run)
            except BaseException:  # of a block only a part may have been taken: the next who asks begins anew
                self._runs = {name: other for name, other in self._runs.items() if other is not run}
                self._drop(run)
                raise
            return run.whole

    def _problems(self, run: IndexedRun) -> bool:
        block = run.problems.read()
        if block.anew:
            self.database.execute(f"DELETE FROM problems_{run.number}")
        found = ((row["problem_id"], at) for at, row in _rows(block.lines, "problems"))
        self.database.executemany(f"INSERT OR REPLACE INTO problems_{run.number} VALUES (?, ?)", found)
        return block.last

    def _generations(self, run: IndexedRun) -> bool:
        block = run.generations.read()
        if block.anew:
            run.judgements.restart()
            self._clear(run)
        found = list(_generated(block.lines))
        run.unusual = run.unusual or any(finish or cut_off for *_, finish, cut_off in found)
        new = self.database.executemany(
            f"INSERT OR IGNORE INTO samples_{run.number} VALUES (?, ?, ?, ?, NULL, -1, ?, ?)", found
        ).rowcount
        if found:
            run.marks.append((found[0][0], run.count))
            run.count += new
        run.version += bool(block.anew or block.lines)
        return block.last

    def _judgements(self, run: IndexedRun) -> bool:
        block = run.judgements.read()
        if block.anew:  # everything, for to take a million verdicts back is to change a million rows
            run.generations.restart()
            run.judgements.restart()
            self._clear(run)
            run.version += 1
            return False
        self.database.executemany(
            f"UPDATE samples_{run.number} SET ended = ?, value = ?, judged = ? WHERE problem = ? AND sample = ?",
            list(self._judged(run, block.lines)),
        )
        run.version += bool(block.lines)
        return block.last

    def _clear(self, run: IndexedRun) -> None:
        """Forget every sample."""
        run.scorer, run.unusual, run.count = "", False, 0
        run.marks.clear()
        self.database.execute(f"DROP TABLE samples_{run.number}")
        for statement in SAMPLES:
            self.database.execute(statement.format(run.number))

    def _judged(self, run: IndexedRun, lines: Sequence[tuple[int, bytes]]) -> Iterator[tuple[Any, ...]]:
        for at, row in _rows(lines, "judgements"):
            if not run.scorer:
                run.scorer, run.graded = row["scorer"], _is_graded(row["scorer"])
            if row["scorer"] != run.scorer or (row["score"] is not None and "value" not in row["score"]):
                continue
            key = row["problem_id"], row["index"]
            completion = self._completion(run.number, key) if run.unusual else {}
            yield HALF.sub("?", sample_outcome(row, completion, run.graded)), _value(row), at, *key

    def _completion(self, number: int, key: tuple[Any, ...]) -> Mapping[str, object]:
        """What a sample's end depends on besides its verdict."""
        query = f"SELECT finish, cut_off FROM samples_{number} WHERE problem = ? AND sample = ?"
        found = self.database.execute(query, key).fetchone()
        return {"finish": found[0], "cut_off": found[1]} if found else {}

    # ------------------------------------------------------------ asking

    def ends(self, run: IndexedRun) -> Mapping[str, int]:
        """How the samples ended: what a filter can choose, and how many there are of each."""
        with self.lock:
            if run.ends[0] != run.version:
                query = f"SELECT ended, COUNT(*) FROM samples_{run.number} GROUP BY ended ORDER BY 2 DESC, 1"
                run.ends = run.version, dict(self.select(query))
            return run.ends[1]

    def select(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self.lock:
            return self.database.execute(query, values).fetchall()


def _rows(lines: Sequence[tuple[int, bytes]], kind: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each row of that kind with its offset. Lines that are none are left out: the list of runs counts them."""
    for at, line in lines:
        row = parse(line)
        if all(isinstance(row.get(name), of) for name, of in FIELDS[kind].items()):
            name, index = row["problem_id"], row.get("index", 0)
            if (name.isascii() or not HALF.search(name)) and 0 <= index < MAX_SAMPLES:
                yield at, row


def _generated(lines: Sequence[tuple[int, bytes]]) -> Iterator[tuple[Any, ...]]:
    for at, row in _rows(lines, "generations"):
        said = row["completion"]
        finish, cut_off = str(said.get("finish", "")), said.get("cut_off") is True
        ended = UNANSWERED.get(finish, WAITING)
        yield at, row["problem_id"], row["index"], ended, finish if finish in UNUSUAL else "", cut_off


def _is_graded(scorer: str) -> bool:
    """Whether the scorer's value 1 is a right answer. One that is not built in is not loaded to be asked."""
    found = scorers.builtin_scorer(scorer)
    return found is None or all(reduce.unit == "share" for reduce in found.metrics([1]).values())


def _value(judgement: Mapping[str, Any]) -> float | None:
    value = (judgement["score"] or {}).get("value")
    try:
        return float(value) if isinstance(value, int | float) and isfinite(value) else None
    except OverflowError:  # a whole number of hundreds of digits
        return None
