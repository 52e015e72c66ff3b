"""Judging on several workers: the verdicts and files of one, and a program that kills its judge is a fault."""

import platform
from pathlib import Path
from typing import Any

import pytest

from harness import sandbox
from harness.config.backend import BackendConfig
from harness.config.run import RunConfig
from harness.errors import SandboxFault
from harness.runs.workers import processes
from harness.runs.workers.pool import WorkerPool
from harness.runs.workers.sandbox import PooledSandbox
from harness.runs.workers.tasks import JudgeSpec
from harness.schema import Program, Task, UnitTests
from tests.support.command import mini_humaneval, rows, write_rows
from tests.support.worker_roles import KILLED, CrashingJudgeSpec


def programs(count: int) -> list[Program]:
    """Right, wrong and endless ones, and one with broken tests."""
    kinds = (
        ("def f(x):\n    return x + 1", "assert f(1) == 2"),
        ("def f(x):\n    return x", "assert f(1) == 2"),
        ("def f(x):\n    return x.y", "assert f(1) == 2"),
        ("def f(x):\n    return x", "assert f(1) =="),
    )
    made = [kinds[n % 4] for n in range(count)]
    return [Program(code=code, tests=UnitTests(code=test, entry_point="f")) for code, test in made]


def told(results: Any) -> list[tuple[str, str]]:
    return [
        ("fault", str(one)) if isinstance(one, SandboxFault) else (one.status, one.detail) for one in results
    ]


def test_verdicts_are_those_of_one_pool_in_the_order_of_the_programs() -> None:
    with sandbox.start(sandbox.Settings(workers=1)) as pool:
        expected = told(pool.map(programs(60)))
        isolation = pool.isolation
    workers = WorkerPool(processes.ProcessLauncher(["a", "b"]), JudgeSpec(sandbox.Settings(workers=1)))
    with PooledSandbox(workers) as box:
        assert told(box.map(iter(programs(60)))) == expected
        assert (box.isolation, box.versions(["python"])) == (isolation, {"python": platform.python_version()})
        assert box.run(programs(1)[0]).status == "passed"
        with pytest.raises(SandboxFault):
            box.run(programs(4)[3])
    assert {status for status, _ in expected} == {"passed", "failed", "error", "fault"}


def test_a_program_that_kills_its_judge_again_and_again_is_a_fault_that_says_so(tmp_path: Path) -> None:
    deadly = programs(1)[0].model_copy(update={"code": "deadly = 1"})
    workers = WorkerPool(processes.ProcessLauncher(["a"]), CrashingJudgeSpec(sandbox.Settings(workers=1)))
    right = [("passed", ""), ("failed", "AssertionError at line 1: assert f(1) == 2")]
    with PooledSandbox(workers) as box:
        results = told(box.map(iter([*programs(2), deadly, *programs(2)])))
    assert results == [*right, ("fault", f"given up after three tries: worker 0 (a): {KILLED}"), *right]


def test_judging_on_workers_leaves_the_same_files(tmp_path: Path) -> None:
    from harness.runs import judge as judging
    from harness.runs import run as runner

    answers = [
        {"task_id": row["task_id"], "completion": row["canonical_solution"]} for row in mini_humaneval()
    ]
    answers[3]["completion"] = "    return None\n"
    path = write_rows(tmp_path / "answers.jsonl", answers)
    config = RunConfig(task="humaneval", data="mini", backend=BackendConfig(kind="replay", path=str(path)))

    def pooled(judge: Any, task: Task) -> PooledSandbox:
        return PooledSandbox(
            WorkerPool(processes.ProcessLauncher(["a", "b"]), JudgeSpec(judging.settings(judge, task)))
        )

    runner.run(config, tmp_path / "one")
    runner.run(config, tmp_path / "two", executor=runner.Executor(open_sandbox=pooled))
    for name in ("run.json", "generations.jsonl", "judgements.jsonl", "summary.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    assert [row["status"] for row in rows(tmp_path / "two" / "judgements.jsonl")].count("passed") == len(
        answers
    ) - 1
