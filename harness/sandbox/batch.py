"""One batch of programs on a pool's workers: what waits, what runs where, what is finished and waits for its turn."""

import logging
import selectors
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from harness.errors import SandboxFault
from harness.sandbox import framing, launch
from harness.sandbox.python import budget
from harness.sandbox.values import codec
from harness.schema import ExecResult, Program

LOG = logging.getLogger(__name__)
# Programs drawn ahead of the result that is due next: bounds memory, however many programs there are.
AHEAD = 256
# Jobs that a worker has: one running, and one that it can start without asking.
_DEPTH = 2
_TRIES = 2


@dataclass
class ProgramJob:
    """`payload`: the program as a frame for its worker. `timeout_s`: after so long a silent worker is given up.
    `rerun_alone`: it may have run out of wall time because of load. `result`: known already where the program cannot be
    run at all. `tests`: the digest of tests whose reference's values are kept between runs.
    """

    payload: bytes
    timeout_s: float
    tries: int = 0
    rerun_alone: bool = False
    result: ExecResult | SandboxFault | None = None
    tests: bytes = b""


class KeptReferences(Protocol):
    """What earlier runs were told, by the digest of the tests (references.py); empty where there is nothing."""

    def find(self, tests: bytes) -> bytes: ...
    def add(self, tests: bytes, values: bytes) -> None: ...


class WorkerSource(Protocol):
    """What a batch needs of a pool."""

    @property
    def size(self) -> int: ...
    def workers(self) -> list[launch.SandboxWorker]: ...
    def new_worker(self) -> launch.SandboxWorker: ...
    def drop(self, worker: launch.SandboxWorker) -> None: ...
    def job(self, program: Program) -> ProgramJob: ...


