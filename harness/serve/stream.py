"""From a generator in a thread to the event loop: results as they come, no more than are taken, a sign of life between.

Each call has a thread of its own; how many there are at a time is for the caller to limit.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, TypeVar

Result = TypeVar("Result")
# Of a thread that makes results: the event that is set once their reader has left.
_REQUEST = threading.local()
# Results that wait for a slow reader; then the generator waits too.
ROOM = 256
ROOM_BYTES = 32 << 20
LOOK_S = 0.5  # how often a waiting thread sees whether its reader has left


@dataclass(frozen=True)
class _End:
    error: BaseException | None


class _Feed(Generic[Result]):
    """What the thread and the event loop share."""

    def __init__(self, make: Callable[[], Iterator[Result]], size: Callable[[Result], int]) -> None:
        self._make, self._size = make, size
        self._loop = asyncio.get_running_loop()
        self.arrived: asyncio.Queue[Result | _End] = asyncio.Queue()
        self._room = threading.Condition()
        self._held = self._bytes = 0
        self.left = threading.Event()
        threading.Thread(target=self._run, daemon=True, name="request").start()

    def _run(self) -> None:
        error: BaseException | None = None
        _REQUEST.left = self.left
        try:
            results = self._make()
            for result in results:
                with self._room:
                    while self._held >= ROOM or self._bytes >= ROOM_BYTES:
                        if self.left.is_set():
                            break
                        self._room.wait(LOOK_S)
                    self._held += 1
                    self._bytes += self._size(result)
                if self.left.is_set():
                    break
                self._hand_over(result)
        except BaseException as caught:  # noqa: BLE001 - raised again in the event loop
            error = caught
        self._hand_over(_End(error))

    def taken(self, result: Result) -> None:
        with self._room:
            self._held -= 1
            self._bytes -= self._size(result)
            self._room.notify()

    def _hand_over(self, what: Result | _End) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self.arrived.put_nowait, what)


def reader_left() -> bool:
    """Whether nobody waits for what this thread makes."""
    left: threading.Event | None = getattr(_REQUEST, "left", None)
    return left is not None and left.is_set()


async def batches(
    make: Callable[[], Iterator[Result]],
    heartbeat_s: float | None = None,
    size: Callable[[Result], int] = lambda result: 0,
) -> AsyncIterator[list[Result]]:
    """Whatever has come since the last look, at least one result; after `heartbeat_s` without any an empty list."""
    feed = _Feed(make, size)
    try:
        while True:
            try:
                first = await asyncio.wait_for(feed.arrived.get(), heartbeat_s)
            except TimeoutError:
                yield []
                continue
            some, end = [], None
            while end is None:
                if isinstance(first, _End):
                    end = first
                else:
                    some.append(first)
                    feed.taken(first)
                    if feed.arrived.empty():
                        break
                    first = feed.arrived.get_nowait()
            if some:
                yield some
            if end is not None:
                if end.error is not None:
                    raise end.error
                return
    finally:
        feed.left.set()


async def result(call: Callable[[], Result]) -> Result:
    """What the call returns, in a thread."""
    (found,) = [one async for some in batches(lambda: iter([call()])) for one in some]
    return found
