"""The comparison of problems before and after a cut-off date, from a run of the project's own rows."""

import json
from pathlib import Path

import pytest

from tests.support.command import harness

RIGHT = {
    "mini1_a": "print(input()[::-1])",
    "mini2_a": "",
    "mini6_a": "print(sum(x in 'aeiou' for x in input()))",
}
ANSWERED = ["mini1_a", "mini1_b", "9001", "mini2_a", "9002", "mini4_c", "mini5_b", "mini6_a"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cutoff")
    rows = [{"task_id": name, "completion": RIGHT.get(name) or "print(0)"} for name in ANSWERED]
    answers = folder / "answers.jsonl"
    answers.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    ended = harness(
        "score",
        "livecodebench",
        "--completions",
        str(answers),
        "--data",
        "mini",
        "--out",
        str(folder / "run"),
    )
    assert ended.code == 0, ended.err
    return folder / "run"


def test_the_terminal_says_the_difference_with_its_interval(run: Path) -> None:
    ended = harness("report", str(run), "--cutoff", "2024-03-02")
    assert ended.code == 0, ended.err
    # easy: 1 of 2 before, 1 of 1 after; medium: 0 of 2 and 0 of 1; hard is there only after.
    (line,) = (line for line in ended.out.splitlines() if "to 2024-03-02" in line)
    assert "pass@1 to 2024-03-02 25.0 (4 problems), after it 50.0 (2): +25.0 [" in line
    assert line.endswith("groups weighted as after it; 2 problems of groups on one side only are left out")


def test_the_page_has_it_too(run: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    ended = harness("report", str(run), "--cutoff", "2024-03-02", "--out", str(page))
    assert ended.code == 0, ended.err
    assert "<h2>Before and after 2024-03-02</h2>" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--cutoff", "spring"], "--cutoff 'spring': expected a day like 2024-06-30"),
        (["--cutoff", "2024-03-02", "--format", "csv"], "--cutoff is for the page and the terminal"),
    ],
)
def test_a_mistake_is_one_line(run: Path, words: list[str], said: str) -> None:
    ended = harness("report", str(run), *words)
    assert ended.code == 2
    assert said in ended.err


def test_where_no_problem_lies_on_one_side_it_says_so(run: Path) -> None:
    ended = harness("report", str(run), "--cutoff", "2020-01-01")
    assert "no group of problems lies on both sides of 2020-01-01" in ended.out
