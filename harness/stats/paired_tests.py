"""Two runs over the same problems: the difference, and whether chance explains it.

Everything works on one vector per problem and run (`estimates.per_problem_vectors`), so it holds for pass@k and
for BLEU alike. Problems are the units; with clusters, whole clusters are. Pure numpy. What may be compared is
decided in harness/results/compare.py.
"""

import math
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from harness.schema import Reduce
from harness.stats.estimates import MAX_CELLS, Floats, bootstrap_means, wilson

ROUNDS = 10_000  # permutations and resamples: p to 0.002 at 0.05
MAX_EXACT_UNITS = 12  # with at most so many units that differ, all 2^12 sign patterns are enumerated
TOLERANCE = 1e-12


@dataclass(frozen=True)
class Difference:
    """`value` is b - a with its 95 % interval; `test` names what `p` (two-sided) comes from.

    `better` and `worse` count the problems on which b is better or worse than a (`gains`); `sd` is the standard
    deviation of the difference of one unit, None for metrics that are no means. `exact` is the exact p to McNemar's
    mid-p, None for other tests.
    """

    value: float
    low: float
    high: float
    p: float
    test: str
    n: int
    better: int
    worse: int
    sd: float | None
    exact: float | None = None


@dataclass(frozen=True)
class ResamplingUnits:
    """Sums of both runs over each unit of resampling, [units, m], and how many problems each unit holds."""

    a: Floats
    b: Floats
    sizes: Floats


def paired_difference(
    reduce: Reduce,
    a: Floats,
    b: Floats,
    *,
    clusters: Sequence[Hashable] | None = None,
    single: bool = False,
    seed: int = 0,
) -> Difference:
    """Everything about b - a. `a` and `b` are [problems, m] over the same problems in the same order.

    `single` says that each problem has one sample: a pass/fail metric then gets McNemar's test (mid-p, the exact
    p beside it), all others the permutation test. With `clusters` (one label a problem) whole clusters are
    resampled and exchanged. Raises ValueError for shapes that do not fit.
    """
    units = sum_over_clusters(a, b, clusters)
    value, low, high = bootstrap_interval(reduce, units, seed=seed)
    plain = reduce.of_sum is None
    gain = gains(reduce, a, b)
    better, worse = int((gain > TOLERANCE).sum()), int((gain < -TOLERANCE).sum())
    zero_one = plain and bool(np.isin(a[:, 0], (0.0, 1.0)).all() and np.isin(b[:, 0], (0.0, 1.0)).all())
    exact = None
    if zero_one and single and clusters is None:
        p, exact, test = mcnemar_mid_p(better, worse), mcnemar_exact(better, worse), "McNemar mid-p"
    else:
        p, test = permutation_test(reduce, units, seed=seed)
    sd = None
    if plain and len(units.sizes) > 1:
        each = (units.b - units.a)[:, 0] - value * units.sizes
        sd = float(np.sqrt((each**2).sum() / (len(each) - 1)) / units.sizes.mean())
    return Difference(value, low, high, p, test, len(a), better, worse, sd, exact)


def gains(reduce: Reduce, a: Floats, b: Floats) -> Floats:
    """By how much b is better than a on each problem (negative: worse): the difference of the first components.

    Where lower is better it is that of the problems' values, as the first component of a corpus metric need not be one
    of which less is better (perplexity's is a log-probability).
    """
    if not reduce.lower_is_better:
        return b[:, 0] - a[:, 0]
    if reduce.of_sum is None:
        return a[:, 0] - b[:, 0]
    with np.errstate(all="ignore"):  # a problem without a value of its own is neither better nor worse
        return reduce.of_sum(a) - reduce.of_sum(b)


