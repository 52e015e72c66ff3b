"""APPS: rows of both forms, the study's split, prompts to the letter, programs from completions, a run."""

import json
from pathlib import Path
from typing import Any

import pytest

from harness import sandbox
from harness.config.run import RunConfig
from harness.errors import ConfigError, DataError
from harness.files import packaged
from harness.prompts import templates
from harness.runs import judge
from harness.runs.plan import make_plan
from harness.schema import Completion, Form, IOCase, IOCases, Message, Problem, Prompt, Split
from harness.tasks.apps import TEMPLATES, apps_program
from harness.tasks.loading import data_files, registry
from tests.support.command import harness, rows, write_rows

MINI = packaged("tasks/mini/apps")


def load(split: Split, data: object = "mini", **options: object) -> list[Problem]:
    return data_files.load(registry.task("apps", options), split, data_files.open_source(str(data)))


def row(number: int, level: str = "introductory", **changed: object) -> dict[str, Any]:
    tests = {"inputs": ["1\n"], "outputs": ["1\n"]}
    return {
        "id": number,
        "question": f"Q{number}",
        "solutions": json.dumps(["print(input())"]),
        "input_output": json.dumps(tests),
        "difficulty": level,
        "starter_code": "",
    } | changed


def hub(folder: Path, split: str, given: list[dict[str, Any]]) -> Path:
    (folder / "apps").mkdir(exist_ok=True)
    write_rows(folder / "apps" / f"{split}.jsonl", given)
    return folder


def original(folder: Path, split: str, given: list[dict[str, Any]]) -> Path:
    """The rows as the benchmark's own archive has them: a folder each, no file for what a row has not."""
    for one in given:
        place = folder / "apps" / "APPS" / split / f"{one['id']:04}"
        place.mkdir(parents=True)
        (place / "metadata.json").write_text(json.dumps({"difficulty": one["difficulty"], "url": ""}))
        for field, name in (
            ("question", "question.txt"),
            ("solutions", "solutions.json"),
            ("input_output", "input_output.json"),
            ("starter_code", "starter_code.py"),
        ):
            if one[field]:
                (place / name).write_text(one[field], encoding="utf-8")
    return folder


@pytest.mark.parametrize("split", ["train", "test"])
def test_both_forms_give_the_same_problems(split: Split, tmp_path: Path) -> None:
    given = rows(MINI / f"{split}.jsonl")
    folder = original(tmp_path, split, given)
    assert load(split, folder, setting="full") == load(split, setting="full")
    source = data_files.open_source(str(folder))
    data_files.load(registry.task("apps"), split, source)
    assert list(source.digests) == [f"apps/APPS/{split}"]
    (folder / "apps" / "APPS" / split / "0000" / "question.txt").write_text("another")
    again = data_files.open_source(str(folder))
    data_files.load(registry.task("apps"), split, again)
    assert again.digests != source.digests


def test_a_bad_file_in_a_folder_of_rows_is_named(tmp_path: Path) -> None:
    folder = original(tmp_path, "test", [row(7)])
    place = folder / "apps" / "APPS" / "test" / "0007"
    (place / "question.txt").write_bytes(b"\xff")
    with pytest.raises(DataError, match=r"0007/question.txt:1: not UTF-8"):
        load("test", folder)
    (place / "question.txt").unlink()
    with pytest.raises(DataError, match=r"test/0007: field 'question' is missing; the row has folder, input"):
        load("test", folder)


def test_ids_groups_and_kinds_of_the_mini_rows() -> None:
    problems = load("test")
    assert [(p.id, p.group) for p in problems] == [
        *((f"apps/test/{i}", "introductory") for i in (4000, 4001, 4002, 4003)),
        *((f"apps/test/{i}", "interview") for i in (0, 1, 2)),
        *((f"apps/test/{i}", "competition") for i in (3000, 3001, 3002)),
    ]
    checks = [p.check for p in problems if isinstance(p.check, IOCases)]
    assert [check.fn_name for check in checks] == ["even_squares", "shared", "power_of_three", *[""] * 7]
    assert checks[2].cases[2] == IOCase(given=[9500], expected=[3**9500])
    assert [p.id for p in load("test", setting="full")] == [
        f"apps/test/{i}" for i in (0, 1, 2, 3000, 3001, 3002, 4000, 4001, 4002, 4003)
    ]


