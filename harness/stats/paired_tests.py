"""Two runs over the same problems: the difference, and whether chance explains it.

Everything works on one vector per problem and run (`estimates.per_problem_vectors`), so it holds for pass@k and
for BLEU alike. Problems are the units; with clusters, whole clusters are. Pure numpy. What may be compared is
decided in harness/results/compare.py.
"""

import math
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

import numpy as np

from harness.schema import Reduce
from harness.stats import student_t
from harness.stats.estimates import is_bounded
from harness.stats.intervals import DIFFERENCE_PRIOR, Z95, Floats, difference_interval
from harness.stats.resampling import (
    MAX_CELLS,
    Metric,
    bootstrap_interval,
    metric_value,
    pseudo_values,
    unit_sums,
)
from harness.stats.seeds import SamplingError, SeedVariance

ALPHA = 0.05
ROUNDS = 10_000  # permutations and resamples: p to 0.002 at 0.05
MAX_EXACT_UNITS = 12  # with at most so many units that differ, all 2^12 sign patterns are enumerated
TOLERANCE = 1e-12
WEBB = np.sqrt([0.5, 1.0, 1.5])  # Webb's weights (2014), each with both signs: 6^4 patterns of four clusters


@dataclass(frozen=True)
class Difference:
    """`value` is b - a with its 95 % interval; `test` names what `p` (two-sided) comes from.

    `better` and `worse` count the problems on which b is better or worse than a (`gains`); `units` are what was
    resampled. `sd` is the standard deviation of the difference of one unit and `step` how large a difference is where
    there is one, None for metrics that are no means. `exact` is the exact p to McNemar's mid-p, None for other tests.
    """

    value: float
    low: float
    high: float
    p: float
    test: str
    n: int
    better: int
    worse: int
    units: int
    sd: float | None
    step: float | None
    exact: float | None = None


@dataclass(frozen=True)
class ResamplingUnits:
    """Sums of both runs over each unit of resampling, [units, m], and how many problems each unit holds."""

    a: Floats
    b: Floats
    sizes: Floats

    def difference(self, reduce: Reduce) -> Metric:
        """b's metric less a's, of sums [..., 2 m] side by side."""
        m = self.a.shape[1]
        return lambda sums, n: metric_value(reduce, sums[..., m:], n) - metric_value(reduce, sums[..., :m], n)

    @property
    def both(self) -> Floats:
        return np.concatenate([self.a, self.b], axis=1)


@dataclass(frozen=True)
class Design:
    """How two rows were sampled: whether each problem has one sample, the problems' clusters, the seeds of rows that
    are means over several. `prior` is `intervals.difference_interval`'s; the interval's level is 1 - `level`."""

    single: bool = False
    clusters: Sequence[Hashable] | None = None
    seeds: Sequence[SeedVariance] = ()
    prior: float = DIFFERENCE_PRIOR
    level: float = ALPHA


