"""A difference judged while it is still measured: bounds that hold at every moment, so that one may stop at any.

A bet against "the true mean is at most m": of a capital of 1 a share is staked on each unit that comes, at odds that
are fair if the mean is m. Were it at most m, the capital would ever reach 1 / alpha with chance alpha at most (Ville
1939), however often one looks and for whatever reason one stops. So m is too low once it has been reached. This is the
capital process of Waudby-Smith & Ramdas (2024, Estimating means of bounded random variables by betting, JRSS B 86(1)),
with six fixed shares beside one another in place of one that is adapted, so that it is a formula of the units seen.

Units are problems, or whole clusters of them, drawn in an order that does not know their values.
"""

import numpy as np
from numpy.typing import NDArray

from harness.stats.intervals import STEPS, Floats

Shown = NDArray[np.bool_]

# Of the level 0.05 of both sides, what looking on the way may use up, and what is left for the test of all units: by
# the union bound the two together are wrong at most as often as the one test without looks.
EARLY, LATE = 0.01, 0.04

STAKES = np.array([1, 3 / 4, 1 / 2, 1 / 4, 1 / 8, 1 / 16])  # large ones win where hardly a problem differs


def log_capital(gaps: Floats, sizes: Floats, mean: float, largest: float) -> Floats:
    """The logarithm of the capital after each unit, [..., units], of a bet against a true mean of at most `mean`.

    `gaps` [..., units] are sums of differences in -1..1 over the `sizes` [units] problems of each unit, of which no
    unit has more than `largest`. Raises ValueError for a mean outside -1..1.
    """
    if not -1 < mean < 1:
        raise ValueError(f"no mean of differences in -1..1 to bet against: {mean}")
    won = (gaps - mean * sizes) / ((1 + mean) * largest)
    with np.errstate(divide="ignore"):  # the whole capital, lost: its logarithm is -inf, and stays that
        each = np.cumsum(np.log(np.maximum(1 + STAKES[:, None] * won[..., None, :], 0)), axis=-1)
    found: Floats = np.logaddexp.reduce(each, axis=-2) - np.log(len(STAKES))
    return found


def exceeds(gaps: Floats, sizes: Floats, mean: float, largest: float, alpha: float) -> Shown:
    """Whether the true mean was shown to be above `mean` by the end of each unit, [..., units]: wrong at any of them
    with chance `alpha` at most. What has been shown once stays."""
    reached = log_capital(gaps, sizes, mean, largest) >= -np.log(alpha)
    found: Shown = np.logical_or.accumulate(reached, axis=-1)
    return found


def bounds(gaps: Floats, sizes: Floats, largest: float, alpha: float = EARLY) -> tuple[float, float]:
    """The interval of the mean difference after all of these units, in the order in which they came: at every moment
    together the true one is outside with chance `alpha` at most. It only ever gets narrower."""
    return _above(gaps, sizes, largest, alpha / 2), -_above(-gaps, sizes, largest, alpha / 2)


def _above(gaps: Floats, sizes: Floats, largest: float, alpha: float) -> float:
    """The largest mean that has been lost against: the capital falls as the mean rises."""
    low, high = -1.0, 1.0
    for _ in range(STEPS):
        middle = (low + high) / 2
        lost = len(gaps) and bool(exceeds(gaps, sizes, middle, largest, alpha)[-1])
        low, high = (middle, high) if lost else (low, middle)
    return low
