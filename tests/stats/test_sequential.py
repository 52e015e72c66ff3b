"""Bounds that hold at every look: at the true mean the game is fair, and the gate errs as rarely as one test does."""

from itertools import product
from math import log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from benchmarks.sequential import gated, single, stops
from harness.stats.intervals import Floats, tango_bounds
from harness.stats.sequential import EARLY, LATE, STAKES, bounds, log_capital

GAPS = st.lists(st.sampled_from([-1.0, -0.5, 0.0, 0.25, 1.0]), min_size=1, max_size=30).map(np.array)
ROUNDS = 1000


def capital(gaps: object, mean: float) -> float:
    found = np.asarray(gaps, dtype=float)
    return float(np.exp(log_capital(found, np.ones(len(found)), mean, 1.0)[-1]))


def test_it_is_the_closed_form_where_nothing_differs_and_after_one_loss() -> None:
    # Against a mean of -0.05 each problem that is equal wins 0.05 / 0.95 of what is staked; a loss takes all of it.
    won = 1 + STAKES * 0.05 / 0.95
    assert capital([0] * 100, -0.05) == pytest.approx(float((won**100).mean()))
    assert capital([0, 0, -1], -0.05) == pytest.approx(float((won**2 * (1 - STAKES)).mean()))
    assert capital([0] * 111, -0.05) < 1 / 0.005 < capital([0] * 140, -0.05)


@pytest.mark.parametrize(("worse", "better"), [(0.05, 0.0), (0.3, 0.2), (0.1, 0.4)])
def test_at_the_true_mean_the_game_is_fair_and_rarely_won_at_any_moment(worse: float, better: float) -> None:
    """All 3^7 courses of it: the mean capital is 1 exactly, and Ville's bound holds for the highest."""
    chance = {-1.0: worse, 1.0: better, 0.0: 1 - worse - better}
    courses = np.array(list(product(chance, repeat=7)))
    weights = np.prod(np.vectorize(chance.get)(courses), axis=1)
    found = np.exp(log_capital(courses, np.ones(7), better - worse, 1.0))
    assert weights @ found == pytest.approx(np.ones(7))
    for alpha in (0.5, 0.2, 0.05):
        assert weights @ (found.max(axis=1) >= 1 / alpha) <= alpha
    lower = np.exp(log_capital(courses, np.ones(7), better - worse + 0.1, 1.0))
    assert (weights @ lower < 1).all()  # against a mean that is higher than the true one money is lost


def test_clusters_are_a_fair_game_too_where_none_is_larger_than_the_largest_given() -> None:
    """Half of the clusters have 4 problems with a mean of 0.5, half have 1 with a mean of -1: (2 - 1) / 5 = 0.2."""
    courses = list(product([(2.0, 4.0), (-1.0, 1.0)], repeat=6))
    found = [np.exp(log_capital(*np.array(course).T, 0.2, 4.0)) for course in courses]
    assert np.mean(found, axis=0) == pytest.approx(np.ones(6))


@given(GAPS, st.randoms())
@settings(max_examples=30, deadline=None)
def test_neither_order_nor_a_higher_mean_adds_to_the_capital(gaps: Floats, random: object) -> None:
    mixed = list(gaps)
    random.shuffle(mixed)  # type: ignore[attr-defined]
    assert capital(mixed, 0.1) == pytest.approx(capital(gaps, 0.1), abs=1e-12)
    means = [capital(gaps, mean) for mean in (-0.9, -0.3, 0.0, 0.4, 0.9)]
    assert means == sorted(means, reverse=True)


@given(GAPS)
@settings(max_examples=30, deadline=None)
def test_bounds_only_get_narrower_and_turn_round_with_the_sign(gaps: Floats) -> None:
    sizes = np.ones(len(gaps))
    low, high = bounds(gaps, sizes, 1.0, 0.2)
    before = bounds(gaps[:-1], sizes[:-1], 1.0, 0.2)
    assert before[0] <= low
    assert high <= before[1]
    assert bounds(-gaps, sizes, 1.0, 0.2) == pytest.approx((-high, -low), abs=1e-12)
    assert low == -1.0 or log_capital(gaps, sizes, low, 1.0).max() == pytest.approx(log(10), abs=1e-6)


def test_a_mean_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="bet against: -1"):
        log_capital(np.zeros(3), np.ones(3), -1.0, 1.0)


# ---------------------------------------------------------------- the gate, simulated


def most(rate: float) -> float:
    """More wrong verdicts than this in ROUNDS have a chance of 1 in 1,000 where the rate is `rate`."""
    return float(scipy_stats.binom.ppf(0.999, ROUNDS, rate))


def test_a_loss_of_the_margin_passes_one_time_in_forty_and_looking_by_the_one_test_would_not_keep_that() -> (
    None
):
    assert pytest.approx(0.05) == EARLY + LATE
    gaps = single(np.random.default_rng(5), 164, flips=0.02, loss=0.05, rounds=ROUNDS)
    found = gated(gaps, np.ones(164), 0.05)
    assert 0 < found.passed.sum() <= most(0.025)
    peeked = np.zeros(ROUNDS, dtype=bool)
    for n in range(20, 165, 8):
        better, worse = ((sign * gaps[:, :n] > 0).sum(axis=1).astype(float) for sign in (1, -1))
        peeked |= tango_bounds(better, worse, np.array(float(n)))[0] >= -0.05
    assert peeked.sum() > most(0.025)


def test_no_change_is_a_false_alarm_one_time_in_forty_at_most() -> None:
    gaps = single(np.random.default_rng(6), 164, flips=0.05, loss=0.0, rounds=ROUNDS)
    found = gated(gaps, np.ones(164), None)
    assert 0 < found.lost.sum() <= most(0.025)


def test_what_is_clear_is_found_with_a_part_of_the_problems_and_hardly_anything_is_missed() -> None:
    rng = np.random.default_rng(7)
    worse = gated(single(rng, 500, flips=0.05, loss=0.2, rounds=100), np.ones(500), None)
    assert worse.lost.all()
    assert worse.used.mean() < 0.3
    equal = gated(np.zeros((1, 500)), np.ones(500), 0.05)
    assert equal.passed.all()
    assert equal.used[0] == 0.3  # 150 of 500: the sixth look


def test_an_early_stop_alone_is_wrong_as_rarely_as_it_says() -> None:
    gaps = single(np.random.default_rng(8), 500, flips=0.02, loss=0.05, rounds=ROUNDS)
    passed, lost, _ = stops(gaps, np.ones(500), 0.05)
    assert passed.sum() <= most(EARLY / 2)
    assert lost.sum() <= most(EARLY / 2)
