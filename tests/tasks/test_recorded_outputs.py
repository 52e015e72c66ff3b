"""Reading held against what was recorded: official extractions, outputs of models that only go on, and the cases.

The cases lie beside the benchmark files, in a folder `cases`, each with the verdict that a careful judge gives.
"""

import gzip
import json
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness import sandbox
from harness.runs.judge import answer_of
from harness.schema import Completion, Form, Problem, UnitTests
from harness.tasks.loading import data_files, registry
from harness.text import extract, reasoning
from harness.text.completion_parts import separate
from harness.text.extract import python_code

FORMS: dict[str, Form] = {"text": "output", "completion": "continuation", "solution": "program"}
# Judged as the benchmark's own scorer does: docs/decisions.md.
ELSEWHERE = {"s36", "s37"}


def lines(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".gz":
        with gzip.open(path, "rt", encoding="utf-8") as file:
            return [json.loads(line) for line in file]
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


# ---------------------------------------------------------------- official extractions


@pytest.mark.parametrize("language", ["cpp", "java", "js", "sh"])
def test_the_chat_outputs_of_multipl_e_are_their_one_block(language: str, real_data: Path) -> None:
    words = {"js": "javascript", "sh": "shell"}
    wanted = extract.Wanted(words.get(language, language))
    folder = real_data / "multipl_e" / "outputs_chat" / "llama3-8b"
    for row in lines(folder / f"generations_{language}.jsonl.gz"):
        text = row["generation"]
        code = re.search(r"```\w*\n(.*?)(?:```|\Z)", text, re.DOTALL)
        assert code
        assert extract.by_entry_point(reasoning.split(text).answer, wanted) == code[1]


# ---------------------------------------------------------------- models that only go on


def test_nothing_is_changed_in_what_goes_on_from_the_prompt(real_data: Path) -> None:
    task = registry.task("humaneval")
    problems = {
        each.id: each for each in data_files.load(task, "test", data_files.open_source(str(real_data)))
    }
    folder = real_data / "humaneval" / "outputs"
    seen = 0
    for path in (folder / "CodeFuse-13B.jsonl", *folder.glob("reflexion*.jsonl")):
        for row in lines(path):
            problem = problems[row["task_id"]]
            assert isinstance(problem.check, UnitTests)
            for share in (4, 3, 1):  # also where the model was cut off
                text = row["completion"][: len(row["completion"]) * share // 4]
                found = answer_of(task, task.scorers[0], problem, separate(Completion(text=text)))
                name = problem.check.entry_point
                whole = python_code.defines(text, name)
                assert (
                    found
                    == (python_code.preamble(problem.question, name) if whole else problem.question) + text
                )
                seen += 1
    assert seen == 984


def test_recorded_queries_are_read_to_the_letter(real_data: Path) -> None:
    task = registry.task("spider")
    problem = Problem(id="q", question="", solution="", check=UnitTests(code="", entry_point=""))
    rows = lines(real_data / "spider" / "outputs" / "dail_gpt4.verdicts.jsonl")
    assert len(rows) == 507
    for row in rows:
        for query in (row["pred"], row["gold"]):
            found = answer_of(task, task.scorers[0], problem, separate(Completion(text=query)))
            assert found == query.strip().removesuffix(";").rstrip()


# ---------------------------------------------------------------- the cases


@pytest.fixture(scope="module")
def cases(real_data: Path) -> dict[tuple[str, str, str], list[dict[str, Any]]]:
    """The cases by task, language and folder of rows."""
    folder = real_data.parent / "cases"
    if not folder.is_dir():
        pytest.skip(f"no cases beside the benchmark files: {folder}")
    found = defaultdict(list)
    for name in ("extract", "future", "more", "js", "cpp", "sql", "stdin"):
        for row in lines(folder / f"{name}.jsonl"):
            of_x = row["task"] == "humaneval_x"
            language = row["task_id"].partition("/")[0].lower() if of_x else ""
            found[row["task"], language, str(real_data if of_x else folder / "data")].append(row)
    return found


@pytest.fixture(scope="module")
def box() -> Iterator[sandbox.Pool]:
    with sandbox.start(sandbox.Settings(packages=("numpy",))) as pool:
        yield pool


def test_every_case_has_the_verdict_that_a_careful_judge_gives(
    cases: dict[tuple[str, str, str], list[dict[str, Any]]], box: sandbox.Pool
) -> None:
    wrong = []
    for (name, language, data), rows in cases.items():
        task = registry.task(name, {"language": language} if language else {})
        problems = {each.id: each for each in data_files.load(task, "test", data_files.open_source(data))}
        scorer = task.scorers[0]
        asked = [row for row in rows if row["name"] not in ELSEWHERE]
        answers = [
            (
                problems[row["task_id"]],
                answer_of(
                    task,
                    scorer,
                    problems[row["task_id"]],
                    separate(Completion(text=row["text"], form=FORMS[row["form"]])),
                ),
            )
            for row in asked
        ]
        for row, verdict in zip(asked, scorer.score(iter(answers), box), strict=True):
            if (verdict.status == "passed") != (row["expected"] == "passed"):
                wrong.append((row["name"], verdict.status, verdict.error))
    assert wrong == []
