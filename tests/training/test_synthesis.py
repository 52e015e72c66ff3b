"""Made-up rows: only those that hold a question and code that parses, runs and repeats no other are kept."""

import json
from pathlib import Path

import pytest

from harness.errors import DataError
from harness.training.data import synthesis
from harness.training.data.examples import TEMPLATES, read_file
from tests.support.command import harness, rows, write_rows

GOOD = "Exercise: Reverse the words of a sentence.\n```python\nprint(' '.join('a b c'.split()[::-1]))\n```\nDone."
OTHER = (
    "Sum the squares of the numbers from one to ten.\n```python\nprint(sum(i * i for i in range(11)))\n```"
)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (GOOD, ("Reverse the words of a sentence.", "print(' '.join('a b c'.split()[::-1]))\n")),
        ("Reverse the words of a sentence, please.", "no code block"),
        ("Words.\n```python\nx = 1\n```", "no question"),
        ("Reverse the words of a sentence.\n```python\nx = = 1\n```", "does not parse"),
        ("Reverse the words of a sentence.\n```python\n'nothing'\npass\n```", "code without a statement"),
    ],
)
def test_a_completion_is_a_row_or_says_why_not(text: str, found: object) -> None:
    assert synthesis.parse_completion(text) == found


def test_questions_that_nearly_repeat_an_earlier_one_are_left_out() -> None:
    asked = ("Sort a list of words by length", "sort the list of words by length!", "Sort a list of numbers")
    made = [synthesis.SyntheticRow(text, "x = 1", str(i)) for i, text in enumerate(asked)]
    assert [row.source for row in synthesis.drop_near_duplicates(made)] == ["0", "2"]


def test_every_seed_is_asked_with_every_template() -> None:
    asked = synthesis.build_requests(["closures", "slices"], samples=3)
    assert [request.problem_id for request in asked] == [
        "synth/exercise/0",
        "synth/exercise/1",
        "synth/question/0",
        "synth/question/1",
    ]
    assert "closures" in asked[0].prompt.text
    assert asked[0].indices == (0, 1, 2)


def test_a_recording_becomes_training_rows(tmp_path: Path) -> None:
    (tmp_path / "seeds.txt").write_text('strings\n\n{"seed": "sums"}\n', encoding="utf-8")
    fails = "Divide a number by nothing at all.\n```python\nprint(1 / 0)\n```"
    recorded = [
        {"problem_id": "synth/exercise/0", "text": GOOD},
        {"problem_id": "synth/exercise/0", "text": GOOD.replace("Reverse", "Please reverse")},
        {"problem_id": "synth/exercise/1", "text": OTHER},
        {"problem_id": "synth/question/0", "text": fails},
        {"problem_id": "synth/question/1", "text": "I do not know."},
    ]
    path = write_rows(tmp_path / "recorded.jsonl", recorded)
    out = tmp_path / "made.jsonl"
    ended = harness("data", "synth", tmp_path / "seeds.txt", "--completions", path, "--out", out)
    assert ended.code == 0, ended.err
    assert [row["source"] for row in rows(out)] == ["synth/exercise/0/0", "synth/exercise/1/0"]
    for line in (
        "dropped 1: a near duplicate",
        "dropped 1: does not run (error)",
        "dropped 1: no code block",
    ):
        assert line in ended.out
    assert f"kept 2 rows: {out}" in ended.out
    examples = list(read_file(out, TEMPLATES["alpaca"], None))
    assert examples[1][0].answer == "print(sum(i * i for i in range(11)))\n"


def test_two_roles_make_a_conversation_that_ends_where_nothing_good_is_said(tmp_path: Path) -> None:
    (tmp_path / "seeds.txt").write_text("strings\nsums\n", encoding="utf-8")
    recorded = {
        "synth/asks/0/0": "How do I reverse the words of a text?\n\nThe assistant: so.",
        "synth/answers/0/0": "So:\n```python\nprint(' '.join('a b'.split()[::-1]))\n```",
        "synth/asks/0/1": "And how do I sort them by length?",
        "synth/answers/0/1": "So:\n```python\nprint(sorted(['aa', 'b'], key=len))\n```",
        "synth/asks/1/0": "How do I sum the numbers from one to ten?",
        "synth/answers/1/0": "```python\nprint(sum(range(11)))\n```",
        "synth/asks/1/1": "And what if I divide that by nothing?",
        "synth/answers/1/1": "```python\nprint(1 / 0)\n```",
    }
    path = write_rows(tmp_path / "said.jsonl", [{"problem_id": n, "text": t} for n, t in recorded.items()])
    out = tmp_path / "made.jsonl"
    common = ("data", "synth", tmp_path / "seeds.txt", "--completions", path, "--out", out)
    ended = harness(*common, "--turns", 2)
    assert ended.code == 0, ended.err
    assert "dropped 1: does not run (error)" in ended.out
    first, second = (row["chat_rounds"] for row in rows(out))
    assert [said["role"] for said in first] == ["user", "assistant", "user", "assistant"]
    assert first[0]["content"] == "How do I reverse the words of a text?"
    assert [said["content"] for said in second] == [recorded["synth/asks/1/0"], recorded["synth/answers/1/0"]]
    assert len(next(iter(read_file(out, TEMPLATES["alpaca"], None)))) == 2
    assert "leave --samples out" in harness(*common, "--turns", 2, "--samples", 2).complaint


def test_to_keep_no_row_is_a_warning_and_exit_code_3(tmp_path: Path) -> None:
    (tmp_path / "seeds.txt").write_text("strings\n", encoding="utf-8")
    path = write_rows(tmp_path / "said.jsonl", [{"problem_id": "synth/exercise/0", "text": "I do not know."}])
    out = tmp_path / "made.jsonl"
    ended = harness("data", "synth", tmp_path / "seeds.txt", "--completions", path, "--out", out)
    assert (ended.code, ended.err) == (3, f"warning: kept no rows, {out} was not written\n")
    assert "dropped 1: no code block" in ended.out
    assert not out.exists()


def test_bad_seeds_are_named_with_their_line(tmp_path: Path) -> None:
    path = tmp_path / "seeds.txt"
    path.write_text(json.dumps({"sead": "x"}), encoding="utf-8")
    with pytest.raises(DataError, match=r"seeds.txt:1: expected a text or"):
        synthesis.read_seeds(path)
    path.write_text("\n", encoding="utf-8")
    with pytest.raises(DataError, match="no seeds"):
        synthesis.read_seeds(path)
    assert harness("data", "synth", path).complaint == "synth needs --out FILE to write the rows to"
