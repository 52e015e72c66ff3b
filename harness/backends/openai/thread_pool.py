"""One function over many items in threads, results as they come; nothing that came is lost to an error or Ctrl-C.

The threads are daemons and are never waited for when the one who asked leaves early: a request that a server sits on
would hold up Ctrl-C for as long as its time limit.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from queue import SimpleQueue
from threading import Event, Thread
from typing import TypeVar

from harness.errors import HarnessError

Item = TypeVar("Item")
Result = TypeVar("Result")


def results(
    work: Callable[[Item, Event], Result], items: Iterable[Item], threads: int
) -> Iterator[Result | HarnessError]:
    """`work(item, left)` of every item, at most `threads` at a time, in the order in which they end.

    `items` are drawn when there is room for one. A HarnessError of `work` is a result like another: whoever iterates
    decides. `left` is set once nobody waits for results any more.
    """
    asked: SimpleQueue[Item | None] = SimpleQueue()
    came: SimpleQueue[Result | BaseException] = SimpleQueue()
    left = Event()

    def labour() -> None:
        while (item := asked.get()) is not None:
            try:
                came.put(work(item, left))
            except BaseException as error:  # noqa: BLE001 - raised again below, by the one who waits
                came.put(error)

    source, running, hired = iter(items), 0, 0
    try:
        for item in islice(source, threads):
            asked.put(item)
            Thread(target=labour, daemon=True, name="request").start()
            running, hired = running + 1, hired + 1
        while running:
            result = came.get()
            running -= 1
            if isinstance(result, HarnessError):
                yield result  # before the next item is drawn: there may be none after this
            elif isinstance(result, BaseException):
                raise result
            for item in islice(source, 1):
                asked.put(item)
                running += 1
            if not isinstance(result, HarnessError):
                yield result
    except KeyboardInterrupt:
        while not came.empty():
            if not isinstance(result := came.get(), BaseException):
                yield result
        raise
    finally:
        left.set()
        for _ in range(hired):
            asked.put(None)
