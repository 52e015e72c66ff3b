"""Compare a run with a baseline, for CI: the exit code says how it went. Recorded generations need no model.

    compare_with_baseline    run, baseline -> GateVerdict: passed, regression, fault, not comparable, too few to tell
    UntilClear               the same of a run under way (--until-clear): whether there is a verdict that will stay

A fault or a missing sample never passes: both are checked before any metric. The order of rows changes nothing. A run
that was looked at on its way is tested a little more strictly, so that the rate of wrong verdicts stays what it is.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from harness.errors import Fault, NotComparable
from harness.results.baseline import (
    Baseline,
    Rules,
    check_metric_rules,
    check_rules,
    gated_conditions,
    paired_vectors,
    prompts_of,
)
from harness.results.compare import detectable_difference
from harness.results.early_stop import (
    EarlyDifference,
    check_part,
    check_problems,
    early_difference,
    is_stopped,
)
from harness.results.report.comparison import minimum_detectable, p_value
from harness.runs import looks
from harness.runs.resolve import ResolvedRun
from harness.runs.store import reader
from harness.runs.store.conditions import format_value
from harness.runs.store.reader import Result
from harness.schema import Reduce
from harness.stats import estimates, paired_tests, sequential
from harness.stats.intervals import CAUTIOUS_PRIOR, Z95
from harness.stats.paired_tests import ALPHA, Design

COMPARABLE = "comparable"  # the name of the first check

TOO_FEW: Final = "too few to tell"

GateOutcome = Literal["passed", "regression", "fault", "not comparable", "too few to tell"]
EXIT_CODES: Mapping[GateOutcome, int] = {
    "passed": 0,
    "regression": 1,
    "fault": 3,
    "not comparable": 4,
    "too few to tell": 4,
}


@dataclass(frozen=True)
class Check:
    """`undecided`: not passed because there is too little to decide on, not because something was lost."""

    name: str
    passed: bool
    detail: str
    undecided: bool = False


@dataclass(frozen=True)
class GateVerdict:
    """`worse` names the problems that got worse on the first metric, worst first."""

    run_id: str
    baseline_id: str
    task: str
    outcome: GateOutcome
    checks: tuple[Check, ...]
    worse: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        return EXIT_CODES[self.outcome]


# ---------------------------------------------------------------- the verdict


def gate(folder: Path, baseline: Baseline, rules: Rules) -> GateVerdict:
    """Read the run and compare it; a run that cannot be read is a fault, with the reason as its check."""
    try:
        run = reader.read(folder)
    except Fault as fault:
        check = Check(COMPARABLE, False, str(fault))
        return GateVerdict(
            folder.name, baseline.run_id, str(baseline.conditions.get("task", "")), "fault", (check,)
        )
    return compare_with_baseline(run, baseline, rules)


def compare_with_baseline(run: Result, baseline: Baseline, rules: Rules) -> GateVerdict:
    """Compare the run with the baseline. Rules of a kind given in `rules` replace the baseline's."""
    return _compare(run, baseline, rules, is_part=is_stopped(run))


def _compare(run: Result, baseline: Baseline, rules: Rules, *, is_part: bool) -> GateVerdict:
    rules = Rules(**{k: v or getattr(baseline.rules, k) for k, v in rules.model_dump().items()})
    check_rules(rules, run)

    def verdict(outcome: GateOutcome, checks: Sequence[Check], worse: Sequence[str] = ()) -> GateVerdict:
        return GateVerdict(
            run.run_id, baseline.run_id, run.summary.task, outcome, tuple(checks), tuple(worse)
        )

    if lines := _faults(run, baseline, is_part):
        return verdict("fault", [Check(COMPARABLE, False, line) for line in lines])
    now = gated_conditions(run.record, run.config)
    if lines := _condition_differences(now, prompts_of(run), run.scores, baseline):
        return verdict("not comparable", [Check(COMPARABLE, False, line) for line in lines])
    checks = _early_checks(run, baseline, rules) if is_part else _full_checks(run, baseline, rules)
    worse = [name for name, gain in flipped(run, baseline) if gain < 0]
    return verdict(_outcome(checks), checks, worse)


