"""The controller's side of executing queries: gives pairs to engines, takes verdicts back in order.

An engine (engine.py) is one confined process a worker; it lives as long as its pool and judges one pair after
another. The folders with databases are bound into it when it starts, so a pair from another folder starts
new ones. A pair during which an engine ends is judged once more; if it ends again and the gold query alone
does not end it, the answer did it and gets the verdict `signal`.
"""

import contextlib
import json
import os
import select
import selectors
import socket
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from harness.errors import SandboxFault
from harness.sandbox import framing, launch
from harness.sandbox.isolation import confine
from harness.sandbox.sql import worker
from harness.schema import Pair, PairResult

_DEPTH = 32  # pairs an engine has at hand, so that it never waits for the controller
AHEAD = 512
_START_S = 30.0
ROWS = 1_000_000
CELLS_A_MB = 1 << 13  # a cell is 64 bytes or a shorter value: half of the memory may be rows


@dataclass(eq=False)
class SqlClient:
    """The controller's hold on one engine. `given`: numbers of the pairs it has, the one it judges first."""

    socket: socket.socket
    process: subprocess.Popen[bytes]
    scratch: tempfile.TemporaryDirectory[str] | None
    frames: framing.FrameBuffer = field(default_factory=lambda: framing.FrameBuffer(worker.JOB_LIMIT))
    given: deque[int] = field(default_factory=deque)
    deadline: float = 0.0


@dataclass
class QueryJob:
    pair: Pair
    tries: int = 0
    result: PairResult | SandboxFault | None = None


