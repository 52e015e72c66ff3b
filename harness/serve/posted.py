"""Programs and queries that come with what judges them: made into problems, and judged by the scorers of tasks.

A posted database is an SQL script. It is built in this process, so it may do nothing but make tables and fill them: no
other file is attached, no setting changed, and its size and time are limited.
"""

import hashlib
import sqlite3
import tempfile
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from pathlib import Path
from threading import Lock
from time import monotonic

from harness import scorers
from harness.errors import Fault, UserError
from harness.runs.judge import as_stored
from harness.schema import DatabaseFile, IOCases, Judgement, Problem, Query, Sandbox, Scorer, UnitTests
from harness.serve.messages import PostedAnswer, PostedQuery

MAX_PAGES = 4096  # of 4 kB
MAX_DATABASES = 64  # that are kept when nobody uses them, those used last
MAX_BYTES = MAX_DATABASES * MAX_PAGES * 4096  # of all, kept or used
BUILD_S = 5.0
_DENIED = frozenset(
    {sqlite3.SQLITE_ATTACH, sqlite3.SQLITE_DETACH, sqlite3.SQLITE_PRAGMA, sqlite3.SQLITE_CREATE_VTABLE}
)
_STEPS = 10_000  # of SQLite's machine between two looks at the clock


def judge(samples: Iterable[PostedAnswer], sandbox: Sandbox) -> Iterator[Judgement]:
    """A verdict for each, in order, as it comes; samples are numbered from 0. Raises UserError for a bad script."""
    numbered = enumerate(samples)
    for scorer, group in groupby(numbered, lambda each: _scorer(each[1])):
        yield from _judge(scorer, group, sandbox)


def _scorer(sample: PostedAnswer) -> Scorer:
    match sample.check:
        case UnitTests():
            return scorers.unit_tests
        case IOCases():
            return scorers.io_cases
        case PostedQuery():
            return scorers.sql_execution


def _judge(
    scorer: Scorer, samples: Iterator[tuple[int, PostedAnswer]], sandbox: Sandbox
) -> Iterator[Judgement]:
    waiting: list[tuple[Problem, str]] = []

    def answers() -> Iterator[tuple[Problem, str]]:
        for number, sample in samples:
            check = _query(sample.check) if isinstance(sample.check, PostedQuery) else sample.check
            problem = Problem(id=f"posted/{number}", question="", solution="", check=check)
            waiting.append((problem, sample.answer))
            yield waiting[-1]

    try:
        for verdict in scorer.score(answers(), sandbox):
            problem, answer = waiting.pop(0)
            _give_back(problem)
            yield Judgement(
                problem_id=problem.id,
                index=0,
                scorer=scorer.name,
                answer=as_stored(answer),
                status=verdict.status,
                score=verdict.score,
                error=verdict.error,
            )
    finally:
        for problem, _ in waiting:
            _give_back(problem)


# ---------------------------------------------------------------- databases


def _query(posted: PostedQuery) -> Query:
    file = _databases().take(posted.script)
    return Query(
        sql=posted.sql,
        database="posted",
        folders=(str(Path(file.path).parent.parent),),
        files=(file,),
        compare=posted.compare,
        cpu_s=posted.cpu_s,
    )


def _give_back(problem: Problem) -> None:
    if isinstance(problem.check, Query):
        _databases().give_back(problem.check.files[0])


@cache
def _databases() -> "PostedDatabases":
    return PostedDatabases()


@dataclass
class BuiltDatabase:
    """`users`: samples that it is read for now."""

    file: DatabaseFile
    size: int
    users: int = 0


class PostedDatabases:
    """The databases of scripts in use and of the last ones, in a folder that goes with the process."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="harness-posted-")
        self._root = Path(self._folder.name) / "built"
        self._root.mkdir()
        for folder in (Path(self._folder.name), self._root):
            folder.chmod(0o755)  # the SQL worker may run under another identity
        self._made: OrderedDict[str, BuiltDatabase] = OrderedDict()
        self._lock = Lock()

    def take(self, script: str) -> DatabaseFile:
        """It stays until it is given back. Raises UserError in SQLite's words, Fault where too much is in use."""
        digest = hashlib.sha256(script.encode("utf-8", "surrogatepass")).hexdigest()
        with self._lock:
            if digest not in self._made:
                path = self._root / digest[:16] / "posted.sqlite"
                path.parent.mkdir(exist_ok=True)
                _build(script, path)
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


def _build(script: str, path: Path) -> None:
    path.unlink(missing_ok=True)  # of a script that failed
    until = monotonic() + BUILD_S
    with closing(sqlite3.connect(path)) as connection:
        for setting in (
            "journal_mode=OFF",
            "synchronous=OFF",
            "temp_store=MEMORY",
            f"max_page_count={MAX_PAGES}",
        ):
            connection.execute(f"PRAGMA {setting}")
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 4 * MAX_PAGES * 1024)
        connection.set_authorizer(
            lambda action, *_: sqlite3.SQLITE_DENY if action in _DENIED else sqlite3.SQLITE_OK
        )
        connection.set_progress_handler(lambda: monotonic() > until, _STEPS)
        try:
            connection.executescript(script)
            connection.commit()
        except (sqlite3.Error, ValueError) as error:
            raise UserError(f"check.script: {error}") from None
