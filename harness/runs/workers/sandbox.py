"""A schema.Sandbox whose sandboxes are with the workers of a crew."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from harness.errors import SandboxFault
from harness.runs.workers.pool import Crew
from harness.runs.workers.work_queue import GivenUp, Pace
from harness.schema import ExecResult, Pair, PairResult, Program


@dataclass(frozen=True)
class FannedSandbox:
    """Programs and queries go in chunks that take a second; results come back in order."""

    crew: Crew
    programs: Pace = field(default_factory=Pace)
    queries: Pace = field(default_factory=Pace)

    def __enter__(self) -> "FannedSandbox":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self.crew.close()

    @property
    def isolation(self) -> str:
        return str(self.crew.identity["sandbox"])

    @property
    def interpreter(self) -> str:
        return str(self.crew.identity["interpreter"])

    def run(self, program: Program) -> ExecResult:
        (result,) = self.map([program])
        if isinstance(result, SandboxFault):
            raise result
        return result

    def map(self, programs: Iterable[Program]) -> Iterator[ExecResult | SandboxFault]:
        return self._each("programs", programs, self.programs)

    def judge_queries(self, pairs: Iterable[Pair]) -> Iterator[PairResult | SandboxFault]:
        return self._each("queries", pairs, self.queries)

    def _each(self, what: str, items: Iterable[Any], pace: Pace) -> Iterator[Any]:
        for _, result in self.crew.each(what, None, items, pace):
            if isinstance(result, GivenUp):
                yield SandboxFault(f"given up after three tries: {result.cause}")
            else:
                yield result
