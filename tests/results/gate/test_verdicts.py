"""`harness gate`: a regression is caught, too few problems are no pass; the verdict for programs; the smoke subset."""

import json
import random
import re
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from junitparser import Failure, JUnitXml

from harness.errors import ConfigError
from harness.results import gate, smoke
from harness.results.baseline import read_ids
from harness.runs.store import reader
from harness.stats.estimates import mean_of
from harness.stats.paired_tests import Design, paired_difference
from tests.support.command import harness
from tests.support.parts.gated_runs import N, judged, right
from tests.support.paths import ROOT
from tests.support.recordings import edit_rows, make


def test_the_same_answers_pass_where_so_many_problems_can_tell(runs: Path) -> None:
    for more in ((), ("--margin", "em@1=0.03")):
        ended = judged(runs / "good", runs, *more)
        assert ended.code == 0
    assert "ok   em@1: equal on each of 164 problems" in judged(runs / "good", runs).out


def test_nothing_flipped_on_too_few_problems_is_no_pass(runs: Path, tmp_path: Path) -> None:
    """Nothing flipped of 164 leaves a loss of z^2 / (164 + z^2) = 2.29 points open."""
    ended = judged(runs / "good", runs, "--margin", "em@1=0.02", "--junit", tmp_path / "gate.xml")
    assert ended.code == 4
    assert (
        "FAIL em@1: +0.0000 [-0.0229, +0.0229], 0 better, 0 worse of 164: too few to tell, a loss of up to 0.0229 is"
        " open and the margin is 0.02 (about 193 problems can tell, if nothing is lost); minimum detectable difference"
        " at 80 % power: 4.79 points (n=164)" in ended.out
    )
    assert ended.out.splitlines()[-1].startswith("too few to tell: ")
    assert "too few to tell" in (tmp_path / "gate.xml").read_text()


def test_a_handful_of_problems_can_show_no_loss_even_without_a_margin(tmp_path: Path) -> None:
    few = make(tmp_path / "few", {0, 1, 2}, problems=4)
    assert harness("gate", few, "--baseline", tmp_path / "few.json", "--write").code == 0
    ended = harness("gate", few, "--baseline", tmp_path / "few.json")
    assert ended.code == 4
    assert "too few to tell, 4 problems: a loss on each of them would have p 0.1875" in ended.out


@pytest.mark.parametrize(
    ("margin", "losses", "gains"), [(0.02, 0.06, 0.04), (0.05, 0.05, 0.0), (0.05, 0.1, 0.05)]
)
def test_a_true_loss_of_the_margin_passes_one_time_in_forty(
    margin: float, losses: float, gains: float
) -> None:
    rng = np.random.default_rng(11)
    reduce, passed = mean_of(), 0
    for lost, gained, _ in rng.multinomial(164, [losses, gains, 1 - losses - gains], size=2000):
        b = np.concatenate([np.zeros(lost), np.ones(164 - lost)])
        a = np.concatenate([np.ones(164 - gained), np.zeros(gained)])
        gap = paired_difference(reduce, a[:, None], b[:, None], Design(single=True))
        passed += gate._margin_check("em@1", margin, gap, 1.0, reduce).passed
    assert passed / 2000 <= 0.025 + 2 * (0.025 * 0.975 / 2000) ** 0.5


def test_a_planted_regression_of_5_points_is_caught(runs: Path) -> None:
    ended = judged(runs / "worse", runs)
    assert ended.code == 1
    assert "FAIL em@1: -0.0488 [" in ended.out
    assert "0 better, 8 worse of 164, p 0.0117 (McNemar mid-p, Holm; exact 0.0078)" in ended.out
    assert ended.out.splitlines()[-1].startswith("regression: ")


def test_noise_and_progress_pass_without_a_margin(runs: Path) -> None:
    assert judged(runs / "noisy", runs).code == 0
    assert judged(runs / "better", runs).code == 0


