"""Score intervals: equal to other implementations for zeros and ones, and right 95 times in 100 in simulated worlds."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize as scipy_optimize
from scipy import stats as scipy_stats

from harness.stats import estimates, student_t
from harness.stats.estimates import mean_of, pass_at_k
from harness.stats.intervals import (
    Floats,
    difference_interval,
    mean_variance,
    share_interval,
    tango_bounds,
    wilson,
)

ROUNDS = 2000  # the standard error of a coverage near 0.95 is 0.005


# ---------------------------------------------------------------- other implementations


@pytest.mark.parametrize(
    ("k", "n", "low", "high"),
    [  # scipy 1.17.1: binomtest(k, n).proportion_ci(method="wilson")
        (0, 1, 0.0, 0.7934506856227626),
        (1, 1, 0.20654931437723745, 1.0),
        (3, 10, 0.10779126740630102, 0.6032218525388546),
        (77, 164, 0.394704557618812, 0.5457154073274946),
        (164, 164, 0.9771125748805725, 1.0),
    ],
)
def test_wilson_is_scipys(k: int, n: int, low: float, high: float) -> None:
    assert wilson(k, n) == pytest.approx((low, high), abs=1e-12)


@pytest.mark.parametrize(("gained", "lost", "n"), [(12, 2, 14), (0, 1, 44), (9, 21, 164), (0, 5, 30)])
def test_at_the_bounds_of_tangos_interval_the_score_is_just_not_rejected(
    gained: int, lost: int, n: int
) -> None:
    """The score by its definition: the variance at the most likely shares of a table with that difference."""
    bounds = tango_bounds(np.array(float(gained)), np.array(float(lost)), np.array(float(n)))
    for at in map(float, bounds):

        def surprise(loss: float, at: float = at) -> float:
            cells = np.array([loss + at, loss, 1 - 2 * loss - at])
            return -float(np.dot([gained, lost, n - gained - lost], np.log(np.maximum(cells, 1e-300))))

        inside = (max(0.0, -at), (1 - at) / 2)
        loss = scipy_optimize.minimize_scalar(
            surprise, bounds=inside, method="bounded", options={"xatol": 1e-12}
        ).x
        variance = (2 * loss + at - at**2) / n
        assert abs((gained - lost) / n - at) / math.sqrt(variance) == pytest.approx(1.959964, abs=1e-3)
    assert tango_bounds(*map(np.array, (0.0, 0.0, 164.0)))[1] == pytest.approx(3.8415 / 167.8415, abs=1e-6)


@given(st.floats(0.01, 50), st.floats(1, 5000))
@settings(max_examples=80, deadline=None)
def test_students_distribution_is_scipys(t: float, df: float) -> None:
    assert student_t.two_sided_p(t, df) == pytest.approx(2 * scipy_stats.t.sf(t, df), rel=1e-7, abs=1e-14)
    assert student_t.critical_value(df) == pytest.approx(scipy_stats.t.ppf(0.975, df), rel=1e-7)


def test_zeros_and_ones_have_wilsons_and_tangos_interval() -> None:
    values = np.array([1.0] * 3 + [0.0] * 7)
    assert tuple(map(float, share_interval(values, np.ones(10)))) == pytest.approx(wilson(3, 10))
    gaps = np.array([1.0] * 3 + [-1.0] * 2 + [0.0] * 15)
    plain = tango_bounds(np.array(3.0), np.array(2.0), np.array(20.0))
    assert np.array(difference_interval(gaps, np.ones(20))) == pytest.approx(np.array(plain))


# ---------------------------------------------------------------- properties

VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=12)


@given(VALUES)
@settings(max_examples=100, deadline=None)
def test_bounds_are_in_order_inside_the_range_and_mirrored(values: list[float]) -> None:
    plain, sizes = np.array(values), np.ones(len(values))
    low, high = share_interval(plain, sizes)
    assert 0 <= low <= plain.mean() + 1e-12
    assert plain.mean() - 1e-12 <= high <= 1
    assert share_interval(1 - plain, sizes) == pytest.approx((1 - high, 1 - low), abs=1e-6)
    gaps = 2 * plain - 1
    below, above = difference_interval(gaps, sizes)
    assert -1 <= below <= gaps.mean() + 1e-12
    assert gaps.mean() - 1e-12 <= above <= 1
    assert difference_interval(-gaps, sizes) == pytest.approx((-above, -below), abs=1e-6)


def test_the_mean_of_unequal_clusters_has_the_variance_of_a_ratio() -> None:
    sums, sizes = np.array([3.0, 10.0, 1.0]), np.array([4.0, 20.0, 2.0])
    mean, variance = mean_variance(sums, sizes)
    off = [3 - 4 * 14 / 26, 10 - 20 * 14 / 26, 1 - 2 * 14 / 26]
    assert float(mean) == pytest.approx(14 / 26)
    assert float(variance) == pytest.approx(1.5 * sum(x * x for x in off) / 26**2)


def test_problems_of_one_cluster_that_go_together_count_as_one() -> None:
    """Twenty clusters of ten equal problems are worth twenty problems."""
    firsts = np.array([1.0] * 8 + [0.0] * 12)
    rows = np.repeat(firsts, 10)[:, None]
    found = estimates.estimate_rows(mean_of(), rows, clusters=np.repeat(np.arange(20), 10).tolist())
    assert (found.low, found.high) == pytest.approx(wilson(8, 20, scipy_stats.t.ppf(0.975, 19)))
    assert found.n == 200


# ---------------------------------------------------------------- simulated worlds: benchmarks/inference.py has more


def draw(rng: np.random.Generator, rates: Floats, n: int, k: int) -> Floats:
    """pass@k of n samples at the problems' rates."""
    table = np.array([pass_at_k(n, c, k) for c in range(n + 1)])
    return np.asarray(table[rng.binomial(n, rates)])


