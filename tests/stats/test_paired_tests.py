"""Differences, intervals and p-values: equal to scipy and statsmodels on literals, and true in simulated worlds."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from harness.schema import Reduce
from harness.stats import estimates, paired_tests
from harness.stats.estimates import Floats, mean_of
from harness.stats.paired_tests import (
    bootstrap_interval,
    holm,
    mcnemar_exact,
    mcnemar_mid_p,
    paired_difference,
    permutation_test,
    sum_over_clusters,
)

MEAN = mean_of()
RATIO = Reduce(lambda scores: scores.sum(axis=0)[1:], lambda sums: sums[..., 0] / sums[..., 1])


def column(*values: float) -> Floats:
    return np.array(values, dtype=np.float64)[:, None]


# ---------------------------------------------------------------- literals from other implementations


@pytest.mark.parametrize(
    ("better", "worse", "p"),
    [  # statsmodels 0.15.0, mcnemar([[5, b], [c, 7]], exact=True).pvalue
        (0, 0, 1.0),
        (8, 0, 0.0078125),
        (3, 12, 0.03515625),
        (25, 40, 0.08168153394154003),
        (1, 1, 1.0),
    ],
)
def test_mcnemar_is_that_of_statsmodels(better: int, worse: int, p: float) -> None:
    assert mcnemar_exact(better, worse) == pytest.approx(p, rel=1e-12)
    assert mcnemar_exact(worse, better) == mcnemar_exact(better, worse)


@given(st.integers(0, 3000), st.integers(0, 3000))
@settings(max_examples=50, deadline=None)
def test_mcnemar_is_scipys_binomial_test(better: int, worse: int) -> None:
    expected = 1.0 if better + worse == 0 else scipy_stats.binomtest(better, better + worse).pvalue
    assert mcnemar_exact(better, worse) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("better", "worse", "exact", "mid"),
    [  # Fagerland, Lydersen & Laake (2013), BMC Medical Research Methodology 13:91, the two examples
        (1, 7, 0.070, 0.039),
        (6, 16, 0.052, 0.035),
    ],
)
def test_mcnemars_mid_p_is_that_of_the_paper(better: int, worse: int, exact: float, mid: float) -> None:
    assert mcnemar_exact(better, worse) == pytest.approx(exact, abs=5e-4)
    assert mcnemar_mid_p(better, worse) == pytest.approx(mid, abs=5e-4)


@given(st.integers(0, 3000), st.integers(0, 3000))
@settings(max_examples=50, deadline=None)
def test_mcnemars_mid_p_is_twice_scipys_one_sided_one(better: int, worse: int) -> None:
    n, k = better + worse, min(better, worse)
    tail = scipy_stats.binom.cdf(k, n, 0.5) - 0.5 * scipy_stats.binom.pmf(k, n, 0.5)
    assert mcnemar_mid_p(better, worse) == pytest.approx(min(1.0, 2 * tail), rel=1e-8, abs=1e-300)


def test_holm_is_that_of_statsmodels() -> None:
    # statsmodels 0.15.0, multipletests(ps, method="holm")[1]
    assert holm([0.01, 0.04, 0.03, 0.005, 0.5]) == pytest.approx([0.04, 0.09, 0.09, 0.025, 0.5])
    assert holm([]) == []
    assert holm([0.7, 0.9]) == [1.0, 1.0]


A = column(0.1, 0.5, 0.9, 0.3, 0.3, 1, 0, 0.2)
B = column(0.4, 0.5, 0.7, 0.9, 0.8, 1, 0.5, 0.1)


def test_the_exact_permutation_test_is_scipys() -> None:
    # scipy 1.17.1, permutation_test((a, b), mean of b - a, permutation_type="samples", n_resamples=inf)
    found = paired_difference(MEAN, A, B)
    assert (found.value, found.p, found.test) == (pytest.approx(0.2), 0.15625, "permutation exact")
    assert (found.n, found.better, found.worse) == (8, 4, 2)


def test_the_random_permutation_test_comes_near_the_exact_one() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.random((2, 40, 1))
    b += 0.1
    exact = scipy_stats.permutation_test(
        (a[:, 0], b[:, 0]),
        lambda x, y, axis: np.mean(y - x, axis=axis),
        permutation_type="samples",
        n_resamples=50_000,
        vectorized=True,
        rng=np.random.default_rng(1),
    ).pvalue
    p, test = permutation_test(MEAN, sum_over_clusters(a, b))
    assert test == "permutation 10000"
    assert p == pytest.approx(exact, abs=0.01)
    assert permutation_test(MEAN, sum_over_clusters(a, b))[0] == p  # seeded


def test_a_ratio_of_sums_is_exchanged_problem_by_problem() -> None:
    a = np.array([[1.0, 2], [0, 5], [3, 4]])
    b = np.array([[2.0, 2], [4, 5], [3, 9]])
    found = paired_difference(RATIO, a, b)
    assert found.value == pytest.approx(9 / 16 - 4 / 11)
    gaps = []
    for signs in np.ndindex(2, 2, 2):
        pick = np.array(signs)[:, None]
        x, y = np.where(pick, b, a).sum(axis=0), np.where(pick, a, b).sum(axis=0)
        gaps.append(abs(y[0] / y[1] - x[0] / x[1]))
    assert found.p == sum(gap >= abs(found.value) - 1e-12 for gap in gaps) / 8
    assert found.sd is None


def test_the_smallest_detectable_difference_is_the_textbooks() -> None:
    # scipy 1.17.1: norm.ppf(.975) + norm.ppf(.8) = 2.8015852181129683
    assert paired_tests.minimum_detectable_difference(1.0, 1) == pytest.approx(2.8015852181129683)
    assert paired_tests.minimum_detectable_difference(0.45, 164) == pytest.approx(
        2.8015852181129683 * 0.45 / math.sqrt(164)
    )


def test_variance_over_seeds_is_that_of_an_analysis_of_variance() -> None:
    values = np.array(
        [
            [2.04, -2.56, 0.42, -0.57, -0.45],
            [-0.22, -2.02, -0.23, -0.87, 3.32],
            [0.23, -0.35, -0.28, -0.67, -1.06],
        ]
    )
    # statsmodels 0.15.0, anova_lm(ols("v ~ C(s) + C(p)")): mean squares 0.222740, 2.842093, 2.084948
    found = paired_tests.seed_variance(values)
    assert found.sd_seeds == pytest.approx(math.sqrt(0.222740 / 5), rel=1e-5)
    assert found.se_problems == pytest.approx(math.sqrt((2.842093 - 2.084948) / 3 / 5), rel=1e-5)
    assert (found.seeds, found.n, found.mean) == (3, 5, pytest.approx(values.mean()))
    with pytest.raises(ValueError, match="at least two seeds"):
        paired_tests.seed_variance(values[:1])


# ---------------------------------------------------------------- properties


SCORES = st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=20)


@given(SCORES)
@settings(max_examples=60, deadline=None)
def test_exchanging_the_runs_turns_the_sign_and_keeps_p(pairs: list[tuple[float, float]]) -> None:
    a, b = (column(*values) for values in zip(*pairs, strict=True))
    there, back = paired_difference(MEAN, a, b), paired_difference(MEAN, b, a)
    assert back.value == pytest.approx(-there.value)
    assert (back.low, back.high) == (pytest.approx(-there.high), pytest.approx(-there.low))
    assert back.p == pytest.approx(there.p)
    assert (back.better, back.worse) == (there.worse, there.better)
    assert there.low <= there.value <= there.high
    assert 0 < there.p <= 1


@given(SCORES, st.randoms())
@settings(max_examples=30, deadline=None)
def test_the_order_of_problems_does_not_move_the_value(
    pairs: list[tuple[float, float]], chance: object
) -> None:
    shuffled = list(pairs)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    one, other = (
        paired_difference(MEAN, *(column(*v) for v in zip(*p, strict=True))) for p in (pairs, shuffled)
    )
    assert one.value == pytest.approx(other.value)
    assert one.sd == other.sd or one.sd == pytest.approx(other.sd)


def test_runs_that_agree_everywhere_leave_open_what_so_few_problems_cannot_rule_out() -> None:
    same = column(*[1.0, 0.0] * 82)
    found = paired_difference(MEAN, same, same, single=True)
    assert (found.value, found.p, found.test) == (0.0, 1.0, "McNemar mid-p")
    # Wilson's upper bound of 0 in 164 is z^2 / (n + z^2).
    assert found.high == pytest.approx(3.841458820694124 / 167.841458820694124)
    assert found.low == -found.high
    bleu = paired_difference(RATIO, np.ones((4, 2)), np.ones((4, 2)))
    assert (bleu.low, bleu.high) == (0.0, 0.0)


def test_clusters_are_exchanged_and_resampled_whole() -> None:
    a, b = column(*[0.0] * 12), column(*[1.0] * 6, *[0.0] * 6)
    alone = paired_difference(MEAN, a, b, single=True)
    together = paired_difference(MEAN, a, b, single=True, clusters=["x"] * 6 + ["y"] * 6)
    assert alone.value == together.value == 0.5
    assert (alone.p, alone.exact) == (0.015625, 0.03125)
    assert together.exact is None
    assert together.p == 1.0  # one cluster moved, of two: as likely the other way
    assert together.test == "permutation exact"
    assert (together.low, together.high) == (0.0, 1.0)


def test_shapes_that_are_no_pair_are_refused() -> None:
    for a, b in [(A, A[:3]), (A[:0], A[:0]), (A[:, 0], A[:, 0])]:
        with pytest.raises(ValueError, match="no pair"):
            paired_difference(MEAN, a, b)
    with pytest.raises(ValueError, match="2 cluster labels for 8 problems"):
        paired_difference(MEAN, A, B, clusters=["x", "y"])


# ---------------------------------------------------------------- simulated truth

PAIRS = 2000


def passes(rng: np.random.Generator, problems: int, samples: int, gain: float) -> tuple[Floats, Floats]:
    """Two runs' pass rates: problems differ in difficulty, the second run's are `gain` easier on average."""
    hard = rng.uniform(0.1, 0.9 - gain, size=problems)
    a = rng.binomial(samples, hard) / samples
    b = rng.binomial(samples, hard + gain) / samples
    return a[:, None], b[:, None]


def rejections(problems: int, samples: int, gain: float, seed: int) -> float:
    rng = np.random.default_rng(seed)
    ps = [
        permutation_test(MEAN, sum_over_clusters(*passes(rng, problems, samples, gain)), seed=i, rounds=399)[
            0
        ]
        for i in range(PAIRS)
    ]
    return float(np.mean(np.array(ps) <= 0.05))


def test_without_a_difference_the_permutation_test_rejects_one_in_twenty() -> None:
    assert 0.035 <= rejections(164, 10, 0.0, seed=1) <= 0.065


def test_with_a_known_difference_its_power_is_what_theory_says() -> None:
    problems, samples, gain = 164, 10, 0.04
    hard = np.linspace(0.1, 0.9 - gain, 2001)
    variance = (hard * (1 - hard) + (hard + gain) * (1 - hard - gain)).mean() / samples
    noncentral = gain / math.sqrt(variance / problems)
    critical = scipy_stats.t.ppf(0.975, problems - 1)
    theory = 1 - scipy_stats.nct.cdf(critical, problems - 1, noncentral)
    assert 0.5 < theory < 0.95
    assert rejections(problems, samples, gain, seed=2) == pytest.approx(theory, abs=0.03)


def rejection_rate(n: int, better: float, worse: float, test: Callable[[int, int], float]) -> float:
    """The chance that a McNemar test rejects at 0.05, given the shares of pairs that get better and worse."""
    total = 0.0
    for m in range(n + 1):  # discordant pairs
        critical = -1
        while critical + 1 <= m // 2 and test(critical + 1, m - critical - 1) <= 0.05:
            critical += 1
        tails = sum(
            float(scipy_stats.binom.cdf(critical, m, share / (better + worse))) for share in (better, worse)
        )
        total += float(scipy_stats.binom.pmf(m, n, better + worse)) * tails
    return total


@pytest.mark.parametrize(
    ("n", "discordant"), [(66, 0.3), (100, 0.2), (164, 0.1), (164, 0.2), (500, 0.1), (1000, 0.3)]
)
def test_without_a_difference_mcnemars_mid_p_rejects_one_in_twenty(n: int, discordant: float) -> None:
    rng = np.random.default_rng(5)
    drawn = rng.multinomial(n, [discordant / 2, discordant / 2, 1 - discordant], size=PAIRS)
    share = np.mean([mcnemar_mid_p(int(b), int(w)) <= 0.05 for b, w, _ in drawn])
    assert 0.035 <= share <= 0.065
    exact = rejection_rate(n, discordant / 2, discordant / 2, mcnemar_mid_p)  # without chance
    assert 0.035 <= exact <= 0.065


def test_mcnemars_exact_test_never_rejects_more_often_than_it_says_and_nearly_so_with_many_pairs() -> None:
    for n in (50, 164):
        assert rejection_rate(n, 0.1, 0.1, mcnemar_exact) <= 0.05
    assert rejection_rate(1000, 0.15, 0.15, mcnemar_exact) >= 0.035


def test_the_interval_holds_the_true_difference_95_times_in_100() -> None:
    rng = np.random.default_rng(4)
    held = 0
    for i in range(PAIRS):
        a, b = passes(rng, 100, 10, 0.05)
        _, low, high = bootstrap_interval(MEAN, sum_over_clusters(a, b), seed=i, rounds=400)
        held += low <= 0.05 <= high
    assert 0.935 <= held / PAIRS <= 0.965


@pytest.mark.parametrize(("n", "p"), [(100, 0.5), (164, 0.3), (164, 0.5), (500, 0.05)])
def test_wilsons_interval_holds_the_true_share_95_times_in_100(n: int, p: float) -> None:
    held = sum(
        scipy_stats.binom.pmf(k, n, p)
        for k in range(n + 1)
        if estimates.wilson(k, n)[0] <= p <= estimates.wilson(k, n)[1]
    )
    assert 0.935 <= held <= 0.965


def test_wilsons_interval_of_a_small_share_holds_it_too_often_or_a_little_less() -> None:
    for n in (100, 164):
        ks = range(n + 1)
        held = {
            p: sum(
                scipy_stats.binom.pmf(k, n, p)
                for k in ks
                if estimates.wilson(k, n)[0] <= p <= estimates.wilson(k, n)[1]
            )
            for p in (0.01, 0.02, 0.05)
        }
        assert min(held.values()) >= 0.915


@pytest.mark.parametrize(("n", "low"), [(100, 0.1), (164, 0.1), (164, 0.02)])
def test_the_bootstrap_of_pass_rates_holds_the_true_mean_95_times_in_100(n: int, low: float) -> None:
    """Ten samples a problem, pass rates between `low` and 9 times that."""
    rng = np.random.default_rng(6)
    held = 0
    for i in range(PAIRS):
        rates = rng.binomial(10, rng.uniform(low, 9 * low, size=n)) / 10
        found = estimates.estimate_rows(MEAN, rates[:, None], seed=i, rounds=400)
        held += found.low <= 5 * low <= found.high
    assert 0.935 <= held / PAIRS <= 0.965
