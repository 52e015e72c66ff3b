"""ClassEval: each class of tests a verdict of its own, methods in their reference class."""

import ast
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from harness import sandbox
from harness.errors import ConfigError
from harness.schema import Completion, Problem, Verdict
from harness.tasks.loading import data_files, registry
from tests.support.parts.task_rows import load


@pytest.fixture(scope="module")
def box() -> Iterator[sandbox.Pool]:
    with sandbox.start() as pool:
        yield pool


def verdicts(ask: str, given: list[tuple[Problem, str]], box: sandbox.Pool) -> list[Verdict]:
    task = registry.task("classeval", {"ask": ask})
    answers = [(each, task.extract(each, Completion(text=text))) for each, text in given]
    return list(task.scorers[0].score(iter(answers), box))


# Tally: tests of vote, of leader, of the two together.
WHOLE = """Here it is:
```python
class Tally:
    def __init__(self):
        self.votes = Counter()
    def vote(self, name):
        self.votes[name] += 1
        return self.votes[name]
    def leader(self):
        BODY
```
"""
CLASSES = [
    ("return min(self.votes, key=lambda n: (-self.votes[n], n), default=None)", "passed", (1.0, 1.0, 1.0)),
    ("return max(self.votes, key=self.votes.get, default=None)", "failed", (1.0, 0.0, 1.0)),
    ("return None", "failed", (1.0, 0.0, 0.0)),
    ("while True: pass", "timeout", (1.0, 0.0, 0.0)),
    ("return +", "compile_error", (0.0, 0.0, 0.0)),
]


def test_each_class_of_tests_is_judged_by_itself(box: sandbox.Pool) -> None:
    one = load("classeval", {}, "test")[0]
    given = [(one, WHOLE.replace("BODY", body)) for body, _, _ in CLASSES]
    found = verdicts("class", given, box)
    assert [(was.status, was.score and was.score.stats) for was in found] == [
        (status, stats) for _, status, stats in CLASSES
    ]


def test_a_program_that_knows_what_the_tests_expect_passes_none(box: sandbox.Pool) -> None:
    one = load("classeval", {}, "test")[0]
    forged = "import unittest\nunittest.TestCase.run = lambda self, result=None: result\nclass Tally: pass\n"
    (found,) = verdicts("class", [(one, forged)], box)
    assert found.score is not None
    assert found.score.stats == (0.0, 0.0, 0.0)


def test_function_success_counts_classes_of_tests_and_class_success_whole_classes() -> None:
    (scorer,) = registry.task("classeval").scorers
    metrics = scorer.metrics([1])
    two = np.array([[0.0, 1.0, 0.0, 1.0]]), np.array([[1.0, 1.0, 1.0]])
    sums = sum(metrics["fun_success@1"].per_problem(each) for each in two)
    reduce = metrics["fun_success@1"].of_sum
    assert reduce is not None
    assert reduce(np.asarray(sums)) == pytest.approx(4 / 5)
    assert [metrics["class_success@1"].per_problem(each)[0] for each in two] == [0.0, 1.0]


KIND = "return 'task' if line[:2] == '- ' else 'note'"
METHODS = [
    ("ClassEval_2/kind", f"@staticmethod\ndef kind(line):\n    {KIND}\n", "passed"),
    (
        "ClassEval_2/kind",
        f"```python\nclass Notes:\n    @staticmethod\n    def kind(line):\n        {KIND}\n```",
        "passed",
    ),
    (
        "ClassEval_2/kind",
        f"```python\n    def kind(line):\n        {KIND}\n```",
        "passed",
    ),  # called as Notes.kind(...)
    ("ClassEval_2/kind", "```python\n@staticmethod\ndef kind(line):\n    return 'task'\n```", "failed"),
    ("ClassEval_2/kind", "", "error"),
    ("ClassEval_1/largest", "def largest(self):\n    return max(self.entries, key=abs, default=0)", "passed"),
    ("ClassEval_1/largest", "def largest(self):\n    return max(self.entries, default=0)", "failed"),
]


def test_a_method_is_judged_in_the_reference_class(box: sandbox.Pool) -> None:
    by_id = {each.id: each for each in load("classeval", {"ask": "method"}, "test")}
    found = verdicts("method", [(by_id[name], text) for name, text, _ in METHODS], box)
    assert [was.status for was in found] == [status for *_, status in METHODS]


def test_a_wrong_option_says_what_would_be_right() -> None:
    with pytest.raises(ConfigError, match="task 'classeval': no ask 'klass'"):
        registry.task("classeval", {"ask": "klass"})


# ---------------------------------------------------------------- the benchmark's own files


def test_the_rows_are_there(real_data: Path) -> None:
    sizes = {}
    for ask in ("class", "method"):
        task = registry.task("classeval", {"ask": ask})
        sizes[ask] = len(data_files.load(task, "test", data_files.open_source(str(real_data))))
    assert sizes == {"class": 100, "method": 410}


def test_a_reference_method_in_its_class_makes_the_reference_class_and_none_leaves_it_out(
    real_data: Path,
) -> None:
    task = registry.task("classeval", {"ask": "method"})
    wrong = []
    for one in data_files.load(task, "test", data_files.open_source(str(real_data))):
        whole = ast.parse(f"{one.parts['imports']}\n{one.parts['class']}")
        made, without = (
            ast.parse(task.extract(one, Completion(text=text, form="continuation")))
            for text in (one.solution, "")
        )
        last = made.body[-1]
        assert isinstance(last, ast.ClassDef)
        last.body.pop()  # `pass`
        if ast.dump(made) != ast.dump(whole) or one.parts["method_name"] in methods(without):
            wrong.append(one.id)
    assert wrong == []


def methods(tree: ast.Module) -> set[str]:
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