@pytest.mark.parametrize(
    ("problems", "n", "k", "p", "mixed"),
    [
        (30, 100, 1, 0.01, False),  # a bootstrap of 30 problems holds 0.90 here
        (30, 10, 1, 0.03, True),
        (100, 100, 1, 0.01, True),  # and 0.85 here
        (164, 10, 1, 0.5, True),
        (100, 20, 10, 0.99, False),
    ],
)
def test_the_interval_holds_the_true_value_93_to_97_times_in_100(
    problems: int, n: int, k: int, p: float, mixed: bool
) -> None:
    rng = np.random.default_rng(8)
    size = (ROUNDS, problems)
    rates = rng.beta(p, 1 - p, size) if mixed else np.full(size, 1 - (1 - p) ** (1 / k))
    low, high = share_interval(draw(rng, rates, n, k), np.ones(problems))
    assert 0.925 <= np.mean((low <= p) & (p <= high)) <= 0.98


@pytest.mark.parametrize(
    ("problems", "n", "p", "gain"),
    [(30, 10, 0.9, 0.07), (100, 10, 0.3, 0.1), (100, 100, 0.03, 0.03), (300, 10, 0.5, 0.0)],
)
def test_the_interval_holds_the_true_difference_93_to_97_times_in_100(
    problems: int, n: int, p: float, gain: float
) -> None:
    rng = np.random.default_rng(9)
    shared = rng.beta(4 * p, 4 * (1 - p), (ROUNDS, problems))
    lift = gain / (1 - p)  # of what is not yet solved, so that the mean rises by `gain`
    a, b = draw(rng, shared, n, 1), draw(rng, shared + lift * (1 - shared), n, 1)
    low, high = difference_interval(b - a, np.ones(problems))
    assert 0.925 <= np.mean((low <= gain) & (gain <= high)) <= 0.975


def test_over_seeds_the_p_of_no_difference_is_below_005_at_most_so_often() -> None:
    """Three seeds, each of which moves all problems by 5 points: 5 in 100, where the problems alone say 60 and more."""
    from harness.stats.paired_tests import Design, paired_p
    from harness.stats.seeds import seed_variance

    rng = np.random.default_rng(10)
    rejected = 0
    for _ in range(400):
        hard = rng.uniform(0.2, 0.8, size=164)
        rows = [rng.binomial(10, np.clip(hard + rng.normal(0, 0.05, (3, 1)), 0, 1)) / 10 for _ in range(2)]
        design = Design(seeds=[seed_variance(row) for row in rows])
        a, b = (row.mean(axis=0)[:, None] for row in rows)
        rejected += paired_p(mean_of(), a, b, design)[0] <= 0.05
    assert rejected / 400 <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / 400)


@pytest.mark.parametrize(("n", "p"), [(100, 0.5), (164, 0.3), (164, 0.5), (500, 0.05)])
def test_wilsons_interval_holds_the_true_share_95_times_in_100(n: int, p: float) -> None:
    held = sum(
        scipy_stats.binom.pmf(k, n, p) for k in range(n + 1) if wilson(k, n)[0] <= p <= wilson(k, n)[1]
    )
    assert 0.935 <= held <= 0.965
