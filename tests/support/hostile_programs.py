"""Runs hostile programs one at a time and says what each cost: its verdict, and what the trusted side spent on it.

A program is a file whose first line says how it is meant: `# red: {"mode": ..., "want": [...]}`. Modes: `tests` (asked
from outside), `warm` (the same after an honest pass), `main` (a whole program: reads 5, must print 6), `io` (the same
in another language), `x` (another language, its test in the same source).
"""

import json
import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness import sandbox
from harness.errors import SandboxFault
from harness.schema import Limits, Program, UnitTests
from harness.tasks.families import completion_marker, single_source
from harness.text import output_match
from tests.support import polyglot_programs

TICK = os.sysconf("SC_CLK_TCK")
TEST = "".join(f"assert add_one({x}) == {x + 1}\n" for x in (1, 41, -7, 987654))
GOOD = "def add_one(x):\n    return x + 1\n"
BAD = "def add_one(x):\n    return x\n"
X_TESTS = {
    "cpp": polyglot_programs.TESTS["cpp"]
    .replace("solve(2)==5", "add_one(1)==2")
    .replace("solve(10)==101", "add_one(41)==42"),
    "javascript": polyglot_programs.TESTS["javascript"]
    .replace("solve(2) === 5", "addOne(1) === 2")
    .replace("solve(10) === 101", "addOne(41) === 42"),
    "java": polyglot_programs.TESTS["java"]
    .replace("s.solve(2) == 5", "s.addOne(1) == 2")
    .replace("s.solve(10) == 101", "s.addOne(41) == 42"),
    "go": polyglot_programs.TESTS["go"]
    .replace("Equal(5, Solve(2))", "Equal(2, AddOne(1))")
    .replace("Equal(101, Solve(10))", "Equal(42, AddOne(41))"),
    "rust": polyglot_programs.TESTS["rust"]
    .replace("solve(2), 5", "add_one(1), 2")
    .replace("solve(10) == 101", "add_one(41) == 42"),
}


@dataclass(frozen=True)
class Hostile:
    name: str
    code: str
    mode: str
    want: frozenset[str]
    language: str
    limits: Limits
    test: str = TEST
    good: str = GOOD
    bad: str = BAD
    rung: str = ""


def read(path: Path) -> Hostile:
    code = path.read_text(encoding="utf-8")
    line = code.split("\n", 1)[0].partition("red:")[2].partition("  # noqa")[0]
    head: Mapping[str, Any] = json.loads(line)
    limits = Limits(
        cpu_s=head.get("cpu", 3.0),
        wall_s=head.get("wall", 5.0),
        memory_mb=head.get("mem", 512),
        output_kb=256,
    )
    names = {"test": TEST, "good": GOOD, "bad": BAD}
    return Hostile(
        path.stem,
        code,
        head["mode"],
        frozenset(head["want"]),
        head.get("lang", polyglot_programs.LANGUAGE.get(path.suffix[1:], "python")),
        limits,
        rung=head.get("rung", ""),
        **{name: head.get(name, default) for name, default in names.items()},
    )


def program(case: Hostile, code: str) -> Program:
    match case.mode:
        case "tests" | "warm":
            tests = UnitTests(code=case.test, entry_point="add_one", limits=case.limits)
            return Program(code=code, tests=tests, limits=case.limits)
        case "main" | "io":
            return Program(code=code, stdin="5\n", language=case.language, limits=case.limits)
        case "x":
            if case.language == "go":
                code = completion_marker.go_imports(code)
            if case.language == "cpp":
                code = single_source.cpp_includes("") + code
            return Program(
                code=code + "\n" + completion_marker.instrument(case.language, X_TESTS[case.language]),
                language=case.language,
                tests_start=len(code),
                sentinel=completion_marker.SENTINEL,
                files=polyglot_programs.FILES.get(case.language, {}),
                flags=("-std=c++11",) if case.language == "cpp" else (),
                limits=case.limits,
            )
    raise ValueError(case.mode)


def status(pool: sandbox.Pool, case: Hostile, code: str) -> tuple[str, str]:
    """The verdict and its detail; a fault is one of its own."""
    try:
        result = pool.run(program(case, code))
    except SandboxFault as fault:
        return "fault", str(fault)
    if case.mode in ("main", "io") and result.status == "passed":
        right = output_match.similar_text(result.stdout, "6\n")
        return ("passed" if right else "failed"), result.stdout[:80]
    return result.status, result.detail


@dataclass
class Cost:
    """What the processes of the trusted side took at most: CPU seconds of one, memory of one in MB."""

    cpu_s: float = 0.0
    memory_mb: float = 0.0
    first: dict[int, float] = field(default_factory=dict)

    def look(self, pids: set[int]) -> None:
        for pid in pids:
            with suppress(OSError):
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                ticks = sum(map(int, fields[11:13])) / TICK
                lines = Path(f"/proc/{pid}/status").read_text().splitlines()
                self.cpu_s = max(self.cpu_s, ticks - self.first.setdefault(pid, ticks))
                for line in lines:
                    if line.startswith("VmHWM"):  # not of one that has ended
                        self.memory_mb = max(self.memory_mb, int(line.split()[1]) / 1024)


def _trusted(pool: sandbox.Pool) -> set[int]:
    """Testers and zygotes; not the programs, which are their children, nor this process, which holds all tests."""
    pids = {process.pid for worker in pool.workers() for process in worker.processes}
    pids |= {process.pid for worker in _language_workers(pool) for process in worker.processes}
    return pids


def _language_workers(pool: sandbox.Pool) -> list[Any]:
    return pool._languages.workers() if pool._languages is not None else []


@contextmanager
def watched(pool: sandbox.Pool) -> Iterator[Cost]:
    """What the trusted side takes while the block runs, looked at every 10 ms."""
    cost, stop = Cost(), threading.Event()
    for pid in _trusted(pool):
        with suppress(OSError):
            Path(f"/proc/{pid}/clear_refs").write_text("5")
    cost.look(_trusted(pool))

    def look() -> None:
        while not stop.wait(0.01):
            cost.look(_trusted(pool))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield cost
    finally:
        stop.set()
        thread.join()


@dataclass(frozen=True)
class Outcome:
    """`neighbours`: the verdicts of a wrong and a right program that run after it."""

    status: str
    detail: str
    wall_s: float
    cost: Cost
    neighbours: tuple[str, str]


def judge(pool: sandbox.Pool, case: Hostile) -> Outcome:
    """One hostile program, then its neighbours."""
    if case.mode == "warm":
        status(pool, case, case.good)
    begin = time.monotonic()
    with watched(pool) as cost:
        verdict, detail = status(pool, case, case.code)
    wall = time.monotonic() - begin
    after = ("failed", "passed")
    if case.mode in ("tests", "warm"):
        after = (status(pool, case, case.bad)[0], status(pool, case, case.good)[0])
    elif case.mode == "main":
        plain = "print(int(input()) + {})"
        after = (status(pool, case, plain.format(2))[0], status(pool, case, plain.format(1))[0])
    return Outcome(verdict, detail, wall, cost, after)
