"""One function over many items in threads, results as they complete; an error or Ctrl-C loses no completed result.

The threads are daemons and are never joined when the caller leaves early: a request that a server does not answer would
hold up Ctrl-C for as long as its time limit.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from queue import SimpleQueue
from threading import Event, Thread
from typing import TypeVar

from harness.errors import HarnessError

Item = TypeVar("Item")
Result = TypeVar("Result")


def imap_unordered(
    work: Callable[[Item, Event], Result], items: Iterable[Item], threads: int
) -> Iterator[Result | HarnessError]:
    """`work(item, cancelled)` of every item, at most `threads` at a time, in the order in which they complete.

    An item is drawn when a thread is free for it. A HarnessError of `work` is yielded: the caller decides.
    `cancelled` is set once nobody waits for results any more.
    """
    pending: SimpleQueue[Item | None] = SimpleQueue()
    done: SimpleQueue[Result | BaseException] = SimpleQueue()
    cancelled = Event()

    def run_worker() -> None:
        while (item := pending.get()) is not None:
            try:
                done.put(work(item, cancelled))
            except BaseException as error:  # noqa: BLE001 - raised again below, in the caller
                done.put(error)

    source, running, started = iter(items), 0, 0
    try:
        for item in islice(source, threads):
            pending.put(item)
            Thread(target=run_worker, daemon=True, name="request").start()
            running, started = running + 1, started + 1
        while running:
            result = done.get()
            running -= 1
            if isinstance(result, HarnessError):
                yield result  # before the next item is drawn: there may be none after this
            elif isinstance(result, BaseException):
                raise result
            for item in islice(source, 1):
                pending.put(item)
                running += 1
            if not isinstance(result, HarnessError):
                yield result
    except KeyboardInterrupt:
        while not done.empty():
            if not isinstance(result := done.get(), BaseException):
                yield result
        raise
    finally:
        cancelled.set()
        for _ in range(started):
            pending.put(None)
