"""Estimates: what a metric's value over the problems is, and how sure we are of it.

Every metric is a `Reduce`: one vector per problem, summed over the problems, turned into a number. So one
interval code serves them all. Pure numpy, which is loaded by what computes: tasks and scorers only name
metrics here, long before anything is computed. Not here: what one answer is worth (scorers), and comparisons of
two runs.

Problems are what is sampled from the world; the samples of one problem are not independent of each other. So
every resampling draws problems, never samples.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from harness.schema import Estimate, Reduce, Unit

if TYPE_CHECKING:
    from harness.stats.intervals import Floats
    from harness.stats.seeds import SeedVariance

STANDARD_KS = (1, 2, 5, 10, 100)

MAX_CLASS_NAME, MAX_CLASSES = (
    80,
    100,
)  # programs choose the names of their exceptions: longest name, most kinds kept


def base_name(metric: str) -> str:
    """A metric's name without the group it is for: `pass@1[introductory]` -> `pass@1`."""
    return metric.partition("[")[0]


# ---------------------------------------------------------------- pass@k


def pass_at_k(n: int, c: int, k: int) -> float:
    """The chance that k samples drawn without replacement from n, of which c are correct, hold a correct one.

    The unbiased estimator 1 - C(n-c, k) / C(n, k) of Chen et al. (2021, arXiv 2107.03374), as a product of at
    most min(c, k) ratios in place of binomials, which overflow. Raises ValueError unless 0 <= c <= n and 1 <=
    k <= n.
    """
    if not 0 <= c <= n:
        raise ValueError(f"{c} correct of {n} samples is impossible")
    if not 1 <= k <= n:
        raise ValueError(f"pass@{k} needs at least {k} samples a problem and k >= 1, got {n} samples")
    if n - c < k:
        return 1.0
    # C(n-c, k) / C(n, k) is the same with c and k exchanged: take the shorter product.
    short, long = min(c, k), max(c, k)
    return 1.0 - math.prod((n - long - i) / (n - i) for i in range(short))


def pass_at(k: int, column: int = 0) -> Reduce:
    """pass@k, correct meaning that the scores' column (0 is `Score.value`) is 1."""

    def per_problem(scores: Floats) -> Floats:
        import numpy as np

        correct = int(np.count_nonzero(scores[:, column] == 1.0))
        return np.array([pass_at_k(len(scores), correct, k)])

    return Reduce(per_problem)


def any_of_first(k: int, column: int = 0) -> Reduce:
    """1 for a problem if any of its first k samples has a 1 in the column: EM@k over beams, best first."""

    def per_problem(scores: Floats) -> Floats:
        if len(scores) < k:
            raise ValueError(f"a metric at {k} needs at least {k} samples a problem, got {len(scores)}")
        import numpy as np

        return np.array([float(np.any(scores[:k, column] == 1.0))])

    return Reduce(per_problem)


def mean_of(column: int = 0, *, unit: Unit = "share", lower_is_better: bool = False) -> Reduce:
    """The mean over problems of the mean over a problem's samples. Values outside 0..1 need unit="number"."""
    return Reduce(
        lambda scores: scores[:, column].mean(keepdims=True), unit=unit, lower_is_better=lower_is_better
    )


def ratio_of_sums(part: int, whole: int, *, lower_is_better: bool = False) -> Reduce:
    """One column's sum over another's, each over all samples of all problems; 0 where there is nothing."""

    def of_sum(sums: Floats) -> Floats:
        import numpy as np

        value: Floats = sums[..., 0] / np.maximum(sums[..., 1], 1e-300)
        return value

    return Reduce(
        lambda scores: scores[:, (part, whole)].sum(axis=0), of_sum, lower_is_better=lower_is_better
    )


def k_values(least: int, asked: Sequence[int]) -> list[int]:
    """The k's of a run's metrics: the standard ones up to its smallest number of samples, and those asked for."""
    return sorted({k for k in STANDARD_KS if k <= least} | set(asked))


def cluster_labels(labels: Sequence[str]) -> list[str] | None:
    """The labels, if every problem has one and they are of several clusters; one cluster tells nothing of others."""
    return list(labels) if all(labels) and len(set(labels)) > 1 else None


# ---------------------------------------------------------------- vectors


def per_problem_vectors(reduce: Reduce, scores: Sequence[Floats]) -> Floats:
    """One row per problem: [P, m]. Raises ValueError for no problems or a problem without samples."""
    import numpy as np

    if not scores:
        raise ValueError("a metric over no problems is undefined")
    for i, of_one in enumerate(scores):
        if of_one.ndim != 2 or len(of_one) == 0:
            raise ValueError(
                f"problem {i} has scores of shape {of_one.shape}; wanted [samples >= 1, 1 + stats]"
            )
    return np.stack([reduce.per_problem(np.asarray(s, dtype=np.float64)) for s in scores])


