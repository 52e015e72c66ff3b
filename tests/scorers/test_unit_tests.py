"""unit_tests: the sandbox's results as scores, and pass@k from them."""

from collections.abc import Iterable, Iterator

import numpy as np
import pytest

from harness.errors import SandboxFault, UserError
from harness.schema import ExecResult, Problem, Program, Reference, UnitTests
from harness.scorers.execution.unit_tests import unit_tests

CHECK = UnitTests(code="assert f(1) == 1", entry_point="f")
PROBLEM = Problem(id="p/0", question="", solution="", check=CHECK)


class Recorded:
    """A sandbox that answers from a list."""

    isolation = "recorded"

    def __init__(self, results: list[ExecResult | SandboxFault]) -> None:
        self.results = results
        self.programs: list[Program] = []

    def run(self, program: Program) -> ExecResult:
        raise AssertionError("the scorer uses the batch form")

    def map(self, programs: Iterable[Program]) -> Iterator[ExecResult | SandboxFault]:
        for program, result in zip(programs, self.results, strict=True):
            self.programs.append(program)
            yield result


def test_passed_is_one_everything_else_zero_and_a_fault_no_score() -> None:
    results: list[ExecResult | SandboxFault] = [
        ExecResult(status="passed", judge="outside", cpu_s=0.5),
        ExecResult(status="timeout", detail="more than 3 s of CPU time", judge="outside"),
        ExecResult(status="passed", judge="in_process"),
        SandboxFault("a tester stopped answering"),
    ]
    sandbox = Recorded(results)
    verdicts = list(unit_tests.score([(PROBLEM, f"code {i}") for i in range(4)], sandbox))
    assert [v.status for v in verdicts] == ["passed", "timeout", "passed", "fault"]
    assert [v.score.value if v.score else None for v in verdicts] == [1.0, 0.0, 1.0, None]
    assert [v.score.note if v.score else None for v in verdicts] == ["", "", "in_process", None]
    assert [v.error for v in verdicts] == ["", "more than 3 s of CPU time", "", "a tester stopped answering"]
    assert verdicts[0].cpu_s == 0.5
    assert [p.code for p in sandbox.programs] == [f"code {i}" for i in range(4)]
    assert {p.tests for p in sandbox.programs} == {CHECK}


def test_pass_at_k_is_the_unbiased_estimator() -> None:
    metrics = unit_tests.metrics([1, 2])
    assert list(metrics) == ["pass@1", "pass@2"]
    scores = np.array([[1.0], [0.0], [0.0], [1.0], [0.0]])
    assert metrics["pass@1"].per_problem(scores).tolist() == pytest.approx([0.4])
    # 1 - C(3,2)/C(5,2) = 1 - 3/10
    assert metrics["pass@2"].per_problem(scores).tolist() == pytest.approx([0.7])


def test_it_asks_for_a_sandbox_and_for_unit_tests() -> None:
    with pytest.raises(UserError, match="needs a sandbox"):
        list(unit_tests.score([(PROBLEM, "")], None))
    other = Problem(id="p/1", question="", solution="", check=Reference(texts=("x",)))
    with pytest.raises(UserError, match="cannot judge p/1"):
        list(unit_tests.score([(other, "")], Recorded([])))
