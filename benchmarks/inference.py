"""How well intervals, tests and the gate keep their promises, simulated: the tables of docs/statistics.md.

    nice python benchmarks/inference.py [TABLE ...]      coverage difference gate tests clusters seeds; about 8 minutes

2,000 rounds a cell: the standard error is 0.5 points near 95 % and 0.35 points near 2.5 %. Problems are drawn anew in
each round, n samples of each, and the true value is that of all problems that could be drawn. Mixes of problems:
`equal` (the same chance of a right answer), `two kinds` (odds 20 times as high for one half), `mixed` (a beta
distribution of strength 2) and `extreme` (of strength 0.5: most are solved nearly always or hardly ever). In pairs
mixed and extreme problems have normal logits, of standard deviation 2 and 4.
"""

import sys
import time
from collections.abc import Callable, Iterator
from functools import cache

import numpy as np

from harness.stats.estimates import mean_of, pass_at_k
from harness.stats.intervals import (
    CAUTIOUS_PRIOR,
    Floats,
    difference_interval,
    share_interval,
    tango_bounds,
)
from harness.stats.paired_tests import Design, mcnemar_mid_p, paired_difference, paired_p, permutation_test
from harness.stats.paired_tests import paired_units as units_of
from harness.stats.resampling import bootstrap_means
from harness.stats.seeds import seed_variance

ROUNDS = 2000
SHARES = (0.01, 0.03, 0.1, 0.3, 0.5, 0.7, 0.9, 0.97, 0.99)
SIZES = (30, 100, 300, 1000)
SAMPLES = ((1, 1), (2, 1), (10, 1), (100, 1), (10, 5), (100, 10))  # n samples, pass@k
MIXES = ("equal", "two kinds", "mixed", "extreme")
GRID = np.linspace(-8, 8, 2001)  # of a normal distribution
WEIGHTS = np.exp(-(GRID**2) / 2) / np.exp(-(GRID**2) / 2).sum()
MEAN = mean_of()


@cache
def values_of(n: int, k: int) -> Floats:
    """pass@k of 0 to n right samples."""
    return np.array([pass_at_k(n, right, k) for right in range(n + 1)])


def search(rising: Callable[[float], float], target: float, low: float, high: float) -> float:
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < target else (low, middle)
    return low


def chances(mix: str, p: float, k: int) -> Callable[[np.random.Generator, tuple[int, int]], Floats]:
    """Draws of the problems' chances, with which pass@k is p over all problems."""
    if mix == "equal":
        one = 1 - (1 - p) ** (1 / k)
        return lambda rng, size: np.full(size, one)
    if mix == "two kinds":
        apart = np.array([-1.5, 1.5])
        at = search(lambda x: float(np.mean(1 - (1 + np.exp(x + apart)) ** -float(k))), p, -40, 40)
        return lambda rng, size: (1 / (1 + np.exp(-at - apart)))[rng.integers(2, size=size)]
    strength = {"mixed": 2.0, "extreme": 0.5}[mix]

    def value(mean: float) -> float:
        wrong = [((1 - mean) * strength + i) / (strength + i) for i in range(k)]
        return 1 - float(np.prod(wrong))

    mean = search(value, p, 0, 1)
    return lambda rng, size: rng.beta(mean * strength, (1 - mean) * strength, size)


def held(low: Floats, high: Floats, truth: float) -> float:
    return 100 * float(np.mean((low <= truth + 1e-12) & (truth - 1e-12 <= high)))


