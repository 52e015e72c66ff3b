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
_REQUEST = (
    threading.local()
)  # of a thread that makes results: the event that is set once their reader has left
ROOM = 256  # results that wait for a slow reader; then the generator waits too
LOOK_S = 0.5  # how often a waiting thread sees whether its reader has left


@dataclass(frozen=True)
class _End:
    error: BaseException | None


class _Feed(Generic[Result]):
    """What the thread and the event loop share."""

    def __init__(self, make: Callable[[], Iterator[Result]]) -> None:
        self._make = make
        self._loop = asyncio.get_running_loop()
        self.arrived: asyncio.Queue[Result | _End] = asyncio.Queue()
        self.room = threading.Semaphore(ROOM)
        self.left = threading.Event()
        threading.Thread(target=self._run, daemon=True, name="request").start()

    def _run(self) -> None:
        error: BaseException | None = None
        _REQUEST.left = self.left
        try:
            results = self._make()
            for result in results:
                while not self.room.acquire(timeout=LOOK_S):
                    if self.left.is_set():
                        break
                if self.left.is_set():
                    break
                self._hand_over(result)
        except BaseException as caught:  # noqa: BLE001 - raised again in the event loop
            error = caught
        self._hand_over(_End(error))

    def _hand_over(self, what: Result | _End) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self.arrived.put_nowait, what)


def reader_left() -> bool:
    """Whether nobody waits for what this thread makes."""
    left: threading.Event | None = getattr(_REQUEST, "left", None)
    return left is not None and left.is_set()


async def batches(
    make: Callable[[], Iterator[Result]], heartbeat_s: float | None = None
) -> AsyncIterator[list[Result]]:
    """Whatever has come since the last look, at least one result; after `heartbeat_s` without any an empty list."""
    feed = _Feed(make)
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
                    feed.room.release()
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
