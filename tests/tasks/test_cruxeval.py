"""CRUXEval: the official conditions on answers, on literals and on recorded generations with their verdicts."""

import gzip
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness import sandbox
from harness.errors import ConfigError
from harness.parity.sets import SETS
from harness.prompts import templates
from harness.runs import judge
from harness.schema import Completion, Form, Problem
from harness.tasks import cruxeval
from harness.tasks.loading import data_files, registry
from harness.text.completion_parts import separate
from tests.support.command import write_rows

ROW = {
    "id": "sample_0",
    "code": "def f(xs):\n    while not xs:\n        pass\n    return sorted(xs)",
    "input": "[3, 1]",
    "output": "[1, 3]",
}


@pytest.fixture(scope="module")
def box() -> Iterator[sandbox.Pool]:
    with sandbox.start() as pool:
        yield pool


def problems(predict: str, data: Path | str) -> list[Problem]:
    return data_files.load(
        registry.task("cruxeval", {"predict": predict}), "test", data_files.open_source(str(data))
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "cruxeval").mkdir()
    write_rows(tmp_path / "cruxeval" / "cruxeval.jsonl", [ROW])
    return tmp_path


def passed(
    predict: str, given: list[tuple[Problem, str]], box: sandbox.Pool, form: Form = "output"
) -> list[bool]:
    task = registry.task("cruxeval", {"predict": predict})
    answers = [(each, task.extract(each, separate(Completion(text=text, form=form)))) for each, text in given]
    return [verdict.status == "passed" for verdict in task.scorers[0].score(answers, box)]


# ---------------------------------------------------------------- one answer

ANSWERS = [
    ("output", "assert f([3, 1]) == [1, 3]", True),
    ("output", "[1, 3]", True),
    ("output", "[\n    1,\n    3,\n]", True),
    ("output", "assert f([3, 1]) == [3, 1]", False),
    ("output", "assert f([3, 1]) == [1, 3], 'sorted'", True),
    ("output", "[ANSWER]\nassert f([3, 1]) == [1, 3]\n[/ANSWER]\nIt sorts.", True),
    ("output", "```python\nassert f([3, 1]) == [1, 3]\n```\nRun:\n```bash\npython f.py\n```\n", True),
    ("output", "It sorts.\n[/THOUGHT]\n[ANSWER]\nassert f([3, 1]) == [1, 3]\n", True),
    ("output", "f([3, 1])", False),
    ("output", "f( [3, 1] )", False),
    ("output", "(lambda g: g([3, 1]))(f)", False),
    ("output", "[0] or True", False),
    ("input", "assert f([1, 3]) == [1, 3]", True),
    ("input", "f((3, 1))", True),
    ("input", "f([2, 1])", False),
    ("input", "[1, 3]", False),
    ("input", "f([1]) and [1, 3]", False),
    ("input", "f([1]) or True", False),
    ("input", "f([])", False),  # never ends: 3 s
]


@pytest.mark.parametrize("predict", ["output", "input"])
def test_an_answer_is_worth_what_it_completes(predict: str, folder: Path, box: sandbox.Pool) -> None:
    (problem,) = problems(predict, folder)
    given = [(text, right) for which, text, right in ANSWERS if which == predict]
    found = passed(predict, [(problem, text) for text, _ in given], box)
    assert [text for (text, right), was in zip(given, found, strict=True) if was != right] == []


def test_a_recorded_program_is_the_expression_to_the_letter(folder: Path, box: sandbox.Pool) -> None:
    (problem,) = problems("output", folder)
    given = [(problem, "[1, 3]"), (problem, "assert f([3, 1]) == [1, 3]")]
    assert passed("output", given, box, "program") == [True, False]


def test_an_answer_that_does_not_count_says_why(folder: Path, box: sandbox.Pool) -> None:
    (problem,) = problems("input", folder)
    task = registry.task("cruxeval", {"predict": "input"})
    answers = [(problem, task.extract(problem, Completion(text=text))) for text in ("[1, 3]", "no idea")]
    assert [verdict.error for verdict in task.scorers[0].score(answers, box)] == [
        "ValueError: the answer has to be a call of f",
        "ValueError: the answer completes no assertion",
    ]


def test_an_answer_has_3_seconds() -> None:
    assert cruxeval.LIMITS.cpu_s == 3.0


def test_a_wrong_option_says_what_would_be_right() -> None:
    with pytest.raises(ConfigError) as caught:
        registry.task("cruxeval", {"predict": "both"})
    assert str(caught.value) == "task 'cruxeval': predict 'both': expected 'output' or 'input'"


def test_input_prediction_hides_the_input(folder: Path) -> None:
    (problem,) = problems("input", folder)
    for template in registry.task("cruxeval", {"predict": "input"}).templates:
        shown = templates.render(template, problem)
        text = shown.text or shown.messages[-1].content
        assert "    return sorted(xs)\nassert f(??) == [1, 3]\n[/PYTHON]\n" in text
        assert text.startswith("You will be given a function f and an output")
        assert "[3, 1]" not in text


# ---------------------------------------------------------------- the benchmark's own files


def read(path: Path) -> Any:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return json.load(file)


def test_the_800_rows_are_there(real_data: Path) -> None:
    found = problems("output", real_data)
    assert [problem.id for problem in found] == [f"sample_{i}" for i in range(800)]


@pytest.mark.parametrize("predict", ["output", "input"])
def test_references_pass_and_empty_answers_fail(predict: str, real_data: Path, box: sandbox.Pool) -> None:
    task = registry.task("cruxeval", {"predict": predict})
    assert judge.prove(task, problems(predict, real_data)[::10], box) == []


@pytest.mark.parametrize("predict", ["output", "input"])
def test_chain_of_thought_prompts_are_the_recorded_ones(predict: str, real_data: Path) -> None:
    raw = read(real_data / "cruxeval" / "outputs" / "1.5b-base" / f"{predict}-cot" / "completion_raw.json.gz")
    (template,) = (
        t for t in registry.task("cruxeval", {"predict": predict}).templates if t.name == "plain_cot"
    )
    given = problems(predict, real_data)
    assert [p.id for p in given if not raw[p.id][0].startswith(templates.render(template, p).text)] == []


def test_the_rows_whose_verdict_differs_need_a_python_with_removeprefix(real_data: Path) -> None:
    (recorded,) = (each for each in SETS if each.name == "cruxeval/input-cot")
    by_id = {problem.id: problem.question for problem in problems("input", real_data)}
    assert [name for name in recorded.causes if not re.search(r"\.remove(pre|suf)fix\(", by_id[name])] == []
