"""A subset of a run's problems for smoke tests: few, and of every kind."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.errors import ConfigError
from harness.runs.store.reader import Result
from harness.schema import Unit
from harness.stats.power import minimum_detectable_difference

FLIP_RATE = 0.1  # assumed share of problems that flip between two single-sample runs, for planning


@dataclass(frozen=True)
class Subset:
    """`detectable` is the minimum detectable difference with so many problems, at 80 % power."""

    problems: tuple[str, ...]
    strata: int
    detectable: float
    unit: Unit


def subset(run: Result, size: int, seed: int = 0) -> Subset:
    """Draw problems in proportion from every stratum: group x low, middle or high value of the first metric.

    Without a second run the variance of differences is unknown. It is estimated from each problem's samples, and for
    single samples by assuming that one problem in ten flips.
    """
    if not 1 <= size <= len(run.samples):
        raise ConfigError(f"--smoke {size}: the run has {len(run.samples)} problems")
    names = sorted(run.samples)
    metric = next(iter(run.reduces))
    values = run.vectors(metric, names)[:, 0]
    strata: dict[tuple[str, int], list[str]] = {}
    cuts = np.unique(np.quantile(values, (1 / 3, 2 / 3)))
    for name, value in zip(names, values, strict=True):
        strata.setdefault((run.groups.get(name, ""), int((value > cuts).sum())), []).append(name)
    chosen = _proportional(list(strata.values()), size, random.Random(seed))
    counts = set(run.samples.values())
    if counts == {1}:
        variance = FLIP_RATE
    else:
        scores = run.scores[run.reduces[metric][0]]
        variance = 2 * float(np.mean([scores[n][:, 0].var() / len(scores[n]) for n in names])) or FLIP_RATE
    detectable = minimum_detectable_difference(variance**0.5, size)
    return Subset(tuple(sorted(chosen)), len(strata), detectable, run.reduces[metric][1].unit)


def _proportional(strata: Sequence[Sequence[str]], size: int, chance: random.Random) -> list[str]:
    """Largest remainders: every stratum is off its share by less than one problem."""
    total = sum(map(len, strata))
    shares = [size * len(stratum) / total for stratum in strata]
    takes = [int(share) for share in shares]
    by_rest = sorted(range(len(strata)), key=lambda i: (takes[i] - shares[i], i))
    for i in by_rest[: size - sum(takes)]:
        takes[i] += 1
    return [
        name for stratum, take in zip(strata, takes, strict=True) for name in chance.sample(stratum, take)
    ]
