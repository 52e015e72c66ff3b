"""Units of resampling (problems, or whole clusters of them) and what is drawn from them: bootstrap and jackknife."""

from collections.abc import Callable, Hashable, Iterator, Sequence
from statistics import NormalDist

import numpy as np

from harness.schema import Reduce
from harness.stats import student_t
from harness.stats.intervals import Z95, Floats
from harness.stats.seeds import SamplingError

MAX_CELLS = 2_000_000  # most resampling weights held at a time: 16 MB

Metric = Callable[[Floats, Floats], Floats]  # sums [..., m] over n [...] problems -> values [...]


def unit_sums(rows: Floats, clusters: Sequence[Hashable] | None = None) -> tuple[Floats, Floats]:
    """The problems' vectors [problems, m] summed over clusters, and how many problems each of these units holds.

    Without clusters (one label a problem) each problem is a unit. Raises ValueError for labels that do not fit.
    """
    if clusters is None:
        return rows, np.ones(len(rows))
    if len(clusters) != len(rows):
        raise ValueError(f"{len(clusters)} cluster labels for {len(rows)} problems")
    place = {label: i for i, label in enumerate(dict.fromkeys(clusters))}
    at = np.array([place[label] for label in clusters])
    sums = np.zeros((len(place), rows.shape[1]))
    np.add.at(sums, at, rows)
    return sums, np.bincount(at, minlength=len(place)).astype(np.float64)


def metric_value(reduce: Reduce, sums: Floats, n: Floats) -> Floats:
    """The metric for sums [..., m] over n [...] problems."""
    return sums[..., 0] / n if reduce.of_sum is None else reduce.of_sum(sums)


def bootstrap_means(rows: Floats, *, seed: int, rounds: int) -> Iterator[Floats]:
    """Yield the means of `rounds` bootstrap resamples of the rows in blocks [b, m] of bounded memory.

    The draws depend on the seed, the number of rows and the rounds alone, so that metrics over the same
    problems see the same resamples.
    """
    n = len(rows)
    rng = np.random.default_rng(seed)
    block = max(1, MAX_CELLS // n)
    for start in range(0, rounds, block):
        size = min(block, rounds - start)
        drawn = rng.integers(n, size=(size, n)) + n * np.arange(size)[:, None]
        weights = np.bincount(drawn.ravel(), minlength=size * n).reshape(size, n)
        yield weights @ rows / n


def bootstrap_interval(
    metric: Metric,
    sums: Floats,
    sizes: Floats,
    error: SamplingError,
    *,
    seed: int = 0,
    rounds: int,
    level: float = 0.05,
) -> tuple[float, float]:
    """The percentile bootstrap over units (Efron) at 1 - `level`, both sides lengthened.

    Resamples of few units vary too little, and not with the seed: percentiles are right up to the ratio of the standard
    error to theirs, times Student's point to the normal one (Hesterberg 2015, 5.3).
    """
    units = len(sums)
    value = float(metric(sums.sum(axis=0), sizes.sum()))
    table = np.concatenate([sums, sizes[:, None]], axis=1)
    drawn = []
    for means in bootstrap_means(table, seed=seed, rounds=rounds):
        drawn.append(metric(means[:, :-1] * units, means[:, -1] * units))
    low, high = (float(q) for q in np.quantile(np.concatenate(drawn), (level / 2, 1 - level / 2)))
    ratio = units / (units - 1) * (1 + error.added / max(error.variance, 1e-300))
    normal = Z95 if level == 0.05 else NormalDist().inv_cdf(1 - level / 2)
    longer = student_t.critical_value(error.freedom, level) / normal * ratio**0.5
    return value - longer * max(value - low, 0.0), value + longer * max(high - value, 0.0)


def pseudo_values(metric: Metric, sums: Floats, sizes: Floats) -> Floats:
    """Jackknife pseudo-values, one a unit (Tukey 1958): their mean and variance are the metric's, however it is made of
    sums. Of a mean over equally large units they are the values themselves."""
    units = len(sums)
    total, n = sums.sum(axis=0), sizes.sum()
    if units < 2:
        return np.atleast_1d(metric(total, n))
    found: Floats = units * metric(total, n) - (units - 1) * metric(total - sums, n - sizes)
    return found
