"""A scorer of a user's own, from a file: counts are shown as counts, and where less is better less is better."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from harness import scorers
from harness.results import compare, gate
from harness.results.baseline import Rules, read_baseline
from harness.results.interop import export, readers, trackers
from harness.results.leaderboard.rows import make_rows
from harness.results.report import page, plots
from harness.results.report.sections import make_sections
from harness.runs.store import reader
from harness.schema import Reduce
from harness.stats import paired_tests
from harness.stats.estimates import mean_of, ratio_of_sums
from tests.support.command import harness, rows, write_rows
from tests.support.recordings import write_task

SCORERS = '''"""How long an answer is, and how much of it is wrong. Made for tests."""

from harness.schema import Problem, Score, Scorer
from harness.scorers import PerAnswer
from harness.stats.estimates import mean_of


def count_lines(problem: Problem, answer: str) -> Score:
    return Score(value=float(len(answer.splitlines())))


def count_wrong(problem: Problem, answer: str) -> Score:
    return Score(value=float("y" in answer))


def lines(ks):
    return {"lines": mean_of(unit="number")}


def wrong(ks):
    return {"error_rate": mean_of(lower_is_better=True)}


def lengths(ks):
    return {"length": mean_of(unit="number", lower_is_better=True)}


line_count = Scorer(name="line_count", score=PerAnswer(count_lines), metrics=lines)
error_rate = Scorer(name="error_rate", score=PerAnswer(count_wrong), metrics=wrong)
length = Scorer(name="length", score=PerAnswer(count_lines), metrics=lengths)
percent = Scorer(name="percent", score=PerAnswer(count_lines), metrics=lambda ks: {"percent": mean_of()})
exact = Scorer(name="exact", score=PerAnswer(count_lines), metrics=lines)
'''
NAMES = ("line_count", "error_rate", "length")
N = 30


def write_scorers(folder: Path) -> Path:
    path = folder / "mine.py"
    path.write_text(SCORERS, encoding="utf-8")
    return path


def score(folder: Path, name: str, answers: list[str], *names: str) -> Path:
    """A run of the letters task over these answers, with scorers of mine.py by name."""
    file = write_rows(
        folder / f"{name}.jsonl", [{"task_id": f"letters/{i}", "text": a} for i, a in enumerate(answers)]
    )
    chosen = json.dumps([f"{folder / 'mine.py'}:{each}" for each in names])
    options = ("--set", f"options.problems={len(answers)}", "--set", f"scorers={chosen}")
    ended = harness("score", write_task(folder), "--completions", file, *options, "--out", folder / name)
    assert ended.code == 0, ended.err
    return folder / name


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """`short`: two lines each, 5 of 30 wrong. `long`: three lines each, 25 wrong."""
    folder = tmp_path_factory.mktemp("mine")
    write_scorers(folder)
    short = [f"{'y' if i < 5 else 'x'}\n1" for i in range(N)]
    long = [f"{'y' if i < 25 else 'x'}\n1\n2" for i in range(N)]
    return score(folder, "short", short, *NAMES), score(folder, "long", long, *NAMES)


# ---------------------------------------------------------------- a run


def test_a_count_is_shown_as_it_is_and_a_share_in_percent(pair: tuple[Path, Path]) -> None:
    ended = harness("report", pair[0])
    assert re.search(r"lines +2 +2 to 2 +60 / 30", ended.out)
    assert re.search(r"error_rate +16\.67 +7\.34 to 33\.56 +5 / 30", ended.out)
    csv = harness("report", pair[0], "--format", "csv").out
    assert ",lines,2.0,2.0,2.0," in csv


def test_the_summary_says_it_of_metrics_that_differ_from_a_plain_share_and_of_no_other(
    pair: tuple[Path, Path],
) -> None:
    metrics = json.loads((pair[0] / "summary.json").read_text())["metrics"]
    settings = {name: sorted(set(e) - {"value", "low", "high", "n", "k"}) for name, e in metrics.items()}
    assert settings["em@1"] == []
    assert settings["lines"] == ["unit"]
    assert settings["error_rate"] == ["lower_is_better"]
    assert settings["length"] == ["lower_is_better", "unit"]
    assert (metrics["length"]["unit"], metrics["length"]["lower_is_better"]) == ("number", True)
    assert settings["length[odd]"] == ["lower_is_better", "unit"]


def test_a_share_that_is_none_is_noted(tmp_path: Path) -> None:
    write_scorers(tmp_path)
    run = score(tmp_path, "run", ["x\n1", "y\n1"], "percent")
    notes = json.loads((run / "summary.json").read_text())["notes"]
    assert "percent is 2, not a share of 0 to 1: its scorer has to say unit='number'" in notes


# ---------------------------------------------------------------- compare


def test_compare_knows_what_is_better(pair: tuple[Path, Path]) -> None:
    out = harness("compare", *pair, "--metric", "error_rate", "--metric", "lines", "--metric", "length").out
    rates, counts, lengths = (line for line in out.splitlines() if "+" in line and " long" in line)
    assert re.search(r"83\.33 .* \+66\.67 .* 0 / 20 *$", rates)
    assert re.search(r" 3 .* \+1 .* 30 / 0 *$", counts)
    assert re.search(r" 3 .* \+1 .* 0 / 30 *$", lengths)
    assert "error_rate: minimum detectable difference at 80 % power: " in out
    assert re.search(r"power: [\d.]+ points \(n=30\)", out)


def test_flipped_problems_that_got_worse_come_first(pair: tuple[Path, Path]) -> None:
    found = compare.compare([reader.read(run) for run in pair], ["error_rate"])
    better = compare.compare([reader.read(run) for run in pair[::-1]], ["error_rate"])
    assert next(iter(compare.flips(found, "error_rate"))).after == 1.0
    assert next(iter(compare.flips(better, "error_rate"))).after == 0.0
    (cell,) = better.cells["error_rate"][1:]
    assert cell.difference is not None
    assert (cell.difference.better, cell.difference.worse) == (20, 0)


def test_gains_of_a_corpus_metric_are_those_of_its_value_where_lower_is_better() -> None:
    before, after = np.array([[1.0, 2.0], [1.0, 4.0]]), np.array([[2.0, 8.0], [1.0, 2.0]])
    lower = ratio_of_sums(0, 1, lower_is_better=True)
    assert paired_tests.gains(lower, before, after).tolist() == [0.25, -0.25]
    assert paired_tests.gains(ratio_of_sums(0, 1), before, after).tolist() == [1.0, 0.0]
    assert paired_tests.gains(mean_of(lower_is_better=True), before, after).tolist() == [-1.0, 0.0]
    perplexity = scorers.perplexity.metrics([1])["perplexity"]  # a log-probability, tokens, bytes
    likely, unlikely = np.array([[-1.0, 2.0, 9.0]]), np.array([[-3.0, 2.0, 9.0]])
    assert paired_tests.gains(perplexity, unlikely, likely)[0] > 0


# ---------------------------------------------------------------- gate


def test_a_gate_fails_what_rises_where_lower_is_better(pair: tuple[Path, Path], tmp_path: Path) -> None:
    short, long = pair
    for good, other, code in ((short, long, 1), (long, short, 0)):
        baseline = tmp_path / f"{good.name}.json"
        assert harness("gate", good, "--baseline", baseline, "--write").code == 0
        read = read_baseline(baseline)
        verdict = gate.compare_with_baseline(reader.read(other), read, Rules())
        details = {check.name: (check.passed, check.detail) for check in verdict.checks}
        assert details["error_rate"][0] is (code == 0)
        assert details["length"][0] is (code == 0)
        assert details["lines"][0] is (code == 1)  # more lines are better, as its scorer says
    assert details["error_rate"][1].startswith(
        "-0.6667 [-0.8077, -0.4775] (lower is better), 20 better, 0 worse of 30"
    )


def test_margins_and_floors_know_the_direction(pair: tuple[Path, Path], tmp_path: Path) -> None:
    short, long = pair
    file = tmp_path / "b.json"
    assert harness("gate", short, "--baseline", file, "--write").code == 0
    assert harness("gate", long, "--baseline", file, "--margin", "error_rate=0.9").code == 0
    worse = harness("gate", long, "--baseline", file, "--margin", "error_rate=0.5")
    assert (worse.code, "not shown to be within the margin of 0.5" in worse.out) == (1, True)
    assert harness("gate", long, "--baseline", file, "--margin", "length=1", "--floor", "length=3").code == 0
    assert (
        harness("gate", long, "--baseline", file, "--margin", "length=1", "--floor", "length=2.5").code == 1
    )
    assert harness("gate", long, "--baseline", file, "--margin", "lines=0", "--floor", "lines=2.5").code == 0
    refused = harness("gate", long, "--baseline", file, "--floor", "error_rate=2").complaint
    assert refused == "--floor error_rate=2: a share is 0 to 1; two points are 0.02"


# ---------------------------------------------------------------- leaderboard, page, exports


def test_the_leaderboard_ranks_the_lower_first(pair: tuple[Path, Path], tmp_path: Path) -> None:
    ended = harness("leaderboard", pair[0].parent, "--out", tmp_path / "site", "--metric", "length")
    assert ended.code == 0, ended.err
    table = (tmp_path / "site" / "leaderboard.md").read_text()
    assert re.findall(r"^\| (\d) \| (\w+) \| [^|]* \| (\S+) \|", table, re.M) == [
        ("1", "short", "2"),
        ("2", "long", "3"),
    ]
    (section,) = make_sections([reader.read(run) for run in pair], "length")
    ranked = make_rows([section])
    assert [(row.value, row.rank) for row in ranked] == [(2.0, 1), (3.0, 2)]
    (section,) = make_sections([reader.read(run) for run in pair], "lines")
    assert [(row.value, row.rank) for row in make_rows([section])] == [(3.0, 1), (2.0, 2)]


def test_the_page_shows_counts_as_counts_and_colours_the_better_row(pair: tuple[Path, Path]) -> None:
    (section,) = make_sections([reader.read(run) for run in pair[::-1]], "length")
    html = page.render([section])
    lead, headline = re.findall(r'<p class="answer">(.*?)</p>', html)
    assert lead == "short has length of 2, 1 less than long, which is more than chance explains."
    text = re.sub("<.*?>", "", headline)
    assert text.startswith(
        "Best on length is short with 2 (2 to 2): -1 compared with long, statistically significant"
    )
    assert '<td class="n up">-1</td>' in html
    assert "points" not in text
    assert section.unit == "number"
    assert {"methods"} <= set(plots.all_of(section))


def test_exports_and_trackers_say_the_direction(pair: tuple[Path, Path], tmp_path: Path) -> None:
    run = reader.read(pair[0])
    export.export(run, "lm-eval", tmp_path / "out")
    plain = json.loads((tmp_path / "out" / "results.json").read_text())
    higher = plain["higher_is_better"]["letters"]
    assert (higher["em@1"], higher["lines"], higher["error_rate"], higher["length"]) == (
        True,
        True,
        False,
        False,
    )
    tags = trackers.tracked_run(run).tags
    assert tags["harness.lower_is_better"].startswith("error_rate, error_rate/even, error_rate/odd, length")


def test_an_imported_result_keeps_the_direction_that_its_tool_reported(tmp_path: Path) -> None:
    plain = {
        "results": {"t": {"alias": "t", "word_perplexity,none": 12.5, "acc,none": 0.5, "wer,none": 0.25}},
        "versions": {"t": 1},
        "higher_is_better": {"t": {"word_perplexity": False, "acc": True, "wer": False}},
    }
    file = tmp_path / "results_x.json"
    file.write_text(json.dumps(plain))
    ((found, _),) = readers.read_results(file)
    settings = {name: (m.unit, m.lower_is_better) for name, m in found.metrics.items()}
    assert settings["word_perplexity,none"] == ("number", True)
    assert settings["acc,none"] == ("share", False)
    assert settings["wer,none"] == ("number", True)
    assert found.metrics["acc,none"].model_dump() == {"value": 0.5, "stderr": None}


# ---------------------------------------------------------------- naming a scorer of one's own


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("{mine}:line_coutn", "{mine}: no scorer 'line_coutn'. Did you mean 'line_count'?"),
        ("{mine}:count_lines", "scorer '{mine}:count_lines': expected a harness.schema.Scorer, got function"),
        (
            "{mine}",
            "scorer '{mine}': expected FILE.py:NAME, or a Scorer called scorer in its file",
        ),
        ("{mine}x.py:lines", "no scorer file '{mine}x.py'"),
        ("{broken}:lines", "{broken}: SyntaxError: invalid syntax (broken.py, line 1)"),
        ("{mine}:exact", "scorer 'exact' of mine.py {digest}: the task has one of that name; rename it"),
        ("blue", "no scorer 'blue'. Did you mean 'bleu'?"),
    ],
)
def test_a_scorer_that_cannot_be_loaded_is_one_line(tmp_path: Path, name: str, complaint: str) -> None:
    mine, broken = write_scorers(tmp_path), tmp_path / "broken.py"
    broken.write_text("def (")
    digest = scorers.load_scorers([f"{mine}:line_count"])[0].source.split()[1]
    words = {"mine": mine, "broken": broken, "digest": digest}
    file = write_rows(tmp_path / "a.jsonl", [{"task_id": "letters/0", "text": "x"}])
    chosen = json.dumps([name.format(**words)])
    task = write_task(tmp_path)
    ended = harness(
        "score", task, "--completions", file, "--set", "options.problems=1", "--set", f"scorers={chosen}"
    )
    assert ended.code == 2
    assert ended.complaint.startswith(complaint.format(**words))


def test_two_scorers_of_one_name_are_refused(tmp_path: Path) -> None:
    mine = write_scorers(tmp_path)
    again = mine.rename(tmp_path / "again.py")
    write_scorers(tmp_path)
    with pytest.raises(Exception, match="another one is also named 'line_count'; rename one"):
        scorers.load_scorers([f"{mine}:line_count", f"{again}:line_count"])


def test_a_changed_scorer_file_makes_another_run_that_is_not_comparable(tmp_path: Path) -> None:
    mine = write_scorers(tmp_path)
    first = score(tmp_path, "one", ["x", "y"], "line_count")
    signature = json.loads((first / "summary.json").read_text())["signature"]
    assert re.search(r"\| line_count mine\.py [0-9a-f]{8}$", signature)
    mine.write_text(SCORERS.replace("float(len(answer.splitlines()))", "1.0"))
    second = score(tmp_path, "two", ["x", "y"], "line_count")
    ended = harness("compare", first, second)
    assert ended.code == 4
    assert "cannot be compared: scorers.line_count: " in ended.err
    plain = score(tmp_path, "plain", ["x", "z"])
    assert harness("compare", first, plain).code == 0  # the metrics that both have


def test_a_run_without_such_scorers_has_the_record_that_it_had(
    pair: tuple[Path, Path], tmp_path: Path
) -> None:
    write_scorers(tmp_path)
    record = json.loads((score(tmp_path, "run", ["x"], "line_count") / "run.json").read_text())
    assert list(record["scorers"]) == ["line_count"]
    plain = json.loads((score(tmp_path, "plain", ["x"]) / "run.json").read_text())
    assert "scorers" not in plain
    assert len(rows(tmp_path / "run" / "judgements.jsonl")) == 2


def test_an_installed_package_offers_scorers_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_scorers(tmp_path).rename(tmp_path / "their_scorers.py")
    info = tmp_path / "their_package-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: their-package\nVersion: 1.2\n")
    points = "lines_of_theirs = their_scorers:line_count\nlost = their_scorers:nothing\n"
    (info / "entry_points.txt").write_text(f"[harness.scorers]\n{points}")
    monkeypatch.syspath_prepend(str(tmp_path))
    (found,) = scorers.load_scorers(["lines_of_theirs"])
    assert (found.name, found.source) == ("line_count", "their-package 1.2")
    with pytest.raises(Exception, match=r"scorer 'lost' \(their_scorers:nothing\): "):
        scorers.load_scorers(["lost"])
    with pytest.raises(Exception, match=r"no scorer 'lines_of_their'\. Did you mean 'lines_of_theirs'"):
        scorers.load_scorers(["lines_of_their"])


def test_a_reduce_says_by_itself_what_it_is() -> None:
    assert (Reduce(lambda s: s[0]).unit, Reduce(lambda s: s[0]).lower_is_better) == ("share", False)
    known = {
        name: reduce
        for scorer in scorers.builtin_scorers().values()
        for name, reduce in scorer.metrics([1]).items()
    }
    assert {name for name, reduce in known.items() if reduce.unit == "number"} == {
        *("perplexity", "bits_per_byte", "reference_logprob", "train_overlap.longest", "ves", "r_ves")
    }
    assert {name for name, reduce in known.items() if reduce.lower_is_better} == {
        *("perplexity", "bits_per_byte", "ast_similarity.excluded"),
        *("train_overlap", "train_overlap.answers", "train_overlap.copies", "train_overlap.longest"),
    }