def paired_difference(
    reduce: Reduce, a: Floats, b: Floats, design: Design = Design(), *, seed: int = 0
) -> Difference:
    """Everything about b - a. `a` and `b` are [problems, m] over the same problems in the same order.

    The interval is a score interval (`intervals.difference_interval`) where the metric is a mean of values in 0..1,
    else the paired bootstrap, both runs seeing the same resamples. With clusters whole clusters are the units, and with
    seeds their variance is in it. Raises ValueError for shapes that do not fit.
    """
    units = paired_units(a, b, design.clusters)
    difference = units.difference(reduce)
    value = float(difference(units.both.sum(axis=0), units.sizes.sum()))
    error = sampling_error(reduce, units, design.seeds)
    gaps = (units.b - units.a)[:, 0]
    if is_bounded(reduce, a, b):
        if design.clusters is None and not design.seeds:
            critical = Z95 if design.level == ALPHA else NormalDist().inv_cdf(1 - design.level / 2)
        else:
            critical = student_t.critical_value(error.freedom, design.level)
        found = difference_interval(
            gaps, units.sizes, added=error.added, critical=critical, prior=design.prior
        )
        low, high = float(found[0]), float(found[1])
    elif np.allclose(units.a, units.b, rtol=0, atol=TOLERANCE) or len(gaps) < 2:
        low = high = value
    else:
        low, high = bootstrap_interval(
            difference, units.both, units.sizes, error, seed=seed, rounds=ROUNDS, level=design.level
        )
    gain = gains(reduce, a, b)
    better, worse = int((gain > TOLERANCE).sum()), int((gain < -TOLERANCE).sum())
    p, test, exact = paired_p(reduce, a, b, design, seed=seed)
    sd = step = None
    if reduce.of_sum is None and len(gaps) > 1:
        sd, step = _spread(gaps, units.sizes, is_bounded(reduce, a, b))
    return Difference(
        value=value,
        low=min(low, value),
        high=max(high, value),
        p=p,
        test=test,
        n=len(a),
        better=better,
        worse=worse,
        units=len(gaps),
        sd=sd,
        step=step,
        exact=exact,
    )


def _spread(gaps: Floats, sizes: Floats, bounded: bool) -> tuple[float, float]:
    """The standard deviation of one unit's difference, and how large a unit's difference is where there is one."""
    off = gaps - gaps.sum() / sizes.sum() * sizes
    variance = float((off**2).sum() / (len(gaps) - 1) / sizes.mean() ** 2)
    seen = float(np.abs(gaps).sum() / sizes.sum())
    most = 1.0 if bounded else 0.0  # where nothing differs a number says nothing of its steps
    step = variance / seen if seen > TOLERANCE else most
    return variance**0.5, min(step, 1.0) if bounded else step


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


def paired_units(a: Floats, b: Floats, clusters: Sequence[Hashable] | None = None) -> ResamplingUnits:
    """Sum the problems' vectors over clusters; without clusters each problem is a unit."""
    if a.shape != b.shape or a.ndim != 2 or len(a) == 0:
        raise ValueError(
            f"runs of shapes {a.shape} and {b.shape} are no pair: wanted two of [problems >= 1, m]"
        )
    (of_a, sizes), (of_b, _) = unit_sums(a, clusters), unit_sums(b, clusters)
    return ResamplingUnits(of_a, of_b, sizes)


def sampling_error(reduce: Reduce, units: ResamplingUnits, seeds: Sequence[SeedVariance]) -> SamplingError:
    """How sure the difference is, over units and seeds."""
    if not seeds:
        return SamplingError.without_seeds(len(units.sizes))
    return SamplingError.of(pseudo_values(units.difference(reduce), units.both, units.sizes), seeds)


# ---------------------------------------------------------------- tests


def paired_p(
    reduce: Reduce, a: Floats, b: Floats, design: Design, *, seed: int = 0
) -> tuple[float, str, float | None]:
    """The two-sided p of no difference, the test's name, and McNemar's exact p where the test is his.

    Several seeds: Student's t on the error that they are part of. One sample a problem, passed or failed: McNemar's
    mid-p. At most 12 clusters that differ: the wild bootstrap. Everything else: the permutation test.
    """
    units = paired_units(a, b, design.clusters)
    if any(row.of_seeds > TOLERANCE for row in design.seeds):
        difference = units.difference(reduce)
        error = sampling_error(reduce, units, design.seeds)
        value = float(difference(units.both.sum(axis=0), units.sizes.sum()))
        t = value / max(error.total, 1e-300) ** 0.5
        return student_t.two_sided_p(t, error.freedom), "t over problems and seeds", None
    if _is_mcnemars(reduce, (a, b), design):
        better, worse = int((b > a)[:, 0].sum()), int((b < a)[:, 0].sum())
        return mcnemar_mid_p(better, worse), "McNemar mid-p", mcnemar_exact(better, worse)
    differing = int((np.abs(units.b - units.a).max(axis=1) > TOLERANCE).sum())
    if design.clusters is not None and differing <= MAX_EXACT_UNITS:
        return (*wild_bootstrap_test(reduce, units, seed=seed), None)
    return (*permutation_test(reduce, units, seed=seed), None)


