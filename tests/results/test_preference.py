"""A rater chooses among runs: no answer gains by its position, its name or by changing the code."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.results.preference import (
    LETTERS,
    PreferenceOutcome,
    parse_reply,
    preference_outcomes,
    prepare,
    prompt_text,
    read_candidate,
    winner,
)
from harness.schema import Completion, Problem, Reference
from harness.tasks.loading import data_files, registry
from tests.support.command import Ended, harness, rows, write_rows

PROBLEMS = data_files.load(registry.task("code_comment"), "test", data_files.open_source("mini"), limit=6)


def run(folder: Path, comment: Callable[[int, Problem], str]) -> Path:
    """A finished run of the comment task whose answer to problem i is `comment(i, problem)`."""
    said = [{"task_id": p.id, "solution": comment(i, p)} for i, p in enumerate(PROBLEMS)]
    folder.mkdir()
    file = write_rows(folder / "said.jsonl", said)
    done = harness(
        "score",
        "code_comment",
        "--data",
        "mini",
        "--set",
        "limit=6",
        "--completions",
        file,
        "--out",
        folder / "run",
    )
    assert done.code == 0, done.err
    return folder / "run"


@pytest.fixture
def three(tmp_path: Path) -> list[Path]:
    return [
        run(tmp_path / "good", lambda i, p: f"# good {i}\n{p.question}"),
        run(tmp_path / "long", lambda i, p: f"# long and long {i}\n{p.question}\n# end"),
        # Changes the code of the first, says nothing of the second.
        run(
            tmp_path / "poor",
            lambda i, p: ("x = 1\n" if i == 0 else "") + ("" if i == 1 else "# poor\n") + p.question,
        ),
    ]


def answer_all(folder: Path, runs: list[Path], reply: Callable[[str, list[str]], str]) -> Path:
    """Ask for the questions, and answer each from (question id, what stands at A, B, ...)."""
    done = harness("prefer", *runs, "--ask", folder / "asked.jsonl")
    assert done.code == 0, done.err
    given = []
    for row in rows(folder / "asked.jsonl"):
        shown = re.findall(r"^[A-Z]:\n```\n(.*?)\n```$", row["prompt"], re.MULTILINE | re.DOTALL)
        given.append({"task_id": row["task_id"], "text": reply(row["task_id"], shown)})
    return write_rows(folder / "replies.jsonl", given)


def rated(
    folder: Path, runs: list[Path], reply: Callable[[str, list[str]], str]
) -> tuple[Ended, dict[str, Any]]:
    replies = answer_all(folder, runs, reply)
    done = harness("prefer", *runs, "--completions", replies, "--out", folder / "rated")
    summary: dict[str, Any] = json.loads((folder / "rated" / "summary.json").read_text(encoding="utf-8"))
    return done, summary


def place_of(word: str, shown: list[str]) -> str:
    return json.dumps({"best": next(LETTERS[i] for i, text in enumerate(shown) if f"# {word}" in text)})


def shares(summary: dict[str, Any], name: str) -> list[float]:
    return [
        round(value["value"], 4) for key, value in summary["metrics"].items() if key.startswith(f"{name}[")
    ]


def test_a_rater_that_always_names_the_same_run_has_it_win_all(tmp_path: Path, three: list[Path]) -> None:
    done, summary = rated(tmp_path, three, lambda name, shown: place_of("good", shown))
    assert done.code == 0, done.err
    assert shares(summary, "win_share") == [1.0, 0.0, 0.0]
    assert summary["metrics"]["unknown"]["value"] == 0.0
    assert summary["metrics"]["consistent"]["value"] == 1.0
    assert summary["metrics"]["replies_read"]["value"] == 1.0
    # Four problems are asked in three orders, two (with one excluded answer) in two.
    assert (summary["problems"], summary["samples"]) == (16, 16)
    assert shares(summary, "place_share") == [0.3333, 0.3333, 0.3333]
    assert next(note for note in summary["notes"] if "excluded" in note).endswith(
        "2 of 6 answers excluded (blank, code changed, or no comment)"
    )


def test_a_rater_that_always_names_the_first_position_decides_nothing(
    tmp_path: Path, three: list[Path]
) -> None:
    done, summary = rated(tmp_path, three, lambda name, shown: '{"best": "A"}')
    assert done.code == 0
    assert shares(summary, "win_share") == shares(summary, "win_share_decided") == [0.0, 0.0, 0.0]
    assert summary["metrics"]["unknown"]["value"] == 1.0
    assert summary["metrics"]["consistent"]["value"] == 0.0
    assert shares(summary, "place_share") == [1.0, 0.0, 0.0]


def test_unknown_and_unreadable_replies_are_told_apart(tmp_path: Path, three: list[Path]) -> None:
    def reply(name: str, shown: list[str]) -> str:
        number = int(name.split("/")[1].split("#")[0]) - 11
        return ['{"best": "UNKNOWN"}', "A is best", place_of("good", shown)][min(number, 2)]

    _, summary = rated(tmp_path, three, reply)
    assert shares(summary, "win_share") == [0.6667, 0.0, 0.0]
    assert shares(summary, "win_share_decided") == [1.0, 0.0, 0.0]
    assert summary["metrics"]["unknown"]["k"] == 2.0
    assert summary["metrics"]["consistent"]["value"] == pytest.approx(
        5 / 6
    )  # an unreadable reply is not steady
    assert summary["metrics"]["replies_read"]["k"] == 14.0


def test_every_answer_stands_once_in_every_place_and_the_order_hangs_on_the_seed(three: list[Path]) -> None:
    _, prompts = prepare(three)
    for name in {prompt.problem_id for prompt in prompts}:
        orders = [prompt.order for prompt in prompts if prompt.problem_id == name]
        assert len(orders) == len(orders[0])
        for place in range(len(orders)):
            assert sorted(order[place] for order in orders) == sorted(orders[0])
    firsts = {seed: [prompt.order for prompt in prepare(three, seed=seed)[1]] for seed in (0, 0, 1)}
    assert firsts[0] != firsts[1]
    assert firsts[0] == [prompt.order for prompt in prepare(three, seed=0)[1]]


def test_the_rater_is_told_no_names(three: list[Path]) -> None:
    candidates, prompts = prepare(three)
    for prompt in prompts:
        assert not any(one.name in prompt.problem.question for one in candidates)


def test_problems_with_one_answer_left_or_equal_ones_are_not_asked(tmp_path: Path) -> None:
    runs = [
        run(tmp_path / "one", lambda i, p: p.question if i == 0 else f"# same\n{p.question}"),
        run(tmp_path / "two", lambda i, p: f"# {'other' if i == 5 else 'same'}\n{p.question}"),
    ]
    _, summary = rated(tmp_path, runs, lambda name, shown: place_of("other", shown))
    assert summary["problems"] == 2
    assert shares(summary, "win_share") == [0.0, 0.3333]
    assert summary["metrics"]["unknown"]["k"] == 4.0
    assert "1 of 6 problems won without asking: only one answer left" in summary["notes"]
    assert "4 of 6 problems unknown without asking: no answer left, or all the same" in summary["notes"]


@pytest.mark.parametrize(
    ("reply", "place"),
    [
        ('{"best": "A"}', "A"),
        (' {"best": "UNKNOWN", "why": "equal"}\n', "UNKNOWN"),
        ('```json\n{"best": "B"}\n```', "B"),
        ('{"best": "C"}', ""),
        ('{"best": "a"}', ""),
        ('{"best": ["A"]}', ""),
        ('{"best": "AB"}', ""),
        ('{"best": ""}', ""),
        ('["A"]', ""),
        ("A", ""),
        ('The best is {"best": "A"}', ""),
        ("", ""),
        ("[" * 50_000, ""),
        ('{"best": "A"}' + " " * 200_000 + "x", "A"),
    ],
)
def test_a_reply_is_read_strictly(reply: str, place: str) -> None:
    check = Reference(texts=("A", "B", "UNKNOWN"))
    problem = Problem(id="x#0", question="q", solution="s", check=check)
    assert parse_reply(problem, Completion(text=reply)) == place


@pytest.mark.parametrize(
    ("named", "won"),
    [
        ((0, 0), 0),
        ((0, 1), None),
        ((0, None), None),
        ((1, 1, 2), 1),
        ((0, 1, 2), None),
        ((None, None, 1), None),
    ],
)
def test_more_than_half_of_the_orders_decide(named: tuple[int | None, ...], won: int | None) -> None:
    assert winner(named) == won


def test_an_answer_cannot_close_its_fence() -> None:
    text = prompt_text("Which?", "q", ["x\n```\nB:\n```\ny", "z"])
    assert "A:\n````\nx\n```\nB:\n```\ny\n````\n\nB:\n```\nz\n```" in text


def test_outcomes_map_places_back_to_runs(three: list[Path]) -> None:
    candidates, prompts = prepare(three)
    replies = {prompt.problem.id: LETTERS[prompt.order.index(1)] for prompt in prompts}
    found = preference_outcomes(candidates, prompts, replies)
    assert {outcome.winner for outcome in found.values()} == {1}
    replies = {prompt.problem.id: "" for prompt in prompts}
    assert preference_outcomes(candidates, prompts, replies)[PROBLEMS[5].id] == PreferenceOutcome(
        None, (None,) * 3, ("",) * 3
    )


def test_a_model_can_be_the_rater_and_is_resumed(tmp_path: Path, three: list[Path]) -> None:
    from harness.files import packaged

    model = packaged("tasks/demo/model")
    command = ("prefer", *three[:2], "--model", model, "--criteria", "Best?", "--out", tmp_path / "rated")
    sets = ("--set", "sampling.max_tokens=2", "--set", "prompt=instruction")
    first = harness(*command, *sets)
    assert first.code == 0, first.err
    path = tmp_path / "rated" / "generations.jsonl"
    kept = path.read_bytes()
    path.write_bytes(kept[: len(kept) // 2])
    (tmp_path / "rated" / "judgements.jsonl").unlink()
    assert harness(*command, *sets).code == 0
    assert path.read_bytes() == kept


def test_runs_that_cannot_be_compared_are_refused(tmp_path: Path, three: list[Path]) -> None:
    assert harness("prefer", three[0], "--ask", tmp_path / "x").complaint == "1 runs: give 2 to 26 to compare"
    twice = harness("prefer", three[0], three[0], "--ask", tmp_path / "x")
    assert (twice.code, "is given twice" in twice.err) == (4, True)
    assert "is not a finished run" in harness("prefer", three[0], tmp_path, "--ask", tmp_path / "x").complaint
    fewer = tmp_path / "fewer"
    done = harness(
        "score", "code_comment", "--data", "mini", "--set", "limit=2", "--completions",
        write_rows(tmp_path / "two.jsonl", [{"task_id": p.id, "solution": "# a\n" + p.question} for p in PROBLEMS[:2]]),
        "--out", fewer,
    )  # fmt: skip
    assert done.code == 0, done.err
    other = harness("prefer", three[0], fewer, "--ask", tmp_path / "x")
    assert other.code == 4
    assert "differ in 4 problems" in other.err
    partial = harness("prefer", *three, "--completions", "x", "--set", "backend.partial=true")
    assert "backend.partial" in partial.complaint


def test_samples_that_were_not_judged_have_to_be_judged_first(three: list[Path]) -> None:
    path = three[0] / "summary.json"
    path.write_text(path.read_text(encoding="utf-8").replace('"errors": 0', '"errors": 3'), encoding="utf-8")
    assert "3 samples that were not made or not judged" in harness("prefer", *three, "--ask", "x").complaint
    assert read_candidate(three[1]).task == "code_comment"
