"""The controller's side: gives programs to workers, takes results back in order, replaces workers that
die.
"""

import itertools
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal

from harness import cpu_count
from harness.errors import ConfigError, SandboxFault, UserError
from harness.sandbox import batch, framing, launch
from harness.sandbox.isolation import confine, cpu_affinity
from harness.sandbox.languages import worker_pool
from harness.sandbox.python import interpreter
from harness.sandbox.python.candidate import WALL_SLACK
from harness.sandbox.sql import client
from harness.sandbox.values import codec
from harness.schema import ExecResult, Pair, PairResult, Program

CODE_LIMIT = 10_000_000  # characters of a program: compiling more needs more memory than a program has
_LEVELS: tuple[confine.Isolation, ...] = ("namespaces", "landlock")


@dataclass(frozen=True)
class Settings:
    """`time_limit` (CPU seconds; the wall limit is scaled alike) and `memory_mb` replace the programs' own
    limits. `python`: another interpreter for programs and tests; `preload`: modules that it has imported
    before each program starts. `crowded`: other sandboxes take this machine's other cores.
    """

    isolation: Literal["auto", "namespaces", "landlock", "process"] = "auto"
    workers: int | None = None
    time_limit: float | None = None
    memory_mb: int | None = None
    python: str = ""
    preload: tuple[str, ...] = ()
    crowded: bool = False


