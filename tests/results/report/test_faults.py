"""Runs that could not be judged, wholly or in part, and programs that name their exceptions as they like."""

from pathlib import Path
from typing import Any

import pytest

from harness.errors import ConfigError
from harness.results import compare
from harness.results.leaderboard import rows
from harness.results.report import page, samples, sections
from harness.runs.store import reader
from harness.runs.store.reader import Result
from tests.support.recordings import edit, edit_rows, make


def broken(out: Path, lost: set[int], **config: Any) -> Result:
    """A run in which the samples of these problems could not be judged; of all 40 no metric is left."""
    run = make(out, range(20), **config)
    names = {f"letters/{i}" for i in lost}

    def fail(judged: list[dict[str, Any]]) -> None:
        for row in judged:
            if row["problem_id"] in names:
                row.update(status="fault", score=None, error="the judge fell over")

    edit_rows(run / "judgements.jsonl", fail)
    edit(run / "summary.json", lambda plain: plain.update(errors=len(lost)))
    if len(lost) == 40:
        edit(run / "summary.json", lambda plain: plain.update(metrics={}))
    return reader.read(run)


@pytest.mark.parametrize("ranked", [False, True])
def test_a_run_that_could_not_be_judged_takes_nothing_from_the_others(tmp_path: Path, ranked: bool) -> None:
    good = [reader.read(make(tmp_path / name, range(n))) for name, n in (("a", 30), ("b", 9))]
    failed = broken(tmp_path / "failed", set(range(40)))
    (alone,) = sections.make_sections(good, ranked=ranked)
    (section,) = sections.make_sections([failed, *good], ranked=ranked)
    assert [row.name for row in section.rows] == ["a", "b"]
    assert section.cells == alone.cells
    assert [row.name for row in section.set_apart] == ["failed"]
    assert section.runs[-1].folder == failed.folder
    shown = page.render([section])
    assert "no em@1: no sample could be judged" in shown
    assert "No sample could be judged." not in shown
    assert [row.value for row in rows.make_rows([section])] == [0.75, 0.225]
    assert rows.fault_notes(section) == ["failed: no em@1: no sample could be judged"]
    with pytest.raises(ConfigError, match="no sample of it could be judged"):
        compare.compare([failed, *good])


def test_a_page_of_nothing_but_failed_runs_says_so(tmp_path: Path) -> None:
    failed = [broken(tmp_path / name, set(range(40))) for name in "ab"]
    (section,) = sections.make_sections(failed)
    assert not section.set_apart
    assert page.lead([section]) == "No sample could be judged."
    assert page.render([section]).count("no metrics: no sample could be judged") == 2


def test_a_seed_that_could_not_be_judged_is_told_from_the_others(tmp_path: Path) -> None:
    for seed in (3, 4):
        make(tmp_path / "one", range(20), seed=seed).rename(tmp_path / f"seed{seed}")
    broken(tmp_path / "one", set(range(40)), seed=5)
    found = [reader.read(path) for path in sorted(tmp_path.iterdir()) if path.is_dir()]
    (section,) = sections.make_sections(found)
    names = sections.run_names([section])
    assert len(set(names)) == len(names) == 3
    assert names[-1].endswith(", seed 5")


def test_in_a_ranking_one_runs_faults_take_no_problem_from_the_others(tmp_path: Path) -> None:
    """A metric in which a fault cannot count as a failed sample: a report leaves out problems, a ranking the run."""
    config = {"scorers": ["bleu"]}
    good = [reader.read(make(tmp_path / n, range(k), **config)) for n, k in (("a", 30), ("b", 9))]
    part = broken(tmp_path / "part", {0, 1, 2}, **config)
    (alone,) = sections.make_sections(good, "bleu", ranked=True)
    (ranked,) = sections.make_sections([*good, part], "bleu", ranked=True)
    assert ranked.cells == alone.cells
    assert rows.fault_notes(ranked) == ["part: not ranked: 3 problems could not be judged"]
    (shown,) = sections.make_sections([*good, part], "bleu")
    assert not shown.set_apart
    assert {cell.estimate.n for cell in shown.cells} == {37}
    (alike,) = sections.make_sections([part], "bleu", ranked=True)
    assert "3 of 40 problems are left out" in " ".join(rows.fault_notes(alike))
    (row,) = rows.make_rows([alike])
    assert row.remarks[0].endswith("could not be judged and are left out")
    (row,) = rows.make_rows(sections.make_sections([part], "em@1", ranked=True))
    assert row.remarks[0].endswith("could not be judged and count as failed")


# ---------------------------------------------------------------- names of exceptions


def test_programs_that_each_raise_another_exception_leave_a_page(tmp_path: Path) -> None:
    """500 names on one page: the samples' column holds them, the menu a hundred, a long name is cut."""
    run = make(tmp_path / "run", lambda i, j: i < 2, problems=500)

    def raised(judged: list[dict[str, Any]]) -> None:
        for i, row in enumerate(judged):
            if i >= 2:
                row.update(status="error", error=f"Error{i}{'x' * 500}: no")

    edit_rows(run / "judgements.jsonl", raised)
    result = reader.read(run)
    assert page.render(sections.make_sections([result]))
    kinds, values = samples._fold([*(f"error: E{i}" for i in range(300)), "correct"], [*range(300), 7, 300])
    assert len(kinds) == samples.MAX_KINDS
    assert {"correct", "error: E7", "other"} <= set(kinds)
    assert kinds[values[7]] == "error: E7"
    assert kinds[values[-1]] == "correct"
    assert kinds[values[299]] == "other"
    assert max(map(len, sections.sample_outcomes(sections.make_sections([result])[0].rows[0]))) < 100
