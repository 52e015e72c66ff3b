"""The difference of a share between two sets of other problems, with their groups (difficulty, say) taken alike.

In each group that both sets have the difference of the means; these weighted by how many of the second set's problems
the group has, so that both sets are as difficult as the second. The interval puts score intervals of the groups
together by their squares (MOVER: Zou and Donner 2008, Statistics in Medicine 27, 1693).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from harness.stats.intervals import Floats, share_interval


@dataclass(frozen=True)
class MatchedDifference:
    """`first` and `second` are the sets' means, weighted alike; `counts` their problems; `unmatched` those left out,
    whose group only one set has."""

    value: float
    low: float
    high: float
    first: float
    second: float
    counts: tuple[int, int]
    unmatched: int


def matched_difference(first: Mapping[str, Floats], second: Mapping[str, Floats]) -> MatchedDifference | None:
    """Second less first, of values in 0..1 by group; None where no group is in both."""
    shared = [group for group, values in second.items() if len(values) and len(first.get(group, ()))]
    if not shared:
        return None
    counts = tuple(sum(len(side[group]) for group in shared) for side in (first, second))
    whole = sum(len(values) for side in (first, second) for values in side.values())
    means, below, above = [0.0, 0.0], 0.0, 0.0
    for group in shared:
        weight = len(second[group]) / counts[1]
        for at, (sign, values) in enumerate(((-1, first[group]), (1, second[group]))):
            mean, (low, high) = float(values.mean()), share_interval(values, np.ones(len(values)))
            means[at] += weight * mean
            down, up = (mean - float(low), float(high) - mean)[::sign]
            below, above = below + (weight * down) ** 2, above + (weight * up) ** 2
    value = means[1] - means[0]
    return MatchedDifference(
        value=value,
        low=max(value - math.sqrt(below), -1.0),
        high=min(value + math.sqrt(above), 1.0),
        first=means[0],
        second=means[1],
        counts=(counts[0], counts[1]),
        unmatched=whole - sum(counts),
    )
