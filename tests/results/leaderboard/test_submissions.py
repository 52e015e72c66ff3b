"""Submissions: what is new is judged once, what is wrong is named, and nobody's code is run for being named."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from harness.results.leaderboard import submissions
from harness.tasks.loading import data_files, registry
from tests.support.command import harness, write_rows

MINI = list(data_files.load(registry.task("conala"), "test", data_files.open_source("mini")))


def hand_in(folder: Path, right: int, card: str = "", name: str = "conala.jsonl") -> Path:
    """A submission whose first `right` answers are right."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.toml").write_text(card, encoding="utf-8")
    said = [
        {"task_id": one.id, "text": f"```python\n{one.solution if i < right else 'pass'}\n```"}
        for i, one in enumerate(MINI)
    ]
    return write_rows(folder / name, said)


def models(site: Path) -> dict[str, dict[str, float]]:
    plain = json.loads((site / "leaderboard.json").read_text(encoding="utf-8"))
    return {row["name"]: row["values"] for row in plain["models"]}


def judged(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / submissions.JUDGED).iterdir())


def test_what_is_new_is_judged_once_and_what_changed_again(tmp_path: Path) -> None:
    board = tmp_path / "board"
    hand_in(board / "one", 3, 'name = "One"\nsize = 1.5\n')
    hand_in(board / "two", 6)
    first = harness("leaderboard", board, "--data", "mini", "--out", tmp_path / "site")
    assert first.code == 0, first.err
    assert first.out.count("judging ") == 2
    count = len(MINI)
    assert models(tmp_path / "site") == {"One": {"conala": 3 / count}, "two": {"conala": 6 / count}}
    again = harness("leaderboard", board, "--data", "mini", "--out", tmp_path / "site")
    assert "judging" not in again.out
    before = judged(board / "one")
    hand_in(board / "one", 5, 'name = "One"\nsize = 1.5\n')
    changed = harness("leaderboard", board, "--data", "mini", "--out", tmp_path / "site")
    assert changed.out.count("judging ") == 1
    assert set(before) < set(judged(board / "one"))
    assert models(tmp_path / "site")["One"] == {"conala": 5 / count}


def test_the_same_completions_twice_are_one_model(tmp_path: Path) -> None:
    for name in ("a", "b"):
        hand_in(tmp_path / name, 3)
    ended = harness("leaderboard", tmp_path, "--data", "mini")
    assert f"skipped {tmp_path / 'b' / 'conala.jsonl'}: the same completions as {tmp_path / 'a'}" in ended.err
    assert list(models(tmp_path / "leaderboard")) == ["a"]


def test_completions_that_were_judged_before_their_double_came_are_left_out_too(tmp_path: Path) -> None:
    hand_in(tmp_path / "b", 3)
    assert harness("leaderboard", tmp_path, "--data", "mini").code == 0
    hand_in(tmp_path / "a", 3)
    ended = harness("leaderboard", tmp_path, "--data", "mini")
    assert "1 model, 1 task;" in ended.out
    assert list(models(tmp_path / "leaderboard")) == ["a"]


@pytest.mark.parametrize(
    ("card", "said"),
    [
        ("licenze = 'MIT'", "no key 'licenze'. Did you mean 'licence'?"),
        ("size = -1", "size = -1: input should be greater than 0"),
        ("name = ", "model.toml"),
        ("link = 'javascript:alert(1)'", "link: expected an address that begins with https:// or http://"),
        ("group = 'chat'", "group = 'chat': input should be 'base', 'instruct', 'adapter' or 'rag'"),
        ("[recordings.'../x.jsonl']", "'../x.jsonl': expected the name of a file beside model.toml"),
    ],
)
def test_a_wrong_card_costs_its_submission_and_no_other(tmp_path: Path, card: str, said: str) -> None:
    hand_in(tmp_path / "bad", 3, card)
    hand_in(tmp_path / "good", 4)
    ended = harness("leaderboard", tmp_path, "--data", "mini")
    assert ended.code == 0
    (line,) = [line for line in ended.err.splitlines() if "skipped submission" in line]
    assert said in line
    assert str(tmp_path / "bad" / "model.toml") in line
    assert list(models(tmp_path / "leaderboard")) == ["good"]
    assert said.replace("'", "&#39;") in (tmp_path / "leaderboard" / "index.html").read_text()


@pytest.mark.parametrize(
    ("file", "card", "said"),
    [
        ("conalla.jsonl", "", "no task 'conalla'. Did you mean 'conala'?"),
        ("x.jsonl", "[recordings.'x.jsonl']\ntask = './evil.py'", "no task './evil.py'"),
        (
            "conala.jsonl",
            "[recordings.'y.jsonl']\ntask = 'conala'",
            "no such file, though model.toml names it",
        ),
        ("conala.jsonl", "[recordings.'conala.jsonl']\noptions = { corpse = 'x' }", "corpse"),
    ],
)
def test_a_file_that_cannot_be_judged_is_named(tmp_path: Path, file: str, card: str, said: str) -> None:
    hand_in(tmp_path / "one", 3, card, file)
    (tmp_path / "one" / "evil.py").write_text("raise SystemExit('ran')")
    hand_in(tmp_path / "good", 4)
    ended = harness("leaderboard", tmp_path, "--data", "mini")
    assert ended.code == 0
    assert any("skipped" in line and said in line for line in ended.err.splitlines()), ended.err


def test_a_name_stands_for_one_submission(tmp_path: Path) -> None:
    hand_in(tmp_path / "a", 3, "name = 'Same'")
    hand_in(tmp_path / "b", 9)
    assert harness("leaderboard", tmp_path, "--data", "mini").code == 0
    hand_in(tmp_path / "b", 9, "name = 'Same'")  # its run of before is there, and left out
    ended = harness("leaderboard", tmp_path, "--data", "mini")
    assert f"skipped submission {tmp_path / 'b'}: 'Same' is the name of {tmp_path / 'a'}" in ended.err
    assert models(tmp_path / "leaderboard") == {"Same": {"conala": 3 / len(MINI)}}


def test_completions_of_other_problems_are_named(tmp_path: Path) -> None:
    hand_in(tmp_path / "good", 4)
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "model.toml").write_text("")
    write_rows(tmp_path / "odd" / "conala.jsonl", [{"task_id": "nothing/1", "text": "x"}])
    ended = harness("leaderboard", tmp_path, "--data", "mini")
    assert ended.code == 0
    assert f"skipped {tmp_path / 'odd' / 'conala.jsonl'}: " in ended.err
    assert list(models(tmp_path / "leaderboard")) == ["good"]


def test_cards_hold_for_runs_of_the_innermost_submission(tmp_path: Path) -> None:
    cards: Sequence[tuple[str, str]] = (("a", "outer"), ("a/b", "inner"))
    found = [
        submissions.Submission(tmp_path / where, submissions.ModelCard(name=name), ())
        for where, name in cards
    ]
    runs = [tmp_path / "a" / "r", tmp_path / "a" / "b" / "r", tmp_path / "c"]
    assert [card.name for card in submissions.cards(runs, found).values()] == ["outer", "inner"]