@pytest.mark.parametrize("tests", ["", " ", "{}", '{"inputs": [], "outputs": []}'])
def test_rows_without_tests_are_left_out_and_the_others_keep_their_numbers(
    tests: str, tmp_path: Path
) -> None:
    folder = hub(tmp_path, "test", [row(0), row(1, input_output=tests), row(2, solutions="")])
    problems = load("test", folder)
    assert [(p.id, p.solution) for p in problems] == [
        ("apps/test/0", "print(input())"),
        ("apps/test/2", ""),
    ]


def test_a_row_without_tests_is_counted_in_the_plan(tmp_path: Path) -> None:
    hub(tmp_path, "test", [row(0), row(1, input_output="")])
    plan = make_plan(RunConfig(task="apps", data=str(tmp_path)))
    assert plan.skipped == {"apps/test/1": "no tests"}


def test_standard_input_as_a_list_of_lines_is_joined(tmp_path: Path) -> None:
    tests = json.dumps({"inputs": [["1", "2"]], "outputs": [["3", "4"]]})
    (problem,) = load("test", hub(tmp_path, "test", [row(0, input_output=tests)]))
    assert problem.check == IOCases(cases=(IOCase(given="1\n2", expected="3\n4"),))


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"input_output": "{"}, r"apps/test/0: input_output: malformed JSON"),
        ({"input_output": "[1]"}, r"apps/test/0: input_output: expected an object, got list"),
        ({"input_output": '{"inputs": ["1"], "outputs": []}'}, r"input_output: 1 inputs and 0 outputs"),
        ({"input_output": '{"inputs": [1], "outputs": ["1"]}'}, r"input_output: case 0: expected text"),
        (
            {"input_output": '{"fn_name": "f", "inputs": ["1"], "outputs": [1]}'},
            r"input_output: case 0: expected arguments",
        ),
        ({"solutions": "[1"}, r"apps/test/0: solutions: malformed JSON"),
        (
            {"difficulty": "easy"},
            r"apps/test/0: difficulty 'easy': expected introductory or interview or compet",
        ),
        ({"id": None}, r"apps/test: problem_id or id: expected a number, got None"),
        ({"solutions": '{"a": 1}'}, r"apps/test/0: solutions: expected a list, got dict"),
        ({"question": 3}, r"apps/test/0: question: expected text, got 3"),
    ],
)
def test_a_row_that_is_not_as_published_is_one_line(
    changed: dict[str, Any], complaint: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=complaint):
        load("test", hub(tmp_path, "test", [row(0, **changed)]), setting="full")


@pytest.mark.parametrize("option", ["setting", "guide", "compare", "stop_early"])
def test_a_wrong_option_names_what_there_is(option: str) -> None:
    with pytest.raises(ConfigError, match=f"task 'apps': {option} 'x': expected .+ or .+"):
        registry.task("apps", {option: "x"})


def test_the_study_takes_250_test_rows_of_each_level_in_the_order_of_the_file(tmp_path: Path) -> None:
    levels = ["interview"] * 260 + ["competition"] * 255 + ["introductory"] * 252
    folder = hub(tmp_path, "test", [row(i, level) for i, level in enumerate(levels)])
    assert [p.id for p in load("test", folder)] == [
        f"apps/test/{i}" for i in (*range(515, 765), *range(250), *range(260, 510))
    ]


def test_the_study_cuts_train_after_the_shuffle_of_datasets_with_seed_42(tmp_path: Path) -> None:
    folder = hub(tmp_path, "train", [row(i) for i in range(5000)])
    train, validation = ([p.id for p in load(split, folder)] for split in ("train", "validation"))
    assert (len(train), len(validation)) == (4500, 500)
    # datasets 5.2.0: Dataset.from_dict({"i": list(range(5000))}).shuffle(seed=42)["i"], [:4] and [500:504]
    assert validation[:4] == [f"apps/train/{i}" for i in (1535, 1183, 3378, 3825)]
    assert train[:4] == [f"apps/train/{i}" for i in (3430, 656, 1305, 4976)]
    assert sorted([*train, *validation]) == sorted(f"apps/train/{i}" for i in range(5000))


