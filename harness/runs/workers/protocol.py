"""What crosses between a crew and its workers, as pickles: both ends are this project's own processes.

to a worker    Order(what, common, items)       the first is "take up", with (Post, slot)
from a worker  Part ... Part                    results as they come; the last says that the order is done
"""

import pickle
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Protocol

from harness.errors import HarnessError

SLICE_S = 0.2  # results are sent this often at most; their bytes are counted by whoever waits for them
TAKE_UP = "take up"

Numbered = Sequence[tuple[int, bytes]]
"""Items by their number in the round, each a pickle of its own: an item that is tried again is not pickled again."""


class Hand(Protocol):
    """What a worker is. `identity`: what its results depend on; equal for all workers of a crew."""

    @property
    def identity(self) -> Mapping[str, Any]: ...

    def do(self, what: str, common: Any, items: Sequence[tuple[int, Any]]) -> Iterator[tuple[int, Any]]:
        """Yield (number, result) of items, in any order. What is left out goes to another worker."""
        ...

    def close(self) -> None: ...


class Post(Protocol):
    """A picklable description of a Hand. `slot`: which of the crew's places it is. `before`: the hand so far, which
    may be kept in part (a loaded base)."""

    def take_up(self, slot: int, before: Hand | None) -> Hand: ...


@dataclass(frozen=True)
class Order:
    what: str
    common: Any = None
    items: Numbered = ()


@dataclass(frozen=True)
class Part:
    """`seconds`: what the worker took for all of the order; with the last part only."""

    results: Sequence[tuple[int, Any]] = ()
    ended: bool = False
    seconds: float = 0.0
    error: HarnessError | None = None


@dataclass
class Desk:
    """A worker's side of the wire, the same in a process and in an actor."""

    hand: Hand | None = field(default=None)

    def parts(self, payload: bytes) -> Iterator[bytes]:
        """Do an order; yield its parts. An error of this project goes back as one, any other ends the worker."""
        order: Order = pickle.loads(payload)
        results = list[tuple[int, Any]]()
        began = sent = monotonic()
        away = 0.0  # in which the results were being taken, not made
        error = None
        try:
            for result in self._do(order):
                results.append(result)
                if (now := monotonic()) - sent >= SLICE_S and order.what != TAKE_UP:
                    yield pack(Part(results))
                    results, sent = [], monotonic()
                    away += sent - now
        except HarnessError as caught:
            error = caught
        yield pack(Part(results, ended=True, seconds=monotonic() - began - away, error=error))

    def _do(self, order: Order) -> Iterator[tuple[int, Any]]:
        if order.what == TAKE_UP:
            post, slot = order.common
            self.hand = post.take_up(slot, self.hand)
            yield 0, dict(self.hand.identity)
            return
        assert self.hand is not None, "the first order is to take up a post"
        items = [(number, pickle.loads(item)) for number, item in order.items]
        yield from self.hand.do(order.what, order.common, items)

    def close(self) -> None:
        if self.hand is not None:
            self.hand.close()


def pack(value: Order | Part) -> bytes:
    return pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)
