"""What a paired comparison can find: the minimum detectable difference."""

import math
from statistics import NormalDist


def minimum_detectable_difference(
    sd: float, n: int, *, step: float = 0.0, alpha: float = 0.05, power: float = 0.8
) -> float:
    """The smallest true difference that a two-sided paired test of n units finds with the given power.

    (z_{1-alpha/2} + z_power) sd / sqrt(n) by the usual normal approximation, with `sd` that of one unit's difference. A
    true difference makes units differ that now do not: one of `step` a unit (1 for pass or fail) adds step times the
    difference to the variance (Connor 1987), so that few flips are no proof of a small error. `alpha` over the number
    of claims for Holm's correction.
    """
    normal = NormalDist()
    k = (normal.inv_cdf(1 - alpha / 2) + normal.inv_cdf(power)) ** 2
    # difference^2 n = k (sd^2 + step difference)
    return (k * step + math.sqrt((k * step) ** 2 + 4 * k * n * sd**2)) / (2 * n)