ADD = row(
    4000,
    question="Add two numbers.",
    starter_code="\ndef add(a, b):\n\t",
    input_output=json.dumps({"fn_name": "add", "inputs": [[1, 2]], "outputs": [[3]]}),
    solutions=json.dumps(["def add(a, b):\n\treturn a + b"]),
)
ECHO = row(4001, question="Print the line.\n\n-----Input-----\nA line.\n")


def asked(folder: Path, **options: object) -> tuple[Problem, Problem]:
    call, stdin = load("test", hub(folder, "test", [ADD, ECHO]), **options)
    return call, stdin


CALL_QUESTION = "Add two numbers.\n\ndef add(a, b):\n\t\nUse Call-Based format"
ECHO_QUESTION = "Print the line.\n\n-----Input-----\nA line.\n\nUse Standard Input format"
STUDY = """\
[INST] Write a python code to solve the following coding problem that obeys the constraints and passes the \
example test cases. The output code needs to {}:
{}
[/INST]
```python
"""
STUDY_CALL = STUDY.format("use the provided function signature", "Add two numbers.")
STUDY_ECHO = STUDY.format(
    "read from and write to standard IO", "Print the line.\n\n-----Input-----\nA line.\n"
)
CHAT = """\
Provide a self-contained Python script that solves the following problem in a markdown code block. \
Make sure the solution obeys the constraints and passes the example test cases.
"""


def test_prompts_name_the_right_format_for_calls_and_for_standard_input(tmp_path: Path) -> None:
    call, stdin = asked(tmp_path)
    study, apps, chat = TEMPLATES
    assert (call.question, stdin.question) == (
        "Add two numbers.",
        "Print the line.\n\n-----Input-----\nA line.\n",
    )
    assert templates.render(study, call) == Prompt(text=STUDY_CALL + "\ndef add(a, b):\n\t")
    assert templates.render(study, stdin) == Prompt(text=STUDY_ECHO)
    assert templates.render(apps, call).text == f"\nQUESTION:\n{CALL_QUESTION}\nANSWER:\n"
    assert templates.render(apps, stdin).text == f"\nQUESTION:\n{ECHO_QUESTION}\nANSWER:\n"
    assert templates.render(chat, call).messages == (Message(role="user", content=CHAT + CALL_QUESTION),)
    assert [t.stop for t in TEMPLATES] == [("```",), (), ()]


def test_shots_are_shown_with_their_solution_and_no_starter_code_before_it(tmp_path: Path) -> None:
    _, stdin = asked(tmp_path)
    (call,) = load("train", hub(tmp_path, "train", [ADD]), setting="full")
    study, apps, chat = TEMPLATES
    assert templates.render(study, stdin, [call]).text == (
        STUDY_CALL + "def add(a, b):\n\treturn a + b\n```\n\n" + STUDY_ECHO
    )
    assert templates.render(apps, stdin, [call]).text == (
        f"\nQUESTION:\n{CALL_QUESTION}\nANSWER:\ndef add(a, b):\n\treturn a + b\n\n\n"
        f"\nQUESTION:\n{ECHO_QUESTION}\nANSWER:\n"
    )
    turns = templates.render(chat, stdin, [call]).messages
    assert [turn.role for turn in turns] == ["user", "assistant", "user"]
    assert turns[1].content == "```python\ndef add(a, b):\n\treturn a + b\n```"


def test_the_swapped_guide_is_there_for_comparisons_with_those_who_have_it(tmp_path: Path) -> None:
    call, stdin = asked(tmp_path, guide="swapped")
    study, apps, _ = TEMPLATES
    assert CALL_QUESTION.replace("Call-Based", "Standard Input") in templates.render(apps, call).text
    assert ECHO_QUESTION.replace("Standard Input", "Call-Based") in templates.render(apps, stdin).text
    assert "standard IO" in templates.render(study, call).text
    assert "function signature" in templates.render(study, stdin).text
    assert registry.task("apps", {"guide": "swapped"}).templates == TEMPLATES


