"""One batch of programs on a pool's workers: what waits, what runs where, what is finished but not yet
due.
"""

import selectors
import signal
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from harness.errors import SandboxFault
from harness.sandbox import framing, launch
from harness.sandbox.values import codec
from harness.schema import ExecResult, Program

# Programs drawn and results that wait for an earlier one to come first: bounds memory, however many there are.
AHEAD = 256
# Jobs a worker has at hand: one running, one it can begin without asking.
_DEPTH = 2
_TRIES = 2
# Programs that are remembered because they may come again: samples of one problem often are the same.
_KNOWN = 1024


@dataclass
class ProgramJob:
    """`payload`: the program as a frame for a tester. `patience`: seconds after which a silent tester is
    given up. `result`: known already where the program cannot be run at all. `same`: equal for programs that
    are one, so that they are run once a batch; empty to run each.
    """

    payload: bytes
    patience: float
    tries: int = 0
    alone: bool = False
    result: ExecResult | SandboxFault | None = None
    same: bytes = b""


class WorkerSource(Protocol):
    """What a batch needs of its pool."""

    @property
    def size(self) -> int: ...
    def workers(self) -> list[launch.SandboxWorker]: ...
    def new_worker(self) -> launch.SandboxWorker: ...
    def drop(self, worker: launch.SandboxWorker) -> None: ...
    def job(self, program: Program) -> ProgramJob: ...


class Batch:
    """Drives the workers while somebody asks for results. No threads: between two results the workers work
    on alone.
    """

    def __init__(self, pool: WorkerSource, programs: Iterator[Program], ahead: int) -> None:
        self.pool = pool
        self.programs = programs
        self.ahead = ahead
        self.jobs: dict[int, ProgramJob] = {}
        self.known: dict[bytes, ProgramJob] = {}
        self.waiting: deque[int] = deque()
        self.suspects: deque[int] = deque()
        self.drawn = 0
        self.given = 0
        self.selector = selectors.DefaultSelector()
        self.outgoing: dict[int, bytearray] = {}

    def results(self) -> Iterator[ExecResult | SandboxFault]:
        exhausted = False
        while True:
            while not exhausted and self.drawn - self.given < self.ahead:
                program = next(self.programs, None)
                if program is None:
                    exhausted = True
                    break
                drawn = self.pool.job(program)
                self.jobs[self.drawn] = self.known.get(drawn.same, drawn)
                if self.jobs[self.drawn] is drawn and drawn.result is None:
                    self.waiting.append(self.drawn)
                if drawn.same:
                    self._remember(drawn)
                self.drawn += 1
            if not self.jobs:
                return
            self._assign()
            self._wait()
            while (job := self.jobs.get(self.given)) is not None and job.result is not None:
                del self.jobs[self.given]
                self.given += 1
                yield job.result

    def _remember(self, job: ProgramJob) -> None:
        self.known.setdefault(job.same, job)
        if len(self.known) > _KNOWN:
            del self.known[next(iter(self.known))]

    def abandon(self) -> None:
        """Leave no worker with work of this batch: a later batch would read its results."""
        for worker in self.pool.workers():
            if worker.jobs:
                self.pool.drop(worker)
        self.selector.close()

    # ------------------------------------------------------------ giving

    def _assign(self) -> None:
        if self.suspects:
            # Out of wall time under load, perhaps: such a program runs again, alone, before it counts.
            if not any(worker.jobs for worker in self.pool.workers()):
                self._give(self._ready_worker(), self.suspects.popleft())
            return
        while self.waiting:
            free = [worker for worker in self.pool.workers() if len(worker.jobs) < _DEPTH]
            idle = [worker for worker in free if not worker.jobs]
            if not idle and len(self.pool.workers()) < self.pool.size:
                idle = [self.pool.new_worker()]
            if not (idle or free):
                return
            self._give((idle or free)[0], self.waiting.popleft())

    def _ready_worker(self) -> launch.SandboxWorker:
        workers = self.pool.workers()
        return workers[0] if workers else self.pool.new_worker()

    def _give(self, worker: launch.SandboxWorker, number: int) -> None:
        job = self.jobs[number]
        if not worker.jobs:
            worker.deadline = time.monotonic() + job.patience
        worker.jobs.append(number)
        fd = worker.socket.fileno()
        if fd not in self.outgoing:
            self.outgoing[fd] = bytearray()
            self.selector.register(fd, selectors.EVENT_READ, worker)
        self.outgoing[fd] += job.payload
        self._write(worker)

    def _write(self, worker: launch.SandboxWorker) -> None:
        fd = worker.socket.fileno()
        pending = self.outgoing[fd]
        try:
            while pending:
                del pending[: worker.socket.send(pending)]
            self.selector.modify(fd, selectors.EVENT_READ, worker)
        except BlockingIOError:
            self.selector.modify(fd, selectors.EVENT_READ | selectors.EVENT_WRITE, worker)
        except (BrokenPipeError, ConnectionResetError):
            pass  # its end is read next, and told there
        return

    # ------------------------------------------------------------ taking

    def _wait(self) -> None:
        busy = [worker for worker in self.pool.workers() if worker.jobs]
        if not busy:
            return
        timeout = min(worker.deadline for worker in busy) - time.monotonic()
        for key, what in self.selector.select(max(0.0, timeout)):
            worker = key.data
            if what & selectors.EVENT_WRITE:
                self._write(worker)
            if what & selectors.EVENT_READ:
                self._read(worker)
        for worker in busy:
            if worker.jobs and time.monotonic() > worker.deadline:
                self._lost(worker, "a tester stopped answering")

    def _read(self, worker: launch.SandboxWorker) -> None:
        try:
            count = framing.read_available(worker.socket.fileno(), worker.frames.buffer)
        except BlockingIOError:
            return
        except ConnectionResetError:
            count = 0
        if not count:
            self._lost(worker, "a sandbox worker ended while it judged")
            return
        while (payload := worker.frames.pop()) is not None:
            self._take(worker, codec.decode(payload))

    def _take(self, worker: launch.SandboxWorker, fields: dict[str, Any]) -> None:
        if "broken" in fields:
            self._lost(worker, fields["broken"])
            return
        number = worker.jobs.pop(0)
        job = self.jobs[number]
        if worker.jobs:
            worker.deadline = time.monotonic() + self.jobs[worker.jobs[0]].patience
        if "fault" in fields:
            job.result = SandboxFault(fields["fault"])
        elif fields.pop("suspect") and not job.alone:
            job.alone = True
            self.suspects.append(number)
        else:
            job.result = ExecResult(**fields)

    def _lost(self, worker: launch.SandboxWorker, reason: str) -> None:
        """A worker is gone: its program is run again once, those behind it had not begun."""
        fd = worker.socket.fileno()
        if fd in self.outgoing:
            del self.outgoing[fd]
            self.selector.unregister(fd)
        numbers, worker.jobs = worker.jobs, []
        reason += launch.death_cause(worker)
        self.pool.drop(worker)
        if not numbers:
            return
        first = self.jobs[numbers[0]]
        first.tries += 1
        if worker.processes[0].returncode == -signal.SIGVTALRM:
            text = "the tests did not end with the values they got"
            first.result = ExecResult(status="timeout", detail=text, judge="outside")
            del numbers[0]
        elif first.tries >= _TRIES:
            first.result = SandboxFault(f"{reason} (twice for the same program)")
            del numbers[0]
        self.waiting.extendleft(reversed(numbers))
