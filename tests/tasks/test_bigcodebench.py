"""BigCodeBench: unittest cases in the answer's own module, rows that cannot be judged here, recorded answers."""

import ast
import gzip
import json
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness import sandbox
from harness.errors import ConfigError
from harness.prompts import templates
from harness.schema import Completion, Problem, UnitTests, Verdict
from harness.tasks.loading import data_files, registry
from tests.support.command import write_rows

ROW = {
    "task_id": "BigCodeBench/13",
    "complete_prompt": 'import math\n\ndef task_func(x):\n    """The root of x."""\n',
    "instruct_prompt": "The root of x.",
    "code_prompt": "import math\ndef task_func(x):\n",
    "canonical_solution": "    return math.sqrt(x)\n",
    "test": """\
import unittest
from unittest.mock import patch
LIMIT = 2
class TestCases(unittest.TestCase):
    def setUp(self):
        with open("given.txt", "w") as file:
            file.write("4")
    def test_value(self):
        with open("given.txt") as file:
            self.assertEqual(task_func(float(file.read())), 2.0)
    @patch("builtins.print")
    def test_zero(self, print):
        self.assertEqual(task_func(0), 0.0)
""",
    "entry_point": "task_func",
}


@pytest.fixture(scope="module")
def box() -> Iterator[sandbox.Pool]:
    with sandbox.start() as pool:
        yield pool


def problems(data: Path | str, **options: Any) -> list[Problem]:
    return data_files.load(registry.task("bigcodebench", options), "test", data_files.open_source(str(data)))


def problem(tmp_path: Path, **changed: str) -> Problem:
    (tmp_path / "bigcodebench").mkdir()
    write_rows(tmp_path / "bigcodebench" / "BigCodeBench.jsonl", [ROW | changed])
    (found,) = problems(tmp_path)
    return found


def verdicts(given: list[tuple[Problem, str]], box: sandbox.Pool, **options: Any) -> list[Verdict]:
    task = registry.task("bigcodebench", options)
    answers = [(each, task.extract(each, Completion(text=text, form="program"))) for each, text in given]
    return list(task.scorers[0].score(answers, box))


# ---------------------------------------------------------------- one answer

ANSWERS = [
    ("import math\ndef task_func(x):\n    return math.sqrt(x)\n", "passed", ""),
    # `sys` and `os` are there, what the prompt imports is put before, and the tests' own names are the program's too.
    ("def task_func(x):\n    os.getcwd(), sys.path\n    return math.sqrt(x)\n", "passed", ""),
    ("def task_func(x):\n    return x ** (1 / LIMIT)\n", "passed", ""),
    ("def task_func(x):\n    return x\n", "failed", "AssertionError: test_value: 4.0 != 2.0"),
    ("def task_func(x):\n    return [][0]\n", "error", "IndexError: list index out of range"),
    ("", "failed", "AssertionError: test_value: None != 2.0"),
    ("def task_func(x:\n", "compile_error", "SyntaxError: '(' was never closed (line 5)"),
    # One that ends unittest's work, one that has it count nothing, one that knows what the tests expect.
    ("import os\ndef task_func(x):\n    os._exit(0)\n", "error", "the program ended with exit status 0"),
    (
        "import unittest\nunittest.TestCase.run = lambda self, result=None: result\ndef task_func(x): pass\n",
        "failed",
        "the program passes even when an expectation is falsified",
    ),
    (
        "import unittest\nunittest.TestCase.assertEqual = lambda self, a, b: None\ndef task_func(x): pass\n",
        "failed",
        "the program passes even when an expectation is falsified",
    ),
]


def test_an_answer_is_one_module_with_its_tests(tmp_path: Path, box: sandbox.Pool) -> None:
    one = problem(tmp_path)
    found = verdicts([(one, text) for text, _, _ in ANSWERS], box)
    expected = [(status, error) for _, status, error in ANSWERS]
    assert [
        (was.status, was.error)
        for was, (status, error) in zip(found, expected, strict=True)
        if (was.status, was.error[: len(error)]) != (status, error)
    ] == []


def test_without_calibration_an_answer_needs_its_imports(tmp_path: Path, box: sandbox.Pool) -> None:
    one = problem(tmp_path)
    (verdict,) = verdicts([(one, "def task_func(x):\n    return math.sqrt(x)\n")], box, calibrated=False)
    assert (verdict.status, verdict.error) == ("error", "NameError: name 'math' is not defined")


def test_a_row_whose_library_is_not_here_has_no_score_and_says_what_helps(
    tmp_path: Path, box: sandbox.Pool
) -> None:
    one = problem(tmp_path, code_prompt="import no_such_library\ndef task_func(x):\n")
    (verdict,) = verdicts([(one, "def task_func(x):\n    return x ** 0.5\n")], box)
    assert (verdict.status, verdict.score) == ("fault", None)
    assert verdict.error == (
        "not run: no module 'no_such_library' here; harness env bigcodebench installs what is needed"
    )


