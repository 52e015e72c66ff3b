"""What is run and what came of it: programs, queries, the sandbox."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Literal, Protocol

from pydantic import Field

from harness.errors import SandboxFault
from harness.schema.base import ExecStatus, Value
from harness.schema.problems import Compare, DatabaseFile, Limits, UnitTests

JUDGE_STALL_S = (
    120.0  # without a sign of life, after which a process of the sandbox, or a judge service, is replaced
)


class Program(Value):
    """Code to run. With `tests` the verdict comes from the trusted side calling `tests.entry_point` in the program;
    without, from how the program ends. `files` are laid beside it, `stdin` is its standard input.

    Other languages than Python (sandbox/languages/) are compiled and run by command; `flags` are more words for
    the compiler, `needs` headers without which nothing can be judged. Their tests are part of the code, so they
    say so with `sentinel`: that text is replaced by a word made for the run, and a program passes only if it prints
    the word and ends with 0. The tests begin at `tests_start`; with an expectation of theirs falsified it must not
    pass."""

    code: str
    language: str = "python"
    flags: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    sentinel: str = ""
    tests_start: int = 0
    argv: tuple[str, ...] = ()
    stdin: str = ""
    files: Mapping[str, str] = {}
    limits: Limits = Limits()
    tests: UnitTests | None = None


class ExecResult(Value):
    """How a program ended. `detail` is one line for people (exception class and message), free of addresses.

    `judge` is who decided: `outside` (trusted tests in another process), `in_process` (tests beside the candidate,
    because values could not cross), or `exit` (the program's own exit status)."""

    status: ExecStatus
    stdout: str = ""
    stderr: str = ""
    detail: str = ""
    cpu_s: float = 0.0
    wall_s: float = 0.0
    peak_mb: float = 0.0
    judge: Literal["outside", "in_process", "exit"] = "exit"


class ValueSlots(Value):
    """A query cut where its values stand, and the values that may stand there instead."""

    pieces: tuple[str, ...]
    values: tuple[str, ...]


class Pair(Value):
    """An answer's query and the gold query, ready to run on `files` (all below `folders`).

    `ordered`: rows in the gold's order. `soft`: soft F1 as well. `repeats`: how often both are timed if they agree.
    `slots`: the answer is also right with any choice of these values.
    """

    sql: str
    gold: str
    folders: tuple[str, ...]
    files: tuple[DatabaseFile, ...] = Field(min_length=1)
    compare: Compare = "bag"
    ordered: bool = False
    slots: ValueSlots | None = None
    soft: bool = False
    repeats: int = 0
    cpu_s: float = 60.0


class PairResult(Value):
    """What came of a pair. `passed`: equal results on all files. `main`, `valid`, `f1` and `ratio` (gold's time over
    the answer's) are of the first file: whether the results are equal there, and whether the answer ran."""

    status: ExecStatus
    detail: str = ""
    valid: bool = False
    main: bool = False
    f1: float = 0.0
    ratio: float = 0.0
    cpu_s: float = 0.0


class Sandbox(Protocol):
    """Runs programs that nobody trusts. `isolation` names the level in force; it is written into the run, as is what
    else verdicts depend on: `versions` of the languages ("python", "sqlite", "cpp" ...), and of the `packages` that
    Python programs may import. `absent` are those that they should have and that are not installed.
    """

    @property
    def isolation(self) -> str: ...

    @property
    def packages(self) -> Mapping[str, str]: ...

    @property
    def absent(self) -> tuple[str, ...]: ...

    def versions(self, languages: Iterable[str]) -> Mapping[str, str]: ...

    def run(self, program: Program) -> ExecResult:
        """Run one program. Raises SandboxFault when the sandbox itself failed."""
        ...

    def map(self, programs: Iterable[Program]) -> Iterator[ExecResult | SandboxFault]:
        """Run many on all workers; results in the order of the programs, drawn lazily, memory bounded."""
        ...

    def judge_queries(self, pairs: Iterable[Pair]) -> Iterator[PairResult | SandboxFault]:
        """Run many pairs of queries on all workers; results in the order of the pairs, drawn lazily."""
        ...
