"""The controller's side: sends programs to workers, returns results in order, replaces workers that die."""

import itertools
import logging
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

from harness import cpu_count
from harness.errors import ConfigError, SandboxFault, UserError
from harness.sandbox import batch, framing, launch
from harness.sandbox.isolation import confine, cpu_affinity
from harness.sandbox.python import interpreter, spelled_inputs
from harness.sandbox.python.cpu_clock import WALL_SLACK
from harness.sandbox.values import codec
from harness.schema import ExecResult, Limits, Pair, PairResult, Program, UnitTests
from harness.schema.execution import JUDGE_STALL_S

if TYPE_CHECKING:  # imported when a program or a query needs them: most runs have Python programs only
    from harness.sandbox.languages.worker_pool import LanguagePool
    from harness.sandbox.references import ReferenceCache
    from harness.sandbox.sql.client import SqlPool

LOG = logging.getLogger(__name__)
CODE_LIMIT = 10_000_000  # characters of a program: compiling more takes more memory than a program has
_LEVELS: tuple[confine.Isolation, ...] = ("namespaces", "landlock")


@dataclass(frozen=True)
class Settings:
    """`time_limit` (CPU seconds; the wall limit is scaled by the same factor) and `memory_mb` replace the programs' own
    limits. `queries`: only SQL is judged, so that no worker for programs is started. `python`: another interpreter for
    programs and tests. `packages`: distributions that they may import from,
    None for all that are installed. `preload`: modules imported before each program starts. `crowded`: other sandboxes
    use this machine's other cores. `process`: a fork for each Python program, or one that is put back after each.
    `stall_s`: after so many seconds without a sign of life a worker is replaced.
    """

    isolation: Literal["auto", "namespaces", "landlock", "process"] = "auto"
    workers: int | None = None
    time_limit: float | None = None
    memory_mb: int | None = None
    python: str = ""
    packages: tuple[str, ...] | None = ()
    preload: tuple[str, ...] = ()
    crowded: bool = False
    queries: bool = False
    process: Literal["fork", "restore"] = "fork"
    stall_s: float = JUDGE_STALL_S

    def granted(self, limits: Limits) -> Limits:
        """What a program with these limits may use here."""
        changed: dict[str, float] = {}
        if self.time_limit is not None:
            factor = self.time_limit / limits.cpu_s
            changed = {"cpu_s": self.time_limit, "wall_s": limits.wall_s * factor}
        if self.memory_mb:
            changed["memory_mb"] = self.memory_mb
        return limits.model_copy(update=changed)


