"""Scorers of texts on several processes: this one judges, and fresh interpreters beside it; verdicts come in order.

Only for scorers that judge each answer by itself (`each.Each`) and that another interpreter can find by name: the
verdicts are then the same wherever an answer is judged, and no file of a run can tell. A scorer begins by itself;
the others are started when it has worked for a tenth of a second, half of what a start costs, and it works on
alone until they are there. At most two chunks a process are under way. Not a sandbox: the answers are only read.

Fresh interpreters, not forks: the one that asks may hold a model, its threads and an accelerator.
"""

import gc
import os
import pickle
import select
import signal
import struct
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from itertools import chain, islice
from queue import SimpleQueue
from time import monotonic
from typing import IO

from harness import cpu_count
from harness.errors import Fault, HarnessError
from harness.schema import Answer, Sandbox, Scorer, Verdict
from harness.scorers.per_answer import Each

PATIENCE = 0.1  # seconds a scorer works by itself
CHUNK = 50  # answers at once, or what takes WAKING seconds where that is more
WAKING = 0.1  # against which the hundredth that a process waits for this one's attention is little
HELLO = "ready"  # what a process says when it has everything it needs
LENGTH = struct.Struct("!Q")

Score = Callable[[Iterable[Answer], Sandbox | None], Iterator[Verdict]]


def over(scorer: Scorer, workers: int | None) -> Score:
    """`scorer.score`, on up to `workers` processes (None: one a processor) where that is possible."""
    count = workers or cpu_count.available()
    if count < 2 or not _can_be_sent(scorer):
        return scorer.score

    def score(answers: Iterable[Answer], sandbox: Sandbox | None) -> Iterator[Verdict]:
        coming, spent, judged = iter(answers), 0.0, 0
        with ExitStack() as stack:
            others: list[Worker] = []
            while chunk := list(islice(coming, CHUNK)):
                if not others and spent >= PATIENCE:
                    others = [stack.enter_context(Worker(scorer.name)) for _ in range(count - 1)]
                if others and all(worker.ready() for worker in others):
                    size = max(CHUNK, int(judged / spent * WAKING)) if judged else CHUNK
                    yield from _spread(scorer, chain(chunk, coming), others, size)
                    return
                began = monotonic()
                verdicts = list(scorer.score(chunk, sandbox))
                spent, judged = spent + monotonic() - began, judged + len(chunk)
                yield from verdicts

    return score


def _can_be_sent(scorer: Scorer) -> bool:
    from harness.scorers import by_name

    return isinstance(scorer.score, Each) and scorer.score.anywhere and by_name().get(scorer.name) is scorer


def _spread(
    scorer: Scorer, answers: Iterator[Answer], others: "list[Worker]", size: int
) -> Iterator[Verdict]:
    idle = SimpleQueue[Worker]()
    for worker in others:
        idle.put(worker)

    def ask(chunk: list[Answer]) -> list[Verdict]:
        worker = idle.get()
        try:
            return worker.ask(chunk)
        finally:
            idle.put(worker)

    pool = ThreadPoolExecutor(len(others))
    asked = deque[tuple[list[Answer], Future[list[Verdict]]]]()
    try:
        while True:
            while len(asked) < 2 * (1 + len(others)) and (chunk := list(islice(answers, size))):
                asked.append((chunk, pool.submit(ask, chunk)))
            if not asked:
                return
            if not asked[0][1].done():
                _lend_a_hand(scorer, asked)
            yield from asked.popleft()[1].result()
    finally:
        pool.shutdown(cancel_futures=True)


def _lend_a_hand(scorer: Scorer, asked: "deque[tuple[list[Answer], Future[list[Verdict]]]]") -> None:
    """Judge chunks that nobody has begun, until the oldest is done or all have been begun."""
    for at, (chunk, future) in enumerate(asked):
        if future.cancel():
            own = Future[list[Verdict]]()
            try:
                own.set_result(list(scorer.score(chunk, None)))
            except HarnessError as error:  # told when its turn comes, as another process's is
                own.set_exception(error)
            asked[at] = (chunk, own)
        if asked[0][1].done():
            return


class Worker:
    """Another interpreter that knows one scorer. It ends when its input does, so never outlives this process."""

    def __init__(self, name: str) -> None:
        self.name, self.greeted = name, False
        code = f"import sys; sys.path[:] = {sys.path!r}; from harness.scorers import parallel; parallel.serve({name!r})"
        command = [sys.executable, "-c", code]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ready(self) -> bool:
        """Whether a chunk would be begun at once. True as well where the process has ended, which `ask` tells."""
        assert self.process.stdout is not None
        return self.greeted or bool(select.select([self.process.stdout], [], [], 0)[0])

    def ask(self, chunk: list[Answer]) -> list[Verdict]:
        """Raises what the scorer raised there, and Fault when the process is gone."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            _send(self.process.stdin, chunk)
            self.greeted = self.greeted or _receive(self.process.stdout) == HELLO
            found = _receive(self.process.stdout)
        except OSError:
            found = None
        if found is None:
            code = self.process.wait()
            raise Fault(
                f"a process of scorer {self.name!r} ended with status {code}; run the same command again"
            )
        if isinstance(found, HarnessError):
            raise found
        assert isinstance(found, list)
        return found

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *error: object) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with suppress(BrokenPipeError):
            self.process.stdin.close()
        if not self.greeted:
            self.process.kill()  # it has been given nothing
        self.process.stdout.close()
        self.process.wait()


def serve(name: str) -> None:
    """What a Worker's process does: judge chunks until there are no more. Ctrl-C is its asker's affair."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    results = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints must not come between
    from harness.scorers import named

    (scorer,) = named((name,))
    gc.freeze()  # what was imported stays: it need not be looked through again and again
    _send(results, HELLO)
    with open(0, "rb", closefd=False) as chunks:
        while (chunk := _receive(chunks)) is not None:
            try:
                _send(results, list(scorer.score(chunk, None)))  # type: ignore[arg-type]
            except HarnessError as error:  # any other ends this process, with its trace
                _send(results, error)


def _send(stream: IO[bytes], value: object) -> None:
    blob = pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)
    stream.write(LENGTH.pack(len(blob)) + blob)
    stream.flush()


def _receive(stream: IO[bytes]) -> object:
    """The next value; None where the stream has ended. Both ends are this project's own processes."""
    head = stream.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    blob = stream.read(LENGTH.unpack(head)[0])
    return pickle.loads(blob)
