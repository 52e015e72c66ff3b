"""Compare a run with a baseline, for CI: the exit code says how it went. Recorded generations need no model.

    make_baseline            run -> baseline file: conditions, every score, every prompt's hash, the rules
    compare_with_baseline    run, baseline -> GateVerdict: passed, regression, fault, not comparable, too few to tell

A fault or a missing sample never passes: both are checked before any metric. The order of rows changes nothing.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from pydantic import Field, ValidationError

from harness import __version__
from harness.errors import ConfigError, Fault, unknown
from harness.results.compare import detectable_difference
from harness.results.report.comparison import minimum_detectable, p_value
from harness.runs.store import reader
from harness.runs.store.conditions import conditions, format_value
from harness.runs.store.reader import Result
from harness.schema import Estimate, Generation, Reduce, Value
from harness.stats import estimates, paired_tests
from harness.stats.intervals import CAUTIOUS_PRIOR, Z95, Floats
from harness.stats.paired_tests import ALPHA, Design

FORMAT = 1
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


class Rules(Value):
    """`margins`: largest loss allowed; `floors`: worst value allowed; `ceilings`: largest cost per sample."""

    margins: Mapping[str, float] = {}
    floors: Mapping[str, float] = {}
    ceilings: Mapping[str, float] = {}


class Baseline(Value):
    """The file. `scores` is scorer -> problem id -> one list [value, stats...] per sample; `prompts` is id -> hash."""

    format: int = Field(ge=1)
    harness: str
    run_id: str
    conditions: Mapping[str, Any]
    metrics: Mapping[str, Estimate]
    scores: Mapping[str, Mapping[str, list[list[float]]]]
    prompts: Mapping[str, str]
    rules: Rules = Rules()


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


# ---------------------------------------------------------------- the baseline file


def make_baseline(run: Result, rules: Rules, only: Sequence[str] = ()) -> Baseline:
    """A baseline from the run, or from the problems in `only`. Raises ConfigError for a partial or faulty run."""
    if run.faults or run.summary.errors:
        raise ConfigError(f"{run.run_id} has {run.faults} faults and cannot be a baseline")
    if conditions(run)["partial"]:
        raise ConfigError(f"{run.run_id} is partial and cannot be a baseline")
    if "exclude" in run.record:
        raise ConfigError(f"{run.run_id} leaves samples out (judge.exclude) and cannot be a baseline")
    check_rules(rules, run)
    kept = set(only) or set(run.samples)
    scores = {
        scorer: {name: by_problem[name].tolist() for name in sorted(kept)}
        for scorer, by_problem in run.scores.items()
    }
    metrics = {name: run.summary.metrics[name] for name in run.reduces}
    if only:
        chosen = sorted(kept)
        metrics = {n: estimates.estimate_rows(r, run.vectors(n, chosen)) for n, (_, r) in run.reduces.items()}
    return Baseline(
        format=FORMAT,
        harness=__version__,
        run_id=run.run_id,
        conditions=_conditions(run),
        metrics=metrics,
        scores=scores,
        prompts={name: sha for name, sha in sorted(_prompts(run).items()) if name in kept},
        rules=rules,
    )


def read_baseline(path: Path) -> Baseline:
    """Read a baseline file. Raises ConfigError if it is missing, damaged or of a newer version."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise ConfigError(f"no baseline file {str(path)!r}: create it with --write") from None
    try:
        plain = json.loads(text)
        version = plain["format"]
    except (ValueError, KeyError, TypeError):
        raise ConfigError(f"{path} is not a baseline file: create one with --write") from None
    if isinstance(version, int) and version > FORMAT:
        raise ConfigError(
            f"{path} has format {version}, written by harness {plain.get('harness', '?')}; this is {__version__},"
            f" which reads up to format {FORMAT}: upgrade, or write the baseline again with --write"
        )
    try:
        return Baseline.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"{path}: damaged baseline ({where}: {first['msg'].lower()})") from None