@dataclass(frozen=True)
class UntilClear:
    """Whether the part of a run can be judged by the baseline's rules, whatever the rest will be (`looks.Enough`)."""

    baseline: Baseline

    def check(self, whole: ResolvedRun) -> None:
        """Raises ConfigError or NotComparable for what the gate would refuse of any part of this run."""
        check_problems([problem.id for problem in whole.problems], self.baseline)
        ks = estimates.k_values(min(whole.counts.values()), whole.config.k)
        reduces = {name: one for scorer in whole.task.scorers for name, one in scorer.metrics(ks).items()}
        check_metric_rules(self.baseline.rules, reduces)
        now = gated_conditions(whole.record, whole.config)
        prompts = {problem.id: whole.plan.prompts[problem.id].sha for problem in whole.problems}
        scorers = {scorer.name for scorer in whole.task.scorers}
        if lines := _condition_differences(now, prompts, scorers, self.baseline):
            raise NotComparable("; ".join(lines))

    def __call__(self, folder: Path) -> bool:
        """A fault decides nothing: samples that could not be judged are tried again with the next part."""
        verdict = _compare(reader.read(folder), self.baseline, Rules(), is_part=True)
        if verdict.outcome == "not comparable":
            raise NotComparable("; ".join(check.detail for check in verdict.checks))
        return verdict.outcome in ("passed", "regression")


def _full_checks(run: Result, baseline: Baseline, rules: Rules) -> list[Check]:
    problems, seen = sorted(baseline.prompts), looks.read(run.folder)
    before = (
        f"; after {len(seen)} looks on the way tested at {sequential.LATE:g}, not {ALPHA:g}" if seen else ""
    )
    checks = [Check(COMPARABLE, True, f"same conditions, {len(problems)} problems{before}")]
    checks += _metric_checks(run, baseline, rules, sequential.LATE if seen else ALPHA)
    for name, floor in rules.floors.items():
        e = estimates.estimate_rows(run.reduces[name][1], run.vectors(name, problems))
        ok, value = (e.value <= floor if e.lower_is_better else e.value >= floor), e.value
        checks.append(Check(f"{name} floor", ok, f"{value:.4f}, floor {floor:g}"))
    for name, most in rules.ceilings.items():
        cost = run.summary.cost[name] / run.summary.samples
        checks.append(Check(f"{name} ceiling", cost <= most, f"{cost:.1f} per sample, ceiling {most:g}"))
    return checks


def _outcome(checks: Sequence[Check]) -> GateOutcome:
    if any(not check.passed and not check.undecided for check in checks):
        return "regression"
    return TOO_FEW if any(check.undecided for check in checks) else "passed"


def _faults(run: Result, baseline: Baseline, is_part: bool) -> list[str]:
    lines = []
    if run.faults or run.summary.errors:
        lines.append(f"{max(run.faults, run.summary.errors)} samples could not be judged")
    planned = run.groups if is_part else run.samples
    by_design = (looks.STOPPED, looks.UNDER_WAY)
    notes = [note for note in run.summary.notes if note.startswith("partial")]
    if partial := [note for note in notes if not (is_part and note.startswith(by_design))]:
        lines.append(f"samples are missing: {partial[0]}")
    elif missing := sorted(set(baseline.prompts) - set(planned)):
        lines.append(f"{len(missing)} problems of the baseline are missing: {', '.join(missing[:3])}")
    counts = next(iter(baseline.scores.values()), {})
    short = [name for name, rows in counts.items() if 0 < run.samples.get(name, 0) < len(rows)]
    if short and run.record["sampling"]["samples"] == baseline.conditions.get("sampling.samples", 1):
        lines.append(f"{len(short)} problems have fewer samples than in the baseline: {', '.join(short[:3])}")
    return lines


