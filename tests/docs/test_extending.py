"""The page on tasks, scorers and prompts of one's own: its files and commands, in a folder with a tasks.py of somebody
else's."""

import json
import re
from pathlib import Path

import pytest

from tests.support.command import harness
from tests.support.paths import ROOT
from tests.support.tiny_models import build

PAGE = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"`([\w./]+)`[:.]\n\n```\w+\n(.*?)```", re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "tasks.py").write_text("raise RuntimeError('not mine')\n", encoding="utf-8")
    for name, text in BLOCK.findall(PAGE):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def values() -> dict[str, float]:
    (summary,) = Path("results/runs").glob("*/summary.json")
    return {name: found["value"] for name, found in json.loads(summary.read_text())["metrics"].items()}


def test_every_file_is_there_and_the_task_is_short(folder: Path) -> None:
    names = {"squares.py", "mydata/squares/squares.jsonl", "answers.jsonl", "mine.py", "own.toml"}
    assert {name for name, _ in BLOCK.findall(PAGE)} == names
    assert (folder / "squares.py").read_text().count("\n") <= 40


def test_the_references_pass(folder: Path) -> None:
    ended = harness("doctor", "--task", "squares.py", "--data", "mydata")
    assert ended.code == 0, ended
    assert ended.out.startswith("2 problems: 0 unreliable checks\n")


def test_recorded_completions_are_scored(folder: Path) -> None:
    ended = harness("score", "squares.py", "--data", "mydata", "--completions", "answers.jsonl")
    assert ended.code == 0, ended
    assert values() == {"pass@1": 0.5}


def test_a_model_is_run(folder: Path) -> None:
    build("llama", folder / "model")
    ended = harness("run", "--task", "squares.py", "--data", "mydata", "--model", "model", "--max-tokens", 8)
    assert ended.code == 0, ended
    assert "pass@1" in ended.out


def test_a_config_names_the_scorer_and_spells_the_prompt_out(folder: Path) -> None:
    ended = harness("run", "own.toml")
    assert ended.code == 0, ended
    assert values() == {"pass@1": 0.5, "lines": 3.0}
    (problems,) = Path("results/runs").glob("*/problems.jsonl")
    assert json.loads(problems.read_text().splitlines()[0])["prompt"]["text"].startswith(
        "# Complete:\ndef solve"
    )