def test_a_row_whose_reference_does_not_pass_here_is_not_held_against_the_answer(
    tmp_path: Path, box: sandbox.Pool
) -> None:
    one = problem(tmp_path, canonical_solution="    import socket\n    return socket.socket()\n")
    (verdict,) = verdicts([(one, "def task_func(x):\n    return x ** 0.5\n")], box)
    assert (verdict.status, verdict.score) == ("fault", None)
    assert verdict.error.startswith("not run: its own reference does not pass here (error: PermissionError")


def test_wrong_options_say_what_would_be_right() -> None:
    with pytest.raises(ConfigError, match="task 'bigcodebench': no subset 'easy'"):
        registry.task("bigcodebench", {"subset": "easy"})


# ---------------------------------------------------------------- the benchmark's own files


def recorded(data: Path, subset: str) -> tuple[dict[str, str], dict[str, bool]]:
    """Answers of the 1.5b base model, before calibration, and whether upstream's judge passed them."""
    folder = data / "bigcodebench" / "outputs" / "1.5b-base" / subset
    name = "completion-sanitized-calibrated"
    with gzip.open(folder / f"{name}.jsonl.gz", "rt", encoding="utf-8") as file:
        texts = {row["task_id"]: row["solution"] for row in map(json.loads, file)}
    results = next(folder.glob(f"{name}*_eval_results.json.gz"))
    with gzip.open(results, "rt", encoding="utf-8") as file:
        return texts, {key: one["status"] == "pass" for key, (one,) in json.load(file)["eval"].items()}


@pytest.mark.parametrize("ask", ["complete", "instruct"])
def test_the_rows_are_there(ask: str, real_data: Path) -> None:
    assert len(problems(real_data, ask=ask)) == 1140
    with gzip.open(real_data / "bigcodebench" / "bigcodebench_hard.json.gz", "rt", encoding="utf-8") as file:
        hard = json.load(file)
    assert [each.id for each in problems(real_data, ask=ask, subset="hard")] == list(hard)


def test_recorded_completions_go_on_from_the_prompt(real_data: Path) -> None:
    path = real_data / "bigcodebench" / "outputs" / "1.5b-base" / "full" / "completion.jsonl.gz"
    with gzip.open(path, "rt", encoding="utf-8") as file:
        texts = {row["task_id"]: row["solution"] for row in map(json.loads, file)}
    plain = registry.task("bigcodebench").templates[0]
    asked = {each.id: templates.render(plain, each).text for each in problems(real_data)}
    assert [name for name, text in asked.items() if not texts[name].startswith(text)] == []


def test_calibration_is_the_recorded_one(real_data: Path) -> None:
    folder = real_data / "bigcodebench" / "outputs" / "1.5b-base" / "full"
    with gzip.open(
        folder / "completion-sanitized-calibrated_eval_results.json.gz", "rt", encoding="utf-8"
    ) as file:
        judged = {key: one["solution"] for key, (one,) in json.load(file)["eval"].items()}
    texts, _ = recorded(real_data, "full")
    task = registry.task("bigcodebench")
    made = {
        each.id: task.extract(each, Completion(text=texts[each.id], form="program"))
        for each in problems(real_data)
    }
    assert [name for name, text in made.items() if judged[name] != text] == []


def standard(problem: Problem) -> bool:
    """Whether the row's program and tests import the standard library only."""
    assert isinstance(problem.check, UnitTests)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the benchmark's own escapes
        tree = ast.parse(f"{problem.parts['code_prompt']}    pass\n{problem.check.code}")
    names = [each.name for node in ast.walk(tree) if isinstance(node, ast.Import) for each in node.names]
    names += [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    return all(name.partition(".")[0] in sys.stdlib_module_names for name in names)


@pytest.mark.parametrize(
    ("subset", "rows", "judged", "passing"),
    [("full", slice(17, None, 20), 14, 5), ("hard", slice(2, None, 4), 7, 1)],
)
def test_recorded_answers_to_rows_of_the_standard_library_get_the_recorded_verdicts(
    subset: str, rows: slice, judged: int, passing: int, real_data: Path, box: sandbox.Pool
) -> None:
    texts, passed = recorded(real_data, subset)
    own = [each for each in problems(real_data, subset=subset) if standard(each)]
    assert len(own) == {"full": 300, "hard": 33}[subset]
    chosen = own[rows]
    found = verdicts([(each, texts[each.id]) for each in chosen], box)
    right = {each.id: was.status == "passed" for each, was in zip(chosen, found, strict=True) if was.score}
    assert (len(right), sum(right.values())) == (judged, passing)
    assert [name for name, was in right.items() if was != passed[name]] == []
