"""Models by tasks: win rates counted by hand, versions in order, a Pareto front that nothing beats."""

import datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.results.leaderboard import matrix
from harness.results.leaderboard.rows import LeaderboardRow
from harness.results.leaderboard.submissions import ModelCard
from harness.stats import paired_tests
from harness.stats.estimates import mean_of


def row(
    task: str, model: str, value: float, rank: int = 1, lower: bool = False, **card: object
) -> LeaderboardRow:
    made = ModelCard.model_validate({"name": model, **card}) if card else None
    return LeaderboardRow(task, "m", model, "zero-shot", value, rank=rank, lower_is_better=lower, card=made)


def test_the_mean_win_rate_is_as_counted_by_hand() -> None:
    rows = [
        row("one", "a", 0.9), row("one", "b", 0.5), row("one", "c", 0.5),
        row("two", "a", 7.0, lower=True), row("two", "b", 3.0, lower=True),
        row("three", "d", 1.0), row("one", "paper", 0.99, rank=0),
    ]  # fmt: skip
    found = {one.name: one.win_rate for one in matrix.model_rows(rows)}
    assert found == {"a": 0.5, "b": (0.25 + 1) / 2, "c": 0.25, "d": None}
    assert list(found) == ["b", "a", "c", "d"]


def test_versions_of_a_model_stand_in_order_of_their_dates() -> None:
    rows = [
        row("t", "new", 0.5, version_of="m", date=datetime.date(2026, 2, 1)),
        row("t", "undated", 0.5, version_of="m"),
        row("t", "old", 0.5, version_of="m", date=datetime.date(2025, 2, 1)),
        row("t", "alone", 0.5, version_of="n"),
    ]
    found = matrix.versions(matrix.model_rows(rows))
    assert {name: [one.name for one in same] for name, same in found.items()} == {
        "m": ["old", "new", "undated"]
    }


@given(st.lists(st.tuples(st.integers(1, 6), st.integers(0, 6)), min_size=1, max_size=12), st.booleans())
def test_no_point_beats_one_on_the_front_and_each_other_is_beaten_or_equalled(
    points: list[tuple[int, int]], lower: bool
) -> None:
    front = matrix.pareto_front(points, lower)

    def beats(a: tuple[int, int], b: tuple[int, int]) -> bool:
        gain = b[1] - a[1] if lower else a[1] - b[1]
        return a[0] <= b[0] and gain >= 0 and (a[0] < b[0] or gain > 0)

    for i, point in enumerate(points):
        beaten = any(beats(other, point) for other in points)
        assert beaten != (point in [points[j] for j in front])
        assert not (i in front and beaten)
    assert [points[i][0] for i in front] == sorted({points[i][0] for i in front})


@pytest.mark.parametrize("kind", ["single", "several samples", "clusters"])
def test_p_values_of_all_pairs_are_those_of_each_pair(kind: str) -> None:
    rng = np.random.default_rng(1)
    n = 4 if kind == "several samples" else 1
    vectors = [rng.binomial(n, 0.2 + 0.2 * i, size=(30, 1)) / n for i in range(4)]
    clusters = [f"c{i % 6}" for i in range(30)] if kind == "clusters" else None
    design = paired_tests.Design(single=n == 1, clusters=clusters)
    found = paired_tests.pairwise_p(mean_of(), vectors, lambda i, j: design)
    for i in range(4):
        for j in range(4):
            one = (
                1.0
                if i == j
                else paired_tests.paired_p(mean_of(), vectors[min(i, j)], vectors[max(i, j)], design)[0]
            )
            assert found[i, j] == one