def test_a_margin_asks_for_the_whole_interval_and_says_what_could_be_found(runs: Path) -> None:
    ended = judged(runs / "noisy", runs, "--margin", "em@1=0.02")
    assert ended.code == 4
    assert (
        "+0.0000 [-0.0402, +0.0402], 4 better, 4 worse of 164: too few to tell, a loss of up to 0.0402 is open and the"
        " margin is 0.02 (about 664 problems can tell, if nothing is lost); minimum detectable difference at 80 %"
        " power: 7.80 points (n=164)" in ended.out
    )
    worse = judged(runs / "worse", runs, "--margin", "em@1=0.04")
    assert worse.code == 1
    assert "8 worse of 164: not shown to be within the margin of 0.04" in worse.out
    assert judged(runs / "noisy", runs, "--margin", "em@1=0.05").code == 0
    assert judged(runs / "better", runs, "--margin", "em@1=0.02").code == 0


def test_what_can_tell_is_counted_in_clusters_where_the_task_has_them(tmp_path: Path) -> None:
    run = make(tmp_path / "run", right(20))
    edit_rows(
        run / "problems.jsonl", lambda rows: [row | {"cluster": f"db{i // 4}"} for i, row in enumerate(rows)]
    )
    harness("gate", run, "--baseline", tmp_path / "b.json", "--write")
    ended = harness("gate", run, "--baseline", tmp_path / "b.json", "--margin", "em@1=0.02")
    assert re.search(
        r"of 40: too few to tell, .* \(about \d+ clusters can tell, if nothing is lost\)", ended.out
    )


def test_floors_and_ceilings_are_absolute(runs: Path) -> None:
    assert judged(runs / "good", runs, "--floor", "em@1=0.6").code == 0
    assert judged(runs / "good", runs, "--floor", "em@1=0.62").code == 1
    assert judged(runs / "good", runs, "--ceiling", "prompt_tokens=5").code == 0
    assert judged(runs / "good", runs, "--ceiling", "prompt_tokens=4.9").code == 1
    assert (
        "prompt_tokens ceiling: 5.0 per sample"
        in judged(runs / "good", runs, "--ceiling", "prompt_tokens=9").out
    )


def test_a_ceiling_on_what_nobody_counted_does_not_pass(runs: Path) -> None:
    assert (
        "no cost 'prompt_tokens'. Known: none."
        in judged(runs / "better", runs, "--ceiling", "prompt_tokens=5").complaint
    )


def test_rules_in_the_baseline_hold_until_the_command_line_says_otherwise(runs: Path, tmp_path: Path) -> None:
    file = tmp_path / "strict.json"
    harness(
        "gate", runs / "good", "--baseline", file, "--write", "--margin", "em@1=0.01", "--floor", "em@1=0.5"
    )
    assert harness("gate", runs / "noisy", "--baseline", file).code == 4
    assert harness("gate", runs / "noisy", "--baseline", file, "--margin", "em@1=0.05").code == 0


def test_shuffled_rows_change_nothing(runs: Path, fresh: Path, tmp_path: Path) -> None:
    noisy = make(tmp_path / "noisy", (right() - set(range(4))) | {150, 151, 152, 153}, problems=N)
    before = judged(noisy, runs, "--margin", "em@1=0.02")
    for name in ("generations.jsonl", "judgements.jsonl", "problems.jsonl"):
        edit_rows(noisy / name, lambda rows: random.Random(3).sample(rows, len(rows)))
    assert judged(noisy, runs, "--margin", "em@1=0.02") == before
    harness("gate", noisy, "--baseline", tmp_path / "one.json", "--write")
    text = (tmp_path / "one.json").read_text()
    for name in ("generations.jsonl", "judgements.jsonl"):
        edit_rows(noisy / name, lambda rows: random.Random(4).sample(rows, len(rows)))
    harness("gate", noisy, "--baseline", tmp_path / "two.json", "--write")
    assert (tmp_path / "two.json").read_text() == text