def _condition_differences(
    now: Mapping[str, Any], prompts: Mapping[str, str], scorers: Collection[str], baseline: Baseline
) -> list[str]:
    before = baseline.conditions
    lines = [
        f"{name}: {format_value(before.get(name))} in the baseline, {format_value(now.get(name))} now"
        for name in dict.fromkeys([*before, *now])
        if before.get(name) != now.get(name) and (name in before or not name.startswith("scorers."))
    ]
    other = [name for name, sha in baseline.prompts.items() if prompts.get(name, sha) != sha]
    if other and not lines:
        lines.append(f"different prompts for {len(other)} of {len(prompts)} problems: {', '.join(other[:3])}")
    if not lines and (lost := set(baseline.scores) - set(scorers)):
        lines.append(f"the baseline has scores of {', '.join(sorted(lost))}, this run does not")
    return lines


def gated_metrics(run: Result, rules: Rules) -> list[str]:
    """The metrics to compare: those with a margin, else all but components (`codebleu.syntax`) and groups."""
    return list(rules.margins) or [name for name in run.reduces if "." not in name and "[" not in name]


def _metric_checks(run: Result, baseline: Baseline, rules: Rules, level: float) -> list[Check]:
    names = [name for name in gated_metrics(run, rules) if run.reduces[name][0] in baseline.scores]
    problems = sorted(baseline.prompts)
    single = all(count == 1 for count in run.samples.values())
    clusters = run.cluster_labels(problems)
    design = Design(single, clusters, prior=CAUTIOUS_PRIOR, level=level)
    vectors = {name: paired_vectors(run, baseline, name, problems) for name in names}
    differences = {
        name: paired_tests.paired_difference(run.reduces[name][1], before, after, design)
        for name, (before, after) in vectors.items()
    }
    corrected = paired_tests.holm([difference.p for difference in differences.values()])
    checks = []
    for (name, difference), p in zip(differences.items(), corrected, strict=True):
        reduce = run.reduces[name][1]
        if name in rules.margins:
            check = _margin_check(name, rules.margins[name], difference, p, reduce, level)
        else:
            check = _significance_check(name, difference, p, len(names), reduce, level)
        power = detectable_difference(difference, len(names))
        if power is not None:
            text = minimum_detectable(reduce.unit, power, difference.units)
            check = replace(check, detail=f"{check.detail}; {text}")
        checks.append(check)
    return checks


def _significance_check(
    name: str,
    difference: paired_tests.Difference,
    p: float,
    claims: int,
    reduce: Reduce,
    level: float = ALPHA,
) -> Check:
    """No significant loss. Where not even a loss on every problem would be significant, the check says nothing."""
    least = (1 / 6 if difference.test.startswith("wild") else 0.5) ** difference.units * claims
    least *= 1 if difference.exact is not None else 2
    if least > level:
        few = f"{difference.units} {_units(difference)}: a loss on each of them would have p {p_value(min(least, 1.0))}"
        return Check(name, False, f"{TOO_FEW}, {few}", undecided=True)
    if not difference.better + difference.worse and difference.value == 0:
        return Check(name, True, f"equal on each of {difference.n} problems")
    worse = difference.value > 0 if reduce.lower_is_better else difference.value < 0
    exact = "" if difference.exact is None else f"; exact {p_value(difference.exact)}"
    test = f"p {p_value(p)} ({difference.test}, Holm{exact})"
    return Check(name, not (worse and p <= level), f"{_describe(difference, reduce.lower_is_better)}, {test}")


