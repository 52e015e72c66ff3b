"""pass@k, intervals and the reducers that scorers share."""

from collections import Counter
from fractions import Fraction
from itertools import combinations
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.schema import Reduce
from harness.stats import estimates, resampling
from harness.stats.estimates import any_of_first, estimate, mean_of, pass_at, pass_at_k

few = settings(max_examples=60, deadline=None)


def column(*values: float) -> list[np.ndarray]:
    """One sample for each problem."""
    return [np.array([[v]]) for v in values]


# ---------------------------------------------------------------- pass@k


@pytest.mark.parametrize(
    ("n", "c", "k", "expected"),
    [  # the project's specification, 7.4
        (5, 1, 1, 0.2),
        (5, 1, 2, 0.4),
        (5, 2, 2, 0.7),
        (5, 1, 5, 1.0),
        (10, 3, 5, 0.9166666666666666),
        (1, 0, 1, 0.0),
        (1, 1, 1, 1.0),
        (200, 7, 100, 0.9929911172418123),  # 1 - C(193,100) / C(200,100) in rationals
    ],
)
def test_pass_at_k_is_the_published_number(n, c, k, expected):
    assert pass_at_k(n, c, k) == pytest.approx(expected, abs=1e-12)


@few
@given(st.data())
def test_pass_at_k_is_the_share_of_draws_with_a_correct_sample(data):
    n = data.draw(st.integers(1, 9))
    c = data.draw(st.integers(0, n))
    k = data.draw(st.integers(1, n))
    draws = list(combinations([1] * c + [0] * (n - c), k))
    assert pass_at_k(n, c, k) == pytest.approx(sum(map(any, draws)) / len(draws), abs=1e-12)


@pytest.mark.parametrize(("n", "c", "k"), [(5000, 40, 1000), (5000, 3000, 2), (3000, 1, 2999)])
def test_pass_at_k_stays_exact_where_binomials_overflow(n, c, k):
    exact = 1 - Fraction(comb(n - c, k), comb(n, k))
    assert pass_at_k(n, c, k) == pytest.approx(float(exact), rel=1e-12)


@pytest.mark.parametrize(("n", "c", "k"), [(5, 1, 6), (5, 6, 1), (5, -1, 1), (5, 1, 0), (0, 0, 1)])
def test_pass_at_k_refuses_what_cannot_be(n, c, k):
    with pytest.raises(ValueError):
        pass_at_k(n, c, k)


def test_pass_at_reduces_samples_by_the_unbiased_estimator():
    scores = [np.array([[1.0], [0.0], [0.0], [0.0], [0.0]]), np.array([[1.0], [1.0], [0.0], [0.0], [0.0]])]
    assert estimate(pass_at(2), scores).value == pytest.approx((0.4 + 0.7) / 2)


# ---------------------------------------------------------------- reducers


def test_exact_match_at_k_asks_for_any_of_the_first_k_and_no_mean():
    # references [a, b], candidates [[x, a], [b, y]]: the project's specification, 7.6
    scores = [np.array([[0.0], [1.0]]), np.array([[1.0], [0.0]])]
    assert estimate(any_of_first(1), scores).value == 0.5
    assert estimate(any_of_first(2), scores).value == 1.0


def test_a_metric_at_k_refuses_a_problem_with_fewer_samples():
    with pytest.raises(ValueError, match="at least 3 samples"):
        estimate(any_of_first(3), [np.array([[0.0], [1.0]])])


def test_the_mean_counts_every_problem_once_however_many_samples_it_has():
    scores = [np.array([[0.0]]), np.array([[1.0], [1.0], [1.0]])]
    assert estimate(mean_of(), scores).value == 0.5


def test_a_metric_of_sums_sees_the_sum_over_the_problems_and_of_every_resample():
    seen = []
    reduce = Reduce(lambda s: s[0], lambda sums: (seen.append(sums), sums[..., 0])[1])
    result = estimate(reduce, column(1, 2, 3), rounds=10)
    assert (result.value, result.k) == (6.0, None)
    assert seen[0].shape == (1,)
    assert seen[-1].shape == (10, 1)
    assert set(np.unique(seen[-1].round(9))) <= {3, 4, 5, 6, 7, 8, 9}


# ---------------------------------------------------------------- intervals


def test_a_mean_of_zeros_and_ones_has_wilsons_interval_and_its_count():
    result = estimate(mean_of(), column(*[1] * 3, *[0] * 7))
    assert (result.value, result.n, result.k) == (0.3, 10, 3.0)
    assert (result.low, result.high) == pytest.approx((0.10779126740630102, 0.6032218525388546))


