"""Workers of the sandbox that all requests share: one thread each, with a Pool of one worker for each settings.

A Pool may be used by one thread, and runs one batch at a time. A lane is that thread; it feeds its Pool from the common
queue for as long as there is work, so that a worker is never idle while a job waits.
"""

import logging
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import count
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Any, Literal, TypeVar

from harness import sandbox
from harness.errors import Fault, HarnessError, SandboxFault
from harness.schema import ExecResult, Pair, PairResult, Program
from harness.serve import stream

LOG = logging.getLogger(__name__)
# Jobs that a lane holds, one running and the next ready: what waits behind a slow program could run elsewhere.
PROGRAMS_AHEAD, QUERIES_AHEAD = 2, 8
TURN_S = 1.0  # after which a lane looks for older work of other settings
MAX_POOLS = 4  # of a lane, each with processes of its own
CLOSE_S = 10.0  # for begun jobs, once it is told to close
MAX_KNOWN = 256  # answers of Pools about themselves
AHEAD = 64  # items of one call that wait or are judged: bounds memory, and what others have to wait for
CLOSING = "the judge is stopping"
LEVEL = "isolation"  # the question of a Pool's level

Kind = Literal["programs", "queries", "call"]
Origin = Literal["tasks", "posted"]
Answer = TypeVar("Answer")
Key = tuple[sandbox.Settings, Origin, Kind]
Pools = OrderedDict[tuple[sandbox.Settings, Origin], sandbox.Pool]


@dataclass(frozen=True)
class Raised:
    """In place of a result: what kept the job from being judged."""

    error: HarnessError


@dataclass(eq=False)
class Share:
    """Where the results of one call go: (number, result). `closed`: nobody waits for them any more."""

    done: "SimpleQueue[tuple[int, Any]]" = field(default_factory=SimpleQueue)
    closed: bool = False


@dataclass(eq=False)
class Job:
    """One program or query of a call. `alone`: it goes through by itself, because a batch with it failed."""

    key: Key
    item: Any
    share: Share
    number: int
    age: int = 0
    alone: bool = False


class Lanes:
    """`workers` threads that judge. A context manager; nothing is started before the first job."""

    def __init__(
        self, workers: int, make: Callable[[sandbox.Settings], sandbox.Pool] = sandbox.start
    ) -> None:
        self.workers = workers
        self._make = make
        self._ready = threading.Condition()
        self._waiting: OrderedDict[Key, deque[Job]] = OrderedDict()
        self._ages = count()
        self._threads: list[threading.Thread] = []
        self._closing = False
        self._known: dict[tuple[sandbox.Settings, str], Any] = {}
        self._finding = threading.Lock()
        self.judged = 0

    def __enter__(self) -> "Lanes":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def waiting(self) -> int:
        """Jobs that no lane has begun."""
        with self._ready:
            return sum(map(len, self._waiting.values()))

    def put(self, job: Job) -> None:
        """Raises Fault once the lanes are closing."""
        with self._ready:
            if self._closing:
                raise Fault(CLOSING)
            while len(self._threads) < self.workers:
                number = len(self._threads)
                self._threads.append(threading.Thread(target=self._run, daemon=True, name=f"lane {number}"))
                self._threads[-1].start()
            job.age = next(self._ages)
            self._waiting.setdefault(job.key, deque()).append(job)
            self._ready.notify()

    def ask(
        self, settings: sandbox.Settings, name: str, question: Callable[[sandbox.Pool], Answer]
    ) -> Answer:
        """What a Pool of these settings says of itself; `name` is the question's, which is asked once. Raises
        HarnessError.
        """
        found: Any = self._known.get((settings, name))
        if found is None:
            share = Share()
            self.put(Job((settings, "tasks", "call"), question, share, 0))
            _, found = share.done.get()
            if isinstance(found, Raised):
                raise found.error
            self._know(settings, name, found)
        answer: Answer = found
        return answer

    def _know(self, settings: sandbox.Settings, name: str, found: Any) -> None:
        if len(self._known) >= MAX_KNOWN:
            self._known.clear()
        self._known[settings, name] = found

    def close(self) -> None:
        """Waiting jobs are given up, begun ones finished if that takes no longer than CLOSE_S; workers are ended. A
        lane with a longer one ends with this process, so closing again waits for nothing.
        """
        with self._ready:
            until = monotonic() + (0 if self._closing else CLOSE_S)
            self._closing = True
            for jobs in self._waiting.values():
                for job in jobs:
                    job.share.done.put((job.number, Raised(Fault(CLOSING))))
            self._waiting.clear()
            self._ready.notify_all()
        for thread in self._threads:
            thread.join(max(0.0, until - monotonic()))

    # ------------------------------------------------------------ one lane

    def _run(self) -> None:
        pools: Pools = OrderedDict()
        try:
            while (key := self._oldest()) is not None:
                self._turn(pools, key)
        finally:
            for pool in pools.values():
                _close(pool)

    def _pool(self, pools: Pools, key: Key) -> sandbox.Pool:
        # Tests run in a process that lives on, so those that were posted have one of their own.
        settings, origin, _ = key
        place = settings, origin
        if place not in pools:
            if len(pools) == MAX_POOLS:
                _close(pools.popitem(last=False)[1])
            pools[place] = self._new_pool(settings)
        pools.move_to_end(place)
        return pools[place]

    def _new_pool(self, settings: sandbox.Settings) -> sandbox.Pool:
        """At one level in all lanes: `auto` could find another one in each, so the first Pool is asked for it before
        there is a second. Raises HarnessError.
        """
        with self._finding:
            level = self._known.get((settings, LEVEL), settings.isolation)
            pool = self._make(replace(settings, isolation=level, workers=1, crowded=True))
            if level == "auto":
                try:
                    self._know(settings, LEVEL, pool.isolation)
                except BaseException:
                    _close(pool)
                    raise
        return pool

    def _oldest(self) -> Key | None:
        """The settings and kind of the job that has waited longest; None once there will be no more."""
        with self._ready:
            self._ready.wait_for(lambda: self._waiting or self._closing)
            return min(self._waiting, key=lambda key: self._waiting[key][0].age, default=None)

    def _turn(self, pools: Pools, key: Key) -> None:
        """Judge jobs of one kind, until there is none or the turn is over. Raises nothing: a lane that ends would leave
        its jobs without an answer.
        """
        drawn: deque[Job] = deque()
        try:
            pool = self._pool(pools, key)
            for result in self._results(pool, key[2], self._draw(key, drawn)):
                job = drawn.popleft()
                with self._ready:
                    self.judged += 1
                job.share.done.put((job.number, result))
        except HarnessError as error:
            self._failed(key, drawn, error)
        except Exception as error:
            LOG.exception("a lane of the judge failed")
            self._failed(key, drawn, SandboxFault(f"the judge failed: {type(error).__name__}: {error}"))

    @staticmethod
    def _results(pool: sandbox.Pool, kind: Kind, items: Iterator[Any]) -> Iterator[Any]:
        match kind:
            case "programs":
                return pool.map(items, PROGRAMS_AHEAD)
            case "queries":
                return pool.judge_queries(items, QUERIES_AHEAD)
            case "call":
                return (question(pool) for question in items)

    def _draw(self, key: Key, drawn: "deque[Job]") -> Iterator[Any]:
        """The items of waiting jobs, without waiting for one."""
        ends = monotonic() + TURN_S
        job = self._take(key, first=True)
        while job is not None:
            drawn.append(job)
            yield job.item
            job = None if job.alone or monotonic() > ends else self._take(key, first=False)

    def _take(self, key: Key, first: bool) -> Job | None:
        """The oldest of them; behind others not one that goes alone."""
        with self._ready:
            jobs = self._waiting.get(key)
            while jobs:
                if jobs[0].alone and not first:
                    return None
                job = jobs.popleft()
                if not jobs:
                    del self._waiting[key]
                if not job.share.closed:
                    return job
            return None

    def _failed(self, key: Key, drawn: "deque[Job]", error: HarnessError) -> None:
        """One of these jobs made the batch fail: each is tried again by itself, and then has the error as its own."""
        if not drawn and (job := self._take(key, first=True)) is not None:
            drawn.append(job)  # there was no Pool for it
        again = [job for job in drawn if not job.alone and not self._closing]
        for job in drawn:
            if job not in again:
                job.share.done.put((job.number, Raised(error)))
        with self._ready:
            for job in reversed(again):
                job.alone = True
                self._waiting.setdefault(job.key, deque()).appendleft(job)
            self._ready.notify(len(again))


