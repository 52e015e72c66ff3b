"""A task's checks are proved by its own references: they pass, an empty answer does not, a fault proves nothing."""

from collections.abc import Iterable, Iterator

import pytest

from harness import scorers
from harness.errors import Fault, SandboxFault
from harness.runs import judge as judging
from harness.schema import ExecResult, Problem, Program, Reference, Sandbox, Scorer, UnitTests
from tests.support.parts.small_run import FakeSandbox, small_task


def proved(
    problem: Problem, sandbox: Sandbox | None = None, scorer: Scorer = scorers.unit_tests
) -> list[str]:
    box = sandbox or FakeSandbox()
    return judging.prove(small_task(scorer), [problem], box)


def with_tests(solution: str, code: str) -> Problem:
    return Problem(id="p", question="", solution=solution, check=UnitTests(code=code, entry_point="f"))


def test_a_reference_that_passes_and_an_empty_answer_that_fails_prove_a_check() -> None:
    assert proved(with_tests("x", "x")) == []


def test_a_reference_that_fails_its_own_check_is_named() -> None:
    assert proved(with_tests("x", "y")) == ["p: unit_tests: its reference fails (failed: )"]


def test_a_check_that_an_empty_answer_passes_is_named() -> None:
    class Lenient(FakeSandbox):
        def map(self, programs: Iterable[Program]) -> Iterator[ExecResult | SandboxFault]:
            for _ in programs:
                yield ExecResult(status="passed")

    assert proved(with_tests("x", "x"), Lenient()) == [
        "p: unit_tests: an empty answer is worth as much as its reference"
    ]


def test_an_empty_reference_text_is_named() -> None:
    problem = Problem(id="p", question="", solution="", check=Reference(texts=("",)))
    assert proved(problem, scorer=scorers.exact) == [
        "p: exact: an empty answer is worth as much as its reference"
    ]
    assert (
        proved(
            Problem(**{**problem.model_dump(), "solution": "x", "check": Reference(texts=("x",))}),
            scorer=scorers.exact,
        )
        == []
    )


def test_a_fault_proves_nothing() -> None:
    with pytest.raises(Fault, match="p: unit_tests: the worker died"):
        proved(with_tests("x", "x"), FakeSandbox({"x"}))
