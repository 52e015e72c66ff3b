"""Scorers of texts on several processes: this one and fresh interpreters; verdicts come in the order of answers.

Only for scorers that judge each answer by itself (`PerAnswer`) and that another interpreter can find by name: the
verdicts are then the same wherever an answer is judged, and no file of a run can tell. A scorer begins by itself;
the others are started when it has worked for a tenth of a second, half of what a start costs, and it works on
alone until they are ready. At most two chunks a process are pending. Not a sandbox: the answers are only read.

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
from harness.scorers.per_answer import PerAnswer

WARMUP_S = 0.1  # how long a scorer works by itself
MIN_CHUNK = 50  # answers at once, or what takes CHUNK_S seconds where that is more
CHUNK_S = 0.1  # a process waits about a hundredth of this for the main process's attention
READY = "ready"  # what a process sends once it has imported everything
LENGTH_PREFIX = struct.Struct("!Q")

ScoreFunction = Callable[[Iterable[Answer], Sandbox | None], Iterator[Verdict]]


def parallelize(scorer: Scorer, workers: int | None) -> ScoreFunction:
    """`scorer.score`, on up to `workers` processes (None: one a processor) where that is possible."""
    count = workers or cpu_count.available()
    if count < 2 or not _is_parallelizable(scorer):
        return scorer.score

    def score(answers: Iterable[Answer], sandbox: Sandbox | None) -> Iterator[Verdict]:
        coming, spent, judged = iter(answers), 0.0, 0
        with ExitStack() as stack:
            processes: list[ScorerProcess] = []
            while chunk := list(islice(coming, MIN_CHUNK)):
                if not processes and spent >= WARMUP_S:
                    processes = [stack.enter_context(ScorerProcess(scorer.name)) for _ in range(count - 1)]
                if processes and all(worker.ready() for worker in processes):
                    size = max(MIN_CHUNK, int(judged / spent * CHUNK_S)) if judged else MIN_CHUNK
                    yield from _score_in_parallel(scorer, chain(chunk, coming), processes, size)
                    return
                began = monotonic()
                verdicts = list(scorer.score(chunk, sandbox))
                spent, judged = spent + monotonic() - began, judged + len(chunk)
                yield from verdicts

    return score


def _is_parallelizable(scorer: Scorer) -> bool:
    from harness.scorers import builtin_scorer

    return (
        isinstance(scorer.score, PerAnswer)
        and scorer.score.parallelizable
        and builtin_scorer(scorer.name) is scorer
    )


def _score_in_parallel(
    scorer: Scorer, answers: Iterator[Answer], processes: "list[ScorerProcess]", size: int
) -> Iterator[Verdict]:
    idle = SimpleQueue[ScorerProcess]()
    for worker in processes:
        idle.put(worker)

    def ask(chunk: list[Answer]) -> list[Verdict]:
        worker = idle.get()
        try:
            return worker.score_chunk(chunk)
        finally:
            idle.put(worker)

    pool = ThreadPoolExecutor(len(processes))
    pending = deque[tuple[list[Answer], Future[list[Verdict]]]]()
    try:
        while True:
            while len(pending) < 2 * (1 + len(processes)) and (chunk := list(islice(answers, size))):
                pending.append((chunk, pool.submit(ask, chunk)))
            if not pending:
                return
            if not pending[0][1].done():
                _run_inline(scorer, pending)
            yield from pending.popleft()[1].result()
    finally:
        pool.shutdown(cancel_futures=True)


def _run_inline(scorer: Scorer, pending: "deque[tuple[list[Answer], Future[list[Verdict]]]]") -> None:
    """Score chunks that no process has begun, until the oldest is done or all have been begun."""
    for at, (chunk, future) in enumerate(pending):
        if future.cancel():
            done = Future[list[Verdict]]()
            try:
                done.set_result(list(scorer.score(chunk, None)))
            except HarnessError as error:  # raised when its turn comes, as another process's is
                done.set_exception(error)
            pending[at] = (chunk, done)
        if pending[0][1].done():
            return


class ScorerProcess:
    """Another interpreter that knows one scorer. It ends when its input does, so never outlives this process."""

    def __init__(self, name: str) -> None:
        self.name, self.received_ready = name, False
        code = f"import sys; sys.path[:] = {sys.path!r}; from harness.scorers import parallel; parallel.serve({name!r})"
        command = [sys.executable, "-c", code]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ready(self) -> bool:
        """Whether a chunk would be begun at once. True as well where the process has ended, which `ask` tells."""
        assert self.process.stdout is not None
        return self.received_ready or bool(select.select([self.process.stdout], [], [], 0)[0])

    def score_chunk(self, chunk: list[Answer]) -> list[Verdict]:
        """Raises what the scorer raised there, and Fault when the process is gone."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            _send(self.process.stdin, chunk)
            self.received_ready = self.received_ready or _receive(self.process.stdout) == READY
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

    def __enter__(self) -> "ScorerProcess":
        return self

    def __exit__(self, *error: object) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with suppress(BrokenPipeError):
            self.process.stdin.close()
        if not self.received_ready:
            self.process.kill()  # it has been given nothing
        self.process.stdout.close()
        self.process.wait()


def serve(name: str) -> None:
    """What a ScorerProcess runs: score chunks until there are no more. Ctrl-C is left to the main process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    results = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not get between the values
    from harness.scorers import load_scorers

    (scorer,) = load_scorers((name,))
    gc.freeze()  # the garbage collector need not look at what was imported
    _send(results, READY)
    with open(0, "rb", closefd=False) as chunks:
        while (chunk := _receive(chunks)) is not None:
            try:
                _send(results, list(scorer.score(chunk, None)))  # type: ignore[arg-type]
            except HarnessError as error:  # any other ends this process, with its trace
                _send(results, error)


def _send(stream: IO[bytes], value: object) -> None:
    blob = pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)
    stream.write(LENGTH_PREFIX.pack(len(blob)) + blob)
    stream.flush()


def _receive(stream: IO[bytes]) -> object:
    """The next value; None where the stream has ended. Both ends are this project's own processes."""
    head = stream.read(LENGTH_PREFIX.size)
    if len(head) < LENGTH_PREFIX.size:
        return None
    blob = stream.read(LENGTH_PREFIX.unpack(head)[0])
    return pickle.loads(blob)
