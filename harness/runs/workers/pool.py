"""The one loop that hands work to workers: hire, deal, listen; who dies is replaced, up to a budget."""

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic
from types import TracebackType
from typing import Any, Protocol

from harness.errors import Fault, UserError
from harness.runs.workers.protocol import TAKE_UP, Order, Part, Post, pack
from harness.runs.workers.work_queue import TRIES, GivenUp, Pace, Round

LOG = logging.getLogger(__name__)
DEPTH = 2  # chunks a worker has at hand: one it works on, one it can begin without asking
START_S = 900.0  # without any worker that stands
LISTEN_S = 5.0


class Lost(Exception):
    """A worker is gone; the text says why, as far as anybody knows."""


class Worker(Protocol):
    """One process or actor. Orders are done in the order in which they are given."""

    @property
    def name(self) -> str: ...

    def give(self, payload: bytes) -> None:
        """Hand over an order, without waiting for anything."""
        ...

    def take(self) -> Sequence[tuple[Part, int]]:
        """The parts that have come, each with its bytes. Raises Lost."""
        ...


class Place(Protocol):
    """Where workers live. `slots`: how many work at a time."""

    @property
    def slots(self) -> int: ...

    def hire(self, slot: int) -> Worker:
        """Begin to start a worker. Raises Lost."""
        ...

    def wait(self, workers: Sequence[Worker], seconds: float) -> Sequence[Worker]:
        """Those that have something to say, or are gone."""
        ...

    def dismiss(self, workers: Sequence[Worker]) -> None:
        """End them now; no harm where they are gone already."""
        ...


@dataclass
class Chunk:
    """Numbers of a round's items that a worker has, without those it has answered; None is an order to the worker."""

    round: Round | None
    numbers: dict[int, None] = field(default_factory=dict)
    size: int = 0


@dataclass(eq=False)
class Seat:
    slot: int
    worker: Worker | None = None
    identity: Mapping[str, Any] | None = None
    chunks: deque[Chunk] = field(default_factory=deque)
    losses: int = 0
    away: str = ""  # why nobody sits here any more
    refused: UserError | None = None  # the post cannot be had here, and never will


@dataclass
class Tally:
    """What the workers did: seconds within their orders, chunks, and workers lost with the cause of each."""

    seconds: float = 0.0
    chunks: int = 0
    losses: list[str] = field(default_factory=list)


