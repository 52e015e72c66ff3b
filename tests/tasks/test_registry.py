"""Finding a task and its options: by name, by the path of a file, by an entry point; one line for what is not there."""

import re
from pathlib import Path

import pytest

from harness.config import plugins
from harness.errors import ConfigError
from harness.tasks import humaneval
from harness.tasks.loading import registry
from tests.support.command import harness, metrics, write_rows


@pytest.mark.parametrize(
    ("sets", "complaint"),
    [
        (
            "options.corpus=docpromting",
            "task 'conala': corpus 'docpromting': expected 'original' or 'docprompting'",
        ),
        ("options.corpus=3", "task 'conala': corpus 3: expected 'original' or 'docprompting'"),
        ("options.corpsu=x", "task 'conala': no option 'corpsu'. Did you mean 'corpus'? Known: corpus."),
    ],
)
def test_a_wrong_option_is_one_line_with_what_would_be_right(sets: str, complaint: str) -> None:
    assert harness("tasks", "conala", "--set", sets).complaint == complaint


def test_a_task_without_options_says_so() -> None:
    with pytest.raises(ConfigError) as caught:
        registry.task("humaneval", {"corpus": "x"})
    assert str(caught.value) == "task 'humaneval': no option 'corpus'. Known: none."


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("conla", "no task 'conla'. Did you mean 'conala'? Known: apps, "),
        ("HumanEval", "no task 'HumanEval'. Did you mean 'humaneval'? Known: apps, "),
        ("zzz", "no task 'zzz'. Known: apps, "),
        ("demo", "no task 'demo'. Did you mean 'odex'? Known: apps, "),
        ("missing.py", "no task file 'missing.py'"),
    ],
)
def test_a_task_that_is_not_there_is_one_line_with_the_nearest_name(name: str, complaint: str) -> None:
    assert harness("tasks", name).complaint.startswith(complaint)


THIRD_PARTY = '''
"""Somebody's own task."""
from __future__ import annotations

from dataclasses import dataclass

from harness import scorers
from harness.text import extract
from harness.schema import Card, DataFile, Problem, Reference, Sampling, Task, Template

FILE = DataFile("mine", "rows.jsonl")


@dataclass
class Row:
    q: str
    a: str


def load(split, source):
    for i, row in enumerate(source.rows(FILE, ("q", "a"))):
        row = Row(row["q"], row["a"])
        yield Problem(id=f"mine/{i}", question=row.q, solution=row.a, check=Reference(texts=(row.a,)))


def task(shout: bool = False) -> Task:
    return Task(
        name="mine", version=1, load=load, templates=(Template(name="plain", style="plain"),),
        extract=extract.first_code_block, scorers=(scorers.exact,), sampling=Sampling(max_tokens=8),
        card=Card("Mine!" if shout else "Mine", "none", "none", "none", {"test": 2}, "none", (FILE,)),
    )
'''


@pytest.fixture
def third_party(tmp_path: Path) -> Path:
    (tmp_path / "mine").mkdir()
    write_rows(tmp_path / "mine" / "rows.jsonl", [{"q": "one", "a": "1"}, {"q": "two", "a": "2"}])
    write_rows(
        tmp_path / "said.jsonl", [{"task_id": "mine/0", "text": "1"}, {"task_id": "mine/1", "text": "3"}]
    )
    (tmp_path / "mytask.py").write_text(THIRD_PARTY, encoding="utf-8")
    return tmp_path


def test_a_third_partys_task_file_is_used_by_its_path(third_party: Path) -> None:
    path = third_party / "mytask.py"
    assert registry.task(str(path), {"shout": True}).card.title == "Mine!"
    shown = harness("tasks", path)
    assert (shown.code, shown.out.splitlines()[0]) == (0, "mine, version 1")
    scored = harness(
        "score",
        path,
        "--completions",
        third_party / "said.jsonl",
        "--data",
        third_party,
        "--out",
        third_party / "run",
    )
    assert scored.code == 0, scored
    assert metrics(third_party / "run")["em@1"]["value"] == 0.5


@pytest.mark.parametrize(
    ("code", "complaint"),
    [
        ("x = 1", r"task '.*mytask.py': expected a function task\(\) -> Task in its file"),
        (
            "def task():\n    return 1",
            r"task '.*mytask.py': task\(\) returned int, expected harness.schema.Task",
        ),
        ("import no_such_module", r".*mytask.py:1: ModuleNotFoundError: No module named 'no_such_module'"),
        ("def task(:", r".*mytask.py: SyntaxError: invalid syntax.*"),
    ],
)
def test_a_file_that_is_no_task_is_one_line(tmp_path: Path, code: str, complaint: str) -> None:
    path = tmp_path / "mytask.py"
    path.write_text(code, encoding="utf-8")
    assert re.fullmatch(complaint, harness("tasks", path).complaint)


class Entry:
    """What importlib.metadata gives for an installed task."""

    def __init__(self, name: str, found: object) -> None:
        self.name = name
        self.found = found

    def load(self) -> object:
        return self.found


@pytest.mark.parametrize("whole_module", [True, False])
def test_an_installed_task_is_found_by_its_entry_point(
    whole_module: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: object = humaneval if whole_module else humaneval.task
    monkeypatch.setattr(plugins, "entry_points", lambda group: [Entry("theirs", found)])
    assert "theirs" in registry.names()
    assert registry.task("theirs").name == "humaneval"