WHOLE = "def add(a, b):\n    return a + b"


@pytest.mark.parametrize(
    ("form", "text", "answer"),
    [
        ("output", WHOLE, WHOLE),
        ("output", f"Here:\n```python\n{WHOLE}\n```\nDone.", f"{WHOLE}\n"),
        (
            "output",
            "class Solution:\n    def add(self, a, b): ...",
            "class Solution:\n    def add(self, a, b): ...",
        ),
        ("output", "import operator\nadd = operator.add", "import operator\nadd = operator.add"),
        ("output", "    return a + b", "\ndef add(a, b):\n    return a + b"),
        ("output", "\treturn a + b", "\ndef add(a, b):\n\treturn a + b"),
        ("output", "return a + b\n", "\ndef add(a, b):\n\treturn a + b\n"),
        ("continuation", "return a + b\n", "\ndef add(a, b):\n\treturn a + b\n"),
        ("output", "def add(a, b):\n    return (", "def add(a, b):\n    return ("),
        ("program", "return a + b\n", "return a + b\n"),
        ("output", "", "\ndef add(a, b):\n\t"),
    ],
)
def test_starter_code_goes_before_a_completion_that_lacks_it(
    form: Form, text: str, answer: str, tmp_path: Path
) -> None:
    call, _ = asked(tmp_path)
    assert apps_program(call, Completion(text=text, form=form)) == answer


def test_programs_for_standard_input_are_taken_as_they_are(tmp_path: Path) -> None:
    _, stdin = asked(tmp_path)
    for form in ("output", "continuation", "program"):
        assert apps_program(stdin, Completion(text="print(input())", form=form)) == "print(input())"


def test_a_run_reports_the_average_and_each_level(tmp_path: Path) -> None:
    said = [{"task_id": p.id, "solution": p.solution} for p in load("test")]
    said[0]["solution"] = "def even_squares(numbers):\n    return 0"  # right for two of its four cases
    said[4]["solution"] = "print(3)"  # right for one of four
    file = write_rows(tmp_path / "said.jsonl", said)
    ended = harness("score", "apps", "--completions", file, "--data", "mini", "--out", tmp_path / "run")
    assert ended.code == 0, ended
    summary = json.loads((tmp_path / "run" / "summary.json").read_text(encoding="utf-8"))
    values = {name: round(metric["value"], 6) for name, metric in summary["metrics"].items()}
    assert values == {
        "pass@1": 0.8,
        "avg_tests_passed": 0.875,
        "pass@1[competition]": 1.0,
        "avg_tests_passed[competition]": 1.0,
        "pass@1[interview]": 0.666667,
        "avg_tests_passed[interview]": 0.75,
        "pass@1[introductory]": 0.75,
        "avg_tests_passed[introductory]": 0.875,
    }
    assert "io_cases apps" in summary["signature"]


def test_all_75_real_rows_load_and_their_first_references_pass_but_one(real_data: Path) -> None:
    problems = load("train", real_data, setting="full")
    assert len(problems) == 75
    assert sum(isinstance(p.check, IOCases) and bool(p.check.fn_name) for p in problems) == 6
    with sandbox.start(sandbox.Settings(packages=("numpy",))) as box:
        wrong = judge.prove(registry.task("apps"), problems, box)
    # Written to stand in a function, where the published scorer puts it: a program has no `nonlocal`.
    assert [line.split(" (line")[0] for line in wrong] == [
        "apps/train/2046: io_cases: its reference fails (compile_error: case 1 of 16: SyntaxError: "
        "no binding for nonlocal 't' found"
    ]


def test_the_19_real_folders_hold_what_the_hub_rows_hold(real_data: Path, tmp_path: Path) -> None:
    (tmp_path / "apps").mkdir()
    (tmp_path / "apps" / "APPS").symlink_to(real_data / "apps" / "APPS")
    found = load("train", tmp_path, setting="full")
    known = {p.id: p for p in load("train", real_data, setting="full")}
    assert len(found) == 19
    assert [p for p in found if p != known[p.id]] == []
