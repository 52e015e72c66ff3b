"""The loop that runs a worker pool: start workers, dispatch chunks, poll for results, replace workers that die."""

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic
from types import TracebackType
from typing import Any, Protocol

from harness.config.backend import STALL_S
from harness.errors import Fault, UserError
from harness.runs.workers.protocol import SETUP, PartialResult, TaskSpec, WorkRequest, pack
from harness.runs.workers.work_queue import TRIES, ChunkSizer, GivenUp, WorkQueue

LOG = logging.getLogger(__name__)
QUEUE_DEPTH = 2  # chunks of a worker: one it works on, one it can begin without asking
START_TIMEOUT_S = 900.0  # without any worker that has set up
RESULTS_ONLY = 15  # a result may take its time
POLL_S = 5.0


class WorkerDied(Exception):
    """A worker is gone; the text says why, as far as that is known."""


class WorkerHandle(Protocol):
    """One process or actor. It carries out requests in the order in which they are sent."""

    @property
    def name(self) -> str: ...

    def send(self, payload: bytes) -> None:
        """Send a request, without waiting."""
        ...

    def receive(self) -> Sequence[tuple[PartialResult, int]]:
        """The partial results that have arrived, each with its size in bytes. Raises WorkerDied."""
        ...


class Launcher(Protocol):
    """Starts workers somewhere. `capacity`: how many run at a time."""

    @property
    def capacity(self) -> int: ...

    def start(self, slot: int) -> WorkerHandle:
        """Begin to start a worker. Raises WorkerDied."""
        ...

    def wait(self, workers: Sequence[WorkerHandle], seconds: float) -> Sequence[WorkerHandle]:
        """Those that have results to receive, or are gone."""
        ...

    def stop(self, workers: Sequence[WorkerHandle]) -> None:
        """End them now; it does no harm where they are gone already."""
        ...


@dataclass
class Chunk:
    """Numbers of a queue's items that a worker has, without those it has returned; queue None: a setup request."""

    queue: WorkQueue | None
    numbers: dict[int, None] = field(default_factory=dict)
    size: int = 0


@dataclass(eq=False)
class WorkerSlot:
    """A worker and its replacements. `deaths`: in a row. `disabled`: why no further worker is started. `heard_at`: when
    the worker last said something, or was given work that it had none of. `beats`: it gives signs of life within work.
    """

    number: int
    worker: WorkerHandle | None = None
    identity: Mapping[str, Any] | None = None
    chunks: deque[Chunk] = field(default_factory=deque)
    deaths: int = 0
    disabled: str = ""
    heard_at: float = 0.0
    beats: bool = False
    setup_error: UserError | None = None


@dataclass
class PoolStats:
    """What the workers did: seconds spent on requests, chunks, and the cause of each worker's death."""

    seconds: float = 0.0
    chunks: int = 0
    deaths: list[str] = field(default_factory=list)


