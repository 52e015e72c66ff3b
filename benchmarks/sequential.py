"""How often a gate that stops early (--until-clear) is wrong, and what it saves, simulated, for docs/statistics.md.

    nice python benchmarks/sequential.py        about a minute

2,000 rounds a cell, problems drawn anew in each; looks and early verdicts are harness/runs/looks.py's and
harness/stats/sequential.py's own functions; the last test, and which verdict counts without a margin, are written once
more here, for all rounds at once. Beside each figure that of one test of all problems of a run that nobody looked at.
The standard error of a rate near 2.5 % is 0.35 points, near 50 % 1.1.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from harness.runs.looks import look_points
from harness.stats import student_t
from harness.stats.intervals import CAUTIOUS_PRIOR, Floats, difference_interval
from harness.stats.paired_tests import ALPHA, mcnemar_mid_p
from harness.stats.sequential import EARLY, LATE, exceeds

ROUNDS = 2000
Rounds = NDArray[np.bool_]


@dataclass(frozen=True)
class Gated:
    """Of each round: whether the gate passed it and whether it found a loss, at the stop and by one test of all
    problems; and the share of the problems that were judged."""

    passed: Rounds
    lost: Rounds
    passed_by_one: Rounds
    lost_by_one: Rounds
    used: Floats


def stops(gaps: Floats, sizes: Floats, margin: float) -> tuple[Rounds, Rounds, Floats]:
    """Whether a look shows the loss to be within the margin, whether beyond it, and the share of problems till then."""
    seen, total = np.cumsum(sizes), sizes.sum()
    looks = look_points([int(size) for size in sizes])
    most = float(sizes.max())
    first = []
    for signed, mean in ((gaps, -margin), (-gaps, margin)):
        reached = exceeds(signed, sizes, mean, most, EARLY / 2)[:, np.array(looks) - 1]
        first.append(np.where(reached.any(axis=1), reached.argmax(axis=1), len(looks)))
    within, beyond = first
    used = np.append(seen[np.array(looks) - 1], total)[np.minimum(within, beyond)] / total
    return within < np.minimum(beyond, len(looks)), beyond < np.minimum(within, len(looks)), used


def gated(gaps: Floats, sizes: Floats, margin: float | None, *, clustered: bool = False) -> Gated:
    """Rounds of differences `gaps` [rounds, units] over `sizes` problems each; without a margin any loss counts."""
    early_pass, early_loss, used = stops(gaps, sizes, margin or 0.0)
    found = []
    for level in (LATE, ALPHA):
        if margin is None:
            counts = (gaps > 0).sum(axis=1), (gaps < 0).sum(axis=1)
            pairs = zip(*counts, strict=True)
            lost = np.array(
                [
                    worse > better and mcnemar_mid_p(int(better), int(worse)) <= level
                    for better, worse in pairs
                ]
            )
            found.append((~lost, lost))
        else:
            point = (
                student_t.critical_value(len(sizes) - 1, level)
                if clustered
                else NormalDist().inv_cdf(1 - level / 2)
            )
            low, high = difference_interval(gaps, sizes, critical=point, prior=CAUTIOUS_PRIOR)
            found.append((low >= -margin, high < -margin))
    (passed, lost), (passed_by_one, lost_by_one) = found
    early = early_loss | (early_pass if margin is not None else False)
    return Gated(
        passed=np.where(early, early_pass & (margin is not None), passed),
        lost=np.where(early, early_loss, lost),
        passed_by_one=passed_by_one,
        lost_by_one=lost_by_one,
        used=used if margin is not None else np.where(early_loss, used, 1.0),
    )


def single(
    rng: np.random.Generator, problems: int, flips: float, loss: float, rounds: int = ROUNDS
) -> Floats:
    """One sample a problem: the share `flips` flips each way, and `loss` is lost besides."""
    drawn = rng.random((rounds, problems))
    found: Floats = np.where(drawn < flips + loss, -1.0, np.where(drawn > 1 - flips, 1.0, 0.0))
    return found


def percent(rounds: Rounds | Floats, digits: int = 0) -> str:
    return f"{100 * float(rounds.mean()):.{digits}f}"


def table(head: Sequence[str], rows: Iterator[Sequence[str]]) -> None:
    print(f"| {' | '.join(head)} |\n|{'---|' * len(head)}")
    for row in rows:
        print(f"| {' | '.join(row)} |", flush=True)
    print()


def with_margin() -> Iterator[Sequence[str]]:
    rng = np.random.default_rng(1)
    for problems, margin in ((164, 0.05), (164, 0.1), (500, 0.02), (500, 0.05), (1000, 0.02), (1000, 0.05)):
        for flips in (0.0, 0.01, 0.05):
            sizes = np.ones(problems)
            at, none, far = (
                gated(single(rng, problems, flips, loss), sizes, margin)
                for loss in (margin, 0.0, margin + 0.1)
            )
            yield (
                str(problems), f"{margin:g}", f"{flips:g}",
                f"{percent(at.passed, 1)} / {percent(at.passed_by_one, 1)}",
                f"{percent(none.passed)} / {percent(none.passed_by_one)}",
                percent(none.used), percent(far.used),
            )  # fmt: skip


def without_margin() -> Iterator[Sequence[str]]:
    rng = np.random.default_rng(2)
    for problems in (164, 500, 1000):
        for flips in (0.01, 0.05):
            cells = [
                gated(single(rng, problems, flips, loss), np.ones(problems), None)
                for loss in (0, 0.05, 0.1, 0.2)
            ]
            none, *losses = cells
            yield (
                str(problems), f"{flips:g}", f"{percent(none.lost, 1)} / {percent(none.lost_by_one, 1)}",
                *(f"{percent(one.lost)} / {percent(one.lost_by_one)}, {percent(one.used)}" for one in losses),
            )  # fmt: skip


def other_units() -> Iterator[Sequence[str]]:
    """At a loss of the margin: rates over samples, and clusters that differ among themselves."""
    rng = np.random.default_rng(3)
    margin = 0.05
    for spread in (0.5, 2.0):
        shares = rng.beta(spread / 2, spread / 2, (ROUNDS, 300))
        pair = [rng.binomial(10, np.clip(shares * (1 - cut), 0, 1)) / 10 for cut in (0.0, 2 * margin)]
        yield row(
            f"300 problems of 10 samples, beta of strength {spread:g}",
            pair[1] - pair[0],
            np.ones(300),
            margin,
        )
    for count, size in ((20, 50), (40, 25)):
        for name, sizes in (
            ("equal", np.full(count, size)),
            ("unequal", np.linspace(0.2, 1.8, count) * size),
        ):
            sizes = np.round(sizes)
            chances = np.clip(rng.normal(0, 0.05, (ROUNDS, count)), -0.1, 0.1)
            each = [rng.multinomial(int(n), [0.1, 0.1 + margin, 0.8 - margin], ROUNDS) for n in sizes]
            gaps = np.stack([one[:, 0] - one[:, 1] for one in each], axis=1) + np.round(chances * sizes)
            order = rng.permuted(np.tile(np.arange(count), (ROUNDS, 1)), axis=1)[0]
            yield row(
                f"{count} clusters of {size}, {name}", gaps[:, order], sizes[order], margin, clustered=True
            )


def row(name: str, gaps: Floats, sizes: Floats, margin: float, *, clustered: bool = False) -> Sequence[str]:
    at = gated(gaps, sizes, margin, clustered=clustered)
    none = gated(gaps + margin * sizes, sizes, margin, clustered=clustered)
    return (
        name, f"{percent(at.passed, 1)} / {percent(at.passed_by_one, 1)}",
        f"{percent(none.passed)} / {percent(none.passed_by_one)}", percent(none.used),
    )  # fmt: skip


def main() -> None:
    began = time.process_time()
    print(
        "With a margin: passes in percent (stopping early / one test of all), and percent of the problems judged\n"
    )
    head = (
        "problems",
        "margin",
        "flips",
        "passes at a loss of the margin",
        "passes with no loss",
        "judged: no loss",
    )
    table((*head, "10 points beyond the margin"), with_margin())
    print(
        "Without a margin: losses found in percent (stopping early / one test), and percent of the problems judged\n"
    )
    table(("problems", "flips", "false alarms", "loss of 5 points", "of 10", "of 20"), without_margin())
    print("Other units, margin 0.05: passes in percent (stopping early / one test)\n")
    table(("units", "at a loss of the margin", "with no loss", "judged: no loss"), other_units())
    print(f"<!-- {time.process_time() - began:.0f} s of CPU -->")


if __name__ == "__main__":
    main()
