"""A run's completions read by other extractors: what differs is judged, what flips is shown, and the run says so."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.errors import SandboxFault
from harness.results.audit import parse_failures
from harness.results.report import page, sections
from harness.runs.store import reader
from harness.sandbox import Pool
from harness.schema import IOCase, IOCases, Judgement, Problem, Query, Snippet, UnitTests
from tests.support.command import Ended, harness, mini_humaneval, write_rows
from tests.support.recordings import edit

ONE = mini_humaneval()[0]
WHOLE = ONE["prompt"] + ONE["canonical_solution"]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def block(code: str, language: str = "python") -> str:
    return f"```{language}\n{code.rstrip()}\n```\n"


def score(task: str, rows: Sequence[Any], *more: object) -> Ended:
    path = write_rows(Path("c.jsonl"), list(rows))
    ended = harness(
        "score", task, "--data", "mini", "--completions", path, "--out", "run", "--partial", *more
    )
    assert ended.code == 0, ended
    return ended


def audited(*more: object) -> dict[str, Any]:
    ended = harness("audit", "run", "--json", *more)
    assert (ended.code, ended.err) == (0, "")
    assert json.loads(Path("run/audit.json").read_text()) == json.loads(ended.out)
    found: dict[str, Any] = json.loads(ended.out)
    return found


def by_name(found: dict[str, Any]) -> dict[str, tuple[int, int, float]]:
    """Extractor -> (answers that differ, answers judged, value)."""
    return {
        one["extractor"]: (one["differ"], one["judged"], one["estimate"]["value"])
        for one in found["readings"]
    }


# ---------------------------------------------------------------- what is judged


def test_only_new_answers_are_judged_and_equal_ones_once() -> None:
    # Both blocks of sample 2 and the second of sample 0 are answers that the run has judged or is about to.
    said = [
        block("x = 1") + block("x = 2"),
        block("x = 2"),
        block("x = 2") + block("x = 1"),
        block("y") + block("z"),
        block("y") + block("z"),
    ]
    score("conala", [{"task_id": "conala/test/0", "text": text} for text in said])
    found = audited()
    assert (found["metric"], found["samples"], found["read"]) == ("em@1", 5, 5)
    assert {name: row[:2] for name, row in by_name(found).items()} == {
        "entry_point": (0, 0),
        "first_block": (0, 0),
        "last_block": (4, 1),
        "all_blocks": (4, 3),
    }


def test_samples_that_the_run_leaves_out_are_in_no_row() -> None:
    said = ["", block("x = 1") + block("y"), block("y") + block("x = 1")]
    rows = [{"task_id": "conala/test/0", "text": text} for text in said]
    score("conala", rows, "--set", 'judge.exclude=["empty"]', "--set", "scorers=['parse_rate']")
    found = audited("--metric", "parse_rate", "--extract", "verbatim")
    assert (found["samples"], found["read"]) == (3, 2)
    assert by_name(found)["verbatim"] == (2, 2, 0.0)
    assert [flip["index"] for flip in found["readings"][-1]["flips"]] == [1, 2]


def test_values_flips_and_spread_of_a_program_are_those_of_judging() -> None:
    usage = block(WHOLE) + "Use it:\n" + block("raise SystemExit")
    score("humaneval", [{"task_id": ONE["task_id"], "text": text} for text in (block(WHOLE), usage)])
    found = audited()
    assert found["extractor"] == "python_program"
    assert found["estimate"]["value"] == 1.0
    assert by_name(found) == {
        "first_block": (0, 0, 1.0),
        "last_block": (1, 1, 0.5),
        "all_blocks": (1, 1, 0.5),
    }
    (flip,) = found["readings"][1]["flips"]
    assert (flip["problem_id"], flip["index"], flip["own_status"], flip["status"]) == (
        ONE["task_id"],
        1,
        "passed",
        "error",
    )
    assert "+raise SystemExit" in flip["diff"].splitlines()
    assert found["spread"] == 0.5
    assert found["note"].startswith("how answers are read moves pass@1 from 50.00 (last_block) to 100.00 (")


def test_queries_are_read_by_block_and_whole() -> None:
    gold = "SELECT count(*) FROM author"
    text = block("SELECT 1", "sql") + "No:\n" + block(gold, "sql")
    score("spider", [{"task_id": "spider/dev/0", "text": text}], "--set", "limit=1")
    found = by_name(audited("--metric", "valid_rate"))
    assert {name: row[::2] for name, row in found.items()} == {
        "first_block": (1, 1.0),
        "last_block": (0, found["last_block"][2]),
    }


def test_recorded_programs_leave_nothing_to_read() -> None:
    score("humaneval", [{"task_id": ONE["task_id"], "completion": ONE["canonical_solution"]}])
    ended = harness("audit", "run")
    assert ended.code == 0
    assert ended.out.startswith(
        "nothing to read: the 1 completions were recorded as programs or continuations"
    )
    assert audited()["note"] == ""


def test_a_run_that_chose_an_extractor_is_held_against_the_tasks_own() -> None:
    rows = [{"task_id": row["task_id"], "text": block(row["prompt"])} for row in mini_humaneval()[:3]]
    score("humaneval", rows, "--extract", "verbatim")
    found = audited()
    assert found["extractor"] == "python_program:verbatim"
    assert list(by_name(found)) == ["python_program", "first_block", "last_block", "all_blocks"]
    assert found["parsing"] == {"answers": 3, "failed": 3, "kinds": {"SyntaxError: invalid syntax": 3}}
    assert found["note"] == (
        "3 of 3 answers do not parse or compile for one reason (SyntaxError: invalid syntax): see harness audit"
    )


def test_texts_without_blocks_may_be_taken_as_they_stand() -> None:
    body = ONE["canonical_solution"]
    rows = [
        {"task_id": ONE["task_id"], "text": text}
        for text in (body, f"Here is the rest:\n\n{body}", block(WHOLE))
    ]
    score("humaneval", rows)
    assert by_name(audited())["verbatim"] == (2, 2, pytest.approx(1 / 3))


def test_an_extractor_of_ones_own_is_a_row_more(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def upper(problem, completion):\n    return completion.text.upper()\n")
    score("conala", [{"task_id": "conala/test/0", "text": "x = 1"}])
    assert by_name(audited("--extract", "mine.py:upper"))["mine.py:upper"][:2] == (1, 1)


# ---------------------------------------------------------------- what is refused, what fails


def test_rows_of_another_file_are_refused(tmp_path: Path) -> None:
    data = tmp_path / "d" / "conala"
    data.mkdir(parents=True)
    rows = [{"question_id": 1, "intent": "do", "rewritten_intent": None, "snippet": "x = 1"}]
    (data / "conala-test.json").write_text(json.dumps(rows))
    path = write_rows(tmp_path / "c.jsonl", [{"task_id": "conala/test/0", "text": "x = 1"}])
    assert harness("score", "conala", "--data", "d", "--completions", path, "--out", "run").code == 0
    (data / "conala-test.json").write_text(json.dumps([{**rows[0], "snippet": "x = 2"}]))
    text = harness("audit", "run", "--data", "d").complaint
    assert "conala-test.json is not the file that conala-c-" in text
    assert text.endswith(": give that one by --data")


def test_a_metric_that_no_single_answer_has_is_refused() -> None:
    score("conala", [{"task_id": "conala/test/0", "text": "x = 1"}])
    text = harness("audit", "run", "--metric", "emm@1").complaint
    assert text.startswith("--metric: no metric of single answers 'emm@1'. Did you mean 'em@1'?")


def test_a_fault_is_no_zero_and_ends_in_3(monkeypatch: pytest.MonkeyPatch) -> None:
    score("humaneval", [{"task_id": ONE["task_id"], "text": block("import os") + block(WHOLE)}])

    def broken(self: Pool, programs: Any) -> Any:
        for _ in programs:
            yield SandboxFault("worker lost")

    monkeypatch.setattr(Pool, "map", broken)
    ended = harness("audit", "run")
    assert ended.code == 3
    assert "could not be judged" in ended.err
    (row,) = [line.split() for line in ended.out.splitlines() if line.startswith(" all_blocks")]
    assert row == ["all_blocks", "1", "none", "judged", "0", "0", "/", "0"]


# ---------------------------------------------------------------- what is shown


def test_the_run_says_once_that_reading_decides_and_only_of_this_number() -> None:
    usage = block(WHOLE) + block("raise SystemExit")
    score("humaneval", [{"task_id": ONE["task_id"], "text": usage}])
    assert "how answers are read" not in harness("report", "run").out
    out = harness("audit", "run", "--flips", "1").out
    assert f"{ONE['task_id']} [0]  python_program: passed  last_block: error" in out
    said = "how answers are read moves pass@1 from 0.00 (last_block) to 100.00 (python_program)"
    assert out.count(said) == 1
    assert harness("report", "run").out.count(said) == 1
    html = page.render(sections.make_sections([reader.read(Path("run"))]))
    assert html.count(f'<p class="warning"><b>c</b>: {said}') == 1
    edit(Path("run/summary.json"), lambda plain: plain["metrics"]["pass@1"].update(value=0.5))
    assert said not in harness("report", "run").out


UNIT = UnitTests(code="", entry_point="f")
SQL = Query(sql="", database="")


@pytest.mark.parametrize(
    ("check", "answer", "error", "kind"),
    [
        (UNIT, "x = 1", "", ""),
        (UNIT, "\n\nx = 'a\n", "", "SyntaxError: unterminated string literal"),
        (UNIT, "def f():\nx", "", "IndentationError: expected an indented block after function definition"),
        (UNIT, "  x\n", "", "IndentationError: unexpected indent"),
        (Snippet(code="", wanted=("x",)), "  x\n", "", ""),
        (IOCases(cases=(IOCase(given="", expected=""),)), "```", "", "SyntaxError: invalid syntax"),
        (SQL, "x", 'OperationalError: near "Sure": syntax error', 'near "Sure": syntax error'),
        (SQL, "x", "OperationalError: no such column: a", ""),
    ],
)
def test_ways_of_not_parsing_are_told_apart(check: Any, answer: str, error: str, kind: str) -> None:
    problem = Problem.model_construct(id="p", check=check)
    judged = Judgement(
        problem_id="p", index=0, scorer="s", answer=answer, status="error", score=None, error=error
    )
    assert parse_failures.failure(problem, judged) == kind
