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
from functools import cache
from itertools import groupby
from pathlib import Path
from threading import Lock
from time import monotonic

from harness import scorers
from harness.errors import UserError
from harness.runs.judge import as_stored
from harness.schema import DatabaseFile, IOCases, Judgement, Problem, Query, Sandbox, Scorer, UnitTests
from harness.serve.messages import PostedAnswer, PostedQuery

MAX_PAGES = 4096  # of 4 kB
MAX_DATABASES = 64  # that are kept, those used last
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
    waiting: list[tuple[int, str]] = []

    def answers() -> Iterator[tuple[Problem, str]]:
        for number, sample in samples:
            check = _query(sample.check) if isinstance(sample.check, PostedQuery) else sample.check
            waiting.append((number, sample.answer))
            yield Problem(id=f"posted/{number}", question="", solution="", check=check), sample.answer

    for verdict in scorer.score(answers(), sandbox):
        number, answer = waiting.pop(0)
        yield Judgement(
            problem_id=f"posted/{number}",
            index=0,
            scorer=scorer.name,
            answer=as_stored(answer),
            status=verdict.status,
            score=verdict.score,
            error=verdict.error,
        )


# ---------------------------------------------------------------- databases


def _query(posted: PostedQuery) -> Query:
    file = _databases().find(posted.script)
    return Query(
        sql=posted.sql,
        database="posted",
        folders=(str(Path(file.path).parent.parent),),
        files=(file,),
        compare=posted.compare,
        cpu_s=posted.cpu_s,
    )


@cache
def _databases() -> "PostedDatabases":
    return PostedDatabases()


class PostedDatabases:
    """The databases of the last scripts, in a folder that goes with the process."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="harness-posted-")
        self._root = Path(self._folder.name) / "built"
        self._root.mkdir()
        for folder in (Path(self._folder.name), self._root):
            folder.chmod(0o755)  # the SQL worker may run under another identity
        self._made: OrderedDict[str, DatabaseFile] = OrderedDict()
        self._lock = Lock()

    def find(self, script: str) -> DatabaseFile:
        """Raises UserError with SQLite's own words."""
        digest = hashlib.sha256(script.encode("utf-8", "surrogatepass")).hexdigest()
        with self._lock:
            if digest not in self._made:
                path = self._root / digest[:16] / "posted.sqlite"
                path.parent.mkdir(exist_ok=True)
                _build(script, path)
                self._made[digest] = DatabaseFile(path=str(path), sha256=digest)
                while len(self._made) > MAX_DATABASES:
                    gone = Path(self._made.popitem(last=False)[1].path)
                    gone.unlink()
                    gone.parent.rmdir()
            self._made.move_to_end(digest)
            return self._made[digest]


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