@pytest.mark.parametrize("unit", ["share", "number"])  # a score interval, and a bootstrap
def test_intervals_agree_with_the_normal_approximation_where_that_holds(unit):
    values = np.random.default_rng(5).random(400)
    result = estimate(mean_of(unit=unit), column(*values), rounds=4000)
    half = 1.96 * values.std() / 20
    assert result.low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert result.high == pytest.approx(values.mean() + half, abs=0.1 * half)


def test_the_same_seed_gives_the_same_interval_and_another_seed_another():
    scores, mean = column(0.1, 0.5, 0.3, 0.9, 0.2), mean_of(unit="number")
    assert estimate(mean, scores, seed=3) == estimate(mean, scores, seed=3)
    assert estimate(mean, scores, seed=3) != estimate(mean, scores, seed=4)


def test_the_interval_does_not_depend_on_how_much_is_resampled_at_a_time(monkeypatch):
    scores, mean = column(0.1, 0.5, 0.3, 0.9, 0.2), mean_of(unit="number")
    at_once = estimate(mean, scores)
    monkeypatch.setattr(resampling, "MAX_CELLS", 7)
    in_pieces = estimate(mean, scores)
    assert (in_pieces.low, in_pieces.high) == pytest.approx((at_once.low, at_once.high), abs=1e-12)


@few
@given(
    st.lists(
        st.lists(st.floats(0, 1), min_size=1, max_size=4).map(lambda s: np.array(s)[:, None]),
        min_size=1,
        max_size=8,
    ),
    st.booleans(),
    st.sampled_from([1, 50]),
)
def test_every_interval_is_ordered_and_holds_its_value(scores, plain, rounds):
    skewed = Reduce(lambda s: s.mean(axis=0), lambda mean: np.exp(5 * mean[..., 0]))
    result = estimate(mean_of() if plain else skewed, scores, rounds=rounds)
    assert result.low <= result.value <= result.high
    assert result.n == len(scores)


def test_problems_that_are_all_alike_do_not_make_a_share_certain():
    one = estimate(mean_of(), [np.array([[0.0], [1.0]])])
    assert (one.value, one.n, one.k) == (0.5, 1, 0.5)
    assert one.low < 0.1
    assert one.high > 0.9


def test_problems_that_are_all_alike_leave_other_metrics_without_width():
    # Four tokens a problem: the perplexity is exp of the summed NLL over the summed tokens, here exp(2).
    perplexity = Reduce(
        lambda s: np.array([4 * s[0, 0], 4.0]), lambda sums: np.exp(sums[..., 0] / sums[..., 1])
    )
    result = estimate(perplexity, column(2.0, 2.0))
    assert result.low == result.value == result.high == pytest.approx(7.38905609893065)


def test_no_problems_or_no_samples_is_an_error():
    with pytest.raises(ValueError, match="no problems"):
        estimate(mean_of(), [])
    with pytest.raises(ValueError, match="problem 1"):
        estimate(mean_of(), [np.ones((1, 1)), np.ones((0, 1))])


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("status", "error", "name"),
    [
        ("error", "NameError: name 'x' is not defined", "NameError"),
        ("error", "KeyError", "KeyError"),
        ("compile_error", "SyntaxError: invalid syntax (line 8)", "SyntaxError"),
        ("error", "the program ended with exit status 3 before its tests did", ""),
        ("error", "", ""),
        ("failed", "AssertionError at line 2: assert f(1) == 2", ""),
        ("timeout", "more than 3 s of CPU time", ""),
        ("memory", "MemoryError", ""),
        ("passed", "", ""),
        ("error", "E" * 500 + ": x", "E" * 80),
    ],
)
def test_an_error_class_is_the_exceptions_that_ended_the_program(status: str, error: str, name: str) -> None:
    assert estimates.error_class(status, error) == name


def test_the_most_common_come_first_and_programs_cannot_make_the_list_long() -> None:
    assert list(estimates.most_common(Counter(b=2, a=2, c=5)).items()) == [("c", 5), ("a", 2), ("b", 2)]
    many = estimates.most_common(Counter({f"E{n:03}": 1 for n in range(150)}))
    assert len(many) == 101
    assert many["others"] == 50


def test_a_number_that_happens_to_be_one_everywhere_has_no_interval_of_a_share() -> None:
    counts = [np.array([[1.0]])] * 5
    found = estimate(mean_of(unit="number"), counts, seed=0)
    assert (found.low, found.high) == (1.0, 1.0)
    assert estimate(mean_of(), counts, seed=0).low < 1.0
