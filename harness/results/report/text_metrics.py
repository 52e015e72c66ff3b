"""Text metrics beside execution: how well each tells which samples pass, in runs that were judged by both.

An AUC of 50 is chance: a passing sample is as often below a failing one as above it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from harness.results.report.sections import Section
from harness.runs.store.reader import Result
from harness.stats import agreement
from harness.stats.intervals import Floats

FEWEST = 10  # passing and failing samples for an interval: resamples of fewer vary too little
TEXT = {"exact": "exact match", "bleu": "BLEU", "codebleu": "CodeBLEU", "chrf": "chrF"}


@dataclass(frozen=True)
class TextMetrics:
    """Rows of (method, cells), and what exact match says of each method."""

    rows: Sequence[tuple[str, Sequence[str]]]
    at_exact_match: Sequence[tuple[str, str]]


def table(section: Section) -> TextMetrics | None:
    """Of the section's runs that have both kinds of scores; None without one."""
    found = [(row.name, run) for row in section.all_rows for run in row.runs if _metrics(run)]
    rows = [(name, cells) for name, run in found for cells in _rows(run)]
    exact = [(name, _at_exact_match(run)) for name, run in found if "exact" in _metrics(run)]
    return TextMetrics(rows, exact) if rows else None


def _metrics(run: Result) -> list[str]:
    """The text scorers of a run that is judged by execution."""
    executed = "pass@1" in run.reduces
    return [name for name in TEXT if executed and name in run.scores and _pairs(run, name)[0]]


def _pairs(run: Result, scorer: str) -> tuple[list[str], list[Floats], list[Floats]]:
    """The problems that both judged, and one value a sample of each."""
    passed = run.scores[run.reduces["pass@1"][0]]
    names = [name for name in run.samples if name in passed and name in run.scores[scorer]]
    return names, [run.scores[scorer][name][:, 0] for name in names], [passed[name][:, 0] for name in names]


def _rows(run: Result) -> Iterator[tuple[str, ...]]:
    for scorer in _metrics(run):
        problems, values, passed = _pairs(run, scorer)
        found = agreement.auc_interval(values, passed, run.cluster_labels(problems))
        if found is None:
            continue
        auc, low, high = (100 * value for value in found)
        value, good = np.concatenate(values), np.concatenate(passed) == 1.0
        enough = min(good.sum(), (~good).sum()) >= FEWEST
        interval = f"{auc:.1f} [{low:.1f}, {high:.1f}]" if enough else f"{auc:.1f}, too few for an interval"
        yield TEXT[scorer], interval, *(f"{100 * value[at].mean():.1f}" for at in (good, ~good))


def _at_exact_match(run: Result) -> str:
    """The four counts, in a sentence."""
    _, values, passed = _pairs(run, "exact")
    same, good = np.concatenate(values) == 1.0, np.concatenate(passed) == 1.0
    counts = [int((a & b).sum()) for a in (same, ~same) for b in (good, ~good)]
    return (
        f"of {counts[0] + counts[1]} samples equal to the reference {counts[0]} pass and {counts[1]} fail; of"
        f" {counts[2] + counts[3]} others {counts[2]} pass and {counts[3]} fail."
    )
