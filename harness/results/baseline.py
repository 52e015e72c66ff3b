"""A gate's baseline: a file with what a good run scored on every problem, made once and committed.

make_baseline            run -> baseline: conditions, every score, every prompt's hash, the rules
read_baseline, dump_baseline
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field, ValidationError

from harness import __version__
from harness.config.run import RunConfig
from harness.errors import ConfigError, unknown
from harness.runs.store import reader
from harness.runs.store.conditions import conditions, recorded_conditions
from harness.runs.store.reader import Result
from harness.schema import Estimate, Generation, Reduce, Value
from harness.stats import estimates
from harness.stats.intervals import Floats

FORMAT = 1


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
        conditions=gated_conditions(run.record, run.config),
        metrics=metrics,
        scores=scores,
        prompts={name: sha for name, sha in sorted(prompts_of(run).items()) if name in kept},
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


def gated_conditions(record: Mapping[str, Any], config: RunConfig) -> dict[str, Any]:
    """The conditions that a run must share with its baseline; problems and prompts are compared themselves."""
    found = recorded_conditions(record, config)
    del found["limit"]
    found["prompt"] = {name: found["prompt"][name] for name in ("name", "stop")}
    return {**json.loads(json.dumps(found)), "shots": config.shots}


def prompts_of(run: Result) -> dict[str, str]:
    """The hash of each problem's prompt."""
    return {
        row["problem_id"]: row["prompt_sha"]
        for row in reader.rows(run.folder / "generations.jsonl", Generation)
    }


def paired_vectors(
    run: Result, baseline: Baseline, name: str, problems: Sequence[str]
) -> tuple[Floats, Floats]:
    """The problems' vectors of a metric in the baseline and in the run."""
    scorer, reduce = run.reduces[name]
    rows = [np.asarray(baseline.scores[scorer][problem], dtype=np.float64) for problem in problems]
    return estimates.per_problem_vectors(reduce, rows), run.vectors(name, problems)


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
    check_metric_rules(rules, {name: reduce for name, (_, reduce) in run.reduces.items()})
    for name in rules.ceilings:
        if name not in run.summary.cost:
            raise ConfigError(f"--ceiling {name}: {unknown('cost', name, run.summary.cost)}")


def check_metric_rules(rules: Rules, reduces: Mapping[str, Reduce]) -> None:
    """`check_rules`, of the rules about metrics."""
    for kind, table in (("margin", rules.margins), ("floor", rules.floors)):
        for name, value in table.items():
            if name not in reduces:
                raise ConfigError(f"--{kind} {name}: {unknown('metric', name, reduces)}")
            if value > 1 and reduces[name].unit == "share":
                raise ConfigError(f"--{kind} {name}={value:g}: a share is 0 to 1; two points are 0.02")