def table(head: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> None:
    print("| " + " | ".join(head) + " |\n|" + "---|" * len(head))
    for row in rows:
        print("| " + " | ".join(row) + " |", flush=True)
    print()


def spread(found: list[float]) -> str:
    return f"{min(found):.1f} to {max(found):.1f}"


# ---------------------------------------------------------------- intervals


def coverage() -> None:
    rng = np.random.default_rng(1)
    every: dict[tuple[str, int, int, int, float], float] = {}
    for mix in MIXES:
        for n, k in SAMPLES:
            if n == 1 and mix != "equal":
                continue  # one sample a problem is one zero or one, however problems are mixed
            for size in SIZES:
                for p in SHARES:
                    rates = chances(mix, p, k)(rng, (ROUNDS, size))
                    low, high = share_interval(values_of(n, k)[rng.binomial(n, rates)], np.ones(size))
                    every[mix, n, k, size, p] = held(low, high, p)
    print("Coverage of the 95 % interval in percent, lowest to highest over p = 0.01 to 0.99 (nominal 95)\n")
    kinds = dict.fromkeys(key[:3] for key in every)
    table(
        ("problems", "metric", *(f"N = {size}" for size in SIZES)),
        (
            (
                mix if n > 1 else "any",
                f"pass@{k} of n = {n}",
                *(spread([every[mix, n, k, size, p] for p in SHARES]) for size in SIZES),
            )
            for mix, n, k in kinds
        ),
    )
    for name, chosen in (("n > 1", lambda n: n > 1), ("n = 1, Wilson's", lambda n: n == 1)):
        found = [v for key, v in every.items() if chosen(key[1])]
        inside = sum(92.5 <= v <= 97.5 for v in found)
        print(f"{name}: {len(found)} cells, {inside} within 95 +/- 2.5, lowest {min(found):.1f}, ", end="")
        print(f"highest {max(found):.1f}, median {np.median(found):.1f}\n")
    rows = []
    for mix, n, k, size, p in (
        ("equal", 10, 1, 30, 0.01),
        ("extreme", 100, 1, 30, 0.03),
        ("mixed", 10, 5, 100, 0.99),
    ):
        rates = chances(mix, p, k)(rng, (ROUNDS, size))
        hits = 0
        for values in values_of(n, k)[rng.binomial(n, rates)]:
            means = np.concatenate(list(bootstrap_means(values[:, None], seed=0, rounds=1000)))
            low, high = np.quantile(means, (0.025, 0.975))
            hits += bool(low <= p <= high)
        now = every[mix, n, k, size, p]
        rows.append(
            (mix, f"pass@{k} of n = {n}", str(size), f"{p}", f"{100 * hits / len(rates):.1f}", f"{now:.1f}")
        )
    print("Beside the percentile bootstrap over problems, nominal 95\n")
    table(("problems", "metric", "N", "p", "bootstrap", "now"), iter(rows))


def paired_chances(spread_of: float, p: float, k: int) -> float:
    """The logit at which problems with normal logits, so far spread, have pass@k = p."""
    return search(
        lambda x: float(WEIGHTS @ (1 - (1 + np.exp(np.clip(x + spread_of * GRID, -500, 500))) ** -float(k))),
        p,
        -60,
        60,
    )


def draw_pair(
    rng: np.random.Generator, size: int, n: int, k: int, shares: tuple[float, float], spread_of: float
) -> tuple[Floats, Floats]:
    """Two runs on the same problems, logits correlated 0.9."""
    first = rng.normal(size=(ROUNDS, size)) if spread_of else np.zeros((ROUNDS, size))
    second = 0.9 * first + (np.sqrt(0.19) * rng.normal(size=first.shape) if spread_of else 0)
    found = []
    for p, logits in zip(shares, (first, second), strict=True):
        at = paired_chances(spread_of, p, k)
        found.append(values_of(n, k)[rng.binomial(n, 1 / (1 + np.exp(-at - spread_of * logits)))])
    return found[0], found[1]


PAIRS = (
    (0.01, 0.01),
    (0.03, 0.06),
    (0.1, 0.1),
    (0.3, 0.4),
    (0.5, 0.5),
    (0.9, 0.9),
    (0.9, 0.97),
    (0.99, 0.99),
)


def difference() -> None:
    rng = np.random.default_rng(2)
    rows, every = [], {}
    for name, spread_of in (("equal", 0.0), ("mixed", 2.0), ("extreme", 4.0)):
        for n, k in SAMPLES:
            cells = []
            for size in SIZES[:3]:
                found = []
                for shares in PAIRS:
                    a, b = draw_pair(rng, size, n, k, shares, spread_of)
                    low, high = difference_interval(b - a, np.ones(size))
                    flips = size * float(np.abs(b - a).mean())
                    every[name, n, k, size, shares] = (held(low, high, shares[1] - shares[0]), flips)
                    found.append(every[name, n, k, size, shares][0])
                cells.append(spread(found))
            rows.append((name, f"pass@{k} of n = {n}", *cells))
    print(
        "Coverage of the paired difference's 95 % interval in percent, lowest to highest over 8 pairs (nominal 95)\n"
    )
    table(("problems", "metric", *(f"N = {size}" for size in SIZES[:3])), iter(rows))
    for name, chosen in (
        ("all", lambda flips: True),
        ("whose differences add up to 5 problems or more", lambda flips: flips >= 5),
    ):
        found = [v for v, flips in every.values() if chosen(flips)]
        inside = sum(92.5 <= v <= 97.5 for v in found)
        print(f"{len(found)} cells {name}: {inside} within 95 +/- 2.5, lowest {min(found):.1f}, ", end="")
        print(f"highest {max(found):.1f}\n")


# ---------------------------------------------------------------- the gate


def gate() -> None:
    rng = np.random.default_rng(3)
    sizes = (30, 100, 164, 300, 500, 1000)
    print(
        "Passes of the gate in percent, one sample a problem: at a true loss of the margin (nominal at most 2.5)"
    )
    print("/ with no loss. `flips` is the share of problems that flip each way besides the loss.\n")
    rows = []
    for margin in (0.01, 0.02, 0.05, 0.1):
        for flips in (0.0, 0.01, 0.05, 0.1):
            cells = []
            for size in sizes:
                both = []
                for loss in (margin, 0.0):
                    gained, lost, _ = rng.multinomial(
                        size, [flips, flips + loss, 1 - 2 * flips - loss], 20_000
                    ).T
                    low, _ = tango_bounds(
                        gained.astype(float), lost.astype(float), np.full(20_000, float(size))
                    )
                    both.append(100 * float(np.mean(low >= -margin)))
                cells.append(f"{both[0]:.1f} / {both[1]:.0f}")
            rows.append((f"{margin:g}", f"{flips:g}", *cells))
    table(("margin", "flips", *(f"N = {size}" for size in sizes)), iter(rows))
    print(
        "The same at a true loss of the margin with n samples a problem, highest over six pairs of shares\n"
    )
    rows = []
    shares = ((0.1, 0.02), (0.5, 0.02), (0.5, 0.05), (0.9, 0.02), (0.95, 0.05), (0.97, 0.02))
    for name, spread_of in (("equal", 0.0), ("mixed", 2.0), ("extreme", 4.0)):
        for n, k in ((10, 1), (100, 1), (100, 10)):
            cells = []
            for size in (30, 100, 300):
                found = []
                for p, margin in shares:
                    a, b = draw_pair(rng, size, n, k, (p, p - margin), spread_of)
                    low, _ = difference_interval(b - a, np.ones(size), prior=CAUTIOUS_PRIOR)
                    found.append(100 * float(np.mean(low >= -margin)))
                cells.append(f"{max(found):.1f}")
            rows.append((name, f"pass@{k} of n = {n}", *cells))
    table(("problems", "metric", "N = 30", "N = 100", "N = 300"), iter(rows))


# ---------------------------------------------------------------- tests


def tests() -> None:
    rng = np.random.default_rng(4)
    print(
        "Rejections at p <= 0.05 in percent, no difference (nominal 5) / the second run better by 5 points (power)\n"
    )
    rows = []
    for flips in (0.02, 0.05, 0.1):
        cells = []
        for size in (66, 164, 500, 1000):
            both = []
            for gain in (0.0, 0.05):
                drawn = rng.multinomial(size, [flips + gain, flips, 1 - 2 * flips - gain], ROUNDS)
                both.append(
                    100 * float(np.mean([mcnemar_mid_p(int(b), int(w)) <= 0.05 for b, w, _ in drawn]))
                )
            cells.append(f"{both[0]:.1f} / {both[1]:.0f}")
        rows.append((f"McNemar mid-p, n = 1, flips {flips:g} each way", *cells))
    for n in (10,):
        cells = []
        for size in (66, 164, 500):
            both = []
            for gain in (0.0, 0.05):
                pair = draw_pair(rng, size, n, 1, (0.5, 0.5 + gain), 2.0)
                ps = [
                    permutation_test(MEAN, units_of(a[:, None], b[:, None]), seed=i, rounds=399)[0]
                    for i, (a, b) in enumerate(zip(*pair, strict=True))
                ]
                both.append(100 * float(np.mean(np.array(ps) <= 0.05)))
            cells.append(f"{both[0]:.1f} / {both[1]:.0f}")
        rows.append((f"permutation, n = {n}, mixed problems", *cells, ""))
    table(("test", "N = 66", "N = 164", "N = 500", "N = 1000"), iter(rows))


def clusters() -> None:
    """One sample a problem; what a run is better at varies with the cluster, by 5 points (standard deviation)."""
    rng = np.random.default_rng(5)
    print("Clusters (standard deviation of the difference between clusters: 5 points), one sample a problem:")
    print(
        "rejections at p <= 0.05 with no difference (nominal 5), coverage (nominal 95); beside it as if independent\n"
    )
    rows = []
    for count, size in ((4, 100), (6, 100), (10, 50), (20, 50), (40, 25)):
        for name, sizes in (
            ("equal", np.full(count, size)),
            ("unequal", np.linspace(0.2, 1.8, count) * size),
        ):
            labels = np.repeat(np.arange(count), sizes.astype(int))
            found = np.zeros(4)
            for i in range(ROUNDS):
                shift = rng.normal(0, 0.05, count)[labels]
                flip = rng.random(len(labels))
                gap = np.where(flip < 0.1 + shift / 2, 1.0, np.where(flip > 0.9 + shift / 2, -1.0, 0.0))
                a, b = (np.maximum(side, 0)[:, None] for side in (-gap, gap))
                whole = paired_difference(MEAN, a, b, Design(single=True, clusters=labels.tolist()), seed=i)
                alone = paired_difference(MEAN, a, b, Design(single=True))
                found += [
                    whole.p <= 0.05,
                    alone.p <= 0.05,
                    whole.low <= 0 <= whole.high,
                    alone.low <= 0 <= alone.high,
                ]
            shares = [f"{100 * x / ROUNDS:.1f}" for x in found]
            rows.append((f"{count} of {size}, {name}", *shares))
    table(("clusters", "rejections", "(independent)", "coverage", "(independent)"), iter(rows))


def seeds() -> None:
    rng = np.random.default_rng(6)
    print(
        "Several seeds on both sides, 164 problems, 10 samples each: rejections at p <= 0.05 with no difference"
    )
    print("(nominal 5) and coverage (nominal 95), by the standard deviation between seeds in points\n")
    rows = []
    for count in (2, 3, 5):
        for points in (0, 1, 2, 4):
            found = np.zeros(3)
            for i in range(ROUNDS):
                hard = rng.uniform(0.2, 0.8, size=164)
                runs = [
                    rng.binomial(10, np.clip(hard + rng.normal(0, points / 100, (count, 1)), 0, 1)) / 10
                    for _ in "ab"
                ]
                a, b = (run.mean(axis=0)[:, None] for run in runs)
                design = Design(seeds=[seed_variance(run) for run in runs])
                p = paired_p(MEAN, a, b, design)[0]
                alone = permutation_test(MEAN, units_of(a, b), seed=i, rounds=399)[0]
                gap = paired_difference(MEAN, a, b, design)
                found += [p <= 0.05, alone <= 0.05, gap.low <= 0 <= gap.high]
            rows.append((str(count), str(points), *(f"{100 * x / ROUNDS:.1f}" for x in found)))
    table(("seeds", "sd between seeds", "rejections", "(problems only)", "coverage"), iter(rows))


TABLES = {
    "coverage": coverage,
    "difference": difference,
    "gate": gate,
    "tests": tests,
    "clusters": clusters,
    "seeds": seeds,
}


def main() -> None:
    for name in sys.argv[1:] or TABLES:
        began = time.process_time()
        TABLES[name]()
        print(f"<!-- {name}: {time.process_time() - began:.0f} s of CPU -->\n", flush=True)


if __name__ == "__main__":
    main()