def sum_over_clusters(a: Floats, b: Floats, clusters: Sequence[Hashable] | None = None) -> ResamplingUnits:
    """Sum the problems' vectors over clusters; without clusters each problem is a unit."""
    if a.shape != b.shape or a.ndim != 2 or len(a) == 0:
        raise ValueError(
            f"runs of shapes {a.shape} and {b.shape} are no pair: wanted two of [problems >= 1, m]"
        )
    if clusters is None:
        return ResamplingUnits(a, b, np.ones(len(a)))
    if len(clusters) != len(a):
        raise ValueError(f"{len(clusters)} cluster labels for {len(a)} problems")
    place = {label: i for i, label in enumerate(dict.fromkeys(clusters))}
    into = np.zeros((len(place), len(a)))
    into[[place[label] for label in clusters], np.arange(len(a))] = 1.0
    return ResamplingUnits(into @ a, into @ b, into.sum(axis=1))


def metric_value(reduce: Reduce, sums: Floats, n: Floats) -> Floats:
    """The metric for sums [..., m] over n [...] problems."""
    return sums[..., 0] / n if reduce.of_sum is None else reduce.of_sum(sums)


# ---------------------------------------------------------------- interval


def bootstrap_interval(
    reduce: Reduce, units: ResamplingUnits, *, seed: int = 0, rounds: int = ROUNDS
) -> tuple[float, float, float]:
    """(b - a, low, high): the paired percentile bootstrap over units (Efron & Tibshirani 1993, ch. 13).

    Both runs see the same resamples. Where no unit differs, resamples cannot either: a mean of values in 0..1 then
    gets the bounds that no difference in n units leaves open (Wilson's upper bound of 0 in n), others no width.
    """
    a, b, sizes = units.a, units.b, units.sizes
    m, n = a.shape[1], len(a)
    total = sizes.sum()
    value = float(metric_value(reduce, b.sum(axis=0), total) - metric_value(reduce, a.sum(axis=0), total))
    if np.allclose(a, b, rtol=0, atol=TOLERANCE):
        unit_range = reduce.of_sum is None and a[:, 0].min() >= 0 and bool((a[:, 0] <= sizes).all())
        width = wilson(0, n)[1] if unit_range else 0.0
        return value, value - width, value + width
    rows = np.concatenate([a, b, sizes[:, None]], axis=1)
    drawn = []
    for means in bootstrap_means(rows, seed=seed, rounds=rounds):
        sums = means * n
        count = sums[:, -1]
        drawn.append(metric_value(reduce, sums[:, m:-1], count) - metric_value(reduce, sums[:, :m], count))
    low, high = (float(q) for q in np.quantile(np.concatenate(drawn), (0.025, 0.975)))
    return value, min(low, value), max(high, value)


# ---------------------------------------------------------------- tests


def mcnemar_exact(better: int, worse: int) -> float:
    """Two-sided exact McNemar test (McNemar 1947): of better + worse discordant pairs, each way is as likely.

    Never rejects more often than it says, and with few discordant pairs clearly less often.
    """
    n = better + worse
    tail, term = 0, 1  # the sum of C(n, i), and the next of them
    for i in range(min(better, worse) + 1):
        tail += term
        term = term * (n - i) // (i + 1)
    return min(1.0, 2 * tail / (1 << n))  # whole numbers: Python divides them without overflow


def mcnemar_mid_p(better: int, worse: int) -> float:
    """Two-sided mid-p McNemar test (Fagerland, Lydersen & Laake 2013): the exact p less the chance of what was seen.

    Twice the one-sided mid-p, so 1 where as many got better as worse. Unlike the exact test it keeps near its level
    with few discordant pairs; over it, it goes by little and rarely.
    """
    if better == worse:
        return 1.0
    n = better + worse
    return mcnemar_exact(better, worse) - math.comb(n, better) / (1 << n)


