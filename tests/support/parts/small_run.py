"""Runs of a task of four problems, with a backend and a sandbox that do as told."""

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness import backends, scorers
from harness.config.load import parse
from harness.errors import BackendFault, SandboxFault
from harness.runs import plan
from harness.runs import run as runner
from harness.schema import (
    Answer,
    Capabilities,
    Card,
    Completion,
    DataFile,
    ExecResult,
    Generation,
    Problem,
    Program,
    Prompt,
    Reduce,
    Request,
    Sampling,
    Sandbox,
    Score,
    Scorer,
    Source,
    Split,
    Summary,
    Task,
    Template,
    UnitTests,
    Verdict,
)

FILE = DataFile("small", "rows.jsonl")
WANTED = ("a", "b", "c", "d")  # each problem's right answer


def load(split: Split, source: Source) -> Iterable[Problem]:
    del split
    for row in source.rows(FILE):
        yield Problem(
            id=f"small/{row['n']}",
            question=f"letter {row['n']}?",
            solution=row["letter"],
            check=UnitTests(code=row["letter"], entry_point="f"),
            group=row["group"],
        )


def whole(problem: Problem, completion: Completion) -> str:
    del problem
    return completion.text


def lengths() -> Scorer:
    """A scorer that needs no sandbox: how long the answer is."""

    def score(answers: Iterable[Answer], sandbox: Sandbox | None) -> Iterator[Verdict]:
        assert sandbox is None
        for _, answer in answers:
            yield Verdict("scored", Score(value=float(len(answer))))

    mean = Reduce(lambda scores: np.array([scores[:, 0].mean()]))
    return Scorer("length", score, lambda ks: {"length": mean})


def small_task(*scores: Scorer, samples: int = 1, temperature: float = 0.0) -> Task:
    return Task(
        name="small",
        version=3,
        load=load,
        templates=(Template(name="plain", style="plain", stop=("\n",)),),
        extract=whole,
        scorers=scores or (scorers.unit_tests,),
        sampling=Sampling(samples=samples, temperature=temperature, max_tokens=8),
        card=Card(title="", paper="", licence="", url="", sizes={"test": 4}, setting=""),
    )


@dataclass
class FakeSandbox:
    """Passes a program that is the letter its tests name; `broken` programs are faults."""

    broken: set[str] = field(default_factory=set)
    isolation: str = "fake"
    judged: list[str] = field(default_factory=list)
    packages: Mapping[str, str] = field(default_factory=dict)
    absent: tuple[str, ...] = ()

    def versions(self, languages: Iterable[str]) -> Mapping[str, str]:
        return dict.fromkeys(sorted(languages), "1.2.3")

    def run(self, program: Program) -> ExecResult:
        raise NotImplementedError

    def map(self, programs: Iterable[Program]) -> Iterator[ExecResult | SandboxFault]:
        for program in programs:
            self.judged.append(program.code)
            if program.code in self.broken:
                yield SandboxFault("the worker died")
            else:
                assert program.tests is not None
                yield ExecResult(status="passed" if program.code == program.tests.code else "failed")

    def __enter__(self) -> "FakeSandbox":
        return self

    def __exit__(self, *error: object) -> None:
        pass


@dataclass
class FakeBackend:
    """Answers problem n's sample i with `say(n, i)`, in a shuffled order; stops after `most` samples."""

    say: Callable[[int, int], str]
    counts: Mapping[str, int] | None = None
    unmatched: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    most: int | None = None
    seed: int = 0
    asked: list[Request] = field(default_factory=list)
    closed: bool = False

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(recorded=self.counts is not None)

    @property
    def identity(self) -> Mapping[str, str]:
        return {"kind": "fake", "dtype": "float32", "engine": "fake 1"}

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[Generation]:
        self.asked += requests
        wanted = [(request, index) for request in requests for index in request.indices]
        random.Random(self.seed).shuffle(wanted)
        for made, (request, index) in enumerate(wanted):
            if made == self.most:
                raise BackendFault("the model went away")
            text = self.say(int(request.problem_id.split("/")[1]), index)
            completion = Completion(text=text, finish="eos", prompt_tokens=2, completion_tokens=len(text))
            yield Generation(
                problem_id=request.problem_id,
                index=index,
                prompt_sha=request.prompt.sha,
                completion=completion,
            )

    def tokens(self, prompt: Prompt) -> int:
        return len(prompt.text)

    def fits(self, prompt: Prompt, max_tokens: int) -> bool:
        return True

    def close(self) -> None:
        self.closed = True


def right(n: int, index: int) -> str:
    del index
    return WANTED[n]


@dataclass
class World:
    """A data folder, and runs in it."""

    folder: Path
    patch: pytest.MonkeyPatch
    out: str = "run"

    def run(
        self,
        backend: FakeBackend,
        /,
        sandbox: FakeSandbox | None = None,
        task: Task | None = None,
        progress: plan.Progress = plan.no_progress,
        **config: Any,
    ) -> Summary:
        self.patch.setattr(plan.registry, "task", lambda name, options: task or small_task())
        self.patch.setattr(backends, "load", lambda config, ids: backend)
        self.patch.setattr(runner, "open_sandbox", lambda judge, task: sandbox or FakeSandbox())
        config = {"task": "small", "data": str(self.folder), "backend": {"model": "m"}, **config}
        return runner.run(parse(config), self.folder / self.out, progress)[1]

    def file(self, name: str) -> bytes:
        return (self.folder / self.out / name).read_bytes()

    def files(self) -> dict[str, bytes]:
        names = ("run.json", "generations.jsonl", "judgements.jsonl", "summary.json")
        return {name: self.file(name) for name in names}


def values(summary: Summary) -> dict[str, float]:
    return {name: round(estimate.value, 6) for name, estimate in summary.metrics.items()}