def read_ids(path: Path) -> list[str]:
    """The problem ids in a baseline, or in a text file with one id per line."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--only {str(path)!r}: cannot be read: {error}") from None
    if text.lstrip().startswith("{"):
        return sorted(read_baseline(path).prompts)
    return [line.strip() for line in text.splitlines() if line.strip()]


def dump_baseline(baseline: Baseline) -> str:
    """The file's text, one line per problem, so that a changed baseline gives a readable diff."""
    plain = baseline.model_dump(mode="json")
    scores, prompts = plain.pop("scores"), plain.pop("prompts")
    head = json.dumps(plain, indent=1, sort_keys=True, ensure_ascii=False)
    lines = []
    for key, table in [*((f"scores/{name}", rows) for name, rows in scores.items()), ("prompts", prompts)]:
        inside = ",\n".join(f"  {json.dumps(name)}: {json.dumps(row)}" for name, row in table.items())
        lines.append((key, "{\n" + inside + "\n }"))
    of_scores = ",\n ".join(
        f"{json.dumps(key.removeprefix('scores/'))}: {text}" for key, text in lines if key != "prompts"
    )
    return f'{head[:-2]},\n "scores": {{\n {of_scores}\n }},\n "prompts": {lines[-1][1]}\n}}\n'


def _conditions(run: Result) -> dict[str, Any]:
    found = conditions(run)
    del found["partial"], found["limit"]  # the problems are compared themselves
    found["prompt"] = {name: found["prompt"][name] for name in ("name", "stop")}  # and so is each prompt
    return {**json.loads(json.dumps(found)), "shots": run.config.shots}


def _prompts(run: Result) -> dict[str, str]:
    return {
        row["problem_id"]: row["prompt_sha"]
        for row in reader.rows(run.folder / "generations.jsonl", Generation)
    }


# ---------------------------------------------------------------- rules


def parse_rule(item: str, kind: str) -> tuple[str, float]:
    """ "pass@1=0.02" -> ("pass@1", 0.02). Raises ConfigError."""
    name, equals, text = item.rpartition("=")
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not equals or not name or not np.isfinite(value) or value < 0:
        raise ConfigError(f"--{kind} {item!r}: expected NAME=NUMBER, for example pass@1=0.02")
    return name, value


def check_rules(rules: Rules, run: Result) -> None:
    """Raise ConfigError for a rule about a metric or cost that the run lacks, or one given in percent."""
    for kind, table in (("margin", rules.margins), ("floor", rules.floors)):
        for name, value in table.items():
            if name not in run.reduces:
                raise ConfigError(f"--{kind} {name}: {unknown('metric', name, run.reduces)}")
            if value > 1 and run.reduces[name][1].unit == "share":
                raise ConfigError(f"--{kind} {name}={value:g}: a share is 0 to 1; two points are 0.02")
    for name in rules.ceilings:
        if name not in run.summary.cost:
            raise ConfigError(f"--ceiling {name}: {unknown('cost', name, run.summary.cost)}")


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
    rules = Rules(**{k: v or getattr(baseline.rules, k) for k, v in rules.model_dump().items()})
    check_rules(rules, run)

    def verdict(outcome: GateOutcome, checks: Sequence[Check], worse: Sequence[str] = ()) -> GateVerdict:
        return GateVerdict(
            run.run_id, baseline.run_id, run.summary.task, outcome, tuple(checks), tuple(worse)
        )

    if lines := list(_faults(run, baseline)):
        return verdict("fault", [Check(COMPARABLE, False, line) for line in lines])
    if lines := list(_condition_differences(run, baseline)):
        return verdict("not comparable", [Check(COMPARABLE, False, line) for line in lines])
    checks = [Check(COMPARABLE, True, f"same conditions, {len(baseline.prompts)} problems")]
    problems = sorted(baseline.prompts)
    checks += _metric_checks(run, baseline, rules, problems)
    for name, floor in rules.floors.items():
        e = estimates.estimate_rows(run.reduces[name][1], run.vectors(name, problems))
        ok, value = (e.value <= floor if e.lower_is_better else e.value >= floor), e.value
        checks.append(Check(f"{name} floor", ok, f"{value:.4f}, floor {floor:g}"))
    for name, most in rules.ceilings.items():
        cost = run.summary.cost[name] / run.summary.samples
        checks.append(Check(f"{name} ceiling", cost <= most, f"{cost:.1f} per sample, ceiling {most:g}"))
    worse = [name for name, gain in flipped(run, baseline) if gain < 0]
    return verdict(_outcome(checks), checks, worse)


