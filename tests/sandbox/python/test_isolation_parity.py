"""Verdicts on real problems and real completions equal those of independent runs of the same tests."""

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness import sandbox
from harness.errors import SandboxFault
from harness.schema import ExecResult, Limits, Program, UnitTests

Row = dict[str, Any]
DATA = Path(os.environ.get("HARNESS_TEST_DATA", "")) / "humaneval"
pytestmark = [
    pytest.mark.real_data,
    pytest.mark.skipif("HARNESS_TEST_DATA" not in os.environ, reason="HARNESS_TEST_DATA is not set"),
]


@pytest.fixture(scope="module")
def pool() -> Iterator[sandbox.Pool]:
    with sandbox.start() as pool:
        yield pool


@pytest.fixture(scope="module")
def problems() -> dict[str, Row]:
    with gzip.open(DATA / "HumanEval.jsonl.gz", "rt", encoding="utf-8") as file:
        return {row["task_id"]: row for row in map(json.loads, file)}


def lines(path: str) -> list[Row]:
    return [json.loads(line) for line in (DATA / path).read_text(encoding="utf-8").splitlines()]


def program(row: Row, code: str) -> Program:
    tests = UnitTests(
        setup=row["prompt"],
        code=f"{row['test']}\ncheck({row['entry_point']})",
        entry_point=row["entry_point"],
    )
    return Program(code=code, tests=tests, limits=Limits(cpu_s=3))


def passed(pool: sandbox.Pool, programs: list[Program]) -> list[bool]:
    results = list(pool.map(programs))
    assert [r for r in results if isinstance(r, SandboxFault)] == []
    assert {r.judge for r in results if isinstance(r, ExecResult)} == {"outside"}
    return [isinstance(r, ExecResult) and r.status == "passed" for r in results]


def test_every_canonical_solution_passes_and_no_empty_one(
    pool: sandbox.Pool, problems: dict[str, Row]
) -> None:
    rows = list(problems.values())
    assert (
        passed(pool, [program(row, row["prompt"] + row["canonical_solution"]) for row in rows])
        == [True] * 164
    )
    assert passed(pool, [program(row, row["prompt"]) for row in rows]) == [False] * 164


def test_codefuse_13b_is_judged_as_by_an_independent_rerun(
    pool: sandbox.Pool, problems: dict[str, Row]
) -> None:
    rows = lines("outputs/CodeFuse-13B.jsonl")
    programs = [
        program(problems[r["task_id"]], problems[r["task_id"]]["prompt"] + r["completion"]) for r in rows
    ]
    got = passed(pool, programs)
    assert got == [row["verdict"] == "passed" for row in rows]
    assert sum(got) == 61


def test_reflexion_is_judged_as_by_an_independent_rerun(pool: sandbox.Pool, problems: dict[str, Row]) -> None:
    rows = lines("outputs/reflexion__simple_1_text-davinci-003_pass_at_k_1.jsonl")
    programs = [
        program(problems[r["task_id"]], problems[r["task_id"]]["prompt"] + r["completion"]) for r in rows
    ]
    got = passed(pool, programs)
    assert got == [row["recheck_prompt_plus_completion"] == "passed" for row in rows]
    assert sum(got) == 93


def test_llama3_is_judged_as_by_evalplus(pool: sandbox.Pool, problems: dict[str, Row]) -> None:
    path = DATA / "outputs/llama3-exp/8b-instruct-repeatlots/samples_eval_results.json"
    rows = [row for rows in json.loads(path.read_text())["eval"].values() for row in rows]
    got = passed(pool, [program(problems[row["task_id"]], row["solution"]) for row in rows])
    assert got == [row["base_status"] == "pass" for row in rows]
    assert sum(got) == 72


def test_verdicts_do_not_change_under_load(pool: sandbox.Pool, problems: dict[str, Row]) -> None:
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(8)]
    try:
        rows = list(problems.values()) * 3
        programs = [program(row, row["prompt"] + row["canonical_solution"]) for row in rows]
        slow = Program(code="while True: pass", limits=Limits(cpu_s=1))
        assert passed(pool, programs) == [True] * len(programs)
        assert pool.run(slow).status == "timeout"
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()
