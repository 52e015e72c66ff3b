"""Executes queries: a confined process with SQLite in it, which gets pairs of queries over a socket.

The process sees the benchmark's databases (read-only), Python's standard library, and nothing else of the machine. A
query runs inside this process, so three things stand between a hostile query and the machine. SQLite allows nothing but
reading (authorizer, read-only and immutable files, no extensions, limits on memory, lengths and time). A watchdog ends
the process where SQLite does not check its clock. And the process itself is confined as a program is (confine.py). The
controller (client.py) finds out which query ended a worker.

Gold queries run here too; their rows are cached by (digest of the database, query). Results are compared here, and only
the verdict is sent. Frames are JSON.
"""

import contextlib
import itertools
import json
import os
import resource
import signal
import socket
import sqlite3
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NoReturn
from urllib.parse import quote

from harness.sandbox import framing
from harness.sandbox.isolation import confine, syscalls
from harness.text.sql import result_match

MAX_GOLD_CELLS = 2_000_000  # of cached gold results, in one worker
CONNECTIONS = 48
STEPS_PER_CHECK = 2000  # of SQLite's virtual machine between two checks of the clock
CHUNK = 256
GRACE_S = 0.5  # CPU time past the limit after which the watchdog ends the process
REPEATS_SIGMA = 3.0

Rows = list[tuple[Any, ...]]

# The actions that a reading query needs. The authorizer denies everything else: writing, schema changes, transactions,
# ATTACH, PRAGMA, temporary tables.
_READING = {
    sqlite3.SQLITE_SELECT,
    sqlite3.SQLITE_READ,
    sqlite3.SQLITE_FUNCTION,
    sqlite3.SQLITE_RECURSIVE,
}
_FORBIDDEN = {"load_extension", "fts3_tokenizer", "readfile", "writefile", "edit", "sqlite_log"}
_SETTINGS = ("trusted_schema=0", "query_only=1", "temp_store=2", "mmap_size=0", "cell_size_check=1")
_LENGTHS = {
    sqlite3.SQLITE_LIMIT_LENGTH: 64 << 20,
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 1000,
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
}