def _outcome(checks: Sequence[Check]) -> GateOutcome:
    if any(not check.passed and not check.undecided for check in checks):
        return "regression"
    return TOO_FEW if any(check.undecided for check in checks) else "passed"


def _faults(run: Result, baseline: Baseline) -> list[str]:
    lines = []
    if run.faults or run.summary.errors:
        lines.append(f"{max(run.faults, run.summary.errors)} samples could not be judged")
    if partial := conditions(run)["partial"]:
        lines.append(f"samples are missing: {partial}")
    elif missing := sorted(set(baseline.prompts) - set(run.samples)):
        lines.append(f"{len(missing)} problems of the baseline are missing: {', '.join(missing[:3])}")
    counts = next(iter(baseline.scores.values()), {})
    short = [name for name, rows in counts.items() if 0 < run.samples.get(name, 0) < len(rows)]
    if short and run.record["sampling"]["samples"] == baseline.conditions.get("sampling.samples", 1):
        lines.append(f"{len(short)} problems have fewer samples than in the baseline: {', '.join(short[:3])}")
    return lines


def _condition_differences(run: Result, baseline: Baseline) -> list[str]:
    now, before = _conditions(run), baseline.conditions
    lines = [
        f"{name}: {format_value(before.get(name))} in the baseline, {format_value(now.get(name))} now"
        for name in dict.fromkeys([*before, *now])
        if before.get(name) != now.get(name) and (name in before or not name.startswith("scorers."))
    ]
    prompts = _prompts(run)
    other = [name for name, sha in baseline.prompts.items() if prompts.get(name) != sha]
    if other and not lines:
        lines.append(f"different prompts for {len(other)} of {len(prompts)} problems: {', '.join(other[:3])}")
    if not lines and (lost := set(baseline.scores) - set(run.scores)):
        lines.append(f"the baseline has scores of {', '.join(sorted(lost))}, this run does not")
    return lines


def gated_metrics(run: Result, rules: Rules) -> list[str]:
    """The metrics to compare: those with a margin, else all but components (`codebleu.syntax`) and groups."""
    return list(rules.margins) or [name for name in run.reduces if "." not in name and "[" not in name]


def _metric_checks(run: Result, baseline: Baseline, rules: Rules, problems: Sequence[str]) -> list[Check]:
    names = [name for name in gated_metrics(run, rules) if run.reduces[name][0] in baseline.scores]
    single = all(count == 1 for count in run.samples.values())
    clusters = run.cluster_labels(problems)
    design = Design(single, clusters, prior=CAUTIOUS_PRIOR)
    vectors = {name: _vectors(run, baseline, name, problems) for name in names}
    differences = {
        name: paired_tests.paired_difference(run.reduces[name][1], before, after, design)
        for name, (before, after) in vectors.items()
    }
    corrected = paired_tests.holm([difference.p for difference in differences.values()])
    checks = []
    for (name, difference), p in zip(differences.items(), corrected, strict=True):
        reduce = run.reduces[name][1]
        if name in rules.margins:
            check = _margin_check(name, rules.margins[name], difference, p, reduce)
        else:
            check = _significance_check(name, difference, p, len(names), reduce)
        power = detectable_difference(difference, len(names))
        if power is not None:
            text = minimum_detectable(reduce.unit, power, difference.units)
            check = replace(check, detail=f"{check.detail}; {text}")
        checks.append(check)
    return checks


