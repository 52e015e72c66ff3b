"""Problems before and after a model's cut-off date: what a model may have seen in training, and what it cannot have.

A lower share after the date, at equal difficulty, is what contamination looks like; so is a benchmark whose problems of
one difficulty have become harder. A model whose cut-off is another date shows which of the two it is.
"""

from collections.abc import Iterator, Sequence
from datetime import date

import numpy as np

from harness.errors import ConfigError, UserError
from harness.results.report.sections import Section, run_names
from harness.runs.store.reader import Result
from harness.stats.estimates import is_bounded
from harness.stats.intervals import Floats
from harness.stats.matched_difference import MatchedDifference, matched_difference


def day(text: str) -> str:
    """The date, checked. Raises ConfigError."""
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise ConfigError(f"--cutoff {text!r}: expected a day like 2024-06-30") from None


def lines(sections: Sequence[Section], cutoff: str) -> Iterator[str]:
    """One for each run whose problems have dates. Raises UserError where none has."""
    found = [
        f"{section.title}, {name}: {_line(run, section.metric, cutoff)}"
        for section in sections
        for run, name in zip(section.runs, run_names([section]), strict=True)
        if any(run.dates.values())
    ]
    if not found:
        raise UserError("--cutoff: no problem of these runs has a date; livecodebench's have")
    yield from found


def _line(run: Result, metric: str, cutoff: str) -> str:
    if metric not in run.reduces:
        return "no metrics: no sample could be judged"
    found = difference(run, metric, cutoff)
    if found is None:
        return f"no group of problems lies on both sides of {cutoff}"
    value, low, high, before, after = (
        100 * each for each in (found.value, found.low, found.high, found.first, found.second)
    )
    left = f"; {found.unmatched} problems of groups on one side only are left out" if found.unmatched else ""
    return (
        f"{metric} to {cutoff} {before:.1f} ({found.counts[0]} problems), after it {after:.1f} ({found.counts[1]}):"
        f" {value:+.1f} [{low:+.1f}, {high:+.1f}], groups weighted as after it{left}"
    )


def difference(run: Result, metric: str, cutoff: str) -> MatchedDifference | None:
    """After less before, of the problems that have a date; the cut-off day itself is before."""
    reduce = run.reduces[metric][1]
    names = [name for name in run.samples if run.dates.get(name) and name in run.judged(metric)]
    values = run.vectors(metric, names) if names else np.zeros((0, 1))
    if not is_bounded(reduce, values):
        raise UserError(f"--cutoff is for shares, and {metric} is none: choose another with --metric")
    sides: tuple[dict[str, list[float]], dict[str, list[float]]] = ({}, {})
    for name, value in zip(names, values[:, 0].tolist(), strict=True):
        sides[run.dates[name] > cutoff].setdefault(run.groups[name], []).append(value)
    first, second = ({group: _array(found) for group, found in side.items()} for side in sides)
    return matched_difference(first, second)


def _array(values: Sequence[float]) -> Floats:
    return np.asarray(values, dtype=np.float64)