class QueryStopped(Exception):
    """A query gave no rows; `status` as in schema.ExecStatus."""

    def __init__(self, status: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


class DatabaseUnreadable(Exception):
    """A database is gone or none, which no query can be blamed for."""


@dataclass
class QueryClock:
    """`deadline`: the CPU time of the process at which the running query is stopped; infinite between queries.
    `gold`: the running query is the gold query.
    """

    deadline: float = float("inf")
    gold: bool = False

    def expired(self) -> bool:
        return time.process_time() > self.deadline


@dataclass(frozen=True)
class QueryLimits:
    cpu_s: float
    rows: int
    cells: int


class SqlWorker:
    """Judges pairs. Keeps databases open and gold results cached, in caches that drop the least recently used."""

    def __init__(self, memory_mb: int, clock: QueryClock) -> None:
        self.memory_mb = memory_mb
        self.clock = clock
        self.connections: OrderedDict[str, sqlite3.Connection] = OrderedDict()
        self.gold: OrderedDict[tuple[str, str], Rows] = OrderedDict()
        self.cells = 0

    # ------------------------------------------------------------ one pair

    def judge(self, job: Mapping[str, Any]) -> dict[str, Any]:
        """The verdict on one pair of queries. `files` of the job: [path, digest] each, the benchmark's own first."""
        bounds = QueryLimits(job["cpu_s"], job["rows"], job["cells"])
        started_at = time.process_time()
        try:
            fields = self._judge(job, job["sql"], bounds)
            if fields.get("status") != "passed" and "fault" not in fields and job["slots"]:
                fields = self._judge_plugged(job, bounds, fields)
        except QueryStopped as stopped:
            fields = {"status": stopped.status, "detail": stopped.detail}
        except DatabaseUnreadable as error:
            fields = {"fault": str(error)}
        return (
            {"valid": False, "main": False, "f1": 0.0, "ratio": 0.0}
            | fields
            | {"cpu_s": time.process_time() - started_at}
        )

    def _judge_plugged(
        self, job: Mapping[str, Any], bounds: QueryLimits, fields: dict[str, Any]
    ) -> dict[str, Any]:
        """The verdict where the answer may have other values. `fields`: the one with its own. All choices of values
        together have the time of one query.
        """
        pieces = job["slots"]["pieces"]
        end = time.process_time() + bounds.cpu_s
        for values in itertools.product(job["slots"]["values"], repeat=len(pieces) - 1):
            if (left := end - time.process_time()) <= 0:
                detail = f"plugging in values took more than {bounds.cpu_s:g} s of CPU time"
                return fields | {"status": "timeout", "detail": detail}
            sql = "".join(itertools.chain(*zip(pieces, (*values, ""), strict=True)))
            tried = self._judge(job, sql, replace(bounds, cpu_s=left))
            if tried.get("status") == "passed" or "fault" in tried:
                return tried
            if tried.get("main") and not fields.get("main"):
                fields = tried
        return fields

    def _judge(self, job: Mapping[str, Any], sql: str, bounds: QueryLimits) -> dict[str, Any]:
        same_result = result_match.RULES[job["compare"]]
        fields: dict[str, Any] = {}
        for path, digest in job["files"]:
            self.clock.gold = False
            try:
                # An answer whose values are plugged in has used up time: the gold query has all of its own.
                gold = self._gold_rows(path, digest, job["gold"], replace(bounds, cpu_s=job["cpu_s"]))
            except QueryStopped as stopped:
                name = os.path.basename(path)
                return {"fault": f"its gold query fails on {name}: {stopped.status}: {stopped.detail}"}
            try:
                rows = self._run(path, sql, bounds)
            except QueryStopped as stopped:
                return fields | {"status": stopped.status, "detail": stopped.detail}
            self.clock.deadline = time.process_time() + bounds.cpu_s  # comparing may take long
            equal = same_result(gold, rows, job["ordered"])
            first = not fields
            if first:
                fields = {"valid": True, "main": equal}
                fields |= {"f1": result_match.soft_f1(gold, rows)} if job["soft"] else {}
            self.clock.deadline = float("inf")
            if not equal:
                name = "" if first else f" on {os.path.basename(path)}"
                return fields | {"status": "failed", "detail": f"other rows than the gold query's{name}"}
            if first and job["repeats"]:
                try:
                    fields["ratio"] = self._ratio(path, sql, job, bounds)
                except QueryStopped as stopped:
                    detail = f"when its time was taken: {stopped.status}: {stopped.detail}"
                    if self.clock.gold:
                        return {"fault": f"its gold query fails {detail}"}
                    return fields | {"status": stopped.status, "detail": detail}
        return fields | {"status": "passed", "detail": ""}

    def _gold_rows(self, path: str, digest: str, sql: str, bounds: QueryLimits) -> Rows:
        key = (digest, sql)
        if key in self.gold:
            self.gold.move_to_end(key)
            return self.gold[key]
        self.clock.gold = True
        rows = self._run(path, sql, bounds)
        self.clock.gold = False
        self.cells += _cells(rows)
        self.gold[key] = rows
        while self.cells > MAX_GOLD_CELLS and len(self.gold) > 1:
            self.cells -= _cells(self.gold.popitem(last=False)[1])
        return rows

    def _ratio(self, path: str, answer: str, job: Mapping[str, Any], bounds: QueryLimits) -> float:
        """Mean ratio of the gold query's time to the answer's, without outliers beyond three standard deviations."""
        ratios = []
        for _ in range(job["repeats"]):
            seconds = []
            for sql, self.clock.gold in ((answer, False), (job["gold"], True)):
                started_at = time.process_time()
                self._run(path, sql, bounds)
                seconds.append(max(1e-9, time.process_time() - started_at))
            ratios.append(seconds[1] / seconds[0])
        mean = sum(ratios) / len(ratios)
        sigma = (sum((x - mean) ** 2 for x in ratios) / len(ratios)) ** 0.5
        kept = [x for x in ratios if abs(x - mean) < REPEATS_SIGMA * sigma] or ratios
        return sum(kept) / len(kept)

    # ------------------------------------------------------------ one query

    def _run(self, path: str, sql: str, bounds: QueryLimits) -> Rows:
        connection = self._connection(path)
        self.clock.deadline = time.process_time() + bounds.cpu_s
        try:
            try:
                return _fetch(connection, sql, bounds)
            except sqlite3.OperationalError as error:
                if "decode to UTF-8" not in str(error):
                    raise
            connection.text_factory = _lenient
            return _fetch(connection, sql, bounds)
        except MemoryError:
            raise QueryStopped("memory", "out of memory") from None
        except sqlite3.OperationalError as error:
            if str(error) == "interrupted":
                raise QueryStopped("timeout", f"more than {bounds.cpu_s:g} s of CPU time") from None
            raise QueryStopped("error", f"{type(error).__name__}: {error}") from None
        except (sqlite3.Error, sqlite3.Warning, ValueError, OverflowError, RecursionError) as error:
            raise QueryStopped("error", f"{type(error).__name__}: {error}"[:500]) from None
        finally:
            self.clock.deadline = float("inf")
            connection.text_factory = str

    def _connection(self, path: str) -> sqlite3.Connection:
        if path in self.connections:
            self.connections.move_to_end(path)
            return self.connections[path]
        if len(self.connections) >= CONNECTIONS:
            self.connections.popitem(last=False)[1].close()
        try:
            connection = sqlite3.connect(
                f"file:{quote(path)}?mode=ro&immutable=1", uri=True, isolation_level=None, cached_statements=0
            )
            for setting in (*_SETTINGS, f"hard_heap_limit={self.memory_mb << 20}"):
                connection.execute(f"PRAGMA {setting}").fetchall()
            connection.execute("SELECT count(*) FROM sqlite_master").fetchall()
        except sqlite3.Error as error:
            name = os.path.basename(path)
            raise DatabaseUnreadable(f"the database {name} cannot be opened: {error}") from None
        for what, limit in _LENGTHS.items():
            connection.setlimit(what, limit)
        connection.set_authorizer(_authorise)
        connection.set_progress_handler(self.clock.expired, STEPS_PER_CHECK)
        self.connections[path] = connection
        return connection


def _authorise(action: int, first: str | None, second: str | None, schema: str | None, by: str | None) -> int:
    del first, schema, by
    if action not in _READING or (action == sqlite3.SQLITE_FUNCTION and second in _FORBIDDEN):
        return sqlite3.SQLITE_DENY
    return sqlite3.SQLITE_OK


def _lenient(raw: bytes) -> str:
    return raw.decode(errors="ignore")


def _fetch(connection: sqlite3.Connection, sql: str, bounds: QueryLimits) -> Rows:
    cursor = connection.execute(sql)
    try:
        if cursor.description is None:
            raise QueryStopped("error", "not a query: it has no result")
        rows: Rows = []
        cells = 0
        while chunk := cursor.fetchmany(CHUNK):
            rows += chunk
            cells += _cells(chunk)
            if len(rows) > bounds.rows or cells > bounds.cells:
                raise QueryStopped("output", f"more than {bounds.rows} rows or {bounds.cells} cells")
        return rows
    finally:
        cursor.close()


def _cells(rows: Sequence[tuple[Any, ...]]) -> int:
    """The size of rows in cells; a long text counts as several."""
    if not rows:
        return 1
    total = len(rows) * len(rows[0])
    for row in rows:
        for value in row:
            if type(value) in (str, bytes) and len(value) > 64:
                total += len(value) >> 6
    return total


# ---------------------------------------------------------------- the process


def _watchdog(clock: QueryClock, send: Callable[[dict[str, Any]], None]) -> None:
    """End the process when a single step of SQLite's machine (a LIKE, a printf) exceeds the query's time."""
    while True:
        time.sleep(0.2)
        if time.process_time() > clock.deadline + GRACE_S:
            send({"died": "timeout", "gold": clock.gold, "detail": "out of CPU time inside one step"})
            os._exit(1)


def main(fd: int, plan: confine.ConfinementPlan, memory_mb: int) -> None:
    """One engine: serve pairs until the controller closes its end."""
    channel = socket.socket(fileno=fd)

    def send(fields: dict[str, Any]) -> None:
        framing.write_all(fd, framing.frame(json.dumps(fields).encode()))

    try:
        state = confine.enter(plan)
        if state is None:
            channel.close()
            os.wait()
            return
        sys.path[:] = [path for path in sys.path if path not in plan.packages and "/packages/" not in path]
        confine.drop_privileges(state)
    except OSError as error:
        send({"broken": str(error)})
        return
    limit = memory_mb + state.baseline_mb + 512 << 20
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    clock = QueryClock()
    sql_worker = SqlWorker(memory_mb, clock)
    threading.Thread(target=_watchdog, args=(clock, send), daemon=True).start()
    send({"ready": True})
    frames = framing.FrameBuffer(framing.JOB_LIMIT)
    with contextlib.suppress(framing.ConnectionClosed):
        while True:
            job = json.loads(framing.read_frame(fd, frames))
            send(sql_worker.judge(job))


def start(arguments: list[str]) -> None:
    """Entry point of the process, the starter: forks the engines, so that all of them cost one start of Python. It is
    not confined and sees no query; each fork confines itself before it reads one. `arguments`: the descriptor on which
    the controller asks for a new engine, with its socket, or for the end of one.
    """
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
    alive: set[int] = set()
    with socket.socket(fileno=int(arguments[0])) as requests:
        while True:
            message, sockets, _, _ = socket.recv_fds(requests, 1 << 18, 1)
            if not message:
                break
            asked = json.loads(message)
            if "end" in asked:
                alive.remove(asked["end"])
                _end(asked["end"], asked["patience_s"])
                requests.send(b"{}")
                continue
            if not (pid := os.fork()):
                requests.close()
                _engine(sockets[0], asked)
            os.close(sockets[0])
            alive.add(pid)
            requests.send(json.dumps({"pid": pid}).encode())
    for pid in alive:
        _end(pid, patience_s=0)
    os._exit(0)


def _engine(fd: int, asked: Mapping[str, Any]) -> NoReturn:
    """The life of a fork. It ends without the interpreter's clean-up: nothing of it is needed."""
    ended = 1
    try:
        syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
        fields = asked["plan"]
        fields |= {name: tuple(fields[name]) for name in ("packages", "preload", "importable")}
        main(fd, confine.ConfinementPlan(**fields), asked["memory_mb"])
        ended = 0
    finally:
        os._exit(ended)


def _end(pid: int, patience_s: float) -> None:
    """Reap an engine; one whose socket was closed ends by itself in a moment, and what it used is then counted."""
    until = time.monotonic() + patience_s
    while time.monotonic() < until:
        if os.waitpid(pid, os.WNOHANG)[0]:
            return
        time.sleep(0.001)
    os.kill(pid, signal.SIGKILL)  # a zombie at worst: nobody else waits for it
    os.waitpid(pid, 0)