class Batch:
    """Drives the workers while the caller asks for results. No threads: between two results the workers continue with
    what they have.
    """

    def __init__(
        self,
        pool: WorkerSource,
        programs: Iterator[Program],
        ahead: int,
        references: Callable[[], KeptReferences | None] = lambda: None,
    ) -> None:
        self.pool = pool
        self.references = references
        self.programs = programs
        self.ahead = ahead
        self.jobs: dict[int, ProgramJob] = {}
        self.waiting: deque[int] = deque()
        self.suspects: deque[int] = deque()
        self.drawn = 0
        self.yielded = 0
        self.selector = selectors.DefaultSelector()
        self.send_buffers: dict[int, bytearray] = {}

    def results(self) -> Iterator[ExecResult | SandboxFault]:
        exhausted = False
        while True:
            while not exhausted and self.drawn - self.yielded < self.ahead:
                program = next(self.programs, None)
                if program is None:
                    exhausted = True
                    break
                self.jobs[self.drawn] = self.pool.job(program)
                if self.jobs[self.drawn].result is None:
                    self.waiting.append(self.drawn)
                self.drawn += 1
            if not self.jobs:
                return
            self._dispatch_waiting()
            self._wait()
            while (job := self.jobs.get(self.yielded)) is not None and job.result is not None:
                del self.jobs[self.yielded]
                self.yielded += 1
                yield job.result

    def abandon(self) -> None:
        """End workers that still have jobs of this batch: a later batch would read their results."""
        for worker in self.pool.workers():
            if worker.jobs:
                self.pool.drop(worker)
        self.selector.close()

    # ------------------------------------------------------------ sending jobs

    def _dispatch_waiting(self) -> None:
        if self.suspects:
            # Perhaps out of wall time because of load: such a program runs once more, alone, before the result counts.
            if not any(worker.jobs for worker in self.pool.workers()):
                self._dispatch(self._ready_worker(), self.suspects.popleft())
            return
        while self.waiting:
            free = [worker for worker in self.pool.workers() if len(worker.jobs) < _DEPTH]
            idle = [worker for worker in free if not worker.jobs]
            if not idle and len(self.pool.workers()) < self.pool.size:
                idle = [self.pool.new_worker()]
            if not (idle or free):
                return
            self._dispatch((idle or free)[0], self.waiting.popleft())

    def _ready_worker(self) -> launch.SandboxWorker:
        workers = self.pool.workers()
        return workers[0] if workers else self.pool.new_worker()

    def _dispatch(self, worker: launch.SandboxWorker, number: int) -> None:
        job = self.jobs[number]
        if not worker.jobs:
            worker.deadline = time.monotonic() + job.timeout_s
            worker.watch.heard()
        worker.jobs.append(number)
        fd = worker.socket.fileno()
        if fd not in self.send_buffers:
            self.send_buffers[fd] = bytearray()
            self.selector.register(fd, selectors.EVENT_READ, worker)
        self.send_buffers[fd] += self._told_before(worker, job) + job.payload
        self._send(worker)

    def _told_before(self, worker: launch.SandboxWorker, job: ProgramJob) -> bytes:
        """A frame with what earlier runs were told of the job's tests, where this worker has not heard it last."""
        if not job.tests or worker.tests == job.tests or (kept := self.references()) is None:
            return b""
        worker.tests = job.tests
        told = {"tests": job.tests, "references": kept.find(job.tests)}
        return framing.frame(codec.encode(told, limit=framing.JOB_LIMIT))

    def _send(self, worker: launch.SandboxWorker) -> None:
        fd = worker.socket.fileno()
        pending = self.send_buffers[fd]
        try:
            while pending:
                del pending[: worker.socket.send(pending)]
            self.selector.modify(fd, selectors.EVENT_READ, worker)
        except BlockingIOError:
            self.selector.modify(fd, selectors.EVENT_READ | selectors.EVENT_WRITE, worker)
        except (BrokenPipeError, ConnectionResetError):
            pass  # its end is read next, and handled there
        return

    # ------------------------------------------------------------ receiving results

    def _wait(self) -> None:
        busy = [worker for worker in self.pool.workers() if worker.jobs]
        if not busy:
            return
        timeout = min(min(worker.deadline, worker.watch.due) for worker in busy) - time.monotonic()
        for key, what in self.selector.select(max(0.0, timeout)):
            worker = key.data
            if what & selectors.EVENT_WRITE:
                self._send(worker)
            if what & selectors.EVENT_READ:
                self._receive(worker)
        for worker in busy:
            if worker.jobs and time.monotonic() > worker.deadline:
                self._drop_worker(worker, "a tester stopped answering")
            elif worker.jobs and worker.watch.hangs():
                cause = worker.watch.cause(launch.names(worker))
                LOG.warning("a sandbox worker is replaced, and its program run again: %s", cause)
                self._drop_worker(worker, f"a sandbox worker hangs: {cause}", by_program=False)

    def _receive(self, worker: launch.SandboxWorker) -> None:
        try:
            count = framing.read_available(worker.socket.fileno(), worker.frames.buffer)
        except BlockingIOError:
            return
        except ConnectionResetError:
            count = 0
        if not count:
            self._drop_worker(worker, "a sandbox worker ended while it judged")
            return
        worker.watch.heard()
        while (payload := worker.frames.pop()) is not None:
            self._record(worker, codec.decode(payload))

    def _record(self, worker: launch.SandboxWorker, fields: dict[str, Any]) -> None:
        if "broken" in fields:
            self._drop_worker(worker, fields["broken"], fields["by_program"])
            return
        number = worker.jobs.pop(0)
        job = self.jobs[number]
        if (values := fields.pop("references", b"")) and (kept := self.references()) is not None:
            kept.add(job.tests, values)
        if worker.jobs:
            worker.deadline = time.monotonic() + self.jobs[worker.jobs[0]].timeout_s
        if "fault" in fields:
            job.result = SandboxFault(fields["fault"])
        elif fields.pop("suspect") and not job.rerun_alone:
            job.rerun_alone = True
            self.suspects.append(number)
        else:
            job.result = ExecResult(**fields)

    def _drop_worker(self, worker: launch.SandboxWorker, reason: str, by_program: bool = True) -> None:
        """A worker has ended: its program is run once more; the jobs behind it had not started.

        Two workers that end with the same program are its doing, unless they ended before they started it.
        """
        fd = worker.socket.fileno()
        if fd in self.send_buffers:
            del self.send_buffers[fd]
            self.selector.unregister(fd)
        numbers, worker.jobs = worker.jobs, []
        reason += launch.death_cause(worker)
        self.pool.drop(worker)
        if not numbers:
            return
        first = self.jobs[numbers[0]]
        first.tries += 1
        if worker.processes[0].returncode in budget.EXIT_CODES:
            first.result = ExecResult(status="error", detail=budget.TOO_MUCH, judge="outside")
            del numbers[0]
        elif first.tries >= _TRIES:
            reason += " (twice for the same program)"
            verdict = ExecResult(status="error", detail=f"judge resources: {reason}", judge="outside")
            first.result = verdict if by_program else SandboxFault(reason)
            del numbers[0]
        self.waiting.extendleft(reversed(numbers))