def _significance_check(
    name: str, difference: paired_tests.Difference, p: float, claims: int, reduce: Reduce
) -> Check:
    """No significant loss. Where not even a loss on every problem would be significant, the check says nothing."""
    least = (1 / 6 if difference.test.startswith("wild") else 0.5) ** difference.units * claims
    least *= 1 if difference.exact is not None else 2
    if least > ALPHA:
        few = f"{difference.units} {_units(difference)}: a loss on each of them would have p {p_value(min(least, 1.0))}"
        return Check(name, False, f"{TOO_FEW}, {few}", undecided=True)
    if not difference.better + difference.worse and difference.value == 0:
        return Check(name, True, f"equal on each of {difference.n} problems")
    worse = difference.value > 0 if reduce.lower_is_better else difference.value < 0
    exact = "" if difference.exact is None else f"; exact {p_value(difference.exact)}"
    test = f"p {p_value(p)} ({difference.test}, Holm{exact})"
    return Check(name, not (worse and p <= ALPHA), f"{_describe(difference, reduce.lower_is_better)}, {test}")


def _margin_check(
    name: str, margin: float, difference: paired_tests.Difference, p: float, reduce: Reduce
) -> Check:
    """Non-inferiority: no loss inside the interval may exceed the margin, so that a true loss of the margin passes one
    time in forty. Too few to tell: no loss is shown, and the interval of so many problems is wider than the margin."""
    least, most = (difference.low, difference.high)
    if not reduce.lower_is_better:
        least, most = -most, -least
    detail = _describe(difference, reduce.lower_is_better)
    if most <= margin:
        return Check(name, True, f"{detail}: within the margin of {margin:g}")
    lost = difference.value > 0 if reduce.lower_is_better else difference.value < 0
    if least > margin or (lost and p <= ALPHA) or (most - least) / 2 <= margin:
        return Check(name, False, f"{detail}: not shown to be within the margin of {margin:g}")
    few = f"{TOO_FEW}, a loss of up to {most:.4f} is open and the margin is {margin:g}"
    if margin and difference.sd is not None and difference.step is not None:
        enough = (Z95 / margin) ** 2 * (difference.sd**2 + difference.step * margin)
        few += f" (about {math.ceil(enough)} {_units(difference)} can tell, if nothing is lost)"
    return Check(name, False, f"{detail}: {few}", undecided=True)


def _describe(difference: paired_tests.Difference, lower_is_better: bool) -> str:
    d = difference
    direction = " (lower is better)" if lower_is_better else ""
    return f"{d.value:+.4f} [{d.low:+.4f}, {d.high:+.4f}]{direction}, {d.better} better, {d.worse} worse of {d.n}"


def _units(difference: paired_tests.Difference) -> str:
    return "problems" if difference.units == difference.n else "clusters"


def _vectors(run: Result, baseline: Baseline, name: str, problems: Sequence[str]) -> tuple[Floats, Floats]:
    """The problems' vectors in the baseline and in the run."""
    scorer, reduce = run.reduces[name]
    rows = [np.asarray(baseline.scores[scorer][problem], dtype=np.float64) for problem in problems]
    return estimates.per_problem_vectors(reduce, rows), run.vectors(name, problems)


def first_metric(run: Result, baseline: Baseline) -> str:
    """The metric by which problems are said to have got worse; "" if there is none."""
    name = next((n for n in run.reduces if run.reduces[n][0] in baseline.scores), "")
    return "" if not name or run.reduces[name][1].of_sum is not None else name


def flipped(run: Result, baseline: Baseline) -> list[tuple[str, float]]:
    """The problems whose value of the first metric is another than in the baseline, and what they gained; the worst
    come first. For a run that can be compared."""
    if not (name := first_metric(run, baseline)):
        return []
    problems = sorted(baseline.prompts)
    gains = paired_tests.gains(run.reduces[name][1], *_vectors(run, baseline, name, problems))
    order = np.argsort(gains, kind="stable")
    return [(problems[i], float(gains[i])) for i in order if abs(gains[i]) > paired_tests.TOLERANCE]
