"""An adapter that was trained on what it is asked is named wherever its numbers stand."""

import json
from pathlib import Path

import pytest

from harness.config.backend import BackendConfig
from harness.errors import UserError
from harness.runs import contamination
from harness.tasks.loading import data_files, registry
from harness.text import seen_rows
from tests.support.command import harness, write_rows
from tests.support.tiny_models import build

SAID = "was trained on 10 of these 12 problems (7 exactly, 3 nearly, among 40 rows): conala/test/0, "


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The base and an adapter on twelve problems, ten of which are in the adapter's training file, three reworded."""
    folder = tmp_path_factory.mktemp("planted")
    build("llama", folder / "base")
    task, source = registry.task("conala", {}), data_files.open_source("mini")
    asked = list(data_files.load(task, "test", source, 12))
    planted = [f"  {p.question.upper()}." for p in asked[:7]] + [f"{p.question} now" for p in asked[7:10]]
    own = [f"count row {i} of a table that no benchmark has" for i in range(30)]
    rows = [{"instruction": text, "output": "x"} for text in (*planted, *own)]
    common = ("--model", folder / "base", "--data", "mini", "--set", "device=cpu")
    ended = harness(
        *("train", *common, "--file", write_rows(folder / "rows.jsonl", rows), "--method", "lora"),
        *("--set", "optim.max_steps=1", "--set", "optim.lr=1e-2", "--set", "optim.warmup=0"),
        *("--out", folder / "leaky"),
    )
    assert ended.code == 0, ended.err
    ended = harness(
        *("run", "--task", "conala", "--model", folder / "base", "--data", "mini", "--limit", "12"),
        *("--set", "sampling.max_tokens=4", "--adapter", "", "--adapter", folder / "leaky"),
        *("--out", folder / "runs"),
    )
    assert ended.code == 0, ended.err
    return folder / "runs"


def test_it_is_named_in_summary_comparison_report_and_leaderboard(runs: Path, tmp_path: Path) -> None:
    notes = [json.loads(file.read_text())["notes"] for file in sorted(runs.glob("*/summary.json"))]
    assert [any(SAID in note for note in of_one) for of_one in notes].count(True) == 1
    records = [json.loads(file.read_text()) for file in runs.glob("*/run.json")]
    (found,) = [record["contamination"] for record in records if "contamination" in record]
    assert found["exact"] == [f"conala/test/{i}" for i in range(7)]
    assert found["near"] == [f"conala/test/{i}" for i in range(7, 10)]
    assert f"leaky: contaminated: leaky {SAID}" in harness("compare", runs).out
    harness("report", runs, "--out", tmp_path / "page.html")
    assert f"<b>leaky</b>: contaminated: leaky {SAID}" in (tmp_path / "page.html").read_text()
    harness("leaderboard", runs, "--out", tmp_path / "site")
    assert SAID in (tmp_path / "site" / "leaderboard.md").read_text()


def test_a_long_answer_under_another_question_is_near() -> None:
    answer = "def area(width, height):\n    return width * height if width > 0 else 0\n" * 2
    seen = seen_rows.from_bytes(seen_rows.digest_rows([("area?", answer)]).to_bytes())
    assert seen_rows.find(seen, [("How large is it?", answer), ("AREA", ""), ("volume", "x")]) == ([1], [0])


def test_of_too_many_rows_some_are_kept_and_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seen_rows, "MAX_EXACT", 8)
    monkeypatch.setattr(seen_rows, "MAX_NEAR", 4)
    seen = seen_rows.digest_rows((f"question {i}", "") for i in range(20))
    assert (len(seen.questions), len(seen.sketches)) == (8, 4)
    assert seen.left_out == "8 of 20 rows are kept for the exact comparison, 4 of 20 rows for the near one"


def test_damaged_digests_are_told(tmp_path: Path) -> None:
    (tmp_path / seen_rows.FILE).write_bytes(b"PK nothing")
    with pytest.raises(UserError, match="it, and nothing is checked"):
        contamination.find(BackendConfig(adapter=str(tmp_path)), [])
