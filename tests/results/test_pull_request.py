"""`harness gate --comment`: the verdict, and what flipped with both answers, as Markdown that no answer can break."""

import re
from pathlib import Path

import pytest

from tests.support.command import harness
from tests.support.recordings import edit_rows, make

N = 164


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """before: 100 of 164. now: 20 of these lost, 2 others won."""
    folder = tmp_path_factory.mktemp("runs")
    make(folder / "before", range(100), problems=N)
    make(folder / "now", [*range(20, 100), 150, 151], problems=N)
    assert harness("gate", folder / "before", "--baseline", folder / "b.json", "--write").code == 0
    return folder


def test_a_comment_has_the_verdict_and_both_answers_of_what_flipped(runs: Path, tmp_path: Path) -> None:
    said = ("--comment", tmp_path / "c.md", "--before", runs / "before")
    assert harness("gate", runs / "now", "--baseline", runs / "b.json", *said).code == 1
    text = (tmp_path / "c.md").read_text()
    assert text.startswith("<!-- harness gate letters -->\n### harness gate, letters: regression\n")
    assert "p is the chance of a difference at least as large" in text
    assert "20 got worse, 2 got better:" in text
    assert (
        "<summary>worse by 1: <code>letters/0</code></summary>\n\n"
        "before:\n\n```\nx = 0\n```\n\nnow:\n\n```\ny\n```\n\n</details>" in text
    )
    assert "better by 1: <code>letters/150</code>" not in text  # the worst are shown first
    assert text.count("<details>") == text.count("</details>") == 12
    assert "10 more are in the run." in text


def test_without_the_baselines_run_only_the_new_answers_are_there(runs: Path, tmp_path: Path) -> None:
    assert (
        harness("gate", runs / "now", "--baseline", runs / "b.json", "--comment", tmp_path / "c.md").code == 1
    )
    text = (tmp_path / "c.md").read_text()
    assert "<code>letters/0</code></summary>" in text
    assert "before:" not in text


def test_a_p_value_is_explained_only_where_there_is_one(runs: Path, tmp_path: Path) -> None:
    margin = ("--margin", "em@1=0.02", "--comment", tmp_path / "c.md")
    assert harness("gate", runs / "now", "--baseline", runs / "b.json", *margin).code == 1
    assert "p is the chance" not in (tmp_path / "c.md").read_text()


def test_no_answer_ends_its_code_block_or_makes_the_comment_too_long(runs: Path, tmp_path: Path) -> None:
    nasty = "````\n</details>\x1b[2J\ud800\n" + "z" * 100_000 + "\n" * 5000
    now = make(tmp_path / "now", range(20, 100), problems=N)
    edit_rows(now / "judgements.jsonl", lambda rows: [{**row, "answer": nasty} for row in rows])
    assert harness("gate", now, "--baseline", runs / "b.json", "--comment", tmp_path / "c.md").code == 1
    text = (tmp_path / "c.md").read_text()
    assert len(text) < 65_536
    assert "\x1b" not in text
    outside = re.sub(r"^(`{5,})$.*?^\1$", "", text, flags=re.MULTILINE | re.DOTALL)
    assert outside.count("<details>") == outside.count("</details>") == 12


def test_a_run_that_cannot_be_compared_has_a_comment_without_flips(runs: Path, tmp_path: Path) -> None:
    other = make(tmp_path / "other", range(3), problems=N, prompt="other")
    assert harness("gate", other, "--baseline", runs / "b.json", "--comment", tmp_path / "c.md").code == 4
    text = (tmp_path / "c.md").read_text()
    assert "letters: not comparable" in text
    assert "<details>" not in text


def test_what_is_asked_for_wrongly_is_one_line(runs: Path, tmp_path: Path) -> None:
    against = ("gate", runs / "now", "--baseline", runs / "b.json")
    assert "add --comment FILE" in harness(*against, "--before", runs / "before").complaint
    wrong = harness(*against, "--comment", tmp_path / "c.md", "--before", runs / "now")
    assert "and the baseline was made of" in wrong.complaint
