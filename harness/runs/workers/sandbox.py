"""A schema.Sandbox whose sandboxes are run by the workers of a pool."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from harness.errors import SandboxFault
from harness.runs.workers.pool import WorkerPool
from harness.runs.workers.work_queue import ChunkSizer, GivenUp
from harness.schema import ExecResult, Pair, PairResult, Program


@dataclass(frozen=True)
class PooledSandbox:
    """Programs and queries go in chunks that take a second; results come back in order."""

    workers: WorkerPool
    programs: ChunkSizer = field(default_factory=ChunkSizer)
    queries: ChunkSizer = field(default_factory=ChunkSizer)

    def __enter__(self) -> "PooledSandbox":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self.workers.close()

    @property
    def isolation(self) -> str:
        return str(self.workers.identity["sandbox"])

    @property
    def packages(self) -> Mapping[str, str]:
        return dict(self.workers.identity["packages"])

    @property
    def absent(self) -> tuple[str, ...]:
        return tuple(self.workers.identity["absent"])

    def versions(self, languages: Iterable[str]) -> Mapping[str, str]:
        return {name: self.workers.identity["versions"][name] for name in sorted(languages)}

    def run(self, program: Program) -> ExecResult:
        (result,) = self.map([program])
        if isinstance(result, SandboxFault):
            raise result
        return result

    def map(self, programs: Iterable[Program]) -> Iterator[ExecResult | SandboxFault]:
        return self._map("programs", programs, self.programs)

    def judge_queries(self, pairs: Iterable[Pair]) -> Iterator[PairResult | SandboxFault]:
        return self._map("queries", pairs, self.queries)

    def _map(self, method: str, items: Iterable[Any], sizer: ChunkSizer) -> Iterator[Any]:
        for _, result in self.workers.map(method, None, items, sizer):
            if isinstance(result, GivenUp):
                yield SandboxFault(f"given up after three tries: {result.cause}")
            else:
                yield result
