"""How much a value varies with the seed: variance components over seeds and problems, and what they add to an error."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from harness.stats import student_t
from harness.stats.intervals import Floats


@dataclass(frozen=True)
class SeedVariance:
    """How much a mean varies with the seed, and how much with the problems.

    `sd_seeds` is the standard deviation of one seed's mean about the true one, `se_problems` the standard error
    from the choice of problems, `se` that of the grand mean from both. `of_seeds` and `of_rest` are the mean squares
    between seeds and of what neither seed nor problem explains.
    """

    mean: float
    sd_seeds: float
    se_problems: float
    se: float
    seeds: int
    n: int
    of_seeds: float
    of_rest: float

    @property
    def added(self) -> float:
        """What the seeds add to the mean's variance beyond what the problems' means over seeds show of it."""
        return max(0.0, self.of_seeds - self.of_rest) / (self.seeds * self.n)


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
        of_seeds=of_seeds,
        of_rest=of_rest,
    )


@dataclass(frozen=True)
class SamplingError:
    """How sure a mean over units is: its variance over them, what seeds add to it, and its degrees of freedom.

    Without seeds only the freedom is needed.
    """

    variance: float
    added: float
    freedom: float

    @property
    def critical(self) -> float:
        """Student's 97.5 % point."""
        return student_t.critical_value(self.freedom)

    @property
    def total(self) -> float:
        return self.variance + self.added

    @classmethod
    def without_seeds(cls, units: int) -> "SamplingError":
        return cls(0.0, 0.0, max(units - 1.0, 1.0))

    @classmethod
    def of(cls, values: Floats, rows: Sequence[SeedVariance]) -> "SamplingError":
        """Of the mean of values (one a unit, each a mean over seeds), or of a mean difference of two such rows.

        Freedom by Satterthwaite (1946), of a sum with negative parts as well: it stays near that of the seeds where
        they seem to add nothing, because few seeds cannot show that they do not.
        """
        units = len(values)
        least = float(max(units - 1, 1))
        variance = float(values.var(ddof=1)) / units if units > 1 else 0.0
        added = sum(row.added for row in rows)
        squares = variance**2 / least
        for row in rows:
            part = row.seeds * row.n
            squares += (row.of_seeds / part) ** 2 / (row.seeds - 1)
            squares += (row.of_rest / part) ** 2 / ((row.seeds - 1) * (row.n - 1))
        freedom = (variance + added) ** 2 / squares if rows and squares > 0 else least
        return cls(variance, added, max(freedom, 1.0))
