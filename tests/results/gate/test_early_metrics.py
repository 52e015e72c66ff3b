"""What a part says of metrics of each kind, and of clusters of unequal sizes."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from harness.config.load import parse
from harness.results.baseline import Rules, make_baseline
from harness.results.early_stop import early_difference
from harness.results.gate import UntilClear, compare_with_baseline
from harness.runs import looks, run
from harness.runs.store import reader
from harness.stats.estimates import mean_of, ratio_of_sums
from harness.stats.paired_tests import Design, paired_difference
from harness.stats.sequential import EARLY, bounds
from tests.support.command import write_rows

N = 200
TASK = f'''"""Letters in clusters, with metrics of each kind. Made for tests."""

from dataclasses import replace

from harness.schema import Card, Problem, Reference, Sampling, Score, Scorer, Task, Template
from harness.scorers.per_answer import PerAnswer
from harness.stats.estimates import mean_of, ratio_of_sums


def judge(problem, answer):
    right = float(answer == "right")
    return Score(value=right, stats=(1 - right, 5 * right, right, 1.0))


own = Scorer(name="own", score=PerAnswer(judge), metrics=lambda ks: {{
    "wrong": mean_of(1, lower_is_better=True),
    "points": mean_of(2, unit="number"),
    "ratio": ratio_of_sums(3, 4),
    "pairs": replace(mean_of(), over=lambda name: f"p/{{int(name[2:]) // 2 * 2:03}}"),
}})


def task(large: str = "") -> Task:
    def load(split, source):
        for i in range({N}):
            cluster = (large if i >= 188 else f"c{{i // 4}}") if large else ""
            yield Problem(id=f"p/{{i:03}}", question=f"say {{i}}", solution="right", check=Reference(texts=("right",)),
                          cluster=cluster)

    return Task(
        name="kinds", version=1, load=load, extract=lambda problem, completion: completion.text,
        templates=(Template(name="plain", style="plain"),), scorers=(own,), sampling=Sampling(max_tokens=8),
        card=Card(title="", paper="", licence="", url="", sizes={{"test": {N}}}, setting=""),
    )
'''


def recorded(folder: Path, name: str, wrong: int, **more: object) -> reader.Result:
    """A run whose first `wrong` of each ten answers are wrong."""
    (folder / "kinds.py").write_text(TASK)
    said = [{"task_id": f"p/{i:03}", "text": "wrong" if i % 10 < wrong else "right"} for i in range(N)]
    path = write_rows(folder / f"{name}.jsonl", said)
    plain = {
        "task": str(folder / "kinds.py"),
        "backend": {"kind": "replay", "path": str(path)},
        "options": more,
    }
    enough = None
    if name != "good":
        enough = UntilClear(make_baseline(reader.read(folder / "good"), Rules(margins={"wrong": 0.05})))
    return reader.read(run.run(parse(plain), folder / name, enough=enough)[0])


def test_more_of_what_less_is_better_is_a_loss_and_what_is_no_mean_of_shares_is_open(tmp_path: Path) -> None:
    good = recorded(tmp_path, "good", 0)
    worse = recorded(tmp_path, "worse", 4)
    assert worse.summary.notes[0].startswith("partial: stopped by --until-clear")
    verdict = compare_with_baseline(worse, make_baseline(good, Rules()), Rules(margins={"wrong": 0.05}))
    assert verdict.outcome == "regression"
    assert "(lower is better)" in verdict.checks[1].detail
    assert "a loss beyond the margin" in verdict.checks[1].detail
    (tmp_path / "turned").mkdir()
    recorded(tmp_path / "turned", "good", 4)
    better = recorded(tmp_path / "turned", "better", 0)
    baseline = make_baseline(reader.read(tmp_path / "turned/good"), Rules())
    assert compare_with_baseline(better, baseline, Rules(margins={"wrong": 0.05})).outcome == "passed"
    details = {
        check.name: check
        for check in compare_with_baseline(worse, make_baseline(good, Rules()), Rules()).checks
    }
    for name in ("points", "ratio", "pairs"):
        assert details[name].undecided
        assert details[name].detail == "no mean of values in 0 to 1: open till the end"


def test_a_cluster_that_is_still_to_come_is_reckoned_with_by_its_size(tmp_path: Path) -> None:
    clusters = {f"p/{i:03}": f"c{i // 4}" for i in range(188)}
    large = next(
        name
        for name in ("b", *(f"c{n}a" for n in range(47)))
        if looks.drawn_units({**clusters, **{f"p/{i}": name for i in range(188, N)}})[-1][0] == "p/188"
    )
    good = recorded(tmp_path, "good", 0, large=large)
    part = recorded(tmp_path, "worse", 9, large=large)
    assert part.summary.notes[0].startswith("partial: stopped by --until-clear")
    seen = Counter(part.clusters[name] for name in part.samples)
    assert set(seen.values()) == {4}
    found = early_difference(part, make_baseline(good, Rules()), "wrong", EARLY)
    assert found is not None
    units = [unit for unit in looks.drawn_units(part.clusters) if unit[0] in part.samples]
    gaps = np.array([float(sum(int(name[2:]) % 10 < 9 for name in unit)) for unit in units])
    low, high = bounds(gaps, np.full(len(units), 4.0), 12.0, EARLY)
    assert (found.low, found.high) == pytest.approx((low, high))
    assert (low, high) != pytest.approx(bounds(gaps, np.full(len(units), 4.0), 4.0, EARLY))


@pytest.mark.parametrize("ratio", [False, True])
def test_every_interval_of_a_difference_has_the_designs_level(ratio: bool) -> None:
    rng = np.random.default_rng(0)
    a, b = (np.column_stack([rng.integers(0, 2, 60), rng.integers(1, 5, 60)]).astype(float) for _ in "ab")
    reduce = ratio_of_sums(0, 1) if ratio else mean_of()
    for clusters in (None, [i // 4 for i in range(60)]):
        one, wider = (
            paired_difference(reduce, a, b, Design(clusters=clusters, level=level)) for level in (0.05, 0.01)
        )
        assert wider.low < one.low - 0.003
        assert one.high + 0.003 < wider.high
