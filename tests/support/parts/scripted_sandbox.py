"""A sandbox that does what it is told, counts what it judges, and draws programs ahead as the real one does."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from harness.errors import SandboxFault
from harness.sandbox.verdict_cache import CachingSandbox
from harness.schema import ExecResult, Pair, PairResult, Program

JUDGE = {"time_limit": None, "memory_mb": None, "named": [], "preload": []}
Result = ExecResult | SandboxFault


def passes(program: Program) -> Result:
    return ExecResult(status="passed", stdout=program.code, cpu_s=0.1, wall_s=0.1, peak_mb=10)


@dataclass
class ScriptedSandbox:
    """`judged` are the codes of the programs that it was asked to judge, in order."""

    result: Callable[[Program], Result] = passes
    ahead: int = 4
    isolation: str = "namespaces"
    packages: Mapping[str, str] = field(default_factory=dict)
    absent: tuple[str, ...] = ()
    version: str = "3.11.7"
    judged: list[str] = field(default_factory=list)

    def versions(self, languages: Iterable[str]) -> Mapping[str, str]:
        return dict.fromkeys(languages, self.version)

    def judge_queries(self, pairs: Iterable[Pair]) -> Iterator[PairResult | SandboxFault]:
        raise NotImplementedError

    def run(self, program: Program) -> ExecResult:
        raise NotImplementedError

    def map(self, programs: Iterable[Program]) -> Iterator[Result]:
        coming, drawn = iter(programs), deque[Program]()
        while True:
            drawn.extend(islice(coming, self.ahead - len(drawn)))
            if not drawn:
                return
            self.judged.append(drawn[0].code)
            yield self.result(drawn.popleft())


def judge(
    sandbox: ScriptedSandbox, programs: Iterable[Program], file: Path | None = None, **more: Any
) -> list[Result]:
    """What comes of the programs behind a verdict cache."""
    settings = JUDGE | more.pop("judge", {})
    with CachingSandbox(sandbox, settings, file, **more) as cached:
        return list(cached.map(programs))