def _margin_check(
    name: str,
    margin: float,
    difference: paired_tests.Difference,
    p: float,
    reduce: Reduce,
    level: float = ALPHA,
) -> Check:
    """Non-inferiority: no loss inside the interval may exceed the margin, so that a true loss of the margin passes one
    time in forty (after looks one in fifty, and with the looks together one in forty). Too few to tell: no loss is
    shown, and the interval of so many problems is wider than the margin."""
    least, most = (difference.low, difference.high)
    if not reduce.lower_is_better:
        least, most = -most, -least
    detail = _describe(difference, reduce.lower_is_better)
    if most <= margin:
        return Check(name, True, f"{detail}: within the margin of {margin:g}")
    lost = difference.value > 0 if reduce.lower_is_better else difference.value < 0
    if least > margin or (lost and p <= level) or (most - least) / 2 <= margin:
        return Check(name, False, f"{detail}: not shown to be within the margin of {margin:g}")
    few = f"{TOO_FEW}, a loss of up to {most:.4f} is open and the margin is {margin:g}"
    if margin and difference.sd is not None and difference.step is not None:
        enough = (Z95 / margin) ** 2 * (difference.sd**2 + difference.step * margin)
        few += f" (about {math.ceil(enough)} {_units(difference)} can tell, if nothing is lost)"
    return Check(name, False, f"{detail}: {few}", undecided=True)


# ---------------------------------------------------------------- a run stopped early


def _early_checks(run: Result, baseline: Baseline, rules: Rules) -> list[Check]:
    """What a part of the problems says of them all: a metric is clear where its interval, which holds at every look, is
    within the margin or beyond it (beyond any loss, where none is given). What needs all problems is open till then."""
    check_part(run, baseline)
    of = f"{len(run.samples)} of {len(run.groups)} problems, in an order drawn by lot"
    checks = [Check(COMPARABLE, True, f"same conditions, {of}; the intervals hold at all looks together")]
    names = [name for name in gated_metrics(run, rules) if run.reduces[name][0] in baseline.scores]
    for name in names:
        lower, margin = run.reduces[name][1].lower_is_better, rules.margins.get(name)
        difference = early_difference(run, baseline, name, sequential.EARLY / len(names))
        if difference is None:
            checks.append(
                Check(name, False, "no mean of values in 0 to 1: open till the end", undecided=True)
            )
            continue
        least, most = difference.low, difference.high
        if not lower:
            least, most = -most, -least
        said = _describe(difference, lower)
        if margin is not None and most <= margin:
            checks.append(Check(name, True, f"{said}: within the margin of {margin:g}"))
        elif least > (margin or 0):
            beyond = "a loss" if margin is None else f"a loss beyond the margin of {margin:g}"
            checks.append(Check(name, False, f"{said}: {beyond}"))
        else:
            checks.append(Check(name, False, f"{said}: {TOO_FEW}, so far", undecided=True))
    whole = [f"{name} floor" for name in rules.floors] + [f"{name} ceiling" for name in rules.ceilings]
    return checks + [Check(name, False, "open till the end", undecided=True) for name in whole]


def _describe(difference: paired_tests.Difference | EarlyDifference, lower_is_better: bool) -> str:
    d = difference
    direction = " (lower is better)" if lower_is_better else ""
    return f"{d.value:+.4f} [{d.low:+.4f}, {d.high:+.4f}]{direction}, {d.better} better, {d.worse} worse of {d.n}"


def _units(difference: paired_tests.Difference) -> str:
    return "problems" if difference.units == difference.n else "clusters"


def first_metric(run: Result, baseline: Baseline) -> str:
    """The metric by which problems are said to have got worse; "" if there is none."""
    name = next((n for n in run.reduces if run.reduces[n][0] in baseline.scores), "")
    return "" if not name or run.reduces[name][1].of_sum is not None else name


def flipped(run: Result, baseline: Baseline) -> list[tuple[str, float]]:
    """The problems whose value of the first metric is another than in the baseline, and what they gained; the worst
    come first. For a run that can be compared."""
    if not (name := first_metric(run, baseline)):
        return []
    problems = sorted(baseline.prompts.keys() & run.samples.keys())
    gains = paired_tests.gains(run.reduces[name][1], *paired_vectors(run, baseline, name, problems))
    order = np.argsort(gains, kind="stable")
    return [(problems[i], float(gains[i])) for i in order if abs(gains[i]) > paired_tests.TOLERANCE]
