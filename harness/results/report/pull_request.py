"""A gate's verdict as a comment on a pull request: Markdown, the flipped problems with their answers folded."""

import html
import re
from pathlib import Path

from harness.errors import ConfigError
from harness.results import gate
from harness.results.baseline import Baseline
from harness.results.compare import first_answers
from harness.results.report import ci
from harness.results.report.tables import printable
from harness.runs.store import reader
from harness.runs.store.reader import Result

# GitHub takes 65,536 characters a comment: 12 problems with two answers of 2,000 leave room for the rest.
MAX_SHOWN = 12
MAX_LINES = 40
MAX_CHARACTERS = 2000

P_VALUE = (
    "p is the chance of a difference at least as large as this one if only chance moved the problems; brackets hold"
    " the interval of the difference: 95 %, or 96 % after looks on the way."
)

Answers = dict[str, tuple[str, str]]  # problem id -> (answer, status)


def comment(verdict: gate.GateVerdict, folder: Path, baseline: Baseline, before: Path | None = None) -> str:
    """`before` is the baseline's own run, whose answers are shown beside. The first line is a mark by which the next
    comment finds this one and takes its place. Raises ConfigError for a `before` that is another run."""
    out = [f"<!-- harness gate {html.escape(printable(verdict.task))} -->", ci.markdown(verdict)]
    if verdict.outcome in ("fault", "not comparable"):
        return "\n".join(out)
    if any(", p " in check.detail for check in verdict.checks):
        out += [P_VALUE, ""]
    run = reader.read(folder)
    if flips := gate.flipped(run, baseline):
        metric = gate.first_metric(run, baseline)
        out += _flips(flips, first_answers(run, metric), _answers_before(before, baseline, metric))
    return "\n".join(out)


def _answers_before(before: Path | None, baseline: Baseline, metric: str) -> Answers:
    if before is None:
        return {}
    run: Result = reader.read(before)
    if run.run_id != baseline.run_id:
        raise ConfigError(
            f"--before {str(before)!r} is {run.run_id}, and the baseline was made of {baseline.run_id}: give that run"
        )
    return first_answers(run, metric)


def _flips(flips: list[tuple[str, float]], now: Answers, before: Answers) -> list[str]:
    worse = sum(gain < 0 for _, gain in flips)
    out = [f"{worse} got worse, {len(flips) - worse} got better:", ""]
    for name, gain in flips[:MAX_SHOWN]:
        statuses = dict.fromkeys(answers[name][1] for answers in (before, now) if name in answers)
        ends = " &rarr; ".join(html.escape(status) for status in statuses if status != "scored")
        named = f"<code>{html.escape(printable(name))}</code> {ends}".rstrip()
        title = f"{'worse' if gain < 0 else 'better'} by {abs(gain):.4g}: {named}"
        out += ["<details>", f"<summary>{title}</summary>", ""]
        for when, answers in (("before", before), ("now", now)):
            if name in answers:
                out += [f"{when}:", "", *_fenced(answers[name][0]), ""]
        out += ["</details>", ""]
    if len(flips) > MAX_SHOWN:
        out += [f"{len(flips) - MAX_SHOWN} more are in the run.", ""]
    return out


def _fenced(answer: str) -> list[str]:
    """A code block that the answer cannot end, for its fence is longer than any in it."""
    short = answer[:MAX_CHARACTERS]
    lines = [printable(line.expandtabs(4))[:MAX_CHARACTERS] for line in short.split("\n")]
    if len(lines) > MAX_LINES or len(short) < len(answer):
        lines = [*lines[:MAX_LINES], "..."]
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", short)), default=0))
    return [fence, *lines, fence]
