"""The page about leaderboards: its folder of submissions, its command, and what that prints."""

import re
import shlex
from pathlib import Path

import pytest

from harness.tasks.loading import data_files, registry
from tests.support.command import harness, write_rows
from tests.support.paths import ROOT

PAGE = (ROOT / "docs" / "leaderboard.md").read_text(encoding="utf-8")


def test_the_command_prints_what_the_page_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("coder-1.5b", "coder-1.5b-lora"):
        assert f"  {name}/\n    model.toml\n" in PAGE
        (tmp_path / "submissions" / name).mkdir(parents=True)
        (tmp_path / "submissions" / name / "model.toml").write_text("")
    for task in ("humaneval", "mbpp_plus"):
        problems = data_files.load(registry.task(task), "test", data_files.open_source("mini"))
        said = [{"task_id": each.id, "completion": each.solution} for each in problems]
        write_rows(tmp_path / "submissions" / "coder-1.5b" / f"{task}.jsonl", said)
        if task == "humaneval":
            file = write_rows(
                tmp_path / "said.jsonl", [said[0], *({**row, "completion": ""} for row in said[1:])]
            )
            run = tmp_path / "submissions" / "coder-1.5b-lora" / "runs" / task
            assert harness("score", task, "--completions", file, "--data", "mini", "--out", run).code == 0
    ((line, printed),) = re.findall(r"^```console\n\$ (.*)\n((?:.*\n)*?)```$", PAGE, re.MULTILINE)
    arguments = ["mini" if word == "DATA" else word for word in shlex.split(line)[1:]]
    ended = harness(*arguments)
    assert ended.code == 0, ended.err
    assert ended.out == printed
