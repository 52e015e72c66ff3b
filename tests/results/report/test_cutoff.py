"""The comparison of problems before and after a cut-off date, from a run of the project's own rows."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from harness.runs.store import reader
from tests.support.command import harness
from tests.support.recordings import edit, edit_rows

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
    return score(folder / "run")


def score(out: Path, *more: str) -> Path:
    """The answers beside `out`, judged."""
    common = ("livecodebench", "--completions", out.parent / "answers.jsonl", "--data", "mini", "--out", out)
    ended = harness("score", *common, *more)
    assert ended.code == 0, ended.err
    return out


def compared(text: str) -> list[str]:
    return [line for line in text.splitlines() if "to 2024-03-02" in line]


def test_the_terminal_says_the_difference_with_its_interval(run: Path) -> None:
    ended = harness("report", str(run), "--cutoff", "2024-03-02")
    assert ended.code == 0, ended.err
    # easy: 1 of 2 before, 1 of 1 after; medium: 0 of 2 and 0 of 1; hard is there only after.
    (line,) = compared(ended.out)
    assert "pass@1 to 2024-03-02 25.0 (4 problems), after it 50.0 (2): +25.0 [" in line
    assert line.endswith("groups weighted as after it; 2 problems of groups on one side only are left out")


def test_the_page_has_it_too(run: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    ended = harness("report", str(run), "--cutoff", "2024-03-02", "--out", str(page))
    assert ended.code == 0, ended.err
    assert "<h2>Before and after 2024-03-02</h2>" in page.read_text(encoding="utf-8")


def test_it_is_said_beside_plots_too_and_runs_are_read_once(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib", reason="plots: matplotlib is not installed")
    seen, read_all = [], reader.read_all
    monkeypatch.setattr(reader, "read_all", lambda folders: seen.append(folders) or read_all(folders))
    ended = harness("report", str(run), "--cutoff", "2024-03-02", "--plots", str(tmp_path))
    assert ended.code == 0, ended.err
    assert len(compared(ended.out)) == 1
    assert seen == [[run]]


def test_a_run_that_could_not_be_judged_has_no_difference(run: Path, tmp_path: Path) -> None:
    failed = tmp_path / "failed"
    shutil.copytree(run, failed)

    def fail(rows: list[dict[str, Any]]) -> None:
        for row in rows:
            row.update(status="fault", score=None, error="it fell")

    edit_rows(failed / "judgements.jsonl", fail)
    edit(failed / "summary.json", lambda plain: plain.update(metrics={}, errors=8))
    ended = harness("report", str(failed), "--cutoff", "2024-03-02")
    assert (ended.code, ended.err) == (0, "")
    assert "no metrics: no sample could be judged" in ended.out


def test_each_seed_of_a_row_is_named(run: Path) -> None:
    other = score(run.with_name("other"), "--set", "seed=7")
    ended = harness("report", str(run), str(other), "--cutoff", "2024-03-02")
    names = [line.partition(": ")[0] for line in compared(ended.out)]
    assert [name.rpartition(", ")[2] for name in names] == ["seed 0", "seed 7"]


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