class Pool:
    """A schema.Sandbox over warm workers. Nothing is started before the first program. Not for several
    threads.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._isolation: confine.Isolation | None = (
            None if settings.isolation == "auto" else settings.isolation
        )
        self._python: interpreter.Interpreter | None = None
        self._workers: list[launch.SandboxWorker] = []
        self._started = 0
        self._foreign: worker_pool.LanguagePool | None = None
        self._busy = False
        self._engines: client.SqlPool | None = None

    def __enter__(self) -> "Pool":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End every worker. The pool can be used again; it then starts new ones."""
        while self._workers:
            launch.stop_worker(self._workers.pop())
        if self._engines is not None:
            self._engines.close()
        if self._foreign is not None:
            self._foreign.close()
            self._foreign = None

    @property
    def isolation(self) -> str:
        """The isolation in force; finding out starts the first worker."""
        if self._isolation is None:
            self._probe()
        assert self._isolation is not None
        return self._isolation

    @property
    def python(self) -> interpreter.Interpreter:
        """What runs programs and tests. Raises UserError for an interpreter that cannot."""
        if self._python is None:
            settings = self.settings
            if settings.python or settings.preload:
                self._python = interpreter.probe(settings.python, settings.preload)
            else:
                self._python = interpreter.current(launch.package_folders())
        return self._python

    @property
    def interpreter(self) -> str:
        """Versions of Python and of the libraries that verdicts depend on; empty where that is only this one."""
        if not (self.settings.python or self.settings.preload):
            return ""
        return ", ".join(f"{name} {version}" for name, version in self.python.versions.items())

    def run(self, program: Program) -> ExecResult:
        """Run one program. Raises SandboxFault when the sandbox or the task's own tests failed."""
        (result,) = self.map([program])
        if isinstance(result, SandboxFault):
            raise result
        return result

    def map(
        self, programs: Iterable[Program], ahead: int = batch.AHEAD
    ) -> Iterator[ExecResult | SandboxFault]:
        """Run many on all workers; results in order. So many programs are drawn ahead, never all at once."""
        if self._busy:
            raise SandboxFault("this sandbox is already running a batch; finish or close that one first")
        self._busy = True
        try:
            for is_python, group in itertools.groupby(programs, lambda each: each.language == "python"):
                work = batch.Batch(self if is_python else self._abroad(), group, ahead)
                try:
                    yield from work.results()
                finally:
                    work.abandon()
        finally:
            self._busy = False

    def _abroad(self) -> worker_pool.LanguagePool:
        """The workers for other languages, made with the first program of one."""
        if self._foreign is None:
            if self._isolation is None:
                self._probe()
            assert self._isolation is not None
            self._foreign = worker_pool.LanguagePool(self._isolation, self.size, self._limits)
        return self._foreign

    def judge_queries(
        self, pairs: Iterable[Pair], ahead: int = client.AHEAD
    ) -> Iterator[PairResult | SandboxFault]:
        """Execute answers and gold queries on their databases and compare; results in order, drawn lazily."""
        if self._engines is None:
            if self._isolation is None:
                self._probe()
            assert self._isolation is not None
            settings = self.settings
            self._engines = client.SqlPool(
                self._isolation, self.size, settings.time_limit, settings.memory_mb
            )
        yield from self._engines.judge(pairs, ahead)

    # ------------------------------------------------------------ workers

    @property
    def size(self) -> int:
        return self.settings.workers or cpu_count.available()

    def new_worker(self) -> launch.SandboxWorker:
        self._started += 1
        if self._isolation is None:
            self._probe()
            return self._workers[0]
        self._workers.append(self._launch(self._isolation))
        return self._workers[-1]

    def _launch(self, isolation: confine.Isolation) -> launch.SandboxWorker:
        python = self.python
        crowded = self.settings.crowded or self.size >= len(os.sched_getaffinity(0))
        core = cpu_affinity.claim() if crowded else None
        try:
            return launch.start_worker(isolation, self._started, python, self.settings.preload, core)
        except BaseException:
            if core is not None:
                core.release()
            raise

    def workers(self) -> list[launch.SandboxWorker]:
        return list(self._workers)

    def drop(self, worker: launch.SandboxWorker) -> None:
        self._workers.remove(worker)
        launch.stop_worker(worker)

    def _probe(self) -> None:
        """The strongest level whose whole set-up works here: a kernel may allow a namespace and then take
        its rights.
        """
        reasons = []
        for isolation in _LEVELS:
            try:
                self._started += 1
                self._workers.append(self._launch(isolation))
            except launch.IsolationUnavailable as fault:
                reasons.append(f"{isolation}: {fault}")
            else:
                self._isolation = isolation
                return
        raise UserError(
            f"no isolation works on this machine ({'; '.join(reasons)}). Model code would run with your own "
            "rights: say --sandbox process if you accept that, or run on a kernel with user namespaces or "
            "Landlock."
        )

    def job(self, program: Program) -> batch.ProgramJob:
        """A program as the bytes a tester takes, with the settings' limits put in."""
        limits, tests = program.limits, program.tests
        if limits.processes:
            raise ConfigError("the sandbox gives programs no child processes: limits.processes has to be 0")
        cpu, wall, memory = self._limits(program)
        if len(program.code) > CODE_LIMIT:
            detail = f"the program has {len(program.code)} characters; at most {CODE_LIMIT} are compiled"
            refused = ExecResult(status="compile_error", detail=detail, judge="outside")
            return batch.ProgramJob(b"", 0.0, result=refused)
        fields: dict[str, Any] = {
            "code": program.code,
            "argv": program.argv,
            "stdin": program.stdin.encode("utf-8", "surrogateescape"),
            "files": dict(program.files),
            "cpu_s": cpu,
            "wall_s": wall,
            "memory_mb": memory,
            "output_kb": limits.output_kb,
            "arrays": tests is not None and tests.arrays,
            "tests": (tests.setup, tests.code, tests.entry_point) if tests else None,
        }
        # The tester keeps the limits; this is for when the tester itself no longer answers.
        patience = 2 * (wall * WALL_SLACK + max(20.0, 5 * cpu)) + 30
        return batch.ProgramJob(framing.frame(codec.encode(fields, limit=1 << 30)), patience)

    def _limits(self, program: Program) -> tuple[float, float, int]:
        """CPU seconds, wall seconds and megabytes, with the settings' put in."""
        limits, settings = program.limits, self.settings
        cpu, wall = limits.cpu_s, limits.wall_s
        if settings.time_limit is not None:
            cpu, wall = settings.time_limit, wall * settings.time_limit / cpu
        return cpu, wall, settings.memory_mb or limits.memory_mb
