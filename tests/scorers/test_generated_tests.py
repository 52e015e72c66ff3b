"""Test suites that a model wrote: good ones count, and none of the ways to look good without testing does."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from harness import sandbox
from harness.errors import UserError
from harness.prompts.templates import render
from harness.runs import judge
from harness.schema import Limits, Problem, Reference, UnderTest, UnitTests, Verdict
from harness.scorers import generated_tests
from harness.scorers.execution.generated_tests import build_suite
from harness.stats import estimates
from harness.tasks.loading import data_files, registry
from tests.support.command import harness

CODE = """\
def grade(points):
    if points < 0:
        raise ValueError('negative')
    if points >= 50:
        return 'pass'
    return 'fail'
"""
OWN = """\
assert grade(50) == 'pass'
assert grade(49) == 'fail'
assert grade(0) == 'fail'
try:
    grade(-1)
except ValueError:
    pass
else:
    raise AssertionError
"""
CHECK = UnderTest(
    code=CODE,
    tests=UnitTests(code=OWN, entry_point="grade", limits=Limits(cpu_s=0.5)),
    entry_point="grade",
    mutants=20,
)
GRADE = Problem(id="mbpp/11", question=CODE, solution=OWN, check=CHECK)


@pytest.fixture(scope="module")
def box() -> Iterator[sandbox.Pool]:
    with sandbox.start() as pool:
        yield pool


@pytest.fixture(scope="module")
def verdicts(box: sandbox.Pool) -> dict[str, Verdict]:
    """All suites of this file, judged in one go."""
    suites = {**HONEST, **WORTHLESS}
    found = generated_tests.score([(GRADE, text) for text in suites.values()], box)
    return dict(zip(suites, found, strict=True))


HONEST = {
    "the row's own tests": OWN,
    "one assertion": "assert grade(60) == 'pass'",
    "functions that nobody calls": "def test_pass():\n    assert grade(60) == 'pass'\n",
    "a class": "class TestGrade:\n    def test_pass(self):\n        assert grade(60) == 'pass'\n",
    "unittest": "import unittest\n\nclass Grades(unittest.TestCase):\n    def test_pass(self):\n"
    "        self.assertEqual(grade(60), 'pass')\n",
    "unittest, run by itself": "import unittest\n\nclass Grades(unittest.TestCase):\n    def test_pass(self):\n"
    "        self.assertEqual(grade(60), 'pass')\n\nif __name__ == '__main__':\n    unittest.main()\n",
    "repeats the function": CODE + "assert grade(60) == 'pass'",
    "imports the function": "from solution import grade\nassert grade(60) == 'pass'",
    "only looks for an exception": "try:\n    grade(-1)\nexcept ValueError:\n    pass\nelse:\n    assert False\n",
}

# name -> (suite, status, words of the reason)
REASONS = {
    "blank": ("", "failed", "the answer is blank"),
    "prose": ("Here are some tests.", "compile_error", "Python cannot read the tests"),
    "asserts nothing": ("grade(60)\ngrade(10)", "failed", "pass whatever the function returns"),
    "asserts nothing about it": ("grade(60)\nassert True", "failed", "pass whatever"),
    "always fails": ("assert False", "error", "on the function itself: AssertionError"),
    "a wrong expectation": ("assert grade(60) == 'fail'", "error", "on the function itself: AssertionError"),
    "leaves first": ("import sys\nsys.exit(0)\nassert grade(60) == 'pass'", "failed", "pass whatever"),
    "leaves at once": ("import os\nos._exit(0)\nassert grade(60) == 'pass'", "failed", "pass whatever"),
    "leaves when an assertion fails": (
        "try:\n    assert grade(60) == 'pass'\nexcept AssertionError:\n    import os\n    os._exit(0)",
        "failed",
        "pass whatever",
    ),
    "catches its assertions": (
        "try:\n    assert grade(60) == 'pass'\nexcept BaseException:\n    pass",
        "failed",
        "pass whatever",
    ),
    "hides its exit status": (
        "import atexit, os\natexit.register(os._exit, 0)\nassert grade(60) == 'pass'",
        "failed",
        "pass whatever",
    ),
    "redefines the function": (
        "globals()['grade'] = lambda points: 'pass'\nassert grade(60) == 'pass'",
        "failed",
        "pass whatever",
    ),
    "replaces the function's code": (
        "grade.__code__ = (lambda points: 'pass').__code__\nassert grade(60) == 'pass'",
        "failed",
        "pass whatever",
    ),
    "compares the function's code": (
        f"import types\ncode = compile({CODE!r}, '', 'exec').co_consts[0]\nassert isinstance(code, types.CodeType)\n"
        "assert grade.__code__.co_code == code.co_code",
        "failed",
        "on the same function written otherwise",
    ),
    "test functions with parameters": ("def test(x):\n    assert grade(x) == 'pass'", "error", "TypeError"),
    "an endless loop": ("while True: pass", "timeout", "on the function itself"),
}
WORTHLESS = {name: text for name, (text, _, _) in REASONS.items()}


@pytest.mark.parametrize("name", HONEST)
def test_a_suite_counts_in_every_form(name: str, verdicts: dict[str, Verdict]) -> None:
    verdict = verdicts[name]
    assert (verdict.status, verdict.error) == ("passed", "")
    assert verdict.score is not None
    assert verdict.score.value == 1.0


@pytest.mark.parametrize("name", WORTHLESS)
def test_a_suite_that_tests_nothing_is_worth_nothing(name: str, verdicts: dict[str, Verdict]) -> None:
    verdict = verdicts[name]
    _, status, reason = REASONS[name]
    assert verdict.status == status
    assert reason in verdict.error
    assert verdict.score is not None
    assert verdict.score.value == 0.0
    hit, killed = verdict.score.stats[0::2][:2], verdict.score.stats[4]
    assert (*hit, killed) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("name", "lines", "arms", "killed"),
    [
        # Five lines, four arms, 13 mutants: < to <= and >=, 0 to 1 and -1, >= to > and <, 50 to 51 and 49, two
        # results emptied, two turned to None, and the text of the exception, which its own tests do not look at.
        ("the row's own tests", 5, 4, 12),
        ("one assertion", 3, 2, 4),  # < to >=, >= to <, 'pass' emptied or None
        ("only looks for an exception", 2, 1, 2),  # < to >=, 0 to -1
    ],
)
def test_what_is_reached_and_noticed_is_counted(
    name: str, lines: int, arms: int, killed: int, verdicts: dict[str, Verdict]
) -> None:
    score = verdicts[name].score
    assert score is not None
    assert score.stats == (lines, 5, arms, 4, killed, 12, 13)


def test_metrics_are_means_over_the_problems_that_have_such_points() -> None:
    # value, lines, of, arms, of, killed, of, made
    full = np.array([[1.0, 4, 4, 1, 2, 3, 4, 5], [0.0, 0, 4, 0, 2, 0, 4, 5]])
    plain = np.array([[1.0, 1, 1, 0, 0, 0, 0, 0]])
    found = {
        name: estimates.estimate(reduce, [full, plain]).value
        for name, reduce in generated_tests.metrics([1]).items()
    }
    assert found == {
        "pass@1": 0.75,
        "line_coverage": 0.75,
        "branch_coverage": 0.25,
        "mutation_score": 0.375,
        "mutants_dropped": pytest.approx(0.2),
    }


def test_a_row_whose_own_tests_fail_on_its_code_is_a_fault_and_no_zero(box: sandbox.Pool) -> None:
    broken = CHECK.model_copy(update={"tests": UnitTests(code="assert grade(1) == 2", entry_point="grade")})
    unreadable = CHECK.model_copy(update={"tests": UnitTests(code="assert (", entry_point="grade")})
    problems = [
        GRADE.model_copy(update={"id": name, "check": check})
        for name, check in (("broken", broken), ("unreadable", unreadable))
    ]
    first, second = generated_tests.score([(problem, OWN) for problem in problems], box)
    assert (first.status, first.score) == (second.status, second.score) == ("fault", None)
    assert first.error.startswith("the row's own tests do not pass on its code (failed: AssertionError")
    assert "the task's tests do not compile" in second.error


def test_another_kind_of_problem_is_a_mistake() -> None:
    problem = GRADE.model_copy(update={"check": Reference(texts=("x",))})
    with sandbox.start() as box, pytest.raises(UserError, match="generated_tests cannot judge mbpp/11"):
        list(generated_tests.score([(problem, OWN)], box))
    with pytest.raises(UserError, match="needs a sandbox"):
        list(generated_tests.score([(GRADE, OWN)], None))


def test_a_suite_is_put_together_without_what_it_may_not_bring() -> None:
    assert (
        build_suite("from __future__ import annotations\nfrom m import f, g\nf(1)", "f")
        == "from m import g\nf(1)\n"
    )
    assert build_suite("def f():\n    return 1\ndef test_a():\n    assert f()", "f") == (
        "def test_a():\n    assert f()\ntest_a()\n"
    )
    assert build_suite("def g(:", "f") is None


# ---------------------------------------------------------------- the task


def test_the_task_turns_rows_of_either_benchmark_round(box: sandbox.Pool) -> None:
    for corpus in ("mbpp", "humaneval"):
        made = registry.task("unit_test_gen", {"corpus": corpus, "mutants": 3})
        problems = data_files.load(made, "test", data_files.open_source("mini"))[:4]
        assert judge.prove(made, problems, box) == []
        assert "mutants:3" in made.scorers[0].signature(problems)  # type: ignore[misc]
    assert problems[0].question.startswith("def total_of_evens(numbers: list[int]) -> int:\n")
    assert problems[0].question.endswith("return sum(x for x in numbers if x % 2 == 0)")
    assert problems[0].solution.endswith("check(total_of_evens)")


@pytest.mark.parametrize(
    ("sets", "complaint"),
    [
        ("options.corpus=apps", "task 'unit_test_gen': corpus 'apps': expected 'mbpp' or 'humaneval'"),
        ("options.mutants=-1", "task 'unit_test_gen': mutants -1: expected a number, 0 or more"),
        ("options.mutants=true", "task 'unit_test_gen': mutants True: expected a number, 0 or more"),
    ],
)
def test_a_wrong_option_is_one_line(sets: str, complaint: str) -> None:
    assert harness("tasks", "unit_test_gen", "--set", sets).complaint == complaint


def test_prompts_to_the_letter() -> None:
    templates = {template.name: template for template in registry.task("unit_test_gen").templates}
    asked = {name: render(template, GRADE, [GRADE]) for name, template in templates.items()}
    assert asked["plain"].text == (
        f"{CODE}\n\n# Tests of the function above.\n{OWN}\n\n{CODE}\n\n# Tests of the function above.\n"
    )
    assert asked["instruction"].text.endswith(
        "### Instruction:\nWrite tests for this Python function, as assert statements. It is already defined: do not "
        f"repeat or import it.\n```python\n{CODE}\n```\n### Response:\n```python\n"
    )
    assert [message.role for message in asked["chat"].messages] == ["user", "assistant", "user"]
    assert asked["chat"].messages[1].content == f"```python\n{OWN}\n```"


def test_real_rows_of_both_benchmarks_pass_and_notice_their_mutants(
    real_data: Path, box: sandbox.Pool
) -> None:
    for corpus in ("mbpp", "humaneval"):
        made = registry.task("unit_test_gen", {"corpus": corpus, "mutants": 2})
        problems = data_files.load(made, "test", data_files.open_source(str(real_data)), limit=30)
        verdicts = list(generated_tests.score([(problem, problem.solution) for problem in problems], box))
        assert {verdict.status for verdict in verdicts} == {"passed"}
        assert all(verdict.score and verdict.score.stats[4] == verdict.score.stats[5] for verdict in verdicts)
