"""A run that --until-clear stopped, beside its baseline: which part of it there is, and what that says of it all."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import chain

from harness.errors import ConfigError
from harness.results.baseline import Baseline, paired_vectors
from harness.runs import looks
from harness.runs.store.reader import Result
from harness.stats import sequential
from harness.stats.estimates import is_bounded
from harness.stats.paired_tests import TOLERANCE, gains
from harness.stats.resampling import unit_sums


@dataclass(frozen=True)
class EarlyDifference:
    """`value` is run - baseline over the `n` problems so far; the interval of the true one holds at every look."""

    value: float
    low: float
    high: float
    n: int
    better: int
    worse: int


def is_stopped(run: Result) -> bool:
    """Whether the run is a part because a look was answered by True."""
    return any(note.startswith(looks.STOPPED) for note in run.summary.notes)


def check_not_stopped(run: Result) -> None:
    """Raises ConfigError for a part: its value is that of the moment at which the difference looked large."""
    for note in run.summary.notes:
        if note.startswith((looks.STOPPED, looks.UNDER_WAY)):
            raise ConfigError(f"{run.run_id} is {note}")


def without_stopped(runs: Sequence[Result]) -> tuple[list[Result], list[str]]:
    """The others, and a line for each that `check_not_stopped` refuses."""
    whole, lines = [], []
    for run in runs:
        try:
            check_not_stopped(run)
        except ConfigError as error:
            lines.append(f"skipped {run.folder}: {error}")
        else:
            whole.append(run)
    return whole, lines


def check_part(run: Result, baseline: Baseline) -> None:
    """Raises ConfigError where the part is not one that the order gives, or the baseline has not all its problems."""
    check_problems(run.groups, baseline)
    units = _units(run)
    here = [unit for unit in units if unit[0] in run.samples]
    if here != units[: len(here)] or set(chain(*here)) != set(run.samples):
        raise ConfigError(f"{run.run_id} was stopped, but its problems are not the first of the order drawn")


def check_problems(planned: Collection[str], baseline: Baseline) -> None:
    """Raises ConfigError unless the whole run has the baseline's problems and no others."""
    more, fewer = len(set(planned) - baseline.prompts.keys()), len(baseline.prompts.keys() - set(planned))
    if more:
        raise ConfigError(
            f"this run has {more} problems that the baseline has not: run it with --only and the baseline's file"
        )
    if fewer:
        raise ConfigError(f"this run lacks {fewer} of the baseline's {len(baseline.prompts)} problems")


def early_difference(run: Result, baseline: Baseline, name: str, alpha: float) -> EarlyDifference | None:
    """The metric's difference to the baseline, None of one that is no mean of values in 0..1. The true one is at any
    look outside the interval with chance `alpha` at most."""
    units = _units(run)
    here = [unit for unit in units if unit[0] in run.samples]
    reduce = run.reduces[name][1]
    if reduce.over is not None:
        return None
    before, after = paired_vectors(run, baseline, name, list(chain(*here)))
    if not is_bounded(reduce, before, after):
        return None
    labels = [number for number, unit in enumerate(here) for _ in unit]
    sums, sizes = unit_sums(after - before, labels)
    gaps = sums[:, 0]
    low, high = sequential.bounds(gaps, sizes, max(map(len, units)), alpha)
    value = float(gaps.sum() / sizes.sum())
    gain = gains(reduce, before, after)
    better, worse = int((gain > TOLERANCE).sum()), int((gain < -TOLERANCE).sum())
    return EarlyDifference(value, min(low, value), max(high, value), len(labels), better, worse)


def _units(run: Result) -> list[list[str]]:
    """All that was planned, in the order drawn."""
    return looks.drawn_units({name: run.clusters.get(name, "") for name in run.groups})
