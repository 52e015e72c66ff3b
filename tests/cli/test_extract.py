"""`--extract`: which code of a completion is the answer, by name or by a function of one's own."""

import json
from pathlib import Path
from typing import Any

import pytest

import harness
from harness.config import plugins
from harness.errors import ConfigError
from harness.runs.store import reader
from harness.schema import Completion, Problem
from harness.tasks.loading import registry
from tests.config.test_plugins import Entry
from tests.support.command import harness as command
from tests.support.command import write_rows

BOXED = """
def boxed(problem, completion):
    return completion.text.partition("[[")[2].partition("]]")[0]

def counts(problem, completion):
    return len(completion.text)
"""


def said(path: Path, *texts: str) -> list[object]:
    """Arguments that score these texts as answers to conala's first questions: no sandbox."""
    rows = [{"task_id": f"conala/test/{i}", "text": text} for i, text in enumerate(texts)]
    file = write_rows(path, rows)
    return ["conala", "--data", "mini", "--set", f"limit={len(texts)}", "--completions", file]


def solutions(count: int) -> list[str]:
    from harness.tasks.loading import data_files

    source = data_files.open_source("mini")
    return [problem.solution for problem in data_files.load(registry.task("conala"), "test", source, count)]


def two_blocks(solution: str) -> str:
    return f"```python\n{solution}\n```\nor shorter\n```python\nx = 0\n```\n"


def record(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "run.json").read_text())
    return found


def test_several_extractors_over_one_recording_are_a_line_each(tmp_path: Path) -> None:
    arguments = said(tmp_path / "c.jsonl", *map(two_blocks, solutions(3)))
    ended = command(
        "score", *arguments, "--extract", "first_block", "--extract", "last_block", "--out", "runs"
    )
    assert (ended.code, ended.err) == (0, "")
    folders = sorted(path.parent for path in (tmp_path / "runs").glob("*/run.json"))
    assert [folder.name.rpartition("-")[0] for folder in folders] == [
        "conala-c-first_block",
        "conala-c-last_block",
    ]
    em = [line.split()[:3] for line in ended.out.splitlines() if " em@1 " in line]
    assert [(name[:20], value) for name, _, value in em] == [
        ("conala-c-first_block", "100.00"),
        ("conala-c-last_block-", "0.00"),
    ]
    assert "| extract first_code_block:first_block |" in ended.out
    assert "| extract first_code_block:last_block |" in ended.out


def test_runs_that_read_in_different_ways_are_not_compared(tmp_path: Path) -> None:
    arguments = said(tmp_path / "c.jsonl", *map(two_blocks, solutions(2)))
    assert command("score", *arguments, "--out", "own").code == 0
    assert command("score", *arguments, "--extract", "last_block", "--out", "last").code == 0
    ended = command("compare", "own", "last")
    assert ended.code == 4
    assert 'extract: "" and "first_code_block:last_block"' in ended.err
    text = command("score", *arguments, "--extract", "last_block", "--out", "own").complaint
    assert "config.extract: None there, 'last_block' now" in text


def test_an_extractor_of_a_file_is_used_and_named_with_its_version(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(BOXED)
    texts = [f"It is [[{solution}]], I think." for solution in solutions(2)]
    arguments = said(tmp_path / "c.jsonl", *texts)
    ended = command("score", *arguments, "--extract", f"{file}:boxed", "--out", "run")
    assert ended.code == 0
    assert reader.read(tmp_path / "run").summary.metrics["em@1"].value == 1.0
    assert record(tmp_path / "run")["run_id"].startswith("conala-c-mine-boxed-")
    assert f"| extract boxed mine.py {plugins.source('extractor', str(file))[-8:]} |" in ended.out
    file.write_text(BOXED + "\n# another version\n")
    assert (
        "extractor: 'boxed mine.py"
        in command("score", *arguments, "--extract", f"{file}:boxed", "--out", "run").complaint
    )


def test_the_run_goes_on_with_the_extractors_file_elsewhere(tmp_path: Path) -> None:
    arguments = said(tmp_path / "c.jsonl", "[[x]]")
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine.py").write_text(BOXED)
        assert command("score", *arguments, "--extract", f"{folder}/mine.py:boxed", "--out", "run").code == 0


def test_a_continuation_is_nothing_to_read_in(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(BOXED)
    task = registry.with_extractor(registry.task("conala"), f"{tmp_path}/mine.py:boxed")
    problem = Problem.model_construct(id="p")
    assert task.extract(problem, Completion(text="a [[b]]", form="continuation")) == "a [[b]]"
    assert task.extract(problem, Completion(text="a [[b]]")) == "b"


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("frist_block", "no extractor 'frist_block'. Did you mean 'first_block'? Known: "),
        ("mine.py:boxd", "mine.py: no extractor 'boxd'. Did you mean 'boxed'?"),
        (
            "mine.py:MARK",
            "extractor 'mine.py:MARK': expected a function (problem, completion) -> str, got str",
        ),
        ("mine.py:counts", "extractor 'mine.py:counts': conala/test/0: expected a text, got int"),
        ("nowhere.py", "no extractor file 'nowhere.py'"),
    ],
)
def test_an_extractor_that_is_none_is_one_line(tmp_path: Path, name: str, complaint: str) -> None:
    (tmp_path / "mine.py").write_text(BOXED + "MARK = '[['\n")
    arguments = said(tmp_path / "c.jsonl", "x")
    assert command("score", *arguments, "--extract", name).complaint.startswith(complaint)


def test_an_installed_extractor_is_found_by_its_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    def theirs(problem: Problem, completion: Completion) -> str:
        return f"{problem.id}: {completion.text}"

    there = [Entry("mine", theirs)]
    monkeypatch.setattr(plugins, "entry_points", lambda group: there if group == "harness.extractors" else [])
    monkeypatch.setattr(plugins, "source", lambda kind, name: "package 1.2")
    task = registry.with_extractor(registry.task("conala"), "mine")
    assert task.extract(Problem.model_construct(id="p"), Completion(text="t")) == "p: t"
    assert task.extract.__name__ == "theirs package 1.2"


def test_python_reads_by_name_too() -> None:
    rows = [{"task_id": "conala/test/0", "text": two_blocks(solutions(1)[0])}]
    values = [
        harness.score("conala", rows, data="mini", limit=1, extract=name, out=name).result.summary.metrics
        for name in ("first_block", "last_block")
    ]
    assert [each["em@1"].value for each in values] == [1.0, 0.0]
    with pytest.raises(ConfigError, match="no extractor 'x'"):
        harness.score("conala", rows, data="mini", limit=1, extract="x")
