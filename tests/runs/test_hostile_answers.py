"""Answers that are aimed at the judge count as what they are: three of six stay three of six.

Each of these once made the judge fault, and a fault takes its problem out of the metric: with three wrong answers 3/6
were right, with three hostile ones 3/3.
"""

import json
from pathlib import Path

import pytest

from tests.support.command import harness, rows, write_rows
from tests.support.paths import ROOT

HOSTILE = ROOT / "tests/sandbox/hostile"
NAMES = ("last_words_of_many_digits", "last_words_without_end", "last_words_of_many_megabytes")
SIX = [row for row in rows(ROOT / "tasks/mini/apps/test.jsonl") if not row["starter_code"]][:6]


@pytest.mark.parametrize("isolation", ["namespaces", "landlock"])
def test_hostile_answers_turn_no_three_of_six_into_three_of_three(isolation: str, tmp_path: Path) -> None:
    right = [json.loads(row["solutions"])[0] for row in SIX[:3]]
    others = {
        "wrong": ["print('no')"] * 3,
        "hostile": [(HOSTILE / f"{name}.py").read_text(encoding="utf-8") for name in NAMES],
    }
    found = {}
    for name, answers in others.items():
        said = [
            {"task_id": f"apps/test/{row['id']}", "completion": code}
            for row, code in zip(SIX, right + answers, strict=True)
        ]
        (tmp_path / "data" / "apps").mkdir(parents=True, exist_ok=True)
        write_rows(tmp_path / "data" / "apps" / "test.jsonl", SIX)
        path = write_rows(tmp_path / f"{name}.jsonl", said)
        out = tmp_path / name
        ended = harness(
            "score", "apps", "--data", tmp_path / "data", "--completions", path, "--out", out, "--workers", 1,
            "--sandbox", isolation, "--extract", "verbatim", "--set", "options.setting=full",
        )  # fmt: skip
        assert ended.code == 0, ended
        found[name] = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    assert found["hostile"]["metrics"] == found["wrong"]["metrics"]
    whole = found["hostile"]["metrics"]["pass@1"]
    assert (whole["value"], whole["k"], whole["n"]) == (0.5, 3, 6)
    assert [(summary["errors"], summary["notes"]) for summary in found.values()] == [(0, [])] * 2