def _is_mcnemars(reduce: Reduce, vectors: Sequence[Floats], *designs: Design) -> bool:
    """Whether rows are of single samples that passed or failed, of problems sampled one by one and of one seed."""
    return (
        all(design.single and design.clusters is None for design in designs)
        and not any(row.of_seeds > TOLERANCE for design in designs for row in design.seeds)
        and is_bounded(reduce, *vectors)
        and all(bool(np.isin(each[:, 0], (0, 1)).all()) for each in vectors)
    )


def pairwise_p(reduce: Reduce, vectors: Sequence[Floats], design: Callable[[int, int], Design]) -> Floats:
    """`paired_p` of every two rows, [rows, rows]; `design` says how two of them were sampled."""
    count = len(vectors)
    p = np.ones((count, count))
    if count and _is_mcnemars(reduce, vectors, *(design(i, i) for i in range(count))):
        passed = np.stack([each[:, 0] for each in vectors])
        worse = np.rint(passed @ (1 - passed).T).astype(int)  # [i, j]: problems that i passed and j failed
        for i in range(count):
            for j in range(i + 1, count):
                p[i, j] = p[j, i] = mcnemar_mid_p(int(worse[j, i]), int(worse[i, j]))
        return p
    for i in range(count):
        for j in range(i + 1, count):
            p[i, j] = p[j, i] = paired_p(reduce, vectors[i], vectors[j], design(i, j))[0]
    return p


def wild_bootstrap_test(
    reduce: Reduce, units: ResamplingUnits, *, seed: int = 0, rounds: int = ROUNDS
) -> tuple[float, str]:
    """Two-sided p of the wild cluster bootstrap with Webb's weights, for few clusters (Cameron, Gelbach & Miller 2008;
    Webb 2014): each cluster's difference is multiplied by a random weight, and the t of the sums compared.

    Exchanging the runs of four clusters has 16 patterns, so that no p could be below 0.125; these weights have 1,296.
    """
    difference = units.difference(reduce)
    if reduce.of_sum is None:
        gaps, sizes = (units.b - units.a)[:, 0], units.sizes
    else:
        gaps, sizes = pseudo_values(difference, units.both, units.sizes), np.ones(len(units.sizes))
    name = f"wild cluster bootstrap {rounds}"
    if len(gaps) < 2 or not np.abs(gaps).max() > TOLERANCE:
        return 1.0, name
    share = sizes / sizes.sum()

    def t(drawn: Floats) -> Floats:
        total = drawn.sum(axis=-1)
        spread = ((drawn - total[..., None] * share) ** 2).sum(axis=-1)
        found: Floats = np.abs(total) / np.sqrt(np.maximum(spread, 1e-24 * (drawn**2).sum(axis=-1)))
        return found

    rng = np.random.default_rng(seed)
    signs = 2.0 * rng.integers(2, size=(rounds, len(gaps))) - 1
    drawn = t(signs * WEBB[rng.integers(len(WEBB), size=signs.shape)] * gaps)
    return float(((drawn >= t(gaps) * (1 - 1e-9)).sum() + 1) / (rounds + 1)), name


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


@lru_cache(maxsize=1 << 16)
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
    half = half[np.abs(half).max(axis=1) > TOLERANCE]
    middle = (units.a + units.b).sum(axis=0) / 2
    total = units.sizes.sum()

    def gap(shift: Floats) -> Floats:
        return np.abs(
            metric_value(reduce, middle + shift, total) - metric_value(reduce, middle - shift, total)
        )

    observed = float(gap(half.sum(axis=0)))
    count = len(half)
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