class WorkerPool:
    """Workers that run one task. None is started before the first work. Not thread-safe.

    `admit` is called with each worker before it gets work, and raises a Fault, or WorkerDied, to refuse it. One that
    gives signs of life, has work and then says nothing for `stall_s` seconds is replaced; one that is heard with its
    results only, after RESULTS_ONLY times that. To set up each has `stall_s` too, START_TIMEOUT_S at least.
    """

    def __init__(
        self,
        launcher: Launcher,
        spec: TaskSpec,
        admit: Callable[[Any], None] = lambda worker: None,
        stall_s: float = STALL_S,
    ) -> None:
        self.launcher = launcher
        self.spec = spec
        self.admit = admit
        self.stall_s = stall_s
        self.slots = [WorkerSlot(number) for number in range(launcher.capacity)]
        self.stats = PoolStats()
        self._identity: Mapping[str, Any] | None = None
        self._last_heard = 0.0

    def __enter__(self) -> "WorkerPool":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self.launcher.stop([slot.worker for slot in self.slots if slot.worker is not None])
        self.slots = [WorkerSlot(number) for number in range(self.launcher.capacity)]

    @property
    def identity(self) -> Mapping[str, Any]:
        """What the results of every worker depend on. Waits for the first worker to set up."""
        while self._identity is None:
            self._start_workers()
            self._poll()
            self._raise_setup_error()
        return self._identity

    def map(
        self, method: str, common: Any, items: Iterable[Any], sizer: ChunkSizer, ordered: bool = True
    ) -> Iterator[tuple[int, Any]]:
        """Yield (number, result) of each item; the result may be GivenUp. Raises Fault when no worker is left."""
        queue = WorkQueue(items, len(self.slots), sizer, ordered)
        try:
            queue.draw(1)  # without any item no worker is started
            while not queue.finished:
                self._start_workers()
                yield from queue.pop_ready()  # first: results that wait take up the room of further items
                self._dispatch(queue, method, common)
                if not queue.finished:
                    self._poll()
                    self._raise_setup_error()
        finally:
            queue.closed = True

    def call(self, method: str, common: Any, item: Any) -> Any:
        """The result of one item. Raises Fault when it was given up."""
        ((_, result),) = self.map(method, common, [item], ChunkSizer(target_seconds=None))
        if isinstance(result, GivenUp):
            raise Fault(result.cause)
        return result

    def reconfigure(self, spec: TaskSpec, fallback: TaskSpec) -> Mapping[str, Any]:
        """Set every worker up with another task. Raises UserError where that is impossible; workers then set up
        `fallback`."""
        self.spec = fallback
        try:
            self._setup_all(spec)
        except UserError:
            self._setup_all(fallback)
            raise
        self.spec = spec
        return self.identity

    def _setup_all(self, spec: TaskSpec) -> None:
        """Wait until every worker has set up; of several errors the first is raised."""
        self._identity = None
        running = [slot for slot in self.slots if slot.worker is not None]
        for slot in running:
            slot.identity = None
            self._send(slot, Chunk(None), WorkRequest(SETUP, (spec, slot.number)))
        while any(chunk.queue is None for slot in running for chunk in slot.chunks):
            self._poll()
        self._raise_setup_error()

    def _raise_setup_error(self) -> None:
        errors = [slot.setup_error for slot in self.slots if slot.setup_error]
        for slot in self.slots:
            slot.setup_error = None
        if errors:
            raise errors[0]

    # ------------------------------------------------------------ start, dispatch, poll

    def _start_workers(self) -> None:
        for slot in self.slots:
            if slot.worker is None and not slot.disabled:
                if all(other.worker is None for other in self.slots):
                    self._last_heard = monotonic()
                slot.worker = self.launcher.start(slot.number)
                self._send(slot, Chunk(None), WorkRequest(SETUP, (self.spec, slot.number)))

    def _dispatch(self, queue: WorkQueue, method: str, common: Any) -> None:
        for depth in range(QUEUE_DEPTH):
            for slot in self.slots:
                if slot.identity is not None and len(slot.chunks) <= depth:
                    if not (numbers := queue.next_chunk()):
                        return
                    chunk = Chunk(queue, dict.fromkeys(numbers), len(numbers))
                    self._send(slot, chunk, WorkRequest(method, common, queue.payloads(numbers)))

    def _send(self, slot: WorkerSlot, chunk: Chunk, request: WorkRequest) -> None:
        assert slot.worker is not None
        if not slot.chunks:
            slot.heard_at = monotonic()
        slot.chunks.append(chunk)
        slot.worker.send(pack(request))

    def _poll(self) -> None:
        by_worker = {id(slot.worker): slot for slot in self.slots if slot.worker is not None}
        if not by_worker:
            return
        workers = [slot.worker for slot in by_worker.values() if slot.worker is not None]
        for worker in self.launcher.wait(workers, min(POLL_S, self.stall_s)):
            slot = by_worker[id(worker)]
            self._last_heard = slot.heard_at = monotonic()
            self._receive(slot, worker)
        self._replace_stalled()
        waited = monotonic() - self._last_heard
        if waited > START_TIMEOUT_S and not any(slot.identity for slot in self.slots):
            raise Fault(
                f"no worker started within {START_TIMEOUT_S:g} s: are the resources free? Rerun the same command to"
                " resume"
            )

    def _replace_stalled(self) -> None:
        now = monotonic()
        for slot in self.slots:
            if not slot.chunks:
                continue
            limit, cause = (
                self.stall_s * (1 if slot.beats else RESULTS_ONLY),
                "it has given no sign of life for",
            )
            if slot.chunks[0].queue is None:
                limit, cause = max(START_TIMEOUT_S, self.stall_s), "it has not set up within"
            if now - slot.heard_at > limit:
                self._replace(slot, f"{cause} {limit:g} s")

    def _receive(self, slot: WorkerSlot, worker: WorkerHandle) -> None:
        try:
            for partial, size in worker.receive():
                self._handle(slot, partial, size)
        except WorkerDied as error:
            self._replace(slot, str(error))

    def _handle(self, slot: WorkerSlot, partial: PartialResult, size: int) -> None:
        chunk = slot.chunks[0]
        slot.beats |= not partial.results and not partial.final
        if chunk.queue is None:
            if partial.final:
                self._finish_setup(slot, partial)
            return
        for number, result in partial.results:
            chunk.numbers.pop(number, None)
            if not chunk.queue.closed:
                chunk.queue.complete(number, result, size // len(partial.results))
        if partial.final:
            slot.chunks.popleft()
            self.stats.seconds += partial.seconds
            self.stats.chunks += 1
            self._finish_chunk(slot, chunk, partial)

    def _finish_chunk(self, slot: WorkerSlot, chunk: Chunk, partial: PartialResult) -> None:
        if isinstance(partial.error, UserError):
            raise partial.error
        assert chunk.queue is not None
        left = list(chunk.numbers)
        if partial.error is not None:
            if not chunk.queue.closed:
                chunk.queue.retry(left, str(partial.error))
            return
        if len(left) < chunk.size:
            slot.deaths = 0
            chunk.queue.sizer.record(chunk.size - len(left), partial.seconds)
        if left and not chunk.queue.closed:
            chunk.queue.requeue(left)

    def _finish_setup(self, slot: WorkerSlot, partial: PartialResult) -> None:
        """A worker has set up, or could not."""
        assert slot.worker is not None
        name = slot.worker.name
        slot.chunks.popleft()
        if isinstance(partial.error, UserError):
            slot.setup_error = type(partial.error)(f"{name}: {partial.error}")
            return  # it may still set up another task
        if partial.error is not None:
            raise WorkerDied(str(partial.error))
        ((_, identity),) = partial.results
        if any(chunk.queue is None for chunk in slot.chunks):
            return  # another setup is already on its way to it
        self.admit(slot.worker)
        slot.identity = identity
        if self._identity is None:
            self._identity = identity
        for key, value in self._identity.items():
            if identity.get(key) != value:
                raise Fault(
                    f"{name} differs from the other workers in {key}: {identity.get(key)!r} instead of {value!r}."
                    " Results depend on it: set up all machines alike, or exclude this one"
                )

    def _replace(self, slot: WorkerSlot, cause: str) -> None:
        """Requeue a dead worker's items; its slot gets another worker unless too many have died there."""
        assert slot.worker is not None
        cause = f"{slot.worker.name}: {cause}"
        self.launcher.stop([slot.worker])
        # If the workers had set up, it may be the items' fault: those are given up before the slot is.
        limit = TRIES if slot.identity is None else 2 * TRIES
        chunks, slot.chunks, slot.worker, slot.identity = slot.chunks, deque(), None, None
        slot.beats = False
        _requeue(chunks, cause)
        slot.deaths += 1
        self.stats.deaths.append(cause)
        LOG.warning("worker died; its work was requeued: %s", cause)
        if slot.deaths >= limit:
            slot.disabled = cause
            LOG.warning("worker %d is not restarted: it died %d times in a row", slot.number, slot.deaths)
        if all(slot.disabled for slot in self.slots):
            raise Fault(f"no worker is left; the last one died: {cause}. Rerun the same command to resume")


def _requeue(chunks: Iterable[Chunk], cause: str) -> None:
    """Of a dead worker's chunks only the first had been begun."""
    for position, chunk in enumerate(chunks):
        if chunk.queue is not None and not chunk.queue.closed:
            if position == 0:
                chunk.queue.retry(list(chunk.numbers), cause)
            else:
                chunk.queue.requeue(list(chunk.numbers))