class SqlPool:
    """Warm engines for one pool. Nothing is started before the first pair."""

    def __init__(
        self, isolation: confine.Isolation, size: int, time_limit: float | None, memory_mb: int | None
    ) -> None:
        self.isolation = isolation
        self.size = size
        self.time_limit = time_limit
        self.memory_mb = memory_mb or 1024
        self.folders: list[str] = []
        self.engines: list[SqlClient] = []
        self.started = 0

    def close(self) -> None:
        while self.engines:
            self._stop(self.engines[-1])

    def judge(self, pairs: Iterable[Pair], ahead: int) -> Iterator[PairResult | SandboxFault]:
        """One result a pair, in order. So many pairs are drawn ahead, never all at once."""
        source, jobs, waiting = iter(pairs), dict[int, QueryJob](), deque[int]()
        drawn = given = 0
        with selectors.DefaultSelector() as selector:
            try:
                while True:
                    while drawn - given < ahead and (pair := next(source, None)) is not None:
                        jobs[drawn] = QueryJob(pair)
                        waiting.append(drawn)
                        drawn += 1
                    if not jobs:
                        return
                    self._give(jobs, waiting, selector)
                    self._take(jobs, waiting, selector)
                    while given in jobs and (result := jobs[given].result) is not None:
                        del jobs[given]
                        given += 1
                        yield result
            finally:
                for each in [each for each in self.engines if each.given]:
                    self._stop(each)  # a later batch would read its results

    # ------------------------------------------------------------ giving and taking

    def _give(self, jobs: dict[int, QueryJob], waiting: deque[int], selector: selectors.BaseSelector) -> None:
        while waiting:
            pair = jobs[waiting[0]].pair
            if unseen := [folder for folder in pair.folders if folder not in self.folders]:
                if any(each.given for each in self.engines):
                    return  # they are asked to end first, and they have work
                for each in list(self.engines):
                    self._stop(each)
                self.folders += unseen
            free = [each for each in self.engines if len(each.given) < _DEPTH]
            idle = [each for each in free if not each.given]
            if not idle and len(self.engines) < self.size:
                idle = [self._start()]
            if not (idle or free):
                return
            to = (idle or free)[0]
            number = waiting.popleft()
            if not to.given:
                self._expect(to, jobs[number])
                selector.register(to.socket, selectors.EVENT_READ, to)
            to.given.append(number)
            with contextlib.suppress(framing.ConnectionClosed):  # its end is read next, and told there
                framing.write_all(to.socket.fileno(), framing.frame(self._fields(jobs[number])))

    def _take(self, jobs: dict[int, QueryJob], waiting: deque[int], selector: selectors.BaseSelector) -> None:
        busy = [each for each in self.engines if each.given]
        if not busy:
            return
        patience = min(each.deadline for each in busy) - time.monotonic()
        for key, _ in selector.select(max(0.0, patience)):
            here: SqlClient = key.data
            died = "" if _receive(here) else "the SQL engine ended"
            while not died and (payload := here.frames.pop()) is not None:
                fields = json.loads(payload)
                job = jobs[here.given[0]]
                if "died" in fields:
                    job.result = _died(fields)
                    here.given.popleft()
                    died = fields["died"]
                else:
                    here.given.popleft()
                    job.result = _result(job, fields)
                    if here.given:
                        self._expect(here, jobs[here.given[0]])
            if died or not here.given:
                selector.unregister(here.socket)
            if died:
                self._lost(here, jobs, waiting)
        for each in busy:
            if each.given and time.monotonic() > each.deadline:
                selector.unregister(each.socket)
                job = jobs[each.given.popleft()]
                job.result = PairResult(status="timeout", detail="the SQL engine stopped answering")
                self._lost(each, jobs, waiting)

    def _lost(self, gone: SqlClient, jobs: dict[int, QueryJob], waiting: deque[int]) -> None:
        """Its first pair is judged again, up to a verdict; those behind it had not begun."""
        numbers = list(gone.given)
        self._stop(gone)
        if numbers:
            first = jobs[numbers[0]]
            first.tries += 1
            if first.tries == 3:
                first.result = SandboxFault("the SQL engine ends on the gold query")
                del numbers[0]
        waiting.extendleft(reversed(numbers))

    def _fields(self, job: QueryJob) -> bytes:
        pair = job.pair
        # The third try is without the answer: does the gold query alone bring the engine down?
        fields = {
            "sql": pair.sql if job.tries < 2 else pair.gold,
            "gold": pair.gold,
            "files": [[self._inside(file.path), file.sha256] for file in pair.files],
            "compare": pair.compare,
            "ordered": pair.ordered,
            "soft": pair.soft,
            "repeats": pair.repeats if job.tries < 2 else 0,
            "cpu_s": self.time_limit or pair.cpu_s,
            "rows": ROWS,
            "cells": self.memory_mb * CELLS_A_MB,
        }
        return json.dumps(fields).encode()

    def _inside(self, path: str) -> str:
        """A database's path as the engine sees it."""
        if self.isolation != "namespaces":
            return path
        for place, folder in enumerate(self.folders):
            if path.startswith(folder + os.sep):
                return f"/packages/{place}{path[len(folder) :]}"
        raise SandboxFault(f"{path} is in none of the folders that were named for it")

    def _expect(self, to: SqlClient, job: QueryJob) -> None:
        runs = 2 * len(job.pair.files) + 2 * job.pair.repeats
        to.deadline = time.monotonic() + 30 + 4 * runs * (self.time_limit or job.pair.cpu_s)

    # ------------------------------------------------------------ processes

    def _start(self) -> SqlClient:
        self.started += 1
        uid = launch.throwaway_uid(40 + self.started % 20)
        if not all(map(_open_to_all, self.folders)):
            uid = 0
        scratch = None
        if self.isolation != "namespaces":
            scratch = tempfile.TemporaryDirectory(prefix="harness-")
            os.chown(scratch.name, uid or -1, uid or -1)
        plan = confine.ConfinementPlan(
            self.isolation, tuple(self.folders), scratch.name if scratch else "", uid
        )
        mine, theirs = socket.socketpair()
        with theirs:
            process = launch.spawn(
                sys.executable, "sql.worker", (theirs,), [json.dumps(vars(plan)), str(self.memory_mb)], {}
            )
        started = SqlClient(mine, process, scratch)
        self.engines.append(started)
        said = {"broken": f"it said nothing for {_START_S:g} s"}
        if select.select([mine], [], [], _START_S)[0]:
            try:
                said = json.loads(framing.read_frame(mine.fileno(), started.frames))
            except framing.ConnectionClosed:
                said = {"broken": "it ended at once"}
        if "ready" not in said:
            self._stop(started)
            raise SandboxFault(f"an SQL engine could not be started: {said['broken']}")
        return started

    def _stop(self, gone: SqlClient) -> None:
        self.engines.remove(gone)
        gone.socket.close()
        if not gone.given:
            with contextlib.suppress(subprocess.TimeoutExpired):
                gone.process.wait(timeout=2)  # it reads the end of its socket
        gone.process.kill()
        gone.process.wait()
        if gone.scratch is not None:
            gone.scratch.cleanup()


def _receive(here: SqlClient) -> bool:
    """Take in what an engine says. False at its end."""
    try:
        return framing.read_available(here.socket.fileno(), here.frames.buffer) > 0
    except ConnectionResetError:
        return False


def _died(fields: dict[str, Any]) -> PairResult | SandboxFault:
    if fields["gold"]:
        return SandboxFault(f"its gold query fails: {fields['died']}: {fields['detail']}")
    return PairResult(status=fields["died"], detail=fields["detail"])


def _result(job: QueryJob, fields: dict[str, Any]) -> PairResult | SandboxFault:
    if "fault" in fields:
        return SandboxFault(fields["fault"])
    if job.tries == 2:
        return PairResult(status="signal", detail="the query ended the SQL engine twice")
    return PairResult(**fields)


def _open_to_all(folder: str) -> bool:
    """Whether an identity without rights may read every database of the folder, as it is bound into an engine."""
    if os.stat(folder).st_mode & 0o005 != 0o005:
        return False
    for path, folders, files in os.walk(folder):
        for name in folders:
            if os.stat(os.path.join(path, name)).st_mode & 0o005 != 0o005:
                return False
        for name in files:
            if name.endswith((".sqlite", ".db")) and not os.stat(os.path.join(path, name)).st_mode & 0o004:
                return False
    return True
