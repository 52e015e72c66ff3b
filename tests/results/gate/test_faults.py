"""What never passes the gate: a fault, a lost row or sample, other conditions; and what is refused as input."""

import json
from pathlib import Path
from typing import Any

import pytest
from junitparser import Error, JUnitXml

from harness import __version__
from tests.support.command import harness
from tests.support.parts.gated_runs import N, judged, right
from tests.support.paths import ROOT
from tests.support.recordings import edit, edit_rows, make


def test_a_sandbox_fault_ends_in_3(runs: Path, fresh: Path) -> None:
    edit_rows(fresh / "judgements.jsonl", lambda rows: rows[5].update(status="fault", score=None))
    ended = judged(fresh, runs)
    assert ended.code == 3
    assert "FAIL comparable: 1 samples could not be judged" in ended.out


@pytest.mark.parametrize("name", ["generations.jsonl", "judgements.jsonl"])
def test_a_lost_row_ends_in_3(runs: Path, fresh: Path, name: str, tmp_path: Path) -> None:
    edit_rows(fresh / name, lambda rows: rows[:-1])
    ended = judged(fresh, runs, "--junit", tmp_path / "gate.xml")
    assert ended.code == 3
    assert "lost" in ended.out
    (suite,) = JUnitXml.fromfile(str(tmp_path / "gate.xml"))
    assert (suite.errors, suite.failures) == (1, 0)
    assert [type(end) for case in suite for end in case.result] == [Error]


def test_a_lost_problem_ends_in_3_even_where_the_summary_agrees(
    runs: Path, fresh: Path, tmp_path: Path
) -> None:
    for name in ("generations.jsonl", "judgements.jsonl"):
        edit_rows(fresh / name, lambda rows: rows[:-1])
    edit(fresh / "summary.json", lambda plain: plain.update(samples=N - 1, problems=N - 1))
    assert judged(fresh, runs).code == 3
    short = make(tmp_path / "short", right(), problems=N, limit=None)
    path = tmp_path / "short.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    ended = harness(
        *(
            "score",
            tmp_path / "letters.py",
            "--completions",
            path,
            "--partial",
            "--out",
            tmp_path / "partial",
        ),
        *("--set", f"options.problems={N}"),
    )
    assert ended.code == 0, ended.err
    ended = judged(tmp_path / "partial", runs)
    assert ended.code == 3
    assert "partial: 163 of 164" in ended.out
    assert short.is_dir()


def test_a_lost_sample_of_several_ends_in_3(tmp_path: Path) -> None:
    whole = make(tmp_path / "whole", right(20), samples=3)
    harness("gate", whole, "--baseline", tmp_path / "b.json", "--write")
    for name in ("generations.jsonl", "judgements.jsonl"):
        edit_rows(whole / name, lambda rows: rows[:-1])
    edit(whole / "summary.json", lambda plain: plain.update(samples=119))
    ended = harness("gate", whole, "--baseline", tmp_path / "b.json")
    assert ended.code == 3
    assert "1 problems have fewer samples than in the baseline: letters/39" in ended.out


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"prompt": "other"}, "prompt: "),
        ({"options": {"version": 2}}, "task.version: 1 in the baseline, 2 now"),
        ({"split": "train"}, 'split: "test" in the baseline, "train" now'),
    ],
)
def test_other_conditions_end_in_4(runs: Path, tmp_path: Path, change: dict[str, Any], line: str) -> None:
    ended = judged(make(tmp_path / "other", right(), problems=N, **change), runs)
    assert ended.code == 4
    assert line in ended.out
    assert ended.out.splitlines()[-1].startswith("not comparable: ")


def test_one_changed_prompt_ends_in_4(runs: Path, fresh: Path) -> None:
    edit_rows(fresh / "generations.jsonl", lambda rows: rows[7].update(prompt_sha="0" * 16))
    ended = judged(fresh, runs)
    assert ended.code == 4
    assert "different prompts for 1 of 164 problems: letters/7" in ended.out


def test_a_fault_comes_before_a_prompt(runs: Path, fresh: Path) -> None:
    edit_rows(fresh / "generations.jsonl", lambda rows: rows[7].update(prompt_sha="0" * 16))
    edit_rows(fresh / "judgements.jsonl", lambda rows: rows[5].update(status="fault", score=None))
    assert judged(fresh, runs).code == 3


def test_baselines_that_cannot_be_read_are_the_users_mistake(runs: Path, tmp_path: Path) -> None:
    file = tmp_path / "b.json"
    assert "no baseline file" in harness("gate", runs / "good", "--baseline", file).complaint
    file.write_text("[]")
    assert "is not a baseline file" in harness("gate", runs / "good", "--baseline", file).complaint
    file.write_text((runs / "b.json").read_text().replace('"format": 1', '"format": 2'))
    complaint = harness("gate", runs / "good", "--baseline", file).complaint
    assert f"has format 2, written by harness {__version__}" in complaint
    assert "upgrade" in complaint
    file.write_text(json.dumps({"format": 1, "harness": "0"}))
    assert (
        "damaged baseline (run_id: field required)"
        in harness("gate", runs / "good", "--baseline", file).complaint
    )


@pytest.mark.parametrize(
    ("more", "text"),
    [
        (("--margin", "em@1"), "expected NAME=NUMBER, for example pass@1=0.02"),
        (("--margin", "em@1=-1"), "expected NAME=NUMBER"),
        (("--margin", "em@1=nan"), "expected NAME=NUMBER"),
        (("--margin", "em@1=2"), "a share is 0 to 1; two points are 0.02"),
        (("--margin", "em@2=0.1"), "no metric 'em@2'. Did you mean 'em@1'?"),
        (("--ceiling", "prompt_token=9"), "no cost 'prompt_token'. Did you mean 'prompt_tokens'?"),
        (("--smoke", "5"), "add --write"),
        (("--junit", "/nowhere/x.xml"), "cannot be written"),
    ],
)
def test_rules_that_cannot_be_meant_are_refused(runs: Path, more: tuple[str, ...], text: str) -> None:
    assert text in judged(runs / "good", runs, *more).complaint


def test_no_baseline_is_made_of_a_run_with_faults_or_of_a_part(fresh: Path, tmp_path: Path) -> None:
    edit_rows(fresh / "judgements.jsonl", lambda rows: rows[5].update(status="fault", score=None))
    assert (
        "cannot be a baseline"
        in harness("gate", fresh, "--baseline", tmp_path / "b.json", "--write").complaint
    )
    assert not (tmp_path / "b.json").exists()


def test_a_run_under_another_python_is_not_comparable(tmp_path: Path) -> None:
    folder = ROOT / "results" / "baselines"
    recorded = ("--data", "mini", "--completions", folder / "humaneval.jsonl", "--out", tmp_path)
    assert harness("score", "humaneval", *recorded, "--workers", 1).code == 0
    edit(tmp_path / "run.json", lambda plain: plain["judge"]["versions"].update(python="3.14.2"))
    ended = harness("gate", tmp_path, "--baseline", folder / "humaneval.json")
    assert ended.code == 4
    assert 'judge.python: "3.11" in the baseline, "3.14" now' in ended.out


def test_a_sampling_field_that_a_newer_version_adds_is_no_other_condition(runs: Path, fresh: Path) -> None:
    edit(fresh / "run.json", lambda plain: plain["sampling"].pop("count_penalty", None))
    edit(fresh / "run.json", lambda plain: plain["sampling"].pop("repetition_penalty", None))
    assert judged(fresh, runs).code == 0
    edit(fresh / "run.json", lambda plain: plain["sampling"].update(max_tokens=99))
    assert judged(fresh, runs).code == 4
