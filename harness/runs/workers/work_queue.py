"""One round of work: which items wait, which are out, how large the next chunk is, what is due. No processes here.

Chunks. Where an item takes milliseconds (a program to judge), a chunk is as many as take `Pace.seconds`, measured, so
that handing it over costs little beside. Where the number of items is known (prompts), a chunk is half of an equal
share of what is left: large at first, so that a model has many sequences to batch, small at the end, so that
all workers end together.

Memory. Items are drawn only as workers want them. In order, a result waits for those before it: a round holds at
most `AHEAD` items a worker, and `HELD` bytes in all, however many there are.
"""

import math
import pickle
from collections import deque
from collections.abc import Iterable, Iterator, Sequence, Sized
from dataclasses import dataclass, field
from typing import Any

TRIES = 3
AHEAD = 2000  # items a worker that may be drawn and not yet given back
HELD = 256 << 20  # bytes of them
MOST = 500  # items of a chunk that follows the clock: four of them fit into a worker's share of what is drawn
CHUNK_BYTES = 4 << 20
GROWTH = 4  # a chunk is at most so many times the last one
FADE = 0.8


@dataclass(frozen=True)
class GivenUp:
    """The result of an item that could not be done, and why."""

    cause: str


@dataclass
class Pace:
    """How many items go together; kept from round to round. `seconds` None: by the number of items that are left."""

    seconds: float | None = 1.0
    least: int = 1
    size: float = 4.0
    _items: float = 0.0
    _seconds: float = 0.0

    def learn(self, items: int, seconds: float) -> None:
        """A chunk of so many items took so long. Later chunks count more."""
        self._items = FADE * self._items + items
        self._seconds = FADE * self._seconds + seconds
        if self.seconds is not None:
            wanted = self.seconds * self._items / max(self._seconds, 1e-6)
            self.size = max(self.least, min(wanted, GROWTH * self.size, MOST))


@dataclass
class Item:
    blob: bytes
    tries: int = 0


@dataclass(eq=False)
class Round:
    """`items` in, (number, result) out; `ordered`: by number. `workers`: how many share the work."""

    items: Iterable[Any]
    workers: int
    pace: Pace
    ordered: bool = True
    closed: bool = False
    _source: Iterator[Any] = field(init=False)
    _left: float = field(init=False)  # items not drawn yet; infinite until that is known
    _open: dict[int, Item] = field(default_factory=dict)
    _fresh: deque[int] = field(default_factory=deque)
    _again: deque[list[int]] = field(default_factory=deque)
    _done: dict[int, tuple[Any, int]] = field(default_factory=dict)
    _drawn: int = 0
    _due: int = 0
    _held: int = 0

    def __post_init__(self) -> None:
        self._source = iter(self.items)
        self._left = len(self.items) if isinstance(self.items, Sized) else math.inf

    # ------------------------------------------------------------ giving

    def chunk(self) -> list[int]:
        """The numbers of the items that go together next; empty when none is to be had now."""
        if self._again:
            return self._again.popleft()
        wanted = max(1, int(self.pace.size))
        if self.pace.seconds is not None:
            self.draw(2 * self.workers * wanted)
        left = len(self._fresh) + self._left
        if left < math.inf:
            share = max(self.pace.least, math.ceil(left / (2 * self.workers)))
            # At the end of what follows the clock no less than a sixteenth of its time: each chunk has its price.
            wanted = share if self.pace.seconds is None else min(wanted, max(share, wanted // 16))
        self.draw(wanted)
        taken, size = list[int](), 0
        while self._fresh and len(taken) < wanted and size < CHUNK_BYTES:
            taken.append(self._fresh.popleft())
            size += len(self._open[taken[-1]].blob)
        return taken

    def draw(self, wanted: int) -> None:
        """Have so many fresh items at hand, if there is room for them."""
        while len(self._fresh) < wanted and self._left:
            held = len(self._open) + len(self._done)
            if held and (self._held >= HELD or (self.ordered and held >= AHEAD * self.workers)):
                return
            try:
                item = next(self._source)
            except StopIteration:
                self._left = 0
                return
            blob = pickle.dumps(item, protocol=pickle.HIGHEST_PROTOCOL)
            self._open[self._drawn] = Item(blob)
            self._fresh.append(self._drawn)
            self._held += len(blob)
            self._drawn += 1
            self._left -= 1

    def blobs(self, numbers: Sequence[int]) -> list[tuple[int, bytes]]:
        return [(number, self._open[number].blob) for number in numbers]

    # ------------------------------------------------------------ taking

    def take(self, number: int, result: Any, size: int) -> None:
        """`size`: about how many bytes the result holds while it waits."""
        if (item := self._open.pop(number, None)) is not None:
            self._done[number] = result, size
            self._held += size - len(item.blob)

    def due(self) -> Iterator[tuple[int, Any]]:
        """The results that may be given back now."""
        while not self.ordered and self._done:
            number, (result, size) = self._done.popitem()
            self._held -= size
            yield number, result
        while self.ordered and self._due in self._done:
            result, size = self._done.pop(self._due)
            self._held -= size
            self._due += 1
            yield self._due - 1, result

    @property
    def finished(self) -> bool:
        """Nothing waits and nothing is out, as far as was drawn: `chunk` has said that there is no more."""
        return not (self._left or self._open or self._done)

    # ------------------------------------------------------------ what came back undone

    def back(self, numbers: Sequence[int]) -> None:
        """Items whose worker had not begun them, or had taken its time: next in turn, in pieces for all workers."""
        piece = max(1, math.ceil(len(numbers) / self.workers))
        self._again.extendleft(
            list(numbers[start : start + piece]) for start in reversed(range(0, len(numbers), piece))
        )

    def lost(self, numbers: Sequence[int], cause: str) -> None:
        """Items that a worker had in hand when it failed: again, then one by one, then given up."""
        for number in numbers:
            self._open[number].tries += 1
        again = [number for number in numbers if self._open[number].tries < TRIES]
        for number in numbers:
            if self._open[number].tries >= TRIES:
                self.take(number, GivenUp(cause), len(cause))
        alone = any(self._open[number].tries == TRIES - 1 for number in again)
        self._again.extendleft(
            [[number] for number in reversed(again)] if alone else [again] if again else []
        )
