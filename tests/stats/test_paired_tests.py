"""Differences, intervals and p-values: equal to scipy and statsmodels on literals, and true in simulated worlds."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from harness.schema import Reduce
from harness.stats.estimates import mean_of
from harness.stats.intervals import Floats
from harness.stats.paired_tests import (
    Design,
    holm,
    mcnemar_exact,
    mcnemar_mid_p,
    paired_difference,
    paired_units,
    permutation_test,
    wild_bootstrap_test,
)
from harness.stats.power import minimum_detectable_difference
from harness.stats.seeds import seed_variance

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
    assert mcnemar_mid_p(better, worse) == pytest.approx(min(1.0, 2 * tail), rel=1e-8, abs=1e-290)


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
    p, test = permutation_test(MEAN, paired_units(a, b))
    assert test == "permutation 10000"
    assert p == pytest.approx(exact, abs=0.01)
    assert permutation_test(MEAN, paired_units(a, b))[0] == p  # seeded


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
    assert minimum_detectable_difference(1.0, 1) == pytest.approx(2.8015852181129683)
    assert minimum_detectable_difference(0.45, 164) == pytest.approx(
        2.8015852181129683 * 0.45 / math.sqrt(164)
    )


def test_a_few_flips_do_not_promise_that_small_differences_are_found() -> None:
    """Two flips of 164: by their own variance 2.4 points would be found, which are four flips and never significant."""
    b = column(*[0.0, 1.0] + [1.0] * 162)
    found = paired_difference(MEAN, column(*[1.0, 0.0] + [1.0] * 162), b, Design(single=True))
    assert (found.sd, found.step) == (pytest.approx(0.1108, abs=1e-4), pytest.approx(1.006, abs=0.01))
    least = minimum_detectable_difference(found.sd, 164, step=found.step)
    assert least == pytest.approx(0.0580, abs=5e-4)
    assert minimum_detectable_difference(found.sd, 164, step=found.step, alpha=0.05 / 4) > least
    # Power by the exact binomial of McNemar's mid-p: flips at 2 / 164 both ways and `least` more of losses.
    rate, losses = 2 / 164 + least, 1 / 164 + least
    power = sum(
        scipy_stats.binom.pmf(m, 164, rate) * scipy_stats.binom.pmf(w, m, losses / rate)
        for m in range(60)
        for w in range(m + 1)
        if w > m - w and mcnemar_mid_p(m - w, w) <= 0.05
    )
    assert 0.78 <= power <= 0.88


def test_variance_over_seeds_is_that_of_an_analysis_of_variance() -> None:
    values = np.array(
        [
            [2.04, -2.56, 0.42, -0.57, -0.45],
            [-0.22, -2.02, -0.23, -0.87, 3.32],
            [0.23, -0.35, -0.28, -0.67, -1.06],
        ]
    )
    # statsmodels 0.15.0, anova_lm(ols("v ~ C(s) + C(p)")): mean squares 0.222740, 2.842093, 2.084948
    found = seed_variance(values)
    assert found.sd_seeds == pytest.approx(math.sqrt(0.222740 / 5), rel=1e-5)
    assert found.se_problems == pytest.approx(math.sqrt((2.842093 - 2.084948) / 3 / 5), rel=1e-5)
    assert (found.seeds, found.n, found.mean) == (3, 5, pytest.approx(values.mean()))
    with pytest.raises(ValueError, match="at least two seeds"):
        seed_variance(values[:1])


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
    found = paired_difference(MEAN, same, same, Design(single=True))
    assert (found.value, found.p, found.test) == (0.0, 1.0, "McNemar mid-p")
    # Wilson's upper bound of 0 in 164 is z^2 / (n + z^2).
    assert found.high == pytest.approx(3.841458820694124 / 167.841458820694124)
    assert found.low == -found.high
    bleu = paired_difference(RATIO, np.ones((4, 2)), np.ones((4, 2)))
    assert (bleu.low, bleu.high) == (0.0, 0.0)


def test_clusters_are_the_units_of_interval_and_test() -> None:
    a, b = column(*[0.0] * 12), column(*[1.0] * 6, *[0.0] * 6)
    alone = paired_difference(MEAN, a, b, Design(single=True))
    together = paired_difference(MEAN, a, b, Design(single=True, clusters=["x"] * 6 + ["y"] * 6))
    assert alone.value == together.value == 0.5
    assert (alone.p, alone.exact) == (0.015625, 0.03125)
    assert (together.exact, together.units) == (None, 2)
    assert together.p > 0.3  # one cluster moved, of two
    assert together.test == "wild cluster bootstrap 10000"
    assert together.low < 0 < alone.low
    assert together.high > 0.99


def test_few_clusters_that_all_moved_one_way_can_be_significant() -> None:
    """46 problems got worse and 419 better, in each of four clusters: 16 exchanges leave no p below 0.125."""
    gained, lost = (90, 110, 105, 114), (12, 10, 11, 13)
    labels = [name for name, up, down in zip("wxyz", gained, lost, strict=True) for _ in range(up + down)]
    b = column(*[float(i < up) for up, down in zip(gained, lost, strict=True) for i in range(up + down)])
    found = paired_difference(MEAN, 1 - b, b, Design(single=True, clusters=labels))
    assert (found.better, found.worse, found.units) == (419, 46, 4)
    assert found.p < 0.05
    assert found.low > 0.5
    units = paired_units(1 - b, b, labels)
    assert wild_bootstrap_test(MEAN, units) == wild_bootstrap_test(MEAN, units)  # seeded


def test_seeds_are_in_the_interval_and_in_the_p() -> None:
    """Three seeds, each of which moves all problems: what the problems alone take for sure is chance."""
    rng = np.random.default_rng(0)
    hard = rng.uniform(0.2, 0.8, size=200)
    runs = [hard + shift + rng.normal(0, 0.02, size=200) for shift in (-0.06, 0.0, 0.12)]
    a, b = hard[:, None], np.mean(runs, axis=0)[:, None]
    without = paired_difference(MEAN, a, b)
    within = paired_difference(MEAN, a, b, Design(seeds=[seed_variance(np.stack(runs))]))
    assert without.p < 0.001
    assert within.p == pytest.approx(2 * scipy_stats.t.sf(0.0204 / 0.0529, 2), abs=0.03)
    assert within.test == "t over problems and seeds"
    assert within.low < -0.1 < without.low
    same = paired_difference(MEAN, a, b, Design(seeds=[seed_variance(np.stack([runs[0]] * 3))]))
    assert (same.test, same.p) == (without.test, without.p)  # greedy runs: seeds that change nothing


def test_shapes_that_are_no_pair_are_refused() -> None:
    for a, b in [(A, A[:3]), (A[:0], A[:0]), (A[:, 0], A[:, 0])]:
        with pytest.raises(ValueError, match="no pair"):
            paired_difference(MEAN, a, b)
    with pytest.raises(ValueError, match="2 cluster labels for 8 problems"):
        paired_difference(MEAN, A, B, Design(clusters=["x", "y"]))


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
        permutation_test(MEAN, paired_units(*passes(rng, problems, samples, gain)), seed=i, rounds=399)[0]
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


@pytest.mark.parametrize(("n", "discordant"), [(66, 0.3), (100, 0.2), (164, 0.1), (164, 0.2)])
def test_without_a_difference_mcnemars_mid_p_rejects_one_in_twenty(n: int, discordant: float) -> None:
    rng = np.random.default_rng(5)
    drawn = rng.multinomial(n, [discordant / 2, discordant / 2, 1 - discordant], size=PAIRS)
    share = np.mean([mcnemar_mid_p(int(b), int(w)) <= 0.05 for b, w, _ in drawn])
    assert 0.035 <= share <= 0.065
    exact = rejection_rate(n, discordant / 2, discordant / 2, mcnemar_mid_p)  # without chance
    assert 0.035 <= exact <= 0.065


def test_mcnemars_exact_test_never_rejects_more_often_than_it_says() -> None:
    for n in (50, 164):
        assert rejection_rate(n, 0.1, 0.1, mcnemar_exact) <= 0.05
