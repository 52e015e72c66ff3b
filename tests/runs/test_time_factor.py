"""Time limits that follow the references: `judge.time_factor`."""

import json
from pathlib import Path

import pytest

from tests.support.command import harness

TASK = '''"""Three problems whose references take about 0.4 s of CPU time, twice what the task gives."""

from harness import scorers
from harness.schema import Card, Limits, Problem, Sampling, Task, Template, UnitTests

SLOW = "import time\\nwhile time.process_time() < 0.4:\\n    pass\\n"
LIMITS = Limits(cpu_s=0.2, wall_s=1.0)


def load(split, source):
    for index in range(3):
        code = f"{SLOW}def f(x):\\n    return x + {index}\\n"
        check = UnitTests(code=f"assert f(1) == {index + 1}", entry_point="f", limits=LIMITS)
        yield Problem(id=f"slow/{index}", question="q", solution=code, check=check)


def whole(problem, completion):
    return completion.text


def task():
    return Task(
        name="slow",
        version=1,
        load=load,
        templates=(Template(name="plain", style="plain", question="{question}"),),
        extract=whole,
        scorers=(scorers.unit_tests,),
        sampling=Sampling(max_tokens=8),
        card=Card("slow", "", "", "", {"test": 3}, ""),
    )
'''
SLOW = "import time\nwhile time.process_time() < 0.4:\n    pass\ndef f(x):\n    return x + {}\n"
ENDLESS = "while True:\n    pass\n"


@pytest.fixture
def slow(tmp_path: Path) -> Path:
    (tmp_path / "slow.py").write_text(TASK)
    answers = [SLOW.format(0), SLOW.format(7), ENDLESS]
    rows = [{"task_id": f"slow/{index}", "completion": text} for index, text in enumerate(answers)]
    (tmp_path / "given.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def statuses(folder: Path, *more: str) -> list[str]:
    ended = harness(
        "score", folder / "slow.py", "--completions", folder / "given.jsonl", "--out", folder / "out", *more
    )
    assert ended.code == 0, ended
    return [json.loads(line)["status"] for line in (folder / "out/judgements.jsonl").read_text().splitlines()]


def test_without_it_a_slow_right_answer_is_a_timeout(slow: Path) -> None:
    assert statuses(slow) == ["timeout"] * 3


def test_programs_get_as_many_times_what_the_reference_took(slow: Path) -> None:
    assert statuses(slow, "--set", "judge.time_factor=3") == ["passed", "failed", "timeout"]
    summary = json.loads((slow / "out/summary.json").read_text())
    assert "cpu 3 times the reference" in summary["signature"]
    timings = [json.loads(line) for line in (slow / "out/timings.jsonl").read_text().splitlines()]
    (measured,) = [row for row in timings if row["stage"] == "references unit_tests"]
    assert (measured["problems"], measured["slower"]) == (3, 3)
    assert measured["cpu_s"] >= 1.2
    (judged,) = [row for row in timings if row["stage"] == "judge unit_tests"]
    assert judged["peak_mb"] > 1


def test_a_reference_faster_than_the_limit_changes_nothing(slow: Path) -> None:
    assert statuses(slow, "--set", "judge.time_factor=0.1") == ["timeout"] * 3


def test_a_fixed_and_a_measured_limit_exclude_each_other(slow: Path) -> None:
    ended = harness(
        "score",
        slow / "slow.py",
        "--completions",
        slow / "given.jsonl",
        "--time-limit",
        1,
        "--set",
        "judge.time_factor=2",
    )
    assert "time_limit and time_factor exclude each other" in ended.complaint
