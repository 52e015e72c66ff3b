"""Verdicts to metrics: values with intervals, notes and the signature, a pure function of the run's records."""

from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from harness import sources, stats, store
from harness.config import digest
from harness.planning import Plan
from harness.schema import Problem, Scorer, Summary


def summarise(plan: Plan, counts: Mapping[str, int], files: store.Run) -> Summary:
    """Metrics with intervals, a pure function of the records. A problem with a fault is in no metric of its scorer."""
    problems = plan.problems
    ks = stats.ks(min(counts.values()), plan.config.k)
    rows: dict[str, dict[str, list[array[float]]]] = {scorer.name: {} for scorer in plan.task.scorers}
    spoilt: set[tuple[str, str]] = set()
    statuses: Counter[str] = Counter()
    classes: Counter[str] = Counter()
    beside = 0
    faults: list[str] = []
    for row in files.judgements.rows():
        statuses[row["status"]] += 1
        if raised := stats.error_class(row["status"], row["error"]):
            classes[raised] += 1
        score = row["score"]
        if score is None:
            spoilt.add((row["scorer"], row["problem_id"]))
            faults.append(f"first fault, of {row['problem_id']}: {row['error']}")
        else:
            beside += score["note"] == "in_process"
            rows[row["scorer"]].setdefault(row["problem_id"], []).append(
                array("d", [score["value"], *score["stats"]])
            )
    metrics = {}
    for scorer in plan.task.scorers:
        judged = [p for p in problems if p.id in rows[scorer.name] and (scorer.name, p.id) not in spoilt]
        metrics.update(_metrics(scorer, ks, problems, judged, rows[scorer.name], plan.config.seed))
    return Summary(
        run_id=files.record["run_id"],
        task=plan.task.name,
        signature=signature(plan, files.record),
        problems=len(problems),
        samples=sum(counts.values()),
        metrics=metrics,
        status_counts=dict(sorted(statuses.items())),
        errors=statuses["fault"],
        cost=_cost(files),
        error_classes=stats.most_common(classes),
        notes=(*_notes(plan, counts, beside), *faults[:1]),
    )


def _metrics(
    scorer: Scorer,
    ks: Sequence[int],
    problems: Sequence[Problem],
    judged: Sequence[Problem],
    rows: Mapping[str, Any],
    seed: int,
) -> dict[str, Any]:
    import numpy as np

    groups = sorted({problem.group for problem in judged})
    chosen = {"": list(judged)}
    if len(groups) > 1:
        chosen |= {f"[{group}]": [p for p in judged if p.group == group] for group in groups}
    metrics = {}
    for suffix, members in chosen.items():
        scores = {problem.id: np.asarray(rows[problem.id], dtype=np.float64) for problem in members}
        for name, reduce in scorer.metrics(ks).items():
            if reduce.over is not None and suffix:
                continue  # what is taken together may lie in several groups
            if counted := stats.units(reduce, scores, (problem.id for problem in problems)):
                metrics[name + suffix] = stats.estimate(reduce, list(counted.values()), seed=seed)
    return metrics


def _cost(files: store.Run) -> dict[str, float]:
    cost: Counter[str] = Counter()
    for row in files.generations.rows():
        for name in ("prompt_tokens", "completion_tokens"):
            cost[name] += row["completion"][name]
    return dict(sorted(cost.items()))


def _notes(plan: Plan, counts: Mapping[str, int], beside: int) -> tuple[str, ...]:
    """What a reader of the numbers has to know and cannot see from them."""
    notes = []
    asked = len(plan.prompts)
    if len(plan.problems) < asked:
        notes.append(f"partial: {len(plan.problems)} of {asked} problems have completions")
    if plan.config.limit is not None:
        notes.append(f"limited to the first {asked} problems")
    if plan.config.only:
        notes.append(f"only {asked} chosen problems")
    for why, left_out in sorted(Counter(plan.left_out.values()).items()):
        notes.append(f"{left_out} problems left out: {why}")
    if plan.passed_over:
        notes.append(
            f"{plan.passed_over} recorded samples passed over: their problems are not asked or left out"
        )
    if len(set(counts.values())) > 1:
        notes.append(f"{min(counts.values())} to {max(counts.values())} samples a problem")
    if beside:
        notes.append(
            f"{beside} samples judged in_process: their tests' values cannot cross to the trusted side"
        )
    notes += plan.selection.notes
    if plan.config.data == sources.MINI:
        notes.append("the project's own mini rows, not the benchmark")
    return tuple(notes)


def signature(plan: Plan, record: Mapping[str, Any]) -> str:
    """One line that says what a number means: two runs with equal signatures may be compared."""
    sampling, judge, backend = plan.sampling, record["judge"], record["backend"]
    how = f"beams {sampling.beams}" if sampling.beams > 1 else "greedy"
    if sampling.temperature > 0:
        how = f"T {sampling.temperature:g} top-p {sampling.top_p:g} top-k {sampling.top_k}"
    for name, word in (("count_penalty", "count"), ("repetition_penalty", "repetition")):
        if (r := getattr(sampling, name)) != 1:
            how += f" {word} {r:g}"
    if sampling.banned_tokens:
        how += f" banned {digest(list(sampling.banned_tokens))[:8]}"
    if backend["kind"] == "replay":
        how = "recorded"
    parts = [
        f"{plan.task.name} v{plan.task.version}",
        f"{plan.config.split} {len(plan.problems)}x{sampling.samples}",
        f"data {digest(plan.data)[:8]}",
        f"prompt {plan.template.name}:{record['prompt']['hash'][:8]}",
        f"shots {plan.selection.label}",
        f"extract {plan.task.extract.__name__}",
        f"{how} max {sampling.max_tokens} seed {sampling.seed}",
        _judged(judge),
        *([backend["dtype"], backend["engine"]] if "dtype" in backend else [backend["kind"]]),
        *(scorer.signature(plan.problems) for scorer in plan.task.scorers if scorer.signature),
    ]
    return " | ".join(parts)


def _judged(judge: Mapping[str, Any] | None) -> str:
    """The sandbox, and the limits where they are not the task's own: a tighter one fails more programs."""
    if judge is None:
        return "judge text"
    limits = (
        ("cpu", judge["time_limit"], "s"),
        ("cpu", judge.get("time_factor"), "times the reference"),
        ("memory", judge["memory_mb"], "MB"),
    )
    own = [f"{name} {value:g} {unit}" for name, value, unit in limits if value is not None]
    where = [judge["interpreter"]] if "interpreter" in judge else []
    return " ".join(["judge", judge["sandbox"], *own, *where])
