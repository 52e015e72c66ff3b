"""The page on rows of one's own: its files, and every command of it, in an empty folder; and what slips are told."""

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

import harness as api
from tests.support.command import harness, rows
from tests.support.paths import ROOT
from tests.support.tiny_models import build

PAGE = (ROOT / "docs" / "own-rows.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"`([\w./-]+)`[:.]\n\n```\w+\n(.*?)```", re.DOTALL)
COMMANDS = re.findall(r"^\$ (harness .*)$", PAGE, re.MULTILINE)
TASKS = ("squares", "one-liners", "shop", "sums", "pool")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in BLOCK.findall(PAGE):
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HARNESS_DATA", raising=False)
    return tmp_path


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_works_as_shown(command: str, folder: Path) -> None:
    arguments = shlex.split(command)[1:]
    if "MODEL" in arguments:
        build("llama", folder / "model")
        arguments[arguments.index("MODEL")] = "model"
        arguments += ["--max-tokens", "8"]
    ended = harness(*arguments)
    assert ended.code == 0, ended
    if arguments[0] == "doctor":
        assert re.match(r"\d problems?: 0 unreliable checks\n", ended.out), ended.out


@pytest.mark.parametrize("task", TASKS)
def test_right_answers_pass_and_others_do_not(task: str, folder: Path) -> None:
    answers = {
        "squares": ["    return x * x\n", "    return x\n"],
        "one-liners": ["x.sort(reverse=True)", "a"],
        "shop": ["SELECT count(name) FROM item", "SELECT 1"],
        "sums": ["a, b = input().split()\nprint(int(a) + int(b))"],
        "pool": ["min(x)"],
    }[task]
    ids = ["s/2", "s/3"] if task == "squares" else [f"{task}/test/{i}" for i in range(len(answers))]
    if task == "pool":
        ids = ["pool/test/2"]
    given = [{"task_id": name, "completion": text} for name, text in zip(ids, answers, strict=True)]
    run = api.score(f"{task}.toml", given, out=folder / "run", progress=False)
    metric = {"squares": "pass@1", "shop": "execution_accuracy", "sums": "pass@1"}.get(task, "em@1")
    assert run.metrics.loc[metric, "value"] == 1 / len(answers)
    assert run.errors == 0


def test_the_digest_of_the_text_is_in_the_signature_and_the_place_is_not(folder: Path) -> None:
    answers = rows(folder / "squares-answers.jsonl")
    first = api.score("squares.toml", answers, out=folder / "a", progress=False)
    assert re.match(r"squares v1 squares\.toml [0-9a-f]{8} \| test 2x1 ", first.signature)
    (folder / "moved").mkdir()
    for name in ("squares.toml", "squares.jsonl"):
        (folder / name).rename(folder / "moved" / name)
    second = api.score("moved/squares.toml", answers, out=folder / "b", progress=False)
    assert (second.id, second.signature) == (first.id, first.signature)
    change(folder / "moved" / "squares.toml", "Complete this", "Finish this")
    assert (
        api.score("moved/squares.toml", answers, out=folder / "c", progress=False).signature
        != first.signature
    )


def test_rows_in_the_data_folder_come_before_those_beside_the_file(folder: Path) -> None:
    (folder / "mine" / "sums").mkdir(parents=True)
    row = json.loads((folder / "sums.jsonl").read_text(encoding="utf-8"))
    text = json.dumps({**row, "solution": "print(1)"})
    (folder / "mine" / "sums" / "sums.jsonl").write_text(text, encoding="utf-8")
    assert harness("doctor", "--task", "sums.toml", "--data", "mine").code == 2


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('check = "unit_tests"', 'check = "unit_test"', "squares.toml: check = 'unit_test': input should be"),
        ("[fields]", "[felds]", "squares.toml: no key 'felds'. Did you mean 'fields'?"),
        ("question = \"prompt\"", "question = \"promt\"", "squares.jsonl:1: fields.question: no field 'promt'."),
        ("{test}", "{tests}", "squares.jsonl:1: fields.tests: no field 'tests'. Did you mean 'test'?"),
        ("function:\\n{question}", "function:\\n{promt}", "squares.toml: prompts: chat: no field 'promt'."),
        ("[rows]", 'scorers = ["unit_test"]\n[rows]', "scorers: no scorer 'unit_test'. Did you mean"),
        ("[rows]", 'scorers = ["io_cases"]\n[rows]', "scorers: 'io_cases' judges check = 'io_cases', and here"),
        ("[rows]", 'scorers = ["exact"]\n[rows]', "problem s/2 has no reference text"),
        ("[rows]", 'extract = "whole"\n[rows]', "squares.toml: extract: no extractor 'whole'. Did you"),
        ("squares.jsonl", "square.jsonl", "no file 'square.jsonl' of 'squares': looked for"),
        ("[rows]", "[rows", "squares.toml: not valid TOML: "),
    ],
)  # fmt: skip
def test_a_slip_is_one_line_that_says_where_and_what_would_be_right(
    old: str, new: str, said: str, folder: Path
) -> None:
    change(folder / "squares.toml", old, new)
    ended = harness("score", "squares.toml", "--completions", "squares-answers.jsonl")
    assert said in ended.complaint


def without(name: str) -> Callable[[str], str]:
    def taken(text: str) -> str:
        row = json.loads(text.splitlines()[0])
        return json.dumps({key: value for key, value in row.items() if key != name})

    return taken


@pytest.mark.parametrize(
    ("task", "file", "edit", "said"),
    [
        ("squares", "squares.jsonl", without("entry_point"), "squares.jsonl:1: fields.tests: no field 'entry_point'"),
        ("squares", "squares.jsonl", lambda t: t.replace('"solve"', '"not one"'), ":1: entry_point: 'not one'"),
        ("sums", "sums.jsonl", without("inputs"), "sums.jsonl:1: inputs: no field 'inputs'. "),
        ("sums", "sums.jsonl", lambda t: t.replace(', "0\\n"', ""), "sums.jsonl:1: 2 inputs and 1 outputs"),
        ("sums", "sums.jsonl", lambda t: t.replace('["3\\n", "0\\n"]', '"3"'), ":1: outputs: expected a list of texts"),
        ("shop", "shop.jsonl", lambda t: t.replace('"shop"', '"../shop"'), ":1: database: '../shop.sql' leads out of"),
        ("shop", "shop.jsonl", lambda t: t.replace('"shop"', '"shed"'), "no file 'shed.sql' of 'shop': looked for"),
        ("one-liners", "one-liners.csv", lambda t: t + "a,b,c\n", "one-liners.csv:4: more cells than the first line"),
        ("one-liners", "one-liners.csv", lambda t: t + "a\n", "one-liners.csv:4: fewer cells than the first line"),
        ("one-liners", "one-liners.csv", lambda t: t + 'a,"b\n', "malformed CSV: unexpected end of data"),
    ],
)  # fmt: skip
def test_a_row_that_does_not_fit_is_told_with_file_and_line(
    task: str, file: str, edit: Callable[[str], str], said: str, folder: Path
) -> None:
    path = folder / file
    path.write_text(edit(path.read_text(encoding="utf-8")), encoding="utf-8")
    assert said in harness("doctor", "--task", f"{task}.toml").complaint


def test_a_task_given_as_a_config_is_told(folder: Path) -> None:
    assert (
        "squares.toml is a task and no config: give it with --task"
        in harness("run", "squares.toml").complaint
    )
