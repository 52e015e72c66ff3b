"""valid_rate: which answers run in the sandbox, and of what the others die."""

from collections.abc import Iterable, Iterator

import pytest

from harness import sandbox, scorers
from harness.errors import SandboxFault, UserError
from harness.schema import ExecResult, Problem, Program, Reference, Score
from harness.scorers.execution.valid_rate import valid_rate
from harness.stats.estimates import error_class

PROBLEM = Problem(id="t/0", question="", solution="x", check=Reference(texts=("x",)))

ANSWERS = {
    "x = 1": 1.0,
    "import sys\nsys.exit(0)": 1.0,
    "# a comment": 1.0,
    "import sys\nsys.exit(3)": 0.0,
    "y": 0.0,
    "x = (": 0.0,
    "input()": 0.0,
    " \n": 0.0,
    "x = 1\0": 0.0,
}


def test_valid_is_what_ends_with_status_zero() -> None:
    with sandbox.start(sandbox.Settings(workers=1)) as pool:
        verdicts = list(valid_rate.score([(PROBLEM, answer) for answer in ANSWERS], pool))
    assert [verdict.score and verdict.score.value for verdict in verdicts] == list(ANSWERS.values())
    classes = [error_class(verdict.status, verdict.error) for verdict in verdicts]
    assert classes[4:7] == ["NameError", "SyntaxError", "EOFError"]
    assert (classes[:4], verdicts[7].status) == ([""] * 4, "failed")


class Recorded:
    """A sandbox that answers from a list, two programs behind."""

    isolation = "recorded"

    def __init__(self, *results: ExecResult | SandboxFault) -> None:
        self.results = results

    def run(self, program: Program) -> ExecResult:
        raise AssertionError("the scorer uses the batch form")

    def map(self, programs: Iterable[Program]) -> Iterator[ExecResult | SandboxFault]:
        assert all(program.tests is None for program in list(programs))
        yield from self.results


def test_results_keep_the_order_of_the_answers_and_a_fault_is_no_score() -> None:
    results = (ExecResult(status="passed"), ExecResult(status="passed"), SandboxFault("it broke"))
    verdicts = list(valid_rate.score([(PROBLEM, answer) for answer in ("x", "", "y")], Recorded(*results)))
    assert [(v.status, v.score, v.error) for v in verdicts] == [
        ("passed", Score(value=1.0), ""),
        ("failed", Score(value=0.0), "the answer is blank"),
        ("fault", None, "it broke"),
    ]


def test_it_needs_a_sandbox() -> None:
    assert valid_rate.executes
    assert list(scorers.valid_rate.metrics([1])) == ["valid_rate"]
    with pytest.raises(UserError, match="valid_rate runs code and needs a sandbox"):
        list(valid_rate.score([(PROBLEM, "x")], None))
