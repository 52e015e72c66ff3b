"""Text metrics beside execution: how well each tells which samples pass, in runs that were judged by both.

An AUC of 50 is chance: a passing sample is as often below a failing one as above it.
"""

from collections.abc import Iterator
from html import escape

import numpy as np

from harness.results.report.sections import Section
from harness.runs.store.reader import Result
from harness.stats import agreement
from harness.stats.intervals import Floats

FEWEST = 10  # passing and failing samples for an interval: resamples of fewer vary too little
TEXT = {"exact": "exact match", "bleu": "BLEU", "codebleu": "CodeBLEU", "chrf": "chrF"}
_HEAD = (
    "<h3>Text metrics beside execution</h3>"
    '<p class="small quiet">'
    "AUC: how often a passing sample has the larger value than a failing one, in percent, ties half;"
    " 50 is chance. Intervals are of a bootstrap over problems.</p>"
    '<div class="scroll" tabindex="0" role="region" aria-label="Text metrics beside execution"><table><thead><tr>'
    "<th>run</th><th>metric</th><th>AUC</th><th>mean, passing</th><th>mean, failing</th></tr></thead><tbody>"
)


def html(section: Section) -> Iterator[str]:
    """A table of the section's runs that have both kinds of scores, and what exact match says of each."""
    found = [(row.name, run) for row in section.rows for run in row.runs if _metrics(run)]
    lines = [line for name, run in found for line in _rows(name, run)]
    if not lines:
        return
    yield _HEAD
    yield from lines
    yield "</tbody></table></div>"
    for name, run in found:
        if "exact" in _metrics(run):
            yield f'<p class="small">{escape(name)}: {_at_exact_match(run)}</p>'


def _metrics(run: Result) -> list[str]:
    """The text scorers of a run that is judged by execution."""
    executed = "pass@1" in run.reduces
    return [name for name in TEXT if executed and name in run.scores and _pairs(run, name)[0]]


def _pairs(run: Result, scorer: str) -> tuple[list[str], list[Floats], list[Floats]]:
    """The problems that both judged, and one value a sample of each."""
    passed = run.scores[run.reduces["pass@1"][0]]
    names = [name for name in run.samples if name in passed and name in run.scores[scorer]]
    return names, [run.scores[scorer][name][:, 0] for name in names], [passed[name][:, 0] for name in names]


def _rows(name: str, run: Result) -> Iterator[str]:
    for scorer in _metrics(run):
        problems, values, passed = _pairs(run, scorer)
        found = agreement.auc_interval(values, passed, run.cluster_labels(problems))
        if found is None:
            continue
        auc, low, high = (100 * value for value in found)
        value, good = np.concatenate(values), np.concatenate(passed) == 1.0
        enough = min(good.sum(), (~good).sum()) >= FEWEST
        interval = f"{auc:.1f} [{low:.1f}, {high:.1f}]" if enough else f"{auc:.1f}, too few for an interval"
        cells = (
            interval,
            *(f"{100 * value[at].mean():.1f}" for at in (good, ~good)),
        )
        shown = "".join(f"<td>{cell}</td>" for cell in (TEXT[scorer], *cells))
        yield f'<tr><td class="name">{escape(name)}</td>{shown}</tr>'


def _at_exact_match(run: Result) -> str:
    """The four counts, in a sentence."""
    _, values, passed = _pairs(run, "exact")
    same, good = np.concatenate(values) == 1.0, np.concatenate(passed) == 1.0
    counts = [int((a & b).sum()) for a in (same, ~same) for b in (good, ~good)]
    return (
        f"of {counts[0] + counts[1]} samples equal to the reference {counts[0]} pass and {counts[1]} fail; of"
        f" {counts[2] + counts[3]} others {counts[2]} pass and {counts[3]} fail."
    )
