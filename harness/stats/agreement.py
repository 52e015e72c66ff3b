"""How well a number of a sample tells which samples pass: the area under the ROC curve, with an interval."""

from collections.abc import Hashable, Sequence

import numpy as np

from harness.stats.intervals import Floats
from harness.stats.resampling import bootstrap_means, unit_sums


def auc_interval(
    values: Sequence[Floats],
    passed: Sequence[Floats],
    clusters: Sequence[Hashable] | None = None,
    *,
    seed: int = 0,
    rounds: int = 1000,
) -> tuple[float, float, float] | None:
    """The chance that a passing sample has the larger value than a failing one, ties half, and its 95 % percentile
    bootstrap over problems or clusters of them. One array of samples a problem; None where all pass or all fail.
    """
    levels, at = np.unique(np.concatenate(values), return_inverse=True)
    good = np.concatenate(passed) == 1.0
    if good.all() or not good.any():
        return None
    problem = np.repeat(np.arange(len(values)), [len(each) for each in values])
    counts = np.zeros((len(values), 2 * len(levels)))  # failing and passing samples of each value
    np.add.at(counts, (problem, at + len(levels) * good), 1.0)
    units, _ = unit_sums(counts, clusters)
    drawn = np.concatenate([_auc(means) for means in bootstrap_means(units, seed=seed, rounds=rounds)])
    low, high = np.nanquantile(drawn, (0.025, 0.975))
    return float(_auc(units.sum(axis=0)[None])[0]), float(low), float(high)


def _auc(counts: Floats) -> Floats:
    """Of counts [rounds, 2 * levels]; not a number where all pass or all fail."""
    failing, passing = np.split(counts, 2, axis=1)
    below = np.cumsum(failing, axis=1) - failing / 2
    pairs = passing.sum(axis=1) * failing.sum(axis=1)
    with np.errstate(invalid="ignore"):
        area: Floats = (passing * below).sum(axis=1) / np.where(pairs > 0, pairs, np.nan)
    return area