class Pool:
    """A schema.Sandbox with workers that stay alive between programs. Nothing is started before the first program. Not
    thread-safe.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._isolation: confine.Isolation | None = (
            None if settings.isolation == "auto" else settings.isolation
        )
        self._python: interpreter.Interpreter | None = None
        self._workers: list[launch.SandboxWorker] = []
        self._languages: LanguagePool | None = None
        self._busy = False
        self._sql: SqlPool | None = None
        self._references_file: Path | None = None
        self._references: ReferenceCache | None = None

    def __enter__(self) -> "Pool":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End all workers. The pool can be used again; it then starts new ones."""
        while self._workers:
            launch.stop_worker(self._workers.pop())
        if self._sql is not None:
            self._sql.close()
        if self._languages is not None:
            self._languages.close()
            self._languages = None
        if self._references is not None:
            self._references.close()
            self._references = None

    def keep_references(self, file: Path) -> None:
        """Keep what references of tests say in this file, from the next program on, and take what is there."""
        self._references_file = file

    def _kept_references(self) -> "ReferenceCache | None":
        """None where programs could write the file."""
        if self._references_file is None or self.isolation == "process":
            return None
        if self._references is None:
            from harness.sandbox import references

            made_by = references.identity(self.python.version, self.packages)
            self._references = references.ReferenceCache(self._references_file, made_by, LOG.warning)
        return self._references

    @property
    def isolation(self) -> str:
        """The isolation level in force; with `auto`, finding out starts the first worker."""
        if self._isolation is None:
            self._find_isolation()
        assert self._isolation is not None
        return self._isolation

    @property
    def python(self) -> interpreter.Interpreter:
        """The interpreter that runs programs and tests. Raises UserError for one that cannot."""
        if self._python is None:
            settings = self.settings
            self._python = interpreter.find(settings.python, settings.packages, settings.preload)
        return self._python

    @property
    def packages(self) -> Mapping[str, str]:
        return self.python.packages

    @property
    def absent(self) -> tuple[str, ...]:
        return self.python.absent

    def versions(self, languages: Iterable[str]) -> Mapping[str, str]:
        return {language: self._version(language) for language in sorted(languages)}

    def _version(self, language: str) -> str:
        match language:
            case "python":
                return self.python.version
            case "sqlite":
                return sqlite3.sqlite_version
        from harness.sandbox.languages import toolchains

        missing = toolchains.toolchain(language).missing
        return f"no {missing}" if missing else toolchains.version(language)

    def run(self, program: Program) -> ExecResult:
        """Run one program. Raises SandboxFault when the sandbox or the task's own tests failed."""
        (result,) = self.map([program])
        if isinstance(result, SandboxFault):
            raise result
        return result

    def map(
        self, programs: Iterable[Program], ahead: int = batch.AHEAD
    ) -> Iterator[ExecResult | SandboxFault]:
        """Run programs on all workers; results in order. At most `ahead` programs are drawn ahead of the results."""
        if self._busy:
            raise SandboxFault("this sandbox is already running a batch; finish or close that one first")
        self._busy = True
        try:
            for is_python, group in itertools.groupby(programs, lambda each: each.language == "python"):
                pool: batch.WorkerSource = self if is_python else self._language_pool()
                work = batch.Batch(pool, group, ahead, self._kept_references)
                try:
                    yield from work.results()
                finally:
                    work.abandon()
        finally:
            self._busy = False

    def _language_pool(self) -> "LanguagePool":
        """The workers for other languages, created with the first such program."""
        if self._languages is None:
            if self._isolation is None:
                self._find_isolation()
            assert self._isolation is not None
            from harness.sandbox.languages.worker_pool import LanguagePool

            self._languages = LanguagePool(
                self._isolation, self.size, self.settings.granted, self.settings.stall_s
            )
        return self._languages

    def judge_queries(
        self, pairs: Iterable[Pair], ahead: int = batch.AHEAD
    ) -> Iterator[PairResult | SandboxFault]:
        """Run answers and gold queries on their databases and compare; results in order, pairs drawn lazily."""
        if self._sql is None:
            if self._isolation is None:
                self._find_isolation()
            assert self._isolation is not None
            self._sql = self._sql or self._sql_pool(self._isolation)
        yield from self._sql.judge(pairs, ahead)

    def _sql_pool(self, isolation: confine.Isolation) -> "SqlPool":
        from harness.sandbox.sql.client import SqlPool

        settings = self.settings
        return SqlPool(isolation, self.size, settings.time_limit, settings.memory_mb, settings.stall_s)

    # ------------------------------------------------------------ workers

    @property
    def size(self) -> int:
        return self.settings.workers or cpu_count.available()

    def new_worker(self) -> launch.SandboxWorker:
        if self._isolation is None:
            self._find_isolation()
            if self._workers:
                return self._workers[0]
        assert self._isolation is not None
        self._workers.append(self._launch(self._isolation))
        return self._workers[-1]

    def _launch(self, isolation: confine.Isolation) -> launch.SandboxWorker:
        python = self.python
        crowded = self.settings.crowded or self.size >= len(os.sched_getaffinity(0))
        core = cpu_affinity.claim() if crowded else None
        try:
            return launch.start_worker(
                isolation,
                python,
                self.settings.preload,
                core,
                self.settings.process == "restore",
                self.settings.stall_s,
            )
        except BaseException:
            if core is not None:
                core.release()
            raise

    def workers(self) -> list[launch.SandboxWorker]:
        return list(self._workers)

    def drop(self, worker: launch.SandboxWorker) -> None:
        self._workers.remove(worker)
        launch.stop_worker(worker)

    def _find_isolation(self) -> None:
        """Start a worker at the strongest level whose whole set-up works: a kernel may allow a namespace and then deny
        its rights.
        """
        reasons = []
        for isolation in _LEVELS:
            try:
                self._start_first(isolation)
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

    def _start_first(self, isolation: confine.Isolation) -> None:
        """Raises IsolationUnavailable."""
        if self.settings.queries:
            pool = self._sql_pool(isolation)
            pool.try_out()
            self._sql = pool
        else:
            self._workers.append(self._launch(isolation))

    def job(self, program: Program) -> batch.ProgramJob:
        """A program as the bytes that a tester takes, with its limits replaced by the settings'."""
        tests, settings = program.tests, self.settings
        if program.limits.processes:
            raise ConfigError("the sandbox gives programs no child processes: limits.processes has to be 0")
        limits = settings.granted(program.limits)
        if len(program.code) > CODE_LIMIT:
            detail = f"the program has {len(program.code)} characters; at most {CODE_LIMIT} are compiled"
            refused = ExecResult(status="compile_error", detail=detail, judge="outside")
            return batch.ProgramJob(b"", 0.0, result=refused)
        fields: dict[str, Any] = {
            "code": program.code,
            "argv": program.argv,
            "stdin": program.stdin.encode("utf-8", "surrogateescape"),
            "files": dict(program.files),
            "cpu_s": limits.cpu_s,
            "wall_s": limits.wall_s,
            "memory_mb": limits.memory_mb,
            "output_kb": limits.output_kb,
            "calls_limited": settings.time_limit is None,
            "arrays": tests is not None and tests.arrays,
            "in_module": tests is not None and tests.in_module,
            "before": tests.setup if tests is not None and tests.in_module else "",
            "tests_mb": tests.memory_mb if tests is not None else 0,
            "tests": (tests.setup, tests.code, tests.entry_point) if tests else None,
        }
        # The tester enforces the limits; this is for a tester that no longer responds.
        timeout_s = 2 * (limits.wall_s * WALL_SLACK + max(20.0, 5 * limits.cpu_s)) + 30
        payload = framing.frame(codec.encode(fields, limit=1 << 30))
        return batch.ProgramJob(payload, timeout_s, tests=self._digest(tests))

    def _digest(self, tests: UnitTests | None) -> bytes:
        """Of tests whose reference's values are kept; empty for others."""
        if self._references_file is None or tests is None or tests.in_module:
            return b""
        texts = tests.setup, tests.code
        return spelled_inputs.digest_of(*texts) if spelled_inputs.may_spell_out(*texts) else b""