class Crew:
    """Workers of one post. Nobody is hired before the first work. Not for several threads.

    `admit` is called with each Worker before it gets work, and raises a Fault, or Lost, where it may not have any.
    """

    def __init__(
        self,
        place: Place,
        post: Post,
        admit: Callable[[Any], None] = lambda worker: None,
    ) -> None:
        self.place = place
        self.post = post
        self.admit = admit
        self.seats = [Seat(slot) for slot in range(place.slots)]
        self.tally = Tally()
        self._identity: Mapping[str, Any] | None = None
        self._heard = 0.0

    def __enter__(self) -> "Crew":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self.place.dismiss([seat.worker for seat in self.seats if seat.worker is not None])
        self.seats = [Seat(slot) for slot in range(self.place.slots)]

    @property
    def identity(self) -> Mapping[str, Any]:
        """What the results of every worker depend on; finding out waits for the first worker."""
        while self._identity is None:
            self._hire()
            self._listen()
            self._raise_refusal()
        return self._identity

    def each(
        self, what: str, common: Any, items: Iterable[Any], pace: Pace, ordered: bool = True
    ) -> Iterator[tuple[int, Any]]:
        """Yield (number, result) of each item; the result may be GivenUp. Raises Fault when nobody is left."""
        work = Round(items, len(self.seats), pace, ordered)
        try:
            work.draw(1)  # nobody is hired for nothing
            while not work.finished:
                self._hire()
                yield from work.due()  # first: what waits to be given back takes the room of what comes next
                self._deal(work, what, common)
                if not work.finished:
                    self._listen()
                    self._raise_refusal()
        finally:
            work.closed = True

    def one(self, what: str, common: Any, item: Any) -> Any:
        """The result of one item. Raises Fault when it was given up."""
        ((_, result),) = self.each(what, common, [item], Pace(seconds=None))
        if isinstance(result, GivenUp):
            raise Fault(result.cause)
        return result

    def become(self, post: Post, fallback: Post) -> Mapping[str, Any]:
        """Have every worker take up another post. Raises UserError where it cannot be had; `fallback` is what a
        worker is hired for after that."""
        self.post = fallback
        try:
            self._all_take_up(post)
        except UserError:
            self._all_take_up(fallback)
            raise
        self.post = post
        return self.identity

    def _all_take_up(self, post: Post) -> None:
        """Wait until every worker has; of several refusals the first is raised."""
        self._identity = None
        asked = [seat for seat in self.seats if seat.worker is not None]
        for seat in asked:
            seat.identity = None
            self._give(seat, Chunk(None), Order(TAKE_UP, (post, seat.slot)))
        while any(chunk.round is None for seat in asked for chunk in seat.chunks):
            self._listen()
        self._raise_refusal()

    def _raise_refusal(self) -> None:
        refusals = [seat.refused for seat in self.seats if seat.refused]
        for seat in self.seats:
            seat.refused = None
        if refusals:
            raise refusals[0]

    # ------------------------------------------------------------ hire, deal, listen

    def _hire(self) -> None:
        for seat in self.seats:
            if seat.worker is None and not seat.away:
                if all(other.worker is None for other in self.seats):
                    self._heard = monotonic()
                seat.worker = self.place.hire(seat.slot)
                self._give(seat, Chunk(None), Order(TAKE_UP, (self.post, seat.slot)))

    def _deal(self, work: Round, what: str, common: Any) -> None:
        for depth in range(DEPTH):
            for seat in self.seats:
                if seat.identity is not None and len(seat.chunks) <= depth:
                    if not (numbers := work.chunk()):
                        return
                    chunk = Chunk(work, dict.fromkeys(numbers), len(numbers))
                    self._give(seat, chunk, Order(what, common, work.blobs(numbers)))

    def _give(self, seat: Seat, chunk: Chunk, order: Order) -> None:
        assert seat.worker is not None
        seat.chunks.append(chunk)
        seat.worker.give(pack(order))

    def _listen(self) -> None:
        seats = {id(seat.worker): seat for seat in self.seats if seat.worker is not None}
        if not seats:
            return
        workers = [seat.worker for seat in seats.values() if seat.worker is not None]
        for worker in self.place.wait(workers, LISTEN_S):
            seat = seats[id(worker)]
            self._heard = monotonic()
            try:
                for part, size in worker.take():
                    self._part(seat, part, size)
            except Lost as lost:
                self._lost(seat, str(lost))
        if monotonic() - self._heard > START_S and not any(seat.identity for seat in self.seats):
            raise Fault(
                f"no worker has started within {START_S:g} s: are there free resources? Run the same command again"
            )

    def _part(self, seat: Seat, part: Part, size: int) -> None:
        chunk = seat.chunks[0]
        if chunk.round is None:
            self._seated(seat, part)
            return
        for number, result in part.results:
            chunk.numbers.pop(number, None)
            if not chunk.round.closed:
                chunk.round.take(number, result, size // len(part.results))
        if part.ended:
            seat.chunks.popleft()
            self.tally.seconds += part.seconds
            self.tally.chunks += 1
            self._ended(seat, chunk, part)

    def _ended(self, seat: Seat, chunk: Chunk, part: Part) -> None:
        if isinstance(part.error, UserError):
            raise part.error
        assert chunk.round is not None
        left = list(chunk.numbers)
        if part.error is not None:
            if not chunk.round.closed:
                chunk.round.lost(left, str(part.error))
            return
        if len(left) < chunk.size:
            seat.losses = 0
            chunk.round.pace.learn(chunk.size - len(left), part.seconds)
        if left and not chunk.round.closed:
            chunk.round.back(left)

    def _seated(self, seat: Seat, part: Part) -> None:
        """A worker has taken up its post, or cannot."""
        assert seat.worker is not None
        name = seat.worker.name
        seat.chunks.popleft()
        if isinstance(part.error, UserError):
            seat.refused = type(part.error)(f"{name}: {part.error}")
            return  # it may still take up another post
        if part.error is not None:
            raise Lost(str(part.error))
        ((_, identity),) = part.results
        if any(chunk.round is None for chunk in seat.chunks):
            return  # it is to take up another one by now
        self.admit(seat.worker)
        seat.identity = identity
        if self._identity is None:
            self._identity = identity
        for key, value in self._identity.items():
            if identity.get(key) != value:
                raise Fault(
                    f"{name} differs from the others in {key}: {identity.get(key)!r}, not {value!r}; results"
                    " depend on it: make all machines alike, or leave that one out"
                )

    def _lost(self, seat: Seat, cause: str) -> None:
        """Its work goes to others, and somebody else is hired for its place, if that has not failed too often."""
        assert seat.worker is not None
        cause = f"{seat.worker.name}: {cause}"
        self.place.dismiss([seat.worker])
        # Of workers that stood it may be the items' fault: those are given up before the place is.
        most = TRIES if seat.identity is None else 2 * TRIES
        chunks, seat.chunks, seat.worker, seat.identity = seat.chunks, deque(), None, None
        begun = True
        for chunk in chunks:
            if chunk.round is not None and not chunk.round.closed:
                if begun:
                    chunk.round.lost(list(chunk.numbers), cause)
                else:
                    chunk.round.back(list(chunk.numbers))
            begun = False
        seat.losses += 1
        self.tally.losses.append(cause)
        LOG.warning("a worker was lost, its work is done again: %s", cause)
        if seat.losses >= most:
            seat.away = cause
            LOG.warning("no further worker is started in its place: %d were lost in a row", seat.losses)
        if all(seat.away for seat in self.seats):
            raise Fault(f"no worker is left, the last was lost: {cause}; run the same command again to go on")
