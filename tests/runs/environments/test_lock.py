"""A benchmark's environment and its lock: what fails there is left out, the same for everybody, and said."""

import json
import stat
import sys
from pathlib import Path

import pytest

from harness.config.load import parse
from harness.errors import ConfigError
from harness.runs.environments import build, lock, requirements
from harness.runs.plan import EXCLUDED, make_plan
from tests.support.command import harness, write_rows

TESTS = """\
import unittest
class TestCases(unittest.TestCase):
    def test_value(self):
        self.assertEqual(task_func(), 1)
"""


def row(number: int, body: str) -> dict[str, str]:
    return {
        "task_id": f"BigCodeBench/{number}",
        "complete_prompt": "def task_func():\n",
        "instruct_prompt": "One.",
        "code_prompt": "def task_func():\n",
        "canonical_solution": body,
        "test": TESTS,
        "entry_point": "task_func",
    }


@pytest.fixture
def data(tmp_path: Path) -> str:
    (tmp_path / "data" / "bigcodebench").mkdir(parents=True)
    rows = [
        row(1, "    return 1\n"),
        row(2, "    import subprocess\n    return subprocess.call(['true']) + 1\n"),
    ]
    write_rows(tmp_path / "data" / "bigcodebench" / "BigCodeBench.jsonl", rows)
    return str(tmp_path / "data")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment that is this one, so that nothing is installed."""
    python = tmp_path / "env" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(python.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(build, "install", lambda python, pins, progress: {})
    return tmp_path / "env"


def test_what_fails_in_an_environment_is_locked_and_no_run_there_has_it(data: str, folder: Path) -> None:
    built = build.build("bigcodebench", folder, data, None, 2, lambda *step: None)
    assert built.lock.excluded == {
        "BigCodeBench/2": "not run: its own reference does not pass here"
        " (error: PermissionError: [Errno 1] Operation not permitted)"
    }
    python = str(folder / "bin" / "python")
    config = {"task": "bigcodebench", "data": data, "judge": {"python": python}}
    plan = make_plan(parse(config))
    assert plan.names == ["BigCodeBench/1"]
    assert plan.skipped == {"BigCodeBench/2": EXCLUDED}

    answers = folder / "answers.jsonl"
    write_rows(
        answers,
        [{"task_id": f"BigCodeBench/{n}", "solution": "def task_func():\n    return 1\n"} for n in (1, 2)],
    )
    ended = harness(
        "score", "bigcodebench", "--completions", str(answers), "--data", data, "--set", f"judge.python={python}",
        "--out", str(folder / "run"),
    )  # fmt: skip
    assert ended.code == 0
    summary = json.loads((folder / "run" / "summary.json").read_text())
    assert f"lock {built.lock.digest[:8]} |" in summary["signature"]
    assert summary["metrics"]["pass@1"]["value"] == 1.0
    assert any(
        note.startswith("1 problems skipped: excluded by the environment's lock") for note in summary["notes"]
    )

    there = built.lock.model_copy(update={"packages": {**built.lock.packages, "numpy": "1.0"}})
    with pytest.raises(
        ConfigError, match=r"is not what its lock says: numpy is .*, not 1\.0; run harness env"
    ):
        lock.check(there, built.lock.packages, built.lock.python)


def test_somebodys_lock_is_kept_and_what_differs_here_is_named(data: str, folder: Path) -> None:
    own = build.build("bigcodebench", folder, data, None, 1, lambda *step: None).lock
    theirs = own.model_copy(update={"excluded": {"BigCodeBench/1": "no network"}})
    built = build.build("bigcodebench", folder, data, theirs, 1, lambda *step: None)
    assert list(built.differing) == ["BigCodeBench/2"]
    assert lock.load(built.path) == theirs


def test_a_lock_says_nothing_of_other_rows(data: str, folder: Path) -> None:
    build.build("bigcodebench", folder, data, None, 1, lambda *step: None)
    python = str(folder / "bin" / "python")
    assert (
        make_plan(parse({"task": "bigcodebench", "data": "mini", "judge": {"python": python}})).lock is None
    )


def test_a_cause_says_when_it_is_not_always_there() -> None:
    assert build._cause(["failed: 1 != 2\nmore", "failed: 1 != 3"], 2) == "failed: 1 != 2"
    assert build._cause(["failed: 1 != 2"], 3) == "unreliable, fails 1 of 3 times: failed: 1 != 2"


def test_requirements_are_pins_and_a_task_without_them_says_who_has_some() -> None:
    for name in requirements.names():
        assert all(pin.count("==") == 1 for pin in requirements.find(name).pins)
        assert requirements.find(name).python == "3.11"
    with pytest.raises(
        ConfigError, match=r"no environment 'conala'\. Known: bigcodebench, classeval, ds1000"
    ):
        requirements.find("conala")


def test_what_cannot_be_installed_is_told_and_the_rest_is(tmp_path: Path) -> None:
    pip = tmp_path / "python"
    pip.write_text('#!/bin/sh\ncase "$*" in *bad==1*) echo "ERROR: no bad here" >&2; exit 1;; esac\n')
    pip.chmod(0o755)
    assert build.install(pip, ["good==1", "bad==1"], lambda *step: None) == {"bad==1": "ERROR: no bad here"}
