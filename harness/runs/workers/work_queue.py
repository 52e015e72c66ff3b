"""Items waiting for workers: which are pending, which are retried, how large the next chunk is. No processes here.

Chunk size. Where an item takes milliseconds (a program to judge), a chunk holds as many items as take
`ChunkSizer.target_seconds`, as measured, so that handing it over costs little in comparison. Where the number of
items is known (prompts), a chunk is half of an equal share of what is left: large at first, so that a model can fill
its batches, small at the end, so that all workers finish together.

Memory. Items are drawn from their source only as workers need them. In order, a result waits for those before it:
a queue holds at most `MAX_ITEMS` items for each worker and `MAX_BYTES` in all, however many there are.
"""

import math
import pickle
from collections import deque
from collections.abc import Iterable, Iterator, Sequence, Sized
from dataclasses import dataclass, field
from typing import Any

TRIES = 3
MAX_ITEMS = 2000  # for each worker: drawn and not yet given back
MAX_BYTES = 256 << 20  # of items and results held
MAX_CHUNK = 500  # items in a chunk sized by time: four of them fit into a worker's MAX_ITEMS
MAX_CHUNK_BYTES = 4 << 20
MAX_GROWTH = 4  # from one chunk size to the next
DECAY = 0.8


@dataclass(frozen=True)
class GivenUp:
    """The result of an item that failed on every try, and why."""

    cause: str


@dataclass
class ChunkSizer:
    """How many items go into a chunk; kept from queue to queue. `target_seconds` None: by the number of items left."""

    target_seconds: float | None = 1.0
    minimum: int = 1
    size: float = 4.0
    _items: float = 0.0
    _seconds: float = 0.0

    def record(self, items: int, seconds: float) -> None:
        """A chunk of so many items took so long. Recent chunks weigh more."""
        self._items = DECAY * self._items + items
        self._seconds = DECAY * self._seconds + seconds
        if self.target_seconds is not None:
            wanted = self.target_seconds * self._items / max(self._seconds, 1e-6)
            self.size = max(self.minimum, min(wanted, MAX_GROWTH * self.size, MAX_CHUNK))


@dataclass
class QueuedItem:
    payload: bytes
    tries: int = 0


@dataclass(eq=False)
class WorkQueue:
    """`items` in, (number, result) out; `ordered`: by number. `workers`: how many share the work."""

    items: Iterable[Any]
    workers: int
    sizer: ChunkSizer
    ordered: bool = True
    closed: bool = False
    _source: Iterator[Any] = field(init=False)
    _undrawn: float = field(init=False)  # items still in the source; infinite until that is known
    _pending: dict[int, QueuedItem] = field(default_factory=dict)  # drawn, without a result
    _fresh: deque[int] = field(default_factory=deque)  # never sent to a worker
    _requeued: deque[list[int]] = field(default_factory=deque)
    _results: dict[int, tuple[Any, int]] = field(default_factory=dict)  # with their size in bytes
    _drawn: int = 0
    _next: int = 0  # the number of the next result, if ordered
    _bytes: int = 0

    def __post_init__(self) -> None:
        self._source = iter(self.items)
        self._undrawn = len(self.items) if isinstance(self.items, Sized) else math.inf

    # ------------------------------------------------------------ items out

    def next_chunk(self) -> list[int]:
        """The numbers of the items that go together next; empty when none is available now."""
        if self._requeued:
            return self._requeued.popleft()
        wanted = max(1, int(self.sizer.size))
        if self.sizer.target_seconds is not None:
            self.draw(2 * self.workers * wanted)
        left = len(self._fresh) + self._undrawn
        if left < math.inf:
            share = max(self.sizer.minimum, math.ceil(left / (2 * self.workers)))
            # Sized by time, the last chunks are at least a sixteenth of the target: each has an overhead.
            wanted = share if self.sizer.target_seconds is None else min(wanted, max(share, wanted // 16))
        self.draw(wanted)
        chunk, size = list[int](), 0
        while self._fresh and len(chunk) < wanted and size < MAX_CHUNK_BYTES:
            chunk.append(self._fresh.popleft())
            size += len(self._pending[chunk[-1]].payload)
        return chunk

    def draw(self, wanted: int) -> None:
        """Take items from the source until so many fresh ones are available, as far as the limits allow."""
        while len(self._fresh) < wanted and self._undrawn:
            held = len(self._pending) + len(self._results)
            if held and (self._bytes >= MAX_BYTES or (self.ordered and held >= MAX_ITEMS * self.workers)):
                return
            try:
                item = next(self._source)
            except StopIteration:
                self._undrawn = 0
                return
            payload = pickle.dumps(item, protocol=pickle.HIGHEST_PROTOCOL)
            self._pending[self._drawn] = QueuedItem(payload)
            self._fresh.append(self._drawn)
            self._bytes += len(payload)
            self._drawn += 1
            self._undrawn -= 1

    def payloads(self, numbers: Sequence[int]) -> list[tuple[int, bytes]]:
        return [(number, self._pending[number].payload) for number in numbers]

    # ------------------------------------------------------------ results in

    def complete(self, number: int, result: Any, size: int) -> None:
        """`size`: about how many bytes the result holds while it waits."""
        if (item := self._pending.pop(number, None)) is not None:
            self._results[number] = result, size
            self._bytes += size - len(item.payload)

    def pop_ready(self) -> Iterator[tuple[int, Any]]:
        """The results that can be given back now."""
        while not self.ordered and self._results:
            number, (result, size) = self._results.popitem()
            self._bytes -= size
            yield number, result
        while self.ordered and self._next in self._results:
            result, size = self._results.pop(self._next)
            self._bytes -= size
            self._next += 1
            yield self._next - 1, result

    @property
    def finished(self) -> bool:
        """Nothing is pending, and `next_chunk` has found the end of the source."""
        return not (self._undrawn or self._pending or self._results)

    # ------------------------------------------------------------ items back

    def requeue(self, numbers: Sequence[int]) -> None:
        """Items that a worker had not begun or had no time for: they go next, split among all workers."""
        piece = max(1, math.ceil(len(numbers) / self.workers))
        self._requeued.extendleft(
            list(numbers[start : start + piece]) for start in reversed(range(0, len(numbers), piece))
        )

    def retry(self, numbers: Sequence[int], cause: str) -> None:
        """Items that a worker failed on: tried again together, then one by one, then given up."""
        for number in numbers:
            self._pending[number].tries += 1
        again = [number for number in numbers if self._pending[number].tries < TRIES]
        for number in numbers:
            if self._pending[number].tries >= TRIES:
                self.complete(number, GivenUp(cause), len(cause))
        last_try = any(self._pending[number].tries == TRIES - 1 for number in again)
        self._requeued.extendleft(
            [[number] for number in reversed(again)] if last_try else [again] if again else []
        )
