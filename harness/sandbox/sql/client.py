"""The controller's side of executing queries: sends pairs to SQL workers, returns verdicts in order.

An SQL worker (worker.py) is a confined process that lives as long as its pool and judges one pair after another; one
process of the pool, the starter, forks them. The folders with databases are mounted when a worker starts, so a pair
from another folder starts new workers. A pair during which
a worker ends is judged once more. If the worker ends again, and the gold query alone does not end it, the answer is to
blame and gets the verdict `signal`.
"""

import contextlib
import json
import logging
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
from harness.sandbox import framing, launch, stalls
from harness.sandbox.isolation import confine
from harness.schema import Pair, PairResult
from harness.schema.execution import JUDGE_STALL_S

LOG = logging.getLogger(__name__)
_DEPTH = 32  # pairs sent to one worker, so that it never waits for the controller
_START_S = 30.0
MAX_ROWS = 1_000_000
CELLS_PER_MB = 1 << 13  # a cell is 64 bytes or a shorter value: half of the memory may be rows


@dataclass(frozen=True)
class Starter:
    """The process that forks the workers, and the socket on which it is asked."""

    process: subprocess.Popen[bytes]
    requests: socket.socket

    def ask(self, request: dict[str, Any], *descriptors: int) -> dict[str, Any]:
        """Its answer. Raises SandboxFault where there is none."""
        try:
            socket.send_fds(self.requests, [json.dumps(request).encode()], descriptors)
            answer: dict[str, Any] = json.loads(self.requests.recv(1 << 12))
        except (OSError, ValueError) as error:
            raise SandboxFault(f"the process that starts SQL engines has ended or hangs ({error})") from None
        return answer

    def close(self) -> None:
        self.requests.close()
        self.process.kill()
        self.process.wait()


@dataclass(eq=False)
class SqlClient:
    """The controller's handle on one SQL worker. `sent`: the numbers of its pairs, the one it is judging first."""

    socket: socket.socket
    starter: Starter
    pid: int
    scratch: tempfile.TemporaryDirectory[str] | None
    watch: stalls.StallWatch
    frames: framing.FrameBuffer = field(default_factory=lambda: framing.FrameBuffer(framing.JOB_LIMIT))
    sent: deque[int] = field(default_factory=deque)
    deadline: float = 0.0


@dataclass
class QueryJob:
    """`hangs`: engines that hung with it, which no query can bring about."""

    pair: Pair
    tries: int = 0
    hangs: int = 0
    result: PairResult | SandboxFault | None = None


