"""Right functions, said by a chat server in every way that models say them, pass through `harness run` as well."""

import json
from pathlib import Path
from typing import Any

import pytest

from harness.schema import Problem
from harness.tasks.loading import data_files, registry
from tests.support.command import harness, rows
from tests.support.faulty_server import World, asked, serving
from tests.support.wrappings import UNFINISHED, WRAPPINGS, Wrap

# The commonest; tests/text/test_chat_answers.py has all of them.
COMMON = (
    "plain",
    "py",
    "no language",
    "tildes",
    "windows lines",
    "unclosed",
    "body only",
    "shell first",
    "usage after",
    "list item",
    "stub first",
    "helper, then main",
    "prose",
    "behind [/INST]",
    "channels",
    "draft in <think>",
    "lone </think>",
    "empty pair",
)


def judged(folder: Path, data: str, wraps: list[Wrap], limit: int) -> list[dict[str, Any]]:
    """The judgements of a run against a server that says sample i of each problem in the way of wraps[i]."""
    problems = data_files.load(registry.task("humaneval"), "test", data_files.open_source(data))

    def answer(body: dict[str, Any], index: int) -> str:
        found = max((p for p in problems if p.question.strip() in asked(body)), key=lambda p: len(p.question))
        assert isinstance(found, Problem)
        return wraps[index](found)

    settings = {
        "sampling.samples": len(wraps),
        "sampling.temperature": 1.0,
        "sampling.max_reasoning_tokens": 64,
    }
    sets = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    with serving(World()) as world:
        world.answer = answer
        server = ("--server", world.url, "--model", "m", "--set", "backend.server.api=chat")
        common = ("--task", "humaneval", "--data", data, "--limit", limit, "--out", folder, "--no-cache")
        ended = harness("run", *common, *server, *sets)
    assert ended.code == 0, ended.err
    return rows(folder / "judgements.jsonl")


def failing(found: list[dict[str, Any]], names: list[str]) -> list[tuple[str, str]]:
    return [(names[row["index"]], row["problem_id"]) for row in found if row["status"] != "passed"]


def test_mini_problems_pass_in_every_common_wrapping(tmp_path: Path) -> None:
    found = judged(tmp_path / "run", "mini", [WRAPPINGS[name] for name in COMMON], limit=8)
    assert len(found) == 8 * len(COMMON)
    assert failing(found, list(COMMON)) == []


def test_the_164_problems_pass_and_unfinished_thoughts_do_not(tmp_path: Path, real_data: Path) -> None:
    found = judged(tmp_path / "run", str(real_data), [WRAPPINGS[name] for name in COMMON], limit=164)
    assert len(found) == 164 * len(COMMON)
    assert failing(found, list(COMMON)) == []


@pytest.mark.parametrize("name", UNFINISHED)
def test_an_unfinished_thought_passes_nowhere(name: str, tmp_path: Path) -> None:
    found = judged(tmp_path / "run", "mini", [UNFINISHED[name]] * 2, limit=8)
    assert "passed" not in {row["status"] for row in found}
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["completions"]["cut_off"] == 16
