"""Third parties' prompts and tasks, by file and by entry point: what is found, and what is told of what is not."""

from pathlib import Path

import pytest

from harness.config import plugins
from harness.errors import ConfigError
from harness.prompts import templates
from harness.schema import Template
from harness.tasks.loading import registry
from tests.support.command import harness, write_rows

CONALA = registry.task("conala")


class Entry:
    """What importlib.metadata gives for an entry point."""

    def __init__(self, name: str, found: object, value: str = "theirs:it") -> None:
        self.name, self.found, self.value = name, found, value

    def load(self) -> object:
        if isinstance(self.found, Exception):
            raise self.found
        return self.found


def test_a_template_of_a_file_is_used_by_its_own_name_or_the_kinds(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "import harness\n"
        "template = harness.Template(name='first', question='A {question}')\n"
        "terse = harness.Template(name='terse', question='B {question}', stop=('\\n',))\n",
        encoding="utf-8",
    )
    assert templates.select_template(CONALA, str(file)).name == "first"
    assert templates.select_template(CONALA, f"{file}:terse").stop == ("\n",)
    with pytest.raises(ConfigError, match=r"no template 'ters'\. Did you mean 'terse'"):
        templates.select_template(CONALA, f"{file}:ters")


@pytest.mark.parametrize(
    ("code", "complaint"),
    [
        ("x = 1\n", "expected a Template called template in its file"),
        ("template = 3\n", "expected a harness.Template, got int"),
        ("import nowhere_to_be_found\n", "No module named 'nowhere_to_be_found'"),
        ("template = (\n", "mine.py"),
        ("template = undefined_name\n", "undefined_name"),
        ("x = 1\ntemplate = x / 0\n", "mine.py:2: ZeroDivisionError: division by zero"),
    ],
)
def test_a_file_without_a_template_is_one_line(tmp_path: Path, code: str, complaint: str) -> None:
    file = tmp_path / "mine.py"
    file.write_text(code, encoding="utf-8")
    with pytest.raises(ConfigError) as raised:
        templates.select_template(CONALA, str(file))
    assert complaint in str(raised.value)
    assert "\n" not in str(raised.value)


TASK = """import harness

def load(split, source):
    yield harness.Problem(id="a", question="", solution="", check=harness.Reference(texts=("x",)))

def extract(problem, completion):
    return completion.text

def judge(problem, answer):
    return harness.Score(value=1.0)

def task():
    return harness.Task(
        name="mine",
        version=1,
        load=load,
        templates=(harness.Template(name="plain"),),
        extract=extract,
        scorers=(harness.Scorer("s", harness.PerAnswer(judge), lambda ks: {"s": harness.mean_of()}),),
    )
"""


@pytest.mark.parametrize(
    ("right", "wrong", "complaint"),
    [
        ("    yield harness", "    1 / 0\n    yield harness", ":4: ZeroDivisionError: division by zero"),
        (
            "completion.text",
            "completion.txt",
            ":7: AttributeError: 'Completion' object has no attribute 'txt'",
        ),
        ("value=1.0", "value=answer.x", ":10: AttributeError: 'str' object has no attribute 'x'"),
        (
            "version=1,",
            "",
            ":13: TypeError: Task.__init__() missing 1 required positional argument: 'version'",
        ),
    ],
    ids=["load", "extract", "score", "task"],
)
def test_what_a_tasks_own_code_raises_is_one_line_with_its_place(
    tmp_path: Path, right: str, wrong: str, complaint: str
) -> None:
    file = tmp_path / "mine.py"
    file.write_text(TASK.replace(right, wrong), encoding="utf-8")
    rows = write_rows(tmp_path / "c.jsonl", [{"task_id": "a", "text": "x"}])
    ended = harness("score", file, "--completions", rows, "--out", tmp_path / "run")
    assert ended.complaint == f"{file}{complaint}"


def test_an_installed_template_is_found_by_its_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = Template(name="theirs")
    monkeypatch.setattr(
        plugins, "entry_points", lambda group: [Entry("x", theirs)] if group == "harness.templates" else []
    )
    assert templates.select_template(CONALA, "x") is theirs
    with pytest.raises(ConfigError, match=r"no prompt 'y'.*Known: .*instruction"):
        templates.select_template(CONALA, "y")


def test_an_entry_point_that_cannot_be_imported_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        plugins, "entry_points", lambda group: [Entry("x", ImportError("no module of that name"))]
    )
    with pytest.raises(ConfigError, match=r"template 'x' \(theirs:it\): no module of that name"):
        templates.select_template(CONALA, "x")


def test_a_prompt_spelled_out_in_a_config_is_what_the_model_is_shown(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text(
        'task = "conala"\ndata = "mini"\n[prompt]\nquestion = "Q: {question}\\nA:"\nstop = ["\\n"]\n',
        encoding="utf-8",
    )
    told = harness(
        "tasks", "conala", "--data", "mini", "--prompt", "--set", 'prompt={question="Q: {question}"}'
    )
    assert told.out.startswith("# conala/test/0, prompt 'config' (plain)")
    assert "\nQ: " in told.out
    assert harness("run", file, "--set", "prompt.qestion=x").complaint.startswith(
        f"{file}: no key 'prompt.qestion'. Did you mean 'prompt.question'?"
    )