def _close(pool: sandbox.Pool) -> None:
    try:
        pool.close()
    except Exception:
        LOG.exception("a sandbox could not be closed in order")


def _wait(share: Share) -> tuple[int, Any]:
    """The next result. Raises Fault once nobody waits for it: else who asks and leaves would fill this machine with
    threads.
    """
    while True:
        with suppress(Empty):
            return share.done.get(timeout=stream.LOOK_S)
        if stream.reader_left():
            raise Fault("nobody waits for the answer")


@dataclass(frozen=True)
class SharedSandbox:
    """A schema.Sandbox over the lanes, under one `settings`, that any number of threads may use at a time. `origin`: of
    the tests; what was posted runs apart from the tests of tasks.
    """

    lanes: Lanes
    settings: sandbox.Settings
    origin: Origin = "tasks"

    @property
    def isolation(self) -> str:
        return self.lanes.ask(self.settings, LEVEL, lambda pool: pool.isolation)

    @property
    def packages(self) -> Mapping[str, str]:
        return self.lanes.ask(self.settings, "packages", lambda pool: pool.packages)

    @property
    def absent(self) -> tuple[str, ...]:
        return self.lanes.ask(self.settings, "absent", lambda pool: pool.absent)

    def versions(self, languages: Iterable[str]) -> Mapping[str, str]:
        names = tuple(sorted(languages))
        return self.lanes.ask(self.settings, f"versions {names}", lambda pool: pool.versions(names))

    def run(self, program: Program) -> ExecResult:
        (result,) = self.map([program])
        if isinstance(result, SandboxFault):
            raise result
        return result

    def map(self, programs: Iterable[Program], ahead: int = AHEAD) -> Iterator[ExecResult | SandboxFault]:
        return self._map("programs", programs, ahead)

    def judge_queries(self, pairs: Iterable[Pair], ahead: int = AHEAD) -> Iterator[PairResult | SandboxFault]:
        return self._map("queries", pairs, ahead)

    def _map(self, kind: Kind, items: Iterable[Any], ahead: int) -> Iterator[Any]:
        """Results in the order of the items; when the caller leaves early, the rest is not judged."""
        share, source = Share(), iter(items)
        held: dict[int, Any] = {}
        drawn = given = 0
        ended = False
        try:
            while True:
                while not ended and drawn - given < ahead:
                    for item in source:
                        self.lanes.put(Job((self.settings, self.origin, kind), item, share, drawn))
                        drawn += 1
                        break
                    else:
                        ended = True
                if given == drawn:
                    return
                while given not in held:
                    number, result = _wait(share)
                    held[number] = result
                result = held.pop(given)
                given += 1
                if isinstance(result, Raised):
                    raise result.error
                yield result
        finally:
            share.closed = True
