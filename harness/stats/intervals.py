"""Score intervals for shares and for paired differences of them, from values in 0..1 and not only from zeros and ones.

Wilson's and Tango's intervals hold for zeros and ones, also near 0 and 1 where a bootstrap has seen no variance. Values
between (a problem's pass rate over n samples, CodeBLEU) vary less than zeros and ones with the same mean: N problems
are then worth more of them, N divided by the design effect (Kish 1965), which is the variance seen over the one that
zeros and ones would have. Both samples within problems and differences between problems are in the variance seen.

The design effect is itself an estimate, and with few problems that are off the common value a bad one: nearly all of
a hard benchmark's problems at 0 say nothing about the rare problem at 1. So it is drawn towards 1, in logarithms, by as
much as one more problem would weigh among those that carry the variance. benchmarks/inference.py measures the
coverage; docs/statistics.md has the tables. Arrays of any leading shape in, the last axis being the units. Pure numpy.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

Z95 = 1.959963984540054  # the normal distribution's 97.5 % point
# How many carriers of variance the design effect 1 is worth: of a share, of a difference, and of a difference where one
# of the two sides alone must hold (a gate's margin).
SHARE_PRIOR, DIFFERENCE_PRIOR, CAUTIOUS_PRIOR = 1.0, 0.5, 1.0
LEAST_EFFECT = 1e-6
STEPS = 50  # halvings in search of a bound


def wilson(k: float, n: float, z: float = Z95) -> tuple[float, float]:
    """Wilson's score interval for a share k / n (Wilson 1927): never outside 0..1, never empty at 0 or n.

    Raises ValueError unless 0 <= k <= n and n >= 1.
    """
    if n < 1 or not 0 <= k <= n:
        raise ValueError(f"no share: {k} of {n}")
    low, high = wilson_bounds(np.array(k / n), np.array(float(n)), z)
    return float(low), float(high)


def wilson_bounds(share: Floats, n: Floats, z: float = Z95) -> tuple[Floats, Floats]:
    """The same for arrays; n need not be whole."""
    zz = z * z
    middle = (share + zz / (2 * n)) / (1 + zz / n)
    half = z / (1 + zz / n) * np.sqrt(np.maximum(share * (1 - share), 0) / n + zz / (4 * n * n))
    low = np.where(share <= 0, 0.0, np.maximum(middle - half, 0.0))
    high = np.where(share >= 1, 1.0, np.minimum(middle + half, 1.0))
    return np.minimum(low, share), np.maximum(high, share)


def tango_bounds(gained: Floats, lost: Floats, n: Floats, z: float = Z95) -> tuple[Floats, Floats]:
    """Tango's score interval for the difference (gained - lost) / n of paired shares (Tango 1998).

    `gained` and `lost` count the pairs that differ, `n` all pairs; none need be whole.
    """
    value = (gained - lost) / n

    def inside(at: Floats) -> NDArray[np.bool_]:
        """Whether a true difference `at` is not rejected; the share of losses is its most likely one there."""
        b = (2 * n - gained + lost) * at - (gained + lost)
        root = np.sqrt(np.maximum(b * b + 8 * n * lost * at * (1 - at), 0))
        loss = np.maximum(root - b, 0) / (4 * n)
        variance = np.maximum((2 * loss + at * (1 - at)) / n, 1e-300)
        return np.asarray((value - at) ** 2 < z * z * variance)

    return _search(inside, value, -1.0), _search(inside, value, 1.0)


def _search(inside: Callable[[Floats], NDArray[np.bool_]], start: Floats, end: float) -> Floats:
    """The farthest value from `start` towards `end` that is inside."""
    near, far = np.array(start, dtype=np.float64), np.full_like(start, end)
    for _ in range(STEPS):
        middle = (near + far) / 2
        kept = inside(middle)
        near, far = np.where(kept, middle, near), np.where(kept, far, middle)
    return np.where(np.abs(far - end) < 1e-9, end, near)


# ---------------------------------------------------------------- values between 0 and 1


def mean_variance(sums: Floats, sizes: Floats) -> tuple[Floats, Floats]:
    """The mean, sums over sizes, and its variance: linearised, as both vary from unit to unit (Cochran 1977, 6.8)."""
    units, total = sums.shape[-1], sizes.sum()
    mean = sums.sum(axis=-1) / total
    if units < 2:
        return mean, np.zeros_like(mean)
    off = sums - mean[..., None] * sizes
    return mean, units / (units - 1) * (off**2).sum(axis=-1) / total**2


def share_interval(
    sums: Floats, sizes: Floats, *, added: float = 0.0, critical: float = Z95
) -> tuple[Floats, Floats]:
    """The interval of a mean of values in 0..1: Wilson's, of as many zeros and ones as the units are worth.

    `sums` [..., units] are sums over each unit's problems and `sizes` [units] their numbers: ones where problems are
    the units, more with clusters. `added` is further variance of the mean, of seeds. `critical` is the normal
    distribution's point, or Student's for few units or seeds. Zeros and ones, one each unit, give Wilson's interval.
    """
    mean, variance = mean_variance(sums, sizes)
    whole = np.maximum(mean * (1 - mean), 0)
    above = _worth(variance, whole, sizes, _carriers(sums), SHARE_PRIOR)
    below = _worth(variance, whole, sizes, _carriers(sizes - sums), SHARE_PRIOR)
    low, _ = wilson_bounds(mean, _with_added(below, whole, added), critical)
    _, high = wilson_bounds(mean, _with_added(above, whole, added), critical)
    return low, high


def difference_interval(
    gaps: Floats,
    sizes: Floats,
    *,
    added: float = 0.0,
    critical: float = Z95,
    prior: float = DIFFERENCE_PRIOR,
) -> tuple[Floats, Floats]:
    """The interval of a mean difference of values in 0..1: Tango's, of as many pairs as the units are worth.

    `gaps` [..., units] are sums of differences, the rest as in `share_interval`.
    """
    total = sizes.sum()
    mean, variance = mean_variance(gaps, sizes)
    gained, lost = (np.maximum(side, 0).sum(axis=-1) / total for side in (gaps, -gaps))
    whole = np.maximum(gained + lost - mean**2, 0)
    worth = _worth(variance, whole, sizes, _carriers(gaps), prior)
    n = _with_added(worth, whole, added)
    return tango_bounds(gained * n, lost * n, n, critical)


def _worth(variance: Floats, whole: Floats, sizes: Floats, carriers: Floats, prior: float) -> Floats:
    """How many zeros and ones the units are worth; as many as there are units where no variance was seen."""
    units = sizes.sum() ** 2 / (sizes**2).sum()  # equally large ones
    effect = variance * units / np.maximum(whole, 1e-300)
    effect = np.where((variance > 1e-18) & (whole > 1e-18), np.clip(effect, LEAST_EFFECT, 1.0), 1.0)
    worth: Floats = units / effect ** (carriers / (carriers + prior))
    return worth


def _carriers(values: Floats) -> Floats:
    """About how many units make up the sum of squares, less one: what there is to estimate a variance from."""
    squares = values**2
    fourth = (squares**2).sum(axis=-1)
    found = squares.sum(axis=-1) ** 2 / np.maximum(fourth, 1e-300)
    less: Floats = np.maximum(found - 1, 0)
    return less


def _with_added(n: Floats, whole: Floats, added: float) -> Floats:
    """As many fewer as make the variance larger by `added`, and at least one."""
    found: Floats = 1 / np.minimum(1 / n + added / np.maximum(whole, 1e-12), 1.0)
    return found