class SqlPool:
    """The SQL workers of one pool. Nothing is started before the first pair."""

    def __init__(
        self,
        isolation: confine.Isolation,
        size: int,
        time_limit: float | None,
        memory_mb: int | None,
        stall_s: float = JUDGE_STALL_S,
    ) -> None:
        self.isolation = isolation
        self.size = size
        self.time_limit = time_limit
        self.memory_mb = memory_mb or 1024
        self.stall_s = stall_s
        self.folders: list[str] = []
        self.clients: list[SqlClient] = []
        self.starter: Starter | None = None

    def close(self) -> None:
        while self.clients:
            self._stop(self.clients[-1])
        if self.starter is not None:
            self.starter.close()
            self.starter = None

    def try_out(self) -> None:
        """Start a worker and end it. Raises IsolationUnavailable with the kernel's reason."""
        try:
            self._stop(self._start())
        except BaseException:
            self.close()
            raise

    def judge(self, pairs: Iterable[Pair], ahead: int) -> Iterator[PairResult | SandboxFault]:
        """One result per pair, in order. At most `ahead` pairs are drawn ahead of the results."""
        source, jobs, waiting = iter(pairs), dict[int, QueryJob](), deque[int]()
        drawn = yielded = 0
        with selectors.DefaultSelector() as selector:
            try:
                while True:
                    while drawn - yielded < ahead and (pair := next(source, None)) is not None:
                        jobs[drawn] = QueryJob(pair)
                        waiting.append(drawn)
                        drawn += 1
                    if not jobs:
                        return
                    self._dispatch(jobs, waiting, selector)
                    self._receive(jobs, waiting, selector)
                    while yielded in jobs and (result := jobs[yielded].result) is not None:
                        del jobs[yielded]
                        yielded += 1
                        yield result
            finally:
                for each in [each for each in self.clients if each.sent]:
                    self._stop(each)  # a later batch would read its results

    # ------------------------------------------------------------ pairs and verdicts

    def _dispatch(
        self, jobs: dict[int, QueryJob], waiting: deque[int], selector: selectors.BaseSelector
    ) -> None:
        while waiting:
            pair = jobs[waiting[0]].pair
            if unseen := [folder for folder in pair.folders if folder not in self.folders]:
                if any(each.sent for each in self.clients):
                    return  # they have to end first, and they have work
                for each in list(self.clients):
                    self._stop(each)
                self.folders += unseen
            for each in [each for each in self.clients if each.starter is not self.starter and not each.sent]:
                self._stop(each)
            own = [each for each in self.clients if each.starter is self.starter]
            free = [each for each in own if len(each.sent) < _DEPTH]
            idle = [each for each in free if not each.sent]
            if not idle and len(self.clients) < self.size:
                idle = [self._start()]
            if not (idle or free):
                return
            client = (idle or free)[0]
            number = waiting.popleft()
            if not client.sent:
                self._set_deadline(client, jobs[number])
                client.watch.heard()
                selector.register(client.socket, selectors.EVENT_READ, client)
            client.sent.append(number)
            with contextlib.suppress(framing.ConnectionClosed):  # its end is read next, and handled there
                framing.write_all(client.socket.fileno(), framing.frame(self._fields(jobs[number])))

    def _receive(
        self, jobs: dict[int, QueryJob], waiting: deque[int], selector: selectors.BaseSelector
    ) -> None:
        busy = [each for each in self.clients if each.sent]
        if not busy:
            return
        patience = min(min(each.deadline, each.watch.due) for each in busy) - time.monotonic()
        for key, _ in selector.select(max(0.0, patience)):
            client: SqlClient = key.data
            died, began = "" if _read_available(client) else "the SQL engine ended", True
            client.watch.heard()
            while not died and (payload := client.frames.pop()) is not None:
                fields = json.loads(payload)
                job = jobs[client.sent[0]]
                if "died" in fields:
                    job.result = _died(fields)
                    client.sent.popleft()
                    died, began = fields["died"], False
                else:
                    client.sent.popleft()
                    job.result = _result(job, fields)
                    if client.sent:
                        self._set_deadline(client, jobs[client.sent[0]])
            if died or not client.sent:
                selector.unregister(client.socket)
            if died:
                self._requeue(client, jobs, waiting, began)
        for each in busy:
            if each.sent and time.monotonic() > each.deadline:
                selector.unregister(each.socket)
                job = jobs[each.sent.popleft()]
                job.result = PairResult(status="timeout", detail="the SQL engine stopped answering")
                self._requeue(each, jobs, waiting, began=False)
            elif each.sent and each.watch.hangs():
                selector.unregister(each.socket)
                self._give_up(each, jobs)
                self._requeue(each, jobs, waiting, began=False)

    @staticmethod
    def _give_up(client: SqlClient, jobs: dict[int, QueryJob]) -> None:
        """It hangs; so does perhaps what its query reads."""
        job, cause = jobs[client.sent[0]], client.watch.cause([("process", client.pid)])
        job.hangs += 1
        if job.hangs < 2:
            LOG.warning("an SQL engine is replaced, and its query run again: %s", cause)
            return
        job.result = SandboxFault(f"an SQL engine hangs: {cause} (twice for the same query)")
        client.sent.popleft()

    def _requeue(
        self, client: SqlClient, jobs: dict[int, QueryJob], waiting: deque[int], began: bool
    ) -> None:
        """A worker has ended: its pairs are judged again, the first one until there is a verdict if it had begun."""
        numbers = list(client.sent)
        self._stop(client)
        if numbers and began:
            first = jobs[numbers[0]]
            first.tries += 1
            if first.tries == 3:
                first.result = SandboxFault("the SQL engine ends on the gold query")
                del numbers[0]
        waiting.extendleft(reversed(numbers))

    def _fields(self, job: QueryJob) -> bytes:
        pair = job.pair
        # The third try is without the answer: does the gold query alone end the worker?
        fields = {
            "sql": pair.sql if job.tries < 2 else pair.gold,
            "gold": pair.gold,
            "files": [[self._inside_path(file.path), file.sha256] for file in pair.files],
            "compare": pair.compare,
            "ordered": pair.ordered,
            "slots": pair.slots and job.tries < 2 and pair.slots.model_dump(mode="json"),
            "soft": pair.soft,
            "repeats": pair.repeats if job.tries < 2 else 0,
            "cpu_s": self.time_limit or pair.cpu_s,
            "rows": MAX_ROWS,
            "cells": self.memory_mb * CELLS_PER_MB,
        }
        return json.dumps(fields).encode()

    def _inside_path(self, path: str) -> str:
        """A database's path as the worker sees it."""
        if self.isolation != "namespaces":
            return path
        for index, folder in enumerate(self.folders):
            if path.startswith(folder + os.sep):
                return f"/packages/{index}{path[len(folder) :]}"
        raise SandboxFault(f"{path} is in none of the folders that were named for it")

    def _set_deadline(self, client: SqlClient, job: QueryJob) -> None:
        runs = 2 * len(job.pair.files) + 2 * job.pair.repeats + 2 * (job.pair.slots is not None)
        client.deadline = time.monotonic() + 30 + 4 * runs * (self.time_limit or job.pair.cpu_s)

    # ------------------------------------------------------------ processes

    def _start(self) -> SqlClient:
        uid = launch.throwaway_uid()
        if not all(map(_world_readable, self.folders)):
            uid = 0
        scratch = None
        if self.isolation != "namespaces":
            scratch = tempfile.TemporaryDirectory(prefix="harness-")
            os.chown(scratch.name, uid or -1, uid or -1)
        plan = confine.ConfinementPlan(
            self.isolation, tuple(self.folders), scratch.name if scratch else "", uid
        )
        ours, theirs = socket.socketpair()
        with theirs:
            asked = {"plan": plan._asdict(), "memory_mb": self.memory_mb}
            starter, answer = self._ask(asked, theirs.fileno())
            watch = stalls.StallWatch(answer["pid"], self.stall_s, below=int(self.isolation == "namespaces"))
            started = SqlClient(ours, starter, answer["pid"], scratch, watch)
        self.clients.append(started)
        greeting = {"broken": f"it said nothing for {_START_S:g} s"}
        if select.select([ours], [], [], _START_S)[0]:
            try:
                greeting = json.loads(framing.read_frame(ours.fileno(), started.frames))
            except framing.ConnectionClosed:
                greeting = {"broken": "it ended at once"}
        if "ready" not in greeting:
            self._stop(started)
            raise launch.IsolationUnavailable(f"an SQL engine could not be started: {greeting['broken']}")
        return started

    def _ask(self, request: dict[str, Any], *descriptors: int) -> tuple[Starter, dict[str, Any]]:
        """The starter and its answer. One that gives none is ended, with its workers; the next call starts another."""
        if self.starter is None:
            requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            requests.settimeout(_START_S)
            with theirs:
                process = launch.spawn(sys.executable, "sql.worker", (theirs,), [], {})
            self.starter = Starter(process, requests)
        try:
            return self.starter, self.starter.ask(request, *descriptors)
        except SandboxFault:
            self.starter.close()
            self.starter = None
            raise

    def _stop(self, client: SqlClient) -> None:
        self.clients.remove(client)
        client.socket.close()
        if client.starter is self.starter:  # else it ended with its starter
            with contextlib.suppress(SandboxFault):  # so it does now
                self._ask({"end": client.pid, "patience_s": 0 if client.sent else 2})
        if client.scratch is not None:
            client.scratch.cleanup()


def _read_available(client: SqlClient) -> bool:
    """Read what a worker sends. False once it has ended."""
    try:
        return framing.read_available(client.socket.fileno(), client.frames.buffer) > 0
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


def _world_readable(folder: str) -> bool:
    """Whether a user without rights may read every database in the folder, as it is mounted for a worker."""
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