def permutation_test(
    reduce: Reduce, units: ResamplingUnits, *, seed: int = 0, rounds: int = ROUNDS
) -> tuple[float, str]:
    """Two-sided p of the paired permutation test: under no difference the two runs of a unit can be exchanged.

    Exact (all exchanges) where at most 12 units differ, else `rounds` random ones, the observed one counted among
    them (Phipson & Smyth 2010), so that p is never 0. Returns (p, name of the test).
    """
    half = (units.b - units.a) / 2
    differing = np.abs(half).max(axis=1) > TOLERANCE
    half = half[differing]
    middle = (units.a + units.b).sum(axis=0) / 2
    total = units.sizes.sum()

    def gap(shift: Floats) -> Floats:
        return np.abs(
            metric_value(reduce, middle + shift, total) - metric_value(reduce, middle - shift, total)
        )

    observed = float(gap(half.sum(axis=0)))
    count = int(differing.sum())
    exact = count <= MAX_EXACT_UNITS
    seen = total_seen = 0
    for signs in _all_signs(count) if exact else _random_signs(count, seed, rounds):
        seen += int((gap(signs @ half) >= observed - TOLERANCE).sum())
        total_seen += len(signs)
    if exact:
        return seen / total_seen, "permutation exact"
    return (seen + 1) / (total_seen + 1), f"permutation {rounds}"


def _all_signs(count: int) -> Iterator[Floats]:
    bits = np.arange(2**count)[:, None] >> np.arange(count)[None, :]
    yield 1.0 - 2.0 * (bits & 1).astype(np.float64)


def _random_signs(count: int, seed: int, rounds: int) -> Iterator[Floats]:
    rng = np.random.default_rng(seed)
    block = max(1, MAX_CELLS // count)
    for start in range(0, rounds, block):
        drawn = rng.integers(2, size=(min(block, rounds - start), count), dtype=np.int8)
        yield 1.0 - 2.0 * drawn.astype(np.float64)


def holm(ps: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values (Holm 1979), in the order given: all claims together are wrong at most as often."""
    order = sorted(range(len(ps)), key=lambda i: ps[i])
    adjusted, highest = [0.0] * len(ps), 0.0
    for rank, i in enumerate(order):
        highest = max(highest, min(1.0, (len(ps) - rank) * ps[i]))
        adjusted[i] = highest
    return adjusted


# ---------------------------------------------------------------- power


def minimum_detectable_difference(sd: float, n: int, *, alpha: float = 0.05, power: float = 0.8) -> float:
    """The smallest true difference that a two-sided paired test of n units finds with the given power.

    (z_{1-alpha/2} + z_power) sd / sqrt(n), the usual normal approximation; `sd` is of one unit's difference.
    """
    normal = NormalDist()
    return (normal.inv_cdf(1 - alpha / 2) + normal.inv_cdf(power)) * sd / math.sqrt(n)


# ---------------------------------------------------------------- seeds


@dataclass(frozen=True)
class SeedVariance:
    """How much a mean varies with the seed, and how much with the problems.

    `sd_seeds` is the standard deviation of one seed's mean about the true one, `se_problems` the standard error
    from the choice of problems, `se` that of the grand mean from both.
    """

    mean: float
    sd_seeds: float
    se_problems: float
    se: float
    seeds: int
    n: int


def seed_variance(values: Floats) -> SeedVariance:
    """Variance components of values [seeds >= 2, problems >= 2]: two-way random effects without replication.

    Mean squares as in any analysis of variance; a component that comes out negative is 0. Raises ValueError for less.
    """
    if values.ndim != 2 or min(values.shape) < 2:
        raise ValueError(f"values of shape {values.shape}: wanted at least two seeds and two problems")
    seeds, n = values.shape
    mean = float(values.mean())
    by_seed, by_problem = values.mean(axis=1), values.mean(axis=0)
    of_seeds = n * float(((by_seed - mean) ** 2).sum()) / (seeds - 1)
    of_problems = seeds * float(((by_problem - mean) ** 2).sum()) / (n - 1)
    rest = values - by_seed[:, None] - by_problem[None, :] + mean
    of_rest = float((rest**2).sum()) / ((seeds - 1) * (n - 1))
    # E[of_seeds] = rest + n * seed variance; E[of_problems] = rest + seeds * problem variance.
    problem_variance = max(0.0, (of_problems - of_rest) / seeds)
    return SeedVariance(
        mean=mean,
        sd_seeds=math.sqrt(of_seeds / n),
        se_problems=math.sqrt(problem_variance / n),
        se=math.sqrt(max(of_seeds + of_problems - of_rest, of_seeds, of_problems) / (seeds * n)),
        seeds=seeds,
        n=n,
    )
