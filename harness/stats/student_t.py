"""Student's t distribution, for few units or seeds. Pure Python: the core has no scipy."""

import math

MAX_TERMS = 10_000  # of the continued fraction; it needs about sqrt(df) of them


def two_sided_p(t: float, df: float) -> float:
    """The chance of a value at least as far from 0 as t. Raises ValueError unless df > 0."""
    if not df > 0:
        raise ValueError(f"{df} degrees of freedom")
    return _incomplete_beta(df / 2, 0.5, df / (df + t * t)) if t else 1.0


def critical_value(df: float, alpha: float = 0.05) -> float:
    """The t that is exceeded, to both sides together, with chance alpha."""
    low, high = 0.0, 1.0
    while two_sided_p(high, df) > alpha:
        low, high = high, 2 * high
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if two_sided_p(middle, df) > alpha else (low, middle)
    return high


def _incomplete_beta(a: float, b: float, x: float) -> float:
    """The regularised incomplete beta function, by Lentz's continued fraction (Numerical Recipes, 6.4)."""
    if x <= 0 or x >= 1:
        return min(max(x, 0.0), 1.0)
    scale = math.exp(
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    )
    if x > (a + 1) / (a + b + 2):
        return 1 - scale * _beta_fraction(b, a, 1 - x) / b
    return scale * _beta_fraction(a, b, x) / a


def _beta_fraction(a: float, b: float, x: float) -> float:
    tiny = 1e-300
    c, d = 1.0, 1 / (1 - (a + b) * x / (a + 1) or tiny)
    found = d
    for m in range(1, MAX_TERMS):
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / (1 + term * d or tiny)
            c = 1 + term / c or tiny
            found *= c * d
        if abs(c * d - 1) < 1e-15:
            return found
    raise ValueError(f"no convergence for a={a}, b={b}, x={x}")