def test_junit_markdown_and_annotations_say_the_same(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "step.md"))
    ended = judged(runs / "worse", runs, "--junit", tmp_path / "g.xml", "--summary", tmp_path / "g.md")
    assert ended.code == 1
    (suite,) = JUnitXml.fromfile(str(tmp_path / "g.xml"))
    assert (suite.tests, suite.failures, suite.errors) == (4, 3, 0)
    ends = {case.name: case.result for case in suite}
    assert ends["comparable"] == []
    (failed,) = ends["em@1"]
    assert (type(failed), failed.type) == (Failure, "regression")
    assert "8 worse of 164" in failed.message
    assert failed.text.splitlines() == [f"letters/{i}" for i in range(8)]
    markdown = (tmp_path / "g.md").read_text()
    assert markdown.startswith("### harness gate, letters: regression\n")
    assert "got worse: letters/0, letters/1" in markdown
    assert (tmp_path / "step.md").read_text() == markdown
    lines = [line for line in ended.out.splitlines() if line.startswith("::")]
    assert len(lines) == 3
    assert lines[0].startswith("::error title=harness gate%3A letters em@1::regression: -0.0488")


def test_a_hostile_name_breaks_neither_xml_nor_annotations() -> None:
    from harness.results.report import ci

    nasty = 'a\x1b]0;x\x07<b>&"\n::error::'
    verdict = gate.GateVerdict(nasty, nasty, nasty, "fault", (gate.Check(nasty, False, nasty),))
    root = ElementTree.fromstring(ci.junit(verdict).encode())
    assert root[0].get("errors") == "1"
    assert all(line.count("\n") == 0 and line.startswith("::error") for line in ci.annotations(verdict))
    assert "\x1b" not in ci.junit(verdict) + ci.markdown(verdict) + "".join(ci.lines(verdict))


def test_a_subset_is_stratified_and_says_what_it_can_find(runs: Path, tmp_path: Path) -> None:
    read = reader.read(runs / "good")
    subset = smoke.subset(read, 41)
    assert len(subset.problems) == 41
    assert subset == smoke.subset(read, 41)
    assert subset.problems != smoke.subset(read, 41, seed=1).problems
    numbers = [int(name.rpartition("/")[2]) for name in subset.problems]
    strata = Counter((number % 2, number < 100) for number in numbers)
    shares = {(0, True): 12.5, (1, True): 12.5, (0, False): 8, (1, False): 8}
    assert all(abs(strata[key] - share) < 1 for key, share in shares.items())
    # (1.96 + 0.84) sqrt(0.1 / 41)
    assert subset.detectable == pytest.approx(0.13836, abs=1e-4)
    file = tmp_path / "smoke.json"
    ended = harness("gate", runs / "good", "--baseline", file, "--write", "--smoke", 41)
    assert (
        "41 of 164 problems from 4 strata; minimum detectable difference at 80 % power: 13.84 points (n=41)"
        in ended.out
    )
    assert harness("gate", runs / "good", "--baseline", file).code == 0
    chosen = read_ids(file)
    part = make(
        tmp_path / "part",
        right(),
        problems=N,
        only=chosen,
        backend={"path": str(_only(runs, tmp_path, chosen))},
    )
    assert reader.read(part).summary.problems == 41
    assert harness("gate", part, "--baseline", file).code == 0
    assert harness("gate", part, "--baseline", runs / "b.json").code == 3
    with pytest.raises(ConfigError, match="--smoke 0"):
        smoke.subset(read, 0)


def _only(runs: Path, folder: Path, chosen: list[str]) -> Path:
    rows = [json.loads(line) for line in (runs / "good.jsonl").read_text().splitlines()]
    path = folder / "some.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows if row["task_id"] in chosen))
    return path


def test_an_unknown_problem_is_named(tmp_path: Path) -> None:
    (tmp_path / "ids").write_text("HumanEval/0\nHumanEval/x\n")
    ended = harness(
        "run", "--task", "humaneval", "--data", "mini", "--model", "m", "--only", tmp_path / "ids"
    )
    assert "only: no problem" in ended.complaint


@pytest.mark.parametrize("task", ["humaneval", "conala"])
def test_the_committed_baseline_of_the_mini_suite_holds(task: str, tmp_path: Path) -> None:
    """What `make gate` does in CI. After a change that is meant, `make baseline` makes it anew."""
    folder = ROOT / "results" / "baselines"
    recorded = ("--data", "mini", "--completions", folder / f"{task}.jsonl", "--out", tmp_path / task)
    assert harness("score", task, *recorded, "--workers", 1).code == 0
    ended = harness("gate", tmp_path / task, "--baseline", folder / f"{task}.json")
    assert ended.code == 0, ended.out
    assert " equal on each of " in ended.out