def scores_by_unit(
    reduce: Reduce, scores: Mapping[str, Floats], everyone: Iterable[str]
) -> dict[str, Floats]:
    """What the metric counts: the problems, or those that `reduce.over` takes together, by problem id.

    `scores`: problem id -> [samples, 1 + stats]; a problem that is in `everyone` but not there could not be
    judged, and makes faults of those it is taken together with.
    """
    import numpy as np

    if reduce.over is None:
        return dict(scores)
    together: dict[str, list[str]] = {}
    for name in everyone:
        together.setdefault(reduce.over(name), []).append(name)
    return {
        unit: np.minimum.reduce([scores[name][: min(len(scores[each]) for each in names)] for name in names])
        for unit, names in together.items()
        if all(name in scores for name in names)
    }


# ---------------------------------------------------------------- errors


def error_class(status: str, error: str) -> str:
    """The class of the exception that ended a program (`NameError`), from its verdict; empty where there was none."""
    name = error.partition(":")[0]
    raised = status in {"error", "compile_error"} and name.isidentifier()
    return name[:MAX_CLASS_NAME] if raised else ""


def most_common(counts: Counter[str]) -> dict[str, int]:
    """The counts, largest first, equal ones by name; of many kinds the first MAX_CLASSES and how many others."""
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    others = sum(n for _, n in ranked[MAX_CLASSES:])
    return dict(ranked[:MAX_CLASSES]) | ({"others": others} if others else {})


# ---------------------------------------------------------------- intervals


def estimate(reduce: Reduce, scores: Sequence[Floats], *, seed: int = 0, rounds: int = 1000) -> Estimate:
    """A metric over the problems with its 95 % interval.

    `scores` holds one array [samples, 1 + stats] per problem; the numbers of samples may differ. Raises ValueError for
    no problems, no samples.
    """
    return estimate_rows(reduce, per_problem_vectors(reduce, scores), seed=seed, rounds=rounds)


def estimate_rows(
    reduce: Reduce,
    rows: Floats,
    *,
    clusters: Sequence[Hashable] | None = None,
    over_seeds: SeedVariance | None = None,
    seed: int = 0,
    rounds: int = 1000,
) -> Estimate:
    """The same from one vector per problem, [problems, m]; of several seeds, from the means over them.

    The interval is a score interval (`intervals.share_interval`) where the metric is a mean of values in 0..1, else the
    bootstrap over problems; it always holds the value. With `clusters` (one label a problem) whole clusters are the
    units. Where all units are alike resamples cannot differ: such a bootstrap has no width.
    """
    from harness.stats.intervals import Z95, share_interval
    from harness.stats.resampling import bootstrap_interval, metric_value, pseudo_values, unit_sums
    from harness.stats.seeds import SamplingError

    n = len(rows)
    sums, sizes = unit_sums(rows, clusters)
    value = float(metric_value(reduce, sums.sum(axis=0), sizes.sum()))
    if math.isnan(value):
        raise ValueError(f"the metric is not a number over {n} problems")
    metric = partial(metric_value, reduce)
    if over_seeds is None:
        error = SamplingError.without_seeds(len(sums))
    else:
        error = SamplingError.of(pseudo_values(metric, sums, sizes), [over_seeds])
    if is_bounded(reduce, rows):
        critical = Z95 if clusters is None and over_seeds is None else error.critical
        found = share_interval(sums[:, 0], sizes, added=error.added, critical=critical)
        low, high = float(found[0]), float(found[1])
    elif bool((sums == sums[0]).all()):
        low = high = value
    else:
        low, high = bootstrap_interval(metric, sums, sizes, error, seed=seed, rounds=rounds)
        if reduce.unit == "share":
            low, high = max(low, 0.0), min(high, 1.0)
    return Estimate(
        value=value,
        low=min(low, value),
        high=max(high, value),
        n=n,
        k=float(rows[:, 0].sum()) if reduce.of_sum is None else None,
        unit=reduce.unit,
        lower_is_better=reduce.lower_is_better,
    )


def can_fail(reduce: Reduce) -> bool:
    """Whether a sample that could not be judged can be counted as failed: as 0 in a mean of which more is better."""
    return reduce.of_sum is None and reduce.unit == "share" and not reduce.lower_is_better


def is_bounded(reduce: Reduce, *rows: Floats) -> bool:
    """Whether the metric is a mean of values that cannot leave 0..1."""
    if reduce.of_sum is not None or reduce.unit != "share":
        return False
    return all(bool(((each[:, 0] >= 0) & (each[:, 0] <= 1)).all()) for each in rows)
