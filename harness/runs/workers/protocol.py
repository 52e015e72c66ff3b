"""Messages between a worker pool and its workers, as pickles: both ends are this project's own processes.

to a worker    WorkRequest(method, common, items)     the first is SETUP, with (TaskSpec, slot)
from a worker  PartialResult ... PartialResult        results as they come; the last one is `final`
"""

import pickle
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Protocol

from harness.errors import HarnessError

SEND_INTERVAL_S = 0.2  # results are sent at most this often; the receiver counts their bytes
SETUP = "setup"

NumberedItems = Sequence[tuple[int, bytes]]
"""Items by their number in the work queue, each pickled by itself: a retried item is not pickled again."""


class WorkerTask(Protocol):
    """What a worker runs. `identity`: what its results depend on; equal for all workers of a pool."""

    @property
    def identity(self) -> Mapping[str, Any]: ...

    def run(self, method: str, common: Any, items: Sequence[tuple[int, Any]]) -> Iterator[tuple[int, Any]]:
        """Yield (number, result) of items, in any order. Items without a result go to another worker."""
        ...

    def close(self) -> None: ...


class TaskSpec(Protocol):
    """A picklable description of a WorkerTask."""

    def setup(self, slot: int, previous: WorkerTask | None) -> WorkerTask:
        """Make the task. `slot`: the number of the worker's slot in the pool. `previous`: the worker's task so far,
        parts of which (a loaded base model) may be kept."""
        ...


@dataclass(frozen=True)
class WorkRequest:
    """`common`: an argument that all items share."""

    method: str
    common: Any = None
    items: NumberedItems = ()


@dataclass(frozen=True)
class PartialResult:
    """`seconds`: what the whole request took the worker; only in the final one."""

    results: Sequence[tuple[int, Any]] = ()
    final: bool = False
    seconds: float = 0.0
    error: HarnessError | None = None


@dataclass
class WorkerServer:
    """A worker's side of the protocol, the same in a process and in a Ray actor."""

    task: WorkerTask | None = field(default=None)

    def handle(self, payload: bytes) -> Iterator[bytes]:
        """Carry out a request; yield its partial results. A HarnessError is sent back, any other ends the worker."""
        request: WorkRequest = pickle.loads(payload)
        results = list[tuple[int, Any]]()
        began = sent = monotonic()
        waiting = 0.0  # seconds in which the consumer was taking results
        error = None
        try:
            for result in self._run(request):
                results.append(result)
                if (now := monotonic()) - sent >= SEND_INTERVAL_S and request.method != SETUP:
                    yield pack(PartialResult(results))
                    results, sent = [], monotonic()
                    waiting += sent - now
        except HarnessError as caught:
            error = caught
        yield pack(PartialResult(results, final=True, seconds=monotonic() - began - waiting, error=error))

    def _run(self, request: WorkRequest) -> Iterator[tuple[int, Any]]:
        if request.method == SETUP:
            spec, slot = request.common
            self.task = spec.setup(slot, self.task)
            yield 0, dict(self.task.identity)
            return
        assert self.task is not None, "the first request is SETUP"
        items = [(number, pickle.loads(item)) for number, item in request.items]
        yield from self.task.run(request.method, request.common, items)

    def close(self) -> None:
        if self.task is not None:
            self.task.close()


def pack(value: WorkRequest | PartialResult) -> bytes:
    return pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)
